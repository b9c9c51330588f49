"""What stands between the core and every adapter: whatever an adapter does, the core gets an answer
of the protocol.

The adapter is made at the first call. Any exception becomes one of the family; texts and numbers
are cleaned and bounded; calls are timed and errors counted; and a task that the job's credential
does not know is asked for with the operator's others, for its key may have been replaced.

所有适配器的统一防护层：异常归类、数据清理、度量与延迟创建。
"""

from __future__ import annotations

import json
import logging
import re
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, TypeVar

from pydantic import BaseModel

from shared.buckets.base import BucketUnavailable, ObjectMissing
from shared.clock import Clock, Deadline, OutOfTime
from shared.metrics import OFF, PROVIDER_ERRORS, PROVIDER_SECONDS, Metrics
from shared.providers import cleaning
from shared.providers.base import (
    Adapter,
    Ask,
    Download,
    DownloadFailed,
    Judge,
    NotReadYet,
    OutOfCredit,
    ProviderError,
    ProviderUnavailable,
    RateLimited,
    Rejected,
    RemoteFile,
    Request,
    TaskState,
    Unauthorized,
    UnknownOutcome,
    Wanted,
)
from shared.providers.credentials import Credentials
from shared.providers.declaration import Declaration
from shared.providers.looks import Broken, Doubts, Look
from shared.store.base import StoreUnavailable

log = logging.getLogger("maquette.providers")

LARGEST_BODY = 256 << 10
"""Bytes of a create's text; it is kept on the job, whose record has to hold it."""
LARGEST_LIMITS = 8 << 10
RAW_LENGTH = 1000
# Not the provider's doing, and somebody else's to deal with.
_OURS = (OutOfTime, BucketUnavailable, ObjectMissing, StoreUnavailable, MemoryError)
# What an account is told of itself is the operator's alone.
_OF_THE_ACCOUNT: Mapping[type[ProviderError], str] = {
    Unauthorized: "the key is not accepted, or may not do this",
    OutOfCredit: "the account does not have enough credit",
}
_ID = re.compile(r"[!-~]{1,128}")

T = TypeVar("T")


