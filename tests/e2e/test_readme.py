"""Both guides are true: every block is run as it stands, and what it shows is what comes.

说明文档中的每个代码块都按原样运行。
"""

from __future__ import annotations

import itertools
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from PIL import Image

from infra.local.standins.qwen_service import QwenService
from infra.paths import ROOT
from tests.local import environment, processes, until
from tests.readme import Block, blocks, differences
from tests.receivers import Receiver

GUIDES = ["README.md", "README.zh-CN.md"]
PATIENCE = 240.0

CURL = f"""#!{sys.executable}
# curl, which asks again while something is not ready yet, and notes what came of each request.
import json, subprocess, sys, time
asked = sys.argv[1:]
for _ in range(200):
    ran = subprocess.run([{shutil.which("curl")!r}, "-w", "%{{stderr}}\\n%{{http_code}}", *asked],
                         capture_output=True)
    code = int(ran.stderr.split()[-1])
    # A picture that was not made within the wait is a job as yet.
    if code not in (409, 503) and not (code == 202 and "-o" in asked):
        break
    time.sleep(0.2)
with open("asked.jsonl", "a") as log:
    log.write(json.dumps([code, asked, ran.stdout.decode(errors="replace")[:2000]]) + "\\n")
sys.stdout.buffer.write(ran.stdout)
"""


@pytest.fixture(scope="module")
def installed() -> None:
    """The environment as the scripts want it, whoever started the tests: that is said elsewhere."""
    subprocess.run([ROOT / "scripts" / "run", "--help"], check=True, capture_output=True)


@pytest.fixture
def folder(tmp_path: Path, installed: None) -> Path:
    """Where somebody stands who has just fetched Maquette: scripts beside, pictures at hand."""
    (tmp_path / "scripts").symlink_to(ROOT / "scripts")
    for name in ("photo", "front", "back"):
        Image.new("RGB", (96, 64), "brown").save(tmp_path / f"{name}.jpg")
    return tmp_path


def env_of(folder: Path, **more: str) -> dict[str, str]:
    return environment(folder / ".maquette", **more)


def all_of(guide: str, begins: str) -> Block:
    (found,) = (one for one in blocks(guide) if one.command.startswith(begins))
    return found


