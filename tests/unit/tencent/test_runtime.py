"""SCF calls a function with dicts; the handlers get what they know from everywhere.

测试 SCF 的调用方式。
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from infra.tencent.build.entries import ENTRY, HANDLER, entry
from shared import wiring
from shared.context import function, request_id
from shared.tencent import runtime
from shared.tencent.credentials import ROLE
from shared.tencent.runtime import Context, context_of, take_keys

CONTEXT = """
{
  "memory_limit_in_mb": 128,
  "time_limit_in_ms": 900000,
  "request_id": "f03dc946-3df4-45a0-8e54-f0a1c7bb2f11",
  "environment": "{\\"SCF_NAMESPACE\\":\\"default\\"}",
  "environ": "SCF_NAMESPACE=default;SCF_NAMESPACE=default",
  "function_version": "$LATEST",
  "function_name": "maquette-dev-poll",
  "namespace": "default",
  "tencentcloud_region": "ap-guangzhou",
  "tencentcloud_appid": "1250000000",
  "tencentcloud_uin": "100000000001"
}
"""
OLD = dict(zip(ROLE, ("AKIDold", "old-key", "old-token"), strict=True))
NEW = dict(zip(ROLE, ("AKIDnew", "new-key", "new-token"), strict=True))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The monotonic clock, in this test's hands."""
    now = [1000.0]
    monkeypatch.setattr(runtime, "time", SimpleNamespace(monotonic=lambda: now[0]))
    return now


@pytest.fixture
def old_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in OLD.items():
        monkeypatch.setenv(name, value)


def keys() -> dict[str, str | None]:
    return {name: os.environ.get(name) for name in ROLE}


def test_a_context_is_read_as_scf_writes_it(clock: list[float]) -> None:
    made = context_of(json.loads(CONTEXT))
    assert made == Context(
        aws_request_id="f03dc946-3df4-45a0-8e54-f0a1c7bb2f11",
        function_name="maquette-dev-poll",
        ends=1900.0,
        function_version="$LATEST",
        memory_limit_in_mb="128",
    )


def test_the_time_left_is_counted_from_the_moment_of_the_call(clock: list[float]) -> None:
    made = context_of(json.loads(CONTEXT))
    assert made.get_remaining_time_in_millis() == 900_000
    clock[0] += 899.5
    assert made.get_remaining_time_in_millis() == 500
    clock[0] += 1
    assert made.get_remaining_time_in_millis() == 0


def test_an_invocation_is_named_and_ended_by_its_context(clock: list[float]) -> None:
    with wiring.invocation(context_of(json.loads(CONTEXT))) as deadline:
        assert deadline.remaining() == 900
        assert request_id.get() == "f03dc946-3df4-45a0-8e54-f0a1c7bb2f11"
        assert function.get()["function_name"] == "maquette-dev-poll"
        assert function.get()["function_request_id"] == request_id.get()


@pytest.mark.parametrize(
    ("told", "seconds"),
    [
        ("60000", 60),
        (60000.0, 60),
        (1, 0.001),
        (None, 3),
        (0, 3),
        (-5, 3),
        (True, 3),
        (1.5, 3),
        (float("inf"), 3),
        ("long", 3),
    ],
)
def test_a_time_limit_that_makes_no_sense_is_scfs_shortest(
    clock: list[float], told: Any, seconds: float
) -> None:
    assert context_of({"time_limit_in_ms": told}).ends == 1000 + seconds


@pytest.mark.parametrize("told", [None, [], "x", 3, {}, {"request_id": None, "function_name": []}])
def test_a_context_that_says_nothing_still_has_an_id_of_its_own(told: Any) -> None:
    first, second = context_of(told), context_of(told)
    assert first.aws_request_id != second.aws_request_id
    assert first.function_name == ""


@pytest.mark.usefixtures("old_keys")
def test_the_keys_that_an_invocation_brings_are_used_from_then_on() -> None:
    take_keys({"environment": json.dumps({"SCF_NAMESPACE": "default", **NEW})})
    assert keys() == NEW


@pytest.mark.usefixtures("old_keys")
@pytest.mark.parametrize(
    "environment",
    [
        '{"SCF_NAMESPACE": "default"}',
        json.dumps({**NEW, ROLE[2]: ""}),
        json.dumps({**NEW, ROLE[0]: None}),
        json.dumps({**NEW, ROLE[1]: "a\0b"}),
        json.dumps({name: NEW[name] for name in ROLE[:2]}),
        "{",
        "[]",
        "null",
        None,
        7,
    ],
)
def test_keys_that_are_not_all_there_change_nothing(environment: Any) -> None:
    take_keys({"environment": environment})
    take_keys(environment)
    assert keys() == OLD


@pytest.mark.usefixtures("old_keys")
def test_a_context_of_keys_changes_no_other_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAQUETTE_STORE_URL", "mysql://ours")
    take_keys({"environment": json.dumps({**NEW, "MAQUETTE_STORE_URL": "mysql://theirs"})})
    assert os.environ["MAQUETTE_STORE_URL"] == "mysql://ours"


@pytest.mark.usefixtures("old_keys")
def test_an_entry_calls_the_handler_unchanged(clock: list[float]) -> None:
    seen: list[Any] = []

    def handler(event: Any, context: Any) -> str:
        seen.extend((event, context.aws_request_id, keys()))
        return "answer"

    told = {**json.loads(CONTEXT), "environment": json.dumps(NEW)}
    assert runtime.entry(handler)({"Type": "Timer"}, told) == "answer"
    assert seen == [{"Type": "Timer"}, told["request_id"], NEW]


def test_an_entry_leaves_a_context_that_handlers_know_as_it_is(clock: list[float]) -> None:
    known = Context("id", "maquette-dev-poll", ends=1001.0)
    assert runtime.entry(lambda _, context: context)({}, known) is known


@pytest.mark.parametrize("name", ["api", "poll", "postprocess", "callback", "migrate"])
def test_an_entry_file_holds_the_handler_of_its_function(name: str, tmp_path: Path) -> None:
    place = tmp_path / ENTRY
    place.write_text(entry(name), "utf-8")
    module, _, called = HANDLER.partition(".")
    assert place.stem == module
    found: dict[str, Any] = {}
    exec(compile(place.read_bytes(), str(place), "exec"), found)
    assert callable(found[called])
    assert found["handler"].__module__ == f"functions.{name}.handler"


@pytest.mark.parametrize("name", ["", "Api", "../api", "api.handler", "api\n", "a b"])
def test_no_entry_is_written_for_what_is_no_functions_name(name: str) -> None:
    with pytest.raises(ValueError, match="cannot be the name"):
        entry(name)
