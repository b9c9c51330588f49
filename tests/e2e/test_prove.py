"""The proof itself: a sample of it holds, its deaths are real, and it notices a broken promise.

测试验证程序本身：它确实会杀死进程，也确实能发现问题。
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import random
import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from infra.local.prove import proof, slot, world
from infra.local.prove.crash import KILLED, Death, Plan, When
from infra.local.prove.generators import Tripo
from infra.local.prove.live.neighbours import PLIGHTS, measure
from infra.local.prove.place import Addresses, Left, LocalPlace, Place, Telling
from infra.local.prove.place_aws import PART, AwsPlace
from infra.local.prove.place_tencent import TencentPlace
from infra.local.prove.receiver import Receiver
from infra.local.prove.scenario import Scenario
from infra.local.prove.slot import Case
from infra.local.prove.sweep import READS, Pool, Sweep, pairs
from infra.local.prove.tally import Tally
from infra.tencent.mariadb import mariadb_lacks
from shared import wiring
from shared.buckets.base import Bucket, ObjectInfo
from shared.deliveries.signing import new_secret
from shared.providers.base import Download
from shared.store.base import Record, Store
from shared.store.dynamodb.store import DynamoStore
from shared.store.sql.store import SqlStore
from shared.store.tables import DELIVERIES, JOBS
from tests.local import Command, environment

SOON = 20.0
OAK = Scenario("text", "tripo", "text-to-3d", ("model", "preview"), prompt="oak")


# A sample of the real thing.


TROUBLES = (
    *("killer-is-verified", "store-down", "bucket-down-later", "key-error-for-one"),
    *("store-throttled", "strangers", "previous-version"),
)
"""One of each kind of trouble; `./scripts/prove --all` has them all."""


@pytest.mark.timeout(300)
def test_a_sample_of_the_proof_holds(tmp_path: Path) -> None:
    # A photo by URL calls all that any other photo calls.
    sample = ["--scenario", "photo-by-url", "--events", "1", "--jobs", "1"]
    sample += ["--sample", "40", "--pairs", "1"]
    for name in TROUBLES:
        sample += ["--scenario", name]
    with Command("infra.local.prove.proof", *sample, env=environment(tmp_path)) as command:
        assert command.wait(280) == 0, command.said + command.output
    runs, killed = _counted(command.output)
    # Of the photo's runs the first only counts the calls; two workers die in the pair's, and five
    # of those that are given the killer.
    assert runs >= len(TROUBLES) + 3
    assert killed >= 1 + 2 + 5
    assert "1  failed: worker_lost" in command.output
    assert "1  expired" in command.output
    assert "Every job ended, none was created twice" in command.output
    assert "BROKEN" not in command.output


def test_a_provider_that_hangs_costs_another_one_s_jobs_nothing() -> None:
    hanging = replace(PLIGHTS["hangs"], jobs=24)
    with LocalPlace() as place:
        found = measure(place, "hangs", hanging, asked=4, every=0.1, window=0.1, patience=60)
    assert found.faults == []
    assert sum(found.ends.values()) == 24 + 4
    # A create that hangs ends after a minute: whoever waited for one would wait for longer.
    assert found.worst < 30


def _counted(output: str) -> tuple[int, int]:
    counted = re.search(r"(\d+) runs, (\d+) workers killed", output)
    assert counted is not None, output
    return int(counted[1]), int(counted[2])


def test_a_sample_of_the_proof_holds_on_aws_and_tells_what_one_job_asks_for(
    tmp_path: Path,
) -> None:
    sample = ["--cloud", "aws", "--scenario", "photo", "--events", "1"]
    sample += ["--sample", "50", "--jobs", "1"]
    with Command("infra.local.prove.proof", *sample, env=environment(tmp_path)) as command:
        assert command.wait(110) == 0, command.said + command.output
    runs, killed = _counted(command.output)
    assert 2 <= killed < runs
    told = re.search(r"photo, events x1, one job: (\d+) requests \((.+)\)", command.output)
    assert told is not None
    requests = {name: int(number) for name, number in re.findall(r"(\S+) (\d+)", told[2])}
    assert sum(requests.values()) == int(told[1])
    # The job with its idempotency record, then with its task's, and its end with its delivery.
    assert requests["dynamodb.TransactWriteItems"] == 3
    # The model in parts; the photo, and the preview.
    assert requests["s3.CompleteMultipartUpload"] == 1
    assert requests["s3.PutObject"] == 2
    assert "Every job ended, none was created twice" in command.output


@pytest.mark.timeout(300)
def test_a_sample_of_the_proof_holds_on_tencent_cloud_and_tells_what_one_job_asks_for(
    tmp_path: Path,
) -> None:
    if lacks := mariadb_lacks():
        pytest.skip(lacks)
    sample = ["--cloud", "tencent", "--scenario", "photo", "--events", "1"]
    sample += ["--sample", "80", "--jobs", "1"]
    with Command("infra.local.prove.proof", *sample, env=environment(tmp_path)) as command:
        assert command.wait(280) == 0, command.said + command.output
    runs, killed = _counted(command.output)
    assert 1 <= killed < runs
    told = re.search(r"photo, events x1, one job: (\d+) requests \((.+)\)", command.output)
    assert told is not None
    requests = {name: int(number) for name, number in re.findall(r"(\S+) (\d+)", told[2])}
    assert sum(requests.values()) == int(told[1])
    assert requests["sql.COMMIT"] > 3
    # The model in parts; the photo, and the preview.
    assert requests["cos.CompleteMultipartUpload"] == 1
    assert requests["cos.PutObject"] >= 2
    assert "Every job ended, none was created twice" in command.output


def test_what_no_generator_is_asked_for_is_refused_by_name(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for provider, name in (("tripo", "service-killed"), ("qwen-image", "doomed")):
        with pytest.raises(SystemExit) as ended:
            proof.main(["--provider", provider, "--scenario", name])
        assert ended.value.code == 2
        assert f"no scenario '{name}' for {provider}" in capsys.readouterr().err


def test_a_run_that_breaks_a_promise_is_counted_as_such() -> None:
    tally = Tally()
    tally.add("one", {"faults": [], "killed": 1, "ends": ["succeeded"]})
    tally.add("two", {"faults": ["2 tasks were created"], "killed": 1, "ends": ["failed: x"]})
    tally.add("three", {"faults": ["a slot ended with 1"]})
    assert (tally.runs, tally.killed) == (3, 2)
    assert dict(tally.ends) == {"succeeded": 1, "failed: x": 1, "crashed": 1}
    assert [label for label, _ in tally.broken] == ["two", "three"]


@contextmanager
def at_tripo(place: Place, folder: Path) -> Iterator[Callable[[int, Death], dict[str, Any]]]:
    """Runs cases, each by its number and its first worker's death, in a place."""
    secret = new_secret()
    standin, url = slot.start(Tripo(), folder)
    try:
        with Receiver(secret) as receiver:
            one = slot.Slot(Tripo(), url, place)
            yield lambda number, death: one.run(
                Case(number, OAK, (death,), 1, secret, receiver.url)
            )
    finally:
        assert standin.stdin is not None
        standin.stdin.close()
        standin.wait(SOON)


