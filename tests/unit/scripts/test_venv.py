"""What the scripts do before they start anything: an environment, told as it is made, and never at
the cost of somebody else's.

测试脚本准备虚拟环境的过程。
"""

from __future__ import annotations

import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from infra.paths import ROOT

FAKE = r"""#!/usr/bin/env bash
# A Python of which the scripts need just this much.
case "$*" in
  *"-m venv "*) folder=${@: -1}; mkdir -p "$folder/bin"; cp "$FAKE" "$folder/bin/python" ;;
  *"-m pip install "*)
    echo "Collecting rich"
    echo "Downloading torch (900 MB)"
    [[ -z ${FIFO:-} ]] || read -r _ <"$FIFO"
    [[ -z ${FAILS:-} ]] || { echo "ERROR: No matching distribution found for rich"; exit 1; } ;;
  *"import pip"*) [[ -z ${NO_PIP:-} ]] ;;
  *"print("*) echo "${VERSION:-3.11}" ;;
  *"assert sys.version_info"*) [[ ${VERSION:-3.11} != 3.8 ]] ;;
  *"__import__"*) echo "started ${@: -2:1} ${@: -1}" ;;
esac
"""

REQUIREMENTS = (
    "requirements.txt",
    "shared/requirements.txt",
    "shared/tencent/requirements.txt",
    "functions/api/requirements.txt",
    "functions/api/requirements-web.txt",
    "infra/local/requirements.txt",
)


@pytest.fixture
def checkout() -> Iterator[Path]:
    # Not in pytest's own folder, which nobody else may enter.
    folder = Path(tempfile.mkdtemp(prefix="maquette-checkout-"))
    folder.chmod(0o755)
    (folder / "scripts").mkdir()
    for name in ("_venv", "run"):
        shutil.copy(ROOT / "scripts" / name, folder / "scripts" / name)
    for name in REQUIREMENTS:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("rich\n")
    (folder / "bin").mkdir()
    for name in ("python3", "python3.13", "python3.12", "python3.11", "python3.10"):
        (folder / "bin" / name).write_text(FAKE)
        (folder / "bin" / name).chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def environ(checkout: Path, **more: str) -> dict[str, str]:
    fake = checkout / "bin"
    # No home: there uv, where it is installed, is not used.
    return {"PATH": f"{fake}:/usr/bin:/bin", "FAKE": str(fake / "python3"), "TERM": "xterm", **more}


def run(
    checkout: Path,
    *before: str,
    script: Path | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*before, str(script or checkout / "scripts" / "run"), "a chair"],
        env=environ(checkout) if env is None else env,
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=60,
    )


STARTED = "started infra.local.cli.run a chair\n"


def test_the_first_run_installs_and_says_so_and_the_next_one_only_starts(checkout: Path) -> None:
    first = run(checkout)
    assert (first.returncode, first.stdout) == (0, STARTED), first.stderr
    assert "Installing the packages" in first.stderr
    assert "done once" in first.stderr
    assert not (checkout / ".venv" / ".install.log").exists()
    second = run(checkout)
    assert (second.returncode, second.stdout, second.stderr) == (0, STARTED, "")


@pytest.mark.parametrize("name", REQUIREMENTS)
def test_what_a_requirements_file_says_anew_is_installed(checkout: Path, name: str) -> None:
    run(checkout)
    (checkout / name).write_text("rich\nmarkdown\n")
    again = run(checkout)
    assert (again.returncode, again.stdout) == (0, STARTED), again.stderr
    assert "Installing the packages" in again.stderr
    assert run(checkout).stderr == ""


def test_a_script_works_through_symbolic_links(checkout: Path, tmp_path: Path) -> None:
    run(checkout)
    (tmp_path / "far").symlink_to(checkout / "scripts" / "run")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "maquette").symlink_to("../far")
    for cwd in (tmp_path, tmp_path / "bin"):
        ran = run(checkout, script=tmp_path / "bin" / "maquette", cwd=cwd)
        assert (ran.returncode, ran.stdout, ran.stderr) == (0, STARTED, "")


def test_every_script_finds_its_checkout_through_a_link() -> None:
    own = 'source "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")/'
    scripts = [path for path in (ROOT / "scripts").rglob("*") if path.is_file()]
    for script in scripts:
        text = script.read_text() if script.suffix == "" and script.name != "_venv" else ""
        assert text.count("BASH_SOURCE") == text.count(own), script
    assert sum(own in script.read_text() for script in scripts if script.suffix == "") >= 9


