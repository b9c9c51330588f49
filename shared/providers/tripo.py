"""Tripo's v3 API behind the Provider protocol: text, one image or several views to a 3D model.

The shapes are those of Tripo's own Python SDK 1.0.0 and its public documentation. Tripo takes no
idempotency keys and has no call to cancel a task; a create that nobody answered is looked for among
the account's recent tasks, by a seed or a file token that no other create carries.

Tripo 三维生成接口的适配器。
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime, timezone
from types import MappingProxyType
from typing import Any, Literal

import httpx
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from shared.clock import Clock, Deadline
from shared.providers import http
from shared.providers.base import (
    Ask,
    Download,
    InputImage,
    OutOfCredit,
    ProviderError,
    ProviderUnavailable,
    RateLimited,
    Rejected,
    RemoteFile,
    Request,
    TaskState,
    Unauthorized,
    UnknownOutcome,
)

GLOBAL_URL = "https://openapi.tripo3d.ai"
# The newest of the general line, and the one that takes every option below. The SDK's own default,
# v2.5-20250123, is two generations older; the P line is for low-poly meshes only.
DEFAULT_MODEL = "v3.1-20260211"

CONNECT_SECONDS = 5.0
READ_SECONDS = 20.0
# An answer that comes late is worth more than an outcome nobody knows.
CREATE_SECONDS = 60.0
# A create is not begun with less than this left: it would have to be given up halfway.
CREATE_NEEDS = 2.0
MAX_DOWNLOAD = 512 << 20
# Larger files go to storage by a presigned PUT; the SDK draws the line at the same place.
MULTIPART_BYTES = 50 << 20
PROMPT_LENGTH = 1024
BATCH = 100
USAGE_PAGE = 50
USAGE_PAGES = 40
CLOCK_SKEW_MS = 300_000
# How long a finished task may be without its files before that is called a failure.
SETTLING_MS = 120_000

VIEWS = ("front", "left", "back", "right")
PATHS = MappingProxyType(
    {
        "text-to-3d": "/v3/generation/text-to-model",
        "image-to-3d": "/v3/generation/image-to-model",
        "multiview-to-3d": "/v3/generation/multiview-to-model",
    }
)
EXTENSIONS = MappingProxyType({"image/jpeg": "jpg", "image/png": "png", "image/webp": "webp"})

# Which failure means what. A row is (HTTP status, the provider's code); None stands for any. Looked
# up from the most exact: (status, code), (status, any), (any, code), then OTHERWISE by hundreds.
#
# It is read only for answers in Tripo's own format, a JSON object with a `code` other than 0. The
# provider then speaks for itself and nothing was created: this holds for 500/1000 and 500/1001
# too, which are repeated later. A 5xx with a code that is not listed may come from a gateway in
# between, and is an unknown outcome, like every answer in another format.
#
#   Unauthorized, OutOfCredit   final until somebody sees to the account
#   RateLimited                 sent again after Retry-After; nothing was done
#   ProviderUnavailable         sent again later; nothing was done
#   Rejected                    final: the request itself is wrong
ERRORS: Mapping[tuple[int | None, int | None], type[ProviderError]] = MappingProxyType(
    {
        (401, None): Unauthorized,  # v3 gives several codes with 401: the status alone decides
        (402, None): OutOfCredit,  # not known to occur
        (403, 2010): OutOfCredit,
        (403, 2013): Rejected,  # this account may not ask for priority
        (403, None): Unauthorized,
        (408, None): ProviderUnavailable,
        (409, None): ProviderUnavailable,
        (425, None): ProviderUnavailable,
        (429, None): RateLimited,  # 1007 requests a minute, 2000 tasks at once
        (500, 2014): ProviderUnavailable,  # the content audit broke down
        (None, 1000): ProviderUnavailable,  # unknown server error
        (None, 1001): ProviderUnavailable,  # fatal server error
        (None, 1002): Unauthorized,
        (None, 1003): Rejected,  # malformed body
        (None, 1004): Rejected,  # invalid parameter
        (None, 1005): Unauthorized,  # not allowed
        (None, 1007): RateLimited,
        (None, 2000): RateLimited,
        (None, 2001): Rejected,  # task not found
        (None, 2002): Rejected,  # task type
        (None, 2003): Rejected,  # empty file
        (None, 2004): Rejected,  # file type
        (None, 2008): Rejected,  # content policy
        (None, 2009): Rejected,  # characters in the prompt
        (None, 2010): OutOfCredit,
        (None, 2014): Rejected,  # the content audit refused
        (None, 2015): Rejected,  # model version deprecated
        (None, 2016): Rejected,  # task type deprecated
        (None, 2017): Rejected,  # model version invalid
        (None, 2018): Rejected,  # too complex to remesh
        (None, 2019): Rejected,  # file not found
        (None, 4001): ProviderUnavailable,  # no such route: the base URL is wrong, not the request
    }
)
OTHERWISE: Mapping[int, type[ProviderError]] = MappingProxyType({2: Rejected, 4: Rejected})
# Calls that create nothing: these statuses are tried again whatever the body says ...
TRANSIENT = frozenset({408, 409, 425, 429, *range(500, 600)})
# ... and these count without Tripo's format; every other is ProviderUnavailable.
BARE: Mapping[int, type[ProviderError]] = MappingProxyType(
    {401: Unauthorized, 413: Rejected, 415: Rejected}
)

STATUSES: Mapping[str, Literal["waiting", "running", "succeeded", "failed", "canceled"]] = (
    MappingProxyType(
        {
            "queued": "waiting",
            "running": "running",
            "success": "succeeded",
            "failed": "failed",
            "banned": "failed",
            "expired": "failed",
            "cancelled": "canceled",
            "canceled": "canceled",
        }
    )
)
# v2 words for two kinds of failure, should they still be said.
FAILURES: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "banned": ("2008", "refused by the provider's content policy"),
        "expired": ("expired", "the task expired at the provider"),
    }
)
# The textured model before the bare one; v3's own name first, then v2's and their variants.
MODEL_KEYS = ("model_url", "pbr_model_url", "pbr_model", "model", "base_model_url", "base_model")

_KEY = re.compile(r"tsk_[!-~]{1,256}")
_TASK_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_WHEN: TypeAdapter[datetime] = TypeAdapter(datetime)


class ModelOptions(BaseModel):
    """The options common to all three kinds; what is left out is left to Tripo.

    Not offered, because the result must be a GLB that can be read and verified here: `quad` (Tripo
    then gives FBX) and `compress` (meshopt, which needs a decoder).

    三维生成的公共选项。
    """

    # Defaults are validated too, since what one field allows depends on those before it.
    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        frozen=True,
        validate_default=True,
        protected_namespaces=(),
    )

    model: str = Field(
        DEFAULT_MODEL,
        pattern=r"^[A-Za-z0-9.\-]{1,40}$",
        description="Tripo's model version. Known ones: v3.1-20260211, v3.0-20250812, "
        "v2.5-20250123, P1-20260311 and P2-20260801 (low-poly).",
        examples=["v3.1-20260211", "P1-20260311"],
    )
    texture: bool = Field(
        True,
        description="Colour the model. `false` needs `pbr: false` too, which alone would bring "
        "textures along.",
        examples=[True],
    )
    pbr: bool = Field(True, description="Give it physically based materials.", examples=[True])
    texture_quality: Literal["standard", "detailed", "extreme"] = Field(
        "standard", description="How fine the textures are.", examples=["detailed"]
    )
    geometry_quality: Literal["standard", "detailed"] = Field(
        "standard", description="How fine the mesh is (v3 models).", examples=["detailed"]
    )
    model_seed: int | None = Field(
        None, ge=0, lt=2**31, description="Same seed, same shape.", examples=[20260211]
    )
    texture_seed: int | None = Field(
        None, ge=0, lt=2**31, description="Same seed, same textures.", examples=[7]
    )
    face_limit: int | None = Field(
        None,
        ge=1,
        le=10_000_000,
        description="At most this many faces; 48 to 20000 with P1 models.",
        examples=[10_000],
    )
    smart_low_poly: bool = Field(
        False, description="A low-poly mesh with clean topology.", examples=[False]
    )
    generate_parts: bool = Field(
        False,
        description="A model in separate parts; needs `texture: false` and `pbr: false`.",
        examples=[False],
    )
    auto_size: bool = Field(
        False, description="Scale the model to its size in the real world.", examples=[False]
    )
    export_uv: bool = Field(True, description="Unwrap UVs; without, it is faster.", examples=[True])

    @field_validator("pbr")
    @classmethod
    def _no_materials_without_texture(cls, value: bool, info: ValidationInfo) -> bool:
        if value and info.data.get("texture") is False:
            raise ValueError("texture: false needs pbr: false, or textures are made all the same")
        return value

    @field_validator("generate_parts")
    @classmethod
    def _parts_are_bare(cls, value: bool, info: ValidationInfo) -> bool:
        if value and (info.data.get("texture") or info.data.get("pbr")):
            raise ValueError("needs texture: false and pbr: false")
        return value

    @field_validator("geometry_quality", "smart_low_poly", "generate_parts")
    @classmethod
    def _not_for_p1(cls, value: Any, info: ValidationInfo) -> Any:
        if _is_p1(info) and value not in (False, "standard"):
            raise ValueError(f"not for model {info.data['model']}")
        return value

    @field_validator("face_limit")
    @classmethod
    def _few_faces_for_p1(cls, value: int | None, info: ValidationInfo) -> int | None:
        if _is_p1(info) and value is not None and not 48 <= value <= 20_000:
            raise ValueError(f"48 to 20000 with model {info.data['model']}")
        return value


def _is_p1(info: ValidationInfo) -> bool:
    return str(info.data.get("model", "")).startswith("P1-")


class TextOptions(ModelOptions):
    """Options of text-to-3d.

    文生三维的选项。
    """

    image_seed: int | None = Field(
        None,
        ge=0,
        lt=2**31,
        description="Seed of the picture that is made of the prompt first.",
        examples=[42],
    )
    negative_prompt: str | None = Field(
        None, max_length=255, description="What must not appear.", examples=["base, pedestal"]
    )


class ViewOptions(ModelOptions):
    """Options of multiview-to-3d.

    多视图生三维的选项。
    """

    texture_alignment: Literal["original_image", "geometry"] = Field(
        "original_image",
        description="Whether textures follow the picture or the mesh.",
        examples=["geometry"],
    )
    orientation: Literal["default", "align_image"] = Field(
        "default", description="Turn the model as the picture shows it.", examples=["align_image"]
    )


class ImageOptions(ViewOptions):
    """Options of image-to-3d.

    图生三维的选项。
    """

    enable_image_autofix: bool = Field(
        False, description="Improve a poor picture first; slower.", examples=[False]
    )


OPTIONS: Mapping[str, type[ModelOptions]] = MappingProxyType(
    {"text-to-3d": TextOptions, "image-to-3d": ImageOptions, "multiview-to-3d": ViewOptions}
)


class Tripo:
    """The adapter. It keeps nothing between calls but connections; one serves all threads.

    `client` replaces both of the process's own clients, for tests. Raises `ValueError`, never
    naming a key, for keys or a URL that cannot be right. Times in seconds, sizes in bytes.

    Tripo 适配器。
    """

    name = "tripo"
    options: Mapping[str, type[BaseModel]] = OPTIONS
    takes_keys = False
    check_limit = BATCH

    def __init__(
        self,
        *,
        api_keys: Sequence[str],
        base_url: str = GLOBAL_URL,
        client: httpx.Client | None = None,
        clock: Clock,
        max_download_bytes: int = MAX_DOWNLOAD,
        connect_seconds: float = CONNECT_SECONDS,
        read_seconds: float = READ_SECONDS,
        create_seconds: float = CREATE_SECONDS,
    ) -> None:
        self._keys = _named(api_keys)
        self.credentials: Sequence[str] = tuple(self._keys)
        self._base = _checked_url(base_url)
        self._given = client
        self._clock = clock
        self._max_download = max_download_bytes
        self._patience = http.Patience(connect_seconds, read_seconds)
        self._create_patience = http.Patience(connect_seconds, create_seconds)

    def __repr__(self) -> str:
        return f"Tripo({self._base!r}, credentials={list(self.credentials)!r})"

    def prepare(self, ask: Ask, credential: str, deadline: Deadline) -> Request:
        """Upload the pictures and fix the create's exact text, ASCII with sorted keys.

        Every create carries a mark: a random seed for text, the (front) picture's file token else.
        A text request whose three seeds are all the caller's own has none. Raises `Rejected` for
        what Tripo would refuse; what opening a picture raises goes on as it is.

        上传图片并生成确定的请求内容。
        """
        if ask.kind not in PATHS:
            raise Rejected(f"Tripo does not make {ask.kind}", code="kind_unsupported")
        options = _checked_options(ask)
        body = _chosen(options)
        if ask.kind == "text-to-3d":
            body["prompt"] = _checked_prompt(ask)
            mark = self._seed(body, options)
        else:
            mark = self._upload_all(ask, body, credential, deadline)
        text = json.dumps(body, sort_keys=True, separators=(",", ":"))
        return Request(path=PATHS[ask.kind], body=text, mark=mark)

    def submit(self, request: Request, key: str, credential: str, deadline: Deadline) -> str:
        """Send the create once, on a connection of its own; `key` is of no use to Tripo.

        Raises as `ERRORS` says for an answer in Tripo's own format; `ProviderUnavailable` if no
        connection was made or the time left is too short to begin; `UnknownOutcome` else.

        发送一次创建请求，返回任务编号。
        """
        client = self._given or http.CONNECTIONS.fresh
        if deadline.remaining() < CREATE_NEEDS:
            raise ProviderUnavailable("too little time is left to begin a create")
        sent = client.build_request(
            "POST",
            self._base + request.path,
            content=request.body.encode(),
            headers={
                **self._headers(credential),
                "Content-Type": "application/json",
                "Connection": "close",
            },
            timeout=self._create_patience.within(deadline),
        )
        return self._created(http.create(client, sent, deadline))

    def check(
        self, task_ids: Sequence[str], credential: str, deadline: Deadline
    ) -> Mapping[str, TaskState]:
        """The tasks' states, a hundred per request; raises only if none could be read.

        Never `Rejected` or `OutOfCredit`: what is wrong with the question says nothing about the
        tasks.

        批量查询任务状态。
        """
        wanted = list(dict.fromkeys(task_ids))
        states: dict[str, TaskState] = {}
        for start in range(0, len(wanted), BATCH):
            batch = wanted[start : start + BATCH]
            try:
                tasks, missed = self._tasks(batch, credential, deadline)
            except ProviderError:
                if states:
                    break
                raise
            states.update(self._states(batch, tasks, missed))
        return states

    def cancel(self, task_id: str, credential: str, deadline: Deadline) -> bool:
        """Always False: Tripo has no such call.

        Tripo 不支持取消。
        """
        return False

    def find(
        self, request: Request, since: int, credential: str, deadline: Deadline
    ) -> Sequence[str]:
        """Ids of the account's tasks since `since` (ms) whose input holds the request's mark.

        Five minutes are allowed for clocks that differ. Raises `ProviderUnavailable` if the list
        or an input could not be read to the end: an empty answer means that there is none. A
        request without a mark is never found.

        按标记在最近的任务中查找未应答的创建。
        """
        if request.mark is None:
            return ()
        recent = self._recent(since - CLOCK_SKEW_MS, credential, deadline)
        found: list[str] = []
        for start in range(0, len(recent), BATCH):
            batch = recent[start : start + BATCH]
            tasks, missed = self._tasks(batch, credential, deadline)
            for task_id in batch:
                if task_id not in missed and _carries(tasks.get(task_id), request):
                    found.append(task_id)
        return tuple(found)

    def download(self, file: RemoteFile, deadline: Deadline) -> AbstractContextManager[Download]:
        """Fetch a result link, without the key.

        下载结果文件（不带密钥）。
        """
        return http.download(
            self._given or http.CONNECTIONS.kept,
            file.url,
            file.media_type,
            deadline,
            max_bytes=self._max_download,
            patience=self._patience,
        )

    def ready(self, deadline: Deadline) -> None:
        """Ask for each account's balance, once, with short time-outs.

        检查每个密钥是否可用。
        """
        patience = http.Patience(min(3.0, self._patience.connect), min(5.0, self._patience.read))
        for credential in self.credentials:
            self._ask("GET", "/v3/account/balance", credential, deadline, patience=patience)

    def close(self) -> None:
        """Let go of the process's connections (or the given client).

        关闭连接。
        """
        if self._given is not None:
            self._given.close()
        else:
            http.CONNECTIONS.close()

    def _ask(
        self,
        method: str,
        path: str,
        credential: str,
        deadline: Deadline,
        *,
        data: Any = None,
        patience: http.Patience | None = None,
    ) -> Any:
        """One request with a JSON body or none; the answer's `data`."""
        headers = self._headers(credential)
        content = None
        if data is not None:
            content = json.dumps(data).encode()
            headers["Content-Type"] = "application/json"
        request = self._client().build_request(
            method,
            self._base + path,
            content=content,
            headers=headers,
            timeout=(patience or self._patience).within(deadline),
        )
        return self._read(http.safe(self._client(), request, deadline))

    def _repeat(self, call: Callable[[], Any], deadline: Deadline) -> Any:
        return http.repeat(call, clock=self._clock, deadline=deadline)

    def _client(self) -> httpx.Client:
        return self._given or http.CONNECTIONS.kept

    def _headers(self, credential: str) -> dict[str, str]:
        if credential not in self._keys:
            raise Unauthorized(f"no key named {http.clean(credential, 40)} is configured")
        key = self._keys[credential].get_secret_value()
        return {"Authorization": f"Bearer {key}", "Accept": "application/json"}

    def _read(self, answer: http.Answer) -> Any:
        """The `data` of an answer to a safe call, or the error it stands for."""
        envelope = _envelope(answer)
        if answer.status in TRANSIENT:
            kind: type[ProviderError] = RateLimited if answer.status == 429 else ProviderUnavailable
            raise self._error(kind, answer, envelope)
        if envelope is not None and _refuses(envelope):
            raise self._error(_meaning(answer, envelope) or ProviderUnavailable, answer, envelope)
        if not 200 <= answer.status < 300:
            raise self._error(BARE.get(answer.status, ProviderUnavailable), answer, None)
        try:
            value = answer.json()
        except ValueError:
            raise ProviderUnavailable("an answer that is not JSON") from None
        # The SDK also takes a usage list that comes without an envelope.
        return value.get("data") if isinstance(value, dict) else value

    def _error(
        self, kind: type[ProviderError], answer: http.Answer, envelope: Mapping[str, Any] | None
    ) -> ProviderError:
        said = envelope or {}
        words = [said.get("message"), said.get("suggestion"), said.get("request_id")]
        message = ": ".join(http.clean(word) for word in words if isinstance(word, str) and word)
        message = f"HTTP {answer.status}: {message or 'no message'}"
        code = http.clean(said["code"], 40) if "code" in said else None
        if kind is RateLimited:
            wait = http.retry_after(answer.headers, self._clock.now())
            return RateLimited(message, code=code, retry_after=wait)
        return kind(message, code=code)

    def _created(self, answer: http.Answer) -> str:
        envelope = _envelope(answer)
        if envelope is None:
            raise UnknownOutcome(f"HTTP {answer.status} without an answer in Tripo's format")
        task_id = _task_id(envelope)
        if _refuses(envelope):
            kind = _meaning(answer, envelope)
            if kind is None or task_id is not None:
                raise self._error(UnknownOutcome, answer, envelope)
            raise self._error(kind, answer, envelope)
        if task_id is None or not 200 <= answer.status < 300:
            raise UnknownOutcome(f"HTTP {answer.status} without a task id")
        return task_id

    def _seed(self, body: dict[str, Any], options: ModelOptions) -> str | None:
        """Put a random seed where the caller chose none; returns it as the mark."""
        # A texture's seed is only worth something where there is one.
        names = ("model_seed", "image_seed", *(("texture_seed",) if options.texture else ()))
        for name in names:
            if name not in body:
                # At least 2**30, so that no other number in a task looks like it.
                body[name] = self._clock.token(31) | 1 << 30
                return str(body[name])
        return None

    def _upload_all(
        self, ask: Ask, body: dict[str, Any], credential: str, deadline: Deadline
    ) -> str:
        images = _checked_images(ask)
        tokens = {role: self._upload(image, credential, deadline) for role, image in images.items()}
        if ask.kind == "image-to-3d":
            body["input"] = tokens["image"]
            return tokens["image"]
        body["inputs"] = [tokens.get(view) for view in VIEWS]
        return tokens["front"]

    def _upload(self, image: InputImage, credential: str, deadline: Deadline) -> str:
        send = self._upload_form if image.bytes <= MULTIPART_BYTES else self._upload_presigned
        return _file_token(self._repeat(lambda: send(image, credential, deadline), deadline))

    def _upload_form(self, image: InputImage, credential: str, deadline: Deadline) -> Any:
        boundary = f"maquette-{self._clock.token(128):032x}"
        head = (
            f'--{boundary}\r\nContent-Disposition: form-data; name="file"; '
            f'filename="image.{EXTENSIONS[image.media_type]}"\r\n'
            f"Content-Type: {image.media_type}\r\n\r\n"
        ).encode()
        tail = f"\r\n--{boundary}--\r\n".encode()
        headers = self._headers(credential)
        headers["Content-Type"] = f"multipart/form-data; boundary={boundary}"
        # The length is known; without it httpx would send chunks, which not every server takes.
        headers["Content-Length"] = str(len(head) + image.bytes + len(tail))
        return self._send_file(
            "POST", self._base + "/v3/files", image, headers, deadline, head, tail
        )

    def _upload_presigned(self, image: InputImage, credential: str, deadline: Deadline) -> Any:
        wanted = {"format": EXTENSIONS[image.media_type]}
        data = self._ask("POST", "/v3/files/presign", credential, deadline, data=wanted)
        fields = data if isinstance(data, dict) else {}
        url = fields.get("presigned_url") or fields.get("upload_url")
        if not _is_link(url):
            raise ProviderUnavailable("the answer names no URL to upload to")
        headers = {"Content-Type": image.media_type, "Content-Length": str(image.bytes)}
        self._send_file("PUT", str(url), image, headers, deadline)
        return data

    def _send_file(
        self,
        method: str,
        url: str,
        image: InputImage,
        headers: Mapping[str, str],
        deadline: Deadline,
        head: bytes = b"",
        tail: bytes = b"",
    ) -> Any:
        """Stream a picture in constant memory; the answer's `data`, None for storage's own PUT."""
        request = self._client().build_request(
            method,
            url,
            content=_streamed(image, deadline, head, tail),
            headers=headers,
            timeout=self._patience.within(deadline),
        )
        answer = http.safe(self._client(), request, deadline)
        if method == "POST":
            return self._read(answer)
        if not 200 <= answer.status < 300:
            # Storage speaks its own format, and a refused link is as often an old one.
            raise ProviderUnavailable(f"HTTP {answer.status} from the upload link")
        return None

    def _tasks(
        self, batch: Sequence[str], credential: str, deadline: Deadline
    ) -> tuple[Mapping[str, Any], frozenset[str]]:
        """Up to `BATCH` tasks by id, and the ids that this key does not know."""

        def call() -> tuple[Mapping[str, Any], frozenset[str]]:
            path, data = "/v3/tasks/list", {"task_ids": list(batch)}
            return _task_list(self._ask("POST", path, credential, deadline, data=data))

        try:
            answer: tuple[Mapping[str, Any], frozenset[str]] = self._repeat(call, deadline)
        except (Rejected, OutOfCredit) as fault:
            raise ProviderUnavailable(fault.message, code=fault.code) from None
        return answer

    def _states(
        self, batch: Sequence[str], tasks: Mapping[str, Any], missed: frozenset[str]
    ) -> Iterator[tuple[str, TaskState]]:
        for task_id in batch:
            if task_id in tasks:
                state = _state(tasks[task_id], self._clock.now())
                if state is not None:
                    yield task_id, state
            elif task_id in missed:
                yield task_id, TaskState("missing")

    def _recent(self, since: int, credential: str, deadline: Deadline) -> Sequence[str]:
        """Ids of the account's tasks since `since` (ms) or of unknown age, from its usage."""
        seen: dict[str, int | None] = {}
        offset = 0
        for _ in range(USAGE_PAGES):
            items = self._usage(offset, credential, deadline)
            page = {item["task_id"]: _milliseconds(item.get("created_at")) for item in items}
            fresh = page.keys() - seen.keys()
            seen.update(page)
            # A server that knows no `offset` gives its one short page again.
            if not items or (not fresh and len(items) < USAGE_PAGE) or _is_past(page, since):
                return [id for id, at in seen.items() if at is None or at >= since]
            if not fresh:
                break
            offset += len(items)
        raise ProviderUnavailable("the account's tasks could not be read back far enough")

    def _usage(self, offset: int, credential: str, deadline: Deadline) -> list[dict[str, Any]]:
        def call() -> list[dict[str, Any]]:
            path = f"/v3/account/usage?limit={USAGE_PAGE}&offset={offset}"
            data = self._ask("GET", path, credential, deadline)
            items = data.get("items") if isinstance(data, dict) else data
            if not isinstance(items, list) or not all(map(_is_usage, items)):
                raise ProviderUnavailable("a list of tasks that cannot be read")
            return items

        try:
            pages: list[dict[str, Any]] = self._repeat(call, deadline)
        except (Rejected, OutOfCredit) as fault:
            raise ProviderUnavailable(fault.message, code=fault.code) from None
        return pages


