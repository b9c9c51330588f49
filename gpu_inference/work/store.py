"""The jobs on disk: one folder per job, so that a restart or a crash loses none that was accepted.

    <state>/lock                 held by the one process that uses the folder
    <state>/jobs/<id>/job.json   the job; written aside, synced and renamed
    <state>/jobs/<id>/input      the source picture of an image-to-image job
    <state>/jobs/<id>/mask       its mask, if there is one
    <state>/jobs/<id>/0.png …    the results, written before the job says that they are there

磁盘上的任务：每个任务一个文件夹，重启不丢。
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import shutil
import threading
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import IO, Any

from gpu_inference.errors import KeyReused
from gpu_inference.work.protocol import NO_INPUTS, Inputs

ENDED = ("succeeded", "failed", "canceled")

_logger = logging.getLogger("qwen_image.state")


class StateInUse(Exception):
    """Another process uses the state folder.

    状态文件夹正被另一个进程使用。
    """


@dataclass(frozen=True)
class Job:
    """One accepted job. `wish` is what to make, everything filled in, the seed too; `key` its
    idempotency key (with whose it is), `fingerprint` the hash of what was asked under it. Times are
    Unix seconds.

    一个已接收的任务。
    """

    id: str
    kind: str
    wish: dict[str, Any]
    created_at: float
    status: str = "queued"
    finished_at: float | None = None
    error: dict[str, str] | None = None
    results: list[dict[str, Any]] = field(default_factory=list)
    key: str | None = None
    fingerprint: str | None = None

    @property
    def ended(self) -> bool:
        """Say whether nothing more will happen to it.

        是否已结束。
        """
        return self.status in ENDED


class Jobs:
    """All jobs, in memory and on disk alike. Any thread may use it.

    全部任务，内存与磁盘一致。
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "jobs"
        self._folder.mkdir(parents=True, exist_ok=True)
        self._held = _hold(folder / "lock")
        self._lock = threading.RLock()
        self._jobs: dict[str, Job] = {}
        self._keys: dict[str, str] = {}
        for place in sorted(self._folder.iterdir()):
            self._read(place)

    def close(self) -> None:
        """Let another process use the folder.

        释放文件夹。
        """
        self._held.close()

    def add(self, job: Job, inputs: Inputs = NO_INPUTS) -> tuple[Job, bool]:
        """Keep a new job; the one already there, and False, if its key is known.

        Raises KeyReused if that one asked for something else, and OSError, with nothing kept.

        保存新任务；同一幂等键返回已有任务。
        """
        with self._lock:
            known = self.by_key(job.key, job.fingerprint)
            if known:
                return known, False
            place = self._folder / job.id
            try:
                place.mkdir()
                for name, content in (("input", inputs.image), ("mask", inputs.mask)):
                    if content is not None:
                        _write(place / name, content)
                self._put(job)
                _sync(self._folder)
            except OSError:
                self.remove(job.id)
                raise
            return job, True

    def by_key(self, key: str | None, fingerprint: str | None) -> Job | None:
        """Return the job that this idempotency key made; raises KeyReused.

        按幂等键查找。
        """
        with self._lock:
            known = self._jobs.get(self._keys.get(key, "")) if key else None
        if known and known.fingerprint != fingerprint:
            raise KeyReused("This Idempotency-Key came before with another request.")
        return known

    def get(self, job_id: str) -> Job | None:
        """Return a job.

        读取任务。
        """
        with self._lock:
            return self._jobs.get(job_id)

    def unfinished(self) -> list[Job]:
        """Return the jobs that are still to be made, oldest first.

        尚未完成的任务，旧的在前。
        """
        with self._lock:
            jobs = [job for job in self._jobs.values() if not job.ended]
        return sorted(jobs, key=lambda job: (job.created_at, job.id))

    def inputs(self, job_id: str) -> Inputs:
        """Return the pictures that a job came with.

        任务附带的图片。
        """
        files = (self._folder / job_id / name for name in ("input", "mask"))
        return Inputs(*(file.read_bytes() if file.exists() else None for file in files))

    def end(self, job: Job, pictures: dict[str, bytes] | None = None) -> None:
        """Keep how a job ended; its pictures first.

        保存任务的结局与图片。
        """
        for name, content in (pictures or {}).items():
            _write(self._folder / job.id / name, content)
        with self._lock:
            # Deleted meanwhile: nobody may ask for it any more.
            if job.id in self._jobs:
                self._put(job)

    def remove(self, job_id: str) -> None:
        """Forget a job that was never begun, its key too.

        删除任务。
        """
        with self._lock:
            job = self._jobs.pop(job_id, None)
            if job and job.key:
                self._keys.pop(job.key, None)
            shutil.rmtree(self._folder / job_id, ignore_errors=True)

    def result(self, job: Job, name: str) -> Path | None:
        """Return the file of one of a job's results.

        结果文件的路径。
        """
        names = {result["name"] for result in job.results}
        return self._folder / job.id / name if name in names else None

    def sweep(self, before: float) -> int:
        """Remove the jobs that ended before this time; returns how many.

        删除过期任务。
        """
        with self._lock:
            old = [job.id for job in self._jobs.values() if (job.finished_at or before) < before]
        for job_id in old:
            self.remove(job_id)
        return len(old)

    def _read(self, place: Path) -> None:
        """Take up a job found on disk; one that was never accepted is removed.

        读取磁盘上的任务。
        """
        try:
            job = Job(**json.loads((place / "job.json").read_text()))
        except FileNotFoundError:
            # The process died before the job was accepted: nobody was told of it.
            shutil.rmtree(place, ignore_errors=True)
        except (OSError, ValueError, TypeError) as error:
            _logger.error("a job that cannot be read is left alone: %s: %s", place, error)
        else:
            self._jobs[job.id] = job
            if job.key:
                self._keys[job.key] = job.id

    def _put(self, job: Job) -> None:
        _write(self._folder / job.id / "job.json", json.dumps(asdict(job)).encode())
        self._jobs[job.id] = job
        if job.key:
            self._keys[job.key] = job.id


def evolve(job: Job, **changes: Any) -> Job:
    """Return the job with some members changed.

    返回修改后的任务。
    """
    return replace(job, **changes)


def _hold(file: Path) -> IO[str]:
    held = file.open("w")
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        held.close()
        raise StateInUse(f"another process uses the state folder {file.parent}") from error
    return held


def _write(file: Path, content: bytes) -> None:
    """Write a file whole or not at all, and on the disk itself before this returns.

    完整写入并落盘。
    """
    aside = file.with_name(f".{file.name}.new")
    try:
        with aside.open("wb") as out:
            out.write(content)
            out.flush()
            os.fsync(out.fileno())
        aside.rename(file)
    except OSError:
        # On a full disk, half a file must not take what others need.
        aside.unlink(missing_ok=True)
        raise
    _sync(file.parent)


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
