"""Many rows in one statement, for a database where each statement is a round trip.

Written out as text: how many rows there are, and what they have in common, is another thing each
time, and to have SQLAlchemy compile each costs more than the database takes to answer it.

一条语句写入多行。
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import sqlalchemy as sa

from shared.store.base import StoreUnavailable, Table
from shared.store.sql.commits import TRIES, Work
from shared.store.sql.engine import SQL_TABLES, leased_columns
from shared.store.sql.rows import Written
from shared.store.sql.session import Session

MOST_ROWS = 128
"""Rows in one statement."""
_CHARACTERS = 2**19
"""Characters of documents in one statement: of a record alone it may be more. Quoted for MySQL they
are twice as many at most, far below what any server takes at once."""

Target = tuple[sa.Table, Written]


class Many:
    """The statements of one dialect.

    一次写入多行的语句。
    """

    def __init__(self, dialect: sa.Dialect) -> None:
        self._exists = dialect.loaded_dbapi.IntegrityError
        self._mark = "%s" if dialect.paramstyle == "format" else "?"
        self._quote = dialect.identifier_preparer.quote

    def write(self, session: Session, targets: Sequence[Target]) -> bool:
        """Write rows that are all to stand at the version seen, each table's new ones in one
        statement and its changed ones in another; False if any did not: what was written is then to
        be undone.

        写入多行；有任何一行的版本不符时返回假。
        """
        groups: dict[tuple[str, bool], list[Target]] = defaultdict(list)
        for table, row in targets:
            groups[table.name, row["seen"] == 0].append((table, row))
        for (_, is_new), group in groups.items():
            table = group[0][0]
            for rows in _parts([row for _, row in group]):
                columns = [column.name for column in table.c if column.name != "id"]
                said = self._insert(table, rows) if is_new else self.update(table, rows, columns)
                try:
                    met = session.run(*said)
                except self._exists:  # somebody made one of the rows meanwhile
                    return False
                if met != len(rows):
                    return False
        return True

    def take(self, session: Session, table: sa.Table, rows: Sequence[Written]) -> bool:
        """Write leases, as `write` does.

        写入多个租约。
        """
        parts = _parts(rows)
        return all(
            session.run(*self.update(table, part, leased_columns(table))) == len(part)
            for part in parts
        )

    def standing(self, session: Session, targets: Sequence[Target]) -> list[bool]:
        """Which of the rows stand at the version seen; those that there are, are locked until the
        transaction's end.

        锁定并检查各行的版本。
        """
        keys: dict[str, list[str]] = defaultdict(list)
        for table, row in targets:
            keys[table.name].append(row["new_id"])
        found = {
            (name, key): version
            for name, of_table in keys.items()
            for key, version in self.versions(session, name, of_table, lock=True)
        }
        return [found.get((table.name, row["new_id"]), 0) == row["seen"] for table, row in targets]

    def versions(
        self, session: Session, table: str, keys: Sequence[str], *, lock: bool = False
    ) -> list[tuple[str, int]]:
        """The keys and versions of those rows that there are.

        读取各行的版本。
        """
        marks = ", ".join([self._mark] * len(keys))
        text = f"SELECT id, version FROM {self._quote(table)} WHERE id IN ({marks})"
        rows = session.found(text + (" FOR UPDATE" if lock else ""), list(keys))
        return [(row[0], row[1]) for row in rows]

    def update(
        self,
        table: sa.Table,
        rows: Sequence[Written],
        columns: Sequence[str],
        *,
        all_or_none: bool = False,
    ) -> tuple[str, list[Any]]:
        """Changes rows that stand at the version seen, or, `all_or_none`, fails where one of those
        that there are does not: MySQL undoes the statement whose whole number is out of range.

        更新多行的语句。
        """
        values: list[Any] = []

        def said(name: str) -> str:
            each = [row[name] for row in rows]
            if all(value == each[0] for value in each):
                # What all have in common is said once.
                values.append(each[0])
                return self._mark
            for row, value in zip(rows, each, strict=True):
                values.extend((row["new_id"], value))
            return f"CASE id{f' WHEN {self._mark} THEN {self._mark}' * len(rows)} END"

        version = "version + 1"
        if all_or_none:
            # ~0 is the largest of whole numbers. Unlike NULL in a column that takes none this is an
            # error in every mode of the server.
            version = f"CASE WHEN version = {said('seen')} THEN version + 1 ELSE ~0 + version END"
        changes = [f"version = {version}"]
        changes += [
            f"{self._quote(name)} = {said(f'new_{name}')}" for name in columns if name != "version"
        ]
        values += [row["new_id"] for row in rows]
        where = f"id IN ({', '.join([self._mark] * len(rows))})"
        if not all_or_none:
            where += f" AND version = {said('seen')}"
        text = f"UPDATE {self._quote(table.name)} SET {', '.join(changes)} WHERE {where}"
        return text, values

    def _insert(self, table: sa.Table, rows: Sequence[Written]) -> tuple[str, list[Any]]:
        names = [column.name for column in table.c]
        one = f"({', '.join([self._mark] * len(names))})"
        columns = ", ".join(self._quote(name) for name in names)
        text = f"INSERT INTO {self._quote(table.name)} ({columns}) VALUES "
        return text + ", ".join([one] * len(rows)), [
            row[f"new_{name}"] for row in rows for name in names
        ]


class _Overtaken(Exception):
    """A row is no longer what its writer saw: what was written with it is undone."""


def write_at_once(
    commit: Callable[[Work[list[bool]]], list[bool]],
    many: Many,
    rows: Sequence[tuple[Table, Written]],
    judge: Callable[[list[bool]], None],
) -> list[bool]:
    """Write rows by a few statements in a transaction, which `commit` runs; which of them were
    written. `judge` raises if those that stand at the version seen are too few.

    Mostly all do, and nobody looks: only where one did not all is undone, and the next transaction
    looks before it writes. Raises `StoreUnavailable` where others are quicker again and again.

    用少数几条语句写入多行。
    """
    targets = [(SQL_TABLES[table.name], row) for table, row in rows]

    def write(session: Session, standing: list[bool]) -> list[bool]:
        chosen = [target for target, stands in zip(targets, standing, strict=True) if stands]
        if not many.write(session, chosen):
            raise _Overtaken
        return standing

    def look_and_write(session: Session) -> list[bool]:
        standing = many.standing(session, targets)
        judge(standing)
        return write(session, standing)

    works: list[Work[list[bool]]] = [lambda session: write(session, [True] * len(targets))]
    for work in works + [look_and_write] * TRIES:
        try:
            return commit(work)
        except _Overtaken:
            continue
    raise StoreUnavailable("others write the same rows again and again")


def _parts(rows: Iterable[Written]) -> Iterator[list[Written]]:
    """The rows in parts of a size that a statement may have.

    按语句大小拆分各行。
    """
    part: list[Written] = []
    size = 0
    for row in rows:
        more = len(row.get("new_document", ""))
        if part and (len(part) == MOST_ROWS or size + more > _CHARACTERS):
            yield part
            part, size = [], 0
        part.append(row)
        size += more
    if part:
        yield part