def shown(command: str, folder: Path) -> list[str]:
    """All that a command shows, as on a terminal that is no terminal; it has to succeed."""
    ran = subprocess.run(
        ["bash", "-c", f"{command} 2>&1"],
        cwd=folder,
        env=env_of(folder),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert ran.returncode == 0, ran.stdout
    return ran.stdout.splitlines()


@pytest.mark.parametrize("guide", GUIDES)
def test_every_block_is_one_of_those_run_here(guide: str) -> None:
    kinds = [one.command.split(" ")[0:2] or one.language for one in blocks(guide)]
    assert [one.language for one in blocks(guide)] == [*["console"] * 4, "sh", ""]
    assert kinds[:4] == [
        ["./scripts/run", kinds[0][1]],
        ["./scripts/serve"],
        ["./scripts/run", "--cloud"],
        ["./scripts/deploy", "aws"],
    ]


@pytest.mark.parametrize("guide", GUIDES)
def test_the_first_command_makes_a_model_and_shows_what_the_guide_shows(
    guide: str, folder: Path
) -> None:
    (block, *_) = blocks(guide)
    seen = shown(block.command, folder)
    assert differences(block.output, seen) == [], seen
    # Nothing else either, but for what a machine under load may have to say.
    plain = [line for line in seen if not re.match(r"\d\d:\d\d:\d\d WARNING", line)]
    assert differences(plain, block.output) == [], seen
    (path,) = (line for line in seen if line.endswith(".glb"))
    assert (folder / path).read_bytes().startswith(b"glTF")
    home = folder / ".maquette"
    assert (folder / path).stat().st_nlink == 2  # it is the bucket's file, and no copy
    assert (home / "secrets.json").stat().st_mode & 0o777 == 0o600
    assert not any("\x1b" in line for line in seen)
    assert processes(home) == {}


def bare(text: str) -> list[str]:
    """What a block does, without what differs by the reader's language: comments and prompts."""
    lines = [re.sub(r"(^|\s+)# .*", "", line) for line in text.splitlines()]
    prompt = re.compile(r'(prompt"?[:=] ?|scripts/run .*?)"[^"]*"')
    return [prompt.sub(r"\1…", line) for line in lines if line]


def test_the_guides_ask_for_the_same_so_that_the_longer_blocks_are_run_once() -> None:
    english, chinese = map(blocks, GUIDES)
    for mine, theirs in zip(english[:-1], chinese[:-1], strict=True):
        assert bare(mine.command) == bare(theirs.command)
        assert mine.language != "sh" or bare(mine.text) == bare(theirs.text)
    cloud = all_of(GUIDES[1], "./scripts/run --cloud")
    assert differences(cloud.output, all_of(GUIDES[0], "./scripts/run --cloud").output) == []


@pytest.mark.timeout(PATIENCE + 30)
def test_the_same_on_an_emulated_aws(folder: Path) -> None:
    block = all_of("README.md", "./scripts/run --cloud")
    seen = shown(block.command, folder)
    assert differences(block.output, seen) == [], seen
    (path,) = (line for line in seen if line.endswith(".glb"))
    assert (folder / path).read_bytes().startswith(b"glTF")
    assert processes(folder / ".maquette") == {}


@pytest.mark.parametrize("guide", GUIDES)
def test_the_command_that_deploys_asks_before_it_does(guide: str, folder: Path) -> None:
    ran = subprocess.run(
        ["bash", "-c", all_of(guide, "./scripts/deploy").command],
        cwd=folder,
        env={**env_of(folder), "AWS_EC2_METADATA_DISABLED": "true"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    # Its flags are taken; but to change an account it wants somebody who agrees.
    assert "nobody is there to agree to the changes" in ran.stderr
    assert ran.returncode != 0


@contextmanager
def served(block: Block, folder: Path, **more: str) -> Iterator[tuple[str, Callable[[], str]]]:
    """The guide's `serve` on a port that the system chooses; its address, and what it says."""
    log = folder / "serve.log"
    with log.open("w") as said:
        process = subprocess.Popen(
            ["bash", "-c", f"exec {block.command} --port 0"],
            cwd=folder,
            env=env_of(folder, **more),
            stdin=subprocess.DEVNULL,
            stderr=said,
        )
    try:
        until(lambda: "Qwen-Image" in log.read_text(), 60)
        match = re.search(r"http://127\.0\.0\.1:\d+", log.read_text())
        assert match is not None
        yield match[0], log.read_text
    finally:
        process.terminate()
        process.wait(30)


@pytest.mark.timeout(PATIENCE + 60)
def test_every_line_of_curl_works_with_the_ids_of_those_before(folder: Path) -> None:
    guide = "README.zh-CN.md"  # whose words are the harder ones for a shell
    (curls,) = (one for one in blocks(guide) if one.language == "sh")
    (folder / "bin").mkdir()
    (folder / "bin" / "curl").write_text(CURL)
    (folder / "bin" / "curl").chmod(0o755)
    serve = all_of(guide, "./scripts/serve")
    with ExitStack() as stack:
        pictures = stack.enter_context(QwenService(seconds=0.2))
        hook = stack.enter_context(Receiver())
        more = {"QWEN_IMAGE_BASE_URL": pictures.url}
        url, said = stack.enter_context(served(serve, folder, **more))
        greeting = [line.partition(pictures.url)[0] for line in said().splitlines()]
        sample = [line.partition("none: ")[0] for line in serve.output]
        assert differences(sample, greeting) == [], greeting
        text = curls.text.replace("http://127.0.0.1:8000", url)
        text = text.replace("http://127.0.0.1:9000", hook.url(""))
        ran = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", text],
            cwd=folder,
            env={**env_of(folder), "PATH": f"{folder / 'bin'}:{os.environ['PATH']}"},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        assert ran.returncode == 0, ran.stderr
        asked = [json.loads(line) for line in (folder / "asked.jsonl").read_text().splitlines()]
        refused = [one for one in asked if not 200 <= one[0] < 300]
        assert refused == []
        assert len(asked) == len(re.findall(r"\bcurl -s", text))
        assert (folder / "chair.glb").read_bytes().startswith(b"glTF")
        assert (folder / "teapot.png").read_bytes().startswith(b"\x89PNG")
        # The job's own webhook, and the one that was sent again.
        assert hook.wait_for(2, 30)
        ids = {seen.headers["webhook-id"] for seen in hook.requests}
        assert len(ids) == 1


@pytest.mark.parametrize("guide", GUIDES)
def test_everything_in_the_tree_of_the_guide_is_there(guide: str) -> None:
    (tree,) = (one for one in blocks(guide) if one.language == "")
    above = Path()
    for line in tree.text.splitlines():
        is_place = re.compile(r"[\w/]+(/|\.py|\.ya?ml)").fullmatch
        names = list(itertools.takewhile(is_place, line.split()))
        assert names, line
        if not line.startswith(" "):
            above = Path()
        for name in names:
            assert (ROOT / above / name).exists(), line
        if not line.startswith(" "):
            above = Path(names[0])


@pytest.mark.parametrize("guide", GUIDES)
def test_every_command_in_a_sentence_is_one_that_there_is(guide: str) -> None:
    text = (ROOT / guide).read_text("utf-8")
    for command in re.findall(r"`(\./scripts/\w+)[^`]*`", text):
        assert os.access(ROOT / command, os.X_OK), command
    for module in re.findall(r"`(scripts\.[\w.]+)[^`]*`", text):
        assert (ROOT / (module.replace(".", "/") + ".py")).is_file(), module
    flags = re.findall(r"`\./scripts/run ([^`]*)`", text)
    assert flags
    for line in flags:
        from infra.local.cli import arguments

        arguments.parser().parse_args(shlex.split(line.replace("\n", " ")))
