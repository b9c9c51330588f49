"""`npx osls deploy | invoke | logs | remove` on serverless.yml, over the emulated SCF, SSM and CLS.

The packages are tiny ones: what is really packed is tried elsewhere, and what the deployer does at
every fault in its own tests. Here the plugin, the script and the deployer meet.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from infra.paths import ROOT
from infra.tencent import service as services
from infra.tencent.emulator.errors import ApiError
from infra.tencent.emulator.server import APPID, CloudApi
from infra.tencent.emulator.tc3 import Caller
from tests.receivers import Receiver, answer
from tests.unit.tencent.accounts import GIVEN, Account, packages

OSLS = ROOT / "node_modules" / ".bin" / "osls"

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.skipif(
        not OSLS.exists() or shutil.which("node") is None,
        reason="node or node_modules is missing; ./scripts/test installs it",
    ),
]


class Cls:
    """A log topic with one line."""

    def answer(self, action: str, given: Mapping[str, Any], /) -> dict[str, Any]:
        assert (action, given["TopicId"]) == ("SearchLog", "topic-1")
        return {"Results": [{"Time": 1700000000123, "LogJson": '{"SCF_Message": "a job"}'}]}


@dataclass(frozen=True)
class Cloud:
    """The emulated cloud, and osls that is to talk to it alone."""

    account: Account
    api: CloudApi
    folder: Path

    def osls(self, *words: str) -> subprocess.CompletedProcess[str]:
        kept = ("HOME", "PATH", "LANG", "TMPDIR")
        environ = {name: os.environ[name] for name in kept if name in os.environ}
        environ |= {
            **self.api.environ,
            **GIVEN,
            "TENCENTCLOUD_APPID": APPID,
            "TENCENT_CLS_LOGSET_ID": "logset-1",
            "TENCENT_CLS_TOPIC_ID": "topic-1",
        }
        return subprocess.run(
            [str(OSLS), *words, "--stage", "dev"],
            cwd=ROOT,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
            check=False,
        )


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    account = Account()
    with (
        Receiver(answer(200), answer(200), answer(401), answer(200)) as web,
        CloudApi({"scf": account.scf, "ssm": account.ssm, "cls": Cls()}) as api,
    ):
        account.runner.url = web.url("")
        of = services.read("dev", environ={"TENCENTCLOUD_APPID": APPID})
        packages(tmp_path / "zips", of)
        yield Cloud(account, api, tmp_path / "zips")


def test_osls_deploys_calls_shows_logs_and_removes(cloud: Cloud) -> None:
    def refuse(caller: Caller, given: Mapping[str, Any]) -> None:
        if caller.action == "CreateFunction" and given["FunctionName"] == "maquette-dev-poll":
            raise ApiError("LimitExceeded.Function", "50 functions at most")

    cloud.api.before = refuse
    failed = cloud.osls("deploy", "--package", str(cloud.folder))
    assert failed.returncode != 0
    assert "maquette-dev-poll: create it" in failed.stdout
    assert "LimitExceeded.Function: 50 functions at most" in failed.stdout
    assert "the same command goes on from here" in failed.stdout

    cloud.api.before = None
    made = cloud.osls("deploy", "--package", str(cloud.folder))
    assert made.returncode == 0, made.stdout
    assert "Maquette is up at http://127.0.0.1:" in made.stdout
    assert not any(value in made.stdout for value in cloud.account.secret().values())
    names = {name for _, name in cloud.account.scf.functions}
    assert names == {
        f"maquette-dev-{key}" for key in ("api", "poll", "postprocess", "callback", "migrate")
    }

    called = cloud.osls("invoke", "--function", "migrate", "--data", '{"a": 1}')
    assert called.returncode == 0, called.stdout
    assert json.dumps({"status": "migrated", "schema": 4}) in called.stdout
    assert cloud.account.scf.invoked[-1] == ("maquette-dev-migrate", {"a": 1}, True)

    logs = cloud.osls("logs", "--function", "poll", "--startTime", "5m")
    assert "22:13:20.123 a job" in logs.stdout, logs.stdout

    gone = cloud.osls("remove")
    assert gone.returncode == 0, gone.stdout
    assert not cloud.account.scf.functions
