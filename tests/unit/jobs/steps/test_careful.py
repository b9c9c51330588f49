"""A fault in the checks costs no paid result."""

from __future__ import annotations

from typing import Any

import pytest

from shared.jobs.model import Status
from tests.worlds import World


@pytest.mark.parametrize("error", [KeyError("accessor"), RecursionError(), MemoryError()])
def test_a_model_whose_checks_stumble_is_published_after_the_container_check(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def stumble(*_: Any, **__: Any) -> Any:
        raise error

    monkeypatch.setattr("shared.jobs.steps.process.inspect_model", stumble)
    world = World()
    job_id = world.create()
    world.until(job_id, "running")
    world.provider.finish_all()
    job = world.until(job_id, "succeeded")
    assert [item.role for item in job.artifacts] == ["model"]
    assert "container check alone" in job.warnings[0]
    assert job.status is Status.SUCCEEDED
