"""What a cold start imports: each function only what it needs, and not much more than boto3 does.

冷启动时加载的模块。
"""

from __future__ import annotations

import pytest

from scripts.bench import coldstart
from scripts.bench.coldstart import FUNCTIONS
from tests import imports
from tests.imports import packages

AWS = {"boto3", "botocore", "certifi", "dateutil", "jmespath", "s3transfer", "six", "urllib3"}
PYDANTIC = {
    "annotated_types",
    "pydantic",
    "pydantic_core",
    "typing_extensions",
    "typing_inspection",
}
OURS = {"aws_lambda_powertools", "functions", "shared"}
WORKER = AWS | PYDANTIC | OURS
WEB = {
    "annotated_doc",
    "anyio",
    "exceptiongroup",
    "fastapi",
    "mangum",
    "opentelemetry",
    "python_multipart",
    "sniffio",
    "starlette",
}
"""What FastAPI brings along (`exceptiongroup` before Python 3.11), Mangum, the reader of forms."""

MAY_IMPORT = {"poll": WORKER, "postprocess": WORKER, "callback": WORKER, "api": WORKER | WEB}
MOST_MODULES = {"poll": 600, "postprocess": 600, "callback": 600, "api": 800}
"""A few per cent above what there is; bare boto3 has some 390."""

HEAVY = {
    "PIL",
    "alembic",
    "httpcore",
    "httpx",
    "numpy",
    "pydantic_settings",
    "sqlalchemy",
    "standardwebhooks",
    "trimesh",
}
"""What some function needs at some time, but none in order to start."""


def modules(code: str) -> frozenset[str]:
    return imports.modules(code, **coldstart.AWS.settings)


def start(function: str) -> frozenset[str]:
    return modules(coldstart.AWS.started(function))


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_starts_with_the_packages_it_needs_and_no_other(function: str) -> None:
    assert packages(start(function)) <= MAY_IMPORT[function]


def test_the_packages_of_aws_are_those_that_bare_boto3_imports() -> None:
    assert packages(modules(coldstart.AWS.yardstick)) == AWS


@pytest.mark.parametrize("function", FUNCTIONS)
def test_nothing_heavy_is_imported_before_there_is_work_for_it(function: str) -> None:
    assert not packages(start(function)) & HEAVY
    assert "pydantic.v1" not in start(function)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_start_imports_few_modules_beyond_boto3s(function: str) -> None:
    assert len(start(function)) <= MOST_MODULES[function]


@pytest.mark.parametrize("function", sorted(set(FUNCTIONS) - {"api"}))
def test_only_the_http_function_knows_of_http_servers_and_asyncio(function: str) -> None:
    assert not {"asyncio", "fastapi", "starlette", "mangum", "anyio"} & start(function)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_imports_no_other_functions_handler(function: str) -> None:
    handlers = {name for name in start(function) if name.endswith(".handler")}
    assert {name for name in handlers if name.startswith("functions.")} == {
        f"functions.{function}.handler"
    }


@pytest.mark.parametrize("function", FUNCTIONS)
def test_only_the_adapters_in_use_are_imported(function: str) -> None:
    ours = {name for name in start(function) if name.startswith("shared.")}
    assert {"shared.store.dynamodb.store", "shared.buckets.s3", "shared.aws.wake"} <= ours
    late = {"shared.providers.tripo.adapter", "shared.providers.qwen_image.adapter"}
    assert not ours & {"shared.store.sql.store", "shared.buckets.folder", *late}


def test_the_http_function_makes_no_document_before_it_is_asked_for_one() -> None:
    late = {
        "functions.api.docs.openapi",
        "functions.api.docs.schemas",
        "functions.api.docs.examples",
    }
    assert not late & start("api")


def test_fastapis_models_are_compiled_when_they_are_first_used_and_then_work() -> None:
    code = """
from functions.api import app
from fastapi.openapi.models import OpenAPI
assert not OpenAPI.__pydantic_complete__
made = OpenAPI.model_validate({"openapi": "3.1.0", "info": {"title": "A", "version": "1"}})
assert OpenAPI.__pydantic_complete__ and made.info.title == "A"
from pydantic import BaseModel
class Own(BaseModel):
    a: int
assert Own.__pydantic_complete__
"""
    assert "fastapi" in modules(code)
