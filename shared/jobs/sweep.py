"""The sweep: what no job needs goes, a bounded part of the bucket at a time.

Left behind are inputs of a POST that was killed before it wrote its job, copies of a worker that
died or came too late, what a delete did not finish, writes that never ended, callers' uploads past
their time, and records past theirs. One record says when the next sweep is and how far the last one
came, so that many polls and restarts share one round through the bucket.

清扫：分批删除不再被任何任务需要的东西。
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from shared.buckets.base import Bucket, BucketUnavailable
from shared.clock import Clock, Deadline, time_of
from shared.errors import Unavailable
from shared.inputs import uploads
from shared.jobs.family import AREAS, Family, family_of, left_over, owner_of
from shared.jobs.model import Job
from shared.jobs.repository import JobRepository
from shared.store.base import Conflict, Record, Store, StoreUnavailable
from shared.store.tables import IDEMPOTENCY, RUNNERS, UPLOADS

log = logging.getLogger("maquette.sweep")

EVERY = 600.0
"""Seconds between two sweeps: what is left behind costs storage, and nothing else."""
YOUNG = 3600.0
"""Age in seconds from which on an id without a job is nobody's. Inputs are kept before their job
is written, by a request of 15 minutes at most (the longest that a function of any cloud lasts);
the rest is for clocks that differ."""
UPLOAD_AGE = 24 * 3600.0
"""Age in seconds at which a write that has not ended never will; no invocation lasts as long."""
REQUESTS = 500
"""Requests to store and bucket that one sweep may make for each area, and a few for the last job:
some seconds. A day's sweeps look through 50,000 jobs and more."""
PAGE = 200
"""Keys in one list."""
RECORDS = 1000
"""Records of each kind, and unfinished writes, that one sweep removes at most."""
_NEEDS = 15.0
"""Seconds of its invocation that a sweep leaves."""
_KEY = "sweep"


@dataclass(frozen=True)
class Swept:
    """What a sweep has removed: objects, unfinished writes, records.

    一次清扫的结果。
    """

    objects: int = 0
    uploads: int = 0
    records: int = 0


def sweep(
    store: Store, jobs: JobRepository, bucket: Bucket, clock: Clock, deadline: Deadline
) -> Swept | None:
    """Sweep a part of what there is, if it is time to; None if it is not, or somebody else does.

    Never fails: where the store or the bucket does not answer, the next sweep goes on.

    执行一次清扫。
    """
    try:
        turn = _Turn.take(store, clock)
        if turn is None:
            return None
        round_ = _Round(jobs, bucket, clock, deadline)
        for area in (*AREAS, uploads.AREA):
            turn.places[area] = round_.through(area, turn.places.get(area))
        now = clock.now()
        unfinished = bucket.clear_uploads(now - round(UPLOAD_AGE * 1000), limit=RECORDS)
        records = sum(store.expire(table, now, RECORDS) for table in (IDEMPOTENCY, UPLOADS))
        swept = Swept(round_.removed, unfinished, records)
        turn.leave(store)
    except (StoreUnavailable, BucketUnavailable, Conflict) as error:
        log.warning("the sweep stopped: %s", error)
        return None
    except Exception:  # whatever it meets, the poll beside it goes on
        log.exception("the sweep failed")
        return None
    if swept != Swept():
        log.info("nobody needed these: %s", swept)
    return swept


@dataclass
class _Turn:
    """One sweep's turn: the record, which nobody else may sweep by until it is due again, and how
    far each area has been looked through (None: begin anew)."""

    record: Record
    places: dict[str, str | None]

    @classmethod
    def take(cls, store: Store, clock: Clock) -> _Turn | None:
        """The turn to sweep, if it is time and nobody else has taken it.

        取得一次清扫的机会。
        """
        seen = store.get(RUNNERS, _KEY)
        kept = seen.document if seen is not None else {}
        now, due = clock.now(), kept.get("next_at")
        # A time too far ahead was written by a clock that is off.
        if isinstance(due, int) and now < due <= now + 2 * round(EVERY * 1000):
            return None
        places = kept.get("places")
        document: dict[str, Any] = {
            "next_at": now + round(EVERY * 1000),
            "places": places if isinstance(places, dict) else {},
        }
        version = seen.version if seen is not None else 0
        try:
            taken = store.put(RUNNERS, Record(_KEY, document, version=version))
        except Conflict:
            return None
        return cls(taken, dict(document["places"]))

    def leave(self, store: Store) -> None:
        document = {**self.record.document, "places": self.places}
        store.put(RUNNERS, Record(_KEY, document, version=self.record.version))


@dataclass
class _Round:
    """One walk through a part of each area."""

    jobs: JobRepository
    bucket: Bucket
    clock: Clock
    deadline: Deadline
    removed: int = 0
    _left: int = 0
    _families: dict[str, Family | None] = field(default_factory=dict)

    def through(self, area: str, after: str | None) -> str | None:
        """Look through an area from a key on; the key to go on from, None once it is at its end.

        清扫一个区域。
        """
        self._left = REQUESTS
        while True:
            self._left -= 1
            page = self.bucket.keys(f"{area}/", after=after, limit=PAGE)
            for _, keys in groupby(page, _folder_of):
                if self._left <= 0 or self.deadline.remaining() <= _NEEDS:
                    return after
                for key in keys:
                    if self._is_left_over(key):
                        self._left -= 1
                        self.bucket.delete(key)
                        self.removed += 1
                    after = key
            if len(page) < PAGE:
                return None

    def _is_left_over(self, key: str) -> bool:
        """Whether nobody needs an object, as far as that is known.

        对象是否已无人需要。
        """
        owner, young, now = owner_of(key), round(YOUNG * 1000), self.clock.now()
        if owner is None:
            return uploads.ended(key, now, young)
        made_at = time_of(owner)
        if made_at is None or now - made_at < young:
            return False
        if owner not in self._families:
            self._families[owner] = self._read(owner)
        family = self._families[owner]
        return family is not None and left_over(key, family)

    def _read(self, owner: str) -> Family | None:
        """The family of a job, empty for one that does not exist, None if it cannot be read."""
        try:
            job = self._get(owner)
            return family_of(job, self._get) if job is not None else ()
        except Unavailable:  # newer code knows what this job needs
            return None

    def _get(self, job_id: str) -> Job | None:
        self._left -= 1
        return self.jobs.get(job_id)


def _folder_of(key: str) -> str:
    return "/".join(key.split("/")[:2])
