"""What a caller is told when something goes wrong: types with the facts and their HTTP status.

告诉调用方的各种错误及其 HTTP 状态码。
"""

from __future__ import annotations

LONGEST_RETRY = 120
"""Seconds; no Retry-After says more."""


class ServiceError(Exception):
    """Something the caller is told about.

    需要告诉调用方的错误的共同父类。
    """

    status = 500
    code = "internal"
    retryable = False

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        if code is not None:
            self.code = code
        self.retry_after = None if retry_after is None else _whole_seconds(retry_after)


def _whole_seconds(seconds: float) -> int:
    return max(1, min(LONGEST_RETRY, int(seconds + 0.999)))


class InvalidInput(ServiceError):
    """A field of the request is wrong; `param` names it.

    请求中的某个字段不对。
    """

    status = 400
    code = "invalid_input"


class TooLarge(ServiceError):
    """The request or its answer is larger than allowed.

    请求或应答过大。
    """

    status = 413
    code = "too_large"


class UnsupportedFormat(ServiceError):
    """A body or picture of a kind that is not accepted.

    格式不受支持。
    """

    status = 415
    code = "format_unsupported"


class Unauthenticated(ServiceError):
    """No API key, or one that nobody has.

    缺少密钥或密钥无效。
    """

    status = 401
    code = "unauthenticated"


class NotFound(ServiceError):
    """No such thing.

    找不到。
    """

    status = 404
    code = "not_found"


class Refused(ServiceError):
    """The job's status does not allow what was asked.

    任务当前的状态不允许这个操作。
    """

    status = 409
    code = "refused"


class KeyReused(ServiceError):
    """An Idempotency-Key came again with another request.

    同一个幂等键被用于不同的请求。
    """

    status = 422
    code = "idempotency_key_reused"


class RateLimited(ServiceError):
    """Too many requests from this key.

    该密钥的请求过于频繁。
    """

    status = 429
    code = "rate_limited"
    retryable = True


class QueueFull(ServiceError):
    """As many pictures wait as may.

    队列已满。
    """

    status = 429
    code = "queue_full"
    retryable = True


class Canceled(ServiceError):
    """The request was canceled, or its caller is gone; nobody usually reads this.

    请求已被取消。
    """

    status = 409
    code = "canceled"


class NotReady(ServiceError):
    """The model is loading, could not be loaded, or the service is about to stop.

    模型未就绪，或服务正在停止。
    """

    status = 503
    code = "not_ready"
    retryable = True


class Interrupted(NotReady):
    """The service stopped, or its model went away, before the work was done. A job is kept for the
    next start.

    服务停止，工作未完成；任务会留到下次启动。
    """

    code = "interrupted"


class NoMemory(ServiceError):
    """Not even one picture of this size fits into the memory just now.

    显存连一张图都放不下。
    """

    status = 503
    code = "out_of_memory"
    retryable = True


class StorageFailed(ServiceError):
    """The disk takes no job, or not yet how one ended; `storage_full` where it is full.

    磁盘写入失败（或已满）。
    """

    status = 503
    code = "storage_failed"
    retryable = True


class TooSlow(ServiceError):
    """The request's deadline passed before its pictures were made.

    超过了请求的期限。
    """

    status = 504
    code = "deadline_exceeded"
    retryable = True


class GenerationFailed(ServiceError):
    """The engine broke on this picture, and would again.

    生成失败。
    """

    code = "generation_failed"
