"""Measure the SQLite store: `python -m scripts.bench.store [--rows 1000000]`.

Puts and claims per second over a table of many jobs of which few are due, and the same claims
without the index they walk.

测量任务表的速度。
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import sqlalchemy as sa

from infra.migrations.migrate import upgrade
from shared.store.base import Lease, Record, Value
from shared.store.sql.engine import METADATA, connect, writing
from shared.store.sql.store import SqlStore
from shared.store.tables import JOBS

BATCH = 100  # jobs in a claim
PUTS = 1000
ROUNDS = 40  # claims measured; without the index fewer, for they are slow
ROUNDS_UNINDEXED = 5
LATER = 2**40  # a due_at that does not come during the measurement
DOCUMENT = {"input": {"prompt": "x" * 1500}}  # about what a job's document weighs


def main() -> None:
    """Fill a store in a temporary folder, measure, print.

    运行测量并打印结果。
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000, help="jobs in the table")
    parser.add_argument("--due", type=int, default=10_000, help="jobs that are due")
    parser.add_argument("--folder", type=Path, help="where the database is made for the time")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=chosen.folder) as folder:
        url = f"sqlite:///{Path(folder) / 'bench.db'}"
        upgrade(url)
        seconds = _timed(lambda: _fill(url, chosen.rows, chosen.due))
        print(f"{chosen.rows} rows, {chosen.due} due, filled in {seconds:.1f} s")
        store = SqlStore(url)
        _measure(store, url)
        store.close()


def _measure(store: SqlStore, url: str) -> None:
    puts = PUTS / _timed(lambda: _put(store))
    print(f"put: {puts:,.0f} records/s, each a commit of its own")
    indexed = _claim(store, ROUNDS)
    print(f"claim: {indexed:,.0f} records/s in batches of {BATCH}, {ROUNDS} batches")
    _run(url, "DROP INDEX jobs_due")
    unindexed = _claim(store, ROUNDS_UNINDEXED)
    print(f"claim without the due index: {unindexed:,.0f} records/s")
    print(f"ratio: {indexed / unindexed:,.1f}")


def _fill(url: str, rows: int, due: int) -> None:
    """Straight into the table: a store commits at most 25 at a time.

    直接向表中写入大量记录。
    """
    jobs = METADATA.tables[JOBS.name]
    document = json.dumps(DOCUMENT)
    every = max(1, rows // max(1, due))
    engine = connect(url)
    for start in range(0, rows, 10_000):
        with writing(engine).begin() as connection:
            connection.execute(
                sa.insert(jobs),
                [
                    {
                        "id": f"{n * 7919 % 1_000_003:012}-{n:012}",
                        "version": 1,
                        "due_at": n if n % every == 0 else LATER,
                        "claims": 0,
                        "queue": "poll",
                        "lane": 0,
                        "caller": f"caller-{n % 10}",
                        "status": "queued",
                        "document": document,
                    }
                    for n in range(start, min(rows, start + 10_000))
                ],
            )
    engine.dispose()


def _put(store: SqlStore) -> None:
    fields: dict[str, Value | None] = {
        "queue": "poll",
        "lane": 0,
        "caller": "caller-1",
        "status": "queued",
    }
    for n in range(PUTS):
        store.put(JOBS, Record(f"put-{n}", DOCUMENT, fields, due_at=LATER))


def _claim(store: SqlStore, rounds: int) -> float:
    """Records claimed per second.

    测量每秒领取的记录数。
    """
    claimed = 0

    def work() -> None:
        nonlocal claimed
        for _ in range(rounds):
            equals: dict[str, Value] = {"queue": "poll", "lane": 0}
            claimed += len(
                store.claim(JOBS, "due", equals, now=LATER - 1, lease=_lease, limit=BATCH)
            )

    seconds = _timed(work)
    return claimed / seconds


def _lease(_record: Record) -> Lease:
    return Lease(LATER, counted=True)


def _run(url: str, statement: str) -> None:
    engine = connect(url)
    with writing(engine).begin() as connection:
        connection.exec_driver_sql(statement)
    engine.dispose()


def _timed(work: Callable[[], None]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