def _named(api_keys: Sequence[str]) -> dict[str, SecretStr]:
    if isinstance(api_keys, str) or not api_keys:
        raise ValueError("a list of at least one Tripo key is needed")
    named: dict[str, SecretStr] = {}
    for number, key in enumerate(api_keys, 1):
        if not _KEY.fullmatch(key):
            hint = "; this is a client id" if key.startswith("tcli_") else ""
            raise ValueError(f"Tripo key {number} does not have the form tsk_…{hint}")
        name = f"tripo-{hashlib.sha256(key.encode()).hexdigest()[:8]}"
        if name in named:
            raise ValueError(f"Tripo key {number} is there twice")
        named[name] = SecretStr(key)
    return named


def _checked_url(text: str) -> str:
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL:
        raise ValueError("Tripo's base URL is not a URL") from None
    if url.scheme not in ("http", "https") or not url.host or url.userinfo or url.query:
        raise ValueError("Tripo's base URL must be a plain http or https URL")
    return str(url).rstrip("/")


def _checked_options(ask: Ask) -> ModelOptions:
    try:
        return OPTIONS[ask.kind].model_validate(dict(ask.options))
    except ValidationError as fault:
        first = fault.errors(include_input=False, include_url=False)[0]
        where = ".".join(["options", *map(str, first["loc"])])
        raise Rejected(f"{where}: {first['msg']}", code="options_invalid") from None