# Real deaths.


class Part:
    """A port whose calls leave a trace on the disk, so that it outlives the process."""

    def __init__(self, trace: Path) -> None:
        self._trace = trace

    def note(self, text: str) -> str:
        with self._trace.open("a") as file:
            file.write(text)
        return text

    def close(self) -> None:
        self.note("z")

    @contextmanager
    def download(self) -> Iterator[Download]:
        self.note("(")
        yield Download(3, iter(self.note(text).encode() for text in "xyz"))
        self.note(")")


def after_death(work: Callable[[], None]) -> int | None:
    """The exit status of a forked process that does the work; cleaning up is noted nowhere."""
    process = multiprocessing.get_context("fork").Process(target=work)
    process.start()
    process.join(SOON)
    if process.is_alive():
        process.kill()
    return process.exitcode


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
@pytest.mark.parametrize(
    ("at", "when", "left"),
    [
        (1, "before", ""),
        (1, "after", "a"),
        (2, "before", "a"),
        (2, "after", "ab"),
        (3, "before", "ab"),
        (3, "after", "abc"),
    ],
)
def test_the_process_ends_before_or_after_the_chosen_call(
    tmp_path: Path, at: int, when: When, left: str
) -> None:
    trace = tmp_path / "trace"
    trace.touch()

    def work() -> None:
        part = Plan(at, when).wrap("store", Part(trace))
        try:
            for text in "abc":
                part.note(text)
        finally:
            part.close()  # a real death does not come by here

    assert after_death(work) == KILLED == 137
    assert trace.read_text() == left


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
@pytest.mark.parametrize(
    ("at", "when", "left"),
    [
        (2, "before", ""),
        (2, "after", "("),
        (3, "before", "("),
        (3, "after", "(x"),
        (5, "before", "(xy"),
        (6, "after", "(xyz"),
    ],
)
def test_a_download_can_break_off_at_every_chunk(
    tmp_path: Path, at: int, when: When, left: str
) -> None:
    trace = tmp_path / "trace"
    trace.touch()

    def work() -> None:
        part = Plan(at, when).wrap("provider", Part(trace))
        with part.download() as download:
            list(download.chunks)

    assert after_death(work) == KILLED
    assert trace.read_text() == left


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_call_that_raises_is_a_call_to_die_after(tmp_path: Path) -> None:
    class Raising:
        def ask(self) -> None:
            raise ConnectionError

    def work() -> None:
        Plan(1, "after").wrap("provider", Raising()).ask()

    assert after_death(work) == KILLED


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
@pytest.mark.parametrize(("when", "left"), [("before", "abc"), ("after", "abcd")])
def test_calls_of_one_name_can_be_counted_apart(tmp_path: Path, when: When, left: str) -> None:
    trace = tmp_path / "trace"
    trace.touch()

    def work() -> None:
        plan = Plan(2, when, "bucket.note")
        store, bucket = (plan.wrap(name, Part(trace)) for name in ("store", "bucket"))
        for part, text in ((store, "a"), (bucket, "b"), (store, "c"), (bucket, "d")):
            part.note(text)

    assert after_death(work) == KILLED
    assert trace.read_text() == left


