"""How large the body of a request may be: by the platform the API runs on, and by what is sent.

请求正文的上限：取决于运行平台与正文种类。
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

LAMBDA_EVENT_BYTES = 6 * 2**20
"""The largest event, and the largest answer, of a synchronous invocation (AWS, "Lambda quotas")."""
SCF_BODY_BYTES = 6_000_000
"""The largest request and answer of a function on Tencent Cloud ("6 MB", "SCF quotas")."""

_ENVELOPE_BYTES = 64 * 2**10
"""What of an event, or of a request, is left to the path, the headers and the platform's own."""


class Door(str, Enum):
    """What a body is: a form comes as bytes, JSON as text with its files in Base64.

    正文种类。
    """

    FORM = "form"
    JSON = "json"


@dataclass(frozen=True)
class Platform:
    """Where the API runs, and the most bytes that get through to it by each door; none are named
    where the setting `body_bytes` alone decides.

    运行平台及其各类正文的上限。
    """

    name: str
    bytes: Mapping[Door, int]

    def most(self, door: Door, body_bytes: int) -> int:
        """How many bytes a body may have, under the setting `body_bytes`.

        正文的字节上限。
        """
        return min(body_bytes, self.bytes.get(door, body_bytes))


def _as_event(bytes: int) -> dict[Door, int]:
    """What an event has room for: it holds bytes as Base64, and JSON as it is."""
    room = bytes - _ENVELOPE_BYTES
    return {Door.FORM: room * 3 // 4, Door.JSON: room}


LAMBDA = Platform("lambda", _as_event(LAMBDA_EVENT_BYTES))
"""AWS Lambda, and whatever calls the handler with its events: the local front, the emulated AWS."""
SCF = Platform("scf", dict.fromkeys(Door, SCF_BODY_BYTES - _ENVELOPE_BYTES))
"""A web function of Tencent Cloud's SCF: the request itself, without an event around it."""
SCF_EVENT = Platform("scf", _as_event(SCF_BODY_BYTES))
"""An event function of SCF behind a Function URL or the retired API gateway."""
SERVER = Platform("server", {})
"""A server of one's own, in a container say: nothing lies before it."""


def platform_of(*, by_event: bool, environ: Mapping[str, str]) -> Platform:
    """The platform of a request: one that came as an event, or else by what the process is told.

    判断请求所在的平台。
    """
    if environ.get("TENCENTCLOUD_RUNENV") == "SCF":
        return SCF_EVENT if by_event else SCF
    return LAMBDA if by_event else SERVER


WAY_ROUND = (
    "Announce a larger file by POST /api/v1/uploads, send it as the answer to that says, and name "
    'it here by {"upload_id": "…"}.'
)
"""What to do about a file that no body can hold."""
