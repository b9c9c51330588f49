"""Settings that are secret, read by name from Tencent's Secrets Manager."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from infra.tencent.emulator.ssm import Ssm
from shared import wiring
from shared.config import SettingsError
from shared.secret_values import SecretsUnavailable
from shared.tencent import clients, secrets
from tests.functions.house import LINK_SECRET, WEBHOOK_SECRET
from tests.receivers import answer
from tests.unit.tencent.api import Api, keeping, set_up

URL = "tencent-ssm:///maquette-dev"
KEPT = {
    "MAQUETTE_LINK_SECRET": LINK_SECRET,
    "MAQUETTE_WEBHOOK_SECRETS": WEBHOOK_SECRET,
    "TRIPO_API_KEY": "tsk_one,tsk_two",
}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    set_up(monkeypatch)
    clients.forget()
    yield monkeypatch
    clients.forget()
    wiring.install(None)


def test_one_secret_holds_them_all() -> None:
    with keeping({"maquette-dev": json.dumps(KEPT), "maquette-prod": "{}"}) as api:
        assert secrets.read(URL) == KEPT
    assert api.asked() == [{"SecretName": "maquette-dev", "VersionId": "SSM_Current"}]


def test_another_version_is_read_where_one_is_named() -> None:
    ssm = Ssm()
    with keeping({"maquette-dev": "{}"}, ssm):
        added = {"SecretName": "maquette-dev", "VersionId": "v.2", "SecretString": '{"A": "b"}'}
        ssm.answer("PutSecretValue", added)
        assert secrets.read(f"{URL}?version=v.2") == {"A": "b"}


@pytest.mark.parametrize(
    "value", ["secret-text", "[]", '"x"', '{"A": 1}', '{"A": "secret-text", "B": null}']
)
def test_a_secret_of_another_form_is_an_error_that_does_not_show_it(value: str) -> None:
    with keeping({"maquette-dev": value}), pytest.raises(SecretsUnavailable) as raised:
        secrets.read(URL)
    assert URL in str(raised.value)
    assert "secret-text" not in str(raised.value)


def test_a_secret_in_bytes_is_none_of_ours() -> None:
    ssm = Ssm()
    ssm.answer("CreateSecret", {"SecretName": "maquette-dev", "SecretBinary": "e30="})
    with keeping({}, ssm), pytest.raises(SecretsUnavailable, match="it holds no text"):
        secrets.read(URL)


def test_a_secret_that_is_not_there_is_an_error_that_names_it() -> None:
    with keeping({}), pytest.raises(SecretsUnavailable, match=r"maquette-dev.* SecretNotExist|Not"):
        secrets.read(URL)


def test_a_service_that_does_not_answer_is_asked_twice() -> None:
    with Api(answer(503)) as api, pytest.raises(SecretsUnavailable):
        secrets.read(URL)
    assert len(api.requests) == 2


@pytest.mark.parametrize(
    "url", ["ssm:///maquette-dev", "tencent-ssm://maquette-dev", "tencent-ssm:///"]
)
def test_an_address_of_another_form_is_told_how_it_is_written(url: str) -> None:
    with pytest.raises(SecretsUnavailable, match="tencent-ssm:///NAME"):
        secrets.read(url)


@pytest.fixture
def wired(environment: pytest.MonkeyPatch, database_url: str) -> pytest.MonkeyPatch:
    environment.setenv("MAQUETTE_BUCKET_URL", "file:///tmp/a-bucket")
    environment.setenv("MAQUETTE_SECRETS_URL", URL)
    return environment


def test_a_bundle_is_wired_with_the_secrets_and_the_databases_url_that_are_kept_there(
    wired: pytest.MonkeyPatch, database_url: str
) -> None:
    with keeping({"maquette-dev": json.dumps({**KEPT, "MAQUETTE_STORE_URL": database_url})}):
        settings = wiring.current().settings
    assert settings.link_secret[0].get_secret_value() == LINK_SECRET
    assert settings.store_url == database_url
    wiring.current().close()


@pytest.mark.parametrize("lost", ["TENCENTCLOUD_SECRETKEY", "TENCENTCLOUD_REGION"])
def test_what_is_missing_to_read_them_is_named_beside_the_setting(
    wired: pytest.MonkeyPatch, lost: str
) -> None:
    wired.delenv(lost)
    with pytest.raises(SettingsError, match=f"MAQUETTE_SECRETS_URL: .*{lost} is not set"):
        wiring.current()
