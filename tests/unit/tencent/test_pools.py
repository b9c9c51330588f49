"""The instances of a function: when one is started, kept, and ended.

函数实例池。
"""

from __future__ import annotations

import threading

import pytest

from infra.tencent.emulator.pools import NoInstance, Pool
from tests.local import until


class Instance:
    def __init__(self) -> None:
        self.alive = True
        self.ended = False

    def end(self) -> None:
        self.alive, self.ended = False, True


class Maker:
    """Makes instances; while its gate is closed, starting takes as long as that."""

    def __init__(self) -> None:
        self.made: list[Instance] = []
        self.begun = 0
        self.gate = threading.Event()
        self.gate.set()
        self.fails = False

    def __call__(self) -> Instance:
        self.begun += 1
        assert self.gate.wait(10)
        if self.fails:
            raise OSError("no")
        self.made.append(Instance())
        return self.made[-1]


@pytest.fixture
def maker() -> Maker:
    return Maker()


def test_one_that_is_free_is_used_again(maker: Maker) -> None:
    pool = Pool(maker, at_once=2)
    with pool.lent(0) as first:
        pass
    with pool.lent(0) as second:
        assert second is first


def test_who_finds_all_busy_is_told_so_once_the_time_is_over(maker: Maker) -> None:
    pool = Pool(maker, at_once=2)
    with pool.lent(0) as first, pool.lent(0) as second:
        assert first is not second
        with pytest.raises(NoInstance, match="2"), pool.lent(0):
            pass


def test_who_waits_gets_the_first_that_is_given_back(maker: Maker) -> None:
    pool = Pool(maker, at_once=1)
    got: list[Instance] = []

    def use() -> None:
        with pool.lent(10) as one:
            got.append(one)

    waiting = threading.Thread(target=use)
    with pool.lent(0) as first:
        waiting.start()
    waiting.join(10)
    assert got == [first]


def test_several_share_one_that_has_places(maker: Maker) -> None:
    pool = Pool(maker, at_once=2, slots=2)
    with pool.lent(0) as first, pool.lent(0) as second, pool.lent(0) as third:
        assert first is second is not third


@pytest.mark.parametrize(("slots", "begun"), [(2, 1), (1, 2)])
def test_one_that_starts_is_waited_for_where_it_will_have_a_place(
    maker: Maker, slots: int, begun: int
) -> None:
    pool = Pool(maker, at_once=3, slots=slots)
    maker.gate.clear()
    inside = threading.Barrier(3)

    def use() -> None:
        with pool.lent(10):
            inside.wait(10)

    threads = [threading.Thread(target=use) for _ in range(2)]
    for thread in threads:
        thread.start()
    until(lambda: maker.begun == begun)
    maker.gate.set()
    inside.wait(10)  # both have one at the same time
    for thread in threads:
        thread.join(10)
    assert len(maker.made) == begun


def test_one_that_failed_its_user_is_ended_and_another_takes_its_place(maker: Maker) -> None:
    pool = Pool(maker, at_once=1)
    with pytest.raises(KeyError), pool.lent(0) as first:
        raise KeyError
    assert first.ended
    with pool.lent(0) as second:
        assert second is not first


def test_one_that_died_while_nobody_used_it_is_replaced(maker: Maker) -> None:
    pool = Pool(maker, at_once=1)
    with pool.lent(0) as first:
        pass
    first.alive = False
    with pool.lent(0) as second:
        assert second is not first


def test_one_that_could_not_start_takes_nobodys_place(maker: Maker) -> None:
    pool = Pool(maker, at_once=1)
    maker.fails = True
    with pytest.raises(OSError, match="no"), pool.lent(0):
        pass
    maker.fails = False
    with pool.lent(0) as one:
        assert one.alive


def test_a_retired_pool_lends_nothing_and_lets_its_last_user_finish(maker: Maker) -> None:
    pool = Pool(maker, at_once=2)
    with pool.lent(0) as busy:
        with pool.lent(0) as idle:
            pass
        pool.retire()
        assert (idle.ended, busy.ended) == (True, False)
        with pytest.raises(NoInstance), pool.lent(0):
            pass
    assert busy.ended


def test_a_closed_pool_ends_what_is_in_use_and_what_was_about_to_start(maker: Maker) -> None:
    pool = Pool(maker, at_once=2)
    refused: list[NoInstance] = []

    def use() -> None:
        try:
            with pool.lent(10):
                pass
        except NoInstance as error:
            refused.append(error)

    with pool.lent(0) as busy:
        maker.gate.clear()
        starting = threading.Thread(target=use)
        starting.start()
        until(lambda: maker.begun == 2)
        pool.close()
        assert busy.ended
        maker.gate.set()
        starting.join(10)
    assert len(refused) == 1
    assert all(one.ended for one in maker.made)
