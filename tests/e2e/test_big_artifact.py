"""A file of 256 MB goes from the provider, or from the web, to the bucket in constant memory.

Run as a program, this module is both sides: `serve` gives the file, `store` and `fetch` carry that
step of a job and say what it took.

测试大文件在恒定内存中从生成服务或网络复制到存储。
"""

from __future__ import annotations

import hashlib
import json
import resource
import subprocess
import sys
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from infra.paths import ROOT

SIZE = 256 * 2**20
MOST = 64 * 2**20
PROGRAM = (sys.executable, "-m", "tests.e2e.test_big_artifact")
_PIECE = 1 << 20


def piece(number: int) -> bytes:
    """The file's mebibytes; all of them different."""
    return number.to_bytes(8, "big") * (_PIECE // 8)


def expected() -> str:
    digest = hashlib.sha256()
    for number in range(SIZE // _PIECE):
        digest.update(piece(number))
    return digest.hexdigest()


@pytest.mark.parametrize(("step", "status"), [("store", "processing"), ("fetch", "queued")])
def test_a_file_of_256_megabytes_costs_less_than_64_of_memory(
    tmp_path: Path, step: str, status: str
) -> None:
    server = subprocess.Popen(
        [*PROGRAM, "serve"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert server.stdout is not None
        url = server.stdout.readline().strip()
        command = [*PROGRAM, step, url, str(tmp_path)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
    finally:
        server.kill()
        server.communicate()
        big = [path for path in (tmp_path / "bucket").rglob("*") if path.is_file()]
        sizes = [path.stat().st_size for path in big]
        for path in big:
            path.unlink()
    said = json.loads(done.stdout)
    assert sizes == [SIZE], "one whole object, and nothing left beside it"
    assert (said["status"], said["bytes"], said["sha256"]) == (status, SIZE, expected())
    assert said["woken"] == ["postprocess"]
    assert said["after"] - said["before"] < MOST, said


def serve() -> None:
    """Give the file to whoever asks, until stdin ends."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "application/octet-stream")
            self.send_header("Content-Length", str(SIZE))
            self.end_headers()
            for number in range(SIZE // _PIECE):
                self.wfile.write(piece(number))

        def log_message(self, *_: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    print(f"http://127.0.0.1:{server.server_address[1]}", flush=True)
    server.serve_forever()


def carry(step: str, url: str, folder: Path) -> None:
    """Carry the step of a job whose result, or whose input, lies at `url`, and measure."""
    from infra.migrations.migrate import upgrade
    from shared.buckets.folder import FolderBucket
    from shared.clock import Deadline, SystemClock, new_id
    from shared.inputs.content import ContentRules
    from shared.inputs.fetch import WebFetcher
    from shared.inputs.keeping import InputKeeper
    from shared.inputs.media import Media
    from shared.inputs.remote import RemoteInput
    from shared.jobs.kinds import KINDS, Kind
    from shared.jobs.model import Job, JobInput, ResultFile, Status
    from shared.jobs.policy import Policy
    from shared.jobs.ports import Ports
    from shared.jobs.presentation import event_at_end
    from shared.jobs.repository import JobRepository
    from shared.jobs.rests import Rests
    from shared.jobs.steps import advance
    from shared.links import Links
    from shared.notices import Notices
    from shared.outbound.url_policy import Policy as UrlPolicy
    from shared.providers.guarded import Guarded
    from shared.providers.tripo.adapter import Tripo
    from shared.providers.tripo.declaration import TRIPO
    from shared.store.sql.store import SqlStore
    from tests.credentials import keys

    clock = SystemClock()
    database = f"sqlite:///{folder / 'maquette.db'}"
    upgrade(database)
    store, links = SqlStore(database), Links("http://localhost", b"s")
    bucket = FolderBucket(folder / "bucket", base_url="http://localhost", secret=b"s", clock=clock)
    credentials = keys("tripo", main="tsk_test")
    made = Tripo(credentials=credentials, base_url=url, clock=clock)
    tripo = Guarded(TRIPO, lambda: made, credentials, clock)
    jobs = JobRepository(store, (event_at_end(links, lambda: new_id(clock)),))
    woken: list[str] = []
    rests, notices = Rests(store, clock), Notices(store, clock)
    outside = (bucket, {"tripo": tripo}, credentials, clock, Policy(), woken.append)
    rules, here = ContentRules(model_bytes=SIZE), UrlPolicy(stage_is_local=True)
    inputs = (lambda: InputKeeper(bucket, rules), lambda: WebFetcher(here))
    ports = Ports(jobs, *outside, rests, notices, *inputs)
    now = clock.now()
    file = ResultFile("model", f"{url}/model.glb?signature=x", "model/gltf-binary")
    KINDS["remodel-3d"] = Kind("remodel-3d", False, {"model": Media.MODEL}, ("model",), 1)
    asked = JobInput(urls={"model": RemoteInput(url)}) if step == "fetch" else JobInput("a chair")
    fresh = Job(new_id(clock), "remodel-3d", "tripo", "shop", now, asked)
    job = replace(fresh, entered_at=now, due_at=now)
    if step == "store":
        job = replace(job, status=Status.STORING, task_id="t", files=(file,))
    claimed = replace(jobs.create(job, None), claims=1)
    before = peak()
    advance(ports, claimed, Deadline.after(60))
    after = peak()
    done = jobs.get(job.id)
    assert done is not None
    made.close()
    store.close()
    stored = done.files[0] if step == "store" else done.input.urls["model"]
    kept = {"status": done.status.value, "bytes": stored.bytes, "woken": woken}
    print(json.dumps({**kept, "sha256": stored.sha256, "before": before, "after": after}))


def peak() -> int:
    """The most bytes of memory this process has held so far.

    Linux counts into `ru_maxrss` what the parent held before this program was started, which
    would hide a rise; its own account of this program does not.
    """
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve()
    else:
        carry(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
