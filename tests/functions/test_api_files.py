"""The files of a job: permanent links, deletion, and the webhooks that told of them.

成果文件与通知接口的测试。
"""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

from tests.functions.gateway import Answer, call, get, post_json
from tests.functions.house import Build, House, created, finished, local
from tests.providers import triangle

NOBODY = "0" * 26


def test_deleting_needs_an_ended_job_and_leaves_the_job_readable(house: House) -> None:
    waiting = created()
    assert call("DELETE", f"/api/v1/jobs/{waiting['id']}").status == 409
    job = finished(house)
    deleted = call("DELETE", f"/api/v1/jobs/{job['id']}")
    assert deleted.status == 200
    assert deleted.json["deleted_at"] is not None
    assert call("DELETE", f"/api/v1/jobs/{job['id']}").json == deleted.json
    assert get(f"/api/v1/jobs/{job['id']}").json["status"] == "succeeded"
    assert get(f"/api/v1/models/{job['id']}/result").status == 410


def fetched(house: House, answer: Answer) -> bytes:
    """What the presigned link an artifact's link leads to would give."""
    url = urlsplit(answer.headers["location"])
    key = next(a.key for a in house.job(job_of(url.path)).artifacts if a.key in url.path)
    query = {name: values[0] for name, values in parse_qs(url.query).items()}
    assert house.bundle.bucket.verify("GET", key, query)  # type: ignore[attr-defined]
    with house.bundle.bucket.open(key) as reader:
        return reader.read()


def job_of(path: str) -> str:
    return next(part for part in path.split("/") if len(part) == 26)


def test_an_artifact_link_leads_to_the_file_without_a_key(build_house: Build) -> None:
    house = build_house(api_keys="shop:" + "k" * 20)
    keyed = {"authorization": "Bearer " + "k" * 20}
    job = post_json("/api/v1/models", {"prompt": "a cup"}, headers=keyed).json
    house.carry()
    shown = get(f"/api/v1/jobs/{job['id']}", headers=keyed).json
    link = local(next(a["url"] for a in shown["artifacts"] if a["role"] == "model"))
    house.clock.advance(3 * 365 * 86_400_000)
    answer = get(link)
    assert answer.status == 307
    assert "no-store" in answer.headers["cache-control"]
    assert fetched(house, answer) == triangle()
    head = call("HEAD", link)
    assert (head.status, head.headers["location"], head.body) == (
        307,
        answer.headers["location"],
        "",
    )


def test_a_link_that_was_tampered_with_reveals_nothing(house: House) -> None:
    job = finished(house)
    link = local(job["artifacts"][0]["url"])
    path, _, signature = link.partition("?signature=")
    never_was = get(f"/api/v1/jobs/{NOBODY}/artifacts/model.glb?signature=A")
    assert (never_was.status, never_was.error["code"]) == (404, "artifact_not_found")
    for changed in (
        f"{path}?signature=AAAA{signature[4:]}",
        f"{path}x?signature={signature}",
        f"{path.replace(job['id'], NOBODY)}?signature={signature}",
        path,
        f"{path}?signature=%ff%00é",
    ):
        answer = get(changed)
        assert (answer.status, answer.error) == (404, never_was.error)


def test_the_links_of_a_deleted_job_are_gone(house: House) -> None:
    job = finished(house)
    call("DELETE", f"/api/v1/jobs/{job['id']}")
    answer = get(local(job["artifacts"][0]["url"]))
    assert (answer.status, answer.error["code"]) == (410, "artifact_deleted")


def test_deliveries_of_a_job_are_listed(house: House) -> None:
    job = finished(house, callback_url="https://shop.example.com/hook")
    answer = get(f"/api/v1/jobs/{job['id']}/deliveries")
    assert answer.status == 200
    (delivery,) = answer.json["data"]
    assert (delivery["event"], delivery["url"]) == (
        "job.succeeded",
        "https://shop.example.com/hook",
    )
    assert get(f"/api/v1/jobs/{created()['id']}/deliveries").json == {"data": []}
