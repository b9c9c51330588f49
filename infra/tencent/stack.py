"""serverless.yml on the emulated Tencent Cloud: what one machine makes different, and the making.

It is deployed as to any account. Three things differ there:

* the code is one zip of this checkout with each function's entry in its root, and the packages come
  from this checkout's virtual environment in place of layers: to build those takes minutes;
* further settings name what is on this machine, the stand-in say;
* all that the secrets hold is given, and none is made.

把 serverless.yml 部署到本机的腾讯云模拟器。
"""

from __future__ import annotations

import io
import json
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from infra.aws import package
from infra.tencent import manage, service
from infra.tencent.build import entries
from infra.tencent.deploy import run
from infra.tencent.deploy.cloud import Cloud
from infra.tencent.deploy.errors import DeployError
from infra.tencent.deploy.packages import Packages
from infra.tencent.deploy.plan import plan
from infra.tencent.deploy.shelf import CosShelf
from infra.tencent.deploy.state import State
from infra.tencent.service import MIGRATE, Function, Service
from shared.buckets.base import BucketUnavailable
from shared.tencent.clients import TencentError, call
from shared.tencent.secrets import CURRENT

STAGE = "local"
"""Only this stage may talk to loopback addresses and plain http."""
NAME = f"maquette-{STAGE}"

_SECONDS = 10.0


class StackError(OSError):
    """The functions could not be made; the message says which, and why.

    部署失败。
    """


@dataclass(frozen=True)
class Around:
    """What the functions are told of their surroundings: the bucket's whole name, and the URLs of
    the store, for those who read and write records and for who makes the tables.

    函数所处的环境。
    """

    bucket: str
    store_url: str
    migrating_url: str


def deploy(around: Around, settings: Mapping[str, str], secrets: Mapping[str, str]) -> None:
    """Make the bucket, the secrets and the functions on the emulated cloud that this process's
    environment names. `settings` go into every function's environment. Raises `StackError`.

    部署整套服务。
    """
    try:
        bucket = manage.Bucket(around.bucket)
        manage.set_up(bucket, "private", "AES256", plan=False, say=lambda line: None)
        _keep(NAME, {**secrets, "MAQUETTE_STORE_URL": around.store_url})
        _keep(f"{NAME}-{MIGRATE}", {"MAQUETTE_STORE_URL": around.migrating_url})
        wanted = _service(around, settings)
        with tempfile.TemporaryDirectory(prefix="maquette-code-") as folder:
            packages = _packed(wanted, Path(folder))
            cloud = Cloud(pause=lambda seconds: None)
            # Of an account in which there is nothing: not even what is secret is to be made.
            empty = State({}, {})
            steps = plan(wanted, packages, empty)
            shelf = CosShelf(around.bucket)
            run.deploy(wanted, packages, empty, steps, cloud, shelf, say=lambda line: None)
    except (TencentError, DeployError, service.ServiceError, BucketUnavailable) as error:
        raise StackError(f"the emulated Tencent Cloud refuses it: {error}") from None


def _service(around: Around, settings: Mapping[str, str]) -> Service:
    """The service of serverless.yml as it is on this machine.

    本机的服务定义。
    """
    found = service.read(STAGE, environ={"TENCENT_BUCKET": around.bucket})
    functions = {
        key: replace(one, environment={**one.environment, **settings}, layers=())
        for key, one in found.functions.items()
    }
    return replace(found, functions=functions, layers={})


def _keep(name: str, values: Mapping[str, str]) -> None:
    given = {"SecretName": name, "VersionId": CURRENT, "SecretString": json.dumps(values)}
    call("ssm", "CreateSecret", given, seconds=_SECONDS)


def _packed(wanted: Service, folder: Path) -> Packages:
    """The zips of the functions, in a folder.

    打包全部函数。
    """
    code, migrations = package.code(), package.code(folders=entries.ALSO[MIGRATE])
    made: dict[str, Path] = {}
    for key, function in wanted.functions.items():
        if function.image is None:
            made[key] = folder / f"{key}.zip"
            more = migrations if key == MIGRATE else None
            made[key].write_bytes(_with_entry(code, function, more))
    return Packages(made, {})


def _with_entry(code: bytes, function: Function, more: bytes | None) -> bytes:
    """The zip with what is in another one, and with what SCF starts in its root.

    加入 SCF 的入口文件。
    """
    packed = io.BytesIO()
    packed.write(code)
    with zipfile.ZipFile(packed, "a", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        if more is not None:
            with zipfile.ZipFile(io.BytesIO(more)) as found:
                for item in found.infolist():
                    archive.writestr(item, found.read(item))
        if function.kind == "HTTP":
            item = zipfile.ZipInfo(entries.BOOTSTRAP)
            item.external_attr = entries.BOOTSTRAP_MODE << 16
            archive.writestr(item, entries.bootstrap())
        else:
            archive.writestr(entries.ENTRY, entries.entry(function.key))
    return packed.getvalue()
