"""Calls to Tencent Cloud's API: the SDK's clients, made on first use, and its errors in words.

The keys are read at every call. The common client alone is used: what the services' own packages
add is a class for each request and each answer.

按需创建的腾讯云接口客户端。
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Mapping
from typing import Any

from shared import skew
from shared.tencent.credentials import CredentialsMissing, credentials
from shared.tencent.endpoints import Endpoint, EndpointWrong, endpoint

CONNECT_SECONDS = 2.0

VERSIONS = {
    "cam": "2019-01-16",
    "cls": "2020-10-16",
    "scf": "2018-04-16",
    "ssm": "2019-09-23",
    "sts": "2018-08-13",
    "vpc": "2017-03-12",
}
"""The version of each service's API that the calls here are written for."""

_PERMISSIONS = {"Invoke": "InvokeFunction"}
"""What allows an action, where it has another name (document 583/18014)."""
_PART = "cloud's API"
_AGAIN = frozenset({"ClientNetworkError", "ServerNetworkError", "InternalError"})
_TOO_OFTEN = "RequestLimitExceeded"
_FIRST_PAUSE = 0.2

_clients: dict[tuple[str, float, str, Endpoint | None], Any] = {}
_lock = threading.Lock()

# A forked child must not talk over its parent's connections. It keeps those clients unused, so
# that nothing closes them, and makes its own.
_inherited: list[Any] = []


def _after_fork_in_child() -> None:
    global _lock
    _lock = threading.Lock()
    _inherited.extend(_clients.values())
    _clients.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)


class TencentError(Exception):
    """A call that failed. `code` is the API's own (ResourceNotFound.Function, say), or the SDK's
    where no answer came; `request_id` is what Tencent's support asks for.

    The message says what to do where that is known; it holds no key.

    腾讯云接口调用失败。
    """

    def __init__(self, service: str, action: str, code: str, message: str, request_id: str) -> None:
        said = f"{service} {action}: {code}: {message}"
        advice = _advice(service, action, code)
        super().__init__(f"{said} ({advice})" if advice else said)
        self.code = code
        self.request_id = request_id

    def is_a(self, *codes: str) -> bool:
        """Whether the code is one of these, or of their kind (ResourceNotFound.Function is a
        ResourceNotFound).

        是否属于某类错误。
        """
        return any(self.code == code or self.code.startswith(f"{code}.") for code in codes)

    @property
    def may_pass(self) -> bool:
        """Whether the same call may do later: nothing of it was wrong.

        稍后重试是否可能成功。
        """
        return self.code in _AGAIN or self.is_a(_TOO_OFTEN, "InternalError")


class RegionMissing(Exception):
    """Nobody has said in which region.

    未设置地域。
    """


def region() -> str:
    """The region that this process works in, "ap-guangzhou" say; raises `RegionMissing`.

    当前地域。
    """
    named = os.environ.get("TENCENTCLOUD_REGION", "").strip()
    if not named:
        raise RegionMissing("TENCENTCLOUD_REGION is not set; ap-guangzhou, say")
    return named


def call(
    service: str,
    action: str,
    parameters: Mapping[str, Any],
    *,
    seconds: float = 5.0,
    tries: int = 1,
) -> dict[str, Any]:
    """Call an action of a service ("scf", "Invoke"), and return what its answer holds.

    `seconds` is how long the answer may keep silent. A call goes out `tries` times in all where it
    may pass (no answer, a limit, an internal error), with short pauses between: say more than one
    only of a call that does no harm done twice. Raises `TencentError`, and, before anything is
    sent, `CredentialsMissing`, `RegionMissing` and `EndpointWrong`.

    调用腾讯云接口。
    """
    for number in range(1, tries + 1):
        try:
            return _once(service, action, parameters, seconds)
        except TencentError as error:
            if number == tries or not error.may_pass:
                raise
        time.sleep(_FIRST_PAUSE * 2 ** (number - 1) * random.uniform(0.5, 1.0))
    raise ValueError("a call is sent at least once")


def forget() -> None:
    """Make new clients from now on, from the environment then.

    丢弃全部客户端。
    """
    with _lock:
        _clients.clear()


