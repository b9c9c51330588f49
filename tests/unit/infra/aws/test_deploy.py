"""The deploy command before it touches anything, and the secrets it makes."""

from __future__ import annotations

import io
from collections.abc import Iterator

import boto3
import pytest
from moto import mock_aws

from infra.aws import deploy, keys
from shared.aws import clients
from shared.config import load
from tests.functions.house import WEBHOOK_SECRET

PATH = "/maquette/dev"


@pytest.fixture(autouse=True)
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.setenv(name, "us-east-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    clients.forget()
    with mock_aws():
        yield
    clients.forget()


def parameters() -> dict[str, tuple[str, str]]:
    pages = boto3.client("ssm").get_paginator("get_parameters_by_path")
    found = [
        item
        for page in pages.paginate(Path=PATH, WithDecryption=True)
        for item in page["Parameters"]
    ]
    return {item["Name"].rpartition("/")[2]: (item["Type"], item["Value"]) for item in found}


def test_missing_secrets_are_made_encrypted_and_are_fit_to_run_with() -> None:
    assert keys.complete(PATH) == sorted(keys.MADE)
    made = parameters()
    assert {kind for kind, _ in made.values()} == {"SecureString"}
    environ = {name: value for name, (_, value) in made.items()}
    places = {"MAQUETTE_STORE_URL": "dynamodb://x", "MAQUETTE_BUCKET_URL": "s3://x"}
    where = {"MAQUETTE_STAGE": "dev", "MAQUETTE_PUBLIC_URL": "https://maquette.example"}
    settings = load({**environ, **places, **where})
    assert settings.api_keys[0].get_secret_value() == f"first:{keys.an_api_key(PATH)}"


def test_secrets_that_are_there_are_never_touched() -> None:
    boto3.client("ssm").put_parameter(
        Name=f"{PATH}/MAQUETTE_WEBHOOK_SECRETS", Value=WEBHOOK_SECRET, Type="SecureString"
    )
    assert keys.complete(PATH) == ["MAQUETTE_API_KEYS", "MAQUETTE_LINK_SECRET"]
    before = parameters()
    assert before["MAQUETTE_WEBHOOK_SECRETS"][1] == WEBHOOK_SECRET
    assert keys.complete(PATH) == []
    assert parameters() == before


def test_behind_cloudfront_there_is_a_secret_that_cloudformation_can_read() -> None:
    assert keys.ORIGIN not in keys.complete(PATH)
    assert keys.complete(PATH, behind_cloudfront=True) == [keys.ORIGIN]
    kind, value = parameters()[keys.ORIGIN]
    assert kind == "String"
    assert len(value) >= 16


@pytest.mark.parametrize(
    ("own", "there", "chosen"),
    [
        ((3, 13), [], "python3.13"),
        ((3, 12), ["python3.13"], "python3.12"),
        ((3, 10), ["python3.12"], "python3.12"),
        ((3, 11), ["python3.12", "python3.13"], "python3.13"),
        ((3, 14), ["python3.12"], "python3.12"),
    ],
)
def test_the_runtime_is_one_that_lambda_can_run_and_this_machine_can_compile_for(
    own: tuple[int, int], there: list[str], chosen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.version_info", own)
    monkeypatch.setattr(deploy, "_runs", there.__contains__)
    assert deploy._runtime() == chosen


def test_without_such_a_python_nothing_is_built(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.version_info", (3, 11))
    monkeypatch.setattr(deploy, "_runs", lambda python: False)
    assert deploy.main(["--stage", "dev", "--yes"]) == 1
    assert "python3.13, python3.12" in capsys.readouterr().err
    assert parameters() == {}


def test_a_deployment_without_a_provider_s_key_is_noticed() -> None:
    keys.complete(PATH)
    assert keys.missing_provider(PATH)
    boto3.client("ssm").put_parameter(
        Name=f"{PATH}/TRIPO_API_KEY", Value="tsk_x", Type="SecureString"
    )
    assert not keys.missing_provider(PATH)


def test_without_anybody_to_agree_nothing_is_deployed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert deploy.main(["--stage", "dev"]) == 1
    assert "--yes" in capsys.readouterr().err
    assert parameters() == {}


@pytest.mark.parametrize("stage", ["local", "Dev", "-", "a b", "x" * 33, ""])
def test_a_stage_that_cannot_be_one_is_refused(
    stage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        deploy.main(["--stage", stage, "--yes"])
    assert ended.value.code == 2
    assert "--stage" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["AlarmEmail", "=x", "A-b=c"])
def test_a_parameter_of_another_form_is_refused_before_anything_is_touched(
    text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert deploy.main(["--stage", "dev", "--yes", "--set", text]) == 1
    assert f"--set {text}" in capsys.readouterr().err
    assert parameters() == {}


def test_a_region_must_be_known(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    assert deploy.main(["--stage", "dev", "--yes"]) == 1
    assert "region" in capsys.readouterr().err


@pytest.mark.parametrize(("free", "limited"), [(10, False), (107, False), (108, True)])
def test_polls_are_limited_where_the_account_has_executions_to_reserve(
    free: int, limited: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = deploy.client

    class Lambda:
        def get_account_settings(self) -> dict[str, dict[str, int]]:
            return {"AccountLimit": {"UnreservedConcurrentExecutions": free}}

    monkeypatch.setattr(
        deploy, "client", lambda service: Lambda() if service == "lambda" else real(service)
    )
    options = deploy._arguments(["--stage", "dev", "--set", "PythonRuntime=python3.13"])
    parameters = deploy._plan(options).parameters
    assert parameters.get("PollConcurrency") == (None if limited else "0")
    options.set.append("PollConcurrency=3")
    assert deploy._plan(options).parameters["PollConcurrency"] == "3"
