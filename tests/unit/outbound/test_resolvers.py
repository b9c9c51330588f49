"""Look-ups are counted: a silent name server takes its owner's share of them and no more."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from shared.outbound.resolvers import Resolvers, Shares
from shared.outbound.url_policy import TargetUnresolved

SHARES = Shares(total=6, per_owner=4, per_host=2)
ENOUGH, NOTHING = 20.0, 0.01


class Names:
    """Names that begin with `slow` are not answered for until `release`."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.most_threads = 0
        self._released = threading.Event()

    def __call__(self, host: str, port: int) -> list[str]:
        self.asked.append(host)
        threads = [one for one in threading.enumerate() if one.name == "resolve"]
        self.most_threads = max(self.most_threads, len(threads))
        if host.startswith("slow"):
            self._released.wait(ENOUGH)
        if host.startswith("unknown"):
            raise socket.gaierror(socket.EAI_NONAME, "not known")
        return ["192.0.2.1"]

    def release(self) -> None:
        self._released.set()


@pytest.fixture
def names() -> Iterator[Names]:
    made = Names()
    yield made
    made.release()
    for thread in threading.enumerate():
        if thread.name == "resolve":
            thread.join(ENOUGH)


def give_up(resolvers: Resolvers, owner: str, host: str) -> str:
    with pytest.raises(TargetUnresolved) as gone:
        resolvers.look_up(owner, host, 443, NOTHING)
    return str(gone.value)


def test_slow_names_of_one_owner_take_only_its_share(names: Names) -> None:
    resolvers = Resolvers(names, SHARES)
    said = [give_up(resolvers, "anna", f"slow{number}.example") for number in range(60)]
    assert said[:4] == ["the host name was not resolved in time"] * 4
    assert set(said[4:]) == {"too many host names are being resolved"}
    assert resolvers.busy == 4
    assert names.most_threads == 4
    assert resolvers.look_up("ben", "quick.example", 443, ENOUGH) == ["192.0.2.1"]


def test_a_slow_name_leaves_its_owner_a_share_for_other_names(names: Names) -> None:
    resolvers = Resolvers(names, SHARES)
    for _ in range(10):
        give_up(resolvers, "anna", "slow.example")
    assert names.asked == ["slow.example"] * 2
    assert resolvers.look_up("anna", "quick.example", 443, ENOUGH) == ["192.0.2.1"]


def test_all_owners_together_have_no_more_threads_than_the_total(names: Names) -> None:
    resolvers = Resolvers(names, SHARES)
    for owner in range(40):
        give_up(resolvers, f"owner{owner}", "slow.example")
    assert resolvers.busy == names.most_threads == 6


def test_who_waits_for_a_share_gets_it_when_a_look_up_ends(names: Names) -> None:
    resolvers = Resolvers(names, Shares(total=1, per_owner=1, per_host=1))
    with ThreadPoolExecutor(8) as pool:
        first = pool.submit(resolvers.look_up, "anna", "slow.example", 443, ENOUGH)
        others = [
            pool.submit(resolvers.look_up, f"owner{number}", "quick.example", 443, ENOUGH)
            for number in range(7)
        ]
        names.release()
        assert {tuple(one.result(ENOUGH)) for one in (first, *others)} == {("192.0.2.1",)}
    assert names.most_threads == 1


def test_no_thread_is_left_once_the_names_are_answered(names: Names) -> None:
    resolvers = Resolvers(names, SHARES)
    give_up(resolvers, "anna", "slow.example")
    with pytest.raises(socket.gaierror):
        resolvers.look_up("anna", "unknown.example", 443, ENOUGH)
    left = [one for one in threading.enumerate() if one.name == "resolve"]
    names.release()
    for one in left:
        one.join(ENOUGH)
    assert resolvers.busy == 0


def test_a_thread_that_cannot_be_started_gives_its_share_back(
    names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    resolvers = Resolvers(names, SHARES)
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError):
            resolvers.look_up("anna", "quick.example", 443, ENOUGH)
    assert resolvers.busy == 0
