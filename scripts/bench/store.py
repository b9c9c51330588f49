"""Measure the SQL store against raw SQL: `python -m scripts.bench.store`.

Claims in batches of 100 from tables of ten thousand and a million jobs, of which few are due; puts
one by one. By turns the store does it and the same statements by hand through the database's own
driver. On SQLite, and on MariaDB where one is installed; it runs for the time on a port of its
own, as far away as `--away` says.

测量任务表相对于原生 SQL 的速度。
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from infra.migrations.migrate import upgrade
from infra.tencent.mariadb import mariadb_lacks
from scripts.bench.databases import mariadb, sqlite
from scripts.bench.far import far
from scripts.bench.harness import load
from shared.store.base import Lease, Record, Value
from shared.store.sql.engine import METADATA, connect, writing
from shared.store.sql.store import SqlStore
from shared.store.tables import JOBS

BATCH = 100  # jobs in a claim
ROUNDS = 25  # claims by each
ROUNDS_UNINDEXED = 5
PUTS = 200
ROWS = (10_000, 1_000_000)
DUE = 2 * BATCH * (ROUNDS + 2)
LATER = 2**40  # a due_at that does not come during the measurement
DOCUMENT = {"input": {"prompt": "x" * 1500}}  # about what a job's document weighs
FIELDS: Mapping[str, Value] = {
    "queue": "poll",
    "lane": 0,
    "caller": "caller-1",
    "status": "queued",
}
_COLUMNS = "id, version, due_at, claims, queue, lane, caller, status, document"
Database = Callable[[Path], AbstractContextManager[str]]


@dataclass(frozen=True)
class Pace:
    """Records a second by the store and by raw SQL, on the clock and by this process's processor
    time. A database in a process of its own works beside that.

    每秒处理的记录数。
    """

    what: str
    store: float
    raw: float
    store_cpu: float
    raw_cpu: float

    def told(self) -> str:
        """In words.

        用文字描述。
        """
        return (
            f"  {self.what:<22} {self.store:>8,.0f}/s of {self.raw:>8,.0f}: "
            f"{self.store / self.raw:.2f}   by processor time "
            f"{self.store_cpu:>8,.0f}/s of {self.raw_cpu:>8,.0f}: "
            f"{self.store_cpu / self.raw_cpu:.2f}"
        )


def main(argv: list[str] | None = None) -> int:
    """Fill tables in a temporary folder, measure, print.

    运行测量并打印结果。
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=_rows, action="append", help=f"jobs in the table {ROWS}")
    parser.add_argument("--on", action="append", choices=("sqlite", "mariadb"), help="all found")
    parser.add_argument("--folder", type=Path, help="where the databases are made for the time")
    parser.add_argument("--away", type=float, default=0.0, help="ms to MariaDB and back, added")
    parser.add_argument("--unindexed", action="store_true", help="also without the index")
    parser.add_argument("--json", action="store_true", help="print figures for programs")
    chosen = parser.parse_args(argv)
    databases: dict[str, Database] = {"sqlite": sqlite, "mariadb": mariadb}
    found: list[dict[str, Any]] = []
    for name in chosen.on or databases:
        if name == "mariadb" and (lacks := mariadb_lacks()):
            print(f"mariadb is left out: {lacks}", file=sys.stderr)
            continue
        for rows in chosen.rows or ROWS:
            with (
                tempfile.TemporaryDirectory(dir=chosen.folder) as folder,
                databases[name](Path(folder)) as near,
                nullcontext(near) if name == "sqlite" else far(near, chosen.away) as url,
            ):
                upgrade(near)
                seconds = _timed(partial(_fill, near, rows)).wall
                if not chosen.json:
                    print(f"{name}, {rows:,} rows, filled in {seconds:.0f} s, {load()}")
                rounds = min(ROUNDS, rows // (2 * BATCH) - 1)
                for pace in _measure(url, rounds, chosen.unindexed):
                    found.append({"on": name, "rows": rows, **asdict(pace)})
                    if not chosen.json:
                        print(pace.told(), flush=True)
    if chosen.json:
        print(json.dumps({"machine": load(), "paces": found}, indent=2))
    return 0


@dataclass(frozen=True)
class Took:
    """Seconds on the clock and of this process's processor time.

    耗时。
    """

    wall: float = 0.0
    cpu: float = 0.0

    def __add__(self, other: Took) -> Took:
        return Took(self.wall + other.wall, self.cpu + other.cpu)


def _rows(text: str) -> int:
    if (rows := int(text)) < 4 * BATCH:
        raise argparse.ArgumentTypeError(f"at least {4 * BATCH}")
    return rows


def _measure(url: str, rounds: int, unindexed: bool) -> Sequence[Pace]:
    """Claims and puts, by the store and by hand in turns.

    轮流测量任务表与原生 SQL。
    """
    store, raw = SqlStore(url), Raw(url)
    with closing(store), closing(raw):
        paces = [_pace(f"claims of {BATCH}", BATCH, rounds, lambda _: _claim(store), raw.claim)]
        paces.append(_pace("puts, each a commit", 1, PUTS, lambda n: _put(store, n), raw.put))
        if unindexed:
            raw.run("DROP INDEX jobs_due" + ("" if raw.is_sqlite else " ON jobs"))
            times = ROUNDS_UNINDEXED
            paces.append(
                _pace("claims, no index", BATCH, times, lambda _: _claim(store), raw.claim)
            )
    return paces


def _pace(
    what: str, batch: int, times: int, store: Callable[[int], int], raw: Callable[[int], int]
) -> Pace:
    """How fast each is, in turns; each must do all of every batch.

    轮流执行并计时。
    """
    by_store = by_hand = Took()
    for number in range(-1, times):
        one = _timed(partial(_all_of, store, number, batch))
        other = _timed(partial(_all_of, raw, number, batch))
        if number >= 0:  # the first one warms up
            by_store, by_hand = by_store + one, by_hand + other
    done = times * batch
    return Pace(
        what, done / by_store.wall, done / by_hand.wall, done / by_store.cpu, done / by_hand.cpu
    )


def _all_of(work: Callable[[int], int], number: int, batch: int) -> None:
    if (done := work(number)) != batch:
        raise RuntimeError(f"{done} records instead of {batch}")


def _claim(store: SqlStore) -> int:
    equals: dict[str, Value] = {"queue": "poll", "lane": 0}
    return len(store.claim(JOBS, "due", equals, now=LATER - 1, lease=_lease, limit=BATCH))


def _lease(_record: Record) -> Lease:
    return Lease(LATER, counted=True)


def _put(store: SqlStore, number: int) -> int:
    store.put(JOBS, Record(f"put-{number}", DOCUMENT, FIELDS, due_at=LATER))
    return 1


class Raw:
    """The same by hand: the driver's own connection, as few statements as will do.

    原生 SQL 的实现。
    """

    def __init__(self, url: str) -> None:
        place = sa.make_url(url)
        self.is_sqlite = place.get_backend_name() == "sqlite"
        self._connection: Any
        if self.is_sqlite:
            assert place.database is not None
            self._connection = sqlite3.connect(place.database, isolation_level=None)
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute("PRAGMA synchronous=FULL")
        else:
            import pymysql  # type: ignore[import-untyped]

            self._connection = pymysql.connect(
                host=place.host,
                port=place.port,
                user=place.username,
                database=place.database,
                autocommit=True,
            )
        self._mark = "?" if self.is_sqlite else "%s"
        self._document = json.dumps(DOCUMENT, separators=(",", ":"))

    def claim(self, _number: int) -> int:
        """Claim one batch: read it, move it, commit.

        领取一批。
        """
        cursor, mark = self._connection.cursor(), self._mark
        lock = "" if self.is_sqlite else " FOR UPDATE"
        cursor.execute("BEGIN IMMEDIATE" if self.is_sqlite else "BEGIN")
        cursor.execute(
            f"SELECT {_COLUMNS} FROM jobs WHERE queue = {mark} AND lane = {mark} "
            f"AND due_at <= {mark} ORDER BY due_at, id LIMIT {BATCH}{lock}",
            ("poll", 0, LATER - 1),
        )
        rows = cursor.fetchall()
        cursor.execute(
            f"UPDATE jobs SET due_at = {mark}, version = version + 1, claims = claims + 1 "
            f"WHERE id IN ({', '.join([mark] * len(rows))})",
            (LATER, *(row[0] for row in rows)),
        )
        done = int(cursor.rowcount)
        cursor.execute("COMMIT")
        return done

    def put(self, number: int) -> int:
        """Insert one record.

        插入一条记录。
        """
        cursor = self._connection.cursor()
        marks = ", ".join([self._mark] * len(_COLUMNS.split(", ")))
        cursor.execute("BEGIN IMMEDIATE" if self.is_sqlite else "BEGIN")
        cursor.execute(
            f"INSERT INTO jobs ({_COLUMNS}) VALUES ({marks})",
            (f"raw-{number}", 1, LATER, 0, *FIELDS.values(), self._document),
        )
        cursor.execute("COMMIT")
        return 1

    def run(self, statement: str) -> None:
        """Run any statement.

        执行一条语句。
        """
        self._connection.cursor().execute(statement)

    def close(self) -> None:
        """Let go of the connection.

        关闭连接。
        """
        self._connection.close()


def _fill(url: str, rows: int) -> None:
    """Straight into the table: a store commits at most 25 at a time.

    直接向表中写入大量记录。
    """
    jobs = METADATA.tables[JOBS.name]
    document = json.dumps(DOCUMENT)
    every = max(1, rows // DUE)
    engine = connect(url)
    for start in range(0, rows, 10_000):
        with writing(engine).begin() as connection:
            if engine.dialect.name == "sqlite":
                connection.exec_driver_sql("PRAGMA cache_size=-400000")
            connection.execute(
                sa.insert(jobs),
                [
                    {
                        **FIELDS,
                        "id": f"{n:026}",  # as jobs' own: in the order in which they were made
                        "version": 1,
                        "due_at": n if n % every == 0 else LATER,
                        "claims": 0,
                        "caller": f"caller-{n % 10}",
                        "document": document,
                    }
                    for n in range(start, min(rows, start + 10_000))
                ],
            )
    engine.dispose()


def _timed(work: Callable[[], object]) -> Took:
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return Took(time.perf_counter() - wall, time.process_time() - cpu)


if __name__ == "__main__":
    sys.exit(main())
