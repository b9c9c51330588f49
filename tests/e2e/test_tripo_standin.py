"""The Tripo stand-in over the wire: Tripo's own SDK is content with it, and its faults are real.

用官方 SDK 和原始套接字检验 Tripo 替身。
"""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import trimesh
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from tripo3d import TripoAPIError, TripoClient, TripoRequestError

from infra.local.standins.faults import FAULTS
from infra.local.standins.tripo import Standin

ROOT = Path(__file__).parents[2]
KEY = {"Authorization": "Bearer tsk_test"}
TEXT = {"prompt": "a red cat", "model": "v2.5-20250123"}
CREATE = "/v3/generation/text-to-model"


@pytest.fixture
def tripo() -> Iterator[Standin]:
    with Standin(seconds=60) as standin:
        yield standin


@pytest.fixture
def client(tripo: Standin) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=tripo.url, headers=KEY, timeout=10) as http:
        yield http


@pytest.fixture(scope="module")
def photo() -> bytes:
    out = io.BytesIO()
    Image.radial_gradient("L").convert("RGB").save(out, "JPEG")
    return out.getvalue()


@pytest.fixture
def photo_file(photo: bytes, tmp_path: Path) -> Path:
    (tmp_path / "photo.jpg").write_bytes(photo)
    return tmp_path / "photo.jpg"


def with_sdk(standin: Standin, use: Callable[[TripoClient], Any], key: str = "tsk_test") -> Any:
    async def run() -> Any:
        async with TripoClient(api_key=key, v3_base_url=standin.url) as sdk:
            return await use(sdk)

    return asyncio.run(run())


def data(answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert (body["code"], body["status"]) == (0, "success")
    return body["data"]


def refused(answer: httpx.Response) -> tuple[int, int]:
    body = answer.json()
    assert body["status"] == "error"
    assert body["message"]
    assert uuid.UUID(body["request_id"])
    return answer.status_code, body["code"]


def create(client: httpx.Client, **more: Any) -> str:
    return data(client.post(CREATE, json={**TEXT, **more}))["task_id"]


def upload(client: httpx.Client, content: bytes) -> str:
    return data(client.post("/v3/files", files={"file": ("x.jpg", content)}))["file_token"]


def finished(tripo: Standin, client: httpx.Client, id: str) -> dict[str, Any]:
    tripo.advance(61)
    return data(client.get(f"/v3/tasks/{id}"))


def talk(url: str, request: bytes) -> bytes:
    """What comes back on a raw connection until it is closed."""
    where = urlsplit(url)
    with socket.create_connection((where.hostname, where.port), timeout=10) as raw:
        raw.sendall(request)
        raw.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: raw.recv(65536), b""))


# Tripo's own SDK.


def test_the_sdk_reads_the_balance_and_it_falls_by_what_tasks_cost(tripo: Standin) -> None:
    async def use(sdk: TripoClient) -> list[tuple[float, float]]:
        seen = [await sdk.get_balance()]
        await sdk.text_to_model("a cat")
        seen.append(await sdk.get_balance())
        tripo.advance(61)
        await sdk.text_to_model("a doomed cat")
        tripo.advance(61)
        seen.append(await sdk.get_balance())
        return [(each.balance, each.frozen) for each in seen]

    assert with_sdk(tripo, use) == [(100_000, 0), (99_980, 20), (99_980, 0)]


def test_the_sdk_makes_a_text_model_and_downloads_it(tripo: Standin, tmp_path: Path) -> None:
    async def use(sdk: TripoClient) -> tuple[Any, dict[str, str]]:
        id = await sdk.text_to_model("a red cat 猫", model_seed=7)
        tripo.advance(61)
        task = await sdk.wait_for_task(id, timeout=5)
        return task, await sdk.download_task_models(task, str(tmp_path))

    task, files = with_sdk(tripo, use)
    assert task.status == "success"
    assert (task.type, task.progress, task.credits_consumed) == ("text_to_model", 100, 20)
    assert task.input["model_seed"] == 7
    assert trimesh.load_scene(files["model"]).to_mesh().is_watertight
    assert Image.open(files["rendered_image"]).format == "WEBP"


