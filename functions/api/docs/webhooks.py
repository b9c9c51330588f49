"""The webhooks section of the document: what a receiver is sent when a job ends.

文档中的回调通知部分。
"""

from __future__ import annotations

from typing import Any

from functions.api.docs import examples
from shared.jobs.model import TERMINAL, Status

_ABOUT = (
    "Sent to the job's `callback_url`, signed as Standard Webhooks 1.0.0 says: HMAC-SHA256 over "
    "`{webhook-id}.{webhook-timestamp}.{body}` with the `whsec_` secret. `webhook-id` stays the "
    "same over retries and replays. Any 2xx ends it; 410 stops it for good; all else, redirects "
    "too, is tried again for days, `Retry-After` being honoured."
)
_HEADERS = (
    ("webhook-id", "The event's id; the same whenever it is sent again.", "^[!-~]{1,64}$"),
    ("webhook-timestamp", "When this try was signed: seconds since 1970.", "^[0-9]{1,12}$"),
    ("webhook-signature", "`v1,` and Base64, one for each secret, separated by blanks.", "^v1,"),
)


def events() -> dict[str, Any]:
    """A webhook for each way a job can end, by the event's name.

    每种结束方式对应的通知。
    """
    return {
        f"job.{status.value}": {"post": _event(status)} for status in Status if status in TERMINAL
    }


def _event(status: Status) -> dict[str, Any]:
    """The webhook that tells of a job's end in one status.

    某一结束状态的通知。
    """
    name = f"job.{status.value}"
    content = {
        "schema": {"$ref": "#/components/schemas/JobEvent"},
        "example": {
            **examples.EVENT,
            "type": name,
            "data": {**examples.JOB, "status": status.value},
        },
    }
    return {
        "operationId": f"job_{status.value}",
        "summary": f"A job has ended: {status.value}",
        "description": f"{_ABOUT}\n\n任务结束时发送到回调地址的通知。",
        "tags": ["webhooks"],
        "security": [],
        "parameters": [
            {
                "name": header,
                "in": "header",
                "required": True,
                "description": about,
                "schema": {"type": "string", "pattern": pattern},
            }
            for header, about, pattern in _HEADERS
        ],
        "requestBody": {"required": True, "content": {"application/json": content}},
        "responses": {
            "2XX": {"description": "Taken."},
            "410": {"description": "Never send it again."},
            "default": {"description": "Not taken; it is sent again later."},
        },
    }
