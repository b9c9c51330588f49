"""`./scripts/deploy tencent`: package, show what will change, deploy, and see whether it works.

The same commands are what osls calls: deploy, remove, invoke, logs.

部署到腾讯云：打包、预览变更、部署、检查。
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from infra import smoke
from infra.keys import first_key
from infra.packing import PackError
from infra.paths import ROOT
from infra.tencent import service as services
from infra.tencent.build import pack
from infra.tencent.deploy import arguments, logs, roles, run, secrets
from infra.tencent.deploy.cloud import Cloud
from infra.tencent.deploy.errors import DeployError
from infra.tencent.deploy.packages import find
from infra.tencent.deploy.shelf import CosShelf, bucket_of
from infra.tencent.service import Function, Service, ServiceError
from shared.events import WAKE
from shared.tencent import clients
from shared.tencent.clients import EndpointWrong, RegionMissing, TencentError
from shared.tencent.credentials import CredentialsMissing, credentials

BUILT = ROOT / ".serverless"
"""Where packages are put, by osls's custom."""

_NO_ACCOUNT = "-0"
"""How the bucket's name ends in serverless.yml where the account's number is not told."""
_WAIT_SECONDS = 320.0
"""How long an invocation that is waited for may take; SCF's own limit is 300."""


def main(argv: Sequence[str] | None = None) -> int:
    """The command; see --help. Returns the exit status.

    命令行入口。
    """
    given = list(sys.argv[1:] if argv is None else argv)
    if not given or (given[0].startswith("-") and given[0] not in ("-h", "--help")):
        given.insert(0, "deploy")
    options = arguments.parser().parse_args(given)
    try:
        return _run(options)
    except (DeployError, ServiceError) as error:
        said = str(error)
    except (TencentError, CredentialsMissing, EndpointWrong, RegionMissing) as error:
        said = str(error)
    except KeyboardInterrupt:
        print("\nStopped; the same command goes on from here.", file=sys.stderr)
        return 130
    print(f"./scripts/deploy: {said}", file=sys.stderr)
    return 1


def _run(options: argparse.Namespace) -> int:
    """Do what the command line asks for; the exit status.

    执行命令。
    """
    if options.region:
        os.environ["TENCENTCLOUD_REGION"] = options.region
        clients.forget()
    service = _service(options)
    os.environ.setdefault("TENCENTCLOUD_REGION", service.region)
    if clients.region() != service.region:
        raise DeployError(
            f"the region is {clients.region()} in the environment and {service.region} in "
            "serverless.yml; say --region"
        )
    cloud = Cloud(next(iter(service.functions.values())).namespace)
    commands: dict[str, Callable[[argparse.Namespace, Service, Cloud], int]] = {
        "deploy": _deploy,
        "roles": _roles,
        "remove": _remove,
        "invoke": _invoke,
        "logs": _logs,
    }
    return commands[options.command](options, service, cloud)


