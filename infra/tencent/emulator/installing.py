"""A function's zips unpacked on this machine, as its instances find them.

把函数的代码包和层解开到本机。
"""

from __future__ import annotations

import io
import os
import threading
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path


class BadCode(Exception):
    """A function's code is no zip that can be unpacked.

    代码包无法解开。
    """


@dataclass(frozen=True)
class Installed:
    """A function as it lies ready on this machine: what its instances are started with.

    `code` and `layers` are the folders that are /var/user and /opt on SCF; `handler` names the
    entry, none for a web function.

    已就绪的函数。
    """

    name: str
    handler: str
    code: Path
    layers: Path
    environ: Mapping[str, str]

    def variables(self) -> dict[str, str]:
        """The environment of its instances.

        实例的环境变量。
        """
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            "LANG": "C.UTF-8",
            "HOME": str(self.code),
            "USER_CODE_ROOT": str(self.code),
            **self.environ,
            "PYTHONPATH": os.pathsep.join(
                part
                for part in (str(self.code), str(self.layers), self.environ.get("PYTHONPATH", ""))
                if part
            ),
        }


class Shelf:
    """Unpacked zips in a folder; the same ones are unpacked once.

    存放已解开的代码。
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()

    def place(self, archives: Sequence[bytes]) -> Path:
        """A folder with the contents of these zips, the last one's on top; raises `BadCode`.

        取得解开后的目录。
        """
        digest = sha256(b"".join(sha256(one).digest() for one in archives)).hexdigest()[:16]
        folder = self._folder / digest
        with self._lock:
            if not folder.exists():
                aside = self._folder / f"{digest}.part"
                aside.mkdir(exist_ok=True)
                for one in archives:
                    _unpack(one, aside)
                aside.rename(folder)
        return folder


def _unpack(archive: bytes, folder: Path) -> None:
    """Unpack a zip with the modes of its files, as the platform does."""
    try:
        with zipfile.ZipFile(io.BytesIO(archive)) as packed:
            for item in packed.infolist():
                path = Path(packed.extract(item, folder))
                mode = item.external_attr >> 16 & 0o777
                if mode and path.is_file():
                    path.chmod(mode | 0o600)
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise BadCode(str(error)) from None
