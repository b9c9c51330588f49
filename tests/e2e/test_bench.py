"""The measurement of a job's whole life runs, and counts what there is to count."""

from __future__ import annotations

import json

import pytest

from infra.tencent.mariadb import mariadb_lacks
from scripts.bench import lifecycle


@pytest.mark.parametrize("database", ["sqlite", "mariadb"])
def test_the_lifecycle_s_measurement_counts_each_job_s_requests_and_work(
    capsys: pytest.CaptureFixture[str], database: str
) -> None:
    if database == "mariadb" and (lacks := mariadb_lacks()):
        pytest.skip(lacks)
    arguments = ["--jobs", "2", "--warm", "0", "--preview", "off", "--json", "--on", database]

    assert lifecycle.main(arguments) == 0

    (cost,) = json.loads(capsys.readouterr().out)["costs"]
    assert cost["jobs"] == 2
    # One at a time: no two looks fall together.
    assert cost["requests_by_call"] == {"create": 1.0, "list": 3.0, "download": 1.0}
    assert cost["commits"] >= 5  # made, given away, begun, stored, ended: each is kept
    spent = cost["ms_by_function"]
    assert all(spent[name] > 0 for name in lifecycle.FUNCTIONS)
    assert sum(spent.values()) == pytest.approx(cost["ms"])