def _service(options: argparse.Namespace) -> Service:
    """The service as osls has resolved it, where it has; else as serverless.yml says.

    读取服务定义。
    """
    if options.resolved is None:
        given = {"region": options.region} if options.region else {}
        return services.read(options.stage, options=given)
    try:
        document = json.loads(Path(options.resolved).read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise DeployError(f"{options.resolved} cannot be read: {error}") from None
    return services.parse(document, options.stage)


def _deploy(options: argparse.Namespace, service: Service, cloud: Cloud) -> int:
    """Show the plan, ask, do it, try it; 1 if something is not well.

    部署并检查。
    """
    if not options.yes and not options.plan and not sys.stdin.isatty():
        raise DeployError("nobody is there to agree to the changes; say --yes (or --plan)")
    credentials()  # packaging takes half a minute: what is missing is told before
    if bucket_of(service).endswith(_NO_ACCOUNT):
        named = "no bucket is named: set TENCENTCLOUD_APPID, or TENCENT_BUCKET to its full name"
        if not options.plan:
            raise DeployError(named)
        _say(named)
    packages = find(_built(options, service), service)
    state, steps = run.planned(service, packages, cloud, renew=options.renew_store_urls)
    if not any(one.vpc for one in service.functions.values()):
        _say("no network is named (TENCENT_VPC_ID): the database needs a public address")
    _say(f"region {service.region}, functions maquette-{service.stage}-*: {len(steps)} steps")
    if options.plan:
        for step in steps:
            _say(f"  {step.words}")
        return 0
    if not options.yes:
        for step in steps:
            _say(f"  {step.words}")
        if not _agreed("Do it?"):
            raise DeployError("nothing was changed")
    shelf = CosShelf(options.artifacts or bucket_of(service))
    url = run.deploy(service, packages, state, steps, cloud, shelf, say=_say)
    return _tried(service, cloud, url)


def _built(options: argparse.Namespace, service: Service) -> Path:
    """The folder with the packages, made now unless one is given.

    代码包所在目录。
    """
    if options.built:
        return Path(options.built)
    wanted = [
        pack.Wanted(key, one.kind == "HTTP", one.layers)
        for key, one in service.functions.items()
        if one.image is None
    ]
    try:
        pack.pack(wanted, BUILT, _say)
    except PackError as error:
        raise DeployError(str(error)) from None
    return BUILT


def _tried(service: Service, cloud: Cloud, url: str) -> int:
    """Try what was deployed and say how it is reached; 1 if something is not well.

    检查部署结果并说明入口。
    """
    held = secrets.look(service, cloud)
    named = next((one for one in held if not one.for_migrate), None)
    listed = (named.held or {}).get("MAQUETTE_API_KEYS", "") if named else ""
    invoked = {
        key: partial(_fault, cloud, service.functions[key])
        for key in smoke.BACKGROUND
        if key in service.functions
    }
    faults = smoke.run(url, first_key(listed), invoked, say=_say)
    for fault in faults:
        _say(f"NOT WELL  {fault}")
    if faults:
        return 1
    _say(f"Maquette is up at {url}, its guide at {url}/docs")
    if named is not None:
        _say(f"A caller's key is in the secret {named.name}, as MAQUETTE_API_KEYS (name:key).")
    if secret := secrets.without_provider(held, service):
        _say(f"No provider has a key yet; put Tripo's into the secret {secret}, as TRIPO_API_KEY.")
    return 0


def _fault(cloud: Cloud, function: Function) -> str | None:
    """What a function fails with when it is woken; None if it does not."""
    return cloud.invoke(function.name, WAKE, seconds=_WAIT_SECONDS).error or None


def _roles(options: argparse.Namespace, service: Service, cloud: Cloud) -> int:
    """Make the functions' roles in CAM, or print what they may do for who makes them by hand.

    创建角色与策略。
    """
    whose = roles.account(service, cloud, creator=options.secrets_by)
    wanted = roles.wanted(service, whose)
    if options.print:
        print(json.dumps({one.name: one.document for one in wanted}, indent=2))
        return 0
    steps = roles.plan(wanted, cloud)
    for step in steps:
        _say(f"  {step.words}")
    if not steps:
        _say("The roles are as they are to be.")
    if options.plan or not steps:
        return 0
    if not options.yes:
        if not sys.stdin.isatty():
            raise DeployError("nobody is there to agree to that; say --yes (or --plan)")
        if not _agreed("Do it?"):
            raise DeployError("nothing was changed")
    for step in steps:
        roles.do(step, cloud)
    _say("Done.")
    return 0


def _remove(options: argparse.Namespace, service: Service, cloud: Cloud) -> int:
    """Remove the functions and layers, when that is agreed to.

    移除部署。
    """
    if not options.yes:
        if not sys.stdin.isatty():
            raise DeployError("nobody is there to agree to that; say --yes")
        if not _agreed(f"Remove the functions of {service.stage}, and their URL for good?"):
            raise DeployError("nothing was changed")
    run.remove(service, cloud, say=_say)
    _say("The secrets, the bucket, the database and the logs are still there.")
    return 0


def _invoke(options: argparse.Namespace, service: Service, cloud: Cloud) -> int:
    """Call one function, and print what it answers; 1 if it failed.

    调用函数。
    """
    function = _named(options.function, service)
    try:
        event: Any = json.loads(options.data)
    except ValueError:
        raise DeployError("--data is no JSON") from None
    if options.no_wait:
        print(cloud.send(function.name, event))
        return 0
    invoked = cloud.invoke(function.name, event, seconds=_WAIT_SECONDS)
    if invoked.log:
        print(invoked.log.rstrip(), file=sys.stderr)
    if invoked.error:
        raise DeployError(f"{function.name} failed: {invoked.error}")
    print(invoked.answer)
    return 0


def _logs(options: argparse.Namespace, service: Service, cloud: Cloud) -> int:
    """Print what a function has logged in the last minutes.

    打印日志。
    """
    function = _named(options.function, service)
    now = time.time()
    since = now - options.minutes * 60
    for line in logs.lines(function.name, cloud, since=since, now=now, text=options.filter):
        print(line)
    return 0


def _named(key: str, service: Service) -> Function:
    if key not in service.functions:
        raise DeployError(f"there is no function {key}; choose from {', '.join(service.functions)}")
    return service.functions[key]


def _agreed(question: str) -> bool:
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
