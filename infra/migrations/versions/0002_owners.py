"""Whose a task is, and whose a delivery: a table and two columns more. It only widens: code of the
version before reads and writes as ever.

任务与通知的归属：新增一张表和两个列，只增不减。
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_DOCUMENT = sa.Text(2**22 - 1).with_variant(mysql.MEDIUMTEXT(), "mysql")
_INDEXES = {
    "deliveries_by_caller": ["caller", "id"],
    "deliveries_by_status": ["caller", "status", "id"],
}


def upgrade() -> None:
    """Add what is not there yet: MySQL commits at every statement, and a kill may lie between.

    补上缺少的表、列和索引。
    """
    found = sa.inspect(op.get_bind())
    if not found.has_table("tasks"):
        op.create_table(
            "tasks",
            sa.Column("id", sa.String(64), primary_key=True),
            sa.Column("version", sa.BigInteger, nullable=False),
            sa.Column("due_at", sa.BigInteger),
            sa.Column("claims", sa.BigInteger, nullable=False),
            sa.Column("document", _DOCUMENT, nullable=False),
            mysql_engine="InnoDB",
            mysql_charset="utf8mb4",
            mysql_collate="utf8mb4_bin",
        )
    columns = {column["name"] for column in found.get_columns("deliveries")}
    for name in ("caller", "status"):
        if name not in columns:
            op.add_column("deliveries", sa.Column(name, sa.String(64)))
    indexes = {index["name"] for index in found.get_indexes("deliveries")}
    for index, names in _INDEXES.items():
        if index not in indexes:
            op.create_index(index, "deliveries", names)


def downgrade() -> None:
    """Drop what was added.

    撤销。
    """
    for name in _INDEXES:
        op.drop_index(name, "deliveries")
    for name in ("status", "caller"):
        op.drop_column("deliveries", name)
    op.drop_table("tasks")
