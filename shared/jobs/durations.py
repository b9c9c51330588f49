"""How long tasks take, learned from those that ended: one record, written by the leader alone.

A process learns of every end that it sees. Whoever leads keeps what it has learned now and then;
the others read it, and what they see ended meanwhile only they know. It holds numbers and nothing
of any job. Whatever is wrong with it, looking goes on as if nothing were known.

从已结束的任务学习各类任务的耗时；只有值守者写入记录。
"""

from __future__ import annotations

import logging
import math
import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from shared.jobs.estimate import NOTHING, Past, past_of, quantiles
from shared.jobs.lifecycle.scheduling import word_of
from shared.jobs.model import Job
from shared.store.base import Conflict, Record, Store, StoreUnavailable
from shared.store.tables import RUNNERS

log = logging.getLogger("maquette.jobs")

KINDS = 64
"""Kinds of task that are remembered, the last ones of which a task ended."""
KEPT = 48
"""Ends that are remembered of each kind: by their number it is forgotten what is over."""
_AGEING = 0.97
"""What an end counts, of what the next one counts: the speed of a provider changes."""
_LEARN = 5_000
"""Milliseconds between two times that something is learned ..."""
_AT_ONCE = 4
"""... of so many ends at most: a crowd of tasks that begin and end together is one occasion, and
must not make all be forgotten that was known before."""
_WRITE = 20_000
"""Milliseconds between two writes: a leader leads for a minute, maybe."""
_READ = 60_000
"""Milliseconds between two looks at what the leader has learned."""
_WATCHED = 20_000
"""Tasks remembered for when they were last seen running."""
_FRESH = 1_000
"""Ends of a kind that may wait to be learned from."""
_LONGER = 1.3
"""A task that is late counts again when it has run so many times as long ..."""
_MUCH_LONGER = 1.5
"""... as one that will take so many times as long."""
_NAME = 80
_TINY = 0.05
_FORMAT = 1
_LONGEST = 30 * 24 * 3600.0
_FARTHEST = 1.5
"""The error of a task's own word, a logarithm, that counts at most."""
_KEY = "durations"

Kind = tuple[str, str, str]
"""What tasks are alike: provider, kind, and the model that was asked for, empty without one."""


_End = tuple[float, float | None]
"""How many seconds a task took, and the error of its own word (None: it gave none)."""


class _Ends:
    """The last ends of one kind, and what they come to (None: to be worked out anew)."""

    def __init__(self, seconds: Sequence[float] = (), errors: Sequence[float] = ()) -> None:
        self.seconds = deque(seconds, KEPT)
        self.errors = deque(errors, KEPT)
        self.past: Past | None = None

    def add(self, took: float, error: float | None) -> None:
        """One more task has ended.

        记入一次结束。
        """
        self.seconds.append(took)
        if error is not None:
            self.errors.append(error)
        self.past = None

    def known(self) -> Past:
        """What these ends come to.

        由这些结束推得的分布。
        """
        if self.past is None:
            weights = [_AGEING**age for age in reversed(range(len(self.seconds)))]
            self.past = past_of(quantiles(self.seconds, weights), self.errors)
        return self.past