def test_the_sdk_uploads_a_photo_and_makes_a_model_of_it(
    tripo: Standin, photo_file: Path, tmp_path: Path
) -> None:
    async def use(sdk: TripoClient) -> tuple[Any, dict[str, str]]:
        id = await sdk.image_to_model(image=str(photo_file))
        tripo.advance(61)
        task = await sdk.wait_for_task(id, timeout=5)
        return task, await sdk.download_task_models(task, str(tmp_path))

    task, files = with_sdk(tripo, use)
    assert re.fullmatch(r"file_[0-9a-f-]{36}", task.input["input"])
    (mesh,) = trimesh.load_scene(files["model"]).geometry.values()
    assert mesh.visual.material.baseColorTexture.size == (256, 256)


def test_the_sdk_uploads_by_presigned_put_and_makes_a_multiview_model(
    tripo: Standin, photo_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TripoClient, "MULTIPART_MAX_BYTES", 0)

    async def use(sdk: TripoClient) -> tuple[Any, dict[str, str]]:
        photo = str(photo_file)
        id = await sdk.multiview_to_model([photo, None, photo, None])
        tripo.advance(61)
        task = await sdk.wait_for_task(id, timeout=5)
        return task, await sdk.download_task_models(task, str(tmp_path))

    task, files = with_sdk(tripo, use)
    assert task.credits_consumed == 40
    assert trimesh.load_scene(files["model"]).to_mesh().is_watertight
    assert [e["method"] for e in tripo.log() if e["path"].startswith("/upload/")] == ["PUT", "PUT"]


def test_the_sdk_converts_a_model(tripo: Standin, tmp_path: Path) -> None:
    async def use(sdk: TripoClient) -> list[str]:
        model = await sdk.text_to_model("a cat")
        tripo.advance(61)
        ids = [await sdk.convert_model(model, kind) for kind in ("GLTF", "OBJ", "STL")]
        tripo.advance(61)
        tasks = [await sdk.wait_for_task(id, timeout=5) for id in ids]
        return [(await sdk.download_task_models(t, str(tmp_path)))["model"] for t in tasks]

    files = with_sdk(tripo, use)
    assert [Path(each).suffix for each in files] == [".gltf", ".obj", ".stl"]
    volumes = [trimesh.load_scene(each).to_mesh().volume for each in files]
    assert max(volumes) == pytest.approx(min(volumes), rel=1e-3)


def test_the_sdk_sees_a_failed_task(tripo: Standin) -> None:
    async def use(sdk: TripoClient) -> Any:
        id = await sdk.text_to_model("a doomed ship")
        tripo.advance(61)
        return await sdk.wait_for_task(id, timeout=5)

    task = with_sdk(tripo, use)
    assert (task.status, task.error_code) == ("failed", 1000)
    assert "doomed" in task.error_msg


def test_the_sdk_lists_usage_newest_first_and_reads_tasks_by_the_hundred(tripo: Standin) -> None:
    async def use(sdk: TripoClient) -> tuple[list[str], Any, Any]:
        ids = [await sdk.text_to_model(f"cat {n}") for n in range(3)]
        return ids, await sdk.get_usage(limit=2), await sdk.list_tasks([*ids, "nothing"])

    ids, usage, batch = with_sdk(tripo, use)
    assert [item.task_id for item in usage] == ids[:0:-1]
    assert set(batch.tasks) == set(ids)
    assert batch.missed == ["nothing"]


@pytest.mark.parametrize(
    ("settings", "code"), [({"concurrency": 0}, 2000), ({"balance": 19.0}, 2010)]
)
def test_the_sdk_is_told_of_limits_by_code(settings: dict[str, Any], code: int) -> None:
    with Standin(seconds=60, **settings) as tripo, pytest.raises(TripoAPIError) as error:
        with_sdk(tripo, lambda sdk: sdk.text_to_model("a cat"))
    assert error.value.code == code
    assert error.value.request_id


