"""The loop: what is due is claimed, source by source, and run; one source's slowness is no other's.

A source is one kind of due work: the steps of one provider, say, or deliveries. Each has threads of
its own. A source is looked at by one query that tells when something is due next, so that an idle
round costs one query a source.

工作循环：逐个来源领取到期的工作并执行，各来源互不影响。
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

from shared.clock import Clock, Deadline
from shared.context import Pool
from shared.store.base import StoreUnavailable
from shared.work.alarm import Alarm, Listener
from shared.work.company import Company

log = logging.getLogger("maquette.work")

NAP = 1.0
"""Seconds between two looks at a source while nothing there is known to be due sooner."""
BLINK = 0.05
"""Seconds between two looks at least: what is due but cannot be claimed (an index may lag, others
may be faster) is no work. It doubles, up to `NAP`, while that goes on."""
WIND_DOWN = 15.0
"""Seconds before the invocation's end at which nothing new is claimed."""
ALONE_PATIENCE = 30.0
"""Seconds that everything else may take to end, before what must run alone is given back."""


@dataclass(frozen=True, eq=False)
class Unit:
    """One piece of claimed work: how to do it, and how to give it back if it cannot be begun.

    `alone`: its workers have died before, so nothing else may run beside it.

    一项已领取的工作。
    """

    run: Callable[[], None]
    back: Callable[[], None] = lambda: None
    alone: bool = False


class Source(Protocol):
    """One kind of due work.

    `group` names the sources that are looked at again when one of this source's units has ended
    (a provider's, say). `threads` is how many units may run at once in this process. The loop stays
    for what is due later only where it is `lasting`. `needs` is how many seconds must be left to
    begin one.

    一类到期的工作。
    """

    name: str
    group: str
    threads: int
    lasting: bool
    needs: float

    def next_due(self) -> int | None:
        """When (ms) the first that lies here is due, by one query; None if nothing lies here.

        最近的到期时间。
        """

    def claim(self, room: int) -> int:
        """Take up to `room` units that are due, to be held until `start`; how many were found.

        领取到期的工作。
        """

    def start(self) -> Unit | None:
        """The next of those held that may run now.

        取出下一项可执行的工作。
        """

    def finish(self, unit: Unit) -> None:
        """A unit that was started has ended.

        一项工作结束。
        """

    def held(self) -> int:
        """How many are held and wait for nothing but a thread.

        已领取而等待线程的数量。
        """

    def hand_back(self) -> None:
        """Give back what is held, as if it had not been claimed.

        交还尚未开始的工作。
        """


class HeldUnits:
    """The part of a source that most share: what was claimed runs in the order it came.

    多数来源共用的先进先出队列。
    """

    def __init__(self) -> None:
        self._units: deque[Unit] = deque()

    def start(self) -> Unit | None:
        """The next of those held.

        取出下一项。
        """
        return self._units.popleft() if self._units else None

    def finish(self, unit: Unit) -> None:
        """Nothing to note.

        无需记录。
        """

    def held(self) -> int:
        """How many are held.

        已领取而未开始的数量。
        """
        return len(self._units)

    def hand_back(self) -> None:
        """Give back what is held.

        交还尚未开始的工作。
        """
        while self._units:
            self._units.popleft().back()


@dataclass(eq=False)
class _Track:
    """One source on its way through the loop; `look_at` is when (ms) to look at it again, `again`
    whether there is a reason to do so before leaving."""

    source: Source
    pool: Pool
    air: dict[Future[None], Unit] = field(default_factory=dict)
    look_at: int = 0
    looked: int = 0
    again: bool = False
    blink: float = BLINK
    due: int | None = None


