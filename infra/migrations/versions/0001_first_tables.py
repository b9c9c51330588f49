"""The first tables: jobs, deliveries, idempotency, runners.

Written out, not taken from the code's own declarations: a migration must not change when they do.

第一版数据表。
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_MYSQL = {
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_bin",
}
_DOCUMENT = sa.Text(2**22 - 1).with_variant(mysql.MEDIUMTEXT(), "mysql")


def upgrade() -> None:
    """Make what is not there yet of the four tables and their indexes: MySQL commits at every
    statement, and a kill may lie between.

    建表。
    """
    _create(
        "jobs",
        sa.Column("queue", sa.String(64)),
        sa.Column("lane", sa.BigInteger),
        sa.Column("caller", sa.String(64)),
        sa.Column("status", sa.String(64)),
    )
    _index("jobs_due", "jobs", ["queue", "lane", "due_at", "id"])
    _index("jobs_by_caller", "jobs", ["caller", "id"])
    _index("jobs_by_status", "jobs", ["caller", "status", "id"])
    _create(
        "deliveries",
        sa.Column("queue", sa.String(64)),
        sa.Column("lane", sa.BigInteger),
        sa.Column("job_id", sa.String(64)),
    )
    _index("deliveries_due", "deliveries", ["queue", "lane", "due_at", "id"])
    _index("deliveries_by_job", "deliveries", ["job_id", "id"])
    _create("idempotency")
    _create("runners")


def downgrade() -> None:
    """Drop the four tables, with everything in them.

    删除这些表。
    """
    for name in ("runners", "idempotency", "deliveries", "jobs"):
        op.drop_table(name)


def _index(name: str, table: str, columns: list[str]) -> None:
    found = sa.inspect(op.get_bind()).get_indexes(table)
    if name not in {index["name"] for index in found}:
        op.create_index(name, table, columns)


def _create(name: str, *fields: sa.Column[object]) -> None:
    """Make a table with the columns that every kind of record has; one that exists is left alone.

    建一张记录表，已有则不动。
    """
    if sa.inspect(op.get_bind()).has_table(name):
        return
    op.create_table(
        name,
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("due_at", sa.BigInteger),
        sa.Column("claims", sa.BigInteger, nullable=False),
        *fields,
        sa.Column("document", _DOCUMENT, nullable=False),
        **_MYSQL,
    )