def test_the_sdk_is_told_of_a_task_that_is_not_its_own(tripo: Standin) -> None:
    id = with_sdk(tripo, lambda sdk: sdk.text_to_model("a cat"))
    with pytest.raises(TripoAPIError) as error:
        with_sdk(tripo, lambda sdk: sdk.get_task(id), key="tsk_other")
    assert error.value.code == 2001


def test_the_sdk_maps_a_bare_502_after_a_create_to_a_transport_error(tripo: Standin) -> None:
    tripo.faults = {"error_502_after": 1}
    with pytest.raises(TripoRequestError) as error:
        with_sdk(tripo, lambda sdk: sdk.text_to_model("a cat"))
    assert error.value.status_code == 502
    assert len(tripo.tasks) == 1


# The protocol, plainly.


def test_a_task_is_queued_then_runs_with_rising_progress_then_succeeds(
    tripo: Standin, client: httpx.Client
) -> None:
    id, seen = create(client), []
    for _ in range(7):
        task = data(client.get(f"/v3/tasks/{id}"))
        seen.append((task["status"], task["progress"]))
        assert bool(task["output"]) == (task["status"] == "success")
        tripo.advance(11)
    assert [status for status, _ in seen] == ["queued"] + ["running"] * 5 + ["success"]
    assert seen == sorted(seen, key=lambda each: each[1])
    assert task["created_at"].endswith("Z")
    assert task["input"] == TEXT


def test_concurrency_is_counted_per_account_and_says_when_to_come_back() -> None:
    with (
        Standin(seconds=60, concurrency=2) as tripo,
        httpx.Client(base_url=tripo.url, headers=KEY) as client,
    ):
        remaining = [
            client.post(CREATE, json=TEXT).headers["X-RateLimit-Remaining"] for _ in range(2)
        ]
        assert remaining == ["1", "0"]
        answer = client.post(CREATE, json=TEXT)
        assert refused(answer) == (429, 2000)
        assert 55 <= int(answer.headers["Retry-After"]) <= 60
        other = client.post(CREATE, json=TEXT, headers={"Authorization": "Bearer tsk_other"})
        assert other.status_code == 200
        tripo.advance(61)
        create(client)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"prompt": "a cat"}, (400, 1004)),
        ({**TEXT, "model": "best"}, (400, 2017)),
        ({**TEXT, "prompt": ""}, (400, 1004)),
        ({**TEXT, "prompt": None}, (400, 1004)),
        ({**TEXT, "prompt": "x" * 1025}, (400, 1004)),
        ({**TEXT, "negative_prompt": "x" * 256}, (400, 1004)),
        ({**TEXT, "model_seed": "7"}, (400, 1004)),
        ({**TEXT, "image_seed": True}, (400, 1004)),
        ({**TEXT, "texture": "yes"}, (400, 1004)),
        ({**TEXT, "texture_quality": ["standard"]}, (400, 1004)),
        ({**TEXT, "face_limit": 0}, (400, 1004)),
        ({**TEXT, "model": "P1-20260311", "quad": True}, (400, 1004)),
        ({**TEXT, "model": "P1-20260311", "face_limit": 20001}, (400, 1004)),
        ({**TEXT, "prompt": "a Forbidden cat"}, (400, 2008)),
        ([], (400, 1003)),
    ],
)
def test_wrong_text_requests_are_refused(
    client: httpx.Client, body: Any, expected: tuple[int, int]
) -> None:
    assert refused(client.post(CREATE, json=body)) == expected


def test_right_text_requests_pass(client: httpx.Client) -> None:
    for more in (
        {"prompt": "x" * 1024},
        {"model": "v3.1-20260211", "geometry_quality": "detailed"},
        {"model": "P1-20260311", "face_limit": 20000},
        {"texture": False, "pbr": None, "compress": "geometry", "something_new": 1},
    ):
        create(client, **more)
    data(client.post(CREATE, json={"prompt": "a cat", "model_version": "v2.5-20250123"}))


