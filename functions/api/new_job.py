"""From a request's fields and files to a `NewJob`: everything is checked before anything is kept.

把请求中的字段和输入文件变成一个新任务。
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from functions.api.fields import callback_url_of, metadata_of, options_of, prompt_of, read_fields
from functions.api.http.bodies import Form
from functions.api.inputs import check_urls, files_of, read_inputs
from functions.api.requests import CreateModel
from shared.errors import InvalidInput
from shared.inputs.references import Sent
from shared.jobs.kinds import KINDS, Kind
from shared.jobs.service import NewJob
from shared.providers.base import Provider
from shared.wiring import Bundle


def new_job(
    bundle: Bundle,
    form: Form,
    trace: Mapping[str, str],
    *,
    kind_needed: bool = False,
    door: str | None = None,
) -> NewJob:
    """The job a request asks for. Raises `InvalidInput` and its kin, naming the field.

    At the `door` of one kind, options may be fields of their own in JSON as well.

    检查请求并生成新任务。
    """
    form, inputs = read_inputs(form)
    asked, loose = read_fields(form, flat=door is not None)
    kind = KINDS.get(_kind_name(asked, inputs, kind_needed, door))
    provider = bundle.jobs.provider_for(kind.name if kind else str(asked.kind), asked.provider)
    assert kind is not None, "provider_for refuses unknown kinds"
    _check_roles(kind, inputs)
    check_urls(inputs, bundle.settings)
    options = options_of(provider.options[kind.name], asked.options, loose, form.is_multipart)
    _check_limits(bundle, provider, kind, options, inputs, alone=loose)
    return NewJob(
        kind=kind.name,
        provider=provider.name,
        prompt=prompt_of(kind, asked.prompt, bundle.settings.prompt_characters),
        options=options,
        metadata=metadata_of(asked.metadata),
        callback_url=callback_url_of(asked.callback_url, bundle.settings),
        trace=trace,
        references={role: given for role, given in inputs.items() if not isinstance(given, Sent)},
        # Last, being the most expensive: decoding every picture.
        images=files_of(inputs, kind, bundle.keeper.rules),
    )


def _check_limits(
    bundle: Bundle,
    provider: Provider,
    kind: Kind,
    options: Mapping[str, Any],
    roles: Collection[str],
    alone: Collection[str],
) -> None:
    """Raise InvalidInput for what is beyond the limits that the provider told of itself lately;
    where it told nothing, its options' own bounds are all there is.

    按生成服务自述的限制检查。
    """
    judge = provider.judge
    told = bundle.limits.of(provider.name) if judge is not None else None
    found = judge(told, kind.name, options, roles) if judge is not None and told else None
    if found is not None:
        name, why = found
        param = f"options.{name}" if name in options and name not in alone else name
        raise InvalidInput(f"{param} {why}.", param=param)


def _kind_name(asked: CreateModel, roles: Collection[str], needed: bool, door: str | None) -> str:
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
    if "image" in roles:
        return "image-to-3d"
    if roles:
        return "multiview-to-3d"
    if asked.prompt is not None:
        return "text-to-3d"
    raise InvalidInput(
        "Send a prompt, or an image, or views (front, left, back, right).",
        param="prompt",
    )


def _check_roles(kind: Kind, roles: Collection[str]) -> None:
    """Raise InvalidInput for a picture that the kind does not take, or one that it lacks.

    检查图片角色。
    """
    for role in roles:
        if role not in kind.roles:
            raise InvalidInput(f"{kind.name} takes no {role}.", param=role)
    how = "send it as a form's file, in Base64, by its https:// URL, or by a reference"
    for role in kind.required_roles:
        if role not in roles:
            raise InvalidInput(f"{kind.name} needs {role}; {how}.", param=role)
    if len(roles) < kind.min_inputs:
        missing = next(role for role in kind.roles if role not in roles)
        raise InvalidInput(f"{kind.name} needs at least {kind.min_inputs} pictures.", param=missing)
