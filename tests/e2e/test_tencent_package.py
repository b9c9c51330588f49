"""What `osls package` makes of the checkout: zips that run without it, on SCF's own Python.

打包产物：脱离代码仓库也能运行。
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import queue
import random
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import threading
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
import yaml
from packaging.requirements import Requirement
from PIL import Image
from standardwebhooks import Webhook

from infra.local.standins.tripo import Standin
from infra.paths import ROOT
from infra.tencent.build import elf, interpreter, lock, pack, packages
from infra.tencent.cos_emulator import APPID, CosEmulator
from infra.tencent.mariadb import MysqlServer
from shared.tencent.cos import client
from tests.receivers import Receiver

pytestmark = pytest.mark.timeout(300)

FUNCTIONS = ("api", "poll", "postprocess", "callback", "migrate")
LAYERS = {"postprocess": ("dependencies", "modelling")}
OSLS = ROOT / "node_modules" / ".bin" / "osls"
PATIENCE = 60.0
DIRECT = 50 * 2**20
"""Bytes of a zip that SCF takes without a bucket, and of all together unpacked: ten times that."""
SECRET = "whsec_d2ViaG9vay1zZWNyZXQtb2YtMzItY2hhcmFjdGVycyE="
KEY = "key-of-sixteen-characters"
PYTHON_3_10_ON_LINUX = {
    "implementation_name": "cpython",
    "os_name": "posix",
    "platform_machine": "x86_64",
    "platform_python_implementation": "CPython",
    "platform_system": "Linux",
    "python_full_version": "3.10.13",
    "python_version": "3.10",
    "sys_platform": "linux",
    "extra": "",
}
TIMER = {"Type": "Timer", "TriggerName": "every-minute", "Time": "2026-01-01T00:01:00Z"}

INVOKE = """
import json, sys
from scf_entry import main_handler
ask = json.load(open(sys.argv[1]))
json.dump({"answer": main_handler(ask["event"], ask["context"])}, open(sys.argv[2], "w"))
"""


def layers_of(name: str) -> tuple[str, ...]:
    return LAYERS.get(name, ("dependencies",))


def osls_environ() -> dict[str, str]:
    """The environment of osls: nothing that the account of whoever runs the tests has set."""
    names = ("TENCENT", "MAQUETTE_", "COS_", "TRIPO_", "QWEN_")
    environ = {name: os.environ[name] for name in os.environ if not name.startswith(names)}
    return {**environ, "PYTHON": sys.executable, "TENCENTCLOUD_APPID": APPID}


def osls(*words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    if not OSLS.exists() or shutil.which("node") is None:
        pytest.skip("node or node_modules is missing; ./scripts/test installs it")
    return subprocess.run(
        [str(OSLS), *words],
        cwd=ROOT,
        env={**osls_environ(), **environ},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )


@pytest.fixture(scope="module")
def zips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of zips, by osls where it is installed; else by what osls calls."""
    folder = tmp_path_factory.mktemp("package")
    if OSLS.exists() and shutil.which("node"):
        done = osls("package", "--package", str(folder))
        assert done.returncode == 0, done.stdout + done.stderr
    else:
        document = yaml.safe_load((ROOT / "serverless.yml").read_text("utf-8"))
        pack.pack(pack.wanted(document["functions"]), folder, print)
    return folder