def test_every_form_of_an_image_input_is_understood(client: httpx.Client, photo: bytes) -> None:
    token, model = upload(client, photo), TEXT["model"]

    def image(**body: Any) -> httpx.Response:
        return client.post("/v3/generation/image-to-model", json={"model": model, **body})

    for good in ({"input": token}, {"file": {"type": "jpg", "file_token": token}}):
        data(image(**good))
    for bad in (
        "https://127.0.0.1/x.jpg",
        "data:image/png;base64,AAAA",
        f"file_{uuid.uuid4()}",
        "",
        None,
        {},
        7,
        ["x"],
    ):
        assert refused(image(input=bad)) == (400, 1004)
    assert refused(image(input=str(uuid.uuid4()))) == (404, 2001)
    assert refused(image(input=create(client))) == (400, 2007)


def test_a_model_is_made_from_the_picture_of_another_task(
    tripo: Standin, client: httpx.Client
) -> None:
    first = create(client)
    tripo.advance(61)
    body = {"model": TEXT["model"], "input": first}
    second = data(client.post("/v3/generation/image-to-model", json=body))["task_id"]
    link = finished(tripo, client, second)["output"]["model_url"]
    assert httpx.get(link).content.startswith(b"glTF")


def test_every_form_of_multiview_inputs_is_understood(client: httpx.Client, photo: bytes) -> None:
    token = upload(client, photo)

    def views(*slots: Any, name: str = "inputs") -> httpx.Response:
        body = {"model": TEXT["model"], name: list(slots)}
        return client.post("/v3/generation/multiview-to-model", json=body)

    for good in (
        (token, token),
        (token, None, token, None),
        (token, "", token, ""),
        (token, {}, {}, token),
        ({"front": token}, {"back": token}),
    ):
        data(views(*good))
    data(views({"type": "jpg", "file_token": token}, {}, {"file_token": token}, {}, name="files"))
    for bad in (
        (),
        (token,),
        (None, token, token),
        (token, None, None, None),
        (token,) * 5,
        ({"left": token}, {"back": token}),
        (token, {"front": 7}),
    ):
        assert refused(views(*bad)) == (400, 1004)
    assert refused(views({"task_id": str(uuid.uuid4())})) == (400, 2006)


def test_only_real_pictures_and_models_are_taken(client: httpx.Client, photo: bytes) -> None:
    def send(content: bytes, name: str = "file") -> httpx.Response:
        return client.post("/v3/files", files={name: ("x", content)})

    assert refused(send(b"")) == (400, 2003)
    assert refused(send(b"GIF89a")) == (400, 2004)
    assert refused(send(photo, "image")) == (400, 1004)
    assert refused(send(photo + b"\0" * (20 << 20))) == (400, 1004)
    assert refused(client.post("/v3/files", json={})) == (400, 1004)
    assert refused(client.post("/v3/files/presign", json={"format": "exe"})) == (400, 2004)


def test_a_picture_that_cannot_be_decoded_fails_its_task(
    tripo: Standin, client: httpx.Client, photo: bytes
) -> None:
    body = {"model": TEXT["model"], "input": upload(client, photo[:700])}
    id = data(client.post("/v3/generation/image-to-model", json=body))["task_id"]
    task = finished(tripo, client, id)
    assert task["status"] == "failed"
    assert "decoded" in task["error_message"]


def test_a_presigned_upload_needs_no_key_and_must_happen_before_use(
    tripo: Standin, client: httpx.Client, photo: bytes
) -> None:
    presigned = data(client.post("/v3/files/presign", json={"format": "jpeg"}))
    body = {"model": TEXT["model"], "input": presigned["file_token"]}
    assert refused(client.post("/v3/generation/image-to-model", json=body)) == (400, 1004)
    forged = presigned["upload_url"][:-4] + "0000"
    assert httpx.put(forged, content=photo).status_code == 403
    assert httpx.put(presigned["upload_url"], content=photo).status_code == 200
    data(client.post("/v3/generation/image-to-model", json=body))
    tripo.advance(3601)
    assert httpx.put(presigned["upload_url"], content=photo).status_code == 403


