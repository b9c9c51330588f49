"""Invoked by whoever deploys: bring the SQL store's tables to what this code needs.

The database answers inside its own network alone, so a function has to do it; and it is the only
one whose database user may change tables. Any event will do, and doing it again is harmless.

部署时调用：升级数据库的表结构。
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

import sqlalchemy as sa

from infra.migrations.migrate import upgrade
from shared import observability, wiring
from shared.config import SettingsError, checked_url
from shared.store.base import StoreUnavailable
from shared.store.sql.engine import SCHEMA_VERSION

VARIABLE = "MAQUETTE_STORE_URL"

_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
_logger = logging.getLogger("maquette.migrate")


def handler(event: Any, context: Any) -> dict[str, Any]:
    """Migrate, and say how it went.

    The answer's `status` is `migrated` (tables were changed), `unchanged` (there was nothing to do)
    or `failed`; then `message` says why, without any secret, and it may be invoked again. `schema`
    is the version that this code needs.

    升级表结构并说明结果。
    """
    _set_up_logs(os.environ)
    with wiring.invocation(context):
        try:
            changed = upgrade(_url())
        except (SettingsError, StoreUnavailable) as error:
            return _failed(str(error))
        except OSError as error:  # a certificate that is not there, say
            return _failed(f"the database cannot be reached: {error}")
        except sa.exc.SQLAlchemyError as error:
            # Without the statement, and what SQLAlchemy writes around it.
            return _failed(f"the database cannot be migrated: {getattr(error, 'orig', error)}")
        status = "migrated" if changed else "unchanged"
        _logger.info("the tables are as this code needs them (%s)", status)
        return _answer(status)


def _failed(message: str) -> dict[str, Any]:
    _logger.error("the tables are not as this code needs them: %s", message)
    return _answer("failed", message=observability.masked(message))


def _answer(status: str, **more: str) -> dict[str, Any]:
    return {"status": status, "schema": SCHEMA_VERSION, **more}


def _url() -> str:
    """The database's URL, whose password no log line and no answer will hold from here on; raises
    `SettingsError` for one that names no SQL database.

    数据库地址。
    """
    given = wiring.environment().get(VARIABLE, "")
    password = given.rpartition("@")[0].rpartition(":")[2]
    observability.hide([password, unquote(password)])
    try:
        url = checked_url("store_url", given)
    except ValueError as error:
        raise SettingsError([f"{VARIABLE}: {error}"]) from None
    if urlsplit(url).scheme == "dynamodb":
        raise SettingsError([f"{VARIABLE}: DynamoDB has no tables to migrate"])
    return url


def _set_up_logs(environ: Mapping[str, str]) -> None:
    level = environ.get("MAQUETTE_LOG_LEVEL", "")
    json = environ.get("MAQUETTE_LOG_FORMAT") == "json"
    observability.set_up_logs(level if level in _LEVELS else "INFO", "json" if json else "auto")