@pytest.mark.timeout(60)
def test_installing_shows_that_it_moves(checkout: Path) -> None:
    fifo = checkout / "fifo"
    os.mkfifo(fifo)
    master, slave = pty.openpty()
    env = environ(checkout, FIFO=str(fifo))
    script = str(checkout / "scripts" / "run")
    with subprocess.Popen(
        [script, "a chair"], env=env, stderr=slave, stdout=subprocess.PIPE, text=True
    ) as process:
        os.close(slave)
        said = b""
        # What is being done, and for how long, though the installer says nothing more meanwhile.
        while len(set(re.findall(rb"\d+:\d\d Downloading torch \(900 MB\)", said))) < 2:
            said += os.read(master, 4096)
        fifo.write_text("go on\n")
        assert process.communicate(timeout=30)[0] == STARTED
    os.close(master)
    assert b"\r\x1b[K  " in said  # in one line
    assert b"\n  " not in said
    assert process.returncode == 0


@pytest.mark.timeout(60)
def test_ctrl_c_while_installing_is_told_as_that_and_costs_nothing(checkout: Path) -> None:
    fifo = checkout / "fifo"
    os.mkfifo(fifo)
    process = subprocess.Popen(
        [str(checkout / "scripts" / "run"), "a chair"],
        env=environ(checkout, FIFO=str(fifo)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    with fifo.open("w"):  # it can be opened once the installer has come to it
        os.killpg(process.pid, signal.SIGINT)
        output, said = process.communicate(timeout=30)
    assert (process.returncode, output) == (130, "")
    assert said.endswith(
        "Stopped while packages were being installed; the next run does it again.\n"
    )
    assert "network" not in said
    again = run(checkout)
    assert (again.returncode, again.stdout) == (0, STARTED), again.stderr
    assert "not made by these scripts" not in again.stderr


def test_an_installation_that_fails_says_why(checkout: Path) -> None:
    ran = run(checkout, env=environ(checkout, FAILS="yes"))
    assert (ran.returncode, ran.stdout) == (1, "")
    assert "ERROR: No matching distribution found for rich" in ran.stderr
    assert run(checkout).stdout == STARTED


def test_a_checkout_that_is_read_only_is_told_as_that(checkout: Path) -> None:
    before = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]
    if os.geteuid() != 0:
        before = []
        checkout.chmod(0o555)
    elif shutil.which("setpriv") is None:
        pytest.skip("needs setpriv (util-linux) to be somebody else than root")
    try:
        ran = run(checkout, *before)
    finally:
        checkout.chmod(0o755)
    assert (ran.returncode, ran.stdout) == (1, "")
    assert f"{checkout} is read-only for you" in ran.stderr
    assert "python3-venv" not in ran.stderr
    # With an environment that is there already nothing is written.
    run(checkout)
    assert run(checkout, *before).stdout == STARTED


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ("no python", "there is no bin/python in it that runs"),
        ("old", "its Python is 3.8, not 3.10 or newer"),
        ("no pip", "it has no pip"),
        ("a file", "there is no bin/python in it that runs"),
    ],
)
def test_a_venv_of_somebody_else_s_that_cannot_be_used_is_left_alone(
    fault: str, told: str, checkout: Path
) -> None:
    venv = checkout / ".venv"
    env = environ(checkout, **{"old": {"VERSION": "3.8"}, "no pip": {"NO_PIP": "1"}}.get(fault, {}))
    if fault == "a file":
        venv.write_text("notes")
    else:
        (venv / "bin").mkdir(parents=True)
        (venv / "precious").touch()
        if fault != "no python":
            shutil.copy(checkout / "bin" / "python3", venv / "bin" / "python")
    ran = run(checkout, env=env)
    assert (ran.returncode, ran.stdout) == (1, "")
    assert f".venv was not made by these scripts, and they cannot use it: {told}." in ran.stderr
    assert "mv .venv .venv-before" in ran.stderr
    assert venv.read_text() == "notes" if fault == "a file" else (venv / "precious").exists()
    venv.rename(checkout / ".venv-before")
    assert run(checkout).stdout == STARTED


