"""Requests to DynamoDB: what is sent again, and what its errors mean for a store.

向 DynamoDB 发送请求并处理错误。
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from shared.aws.clients import client
from shared.clock import Clock
from shared.store.base import StoreUnavailable
from shared.store.dynamodb.items import Item

_TRIES = 8
_FIRST_PAUSE, _LONGEST_PAUSE = 0.025, 1.0  # seconds
_BATCH = 100  # keys in one BatchGetItem

# botocore has sat out throttling by the time it reports it. Of two transactions that meet, it
# leaves to us to send the one that lost again: that is safe, for nothing of it was written.
_COLLISIONS = frozenset({"TransactionConflictException", "TransactionInProgressException"})
_COLLISION_REASONS = frozenset(
    {"TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"}
)


class Refused(Exception):
    """Conditions that did not hold; `found` is what stands there instead, by number of the write.

    写入条件不成立。
    """

    def __init__(self, found: Mapping[int, Item]) -> None:
        super().__init__("a condition does not hold")
        self.found = found


class Calls:
    """Sends requests to the DynamoDB of the environment, through the process's client.

    Whatever is not answered in the end raises `StoreUnavailable`, with words that tell the
    operation and the error's code and nothing of what is stored.

    发送请求的部件。
    """

    def __init__(self, table: str, clock: Clock) -> None:
        self._table = table
        self._clock = clock

    def send(self, operation: str, **request: Any) -> dict[str, Any]:
        """The answer of one operation on the table; raises `Refused` if its condition fails.

        发送一个请求。
        """
        return self._send(operation, {"TableName": self._table, **request})

    def write_all(self, puts: Iterable[Mapping[str, Any]], token: str) -> None:
        """Several puts in one transaction, taken once however often it is sent (for 10 minutes).

        Raises `Refused` with all that did not hold.

        在一个事务中写入多条。
        """
        writes = [{"Put": {"TableName": self._table, **put}} for put in puts]
        self._send("transact_write_items", {"TransactItems": writes, "ClientRequestToken": token})

    def read_all(self, ids: Iterable[str]) -> Iterator[Item]:
        """The items with these ids, as last written, in any order; those that are there.

        批量读取条目。
        """
        # An index that is being changed may show an item twice; a batch must not.
        left = list(dict.fromkeys(ids))
        tries = 0
        while left:
            batch, left = left[:_BATCH], left[_BATCH:]
            keys = [{"id": {"S": each}} for each in batch]
            wanted = {self._table: {"Keys": keys, "ConsistentRead": True}}
            answer = self._send("batch_get_item", {"RequestItems": wanted})
            found = answer["Responses"].get(self._table, [])
            yield from found
            unread = answer.get("UnprocessedKeys", {}).get(self._table, {}).get("Keys", [])
            left += [each["id"]["S"] for each in unread]
            tries = tries + 1 if unread and not found else 0
            if tries == _TRIES:
                raise StoreUnavailable("DynamoDB: batch_get_item: nothing is processed")
            if unread:
                self._pause(tries)

    def _send(self, operation: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """One call, tried again while it is throttled or fails; raises Refused, StoreUnavailable.

        发送一次请求。
        """
        from botocore.exceptions import BotoCoreError, ClientError

        code = ""
        for tried in range(_TRIES):
            if tried:
                self._pause(tried)
            try:
                answer: dict[str, Any] = getattr(client("dynamodb"), operation)(**request)
                return answer
            except ClientError as error:
                code = _code(error.response)
                if code not in _COLLISIONS:
                    break
            # What these say may hold parts of the request.
            except (BotoCoreError, OSError) as error:
                code = type(error).__name__
                break
        raise StoreUnavailable(f"DynamoDB: {operation}: {code}")

    def _pause(self, tried: int) -> None:
        longest = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2**tried)
        self._clock.sleep(longest * (0.5 + self._clock.chance() / 2))


def _code(response: Mapping[str, Any]) -> str:
    """What an error answer amounts to; raises `Refused` if it is that a condition failed.

    错误代码。
    """
    code: str = response.get("Error", {}).get("Code", "unknown")
    if code == "ConditionalCheckFailedException":
        raise Refused({0: response.get("Item", {})})
    if code != "TransactionCanceledException":
        return code
    reasons = dict(enumerate(response.get("CancellationReasons", ())))
    failed = {
        number: reason.get("Item", {})
        for number, reason in reasons.items()
        if reason.get("Code") == "ConditionalCheckFailed"
    }
    if failed:
        raise Refused(failed)
    codes = {reason.get("Code", "None") for reason in reasons.values()} - {"None"}
    if codes and codes <= _COLLISION_REASONS:
        return "TransactionConflictException"
    return f"{code} ({', '.join(sorted(codes))})"
