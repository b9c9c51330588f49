"""From a request's fields and files to a `NewJob`: everything is checked before anything is kept.

把请求中的字段和图片变成一个新任务。
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError

from functions.api.http import inline
from functions.api.http.bodies import Form, json_object
from functions.api.requests import CreateModel
from shared.artifacts.images.image import BrokenImage, ImageLimits, inspect_image, upright
from shared.config import Settings
from shared.errors import InvalidInput, TooLarge, UnsupportedFormat
from shared.jobs.kinds import KINDS, Kind
from shared.jobs.service import NewImage, NewJob
from shared.outbound.url_policy import check_url
from shared.wiring import Bundle, callback_policy

METADATA_BYTES = 16 * 1024
ROLES = tuple(dict.fromkeys(role for kind in KINDS.values() for role in kind.image_roles))
"""Every name a picture can be sent under."""

_JSON_FIELDS = ("options", "metadata")

Model = TypeVar("Model", bound=BaseModel)


def new_job(
    bundle: Bundle,
    form: Form,
    trace: Mapping[str, str],
    *,
    kind_needed: bool = False,
    door: str | None = None,
) -> NewJob:
    """The job a request asks for. Raises `InvalidInput` and its kin, naming the field.

    At the `door` of one kind, options and pictures may be fields of their own in JSON as well.

    检查请求并生成新任务。
    """
    if door is not None and not form.is_multipart:
        form = _with_pictures(form)
    asked, loose = _read_fields(form, flat=door is not None)
    _only_pictures(form.files)
    kind = KINDS.get(_kind_name(asked, form, kind_needed, door))
    provider = bundle.jobs.provider_for(kind.name if kind else str(asked.kind), asked.provider)
    assert kind is not None, "provider_for refuses unknown kinds"
    _check_roles(kind, form.files)
    return NewJob(
        kind=kind.name,
        provider=provider.name,
        prompt=_prompt(kind, asked.prompt, bundle.settings.prompt_characters),
        options=_options(provider.options[kind.name], asked.options, loose, form.is_multipart),
        metadata=_metadata(asked.metadata),
        callback_url=_callback_url(asked.callback_url, bundle.settings),
        trace=trace,
        # Last, being the most expensive: decoding every picture.
        images=_pictures(form.files, bundle.settings),
    )


def _with_pictures(form: Form) -> Form:
    """A JSON body's pictures, sent as Base64, as the files of a form.

    解码 JSON 中的图片。
    """
    fields, files = dict(form.fields), {}
    for role in ROLES:
        text = fields.pop(role, None)
        if isinstance(text, str):
            files[role] = inline.decode(text, role)
        elif text is not None:
            raise InvalidInput(f"{role} must be a picture in Base64.", param=role)
    return Form(fields, files)


def _read_fields(form: Form, *, flat: bool) -> tuple[CreateModel, dict[str, Any]]:
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
        for name in loose:
            if name in ROLES:
                raise InvalidInput(f"{name} must be sent as a file.", param=name)
    return validate(CreateModel, fields), loose


def _only_pictures(files: Mapping[str, bytes]) -> None:
    for name in files:
        if name in CreateModel.known():
            raise InvalidInput(f"{name} must be a text in UTF-8, not a file.", param=name)
        if name not in ROLES:
            raise _unknown(name)


def _unknown(name: str) -> InvalidInput:
    return InvalidInput(f"There is no field {name!r}.", code="unknown_field", param=name)


def _kind_name(asked: CreateModel, form: Form, needed: bool, door: str | None) -> str:
    """The kind asked for, or meant by what was sent; raises InvalidInput.

    确定任务的种类。
    """
    if door is not None:
        if asked.kind not in (None, door):
            raise InvalidInput(f"kind is {door} here.", param="kind")
        return door
    if asked.kind is not None:
        return asked.kind
    if needed:
        known = ", ".join(sorted(KINDS))
        raise InvalidInput(f"kind is needed; choose from {known}.", param="kind")
    if "image" in form.files:
        return "image-to-3d"
    if form.files:
        return "multiview-to-3d"
    if asked.prompt is not None:
        return "text-to-3d"
    raise InvalidInput(
        "Send a prompt, or as multipart/form-data an image, or views (front, left, back, right).",
        param="prompt",
    )


def _check_roles(kind: Kind, files: Mapping[str, bytes]) -> None:
    """Raise InvalidInput for a picture that the kind does not take, or one that it lacks.

    检查图片角色。
    """
    for role in files:
        if role not in kind.image_roles:
            raise InvalidInput(f"{kind.name} takes no {role}.", param=role)
    how = "send it as a file of a multipart/form-data body"
    for role in kind.required_roles:
        if role not in files:
            raise InvalidInput(f"{kind.name} needs {role}; {how}.", param=role)
    if len(files) < kind.min_images:
        missing = next(role for role in kind.image_roles if role not in files)
        raise InvalidInput(f"{kind.name} needs at least {kind.min_images} pictures.", param=missing)


def _prompt(kind: Kind, prompt: str | None, longest: int) -> str | None:
    """The prompt, stripped, where the kind takes one; raises InvalidInput.

    检查提示词。
    """
    if not kind.takes_prompt:
        if prompt is not None:
            raise InvalidInput(f"{kind.name} takes no prompt.", param="prompt")
        return None
    stripped = (prompt or "").strip()
    if not stripped:
        raise InvalidInput("prompt must not be empty.", code="prompt_empty", param="prompt")
    if len(stripped) > longest:
        raise InvalidInput(
            f"prompt has {len(stripped)} characters, more than {longest}.",
            code="prompt_too_long",
            param="prompt",
        )
    return stripped


def _options(
    model: type[BaseModel], options: Mapping[str, Any], loose: Mapping[str, Any], as_text: bool
) -> dict[str, Any]:
    """What the provider's model makes of the options; `loose` ones of a form are texts.

    检查选项。
    """
    values = dict(options)
    for name, given in loose.items():
        if name not in model.model_fields:
            raise _unknown(name)
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
    """A form's text as the option's type reads it; the text itself where it does not."""
    field = model.model_fields[name]
    annotated: Any = field.annotation
    for extra in field.metadata:
        annotated = Annotated[annotated, extra]
    try:
        return TypeAdapter(annotated).validate_strings(text)
    except ValidationError:
        return text


def _metadata(metadata: dict[str, Any]) -> dict[str, Any]:
    size = len(json.dumps(metadata, ensure_ascii=False).encode())
    if size > METADATA_BYTES:
        raise InvalidInput(
            f"metadata is {size} bytes of JSON, more than {METADATA_BYTES}.",
            code="metadata_too_large",
            param="metadata",
        )
    return metadata


def _callback_url(url: str | None, settings: Settings) -> str | None:
    if url is not None:
        check_url(url, callback_policy(settings))
    return url


def _pictures(files: Mapping[str, bytes], settings: Settings) -> dict[str, NewImage]:
    images = {role: _picture(role, data, settings) for role, data in files.items()}
    image, mask = images.get("image"), images.get("mask")
    if image and mask and (image.width, image.height) != (mask.width, mask.height):
        raise InvalidInput(
            f"mask has {mask.width} x {mask.height} pixels; it must be of the picture's size, "
            f"{image.width} x {image.height}.",
            param="mask",
        )
    return images


def _picture(role: str, data: bytes, settings: Settings) -> NewImage:
    """A picture of the request, sure to be whole and within the limits; raises InvalidInput.

    检查一张图片。
    """
    limits = ImageLimits(
        min_side=settings.image_min_side,
        max_side=settings.image_max_side,
        max_pixels=settings.image_pixels,
        max_bytes=settings.image_bytes,
    )
    try:
        info = inspect_image(data, limits)
        if info.media_type not in settings.image_formats:
            accepted = ", ".join(settings.image_formats)
            raise BrokenImage(
                "image_format_unsupported", f"this is {info.media_type}; send {accepted}"
            )
        turned = upright(data)
    except BrokenImage as broken:
        kinds: dict[str, type[InvalidInput]] = {
            "image_too_many_bytes": TooLarge,
            "image_format_unsupported": UnsupportedFormat,
        }
        error = kinds.get(broken.code, InvalidInput)
        raise error(f"{role}: {broken.reason}.", code=broken.code, param=role) from None
    return NewImage(data if turned is None else turned, info.media_type, info.width, info.height)


def validate(
    model: type[Model], values: Any, place: str = "", alone: frozenset[str] = frozenset()
) -> Model:
    """`values` as a model; `InvalidInput` names the first field at fault, below `place`.

    Fields in `alone` were sent by themselves and are named without `place`.

    按模型检查字段。
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    path = [str(part) for part in first["loc"]]
    if place and not (path and path[0] in alone):
        path.insert(0, place)
    param = ".".join(path) or "body"
    if first["type"] == "extra_forbidden":
        raise InvalidInput(f"There is no field {param!r}.", code="unknown_field", param=param)
    message = first["msg"].removeprefix("Value error, ")
    raise InvalidInput(f"{param}: {message}.", param=param)