def test_keys_are_checked_and_files_belong_to_theirs(photo: bytes) -> None:
    with Standin(key="tsk_only") as tripo, httpx.Client(base_url=tripo.url) as client:
        for header in ("", "Bearer tsk_test", "Bearer tcli_x", "tsk_only"):
            headers = {"Authorization": header} if header else {}
            answer = client.get("/v3/account/balance", headers=headers)
            assert refused(answer)[0] == 401
        assert client.get("/v3/account/balance", headers={"Authorization": "Bearer tsk_only"})
    with Standin() as tripo, httpx.Client(base_url=tripo.url, headers=KEY) as client:
        body = {"model": TEXT["model"], "input": upload(client, photo)}
        other = {"Authorization": "Bearer tsk_other"}
        answer = client.post("/v3/generation/image-to-model", json=body, headers=other)
        assert refused(answer) == (400, 1004)


def test_conversions_it_cannot_do_are_refused(tripo: Standin, client: httpx.Client) -> None:
    id = create(client)

    def convert(**body: Any) -> tuple[int, int]:
        return refused(client.post("/v3/models/convert", json=body))

    assert convert(input=id, format="STL") == (400, 2007)
    tripo.advance(61)
    for kind in ("FBX", "USDZ", "3MF", "", None):
        assert convert(input=id, format=kind) == (400, 1004)
    assert convert(format="STL") == (400, 1004)


def test_an_uploaded_model_is_converted(tripo: Standin, client: httpx.Client) -> None:
    link = finished(tripo, client, create(client))["output"]["model_url"]
    token = upload(client, httpx.get(link).content)
    body = {"input": token, "format": "stl"}
    id = data(client.post("/v3/models/convert", json=body))["task_id"]
    output = finished(tripo, client, id)["output"]
    assert set(output) == {"model_url"}
    assert len(httpx.get(output["model_url"]).content) > 84


def test_unknown_routes_bad_bodies_and_the_trace_id(client: httpx.Client) -> None:
    for method, path in (("GET", "/v3/nothing"), ("DELETE", CREATE), ("POST", "/v2/task")):
        answer = client.request(method, path)
        assert refused(answer) == (404, 4001)
        assert uuid.UUID(answer.headers["X-Tripo-Trace-ID"])
    assert refused(client.post(CREATE, content=b"{")) == (400, 1003)
    assert refused(client.post(CREATE, content=b"[" * 100_000)) == (400, 1003)
    assert refused(client.get("/v3/tasks/nothing")) == (404, 2001)
    for ids in (None, [], ["x"] * 101, [{}]):
        assert refused(client.post("/v3/tasks/list", json={"task_ids": ids})) == (400, 1004)
    assert refused(client.get("/v3/account/usage?limit=x")) == (400, 1004)


def test_a_refused_request_leaves_its_connection_usable(tripo: Standin) -> None:
    body = json.dumps(TEXT).encode()
    head = f"POST /v3/nothing HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    chunked = b"POST /v3/nothing HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunked += b"5\r\nhello\r\n3;x=y\r\nyou\r\n0\r\n\r\n"
    answers = talk(tripo.url, head + body + chunked + b"GET /_health HTTP/1.1\r\nHost: x\r\n\r\n")
    assert re.findall(rb"HTTP/1.1 (\d+)", answers) == [b"401", b"401", b"200"]
    assert tripo.log()[1]["body"] == {
        "bytes": 8,
        "sha256": hashlib.sha256(b"helloyou").hexdigest(),
    }


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.sampled_from([CREATE, CREATE.replace("text", "multiview"), "/v3/tasks/list"]),
    st.dictionaries(
        st.sampled_from(["prompt", "model", "inputs", "input", "files", "task_ids", "face_limit"]),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text() | st.just(TEXT["model"]),
            lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
            max_leaves=5,
        ),
    ),
)
def test_no_body_makes_it_stumble(client: httpx.Client, path: str, body: dict[str, Any]) -> None:
    answer = client.post(path, content=json.dumps(body))
    assert answer.status_code in (200, 400, 404, 429)
    assert answer.json()["status"] in ("success", "error")


# Downloads.


