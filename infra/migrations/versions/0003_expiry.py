"""When a record may go: idempotency keys get the time, and an index by it, that the sweep asks for.

幂等记录的过期时间及其索引。
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_INDEX = "idempotency_expiry"
_WEEK = 7 * 24 * 3600 * 1000


def upgrade() -> None:
    """Fill in what is not there yet; it may be run again after a kill.

    补上缺少的时间和索引。
    """
    op.execute(
        f"UPDATE idempotency SET due_at = JSON_EXTRACT(document, '$.at') + {_WEEK} "
        "WHERE due_at IS NULL"
    )
    found = sa.inspect(op.get_bind()).get_indexes("idempotency")
    if _INDEX not in {index["name"] for index in found}:
        op.create_index(_INDEX, "idempotency", ["due_at"])


def downgrade() -> None:
    """Drop the index; the times do no harm.

    删除索引。
    """
    op.drop_index(_INDEX, "idempotency")
