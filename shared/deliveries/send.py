"""Sends one message to its receiver, once, and says what came of it.

把一条通知发送给接收方。
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timezone
from email.utils import parsedate_to_datetime

import httpcore
import httpx

from shared.clock import Clock, Deadline
from shared.deliveries.answer_head import AnswerHead
from shared.deliveries.model import Delivery
from shared.deliveries.schedule import Outcome
from shared.deliveries.signing import sign
from shared.outbound.connection import PinnedNetwork
from shared.outbound.failures import FAILURES, describe
from shared.outbound.resolvers import Resolvers
from shared.outbound.url_policy import Pinned, Policy, TargetRefused, TargetUnresolved, resolve

_Headers = list[tuple[bytes | str, bytes | str]]

AGENT = "Maquette/0.1"


@dataclass(frozen=True)
class Limits:
    """How long one try may take in seconds, and how many bytes of an answer are read.

    `total` covers the look-up of the name, the connection and the whole answer. Standard
    Webhooks 1.0.0 recommends 15 to 30 seconds.

    一次投递的时间与大小上限。
    """

    connect: float = 5.0
    total: float = 15.0
    answer_bytes: int = 64 * 1024


class Sender:
    """Sends deliveries, signed with every one of `secrets`, to where `policy` allows.

    Each try has a connection of its own: no redirects, proxies, cookies or reused connections,
    which could have been verified for another host at the same address. `verify` is whom TLS
    trusts; by default the same authorities as everywhere in httpx. Raises `ValueError` without
    a secret.

    通知的发送者。
    """

    def __init__(
        self,
        secrets: Sequence[str],
        policy: Policy,
        clock: Clock,
        *,
        limits: Limits | None = None,
        verify: ssl.SSLContext | None = None,
        agent: str = AGENT,
        resolvers: Resolvers | None = None,
    ) -> None:
        if not secrets:
            raise ValueError("there is no webhook secret to sign with")
        self.limits = limits or Limits()
        self._secrets = tuple(secrets)
        self._policy = policy
        self._clock = clock
        self._verify = verify or httpx.create_ssl_context()
        self._agent = agent
        self._resolvers = resolvers or Resolvers(policy.resolver)

    def attempt(self, delivery: Delivery, deadline: Deadline) -> Outcome:
        """One try; ends within `limits.total` seconds and before `deadline`.

        What goes wrong on the way, whatever it is, is in the outcome, in a few words without
        addresses or secrets. A status line that was read counts, whatever follows it. Every try
        begins with another of the host's addresses than the one before.

        投递一次。
        """
        began = self._clock.now()
        budget = deadline.within(self.limits.total)
        head = AnswerHead()
        error = None
        try:
            pinned = self._resolve(delivery, budget.limit(self.limits.connect))
            self._post(pinned.rotated(len(delivery.tries)), delivery, budget, head)
        except (TargetRefused, TargetUnresolved) as problem:
            error = f"not sent: {problem}"
        except FAILURES as problem:
            error = describe(problem)
        except Exception as problem:
            # A message that cannot even be tried must neither stop others nor come for ever.
            error = f"internal error: {type(problem).__name__}"
        status = head.status
        now = self._clock.now()
        wait = _milliseconds(head.retry_after, now)
        return Outcome(began, status, None if status else error, max(0, now - began), wait)

    def _resolve(self, delivery: Delivery, seconds: float) -> Pinned:
        def look_up(host: str, port: int) -> Sequence[str]:
            return self._resolvers.look_up(delivery.caller, host, port, seconds)

        return resolve(delivery.url, self._policy, look_up)

    def _post(self, pinned: Pinned, delivery: Delivery, budget: Deadline, head: AnswerHead) -> None:
        """Send the request on the pinned connection, and read the head of the answer.

        发送请求并读取响应头。
        """
        target = pinned.target
        body = delivery.payload
        url = httpcore.URL(
            scheme=target.scheme.encode(),
            host=target.host.encode(),
            port=target.port,
            target=target.path.encode(),
        )
        network = PinnedNetwork(pinned.addresses, self.limits.connect, budget, head.hear)
        headers = self._headers(delivery, target.authority, body)
        with (
            httpcore.HTTPConnection(url.origin, self._verify, network_backend=network) as line,
            line.stream("POST", url, headers=headers, content=body) as response,
        ):
            self._drain(response)

    def _headers(self, delivery: Delivery, host: str, body: bytes) -> _Headers:
        """The headers of a delivery, signed now.

        带签名的请求头。
        """
        trace = {name.lower(): value for name, value in delivery.trace.items()}
        headers = {
            "host": host,
            "content-type": "application/json",
            "content-length": str(len(body)),
            "user-agent": self._agent,
            "accept": "*/*",
            "connection": "close",
            **{name: trace[name] for name in _CARRIED if _VALUE.fullmatch(trace.get(name, ""))},
            **sign(self._secrets, delivery.id, body, self._clock.now()),
        }
        return [(name.encode(), value.encode()) for name, value in headers.items()]

    def _drain(self, response: httpcore.Response) -> None:
        """Read a little of the answer: closing at once would look like a reset to the receiver."""
        read = 0
        for piece in response.iter_stream():
            read += len(piece)
            if read >= self.limits.answer_bytes:
                return


_CARRIED = ("traceparent", "x-request-id")
_VALUE = re.compile(r"[!-~]{1,256}")


def _milliseconds(retry_after: str | None, now: int) -> int | None:
    """The wait that a Retry-After asks for: whole seconds or an HTTP date (RFC 9110, 10.2.3).

    解析重试等待时间。
    """
    text = (retry_after or "").strip()
    if re.fullmatch(r"[0-9]{1,10}", text):
        return int(text) * 1000
    try:
        moment = parsedate_to_datetime(text)
    except (TypeError, ValueError, IndexError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=timezone.utc)
    return max(0, int(moment.timestamp() * 1000) - now)
