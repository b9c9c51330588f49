"""Measurements: gathered from any thread, written as valid EMF, derived from jobs and calls.

测试度量的汇总、格式与来源。
"""

from __future__ import annotations

import base64
import json
import logging
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.paths import ROOT
from shared import config, metrics, wiring
from shared.aws.emf import Emf, lines
from shared.clock import Deadline, OutOfTime
from shared.jobs.job_metrics import of_change
from shared.jobs.lifecycle.transitions import NEXT
from shared.jobs.model import Artifact, Job, JobInput, Receipt, Status
from shared.metrics import ALL, Gathered, Keep, Metric, Series
from shared.providers import base
from shared.providers.base import (
    Download,
    DownloadFailed,
    ProviderError,
    ProviderUnavailable,
    RateLimited,
    RemoteFile,
    UnknownOutcome,
)
from shared.store.base import StoreUnavailable
from tests.emf import points, read
from tests.fakes import FakeClock
from tests.providers import ThrowawayProvider, guarded

PLAIN = {
    "bucket_url": "s3://maquette",
    "link_secret": "link-secret-of-thirty-two-characters",
    "webhook_secrets": "whsec_" + base64.b64encode(b"webhook-secret-of-32-characters!").decode(),
}

EACH = Metric("Each", "Seconds", ("way",))
SUM = Metric("Sum", "Count", ("way",), Keep.SUM)
HIGHEST = Metric("Highest", "Seconds", ("way",), Keep.HIGHEST)
SECOND = 1000


