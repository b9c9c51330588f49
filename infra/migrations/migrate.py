"""Bring a database to the schema this code needs: `python -m infra.migrations.migrate URL`.

Alembic is imported only when there is something to do, so that asking at every start is cheap.

把数据库升级到代码所需的结构。
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa

from shared.store.base import StoreUnavailable
from shared.store.sql.engine import SCHEMA_VERSION, connect, newer_fault, schema_version, writing

log = logging.getLogger("maquette.migrations")

_LOCK = "maquette_migrations"
_LOCK_SECONDS = 60


def upgrade(url: str) -> bool:
    """Make or change the tables if need be; True if anything was changed.

    Safe when several processes start at once: one migrates, the others wait and find it done.
    A SQLite file and its folder are made; a DynamoDB table is its template's business, and left
    as it is. Raises `StoreUnavailable` if the database does not answer, or stands at a version
    this code does not know.

    升级数据库；有改动时返回真。
    """
    if url.startswith("dynamodb:"):
        return False
    _make_folder(url)
    engine = connect(url, patient=True)
    try:
        with engine.connect() as connection:
            found = schema_version(connection)
            if found == SCHEMA_VERSION:
                return False
            if newer := newer_fault(found):
                raise StoreUnavailable(newer)
        with _alone(engine) as connection:
            if schema_version(connection) == SCHEMA_VERSION:
                return False
            _run(connection)
            return True
    except sa.exc.DBAPIError as error:
        raise StoreUnavailable(f"the database cannot be migrated: {error.orig}") from error
    finally:
        engine.dispose()


def _make_folder(url: str) -> None:
    parsed = sa.make_url(url)
    if parsed.get_backend_name() == "sqlite" and parsed.database:
        Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)


@contextmanager
def _alone(engine: sa.Engine) -> Iterator[sa.Connection]:
    """A transaction no other migration runs beside.

    On SQLite it is the write lock itself: a migration is one transaction, all or nothing. MySQL
    commits at every CREATE and ALTER, so there a named lock keeps others out until the end; behind
    a proxy that knows none, whoever deploys sees to it that one migrates at a time.

    独占地执行数据库迁移。
    """
    with writing(engine).begin() as connection:
        if engine.dialect.name == "sqlite":
            yield connection
            return
        arguments = {"name": _LOCK, "seconds": _LOCK_SECONDS}
        try:
            got = connection.execute(
                sa.text("SELECT GET_LOCK(:name, :seconds)"), arguments
            ).scalar()
        except sa.exc.DBAPIError as error:
            if error.connection_invalidated:
                raise
            log.warning("the database has no locks by name: %s", error.orig)
            yield connection
            return
        if got != 1:
            raise StoreUnavailable("another migration of the database is still running")
        try:
            yield connection
        finally:
            connection.execute(sa.text("SELECT RELEASE_LOCK(:name)"), {"name": _LOCK})


def _run(connection: sa.Connection) -> None:
    """Bring the database up to the newest revision by Alembic; raises StoreUnavailable.

    用 Alembic 升级数据库。
    """
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        raise StoreUnavailable(f"the database cannot be migrated: {error}") from error


def main(arguments: list[str]) -> int:
    """The command; returns the exit status: 2 for a URL that names no database, 1 if it fails.

    命令行入口。
    """
    if len(arguments) != 1:
        print("usage: python -m infra.migrations.migrate DATABASE-URL", file=sys.stderr)
        return 2
    try:
        print("migrated" if upgrade(arguments[0]) else "nothing to do")
    except (sa.exc.ArgumentError, ImportError):
        # Without the URL: it may hold a password.
        print(
            "DATABASE-URL is not one of a known kind: sqlite:///FILE or mysql://USER:PASSWORD@HOST/NAME",
            file=sys.stderr,
        )
        return 2
    except ValueError as error:  # what its options ask for is not there
        print(f"DATABASE-URL: {error}", file=sys.stderr)
        return 2
    except StoreUnavailable as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
