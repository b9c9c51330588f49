"""A folder as a zip whose bytes depend on the files alone: same files, same sha256.

可复现的 zip 包。
"""

from __future__ import annotations

import os
import stat
import zipfile
from hashlib import sha256
from pathlib import Path

_LONG_AGO = (1980, 1, 1, 0, 0, 0)
"""The first moment that a zip can name."""
_UNIX = 3
_COMPRESSION = 6


def write(folder: Path, path: Path) -> None:
    """Write everything in a folder into a zip, in the order of names, with no times.

    Files may be read by everybody, and run by everybody if their owner may run them here: the
    platform runs them as somebody else.

    把目录写成 zip。
    """
    aside = path.with_name(f"{path.name}.part")
    with zipfile.ZipFile(aside, "w", zipfile.ZIP_DEFLATED, compresslevel=_COMPRESSION) as archive:
        names = {one.relative_to(folder).as_posix(): one for one in folder.rglob("*")}
        for name in sorted(names):
            file = names[name]
            if file.is_file():
                info = zipfile.ZipInfo(name, _LONG_AGO)
                info.create_system = _UNIX
                info.compress_type = zipfile.ZIP_DEFLATED
                mode = 0o755 if os.access(file, os.X_OK) and not _is_plain(file) else 0o644
                info.external_attr = (stat.S_IFREG | mode) << 16
                archive.writestr(info, file.read_bytes())
    aside.replace(path)


def unpacked_bytes(path: Path) -> int:
    """How many bytes a zip's files have when they are unpacked.

    解压后的字节数。
    """
    with zipfile.ZipFile(path) as archive:
        return sum(one.file_size for one in archive.infolist())


def digest(path: Path) -> str:
    """The sha256 of a file, in hexadecimal.

    文件的 sha256。
    """
    return sha256(path.read_bytes()).hexdigest()


def _is_plain(file: Path) -> bool:
    """What is never run, whatever its mode says: packages' modes differ from machine to machine."""
    return file.suffix in (".py", ".pyc", ".so", ".txt")
