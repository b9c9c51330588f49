"""What can be wrong with a request: types that carry the facts, no HTTP in them.

请求可能出现的错误；如何变成 HTTP 由接口层决定。
"""

from __future__ import annotations


class MaquetteError(Exception):
    """Something the caller is told about.

    需要告诉调用方的错误的共同父类。
    """

    code = "internal"
    retryable = False

    def __init__(self, message: str, *, code: str | None = None, param: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        if code is not None:
            self.code = code


class InvalidInput(MaquetteError):
    """A field of the request is wrong; `param` names it.

    请求中的某个字段不对。
    """

    code = "invalid_input"


class TooLarge(InvalidInput):
    """The request or a file of it is larger than the settings allow.

    请求或文件过大。
    """

    code = "too_large"


class UnsupportedFormat(InvalidInput):
    """A file is not of a format that is accepted.

    文件格式不受支持。
    """

    code = "format_unsupported"


class NotFound(MaquetteError):
    """No such thing, or it belongs to another caller.

    找不到，或属于其他调用方。
    """

    code = "not_found"


class Gone(MaquetteError):
    """It existed and was deleted.

    曾经存在，但已被删除。
    """

    code = "gone"


class Refused(MaquetteError):
    """The job's status does not allow what was asked (HTTP 409).

    任务当前的状态不允许这个操作。
    """

    code = "refused"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        retryable: bool = False,
    ) -> None:
        super().__init__(message, code=code, param=param)
        self.retryable = retryable


class LimitReached(MaquetteError):
    """The caller has as much of something as one caller may have at once (HTTP 429).

    已达到单个调用方的上限。
    """

    code = "limit_reached"
    retryable = True


class KeyReused(MaquetteError):
    """An Idempotency-Key came again with another request (HTTP 422).

    同一个幂等键被用于不同的请求。
    """

    code = "idempotency_key_reused"


class NotMade(MaquetteError):
    """A kind that nobody makes in this deployment (HTTP 422): asking again changes nothing.

    本部署无人生成的种类，重试无用。
    """

    code = "kind_not_made"


class Unauthenticated(MaquetteError):
    """No API key, or one that nobody has.

    缺少密钥或密钥无效。
    """

    code = "unauthenticated"


class Unavailable(MaquetteError):
    """A part of the house does not answer just now; ask again later.

    某个部件暂时不可用，请稍后再试。
    """

    code = "unavailable"
    retryable = True
