"""Settings that are secret, read by name from Parameter Store or Secrets Manager."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from shared import wiring
from shared.aws import clients, secrets
from shared.config import Settings, SettingsError
from tests.functions.house import LINK_SECRET, WEBHOOK_SECRET

PATH = "/maquette/dev"
KEPT = {
    "MAQUETTE_LINK_SECRET": LINK_SECRET,
    "MAQUETTE_WEBHOOK_SECRETS": WEBHOOK_SECRET,
    "TRIPO_API_KEY": "tsk_one,tsk_two",
}


@pytest.fixture(autouse=True)
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name, value in {
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
    }.items():
        monkeypatch.setenv(name, value)
    clients.forget()
    with mock_aws():
        yield
    clients.forget()
    wiring.install(None)


def put_parameters(values: dict[str, str], path: str = PATH) -> None:
    ssm = boto3.client("ssm")
    for name, value in values.items():
        ssm.put_parameter(Name=f"{path}/{name}", Value=value, Type="SecureString")


def put_secret(value: Any, name: str = "maquette/dev") -> None:
    text = value if isinstance(value, str) else json.dumps(value)
    boto3.client("secretsmanager").create_secret(Name=name, SecretString=text)


def test_every_parameter_under_the_path_is_read_however_many_there_are() -> None:
    many = {**KEPT, **{f"MAQUETTE_X{n}": str(n) for n in range(25)}}
    put_parameters(many)
    put_parameters({"TRIPO_API_KEY": "tsk_production"}, "/maquette/prod")
    assert secrets.read(f"ssm://{PATH}") == many


def test_no_parameters_are_no_secrets() -> None:
    assert secrets.read("ssm:///maquette/nobody") == {}


def test_one_secret_holds_them_all() -> None:
    put_secret(KEPT)
    assert secrets.read("secretsmanager:///maquette/dev") == KEPT


@pytest.mark.parametrize("value", ["{", "[]", '"x"', '{"A": 1}', '{"A": "secret-text", "B": null}'])
def test_a_secret_of_another_form_is_an_error_that_does_not_show_it(value: str) -> None:
    put_secret(value)
    with pytest.raises(secrets.SecretsUnavailable) as raised:
        secrets.read("secretsmanager:///maquette/dev")
    assert "secretsmanager:///maquette/dev" in str(raised.value)
    assert "secret-text" not in str(raised.value)


def test_a_secret_that_is_not_there_is_an_error_that_names_it() -> None:
    with pytest.raises(secrets.SecretsUnavailable, match="secretsmanager:///maquette/dev"):
        secrets.read("secretsmanager:///maquette/dev")


def test_an_unknown_scheme_names_those_that_are_known() -> None:
    with pytest.raises(secrets.SecretsUnavailable, match="secretsmanager:, ssm:"):
        secrets.read("vault:///maquette/dev")


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, database_url: str) -> pytest.MonkeyPatch:
    monkeypatch.setenv("MAQUETTE_STORE_URL", database_url)
    monkeypatch.setenv("MAQUETTE_BUCKET_URL", "s3://bucket")
    monkeypatch.setenv("MAQUETTE_SECRETS_URL", f"ssm://{PATH}")
    return monkeypatch


def tripo_keys(settings: Settings) -> list[str]:
    return [one.secret.get_secret_value() for one in settings.providers["tripo"].credentials()]


def test_a_bundle_is_wired_with_the_secrets_that_are_kept_elsewhere(
    environment: pytest.MonkeyPatch,
) -> None:
    put_parameters(KEPT)
    settings = wiring.current().settings
    assert settings.link_secret[0].get_secret_value() == LINK_SECRET
    assert tripo_keys(settings) == ["tsk_one", "tsk_two"]


def test_the_environment_goes_before_them_unless_it_is_empty(
    environment: pytest.MonkeyPatch,
) -> None:
    put_parameters(KEPT)
    environment.setenv("TRIPO_API_KEY", "tsk_mine")
    environment.setenv("MAQUETTE_LINK_SECRET", "")
    settings = wiring.current().settings
    assert tripo_keys(settings) == ["tsk_mine"]
    assert settings.link_secret[0].get_secret_value() == LINK_SECRET


@pytest.mark.parametrize("url", ["secretsmanager:///nobody", "vault:///x", "/maquette/dev"])
def test_secrets_that_cannot_be_read_are_a_setting_that_is_wrong(
    environment: pytest.MonkeyPatch, url: str
) -> None:
    environment.setenv("MAQUETTE_SECRETS_URL", url)
    with pytest.raises(SettingsError) as raised:
        wiring.current()
    assert raised.value.faults[0].startswith("MAQUETTE_SECRETS_URL: ")
