"""The input files of a request: what its roles hold, as references, and the files among these.

请求中的输入文件与引用。
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from functions.api.fields import unknown_field, validate
from functions.api.http import inline
from functions.api.http.bodies import Form, json_object
from functions.api.requests import ArtifactReference, CreateModel, UploadReference, UrlReference
from shared.config import Settings
from shared.errors import InvalidInput
from shared.inputs.content import ContentRules, check_together, checked
from shared.inputs.files import NewFile
from shared.inputs.references import ArtifactRef, Reference, Sent, UploadRef, UrlRef
from shared.jobs.kinds import Kind, role_names
from shared.outbound.url_policy import check_url
from shared.wiring import input_policy


def read_inputs(form: Form) -> tuple[Form, dict[str, Reference]]:
    """The request without its inputs, and these by role; raises `InvalidInput` naming the role.

    A role holds a file of a form; or an object, or a text: a URL or Base64. In a form's text field
    the object is JSON text.

    读取各角色的输入。
    """
    inputs: dict[str, Reference] = {}
    fields = dict(form.fields)
    for name, data in form.files.items():
        if name in CreateModel.known():
            raise InvalidInput(f"{name} must be a text in UTF-8, not a file.", param=name)
        if name not in role_names():
            raise unknown_field(name)
        inputs[name] = Sent(data)
    for role in role_names():
        if role in fields:
            value = fields.pop(role)
            if form.is_multipart and value.lstrip().startswith("{"):
                value = json_object(value.encode(), role)
            inputs[role] = _reference(role, value)
    return Form(fields, {}, form.is_multipart), inputs


def check_urls(inputs: Mapping[str, Reference], settings: Settings) -> None:
    """Raise `InvalidInput`, naming the role, for a URL that would never be fetched.

    检查网络输入的网址。
    """
    for role, given in inputs.items():
        if isinstance(given, UrlRef):
            check_url(given.url, input_policy(settings), role)


def files_of(
    inputs: Mapping[str, Reference], kind: Kind, rules: ContentRules
) -> dict[str, NewFile]:
    """The files that came with the request, checked; raises `InvalidInput` and its kin.

    检查请求中的文件。
    """
    files = {
        role: checked(role, given.data, kind.roles[role], rules)
        for role, given in inputs.items()
        if isinstance(given, Sent)
    }
    check_together(files)
    return files


_URL = re.compile("https?://", re.IGNORECASE)


def _reference(role: str, value: Any) -> Reference:
    """What a role's value in JSON stands for; raises `InvalidInput`.

    解析一个角色的值。
    """
    if isinstance(value, str):
        if _URL.match(value):
            return UrlRef(value)
        return Sent(inline.decode(value, role))
    if isinstance(value, dict):
        given = {name: one for name, one in value.items() if one is not None}
        if "upload_id" in given:
            return UploadRef(validate(UploadReference, given, role).upload_id)
        if "job_id" in given:
            asked = validate(ArtifactReference, given, role)
            return ArtifactRef(asked.job_id, asked.role, asked.index)
        if "url" in given:
            return UrlRef(validate(UrlReference, given, role).url)
    raise InvalidInput(
        f"{role} is a file in Base64, an https:// URL, or an object with upload_id, url, or job_id "
        "and role.",
        param=role,
    )