def _once(
    service: str, action: str, parameters: Mapping[str, Any], seconds: float
) -> dict[str, Any]:
    """One call, sent once, with every kind of failure as a `TencentError`.

    发送一次请求。
    """
    credentials()  # missing ones are told before the SDK is even imported
    sender = client(service, seconds)

    from requests import RequestException
    from tencentcloud.common.exception import TencentCloudSDKException

    def failed(code: object, message: object, request_id: object = "") -> TencentError:
        return TencentError(service, action, str(code), str(message), str(request_id))

    try:
        answer = dict(sender.call_json(action, dict(parameters))["Response"])
        # The SDK looks for errors only where the content type is spelt as it expects.
        if (error := answer.get("Error")) is not None:
            raise failed(error["Code"], error["Message"], answer.get("RequestId", ""))
    except TencentCloudSDKException as failure:
        code, said = failure.get_code(), failure.get_message()
        if isinstance(said, bytes):  # an answer that is not 200; whose page it is, nobody knows
            said = said[:200].decode("utf-8", "replace")
        raise failed(code, said, failure.get_request_id() or "") from None
    except RequestException as failure:
        raise failed("ClientNetworkError", failure) from None
    except (AttributeError, KeyError, TypeError, ValueError):
        raise failed("ServerNetworkError", "the answer is none of the API's") from None
    return answer


class _Keys:
    """What the SDK asks for the keys at every call: those of the environment then."""

    def get_credential_info(self) -> tuple[str, str, str | None]:
        keys = credentials()
        return keys.secret_id, keys.secret_key, keys.token


class _Clocked:
    """Sends a client's requests, and notes the time that each answer tells."""

    def __init__(self, sender: Any) -> None:
        self._sender = sender

    def send_request(self, request: Any) -> Any:
        answer = self._sender.send_request(request)
        skew.saw_date(_PART, answer.headers)
        return answer


def client(service: str, seconds: float) -> Any:
    """The process's client of a service, made where there is none yet for this region; `call` is
    what turns its errors into ours. Raises `RegionMissing` and `EndpointWrong`.

    获取某个服务的客户端。
    """
    wanted = (service, seconds, region(), endpoint("TENCENT_ENDPOINT"))
    with _lock:
        made = _clients.get(wanted)
        if made is None:
            made = _clients[wanted] = _made(*wanted)
        return made


def _made(service: str, seconds: float, named: str, where: Endpoint | None) -> Any:
    """A client of a service in a region, at an endpoint, or at the public one.

    创建一个客户端。
    """
    from tencentcloud.common.common_client import CommonClient
    from tencentcloud.common.profile.client_profile import ClientProfile
    from tencentcloud.common.profile.http_profile import HttpProfile

    http = HttpProfile(
        protocol=where.scheme if where else "https",
        endpoint=where.place if where else None,
        reqTimeout=(CONNECT_SECONDS, seconds),
        keepAlive=True,
    )
    profile = ClientProfile(httpProfile=http, language="en-US", request_client="Maquette")
    made = CommonClient(service, VERSIONS[service], _Keys(), named, profile)
    if where and where.is_local:
        made.request.conn.proxy = where.proxies
    made.request = _Clocked(made.request)
    return made


def _advice(service: str, action: str, code: str) -> str:
    """What to do about an error, where it is a matter of what was set up.

    针对错误给出处理建议。
    """
    if code == "AuthFailure.SignatureExpire":
        return "this machine's clock is more than five minutes off"
    if code == "AuthFailure.TokenFailure":
        return "the session token has run out, or belongs to another key"
    if code.startswith(("UnauthorizedOperation", "AuthFailure.UnauthorizedOperation")):
        return f"the role or key must be allowed {service}:{_PERMISSIONS.get(action, action)}"
    if code.startswith("AuthFailure"):
        return "see TENCENTCLOUD_SECRETID, or TENCENTCLOUD_SECRET_ID, and the key beside it"
    if code.startswith("UnsupportedRegion"):
        return "see TENCENTCLOUD_REGION"
    return ""


__all__ = [
    "CredentialsMissing",
    "EndpointWrong",
    "RegionMissing",
    "TencentError",
    "call",
    "client",
    "forget",
    "region",
]
