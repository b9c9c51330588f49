"""The fields of a request that creates a job, but for its input files: read and checked.

请求中除输入文件以外的字段。
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError

from functions.api.http import problems
from functions.api.http.bodies import Form, json_object
from functions.api.requests import CreateModel
from shared.config import Settings
from shared.errors import InvalidInput
from shared.jobs.kinds import Kind
from shared.outbound.url_policy import check_url
from shared.prompt_text import UnusablePrompt, normalised, shows
from shared.validation import sentence
from shared.wiring import callback_policy

METADATA_BYTES = 16 * 1024

_SPARE = 4
"""A text has up to so many times the characters that its normal form has (Hangul, accents)."""

_JSON_FIELDS = ("options", "metadata")

Model = TypeVar("Model", bound=BaseModel)


def read_fields(form: Form, *, flat: bool) -> tuple[CreateModel, dict[str, Any]]:
    """The known fields, and those that may be single options: of a form, or of a `flat` body.

    读取请求的字段。
    """
    fields = dict(form.fields)
    loose: dict[str, Any] = {}
    if form.is_multipart:
        for name in _JSON_FIELDS:
            if name in fields:
                fields[name] = json_object(fields[name].encode(), name)
    if form.is_multipart or flat:
        loose = {name: fields.pop(name) for name in [*fields] if name not in CreateModel.known()}
    return validate(CreateModel, fields), loose


def unknown_field(name: str, model: type[BaseModel] | None = None) -> InvalidInput:
    """The error for a field that there is not; it lists those of the `model`.

    未知字段的错误。
    """
    known = f" Known are {', '.join(sorted(model.model_fields))}." if model is not None else ""
    message = f"There is no field {problems.clean(name, 60)!r}.{known}"
    return InvalidInput(message, code="unknown_field", param=name)


def prompt_of(kind: Kind, prompt: str | None, longest: int) -> str | None:
    """The prompt as it is kept, where the kind takes one; raises InvalidInput.

    检查提示词。
    """
    if not kind.takes_prompt:
        if prompt is not None:
            raise InvalidInput(f"{kind.name} takes no prompt.", param="prompt")
        return None
    if prompt is not None and len(prompt) > _SPARE * longest:
        raise _too_long(prompt, longest)
    try:
        text = normalised(prompt or "")
    except UnusablePrompt as fault:
        raise InvalidInput(f"prompt {fault}.", code="prompt_unusable", param="prompt") from None
    if not shows(text):
        message = "prompt must hold something that shows." if text else "prompt must not be empty."
        raise InvalidInput(message, code="prompt_empty", param="prompt")
    if len(text) > longest:
        raise _too_long(text, longest)
    return text


def _too_long(text: str, longest: int) -> InvalidInput:
    message = f"prompt may have {longest} characters at most; it has {len(text)}."
    return InvalidInput(message, code="prompt_too_long", param="prompt")


def options_of(
    model: type[BaseModel], options: Mapping[str, Any], loose: Mapping[str, Any], as_text: bool
) -> dict[str, Any]:
    """What the provider's model makes of the options; `loose` ones of a form are texts.

    检查选项。
    """
    values = dict(options)
    for name, given in loose.items():
        if name not in model.model_fields:
            raise unknown_field(name, model)
        if name in values:
            raise InvalidInput(
                f"{name} is there twice: in options and alone.", code="duplicate_field", param=name
            )
        values[name] = _from_text(model, name, given) if as_text else given
    # Null means left out; of an option that there is not, nothing is.
    values = {
        name: value
        for name, value in values.items()
        if value is not None or name not in model.model_fields
    }
    checked = validate(model, values, "options", alone=frozenset(loose))
    chosen = checked.model_dump(mode="json", exclude_unset=True)
    try:
        json.dumps(chosen, allow_nan=False)
    except ValueError:
        raise InvalidInput("options holds a number that is none.", param="options") from None
    return chosen


def _from_text(model: type[BaseModel], name: str, text: str) -> Any:
    """A form's text as the option's type reads it, whatever its bounds are; the text itself where
    it does not.

    把表单文本转换为选项的类型。
    """
    annotation: Any = model.model_fields[name].annotation
    try:
        return TypeAdapter(annotation).validate_strings(text)
    except ValidationError:
        return text


def metadata_of(metadata: dict[str, Any]) -> dict[str, Any]:
    """The metadata, where it is not too large; raises InvalidInput.

    检查元数据。
    """
    size = len(json.dumps(metadata, ensure_ascii=False).encode())
    if size > METADATA_BYTES:
        raise InvalidInput(
            f"metadata is {size} bytes of JSON, more than {METADATA_BYTES}.",
            code="metadata_too_large",
            param="metadata",
        )
    return metadata


def callback_url_of(url: str | None, settings: Settings) -> str | None:
    """The address for webhooks, where it may be called; raises InvalidInput.

    检查回调地址。
    """
    if url is not None:
        check_url(url, callback_policy(settings))
    return url


def validate(
    model: type[Model], values: Any, place: str = "", alone: frozenset[str] = frozenset()
) -> Model:
    """`values` as a model; `InvalidInput` names the first field at fault, below `place`.

    Fields in `alone` were sent by themselves and are named without `place`.

    按模型检查字段。
    """
    try:
        return model.model_validate(_whole(values))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
    path = [str(part) for part in first["loc"]]
    if place and not (path and path[0] in alone):
        path.insert(0, place)
    param = ".".join(path) or "body"
    if first["type"] == "extra_forbidden":
        raise unknown_field(param, model)
    raise InvalidInput(sentence(first, param, model), param=param)


def _whole(values: Any) -> Any:
    """`values`, with 2 for a number that is written as 2.0: in JSON they are the same number, and
    JSON Schema takes both for an integer.

    把 2.0 这样的整数写成 2。
    """
    if not isinstance(values, Mapping):
        return values
    return {
        name: int(one) if isinstance(one, float) and one.is_integer() else one
        for name, one in values.items()
    }
