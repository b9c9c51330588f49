"""What the proof asks for, and what goes wrong meanwhile.

验证场景：请求什么、遇到什么麻烦。
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal
from urllib.parse import urljoin

from infra.local.prove.trouble import Scene, Trouble
from shared.artifacts.images.image import ImageLimits, inspect_image
from shared.inputs.files import NewFile
from shared.inputs.references import Pointer, UploadRef, UrlRef
from shared.inputs.uploads import Announced
from shared.jobs.service import NewJob
from shared.wiring import Bundle

CALLER = "prove"
"""Whose jobs they are."""


@dataclass(frozen=True)
class Scenario:
    """What is asked for, of whom, and the roles of the artifacts that a success publishes.

    `photo_from` says how the photo comes: in the request, by a URL of the receiver's, or uploaded
    before, as `upload_id`.

    `faults` are those of the generator, as the stand-ins' `--fault` takes them. With `cancel` the
    caller cancels; with `kills` the generator itself is killed while it works. The worker is killed
    at every `every`-th call only (0: never). `trouble` is what else goes wrong, `settings` are the
    bundle's where they differ, `lives` how many workers may die.

    一个验证场景。
    """

    name: str
    provider: str
    kind: str
    roles: tuple[str, ...]
    prompt: str | None = None
    photo: bytes | None = None
    photo_from: Literal["request", "web", "upload"] = "request"
    upload_id: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    jobs: int = 1
    faults: tuple[str, ...] = ()
    cancel: bool = False
    kills: bool = False
    succeeds: bool = True
    every: int = 1
    trouble: Callable[[Scene], Trouble] = Trouble
    settings: Mapping[str, Any] = field(default_factory=dict)
    lives: int = 4

    def prepared(self, bundle: Bundle) -> Scenario:
        """The scenario, once its photo is uploaded, where that is how it comes.

        准备好上传文件的场景。
        """
        if self.photo is None or self.photo_from != "upload":
            return self
        upload = bundle.uploads.open(CALLER, Announced("image/jpeg", len(self.photo)))
        bundle.bucket.put_stream(upload.key, [self.photo], media_type=upload.media_type)
        return replace(self, upload_id=upload.id)

    def new_job(self, number: int, callback_url: str) -> NewJob:
        """The request for one of the scenario's jobs, the same in every life of its caller.

        场景中某个任务的创建请求。
        """
        images: dict[str, NewFile] = {}
        references: dict[str, Pointer] = {}
        if self.photo is not None and self.photo_from == "web":
            references["image"] = UrlRef(urljoin(callback_url, f"/files/{self.name}"))
        elif self.upload_id is not None:
            references["image"] = UploadRef(self.upload_id)
        elif self.photo is not None:
            info = inspect_image(self.photo, ImageLimits())
            images["image"] = NewFile(self.photo, info.media_type, info.width, info.height)
        return NewJob(
            self.kind,
            self.provider,
            prompt=self.prompt_of(number),
            images=images,
            references=references,
            options=self.options,
            callback_url=callback_url,
        )

    def prompt_of(self, number: int) -> str | None:
        """The words of one of its jobs, by which several are told apart.

        某个任务的提示词。
        """
        return f"{self.prompt} {number}" if self.prompt and self.jobs > 1 else self.prompt