def test_links_need_no_key_know_the_port_and_expire(tripo: Standin, client: httpx.Client) -> None:
    id = create(client)
    tripo.advance(61)
    asked = client.get(f"/v3/tasks/{id}", headers={"Host": "elsewhere"})
    link = data(asked)["output"]["model_url"]
    assert link.startswith(tripo.url + "/")
    answer = httpx.get(link)
    assert answer.headers["Content-Type"] == "model/gltf-binary"
    assert trimesh.load_scene(io.BytesIO(answer.content), file_type="glb").to_mesh().is_watertight
    head = httpx.head(link)
    assert (head.content, head.headers["Content-Length"]) == (b"", str(len(answer.content)))
    assert httpx.get(link.replace("expires=1", "expires=2")).status_code == 403
    tripo.advance(301)
    assert httpx.get(link).status_code == 403
    assert httpx.get(data(client.get(f"/v3/tasks/{id}"))["output"]["model_url"]).is_success


def test_a_download_can_be_taken_up_in_the_middle(tripo: Standin, client: httpx.Client) -> None:
    link = finished(tripo, client, create(client))["output"]["rendered_image_url"]
    whole = httpx.get(link).content
    for asked, part in (("0-9", whole[:10]), ("10-", whole[10:]), ("-7", whole[-7:])):
        answer = httpx.get(link, headers={"Range": f"bytes={asked}"})
        assert (answer.status_code, answer.content) == (206, part)
    beyond = httpx.get(link, headers={"Range": f"bytes={len(whole)}-"})
    assert (beyond.status_code, beyond.headers["Content-Range"]) == (416, f"bytes */{len(whole)}")
    assert httpx.get(link, headers={"Range": "bytes=0-1,4-5"}).content == whole


# Faults.


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [("rate_limit", 429, 1007), ("error_500", 500, 1000), ("error_503", 503, 1000)],
)
def test_faults_in_the_envelope(
    tripo: Standin, client: httpx.Client, fault: str, status: int, code: int
) -> None:
    tripo.faults = {fault: 1}
    answer = client.post(CREATE, json=TEXT)
    assert refused(answer) == (status, code)
    assert answer.headers.get("Retry-After") == ("1" if fault == "rate_limit" else None)
    assert not tripo.tasks


def test_a_bare_502_has_no_envelope_before_or_after_the_create(
    tripo: Standin, client: httpx.Client
) -> None:
    for fault, made in (("error_502", 0), ("error_502_after", 1)):
        tripo.faults = {fault: 1}
        answer = client.post(CREATE, json=TEXT)
        assert (answer.status_code, answer.headers["Content-Type"]) == (502, "text/html")
        assert len(tripo.tasks) == made
    assert tripo.log()[-1]["task_id"] in tripo.tasks


def test_dropped_connections_before_and_after_the_create(
    tripo: Standin, client: httpx.Client
) -> None:
    for fault, made in (("drop_before", 0), ("drop_after", 1)):
        tripo.faults = {fault: 1}
        with pytest.raises(httpx.RemoteProtocolError):
            client.post(CREATE, json=TEXT)
        assert len(tripo.tasks) == made
        entry = tripo.log()[-1]
        assert (entry["status"], entry["fault"]) == (None, fault)
        assert entry["task_id"] == next(iter(tripo.tasks), None)


def test_a_hang_lasts_until_the_client_goes_away_or_the_time_is_up(
    tripo: Standin, client: httpx.Client
) -> None:
    tripo.faults = {"hang": 1}
    with pytest.raises(httpx.ReadTimeout):
        client.post(CREATE, json=TEXT, timeout=0.1)
    deadline = time.monotonic() + 5
    while tripo.connections and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not tripo.connections
    tripo.hang_seconds = 0.05
    with pytest.raises(httpx.RemoteProtocolError):
        client.post(CREATE, json=TEXT)
    assert not tripo.tasks


def test_stopping_ends_a_hang_at_once() -> None:
    tripo = Standin(faults={"hang": 1})
    tripo.start()
    where = urlsplit(tripo.url)
    with socket.create_connection((where.hostname, where.port), timeout=5) as raw:
        raw.sendall(b"GET /v3/account/balance HTTP/1.1\r\nHost: x\r\n\r\n")
        while not tripo.log():
            time.sleep(0.01)
        began = time.monotonic()
        tripo.stop()
        assert time.monotonic() - began < 1
        assert raw.recv(10) == b""


