"""A server beside the bundle: it is kept alive, and one that does not start costs nobody anything.

测试本机服务的启动、重启与状态消息。
"""

from __future__ import annotations

import logging
import queue
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from infra.local.cloud import service_log, standin
from infra.local.cloud.kept_server import Server
from infra.local.cloud.standin import Standin, StandinError
from tests.local import until

ANSWERS = """
import http.server, sys, threading
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(b"{}")
    def log_message(self, *arguments): pass
server = http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
print("listening on http://127.0.0.1:%d" % server.server_port, flush=True)
sys.stdin.read()
"""
LACKS_A_PACKAGE = "import no_such_package_of_pictures"


def server(script: str, **more: object) -> Server:
    def command(home: Path, port: int) -> list[str]:
        return [sys.executable, "-c", script, str(port)]

    return Server("pictures", "the picture service", command, log="pictures.log", **more)  # type: ignore[arg-type]


@contextmanager
def kept(home: Path, made: Server) -> Iterator[Standin]:
    one = Standin(home, made)
    try:
        yield one
    finally:
        one.close()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standin, "_PAUSES", (0.01, 0.04))


def test_its_address_is_known_before_it_answers_and_stays_the_same(tmp_path: Path) -> None:
    with kept(tmp_path, server(ANSWERS)) as one:
        address = one.settle()
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+", address)
        one.start()
        assert one.url() == address == one.settle()
    # The next one on this folder has the same address, though nobody holds it now.
    with kept(tmp_path, server(ANSWERS)) as next_one:
        assert next_one.settle() == address


def test_whoever_comes_second_is_told_what_the_keeper_has_settled(tmp_path: Path) -> None:
    with kept(tmp_path, server(LACKS_A_PACKAGE)) as one:
        address = one.settle()
        one.start()
        with kept(tmp_path, server(LACKS_A_PACKAGE)) as other:
            assert other.settle() == address


@pytest.mark.usefixtures("quick")
def test_one_that_does_not_start_is_tried_again_after_ever_longer_pauses(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made = server(LACKS_A_PACKAGE)
    with caplog.at_level(logging.WARNING, "maquette.local"), kept(tmp_path, made) as one:
        one.start()
        until(lambda: len(caplog.messages) >= 4)
    missing = "ModuleNotFoundError: No module named 'no_such_package_of_pictures'"
    assert caplog.messages[:4] == [
        f"the picture service ended: {missing}; it is started again in {pause} s"
        for pause in ("0.01", "0.02", "0.04", "0.04")
    ]


@pytest.mark.usefixtures("quick")
def test_what_keeps_it_from_working_is_told_with_what_to_do(tmp_path: Path) -> None:
    news: queue.Queue[str | None] = queue.Queue()
    made = server(LACKS_A_PACKAGE, remedy=lambda why: f"install {why[-9:]} anew")
    with kept(tmp_path, made) as one:
        one.start()
        with pytest.raises(StandinError, match=r"No module named .*; install pictures' anew"):
            one.url()
        one.tell(news.put)  # what was known before is told as well
        said = news.get(timeout=10)
    assert said is not None
    assert said.startswith("the picture service does not start: ModuleNotFoundError: ")
    assert said.endswith("; install pictures' anew")


@pytest.mark.usefixtures("quick")
def test_what_is_missing_is_looked_for_again_and_it_starts_once_all_is_there(
    tmp_path: Path,
) -> None:
    news: queue.Queue[str | None] = queue.Queue()
    installed: list[str] = []

    def lacks() -> str | None:
        return None if installed else "it is installed in part only"

    with kept(tmp_path, server(ANSWERS, lacks=lacks)) as one:
        one.tell(news.put)
        address = one.settle()
        one.start()
        told = "the picture service does not start: it is installed in part only"
        assert news.get(timeout=10) == told
        installed.append("all of it")
        while (said := news.get(timeout=10)) == told:
            pass
        assert said is None
        assert one.url() == address


@pytest.mark.usefixtures("quick")
def test_one_that_cannot_even_be_run_is_told_as_that(tmp_path: Path) -> None:
    broken = tmp_path / "python"
    broken.write_text("neither a program nor a script")
    made = Server("pictures", "the picture service", lambda home, port: [str(broken)])
    with kept(tmp_path, made) as one:
        one.start()
        with pytest.raises(StandinError, match="Permission denied"):
            one.url()


@pytest.mark.usefixtures("quick")
def test_one_that_is_killed_is_started_again_at_the_same_address(tmp_path: Path) -> None:
    news: queue.Queue[str | None] = queue.Queue()
    with kept(tmp_path, server(ANSWERS)) as one:
        one.tell(news.put)
        one.start()
        address = one.url()
        assert news.get(timeout=10) is None
        one.kill()
        trouble = news.get(timeout=10)
        assert trouble is not None
        assert "exit status -9" in trouble
        assert news.get(timeout=10) is None
        assert one.url() == address


def test_its_log_does_not_grow_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pictures.log").write_text("x" * 200 + "\n")
    monkeypatch.setattr(service_log, "LARGEST", 100)
    with kept(tmp_path, server(ANSWERS)) as one:
        one.start()
        one.url()
        assert (tmp_path / "pictures.log").stat().st_size == 0


@pytest.mark.usefixtures("quick")
def test_the_error_is_told_and_not_what_was_said_after_it(tmp_path: Path) -> None:
    script = (
        "import sys; print('RuntimeError: no such model\\n  <no Python frame>', file=sys.stderr)\n"
        "sys.exit(1)"
    )
    with kept(tmp_path, server(script)) as one:
        one.start()
        with pytest.raises(StandinError, match="RuntimeError: no such model"):
            one.url()
