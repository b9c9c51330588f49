"""Reading, listing, cancelling, retrying and deleting jobs; results, artifacts, deliveries.

任务接口的测试。
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from shared.jobs.presentation import present
from tests.functions.gateway import call, get, post_form, post_json
from tests.functions.house import Build, House, created, finished
from tests.functions.pictures import picture
from tests.providers import triangle

NOBODY = "0" * 26


def test_a_job_runs_through_and_its_result_is_described(house: House) -> None:
    job = finished(house)
    answer = get(f"/api/v1/models/{job['id']}/result")
    assert answer.status == 200
    result = answer.json
    assert (result["status"], result["format"], result["size"]) == (
        "succeeded",
        "glb",
        len(triangle()),
    )
    assert result["facts"]["triangles"] == 1
    assert result["link"] == next(a["url"] for a in result["artifacts"] if a["role"] == "model")
    assert result["preview"] == next(
        a["url"] for a in result["artifacts"] if a["role"] == "preview"
    )
    assert result["generation_seconds"] >= 0
    assert "retry-after" not in answer.headers


def test_a_receipt_names_the_task_and_what_this_very_job_cost(house: House) -> None:
    shown = finished(house)
    job = house.job(shown["id"])
    assert shown["receipt"]["task_id"] == job.task_id is not None
    assert (shown["receipt"]["creates"], shown["receipt"]["checks"]) == (1, 1)
    newer = {"of": "what this code does not know"}
    priced = replace(job, receipt=replace(job.receipt, provider_credits=30.0, busy=2, extra=newer))
    assert present(priced, house.bundle.links)["receipt"] == {
        "task_id": job.task_id,
        "creates": 1,
        "busy": 2,
        "checks": 1,
        "provider_credits": 30.0,
    }
    # Its retry took the same task over: nothing was made, and nothing paid, once more.
    adopted = replace(priced, retry_of=job.id, receipt=replace(priced.receipt, creates=0))
    receipt = present(adopted, house.bundle.links)["receipt"]
    assert (receipt["task_id"], receipt["provider_credits"]) == (job.task_id, None)


def test_status_is_short_and_says_when_to_look_again(build_house: Build) -> None:
    house = build_house(instant=False)
    job = created()
    house.carry(2)
    answer = get(f"/api/v1/models/{job['id']}/status")
    assert set(answer.json) == {
        "id",
        "status",
        "progress",
        "eta_seconds",
        "created_at",
        "updated_at",
    }
    assert answer.json["status"] == "running"
    assert 1 <= int(answer.headers["retry-after"]) <= 120


@pytest.mark.parametrize("age", [0, 60, 3_000, 80_000])
def test_retry_after_is_a_whole_number_up_to_120_at_any_age(house: House, age: int) -> None:
    job = created()
    house.clock.advance(age * 1000)
    value = get(f"/api/v1/jobs/{job['id']}").headers["retry-after"]
    assert value.isdecimal()
    assert 1 <= int(value) <= 120


def test_the_result_of_an_unfinished_job_is_a_conflict_that_passes(house: House) -> None:
    answer = get(f"/api/v1/models/{created()['id']}/result")
    assert (answer.status, answer.json["retryable"]) == (409, True)
    assert answer.error["code"] == "not_finished"
    assert int(answer.headers["retry-after"]) <= 120


def test_the_result_of_a_failed_job_is_a_conflict_that_stays_and_says_why(house: House) -> None:
    job = created("refuse me")
    house.carry()
    answer = get(f"/api/v1/models/{job['id']}/result")
    assert (answer.status, answer.json["retryable"]) == (409, False)
    shown = get(f"/api/v1/jobs/{job['id']}").json
    assert shown["status"] == "failed"
    assert answer.error["code"] == shown["error"]["code"]
    assert answer.json["job"]["error"] == shown["error"]
    assert "retry-after" not in answer.headers


def test_the_result_of_a_canceled_job_is_a_conflict_that_stays(house: House) -> None:
    job = created()
    canceled = call("POST", f"/api/v1/jobs/{job['id']}/cancel")
    assert (canceled.status, canceled.json["status"]) == (200, "canceled")
    answer = get(f"/api/v1/models/{job['id']}/result")
    assert (answer.status, answer.json["retryable"]) == (409, False)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/v1/jobs/{}"),
        ("DELETE", "/api/v1/jobs/{}"),
        ("POST", "/api/v1/jobs/{}/cancel"),
        ("POST", "/api/v1/jobs/{}/retry"),
        ("GET", "/api/v1/jobs/{}/deliveries"),
        ("GET", "/api/v1/models/{}/status"),
        ("GET", "/api/v1/models/{}/result"),
    ],
)
@pytest.mark.parametrize("name", [NOBODY, "1", "%00", "..%2f..", "%F0%9F%98%80", "x" * 2000])
def test_a_job_that_is_not_there_is_not_found(
    house: House, method: str, path: str, name: str
) -> None:
    answer = call(method, path.format(name))
    assert answer.status == 404, answer.body
    assert len(answer.body) < 2000


def test_lists_go_through_all_jobs_in_both_orders(house: House) -> None:
    ids = []
    for number in range(5):
        house.clock.advance(10)
        ids.append(created(f"cup {number}")["id"])
    for order, expected in (("asc", ids), ("desc", ids[::-1])):
        seen: list[str] = []
        after = ""
        while True:
            page = get(f"/api/v1/jobs?limit=2&order={order}{after}").json
            seen += [job["id"] for job in page["data"]]
            assert page["first_id"] == page["data"][0]["id"]
            if not page["has_more"]:
                break
            after = f"&after={page['last_id']}"
        assert seen == expected


def test_lists_can_be_narrowed_by_status_and_kind(house: House) -> None:
    text = created()
    image = post_form("/api/v1/models", files=[("image", picture())]).json
    call("POST", f"/api/v1/jobs/{text['id']}/cancel")

    def listed(query: str) -> list[str]:
        return [job["id"] for job in get(f"/api/v1/jobs?{query}").json["data"]]

    assert listed("status=canceled") == [text["id"]]
    assert listed("status=queued") == [image["id"]]
    assert listed("kind=image-to-3d") == [image["id"]]
    assert listed("kind=text-to-3d&status=queued") == []


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("limit=many", "limit"),
        ("limit=" + "9" * 5000, "limit"),
        ("after=1", "after"),
        ("after=%00", "after"),
        ("order=random", "order"),
        ("status=done", "status"),
        ("kind=image-to-4d", "kind"),
        ("stauts=failed", "stauts"),
    ],
)
def test_a_query_at_fault_is_named(house: House, query: str, param: str) -> None:
    answer = get(f"/api/v1/jobs?{query}")
    assert (answer.status, answer.error["param"]) == (400, param), answer.body


def test_an_empty_list_is_a_list(house: House) -> None:
    assert get("/api/v1/jobs").json == {
        "data": [],
        "has_more": False,
        "first_id": None,
        "last_id": None,
    }


def test_a_list_is_read_with_one_query(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(3):
        created()
    calls: list[str] = []
    store = house.bundle.store
    for name in ("get", "query", "put", "transact"):
        real = getattr(store, name)

        def counted(*given: Any, _real: Any = real, _name: str = name, **more: Any) -> Any:
            calls.append(_name)
            return _real(*given, **more)

        monkeypatch.setattr(store, name, counted)
    get("/api/v1/jobs")
    assert calls == ["query"]


def test_cancelling_once_files_are_stored_is_refused(house: House) -> None:
    job = created()
    house.carry(3, process=False)
    assert house.job(job["id"]).status == "processing"
    answer = call("POST", f"/api/v1/jobs/{job['id']}/cancel")
    assert (answer.status, answer.error["code"]) == (409, "too_late_to_cancel")


def test_a_retry_is_a_new_job_and_the_same_one_when_asked_again(house: House) -> None:
    job = created("refuse me")
    house.carry()
    first = call("POST", f"/api/v1/jobs/{job['id']}/retry")
    again = post_json(f"/api/v1/jobs/{job['id']}/retry", {"accept_possible_charge": True})
    assert (first.status, again.status) == (202, 202)
    assert first.json["id"] == again.json["id"] != job["id"]
    assert first.json["retry_of"] == job["id"]
    assert first.headers["location"] == first.json["urls"]["self"]


@pytest.mark.parametrize(
    ("content", "param"),
    [
        ({"accept_possible_charge": "yes"}, "accept_possible_charge"),
        ({"accept_possible_charge": 1}, "accept_possible_charge"),
        ({"force": True}, "force"),
        ([], "body"),
    ],
)
def test_a_retry_with_a_field_at_fault_is_refused(house: House, content: Any, param: str) -> None:
    job = created("refuse me")
    house.carry()
    answer = post_json(f"/api/v1/jobs/{job['id']}/retry", content)
    assert (answer.status, answer.error["param"]) == (400, param)
    assert house.rows() == 1


def test_a_retry_of_a_success_or_of_an_unfinished_job_is_refused(house: House) -> None:
    done = finished(house)
    waiting = created()
    for job in (done, waiting):
        assert call("POST", f"/api/v1/jobs/{job['id']}/retry").status == 409
    assert house.rows() == 2


def test_the_providers_hint_becomes_eta_and_retry_after(build_house: Build) -> None:
    house = build_house(instant=False)
    job_id = created()["id"]
    house.carry(2)
    job = house.job(job_id)
    house.bundle.ports.jobs.save(job, replace(job, eta_at=house.clock.now() + 12_000))
    answer = get(f"/api/v1/models/{job_id}/status")
    assert (answer.json["eta_seconds"], answer.headers["retry-after"]) == (12, "12")
