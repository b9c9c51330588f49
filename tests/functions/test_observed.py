"""What the functions measure and log on a job's way: exactly that, and none of it secret.

测试各函数写出的度量与日志。
"""

from __future__ import annotations

import base64
import io
import json
import logging
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest

from functions.callback.handler import handler as callback
from functions.poll.handler import handler as poll
from functions.postprocess.handler import handler as postprocess
from infra.paths import ROOT
from shared import observability, wiring
from shared.clock import Deadline
from shared.jobs import polling
from shared.metrics import CLAIMS_LOST
from shared.providers.base import RateLimited
from tests import cls
from tests.emf import Point, read, totals
from tests.functions.gateway import get, post_json
from tests.functions.house import Build, House, created
from tests.receivers import Receiver, answer

QUEUES = {"fetch", "check", "step", "store", "process", "deliveries"}


class Invocation:
    """Lambda's context object; its time runs by the test's clock."""

    function_name = "maquette-test"

    def __init__(self, house: House, seconds: float = 120.0) -> None:
        self._clock = house.clock
        self._end = house.clock.now() + round(seconds * 1000)
        self.aws_request_id = "invocation-1"

    def get_remaining_time_in_millis(self) -> int:
        return max(0, self._end - self._clock.now())


def timer() -> dict[str, Any]:
    return {"detail-type": "Scheduled Event"}


def carried_out(house: House, **asked: Any) -> str:
    """A job, created and carried to its end through the handlers, its webhook sent."""
    job_id = str(created(provider="throwaway", **asked)["id"])
    house.clock.advance(2500)
    poll(timer(), Invocation(house))
    postprocess({}, Invocation(house))
    callback(timer(), Invocation(house))
    return job_id


# Metrics


def test_a_jobs_whole_way_is_measured_exactly(
    build_house: Build, capfd: pytest.CaptureFixture[str]
) -> None:
    house = build_house(metrics="emf")
    with Receiver(answer(200)) as receiver:
        job_id = carried_out(house, callback_url=receiver.url())
    job = house.job(job_id)
    found = read(capfd.readouterr().out)  # every line of stdout is one of EMF, and valid
    way = ["queued", "submitting", "running", "storing", "processing", "succeeded"]
    assert totals(found, "JobsEntered", "kind", "status") == {("text-to-3d", s): 1 for s in way}
    assert job.finished_at is not None
    assert totals(found, "JobSeconds", "kind", "status") == {
        ("text-to-3d", "succeeded"): (job.finished_at - job.created_at) / 1000
    }
    assert totals(found, "ChecksPerJob", "kind") == {"text-to-3d": job.receipt.checks}
    size = sum(artifact.bytes for artifact in job.artifacts)
    assert totals(found, "BytesStored", "kind") == {"text-to-3d": size}
    calls = Counter[Any]()
    for point in found:
        if point.name == "ProviderSeconds":
            calls[point["provider"], point["operation"]] += len(point.values)
    once = dict.fromkeys(["prepare", "submit", "check", "download"], 1)
    assert calls == {("throwaway", name): number for name, number in once.items()}
    assert totals(found, "Deliveries", "result") == {"delivered": 1}
    # Each queue of itself, and, for an alarm, all of them together.
    assert {point["queue"] for point in found if point.name == "QueueAge"} == {*QUEUES, None}
    assert max(ages(found, "step")) == 2.5  # between its creation and the poll
    assert not {point.name for point in found} & {"ProviderErrors", "ClaimsLost"}
    assert {point["stage"] for point in found} == {"local"}


