"""Links to this deployment's own API that stay good for years: signed, never expiring.

指向本服务的永久签名链接。
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Links:
    """Where the API is reached (no slash at the end), and the secret its links are signed with;
    those of an `older` one still open, so that a secret can be replaced and no link dies of it.

    构造与验证永久链接；旧密钥签出的链接仍然有效。
    """

    base_url: str
    secret: bytes = field(repr=False)
    older: Sequence[bytes] = field(default=(), repr=False)

    def job(self, job_id: str, rest: str = "") -> str:
        """The job's own address, `rest` ("/cancel", say) behind it.

        任务的地址。
        """
        return f"{self.base_url}/api/v1/jobs/{job_id}{rest}"

    def upload(self, upload_id: str) -> str:
        """The upload's own address.

        上传的地址。
        """
        return f"{self.base_url}/api/v1/uploads/{upload_id}"

    def artifact(self, job_id: str, name: str) -> str:
        """The permanent link to one artifact; whoever has it may fetch the file.

        成果文件的永久链接。
        """
        signature = _sign(self.secret, job_id, name)
        return self.job(job_id, f"/artifacts/{name}?signature={signature}")

    def allows(self, job_id: str, name: str, signature: str) -> bool:
        """Whether `signature` is this artifact's by one of the secrets; in constant time.

        验证链接的签名。
        """
        given, known = signature.encode(), (self.secret, *self.older)
        # All are compared, whichever it is.
        found = [hmac.compare_digest(_sign(one, job_id, name).encode(), given) for one in known]
        return any(found)


def _sign(secret: bytes, job_id: str, name: str) -> str:
    message = f"artifact\n{job_id}\n{name}".encode()
    digest = hmac.new(secret, message, hashlib.sha256).digest()
    return base64.urlsafe_b64encode(digest[:18]).decode()
