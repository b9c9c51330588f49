"""The shapes of answers, with examples; OpenAPI is made of them.

应答的结构。
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from functions.api.docs import examples
from functions.api.operations import ID
from shared.deliveries.model import DeliveryStatus
from shared.inputs.media import MEDIA_TYPES
from shared.jobs.kinds import KINDS, role_names
from shared.jobs.model import TERMINAL, Status

Id = Annotated[str, Field(pattern=ID)]
Time = Annotated[str, Field(json_schema_extra={"format": "date-time"})]
Link = Annotated[str, Field(json_schema_extra={"format": "uri"})]
INPUT_TYPES = [one for types in MEDIA_TYPES.values() for one in types]
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
KindName = Annotated[str, Field(json_schema_extra={"enum": [*KINDS]})]
Event = Annotated[
    str,
    Field(json_schema_extra={"enum": [f"job.{one.value}" for one in Status if one in TERMINAL]}),
]


class Artifact(BaseModel):
    """One file a job produced; its link stays good for years.

    一个成果文件。
    """

    role: str
    name: str
    url: Link
    media_type: str
    bytes: int
    sha256: Sha256
    facts: dict[str, Any] = Field(
        description="What is in the file. Of a model: `triangles`, `lines`, `points`, `vertices` "
        "as the shown scene draws them, `bounds`, `watertight`, `verified` (`vertices` where these "
        "were read, `declarations` where the file's own word is taken), `materials`, `textures`, "
        "`largest_texture_side` in pixels, `animations`, `meshes`, `nodes`, `generator`; none of a "
        "model that is published although it is unusable. Of a picture: `width`, `height`, "
        "`format`, `mode`."
    )


class ProviderSaid(BaseModel):
    """The provider's own words.

    生成服务自己的说明。
    """

    code: str | None
    message: str | None


class JobFault(BaseModel):
    """Why a job did not succeed.

    任务失败的原因。
    """

    code: str
    message: str
    retryable: bool
    provider: ProviderSaid | None


class HistoryEntry(BaseModel):
    """One change of status.

    一次状态变化。
    """

    at: Time
    status: Status
    note: str | None


class Receipt(BaseModel):
    """What was asked of the provider for this job.

    与生成服务打交道的次数与花费。
    """

    task_id: str | None = Field(description="The provider's own name for its task.")
    creates: int = Field(description="Tasks begun, or perhaps begun: what may have been charged.")
    busy: int = Field(description="How often the provider was too busy to take the task.")
    checks: int = Field(description="How often the task was looked at.")
    provider_credits: float | None = Field(
        description="What the provider says its task cost, in its own unit. None for a retry that "
        "took over another job's task, which was paid for there."
    )


class JobUrls(BaseModel):
    """Where to go on with a job.

    任务的相关地址。
    """

    self_: Link = Field(alias="self")
    cancel: Link
    retry: Link
    deliveries: Link
    result: Link


def _may_lack(*names: str) -> Callable[[dict[str, Any]], None]:
    """That an object may lack these members, or all where none is named."""

    def change(schema: dict[str, Any]) -> None:
        needed = [one for one in schema["required"] if names and one not in names]
        schema["required"] = needed
        if not needed:
            del schema["required"]

    return change


class InputSource(BaseModel):
    """What an input was taken from: an upload, another job's artifact, or a URL, which is shown
    without its query.

    输入文件的来源。
    """

    model_config = ConfigDict(json_schema_extra=_may_lack())

    upload_id: Id
    job_id: Id
    role: str
    index: int
    url: str


class InputFile(BaseModel):
    """An input as it is kept: a picture upright, with its size in pixels, or a model. Of one on the
    web nothing but its source is known until it was fetched.

    任务的一个输入文件。
    """

    model_config = ConfigDict(json_schema_extra=_may_lack())

    media_type: Annotated[str, Field(json_schema_extra={"enum": INPUT_TYPES})]
    bytes: int
    sha256: Sha256
    width: int
    height: int
    source: InputSource = Field(description="Left out: it came with the request.")


def _with_roles(schema: dict[str, Any]) -> None:
    """Each role of a kind, and its file.

    各角色的输入文件。
    """
    _may_lack("prompt")(schema)
    roles = {role: {"$ref": "#/components/schemas/InputFile"} for role in role_names()}
    schema["properties"] |= roles


class JobInput(BaseModel):
    """What a job was asked with: words, options, and a file for each role.

    任务的输入。
    """

    model_config = ConfigDict(json_schema_extra=_with_roles)

    prompt: str
    options: dict[str, Any]


class Job(BaseModel):
    """The job resource.

    任务资源。
    """

    model_config = ConfigDict(json_schema_extra={"examples": [examples.JOB]})

    id: Id
    kind: KindName
    provider: str
    status: Status
    progress: int = Field(ge=0, le=100)
    created_at: Time
    updated_at: Time
    started_at: Time | None
    finished_at: Time | None
    metadata: dict[str, Any]
    input: JobInput
    artifacts: list[Artifact]
    warnings: list[str]
    error: JobFault | None
    may_be_billed: bool = Field(
        description="Whether the provider may have charged, or may yet charge, for this job's "
        "task: true from just before its create is sent until a definite word that nothing is "
        "charged (the create was refused, the task failed or was stopped). A retry that takes over "
        "a task or an unanswered create takes this over with it; it is the same charge."
    )
    receipt: Receipt
    history: list[HistoryEntry]
    retry_of: Id | None
    retried_as: Id | None
    deleted_at: Time | None
    urls: JobUrls


class JobEvent(BaseModel):
    """The body of a webhook: which event, when it happened, and the job as it was then.

    回调通知的内容。
    """

    model_config = ConfigDict(json_schema_extra={"examples": [examples.EVENT]})

    type: Event
    timestamp: Time
    data: Job


class JobList(BaseModel):
    """Part of a list. Go on with `after=<last_id>` while `has_more`.

    With a `kind`, a bounded number of jobs is looked through: `data` may be short, even empty, and
    `last_id` names the last one looked at.

    任务列表的一页。
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"data": [], "has_more": False, "first_id": None, "last_id": None}]
        }
    )

    data: list[Job]
    has_more: bool
    first_id: Id | None
    last_id: Id | None