def test_spoilt_downloads(tripo: Standin, client: httpx.Client) -> None:
    link = finished(tripo, client, create(client))["output"]["model_url"]
    whole = httpx.get(link).content
    request = f"GET {link.removeprefix(tripo.url)} HTTP/1.1\r\nHost: x\r\n\r\n".encode()

    def raw(fault: str) -> tuple[int, bytes]:
        tripo.faults = {fault: 1}
        head, _, body = talk(tripo.url, request).partition(b"\r\n\r\n")
        return int(re.search(rb"Content-Length: (\d+)", head)[1]), body

    half = len(whole) // 2
    assert raw("truncate") == (len(whole), whole[:half])
    assert raw("short_file") == (half, whole[:half])
    lengths = {raw("wrong_length") for _ in range(12)}
    assert lengths == {(half, whole), (len(whole) + half, whole)}
    assert raw("html_file")[1].startswith(b"<html>")
    assert httpx.get(link).headers["Content-Type"] == "text/html"
    tripo.faults = {"dead_link": 1}
    assert {httpx.get(link).status_code for _ in range(12)} == {403, 404}
    tripo.faults = {"truncate": 1}
    with pytest.raises(httpx.RemoteProtocolError):
        httpx.get(link)
    tripo.hang_seconds = 0.05
    length, body = raw("drip")
    assert length == len(whole)
    assert whole.startswith(body)
    assert 0 < len(body) < 100
    assert data(client.get(f"/v3/tasks/{tripo.log()[0]['task_id']}"))


def test_spoilt_reads(tripo: Standin, client: httpx.Client) -> None:
    id = create(client)
    tripo.faults = {"unknown_status": 1}
    task = data(client.get(f"/v3/tasks/{id}"))
    assert (task["status"], task["output"]) == ("hibernating", {})
    batch = data(client.post("/v3/tasks/list", json={"task_ids": [id]}))
    assert batch["tasks"][id]["status"] == "hibernating"
    tripo.faults = {"bad_json": 1}
    answer = client.get(f"/v3/tasks/{id}")
    assert answer.status_code == 200
    with pytest.raises(json.JSONDecodeError):
        answer.json()


def test_slow_is_slow_and_right(tripo: Standin, client: httpx.Client) -> None:
    tripo.faults = {"slow": {"rate": 1, "times": 1}}
    began = time.monotonic()
    create(client)
    assert 0.2 <= time.monotonic() - began < 2
    create(client)
    assert [entry["fault"] for entry in tripo.log()] == ["slow", None]


def test_faults_keep_to_their_scope_rate_and_times(tripo: Standin, client: httpx.Client) -> None:
    tripo.faults = {"error_500": {"rate": 1, "scope": "check", "times": 2}}
    id = create(client)
    statuses = [client.get(f"/v3/tasks/{id}").status_code for _ in range(3)]
    assert statuses == [500, 500, 200]
    tripo.faults = {"error_500": 0.3}
    statuses = [client.get("/v3/account/balance").status_code for _ in range(200)]
    assert 30 <= statuses.count(500) <= 90


def test_all_faults_share_one_rate_among_those_that_fit(tripo: Standin) -> None:
    tripo.faults = {"all": 0.5}
    drawn = [tripo.faults.draw("download") for _ in range(2000)]
    fitting = {name for name, scopes in FAULTS.items() if "download" in scopes}
    assert set(drawn) == fitting | {None}
    assert 850 <= drawn.count(None) <= 1150


def test_the_same_seed_draws_the_same_faults() -> None:
    def draws(seed: int) -> list[str | None]:
        with Standin(faults={"all": 0.5}, seed=seed) as tripo:
            return [tripo.faults.draw("create") for _ in range(50)]

    assert draws(1) == draws(1) != draws(2)


# The routes beside the protocol.


