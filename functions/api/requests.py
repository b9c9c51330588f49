"""The shapes of requests; what does not fit is refused.

请求的结构。
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from functions.api.operations import ID
from shared.outbound.url_policy import LONGEST_URL


class Asked(BaseModel):
    """A request's body: unknown fields and wrong types are refused.

    请求正文的共同父类。
    """

    # Most requests have no body, and most starts are for one of those.
    model_config = ConfigDict(extra="forbid", strict=True, defer_build=True)

    @model_validator(mode="before")
    @classmethod
    def _left_out(cls, values: Any) -> Any:
        """Null means left out: many clients write every field that they know."""
        if not isinstance(values, dict):
            return values
        known = cls.model_fields
        return {
            name: value for name, value in values.items() if value is not None or name not in known
        }


class CreateModel(Asked):
    """What to make. Pictures are sent as files of a multipart/form-data body beside these fields.

    创建模型的请求。
    """

    kind: str | None = Field(None, max_length=64)
    provider: str | None = Field(
        None, max_length=64, description="Left out: the first configured one that makes this kind."
    )
    prompt: str | None = None
    options: dict[str, Any] = Field(default_factory=dict)
    metadata: dict[str, Any] = Field(
        default_factory=dict, description="Yours: kept and shown with the job; at most 16 KiB."
    )
    callback_url: str | None = Field(
        None, description="Where a signed webhook is sent when the job ends."
    )

    @classmethod
    def known(cls) -> frozenset[str]:
        """The names of all fields.

        全部字段名。
        """
        return frozenset(cls.model_fields)


class CreateUpload(Asked):
    """A file that is to be uploaded.

    登记上传的请求。
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"media_type": "image/jpeg", "bytes": 18_303_121, "filename": "chair.jpg"},
                {"media_type": "model/gltf-binary", "bytes": 52_428_800, "sha256": "9f86" * 16},
            ]
        }
    )

    media_type: str = Field(max_length=100, description="What the file is: a picture or a model.")
    bytes: int = Field(ge=1, le=2**53, description="The file's size: exactly so much is taken.")
    sha256: str | None = Field(
        None,
        pattern="^[0-9a-fA-F]{64}$",
        description="The file's SHA-256 in hex: then nothing but these bytes is taken.",
    )
    filename: str | None = Field(
        None,
        max_length=255,
        description="Yours: shown with the upload, its odd characters gone.",
        json_schema_extra={"pattern": r"^[^\u0000]*$"},
    )


class UploadReference(Asked):
    """An input that was uploaded before.

    引用已上传的文件。
    """

    upload_id: str = Field(
        max_length=64,
        description="The id that `POST /api/v1/uploads` gave.",
        json_schema_extra={"pattern": ID},
    )


class ArtifactReference(Asked):
    """An input that is a file of another job of yours, which has succeeded.

    引用另一任务的成果。
    """

    job_id: str = Field(
        max_length=64, description="The job that made it.", json_schema_extra={"pattern": ID}
    )
    role: str = Field(
        max_length=64,
        description="The artifact's role: model, image, preview …",
        json_schema_extra={"pattern": "^[a-z0-9_-]+$"},
    )
    index: int = Field(0, ge=0, le=1000, description="Which one of that role, from 0.")


class UrlReference(Asked):
    """An input on the web, fetched once the job is made, before it is given to its provider. One
    that cannot be had ends the job as `input_unavailable`, at no cost.

    引用网络上的文件。
    """

    url: str = Field(
        max_length=LONGEST_URL,
        pattern="^[Hh][Tt][Tt][Pp][Ss]?://",
        description="An https:// address of a public host; in the stage `local` also http:// and "
        "this machine's own.",
    )


class Retry(Asked):
    """How to retry.

    重试的请求。
    """

    model_config = ConfigDict(json_schema_extra={"examples": [{"accept_possible_charge": False}]})

    accept_possible_charge: bool = Field(
        False, description="Needed where the provider may have begun, and charged for, a task."
    )


def _written(value: Any) -> Any:
    """Only text is a time: a bare number could be seconds or milliseconds."""
    if value is not None and not (isinstance(value, str) and _TIME.match(value)):
        raise ValueError("must be a time such as 2026-11-21T21:00:00Z")
    return value


_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:")

Time = Annotated[AwareDatetime | None, Field(strict=False), BeforeValidator(_written)]


class ReplayDeliveries(Asked):
    """Which of the caller's webhooks are sent again.

    批量重新投递的请求。
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"status": "dead", "since": "2026-11-21T21:00:00Z", "limit": 100}]
        }
    )

    status: Literal["dead", "delivered", "pending"] = Field(
        "dead", description="Only those that stand so: given up, taken by the receiver, or waiting."
    )
    since: Time = Field(None, description="Only events of this time or later.")
    until: Time = Field(None, description="Only events of this time or earlier.")
    limit: int = Field(100, ge=1, le=100, description="At most so many in this call.")
    after: str | None = Field(
        None,
        pattern=r"^[!-~]{1,64}$",
        description="Go on where an earlier call stopped: its `next`.",
    )


DOCUMENTED = (
    *(Retry, ReplayDeliveries, CreateUpload),
    *(UploadReference, ArtifactReference, UrlReference),
)
"""Bodies whose schemas are these classes' own; those that make a job have one for each kind."""
