"""Claims of due rows: with locks that skip others', and by the version alone.

认领到期的行：锁定时跳过别人已锁的行，或只凭版本号。
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shared.store.base import Lease, Record, Table
from shared.store.sql import mysql
from shared.store.sql.engine import SQL_TABLES, leased_columns
from shared.store.sql.many import MOST_ROWS, Many
from shared.store.sql.rows import Row, lease_of, record_of
from shared.store.sql.session import Session

_OVERTAKEN = 4  # how often what still stands is tried again
_STALLED = 2  # how many waits for others' locks one claim makes, each as long as the server lets it


@dataclass(frozen=True)
class Claim:
    """What is claimed: of a table the due rows that `asked` finds, each for as `lease` says.

    一次认领的要求。
    """

    table: Table
    asked: Mapping[str, Any]
    lease: Callable[[Record], Lease | None]

    def leased(self, rows: Sequence[Row]) -> list[Record]:
        """The records of these rows as they are once they are claimed, without those left alone.

        认领后的记录。
        """
        seen = (record_of(self.table, row) for row in rows)
        return [one.taken(record) for record in seen if (one := self.lease(record))]


def take_what_stands(
    session: Session, many: Many, table: Table, leased: Sequence[Record]
) -> list[Record]:
    """Write leases by the version alone, each statement a transaction by itself: nobody who stops
    meanwhile leaves a lock behind. Those are given that were written.

    All rows are written or none, so that it is known which: where others were quicker, it is read
    what still stands and tried again. A row that somebody holds locked, in the middle of a
    transaction, is waited for; then the others are looked for by halves, and it is left.

    只凭版本号写入租约，返回写入成功的记录。
    """
    taken: set[str] = set()
    batches = [list(leased[n : n + MOST_ROWS]) for n in range(0, len(leased), MOST_ROWS)][::-1]
    overtaken = stalled = 0
    while batches:
        batch = batches.pop()
        try:
            met = _take(session, many, table, batch)
        except Exception as error:
            if mysql.is_out_of_range(error) or mysql.is_deadlock(error):
                overtaken += 1
                left = _standing(session, many, table, batch) if overtaken < _OVERTAKEN else []
                batches += [left] if left else []
            elif mysql.is_lock_wait(error):
                stalled += 1
                middle = (len(batch) + 1) // 2
                halves = (batch[middle:], batch[:middle]) if stalled < _STALLED else ()
                batches += [half for half in halves if half]
            else:
                raise
        else:
            keys = {record.key for record in batch}
            if met < len(batch):  # the others are not there at all
                keys = {key for key, _ in many.versions(session, table.name, sorted(keys))}
            taken |= keys
    return [record for record in leased if record.key in taken]


def _take(session: Session, many: Many, table: Table, batch: Sequence[Record]) -> int:
    target = SQL_TABLES[table.name]
    rows = [lease_of(record) for record in batch]
    return session.run(*many.update(target, rows, leased_columns(target), all_or_none=True))


def _standing(session: Session, many: Many, table: Table, batch: list[Record]) -> list[Record]:
    keys = [record.key for record in batch]
    versions = dict(many.versions(session, table.name, keys))
    return [record for record in batch if versions.get(record.key) == record.version - 1]