def test_the_log_tells_all_but_the_key(tripo: Standin, client: httpx.Client, photo: bytes) -> None:
    upload(client, photo)
    id = create(client)
    client.get("/v3/account/usage?limit=5")
    log = client.get("/_log").json()
    assert log == tripo.log()
    assert [(e["index"], e["method"], e["path"], e["status"]) for e in log] == [
        (0, "POST", "/v3/files", 200),
        (1, "POST", CREATE, 200),
        (2, "GET", "/v3/account/usage", 200),
    ]
    assert log[1]["task_id"] == id
    assert log[1]["body"] == TEXT
    assert log[2]["query"] == {"limit": "5"}
    assert log[0]["body"]["bytes"] > len(photo)
    assert re.fullmatch(r"[0-9a-f]{12}", log[0]["key"])
    assert "tsk_test" not in json.dumps(log)


def test_clock_faults_and_health_over_http(tripo: Standin, client: httpx.Client) -> None:
    before = client.get("/_health").json()["now"]
    after = client.post("/_clock", json={"advance": 1000}).json()["now"]
    assert 1000 <= after - before < 1010
    assert client.post("/_faults", json={"error_500": 1}).status_code == 200
    assert client.post(CREATE, json=TEXT).status_code == 500
    for wrong in ({"nothing": 1}, {"error_500": 2}, {"truncate": {"scope": "create"}}, [1]):
        assert client.post("/_faults", json=wrong).status_code == 400
    assert client.post("/_clock", json={"advance": -1}).status_code == 400
    assert client.post(CREATE, json=TEXT).status_code == 500, "a wrong wish changes nothing"


# The command.


def command(*more: str) -> tuple[subprocess.Popen[bytes], str]:
    arguments = [sys.executable, "-m", "infra.local.standins.tripo", *more]
    process = subprocess.Popen(
        arguments, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=False
    )
    line = process.stdout.readline().decode()
    return process, re.fullmatch(r"listening on (http://127\.0\.0\.1:\d+)\n", line)[1]


def test_killed_and_started_again_it_still_knows_everything(tmp_path: Path, photo: bytes) -> None:
    state = str(tmp_path / "state")
    process, url = command("--seconds", "60", "--state", state, "--fault", "drop_after:1:create:1")
    with httpx.Client(base_url=url, headers=KEY) as client:
        token = upload(client, photo)
        with pytest.raises(httpx.RemoteProtocolError):
            client.post(CREATE, json=TEXT)
        client.post("/_clock", json={"advance": 30})
        log = client.get("/_log").json()
    process.kill()
    process.wait()
    with (Path(state) / "journal.jsonl").open("a") as journal:
        journal.write('["task", {"id": "half a li')
    process, url = command("--seconds", "60", "--state", state)
    with httpx.Client(base_url=url, headers=KEY) as client:
        assert client.get("/_log").json() == log
        (item,) = data(client.get("/v3/account/usage"))["items"]
        assert (item["task_id"], item["status"]) == (log[1]["task_id"], "running")
        body = {"model": TEXT["model"], "input": token}
        id = data(client.post("/v3/generation/image-to-model", json=body))["task_id"]
        client.post("/_clock", json={"advance": 61})
        link = data(client.get(f"/v3/tasks/{id}"))["output"]["model_url"]
        assert httpx.get(link).content.startswith(b"glTF")
    process.send_signal(signal.SIGTERM)
    assert process.wait(5) == 0
    assert process.stdout.read() == b""


def test_it_is_ready_soon_and_dies_with_its_parent() -> None:
    began = time.monotonic()
    process, url = command("--watch-stdin", "--port", "0")
    assert time.monotonic() - began < 3
    assert httpx.get(f"{url}/_health").json()["ok"]
    process.stdin.close()
    assert process.wait(5) == 0


def test_wrong_options_are_explained() -> None:
    arguments = [sys.executable, "-m", "infra.local.standins.tripo", "--fault", "nothing:1"]
    result = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, timeout=20)
    assert result.returncode == 2
    assert "no fault 'nothing'" in result.stderr
    assert os.linesep not in result.stdout
