"""What the HTTP function's first requests import: a create speaks to no provider, so it needs no
HTTP client, whatever is created.

首次创建任务时加载的模块。
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from scripts.bench.coldstart import environment
from tests.functions.house import LINK_SECRET
from tests.functions.pictures import picture

REQUESTS: tuple[dict[str, Any], ...] = (
    {"kind": "text-to-3d", "callback_url": "https://shop.example/hook", "options": {"pbr": False}},
    {"kind": "text-to-image", "options": {"steps": 20}},
)
CLIENTS = {"httpx", "httpcore", "h11", "requests", "aiohttp", "standardwebhooks"}
SERVER = """
import json, sys
from functions.api.handler import handler
from shared import wiring
from tests.functions.gateway import Context, event
wiring.current()
before = set(sys.modules)
headers = {"content-type": %(content_type)r, "authorization": "Bearer a-key-of-sixteen-characters"}
answers = [
    handler(event("POST", "/api/v1/jobs", headers=headers, body=body), Context())["statusCode"]
    for body in %(bodies)r
]
after = {name for name, module in sys.modules.items() if module}
print()
print(json.dumps([answers, sorted(after), sorted(after - before)]))
"""


def created(folder: Path, database_url: str, content_type: str, *bodies: bytes) -> Any:
    """Creates in a fresh process: their status, all modules, and those that they brought along."""
    settings = {
        **environment(),
        "MAQUETTE_STAGE": "local",
        "MAQUETTE_STORE_URL": database_url,
        "MAQUETTE_BUCKET_URL": f"file://{folder / 'bucket'}",
        "MAQUETTE_WAKE_URL": "",
        "MAQUETTE_METRICS": "off",
        "MAQUETTE_LINK_SECRET": LINK_SECRET,
        "QWEN_IMAGE_BASE_URL": "http://127.0.0.1:1",
    }
    code = SERVER % {"content_type": content_type, "bodies": bodies}
    ran = subprocess.run(
        [sys.executable, "-c", code], env=settings, capture_output=True, text=True, check=True
    )
    return json.loads(ran.stdout.strip().splitlines()[-1])


def test_the_first_creates_import_no_http_client(tmp_path: Path, database_url: str) -> None:
    bodies = [json.dumps({"prompt": "a chair", **asked}).encode() for asked in REQUESTS]
    answers, modules, brought = created(tmp_path, database_url, "application/json", *bodies)
    assert answers == [202, 202]
    assert not CLIENTS & {name.partition(".")[0] for name in modules}
    assert not [name for name in modules if re.fullmatch(r"shared\.providers\..*\.adapter", name)]
    # anyio's, which Starlette asks for by its first request, and a codec.
    assert len(brought) <= 30, brought


def test_the_first_create_with_a_picture_imports_what_reads_it_and_no_http_client(
    tmp_path: Path, database_url: str
) -> None:
    body = (
        b'--x\r\ncontent-disposition: form-data; name="kind"\r\n\r\nimage-to-3d\r\n'
        b'--x\r\ncontent-disposition: form-data; name="image"; filename="a.jpg"\r\n'
        b"content-type: image/jpeg\r\n\r\n" + picture("JPEG") + b"\r\n--x--\r\n"
    )
    kind = "multipart/form-data; boundary=x"
    answers, modules, _ = created(tmp_path, database_url, kind, body)
    assert answers == [202]
    assert "PIL" in modules
    assert not CLIENTS & {name.partition(".")[0] for name in modules}
