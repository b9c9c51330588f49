"""What `sam build` makes of the checkout: each function's own code, its layer, bytecode, sizes."""

from __future__ import annotations

import importlib.util
import marshal
import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.aws import template
from infra.aws.build import pack
from infra.aws.building import RUNTIME, BuildError, build
from infra.paths import ROOT

LAYER_OF = {name: layer for layer, names in pack.LAYERS.items() for name in names}
LIMIT = 250 * 2**20
"""Bytes of a function and its layers, unzipped (AWS, "Lambda quotas")."""
UNCHECKED_HASH = 0b01
"""The flags of bytecode that is never compared with its source (PEP 552)."""
ALSO = {
    "postprocess": "shared.artifacts.render.preview, shared.artifacts.gltf.measure, "
    "shared.jobs.steps.process"
}
"""What a function imports only once there is work."""
ELF_MACHINES = {"aarch64": 183, "x86_64": 62}

every_function = pytest.mark.parametrize("name", sorted(LAYER_OF))


def files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file())


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in files(folder))


@every_function
def test_a_function_holds_its_own_code_and_what_is_shared(built: Path, name: str) -> None:
    folder = built / name.capitalize()
    found = {path.relative_to(folder) for path in files(folder) if path.suffix != ".pyc"}
    source = ROOT / "functions" / name
    # Besides its code, only the api has files: those of the documentation page.
    own = [path for path in files(source) if path.suffix != ".pyc" and path.parent != source]
    own += [ROOT / "functions" / "__init__.py", *source.glob("*.py")]
    own += (ROOT / "shared").rglob("*.py")
    assert found == {path.relative_to(ROOT) for path in own}
    assert name == "api" or {path.suffix for path in found} == {".py"}


@pytest.mark.parametrize(
    ("resource", "place"),
    [
        *((name.capitalize(), "/var/task") for name in sorted(LAYER_OF)),
        *((layer, "/opt") for layer in sorted(pack.LAYERS)),
    ],
)
def test_every_module_has_bytecode_that_lambda_will_use(
    built: Path, resource: str, place: str
) -> None:
    folder = built / resource
    modules = [path for path in files(folder) if path.suffix == ".py"]
    assert modules
    for path in modules:
        compiled = Path(importlib.util.cache_from_source(str(path))).read_bytes()
        assert compiled[:4] == importlib.util.MAGIC_NUMBER
        assert int.from_bytes(compiled[4:8], "little") == UNCHECKED_HASH
        code = marshal.loads(compiled[16:])
        # What a traceback will show: where the file lies on Lambda, not where it was built.
        assert code.co_filename == f"{place}/{path.relative_to(folder).as_posix()}"


@pytest.mark.parametrize("layer", sorted(pack.LAYERS))
def test_a_layer_holds_no_tests_no_needless_packages_and_every_licence(
    built: Path, layer: str
) -> None:
    packages = built / layer / "python"
    assert [path.name for path in (built / layer).iterdir()] == ["python"]
    names = {path.name for path in packages.iterdir()}
    assert not names & {
        "bin",
        "include",
        "lib64",
        "share",
        "infra",
        "functions",
        "shared",
        "sqlalchemy",
        "qcloud_cos",
        "tencentcloud",
        "pymysql",
        "uvicorn",
    }
    assert not [path for path in packages.rglob("tests") if path.is_dir()]
    bare = set()
    for notes in packages.glob("*.dist-info"):
        assert (notes / "METADATA").is_file()
        if not any("licen" in str(path.relative_to(notes)).lower() for path in files(notes)):
            bare.add(notes.name.partition("-")[0])
    assert bare <= {"standardwebhooks"}  # whose wheel has none


def test_boto3_can_speak_to_what_the_code_speaks_to_and_to_little_else(built: Path) -> None:
    spoken = {
        service
        for path in (ROOT / "shared").rglob("*.py")
        for service in re.findall(r"\bclient\(\s*\"([a-z0-9]+)\"", path.read_text("utf-8"))
    }
    assert spoken
    for layer in pack.LAYERS:
        data = built / layer / "python" / "botocore" / "data"
        kept = {path.name for path in data.iterdir() if path.is_dir()}
        assert spoken <= kept == set(pack.SERVICES)


