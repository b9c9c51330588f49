"""Requests made of the picture service's document: none that fits is refused but for what no schema
can say, and no answer is outside its schema.

按图片服务的接口文档生成请求并核对应答。
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings

from infra.paths import ROOT

PYTHON = ROOT / ".venv-gpu" / "bin" / "python"
EXAMPLES = int(os.environ.get("MAQUETTE_TEST_EXAMPLES", "6"))
UNSAYABLE = {
    *("format_unsupported", "idempotency_key_reused", "not_found", "model_not_found"),
    *("queue_full", "refused"),
}
"""The codes of refusals whose reason no schema can say."""

SIZES = ("picture's sides", "leaves no step")
"""And what they say of sizes: of a picture's own, of two fields together."""


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    assert PYTHON.exists(), "./scripts/test installs the service"
    process = subprocess.Popen(
        [PYTHON, ROOT / "tests" / "gpu" / "serving.py", tmp_path / "state", "5"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    with process:
        try:
            process.stdin.write("release\n")
            process.stdin.flush()
            yield process.stdout.readline().strip()
        finally:
            process.kill()


def fault(document: Any, operation: Any, answer: Any) -> str | None:
    """What is wrong with an answer; None if nothing is."""
    told = operation.definition.raw["responses"].get(str(answer.status_code))
    media = answer.headers.get("content-type", "")
    if told is None or (answer.content and media not in told.get("content", {})):
        return f"{answer.status_code} {media} is not told: {answer.text[:200]}"
    if "json" not in media:
        return None
    schema = {**document, **told["content"][media]["schema"]}
    for wrong in jsonschema.Draft202012Validator(schema).iter_errors(answer.json()):
        return f"{wrong.json_path}: {wrong.message}"
    if answer.status_code < 400:
        return None
    error = answer.json()["error"]
    # OpenAI's `size` is a text: no pattern counts in it.
    sizes = (*SIZES, "`width`", "`height`") if operation.path.startswith("/v1/") else SIZES
    expected = error["code"] in UNSAYABLE or any(one in error["message"] for one in sizes)
    return None if expected and answer.status_code < 500 else f"{answer.status_code} {error}"


def test_what_fits_the_services_document_is_taken_and_answered_as_it_says(url: str) -> None:
    document = requests.get(f"{url}/openapi.json", timeout=20).json()
    found: dict[str, str] = {}
    for one in schemathesis.openapi.from_dict(document).get_all_operations():
        operation = one.ok()
        # While the model is loaded anew, every other request is a 503.
        if operation.path != "/reload":
            ask(document, operation, url, found)
    assert not found, json.dumps(found, indent=1, ensure_ascii=False)[:6000]


def ask(document: Any, operation: Any, url: str, found: dict[str, str]) -> None:
    """Send an operation's requests; what is wrong goes into `found`."""

    @given(case=operation.as_strategy())
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=[*HealthCheck],
    )
    def send(case: Any) -> None:
        answer = requests.request(**case.as_transport_kwargs(base_url=url), timeout=20)
        why = fault(document, operation, answer)
        if why:
            found.setdefault(f"{operation.label}: {why}", repr(case.body)[:400])

    send()
