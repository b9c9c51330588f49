"""Which kinds of record there are, and by what they are found.

系统中的各类记录及其索引。
"""

from __future__ import annotations

from shared.store.base import Index, Table

OLD_LANES = 4
"""How many lanes a queue was spread over in records of format 1; now all lie in lane 0."""

_DUE = Index("due", ("queue", "lane"), "due_at")

JOBS = Table(
    "jobs",
    {"queue": str, "lane": int, "caller": str, "status": str},
    (_DUE, Index("by_caller", ("caller",), "key"), Index("by_status", ("caller", "status"), "key")),
)
DELIVERIES = Table(
    "deliveries",
    {"queue": str, "lane": int, "job_id": str, "caller": str, "status": str},
    (
        _DUE,
        Index("by_job", ("job_id",), "key"),
        Index("by_caller", ("caller",), "key"),
        Index("by_status", ("caller", "status"), "key"),
    ),
)
IDEMPOTENCY = Table("idempotency", {}, keep_seconds=7 * 24 * 3600)
RUNNERS = Table("runners", {})
TASKS = Table("tasks", {})
"""Whose job a provider's task is: written with the job, so that a task has one owner."""
UPLOADS = Table(
    "uploads",
    {"caller": str},
    (Index("by_caller", ("caller",), "key"),),
    keep_seconds=2 * 24 * 3600,
)
"""Files that callers announced; `caller` is there for as long as one counts as open."""

TABLES = (JOBS, DELIVERIES, IDEMPOTENCY, RUNNERS, TASKS, UPLOADS)
