"""When the next record of a queue is due, over all its lanes.

查找队列中最近的到期时间。
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from shared.store.base import Store, Table
from shared.store.tables import LANES


def earliest_due(
    store: Store, table: Table, queues: Sequence[str], lanes: Iterable[int] = range(LANES)
) -> int | None:
    """When (ms) the next record of these queues is due, over these lanes; None if there is none.

    各分道中最近的到期时间。
    """
    earliest: int | None = None
    for queue in queues:
        for lane in lanes:
            page = store.query(table, "due", {"queue": queue, "lane": lane}, limit=1)
            for record in page.records:
                if record.due_at is not None:
                    earliest = record.due_at if earliest is None else min(earliest, record.due_at)
    return earliest
