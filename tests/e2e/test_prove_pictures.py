"""The proof for pictures: a sample of it holds against the real service, whose books are judged."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from infra.local.cloud.generators import QWEN_PYTHON
from infra.local.prove.generators import QwenImage, judge_books
from infra.local.standins.qwen_image import Books
from shared.jobs.model import Artifact, Job, JobError, JobInput, Status
from tests.local import Command, environment


@pytest.mark.timeout(240)
def test_a_sample_of_the_proof_holds_for_pictures_by_a_real_service(tmp_path: Path) -> None:
    assert QWEN_PYTHON.exists(), "./scripts/test installs the service"
    sample = ["--provider", "qwen-image", "--events", "1", "--sample", "80", "--jobs", "1"]
    for name in ("photo", "answer-lost", "service-killed"):
        sample += ["--scenario", name]
    with Command("infra.local.prove.proof", *sample, env=environment(tmp_path)) as command:
        assert command.wait(200) == 0, command.said + command.output
    runs, killed = _figures(r"(\d+) runs, (\d+) workers killed", command.output)
    # One run of each scenario only counts the calls.
    assert 3 <= killed <= runs - 3
    # The service's own folder and log: a job for each key, and its pictures drawn once.
    for figure in ("creates in the log", "jobs in the service's folder"):
        assert _figures(rf"(\d+)  {figure}", command.output) == [runs]
    assert _figures(r"(\d+)  services killed while they drew", command.output) == [1]
    (drawn,) = _figures(r"(\d+)  pictures drawn", command.output)
    (published,) = _figures(r"(\d+)  pictures published", command.output)
    # What was drawn to its end as the service died is drawn again.
    assert runs < published <= drawn <= published + 2
    assert "Every job ended, none was created twice" in command.output


def _figures(pattern: str, text: str) -> list[int]:
    found = re.search(pattern, text)
    assert found is not None, text
    return [int(one) for one in found.groups()]


# The judge of the picture service's own books.

DRAWN = {"id": "a", "key": "k", "status": "succeeded", "pictures": 2, "drawn": 2}
DRAWN["sha256"] = ["1" * 64, "2" * 64]
KILLED_SERVICE = next(one for one in QwenImage().scenarios() if one.kills)
PICTURED = Job(
    "J",
    "text-to-image",
    "qwen-image",
    "prove",
    1,
    JobInput("a red circle"),
    status=Status.SUCCEEDED,
    artifacts=tuple(
        Artifact(role, f"{role}{digit}", "key", "image/png", 1, digit * 64)
        for digit in "12"
        for role in ("image", "thumbnail")
    ),
)


def test_books_that_agree_with_the_promises_are_found_so() -> None:
    text = QwenImage().scenarios()[0]
    assert judge_books([DRAWN], 0, text, PICTURED, {"a"}) == []
    # A death of the service may cost a second drawing, of the same job.
    twice = {**DRAWN, "drawn": 4}
    assert judge_books([twice], 1, KILLED_SERVICE, PICTURED, {"a"}) == []
    canceled = replace(PICTURED, status=Status.CANCELED, artifacts=())
    undrawn = {**DRAWN, "status": "canceled", "drawn": 0, "sha256": []}
    assert judge_books([undrawn], 0, text, canceled, {"a"}) == []
    refused = replace(
        canceled, status=Status.FAILED, error=JobError("provider_rejected", "no", False)
    )
    assert judge_books([], 0, text, refused, set()) == []


@pytest.mark.parametrize(
    ("made", "tasks", "fault"),
    [
        ([DRAWN, {**DRAWN, "id": "b"}], {"a", "b"}, "the service made 2 jobs for 1 keys"),
        ([DRAWN], set(), "the service has 1 jobs, the log shows 0"),
        ([{**DRAWN, "drawn": 4}], {"a"}, "4 pictures were drawn where 2 were asked"),
        ([{**DRAWN, "status": "running"}], {"a"}, "the service did not end its job: running"),
        ([{**DRAWN, "drawn": 0}], {"a"}, "0 pictures were drawn where 2 were asked"),
        ([{**DRAWN, "sha256": ["1" * 64]}], {"a"}, "the pictures published are not those"),
    ],
)
def test_books_that_disagree_are_told(
    made: list[dict[str, Any]], tasks: set[str], fault: str
) -> None:
    found = judge_books(made, 0, QwenImage().scenarios()[0], PICTURED, tasks)
    assert any(one.startswith(fault) for one in found), found


def test_a_service_that_was_to_be_killed_and_was_not_is_told() -> None:
    found = judge_books([DRAWN], 0, KILLED_SERVICE, PICTURED, {"a"})
    assert found == ["the service was not killed while it drew"]


def test_the_books_are_read_from_the_services_folder_and_log(tmp_path: Path) -> None:
    books = Books(tmp_path)
    log = tmp_path / "qwen-image.log"
    log.write_text('not JSON\n{"message":"drew 2 pictures","jobs":["a","a"]}\n{"message":"dr')
    assert (books.jobs(), books.all_ended()) == ([], True)
    place = tmp_path / "qwen-image" / "jobs" / "a"
    place.mkdir(parents=True)
    assert books.jobs() == []  # not accepted yet
    kept = {"id": "a", "key": "k", "status": "queued", "wish": {"n": 2}, "results": []}
    (place / "job.json").write_text(json.dumps(kept))
    assert (books.all_ended(), books.ended("a")) == (False, False)
    assert books.jobs() == [{**DRAWN, "status": "queued", "sha256": []}]
    # The service died in the middle of that line; the next one goes on in it.
    with log.open("a") as file:
        file.write('{"message":"listening"}\n{"message":"drew 1 pictures","jobs":["a"]}\n')
    results = [{"sha256": digest} for digest in DRAWN["sha256"]]
    (place / "job.json").write_text(json.dumps({**kept, "status": "succeeded", "results": results}))
    assert (books.all_ended(), books.ended("a")) == (True, True)
    assert books.jobs() == [{**DRAWN, "drawn": 3}]
