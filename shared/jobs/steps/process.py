"""The work of `postprocess` on one job: verify its files, measure them, draw them small, publish.

后处理：校验、测量、绘制预览并发布成果。
"""

from __future__ import annotations

import functools
import hashlib
import io
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from shared.artifacts.gltf.container import (
    BrokenModel,
    Container,
    RangeReader,
    check_container,
    has_container,
)
from shared.artifacts.gltf.document import Undecodable
from shared.artifacts.gltf.measure import Inspection, inspect_model
from shared.artifacts.images.image import BrokenImage, ImageLimits, decode_image, inspect_image
from shared.artifacts.images.thumbnail import DRAFT
from shared.buckets.base import BucketUnavailable, ObjectInfo, ObjectMissing
from shared.buckets.names import extension
from shared.clock import Deadline, OutOfTime
from shared.jobs import lifecycle
from shared.jobs.model import Artifact, Job, ResultFile, Status
from shared.jobs.ports import Ports
from shared.jobs.saving import apply
from shared.jobs.steps.reading import BrokenFile, copy_checked, open_model
from shared.store.base import StoreUnavailable
from shared.values import replace

if TYPE_CHECKING:
    from PIL import Image

log = logging.getLogger("maquette.postprocess")

PREVIEW_SIDE = 512
"""Pixels a side of a model's square preview, and at most of a picture's thumbnail."""
_CAREFUL_CLAIMS = 2
"""From the third claim in a row on, only the container is checked: the rest has killed workers."""
_CAREFULLY = "published after the container check alone: fuller checks did not finish"

Drawing = tuple[bytes, int, int]
"""A WebP, its width and its height."""


class WrongFile(BrokenFile):
    """A stored file is whole, but nothing that may be published.

    文件完好，但不能发布。
    """


class SentTwice(BrokenFile):
    """The very bytes that were refused before came again: the provider means them.

    服务商两次发来同样的损坏文件。
    """


_EXPECTED = (BrokenFile, BrokenModel, BrokenImage, ObjectMissing, BucketUnavailable, OSError,
             OutOfTime, StoreUnavailable)  # fmt: skip
"""What says something of the file, or of the world, and nothing of the checks."""


def process(ports: Ports, job: Job, deadline: Deadline) -> None:
    """Publish a job's stored files, or send it back for one fresh fetch, or fail it.

    Bytes that come a second time are what the provider means: a model that has a container is
    published with a warning, anything else fails for good. Raises `OutOfTime`; every other end is
    saved on the job.

    处理一个任务的全部结果文件。
    """
    try:
        artifacts, warnings = _published(ports, job, deadline)
    except (BrokenFile, BrokenModel, BrokenImage, ObjectMissing) as error:
        reason = str(error)
        log.warning("%s: a file is broken: %s", job.id, reason)
        at, again = ports.moment(), isinstance(error, SentTwice)
        after = apply(
            ports, job, lambda now: lifecycle.invalid(now, job.files, reason, at, again=again)
        )
        if after is not None and after.status is Status.STORING:
            _tidy(ports, job)
        return
    except (BucketUnavailable, OSError) as error:
        reason = str(error)
        log.warning("%s: verifying failed: %s", job.id, reason)
        at = ports.moment()
        apply(ports, job, lambda now: lifecycle.not_processed(now, reason, at, ports.policy))
        return
    at = ports.moment()
    after = apply(ports, job, lambda now: lifecycle.published(now, artifacts, warnings, at))
    if after is not None and after.status is Status.SUCCEEDED:
        _tidy(ports, job)


def _published(ports: Ports, job: Job, deadline: Deadline) -> tuple[list[Artifact], list[str]]:
    """The artifacts of all files, in the bucket already, and what to warn of.

    Where the fuller checks stumble over a file, for a fault of theirs, it is published after the
    container check alone: it is paid for.

    全部文件的成果。
    """
    artifacts: list[Artifact] = []
    warnings: list[str] = []
    for index, file in enumerate(job.files):
        try:
            made, said = _publish(ports, job, file, index, deadline)
        except _EXPECTED:
            raise
        except Exception:
            log.exception("%s: the checks of file %d failed", job.id, index)
            careful = replace(job, claims=_CAREFUL_CLAIMS + 1)
            made, said = _publish(ports, careful, file, index, deadline)
        artifacts.extend(made)
        warnings.extend(said)
    return artifacts, warnings


def _publish(
    ports: Ports, job: Job, file: ResultFile, index: int, deadline: Deadline
) -> tuple[list[Artifact], list[str]]:
    """The artifacts one stored file gives, in the bucket already, and what to warn of.

    发布一个文件。
    """
    deadline.check()
    assert file.key is not None
    info = ports.bucket.head(file.key)
    if info is None:
        raise ObjectMissing(f"{file.key} is not in the bucket")
    if info.bytes != file.bytes:
        raise BrokenFile(f"{info.bytes} bytes were stored where {file.bytes} were received")
    publish = _picture if file.media_type.startswith("image/") else _model
    try:
        return publish(ports, job, file, index, info, deadline)
    except (BrokenModel, BrokenImage, WrongFile) as fault:
        if file.refused is None or file.refused != file.sha256:
            raise
        raise SentTwice(str(fault)) from fault


