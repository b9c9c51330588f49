"""The guard before every adapter: whatever that does, the core gets an answer of the protocol.

测试适配器的统一防护层。
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.buckets.base import BucketUnavailable, ObjectMissing
from shared.clock import Deadline, OutOfTime
from shared.providers.base import (
    Ask,
    Download,
    DownloadFailed,
    OutOfCredit,
    ProviderError,
    ProviderUnavailable,
    RateLimited,
    Rejected,
    RemoteFile,
    Request,
    TaskState,
    Unauthorized,
    UnknownOutcome,
    Wanted,
)
from shared.providers.guarded import LARGEST_BODY, Guarded
from shared.providers.looks import MOST_FRUITLESS
from shared.store.base import StoreUnavailable
from tests.credentials import keys
from tests.fakes import FakeClock
from tests.providers import ThrowawayProvider, guarded

NOW = Deadline(lambda: 100.0)
FILE = RemoteFile("model", "https://throwaway.example/task-1.glb", "model/gltf-binary")
REQUEST = Request("/tasks", "{}", "mark")
FOREIGN: list[Exception] = [
    KeyError("task_id"),
    RecursionError("maximum recursion depth exceeded"),
    UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates not allowed"),
    OverflowError("int too large to convert to float"),
    StopIteration(),
    ValueError("tsk_secret \ud800\r\n" * 100),
    type("Strange", (Exception,), {"__str__": lambda self: 1 / 0})(),
]
OURS = [
    OutOfTime(),
    BucketUnavailable("b"),
    ObjectMissing("o"),
    StoreUnavailable("s"),
    MemoryError(),
]


class Told(ThrowawayProvider):
    """Does as told: `does` is what every call raises or returns instead."""

    def __init__(self) -> None:
        super().__init__(FakeClock(), instant=True)
        self.does: Callable[..., Any] | None = None
        self.calls: list[tuple[Any, ...]] = []

    def __getattribute__(self, name: str) -> Any:
        found = super().__getattribute__(name)
        if name not in ("prepare", "submit", "check", "cancel", "find", "ready", "download"):
            return found

        def call(*args: Any) -> Any:
            self.calls.append((name, *args))
            return found(*args) if self.does is None else self.does(*args)

        return call


def raising(error: BaseException) -> Callable[..., Any]:
    def call(*_: Any) -> Any:
        raise error

    return call


def giving(value: Any) -> Callable[..., Any]:
    return lambda *_: value


CALLS: dict[str, Callable[[Guarded], Any]] = {
    "prepare": lambda it: it.prepare(Ask("text-to-3d", "a cup", {}, {}), "memory", NOW),
    "submit": lambda it: it.submit(REQUEST, "key", "memory", NOW),
    "check": lambda it: it.check(["task-1"], "memory", NOW),
    "cancel": lambda it: it.cancel("task-1", "memory", NOW),
    "find": lambda it: it.find([Wanted(REQUEST, 0)], "memory", NOW),
    "ready": lambda it: it.ready(NOW),
    "download": lambda it: fetched(it),
}
BECOMES: dict[str, type[ProviderError]] = {"submit": UnknownOutcome, "download": DownloadFailed}


def fetched(provider: Guarded) -> bytes:
    with provider.download(FILE, "memory", NOW) as download:
        return b"".join(download.chunks)


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def provider(told: Told) -> Guarded:
    return guarded(lambda: told, FakeClock())


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("error", FOREIGN, ids=lambda error: type(error).__name__)
def test_whatever_is_raised_becomes_one_of_the_family(
    call: str, error: Exception, told: Told, provider: Guarded
) -> None:
    told.does = raising(error)
    with pytest.raises(BECOMES.get(call, ProviderUnavailable)) as caught:
        CALLS[call](provider)
    assert caught.value.message.isprintable()
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("error", OURS, ids=lambda error: type(error).__name__)
def test_what_is_not_the_providers_doing_goes_on_as_it_is(
    call: str, error: Exception, told: Told, provider: Guarded
) -> None:
    told.does = raising(error)
    with pytest.raises(type(error)) as caught:
        CALLS[call](provider)
    assert caught.value is error


@pytest.mark.parametrize("call", sorted(set(CALLS) - {"ready"}))
@pytest.mark.parametrize(
    "value", [None, 5, object(), "x", b"x", [1], {"task-1": 5}, {"task-1": None}, [["\ud800"]]]
)
def test_whatever_is_returned_is_an_answer_or_an_error_of_the_family(
    call: str, value: Any, told: Told, provider: Guarded
) -> None:
    told.does = giving(value)
    try:
        answer = CALLS[call](provider)
    except BECOMES.get(call, ProviderUnavailable):
        return
    assert (call, answer) in [("check", {}), ("cancel", False), ("submit", "x")]


@pytest.mark.parametrize(
    "task_id", [None, "", 7, "\ud800", "x" * 129, "with space", "ä", "a\n", b"task"]
)
def test_a_create_without_an_id_that_can_be_kept_has_an_unknown_outcome(
    task_id: Any, told: Told, provider: Guarded
) -> None:
    told.does = giving(task_id)
    with pytest.raises(UnknownOutcome):
        CALLS["submit"](provider)


@pytest.mark.parametrize(
    ("request_", "error"),
    [
        (Request("/x", "\ud800", None), ProviderUnavailable),
        (Request("no path", "{}", None), ProviderUnavailable),
        (Request("/x", "{}", "m" * 257), ProviderUnavailable),
        (Request("/x", b"{}", None), ProviderUnavailable),  # type: ignore[arg-type]
        (Request("/x", "x" * (LARGEST_BODY + 1), None), Rejected),
    ],
)
def test_a_request_that_could_not_be_kept_is_not_begun(
    request_: Request, error: type[ProviderError], told: Told, provider: Guarded
) -> None:
    told.does = giving(request_)
    with pytest.raises(error):
        CALLS["prepare"](provider)


def test_only_a_create_can_have_an_unknown_outcome(told: Told, provider: Guarded) -> None:
    told.does = raising(UnknownOutcome("what?"))
    for call in sorted(set(CALLS) - {"submit"}):
        with pytest.raises(ProviderUnavailable):
            CALLS[call](provider)


# What is said.


@pytest.mark.parametrize("kind", [Rejected, ProviderUnavailable, UnknownOutcome, DownloadFailed])
def test_a_providers_words_are_shown_without_what_is_the_operators_and_logged_whole(
    kind: type[ProviderError], told: Told, provider: Guarded, log_records: list[logging.LogRecord]
) -> None:
    said = "tsk_key of account acme-7 (request id: r-1) is over; https://x.example/top-up?sig=9"
    told.does = raising(kind(said))
    with pytest.raises(ProviderError) as caught:
        CALLS["submit"](provider)
    for hidden in ("acme-7", "r-1", "x.example", "sig=9"):
        assert hidden not in caught.value.message + str(caught.value)
    (line,) = [one.getMessage() for one in log_records if "acme-7" in one.getMessage()]
    assert "r-1" in line
    assert "tsk_key" not in line


def test_what_an_account_is_told_of_itself_is_not_repeated(told: Told, provider: Guarded) -> None:
    for error in (Unauthorized("who is Meier?", code="x\r\n"), OutOfCredit("Meier is poor")):
        told.does = raising(error)
        with pytest.raises(type(error)) as caught:
            CALLS["submit"](provider)
        assert "Meier" not in caught.value.message
        assert caught.value.code is None


@given(st.one_of(st.none(), st.floats(), st.integers(), st.text(), st.just(10**400)))
def test_a_time_to_come_again_is_within_an_hour(hint: Any) -> None:
    told = Told()
    for error in (
        RateLimited("busy", retry_after=hint),
        ProviderUnavailable("x", retry_after=hint),
    ):
        told.does = raising(error)
        with pytest.raises(type(error)) as caught:
            CALLS["submit"](guarded(lambda: told, FakeClock()))
        wait = caught.value.retry_after
        assert wait is None or 0 <= wait <= 3600


def test_an_error_of_the_family_that_was_never_set_up_is_still_one(
    told: Told, provider: Guarded
) -> None:
    class Bare(Rejected):
        def __init__(self) -> None:
            pass

    told.does = raising(Bare())
    with pytest.raises(Rejected) as caught:
        CALLS["submit"](provider)
    assert caught.value.message


# Looking at many.


class Tasks(Told):
    """Knows every task, but fails at once where one of `poison` is asked about."""

    def __init__(self, error: Exception, poison: set[str]) -> None:
        super().__init__()
        self.error, self.poison = error, poison
        self.asked: list[int] = []
        self.does = self.look

    def look(self, ids: Sequence[str], *_: Any) -> Mapping[str, TaskState]:
        self.asked.append(len(ids))
        if self.poison & set(ids):
            raise self.error
        return {one: TaskState("running", 5) for one in ids}


def hundred(tasks: Tasks, limit: int = 100) -> tuple[Guarded, list[str]]:
    provider = guarded(lambda: tasks, FakeClock())
    provider.check_limit = limit
    return provider, [f"t{number}" for number in range(limit)]


@pytest.mark.parametrize("poison", [{"t0"}, {"t99"}, {"t41"}, {"t3", "t77"}, {"t3", "t4", "t60"}])
def test_what_breaks_a_look_is_alone_at_once_and_the_others_are_seen(poison: set[str]) -> None:
    tasks = Tasks(KeyError("x"), poison)
    provider, ids = hundred(tasks)
    assert set(provider.check(ids, "memory", NOW)) == set(ids) - poison
    first = len(tasks.asked)
    assert first <= 40
    # From now on it costs no more than one more request each.
    assert set(provider.check(ids, "memory", NOW)) == set(ids) - poison
    assert len(tasks.asked) - first <= 1 + len(poison) + 1


@pytest.mark.parametrize("poison", ["t0", "t50", "t99"])
def test_a_task_for_which_a_batch_is_refused_isolates_itself(poison: str) -> None:
    tasks = Tasks(ProviderUnavailable("bad JSON"), {poison})
    provider, ids = hundred(tasks)
    seen: set[str] = set()
    for _ in range(12):
        with suppress(ProviderUnavailable):
            seen |= set(provider.check(ids, "memory", NOW))
    assert seen == set(ids) - {poison}
    tasks.asked.clear()
    assert set(provider.check(ids, "memory", NOW)) == seen
    assert sorted(tasks.asked) == [1, 99]
    tasks.poison = set()
    assert set(provider.check(ids, "memory", NOW)) == set(ids)
    tasks.asked.clear()
    assert set(provider.check(ids, "memory", NOW)) == set(ids)
    assert tasks.asked == [100]


def test_an_outage_costs_one_request_a_look_and_its_end_few() -> None:
    tasks = Tasks(ProviderUnavailable("down"), {f"t{number}" for number in range(100)})
    provider, ids = hundred(tasks)
    for _ in range(20):
        with pytest.raises(ProviderUnavailable):
            provider.check(ids, "memory", NOW)
    assert tasks.asked[:8] == [100, 50, 25, 12, 6, 3, 1, 1]
    assert len(tasks.asked) == 20
    tasks.poison = set()
    tasks.asked.clear()
    assert set(provider.check(ids, "memory", NOW)) == set(ids)
    assert tasks.asked == [1, 2, 4, 8, 16, 32, 37]


def test_an_adapter_that_always_breaks_is_not_asked_for_ever() -> None:
    tasks = Tasks(KeyError("x"), {f"t{number}" for number in range(100)})
    provider, ids = hundred(tasks)
    for _ in range(5):
        tasks.asked.clear()
        with pytest.raises(ProviderUnavailable):
            provider.check(ids, "memory", NOW)
        assert len(tasks.asked) <= MOST_FRUITLESS


def test_only_the_tasks_asked_about_are_told_of() -> None:
    told = Told()
    told.does = giving({"a": TaskState("running"), "b": TaskState("running"), "c": "?"})
    provider = guarded(lambda: told, FakeClock())
    assert set(provider.check(["a", "c", "d"], "memory", NOW)) == {"a"}
    assert provider.check([], "memory", NOW) == {}


# A key that was replaced.


def test_a_task_that_the_new_key_does_not_know_is_asked_for_with_the_old_one() -> None:
    told, asked = Told(), list[str]()

    def look(ids: Sequence[str], credential: str, _: Any) -> Mapping[str, TaskState]:
        asked.append(credential)
        own = {"new": {"fresh"}, "old": {"running"}}[credential]
        return {one: TaskState("running" if one in own else "missing") for one in ids}

    told.does = look
    credentials = keys("throwaway", new="a", old="b")
    provider = guarded(lambda: told, FakeClock(), credentials=credentials)
    states = provider.check(["fresh", "running", "gone"], "new", NOW)
    assert {one: state.status for one, state in states.items()} == {
        "fresh": "running",
        "running": "running",
        "gone": "missing",
    }
    assert asked == ["new", "old"]
    asked.clear()
    provider.check(["fresh"], "new", NOW)
    assert asked == ["new"], "whoever is known costs nothing more"


def test_as_long_as_an_old_key_cannot_be_asked_no_task_is_called_missing() -> None:
    told = Told()

    def look(ids: Sequence[str], credential: str, _: Any) -> Mapping[str, TaskState]:
        if credential == "old":
            raise ProviderUnavailable("down")
        return {one: TaskState("missing") for one in ids}

    told.does = look
    credentials = keys("throwaway", new="a", old="b")
    assert (
        guarded(lambda: told, FakeClock(), credentials=credentials).check(["x"], "new", NOW) == {}
    )


# Results.


def test_whoever_reads_a_download_keeps_their_own_trouble(told: Told, provider: Guarded) -> None:
    for error in (BucketUnavailable("full"), KeyError("mine"), KeyboardInterrupt()):
        with pytest.raises(type(error)) as caught, provider.download(FILE, "memory", NOW):
            raise error
        assert caught.value is error


@pytest.mark.parametrize("chunks", [[b"x", "text"], [b"x", None], 5, [b"12345"], [b"1"], []])
def test_a_file_that_is_not_what_was_announced_is_no_file(
    chunks: Any, told: Told, provider: Guarded
) -> None:
    @contextmanager
    def download(*_: Any) -> Iterator[Download]:
        yield Download(3, chunks)

    told.does = download
    with pytest.raises(DownloadFailed):
        fetched(provider)


@pytest.mark.parametrize("where", ["open", "read", "close"])
def test_a_download_may_break_anywhere(where: str, told: Told, provider: Guarded) -> None:
    @contextmanager
    def download(*_: Any) -> Iterator[Download]:
        if where == "open":
            raise KeyError("x")
        yield Download(None, raising_after_one() if where == "read" else iter([b"x"]))
        if where == "close":
            raise KeyError("x")

    def raising_after_one() -> Iterator[bytes]:
        yield b"x"
        raise UnicodeError("x")

    told.does = download
    with pytest.raises(DownloadFailed):
        fetched(provider)


# Making the adapter.


def test_an_adapter_that_cannot_be_made_means_that_nothing_was_sent() -> None:
    made: list[int] = []

    def make() -> Told:
        made.append(1)
        raise ImportError("no such library")

    provider = guarded(make, FakeClock())
    provider.close()
    assert made == []
    for call in CALLS.values():
        with pytest.raises(ProviderUnavailable):
            call(provider)
    assert len(made) == len(CALLS), "it may go well the next time"
