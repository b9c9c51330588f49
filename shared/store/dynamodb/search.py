"""What to ask a DynamoDB index, and which of the items it names are an answer.

对索引的一次查询。
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shared.store.base import TEXT_LENGTH, Index, Table, Value
from shared.store.dynamodb.items import Item, item_id, ordered, partition, position, storable, text

_LOWEST = "\0"
_HIGHEST = "\U0010ffff" * (TEXT_LENGTH + 1)


@dataclass(frozen=True)
class Search:
    """A stretch of one partition of an index: the positions from `low` to `high`, both included,
    without what comes up to the one in `start`.

    索引分区中的一段。
    """

    index: str
    partition: str
    low: str
    high: str
    descending: bool = False
    start: Item | None = None

    @property
    def empty(self) -> bool:
        """Whether there is nothing between the bounds; DynamoDB may not be asked for such.

        范围是否为空。
        """
        return self.low > self.high

    def request(self, limit: int, start: Item | None = None) -> dict[str, Any]:
        """The request for up to `limit` of the index's entries, those after `start`.

        查询请求。
        """
        request = {
            "IndexName": self.index,
            "KeyConditionExpression": "#index = :index AND #sort BETWEEN :low AND :high",
            "ExpressionAttributeNames": {"#index": self.index, "#sort": self._sort},
            "ExpressionAttributeValues": {
                ":index": text(self.partition),
                ":low": text(self.low),
                ":high": text(self.high),
            },
            "ScanIndexForward": not self.descending,
            "Limit": limit,
        }
        return request if start is None else {**request, "ExclusiveStartKey": start}

    def position(self, item: Item) -> str:
        """Where an item that this search finds stands, or one of the index's entries.

        条目在索引中的位置。
        """
        return item[self._sort]["S"]

    def finds(self, item: Item) -> bool:
        """Whether an item belongs here as it is now.

        条目现在是否符合查询。
        """
        if item.get(self.index) != text(self.partition):
            return False
        at = self.position(item)
        return self.low <= at <= self.high and (
            self.start is None or at != self.position(self.start)
        )

    def in_order(self, first: str, then: str) -> bool:
        """Whether the one position is not after the other.

        两个位置的先后。
        """
        return first >= then if self.descending else first <= then

    @property
    def _sort(self) -> str:
        return f"{self.index}_sort"


def search_for(
    table: Table,
    index: Index,
    equals: Mapping[str, Value],
    *,
    low: Value | None = None,
    high: Value | None = None,
    descending: bool = False,
    after: tuple[Value, str] | None = None,
) -> Search:
    """The search for an index's records with sort values within [low, high], in one direction,
    after that sort value and key. Raises `ValueError` for what is no text.

    由查询条件得出要读取的范围。
    """
    # Behind a sort value stands "#" and a key; "$" is the next character.
    end = "" if index.sort == "key" else "$"
    lowest = _LOWEST if low is None else max(_bound(index, low), _LOWEST)
    highest = _HIGHEST if high is None else _bound(index, high) + end
    where = partition(table, index, {name: _cut(value) for name, value in equals.items()})
    start = None
    if after is not None:
        if not all(storable(part) for part in after if isinstance(part, str)):
            raise ValueError("malformed cursor")
        last = position(index, *after)
        if descending:
            highest = min(highest, last)
        else:
            lowest = max(lowest, last)
        # DynamoDB refuses to start outside of the bounds.
        if lowest <= last <= highest:
            start = {
                "id": item_id(table, after[1]),
                index.name: text(where),
                f"{index.name}_sort": text(last),
            }
    return Search(index.name, where, lowest, highest, descending, start)


def _bound(index: Index, value: Value) -> str:
    value = _cut(value)
    return str(value) if index.sort == "key" else ordered(value)


def _cut(value: Value) -> Value:
    """No text in the store is longer, so one character more says as much as all of them."""
    return value[: TEXT_LENGTH + 1] if isinstance(value, str) else value
