"""Uploads over every store: whose they are, how many, until when."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from shared.errors import LimitReached, MaquetteError, NotFound
from shared.inputs.uploads import SECONDS, Announced, Upload, UploadRepository
from shared.store.base import Store
from shared.store.tables import UPLOADS
from tests.contract.test_store import adapter, place, settled, store
from tests.fakes import FakeClock

__all__ = ["adapter", "place", "store"]

PNG = Announced("image/png", 7, "ab" * 32, "椅子.png")
DAY = SECONDS * 1000


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def uploads(store: Store, clock: FakeClock) -> UploadRepository:
    return UploadRepository(store, clock, open_at_once=3)


def opened(uploads: UploadRepository, clock: FakeClock, caller: str = "shop") -> Upload:
    clock.advance(1)
    return uploads.open(caller, PNG)


def test_an_upload_is_read_as_it_was_announced(uploads: UploadRepository, clock: FakeClock) -> None:
    upload = opened(uploads, clock)
    assert uploads.get("shop", upload.id) == upload
    announced = (upload.media_type, upload.bytes, upload.sha256, upload.filename)
    assert announced == (PNG.media_type, PNG.bytes, PNG.sha256, PNG.filename)
    assert upload.expires_at - upload.created_at == DAY
    assert upload.key == f"uploads/{upload.id}/file.png"


def test_it_is_nobody_else_s_and_ends(uploads: UploadRepository, clock: FakeClock) -> None:
    upload = opened(uploads, clock)
    for caller, identifier in (("spy", upload.id), ("shop", "x"), ("shop", "0" * 26)):
        with pytest.raises(NotFound):
            uploads.get(caller, identifier)
    clock.advance(DAY - 1)
    uploads.get("shop", upload.id)
    clock.advance(1)
    with pytest.raises(NotFound):
        uploads.get("shop", upload.id)


def test_those_that_count_are_the_callers_own_open_ones(
    store: Store, uploads: UploadRepository, clock: FakeClock
) -> None:
    mine = [opened(uploads, clock) for _ in range(3)]
    settled(store)
    with pytest.raises(LimitReached):
        opened(uploads, clock)
    opened(uploads, clock, "another")
    uploads.delete("shop", mine[0].id)
    settled(store)
    last = opened(uploads, clock)
    settled(store)
    with pytest.raises(LimitReached):
        opened(uploads, clock)
    clock.advance(last.created_at + DAY - clock.now())
    for _ in range(3):  # those of yesterday are in the index still, and count no more
        opened(uploads, clock)
        settled(store)


def test_of_two_that_delete_one_both_find_it_gone(
    store: Store, uploads: UploadRepository, clock: FakeClock
) -> None:
    upload = opened(uploads, clock)

    def delete(_: int) -> type[Exception] | None:
        try:
            UploadRepository(store, clock).delete("shop", upload.id)
        except MaquetteError as error:
            return type(error)
        return None

    with ThreadPoolExecutor(4) as pool:
        outcomes = list(pool.map(delete, range(4)))
    assert outcomes.count(None) == 1
    with pytest.raises(NotFound):
        uploads.get("shop", upload.id)


def test_a_record_goes_after_its_day_by_the_sweep_or_by_itself(
    store: Store, uploads: UploadRepository, clock: FakeClock
) -> None:
    upload = opened(uploads, clock)
    assert store.expire(UPLOADS, upload.expires_at - 1, 9) == 0
    assert store.get(UPLOADS, upload.id) is not None
    gone = store.expire(UPLOADS, upload.expires_at, 9)  # 0 where the store does so by itself
    assert (store.get(UPLOADS, upload.id) is None) is (gone == 1)
