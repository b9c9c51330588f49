"""The search for creates that nobody answered, on an account that makes thousands a minute.

测试在繁忙账户中查找未应答的创建。
"""

from __future__ import annotations

import json
import random
from bisect import bisect_right, insort
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import httpx
import pytest

from shared.clock import Deadline
from shared.providers.base import NotReadYet, ProviderUnavailable, Request, Wanted
from shared.providers.tripo import account_tasks, search
from shared.providers.tripo.adapter import Tripo
from tests.credentials import keys
from tests.fakes import FakeClock

MINUTE = 60_000
SEED = 1 << 30


class Busy:
    """An account that makes `a_minute` tasks, as its pages show it; each request takes `takes_ms`.

    It has made them for the last quarter of an hour. Every `late`th task comes into the list six
    seconds after it was made.
    """

    def __init__(self, a_minute: int, *, takes_ms: int = 200, late: int = 0) -> None:
        self.clock = FakeClock()
        self.takes_ms, self.late = takes_ms, late
        self.every = MINUTE / a_minute if a_minute else 10.0**9
        self.next_at: float = self.clock.now() - 15 * MINUTE
        self.tasks: list[tuple[int, str]] = []
        self.asked: list[tuple[int, str]] = []
        self.fails = 0
        self.tripo = Tripo(
            credentials=keys("tripo", main="tsk_x"),
            clock=self.clock,
            transport=httpx.MockTransport(self),
        )

    def make(self, mark: int, ago_ms: int = 0) -> str:
        """A task of ours, that carries this mark."""
        insort(self.tasks, (self.clock.now() - ago_ms, f"mine-{mark}"))
        return f"mine-{mark}"

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.clock.advance(self.takes_ms)
        self.asked.append((self.clock.now(), request.url.path))
        if self.fails:
            self.fails -= 1
            return httpx.Response(503)
        if request.url.path == "/v3/account/usage":
            rows = self.page(int(request.url.params["offset"]))
            items = [{"task_id": one, "created_at": at / 1000} for at, one in rows]
            return httpx.Response(200, json={"code": 0, "data": {"items": items}})
        ids = json.loads(request.content)["task_ids"]
        assert len(ids) <= 100
        tasks = {one: {"input": self.input_of(one)} for one in ids}
        return httpx.Response(200, json={"code": 0, "data": {"tasks": tasks, "missed": []}})

    def page(self, offset: int) -> list[tuple[int, str]]:
        """The tasks from this position on, the newest first."""
        now = self.clock.now()
        while self.next_at <= now:
            insort(self.tasks, (int(self.next_at), f"other-{len(self.tasks)}"))
            self.next_at += self.every
        end = bisect_right(self.tasks, (now, "~"))
        if self.late:
            # Of the last six seconds some are not there yet.
            since = bisect_right(self.tasks, (now - 6000, "~"))
            recent = [row for row in self.tasks[since:end] if hash(row[1]) % self.late]
            return [*self.tasks[max(0, since - offset - 50) : since], *recent][::-1][offset:][:50]
        return self.tasks[max(0, end - offset - 50) : max(0, end - offset)][::-1]

    def input_of(self, task_id: str) -> Any:
        if task_id.startswith("mine"):
            return {"model": "v3.1-20260211", "model_seed": int(task_id.partition("-")[2])}
        return {"model": "v3.1-20260211", "model_seed": hash(task_id) % SEED, "prompt": "x"}

    def find(self, *wanted: Wanted) -> Sequence[Sequence[str] | None]:
        end = self.clock.now() + 60_000
        deadline = Deadline(lambda: (end - self.clock.now()) / 1000)
        return self.tripo.find(wanted, "main", deadline)

    def settled(self, *wanted: Wanted, within: float = 15 * MINUTE) -> float:
        """Ask about each by itself every five seconds until all is told; how long (ms) it took."""
        begun, told = self.clock.now(), dict[str, list[str]]()
        while len(told) < len(wanted):
            assert self.clock.now() - begun < within, f"{len(told)} of {len(wanted)} are told of"
            for one in wanted:
                if str(one.request.mark) not in told:
                    with suppress(NotReadYet):
                        (ids,) = self.find(one)
                        assert ids is not None
                        told[str(one.request.mark)] = list(ids)
            self.clock.advance(5000)
        self.told = told
        return self.clock.now() - begun

    def most_a_minute(self, path: str = "") -> int:
        times = [at for at, one in self.asked if path in one]
        return max(bisect_right(times, at + MINUTE - 1) - n for n, at in enumerate(times))


def wanted(mark: int, since: int) -> Wanted:
    return Wanted(Request("/x", "{}", str(mark)), since)


@pytest.mark.parametrize("takes_ms", [50, 250, 500])
def test_twenty_unanswered_creates_among_five_thousand_a_minute_are_found(takes_ms: int) -> None:
    busy = Busy(5000, takes_ms=takes_ms)
    chance = random.Random(7)
    since = {SEED + number: busy.clock.now() - chance.randrange(60_000) for number in range(20)}
    for mark, at in since.items():
        busy.make(mark, busy.clock.now() - at - 300)
    took = busy.settled(*(wanted(mark, at) for mark, at in since.items()))
    assert busy.told == {str(mark): [f"mine-{mark}"] for mark in since}
    assert took <= 2 * MINUTE
    assert busy.most_a_minute() <= 300
    assert busy.most_a_minute("usage") <= search.USAGE_A_MINUTE


