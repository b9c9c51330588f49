"""One codec for every kind of record: a frozen value in, a JSON document out, and back.

A document carries the number of its format. Members that this code does not know, at whatever
depth, stay with the value they came with (in its field `extra`) and are written back; so a record
outlives the code that wrote it. What cannot be read at all raises `Unreadable`, and only its reader
is concerned.

记录的编解码：保留不认识的成员，读不懂的记录单独报错。
"""

from __future__ import annotations

import dataclasses
import logging
import operator
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Generic, TypeVar

from shared.clock import time_of
from shared.store.base import Lease, Record

T = TypeVar("T")

EXTRA = "extra"
"""The field of every value in which unknown members are kept."""
FORMAT = "format"

_SHORTEST, _LONGEST = 2_000, 3_600_000
_NEWER = 10_000
_LAST = 253_402_300_799_999  # the last millisecond of the year 9999

log = logging.getLogger("maquette.records")


class Unreadable(Exception):
    """A record that this code cannot read; `newer` if that is because newer code has written it.

    The message names the record and nothing of what it holds.

    无法读取的记录。
    """

    def __init__(self, table: str, key: str, *, newer: bool = False) -> None:
        why = "was written by a newer version" if newer else "cannot be read"
        super().__init__(f"{table}/{key} {why}")
        self.key = key
        self.newer = newer

    @property
    def reason(self) -> str:
        """One word for logs and metrics: `newer` or `unreadable`.

        原因：较新的版本或无法解析。
        """
        return "newer" if self.newer else "unreadable"


@dataclass(frozen=True)
class _Shape:
    """What is known of one value class: its members, and which of them hold further values."""

    names: frozenset[str]
    inside: Mapping[str, tuple[str, _Shape]]


class Codec(Generic[T]):
    """The documents of one frozen dataclass; `outside` are its fields that are not in the document,
    `beside` the members of the document that are no fields of it.

    `known` is the newest format this code can write; `needed`, if given, says which one a value
    needs at least, so that older code goes on with all that it can read. Made without work: the
    adapter is built on first use.

    一类记录的编解码器。
    """

    def __init__(
        self,
        kind: type[T],
        table: str,
        *,
        known: int,
        outside: tuple[str, ...],
        beside: tuple[str, ...] = (),
        needed: Callable[[T], int] | None = None,
    ) -> None:
        self._beside = beside
        self._needed = needed
        self._kind = kind
        self._table = table
        self._known = known
        self._outside = outside

    def load_own(self, record: Record, **kept: Any) -> T:
        """As `load`, for whoever means to write it again: raises `Unreadable` for a newer format.

        还原一条本代码可以改写的记录。
        """
        if self._is_newer(record):
            raise Unreadable(self._table, record.key, newer=True)
        return self.load(record, **kept)

    @cached_property
    def _adapter(self) -> Any:
        from pydantic import TypeAdapter

        return TypeAdapter(self._kind)

    @cached_property
    def _shape(self) -> _Shape:
        shape = _shape_of(self._kind)
        return replace(shape, names=shape.names.union(self._beside))

    def load(self, record: Record, **kept: Any) -> T:
        """The value that a record holds, with what is `kept` outside of the document; raises
        `Unreadable`.

        从记录还原。
        """
        document = record.document
        try:
            value: T = self._adapter.validate_python({**_gathered(document, self._shape), **kept})
        except (ValueError, TypeError, AttributeError, RecursionError):
            newer = self._is_newer(record)
            raise Unreadable(self._table, record.key, newer=newer) from None
        return value

    def dump(self, value: T) -> dict[str, Any]:
        """The document of a value, in the format that it needs; raises `Unreadable` for one that
        newer code has written, since it may hold what this code would break.

        写成文档。
        """
        document = _spread(value, self._shape)
        if document[FORMAT] > self._known:
            raise Unreadable(self._table, str(getattr(value, "id", "")), newer=True)
        for name in self._outside:
            document.pop(name, None)
        document[FORMAT] = self._known if self._needed is None else self._needed(value)
        return document

    def _is_newer(self, record: Record) -> bool:
        given = record.document.get(FORMAT, 1)
        return isinstance(given, int) and given > self._known


def put_aside(record: Record, newer: bool, now: int) -> Lease:
    """How a record that cannot be read leaves the way of the others: due again after a pause that
    grows with the time since it was last written; soon, where newer code will read it.

    把读不懂的记录搁置一段时间。
    """
    if newer:
        return Lease(now + _NEWER, counted=False)
    written = record.document.get("updated_at") if isinstance(record.document, Mapping) else None
    since = written if isinstance(written, int) and written > 0 else time_of(record.key)
    pause = (now - since) // 2 if since is not None else _LONGEST
    return Lease(now + min(max(pause, _SHORTEST), _LONGEST), counted=False)


