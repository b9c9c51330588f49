"""Whose turn it is to be called, and when those without a place come back."""

from __future__ import annotations

from shared.deliveries.model import Delivery
from shared.work.fair_queue import Caps, HostQueues

NOW = 1_800_000_000_000
CAPS = Caps(total=4, per_host=2, held=10, held_per_host=6)


def make(host: str, number: int = 0) -> Delivery:
    url = f"https://{host}.example/hook"
    return Delivery(f"evt_{host}_{number}", "job_1", url, "job.succeeded", "{}", NOW)


def started(queues: HostQueues) -> list[str]:
    names = []
    while (delivery := queues.start(NOW)) is not None:
        names.append(delivery.id.removeprefix("evt_"))
    return names


def test_hosts_take_turns_and_none_passes_its_cap() -> None:
    queues = HostQueues(CAPS)
    for number in range(4):
        queues.add(make("a", number))
    queues.add(make("b", 0))
    assert started(queues) == ["a_0", "b_0", "a_1"]
    assert queues.waiting == 2


def test_the_air_is_never_fuller_than_the_cap_and_a_landing_frees_a_place() -> None:
    queues = HostQueues(CAPS)
    for host in "abcdef":
        queues.add(make(host))
    assert started(queues) == ["a_0", "b_0", "c_0", "d_0"]
    queues.finish(make("b"), NOW + 20)
    assert started(queues) == ["e_0"]


def test_places_are_counted_for_all_and_for_each_host() -> None:
    queues = HostQueues(CAPS)
    for number in range(5):
        queues.add(make("a", number))
    assert queues.room == 5
    assert queues.has_place("a.example", 0)
    assert not queues.has_place("a.example", 1)
    assert queues.has_place("b.example", 5)
    assert len(queues.empty()) == 5
    assert queues.waiting == 0


def test_those_without_a_place_come_back_one_after_the_other_at_the_pace_of_their_host() -> None:
    queues = HostQueues(CAPS)
    queues.add(make("a"))
    assert started(queues) == ["a_0"]
    queues.finish(make("a"), NOW + 2000)
    moments = [queues.turn("a.example", NOW) - NOW for _ in range(3)]
    # Six places of 2 s each, two at a time: after second 6 they come one a second.
    assert moments == [7000, 8000, 9000]


def test_a_host_that_does_not_answer_is_known_to_be_slow_before_its_first_answer() -> None:
    queues = HostQueues(CAPS)
    queues.add(make("a"))
    assert started(queues) == ["a_0"]
    assert queues.turn("a.example", NOW) - NOW < 1000
    later = NOW + 4000
    assert queues.turn("a.example", later) - later == 14_000


def test_nobody_is_put_off_for_longer_than_five_minutes() -> None:
    queues = HostQueues(CAPS)
    moments = [queues.turn("a.example", NOW) - NOW for _ in range(20_000)]
    assert min(moments) >= 500
    assert max(moments) == 300_000
