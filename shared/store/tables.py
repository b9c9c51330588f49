"""Which kinds of record there are, and by what they are found.

系统中的各类记录及其索引。
"""

from __future__ import annotations

from shared.store.base import Index, Table

LANES = 4
"""How many lanes a queue of due records is spread over: lane = hash of the id mod LANES."""

_DUE = Index("due", ("queue", "lane"), "due_at")

JOBS = Table(
    "jobs",
    {"queue": str, "lane": int, "caller": str, "status": str},
    (_DUE, Index("by_caller", ("caller",), "key"), Index("by_status", ("caller", "status"), "key")),
)
DELIVERIES = Table(
    "deliveries",
    {"queue": str, "lane": int, "job_id": str},
    (_DUE, Index("by_job", ("job_id",), "key")),
)
IDEMPOTENCY = Table("idempotency", {}, keep_seconds=7 * 24 * 3600)
RUNNERS = Table("runners", {})

TABLES = (JOBS, DELIVERIES, IDEMPOTENCY, RUNNERS)
