"""What lies in DynamoDB: items to be read by people, texts that sort as the values do."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared.store.base import MAX_RECORD, TEXT_LENGTH, Index, Record, Table, Value, check_writes
from shared.store.dynamodb.items import (
    MAX_ITEM,
    from_item,
    partition,
    position,
    size,
    to_item,
)
from shared.store.dynamodb.search import search_for
from shared.store.tables import DELIVERIES, IDEMPOTENCY, JOBS, TABLES

NOW = 1_800_000_000_000
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=TEXT_LENGTH)
NEAR = st.text('\0\x01 !"#$%&@A\ud7ff\ue000\U0010ffff', max_size=5)  # what the escapes are made of
KEYS = (TEXTS | NEAR).filter(bool)
NUMBERS = st.integers(-(2**63), 2**63) | st.integers(-12, 12)
THINGS = Table(
    "things",
    {"word": str, "other": str, "number": int},
    (
        Index("by_word", ("other",), "word"),
        Index("by_number", ("other",), "number"),
        Index("by_key", ("other",), "key"),
        Index("by_all", ("word", "other", "number"), "key"),
    ),
)
PLACES = st.tuples(TEXTS | NEAR, KEYS)
NUMBERED = st.tuples(NUMBERS, KEYS)


@given(PLACES, PLACES)
def test_positions_sort_as_texts_and_keys_do(one: tuple[str, str], two: tuple[str, str]) -> None:
    index = THINGS.index("by_word")
    assert (position(index, *one) < position(index, *two)) == (one < two)
    assert (position(index, *one).encode() < position(index, *two).encode()) == (one < two)


@given(NUMBERED, NUMBERED)
@example((-(2**53), "k"), (-(2**53) + 1, "k"))
@example((-1, "k"), (0, "k"))
def test_positions_sort_as_numbers_and_keys_do(one: tuple[int, str], two: tuple[int, str]) -> None:
    index = THINGS.index("by_number")
    assert (position(index, *one).encode() < position(index, *two).encode()) == (one < two)


@given(
    st.sampled_from(["by_word", "by_number", "by_key"]),
    st.data(),
    KEYS,
)
def test_a_search_finds_what_is_within_its_bounds(name: str, data: Any, key: str) -> None:
    index = THINGS.index(name)
    values: st.SearchStrategy[Value] = {
        "word": TEXTS | NEAR,
        "number": NUMBERS,
        "key": TEXTS | NEAR,
    }[index.sort]
    fields = {"other": "o", "word": data.draw(TEXTS | NEAR), "number": data.draw(NUMBERS)}
    low, high = data.draw(st.none() | values), data.draw(st.none() | values)
    sort: Any = key if index.sort == "key" else fields[index.sort]
    item = to_item(THINGS, Record(key, {}, fields, version=1), "w", NOW)
    search = search_for(THINGS, index, {"other": "o"}, low=low, high=high)
    expected = (low is None or low <= sort) and (high is None or sort <= high)
    assert search.finds(item) == expected
    if expected:
        assert not search.empty


@given(KEYS, st.text("ab\U0010ffff", min_size=60, max_size=70))
def test_a_bound_longer_than_any_key_still_bounds(key: str, bound: str) -> None:
    index = THINGS.index("by_key")
    item = to_item(THINGS, Record(key, {}, {"other": "o"}, version=1), "w", NOW)
    assert search_for(THINGS, index, {"other": "o"}, low=bound).finds(item) == (key >= bound)
    assert search_for(THINGS, index, {"other": "o"}, high=bound).finds(item) == (key <= bound)


PARTS = st.fixed_dictionaries({"word": TEXTS | NEAR, "other": TEXTS | NEAR, "number": NUMBERS})


@given(PARTS, PARTS)
@example({"word": "a", "other": "#b", "number": 1}, {"word": "a#", "other": "b", "number": 1})
def test_different_values_are_different_partitions(
    one: dict[str, Value], two: dict[str, Value]
) -> None:
    index = THINGS.index("by_all")
    same = partition(THINGS, index, one) == partition(THINGS, index, two)
    assert same == (one == two)


@pytest.mark.parametrize("letter", ["a", "#", "\0", "\U0010ffff"])
def test_the_longest_texts_fit_dynamodb_s_keys(letter: str) -> None:
    longest = letter * TEXT_LENGTH
    fields = {"word": longest, "other": longest, "number": 2**63}
    item = to_item(THINGS, Record(longest, {}, fields, version=1), "w", NOW)
    for index in THINGS.indexes:
        assert len(item[index.name]["S"].encode()) <= 2048
        assert len(item[f"{index.name}_sort"]["S"].encode()) <= 1024
    search = search_for(
        THINGS, THINGS.index("by_word"), {"other": longest}, low=longest * 9, high=longest * 9
    )
    assert len(search.high.encode()) <= 1024


def test_an_item_can_be_read_by_people() -> None:
    fields = {"queue": "step", "lane": 3, "caller": "shop", "status": "queued"}
    record = Record("01J", {"prompt": "小恐龙", "n": [1, None]}, fields, due_at=NOW, version=7)
    assert to_item(JOBS, record, "5eed", NOW) == {
        "id": {"S": "jobs#01J"},
        "document": {"S": '{"prompt":"小恐龙","n":[1,null]}'},
        "queue": {"S": "step"},
        "lane": {"N": "3"},
        "caller": {"S": "shop"},
        "status": {"S": "queued"},
        "due_at": {"N": "1800000000000"},
        "version": {"N": "7"},
        "claims": {"N": "0"},
        "write": {"S": "5eed"},
        "due": {"S": "jobs#step#3"},
        "due_sort": {"S": "0000001800000000000#01J"},
        "by_caller": {"S": "jobs#shop"},
        "by_caller_sort": {"S": "01J"},
        "by_status": {"S": "jobs#shop#queued"},
        "by_status_sort": {"S": "01J"},
    }


def test_what_a_record_lacks_is_not_in_its_item() -> None:
    item = to_item(JOBS, Record("k", {}, {"caller": None, "status": "s"}, version=1), "w", NOW)
    assert set(item) == {"id", "document", "status", "version", "claims", "write"}


def test_only_what_is_kept_for_a_time_has_an_end() -> None:
    record = Record("k", {}, version=1)
    for table in (JOBS, DELIVERIES):
        assert "expires_at" not in to_item(table, record, "w", NOW)
    week = 7 * 24 * 3600
    assert to_item(IDEMPOTENCY, record, "w", NOW)["expires_at"] == {"N": str(NOW // 1000 + week)}


@given(
    st.dictionaries(st.text(max_size=5), st.text(max_size=20) | st.integers() | st.none()),
    st.none() | st.integers(-(2**53), 2**53),
)
def test_an_item_holds_the_whole_record(document: dict[str, Any], due_at: int | None) -> None:
    fields = {"queue": "q#\0", "lane": -5, "caller": "型", "status": None}
    record = Record("k#\0", document, fields, due_at, claims=2, version=3)
    item = to_item(JOBS, record, "w", NOW)
    json.dumps(item, ensure_ascii=False).encode()  # no half of a surrogate pair is left
    # Two halves side by side come back as the character they make, as from any JSON.
    expected = json.loads(json.dumps(document))
    assert from_item(JOBS, item) == replace(record, document=expected)


@pytest.mark.parametrize(
    "record",
    [
        Record("\ud800", {}),
        Record("k", {}, {"caller": "\udfff"}),
        Record("k", {}, {"lane": 10**19}),
        Record("k", {"x": float("inf")}),
    ],
)
def test_what_dynamodb_cannot_keep_is_a_value_error(record: Record) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        to_item(JOBS, record, "w", NOW)


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_every_record_that_may_be_written_fits_into_an_item(table: Table) -> None:
    widest = "\U0001f9ca" * TEXT_LENGTH
    fields = {name: widest if kind is str else -(10**18) for name, kind in table.fields.items()}
    record = Record(widest, {"x": ""}, fields, -(10**18), 10**18, 10**18)
    beside = len(widest.encode()) * (1 + [*table.fields.values()].count(str))
    full = replace(record, document={"x": "x" * (MAX_RECORD - beside - len('{"x":""}'))})
    check_writes([(table, full)])
    assert size(to_item(table, full, "w" * 32, NOW)) <= MAX_ITEM


def test_the_size_is_counted_in_bytes() -> None:
    assert size({"id": {"S": "型"}, "n": {"N": "12"}}) == 2 + 3 + 1 + 2


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_no_field_is_named_like_what_the_store_itself_keeps(table: Table) -> None:
    own = {"id", "document", "version", "claims", "due_at", "write", "expires_at"}
    own |= {name for index in table.indexes for name in (index.name, f"{index.name}_sort")}
    assert not own & set(table.fields)
