"""Tencent's API on loopback for unit tests: signatures are checked, and what answers is given.

单元测试用的腾讯云接口。
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from infra.tencent.emulator import tc3
from infra.tencent.emulator.errors import ApiError
from infra.tencent.emulator.ssm import Ssm
from infra.tencent.emulator.tc3 import Key, Refused
from tests.receivers import Receiver, give

KEYS = {"test-id": Key("test-key-of-the-emulator"), "next-id": Key("next-key", "next-token")}
REGION = "ap-guangzhou"


class Api(Receiver):
    """The API, which `call` is led to by the environment while it is open."""

    def __enter__(self) -> Api:
        super().__enter__()
        os.environ["TENCENT_ENDPOINT"] = self.url("")
        return self

    def __exit__(self, *error: object) -> None:
        del os.environ["TENCENT_ENDPOINT"]
        super().__exit__(*error)

    def callers(self, keys: Mapping[str, Key] = KEYS) -> list[tc3.Caller]:
        """Who signed each request; fails for one that nobody known has signed."""
        return [
            tc3.verify("POST", one.headers, one.body, keys, now=time.time())
            for one in self.requests
        ]

    def asked(self) -> list[Any]:
        """What each request asked for."""
        return [json.loads(one.body) for one in self.requests]


def answering(answer: Callable[[str, Mapping[str, Any]], Mapping[str, Any]]) -> Api:
    """An API whose answers come from a function of action and parameters, `Ssm.answer` say."""

    def behave(receiver: Receiver, request: Any) -> None:
        seen = receiver.requests[-1]
        try:
            caller = tc3.verify("POST", seen.headers, seen.body, KEYS, now=time.time())
            said = dict(answer(caller.action, json.loads(seen.body)))
        except (ApiError, Refused) as refused:
            said = {"Error": {"Code": refused.code, "Message": refused.message}}
        body = json.dumps({"Response": {**said, "RequestId": "request-1"}}).encode()
        give(body, content_type="application/json")(receiver, request)

    return Api(behave)


def keeping(secrets: Mapping[str, str], ssm: Ssm | None = None) -> Api:
    """An API of these secrets, by their names."""
    kept = ssm or Ssm()
    for name, text in secrets.items():
        kept.answer("CreateSecret", {"SecretName": name, "SecretString": text})
    return answering(kept.answer)


def set_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of somebody who has a key."""
    for name in list(os.environ):
        if name.startswith(("TENCENT", "SCF_")) or name.upper() == "HTTP_PROXY":
            monkeypatch.delenv(name)
    monkeypatch.setenv("TENCENTCLOUD_SECRETID", "test-id")
    monkeypatch.setenv("TENCENTCLOUD_SECRETKEY", "test-key-of-the-emulator")
    monkeypatch.setenv("TENCENTCLOUD_REGION", REGION)
