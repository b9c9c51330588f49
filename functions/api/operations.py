"""What OpenAPI says of errors, bodies and headers, for the routes to name.

接口文档中共用的部分。
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from fastapi.routing import APIRoute

LOCATION = {"Location": {"description": "Where to go on.", "schema": {"type": "string"}}}

_WHEN = {
    400: "A field is wrong; `error.param` names it.",
    401: "No API key, or one that nobody has.",
    404: "There is no such thing, or it is another caller's.",
    409: "The job's status does not allow this.",
    410: "The files were deleted.",
    413: "The body or a file is too large.",
    415: "The body or a file is of a type that is not accepted.",
    422: "The Idempotency-Key was used for another request.",
    500: "A fault of ours; the log knows the request's id.",
    503: "A part does not answer just now; ask again after Retry-After seconds.",
}
_CREATE_HEADERS = (
    (
        "Idempotency-Key",
        "1 to 255 visible characters, in quotes if one is a comma; sent again, the same job is "
        "answered. Two lines of it are refused.",
    ),
    (
        "Prefer",
        "`wait=n`: hold the answer up to n seconds, until the job has ended. Without "
        "`Preference-Applied` in the answer, nobody waited: too many do already.",
    ),
    ("X-Request-Id", "Your name for this request; it is in the answer, the logs and webhooks."),
    ("traceparent", "W3C Trace Context; travels on to webhooks."),
)


def operation_id(route: APIRoute) -> str:
    """What an operation is called in generated clients: its function's name.

    接口在文档中的编号。
    """
    return route.name


def answers(schema: str, *statuses: int, status: int = 200) -> dict[int | str, dict[str, Any]]:
    """An operation's answers: its own, of a schema among the components, and the errors.

    By name, not as FastAPI's `response_model`: that is compiled at every cold start, and used for
    nothing where an endpoint writes its answer itself.

    一个接口的全部应答。
    """
    shown = {"description": "Successful Response", "content": {"application/json": _ref(schema)}}
    return {status: shown, **errors(*statuses)}


def picture(schema: str) -> dict[str, Any]:
    """The answer that leads to a picture; the job is its body.

    转到图片的应答。
    """
    content = {"application/json": _ref(schema)}
    return {
        "description": "See Other. The picture is at Location; the body is the job.",
        "headers": LOCATION,
        "content": content,
    }


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The error answers of an operation; 500 and 503 are always possible.

    一个接口可能的错误应答。
    """
    return {status: _problem(status) for status in (*statuses, 500, 503)}


def json_body(schema: str, *, required: bool = True) -> dict[str, Any]:
    """A JSON body of a schema among the components.

    JSON 正文的说明。
    """
    return {"requestBody": {"required": required, "content": {"application/json": _ref(schema)}}}


def creates(schema: str) -> dict[str, Any]:
    """The body (JSON or a form) and headers of the operations that create a job.

    创建接口的正文与请求头说明。
    """
    content = {"application/json": _ref(schema), "multipart/form-data": _ref(f"{schema}Form")}
    parameters = [
        {
            "name": name,
            "in": "header",
            "required": False,
            "description": note,
            "schema": {"type": "string"},
        }
        for name, note in _CREATE_HEADERS
    ]
    return {"requestBody": {"required": True, "content": content}, "parameters": parameters}


def _problem(status: int) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "description": f"{HTTPStatus(status).phrase}. {_WHEN[status]}",
        "content": {"application/problem+json": _ref("Problem")},
    }
    if status == 503:
        note = {"description": "Seconds.", "schema": {"type": "integer", "maximum": 120}}
        shown["headers"] = {"Retry-After": note}
    return shown


def _ref(schema: str) -> dict[str, Any]:
    return {"schema": {"$ref": f"#/components/schemas/{schema}"}}
