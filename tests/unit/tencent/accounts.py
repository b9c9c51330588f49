"""An account on the emulated Cloud API, and a small service to deploy to it."""

from __future__ import annotations

import copy
import io
import json
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from infra.tencent.deploy import run
from infra.tencent.deploy.cloud import Cloud
from infra.tencent.deploy.packages import Packages, find
from infra.tencent.emulator.cam import Cam
from infra.tencent.emulator.deployed import Deployed, Outcome
from infra.tencent.emulator.errors import ApiError
from infra.tencent.emulator.scf import Scf
from infra.tencent.emulator.ssm import Ssm
from infra.tencent.service import Service, parse
from shared.tencent.clients import TencentError

STORE, MIGRATE_STORE = "mysql://app:pass-1@db/maquette", "mysql://ddl:pass-2@db/maquette"
GIVEN = {"MAQUETTE_STORE_URL": STORE, "MAQUETTE_MIGRATE_STORE_URL": MIGRATE_STORE}
BUCKET = "maquette-1250000000"
READS = frozenset(
    {
        "GetFunction",
        "ListFunctions",
        "ListTriggers",
        "GetFunctionEventInvokeConfig",
        "GetLayerVersion",
    }
    | {"ListLayerVersions", "GetSecretValue"}
)

DOCUMENT: dict[str, Any] = {
    "service": "maquette",
    "provider": {
        "name": "tencent",
        "region": "ap-guangzhou",
        "memorySize": 512,
        "retryNum": 0,
        "msgTTL": 60,
        "role": "maquette",
        "environment": {"MAQUETTE_SECRETS_URL": "tencent-ssm:///maquette-dev"},
    },
    "layers": {"dependencies": {}},
    "functions": {
        "api": {
            "type": "web",
            "timeout": 30,
            "layers": ["dependencies"],
            "events": [{"http": {"authType": "NONE"}}],
        },
        "poll": {
            "handler": "scf_entry.main_handler",
            "timeout": 120,
            "layers": ["dependencies"],
            "events": [{"timer": {"name": "every-minute", "cronExpression": "0 * * * * * *"}}],
        },
        "postprocess": {
            "handler": "scf_entry.main_handler",
            "timeout": 120,
            "events": [{"cos": {"bucket": BUCKET, "filter": {"prefix": "incoming/"}}}],
        },
        "migrate": {
            "handler": "scf_entry.main_handler",
            "timeout": 300,
            "environment": {"MAQUETTE_SECRETS_URL": "tencent-ssm:///maquette-dev-migrate"},
        },
        "qwen-image": {
            "type": "web",
            "image": {"imageType": "personal", "imageUri": ""},
            "nodeType": "GPU",
            "environment": {"MAQUETTE_SECRETS_URL": ""},
        },
    },
}


def service(change: Callable[[dict[str, Any]], Any] | None = None) -> Service:
    """The service, changed in one way if `change` is given: it gets the functions."""
    document = copy.deepcopy(DOCUMENT)
    if change is not None:
        change(document["functions"])
    return parse(document, "dev")


def packages(folder: Path, of: Service, version: str = "1") -> Packages:
    """Zips of every function and layer, other ones for each version."""
    folder.mkdir(exist_ok=True)
    names = [*of.functions, *(f"layer-{key}" for key in of.layers)]
    for name in names:
        (folder / f"{name}.zip").write_bytes(packed(f"{name} {version}"))
    return find(folder, of)


def packed(text: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(zipfile.ZipInfo("scf_entry.py"), text)
    return out.getvalue()


@dataclass
class Runner:
    """Runs nothing but `migrate`, which fails with `error` if it is told to."""

    error: str | None = None
    answer: Any = field(default_factory=lambda: {"status": "migrated", "schema": 4})
    ran: list[str] = field(default_factory=list)
    url: str = "https://1250000000-abc.ap-guangzhou.tencentscf.com"

    def invoke(self, function: Deployed, event: Any, *, wait: bool) -> Outcome:
        self.ran.append(function.name)
        return Outcome("r-1", json.dumps(self.answer), self.error)

    def changed(self, function: Deployed) -> None:
        if function.kind == "HTTP" and function.triggers:
            function.url = self.url

    def removed(self, function: Deployed) -> None:
        pass


@dataclass
class Shelf:
    """Objects in memory."""

    objects: dict[tuple[str, str], bytes] = field(default_factory=dict)
    bucket: str = BUCKET
    laid: list[str] = field(default_factory=list)

    def put(self, key: str, path: Path) -> None:
        self.objects[self.bucket, key] = path.read_bytes()
        self.laid.append(key)

    def remove(self, key: str) -> None:
        self.objects.pop((self.bucket, key), None)


class Account:
    """Functions, layers and secrets, called without a network; `calls` are the actions asked for.

    `before` and `after` are told each call's number and action, and may raise what they like.
    """

    def __init__(self) -> None:
        self.runner, self.shelf = Runner(), Shelf()
        self.scf = Scf(self.runner, objects=lambda *place: self.shelf.objects[place])
        self.ssm = Ssm(now=lambda: 0.0)
        self.cam = Cam()
        self.calls: list[str] = []
        self.said: list[str] = []
        self.before: Callable[[int, str], None] = lambda number, action: None
        self.after: Callable[[int, str], None] = lambda number, action: None
        self.cloud = Cloud(pause=lambda seconds: None)

    def call(
        self,
        service: str,
        action: str,
        parameters: Mapping[str, Any],
        *,
        seconds: float = 5.0,
        tries: int = 1,
    ) -> dict[str, Any]:
        """In place of `shared.tencent.clients.call`."""
        number = len(self.calls)
        self.calls.append(action)
        try:
            self.before(number, action)
            done = {"scf": self.scf, "ssm": self.ssm, "cam": self.cam}[service].answer(
                action, parameters
            )
        except ApiError as error:
            self.after(number, action)
            raise TencentError(service, action, error.code, error.message, "r") from None
        self.after(number, action)
        return done

    def deploy(self, of: Service, zips: Packages) -> str:
        state, steps = run.planned(of, zips, self.cloud)
        return run.deploy(of, zips, state, steps, self.cloud, self.shelf, say=self.said.append)

    def plan(self, of: Service, zips: Packages) -> list[str]:
        return [step.words for step in run.planned(of, zips, self.cloud)[1]]

    @property
    def writes(self) -> list[str]:
        return [action for action in self.calls if action not in READS]

    def function(self, key: str) -> Deployed:
        return self.scf.functions["default", f"maquette-dev-{key}"]

    def secret(self, name: str = "maquette-dev") -> dict[str, str]:
        found: dict[str, str] = json.loads(
            self.ssm.secrets[name].versions["SSM_Current"]["SecretString"]
        )
        return found

    def picture(self) -> dict[str, Any]:
        """All that stands there, in a form that two accounts can be compared by."""
        return {
            "functions": {
                name: (
                    one.kind,
                    one.status,
                    one.handler,
                    one.timeout,
                    one.memory,
                    one.environment,
                    one.code,
                    one.layers,
                    one.triggers,
                    (one.retries, one.event_age),
                    one.role,
                    one.more.get("Description"),
                )
                for (_, name), one in self.scf.functions.items()
            },
            "secrets": {name: sorted(self.secret(name)) for name in self.ssm.secrets},
            "objects": dict(self.shelf.objects),
        }
