"""What a stand-in must still know after it was killed: records and files in a folder.

让替身被杀死后重启仍记得一切。
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any


class Journal:
    """Records appended to a file before any answer goes out, and read back at the next start.

    把记录先落盘再应答,重启后读回。
    """

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        self._lock = threading.Lock()
        self._blobs: dict[str, bytes] = {}
        self._file = None
        if folder is not None:
            (folder / "blobs").mkdir(parents=True, exist_ok=True)
            self._file = (folder / "journal.jsonl").open("a", encoding="utf-8")
            # A killed process may have left half a line: the next one must not join it.
            self._file.write("\n")

    def records(self) -> Iterator[tuple[str, Any]]:
        """Every (kind, value) kept so far, oldest first; half-written lines are passed over.

        逐条读回已有的记录。
        """
        if self.folder is not None:
            with (self.folder / "journal.jsonl").open(encoding="utf-8") as lines:
                for line in lines:
                    with contextlib.suppress(ValueError):
                        kind, value = json.loads(line)
                        yield kind, value

    def keep(self, kind: str, value: Any) -> None:
        """Append one record; it is with the operating system before this returns.

        追加一条记录。
        """
        with self._lock:
            if self._file is not None and not self._file.closed:
                self._file.write(json.dumps([kind, value]) + "\n")
                self._file.flush()

    def put_blob(self, data: bytes) -> str:
        """Keep bytes; returns their sha256 in hex.

        保存文件内容。
        """
        name = hashlib.sha256(data).hexdigest()
        if self.folder is None:
            self._blobs[name] = data
        else:
            temporary = self.folder / "blobs" / f".{uuid.uuid4().hex}"
            temporary.write_bytes(data)
            os.replace(temporary, self.folder / "blobs" / name)
        return name

    def blob(self, name: str) -> bytes:
        """The bytes kept under a sha256.

        取回文件内容。
        """
        if self.folder is None:
            return self._blobs[name]
        return (self.folder / "blobs" / name).read_bytes()

    def close(self) -> None:
        """Close the file.

        关闭记录文件。
        """
        if self._file is not None:
            self._file.close()
