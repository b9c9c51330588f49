"""Files that callers announced: a table of their own. It only widens: code of the version before
reads and writes as ever.

上传记录：新增一张表。
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_DOCUMENT = sa.Text(2**22 - 1).with_variant(mysql.MEDIUMTEXT(), "mysql")
_INDEXES = {
    "uploads_by_caller": ["caller", "id"],
    "uploads_expiry": ["due_at"],
}


def upgrade() -> None:
    """Add what is not there yet: MySQL commits at every statement, and a kill may lie between.

    补上缺少的表和索引。
    """
    if not sa.inspect(op.get_bind()).has_table("uploads"):
        op.create_table(
            "uploads",
            sa.Column("id", sa.String(64), primary_key=True),
            sa.Column("version", sa.BigInteger, nullable=False),
            sa.Column("due_at", sa.BigInteger),
            sa.Column("claims", sa.BigInteger, nullable=False),
            sa.Column("caller", sa.String(64)),
            sa.Column("document", _DOCUMENT, nullable=False),
            mysql_engine="InnoDB",
            mysql_charset="utf8mb4",
            mysql_collate="utf8mb4_bin",
        )
    found = {index["name"] for index in sa.inspect(op.get_bind()).get_indexes("uploads")}
    for index, names in _INDEXES.items():
        if index not in found:
            op.create_index(index, "uploads", names)


def downgrade() -> None:
    """Drop the table, with everything in it.

    删除该表。
    """
    op.drop_table("uploads")