class Written:
    """Keeps what was written, as {(name, dimensions): values} for each time."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.times: list[dict[Any, list[float]]] = []
        self.gathered = Gathered(self, self.clock.now)

    def __call__(self, series: Sequence[Series]) -> None:
        self.times.append(
            {(one.metric.name, *one.dimensions.values()): one.values for one in series}
        )


# Gathering


def test_values_are_kept_each_or_as_their_sum_or_only_the_highest() -> None:
    written = Written()
    for value in (3, 1, 2):
        for metric in (EACH, SUM, HIGHEST):
            written.gathered.add(metric, value, way="up")
    written.gathered.add(EACH, 5, way="down")
    written.gathered.flush()
    assert written.times == [
        {
            ("Each", "up"): [3, 1, 2],
            ("Sum", "up"): [6],
            ("Highest", "up"): [3],
            ("Each", "down"): [5],
        }
    ]


def test_nothing_new_is_nothing_written() -> None:
    written = Written()
    written.gathered.flush()
    written.gathered.add(SUM, way="up")
    written.gathered.flush()
    written.gathered.flush()
    assert written.times == [{("Sum", "up"): [1]}]


def test_what_is_kept_for_half_a_minute_is_written_without_being_asked() -> None:
    written = Written()
    written.clock.advance(3600 * SECOND)  # idle time is no time that a value was kept
    written.gathered.add(SUM, way="up")
    written.clock.advance(29 * SECOND)
    written.gathered.add(SUM, way="up")
    assert written.times == []
    written.clock.advance(1 * SECOND)
    written.gathered.add(HIGHEST, 7, way="up")
    assert written.times == [{("Sum", "up"): [2], ("Highest", "up"): [7]}]


def test_many_values_are_written_before_they_are_too_many_for_an_object() -> None:
    written = Written()
    for value in range(250):
        written.gathered.add(EACH, value, way="up")
    written.gathered.flush()
    sizes = [len(one["Each", "up"]) for one in written.times]
    assert sizes == [99, 99, 52]
    assert [value for one in written.times for value in one["Each", "up"]] == list(range(250))


def test_threads_that_add_at_once_lose_nothing() -> None:
    written = Written()
    start = threading.Barrier(8)

    def work() -> None:
        start.wait(10)
        for number in range(1000):
            written.gathered.add(SUM, way="up")
            written.gathered.add(EACH, 1, way="up")
            if number % 100 == 0:
                written.gathered.flush()

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    written.gathered.flush()
    for name in ("Sum", "Each"):
        assert sum(sum(one.get((name, "up"), [])) for one in written.times) == 8000


@pytest.mark.parametrize(
    ("value", "dimensions"),
    [
        (float("nan"), {"way": "up"}),
        (float("inf"), {"way": "up"}),
        ("many", {"way": "up"}),
        (1, {}),
        (1, {"way": "up", "job": "01J"}),
    ],
)
def test_what_cannot_be_measured_is_passed_over_and_said(
    value: Any, dimensions: Mapping[str, str], log_records: list[logging.LogRecord]
) -> None:
    written = Written()
    written.gathered.add(SUM, value, **dimensions)
    written.gathered.add(SUM, 1, way="up")
    written.gathered.flush()
    assert written.times == [{("Sum", "up"): [1]}]
    assert [record.getMessage() for record in log_records] == ["a measurement was lost"]


def test_a_place_that_takes_nothing_harms_nobody(log_records: list[logging.LogRecord]) -> None:
    def closed(series: Sequence[Series]) -> None:
        raise ValueError("I/O operation on closed file")

    gathered = Gathered(closed, FakeClock().now)
    for value in range(150):
        gathered.add(EACH, value, way="up")
    gathered.flush()
    assert [record.getMessage() for record in log_records] == ["measurements were lost"] * 2


# The format


def test_metrics_with_the_same_dimensions_share_a_line() -> None:
    text = lines(
        "dev",
        [
            Series(metrics.CHECKS_PER_JOB, {"kind": "text-to-3d"}, [3, 4]),
            Series(metrics.BYTES_STORED, {"kind": "text-to-3d"}, [1024]),
            Series(metrics.CHECKS_PER_JOB, {"kind": "image-to-3d"}, [5]),
        ],
    )
    found = [[(p.name, p.unit, p["stage"], p["kind"], p.values) for p in points(t)] for t in text]
    assert found == [
        [
            ("ChecksPerJob", "Count", "dev", "text-to-3d", (3, 4)),
            ("BytesStored", "Bytes", "dev", "text-to-3d", (1024,)),
        ],
        [("ChecksPerJob", "Count", "dev", "image-to-3d", (5,))],
    ]


def test_what_one_alarm_watches_is_there_by_fewer_dimensions_too() -> None:
    series = Series(
        metrics.PROVIDER_ERRORS,
        {"provider": "tripo", "operation": "check", "error": "RateLimited"},
        [2],
    )
    (text,) = lines("dev", [series])
    assert [dict(point.dimensions) for point in points(text)] == [
        {"stage": "dev", "provider": "tripo", "operation": "check", "error": "RateLimited"},
        {"stage": "dev", "provider": "tripo"},
    ]
    assert {point.values for point in points(text)} == {(2.0,)}


WORDS = st.text("abcdefghijklmnopqrstuvwxyz-0123456789", min_size=1, max_size=40)
VALUES = st.one_of(st.integers(0, 2**40), st.floats(0, 1e12))


@given(
    st.lists(
        st.sampled_from(ALL).flatmap(
            lambda metric: st.tuples(
                st.just(metric),
                VALUES,
                st.fixed_dictionaries(dict.fromkeys(metric.dimensions, WORDS)),
            )
        ),
        max_size=300,
    )
)
def test_whatever_is_measured_the_lines_are_valid(
    added: list[tuple[Metric, float, dict[str, str]]],
) -> None:
    found: list[Any] = []

    def write(series: Sequence[Series]) -> None:
        found.extend(point for line in lines("dev", series) for point in points(line))

    gathered = Gathered(write, FakeClock().now)
    for metric, value, dimensions in added:
        gathered.add(metric, value, **dimensions)
    gathered.flush()
    assert {point.name for point in found} == {metric.name for metric, _, _ in added}
    for metric in ALL:
        width = len(metric.dimensions) + 1
        kept = [p for p in found if p.name == metric.name and len(p.dimensions) == width]
        values = [value for one, value, _ in added if one is metric]
        if metric.keep is Keep.EACH:
            assert sorted(v for p in kept for v in p.values) == sorted(map(float, values))
        elif metric.keep is Keep.SUM:
            assert sum(sum(p.values) for p in kept) == pytest.approx(sum(values))
        elif values:
            assert max(max(p.values) for p in kept) == max(values)


def test_variables_of_powertools_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "somebody")
    monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", "Else")
    (text,) = lines("dev", [Series(metrics.CLAIMS_LOST, {}, [1])])
    assert [dict(point.dimensions) for point in points(text)] == [{"stage": "dev"}]


def test_each_line_is_written_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    writes: list[str] = []

    class Out:
        def write(self, text: str) -> None:
            writes.append(text)

        def flush(self) -> None:
            writes.append("flushed")

    monkeypatch.setattr("sys.stdout", Out())
    Emf("dev")(
        [Series(metrics.QUEUE_AGE, {"queue": queue}, [1.5]) for queue in ("check", "process")]
    )
    assert writes[-1] == "flushed"
    assert all(text.endswith("}\n") and points(text) for text in writes[:-1])
    assert len(writes) == 3


def test_off_takes_everything_and_says_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    metrics.OFF.add(metrics.QUEUE_AGE, float("nan"))
    metrics.OFF.flush()
    assert capfd.readouterr() == ("", "")


# What a job's change says


def job(status: Status, **more: Any) -> Job:
    return Job(
        id="0" * 26,
        kind="text-to-3d",
        provider="tripo",
        caller="shop",
        created_at=1_000_000,
        input=JobInput(),
        status=status,
        **more,
    )


def said(old: Job | None, new: Job) -> dict[str, tuple[float, dict[str, str]]]:
    return {metric.name: (value, dict(by)) for metric, value, by in of_change(old, new)}


def test_a_new_job_has_entered_its_first_status() -> None:
    entered = {"kind": "text-to-3d", "status": "queued"}
    assert said(None, job(Status.QUEUED)) == {"JobsEntered": (1, entered)}


def test_a_change_within_a_status_says_nothing() -> None:
    for status in Status:
        assert said(job(status), job(status, progress=50, deleted_at=2_000_000)) == {}


def test_a_success_says_how_long_how_often_looked_at_and_how_much() -> None:
    artifacts = tuple(
        Artifact("model", "model.glb", "artifacts/x", "model/gltf-binary", size, "0" * 64)
        for size in (1000, 24)
    )
    before = job(Status.PROCESSING, receipt=Receipt(checks=6))
    after = replace(before, status=Status.SUCCEEDED, finished_at=1_012_500, artifacts=artifacts)
    ended = {"kind": "text-to-3d", "status": "succeeded"}
    assert said(before, after) == {
        "JobsEntered": (1, ended),
        "JobSeconds": (12.5, ended),
        "ChecksPerJob": (6, {"kind": "text-to-3d"}),
        "BytesStored": (1024, {"kind": "text-to-3d"}),
    }


@pytest.mark.parametrize(
    ("old", "new"), [(old, new) for old, after in NEXT.items() for new in sorted(after)]
)
def test_every_move_says_what_was_entered_and_only_an_end_says_more(
    old: Status, new: Status
) -> None:
    figures = said(job(old), job(new, finished_at=1_000_250 if new.terminal else None))
    assert figures["JobsEntered"] == (1, {"kind": "text-to-3d", "status": new.value})
    assert ("JobSeconds" in figures) == ("ChecksPerJob" in figures) == new.terminal
    assert ("BytesStored" in figures) == (new is Status.SUCCEEDED)


# What a provider's calls say


class Slow(ThrowawayProvider):
    """Takes a second for everything, and fails as told."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(clock, instant=True)
        self.clock = clock
        self.failing: Exception | None = None

    def _answering(self) -> None:
        self.clock.advance(1 * SECOND)
        if self.failing is not None:
            raise self.failing