class Guarded:
    """A provider, whatever its adapter does; `make` gives the adapter when it is first needed.

    任何适配器之外的防护层。
    """

    def __init__(
        self,
        declared: Declaration[Any],
        make: Callable[[], Adapter],
        credentials: Credentials,
        clock: Clock,
        metrics: Metrics = OFF,
    ) -> None:
        self.name: str = declared.name
        self.options: Mapping[str, type[BaseModel]] = declared.options
        self.key_seconds: float | None = declared.key_seconds
        self.check_limit: int = declared.check_limit
        self.judge: Judge | None = declared.judge
        self._make = make
        self._credentials = credentials
        self._clock = clock
        self._metrics = metrics
        self._doubts = Doubts()
        self._lock = threading.Lock()
        self._made: Adapter | None = None

    def __repr__(self) -> str:
        return f"Guarded({self.name!r})"

    def prepare(self, ask: Ask, credential: str, deadline: Deadline) -> Request:
        """As the adapter prepares it; never raises `UnknownOutcome`.

        准备请求。
        """
        with self._guard("prepare") as adapter:
            return _request(adapter.prepare(ask, credential, deadline))

    def submit(self, request: Request, key: str, credential: str, deadline: Deadline) -> str:
        """As the adapter sends it; what is no clear answer is an `UnknownOutcome`.

        发送一次创建请求。
        """
        with self._guard("submit", unclear=UnknownOutcome) as adapter:
            task_id = adapter.submit(request, key, credential, deadline)
            if not _is_id(task_id):
                raise UnknownOutcome("the answer to the create has no task id that can be used")
            return task_id

    def check(
        self, task_ids: Sequence[str], credential: str, deadline: Deadline
    ) -> Mapping[str, TaskState]:
        """The states that can be used, of these tasks alone; one that breaks it is left out.

        批量查询任务状态。
        """

        def ask(ids: Sequence[str]) -> Mapping[str, TaskState]:
            return self._states(ids, credential, deadline)

        states = Look(ask, self._doubts, self.check_limit, deadline).read(task_ids)
        missing = [one for one, state in states.items() if state.status == "missing"]
        for other in self._credentials.kin(self.name, credential) if missing else ():
            try:
                found = self._states(missing, other, deadline)
            except ProviderError:
                # As long as that is not known, the task is not gone.
                found = {}
            for one in missing:
                states.pop(one, None)
            states.update(found)
            missing = [one for one, state in found.items() if state.status == "missing"]
        return states

    def cancel(self, task_id: str, credential: str, deadline: Deadline) -> bool:
        """As the adapter cancels; True only where it says so.

        请求取消任务。
        """
        with self._guard("cancel") as adapter:
            return adapter.cancel(task_id, credential, deadline) is True

    def find(
        self, wanted: Sequence[Wanted], credential: str, deadline: Deadline
    ) -> Sequence[Sequence[str] | None]:
        """As the adapter finds; an answer that cannot be used counts as none.

        按标记找回未应答的任务。
        """
        with self._guard("find") as adapter:
            found = adapter.find(wanted, credential, deadline)
            if not _is_list(found) or len(found) != len(wanted) or not all(map(_are_ids, found)):
                raise Broken("the search did not give the ids of tasks")
            return [None if ids is None else tuple(dict.fromkeys(ids)) for ids in found]

    @contextmanager
    def download(self, file: RemoteFile, credential: str, deadline: Deadline) -> Iterator[Download]:
        """As the adapter fetches; lasts until the file is where it belongs, and what the reader
        itself raises meanwhile goes on as it is.

        下载结果文件。
        """
        adapter = self._adapter()
        with self._measured("download"):
            with self._kept("download", DownloadFailed):
                fetched = adapter.download(file, credential, deadline)
                download = fetched.__enter__()
            try:
                yield Download(_length(download.length), self._chunks(download))
            except BaseException as error:
                self._let_go(fetched, error)
                raise
            with self._kept("download", DownloadFailed):
                fetched.__exit__(None, None, None)

    def ready(self, deadline: Deadline) -> None:
        """As the adapter finds out.

        检查服务与凭证是否可用。
        """
        with self._guard("ready") as adapter:
            adapter.ready(deadline)

    def limits(self, deadline: Deadline) -> Mapping[str, Any] | None:
        """What the adapter is told of the provider's limits; None where nobody would read it.

        查询生成服务自述的限制。
        """
        if self.judge is None:
            return None
        with self._guard("limits") as adapter:
            found = adapter.limits(deadline)
            if found is not None and len(json.dumps(found)) > LARGEST_LIMITS:
                raise Broken("the limits are too large to be kept")
            return found

    def close(self) -> None:
        """Close the adapter, if there is one; never fails.

        关闭连接。
        """
        if self._made is not None:
            try:
                self._made.close()
            except Exception:
                log.warning("%s could not be closed", self.name, exc_info=True)

    def _adapter(self) -> Adapter:
        with self._lock:
            if self._made is None:
                try:
                    self._made = self._make()
                except Exception as error:
                    log.error("%s: its adapter cannot be made", self.name, exc_info=error)
                    raise ProviderUnavailable("its adapter cannot be made") from None
            return self._made

    def _states(
        self, ids: Sequence[str], credential: str, deadline: Deadline
    ) -> Mapping[str, TaskState]:
        """One request of the adapter: the states of the tasks asked about that can be used.

        查询一次，只返回可用的状态。
        """
        with self._guard("check") as adapter:
            answer = adapter.check(ids, credential, deadline)
            states: dict[str, TaskState] = {}
            for one in ids:
                given = answer.get(one)
                state = cleaning.state(given)
                if state is not None:
                    states[one] = state
                if given is not None and (state is None or state.status == "failed"):
                    said = cleaning.clean(getattr(given, "error", None) or "cannot be used", 1000)
                    log.warning("%s: task %s: %s", self.name, cleaning.clean(one, 128), said)
            return states

    def _chunks(self, download: Download) -> Iterator[bytes]:
        length, received = _length(download.length), 0
        with self._kept("download", DownloadFailed):
            for chunk in download.chunks:
                if not isinstance(chunk, bytes):
                    raise DownloadFailed("the result is not made of bytes")
                received += len(chunk)
                yield chunk
            if length is not None and received != length:
                raise DownloadFailed(f"the result ended after {received} of {length} bytes")

    def _let_go(self, fetched: AbstractContextManager[Any], error: BaseException) -> None:
        """Tell the adapter that reading ended so; what it makes of that changes nothing."""
        try:
            fetched.__exit__(type(error), error, error.__traceback__)
        except BaseException as other:
            if other is not error and isinstance(other, Exception):
                log.warning("%s: a download's end failed", self.name, exc_info=other)

    @contextmanager
    def _guard(self, operation: str, unclear: type[ProviderError] = Broken) -> Iterator[Adapter]:
        adapter = self._adapter()  # making it is no latency of the provider's
        with self._measured(operation), self._kept(operation, unclear):
            yield adapter

    @contextmanager
    def _kept(self, operation: str, unclear: type[ProviderError]) -> Iterator[None]:
        """Whatever is raised inside is one of the family, its words fit for callers.

        把任何异常归入统一的错误类型。
        """
        try:
            yield
        except _OURS:
            raise
        except ProviderError as error:
            out_of_place = isinstance(error, UnknownOutcome) and operation != "submit"
            known = ProviderUnavailable(str(error)) if out_of_place else error
            self._tell(operation, known)
            raise known from None
        except Exception as error:
            # Foreign texts may hold what no log can be written in.
            told = "".join(traceback.format_exception(error))
            log.error("%s: %s broke\n%s", self.name, operation, cleaning.loggable(told))
            raise unclear(f"no answer that can be used ({type(error).__name__})") from None

    def _tell(self, operation: str, error: ProviderError) -> None:
        """Note all of an error's words in the log, and leave those on it that callers may read.

        原话写入日志，只留下可公开的部分。
        """
        raw = cleaning.clean(getattr(error, "raw", error), RAW_LENGTH)
        kind = type(error).__name__
        error.code = cleaning.code(getattr(error, "code", None))
        level = logging.INFO if isinstance(error, NotReadYet) else logging.WARNING
        log.log(level, "%s: %s: %s %s: %s", self.name, operation, kind, error.code or "", raw)
        error.raw = raw
        fixed = (said for known, said in _OF_THE_ACCOUNT.items() if isinstance(error, known))
        words = cleaning.public(getattr(error, "message", "")) or "no message"
        error.message = next(fixed, words)
        error.args = (error.message,)
        if isinstance(error, RateLimited | ProviderUnavailable):
            longest = cleaning.LONGEST_RETRY_AFTER
            hint = getattr(error, "retry_after", None)
            error.retry_after = cleaning.number(hint, 0, longest)

    @contextmanager
    def _measured(self, operation: str) -> Iterator[None]:
        """Only the provider's own errors count: not ours, and not that our time is up.

        记录耗时与错误。
        """
        begun = self._clock.now()
        about = {"provider": self.name, "operation": operation}
        try:
            yield
        except ProviderError as error:
            self._metrics.add(PROVIDER_ERRORS, error=type(error).__name__, **about)
            raise
        finally:
            took = max(0, self._clock.now() - begun) / 1000
            self._metrics.add(PROVIDER_SECONDS, took, **about)


def _is_id(given: object) -> bool:
    return isinstance(given, str) and _ID.fullmatch(given) is not None


def _is_list(given: object) -> bool:
    return isinstance(given, (list, tuple))


def _are_ids(given: object) -> bool:
    return given is None or (isinstance(given, (list, tuple)) and all(map(_is_id, given)))


def _length(given: object) -> int | None:
    return given if type(given) is int and 0 <= given < 1 << 63 else None


def _request(given: Request) -> Request:
    """A create that can be kept as it is; raises `Rejected` for one too large to be kept.

    检查准备好的请求是否可以保存。
    """
    if not isinstance(given, Request) or not isinstance(given.body, str):
        raise Broken("what was prepared is no request")
    if len(given.body.encode()) > LARGEST_BODY:
        raise Rejected("the request is too large", code="request_too_large")
    mark = given.mark
    if not re.fullmatch(r"/[!-~]{0,1023}", given.path) or (
        mark is not None and not re.fullmatch(r"[!-~]{1,256}", mark)
    ):
        raise Broken("what was prepared is no request")
    return given
