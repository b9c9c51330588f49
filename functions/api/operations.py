"""What OpenAPI says of errors, bodies and headers, for the routes to name.

接口文档中共用的部分。
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any

from fastapi import Query
from fastapi.routing import APIRoute

ID = r"^[0-9A-HJKMNP-TV-Z]{26}$"
"""Ids of jobs, deliveries and the like."""

LOCATION = {"Location": {"$ref": "#/components/headers/Location"}}
RETRY_AFTER = {"Retry-After": {"$ref": "#/components/headers/Retry-After"}}

HEADERS: dict[str, dict[str, Any]] = {
    "Location": {
        "description": "Where to go on.",
        "schema": {"type": "string", "format": "uri"},
    },
    "Retry-After": {
        "description": "Seconds after which to ask again. Of a job: only while it is unfinished.",
        "schema": {"type": "integer", "minimum": 1, "maximum": 120},
    },
    "Preference-Applied": {
        "description": "How long the answer was held at most. Without it nobody waited: `Prefer` "
        "named no `wait`, or too many wait already.",
        "schema": {"type": "string", "pattern": "^wait=[0-9]+$"},
    },
    "Idempotency-Replayed": {
        "description": "There is where the job was made by an earlier request of the same key.",
        "schema": {"type": "string", "enum": ["true"]},
    },
    "WWW-Authenticate": {"description": "How to say who asks.", "schema": {"type": "string"}},
    "X-Request-Id": {
        "description": "This request's name: the caller's, or one made here.",
        "schema": {"type": "string", "pattern": "^[!-~]{1,128}$"},
    },
}
"""Headers of answers, each described once."""

_WHEN = {
    400: "A field, a header or a parameter is wrong; `error.param` names it.",
    401: "No API key, or one that nobody has.",
    403: "The API answers at its public address only.",
    404: "There is no such thing, or it is another caller's.",
    409: "The status of the job does not allow this.",
    410: "The files were deleted.",
    413: "The body or a file is too large.",
    415: "The body or a file is of a type that is not accepted.",
    422: "The Idempotency-Key was used for another request, or nobody here makes this kind.",
    429: "The caller has as many open uploads as one may have; delete some, or wait.",
    500: "A fault of ours; the log knows the request's id.",
    503: "A part does not answer just now; ask again after Retry-After seconds.",
}
_CREATE_ERRORS = (400, 401, 404, 409, 410, 413, 415, 422)
_KEY = {
    "name": "Idempotency-Key",
    "description": "1 to 255 visible characters, in quotes if one is a comma; sent again, the same "
    "job is answered. Two lines of it are refused.",
    "schema": {
        "type": "string",
        "pattern": r'^(?:"[!#-~]{1,255}"|[!#-+\--~][!-+\--~]{0,254})$',
        "examples": ["order-A-1001"],
    },
}
_PREFER = {
    "name": "Prefer",
    "description": "`wait=n`: hold the answer up to n seconds, until the job has ended. Without "
    "`Preference-Applied` in the answer, nobody waited: too many do already.",
    "schema": {"type": "string", "pattern": "^wait(?:=[0-9]{1,9})?$", "examples": ["wait=5"]},
}
_TRACED = (
    {
        "name": "X-Request-Id",
        "description": "Your name for this request; it is in the answer, the logs and webhooks.",
        "schema": {"type": "string", "pattern": "^[!-~]{1,128}$"},
    },
    {
        "name": "traceparent",
        "description": "W3C Trace Context; travels on to webhooks.",
        "schema": {
            "type": "string",
            "pattern": "^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$",
        },
    },
)


def operation_id(route: APIRoute) -> str:
    """What an operation is called in generated clients: its function's name.

    接口在文档中的编号。
    """
    return route.name


def answers(
    schema: str,
    *statuses: int,
    status: int = 200,
    headers: dict[str, Any] | None = None,
) -> dict[int | str, dict[str, Any]]:
    """An operation's answers: its own, of a schema among the components, and the errors.

    By name, not as FastAPI's `response_model`: that is compiled at every cold start, and used for
    nothing where an endpoint writes its answer itself.

    一个接口的全部应答。
    """
    return {status: _shown(status, schema, headers or {}), **errors(*statuses)}


def job_answers(*statuses: int, status: int = 200) -> dict[int | str, dict[str, Any]]:
    """The answers of an operation that shows a job, which may be unfinished.

    返回任务的接口的应答。
    """
    location = LOCATION if status == 202 else {}
    return answers("Job", *statuses, status=status, headers={**location, **RETRY_AFTER})


def waited_answers(schema: str, *statuses: int) -> dict[int | str, dict[str, Any]]:
    """The answers of an operation that reads of a job, and may wait for its end.

    可等待任务结束的读取接口的应答。
    """
    applied = {"Preference-Applied": {"$ref": "#/components/headers/Preference-Applied"}}
    return answers(schema, *statuses, headers={**RETRY_AFTER, **applied})


def created(*, pictures: bool = False) -> dict[int | str, dict[str, Any]]:
    """The answers of the operations that create a job; some lead to its `pictures` if asked.

    创建任务的接口的应答。
    """
    told = {name: {"$ref": f"#/components/headers/{name}"} for name in _CREATED_HEADERS}
    ended = _shown(200, "Job", {name: told[name] for name in told if name != "Retry-After"})
    ended["description"] = "OK. The job has ended, by the time of this answer."
    made: dict[int | str, dict[str, Any]] = {200: ended, 202: _shown(202, "Job", told)}
    if pictures:
        made[303] = _shown(303, "Job", told)
        made[303]["description"] = "See Other. The picture is at Location; the body is the job."
    return {**made, **errors(*_CREATE_ERRORS)}


_CREATED_HEADERS = ("Location", "Retry-After", "Preference-Applied", "Idempotency-Replayed")


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The error answers of an operation; 500 and 503 are always possible.

    一个接口可能的错误应答。
    """
    return {status: problem(status) for status in (*statuses, 500, 503)}