@pytest.fixture
def written() -> Written:
    return Written()


@pytest.fixture
def slow(written: Written) -> Slow:
    return Slow(written.clock)


@pytest.fixture
def provider(slow: Slow, written: Written) -> base.Provider:
    return guarded(lambda: slow, written.clock, written.gathered)


NOW = Deadline(lambda: 100.0)
FILE = RemoteFile("model", "https://throwaway.example/task-1.glb", "model/gltf-binary")

CALLS: dict[str, Any] = {
    "prepare": lambda it: it.prepare(base.Ask("text-to-3d", "a cup", {}, {}), "memory", NOW),
    "submit": lambda it: it.submit(base.Request("/tasks", "{}", None), "key", "memory", NOW),
    "check": lambda it: it.check(["task-1"], "memory", NOW),
    "cancel": lambda it: it.cancel("task-1", "memory", deadline=NOW),
    "find": lambda it: it.find([base.Wanted(base.Request("/tasks", "{}", "m"), 0)], "memory", NOW),
    "ready": lambda it: it.ready(NOW),
}
"""Each call of the protocol; a download is a block and has tests of its own."""


@pytest.mark.parametrize("operation", CALLS)
def test_a_call_is_timed_and_its_answer_handed_on(
    operation: str, provider: base.Provider, slow: Slow, written: Written
) -> None:
    if operation != "submit":
        CALLS["submit"](slow)
    expected = CALLS[operation](slow)
    answer = CALLS[operation](provider)
    if operation != "prepare":  # each has a mark of its own
        assert (list(map(tuple, answer)) if operation == "find" else answer) == (
            list(map(tuple, expected)) if operation == "find" else expected
        )
    written.gathered.flush()
    assert written.times == [{("ProviderSeconds", "throwaway", operation): [1.0]}]


@pytest.mark.parametrize("operation", CALLS)
@pytest.mark.parametrize("error", ProviderError.__subclasses__())
def test_an_error_is_counted_by_its_class_and_raised(
    operation: str,
    error: type[ProviderError],
    provider: base.Provider,
    slow: Slow,
    written: Written,
) -> None:
    slow.failing = error("no")
    if error is UnknownOutcome and operation != "submit":
        error = ProviderUnavailable  # only of a create that can be said
    with pytest.raises(error):
        CALLS[operation](provider)
    written.gathered.flush()
    assert written.times == [
        {
            ("ProviderErrors", "throwaway", operation, error.__name__): [1],
            ("ProviderSeconds", "throwaway", operation): [1.0],
        }
    ]