def claimed(
    table: str,
    claim: Callable[[Callable[[Record], Lease | None]], list[Record]],
    load: Callable[[Record], T],
    lease: Callable[[T], Lease | None],
    now: int,
    aside: Callable[[Unreadable], None],
) -> list[tuple[Record, T]]:
    """What a claim took that can be read, each with its value as it was before the claim; what
    cannot be read was put aside, and `aside` hears of it. A record for which `lease` raises, or
    names no instant, holds values that make no sense: it counts as one that cannot be read.

    认领可读的记录，搁置读不懂的。
    """
    read: dict[tuple[str, int], T] = {}
    unread: dict[tuple[str, int], Unreadable] = {}

    def take(record: Record) -> Lease | None:
        """The lease of a record that can be read, and that a lease can be made of; else None.

        为可读的记录取得租约。
        """
        at = (record.key, record.version)
        if at not in read and at not in unread:
            try:
                read[at] = load(record)
            except Unreadable as error:
                unread[at] = error
        if at in read:
            try:
                taken = lease(read[at])
                if taken is None or 0 <= taken.due_at <= _LAST:
                    return taken
            except Exception:
                log.warning("%s: no lease can be made out", record.key, exc_info=True)
            del read[at]
            unread[at] = Unreadable(table, record.key)
        return put_aside(record, unread[at].newer, now)

    found = []
    for record in claim(take):
        at = (record.key, record.version - 1)
        if at in read:
            found.append((record, read[at]))
        elif at in unread:
            aside(unread[at])
    return found


def _shape_of(kind: type[Any]) -> _Shape:
    hints = typing.get_type_hints(kind)
    names = {field.name for field in dataclasses.fields(kind)} - {EXTRA}
    inside = {}
    for name in names:
        found = _nested(hints[name])
        if found is not None:
            inside[name] = (found[0], _shape_of(found[1]))
    return _Shape(frozenset(names), inside)


def _nested(hint: Any) -> tuple[str, type[Any]] | None:
    """How a member holds values of another class: as itself, in a tuple, or in a mapping."""
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return "one", hint
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return next((found for item in arguments if (found := _nested(item))), None)
    inner = next((item for item in arguments if dataclasses.is_dataclass(item)), None)
    if inner is None or not isinstance(inner, type):
        return None
    return ("many" if origin is tuple else "named"), inner


def _gathered(document: Mapping[str, Any], shape: _Shape) -> Mapping[str, Any]:
    """The document with what is not known of each value moved into its `extra`; itself, where all
    is known.

    收起不认识的字段。
    """
    values = document
    if not shape.names.issuperset(document):
        values = {name: document[name] for name in document if name in shape.names}
        values[EXTRA] = {name: document[name] for name in document if name not in shape.names}
    for name, (how, inner) in shape.inside.items():
        held = document.get(name)
        if held:
            change = _within(held, how, _gathered, inner)
            if change is not held:
                values = {**values, name: change}
    return values


def _spread(value: Any, shape: _Shape) -> dict[str, Any]:
    """The document of a value: its members, those of the values that it holds, and each one's
    `extra` back in its place.

    展开一个值的全部字段。
    """
    values = dict(vars(value))
    extra = values.pop(EXTRA, None)
    for name, (how, inner) in shape.inside.items():
        held = values[name]
        if held is None:
            continue
        if how == "one":
            values[name] = _spread(held, inner)
        elif how == "named":
            values[name] = {key: _spread(one, inner) for key, one in held.items()}
        else:
            values[name] = [_spread(one, inner) for one in held]
    return {**extra, **values} if extra else values


def _within(held: Any, how: str, change: Callable[[Any, _Shape], Any], shape: _Shape) -> Any:
    """The values that a member holds, each changed; the member itself, where none was."""
    if how == "one":
        return change(held, shape)
    if how == "named":
        named = {name: change(one, shape) for name, one in held.items()}
        return held if all(named[name] is held[name] for name in named) else named
    listed = [change(one, shape) for one in _listed(held)]
    return held if all(map(operator.is_, listed, held)) else listed


def _listed(held: Any) -> Iterator[Any]:
    if isinstance(held, str | Mapping):
        raise TypeError("not a list")
    return iter(held)
