"""How a record lies in DynamoDB: its item, and the texts by which the indexes find and order it.

An item is made to be read in the console: the document is JSON text, every field an attribute of
its own. What is in an index named X has the attributes X (what must be equal) and X_sort.

任务记录在 DynamoDB 中的存放格式。
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from shared.store.base import TEXT_LENGTH, Index, JsonText, Record, Table, Value, to_text
from shared.store.cursors import sort_type

Attribute = dict[str, str]
Item = dict[str, Attribute]

MAX_ITEM = 400 * 1024
"""Bytes of an item, names and values together (a quota of DynamoDB); no record that `check_writes`
lets through comes near it."""

_DIGITS = 19
_UP_TO_DOLLAR = re.compile("[\0-$]")
_ESCAPED = re.compile("\\$(.)", re.DOTALL)
_SURROGATE = re.compile("[\ud800-\udfff]")


# Attributes


def text(value: str) -> Attribute:
    """A text attribute; `ValueError` for half a surrogate pair, which UTF-8 has no bytes for.

    文本属性。
    """
    if _SURROGATE.search(value):
        raise ValueError("half a surrogate pair is no text")
    return {"S": value}


def number(value: int) -> Attribute:
    """A number attribute; `ValueError` for more than 19 digits.

    数字属性。
    """
    if abs(value) >= 10**_DIGITS:
        raise ValueError(f"a whole number has at most {_DIGITS} digits")
    return {"N": str(int(value))}


def item_id(table: Table, key: str) -> Attribute:
    """The primary key of a record.

    记录的主键。
    """
    return text(f"{table.name}#{key}")


def storable(key: str) -> bool:
    """Whether there may be a record of that key at all.

    该编号是否可能存在。
    """
    return 0 < len(key) <= TEXT_LENGTH and not _SURROGATE.search(key)


# Items


def to_item(table: Table, record: Record, write: str, now: int) -> Item:
    """The item of a record as `changing` and the record have it.

    Raises `ValueError` for what cannot be kept: no JSON, no Unicode text.

    把记录变成条目。
    """
    fields = {
        name: text(value) if isinstance(value, str) else number(value)
        for name, value in record.fields.items()
        if value is not None
    }
    return {
        "id": item_id(table, record.key),
        **fields,
        **changing(table, record, write, now),
        "document": text(to_text(record.document)),
    }


def changing(table: Table, record: Record, write: str, now: int) -> Item:
    """What every write sets, a claim too: `write` is its token, `now` its time (ms).

    每次写入都要设置的属性。
    """
    attributes = {
        "version": number(record.version),
        "claims": number(record.claims),
        "write": text(write),
        **_index_attributes(table, record),
    }
    # A claim may move a record from queue to queue.
    for name in ("queue", "lane"):
        value = record.fields.get(name) if name in table.fields else None
        if value is not None:
            attributes[name] = text(value) if isinstance(value, str) else number(value)
    if record.due_at is not None:
        attributes["due_at"] = number(record.due_at)
    if table.keep_seconds is not None:
        # DynamoDB removes it within days of that second, and until then it is read as ever: it is
        # kept for longer than the table asks, and nothing relies on its being gone.
        attributes["expires_at"] = number(now // 1000 + table.keep_seconds)
    return attributes


def from_item(table: Table, item: Item) -> Record:
    """The record that an item holds.

    从条目还原记录。
    """
    return Record(
        key=item["id"]["S"][len(table.name) + 1 :],
        document=JsonText(item["document"]["S"]),
        fields={
            name: kind(item[name]["S" if kind is str else "N"]) if name in item else None
            for name, kind in table.fields.items()
        },
        due_at=int(item["due_at"]["N"]) if "due_at" in item else None,
        claims=int(item["claims"]["N"]),
        version=int(item["version"]["N"]),
    )


def is_from(write: str, item: Item) -> bool:
    """Whether it was that write that left this item.

    条目是否由该次写入留下。
    """
    return item.get("write") == text(write)


def size(item: Item) -> int:
    """Bytes of an item as DynamoDB counts them, or a few more where it holds numbers.

    条目的字节数。
    """
    return sum(
        len(name.encode()) + sum(len(value.encode()) for value in attribute.values())
        for name, attribute in item.items()
    )


# Indexes


def _index_attributes(table: Table, record: Record) -> Item:
    """X and X_sort of every index X that has the record; one that lacks a value is in none.

    记录的索引属性。
    """
    known = {**record.fields, "key": record.key, "due_at": record.due_at}
    attributes = {}
    for index in table.indexes:
        equals = {name: known.get(name) for name in index.equals}
        present = {name: value for name, value in equals.items() if value is not None}
        sort = known.get(index.sort)
        if sort is not None and len(present) == len(equals):
            attributes[index.name] = text(partition(table, index, present))
            attributes[f"{index.name}_sort"] = text(position(index, sort, record.key))
    return attributes


def partition(table: Table, index: Index, equals: Mapping[str, Value]) -> str:
    """What all records of an index with these values have in X, and no others.

    索引的分区。
    """
    values = (equals[name] for name in index.equals)
    return "#".join(
        [table.name, *(_escaped(v) if isinstance(v, str) else str(int(v)) for v in values)]
    )


def position(index: Index, sort: Value, key: str) -> str:
    """Where a record stands among those of its partition: these texts sort as (sort, key) do.

    记录在索引中的位置。
    """
    return key if index.sort == "key" else f"{ordered(sort)}#{key}"


def ordered(value: Value) -> str:
    """A text that sorts as the value does, also with "#" and anything behind it.

    按值的顺序排列的文本。
    """
    if isinstance(value, str):
        return _escaped(value)
    number(value)
    # All of one length, and "-" sorts before the digits.
    return f"{value:0{_DIGITS}}" if value >= 0 else f"-{10**_DIGITS + value:0{_DIGITS}}"


def sort_value(table: Table, index: Index, at: str) -> Value:
    """The sort value that stands at a position of an index.

    由索引位置还原排序值。
    """
    if index.sort == "key":
        return at
    # An escaped text holds no "#".
    shown = at.split("#", 1)[0]
    if sort_type(table, index) is str:
        return _ESCAPED.sub(lambda pair: chr(ord(pair[1]) - 0x40), shown)
    return int(shown) if not shown.startswith("-") else int(shown[1:]) - 10**_DIGITS


def _escaped(value: str) -> str:
    """The text in characters above "#", so that it may stand beside one; it sorts as it did."""
    return _UP_TO_DOLLAR.sub(lambda low: "$" + chr(ord(low[0]) + 0x40), value)
