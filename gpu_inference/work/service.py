"""The service itself, without HTTP: what is accepted, waited for, kept, canceled and drained.

服务主体（不含 HTTP）：接收、等待、保存、取消与收尾。
"""

from __future__ import annotations

import hashlib
import logging
import secrets
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import datetime, timezone
from typing import Any

from gpu_inference.errors import Canceled, Interrupted, NotFound, Refused, ServiceError
from gpu_inference.metrics import Metrics
from gpu_inference.settings import Settings
from gpu_inference.work.endings import Endings, refused
from gpu_inference.work.protocol import Engine, Inputs
from gpu_inference.work.queue import Queue
from gpu_inference.work.store import Job, Jobs, evolve
from gpu_inference.work.task import Picture, Task
from gpu_inference.work.wish import Decide, Wish
from gpu_inference.work.worker import Worker

_SWEEP_SECONDS = 60.0

_logger = logging.getLogger("qwen_image.service")


class Service:
    """Everything behind the routes. Any thread may use it.

    路由背后的一切。
    """

    def __init__(
        self, settings: Settings, engine: Engine, on_ready: Callable[[], None] = lambda: None
    ) -> None:
        self.settings = settings
        self.engine = engine
        self.metrics = Metrics()
        self.queue = Queue(settings.queue_size, settings.batch_window)
        self.jobs = Jobs(settings.state)
        self.endings = Endings(self.jobs)
        self._on_ready = on_ready
        self._tasks: dict[str, Task] = {}
        self._lock = threading.RLock()
        self._swept = 0.0
        self.worker = Worker(
            engine,
            self.queue,
            self.metrics,
            batch_size=settings.batch_size,
            on_ready=self._ready,
        )
        self.metrics.watch(lambda: len(self.queue), lambda: self.worker.state, engine.memory)

    def start(self) -> None:
        """Begin to load the model.

        开始加载模型。
        """
        self.worker.start()

    def drain(self) -> None:
        """Take nothing new, finish what is accepted within the grace, and keep the rest.

        停止接收，宽限期内完成，其余保留。
        """
        _logger.info("draining: %d pictures wait", len(self.queue))
        self.worker.drain(self.settings.grace_seconds)
        self.endings.close()
        self.jobs.close()

    def now(self, decide: Decide) -> tuple[Task, Wish]:
        """Accept pictures for a caller who waits for them; nothing of them outlives the process.

        接收立即返回的请求。
        """
        self.worker.check_ready()
        wish, inputs = decide()
        task = Task(
            wish.specs(inputs),
            arrived=time.monotonic(),
            seconds=self.settings.request_seconds,
            priority=wish.priority,
            keep=self._count,
        )
        self.queue.put(task)
        return task, wish

    def submit(
        self, decide: Decide, fingerprint: str, key: str | None, caller: str
    ) -> tuple[Job, bool]:
        """Accept a job, kept on disk before this returns; the job its key made before, and False.

        `fingerprint` is that of what was asked: a key is good for one.

        接收任务；同一幂等键返回已有任务。
        """
        scoped = hashlib.sha256(f"{caller}\n{key}".encode()).hexdigest() if key else None
        with self._lock:
            known = self.jobs.by_key(scoped, fingerprint)
        if known:
            return known, False
        self.worker.check_ready()
        self._sweep()
        self.endings.check()
        wish, inputs = decide()
        now = time.time()
        job = Job(
            id=f"{int(now * 1000):012x}{secrets.token_hex(10)}",
            kind=wish.kind,
            wish=asdict(wish),
            created_at=now,
            key=scoped,
            fingerprint=fingerprint,
        )
        # Under the lock, so that of two equal keys one makes the job and the other finds it.
        with self._lock:
            try:
                job, new = self.jobs.add(job, inputs)
            except OSError as error:
                raise refused(error) from error
            if new:
                try:
                    self._queue(job, inputs)
                except ServiceError:
                    self.jobs.remove(job.id)
                    raise
        return job, new

    def job(self, job_id: str) -> Job:
        """Return a job; raises NotFound.

        读取任务。
        """
        self._sweep()
        job = self.jobs.get(job_id)
        if job is None:
            raise NotFound("There is no such job.")
        return job

    def cancel(self, job_id: str) -> Job:
        """Cancel a job, waiting or running; raises Refused if it ended otherwise.

        取消任务。
        """
        job = self.job(job_id)
        with self._lock:
            task = self._tasks.get(job_id)
        if task is not None:
            self.queue.cancel(task)
            # Decided already: how is written in a moment, and is what counts.
            _settled(task)
        elif not job.ended and job_id not in self.endings:
            # Kept for when the model is back, or for the next start; no worker has it.
            self._keep(job, Canceled("The job was canceled."))
        job = self.job(job_id)
        if not job.ended and job_id in self.endings:
            self.endings.check()
        if job.status != "canceled":
            raise Refused(f"The job is {job.status}.")
        return job

    def resource(self, job: Job) -> dict[str, Any]:
        """Describe a job as callers see it.

        任务的对外表示。
        """
        task = self._tasks.get(job.id)
        unwritten = not job.ended and job.id in self.endings
        started = task is not None and task.started is not None
        running = unwritten or (started and not job.ended)
        shown: dict[str, Any] = {
            "id": job.id,
            "kind": job.kind,
            "status": "running" if running else job.status,
            "progress": 99 if unwritten else _progress(job, task),
            "created_at": _iso(job.created_at),
        }
        if task is not None and shown["status"] == "queued":
            position = self.queue.position(task)
            if position is not None:
                shown["queue_position"] = position
        if job.finished_at is not None:
            shown["finished_at"] = _iso(job.finished_at)
        if job.error is not None:
            shown["error"] = job.error
        shown["results"] = job.results
        return shown

    def _ready(self) -> None:
        """Queue what was accepted before this start, or while the model was away.

        把上次未完成的任务重新排队。
        """
        self._sweep()
        with self._lock:
            for job in self.jobs.unfinished():
                if job.id not in self._tasks and job.id not in self.endings:
                    _logger.info("job %s goes on", job.id)
                    try:
                        self._queue(job, self.jobs.inputs(job.id), bounded=False)
                    except ServiceError as error:
                        _logger.warning("job %s stays for the next start: %s", job.id, error)
        self._on_ready()

    def _queue(self, job: Job, inputs: Inputs, *, bounded: bool = True) -> None:
        """Queue a kept job; raises the refusal of the queue, of a full one only where `bounded`.

        把任务放入队列。
        """
        task = Task(
            Wish(**job.wish).specs(inputs),
            arrived=time.monotonic(),
            seconds=self.settings.request_seconds,
            late=True,
            priority=job.wish["priority"],
            keep=lambda outcome: self._keep(job, outcome),
            job=job.id,
        )
        self._tasks[job.id] = task
        try:
            self.queue.put(task, bounded=bounded)
        except ServiceError:
            del self._tasks[job.id]
            raise

    def _keep(self, job: Job, outcome: Sequence[Picture] | ServiceError) -> None:
        """Write how a job ended, with its pictures; an interrupted one stays queued on disk.

        保存任务的结果。
        """
        try:
            if isinstance(outcome, Interrupted):
                return  # still queued on disk: it is made after the next start
            ended = evolve(job, finished_at=time.time(), **_ending(job, outcome))
            files = (
                {}
                if isinstance(outcome, ServiceError)
                else {f"{index}.png": picture.content for index, picture in enumerate(outcome)}
            )
            self.endings.keep(ended, files)
            facts = {"job_id": job.id, "status": ended.status, "pictures": len(files)}
            _logger.info("job %s %s", job.id, ended.status, extra={"facts": facts})
        finally:
            with self._lock:
                self._tasks.pop(job.id, None)
            self._count(outcome)

    def _count(self, outcome: Sequence[Picture] | ServiceError) -> None:
        if isinstance(outcome, ServiceError):
            self.metrics.ended(outcome.code)
        else:
            self.metrics.ended("succeeded", len(outcome))

    def _sweep(self) -> None:
        now = time.time()
        if now - self._swept >= _SWEEP_SECONDS:
            self._swept = now
            self.jobs.sweep(now - self.settings.keep_hours * 3600)


def _ending(job: Job, outcome: Sequence[Picture] | ServiceError) -> dict[str, Any]:
    """Return the fields of a job that its outcome decides.

    由结果得出任务的结束字段。
    """
    if isinstance(outcome, Canceled):
        return {"status": "canceled"}
    if isinstance(outcome, ServiceError):
        return {"status": "failed", "error": {"code": outcome.code, "message": outcome.message}}
    results = [
        {
            "name": f"{index}.png",
            "url": f"/jobs/{job.id}/results/{index}.png",
            "media_type": picture.media_type,
            "bytes": len(picture.content),
            "sha256": picture.sha256,
            "width": picture.width,
            "height": picture.height,
            "seed": picture.seed,
        }
        for index, picture in enumerate(outcome)
    ]
    return {"status": "succeeded", "results": results}


def _settled(task: Task) -> None:
    task.result.exception(timeout=60)


def _progress(job: Job, task: Task | None) -> int:
    if job.status == "succeeded":
        return 100
    return task.progress if task is not None else 0


def _iso(seconds: float) -> str:
    when = datetime.fromtimestamp(seconds, timezone.utc)
    return when.isoformat(timespec="milliseconds").replace("+00:00", "Z")
