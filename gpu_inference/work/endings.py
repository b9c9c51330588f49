"""How jobs ended, on its way to the disk: what the disk refuses is kept in memory and tried again.

任务结局的落盘：磁盘写不进时留在内存中，稍后重试。
"""

from __future__ import annotations

import errno
import logging
import threading

from gpu_inference.errors import StorageFailed
from gpu_inference.work.store import Job, Jobs

AGAIN_SECONDS = 5.0
"""Between two tries."""
_FULL = (errno.ENOSPC, errno.EDQUOT)

_logger = logging.getLogger("qwen_image.endings")


class Endings:
    """Writes the endings of jobs. Any thread may use it.

    Nothing is made a second time because the disk was full: the pictures wait here. While some do,
    no new job is accepted, so what waits is bounded by what the queue held. A process that ends
    before there is space leaves those jobs queued on disk, for the next one to make again.

    写入任务的结局；任何线程都可使用。
    """

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._waiting: dict[str, tuple[Job, dict[str, bytes]]] = {}
        self._reason: OSError | None = None
        self._timer: threading.Timer | None = None
        self._closed = False

    def __len__(self) -> int:
        return len(self._waiting)

    def __contains__(self, job_id: object) -> bool:
        return job_id in self._waiting

    def keep(self, job: Job, files: dict[str, bytes]) -> None:
        """Write how a job ended; raises StorageFailed, and then goes on trying by itself.

        写入；失败则自动重试。
        """
        try:
            self._jobs.end(job, files)
        except OSError as error:
            _logger.error("job %s ended and cannot be written yet: %s", job.id, error)
            with self._lock:
                self._waiting[job.id] = (job, files)
                self._reason = error
                self._plan()
            raise refused(error) from error

    def check(self) -> None:
        """Raise StorageFailed while something waits to be written.

        有待写内容时报错。
        """
        reason = self._reason
        if self._waiting and reason is not None:
            raise refused(reason)

    def close(self) -> None:
        """Try a last time, and stop trying.

        最后再试一次，然后停止。
        """
        with self._lock:
            self._closed = True
            if self._timer is not None:
                self._timer.cancel()
        self._again()
        for job_id in list(self._waiting):
            _logger.error("job %s is made again after the next start", job_id)

    def _plan(self) -> None:
        if self._timer is None and not self._closed:
            self._timer = threading.Timer(AGAIN_SECONDS, self._again)
            self._timer.daemon = True
            self._timer.start()

    def _again(self) -> None:
        """Write what waits, in order; the first failure plans the next try.

        重试写入等待中的结果。
        """
        with self._lock:
            self._timer = None
        with self._writing:
            for job_id, (job, files) in list(self._waiting.items()):
                try:
                    self._jobs.end(job, files)
                except OSError as error:
                    with self._lock:
                        self._reason = error
                        self._plan()
                    return
                _logger.info("job %s is written at last: %s", job_id, job.status)
                with self._lock:
                    del self._waiting[job_id]


def refused(error: OSError) -> StorageFailed:
    """Return what a caller is told of a disk that takes nothing.

    磁盘写入失败对应的错误。
    """
    code = "storage_full" if error.errno in _FULL else "storage_failed"
    return StorageFailed(
        f"The service cannot write to its disk just now: {error.strerror or error}.",
        code=code,
        retry_after=30,
    )