def _chosen(options: ModelOptions) -> dict[str, Any]:
    """The options that differ from Tripo's own defaults, and the model, which must be named."""
    return {"model": options.model, **options.model_dump(exclude_defaults=True)}


def _checked_prompt(ask: Ask) -> str:
    if not ask.prompt or not ask.prompt.strip():
        raise Rejected("a prompt is needed", code="prompt_missing")
    if len(ask.prompt) > PROMPT_LENGTH:
        raise Rejected(f"the prompt is over {PROMPT_LENGTH} characters", code="prompt_too_long")
    return ask.prompt


def _checked_images(ask: Ask) -> dict[str, InputImage]:
    roles = VIEWS if ask.kind == "multiview-to-3d" else ("image",)
    images = {role: ask.images[role] for role in roles if role in ask.images}
    if roles[0] not in images:
        raise Rejected(f"the {roles[0]} picture is needed", code="image_missing")
    if roles is VIEWS and len(images) < 2:
        raise Rejected("at least two views are needed", code="image_missing")
    for role, image in images.items():
        if image.media_type not in EXTENSIONS:
            message = f"{role}: Tripo does not take {http.clean(image.media_type, 40)}"
            raise Rejected(message, code="format_unsupported")
    return images


def _streamed(image: InputImage, deadline: Deadline, head: bytes, tail: bytes) -> Iterator[bytes]:
    left = image.bytes
    if head:
        yield head
    with image.open() as reader:
        while chunk := reader.read(http.CHUNK):
            if deadline.remaining() <= 0:
                raise ProviderUnavailable("the time ran out during an upload")
            left -= len(chunk)
            if left < 0:
                break
            yield chunk
    if left != 0:
        raise ProviderUnavailable("an input picture does not have the length that was recorded")
    if tail:
        yield tail


