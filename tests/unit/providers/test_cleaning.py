"""Foreign texts and numbers: what is left of them, and what must not be.

测试外来文本与数字的清理。
"""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.providers import cleaning
from shared.providers.base import RemoteFile, TaskState
from shared.providers.cleaning import clean, public

ANYTHING: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(st.characters()),
    st.binary(),
    st.just(object()),
    st.lists(st.integers(), max_size=3),
    st.sampled_from([1e306, 10**400, -(10**400), math.nan, math.inf, "\ud800", "x" * 10**5]),
)


@given(st.text(st.characters()))
def test_cleaned_text_is_short_printable_and_fit_for_utf8(text: str) -> None:
    for cleaned in (clean(text), public(text)):
        assert len(cleaned) <= cleaning.MESSAGE_LENGTH
        assert cleaned.isprintable()
        cleaned.encode()


@pytest.mark.parametrize(
    ("said", "hidden"),
    [
        ("invalid API key (request id: 20260923081)", "20260923081"),
        ('{"request_id":"b1946ac9-2e4f"} went wrong', "b1946ac9"),
        ("X-Request-Id: aZ9 is what you tell us", "aZ9"),
        ("trace id 7f3a-99 failed", "7f3a"),
        ("see https://platform.example/billing?key=9 to top up", "platform"),
        ("top up at platform.tripo3d.ai/billing", "tripo3d"),
        ("mail to billing@shop.example please", "billing@"),
        ("the account 88231 is suspended", "88231"),
        ("account: acme-corp has reached its limit", "acme"),
        ("organization 'Acme Ltd' is over its limit", "Acme"),
        ("user_id=u-9981 may not", "u-9981"),
        ("balance: 12.50, needed 30", "12.50"),
        ("your balance is 12.5 USD", "12.5"),
        ("you have 3 credits left", "3 credits"),
        ("it costs $4.20 more", "4.20"),
        ("账户 88231 余额不足: 余额 3.5 元", "88231"),
        ("余额为 3.5 元", "3.5"),
        ("peer 10.1.2.3:443 reset", "10.1.2.3"),
        ("task 1f0e4d5c-1111-4222-8333-944445555666 is over", "1f0e4d5c"),
        ("key tsk_abcdef is wrong", "abcdef"),
        ("org-4f9a2c exceeded", "4f9a2c"),
        ("log 0123456789abcdef0123 says no", "0123456789abcdef"),
    ],
)
def test_what_is_the_operators_is_not_shown(said: str, hidden: str) -> None:
    shown = public(f"Refused: {said}")
    assert hidden not in shown
    assert shown.startswith("Refused")


@pytest.mark.parametrize(
    "said",
    [
        "the prompt violates the content policy",
        "One or more of your parameter is invalid",
        "face_limit: 48 to 20000 with model P1-20260311",
        "HTTP 400: width must be a multiple of 16",
        "too many tasks at once, come again in 30 s",
        "提示词包含敏感内容",
    ],
)
def test_what_helps_the_caller_stays(said: str) -> None:
    assert public(said) == said


@given(ANYTHING, ANYTHING, ANYTHING, ANYTHING, ANYTHING)
def test_a_state_holds_nothing_that_could_not_be_kept(
    progress: Any, eta: Any, credits: Any, error: Any, files: Any
) -> None:
    for status in ("running", "failed", "succeeded", "canceled"):
        given_state = TaskState(status, progress, eta, files, error, credits)  # type: ignore[arg-type]
        state = cleaning.state(given_state)
        if state is None:
            assert status == "succeeded"
            continue
        assert state.progress is None or 0 <= state.progress <= 100
        assert state.eta_seconds is None or 0 <= state.eta_seconds <= cleaning.LONGEST_ETA
        assert state.credits is None or 0 <= state.credits <= cleaning.MOST_CREDITS
        assert (state.error is not None) == (status == "failed")
        json.dumps(vars(state) | {"files": [vars(one) for one in state.files]}).encode()


@pytest.mark.parametrize(
    ("begun", "ended", "seconds"),
    [
        ("2026-04-28T12:00:00Z", "2026-04-28T12:01:30Z", 90.0),
        ("2026-04-28T12:00:00.250000+00:00", "2026-04-28T14:00:01.5+02:00", 1.25),
        ("2026-04-28 12:00:00", "2026-04-28T12:00:00.123456789Z", 0.123456789),
        (1_777_377_600, 1_777_377_660.5, 60.5),
        ("2026-04-28T12:00:00Z", "2026-04-28T11:59:59Z", None),
        ("2026-04-28T12:00:00Z", None, None),
        ("yesterday", "2026-04-28T12:00:00Z", None),
        ("2026-99-28T12:00:00Z", "2026-04-28T12:00:00Z", None),
        ("2026-04-28T12:00:00Z", "2027-04-28T12:00:00Z", cleaning.LONGEST_ETA),
    ],
)
def test_the_seconds_between_two_foreign_instants(
    begun: Any, ended: Any, seconds: float | None
) -> None:
    assert cleaning.seconds_between(begun, ended) == pytest.approx(seconds)


@given(ANYTHING, ANYTHING)
def test_whatever_instants_are_told_the_seconds_between_are_some_or_none(
    begun: Any, ended: Any
) -> None:
    found = cleaning.seconds_between(begun, ended)
    assert found is None or 0 <= found <= cleaning.LONGEST_ETA


@given(ANYTHING)
def test_only_a_state_is_a_state(given_value: Any) -> None:
    assert cleaning.state(given_value) is None
    assert cleaning.state(TaskState(given_value)) is None


GOOD = RemoteFile("model", "https://files.example/a.glb?sig=1", "model/gltf-binary")


@pytest.mark.parametrize(
    "bad",
    [
        RemoteFile("model", "ftp://files.example/a.glb", "model/gltf-binary"),
        RemoteFile("model", "https://files.example/" + "a" * 8192, "model/gltf-binary"),
        RemoteFile("model", "https://files.example/\ud800", "model/gltf-binary"),
        RemoteFile("model", "https://files.example/a\r\nb", "model/gltf-binary"),
        RemoteFile("../../etc", "https://files.example/a", "model/gltf-binary"),
        RemoteFile("model", "https://files.example/a", "model/gltf binary\n"),
        RemoteFile("model", None, "model/gltf-binary"),  # type: ignore[arg-type]
        "a file",
    ],
)
def test_a_result_with_a_file_that_cannot_be_fetched_is_not_seen(bad: Any) -> None:
    assert cleaning.state(TaskState("succeeded", 100, files=(GOOD,))) is not None
    assert cleaning.state(TaskState("succeeded", 100, files=(GOOD, bad))) is None
    assert cleaning.state(TaskState("succeeded", 100, files=(GOOD,) * 33)) is None
    assert cleaning.state(TaskState("running", 50, files=(bad,))) == TaskState("running", 50)


def test_a_failed_task_always_has_a_reason_and_a_code() -> None:
    for error in (None, (), ("a",), (None, None), (5, "")):
        state = cleaning.state(TaskState("failed", error=error))  # type: ignore[arg-type]
        assert state is not None
        assert state.error == (
            "5" if error == (5, "") else "task_failed",
            "it failed without a reason",
        )
