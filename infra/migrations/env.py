"""Alembic runs this file; the connection comes from `migrate.py`, which holds the lock.

Alembic 的运行环境。
"""

from __future__ import annotations

from alembic import context

from shared.store.sql.engine import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    compare_type=True,
)
with context.begin_transaction():
    context.run_migrations()