def test_what_the_proof_itself_looks_up_is_not_counted(tmp_path: Path) -> None:
    plan = Plan()
    part = plan.wrap("store", Part(tmp_path / "trace"))
    part.note("a")
    with plan.aside():
        part.note("b")
    part.note("c")
    assert plan.names == ["store.note", "store.note"]


def test_without_a_chosen_call_all_are_counted_and_nobody_dies(tmp_path: Path) -> None:
    plan = Plan()
    part = plan.wrap("provider", Part(tmp_path / "trace"))
    assert part.note("a") == "a"
    with part.download() as download:
        assert (download.length, b"".join(download.chunks)) == (3, b"xyz")
    part.close()
    assert plan.names == [
        "provider.note",
        "provider.download",
        "provider.download (open)",
        *["provider.download (chunk)"] * 4,
    ]


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_life_that_ends_by_itself_or_by_an_error_is_told_apart_from_a_killed_one() -> None:
    def fails() -> None:
        os.close(2)  # its traceback is not of interest here
        raise ValueError

    assert slot._fork(lambda: None) == 0
    assert slot._fork(fails) == 1
    assert slot._fork(lambda: os._exit(KILLED)) == KILLED
    assert slot._fork(lambda: os.kill(os.getpid(), 9)) == KILLED


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_frozen_worker_stands_still_before_its_call_and_goes_on_when_it_is_thawed(
    tmp_path: Path,
) -> None:
    trace, frozen = tmp_path / "trace", list[int]()
    trace.touch()

    def work() -> None:
        part = Plan(2, "frozen before").wrap("store", Part(trace))
        for text in "abc":
            part.note(text)

    assert slot._fork(work, frozen) == slot.FROZEN
    assert trace.read_text() == "a"
    assert [slot._thawed(worker) for worker in frozen] == [0]
    assert trace.read_text() == "abc"


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
@pytest.mark.parametrize("place", ["tencent"], indirect=True)
def test_a_worker_frozen_in_the_middle_of_a_claim_loses_and_repeats_nothing_when_it_goes_on(
    place: Place, tmp_path: Path
) -> None:
    claiming = Death(1, "frozen before", "sql.UPDATE")
    with at_tripo(place, tmp_path) as run:
        verdict = run(904, claiming)
    assert (verdict["killed"], verdict["faults"]) == (1, [])
    assert verdict["ends"] == ["succeeded"]


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_each_run_begins_with_the_clock_of_its_generator(tmp_path: Path) -> None:
    """What hundreds of runs before it have slept is no part of a run."""
    lost = next(one for one in Tripo().scenarios() if one.name == "answer-lost")
    secret = new_secret()
    standin, url = slot.start(Tripo(), tmp_path)
    try:
        with Receiver(secret) as receiver, LocalPlace() as place:
            one = slot.Slot(Tripo(), url, place)
            one._shift.value = 20 * 60_000
            verdict = one.run(Case(903, lost, (), 1, secret, receiver.url))
    finally:
        assert standin.stdin is not None
        standin.stdin.close()
        standin.wait(SOON)
    assert (verdict["faults"], verdict["ends"]) == ([], ["succeeded"])


