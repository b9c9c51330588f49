"""Whose turn it is to run, and when those without a place come back."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from shared.work.fair_queue import Caps, FairQueue, Level

NOW = 1_800_000_000_000
CAPS = Caps(total=4, per_owner=3, per_host=2, held=10, held_per_owner=8, held_per_host=6)


@dataclass(frozen=True, eq=False)
class Item:
    owner: str
    host: str
    number: int = 0

    def __str__(self) -> str:
        return f"{self.owner}.{self.host}.{self.number}"


def queue(caps: Caps = CAPS) -> FairQueue[Item]:
    return FairQueue(caps, lambda item: (item.owner, item.host))


def started(queues: FairQueue[Item]) -> list[Item]:
    items = []
    while (item := queues.start(NOW)) is not None:
        items.append(item)
    return items


def later(queues: FairQueue[Item], owner: str, host: str, now: int = NOW) -> int | None:
    promised: Counter[Level] = Counter()
    if queues.has_place((owner, host), promised):
        return None
    return queues.turn((owner, host), promised, now) - now


def fill(queues: FairQueue[Item], owner: str, host: str, count: int = 1) -> None:
    for number in range(count):
        queues.add(Item(owner, host, number))


def test_owners_take_turns_and_hosts_within_them_and_none_passes_its_cap() -> None:
    queues = queue()
    fill(queues, "anna", "a", 3)
    fill(queues, "anna", "b", 3)
    fill(queues, "ben", "a", 1)
    assert [str(item) for item in started(queues)] == [
        "anna.a.0",
        "ben.a.0",
        "anna.b.0",
        "anna.a.1",
    ]
    assert queues.waiting == 3
    assert not queues.ready


def test_a_host_of_one_owner_is_no_host_of_another() -> None:
    queues = queue()
    fill(queues, "anna", "a", 3)
    fill(queues, "ben", "a", 3)
    names = [f"{item.owner}.{item.host}" for item in started(queues)]
    assert Counter(names) == {"anna.a": 2, "ben.a": 2}


def test_the_air_is_never_fuller_than_the_cap_and_a_landing_frees_a_place() -> None:
    queues = queue()
    for owner in "abcdef":
        fill(queues, owner, "host")
    flying = started(queues)
    assert [item.owner for item in flying] == ["a", "b", "c", "d"]
    queues.finish(flying[1], NOW + 20)
    assert queues.ready
    assert [item.owner for item in started(queues)] == ["e"]


def test_an_owner_with_a_thousand_silent_hosts_leaves_the_rest_to_others() -> None:
    queues = queue(Caps())
    promised: Counter[Level] = Counter()
    held = 0
    for number in range(1000):
        if queues.has_place(("anna", f"host{number}"), promised):
            fill(queues, "anna", f"host{number}")
            promised.clear()
            held += 1
    assert held == Caps().held_per_owner
    assert len(started(queues)) == Caps().per_owner
    assert later(queues, "ben", "quick") is None
    fill(queues, "ben", "quick")
    assert [item.owner for item in started(queues)] == ["ben"]


def test_places_are_counted_for_all_for_each_owner_and_for_each_host() -> None:
    queues = queue()
    fill(queues, "anna", "a", 5)
    assert queues.room == 5
    promised: Counter[Level] = Counter()
    assert queues.has_place(("anna", "a"), promised)
    assert not queues.has_place(("anna", "a"), promised)
    assert queues.has_place(("anna", "b"), promised)
    assert queues.has_place(("anna", "b"), promised)
    assert not queues.has_place(("anna", "b"), promised)
    assert queues.has_place(("ben", "a"), promised)
    assert len(queues.empty()) == 5
    assert (queues.waiting, queues.room) == (0, 10)


def test_those_without_a_place_come_back_one_after_the_other_at_the_pace_of_their_host() -> None:
    queues = queue()
    fill(queues, "anna", "a")
    [flying] = started(queues)
    queues.finish(flying, NOW + 2000)
    fill(queues, "anna", "a", 6)
    # Six places of 2 s each, two at a time: after second 6 they come one a second.
    assert [later(queues, "anna", "a") for _ in range(3)] == [7000, 8000, 9000]


def test_those_of_an_owner_without_a_place_come_back_at_the_pace_of_the_owner() -> None:
    queues = queue()
    fill(queues, "anna", "a")
    [flying] = started(queues)
    queues.finish(flying, NOW + 3000)
    for host in "abcd":
        fill(queues, "anna", host, 2)
    # Eight places of 3 s each, three at a time.
    assert [later(queues, "anna", f"new{number}") for number in range(3)] == [9000, 10_000, 11_000]
    assert later(queues, "ben", "a") is None


def test_a_host_that_does_not_answer_is_known_to_be_slow_before_its_first_answer() -> None:
    queues = queue()
    fill(queues, "anna", "a")
    started(queues)
    fill(queues, "anna", "a", 6)
    soon = later(queues, "anna", "a")
    assert soon is not None
    assert soon < 1000
    assert later(queues, "anna", "a", NOW + 4000) == 14_000


def stalled(queues: FairQueue[Item]) -> int:
    """One of a quick host is in the air for 15 s by now, the time that is given back, and all
    others took 50 ms."""
    fill(queues, "anna", "a", 2)
    _, quick = started(queues)
    queues.finish(quick, NOW + 50)
    return NOW + 15_000


def test_one_that_stalls_puts_off_nobody_who_can_pass_it() -> None:
    queues = queue()
    now = stalled(queues)
    # Before anything is started beside it, as when one claim fills the queue, and after that.
    fill(queues, "anna", "a", 6)
    assert (later(queues, "anna", "a", now) or 0) <= 1000
    assert queues.start(now) is not None
    fill(queues, "anna", "a")
    assert (later(queues, "anna", "a", now) or 0) <= 1000
    for owner in ("ben", "carl"):
        fill(queues, owner, "b", 2)
    # Nobody else waits for that host: these have no place because all places are taken.
    assert (later(queues, "dora", "d", now) or 0) <= 1000


def test_those_that_all_stall_are_waited_for_however_quick_they_were() -> None:
    queues = queue()
    now = stalled(queues)
    fill(queues, "anna", "a", 7)
    assert queues.start(NOW + 50) is not None
    # Six places, two at a time, each of which takes 15 s by now.
    assert later(queues, "anna", "a", now) in range(52_000, 53_000)


def test_one_that_stalled_is_soon_forgotten_by_those_who_share_the_air_with_it() -> None:
    queues = queue(Caps())
    for owner in "abcd":
        fill(queues, owner, "quick", 4)
        for item in [queues.start(NOW) for _ in range(4)]:
            assert item is not None
            queues.finish(item, NOW + 50)
    fill(queues, "anna", "slow")
    [slow] = started(queues)
    queues.finish(slow, NOW + 15_000)
    for number in range(Caps().held):
        fill(queues, f"owner{number}", "quick")
    assert (later(queues, "ben", "quick", NOW + 15_000) or 0) <= 1000


def test_nobody_is_put_off_for_longer_than_five_minutes() -> None:
    queues = queue()
    fill(queues, "anna", "a", 6)
    moments = [later(queues, "anna", "a") or 0 for _ in range(20_000)]
    assert min(moments) >= 500
    assert max(moments) == 300_000


@settings(max_examples=50)
@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("xyz")), max_size=40),
    st.integers(0, 2**32),
)
def test_whatever_comes_and_ends_caps_hold_and_everything_runs_in_the_end(
    keys: list[tuple[str, str]], seed: int
) -> None:
    chance = random.Random(seed)
    queues, flying, ran = queue(), list[Item](), 0
    coming = [Item(owner, host, number) for number, (owner, host) in enumerate(keys)]
    while ran < len(keys):
        if coming and chance.random() < 0.6:
            item = coming.pop()
            if queues.has_place((item.owner, item.host), Counter()):
                queues.add(item)
            else:
                coming.insert(0, item)
        flying += started(queues)
        owners = Counter(item.owner for item in flying)
        hosts = Counter((item.owner, item.host) for item in flying)
        assert len(flying) <= CAPS.total
        assert max(owners.values(), default=0) <= CAPS.per_owner
        assert max(hosts.values(), default=0) <= CAPS.per_host
        if flying and chance.random() < 0.4:
            queues.finish(flying.pop(chance.randrange(len(flying))), NOW)
            ran += 1
    assert queues.waiting == 0
