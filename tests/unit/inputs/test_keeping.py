"""A model of the largest size is kept in constant memory.

以恒定内存保存大型模型的测试。
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from infra.paths import ROOT

PROGRAM = """
import hashlib, sys
from pathlib import Path
from shared.buckets.folder import FolderBucket
from shared.clock import SystemClock
from shared.inputs.content import ContentRules
from shared.inputs.keeping import InputKeeper, Source
from shared.inputs.media import Media
from tests.model_files import WHOLE, obj, binary_stl

def peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024

name, media_type, size = sys.argv[2], sys.argv[3], int(sys.argv[4])
bucket = FolderBucket(
    Path(sys.argv[1]), base_url="http://localhost", secret=b"s", clock=SystemClock()
)
keeper = InputKeeper(bucket, ContentRules())
facet = binary_stl(1)[84:]

def chunks():
    if name.endswith(".stl"):
        count = (size - 84) // 50
        yield bytes(80) + count.to_bytes(4, "little")
        for first in range(0, count, 20_000):
            yield facet * min(20_000, count - first)
    else:
        yield b"o part\\n" + b"v 0 0 0\\n" * 3
        line = b"vn 0.125 0.25 0.5\\n" * 50_000
        for _ in range((size - 40) // len(line)):
            yield line
        yield b"f 1 2 3\\n"

small = "uploads/0/" + name
bucket.put_stream(small, [obj() if name.endswith("obj") else binary_stl()], media_type=media_type)
keeper.keep_source("warm", "model", Media.MODEL, Source(small, {}))
info = bucket.put_stream("uploads/1/" + name, chunks(), media_type=media_type)
before = peak()
kept = keeper.keep_source("job", "model", Media.MODEL, Source("uploads/1/" + name, {}))
assert kept.bytes == info.bytes
print(info.bytes, peak() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc")
@pytest.mark.parametrize(
    ("name", "media_type"), [("file.stl", "model/stl"), ("file.obj", "model/obj")]
)
def test_a_model_of_150_mib_costs_a_few_mib(tmp_path: Path, name: str, media_type: str) -> None:
    size = 150 << 20
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path / "bucket"), name, media_type, str(size)],
        check=True,
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    found, cost = map(int, run.stdout.split())
    assert size - (2 << 20) < found <= size
    assert cost < 16 << 20
