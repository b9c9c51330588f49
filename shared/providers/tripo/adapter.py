"""Tripo's v3 API behind the Provider protocol: text, one image or several views to a 3D model.

The shapes are those of Tripo's own Python SDK 1.0.0 and its public documentation. Tripo takes no
idempotency keys and has no call to cancel a task; a create that nobody answered is looked for among
the account's recent tasks, by a seed or a file token that no other create carries.

Tripo 三维生成接口的适配器。
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import httpx
from pydantic import SecretStr

from shared.clock import Clock, Deadline
from shared.providers.base import (
    Ask,
    Download,
    NotReadYet,
    ProviderError,
    RemoteFile,
    Request,
    TaskState,
    Wanted,
)
from shared.providers.credentials import Credentials, secret
from shared.providers.declaration import USUAL, Timeouts
from shared.providers.download import download
from shared.providers.http import Connections
from shared.providers.tripo.api import Account
from shared.providers.tripo.options import KEY, NAME, VIEWS, body_of, images_of
from shared.providers.tripo.search import Search
from shared.providers.tripo.tasks import state_of

GLOBAL_URL = "https://openapi.tripo3d.ai"
MAX_DOWNLOAD = 512 << 20


class Tripo:
    """The adapter. Between calls it keeps connections, and while creates are looked for what it
    read of the account's tasks; one serves all threads.

    Raises `ValueError` for a URL that cannot be right. `transport` takes the network's place in
    tests.

    Tripo 适配器。
    """

    def __init__(
        self,
        *,
        credentials: Credentials,
        base_url: str = GLOBAL_URL,
        clock: Clock,
        max_download_bytes: int = MAX_DOWNLOAD,
        timeouts: Timeouts = USUAL,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._credentials = credentials
        self._base = _checked_url(base_url)
        self._clock = clock
        self._max_download = max_download_bytes
        self._lock = threading.Lock()
        self._searches: dict[tuple[str, str], Search] = {}
        self._http = Connections("tripo", transport, timeouts)

    def __repr__(self) -> str:
        return f"Tripo({self._base!r})"

    def prepare(self, ask: Ask, credential: str, deadline: Deadline) -> Request:
        """Upload the pictures and fix the create's exact text, ASCII with sorted keys.

        Every create carries a mark: a random seed for text, the (front) picture's file token else.
        A text request whose seeds are all the caller's own has none. Raises `Rejected` for what
        Tripo would refuse; what opening a picture raises goes on as it is.

        上传图片并生成确定的请求内容。
        """
        body, account = body_of(ask), self._account(credential, deadline)
        if ask.kind == "text-to-3d":
            mark = self._seed(body)
        else:
            tokens = {role: account.upload(image) for role, image in images_of(ask).items()}
            if ask.kind == "image-to-3d":
                body["input"] = tokens["image"]
            else:
                body["inputs"] = [tokens.get(view) for view in VIEWS]
            mark = tokens.get("image") or tokens["front"]
        text = json.dumps(body, sort_keys=True, separators=(",", ":"))
        # text-to-3d is made at .../text-to-model, and so on.
        path = f"/v3/generation/{ask.kind.removesuffix('3d')}model"
        return Request(path=path, body=text, mark=mark)

    def submit(self, request: Request, key: str, credential: str, deadline: Deadline) -> str:
        """Send the create once, on a connection of its own; `key` is of no use to Tripo.

        Raises as `errors.ERRORS` says for an answer in Tripo's own format,
        `ProviderUnavailable` if the request never went out, and `UnknownOutcome` else.

        发送一次创建请求，返回任务编号。
        """
        return self._account(credential, deadline).create(request.path, request.body)

    def check(
        self, task_ids: Sequence[str], credential: str, deadline: Deadline
    ) -> Mapping[str, TaskState]:
        """The tasks' states; raises only if none could be read, never `Rejected` or `OutOfCredit`.

        批量查询任务状态。
        """
        states: dict[str, TaskState] = {}
        try:
            for task_id, task in self._account(credential, deadline).tasks(task_ids):
                now = self._clock.now()
                state = TaskState("missing") if task is None else state_of(task, now)
                if state is not None:
                    states[task_id] = state
        except ProviderError:
            if not states:
                raise
        return states

    def cancel(self, task_id: str, credential: str, deadline: Deadline) -> bool:
        """Always False: Tripo has no such call.

        Tripo 不支持取消。
        """
        return False

    def find(
        self, wanted: Sequence[Wanted], credential: str, deadline: Deadline
    ) -> Sequence[Sequence[str] | None]:
        """Ids of the account's tasks whose input holds each request's mark, since it was begun.

        All calls share one scan of the account, which goes on where the last one stopped. Raises
        `NotReadYet` while it is not far enough to tell of any. A request without a mark is never
        found.

        按标记在最近的任务中查找未应答的创建。
        """
        account = self._account(credential, deadline)
        found = self._search(credential, account).find(account, wanted, deadline)
        if wanted and all(ids is None for ids in found):
            raise NotReadYet("the account's tasks were not read back far enough yet")
        return found

    def download(
        self, file: RemoteFile, credential: str, deadline: Deadline
    ) -> AbstractContextManager[Download]:
        """Fetch a result link, without the key.

        下载结果文件（不带密钥）。
        """
        return download(self._http, file.url, deadline, self._max_download)

    def ready(self, deadline: Deadline) -> None:
        """Ask for each account's balance, once.

        检查每个密钥是否可用。
        """
        for credential in self._credentials.names(NAME):
            self._account(credential, deadline).ask("GET", "/v3/account/balance")

    def limits(self, deadline: Deadline) -> None:
        """Tripo tells none.

        Tripo 不提供限制说明。
        """

    def close(self) -> None:
        """Let go of this adapter's own connections; a later call makes new ones.

        关闭连接。
        """
        self._http.close()

    def _account(self, credential: str, deadline: Deadline) -> Account:
        key = SecretStr(secret(self._credentials, NAME, credential, KEY))
        return Account(self._http, self._base, key, self._clock, deadline)

    def _search(self, credential: str, account: Account) -> Search:
        """The scan of an account; another key, and it may be another account."""
        digest = hashlib.sha256(account.key.get_secret_value().encode()).hexdigest()
        key = (credential, digest)
        with self._lock:
            return self._searches.setdefault(key, Search(self._clock))

    def _seed(self, body: dict[str, Any]) -> str | None:
        """Put a random seed where the caller chose none; returns it as the mark."""
        # A texture's seed is only worth something where there is one.
        textured = ("texture_seed",) if body.get("texture", True) else ()
        for name in ("model_seed", "image_seed", *textured):
            if name not in body:
                # At least 2**30, so that no other number in a task looks like it.
                body[name] = self._clock.token(31) | 1 << 30
                return str(body[name])
        return None


def _checked_url(text: str) -> str:
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL:
        raise ValueError("Tripo's base URL is not a URL") from None
    if url.scheme not in ("http", "https") or not url.host or url.userinfo or url.query:
        raise ValueError("Tripo's base URL must be a plain http or https URL")
    return str(url).rstrip("/")
