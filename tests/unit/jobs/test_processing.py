"""How many of the stored results one claim of `postprocess` takes."""

from __future__ import annotations

import pytest

from shared.jobs.sources import Processing
from shared.jobs.steps.process import process
from tests.worlds import World

JOBS = 14


@pytest.fixture(autouse=True)
def _quick_previews(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = "shared.artifacts.render.preview.draw_preview"
    monkeypatch.setattr(drawn, lambda *_: b"picture")


def stored(world: World) -> Processing:
    """A source of jobs that all are to be processed."""
    for job_id in [world.create() for _ in range(JOBS)]:
        world.until(job_id, "running")
        world.provider.finish_all()
        world.until(job_id, "processing")
    return Processing(world.plain, world.deadline(), 2)


def work(source: Processing) -> None:
    while (unit := source.start()) is not None:
        unit.run()
        source.finish(unit)


def claims_of(source: Processing) -> list[int]:
    """How many each claim took, until nothing was left."""
    taken = []
    while found := source.claim(2):
        taken.append(found)
        work(source)
    return taken


def test_what_takes_no_time_is_claimed_some_ahead_once_that_is_known() -> None:
    assert claims_of(stored(World())) == [2, 2, 4, 6]


def test_what_takes_its_time_is_not_claimed_before_it_can_begin(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World()
    source = stored(world)

    def slow(*given: object) -> None:
        world.clock.sleep(0.06)
        process(*given)  # type: ignore[arg-type]

    monkeypatch.setattr("shared.jobs.steps.process.process", slow)
    assert claims_of(source) == [2] * 7


def test_one_that_took_long_is_remembered_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    source = stored(world)
    waits = iter([0.0, 0.0, 0.0, 0.0, 0.4])

    def slow_once(*given: object) -> None:
        world.clock.sleep(next(waits, 0.0))
        process(*given)  # type: ignore[arg-type]

    monkeypatch.setattr("shared.jobs.steps.process.process", slow_once)
    assert claims_of(source) == [2, 2, 4, 2, 2, 2]
