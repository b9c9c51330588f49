"""`./scripts/deploy tencent` as people call it, over signed calls to the emulated Cloud API."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from infra.tencent.deploy import arguments as arguments_of
from infra.tencent.deploy import main as command
from infra.tencent.deploy.main import main
from infra.tencent.emulator.server import CloudApi
from shared.tencent.clients import forget
from tests.unit.tencent.accounts import DOCUMENT, GIVEN, Account, packages, service

URL = "https://1250000000-abc.ap-guangzhou.tencentscf.com"


class Cls:
    """One log topic."""

    def __init__(self) -> None:
        self.asked: list[Mapping[str, Any]] = []

    def answer(self, action: str, given: Mapping[str, Any], /) -> dict[str, Any]:
        assert action == "SearchLog"
        self.asked.append(given)
        said = {"SCF_Message": '{"message": "a job"}\n', "SCF_RequestId": "r-1"}
        return {"Results": [{"Time": 1700000000123, "LogJson": json.dumps(said)}]}


@pytest.fixture
def account() -> Account:
    return Account()


@pytest.fixture
def cls() -> Cls:
    return Cls()


@pytest.fixture
def api(account: Account, cls: Cls, monkeypatch: pytest.MonkeyPatch) -> Iterator[CloudApi]:
    forget()
    services = {"scf": account.scf, "ssm": account.ssm, "cls": cls, "cam": account.cam}
    with CloudApi(services) as api:
        for name, value in {**api.environ, **GIVEN}.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(command.Cloud.__init__, "__kwdefaults__", {"pause": lambda _: None})
        monkeypatch.setattr(command.smoke, "run", lambda *_, **__: [])
        yield api
    forget()


@pytest.fixture
def arguments(tmp_path: Path) -> list[str]:
    packages(tmp_path / "built", service())
    resolved = tmp_path / "service.json"
    resolved.write_text(json.dumps(DOCUMENT))
    return ["--stage", "dev", "--resolved", str(resolved)]


@pytest.fixture
def built(tmp_path: Path) -> list[str]:
    return ["--built", str(tmp_path / "built")]


def test_it_is_planned_deployed_called_and_removed(
    api: CloudApi,
    account: Account,
    arguments: list[str],
    built: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main([*arguments, *built, "--plan"]) == 0
    assert "maquette-dev-poll: create it, 512 MB, 120 s" in capsys.readouterr().err
    assert account.scf.functions == {}

    assert main(["deploy", *arguments, *built, "--yes"]) == 0
    told = capsys.readouterr().err
    assert f"Maquette is up at {URL}" in told
    assert "No provider has a key yet; put Tripo's into the secret maquette-dev" in told
    assert not any(value in told for value in account.secret().values())

    assert main(["invoke", *arguments, "--function", "migrate"]) == 0
    assert json.loads(capsys.readouterr().out)["status"] == "migrated"
    assert main(["invoke", *arguments, "--function", "poll", "--no-wait"]) == 0
    assert capsys.readouterr().out == "r-1\n"
    account.runner.error = "boom"
    assert main(["invoke", *arguments, "--function", "poll"]) == 1
    assert "maquette-dev-poll failed: boom" in capsys.readouterr().err

    assert main(["remove", *arguments, "--yes"]) == 0
    assert account.scf.functions == {}


def test_logs_are_those_of_the_function_s_topic(
    api: CloudApi,
    account: Account,
    cls: Cls,
    arguments: list[str],
    built: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main([*arguments, *built, "--yes"]) == 0
    asked = ["logs", *arguments, "--function", "poll"]
    assert main(asked) == 1
    assert "has no log topic" in capsys.readouterr().err
    account.function("poll").more["ClsTopicId"] = "topic-1"
    assert main([*asked, "--minutes", "5", "--filter", 'level:"ERROR"']) == 0
    assert capsys.readouterr().out == '22:13:20.123 {"message": "a job"}\n'
    (given,) = cls.asked
    assert given["Query"] == 'SCF_FunctionName:"maquette-dev-poll" AND (level:"ERROR")'
    assert given["To"] - given["From"] == 5 * 60 * 1000


def test_nobody_is_asked_where_nobody_is_there(
    api: CloudApi, account: Account, arguments: list[str], built: list[str]
) -> None:
    assert main([*arguments, *built]) == 1
    assert main(["remove", *arguments]) == 1
    assert not api.calls


def test_what_goes_wrong_is_said_and_not_thrown(
    api: CloudApi,
    arguments: list[str],
    built: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def said(*more: str) -> str:
        assert main([*arguments, *more]) == 1
        return capsys.readouterr().err

    assert "has no api.zip" in said("--built", "/nowhere", "--plan")
    assert "say --region" in said("--plan", *built, "--region", "ap-shanghai")
    monkeypatch.setenv("TENCENTCLOUD_REGION", "ap-guangzhou")
    monkeypatch.setenv("TENCENTCLOUD_SECRETKEY", "another")
    assert "AuthFailure.SignatureFailure" in said("--plan", *built)
    monkeypatch.setenv("TENCENTCLOUD_SECRETID", "")
    monkeypatch.setenv("TENCENTCLOUD_SECRETKEY", "")
    assert "no keys for Tencent Cloud" in said("--plan", *built)
    assert main(["invoke", *arguments, "--function", "nobody"]) == 1
    assert "there is no function nobody" in capsys.readouterr().err


def test_the_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    told = capsys.readouterr().out
    assert all(f"  {name} " in told for name in arguments_of.COMMANDS)


def test_who_stops_it_is_told_how_it_goes_on(
    api: CloudApi,
    arguments: list[str],
    built: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def stopped(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(command.run, "deploy", stopped)
    assert main([*arguments, *built, "--yes"]) == 130
    assert "the same command goes on from here" in capsys.readouterr().err


def test_serverless_yml_can_be_planned_as_it_stands(
    api: CloudApi,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from infra.tencent import service as services

    for name in ("TENCENT_BUCKET", "TENCENTCLOUD_APPID"):
        monkeypatch.delenv(name, raising=False)
    of = services.read("dev")
    packages(tmp_path / "built", of)
    assert main(["--stage", "dev", "--built", str(tmp_path / "built"), "--plan"]) == 0
    told = capsys.readouterr().err
    for key, function in of.functions.items():
        named = function.image is None
        assert (f"maquette-dev-{key}: create it" in told) is named
    assert "set TENCENTCLOUD_APPID" in told
    assert main(["--stage", "dev", "--built", str(tmp_path / "built"), "--yes"]) == 1
    assert "set TENCENTCLOUD_APPID" in capsys.readouterr().err
    assert api.calls["scf:CreateFunction"] == 0


def test_missing_keys_are_told_before_anything_is_packaged(
    api: CloudApi,
    arguments: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(command.pack, "pack", lambda *_: pytest.fail("it was packaged"))
    monkeypatch.setenv("TENCENTCLOUD_SECRETID", "")
    monkeypatch.setenv("TENCENTCLOUD_SECRETKEY", "")
    assert main([*arguments, "--plan"]) == 1
    assert "no keys for Tencent Cloud" in capsys.readouterr().err
