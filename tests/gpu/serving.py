"""A process that serves a fake engine; its standard input says how many steps it may make.

python tests/gpu/serving.py STATE GRACE_SECONDS
"""

from __future__ import annotations

import sys
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from gpu_inference.http.app import serve
from tests.gpu.fake_engine import FakeEngine
from tests.gpu.servers import settings


def main() -> int:
    state, grace = sys.argv[1:]
    engine = FakeEngine()
    engine.hold()

    def obey() -> None:
        for line in sys.stdin:
            if line.strip() == "release":
                engine.release()
            else:
                engine.let(int(line))

    threading.Thread(target=obey, daemon=True).start()
    config = settings(Path(state), grace_seconds=float(grace), port=0)
    return serve(config, engine, on_ready=lambda url: print(url, flush=True))


if __name__ == "__main__":
    sys.exit(main())
