"""Logs and metrics for CLS: flat lines of JSON, an index over them, and queries that fit both."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import cache
from typing import Any

import pytest

from infra.aws import template
from infra.paths import ROOT
from shared.jobs.model import Status
from shared.metrics import ALL, JOB_SECONDS, PROVIDER_SECONDS, Metric, Series
from shared.providers import base
from shared.tencent.cls import Cls, lines
from tests.cls import analysed, delivered, run, searched

FOLDER = ROOT / "infra" / "tencent" / "cls"
QUERIES: dict[str, dict[str, str]] = {
    one["name"]: one for one in json.loads((FOLDER / "queries.json").read_text("utf-8"))
}
INDEX = json.loads((FOLDER / "index.json").read_text("utf-8"))
INDEXED = {one["Key"]: one["Value"] for one in INDEX["Rule"]["KeyValue"]["KeyValues"]}
PLATFORM = {name for name in INDEXED if name.startswith("SCF_")}
"""The platform's own fields (document 583/60336); of ours none begins so."""
METRICS = {metric.name: metric for metric in ALL}

LOGS = """
import logging
from shared.observability import invocation, job, set_up_logs

class Context:
    aws_request_id = "request-1"
    function_name = "maquette-dev-poll"

set_up_logs("INFO")
log = logging.getLogger("maquette.test")
with invocation(Context()), job("01J"):
    log.info("%s is queued", "木椅", extra={"answer": {"a": [1]}, "share": float("nan"), "n": 7})
    log.info("half a letter: \\ud83d")
    try:
        raise ValueError("what went wrong")
    except ValueError:
        log.exception("it failed")
"""


def measured(metric: Metric, *values: float, **dimensions: str) -> Series:
    return Series(metric, dimensions, list(values))


@cache
def logged() -> tuple[str, str]:
    """What a function on SCF writes on stdout and on stderr, where both have ASCII alone."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    environ |= {"TENCENTCLOUD_RUNENV": "SCF", "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(
        [sys.executable, "-c", LOGS], cwd=ROOT, env=environ, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


@cache
def written() -> dict[str, set[type]]:
    """Every field that CLS gets of what we write, with the types of its values."""
    series = [measured(one, 1.5, **dict.fromkeys(one.dimensions, "x")) for one in ALL]
    found: dict[str, set[type]] = {}
    for line in [*lines("dev", series), *logged()[0].splitlines()]:
        for name, value in delivered(line).items():
            found.setdefault(name, set()).add(type(value))
    return found


def test_each_value_is_a_line_of_its_own_that_scf_hands_on_whole() -> None:
    given = [
        measured(JOB_SECONDS, 2, 7.5, kind="text-to-3d", status="succeeded"),
        measured(METRICS["ClaimsLost"], 3),
    ]
    found = list(lines("dev", given))
    assert [json.loads(line) for line in found] == [delivered(line) for line in found]
    assert [delivered(line) for line in found] == [
        {
            "metric": "JobSeconds",
            "unit": "Seconds",
            "stage": "dev",
            "kind": "text-to-3d",
            "status": "succeeded",
            "value": value,
        }
        for value in (2, 7.5)
    ] + [{"metric": "ClaimsLost", "unit": "Count", "stage": "dev", "value": 3}]
    assert all("\n" not in line for line in found)


def test_they_are_written_on_stdout_each_by_one_write(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []

    class Out:
        def write(self, text: str) -> None:
            said.append(text)

        def flush(self) -> None:
            said.append("flushed")

    monkeypatch.setattr(sys, "stdout", Out())
    Cls("dev")([measured(METRICS["ClaimsLost"], 1), measured(METRICS["ClaimsLost"], 2)])
    assert [text[-1] for text in said[:2]] == ["\n", "\n"]
    assert said[2:] == ["flushed"]


def test_no_dimension_is_lost_under_the_name_of_another_field() -> None:
    own = {"metric", "unit", "stage", "value"}
    assert not [one.name for one in ALL if own & set(one.dimensions)]


def test_a_function_logs_on_stdout_lines_that_need_no_encoding_and_keep_every_member() -> None:
    out, err = logged()
    assert err == ""
    assert out.isascii()
    found = [delivered(line) for line in out.splitlines()]
    assert [json.loads(line) for line in out.splitlines()] == found
    assert found[0]["message"] == "木椅 is queued"
    assert (found[0]["answer"], found[0]["share"], found[0]["n"]) == ('{"a": [1]}', "NaN", 7)
    assert found[0]["cold_start"] == "true"
    assert {line["job_id"] for line in found} == {"01J"}
    assert {line["function_name"] for line in found} == {"maquette-dev-poll"}
    assert "ValueError: what went wrong" in found[2]["exception"]
    assert "xray_trace_id" not in found[0]


def test_a_standard_output_that_takes_the_place_of_another_gets_the_lines() -> None:
    script = """