class Durations:
    """What is known of the durations of tasks; one for all threads of a process. Never fails.

    各类任务耗时的知识。
    """

    def __init__(self, store: Store | None = None) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._known: OrderedDict[Kind, _Ends] = OrderedDict()
        self._fresh: dict[Kind, list[_End]] = {}
        self._late: dict[Kind, list[_End]] = {}
        self._running: OrderedDict[str, tuple[int, float]] = OrderedDict()
        self._unwritten: int | None = None
        self._learned_at = self._written_at = 0
        self._read_at: int | None = None
        self._version = 0
        self._is_newer = False

    def of(self, job: Job) -> Past:
        """What is known of tasks like a job's.

        同类任务的历史。
        """
        with self._lock:
            ends = self._known.get(kind_of(job))
            return NOTHING if ends is None else ends.known()

    def runs(self, job: Job, now: int) -> None:
        """A job's task was seen running at `now` (ms).

        记下仍在运行的任务。
        """
        elapsed = 0.0 if job.started_at is None else (now - job.started_at) / 1000
        kind = kind_of(job)
        with self._lock:
            _, noted = self._running.pop(job.id, (0, 0.0))
            known = self._known.get(kind)
            if known is not None and elapsed > max(known.known().late_from(), _LONGER * noted):
                _append(self._late.setdefault(kind, []), (_MUCH_LONGER * elapsed, None))
                noted = elapsed
            self._running[job.id] = now, noted
            while len(self._running) > _WATCHED:
                self._running.popitem(last=False)

    def ended(self, job: Job, now: int, told: float | None = None) -> None:
        """The task of a job, as the job was while it ran, was seen done at `now` (ms). `told` is
        how many seconds it took as the provider has it; without that it is half-way between the
        last two looks.

        记下任务的耗时。
        """
        with self._lock:
            seen, _ = self._running.pop(job.id, (None, 0.0))
        took = _took(job, seen, now, told)
        if took is None:
            return
        end = (took, _error(job, took))
        with self._lock:
            _append(self._fresh.setdefault(kind_of(job), []), end)

    def refresh(self, now: int, leads: Callable[[], bool], *, at_once: bool = False) -> None:
        """Learn from what has ended, and now and then write that down, or read what the leader has
        written; costs nothing while nothing is new. `leads` is asked before a write alone.

        学习，并定期写入或读取。
        """
        store = self._store
        try:
            if store is not None and self._read_at is None:
                self._read(store, now)
            self._learn(now, at_once)
            if store is not None:
                self._share(store, now, leads, at_once)
        except StoreUnavailable as error:
            log.info("what is known of durations could not be read or kept: %s", error)

    def _share(self, store: Store, now: int, leads: Callable[[], bool], at_once: bool) -> None:
        """Write, or read, if it is time to."""
        if self._unwritten is not None and (at_once or now - self._written_at >= _WRITE):
            self._write(store, now, leads)
        # What nobody here may write is forgotten: the leader knows better.
        since = self._read_at if self._unwritten is None else self._unwritten
        if since is None or now - since >= _READ:
            self._read(store, now)

    def _learn(self, now: int, at_once: bool) -> None:
        """Take in the ends since the last time, a few of many, spread evenly.

        吸收新结束的任务。
        """
        if not self._fresh or (now - self._learned_at < _LEARN and not at_once):
            return
        self._learned_at = now
        with self._lock:
            fresh, self._fresh = self._fresh, {}
            late, self._late = self._late, {}
            for kind, new in fresh.items():
                ends = self._known.setdefault(kind, _Ends())
                self._known.move_to_end(kind)
                # Of tasks that began together the short ones end first: they are not all there is.
                if len(late.get(kind, ())) > len(new):
                    new = [*new, *late[kind]]
                number = min(len(new), _AT_ONCE)
                for took, error in (new[at * len(new) // number] for at in range(number)):
                    ends.add(took, error)
            while len(self._known) > KINDS:
                self._known.popitem(last=False)
        self._unwritten = self._unwritten or now

    def _read(self, store: Store, now: int) -> None:
        """Know what is on record, in place of what this process has learned.

        读取记录。
        """
        self._read_at = now
        record = store.get(RUNNERS, _KEY)
        self._version = record.version if record is not None else 0
        self._is_newer = record is not None and _is_newer(record)
        if self._is_newer:
            return
        with self._lock:
            if record is not None:
                self._known = OrderedDict(_entries(record))
        self._unwritten = None

    def _write(self, store: Store, now: int, leads: Callable[[], bool]) -> None:
        """Put down what is known, if this one leads; whoever has written since knows better.

        由值守者写入记录。
        """
        if self._is_newer or not leads():
            return
        self._written_at = now
        with self._lock:
            kinds = [_entry(kind, ends) for kind, ends in self._known.items()]
        document = {"format": _FORMAT, "kinds": kinds}
        try:
            record = store.put(RUNNERS, Record(_KEY, document, version=self._version))
        except Conflict:
            self._read(store, now)
            return
        self._version, self._unwritten = record.version, None


def _append(ends: list[_End], end: _End) -> None:
    if len(ends) < _FRESH:
        ends.append(end)


def kind_of(job: Job) -> Kind:
    """What a job's task is like.

    任务的类别。
    """
    model = job.input.options.get("model")
    return job.provider, job.kind, model[:_NAME] if isinstance(model, str) else ""


def _took(job: Job, seen: int | None, now: int, told: float | None) -> float | None:
    """The seconds a task took that was last seen running at `seen`, and done at `now`; None if that
    is not known.

    任务的耗时。
    """
    begun = job.started_at
    if begun is None:
        return None
    if job.pace is not None:
        seen = max(seen or 0, job.pace.seen_at)
    # Others have looked before, who knows when.
    if seen is None and told is None and job.receipt.checks + job.looks > 1:
        return None
    least, most = ((seen or begun) - begun) / 1000, (now - begun) / 1000
    if not 0.0 <= least <= most <= _LONGEST or most <= 0.0:
        return None
    return (least + most) / 2 if told is None else min(max(told, least), most)


def _error(job: Job, took: float) -> float | None:
    """How far off a task's own word was when it was last saved, as a logarithm; None if it had said
    nothing. What its own count could not tell, or a fiftieth of the whole, is no error.

    任务自报剩余时间的误差。
    """
    if job.pace is None or job.started_at is None:
        return None
    at = job.pace.seen_at if job.pace.ends_at is None else job.updated_at
    word = word_of(job, at, 0.0)
    if word is None:
        return None
    told, left = max(word.left, _TINY), took - (at - job.started_at) / 1000
    gap = max(0.0, abs(left - told) - max(word.grain, took / 50))
    error = math.log(max(told + math.copysign(gap, left - told), _TINY) / told)
    return min(max(error, -_FARTHEST), _FARTHEST)


def _entry(kind: Kind, ends: _Ends) -> dict[str, Any]:
    return {
        "provider": kind[0],
        "kind": kind[1],
        "model": kind[2],
        "seconds": [float(f"{second:.4g}") for second in ends.seconds],
        "errors": [round(error, 2) for error in ends.errors],
    }


def _is_newer(record: Record) -> bool:
    written = record.document.get("format", 1)
    return isinstance(written, int) and written > _FORMAT


def _entries(record: Record) -> Iterator[tuple[Kind, _Ends]]:
    """The kinds on record; what makes no sense there is left out.

    读取记录中的各类任务。
    """
    listed = record.document.get("kinds")
    for item in listed[-KINDS:] if isinstance(listed, list) else ():
        if not isinstance(item, Mapping):
            continue
        names = [item.get(name) for name in ("provider", "kind", "model")]
        seconds = _numbers(item.get("seconds"), 0.0, _LONGEST)
        if seconds and all(isinstance(name, str) and len(name) <= _NAME for name in names):
            errors = _numbers(item.get("errors"), -_FARTHEST, _FARTHEST)
            provider, kind, model = map(str, names)
            yield (provider, kind, model), _Ends(seconds, errors)


def _numbers(given: Any, low: float, high: float) -> list[float]:
    listed = given[-KEPT:] if isinstance(given, list) else []
    return [
        float(one)
        for one in listed
        if isinstance(one, int | float) and not isinstance(one, bool) and low <= one <= high
    ]
