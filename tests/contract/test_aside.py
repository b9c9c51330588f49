"""Records that this code cannot read, or may not write, over every store: they concern nobody but
whoever asks for them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from shared.clock import new_id
from shared.deliveries import model as deliveries
from shared.deliveries import repository as delivery_records
from shared.deliveries.model import Delivery
from shared.errors import Unavailable
from shared.jobs.model import FORMAT, Job, JobInput
from shared.jobs.repository import IdempotencyKey, JobRepository
from shared.records import Unreadable
from shared.store.base import Lease, Record, Store
from shared.store.tables import DELIVERIES, IDEMPOTENCY, JOBS
from tests.contract.test_store import adapter, place, settled, store
from tests.fakes import FakeClock

__all__ = ["adapter", "place", "store"]

QUEUE = "step:tripo"
BROKEN: dict[str, Callable[[Record], Record]] = {
    "unreadable": lambda record: changed(record, status="dreaming"),
    "newer": lambda record: changed(record, format=FORMAT + 1),
    "newer, of an unknown status": lambda record: changed(
        record, format=FORMAT + 1, status="dreaming"
    ),
}


def changed(record: Record, **members: Any) -> Record:
    return replace(record, document={**record.document, **members})


class Shop:
    """Three jobs that are due, the second of which is spoilt, and what is told of it."""

    def __init__(self, store: Store, spoil: Callable[[Record], Record]) -> None:
        self.store = store
        self.clock = FakeClock()
        self.told: list[Unreadable] = []
        self.jobs = JobRepository(store, aside=self.told.append)
        self.ids = [self.create() for _ in range(3)]
        self.spoilt = self.ids[1]
        store.put(JOBS, spoil(store.get(JOBS, self.spoilt)))

    def create(self) -> str:
        self.clock.advance(1)
        now = self.clock.now()
        job = Job(
            new_id(self.clock), "text-to-3d", "tripo", "c", now, JobInput("x"), updated_at=now
        )
        return self.jobs.create(replace(job, due_at=now), None).id

    def claim(self) -> list[str]:
        now = self.clock.now()
        settled(self.store)
        claimed = self.jobs.claim(QUEUE, now, lambda _: Lease(now + 1000, counted=True), 9)
        return [job.id for job in claimed]


@pytest.fixture(params=list(BROKEN))
def shop(store: Store, request: pytest.FixtureRequest) -> Shop:
    return Shop(store, BROKEN[request.param])


def test_a_claim_leaves_it_alone_and_takes_all_others(shop: Shop) -> None:
    before = shop.store.get(JOBS, shop.spoilt)
    assert shop.claim() == [shop.ids[0], shop.ids[2]]
    left = shop.store.get(JOBS, shop.spoilt)
    assert [error.key for error in shop.told] == [shop.spoilt]
    assert left.document == before.document
    assert (left.claims, left.due_at > shop.clock.now()) == (0, True)
    shop.clock.advance(1500)
    assert shop.claim() == [shop.ids[0], shop.ids[2]], "it is in nobody's way"
    assert len(shop.told) == 1


def test_lists_pass_over_what_cannot_be_read(shop: Shop) -> None:
    settled(shop.store)
    page = shop.jobs.page("c", status=None, kind=None, limit=9, after=None, newest_first=False)
    unreadable = shop.store.get(JOBS, shop.spoilt).document["status"] == "dreaming"
    expected = [shop.ids[0], shop.ids[2]] if unreadable else shop.ids
    assert [job.id for job in page.jobs] == expected
    parts = []
    after = None
    for _ in range(4):
        part = shop.jobs.page("c", status=None, kind=None, limit=1, after=after, newest_first=False)
        parts += [job.id for job in part.jobs]
        after = part.last_seen
        if not part.has_more:
            break
    assert parts == expected


def test_who_asks_for_it_is_told_to_ask_later(shop: Shop) -> None:
    document = shop.store.get(JOBS, shop.spoilt).document
    code = "record_newer" if document["format"] > FORMAT else "record_unreadable"
    if document["status"] == "dreaming":
        with pytest.raises(Unavailable) as refusal:
            shop.jobs.get(shop.spoilt)
        assert refusal.value.code == code
    else:
        job = shop.jobs.get(shop.spoilt)
        with pytest.raises(Unavailable) as refusal:
            shop.jobs.save(job, replace(job, progress=1))
        assert refusal.value.code == "record_newer"
        with pytest.raises(Unavailable):
            shop.jobs.save_retry(job, replace(job, retried_as="x"), replace(job, id="y"))
    assert "dreaming" not in str(refusal.value)


def test_one_delivery_that_cannot_be_read_stops_no_other(store: Store) -> None:
    spoil = [BROKEN[name] for name in BROKEN]
    told: list[Unreadable] = []
    for number, change in enumerate([*spoil, lambda record: record]):
        delivery = Delivery(f"d{number}", "j", "https://x.example", "e", "{}", 1, due_at=5)
        record = deliveries.to_record(replace(delivery, caller="c"))
        store.put(DELIVERIES, change(record))
    settled(store)
    claimed = delivery_records.claim(
        store, 9, now=9, choose=lambda _: Lease(99, counted=True), aside=told.append
    )
    assert [delivery.id for delivery in claimed.leased] == ["d3"]
    assert sorted((error.key, error.reason) for error in told) == [
        ("d0", "unreadable"),
        ("d1", "newer"),
        ("d2", "newer"),
    ]
    assert [store.get(DELIVERIES, f"d{number}").claims for number in range(4)] == [0, 0, 0, 1]


def test_an_idempotency_record_that_cannot_be_read_is_no_other_request(store: Store) -> None:
    store.put(IDEMPOTENCY, Record("k", {"job_id": 7}))
    with pytest.raises(Unavailable):
        JobRepository(store).known_key(IdempotencyKey("k", "print"))