class ModelStatus(BaseModel):
    """How far a job has come.

    任务的进度。
    """

    model_config = ConfigDict(json_schema_extra={"examples": [examples.STATUS]})

    id: Id
    status: Status
    progress: int = Field(ge=0, le=100)
    eta_seconds: int | None
    created_at: Time
    updated_at: Time


class ModelResult(BaseModel):
    """The finished model: where it is, what is in it.

    生成结果。
    """

    model_config = ConfigDict(json_schema_extra={"examples": [examples.RESULT]})

    id: Id
    status: Status
    link: Link
    preview: Link | None
    size: int
    sha256: Sha256
    format: str
    facts: dict[str, Any]
    generation_seconds: float | None
    warnings: list[str]
    artifacts: list[Artifact]


class DeliveryTry(BaseModel):
    """One try to deliver.

    一次投递尝试。
    """

    at: Time
    status: int | None
    error: str | None
    milliseconds: int


class Delivery(BaseModel):
    """One webhook event on its way.

    一次回调通知。
    """

    model_config = ConfigDict(json_schema_extra={"examples": [examples.DELIVERY]})

    id: Id
    event: Event
    url: Link
    status: DeliveryStatus
    created_at: Time
    next_try_at: Time | None
    tries: list[DeliveryTry]


class DeliveryList(BaseModel):
    """All deliveries of a job.

    一个任务的全部通知。
    """

    model_config = ConfigDict(json_schema_extra={"examples": [{"data": [examples.DELIVERY]}]})

    data: list[Delivery]


