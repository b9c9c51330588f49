"""From words and files on the command line to what is asked of the API.

把命令行上的文字和文件变成请求内容。
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from shared.artifacts.images.image import sniff
from shared.artifacts.images.pixels import orientation_of, plain, turned
from shared.config import Settings
from shared.inputs.remote import shown_url
from shared.jobs.kinds import KINDS

PHOTO_BYTES: int = Settings.model_fields["image_bytes"].default
"""The largest picture, where the operator has set no other limit; larger ones are sent smaller."""

_ENDINGS = frozenset(
    (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".heic", ".heif", ".avif")
)
_URL = re.compile("https?://", re.IGNORECASE)
_SIDES = (4096, 3072, 2048, 1536, 1024)
_QUALITIES = (90, 80)


class InputError(Exception):
    """An argument is neither words nor a usable picture; the message says what to do.

    命令行参数有误。
    """


@dataclass(frozen=True)
class Wanted:
    """One job to ask for: the form's text fields, URLs of pictures among them, and its pictures by
    role.

    要创建的一个任务。
    """

    label: str
    fields: Mapping[str, str]
    images: Mapping[str, bytes] = field(default_factory=dict, repr=False)


def gather(
    arguments: Sequence[str],
    views: Sequence[str],
    *,
    kind: str | None,
    note: Callable[[str], None],
    prompt: str | None = None,
    mask: str | None = None,
) -> list[Wanted]:
    """A job for each argument, in order, and one for each set of views; raises `InputError`.

    `prompt` are the words that go with each picture, `mask` the file that says what part of it they
    are about. `note` is told what is done to a picture that is too large to be sent.

    收集全部输入。
    """
    if prompt is not None:
        _check_words(prompt)
        if views:
            raise InputError("--prompt goes with one picture, not with --views")
    elif mask is not None:
        raise InputError("--mask goes with a picture, and words for what to put there: --prompt")
    wanted = [_one(argument, kind, prompt, mask, note) for argument in arguments]
    wanted += [_several(text, kind, note) for text in views]
    if not wanted:
        raise InputError("say what to make: words, or the file or URL of a picture")
    return wanted


def _one(
    argument: str,
    kind: str | None,
    prompt: str | None,
    mask: str | None,
    note: Callable[[str], None],
) -> Wanted:
    """The job for one argument, words or a picture's file or URL; raises InputError.

    由一个参数得到任务。
    """
    path, on_the_web = _path(argument), bool(_URL.match(argument))
    if on_the_web or (_is_file(path) and not _is_word(argument, path, note)):
        usual = "image-to-3d" if prompt is None else "image-to-image"
        chosen = _kind_for(kind, usual, argument, pictures=True)
        if KINDS[chosen].takes_prompt is (prompt is None):
            need = "takes no words" if prompt else "needs words as well: --prompt TEXT"
            raise InputError(f"{chosen} {need}")
        words = {} if prompt is None else {"prompt": prompt}
        if on_the_web:
            fields = {"kind": chosen, **words, KINDS[chosen].image_roles[0]: argument}
            images = {} if mask is None else {"mask": _read(_path(mask))}
            return Wanted(shown_url(argument), fields, images)
        if mask is not None:
            images = _with_mask(path, _path(mask))
        else:
            images = {KINDS[chosen].image_roles[0]: fitting(path, PHOTO_BYTES, note)}
        return Wanted(path.name, {"kind": chosen, **words}, images)
    if _looks_like_a_path(argument):
        if path.is_dir():
            raise InputError(f"{argument} is a folder; name the file of a picture in it")
        raise InputError(f"there is no file {argument}")
    _check_words(argument)
    if prompt is not None:
        raise InputError(f"--prompt goes with a picture; there is no file {argument}")
    chosen = _kind_for(kind, "text-to-3d", argument, pictures=False)
    return Wanted(argument, {"kind": chosen, "prompt": argument})


def _with_mask(path: Path, mask: Path) -> dict[str, bytes]:
    """A picture and its mask as they are: made smaller, they might no longer fit each other."""
    if not _is_file(mask):
        raise InputError(f"there is no file {mask}")
    images = {"image": _read(path), "mask": _read(mask)}
    if max(map(len, images.values())) > PHOTO_BYTES:
        raise InputError(
            f"{path} or its mask {mask} is larger than {_megabytes(PHOTO_BYTES)}, the most for a "
            "picture; make both smaller"
        )
    return images


def _check_words(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InputError("an input is not UTF-8 text") from None
    if not text.strip():
        raise InputError("an input is empty; say in words what to make, or name a picture's file")


def _several(text: str, kind: str | None, note: Callable[[str], None]) -> Wanted:
    """The job for a set of views; raises InputError.

    由多个视图得到任务。
    """
    roles = KINDS["multiview-to-3d"].image_roles
    paths: dict[str, Path] = {}
    urls: dict[str, str] = {}
    for part in text.split(","):
        role, _, name = part.partition("=")
        if role.strip() not in roles or not name:
            raise InputError(
                f"--views {text}: write it as front=a.jpg,back=b.jpg; roles are {', '.join(roles)}"
            )
        if _URL.match(name.strip()):
            urls[role.strip()] = name.strip()
        else:
            paths[role.strip()] = _path(name.strip())
    for path in paths.values():
        if not _is_file(path):
            raise InputError(f"there is no file {path}")
    images = {role: fitting(path, PHOTO_BYTES, note) for role, path in paths.items()}
    return Wanted(text, {"kind": kind or "multiview-to-3d", **urls}, images)


def _kind_for(kind: str | None, usual: str, argument: str, *, pictures: bool) -> str:
    """The kind asked for where the input fits it, and what is usual where it was left open."""
    if kind is None:
        return usual
    known = KINDS.get(kind)
    if known is None:
        raise InputError(f"there is no kind {kind}; choose from {', '.join(sorted(KINDS))}")
    if bool(known.image_roles) is not pictures:
        need = "pictures" if known.image_roles else "words"
        raise InputError(f"{kind} is made from {need}, not from {argument}")
    return kind


def _path(argument: str) -> Path:
    try:
        return Path(argument).expanduser()
    except RuntimeError:  # words that begin with ~, and with nobody's name
        return Path(argument)


def _is_file(path: Path) -> bool:
    """Whether there is such a file; words that are a folder's name are words."""
    try:
        return path.is_file()
    except OSError:  # longer than any file's name may be: words, then
        return False


