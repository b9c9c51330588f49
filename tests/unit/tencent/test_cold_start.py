"""What a cold start on SCF imports: no SDK of either cloud before there is a call for it.

SCF 冷启动时加载的模块。
"""

from __future__ import annotations

import pytest

from scripts.bench.coldstart import TENCENT
from tests import imports
from tests.imports import packages

OURS = {"aws_lambda_powertools", "functions", "jmespath", "shared"}
"""Powertools writes the log lines, and imports jmespath."""
SQL = {"cython_runtime", "greenlet", "pymysql", "sqlalchemy", "typing_extensions"}
PYDANTIC = {"annotated_types", "pydantic", "pydantic_core", "typing_inspection"}
WORKER = OURS | SQL | PYDANTIC
WEB = {
    "annotated_doc",
    "anyio",
    "click",
    "exceptiongroup",
    "fastapi",
    "h11",
    "opentelemetry",
    "python_multipart",
    "sniffio",
    "starlette",
    "uvicorn",
}
"""What FastAPI brings along (`exceptiongroup` before Python 3.11), uvicorn, the reader of forms."""
CLIENT = {"certifi", "charset_normalizer", "idna", "requests", "tencentcloud", "urllib3"}
"""What the SDK brings along, with which every start reads its secrets."""
LOOKED_FOR = {"chardet", "cryptography", "simplejson"}
"""Taken where they are installed, as here, and not in the packages: by requests, which has others
for the same, and by PyMySQL, for passwords on connections without TLS."""
MOST_MODULES = {"poll": 620, "postprocess": 620, "callback": 620, "api": 830}
"""A few per cent above what there is."""

FUNCTIONS = tuple(MOST_MODULES)


def start(function: str, *, client: bool = False) -> frozenset[str]:
    return imports.modules(TENCENT.started(function, client=client), **TENCENT.settings)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_starts_with_the_packages_it_needs_and_no_other(function: str) -> None:
    names = start(function)
    found = packages(names) - LOOKED_FOR
    assert found <= (WORKER | WEB if function == "api" else WORKER)
    assert len(names) <= MOST_MODULES[function]
    assert {"shared.store.sql.store", "shared.buckets.cos", "shared.tencent.wake"} <= names
    assert not {name for name in names if name.startswith(("shared.aws", "shared.store.dynamodb"))}


@pytest.mark.parametrize("function", FUNCTIONS)
def test_reading_the_secrets_brings_the_sdk_along_and_few_modules(function: str) -> None:
    before, with_client = start(function), start(function, client=True)
    assert packages(with_client) - packages(before) - LOOKED_FOR <= CLIENT
    assert len(with_client) - len(before) <= 175  # 150, where nothing more is looked for