def test_the_queries_for_cls_find_a_jobs_whole_way(
    build_house: Build, capfd: pytest.CaptureFixture[str]
) -> None:
    house = build_house(metrics="cls", stage="local")
    with Receiver(answer(200)) as receiver:
        job = house.job(carried_out(house, callback_url=receiver.url()))
    topic = [cls.delivered(line) for line in capfd.readouterr().out.splitlines()]
    queries = json.loads((ROOT / "infra/tencent/cls/queries.json").read_text("utf-8"))
    known = {one["name"]: one["query"].replace("{stage}", "local") for one in queries}
    seconds = (job.finished_at - job.created_at) / 1000 if job.finished_at else 0
    size = sum(artifact.bytes for artifact in job.artifacts)
    times = {"kind": "text-to-3d", "jobs": 1, "p50": seconds, "p95": seconds}
    assert cls.run(known["job-seconds"], topic) == [times]
    way = ["queued", "submitting", "running", "storing", "processing", "succeeded"]
    entered = {row["status"]: row["jobs"] for row in cls.run(known["jobs-entered"], topic)}
    assert entered == dict.fromkeys(way, 1)
    assert cls.run(known["bytes-stored"], topic) == [{"kind": "text-to-3d", "bytes": size}]
    assert cls.run(known["deliveries"], topic) == [{"result": "delivered", "tries": 1}]
    assert cls.run(known["queues-behind"], topic) == [{"seconds": 2.5}]
    assert cls.run(known["jobs-failed"], topic) == []
    assert cls.run(known["deliveries-dead"], topic) == [{"dead": None}]
    calls = {row["operation"]: row["calls"] for row in cls.run(known["provider-seconds"], topic)}
    assert calls == dict.fromkeys(["prepare", "submit", "check", "download"], 1)


def ages(found: list[Point], queue: str) -> list[float]:
    named = [point for point in found if point.name == "QueueAge" and point["queue"] == queue]
    return [value for point in named for value in point.values]


def test_off_prints_nothing(build_house: Build, capfd: pytest.CaptureFixture[str]) -> None:
    house = build_house()
    with Receiver(answer(200)) as receiver:
        job_id = carried_out(house, callback_url=receiver.url())
    assert house.job(job_id).status.value == "succeeded"
    assert capfd.readouterr().out == ""


