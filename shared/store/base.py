"""The store's protocol: versioned records, found by declared indexes.

Index reads may be stale; only the conditional writes decide. What every store refuses, and with
what words, is decided here by `check_writes` and `check_query`, which adapters call.

任务表的接口：带版本号的记录，按声明的索引查找。
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

Value = str | int

TEXT_LENGTH = 64
"""Characters of a key or a text field: MySQL must know, and an index entry stays small."""

MAX_WRITES = 25
"""Records in one transaction."""

MAX_RECORD = 400 * 1024 - 3100
"""Bytes of a record: its key, its fields, its document as JSON in UTF-8. DynamoDB takes 400 KiB an
item, in which lies what the indexes need as well, 3100 bytes at most."""

MAX_TRANSACTION = 4 * 1024 * 1024 - 25 * 3100
"""Bytes of all records of a transaction (DynamoDB takes 4 MiB)."""


class Conflict(Exception):
    """A conditional write lost: the record is no longer what the writer saw.

    条件写入失败：记录已被别人改动。
    """

    def __init__(self, table: str, key: str) -> None:
        super().__init__(f"{table}/{key} was changed by somebody else")
        self.table = table
        self.key = key


class StoreUnavailable(Exception):
    """The store does not answer, or is not the version this code needs.

    任务表不可用。
    """


@dataclass(frozen=True)
class Index:
    """One way to find records: `equals` match exactly, results come in the order of `sort`.

    `sort` is a field of the table, `due_at`, or `key`. Ties come in the order of the key.
    A record in which any of these is None is not in the index.

    一种查找方式。
    """

    name: str
    equals: tuple[str, ...]
    sort: str


@dataclass(frozen=True)
class Table:
    """One kind of record: its name, its index fields with their types, its indexes.

    `keep_seconds` is how long after its last write a record is needed at least (None: for good);
    its `due_at` says when that is over. A store may remove it then by itself, or when it is told to
    (`Store.expire`), and need not.

    一类记录的声明。
    """

    name: str
    fields: Mapping[str, type[str] | type[int]]
    indexes: tuple[Index, ...] = ()
    keep_seconds: int | None = None

    def index(self, name: str) -> Index:
        """The index of that name; `KeyError` if there is none.

        按名字取索引。
        """
        for index in self.indexes:
            if index.name == name:
                return index
        raise KeyError(f"table {self.name} has no index {name}")


@dataclass(frozen=True, init=False)
class Record:
    """One document with what it is found by.

    `document` is JSON: text (NUL included), whole numbers up to 2**53 and floats come back as they
    were; NaN and infinities raise `ValueError` when written. `key` has 1 to 64 characters and is
    told apart by case; a text among `fields` has at most 64. A field that is None or left out is
    the same. `version` counts every write, claims included; 0 means "not written yet". `due_at` is
    when somebody must look again (milliseconds; None: never). `claims` counts leases in a row that
    brought no save.

    一条记录。
    """

    key: str
    document: Mapping[str, Any]
    fields: Mapping[str, Value | None] = field(default_factory=dict)
    due_at: int | None = None
    claims: int = 0
    version: int = 0

    def __init__(
        self,
        key: str,
        document: Mapping[str, Any],
        fields: Mapping[str, Value | None] | None = None,
        due_at: int | None = None,
        claims: int = 0,
        version: int = 0,
    ) -> None:
        # The initialiser that a frozen dataclass is given takes three times as long, and a claim
        # makes two hundred of these.
        own = self.__dict__
        own["key"] = key
        own["document"] = document
        own["fields"] = {} if fields is None else fields
        own["due_at"] = due_at
        own["claims"] = claims
        own["version"] = version

    def written(self) -> Record:
        """This record as it stands after one write.

        写入一次之后的样子。
        """
        return replace(self, version=self.version + 1)


@dataclass(frozen=True)
class Lease:
    """What a claim does to a record: its new `due_at`, whether `claims` goes up, and into which
    other queue it moves (None: it stays; the field `queue` holds its name).

    一次认领对记录的改动。
    """

    due_at: int
    counted: bool
    queue: str | None = None

    def taken(self, record: Record) -> Record:
        """The record as it stands after the claim's one write.

        认领之后的记录。
        """
        fields = record.fields
        if self.queue is not None:
            # What moves lies in the first lane: only old code has others.
            fields = {**fields, "queue": self.queue, "lane": 0}
        claims = record.claims + 1 if self.counted else record.claims
        document, version = record.document, record.version + 1
        return Record(record.key, document, fields, self.due_at, claims, version)


@dataclass(frozen=True)
class Page:
    """Part of a query's answer; `cursor` goes on where it stopped, None at the end.

    查询结果的一页。
    """

    records: tuple[Record, ...]
    cursor: str | None


def to_text(document: Mapping[str, Any]) -> str:
    """A document as compact JSON, fit for UTF-8; `ValueError` for NaN, infinities and whatever is
    no JSON.

    把文档写成 JSON 文本。
    """
    text = json.dumps(dict(document), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    # JSON can spell half a surrogate pair, UTF-8 cannot.
    return _SURROGATE.sub(lambda half: f"\\u{ord(half[0]):x}", text)


_SURROGATE = re.compile("[\ud800-\udfff]")


class JsonText(Mapping[str, Any]):
    """The document that a text is, read when it is first looked into; an empty one for a text that
    is no JSON object, so that only whoever reads this record learns that it cannot be read.

    以 JSON 文本保存、用到时才解析的文档。
    """

    __slots__ = ("_document", "_text")

    def __init__(self, text: str) -> None:
        self._text = text
        self._document: dict[str, Any] | None = None

    def __getitem__(self, name: str) -> Any:
        return self._read()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._read())

    def __len__(self) -> int:
        return len(self._read())

    def __eq__(self, other: object) -> bool:
        return self._read() == other

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return repr(self._read())

    def _read(self) -> dict[str, Any]:
        if self._document is None:
            try:
                document = json.loads(self._text)
            except (ValueError, RecursionError):
                document = {}
            self._document = document if isinstance(document, dict) else {}
        return self._document


def check_writes(writes: Sequence[tuple[Table, Record]]) -> list[str]:
    """The documents as JSON in ASCII, in which NUL and every other character survive wherever text
    is kept. Raises `ValueError` for a transaction no store takes, before anything of it is written.

    写入前检查记录是否合规，并给出 ASCII 的 JSON 文本。
    """
    if len(writes) > MAX_WRITES:
        raise ValueError(f"a transaction has at most {MAX_WRITES} writes, not {len(writes)}")
    if len({(table.name, record.key) for table, record in writes}) < len(writes):
        raise ValueError("a transaction writes each record once")
    total, texts = 0, []
    for table, record in writes:
        if not 0 < len(record.key) <= TEXT_LENGTH:
            raise ValueError(f"a key has 1 to {TEXT_LENGTH} characters, not {len(record.key)}")
        for name, value in record.fields.items():
            if name not in table.fields:
                raise ValueError(f"table {table.name} has no field {name}")
            if value is not None and not isinstance(value, table.fields[name]):
                raise ValueError(f"{table.name}.{name} is {table.fields[name].__name__}: {value!r}")
            if isinstance(value, str) and len(value) > TEXT_LENGTH:
                raise ValueError(f"{table.name}.{name} has at most {TEXT_LENGTH} characters")
        texts.append(_ASCII.encode(dict(record.document)))
        size = _size(record, texts[-1])
        total += size
        if size > MAX_RECORD:
            raise ValueError(f"{table.name}/{record.key} has {size} bytes, more than {MAX_RECORD}")
    if total > MAX_TRANSACTION:
        raise ValueError(f"a transaction has {total} bytes, more than {MAX_TRANSACTION}")
    return texts


_ASCII = json.JSONEncoder(separators=(",", ":"), allow_nan=False)


def _size(record: Record, text: str) -> int:
    """Bytes of a record as `MAX_RECORD` counts them; `text` is its document in ASCII."""
    texts = [record.key, *(value for value in record.fields.values() if isinstance(value, str))]
    beside = sum(len(value.encode(errors="surrogatepass")) for value in texts)
    if "\\u" not in text:
        return beside + len(text)
    return beside + len(to_text(record.document).encode())


def check_query(table: Table, index: str, equals: Mapping[str, Value], limit: int = 1) -> Index:
    """The index asked; `KeyError` if there is none, `ValueError` for other fields or no limit.

    查询前检查索引、字段和数量。
    """
    declared = table.index(index)
    if set(equals) != set(declared.equals):
        raise ValueError(f"index {index} wants {declared.equals}, not {tuple(equals)}")
    if limit < 1:
        raise ValueError("limit must be at least 1")
    return declared


def check_expiry(table: Table) -> None:
    """Raise `ValueError` for a table whose records are kept for good.

    检查该类记录是否会过期。
    """
    if table.keep_seconds is None:
        raise ValueError(f"records of table {table.name} are kept for good")


class Store(Protocol):
    """Where records are kept. Every method may raise `StoreUnavailable`.

    Threads may share a store. What one store wrote, every other store over the same place reads
    by `get` at once. A process that dies leaves a transaction whole or unwritten.

    记录的存放处。
    """

    def get(self, table: Table, key: str) -> Record | None:
        """The record as last written (never stale), or None.

        读取一条最新的记录。
        """

    def put(self, table: Table, record: Record) -> Record:
        """Write if the stored version is `record.version` (0: absent), else raise `Conflict`.

        The whole record is replaced. Returns it with its new version, `record.version + 1`.
        Raises `ValueError` as `transact` does.

        条件写入一条记录。
        """

    def transact(self, writes: Sequence[tuple[Table, Record]]) -> list[Record]:
        """Several puts, all or none. Raises `Conflict` naming the first of them that lost.

        Raises `ValueError`, and writes nothing, for more than 25 writes, a record twice, a key
        that is empty or over 64 characters, a field the table does not declare or of another type,
        a text field over 64 characters, a document that is not JSON, a record over `MAX_RECORD`
        bytes. No writes at all are fine.

        一次写入多条，要么全部成功，要么全部不写。
        """

    def put_each(self, writes: Sequence[tuple[Table, Record]]) -> list[Record | None]:
        """Several puts, each by itself, of any number: what `put` gives, None for one that lost.

        Raises `ValueError` as `put` does, before anything is written; `StoreUnavailable` where some
        or none may be written.

        逐条条件写入多条记录。
        """

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

        Text sorts by code point; records with the same sort value come in the order of their keys,
        in a descending query the other way round. A record that lacks one of the index's values is
        not found. A page has `limit` records unless it is the last, and the last is never empty
        but where nothing is found at all. `cursor` is one that an earlier page of the same query
        gave; it holds its place while records come and go.

        Raises `KeyError` for an index that is not declared, `ValueError` for a malformed cursor, a
        limit under 1, or `equals` that are not exactly the index's.

        按索引查询。
        """

    def first(self, table: Table, index: str, equals: Mapping[str, Value]) -> Value | None:
        """The lowest sort value of an index, None if nothing is found; may be stale.

        One request, that reads no record. Raises `KeyError` and `ValueError` as `query` does.

        索引中最小的排序值。
        """

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
        """Take due records for this worker: those of an index on `due_at` with `due_at` <= now.

        Each is one conditional write on the version seen: `due_at` moves to where `lease(record)`
        says, `claims` goes up if counted, `version` goes up by one; a table with queues lets it
        move to another one as well. What `lease` says None to is left as it is. Records another
        worker took in between are left out: no two claims take a record at the same version.
        Returns the records as now stored, the longest waiting first. At most `limit` are looked at,
        and none for a limit under 1.

        `lease` may be called more than once for a record, and while a transaction is open: it must
        be quick and touch no store. Raises `KeyError` and `ValueError` as `query` does.

        认领到期的记录。
        """

    def expire(self, table: Table, now: int, limit: int) -> int:
        """Remove records of a table with `keep_seconds` that are due at `now` (ms), at most
        `limit`; how many: 0 where the store does so by itself.

        Raises `ValueError` for a table whose records are kept for good.

        删除已过保存期限的记录。
        """

    def check(self) -> None:
        """Raise `StoreUnavailable` unless reads and writes can be answered.

        检查是否可用。
        """

    def close(self) -> None:
        """Let go of connections; calling it twice is harmless.

        关闭连接。
        """