@dataclass
class Loop:
    """Runs sources until nothing is due, or until the deadline.

    `sources` is asked anew every round. While `stay()` is true the loop waits for what becomes due
    later, as long as anything lasting lies anywhere; without it, for what is due within `patience`
    seconds. After it did something, or where `woken` says that there must be work, it looks once
    more before it leaves: an index may not show at once where a save has put a record.

    反复领取并执行各来源的工作，直到没有到期的或时间用完。
    """

    sources: Callable[[], Sequence[Source]]
    clock: Clock
    deadline: Deadline
    stay: Callable[[], bool] = lambda: False
    patience: float = 0.0
    woken: bool = False
    company: Company = field(default_factory=Company)
    alarm: Alarm = field(default_factory=Alarm)
    each_round: Callable[[], None] = lambda: None

    def run(self) -> int:
        """Work until there is nothing to do or no time to do it in; how many units ran.

        Raises StoreUnavailable where no source could be read even once: whoever runs this is to
        see that nothing was looked at.

        执行循环，返回完成的数量。
        """
        self._tracks: dict[str, _Track] = {}
        self._ears: Listener = self.alarm.listen()
        self._alone: deque[tuple[_Track, Unit]] = deque()
        self._alone_since = 0
        self._ran = 0
        self._news = False
        self._unread: StoreUnavailable | None = None
        self._has_read = False
        try:
            while self._round():
                pass
        finally:
            self._leave()
        if self._unread is not None and not self._has_read:
            raise self._unread
        return self._ran

    def _round(self) -> bool:
        """One look around; False when it is time to leave.

        循环一轮。
        """
        self.each_round()
        tracks = [self._track(source) for source in self.sources()]
        for track in tracks:
            self._look(track)
            self._start(track)
            self._let_go(track)
        self._run_alone()
        if self._busy():
            if self._ears.wait(self._pause(tracks, NAP), idle=False):
                self._look_soon(tracks)
            self._collect()
            return True
        return self._rest(tracks)

    def _track(self, source: Source) -> _Track:
        known = self._tracks.get(source.name)
        if known is None or known.source is not source:
            known = _Track(source, Pool(max(1, source.threads), source.name))
            self._tracks[source.name] = known
        return known

    def _look(self, track: _Track) -> None:
        """Claim what is due at a source, if there is room for it and it is time to look.

        领取到期的工作。
        """
        source, now = track.source, self.clock.now()
        room = source.threads - len(track.air) - source.held()
        room = min(room, self.company.room(source.name, source.threads))
        if room <= 0 or now < track.look_at or not self._has_time(track):
            return
        track.looked, track.again = now, False
        try:
            track.due = source.next_due()
            due_now = track.due is not None and track.due <= now
            taken = source.claim(room) if due_now else 0
        except StoreUnavailable as error:
            log.warning("%s: the queue could not be read: %s", source.name, error)
            track.due = track.look_at = now + round(NAP * 1000)
            self._unread = error
            return
        self._has_read = True
        if taken:
            self._news = True
            track.blink = BLINK
            # As much as was asked for: there may be more.
            track.again = taken >= room
            track.look_at = now if track.again else now + round(NAP * 250)
        elif due_now:
            track.look_at = now + round(track.blink * 1000)
            track.blink = min(NAP, 2 * track.blink)
        else:
            nap = now + round(NAP * 1000)
            track.look_at = nap if track.due is None else min(nap, track.due)
            track.blink = BLINK

    def _start(self, track: _Track) -> None:
        """Start the source's units while there are threads, room and time for them.

        开始执行工作单元。
        """
        source = track.source
        while (
            len(track.air) < source.threads
            and self.company.room(source.name, source.threads)
            and self._has_time(track)
            and (unit := source.start()) is not None
        ):
            if unit.alone:
                if not self._alone:
                    self._alone_since = self.clock.now()
                    self.company.wait()
                self._alone.append((track, unit))
            else:
                self.company.enter(source.name)
                self._submit(track, unit, lambda: self.company.leave(source.name))

    def _let_go(self, track: _Track) -> None:
        """Give back what there is no time to begin any more: nobody waits for it to begin."""
        if not self._has_time(track):
            if track.source.held():
                with suppress(StoreUnavailable):
                    track.source.hand_back()
            if any(waiting is track for waiting, _ in self._alone):
                self._give_back_alone()

    def _run_alone(self) -> None:
        """Begin what must run alone, once nothing else runs; give it back if that takes long.

        执行必须单独运行的工作。
        """
        if not self._alone:
            return
        if self.company.enter_alone():
            track, unit = self._alone.popleft()
            self._submit(track, unit, self.company.leave_alone)
            self._alone_since = self.clock.now()
        elif self.clock.now() - self._alone_since > ALONE_PATIENCE * 1000:
            self._give_back_alone()
            return
        if not self._alone:
            self.company.stop_waiting()

    def _give_back_alone(self) -> None:
        if self._alone:
            self.company.stop_waiting()
        while self._alone:
            track, unit = self._alone.popleft()
            unit.back()
            track.source.finish(unit)

    def _submit(self, track: _Track, unit: Unit, ended: Callable[[], None]) -> None:
        """Have a thread of the source's run a unit, in its turn.

        交给线程执行。
        """

        def run() -> None:
            try:
                with self.company.courtesy.turn():
                    unit.run()
            finally:
                ended()

        future = track.pool.submit(run)
        track.air[future] = unit
        future.add_done_callback(lambda _: self._ears.ring())

    def _busy(self) -> bool:
        return bool(self._alone) or any(
            track.air or track.source.held() for track in self._tracks.values()
        )

    def _collect(self) -> None:
        """Note what has ended, and look soon where it may have put something.

        收集已完成的工作。
        """
        groups: set[str] = set()
        for track in self._tracks.values():
            for future in [one for one in track.air if one.done()]:
                unit = track.air.pop(future)
                track.source.finish(unit)
                groups.add(track.source.group)
                self._ran += 1
                self._news = True
                if (error := future.exception()) is not None:
                    words = "a step stopped; its record is taken up again when its lease ends"
                    log.error(words, exc_info=error)
        self._look_soon([t for t in self._tracks.values() if t.source.group in groups])

    def _look_soon(self, tracks: Sequence[_Track]) -> None:
        now = self.clock.now()
        for track in tracks:
            track.again = True
            track.look_at = min(track.look_at, max(now, track.looked + round(BLINK * 1000)))

    def _has_time(self, track: _Track) -> bool:
        """Whether a source's unit could still be begun; if not, it is looked at no more."""
        return self.deadline.remaining() > track.source.needs

    def _pause(self, tracks: Sequence[_Track], longest: float) -> float:
        """Seconds until the next look that there is room and time for."""
        now = self.clock.now()
        free = [track for track in tracks if len(track.air) < track.source.threads]
        looks = [track.look_at for track in free if self._has_time(track)]
        soonest = (min(looks) - now) / 1000 if looks else longest
        return min(longest, max(BLINK, soonest))

    def _rest(self, tracks: Sequence[_Track]) -> bool:
        """Wait for what is due later; False if there is nothing, or nobody to wait for it.

        等待下一次到期。
        """
        now = self.clock.now()
        again = [track for track in tracks if track.again and self._has_time(track)]
        if again and self.deadline.remaining() > WIND_DOWN:
            self._ears.wait(self._pause(again, NAP), idle=True)
            return True
        dues = [t.due for t in tracks if t.source.lasting and t.due is not None]
        hopeful = self._news or self.woken
        if self.deadline.remaining() <= WIND_DOWN or not (dues or hopeful):
            return False
        stays = self.stay()
        if not stays and not self.patience:
            return False
        if not dues:
            self.woken = self._news = False
            dues = [now + round(NAP * 1000)]
            for track in tracks:
                track.look_at = max(track.look_at, dues[0])
        if not stays and min(dues) - now > self.patience * 1000:
            return False
        if self._ears.wait(min(self._pause(tracks, NAP), self.deadline.remaining()), idle=True):
            self._look_soon(tracks)
        return True

    def _leave(self) -> None:
        """Give back what was not begun, and wait for what was."""
        self._give_back_alone()
        for track in self._tracks.values():
            with suppress(StoreUnavailable):
                track.source.hand_back()
        for track in self._tracks.values():
            track.pool.shutdown()
        self._collect()