@pytest.fixture(scope="module")
def unpacked(zips: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Each zip in a folder of its own, with the modes of its files, as the platform does it."""
    top = tmp_path_factory.mktemp("unpacked")
    for path in zips.glob("*.zip"):
        with zipfile.ZipFile(path) as archive:
            for item in archive.infolist():
                made = Path(archive.extract(item, top / path.stem))
                made.chmod(item.external_attr >> 16 & 0o777)
    return top


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> str | None:
    """SCF's Python in an environment that holds nothing at all; none where there is no such one."""
    base = interpreter.find()
    if base is None:
        warnings.warn(
            f"NO PYTHON {interpreter.VERSION} IS HERE: the packed functions run with this "
            "environment's packages, and whether the packed ones can be imported is not tried",
            stacklevel=1,
        )
        return None
    folder = tmp_path_factory.mktemp("python") / "venv"
    subprocess.run([base, "-m", "venv", "--without-pip", str(folder)], check=True)
    return str(folder / "bin" / "python")


def test_every_function_and_every_layer_has_its_zip_within_the_limits(zips: Path) -> None:
    found = {path.stem: path for path in zips.glob("*.zip")}
    assert set(found) == {*FUNCTIONS, "layer-dependencies", "layer-modelling"}
    assert all(path.stat().st_size < DIRECT for path in found.values())
    for name in FUNCTIONS:
        parts = [found[name], *(found[f"layer-{layer}"] for layer in layers_of(name))]
        assert sum(map(unpacked_bytes, parts)) < 10 * DIRECT


def unpacked_bytes(path: Path) -> int:
    with zipfile.ZipFile(path) as archive:
        return sum(item.file_size for item in archive.infolist())


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_s_zip_holds_its_own_code_and_what_is_shared_alone(
    unpacked: Path, name: str
) -> None:
    folder = unpacked / name
    tops = {path.name for path in folder.iterdir()}
    own = {"functions", "shared", "scf_entry.py", "__pycache__"}
    own |= {"api": {"scf_bootstrap"}, "migrate": {"infra"}}.get(name, set())
    assert tops == own or tops == own - {"__pycache__"}
    assert {path.name for path in (folder / "functions").iterdir() if path.is_dir()} <= {
        name,
        "__pycache__",
    }
    names = [path.relative_to(folder).as_posix() for path in folder.rglob("*")]
    assert not [one for one in names if "requirements" in one or "/tests/" in one]
    if name == "migrate":
        assert (folder / "infra" / "migrations" / "versions" / "0001_first_tables.py").is_file()
        assert {path.name for path in (folder / "infra").iterdir() if path.is_dir()} <= {
            "migrations",
            "__pycache__",
        }


def test_the_web_function_s_bootstrap_is_what_the_platform_can_start(unpacked: Path) -> None:
    path = unpacked / "api" / "scf_bootstrap"
    assert path.stat().st_mode & 0o777 == 0o755
    assert path.read_bytes().startswith(b"#!/bin/bash\n")
    assert b"\r" not in path.read_bytes()
    assert b"/var/lang/python310/bin/python3.10" in path.read_bytes()


def test_the_same_code_gives_the_same_zip_byte_by_byte(zips: Path, tmp_path: Path) -> None:
    wanted = [pack.Wanted(name, name == "api", ()) for name in ("api", "migrate")]
    for package in pack.pack(wanted, tmp_path, lambda text: None).values():
        before = (zips / package.path.name).read_bytes()
        assert hashlib.sha256(before).hexdigest() == package.sha256


def test_every_library_fits_the_older_of_the_two_c_libraries(unpacked: Path) -> None:
    for layer in ("dependencies", "modelling"):
        folder = unpacked / f"layer-{layer}"
        assert list(packages.unfit(folder)) == []
        assert [path for path in folder.rglob("*") if is_library(path)]
    crcmod = unpacked / "layer-dependencies" / "crcmod"
    assert {path.suffix for path in crcmod.rglob("*") if path.is_file()} <= {".py", ".pyc"}


def is_library(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(4) == elf.MAGIC


def test_the_layers_hold_all_that_their_packages_ask_for_on_scf_s_python(unpacked: Path) -> None:
    notes = [
        path
        for layer in ("dependencies", "modelling")
        for path in (unpacked / f"layer-{layer}").glob("*.dist-info/METADATA")
    ]
    held: dict[str, str] = {}
    asked: list[Requirement] = []
    for path in notes:
        head = path.read_text("utf-8").partition("\n\n")[0].splitlines()
        told = [
            line.split(": ", 1) for line in head if re.match(r"(Name|Version|Requires-D)", line)
        ]
        held[lock.normal(dict(told)["Name"])] = dict(told)["Version"]
        asked += [Requirement(text) for name, text in told if name == "Requires-Dist"]
    assert len(held) > 30
    for one in asked:
        needed = one.marker is None or one.marker.evaluate(PYTHON_3_10_ON_LINUX)
        name = lock.normal(one.name)
        if needed and name not in lock.LEFT_OUT:
            assert name in held, f"{one} is missing"
            assert one.specifier.contains(held[name], prereleases=True), one


@dataclass
class House:
    """A database, a bucket, a provider and a receiver; and the functions as they were unpacked."""

    folder: Path
    unpacked: Path
    python: str | None
    settings: Mapping[str, str]
    tripo: Standin
    receiver: Receiver
    answers: list[Any] = field(default_factory=list)

    def environ(self, name: str) -> dict[str, str]:
        """What the platform and serverless.yml put into a function's environment."""
        layers = [str(self.unpacked / f"layer-{layer}") for layer in layers_of(name)]
        if self.python is None:
            layers = [sysconfig.get_paths()["purelib"]]
        return {
            "PATH": "/usr/bin:/bin",
            "LANG": "C.UTF-8",
            "HOME": str(self.folder),
            "PYTHONPATH": os.pathsep.join([str(self.unpacked / name), *layers]),
            "TENCENTCLOUD_RUNENV": "SCF",
            "SCF_FUNCTIONNAME": f"maquette-local-{name}",
            **self.settings,
        }

    def invoke(self, name: str, event: Any, *, seconds: float = 20) -> Any:
        """What the entry in the zip's root answers to an event, in a process of its own."""
        asked, answered = self.folder / "asked.json", self.folder / "answered.json"
        context = {
            "request_id": str(uuid4()),
            "time_limit_in_ms": round(1000 * seconds),
            "memory_limit_in_mb": 512,
            "function_name": f"maquette-local-{name}",
            "function_version": "$LATEST",
            "namespace": "default",
            "environment": "{}",
        }
        asked.write_text(json.dumps({"event": event, "context": context}))
        answered.unlink(missing_ok=True)
        done = subprocess.run(
            [self.python or sys.executable, "-c", INVOKE, str(asked), str(answered)],
            cwd=self.unpacked / name,
            env=self.environ(name),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(answered.read_text())["answer"]

    @contextlib.contextmanager
    def served(self) -> Iterator[str]:
        """The API's address, started as the platform starts it: by its scf_bootstrap."""
        process = subprocess.Popen(
            [str(self.unpacked / "api" / "scf_bootstrap")],
            cwd=self.folder,
            env={
                **self.environ("api"),
                "SCF_PYTHON": self.python or sys.executable,
                "SCF_HOST": "127.0.0.1",
                "SCF_PORT": "0",
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        lines: queue.Queue[str] = queue.Queue()
        said: list[str] = []

        def read() -> None:
            assert process.stdout is not None
            for line in process.stdout:
                lines.put(line)
            lines.put("")

        reader = threading.Thread(target=read)
        reader.start()
        try:
            while not (match := re.match(r"listening on port (\d+)", (said or [""])[-1])):
                said.append(lines.get(timeout=PATIENCE))
                assert said[-1], "".join(said)
            yield f"http://127.0.0.1:{match[1]}"
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(PATIENCE)
            finally:
                process.kill()
                reader.join()


@pytest.fixture(scope="module")
def house(
    unpacked: Path,
    python: str | None,
    mysql: MysqlServer,
    cos_emulator: CosEmulator,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[House]:
    database, bucket = "maquette_package", f"package-{uuid4().hex}-{APPID}"
    mysql.create(database)
    with Standin(seconds=0) as tripo, Receiver() as receiver, pytest.MonkeyPatch.context() as patch:
        for name, value in cos_emulator.environ.items():
            patch.setenv(name, value)
        client(bucket, seconds=20.0).create_bucket(bucket)
        settings = {
            **cos_emulator.environ,
            "MAQUETTE_STAGE": "local",
            "MAQUETTE_STORE_URL": mysql.url(database),
            "MAQUETTE_BUCKET_URL": f"cos://{bucket}",
            "MAQUETTE_PUBLIC_URL": "http://127.0.0.1",
            "MAQUETTE_METRICS": "cls",
            "MAQUETTE_LOG_FORMAT": "json",
            "MAQUETTE_LINK_SECRET": "link-secret-of-thirty-two-characters",
            "MAQUETTE_WEBHOOK_SECRETS": SECRET,
            "MAQUETTE_API_KEYS": f"shop:{KEY}",
            "MAQUETTE_POLL_FIRST_SECONDS": "0.2",
            "TRIPO_API_KEY": "tsk_test",
            "TRIPO_BASE_URL": tripo.url,
        }
        folder = tmp_path_factory.mktemp("house")
        yield House(folder, unpacked, python, settings, tripo, receiver)
    mysql.drop(database)


def large_photo() -> bytes:
    """A picture of 5 MB, for nothing in it can be made smaller."""
    out = io.BytesIO()
    side = 1320
    noise = random.Random(3).randbytes(3 * side * side)
    Image.frombytes("RGB", (side, side), noise).save(out, "PNG", compress_level=0)
    return out.getvalue()


def created(bucket: str, key: str) -> dict[str, Any]:
    """COS's event for a new object."""
    name, _, appid = bucket.rpartition("-")
    return {
        "Records": [
            {
                "cos": {
                    "cosSchemaVersion": "1.0",
                    "cosObject": {
                        "url": f"http://{bucket}.cos.ap-guangzhou.myqcloud.com/{key}",
                        "meta": {"x-cos-request-id": "NWMxOWY4MGFfMjViMjU4NjRfMTUyMVxx"},
                        "vid": "",
                        "key": f"/{appid}/{name}/{key}",
                        "size": 1029,
                    },
                    "cosBucket": {"region": "gz", "name": name, "appid": appid},
                    "cosNotificationId": "unkown",
                },
                "event": {
                    "eventName": "cos:ObjectCreated:Put",
                    "eventVersion": "1.0",
                    "eventTime": 1545205770,
                    "eventSource": "qcs::cos",
                    "requestParameters": {"requestSourceIP": "192.168.15.101"},
                    "eventQueue": "qcs:0:scf:ap-guangzhou:appid/1250000000:default.x.$LATEST",
                    "reservedInfo": "",
                    "reqid": 179398952,
                },
            }
        ]
    }


def files(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file()}


def test_each_zip_answers_an_event_of_its_kind_without_the_checkout(house: House) -> None:
    before = files(house.unpacked)
    assert house.invoke("migrate", {})["status"] == "migrated"
    assert house.invoke("migrate", {"again": True})["status"] == "unchanged"
    photo = large_photo()
    assert len(photo) > 5_000_000
    with house.served() as url, httpx.Client(base_url=url, timeout=PATIENCE) as api:
        api.headers["authorization"] = f"Bearer {KEY}"
        form = {"kind": "image-to-3d", "callback_url": house.receiver.url()}
        # A key that a caller makes up is nobody's: it would be looked up in a stranger's account.
        platform = {"x-scf-request-id": "8f14e45f-ceea-467f-9538-0a1b2c3d4e5f"}
        answer = api.post(
            "/api/v1/jobs",
            data=form,
            files={"image": ("照片.png", photo, "image/png")},
            headers=platform,
        )
        assert answer.status_code == 202, answer.text
        assert answer.headers["x-request-id"] == platform["x-scf-request-id"]
        job = answer.json()
        assert job["input"]["image"]["sha256"] == hashlib.sha256(photo).hexdigest()
        place = f"/api/v1/jobs/{job['id']}"

        until_status(house, "poll", TIMER, api, place, {"processing", "succeeded"})
        bucket = house.settings["MAQUETTE_BUCKET_URL"].removeprefix("cos://")
        event = created(bucket, f"incoming/{job['id']}/3-model.bin")
        until_status(house, "postprocess", event, api, place, {"succeeded"})
        done = api.get(place).json()
    assert {item["role"] for item in done["artifacts"]} >= {"model", "preview"}, done
    assert done["warnings"] == []
    house.invoke("callback", TIMER)
    (told,) = house.receiver.requests
    assert Webhook(SECRET).verify(told.body, told.headers)["data"]["id"] == job["id"]
    if house.python is not None:
        # Nothing was compiled: all the bytecode was there, and was good.
        assert files(house.unpacked) == before


def until_status(
    house: House, name: str, event: Any, api: httpx.Client, place: str, wanted: set[str]
) -> None:
    """Invoke a function until a job has come so far: what is due a moment later waits for the next
    event, as it would for the next minute's."""
    for _ in range(20):
        house.invoke(name, event)
        status = api.get(place).json()["status"]
        if status in wanted:
            return
    raise AssertionError(f"the job stays {status}")


@pytest.mark.parametrize(
    ("words", "changed", "told"),
    [
        ('"0 * * * * * *", enable: true}', '"* * * * *"}', "cronExpression"),
        ("    timeout: 120\n", "    timeout: 901\n", "timeout"),
        ("    timeout: 120\n", "    timeOut: 120\n", "timeOut"),
        ("authType: NONE #", "authType: NOBODY #", "authType"),
        ("MAQUETTE_METRICS: cls", "SCF_METRICS: cls", "SCF_METRICS"),
    ],
)
def test_osls_says_what_is_wrong_in_serverless_yml(
    words: str, changed: str, told: str, tmp_path: Path
) -> None:
    text = (ROOT / "serverless.yml").read_text("utf-8")
    assert words in text
    (tmp_path / "serverless.yml").write_text(text.replace(words, changed, 1))
    (tmp_path / "infra").symlink_to(ROOT / "infra")
    if not OSLS.exists() or shutil.which("node") is None:
        pytest.skip("node or node_modules is missing; ./scripts/test installs it")
    done = subprocess.run(
        [str(OSLS), "package", "--package", "out"],
        cwd=tmp_path,
        env=osls_environ(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1
    assert "Configuration error" in done.stdout + done.stderr
    assert told in done.stdout + done.stderr
    assert not (tmp_path / "out").exists()
