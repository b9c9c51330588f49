"""Empty databases for tests: migrated once, copied from then on.

测试用的空数据库：只迁移一次，之后复制。
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from infra.migrations.migrate import upgrade


def empty_database(path: Path) -> str:
    """The URL of an empty SQLite database with all its tables, made at a path."""
    path.write_bytes(_migrated())
    return f"sqlite:///{path}"


@cache
def _migrated() -> bytes:
    with TemporaryDirectory(prefix="maquette-tests-") as folder:
        path = Path(folder) / "empty.db"
        upgrade(f"sqlite:///{path}")
        assert [found.name for found in path.parent.iterdir()] == [path.name], "its log is needed"
        return path.read_bytes()