def test_a_venv_of_somebody_else_s_that_can_be_used_is_used_and_that_is_said(
    checkout: Path,
) -> None:
    (checkout / ".venv" / "bin").mkdir(parents=True)
    shutil.copy(checkout / "bin" / "python3", checkout / ".venv" / "bin" / "python")
    (checkout / ".venv" / "precious").touch()
    ran = run(checkout)
    assert ran.stdout == STARTED
    assert "not made by these scripts; it can be used" in ran.stderr
    assert (checkout / ".venv" / "precious").exists()
    assert run(checkout).stderr == ""


def test_one_s_own_that_is_broken_is_made_anew(checkout: Path) -> None:
    run(checkout)
    (checkout / ".venv" / "bin" / "python").write_text("#!/no/such/python\n")
    ran = run(checkout)
    assert (ran.returncode, ran.stdout) == (0, STARTED), ran.stderr


def test_the_scripts_use_only_what_is_defined() -> None:
    """One file defines what several call; the shell misses a name only when it comes to it."""
    defined = set(re.findall(r"^(\w+)\(\)", (ROOT / "scripts" / "_venv").read_text(), re.MULTILINE))
    for script in ("run", "serve", "test", "check", "prove", "deploy"):
        text = (ROOT / "scripts" / script).read_text()
        used = set(re.findall(r"^ *(use_\w+|start)\b", text, re.MULTILINE))
        assert used, script
        assert used <= defined, script


def test_ctrl_c_before_anything_was_begun_is_no_traceback(tmp_path: Path) -> None:
    (tmp_path / "interrupted.py").write_text("raise KeyboardInterrupt\n")
    # The scripts' own way to start a module, with a Python and a checkout of the test's.
    code = 'source "$1"/scripts/_venv; root=$2 python=$3; start interrupted'
    told = ["bash", "-c", code, "bash", str(ROOT), str(tmp_path), sys.executable]
    ran = subprocess.run(told, capture_output=True, text=True, timeout=60)
    assert (ran.returncode, ran.stdout, ran.stderr) == (130, "", "")


def test_a_reader_that_leaves_early_is_no_failed_start() -> None:
    code = "import sys; from infra.local.cloud.command import reporting\n"
    code += "sys.exit(reporting(lambda: print('x' * 1_000_000)))"
    reading, writing = os.pipe()
    os.close(reading)
    told = [sys.executable, "-c", code]
    ran = subprocess.run(told, cwd=ROOT, stdout=writing, stderr=subprocess.PIPE, timeout=60)
    os.close(writing)
    assert (ran.returncode, ran.stderr) == (128 + signal.SIGPIPE, b"")


@pytest.mark.parametrize("installs", [True, False])
@pytest.mark.parametrize(
    ("use", "program", "package"),
    [
        ("use_chromium", "chromium", "chromium"),
        ("use_mariadb", "mariadbd", "mariadb-client-core"),
    ],
)
def test_what_debian_has_is_installed_where_it_may_be_and_its_absence_is_told(
    tmp_path: Path, installs: bool, use: str, program: str, package: str
) -> None:
    asked = tmp_path / "asked"
    programs = {
        "apt-get": f'echo "$*" >>"{asked}"; [[ $1 == update || {installs:d} == 1 ]]',
        "sudo": 'shift; "$@"',
        "env": 'shift; "$@"',
        "true": "exit 0",
    }
    for name, text in programs.items():
        (tmp_path / name).write_text(f"#!{shutil.which('bash')}\n{text}\n")
        (tmp_path / name).chmod(0o755)
    command = f'source "{ROOT}/scripts/_venv"; sbin=/nowhere PATH={tmp_path}; {use}'
    environ = {name: value for name, value in os.environ.items() if "MAQUETTE" not in name}
    told = {"capture_output": True, "text": True, "timeout": 60, "env": environ}
    done = subprocess.run(["bash", "-c", command], **told)
    assert done.returncode == 0
    last = asked.read_text().splitlines()[-1].split()
    assert (last[0], last[-1]) == ("install", package)
    assert ("WITHOUT " in done.stderr) is not installs
    # Where it is there already, nobody is asked.
    asked.unlink()
    (tmp_path / program).write_text("")
    (tmp_path / program).chmod(0o755)
    done = subprocess.run(["bash", "-c", command], **told)
    assert (done.returncode, done.stderr, asked.exists()) == (0, "", False)
