"""What an input of a job may be: a file in the request, an upload, another job's artifact, a URL.

输入引用：请求中的文件、已上传的文件、其他任务的成果、网址。
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeAlias


@dataclass(frozen=True)
class Sent:
    """A file in the request itself.

    请求中直接发送的文件。
    """

    data: bytes = field(repr=False)


@dataclass(frozen=True)
class UploadRef:
    """A file that the caller uploaded before.

    先前上传的文件。
    """

    upload_id: str

    def named(self) -> dict[str, Any]:
        """The reference as requests write it and as a job shows it.

        引用的标准写法。
        """
        return {"upload_id": self.upload_id}


@dataclass(frozen=True)
class ArtifactRef:
    """A file that another job of the caller has made: the `index`-th of its `role`, from 0.

    其他任务的成果文件。
    """

    job_id: str
    role: str
    index: int = 0

    def named(self) -> dict[str, Any]:
        """The reference as requests write it and as a job shows it.

        引用的标准写法。
        """
        return {"job_id": self.job_id, "role": self.role, "index": self.index}


@dataclass(frozen=True)
class UrlRef:
    """A file on the web, to be fetched before the job is given to its provider.

    网络上的文件。
    """

    # Not in logs: it may be a signed link.
    url: str = field(repr=False)

    def named(self) -> dict[str, Any]:
        """The reference as requests write it; a job shows less of it, see `shown_url`.

        引用的标准写法。
        """
        return {"url": self.url}


Pointer: TypeAlias = UploadRef | ArtifactRef | UrlRef
"""A reference to what lies elsewhere."""
Reference: TypeAlias = Sent | Pointer
"""All that a request may give for a role."""
