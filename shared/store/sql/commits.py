"""Transactions: one of their own each, or, where only one can write, one for all that wait.

A commit costs what its sync costs, whatever it holds. So whoever comes first takes along those that
wait meanwhile: each has its own verdict, one sync makes them all last.

事务提交：等待中的多个写入合并为一次提交，各自得到自己的结果。
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Generic, Protocol, TypeVar

from shared.store.base import StoreUnavailable
from shared.store.sql.session import Session

T = TypeVar("T")

Work = Callable[[Session], T]
"""What is done in a transaction. It may be done more than once, and what it raises undoes it."""

MOST = 64
"""Works in one transaction: the last of them waits for all."""
TRIES = 4
"""How often a transaction is tried that the database undid to break a deadlock."""


class Commits(Protocol):
    """Runs works in transactions, from any thread.

    在事务中执行写入。
    """

    def run(self, work: Work[T], *, one: bool = False) -> T:
        """What a work gives, once it is committed; what it raises, once it is undone. The driver's
        errors pass through, with nothing written. A work that is `one` says a single statement.

        执行并提交。
        """


class OwnTransactions:
    """A transaction for each work, begun and ended by `transaction`; anew where `is_deadlock` says
    that the database undid it for others' sake. A single statement needs no more than a connection,
    of `single`, that commits each: two round trips less, and nobody who stops there holds a lock.

    每项写入各用一个事务。
    """

    def __init__(
        self,
        transaction: Callable[[], AbstractContextManager[Session]],
        single: Callable[[], AbstractContextManager[Session]],
        is_deadlock: Callable[[BaseException], bool],
    ) -> None:
        self._transaction = transaction
        self._single = single
        self._is_deadlock = is_deadlock

    def run(self, work: Work[T], *, one: bool = False) -> T:
        """As `Commits.run`.

        执行并提交。
        """
        for tries in range(1, TRIES + 1):
            try:
                with self._single() if one else self._transaction() as session:
                    return work(session)
            except Exception as error:
                if tries == TRIES or not self._is_deadlock(error):
                    raise
        raise AssertionError("the last try returns or raises")


class _Write(Generic[T]):
    """One work on its way: `turn` is held until it is done, or is to lead."""

    __slots__ = ("error", "given", "is_done", "turn", "work")

    def __init__(self, work: Work[T]) -> None:
        self.work = work
        self.turn = threading.Lock()
        self.turn.acquire()
        self.is_done = False
        self.given: T | None = None
        self.error: BaseException | None = None

    def end(self, given: T | None, error: BaseException | None = None) -> None:
        self.is_done, self.given, self.error = True, given, error

    def result(self) -> T:
        if self.error is not None:
            raise self.error
        return self.given  # type: ignore[return-value]  # what the work gave, None included


class GroupCommit:
    """One transaction at a time, begun and ended by `transaction`, for all works that wait: among
    threads a lock hands over at once, while a database's own waiting is polling, and unfair.

    The first to come leads: its thread does the works of those that came meanwhile as well. A
    thread that has waited for `seconds` and whose work was not begun gets `StoreUnavailable`.
    `is_driver_s` tells the errors of the database from those of a work.

    多个线程的写入合并提交。
    """

    def __init__(
        self,
        transaction: Callable[[], AbstractContextManager[Session]],
        is_driver_s: Callable[[BaseException], bool],
        seconds: float,
    ) -> None:
        self._transaction = transaction
        self._is_driver_s = is_driver_s
        self._seconds = seconds
        self._lock = threading.Lock()
        self._waiting: deque[_Write[Any]] = deque()
        self._is_led = False

    def run(self, work: Work[T], *, one: bool = False) -> T:
        """As `Commits.run`; raises `StoreUnavailable` if the others take too long.

        执行并提交。
        """
        mine = _Write(work)
        with self._lock:
            leads, self._is_led = not self._is_led, True
            if not leads:
                self._waiting.append(mine)
        if not leads:
            self._wait(mine)
        if not mine.is_done:
            self._lead(mine)
        return mine.result()

    def _wait(self, mine: _Write[Any]) -> None:
        """Until a work is done, or its thread is to lead."""
        if mine.turn.acquire(timeout=self._seconds):
            return
        with self._lock:
            if mine in self._waiting:
                self._waiting.remove(mine)
                raise StoreUnavailable(
                    "the store does not answer: it is locked, and others wait too"
                )
        mine.turn.acquire()  # begun: what becomes of it is known soon

    def _lead(self, mine: _Write[Any]) -> None:
        """Do this work and those that wait, and hand the lead to the next that came meanwhile.

        带头完成等待中的写入。
        """
        with self._lock:
            others = [self._waiting.popleft() for _ in range(min(len(self._waiting), MOST - 1))]
        batch = [mine, *others]
        try:
            self._write(batch)
        except BaseException:  # this thread is to end: what it wrote for others is undone
            for write in batch:
                write.end(None, StoreUnavailable("the store does not answer: its writer ended"))
            raise
        finally:
            with self._lock:
                heirs = [self._waiting.popleft()] if self._waiting else []
                self._is_led = bool(heirs)
            for write in (*heirs, *others):
                write.turn.release()

    def _write(self, batch: list[_Write[Any]], *, marks: bool = False) -> None:
        """Do works in one transaction. Where that fails, each has one of its own: what spoilt the
        company's, a disk too full for the largest of them, say, is for one alone to hear of.

        Mostly none is undone, or none that had written yet, and a savepoint for each would be two
        statements more: only where one was needed all is done again, with `marks`.

        在一个事务中完成一批写入。
        """
        has_begun = False
        try:
            with self._transaction() as session:
                has_begun = True
                for write in batch:
                    self._do(session, write, alone=len(batch) == 1, marks=marks)
        except _HalfDone:
            self._write(batch, marks=True)
        except Exception as error:
            if has_begun and len(batch) > 1 and self._is_driver_s(error):
                for write in batch:
                    self._write([write])
                return
            for write in batch:
                write.end(None, error)

    def _do(self, session: Session, write: _Write[Any], *, alone: bool, marks: bool) -> None:
        """One work; what it raises, the driver's errors but for, undoes it and nothing else.

        完成一项写入。
        """
        if alone:
            write.end(write.work(session))
            return
        written = session.written
        if marks:
            session.say("SAVEPOINT work")
        try:
            write.end(write.work(session))
        except Exception as error:
            if self._is_driver_s(error):
                raise
            if marks:
                session.say("ROLLBACK TO work")
            elif session.written != written:
                raise _HalfDone from error
            write.end(None, error)
        if marks:
            session.say("RELEASE work")


class _HalfDone(Exception):
    """A work has written something before it raised: it must be undone alone."""
