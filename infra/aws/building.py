"""`sam build` for one Python and one kind of processor: the same in the template and the packages.

用 SAM 构建部署包。
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from infra.paths import ROOT

SAM = ROOT / ".venv-sam" / "bin" / "sam"
"""`use_tool sam` in the scripts makes it."""

RUNTIME = f"python{sys.version_info[0]}.{sys.version_info[1]}"
"""The running Python, by the name Lambda gives it."""

ARCHITECTURE = "arm64"
"""The processor, where nothing else is said: the template's default."""


class BuildError(Exception):
    """The build failed; the message is what SAM said.

    构建失败。
    """


def build(
    folder: Path,
    *,
    runtime: str = RUNTIME,
    architecture: str = ARCHITECTURE,
    python: str | None = None,
) -> Path:
    """Build everything template.yaml describes into `folder`, and return the built template.

    `python` is a Python of the runtime's version that compiles the bytecode: by default the one
    running, or the one of that name. What was built before is built anew: a change to the code
    does not show in what SAM compares. Raises `BuildError`.

    构建全部函数和依赖层。
    """
    if not SAM.exists():
        raise BuildError("SAM is not installed; ./scripts/deploy aws installs it")
    compiler = python or (sys.executable if runtime == RUNTIME else runtime)
    command = [str(SAM), "build", "--template", str(ROOT / "template.yaml")]
    command += ["--config-file", str(ROOT / "samconfig.toml"), "--build-dir", str(folder)]
    command += ["--parameter-overrides", f"PythonRuntime={runtime}", f"Architecture={architecture}"]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=_environ(runtime, architecture, compiler),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        raise BuildError(done.stdout)
    return folder / "template.yaml"


def _environ(runtime: str, architecture: str, python: str) -> Mapping[str, str]:
    """SAM tells a Makefile nothing of the parameters."""
    return {
        **os.environ,
        "BUILD_RUNTIME": runtime,
        "BUILD_ARCHITECTURE": architecture,
        "BUILD_PYTHON": python,
        "SAM_CLI_TELEMETRY": "0",
    }
