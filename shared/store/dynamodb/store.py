"""The store over DynamoDB: one table for every kind of record, an index per declared index.

What lies in the table is described in `dynamodb_items`; requests go out by `dynamodb_calls`.

用 DynamoDB 实现的任务表。
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from operator import itemgetter
from typing import Any

from shared.clock import Clock, SystemClock
from shared.store.base import (
    Conflict,
    Lease,
    Page,
    Record,
    StoreUnavailable,
    Table,
    Value,
    check_expiry,
    check_query,
    check_writes,
)
from shared.store.cursors import cursor_after, read_cursor
from shared.store.dynamodb import items as items
from shared.store.dynamodb.calls import Calls, Refused
from shared.store.dynamodb.search import Search, search_for
from shared.store.tables import JOBS

log = logging.getLogger("maquette.store")

_AT_ONCE = 8  # writes of one claim in the air
_NOBODY = {"id": {"S": "nobody"}}  # no record's id: theirs hold a "#"


class DynamoStore:
    """`Store` over the table of template.yaml, in the AWS that the environment names.

    Threads may share it, and a process may fork while it is open. `on_lost` hears how many of a
    claim's records others took first.

    A write whose answer was lost is sent again and then recognises itself: every write leaves a
    random token of its own in what it writes. Only where somebody else has by then written on top
    of it, it is a `Conflict` although it went through.

    DynamoDB 任务表。
    """

    def __init__(
        self,
        table: str,
        clock: Clock | None = None,
        on_lost: Callable[[int], None] = lambda number: None,
    ) -> None:
        self._clock = clock or SystemClock()
        self._calls = Calls(table, self._clock)
        self._on_lost = on_lost

    def get(self, table: Table, key: str) -> Record | None:
        """The record as last written (never stale), or None.

        读取一条最新的记录。
        """
        if not items.storable(key):
            return None
        answer = self._calls.send(
            "get_item", Key={"id": items.item_id(table, key)}, ConsistentRead=True
        )
        return items.from_item(table, answer["Item"]) if "Item" in answer else None

    def put(self, table: Table, record: Record) -> Record:
        """Write if the stored version is `record.version` (0: absent), else raise `Conflict`.

        条件写入一条记录。
        """
        return self.transact([(table, record)])[0]

    def put_each(self, writes: Sequence[tuple[Table, Record]]) -> list[Record | None]:
        """Several puts, each by itself; None for one that lost.

        逐条写入。
        """
        for write in writes:
            check_writes([write])
        written: list[Record | None] = []
        for table, record in writes:
            try:
                written.append(self.put(table, record))
            except Conflict:
                written.append(None)
        return written

    def transact(self, writes: Sequence[tuple[Table, Record]]) -> list[Record]:
        """Several puts, all or none; at most 25, each of another record, else `ValueError`.

        一次写入多条，要么全部成功，要么全部不写。
        """
        check_writes(writes)
        token = secrets.token_hex(16)
        puts = [self._put(table, record, token) for table, record in writes]
        try:
            if len(puts) == 1:
                self._calls.send("put_item", **puts[0])
            elif puts:
                self._calls.write_all(puts, token)
        except Refused as refused:
            for number, found in sorted(refused.found.items()):
                if not items.is_from(token, found):
                    table, record = writes[number]
                    raise Conflict(table.name, record.key) from None
        return [record.written() for _, record in writes]

    def query(
        self,
        table: Table,
        index: str,
        equals: Mapping[str, Value],
        *,
        low: Value | None = None,
        high: Value | None = None,
        limit: int = 100,
        descending: bool = False,
        cursor: str | None = None,
    ) -> Page:
        """Records of an index, in its order, sort values within [low, high]; may be stale.

        The index may lag and only says which records to read; they come as they are now.

        按索引查询。
        """
        declared = check_query(table, index, equals, limit)
        after = None if cursor is None else read_cursor(table, declared, cursor)
        search = search_for(
            table, declared, equals, low=low, high=high, descending=descending, after=after
        )
        found = self._find(table, search, limit + 1)
        more = len(found) > limit
        return Page(
            tuple(found[:limit]), cursor_after(declared, found[limit - 1]) if more else None
        )

    def first(self, table: Table, index: str, equals: Mapping[str, Value]) -> Value | None:
        """The lowest sort value of an index, None if nothing is found; one query of the index
        alone, which may lag.

        索引中最小的排序值。
        """
        declared = check_query(table, index, equals)
        search = search_for(table, declared, equals)
        found = self._calls.send("query", **search.request(1))["Items"]
        if not found:
            return None
        return items.sort_value(table, declared, search.position(found[0]))

    def claim(
        self,
        table: Table,
        index: str,
        equals: Mapping[str, Value],
        *,
        now: int,
        lease: Callable[[Record], Lease | None],
        limit: int,
    ) -> list[Record]:
        """Take due records for this worker, each by one conditional write on the version seen.

        认领到期的记录。
        """
        if limit < 1:
            return []
        search = search_for(table, check_query(table, index, equals), equals, high=now)
        due = self._find(table, search, limit)
        leased = [one.taken(record) for record in due if (one := lease(record))]
        if not leased:
            return []
        # This call's own pool: one that lived on would be missing in a process that forks.
        with ThreadPoolExecutor(min(_AT_ONCE, len(leased)), "claim") as pool:
            writes = [pool.submit(self._take, table, record) for record in leased]
        errors = [error for write in writes if (error := write.exception()) is not None]
        won = [write.exception() is None and write.result() for write in writes]
        # A record whose write failed stays due, and those that were taken must not be forgotten.
        for error in errors:
            if not isinstance(error, StoreUnavailable) or not any(won):
                raise error
            log.warning("a due record stays unclaimed: %s", error)
        lost = len(won) - sum(won) - len(errors)
        if lost:
            self._on_lost(lost)
        return [record for record, mine in zip(leased, won, strict=True) if mine]

    def expire(self, table: Table, now: int, limit: int) -> int:
        """Nothing: DynamoDB removes by itself what is over (its time to live).

        无需处理：由 DynamoDB 自动清除。
        """
        check_expiry(table)
        return 0

    def check(self) -> None:
        """Raise `StoreUnavailable` unless the table is read, written to and found by `due`.

        检查是否可用。
        """
        self._calls.send("get_item", Key=_NOBODY, ConsistentRead=True)
        nothing = search_for(JOBS, JOBS.index("due"), {"queue": "nobody", "lane": 0})
        self._calls.send("query", **nothing.request(1))
        try:
            # Needs the right to write, and changes nothing.
            self._calls.send("update_item", Key=_NOBODY, ConditionExpression="attribute_exists(id)")
        except Refused:
            return
        raise StoreUnavailable("DynamoDB: update_item: a condition was not looked at")

    def close(self) -> None:
        """Harmless: the connections are the process's, for every store in it.

        无需关闭。
        """

    def _put(self, table: Table, record: Record, token: str) -> dict[str, Any]:
        """The put of a record, on condition that it stands at the version before, or is not there.

        带条件的写入。
        """
        put = {
            "Item": items.to_item(table, record.written(), token, self._clock.now()),
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }
        if record.version == 0:
            return {**put, "ConditionExpression": "attribute_not_exists(id)"}
        return {
            **put,
            "ConditionExpression": "#version = :seen",
            "ExpressionAttributeNames": {"#version": "version"},
            "ExpressionAttributeValues": {":seen": items.number(record.version)},
        }

    def _take(self, table: Table, leased: Record) -> bool:
        """Write a lease if the record still stands at the version before; whether it did.

        写入租约。
        """
        token = secrets.token_hex(16)
        changes = items.changing(table, leased, token, self._clock.now())
        values = {f":{name}": value for name, value in changes.items()}
        try:
            self._calls.send(
                "update_item",
                Key={"id": items.item_id(table, leased.key)},
                UpdateExpression="SET " + ", ".join(f"#{name} = :{name}" for name in changes),
                ConditionExpression="#version = :seen",
                ExpressionAttributeNames={f"#{name}": name for name in changes},
                ExpressionAttributeValues={**values, ":seen": items.number(leased.version - 1)},
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except Refused as refused:
            return items.is_from(token, refused.found[0])
        return True

    def _find(self, table: Table, search: Search, wanted: int) -> list[Record]:
        """Up to `wanted` records of an index as they are now, in the order they are in now.

        A record that the index still shows where it no longer belongs is left out, and more is
        read in its stead. One that has only moved comes at its new place, if the index was read
        that far: who looks right after a claim still sees what was claimed.

        按索引查找记录。
        """
        found: dict[str, tuple[str, Record]] = {}
        settled: list[tuple[str, Record]] = []
        start = search.start
        while not search.empty:
            page = self._calls.send("query", **search.request(wanted - len(settled), start))
            for item in self._calls.read_all(key["id"]["S"] for key in page["Items"]):
                if search.finds(item):
                    found[item["id"]["S"]] = search.position(item), items.from_item(table, item)
            start = page.get("LastEvaluatedKey")
            settled = [
                (at, record)
                for at, record in found.values()
                if start is None or search.in_order(at, search.position(start))
            ]
            if start is None or len(settled) >= wanted:
                break
        settled.sort(key=itemgetter(0), reverse=search.descending)
        return [record for _, record in settled[:wanted]]
