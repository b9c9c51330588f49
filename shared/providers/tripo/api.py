"""Tripo's calls, made with one key until one deadline: create, upload, list tasks, read the usage.

Tripo 的各个接口调用。
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, TypeVar

from pydantic import SecretStr

from shared.clock import Clock, Deadline
from shared.providers.base import InputImage, OutOfCredit, ProviderUnavailable, Rejected
from shared.providers.http import Connections
from shared.providers.tripo.errors import created, read
from shared.providers.tripo.options import BATCH, EXTENSIONS
from shared.providers.tripo.tasks import milliseconds

# Larger files go to storage by a presigned PUT; the SDK draws the line at the same place.
MULTIPART_BYTES = 50 << 20
CHUNK = 1 << 20
USAGE_PAGE = 50

T = TypeVar("T")
Page = Sequence[tuple[str, int | None]]
Spend = Callable[[], None]


@dataclass(frozen=True)
class Account:
    """The account of one key, as it can be asked until the deadline.

    一个密钥对应的账户。
    """

    http: Connections
    base: str
    key: SecretStr
    clock: Clock
    deadline: Deadline

    def create(self, path: str, body: str) -> str:
        """Send a create, once; the task's id. Raises as `errors.created` and `http.create`.

        发送一次创建请求。
        """
        answer = self.http.create(self.base + path, self._headers(), body, self.deadline)
        return created(answer, self.clock.now())

    def ask(self, method: str, path: str, data: Any = None) -> Any:
        """One call that creates nothing, with a JSON body or none; the answer's `data`.

        发送一次普通请求。
        """
        content = None if data is None else json.dumps(data)
        answer = self.http.call(method, self.base + path, self._headers(), content, self.deadline)
        return read(answer, self.clock.now())

    def upload(self, image: InputImage) -> str:
        """Bring a picture to Tripo, in constant memory; the file's token.

        上传一张图片，返回文件标识。
        """
        send = self._post if image.bytes <= MULTIPART_BYTES else self._put
        data = self._repeat(lambda: send(image))
        token = data.get("file_token") if isinstance(data, dict) else None
        if not isinstance(token, str) or not re.fullmatch(r"[!-~]{8,256}", token):
            raise ProviderUnavailable("the upload's answer has no file token")
        return token

    def tasks(
        self, ids: Sequence[str], spend: Spend = lambda: None
    ) -> Iterator[tuple[str, Mapping[str, Any] | None]]:
        """Each id with its task: None if the key does not know it, empty if it cannot be read.

        `spend` is called before each request, and may raise.

        按编号批量读取任务。
        """
        for start in range(0, len(ids), BATCH):
            batch = list(ids[start : start + BATCH])
            tasks = self._look_up(_tasks, spend, "POST", "/v3/tasks/list", {"task_ids": batch})
            for task_id in batch:
                yield task_id, tasks.get(task_id, {})

    def usage(self, offset: int, spend: Spend = lambda: None) -> Page:
        """One page of the account's tasks, the newest first: ids, and when each was made (ms).

        账户任务列表的一页。
        """
        path = f"/v3/account/usage?limit={USAGE_PAGE}&offset={offset}"
        return self._look_up(_usage, spend, "GET", path)

    def _headers(self) -> dict[str, str]:
        return {
            "Authorization": f"Bearer {self.key.get_secret_value()}",
            "Accept": "application/json",
            "Content-Type": "application/json",
        }

    def _repeat(self, call: Callable[[], T]) -> T:
        return self.http.repeat(call, self.clock, self.deadline)

    def _look_up(self, reading: Callable[[Any], T], spend: Spend, *asked: Any) -> T:
        def once() -> T:
            spend()
            return reading(self.ask(*asked))

        try:
            return self._repeat(once)
        except (Rejected, OutOfCredit) as fault:
            # What is wrong with the question says nothing about the tasks.
            raise ProviderUnavailable(fault.message, code=fault.code) from None

    def _post(self, image: InputImage) -> Any:
        """Upload a picture as a form.

        以表单上传图片。
        """
        boundary = f"maquette-{self.clock.token(128):032x}"
        head = (
            f'--{boundary}\r\nContent-Disposition: form-data; name="file"; '
            f'filename="image.{EXTENSIONS[image.media_type]}"\r\n'
            f"Content-Type: {image.media_type}\r\n\r\n"
        ).encode()
        tail = f"\r\n--{boundary}--\r\n".encode()
        headers = {
            **self._headers(),
            "Content-Type": f"multipart/form-data; boundary={boundary}",
            # Without it httpx would send chunks, which not every server takes.
            "Content-Length": str(len(head) + image.bytes + len(tail)),
        }
        content = chain([head], self._bytes(image), [tail])
        answer = self.http.call("POST", f"{self.base}/v3/files", headers, content, self.deadline)
        return read(answer, self.clock.now())

    def _put(self, image: InputImage) -> Any:
        data = self.ask("POST", "/v3/files/presign", {"format": EXTENSIONS[image.media_type]})
        fields = data if isinstance(data, dict) else {}
        url = str(fields.get("presigned_url") or fields.get("upload_url"))
        headers = {"Content-Type": image.media_type, "Content-Length": str(image.bytes)}
        answer = self.http.call("PUT", url, headers, self._bytes(image), self.deadline)
        if answer.status // 100 != 2:
            # Storage speaks its own format, and a refused link is as often an old one.
            raise ProviderUnavailable(f"HTTP {answer.status} from the upload link")
        return data

    def _bytes(self, image: InputImage) -> Iterator[bytes]:
        """A picture's bytes, of exactly the length that was recorded.

        读取图片内容。
        """
        left = image.bytes
        with image.open() as reader:
            while left >= 0 and (chunk := reader.read(CHUNK)):
                if self.deadline.remaining() <= 0:
                    raise ProviderUnavailable("the time ran out during an upload")
                left -= len(chunk)
                if left >= 0:
                    yield chunk
        if left != 0:
            raise ProviderUnavailable("an input picture does not have the length that was recorded")


def _tasks(data: Any) -> dict[str, dict[str, Any] | None]:
    """The tasks of a list by id, None for those the key does not know.

    解读任务列表。
    """
    given = data if isinstance(data, dict) else {}
    tasks, missed = given.get("tasks"), given.get("missed")
    if isinstance(tasks, list):
        tasks = {str(task.get("task_id")): task for task in tasks if isinstance(task, dict)}
    known = tasks if isinstance(tasks, dict) else {}
    gone = missed if isinstance(missed, list) else []
    if known is not tasks and gone is not missed:
        raise ProviderUnavailable("a list of tasks that cannot be read")
    found: dict[str, dict[str, Any] | None] = {id: None for id in gone if isinstance(id, str)}
    return found | {id: task for id, task in known.items() if isinstance(task, dict)}


def _usage(data: Any) -> Page:
    """One page of the usage: the id of each task and when it was created (ms), if that is said."""
    items = data.get("items") if isinstance(data, dict) else data
    page: list[tuple[str, int | None]] = []
    for item in items if isinstance(items, list) else [None]:
        if not isinstance(item, dict) or not isinstance(item.get("task_id"), str):
            raise ProviderUnavailable("a list of tasks that cannot be read")
        page.append((item["task_id"], milliseconds(item.get("created_at"))))
    return page