def test_that_a_create_is_not_there_is_told_once_all_was_read_and_not_before() -> None:
    busy = Busy(5000)
    busy.make(SEED)
    now = busy.clock.now()
    took = busy.settled(wanted(SEED, now), wanted(SEED + 1, now))
    assert busy.told == {str(SEED): [f"mine-{SEED}"], str(SEED + 1): []}
    assert took < 10 * MINUTE
    read = {one for at, one in busy.tasks if at >= now - account_tasks.SKEW_MS and at <= now}
    assert len(read) > 25_000
    assert busy.most_a_minute() <= 300


def test_what_is_told_of_several_at_once_waits_for_none() -> None:
    busy = Busy(5000)
    busy.make(SEED)
    now = busy.clock.now()
    found, unknown = busy.find(wanted(SEED, now), wanted(SEED + 1, now))
    assert (found, unknown) == ((f"mine-{SEED}",), None)


def test_a_quiet_account_costs_two_pages_and_what_is_new_in_it() -> None:
    busy = Busy(20)
    now = busy.clock.now()
    busy.make(SEED)
    assert busy.find(wanted(SEED, now)) == [(f"mine-{SEED}",)]
    asked = Counter(path for _, path in busy.asked)
    assert asked["/v3/account/usage"] <= 3
    assert asked["/v3/tasks/list"] <= 3
    busy.clock.advance(30_000)
    busy.asked.clear()
    assert busy.find(wanted(SEED + 1, now)) == [()]
    asked = Counter(path for _, path in busy.asked)
    assert asked["/v3/account/usage"] <= 3
    assert asked["/v3/tasks/list"] == 1, "only of what is new the inputs are read"


def test_a_search_goes_on_where_it_stopped_however_often_it_is_broken_off() -> None:
    busy = Busy(600)
    now = busy.clock.now()
    busy.make(SEED, 4 * MINUTE)
    pages = 0
    for _ in range(100):
        end = busy.clock.now() + 4000
        deadline = Deadline(lambda end=end: (end - busy.clock.now()) / 1000)  # type: ignore[misc]
        with suppress(NotReadYet):
            if busy.tripo.find([wanted(SEED, now)], "main", deadline)[0]:
                break
        busy.clock.advance(3000)
    else:
        pytest.fail("it was never found")
    pages = sum("usage" in path for _, path in busy.asked)
    assert pages < 250


def test_a_task_that_comes_late_into_the_list_is_found_by_a_later_look() -> None:
    busy = Busy(300, late=3)
    marks = range(SEED, SEED + 30)
    looked_for = []
    for mark in marks:
        looked_for.append(wanted(mark, busy.clock.now()))
        busy.make(mark)
        with suppress(NotReadYet):
            busy.find(*looked_for)
    busy.clock.advance(10_000)
    assert busy.find(*looked_for) == [(f"mine-{mark}",) for mark in marks]


@pytest.mark.parametrize("a_minute", [0, 1, 60, 1000])
def test_every_task_is_found_wherever_it_lies(a_minute: int) -> None:
    busy = Busy(a_minute)
    now = busy.clock.now()
    for number, ago in enumerate([0, 1000, 30_000, 100_000, 290_000]):
        busy.make(SEED + number, ago)
    searched = [wanted(SEED + number, now) for number in range(5)]
    busy.settled(*searched)
    assert busy.told == {str(SEED + n): [f"mine-{SEED + n}"] for n in range(5)}


def test_a_failed_page_is_no_end_of_the_search() -> None:
    busy = Busy(600)
    now = busy.clock.now()
    busy.make(SEED, 2 * MINUTE)
    for _ in range(20):
        busy.fails = 3
        try:
            (found,) = busy.find(wanted(SEED, now))
            break
        except ProviderUnavailable:
            busy.fails = 0
            busy.clock.advance(2000)
    else:
        (found,) = busy.find(wanted(SEED, now))
    assert found == (f"mine-{SEED}",)


def test_what_nobody_looks_for_any_more_is_forgotten() -> None:
    busy = Busy(600)
    busy.settled(wanted(SEED, busy.clock.now()))
    (scan,) = busy.tripo._searches.values()
    assert len(scan._known._tasks) >= 3000
    busy.clock.advance(40 * MINUTE)
    busy.settled(wanted(SEED + 1, busy.clock.now()))
    assert len(scan._known._tasks) <= 4500
    assert len(scan._sought) == 1


def test_those_who_come_while_another_reads_are_answered_at_once() -> None:
    told: list[str] = []

    class Curious(Busy):
        def __call__(self, request: httpx.Request) -> httpx.Response:
            if len(self.asked) == 1 and not told:
                told.append("at once")
                with pytest.raises(NotReadYet):
                    self.find(wanted(SEED + 1, now))
            return super().__call__(request)

    busy = Curious(60)
    now = busy.clock.now()
    busy.make(SEED + 1)
    assert busy.find(wanted(SEED, now)) == [()]
    assert told == ["at once"]
    before = len(busy.asked)
    assert busy.find(wanted(SEED + 1, now)) == [(f"mine-{SEED + 1}",)]
    assert len(busy.asked) == before, "the one scan has found it already"
