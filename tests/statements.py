"""What a store says to SQLite, heard from SQLite itself.

记录任务表发给 SQLite 的语句。
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa

from shared.store.sql.store import SqlStore


@contextmanager
def statements_of(store: SqlStore) -> Iterator[list[str]]:
    """Every statement meanwhile, its parameters filled in; without the ends of transactions.

    期间执行的全部语句。
    """
    sent: list[str] = []

    def note(statement: str) -> None:
        if statement not in ("COMMIT", "ROLLBACK"):
            sent.append(statement)

    with at_each_loan(store, lambda connection: connection.set_trace_callback(note)):
        yield sent
    store.close()  # those connections would go on noting


@contextmanager
def at_each_loan(store: SqlStore, do: Callable[[Any], object]) -> Iterator[None]:
    """Do something with the driver's connection each time that the store takes one meanwhile.

    每次借出连接时执行一个动作。
    """

    def listen(connection: Any, *_: Any) -> None:
        do(connection)

    store._writer.close()  # the writer's own is taken anew
    sa.event.listen(store._engine, "checkout", listen)
    try:
        yield
    finally:
        sa.event.remove(store._engine, "checkout", listen)