@every_function
def test_a_function_with_its_layer_is_within_lambda_s_limit(built: Path, name: str) -> None:
    layer = LAYER_OF[name]
    whole = size(built / name.capitalize()) + size(built / layer)
    assert whole < LIMIT, f"{name}: {whole / 2**20:.0f} MB"


@every_function
def test_a_function_starts_with_nothing_but_what_was_built(
    built: Path, tmp_path: Path, name: str
) -> None:
    paths = [str(built / name.capitalize()), str(built / LAYER_OF[name] / "python")]
    program = f"""
import sys
sys.path[:0] = {paths!r}
import functions.{name}.handler
from shared import wiring
from shared.aws.clients import client
import {ALSO.get(name, "shared.jobs.polling")}
bundle = wiring.current()
bundle.deliveries
for service in {pack.SERVICES!r}:
    client(service)
assert callable(functions.{name}.handler.handler)
"""
    done = subprocess.run(
        # Neither this environment's packages nor the checkout are to be found.
        [sys.executable, "-I", "-S", "-B", "-c", program],
        cwd=tmp_path,
        env=deployed(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def deployed() -> dict[str, str]:
    """The environment of a function, as far as its start needs it."""
    return {
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "HOME": os.devnull,
        "MAQUETTE_STAGE": "dev",
        "MAQUETTE_STORE_URL": "dynamodb://maquette-dev",
        "MAQUETTE_BUCKET_URL": "s3://maquette-dev",
        "MAQUETTE_WAKE_URL": "lambda://maquette-dev",
        "MAQUETTE_PUBLIC_URL": "https://maquette.example",
        "MAQUETTE_METRICS": "emf",
        "MAQUETTE_LOG_FORMAT": "json",
        "MAQUETTE_LINK_SECRET": "link-secret-of-thirty-two-characters",
        "MAQUETTE_WEBHOOK_SECRETS": "whsec_d2ViaG9vay1zZWNyZXQtb2YtMzItY2hhcmFjdGVycyE=",
        "MAQUETTE_API_KEYS": "shop:key-of-sixteen-characters",
        "TRIPO_API_KEY": "tsk_test",
    }


def test_the_built_template_is_the_template_with_its_places_filled_in(built: Path) -> None:
    resources = template.parse((built / "template.yaml").read_text("utf-8"))["Resources"]
    assert set(resources) == set(
        template.parse((ROOT / "template.yaml").read_text("utf-8"))["Resources"]
    )
    for name in LAYER_OF:
        assert resources[name.capitalize()]["Properties"]["CodeUri"] == name.capitalize()


@pytest.mark.timeout(300)
def test_packages_are_taken_for_lambda_s_processor_not_for_this_one(tmp_path: Path) -> None:
    other = "x86_64" if platform.machine() in ("arm64", "aarch64") else "arm64"
    run_pack("Modelling", tmp_path, "--architecture", other)
    libraries = [path for path in files(tmp_path) if ".so" in path.suffixes]
    assert {path.name.partition(".")[0] for path in libraries} >= {"_multiarray_umath", "_imaging"}
    wanted = ELF_MACHINES["aarch64" if other == "arm64" else other]
    assert {int.from_bytes(path.read_bytes()[18:20], "little") for path in libraries} == {wanted}


def test_a_python_that_cannot_compile_for_the_runtime_says_so(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=r"this is python3\.\d+ and cannot compile for"):
        run_pack("Api", tmp_path, "--runtime", "python3.9")


def test_a_build_that_fails_says_why(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match=r"cannot compile for python3\.9"):
        build(tmp_path / "build", runtime="python3.9", python=sys.executable)


def run_pack(resource: str, into: Path, *options: str) -> None:
    command = [sys.executable, "-s", "-m", "infra.aws.build.pack", resource]
    command += ["--into", str(into), "--runtime", RUNTIME, "--architecture", "x86_64", *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