def _file_token(data: Any) -> str:
    token = data.get("file_token") if isinstance(data, dict) else None
    if not isinstance(token, str) or not re.fullmatch(r"[!-~]{8,256}", token):
        raise ProviderUnavailable("the upload's answer has no file token")
    return token


def _envelope(answer: http.Answer) -> dict[str, Any] | None:
    """The answer as a JSON object with a whole number as `code`, or without one; else None."""
    try:
        value = answer.json()
    except ValueError:
        return None
    if not isinstance(value, dict):
        return None
    code = value.get("code", 0)
    return value if type(code) is int else None


def _refuses(envelope: Mapping[str, Any]) -> bool:
    return bool(envelope.get("code", 0) != 0 or envelope.get("status") == "error")


def _meaning(answer: http.Answer, envelope: Mapping[str, Any]) -> type[ProviderError] | None:
    """Which error a refusal is, by `ERRORS`; None if it may not be Tripo's own."""
    status, code = answer.status, envelope.get("code", 0)
    if code == 0:
        return None
    for row in ((status, code), (status, None), (None, code)):
        if row in ERRORS:
            return ERRORS[row]
    return OTHERWISE.get(status // 100)


def _task_id(envelope: Mapping[str, Any]) -> str | None:
    data = envelope.get("data")
    task_id = data.get("task_id") if isinstance(data, dict) else None
    return task_id if isinstance(task_id, str) and _TASK_ID.fullmatch(task_id) else None


def _task_list(data: Any) -> tuple[Mapping[str, Any], frozenset[str]]:
    tasks = data.get("tasks") if isinstance(data, dict) else None
    missed = data.get("missed") if isinstance(data, dict) else None
    if isinstance(tasks, list):
        tasks = {task.get("task_id"): task for task in tasks if isinstance(task, dict)}
    if not isinstance(tasks, dict) and not isinstance(missed, list):
        raise ProviderUnavailable("a list of tasks that cannot be read")
    known = tasks if isinstance(tasks, dict) else {}
    gone = missed if isinstance(missed, list) else []
    return known, frozenset(id for id in gone if isinstance(id, str))


def _state(task: Any, now: int) -> TaskState | None:
    """A task as Tripo shows it; None if it cannot be read."""
    if not isinstance(task, dict) or not isinstance(task.get("status"), str):
        return None
    word = task["status"].lower()
    status = STATUSES.get(word, "running")
    number = _number(task.get("progress"))
    progress = None if number is None else int(min(max(number, 0), 100))
    spent = _number(task.get("credits_consumed"))
    if status == "failed":
        return TaskState("failed", progress, error=_failure(task, word), credits=spent)
    if status != "succeeded":
        return TaskState(status, progress, _eta(task), credits=spent)
    file = _model(task.get("output"))
    if file is not None:
        return TaskState("succeeded", 100, files=(file,), credits=spent)
    done = _milliseconds(task.get("completed_at"))
    if done is not None and abs(now - done) < SETTLING_MS:
        # Its links may still be on their way; a paid model is not given up for that.
        return TaskState("running", progress, credits=spent)
    error = ("no_model_in_result", "the task succeeded without a model file")
    return TaskState("failed", progress, error=error, credits=spent)


def _failure(task: Mapping[str, Any], word: str) -> tuple[str, str]:
    code, message = FAILURES.get(word, ("task_failed", "the task failed without a reason"))
    given = task.get("error_code")
    if isinstance(given, (int, str)) and not isinstance(given, bool) and given:
        code = http.clean(given, 40)
    for name in ("error_message", "error_msg"):
        if isinstance(task.get(name), str) and task[name].strip():
            return code, http.clean(task[name])
    return code, message


def _eta(task: Mapping[str, Any]) -> float | None:
    seconds = _number(task.get("running_left_time"))
    return seconds if seconds is not None and seconds > 0 else None


def _model(output: Any) -> RemoteFile | None:
    for name in MODEL_KEYS:
        url = output.get(name) if isinstance(output, dict) else None
        if _is_link(url):
            return RemoteFile("model", str(url), "model/gltf-binary")
    return None


def _is_link(url: Any) -> bool:
    if not isinstance(url, str) or len(url) > 8192 or not url.isprintable():
        return False
    return url.startswith(("https://", "http://"))


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _milliseconds(value: Any) -> int | None:
    """An ISO time or seconds since 1970, as ms; None if it is neither."""
    if not isinstance(value, (str, int, float)) or isinstance(value, bool):
        return None
    try:
        moment = _WHEN.validate_python(value)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=timezone.utc)
        return int(moment.timestamp() * 1000)
    except (ValueError, OverflowError):
        return None