# The same in the clouds, where each request is a call.


WHEN: tuple[When, ...] = ("before", "after")
CLOUDS: dict[str, type[Place]] = {"aws": AwsPlace, "tencent": TencentPlace}


def store_and_bucket(addresses: Addresses) -> tuple[Store, Bucket]:
    """What is made in a cloud, by the adapters that the functions have."""
    bundle = wiring.build(world.settings_for(addresses, {}, new_secret(), {}))
    return bundle.store, bundle.bucket


@pytest.fixture(scope="module", params=CLOUDS)
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    if request.param == "tencent" and (lacks := mariadb_lacks()):
        pytest.skip(lacks)
    with CLOUDS[request.param]() as entered:
        yield entered


@pytest.fixture
def made(place: Place, request: pytest.FixtureRequest) -> Iterator[tuple[str, Addresses]]:
    """A case, of a name of its own, that has its store and bucket, and where they are."""
    name = f"case-{hashlib.sha256(request.node.name.encode()).hexdigest()[:16]}"
    yield name, place.make(name)
    place.remove(name)


def put(bucket: Bucket, key: str, size: int = 1) -> ObjectInfo:
    return bucket.put_stream(key, [bytes(size)], media_type="model/gltf-binary")


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
@pytest.mark.parametrize(
    ("at", "when", "left"),
    [
        (1, "before", []),
        (1, "after", ["a"]),
        (2, "before", ["a"]),
        (2, "after", ["a", "b"]),
        (3, "before", ["a", "b"]),
    ],
)
def test_the_process_ends_before_or_after_the_chosen_request(
    place: Place,
    made: tuple[str, Addresses],
    at: int,
    when: When,
    left: list[str],
) -> None:
    case, addresses = made

    def work() -> None:
        plan = Plan(at, when)
        place.wrap(plan, lambda info: None)
        _, bucket = store_and_bucket(addresses)
        with plan.aside():
            bucket.head("incoming/J/a.glb")
        for name in "abc":
            put(bucket, f"incoming/J/{name}.glb")

    assert after_death(work) == KILLED
    assert place.left(case).incoming == tuple(f"incoming/J/{name}.glb" for name in left)


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_an_upload_begun_and_a_file_unpublished_are_found_left_behind(
    place: Place, made: tuple[str, Addresses]
) -> None:
    case, addresses = made

    def work() -> None:
        wrap = place.wrap(Plan(5, "before"), lambda info: None)
        bucket = wrap("bucket", store_and_bucket(addresses)[1])
        put(bucket, "incoming/J/1.glb")
        put(bucket, "incoming/J/2.glb", 3 * PART)

    assert after_death(work) == KILLED
    assert place.left(case) == Left(uploads=1, incoming=("incoming/J/1.glb",))


def test_objects_are_told_of_as_soon_as_they_are_stored(
    place: Place, made: tuple[str, Addresses]
) -> None:
    told: list[ObjectInfo] = []
    bucket = Telling(store_and_bucket(made[1])[1], told.append)
    info = put(bucket, "incoming/J/1.glb", 2)
    bucket.copy("incoming/J/1.glb", "incoming/J/2.glb")
    assert told == [info, replace(info, key="incoming/J/2.glb")]
    assert bucket.head("incoming/J/2.glb") == told[1]


