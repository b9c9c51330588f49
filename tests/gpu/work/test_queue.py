"""The queue and its worker, over the fake engine: order, batches, cancels, deadlines, memory."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from gpu_inference.errors import (
    Canceled,
    GenerationFailed,
    Interrupted,
    NoMemory,
    QueueFull,
    TooSlow,
)
from gpu_inference.metrics import Metrics
from gpu_inference.work.protocol import Spec
from gpu_inference.work.queue import Queue
from gpu_inference.work.task import Task
from gpu_inference.work.worker import Worker
from tests.gpu.fake_engine import FakeEngine
from tests.gpu.servers import until

SPEC = Spec("a cat", "", 64, 64, 4, 4.0, 0)


class House:
    """A queue, a worker and a clock that the test owns."""

    def __init__(self, window: float = 0.0) -> None:
        self.now = 0.0
        self.engine = FakeEngine()
        self.queue = Queue(8, window, lambda: self.now)
        self.ready = 0
        self.worker = Worker(
            self.engine,
            self.queue,
            Metrics(),
            batch_size=4,
            on_ready=self._on_ready,
            clock=lambda: self.now,
        )

    def start(self) -> None:
        self.worker.start()
        until(lambda: self.worker.state, lambda state: state == "ready")

    def task(self, *seeds: int, width: int = 64, **more: Any) -> Task:
        specs = [replace(SPEC, seed=seed, width=width) for seed in seeds]
        return Task(specs, arrived=self.now, seconds=more.pop("seconds", 60.0), **more)

    def put(self, *seeds: int, **more: Any) -> Task:
        task = self.task(*seeds, **more)
        self.queue.put(task)
        return task

    def busy(self) -> Task:
        """Hold the engine in the middle of a picture of its own."""
        self.engine.hold()
        task = self.put(999, width=128)
        self.engine.wait_until_begun()
        return task

    def seeds(self) -> list[list[int]]:
        return [[spec.seed for spec in batch] for batch in self.engine.batches]

    def _on_ready(self) -> None:
        self.ready += 1


@pytest.fixture
def house() -> Iterator[House]:
    one = House()
    one.start()
    yield one
    one.engine.release()
    one.worker.drain(10)


def test_pictures_of_equal_shape_are_made_together_and_others_apart(house: House) -> None:
    house.busy()
    tasks = [house.put(1), house.put(2, width=80), house.put(3)]
    house.engine.release()
    for task in tasks:
        task.result.result(20)
    assert house.seeds()[1:] == [[1, 3], [2]]


def test_a_batch_holds_no_more_than_the_setting_and_the_memory(house: House) -> None:
    house.busy()
    tasks = [house.put(seed) for seed in range(6)]
    house.engine.promises = 3
    house.engine.release()
    for task in tasks:
        task.result.result(20)
    assert house.seeds()[1:] == [[0, 1, 2], [3, 4, 5]]


def test_the_first_of_a_batch_waits_a_window_for_others() -> None:
    house = House(window=3600.0)
    house.start()
    tasks = [house.put(seed) for seed in range(4)]
    for task in tasks:
        task.result.result(20)
    # The window is an hour; a full batch does not wait for its end.
    assert house.seeds() == [[0, 1, 2, 3]]
    house.worker.drain(10)


def test_what_has_waited_long_is_not_overtaken_for_ever(house: House) -> None:
    house.busy()
    low = house.put(1, width=80, priority="low")
    house.now = 121.0
    high = house.put(2, width=96, priority="high")
    assert [house.queue.position(task) for task in (low, high)] == [0, 1]


def test_a_high_request_goes_first_and_a_low_one_last(house: House) -> None:
    house.busy()
    tasks = [
        house.put(1, width=80, priority="low"),
        house.put(2),
        house.put(3, width=96, priority="high"),
    ]
    assert [house.queue.position(task) for task in tasks] == [2, 1, 0]
    house.engine.release()
    for task in tasks:
        task.result.result(20)
    assert house.seeds()[1:] == [[3], [2], [1]]


def test_a_full_queue_refuses_and_says_when_to_come_again(house: House) -> None:
    house.busy()
    house.put(*range(8))
    with pytest.raises(QueueFull) as refused:
        house.put(9)
    assert 1 <= (refused.value.retry_after or 0) <= 120


def test_a_request_larger_than_the_queue_is_taken_when_nothing_waits(house: House) -> None:
    assert len(house.put(*range(12)).result.result(20)) == 12


def test_what_waits_can_be_canceled_and_is_never_made(house: House) -> None:
    house.busy()
    task, other = house.put(1), house.put(2)
    assert house.queue.cancel(task)
    assert isinstance(task.result.exception(0), Canceled)
    house.engine.release()
    other.result.result(20)
    assert house.seeds()[1:] == [[2]]


def test_a_running_picture_stops_at_the_end_of_its_step(house: House) -> None:
    task = house.busy()
    house.queue.cancel(task)
    house.engine.let(1)
    other = house.put(2)
    house.engine.wait_until_begun()
    assert isinstance(task.result.exception(0), Canceled)
    house.engine.release()
    other.result.result(20)


def test_a_canceled_picture_leaves_the_rest_of_its_batch_alone(house: House) -> None:
    house.busy()
    one, other = house.put(1), house.put(2)
    house.engine.let(4)
    house.engine.wait_until_begun()
    house.queue.cancel(one)
    house.engine.release()
    assert len(other.result.result(20)) == 1
    assert house.seeds()[1:] == [[1, 2]]


def test_a_deadline_ends_what_waits_and_what_runs(house: House) -> None:
    running, waiting = house.busy(), house.put(2)
    house.now = 61.0
    house.engine.let(1)
    for task in (running, waiting):
        assert isinstance(task.result.exception(20), TooSlow)
    assert len(house.engine.batches) == 1


def test_a_late_deadline_counts_from_the_first_step(house: House) -> None:
    house.busy()
    task = house.put(1, late=True)
    house.now = 1000.0
    house.engine.release()
    assert len(task.result.result(20)) == 1


def test_a_batch_that_does_not_fit_is_halved_until_it_does(house: House) -> None:
    house.engine.holds = 1
    house.busy()
    tasks = [house.put(seed) for seed in range(4)]
    house.engine.release()
    for task in tasks:
        assert len(task.result.result(20)) == 1
    assert house.seeds()[1:] == [[0, 1, 2, 3], [0, 1], [0], [1], [2, 3], [2], [3]]


def test_after_a_batch_did_not_fit_the_next_of_its_shape_are_smaller(house: House) -> None:
    house.engine.holds = 2
    house.busy()
    tasks = [house.put(seed) for seed in range(8)]
    house.engine.release()
    for task in tasks:
        task.result.result(20)
    assert house.seeds()[1:] == [[0, 1, 2, 3], [0, 1], [2, 3], [4, 5], [6, 7]]


def test_one_picture_that_does_not_fit_is_told_so_and_the_worker_lives(house: House) -> None:
    house.engine.holds = 0
    error = house.put(1).result.exception(20)
    assert isinstance(error, NoMemory)
    assert (error.status, error.retryable) == (503, True)
    house.engine.holds = None
    assert len(house.put(2).result.result(20)) == 1


def test_a_broken_picture_does_not_spoil_its_neighbours(house: House) -> None:
    house.engine.broken_seeds = {2}
    house.busy()
    tasks = [house.put(seed) for seed in (1, 2, 3)]
    house.engine.release()
    assert len(tasks[0].result.result(20)) == len(tasks[2].result.result(20)) == 1
    assert isinstance(tasks[1].result.exception(20), GenerationFailed)


def test_one_thread_alone_touches_the_engine(house: House) -> None:
    for task in [house.put(seed) for seed in range(5)]:
        task.result.result(20)
    house.worker.reload()
    until(lambda: house.ready, lambda times: times == 2)
    assert len(house.engine.threads) == 1
    assert (house.engine.loads, house.engine.closes) == (2, 1)


def test_a_model_that_cannot_be_loaded_again_ends_what_waits_and_says_why(house: House) -> None:
    house.busy()
    waiting = house.put(1, width=80)
    house.engine.load_error = "no such folder"
    house.worker.reload()
    house.engine.release()
    error = waiting.result.exception(20)
    assert isinstance(error, Interrupted)
    assert "no such folder" in error.message
    until(lambda: house.worker.state, lambda state: state == "failed")


def test_when_the_grace_is_over_the_rest_is_interrupted_between_steps(house: House) -> None:
    running, waiting = house.busy(), house.put(2)
    draining = threading.Thread(target=house.worker.drain, args=(0,))
    draining.start()
    until(lambda: house.worker.halted, bool)
    house.engine.let(1)
    draining.join(20)
    assert isinstance(waiting.result.exception(0), Interrupted)
    assert isinstance(running.result.exception(20), Interrupted)