def _is_usage(item: Any) -> bool:
    return isinstance(item, dict) and isinstance(item.get("task_id"), str)


def _is_past(page: Mapping[str, int | None], since: int) -> bool:
    """Whether a page, the newest first, lies wholly before `since`: nothing after it matters."""
    times = list(page.values())
    known = [at for at in times if at is not None]
    newest_first = len(known) == len(times) > 1 and known[0] > known[-1]
    return newest_first and max(known) < since


def _carries(task: Any, request: Request) -> bool:
    """Whether a task came of this request; raises `ProviderUnavailable` if that cannot be read."""
    given = task.get("input") if isinstance(task, dict) else None
    if not isinstance(given, dict):
        raise ProviderUnavailable("a recent task's input could not be read")
    if not _holds(given, request.mark or ""):
        return False
    ours, theirs = json.loads(request.body).get("prompt"), given.get("prompt")
    if not isinstance(ours, str) or not isinstance(theirs, str):
        return True
    return ours.split() == theirs.split()


def _holds(value: Any, mark: str) -> bool:
    """Whether the mark is anywhere in a JSON value, as a number or within a text."""
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            waiting.extend(item.values())
        elif isinstance(item, list):
            waiting.extend(item)
        elif isinstance(item, str):
            if item == mark or (not mark.isdigit() and mark in item):
                return True
        elif isinstance(item, float):
            # Some servers give every number as 1.073741824e9.
            if item.is_integer() and str(int(item)) == mark:
                return True
        elif isinstance(item, int) and str(item) == mark:
            return True
    return False
