"""Least privilege on Tencent Cloud: what infra/tencent/policies allows is what was seen to be done.

Each function signs with keys of its own, so that the gates know who asked.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import pytest
from qcloud_cos import CosClientError, CosS3Client

from functions.migrate.handler import handler as migrate
from infra.tencent import permissions
from infra.tencent.cos_emulator import APPID, REGION, CosEmulator
from infra.tencent.cos_signature import Secret
from infra.tencent.emulator.deployed import Deployed
from infra.tencent.emulator.scf import Scf
from infra.tencent.emulator.server import CloudApi
from infra.tencent.emulator.ssm import Ssm
from infra.tencent.emulator.tc3 import Caller, Key
from shared import skew, wiring
from shared.buckets import cos as adapter
from shared.tencent import clients, cos
from tests.functions import everything
from tests.functions.everything import SECRETS, SETTINGS, Stack, do_everything, faults, the_provider
from tests.grants import Call, Grant

UIN, CREATOR = "100000000001", "100000000002"
PREFIX = "maquette-test"
BUCKET = f"maquette-test-{APPID}"
FUNCTIONS = ("api", "poll", "postprocess", "callback", "migrate")
NOBODY = "test-id"
ACCOUNT = permissions.Account(REGION, APPID, UIN, CREATOR)


@dataclass
class TencentStack(Stack):
    """A deployment on the emulated COS, SCF and SSM."""

    emulator: CosEmulator
    asked: dict[str, set[Call]] = field(default_factory=dict)

    timer: ClassVar[Mapping[str, Any]] = {
        "Type": "Timer",
        "TriggerName": "every-minute",
        "Time": "2026-01-01T00:00:00Z",
        "Message": "",
    }

    @contextmanager
    def turn(self, function: str) -> Iterator[None]:
        before = os.environ["TENCENTCLOUD_SECRETID"]
        self.environ.setenv("TENCENTCLOUD_SECRETID", function or NOBODY)
        self.environ.setenv("TENCENTCLOUD_SECRETKEY", f"key-of-{function or NOBODY}")
        if function:
            self.environ.setenv("SCF_FUNCTIONNAME", f"{PREFIX}-{function}")
        try:
            yield
        finally:
            self.environ.setenv("TENCENTCLOUD_SECRETID", before)
            self.environ.setenv("TENCENTCLOUD_SECRETKEY", f"key-of-{before}")

    def put(self, key: str) -> None:
        with self.turn(""):
            self._client().put_object(Bucket=BUCKET, Key=key, Body=b"x")

    def begin_upload(self, key: str) -> None:
        with self.turn(""):
            self._client().create_multipart_upload(Bucket=BUCKET, Key=key)

    def left(self) -> list[str]:
        with self.turn(""):
            listed = self._client().list_objects(Bucket=BUCKET).get("Contents", [])
            begun = self._client().list_multipart_uploads(Bucket=BUCKET).get("Upload", [])
        return [item["Key"] for item in (*listed, *begun) if item["Key"].endswith("left")]

    def lose_parts(self) -> None:
        def lose(*_: Any, **__: Any) -> None:
            raise CosClientError("no answer")

        self.environ.setattr(CosS3Client, "upload_part", lose)

    def hear(self, caller: Caller, given: Mapping[str, Any]) -> None:
        """Note a call of the Cloud API."""
        self.asked.setdefault(caller.secret_id, set()).add(_call_of(caller, given))

    def calls(self) -> dict[str, set[Call]]:
        """What each function was seen to ask for."""
        found = {name: set(calls) for name, calls in self.asked.items()}
        for one in self.emulator.requests():
            found.setdefault(one["secret_id"], set()).update(_calls_of(one))
        return found

    @staticmethod
    def _client() -> Any:
        return cos.client(BUCKET, seconds=10)


def _call_of(caller: Caller, given: Mapping[str, Any]) -> Call:
    if caller.service == "ssm":
        name = f"secret/creatorUin/{CREATOR}/{given['SecretName']}"
        return Call(f"ssm:{caller.action}", f"qcs::ssm:{REGION}:uin/{UIN}:{name}")
    # Invoke and InvokeFunction need one and the same right (583/18014).
    assert caller.action == "Invoke"
    name = f"namespace/{given['Namespace']}/function/{given['FunctionName']}"
    return Call("scf:InvokeFunction", f"qcs::scf:{REGION}:uin/{UIN}:{name}")


def _calls_of(request: Mapping[str, Any]) -> set[Call]:
    place = f"qcs::cos:{REGION}:uid/{APPID}:{BUCKET}/"
    found = {Call(f"name/cos:{request['action']}", place + request["key"])}
    if request["action"] in ("GetObject", "HeadObject"):
        # Who reads must be able to learn that there is nothing: 404, not 403.
        found.add(Call("name/cos:GetBucket", place))
    if request["source"]:
        found.add(Call("name/cos:GetObject", place + request["source"]))
    return found


def grants(function: str) -> set[Grant]:
    policy = permissions.policy(function, ACCOUNT, prefix=PREFIX, bucket=BUCKET)
    return {
        Grant(action, resource)
        for statement in policy["statement"]
        for action in statement["action"]
        for resource in statement["resource"]
    }


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[TencentStack]:
    assert adapter.PART == everything.PART
    scf, ssm = Scf(), Ssm()
    for name in FUNCTIONS[1:]:
        scf.functions["default", f"{PREFIX}-{name}"] = Deployed(f"{PREFIX}-{name}", status="Active")
    store = f"sqlite:///{tmp_path / 'store.db'}"
    for name, held in (
        (PREFIX, {**SECRETS, "MAQUETTE_STORE_URL": store}),
        (f"{PREFIX}-migrate", {"MAQUETTE_STORE_URL": store}),
    ):
        ssm.answer("CreateSecret", {"SecretName": name, "SecretString": json.dumps(held)})
    keys = {name: Secret(f"key-of-{name}") for name in (NOBODY, *FUNCTIONS)}
    clients.forget()
    with CosEmulator(keys=keys) as emulator, CloudApi({"scf": scf, "ssm": ssm}) as api:
        api.keys = {name: Key(secret.key) for name, secret in keys.items()}
        for variable, value in {
            **api.environ,
            **emulator.environ,
            "MAQUETTE_BUCKET_URL": f"cos://{BUCKET}",
            "MAQUETTE_WAKE_URL": f"scf://{PREFIX}",
            "MAQUETTE_SECRETS_URL": f"tencent-ssm:///{PREFIX}",
            **SETTINGS,
        }.items():
            monkeypatch.setenv(variable, value)
        stack = TencentStack(PREFIX, BUCKET, the_provider(monkeypatch), monkeypatch, emulator)
        stack._client().create_bucket(Bucket=BUCKET)
        api.before = stack.hear
        yield stack
        wiring.install(None)
    clients.forget()
    cos.forget()
    skew.forget()


def test_each_function_may_do_what_it_does_and_nothing_else(stack: TencentStack) -> None:
    with stack.turn("migrate"):
        stack.environ.setenv("MAQUETTE_SECRETS_URL", f"tencent-ssm:///{PREFIX}-migrate")
        assert migrate({}, everything.Context())["status"] == "migrated"
        stack.environ.setenv("MAQUETTE_SECRETS_URL", f"tencent-ssm:///{PREFIX}")
    do_everything(stack)
    calls = stack.calls()
    assert set(calls) - {NOBODY, ""} == set(permissions.functions())
    found = faults(calls, {name: grants(name) for name in permissions.functions()})
    assert not found, "\n".join(found)
