"""`./scripts/manage logs`: a topic gets the index that logs are searched by, once."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from infra.tencent import manage
from infra.tencent.cls import topic
from infra.tencent.emulator.cls import Cls
from infra.tencent.emulator.errors import ApiError
from shared.tencent import clients
from shared.tencent.clients import TencentError
from tests.unit.tencent.api import Api, answering, set_up

TOPIC = "826f8b26-b054-4a0d-8c8e-f3d609f5e0ea"
OURS = json.loads(topic.INDEX.read_text("utf-8"))
THEIRS = {"Key": "shop", "Value": {"Type": "text", "SqlFlag": False, "Tokenizer": "-"}}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    set_up(monkeypatch)
    clients.forget()
    yield monkeypatch
    clients.forget()


@pytest.fixture
def cls() -> Cls:
    return Cls(TOPIC)


@pytest.fixture
def api(cls: Cls) -> Iterator[Api]:
    with answering(cls.answer) as api:
        yield api


def said(*, plan: bool = False) -> list[str]:
    lines: list[str] = []
    assert topic.set_up(TOPIC, plan=plan, say=lines.append) == len(lines)
    return [line.strip() for line in lines]


def keys(cls: Cls) -> dict[str, Any]:
    index = cls.indexes[TOPIC]
    assert index is not None
    return {one["Key"]: one["Value"] for one in index["Rule"]["KeyValue"]["KeyValues"]}


def test_a_topic_without_an_index_gets_ours_and_a_plan_changes_nothing(cls: Cls, api: Api) -> None:
    count = len(OURS["Rule"]["KeyValue"]["KeyValues"])
    assert said(plan=True) == [f"+ the index, {count} fields"]
    assert cls.indexes == {TOPIC: None}
    assert said() == [f"+ the index, {count} fields"]
    assert cls.indexes[TOPIC] == OURS
    assert said() == said(plan=True) == []


def test_fields_of_the_operators_stay_and_ours_are_put_right(cls: Cls, api: Api) -> None:
    rule = {
        "FullText": {"CaseSensitive": True, "Tokenizer": "-"},
        "KeyValue": {
            "CaseSensitive": False,
            "KeyValues": [
                THEIRS,
                {"Key": "job_id", "Value": {"Type": "text", "SqlFlag": True}},
                {"Key": "value", "Value": {"Type": "text", "SqlFlag": True, "Tokenizer": "-"}},
            ],
        },
    }
    cls.answer("CreateIndex", {"TopicId": TOPIC, "Rule": rule, "Status": False})
    lines = said()
    assert lines[0] == "~ the index is switched on"
    assert "~ value: double" in lines
    assert "+ metric: text" in lines
    assert not [line for line in lines if "job_id" in line or "shop" in line]
    index = cls.indexes[TOPIC]
    assert index is not None
    assert index["Status"] is True
    assert index["Rule"]["FullText"] == rule["FullText"]
    assert index["Rule"]["KeyValue"]["CaseSensitive"] is False
    assert keys(cls)["shop"] == THEIRS["Value"]
    assert keys(cls)["value"]["Type"] == "double"
    assert said() == []


def test_where_ours_no_longer_fit_in_nothing_is_changed(cls: Cls, api: Api) -> None:
    many = [{**THEIRS, "Key": f"shop_{number}"} for number in range(80)]
    rule = {"KeyValue": {"CaseSensitive": True, "KeyValues": many}}
    cls.answer("CreateIndex", {"TopicId": TOPIC, "Rule": rule})
    with pytest.raises(topic.TooManyKeys, match="topic of their own"):
        said()
    assert len(keys(cls)) == 80


def test_a_topic_that_is_not_there_is_an_error(api: Api) -> None:
    with pytest.raises(TencentError, match="TopicNotExist"):
        topic.set_up("another", plan=True)


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ({"Type": "json"}, "InvalidParameter"),
        ({"Type": "long", "Tokenizer": "-"}, "InvalidParameter"),
        ({"Type": "double", "ContainZH": True}, "InvalidParameter"),
    ],
)
def test_the_emulated_service_takes_no_rule_that_is_none(
    cls: Cls, value: dict[str, Any], code: str
) -> None:
    rule = {"KeyValue": {"KeyValues": [{"Key": "a", "Value": value}]}}
    with pytest.raises(ApiError) as raised:
        cls.answer("CreateIndex", {"TopicId": TOPIC, "Rule": rule})
    assert raised.value.code == code


def command(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr(sys, "argv", ["manage", *words])
    return manage.main()


def test_the_command_says_what_it_did_and_what_keeps_it_from_it(
    environment: pytest.MonkeyPatch, api: Api, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(environment, "logs", TOPIC) == 0
    assert capsys.readouterr().out.splitlines()[::2] == [f"{TOPIC}:", "  done"]
    environment.setenv("TENCENT_CLS_TOPIC_ID", TOPIC)
    assert command(environment, "logs", "--plan") == 0
    assert "nothing to change" in capsys.readouterr().out
    assert command(environment, "logs", "another") == 1
    assert "TopicNotExist" in capsys.readouterr().err
    environment.delenv("TENCENTCLOUD_SECRETKEY")
    assert command(environment, "logs") == 1
    assert "TENCENTCLOUD_SECRETKEY is not set" in capsys.readouterr().err
    environment.delenv("TENCENT_CLS_TOPIC_ID")
    with pytest.raises(SystemExit) as ended:
        command(environment, "logs")
    assert ended.value.code == 2
    assert "which topic?" in capsys.readouterr().err
