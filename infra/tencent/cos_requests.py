"""A request to COS taken apart: which bucket, which object, and which of COS's actions it is.

解析发给 COS 的请求。
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from infra.tencent.cos_signature import Asked

_LOOPBACK = ("127.0.0.1", "localhost")

_OBJECT = {
    "GET": "GetObject",
    "HEAD": "HeadObject",
    "PUT": "PutObject",
    "POST": "PostObject",
    "DELETE": "DeleteObject",
    "OPTIONS": "OptionsObject",
}
_BUCKET = {
    "GET": "GetBucket",
    "HEAD": "HeadBucket",
    "PUT": "PutBucket",
    "DELETE": "DeleteBucket",
}
_PARTS = {
    "GET": "ListParts",
    "PUT": "UploadPart",
    "POST": "CompleteMultipartUpload",
    "DELETE": "AbortMultipartUpload",
}
_SETTINGS = {
    "acl": "ACL",
    "cors": "CORS",
    "encryption": "Encryption",
    "lifecycle": "Lifecycle",
    "policy": "Policy",
    "tagging": "Tagging",
    "versioning": "Versioning",
}


@dataclass(frozen=True)
class Taken:
    """A request to COS: as it is signed, of which bucket and key (empty: the bucket itself), its
    query as it came, and its body.

    一个 COS 请求。
    """

    asked: Asked
    bucket: str
    key: str
    body: bytes = field(repr=False)

    @property
    def query(self) -> dict[str, str]:
        """The parameters by name.

        查询参数。
        """
        return dict(self.asked.query)

    @property
    def action(self) -> str:
        """What a policy calls it, without `name/cos:` before it ("PutObject").

        授权策略中的动作名。
        """
        method, query = self.asked.method, self.query
        if not self.bucket:
            return "GetService"
        for parameter, setting in _SETTINGS.items():
            if parameter in query:
                verb = {"GET": "Get", "PUT": "Put", "DELETE": "Delete"}.get(method, method.title())
                return f"{verb}{'Object' if self.key else 'Bucket'}{setting}"
        if not self.key:
            if "uploads" in query:
                return "ListMultipartUploads"
            return "DeleteMultipleObjects" if "delete" in query else _BUCKET.get(method, method)
        if "uploads" in query:
            return "InitiateMultipartUpload"
        return (_PARTS if "uploadId" in query else _OBJECT).get(method, method)


def taken(environ: dict[str, Any], body: bytes) -> Taken:
    """A request as a WSGI server hands it on. On a loopback address the path begins with the
    bucket, as `shared.buckets.cos` asks an emulator; elsewhere the host does, as COS has it.

    由 WSGI 环境得到请求。
    """
    target = urlsplit(str(environ["REQUEST_URI"]))  # a proxy's has a host before the path
    host = target.netloc or environ.get("HTTP_HOST", "")
    path = unquote(target.path, errors="surrogateescape")
    name = host.rpartition(":")[0] or host
    if name in _LOOPBACK:
        bucket, slash, rest = path.lstrip("/").partition("/")
        path = slash + rest or "/"
    else:
        bucket = name.partition(".")[0]
    query = parse_qsl(target.query, keep_blank_values=True, errors="surrogateescape")
    headers = dict(_headers(environ))
    headers["host"] = host
    asked = Asked(environ["REQUEST_METHOD"], path, query, headers)
    return Taken(asked, bucket, path[1:], body)


def _headers(environ: dict[str, Any]) -> Iterable[tuple[str, str]]:
    for name, value in environ.items():
        if name in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            if value:
                yield name.lower().replace("_", "-"), value
        elif name.startswith("HTTP_"):
            # WSGI gives headers as Latin-1, clients write UTF-8.
            told = value.encode("latin-1").decode("utf-8", "surrogateescape")
            yield name[5:].lower().replace("_", "-"), told


def copied_from(header: str) -> tuple[str, str]:
    """Bucket and key of `x-cos-copy-source`, written `<bucket>.cos.<region>.myqcloud.com/<key>`.

    解析复制来源。
    """
    host, _, path = header.partition("/")
    return host.partition(".")[0], unquote(path.partition("?")[0])


def is_bucket(name: str) -> bool:
    """Whether a name is one that COS gives a bucket: a name, a hyphen, and the account's APPID.

    是否为合法的存储桶名称。
    """
    return re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,48}[a-z0-9])?-[0-9]{5,12}", name) is not None
