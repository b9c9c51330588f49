"""Everything that the functions do which asks anything of their cloud, done once.

What each was seen to ask is held against what its role allows, on every cloud.
"""

from __future__ import annotations

import io
import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

import httpx
import pytest
from PIL import Image

from functions.callback.handler import handler as callback
from functions.poll.handler import handler as poll
from functions.postprocess.handler import handler as postprocess
from shared import config, events, wiring
from shared.clock import Deadline, SystemClock
from shared.inputs import uploads
from shared.inputs.media import Media
from shared.jobs import polling, sweep
from shared.jobs.family import AREAS
from shared.jobs.kinds import KINDS, Kind
from shared.jobs.model import PROCESS
from shared.providers.base import Download, DownloadFailed, RemoteFile, TaskState
from shared.store.base import Lease
from shared.store.tables import JOBS
from tests.functions import gateway
from tests.functions.house import LINK_SECRET, WEBHOOK_SECRET
from tests.functions.pictures import picture
from tests.grants import Call, Grant
from tests.providers import ThrowawayOptions, ThrowawayProvider, triangle
from tests.receivers import Receiver, answer, give

HANDLERS = {"poll": poll, "postprocess": postprocess, "callback": callback}
PART = 8 << 20
"""What both clouds' buckets put up in one piece at most."""

SETTINGS = {
    "MAQUETTE_POLL_FIRST_SECONDS": "0.01",
    "MAQUETTE_RETRY_FIRST_SECONDS": "0.01",
    "MAQUETTE_RETRY_CEILING_SECONDS": "0.01",
    "MAQUETTE_POLL_HELPERS": "4",
    "MAQUETTE_LOG_LEVEL": "ERROR",
}
SECRETS = {"MAQUETTE_LINK_SECRET": LINK_SECRET, "MAQUETTE_WEBHOOK_SECRETS": WEBHOOK_SECRET}


def the_provider(monkeypatch: pytest.MonkeyPatch) -> Provider:
    """The one provider there is from now on, which takes models as well."""
    kind = Kind("remodel-3d", False, {"model": Media.MODEL}, ("model",), 1)
    monkeypatch.setitem(KINDS, kind.name, kind)
    monkeypatch.setitem(Provider.options, kind.name, ThrowawayOptions)  # type: ignore[arg-type]
    provider = Provider(SystemClock(), instant=True)
    only = {"throwaway": provider.declared()}
    for module in (config, wiring):
        monkeypatch.setattr(module, "PROVIDERS", only)
    return provider


class Provider(ThrowawayProvider):
    """One whose next download is cut off after some megabytes, or whose model is broken."""

    breaks_off = False
    broken = False
    looks_left = 0

    def check(
        self, task_ids: Sequence[str], credential: str, deadline: Deadline
    ) -> Mapping[str, TaskState]:
        if self.looks_left:
            self.looks_left -= 1
            return {task_id: TaskState("running", 50) for task_id in task_ids}
        return super().check(task_ids, credential, deadline)

    @contextmanager
    def download(self, file: RemoteFile, credential: str, deadline: Deadline) -> Iterator[Download]:
        model = b"no model at all" if self.broken else triangle()
        yield Download(None, self._cut_off() if self.breaks_off else iter([model]))

    def _cut_off(self) -> Iterator[bytes]:
        self.breaks_off = False
        yield bytes(PART + 1)
        yield bytes(PART)
        raise DownloadFailed("cut off")


class Context:
    """The context object that handlers know."""

    aws_request_id = "request-1"

    def get_remaining_time_in_millis(self) -> int:
        return 60_000