def _is_word(argument: str, path: Path, note: Callable[[str], None]) -> bool:
    """Whether a file's name was meant as words: one without an ending, whose file is no picture."""
    if path.suffix or _looks_like_a_path(argument):
        return False
    with suppress(OSError), path.open("rb") as file:
        if _is_picture(file.read(16)):
            return False
    note(f"{argument}: there is a file of this name, but it is no picture; taken as words")
    return True


def _looks_like_a_path(argument: str) -> bool:
    if Path(argument).suffix.lower() in _ENDINGS or argument in (".", "..", "~"):
        return True
    return "/" in argument and not any(character.isspace() for character in argument)


def fitting(path: Path, limit: int, note: Callable[[str], None]) -> bytes:
    """A picture's bytes, made smaller if they are more than `limit`; raises `InputError`.

    读取图片，过大时缩小。
    """
    data = _read(path)
    if len(data) <= limit:
        return data
    smaller, side = _shrunk(path, data, limit)
    note(
        f"{path.name}: {_megabytes(len(data))} is more than a picture may have, "
        f"{_megabytes(limit)}, so it is sent with {side} pixels on its longer side, "
        f"{_megabytes(len(smaller))}"
    )
    return smaller


def _read(path: Path) -> bytes:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None
    if not _is_picture(data):
        raise InputError(f"{path} is no JPEG, PNG or WebP picture")
    return data


def _is_picture(data: bytes) -> bool:
    return (
        data.startswith((b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"))
        or data[:4] + data[8:12] == b"RIFFWEBP"
    )


def _shrunk(path: Path, data: bytes, limit: int) -> tuple[bytes, int]:
    """The picture as a JPEG of at most `limit` bytes, and its longer side; raises InputError.

    缩小图片。
    """
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data)) as opened:
            opened.load()
            way = orientation_of(opened, data, sniff(data) or "")
            image = turned(plain(opened), way)
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(f"{path} cannot be opened as a picture: {error}") from None
    see_through = image.mode == "RGBA"
    for side in _SIDES:
        if side < max(image.size) or side == _SIDES[0]:
            image.thumbnail((side, side), Image.Resampling.LANCZOS)
        for quality in _QUALITIES:
            out = io.BytesIO()
            image.save(out, "WEBP" if see_through else "JPEG", quality=quality)
            if out.tell() <= limit:
                return out.getvalue(), max(image.size)
    raise InputError(f"{path} cannot be made small enough to be sent; use a smaller picture")


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"
