"""The codec of records, and how what it cannot read leaves the way of everything else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.clock import new_id
from shared.records import Codec, Unreadable, claimed, put_aside
from shared.store.base import Lease, Record
from tests.fakes import FakeClock

NOW = 1_800_000_000_000
HOUR = 3_600_000


@dataclass(frozen=True)
class Leaf:
    size: int
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Tree:
    """One value of every way in which a value may lie within another."""

    id: str
    own: Leaf
    maybe: Leaf | None = None
    many: tuple[Leaf, ...] = ()
    named: Mapping[str, Leaf] = field(default_factory=dict)
    free: Mapping[str, Any] = field(default_factory=dict)
    format: int = 3
    extra: Mapping[str, Any] = field(default_factory=dict)


CODEC = Codec(Tree, "trees", known=3, outside=("id",), beside=("beside",))
NAMES = st.text(min_size=1, max_size=6).map("new {}".format)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(NAMES, inner, max_size=2),
    max_leaves=4,
)
UNKNOWN = st.dictionaries(NAMES | st.just("extra"), ANYTHING, max_size=2)
LEAVES = st.builds(lambda size, more: {**more, "size": size}, st.integers(0, 9), UNKNOWN)
DOCUMENTS = st.builds(
    lambda more, **known: {**more, **known},
    UNKNOWN,
    own=LEAVES,
    maybe=st.none() | LEAVES,
    many=st.lists(LEAVES, max_size=3),
    named=st.dictionaries(st.text(max_size=3), LEAVES, max_size=2),
    free=st.dictionaries(st.text(max_size=3), ANYTHING, max_size=2),
    format=st.just(3),
)


@given(DOCUMENTS)
def test_a_document_of_any_members_is_written_back_as_it_was(document: dict[str, Any]) -> None:
    value = CODEC.load(Record("k", document), id="k")
    assert listed(CODEC.dump(value)) == document


def listed(value: Any) -> Any:
    """As JSON has it: tuples are lists."""
    if isinstance(value, Mapping):
        return {name: listed(inner) for name, inner in value.items()}
    return [listed(one) for one in value] if isinstance(value, list | tuple) else value


@pytest.mark.parametrize("format", [None, 1, 2])
def test_an_older_document_is_written_in_todays_format(format: int | None) -> None:
    document = {"own": {"size": 1}, **({} if format is None else {"format": format})}
    assert CODEC.dump(CODEC.load(Record("k", document), id="k"))["format"] == 3


def test_a_newer_document_is_read_but_not_to_be_worked_on_and_not_written() -> None:
    record = Record("k", {"own": {"size": 1}, "format": 4})
    value = CODEC.load(record, id="k")
    assert value.own.size == 1
    for refused in (lambda: CODEC.load_own(record, id="k"), lambda: CODEC.dump(value)):
        with pytest.raises(Unreadable) as refusal:
            refused()
        assert (refusal.value.newer, refusal.value.key) == (True, "k")


@pytest.mark.parametrize("own", [None, 7, [], {}, {"size": "large"}, {"size": None}, "size"])
def test_what_cannot_be_read_is_named_without_what_it_holds(own: Any) -> None:
    with pytest.raises(Unreadable) as refusal:
        CODEC.load(Record("k", {"own": own, "secret": "tiger"}), id="k")
    assert str(refusal.value) == "trees/k cannot be read"
    assert refusal.value.__cause__ is None
    assert refusal.value.__suppress_context__


# What is put aside


def pauses(record: Record, until: int) -> list[int]:
    """How long a record is put aside each time, from its writing on."""
    now, found = NOW, []
    while now < NOW + until:
        lease = put_aside(record, newer=False, now=now)
        assert not lease.counted
        found.append(lease.due_at - now)
        now = lease.due_at
    return found


@pytest.mark.parametrize(
    "record",
    [
        Record(new_id(FakeClock(start=NOW)), {"status": "dreaming"}),
        Record("k", {"updated_at": NOW, "status": "dreaming"}),
    ],
)
def test_pauses_grow_from_two_seconds_to_an_hour(record: Record) -> None:
    found = pauses(record, 24 * HOUR)
    assert found[0] == 2_000
    assert found == sorted(found)
    assert found[-1] == HOUR
    assert len(found) < 45, "a record that is never read costs next to nothing"


@pytest.mark.parametrize("document", [{}, {"updated_at": "soon"}, {"updated_at": NOW + HOUR}])
def test_a_pause_has_bounds_whatever_the_record_says(document: dict[str, Any]) -> None:
    pause = put_aside(Record("k", document), newer=False, now=NOW).due_at - NOW
    assert 2_000 <= pause <= HOUR


def test_what_newer_code_has_written_is_looked_at_soon_again() -> None:
    lease = put_aside(Record("k", {"updated_at": 1}), newer=True, now=NOW)
    assert lease == Lease(NOW + 10_000, counted=False)


def test_a_claim_that_is_asked_twice_about_a_record_reads_it_once_and_tells_once() -> None:
    loads: list[str] = []
    told: list[str] = []

    def load(record: Record) -> str:
        loads.append(record.key)
        if record.key == "bad":
            raise Unreadable("trees", record.key)
        return record.key.upper()

    def claim(take: Callable[[Record], Lease]) -> list[Record]:
        records = [Record("good", {}, version=1), Record("bad", {}, version=1)]
        leases = [take(record) for record in records]
        assert [take(record) for record in records] == leases  # a transaction that was undone
        return [lease.taken(one) for lease, one in zip(leases, records, strict=True)]

    found = claimed(
        "trees",
        claim,
        load,
        lambda _: Lease(9, counted=True),
        NOW,
        lambda error: told.append(error.key),
    )
    assert [(record.key, record.claims, value) for record, value in found] == [("good", 1, "GOOD")]
    assert (loads, told) == (["good", "bad"], ["bad"])


@pytest.mark.parametrize("due_at", [-1, 10**16, None])
def test_a_record_whose_values_make_no_sense_costs_the_others_of_its_claim_nothing(
    due_at: int | None,
) -> None:
    told: list[str] = []

    def claim(take: Callable[[Record], Lease]) -> list[Record]:
        records = [Record(key, {}, version=1) for key in ("odd", "good")]
        return [take(record).taken(record) for record in records]

    def lease(key: str) -> Lease:
        if key == "good":
            return Lease(NOW + 5, counted=True)
        if due_at is None:
            raise OverflowError("integer division result too large for a float")
        return Lease(due_at, counted=True)

    def load(record: Record) -> str:
        return record.key

    found = claimed("trees", claim, load, lease, NOW, lambda error: told.append(error.key))
    assert [value for _, value in found] == ["good"]
    assert told == ["odd"]