@dataclass
class Stack:
    """A deployment whose functions are called here, each in its own name, on some cloud.

    `timer` is the event of a schedule there.
    """

    name: str
    bucket: str
    provider: Provider
    environ: pytest.MonkeyPatch

    timer: ClassVar[Mapping[str, Any]]

    def turn(self, function: str) -> AbstractContextManager[None]:
        """What happens inside is this function's doing; nobody's where it is empty."""
        raise NotImplementedError

    def put(self, key: str) -> None:
        """Put an object, in nobody's name."""
        raise NotImplementedError

    def begin_upload(self, key: str) -> None:
        """Begin an upload in parts that is never ended, in nobody's name."""
        raise NotImplementedError

    def left(self) -> list[str]:
        """Objects called `left`, and uploads that have not ended."""
        raise NotImplementedError

    def lose_parts(self) -> None:
        """No part of an upload arrives any more."""
        raise NotImplementedError

    def api(self, method: str, path: str, **more: Any) -> gateway.Answer:
        with self.process("api"):
            return gateway.call(method, path, **more)

    def create(self, hook: str, **more: Any) -> str:
        asked = {"kind": "text-to-3d", "prompt": "a cup", "callback_url": hook, **more}
        with self.process("api"):
            made = gateway.post_json(
                "/api/v1/jobs", asked, headers={"idempotency-key": more.get("prompt", "cup")}
            )
            assert made.status in (200, 202), made.body
            return str(made.json["id"])

    def create_of(
        self, reference: Mapping[str, Any], kind: str = "image-to-3d", role: str = "image"
    ) -> str:
        with self.process("api"):
            made = gateway.post_json("/api/v1/jobs", {"kind": kind, role: reference})
        assert made.status == 202, made.body
        return str(made.json["id"])

    def put_upload(self, media_type: str, data: bytes) -> str:
        """The id of an upload whose file is put by the link, in the name of whoever signed it."""
        announced = {"media_type": media_type, "bytes": len(data)}
        with self.process("api"):
            made = gateway.post_json("/api/v1/uploads", announced).json
        assert httpx.put(made["url"], content=data, headers=made["headers"]).status_code == 200
        return str(made["id"])

    def run(self, function: str, event: Any = events.WAKE) -> None:
        with self.process(function):
            HANDLERS[function](dict(event), Context())

    def settle(self, job_id: str) -> Any:
        """Let the functions work until the job has ended and its caller knows."""
        for _ in range(20):
            for function in HANDLERS:
                self.run(function)
            job = self.api("GET", f"/api/v1/jobs/{job_id}").json
            if job["status"] in ("succeeded", "failed", "canceled", "expired"):
                self.run("callback")
                return job
        raise AssertionError(job)

    @contextmanager
    def process(self, function: str) -> Iterator[None]:
        # A process of its own: it reads the secrets and wires its bundle anew.
        wiring.install(None)
        with self.turn(function):
            yield


def do_everything(stack: Stack) -> None:
    """Every way through every function that asks anything of the cloud, once at least."""
    with Receiver(answer(200)) as receiver:
        hook = receiver.url()
        assert stack.api("GET", "/ready").status == 200

        # A job from its creation to its end and its deletion; a download breaks off on the way.
        stack.provider.breaks_off = True
        job_id = upload(stack, hook, picture("JPEG"))
        stack.run("poll", stack.timer)
        job = stack.settle(job_id)
        assert job["status"] == "succeeded", job
        assert receiver.requests
        for path in ("", "?status=succeeded", f"/{job_id}/deliveries"):
            assert stack.api("GET", f"/api/v1/jobs{path}").status == 200
        (told,) = stack.api("GET", f"/api/v1/jobs/{job_id}/deliveries").json["data"]
        again = f"/api/v1/jobs/{job_id}/deliveries/{told['id']}/replay"
        assert stack.api("POST", again).status == 202
        assert stack.api("POST", "/api/v1/deliveries/replay").status == 202
        link = job["artifacts"][0]["url"].removeprefix("http://127.0.0.1:8000")
        assert stack.api("GET", link).status == 307
        stack.put(f"incoming/{job_id}/0-0-model.glb")
        assert stack.api("DELETE", f"/api/v1/jobs/{job_id}").status == 200

        # One whose model is broken: fetched anew, given up, asked for again.
        stack.provider.broken = True
        failed = stack.create(hook)
        assert stack.settle(failed)["status"] == "failed"
        assert stack.create(hook) == failed
        stack.provider.broken = False
        retried = stack.api("POST", f"/api/v1/jobs/{failed}/retry")
        assert retried.status == 202, retried.body

        # One whose workers died over its files, again and again; its retry takes them over.
        doomed = stack.create(hook, prompt="doomed")
        for _ in range(4):
            stack.run("poll")
        lose_workers(stack)
        assert stack.settle(doomed)["error"]["code"] == "worker_lost"
        assert stack.api("POST", f"/api/v1/jobs/{doomed}/retry").json["status"] == "processing"

        # One that somebody else writes to while its files are published.
        contested = stack.create(hook, prompt="contested")
        interfere(stack, contested)
        assert stack.settle(contested)["status"] == "succeeded"

        # One that takes a while: a poll stays for it.
        stack.provider.looks_left = 2
        slow = stack.create(hook, prompt="slow")
        stack.run("poll")
        assert stack.api("GET", f"/api/v1/jobs/{slow}").json["status"] == "processing"

        # One whose photo lies on the web.
        with Receiver(give(picture("JPEG"))) as web:
            fetched = stack.create_of({"url": web.url()})
            assert stack.settle(fetched)["status"] == "succeeded"

        # One that is called off before anything was done about it.
        idle = stack.create(hook, prompt="idle")
        assert stack.api("POST", f"/api/v1/jobs/{idle}/cancel").json["status"] == "canceled"

        # Uploads, put and used; and what a job has made, used by the next.
        photo = stack.put_upload("image/jpeg", picture("JPEG"))
        model = stack.put_upload("model/gltf-binary", triangle())
        for made in (
            stack.create_of({"upload_id": photo}),
            stack.create_of({"upload_id": model}, kind="remodel-3d", role="model"),
            stack.create_of({"job_id": contested, "role": "preview"}),
        ):
            assert stack.api("POST", f"/api/v1/jobs/{made}/cancel").json["status"] == "canceled"
        where = f"/api/v1/uploads/{photo}"
        assert stack.api("GET", where).json["received"] is True
        assert stack.api("DELETE", where).status == 204
        assert stack.api("GET", where).status == 404

        leave_behind(stack, idle)
        fall_behind(stack, hook)
        assert stack.left() == [], "the sweep left something"

    # A picture so large that it goes up in parts, as it is looked at after it was fetched, and as
    # it is sent; and the same where a part is lost.
    large = noise()
    with Receiver(give(large)) as web:
        fetched = stack.create_of({"url": web.url("/noise.png")})
        stack.run("poll")
        stack.run("postprocess")
        assert stack.api("POST", f"/api/v1/jobs/{fetched}/cancel").json["status"] == "canceled"
        assert upload(stack, None, large)
        fetched = stack.create_of({"url": web.url("/noise.png")})
        stack.run("poll")
    stack.lose_parts()
    stack.run("postprocess")
    assert stack.api("GET", f"/api/v1/jobs/{fetched}").json["status"] == "queued"
    assert upload(stack, None, large) is None


