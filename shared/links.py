"""Links to this deployment's own API that stay good for years: signed, never expiring.

指向本服务的永久签名链接。
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Links:
    """Where the API is reached (no slash at the end), and the secret its links are signed with.

    构造与验证永久链接。
    """

    base_url: str
    secret: bytes = field(repr=False)

    def job(self, job_id: str, rest: str = "") -> str:
        """The job's own address, `rest` ("/cancel", say) behind it.

        任务的地址。
        """
        return f"{self.base_url}/api/v1/jobs/{job_id}{rest}"

    def artifact(self, job_id: str, name: str) -> str:
        """The permanent link to one artifact; whoever has it may fetch the file.

        成果文件的永久链接。
        """
        signature = self._sign(job_id, name)
        return self.job(job_id, f"/artifacts/{name}?signature={signature}")

    def allows(self, job_id: str, name: str, signature: str) -> bool:
        """Whether `signature` is the one of this artifact's link; in constant time.

        验证链接的签名。
        """
        return hmac.compare_digest(self._sign(job_id, name).encode(), signature.encode())

    def _sign(self, job_id: str, name: str) -> str:
        message = f"artifact\n{job_id}\n{name}".encode()
        digest = hmac.new(self.secret, message, hashlib.sha256).digest()
        return base64.urlsafe_b64encode(digest[:18]).decode()