def _model(
    ports: Ports, job: Job, file: ResultFile, index: int, info: ObjectInfo, deadline: Deadline
) -> tuple[list[Artifact], list[str]]:
    """Check, measure, draw and publish a model; its artifacts, and what to warn of.

    处理一个模型。
    """
    with open_model(ports, info, file.sha256, deadline) as reader:
        if job.claims > _CAREFUL_CLAIMS:
            found = _inspected(file, reader, lambda: _container_alone(reader))
            alone = _artifact(ports, job, file, index, info, {})
            return [alone], [*found.warnings, _CAREFULLY]
        found = _inspected(
            file, reader, lambda: inspect_model(reader, measure_below=ports.measure_below)
        )
        warnings = list(found.warnings)
        deadline.check()
        model = _artifact(ports, job, file, index, info, dict(found.facts))
        if not ports.draws_previews:
            return [model], warnings
        source = found.container or reader
        preview = _drawn(ports, job, "preview", index, lambda: _preview(source, warnings), warnings)
    return [model, *preview], warnings


def _container_alone(reader: RangeReader) -> Inspection:
    check_container(reader)
    return Inspection({}, ())


def _inspected(
    file: ResultFile, reader: RangeReader, inspect: Callable[[], Inspection]
) -> Inspection:
    """What was found in a model; raises BrokenModel.

    One that was refused before and came again the same has no facts, but a warning of what is wrong
    with it: it is paid for, and some loader may open it. That needs a container with data in it.

    检查模型；两次发来的同一文件只给出警告。
    """
    try:
        return inspect()
    except BrokenModel as fault:
        data = not isinstance(fault, Undecodable) and has_container(reader)
        if file.refused is None or file.refused != file.sha256 or not data:
            raise
        said = f"published as the provider sent it, twice the same: {fault.reason}"
        return Inspection({}, (said,))


def _picture(
    ports: Ports, job: Job, file: ResultFile, index: int, info: ObjectInfo, deadline: Deadline
) -> tuple[list[Artifact], list[str]]:
    """Check and publish a picture with its thumbnail; its artifacts, and what to warn of.

    处理一张图片。
    """
    limits, careful = ImageLimits(), job.claims > _CAREFUL_CLAIMS
    if info.bytes > limits.max_bytes:
        raise WrongFile(f"the picture has {info.bytes} bytes, more than {limits.max_bytes}")
    copy = io.BytesIO()
    copy_checked(ports.bucket, info, copy, file.sha256, deadline)
    data = copy.getvalue()
    pixels = None
    if careful:
        found = inspect_image(data, limits, decode=False)
    else:
        found, pixels = decode_image(data, limits, PREVIEW_SIDE * DRAFT)
    if found.media_type != file.media_type:
        raise WrongFile(f"what was called {file.media_type} is {found.media_type}")
    deadline.check()
    facts = {
        "width": found.width,
        "height": found.height,
        "format": found.media_type.removeprefix("image/"),
        "mode": found.mode,
    }
    picture = _artifact(ports, job, file, index, info, facts)
    if pixels is None:
        return [picture], [_CAREFULLY]
    warnings: list[str] = []
    drawing = functools.partial(_thumbnail, pixels, found.orientation)
    thumbnail = _drawn(ports, job, "thumbnail", index, drawing, warnings)
    return [picture, *thumbnail], warnings


def _artifact(
    ports: Ports, job: Job, file: ResultFile, index: int, info: ObjectInfo, facts: dict[str, object]
) -> Artifact:
    assert file.sha256 is not None
    ending = extension(file.media_type)
    key = f"artifacts/{job.id}/{file.sha256}{ending}"
    ports.bucket.copy(info.key, key)
    name = _name(file.role, index) + ending
    return Artifact(file.role, name, key, file.media_type, info.bytes, file.sha256, facts)


def _drawn(
    ports: Ports,
    job: Job,
    role: str,
    index: int,
    draw: Callable[[], Drawing],
    warnings: list[str],
) -> list[Artifact]:
    """A drawing as an artifact, or nothing and a warning: the file is paid for either way.

    绘制预览。
    """
    try:
        picture, width, height = draw()
    except Exception as error:  # a drawing that fails must never cost the file
        log.warning("%s: no %s: %s", job.id, role, error, exc_info=True)
        warnings.append(f"no {role} could be drawn: {error}")
        return []
    sha256 = hashlib.sha256(picture).hexdigest()
    key = f"artifacts/{job.id}/{sha256}.webp"
    ports.bucket.put_stream(key, [picture], media_type="image/webp")
    facts = {"width": width, "height": height}
    name = _name(role, index) + ".webp"
    return [Artifact(role, name, key, "image/webp", len(picture), sha256, facts)]


def _preview(source: RangeReader | Container, warnings: list[str]) -> Drawing:
    from shared.artifacts.render.preview import draw_preview

    return draw_preview(source, PREVIEW_SIDE, warnings), PREVIEW_SIDE, PREVIEW_SIDE


def _thumbnail(pixels: Image.Image, orientation: int) -> Drawing:
    from shared.artifacts.images.thumbnail import draw_thumbnail

    return draw_thumbnail(pixels, orientation, PREVIEW_SIDE)


def _name(role: str, index: int) -> str:
    return role if index == 0 else f"{role}-{index + 1}"


def _tidy(ports: Ports, job: Job) -> None:
    """The copies under incoming/ have served; what is left behind does no harm."""
    for file in job.files:
        # Those of the job before a retry as well: it left them to the retry alone.
        if file.key is not None:
            try:
                ports.bucket.delete(file.key)
            except BucketUnavailable as error:
                log.info("%s: %s stays for now: %s", job.id, file.key, error)