def upload(stack: Stack, hook: str | None, photo: bytes) -> Any:
    fields = [("kind", "image-to-3d"), *([("callback_url", hook)] if hook else [])]
    with stack.process("api"):
        made = gateway.post_form("/api/v1/jobs", fields, [("image", photo)])
    return made.json.get("id")


def lose_workers(stack: Stack) -> None:
    """Five workers claim what is to be processed, and are never heard of again."""
    jobs = wiring.current().ports.jobs
    now = SystemClock().now()
    for _ in range(5):
        assert jobs.claim(PROCESS, now, lambda _: Lease(now, counted=True), 9)


def interfere(stack: Stack, job_id: str) -> None:
    """Write to a job when its file is published, once, in nobody's name."""
    bucket = type(wiring.current().bucket)
    copy = bucket.copy
    left = iter([True])

    def copied(self: Any, source: str, target: str) -> Any:
        if job_id in target and next(left, False):
            with stack.turn(""):
                store = wiring.current().store
                found = store.get(JOBS, job_id)
                assert found is not None
                store.put(JOBS, found)
        return copy(self, source, target)

    stack.environ.setattr(bucket, "copy", copied)


def noise() -> bytes:
    out = io.BytesIO()
    size = (1800, 1700)
    Image.frombytes("RGB", size, random.Random(1).randbytes(3 * size[0] * size[1])).save(out, "PNG")
    assert len(out.getvalue()) > PART
    return out.getvalue()


def leave_behind(stack: Stack, job_id: str) -> None:
    """What workers left that died over a job which has ended: the next timer's poll sweeps it."""
    for area in (*AREAS, uploads.AREA):
        stack.put(f"{area}/{job_id}/left")
    for area in ("incoming", "inputs"):
        stack.begin_upload(f"{area}/{job_id}/big-left")
    for age in ("EVERY", "YOUNG", "UPLOAD_AGE"):
        stack.environ.setattr(sweep, age, -60.0)
    stack.environ.setattr(uploads, "SECONDS", 0)
    assert len(stack.left()) == 6


def fall_behind(stack: Stack, hook: str) -> None:
    """A timer's poll that finds a provider late and asks for help."""
    stack.environ.setattr(polling, "BACKLOG", 0.0)
    stack.create(hook, prompt="urgent")
    stack.run("poll", stack.timer)


def faults(calls: Mapping[str, set[Call]], grants: Mapping[str, set[Grant]]) -> list[str]:
    """Where what functions do and what they may do differ: nowhere, if all is well."""
    found = []
    for function, allowed in grants.items():
        done = calls[function]
        for call in sorted(call for call in done if not any(one.covers(call) for one in allowed)):
            found.append(f"{function} does what it may not: {call}")
        for grant in sorted(map(str, (one for one in allowed if not _used(one, done)))):
            found.append(f"{function} may do what it never does: {grant}")
    return found


def _used(grant: Grant, calls: set[Call]) -> bool:
    return any(grant.covers(call) for call in calls)
