"""The files of a job: permanent links, deletion, and the webhooks that told of them.

成果文件与通知接口的测试。
"""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

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


def linked(job: dict[str, Any], role: str = "model") -> tuple[str, dict[str, Any]]:
    """An artifact's permanent link, without the server, and the artifact."""
    (artifact,) = (one for one in job["artifacts"] if one["role"] == role)
    return local(artifact["url"]), artifact


@pytest.mark.parametrize("role", ["model", "preview"])
def test_head_is_answered_from_the_record(house: House, role: str) -> None:
    link, artifact = linked(finished(house), role)
    head = call("HEAD", link)
    assert (head.status, head.body) == (200, "")
    assert head.headers["content-length"] == str(artifact["bytes"])
    assert head.headers["content-type"] == artifact["media_type"]
    assert head.headers["etag"] == f'"{artifact["sha256"]}"'
    assert head.headers["accept-ranges"] == "bytes"
    assert "location" not in head.headers
    assert "content-disposition" not in head.headers


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_who_has_the_file_already_need_not_fetch_it_again(house: House, method: str) -> None:
    link, artifact = linked(finished(house))
    tag = f'"{artifact["sha256"]}"'
    for known in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        answer = call(method, link, headers={"if-none-match": known})
        assert (answer.status, answer.body) == (304, ""), known
        assert answer.headers["etag"] == tag
    for known in ('"other"', artifact["sha256"], tag[:-1]):
        assert call(method, link, headers={"if-none-match": known}).status != 304, known


@pytest.mark.parametrize("origin", ["https://shop.example.com", "null"])
def test_any_page_may_read_what_a_permanent_link_leads_to(house: House, origin: str) -> None:
    job = finished(house)
    link, _ = linked(job)
    asked = {
        "origin": origin,
        "access-control-request-method": "GET",
        "access-control-request-headers": "range",
    }
    preflight = call("OPTIONS", link, headers=asked)
    assert preflight.status == 204
    assert "Range" in preflight.headers["access-control-allow-headers"]
    gone = link.replace("model.glb", "none.glb")
    for answer in (
        preflight,
        get(link, headers={"origin": origin}),
        call("HEAD", link, headers={"origin": origin}),
        get(gone, headers={"origin": origin}),
    ):
        assert answer.headers["access-control-allow-origin"] == "*"
    exposed = call("HEAD", link, headers={"origin": origin}).headers[
        "access-control-expose-headers"
    ]
    assert {"ETag", "Accept-Ranges"} <= set(exposed.split(", "))
    # The job itself is for its caller alone.
    shown = get(f"/api/v1/jobs/{job['id']}", headers={"origin": origin})
    assert "access-control-allow-origin" not in shown.headers


@pytest.mark.parametrize(
    ("wanted", "name"),
    [
        ({"prompt": "a cup"}, "a cup.glb"),
        ({"prompt": "一只青花瓷茶杯"}, "一只青花瓷茶杯.glb"),
        ({"prompt": "a cup", "metadata": {"name": "订单 1001"}}, "订单 1001.glb"),
        ({"prompt": "a cup", "metadata": {"filename": "cup-final.glb"}}, "cup-final.glb"),
        ({"prompt": "a cup", "metadata": {"title": {"en": "x"}, "order": "7"}}, "a cup.glb"),
        ({"prompt": 'a "cup"/\\ of; tea\nhot'}, "a _cup___ of_ tea hot.glb"),
    ],
)
def test_a_download_is_named_by_metadata_or_prompt(
    house: House, wanted: dict[str, Any], name: str
) -> None:
    link, _ = linked(finished(house, **wanted))
    assert saved_as(call("HEAD", f"{link}&download=1")) == name
    answer = get(f"{link}&download=1")
    assert answer.status == 307
    assert parse_qs(urlsplit(answer.headers["location"]).query)["filename"] == [name]
    plain = get(f"{link}&download=0")
    assert "filename" not in parse_qs(urlsplit(plain.headers["location"]).query)


def test_other_files_of_a_job_are_named_apart(house: House) -> None:
    link, _ = linked(finished(house, prompt="a cup"), "preview")
    assert saved_as(call("HEAD", f"{link}&download=1")) == "a cup-preview.webp"


def saved_as(answer: Answer) -> str:
    """The name under which a browser saves an answer."""
    kind, _, name = answer.headers["content-disposition"].partition("; filename=")
    assert kind == "attachment"
    return unquote(name.partition("; filename*=UTF-8''")[2])


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