class Upload(BaseModel):
    """A file that was announced, and the request that puts it: `method` to `url`, with all of
    `headers`, the file as its body.

    一个上传。
    """

    model_config = ConfigDict(json_schema_extra={"examples": [examples.UPLOAD]})

    id: Id
    media_type: str
    bytes: int
    sha256: Sha256 | None
    filename: str | None
    received: bool = Field(description="Whether a file has been put.")
    created_at: Time
    expires_at: Time = Field(description="When the upload, its file and the request end.")
    method: Literal["PUT"]
    url: Link = Field(description="Whoever has it may put the file: a secret while it lasts.")
    headers: dict[str, str]
    urls: dict[str, Link]


class Replay(BaseModel):
    """How many webhooks are sent again. While `has_more`, go on with `after` set to `next`.

    批量重新投递的结果。
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"replayed": 100, "has_more": True, "next": examples.DELIVERY["id"]}]
        }
    )

    replayed: int
    has_more: bool
    next: Id | None


class KindInfo(BaseModel):
    """One kind: what it takes and gives, and who makes it here.

    一类任务的说明。
    """

    name: KindName
    makes: str
    takes_prompt: bool
    inputs: dict[str, Literal["picture", "model"]] = Field(
        description="The files that it takes, by role: each a picture or a model."
    )
    images: list[str]
    needs: list[str]
    providers: list[str]


class Limits(BaseModel):
    """What a request may be.

    请求的上限。
    """

    platform: Literal["lambda", "scf", "server"]
    body_bytes: int = Field(description="Of a form, as it gets through to the API here.")
    json_bytes: int = Field(description="Of JSON, files in Base64 among it.")
    larger_files: str = Field(description="What to do about a file that no body can hold.")
    image_bytes: int = Field(description="Of a picture, however it comes.")
    model_bytes: int = Field(description="Of a model that comes as an input.")
    upload_types: list[str] = Field(description="The media types that can be uploaded.")
    uploads_open: int = Field(description="Open uploads that a caller may have.")
    upload_seconds: int = Field(description="How long an upload lasts.")
    image_pixels: int
    image_min_side: int
    image_max_side: int = Field(description="A picture with a longer side is made smaller.")
    image_formats: list[str]
    prompt_characters: int
    wait_seconds: int


class Info(BaseModel):
    """What this deployment makes.

    本部署的能力说明。
    """

    model_config = ConfigDict(json_schema_extra={"examples": [examples.INFO]})

    kinds: list[KindInfo]
    providers: list[str]
    missing: dict[str, str]
    limits: Limits
    told: dict[str, dict[str, Any]] = Field(
        description="By provider, what its service tells of its own limits; options are judged by "
        "it. None is there until a service has told it."
    )


class Health(BaseModel):
    """The process answers.

    进程存活。
    """

    model_config = ConfigDict(json_schema_extra={"examples": [{"status": "ok"}]})

    status: Literal["ok"]


class Readiness(BaseModel):
    """Every part, and whether it answers; what the operator should know, by a name for each.

    各部件是否可用。
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "status": "ready",
                    "parts": {"store": "ok", "bucket": "ok", "provider tripo": "ok"},
                    "warnings": {},
                }
            ]
        }
    )

    status: Literal["ready"]
    parts: dict[str, Literal["ok", "unavailable"]]
    warnings: dict[str, str]


class ErrorDetail(BaseModel):
    """What SDKs show: the message, a family, a code, and the field at fault.

    错误的细节。
    """

    message: str
    type: Literal["invalid_request_error", "authentication_error", "server_error"]
    code: str
    param: str | None


class Problem(BaseModel):
    """Every error's shape (RFC 9457, application/problem+json).

    所有错误应答的结构。
    """

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={"examples": [examples.PROBLEM]},
    )

    type: str = Field(pattern="^urn:maquette:problem:")
    title: str
    status: int = Field(ge=400, le=599)
    detail: str
    instance: str
    error: ErrorDetail
    request_id: str
    retryable: bool


DOCUMENTED = (
    *(
        InputFile,
        Job,
        JobEvent,
        JobList,
        ModelStatus,
        ModelResult,
        Upload,
        DeliveryList,
        Delivery,
        Replay,
    ),
    *(Info, Health, Readiness, Problem),
)
"""Every answer's shape."""
