"""Webhooks are listed and sent again, each under its own id, and only to whom they belong."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from shared.clock import Deadline, iso, new_id
from shared.deliveries.model import Delivery, DeliveryStatus, Try, from_record, to_record
from shared.deliveries.repository import save
from shared.store.tables import DELIVERIES
from tests.functions.gateway import Answer, call, get, post_json
from tests.functions.house import Build, House, created, finished
from tests.receivers import Receiver, answer

KEYS = "alice:alice-key-0123456789,bob:bob-key-0123456789012"
ALICE = {"authorization": "Bearer alice-key-0123456789"}
BOB = {"authorization": "Bearer bob-key-0123456789012"}
HOOK = "https://shop.example.com/hook"
REPLAY = "/api/v1/deliveries/replay"


def kept(house: House, name: str) -> Delivery:
    record = house.bundle.store.get(DELIVERIES, name)
    assert record is not None
    return from_record(record)


def add(
    house: House, status: DeliveryStatus = DeliveryStatus.DEAD, caller: str = "", **changes: Any
) -> Delivery:
    """One more delivery, made now, that was tried once."""
    now = house.clock.now()
    values: dict[str, Any] = {
        "id": new_id(house.clock),
        "job_id": "job_1",
        "url": HOOK,
        "event": "job.succeeded",
        "body": "{}",
        "created_at": now,
        "caller": caller or owner(house),
        "status": status,
        "tries": (Try(now, 500, None, 5),),
        "due_at": now + 3_600_000 if status is DeliveryStatus.PENDING else None,
        **changes,
    }
    made = Delivery(**values)
    assert save(house.bundle.store, made)
    return made


def owner(house: House) -> str:
    """Whose jobs are without API keys."""
    return house.job(created()["id"]).caller


def again(job: dict[str, Any], name: str, **more: Any) -> Answer:
    return call("POST", f"/api/v1/jobs/{job['id']}/deliveries/{name}/replay", **more)


def test_a_delivered_webhook_is_sent_again_under_the_same_id(build_house: Build) -> None:
    house = build_house(callback_hosts="127.0.0.1")
    with Receiver(answer(200)) as receiver:
        job = finished(house, callback_url=receiver.url())
        house.bundle.deliveries.run(Deadline.after(60))
        (delivery,) = get(f"/api/v1/jobs/{job['id']}/deliveries").json["data"]
        assert delivery["status"] == "delivered"
        house.woken.clear()
        shown = again(job, delivery["id"])
        assert shown.status == 202
        assert (shown.json["status"], shown.json["tries"]) == ("pending", [])
        assert shown.json["next_try_at"] == iso(house.clock.now())
        assert house.woken == ["callback"]
        house.bundle.deliveries.run(Deadline.after(60))
    first, second = receiver.requests
    assert first.headers["webhook-id"] == second.headers["webhook-id"] == delivery["id"]
    assert first.body == second.body
    assert kept(house, delivery["id"]).status is DeliveryStatus.DELIVERED


def test_a_replay_has_a_whole_schedule_before_it_and_asking_twice_begins_one(
    house: House,
) -> None:
    job = created()
    dead = add(house, job_id=job["id"], tries=(Try(1, 500, None, 1),) * 10)
    first, second = again(job, dead.id), again(job, dead.id)
    assert first.json == second.json
    assert (kept(house, dead.id).tries, kept(house, dead.id).version) == ((), dead.version + 2)


def test_one_that_waits_for_its_next_try_is_sent_at_once(house: House) -> None:
    job = created()
    waiting = add(house, DeliveryStatus.PENDING, job_id=job["id"])
    assert again(job, waiting.id).json["next_try_at"] == iso(house.clock.now())


def test_asked_for_by_many_at_once_it_is_begun_once(house: House) -> None:
    job = created()
    dead = add(house, job_id=job["id"])
    with ThreadPoolExecutor(8) as pool:
        shown = list(pool.map(lambda _: again(job, dead.id), range(8)))
        ranged = list(pool.map(lambda _: post_json(REPLAY, {}), range(4)))
    assert {one.status for one in shown} == {202}
    assert sum(one.json["replayed"] for one in ranged) == 0
    assert kept(house, dead.id).version == dead.version + 2


@pytest.mark.parametrize("name", ["0" * 26, "1", "%00", "..%2f..", "%F0%9F%98%80", "x" * 2000])
def test_a_delivery_that_is_not_there_is_not_found(house: House, name: str) -> None:
    answer = again(created(), name)
    assert answer.status == 404, answer.body
    assert len(answer.body) < 2000


def test_a_delivery_of_another_job_or_caller_is_not_found(build_house: Build) -> None:
    house = build_house(api_keys=KEYS)
    mine = post_json("/api/v1/models", {"prompt": "a cup"}, headers=ALICE).json
    other = post_json("/api/v1/models", {"prompt": "a jug"}, headers=ALICE).json
    dead = add(house, caller="alice", job_id=mine["id"])
    assert again(mine, dead.id, headers=BOB).error["code"] == "job_not_found"
    assert again(other, dead.id, headers=ALICE).error["code"] == "delivery_not_found"
    assert kept(house, dead.id).status is DeliveryStatus.DEAD
    assert again(mine, dead.id, headers=ALICE).status == 202


def test_one_that_newer_code_has_written_is_left_to_it(house: House) -> None:
    job = created()
    record = to_record(add(house, job_id=job["id"]))
    newer = replace(record, document={**record.document, "format": 99}, version=1)
    house.bundle.store.put(DELIVERIES, newer)
    answer = again(job, record.key)
    assert (answer.status, answer.json["retryable"]) == (503, True)
    assert post_json(REPLAY, {}).json == {"replayed": 0, "has_more": False, "next": None}


def test_a_range_replays_the_callers_own_of_that_status_and_time_only(build_house: Build) -> None:
    house = build_house(api_keys=KEYS)
    made: dict[str, Delivery] = {}
    for name in ("early", "first", "last", "late"):
        made[name] = add(house, caller="alice")
        house.clock.advance(1000)
    made["delivered"] = add(house, DeliveryStatus.DELIVERED, caller="alice")
    made["theirs"] = add(house, caller="bob")
    asked = {"since": iso(made["first"].created_at), "until": iso(made["last"].created_at)}
    house.woken.clear()
    answer = post_json(REPLAY, asked, headers=ALICE)
    assert (answer.status, answer.json) == (202, {"replayed": 2, "has_more": False, "next": None})
    assert house.woken == ["callback"]
    changed = [name for name, one in made.items() if kept(house, one.id).tries == ()]
    assert changed == ["first", "last"]
    assert {kept(house, made[name].id).due_at for name in changed} == {house.clock.now()}
    # Once more: there is nothing left to do, and nobody to wake.
    assert post_json(REPLAY, asked, headers=ALICE).json["replayed"] == 0
    assert house.woken == ["callback"]
    assert post_json(REPLAY, {"status": "delivered"}, headers=ALICE).json["replayed"] == 1


@pytest.mark.parametrize("status", ["dead", "delivered", "pending"])
def test_a_range_is_gone_through_call_by_call(house: House, status: str) -> None:
    caller = owner(house)
    names = []
    for _ in range(7):
        names.append(add(house, DeliveryStatus(status), caller=caller).id)
        house.clock.advance(10)
    counts, after = [], None
    for more in (True, True, False):
        asked = {"status": status, "limit": 3, **({"after": after} if after else {})}
        done = post_json(REPLAY, asked).json
        counts.append(done["replayed"])
        after = done["next"]
        assert (done["has_more"], after is not None) == (more, more)
    assert counts == [3, 3, 1]
    assert all(kept(house, name).tries == () for name in names)


@pytest.mark.parametrize(
    ("asked", "param"),
    [
        ({"status": "lost"}, "status"),
        ({"since": 1_800_000_000}, "since"),
        ({"since": "1800000000"}, "since"),
        ({"since": "2026-11-21"}, "since"),
        ({"since": "2026-11-21T21:00:00"}, "since"),
        ({"until": "2026-13-21T21:00:00Z"}, "until"),
        ({"since": "2026-11-21T21:00:01Z", "until": "2026-11-21T21:00:00Z"}, "until"),
        ({"limit": 0}, "limit"),
        ({"limit": 101}, "limit"),
        ({"after": "\x00"}, "after"),
        ({"after": "x" * 65}, "after"),
        ({"job_id": "1"}, "job_id"),
    ],
)
def test_a_range_that_is_none_is_refused_by_name(
    house: House, asked: dict[str, Any], param: str
) -> None:
    answer = post_json(REPLAY, asked)
    assert (answer.status, answer.error["param"]) == (400, param)


@pytest.mark.parametrize("since", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_the_ends_of_time_are_bounds_like_any_other(house: House, since: str) -> None:
    add(house)
    expected = 1 if since.startswith("0001") else 0
    assert post_json(REPLAY, {"since": since}).json["replayed"] == expected