def test_time_that_is_up_and_our_own_mistakes_are_no_errors_of_the_provider(
    provider: base.Provider, slow: Slow, written: Written
) -> None:
    for failing in (OutOfTime(), StoreUnavailable("x")):
        slow.failing = failing
        with pytest.raises(type(failing)):
            provider.check(["task-1"], "memory", NOW)
    written.gathered.flush()
    assert written.times == [{("ProviderSeconds", "throwaway", "check"): [1.0, 1.0]}]


def test_a_download_lasts_until_its_block_ends(provider: base.Provider, written: Written) -> None:
    with provider.download(FILE, "memory", NOW) as download:
        assert download.length == sum(len(chunk) for chunk in download.chunks)
        written.clock.advance(4 * SECOND)  # the bucket is slow
    written.gathered.flush()
    assert written.times == [{("ProviderSeconds", "throwaway", "download"): [5.0]}]


def test_a_download_that_breaks_is_counted_and_one_whose_bucket_breaks_is_not(
    provider: base.Provider, slow: Slow, written: Written
) -> None:
    closed: list[str] = []

    @contextmanager
    def breaking(file: RemoteFile, credential: str, deadline: Deadline) -> Iterator[Download]:
        try:
            yield Download(None, iter(()))
        finally:
            closed.append(file.url)

    slow.download = breaking  # type: ignore[method-assign]
    for error in (DownloadFailed("broken off"), OSError("the disk is full")):
        with pytest.raises(type(error)), provider.download(FILE, "memory", NOW):
            raise error
    written.gathered.flush()
    assert closed == [FILE.url] * 2
    (one,) = written.times
    assert one["ProviderErrors", "throwaway", "download", "DownloadFailed"] == [1]
    assert len(one) == 2


def test_making_an_adapter_is_no_latency_of_the_providers(written: Written) -> None:
    made: list[int] = []

    def make() -> Slow:
        written.clock.advance(9 * SECOND)  # imports
        made.append(1)
        return Slow(written.clock)

    provider = guarded(make, written.clock, written.gathered)
    provider.close()
    assert made == []
    provider.ready(NOW)
    written.gathered.flush()
    assert written.times == [{("ProviderSeconds", "throwaway", "ready"): [1.0]}]


def test_a_measurement_that_fails_fails_no_call(
    slow: Slow, log_records: list[logging.LogRecord]
) -> None:
    def broken() -> int:
        raise OSError("no clock")

    gathered = Gathered(lambda series: None, broken)
    provider = guarded(lambda: slow, slow.clock, gathered)
    slow.failing = RateLimited("wait", retry_after=3)
    with pytest.raises(RateLimited):
        provider.check(["task-1"], "memory", NOW)
    assert "a measurement was lost" in {record.getMessage() for record in log_records}


# What a store's claims say


def test_records_that_others_took_first_are_counted(
    written: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: dict[str, Any] = {}

    def store(table: str, clock: Any, on_lost: Any) -> Any:
        made.update(table=table, clock=clock, lost=on_lost)

    monkeypatch.setattr("shared.store.dynamodb.store.DynamoStore", store)
    settings = config.load({}, **{**PLAIN, "store_url": "dynamodb://maquette-dev"})
    wiring.STORES["dynamodb"](settings, written.clock, written.gathered)
    assert (made["table"], made["clock"]) == ("maquette-dev", written.clock)
    made["lost"](2)
    made["lost"](1)
    written.gathered.flush()
    assert written.times == [{("ClaimsLost",): [3]}]


# The page about them


def test_the_page_lists_every_metric_as_it_is() -> None:
    page = (ROOT / "docs" / "metrics.md").read_text("utf-8")
    rows = re.findall(r"^\| `([A-Z]\w+)` \| (\w+) \| ((?:`\w+` ?)*)\|", page, re.MULTILINE)
    listed = {name: (unit, tuple(re.findall(r"`(\w+)`", by))) for name, unit, by in rows}
    assert listed == {metric.name: (metric.unit, metric.dimensions) for metric in ALL}


def test_the_lines_of_every_metric_can_be_read_back() -> None:
    series = [Series(one, dict.fromkeys(one.dimensions, "x"), [1]) for one in ALL]
    found = read("\n".join(lines("dev", series)))
    assert {point.name for point in found} == {one.name for one in ALL}
    assert json.loads(next(lines("dev", series)))["stage"] == "dev"
