"""Under load, over the fake engine: every caller is answered rightly, and memory stays flat."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from PIL import Image

from gpu_inference.work.protocol import Spec
from tests.gpu.fake_engine import FakeEngine, picture
from tests.gpu.servers import Running, running, settings, until
from tests.gpu.siege import Siege, body

GROWTH = 8 * 2**20
"""Bytes; what the allocator may keep of 300 requests."""


def same(spec: Spec, image: Image.Image) -> bool:
    return image.tobytes() == picture(spec).tobytes()


def resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def test_sixty_four_at_once_are_each_answered_rightly(tmp_path: Path) -> None:
    fake = FakeEngine()
    fake.hold()
    with running(settings(tmp_path, queue_size=256), fake) as server:

        def all_asked() -> None:
            # The engine stands still until the cancels are through, so that each finds its job.
            until(
                lambda: server.http.get("/metrics").text,
                lambda text: 'ended_total{outcome="canceled"} ' in text and _canceled(text) >= 16,
            )
            fake.release()

        Siege(server, same, all_asked).run()
        assert _canceled(server.http.get("/metrics").text) >= 16
        assert len(fake.threads) == 1
        # Batches did form.
        assert max(len(batch) for batch in fake.batches) == 4


def test_memory_is_flat_over_three_hundred_requests(tmp_path: Path) -> None:
    with running(settings(tmp_path), FakeEngine()) as server:
        _ask(server, 100)
        before = resident()
        _ask(server, 300)
        assert resident() - before < GROWTH


def _ask(server: Running, count: int) -> None:
    def one(number: int) -> int:
        return server.http.post("/text-to-image", json=body(number)).status_code

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(one, range(count))) == {200}


def _canceled(text: str) -> int:
    [line] = [one for one in text.splitlines() if 'ended_total{outcome="canceled"}' in one]
    return int(float(line.split()[-1]))