WAIT_MOST = 3600
"""What a query's `wait` may say; how long is really waited, at most, `/info` tells."""

Wait = Annotated[
    int | None,
    Query(
        ge=0,
        le=WAIT_MOST,
        description="Hold the answer up to so many seconds, until the job has ended; no longer "
        "than `wait_seconds` of `/info`. `Prefer: wait=n` asks for the same.",
        examples=[10],
    ),
]
"""The query's `wait`, as an endpoint's parameter."""


def reads() -> dict[str, Any]:
    """The headers of the operations that read a job, and may wait for it.

    读取接口的请求头说明。
    """
    return {"parameters": [{"in": "header", "required": False, **_PREFER}]}


def json_body(schema: str, *, required: bool = True) -> dict[str, Any]:
    """A JSON body of a schema among the components.

    JSON 正文的说明。
    """
    return {"requestBody": {"required": required, "content": {"application/json": _ref(schema)}}}


def creates(schema: str) -> dict[str, Any]:
    """The body (JSON or a form) and headers of the operations that create a job.

    创建接口的正文与请求头说明。
    """
    form = {
        **_ref(f"{schema}Form"),
        # An object is sent as JSON text.
        "encoding": {"metadata": {"contentType": "application/json"}},
    }
    content = {"application/json": _ref(schema), "multipart/form-data": form}
    parameters = [{"in": "header", "required": False, **one} for one in (_KEY, _PREFER, *_TRACED)]
    return {"requestBody": {"required": True, "content": content}, "parameters": parameters}


def problem(status: int) -> dict[str, Any]:
    """An error's answer.

    一种错误应答。
    """
    shown: dict[str, Any] = {
        "description": f"{HTTPStatus(status).phrase}. {_WHEN[status]}",
        "content": {"application/problem+json": _ref("Problem")},
    }
    if status in (409, 429, 503):
        shown["headers"] = RETRY_AFTER
    if status == 401:
        name = "WWW-Authenticate"
        shown["headers"] = {name: {"$ref": f"#/components/headers/{name}"}}
    return shown


def _shown(status: int, schema: str, headers: dict[str, Any]) -> dict[str, Any]:
    return {
        "description": f"{HTTPStatus(status).phrase}.",
        "headers": headers,
        "content": {"application/json": _ref(schema)},
    }


def _ref(schema: str) -> dict[str, Any]:
    return {"schema": {"$ref": f"#/components/schemas/{schema}"}}
