"""Every statement of one row or one shape, written once for both databases, compiled once for each.

They are SQLAlchemy's constructs, so that a dialect says how they are spelled; what is kept of one
is its text and the order of its parameters, which is all that a driver needs.

任务表用到的全部 SQL 语句，每条只编译一次。
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

import sqlalchemy as sa

from shared.store.base import Index, Table, Value
from shared.store.cursors import sort_type
from shared.store.sql.engine import SQL_TABLES, leased_columns, sort_column

_FLOOR: Mapping[type, Value] = {int: -(2**63), str: ""}  # below every value, above NULL


@dataclass(frozen=True)
class Statement:
    """A statement as its driver takes it: `values` puts what goes with it, given by names, in the
    order of the text; it raises `KeyError` for what is missing.

    一条编译好的语句，以及参数的排列方式。
    """

    text: str
    values: Callable[[Mapping[str, Any]], Sequence[Any]]


@dataclass(frozen=True)
class Range:
    """The shape of a query: which bounds it has, whether it goes on after a record, which way.

    查询的形式：有哪些边界，方向如何。
    """

    low: bool = False
    high: bool = False
    after: bool = False
    descending: bool = False


class Statements:
    """The statements of one dialect. Rows have the columns in the order of `columns`.

    某种数据库的全部语句。
    """

    def __init__(self, dialect: sa.Dialect) -> None:
        self._dialect = dialect
        self._kept: dict[tuple[Any, ...], Statement] = {}

    def get(self, table: Table) -> Statement:
        """One record by its `id`.

        按键读取一条记录。
        """
        columns = SQL_TABLES[table.name].c
        return self._once(
            ("get", table.name), lambda: sa.select(*columns).where(columns.id == sa.bindparam("id"))
        )

    def insert(self, table: Table) -> Statement:
        """A new row; the columns by their names, with `new_` before.

        插入一行。
        """
        target = SQL_TABLES[table.name]
        return self._once(("insert", table.name), lambda: sa.insert(target).values(_new(target.c)))

    def update(self, table: Table) -> Statement:
        """All of the row of `new_id`, if it stands at the version `seen`.

        按版本更新一行。
        """
        target = SQL_TABLES[table.name]
        return self._once(
            ("update", table.name),
            lambda: sa.update(target).where(_seen(target)).values(_new(list(target.c)[1:])),
        )

    def select(self, table: Table, index: Index, shape: Range, *, lock: bool = False) -> Statement:
        """`limit` rows of an index: the fields it matches by their names, `low`, `high`, and
        `last_value` and `last_key` of the record that it goes on after. `lock` keeps others from
        them until the end of the transaction and leaves out those that others keep, on a database
        where several write at once.

        按索引查询若干行。
        """

        def made() -> sa.Select[Any]:
            found = _walk(table, index, shape).limit(sa.bindparam("limit"))
            if not lock:
                return found
            # A table of a few rows MySQL would rather read and sort as a whole: then whoever stops
            # within a claim has locked all of them.
            by = f"FORCE INDEX ({table.name}_{index.name})"
            ordered = found.with_hint(SQL_TABLES[table.name], by, "mysql")
            return ordered.with_for_update(skip_locked=True)

        return self._once(("select", table.name, index, shape, lock), made)

    def first(self, table: Table, index: Index, shape: Range) -> Statement:
        """The sort value of the first row of an index.

        索引中第一行的排序值。
        """
        sort = SQL_TABLES[table.name].c[sort_column(index)]
        return self._once(
            ("first", table.name, index, shape),
            lambda: _walk(table, index, shape).with_only_columns(sort).limit(1),
        )

    def take(self, table: Table) -> Statement:
        """A lease of the row of `new_id`, if it stands at the version `seen`.

        写入一个租约。
        """
        target = SQL_TABLES[table.name]
        return self._once(
            ("take", table.name),
            lambda: (
                sa.update(target)
                .where(_seen(target))
                .values(_new([target.c[name] for name in leased_columns(target)]))
            ),
        )

    def expired(self, table: Table) -> Statement:
        """One row that is due at `now`.

        一条到期的行。
        """
        key, due = SQL_TABLES[table.name].c.id, SQL_TABLES[table.name].c.due_at
        return self._once(
            ("expired", table.name),
            lambda: sa.select(key).where(due <= sa.bindparam("now")).limit(1),
        )

    def expire(self, table: Table) -> Statement:
        """Removes `limit` rows that are due at `now`.

        删除到期的行。
        """
        target = SQL_TABLES[table.name]
        over = target.c.due_at <= sa.bindparam("now")
        # MySQL takes a LIMIT within IN only one level further down.
        some = sa.select(target.c.id).where(over).limit(sa.bindparam("limit")).subquery("over")
        return self._once(
            ("expire", table.name),
            lambda: sa.delete(target).where(target.c.id.in_(sa.select(some.c.id)), over),
        )

    def touch(self, table: Table) -> Statement:
        """Touches no row, and yet a read-only database refuses it.

        不改动任何行的写入。
        """
        target = SQL_TABLES[table.name]
        same = {"claims": target.c.claims}
        return self._once(
            ("touch", table.name), lambda: sa.update(target).where(target.c.id == "").values(same)
        )

    def _once(self, name: tuple[Any, ...], make: Callable[[], sa.ClauseElement]) -> Statement:
        found = self._kept.get(name)
        if found is None:
            found = self._kept[name] = self._compiled(make())
        return found

    def _compiled(self, construct: sa.ClauseElement) -> Statement:
        made: Any = construct.compile(dialect=self._dialect)
        names = tuple(made.positiontup)
        constants = {name: made.params[name] for name in names if made.params[name] is not None}
        return Statement(str(made), _in_order(names, constants))


def _in_order(
    names: Sequence[str], constants: Mapping[str, Any]
) -> Callable[[Mapping[str, Any]], Sequence[Any]]:
    """Picks values by these names; the `constants` are part of the statement itself."""
    if constants or len(names) < 2:
        return lambda values: [constants[n] if n in constants else values[n] for n in names]
    return itemgetter(*names)


def lowest(table: Table, index: Index) -> Value:
    """What lies below every sort value of an index: a bound that keeps out the rows without one.

    排序值的下限。
    """
    return _FLOOR[sort_type(table, index)]


def bounds_of(
    table: Table,
    index: Index,
    low: Value | None,
    high: Value | None,
    after: tuple[Value, str] | None,
    descending: bool,
) -> dict[str, Any]:
    """The bounds of a query as a statement's parameters.

    查询边界对应的参数。
    """
    bounds: dict[str, Any] = {"low": low, "high": high}
    if low is None and index.sort != "key":
        # A bound though none was asked for: it keeps out the rows without a sort value.
        bounds["low"] = lowest(table, index)
    if after is not None:
        value, last = after
        bounds |= {"last_value": value, "last_key": last}
        if descending:
            bounds["high"] = value if high is None else min(high, value)
        else:
            least = bounds["low"]
            bounds["low"] = value if least is None else max(least, value)
    return {name: bound for name, bound in bounds.items() if bound is not None}


def _walk(table: Table, index: Index, shape: Range) -> sa.Select[Any]:
    """Rows of an index, in its order, so written that both databases answer from the index.

    构造索引查询。
    """
    columns = SQL_TABLES[table.name].c
    key, sort = columns.id, columns[sort_column(index)]
    found = sa.select(*columns).where(
        *(columns[name] == sa.bindparam(name) for name in index.equals)
    )
    if shape.after:
        last: Any = sa.bindparam("last_key")
        beyond = key < last if shape.descending else key > last
        found = found.where(sa.or_(sort != sa.bindparam("last_value"), beyond))
    if shape.low:
        found = found.where(sort >= sa.bindparam("low"))
    if shape.high:
        found = found.where(sort <= sa.bindparam("high"))
    order = (key,) if sort is key else (sort, key)
    return found.order_by(*(column.desc() if shape.descending else column for column in order))


def _seen(target: sa.Table) -> sa.ColumnElement[bool]:
    mine: sa.ColumnElement[bool] = target.c.id == sa.bindparam("new_id")
    return mine & (target.c.version == sa.bindparam("seen"))


def _new(columns: Iterable[sa.Column[Any]]) -> dict[str, Any]:
    return {column.name: sa.bindparam(f"new_{column.name}") for column in columns}
