"""The instances of one function: started when they are needed, kept while they are warm.

一个函数的实例池：按需启动，保温复用。
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, Protocol, TypeVar


class Instance(Protocol):
    """What a pool keeps.

    池中的实例。
    """

    @property
    def alive(self) -> bool:
        """Whether it can be used.

        是否可用。
        """

    def end(self) -> None:
        """End it at once.

        立即结束。
        """


T = TypeVar("T", bound=Instance)


class NoInstance(Exception):
    """Every instance was busy for too long, or the pool is closed.

    没有空闲的实例。
    """


class Pool(Generic[T]):
    """Lends instances, `at_once` at most, each to `slots` users at a time; `make` starts one.

    出借实例的池。
    """

    def __init__(self, make: Callable[[], T], *, at_once: int, slots: int = 1) -> None:
        self._make = make
        self._at_once = at_once
        self._slots = slots
        self._load: dict[T, int] = {}
        self._starting: set[object] = set()
        self._wanting = 0
        self._closed = False
        self._retired = False
        self._changed = threading.Condition()

    @contextmanager
    def lent(self, seconds: float) -> Iterator[T]:
        """An instance, waited for no longer than this; one that has failed its user is ended.

        Raises `NoInstance`, and what `make` raises.

        借用一个实例。
        """
        one = self._taken(seconds)
        try:
            yield one
        except BaseException:
            self._give_back(one, sound=False)
            raise
        self._give_back(one, sound=one.alive)

    def start_one(self) -> None:
        """See to it that there is an instance; raises what `lent` raises.

        预先启动一个实例。
        """
        with self.lent(0.0):
            pass

    def instances(self) -> list[T]:
        """Those that there are.

        现有的实例。
        """
        with self._changed:
            return list(self._load)

    def retire(self) -> None:
        """Lend no more, and end each instance once it is not in use; nobody waits for that.

        停用：用完即结束。
        """
        with self._changed:
            self._retired = True
            idle = [one for one, load in self._load.items() if not load]
            for one in idle:
                del self._load[one]
            self._changed.notify_all()
        for one in idle:
            one.end()

    def close(self) -> None:
        """End every instance at once, whatever it does.

        立即结束所有实例。
        """
        with self._changed:
            self._closed = self._retired = True
            ended = list(self._load)
            self._load.clear()
            self._changed.notify_all()
        for one in ended:
            one.end()

    def _taken(self, seconds: float) -> T:
        """A free instance, or one that is started for it.

        取得一个实例。
        """
        end = time.monotonic() + seconds
        with self._changed:
            self._wanting += 1
            try:
                while True:
                    if self._retired:
                        raise NoInstance("the function is changed or removed")
                    if (free := self._free()) is not None:
                        self._load[free] += 1
                        return free
                    starting = len(self._starting)
                    room = len(self._load) + starting < self._at_once
                    # One that starts serves who starts it, and may have places for others.
                    if room and starting * (self._slots - 1) < self._wanting:
                        break
                    left = end - time.monotonic()
                    if not starting and left <= 0:
                        raise NoInstance(f"all {self._at_once} instances are busy")
                    self._changed.wait(left if left > 0 else None)
                mark = object()
                self._starting.add(mark)
            finally:
                self._wanting -= 1
        return self._started(mark)

    def _started(self, mark: object) -> T:
        """A new instance, lent; `mark` stands for it while it starts.

        启动一个新实例。
        """
        made: T | None = None
        try:
            made = self._make()
        finally:
            with self._changed:
                self._starting.discard(mark)
                closed = self._closed
                if made is not None and not closed:
                    self._load[made] = 1
                self._changed.notify_all()
        if closed:
            made.end()
            raise NoInstance("the platform is stopping")
        return made

    def _free(self) -> T | None:
        """The instance used last that has a free place; those that died are forgotten."""
        for one in [one for one, load in self._load.items() if not load and not one.alive]:
            del self._load[one]
            one.end()
        free = (one for one, load in self._load.items() if load < self._slots and one.alive)
        return max(free, key=lambda one: self._load[one], default=None)

    def _give_back(self, one: T, *, sound: bool) -> None:
        with self._changed:
            if one in self._load:
                self._load[one] -= 1
                if not sound or (self._retired and not self._load[one]):
                    del self._load[one]
                    sound = False
            self._changed.notify_all()
        if not sound:
            one.end()