import io, logging, sys
from shared.observability import set_up_logs
set_up_logs("INFO")
sys.stdout = io.StringIO()
logging.getLogger("maquette.test").info("later")
sys.stderr.write(sys.stdout.getvalue())
"""
    environ = {**os.environ, "TENCENTCLOUD_RUNENV": "SCF"}
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, env=environ, capture_output=True, text=True
    )
    assert done.stdout == ""
    assert json.loads(done.stderr)["message"] == "later"


def test_every_field_a_query_names_is_indexed_and_is_really_written() -> None:
    for name, one in QUERIES.items():
        for field in [*searched(one["query"]), *analysed(one["query"])]:
            assert field in INDEXED, f"{name} asks for {field}"
            assert field in written() or field in PLATFORM, f"{name} asks for {field}"
            assert INDEXED[field]["SqlFlag"], field


def test_every_field_of_the_index_is_written_as_what_it_is_indexed_as() -> None:
    types = {"text": {str}, "long": {int}, "double": {int, float}}
    for field in INDEXED.keys() - PLATFORM:
        assert written()[field] <= types[INDEXED[field]["Type"]], field
    for field, value in INDEXED.items():
        if value["Type"] != "text":
            assert (value["Tokenizer"], value["ContainZH"]) == ("", False), field
    assert {"SCF_RequestId", "SCF_FunctionName", "SCF_StatusCode", "SCF_Message"} <= PLATFORM
    assert len(INDEXED) <= 100  # as many keys as an index may have


def test_every_query_asks_a_metric_for_its_own_dimensions_and_no_metric_is_without_one() -> None:
    asked = set()
    for name, one in QUERIES.items():
        terms = searched(one["query"])
        for metric in terms.get("metric", set()):
            asked.add(metric)
            fields = {*terms, *analysed(one["query"])} - {"metric", "unit", "stage", "value"}
            assert fields <= set(METRICS[metric].dimensions), name
            assert terms["stage"] == {"{stage}"}, name
    assert asked == set(METRICS)


def test_the_texts_a_query_asks_for_are_said_by_somebody() -> None:
    errors = {name for name in dir(base) if isinstance(getattr(base, name), type)}
    known: dict[str, set[str]] = {
        "status": {status.value for status in Status},
        "error": errors,
        "result": {"delivered", "failed", "dead"},
        "level": {"ERROR", "CRITICAL"},
        "cold_start": {"true", "false"},
        "SCF_Type": {"Platform", "Custom"},
    }
    for name, one in QUERIES.items():
        for field, texts in searched(one["query"]).items():
            if field in known:
                assert texts <= known[field], name
            elif field != "metric":
                assert texts <= {f"{{{field}}}"}, name


def test_whatever_raises_an_alarm_on_aws_has_a_query_with_one_here() -> None:
    resources = template.parse((ROOT / "template.yaml").read_text("utf-8"))["Resources"]
    alarms = [
        one["Properties"]
        for one in resources.values()
        if one["Type"] == "AWS::CloudWatch::Alarm" and one["Properties"]["Namespace"] == "Maquette"
    ]
    assert alarms
    told = [searched(one["query"])["metric"] for one in QUERIES.values() if _on_metric(one)]
    assert {alarm["MetricName"] for alarm in alarms} <= set().union(*told)
    for one in QUERIES.values():
        if "alarm" in one:
            column = one["alarm"].removeprefix("$1.").split()[0]
            assert f"as {column}" in one["query"], one["name"]


def _on_metric(one: dict[str, str]) -> bool:
    return "alarm" in one and "metric" in searched(one["query"])


@pytest.mark.parametrize("name", sorted(QUERIES))
def test_every_query_can_be_run(name: str) -> None:
    run(QUERIES[name]["query"], [{"stage": "dev", "metric": "JobSeconds", "value": 1.0}])


def test_a_query_adds_up_what_was_measured_of_its_stage_alone() -> None:
    call = {"provider": "tripo", "operation": "submit"}
    given = [
        measured(PROVIDER_SECONDS, *map(float, range(1, 21)), **call),
        measured(METRICS["ProviderErrors"], 2, **call, error="RateLimited"),
        measured(METRICS["ProviderErrors"], 3, **call, error="OutOfCredit"),
    ]
    topic = [delivered(line) for stage in ("dev", "prod") for line in lines(stage, given)]

    def rows(name: str) -> list[dict[str, Any]]:
        return run(QUERIES[name]["query"].replace("{stage}", "dev"), topic)

    assert rows("provider-seconds") == [{**call, "calls": 20, "p95": 20.0}]
    assert rows("provider-account") == [{"provider": "tripo", "errors": 3}]
    assert [row["errors"] for row in rows("provider-errors")] == [3, 2]
    assert rows("poll-silent") == [{"told": 0}]