def test_what_lies_in_a_cloud_s_store_is_seen_to_the_byte(
    place: Place, made: tuple[str, Addresses]
) -> None:
    case, addresses = made
    store, _ = store_and_bucket(addresses)
    store.put(DELIVERIES, Record("k", {"words": "一只猫 \U0001f408", "n": 1}))
    (row,) = place.rows(case)
    assert (row.table, row.key, row.version) == (DELIVERIES.name, "k", 1)
    assert json.loads(row.document) == {"words": "一只猫 \U0001f408", "n": 1}


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
@pytest.mark.parametrize("place", ["tencent"], indirect=True)
def test_each_statement_and_commit_is_a_place_to_die_at(
    place: Place, made: tuple[str, Addresses], tmp_path: Path
) -> None:
    case, addresses = made

    def save(plan: Plan, key: str) -> None:
        place.wrap(plan, lambda info: None)
        store, _ = store_and_bucket(addresses)
        store.transact([(JOBS, Record(key, {})), (DELIVERIES, Record(key, {}))])

    def count() -> None:
        save(plan := Plan(), "whole")
        (tmp_path / "names").write_text(" ".join(plan.names))

    assert after_death(count) == 0
    names = (tmp_path / "names").read_text().split()
    writes = [name for name in names if name.rpartition(".")[2] not in READS]
    assert writes == ["sql.INSERT", "sql.INSERT", "sql.COMMIT"]
    for key, (name, at) in {"1": ("INSERT", 1), "2": ("INSERT", 2), "3": ("COMMIT", 1)}.items():
        for when in WHEN:
            plan = Plan(at, when, f"sql.{name}")
            assert after_death(partial(save, plan, f"{key}{when}")) == KILLED
    rows = place.rows(case)
    # Of both writes and their commit, only what follows the commit has anything.
    assert {row.key for row in rows} == {"whole", "3after"}
    assert len(rows) == 4


def test_a_worker_is_frozen_only_before_what_changes_something() -> None:
    calls = ["sql.SELECT", "sql.UPDATE", "sql.COMMIT", "sql.ROLLBACK", "cos.PutObject"]
    with Receiver(new_secret()) as receiver:
        sweep = Sweep(Pool(0, "tencent", "tripo"), receiver, "", 1, freeze=True)
        told = [str(each) for (each,) in sweep.deaths(OAK, calls)]
    changes = ("sql.UPDATE", "sql.COMMIT", "cos.PutObject")
    assert told == [f"frozen before {name} 1" for name in changes]


def test_only_requests_that_change_something_are_died_after() -> None:
    calls = ["dynamodb.Query", "dynamodb.PutItem", "dynamodb.Query", "dynamodb.PutItem"]
    calls += ["s3.GetObject", "provider tripo.check"]
    with Receiver(new_secret()) as receiver:
        sweep = Sweep(Pool(0, "aws", "tripo"), receiver, "", 1)
        deaths = [each for (each,) in sweep.deaths(OAK, calls)]
        fewer = [each for (each,) in sweep.deaths(replace(OAK, every=3), calls)]
        none = list(sweep.deaths(replace(OAK, every=0), calls))
    assert none == []
    assert [(each.at, each.when, each.of) for each in deaths] == [
        (1, "before", "dynamodb.Query"),
        (1, "before", "dynamodb.PutItem"),
        (1, "after", "dynamodb.PutItem"),
        (2, "before", "dynamodb.Query"),
        (2, "before", "dynamodb.PutItem"),
        (2, "after", "dynamodb.PutItem"),
        (1, "before", "s3.GetObject"),
        (1, "before", "provider tripo.check"),
    ]
    assert list(map(str, fewer)) == ["before dynamodb.Query 2", "before provider tripo.check 1"]


def test_pairs_of_deaths_are_drawn_evenly_from_all_names() -> None:
    many = [(Death(at, "before", "store.get"),) for at in range(1, 100)]
    drawn = pairs([*many, (Death(1, "after", "store.put"),)], 200, random.Random(0))
    assert {len(pair) for pair in drawn} == {2}
    names = Counter(death.of for pair in drawn for death in pair)
    assert 150 < names["store.put"] < 250
    assert pairs([], 5, random.Random(0)) == []


ADAPTERS: dict[type[Place], tuple[type[Any], Death]] = {
    # The first request looks for the Idempotency-Key, the second writes the job.
    AwsPlace: (DynamoStore, Death(2, "after")),
    # A single write needs no commit of its own; of several the first is nothing without one.
    TencentPlace: (SqlStore, Death(1, "after", "sql.INSERT")),
}


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_store_whose_transactions_come_in_pieces_is_caught_in_a_cloud(
    place: Place, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    adapter, death = ADAPTERS[type(place)]
    whole = adapter.transact

    def in_pieces(store: Any, writes: Any) -> list[Record]:
        return [whole(store, [write])[0] for write in writes]

    with at_tripo(place, tmp_path) as run:
        kept = run(901, death)
        monkeypatch.setattr(adapter, "transact", in_pieces)
        broken = run(902, death)
    assert (kept["killed"], kept["faults"]) == (1, [])
    assert (broken["killed"], broken["faults"]) == (1, ["2 jobs exist where 1 were asked for"])