def test_a_providers_errors_and_the_deliveries_that_fail_are_counted(
    build_house: Build, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    house = build_house(metrics="emf")
    asked: list[int] = []

    def limited(*_: Any) -> str:
        asked.append(1)
        raise RateLimited("wait", retry_after=5)

    with Receiver(answer(500)) as receiver, monkeypatch.context() as patch:
        patch.setattr(house.provider, "submit", limited)
        created(provider="throwaway")
        poll(timer(), Invocation(house, 25))
        patch.undo()
        house.provider.reachable = False
        house.clock.advance(60_000)
        poll(timer(), Invocation(house, 25))
        house.provider.reachable = True
        carried_out(house, prompt="refuse me", callback_url=receiver.url())
    found = read(capfd.readouterr().out)
    errors = totals(found, "ProviderErrors", "provider", "operation", "error")
    assert errors["throwaway", "submit", "RateLimited"] == len(asked) > 0
    assert errors["throwaway", "prepare", "ProviderUnavailable"] > 0
    assert errors["throwaway", "submit", "Rejected"] == 1
    rolled = [p for p in found if p.name == "ProviderErrors" and len(p.dimensions) == 2]
    assert sum(sum(point.values) for point in rolled) == sum(errors.values())
    assert totals(found, "Deliveries", "result") == {"failed": 1}
    assert totals(found, "JobsEntered", "status")["failed"] == 1


def test_a_queue_that_waits_is_seen_by_the_poll_that_wakes_others(
    build_house: Build, capfd: pytest.CaptureFixture[str]
) -> None:
    house = build_house(metrics="emf")
    with Receiver(answer(200)) as receiver:
        created(provider="throwaway", callback_url=receiver.url())
        poll(timer(), Invocation(house))
        house.clock.advance(40_000)
        capfd.readouterr()
        poll(timer(), Invocation(house))
        before = read(capfd.readouterr().out)
        postprocess({}, Invocation(house))
        house.clock.advance(7_000)
        capfd.readouterr()
        poll(timer(), Invocation(house))
        after = read(capfd.readouterr().out)
    # A second more: the first poll looks once again before it leaves.
    assert 40 <= max(ages(before, "process")) < 43
    assert max(ages(after, "process")) == 0


def test_measuring_asks_the_store_nothing_more(build_house: Build) -> None:
    asked: Counter[str] = Counter()

    class Counting:
        def __init__(self, part: Any) -> None:
            self._part = part

        def __getattr__(self, attribute: str) -> Any:
            asked[attribute] += 1
            return getattr(self._part, attribute)

    def around(name: str, part: Any) -> Any:
        return Counting(part) if name == "store" else part

    counts = []
    for setting in ("off", "emf"):
        house = build_house(wrap=around, metrics=setting)
        asked.clear()
        polling.poll(house.bundle.ports, Deadline.after(60), lambda: False)
        counts.append(dict(asked))
    assert counts[0] == counts[1]
    assert counts[0]["first"] > 0


def test_a_poll_that_stays_writes_every_half_a_minute(
    build_house: Build, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    house = build_house(metrics="emf", instant=False)
    created(provider="throwaway")
    capfd.readouterr()
    sleep, begun = house.clock.sleep, house.clock.now()
    written: list[float] = []

    def sleeping(seconds: float) -> None:
        if capfd.readouterr().out:
            written.append((house.clock.now() - begun) / 1000)
        sleep(seconds)

    monkeypatch.setattr(house.clock, "sleep", sleeping)
    poll(timer(), Invocation(house, 120))
    moments = [0.0, *written, (house.clock.now() - begun) / 1000]
    assert len(written) >= 3
    assert max(later - first for first, later in pairwise(moments)) < 33
    assert "QueueAge" in capfd.readouterr().out


def test_what_was_measured_is_written_also_when_the_function_fails(
    build_house: Build, capfd: pytest.CaptureFixture[str]
) -> None:
    class Down:
        def __init__(self, part: Any) -> None:
            self._part = part

        def __getattr__(self, attribute: str) -> Any:
            return getattr(self._part, attribute)

        def first(self, *_: Any, **__: Any) -> Any:
            house.bundle.metrics.add(CLAIMS_LOST, 3)
            raise RuntimeError("a fault of ours")

    house = build_house(
        metrics="emf", wrap=lambda name, part: Down(part) if name == "store" else part
    )
    with pytest.raises(RuntimeError):
        callback(timer(), Invocation(house))
    assert totals(read(capfd.readouterr().out), "ClaimsLost", "stage") == {"local": 3}


def test_the_api_writes_what_it_measured_with_each_answer(
    build_house: Build, capfd: pytest.CaptureFixture[str]
) -> None:
    build_house(metrics="emf")
    assert post_json("/api/v1/jobs", {"kind": "no-such"}).status == 400
    assert capfd.readouterr().out == ""
    created(provider="throwaway")
    found = read(capfd.readouterr().out)
    assert totals(found, "JobsEntered", "kind", "status") == {("text-to-3d", "queued"): 1}


def test_a_stdout_that_is_closed_stops_no_job(
    build_house: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = build_house(metrics="emf")
    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr("sys.stdout", closed)
    with Receiver(answer(200)) as receiver:
        job_id = carried_out(house, callback_url=receiver.url())
        assert len(receiver.requests) == 1
    assert house.job(job_id).status.value == "succeeded"


# Logs

SECRETS = {
    "api key": "api-key-that-nobody-may-see",
    "link": "link-secret-that-nobody-may-see-anywhere",
    "signing": base64.b64encode(b"signing-secret-of-32-characters!").decode(),
    "tripo": "tsk_provider-key-that-nobody-may-see",
    "token": "token-of-a-callback-that-nobody-may-see",
    "metadata": "metadata-that-nobody-may-see",
    "prompt": "prompt-that-nobody-may-see",
    "key": "idempotency-key-that-nobody-may-see",
}
HOSTILE = f'{SECRETS["prompt"]}"}}\n{{"level":"ERROR","message":"forged"}}\r\n木椅 %s %(x)s'


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """What the `maquette` loggers would write on stderr, all levels, formatted for machines."""
    from aws_lambda_powertools.logging.formatter import LambdaPowertoolsFormatter

    out = io.StringIO()
    handler = observability._Handler(out)
    handler.setFormatter(LambdaPowertoolsFormatter(json_deserializer=str))
    handler.addFilter(observability._add_context)
    logger = logging.getLogger("maquette")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    yield out
    logger.removeHandler(handler)
    logger.setLevel(level)


def test_no_secret_and_no_callers_text_gets_out(
    build_house: Build, lines: io.StringIO, capfd: pytest.CaptureFixture[str]
) -> None:
    house = build_house(
        metrics="emf",
        api_keys=f"shop:{SECRETS['api key']}",
        link_secret=SECRETS["link"],
        webhook_secrets=f"whsec_{SECRETS['signing']}",
        TRIPO_API_KEY=SECRETS["tripo"],
    )
    headers = {
        "authorization": f"Bearer {SECRETS['api key']}",
        "idempotency-key": SECRETS["key"],
        "x-request-id": "forged\n" + SECRETS["key"],
    }

    def echoing(*_: Any) -> Any:
        raise RateLimited(f"Incorrect API key provided: {SECRETS['tripo']}", retry_after=1)

    check, house.provider.check = house.provider.check, echoing  # type: ignore[method-assign]
    with Receiver(answer(500)) as receiver:
        asked = {
            "kind": "text-to-3d",
            "provider": "throwaway",
            "prompt": HOSTILE,
            "metadata": {"note": SECRETS["metadata"] + "\x1b[2J"},
            "callback_url": receiver.url(f"/hook?token={SECRETS['token']}"),
        }
        made = post_json("/api/v1/jobs", asked, headers=headers)
        assert made.status == 202, made.body
        post_json("/api/v1/jobs", asked, headers={"authorization": "Bearer " + SECRETS["token"]})
        poll(timer(), Invocation(house, 60))
        house.provider.check = check  # type: ignore[method-assign]
        house.clock.advance(60_000)
        poll(timer(), Invocation(house))
        postprocess({}, Invocation(house))
        callback(timer(), Invocation(house))
        get(f"/api/v1/jobs/{made.json['id']}", headers=headers)
        assert receiver.requests
    logging.getLogger("maquette.test").error("all of it: %r %s", house.bundle, SECRETS["link"])
    written = lines.getvalue()
    assert "Incorrect API key provided: tsk_…" in written
    assert "is processing" in written
    assert "delivery" in written
    out = capfd.readouterr()
    for text in (written, out.out, out.err):
        for name, secret in SECRETS.items():
            assert secret not in text, name
        assert "forged" not in text
    read(out.out)


def test_a_jobs_lines_name_it_and_the_invocation_in_every_function(
    build_house: Build, lines: io.StringIO
) -> None:
    house = build_house()
    with Receiver(answer(200)) as receiver:
        job_id = carried_out(house, callback_url=receiver.url())
    mine = [line for line in map(json.loads, lines.getvalue().splitlines()) if line.get("job_id")]
    assert {line["job_id"] for line in mine} == {job_id}
    said = [line["message"].removeprefix(job_id).lstrip(": ") for line in mine]
    assert [text for text in said if text.startswith("is ")] == [
        "is queued",
        "is submitting",
        "is running",
        "is storing",
        "is processing",
        "is succeeded",
    ]
    (sent,) = (text for text in said if text.startswith("delivery"))
    assert sent.endswith("is delivered: HTTP 200")
    by_request = Counter(line["request_id"] for line in mine)
    assert by_request["invocation-1"] == len(mine) - 1  # all but the API's
    assert {line.get("function_name") for line in mine} == {"maquette-test", None}


def test_an_invocation_ends_what_it_named(build_house: Build) -> None:
    house = build_house()
    with wiring.invocation(Invocation(house)) as deadline:
        assert deadline.remaining() == 120
        assert observability.request_id.get() == "invocation-1"
    assert observability.request_id.get() == "-"
    with pytest.raises(ValueError, match="x"), wiring.invocation(Invocation(house)):
        raise ValueError("x")
    assert observability.request_id.get() == "-"
