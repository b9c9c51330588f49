"""What is said to MySQL meanwhile, and what is to happen when it is.

记录发给 MySQL 的语句。
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from pymysql.connections import Connection
from pymysql.constants import COMMAND

Changed = Callable[[str], str | None]


@contextmanager
def said(change: Changed = lambda _: None) -> Iterator[list[str]]:
    """Every statement that this process sends to any MySQL server, as it is sent; `change` may do
    something before it is, and give another in its place. How a connection is set up is left out.

    期间发送的全部语句。
    """
    sent: list[str] = []
    execute = Connection._execute_command

    def noted(connection: Any, command: int, sql: Any) -> None:
        if command == COMMAND.COM_QUERY:
            text = sql.decode() if isinstance(sql, bytes) else sql
            if not text.startswith(("SET ", "SELECT @@")):
                sql = change(text) or text
                sent.append(sql)
        execute(connection, command, sql)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Connection, "_execute_command", noted)
        yield sent


def first_words(statements: list[str]) -> list[str]:
    """The first word of each statement.

    每条语句的首个单词。
    """
    return [statement.split(maxsplit=1)[0] for statement in statements]
