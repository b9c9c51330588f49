"""One deployment from its look at the account to its last step, and its removal.

一次完整的部署或移除。
"""

from __future__ import annotations

from collections.abc import Callable

from infra.tencent.deploy import secrets
from infra.tencent.deploy.apply import Deployment, Shelf
from infra.tencent.deploy.cloud import Cloud
from infra.tencent.deploy.errors import DeployError
from infra.tencent.deploy.packages import Packages
from infra.tencent.deploy.plan import Step, plan
from infra.tencent.deploy.state import State, look, strays
from infra.tencent.service import Service
from shared.tencent.clients import TencentError

Say = Callable[[str], None]

_STAYS = "what was done before stays done, and the same command goes on from here"


def planned(
    service: Service, packages: Packages, cloud: Cloud, *, renew: bool = False
) -> tuple[State, list[Step]]:
    """What stands in the account, and what is to be done; nothing is changed. Raises `DeployError`,
    also where something is missing that only people can give. With `renew` the databases' URLs are
    those of this process's environment, whatever the secrets have.

    查看现状并生成步骤。
    """
    state = look(service, cloud, renew=renew)
    secrets.check(state.secrets)
    return state, plan(service, packages, state)


def deploy(
    service: Service,
    packages: Packages,
    state: State,
    steps: list[Step],
    cloud: Cloud,
    shelf: Shelf,
    *,
    say: Say,
) -> str:
    """Do the steps; the API's URL. Raises `DeployError` with the step that failed.

    执行全部步骤，返回公开地址。
    """
    deployment = Deployment(service, packages, state, cloud, shelf)
    for number, step in enumerate(steps, start=1):
        say(f"  {number}/{len(steps)} {step.words}")
        try:
            deployment.do(step)
        except TencentError as error:
            raise DeployError(f"{step.words}: {error}; {_STAYS}") from None
        except DeployError as error:
            raise DeployError(f"{error}; {_STAYS}") from None
    try:
        deployment.tidy()
    except DeployError as error:
        say(f"  {error}")
    return deployment.url


def remove(service: Service, cloud: Cloud, *, say: Say) -> None:
    """Remove the functions, with their triggers, and the layers; what is not there is passed over.

    Secrets, bucket, database and logs stay. Raises `DeployError`.

    移除函数和层。
    """
    try:
        named = [one.name for one in service.functions.values()]
        for name in (*named, *strays(service, cloud)):
            if cloud.at_rest(name) is not None:
                say(f"  {name}: remove it")
                cloud.delete(name)
        for name in service.layers.values():
            for one in cloud.layer_versions(name):
                number = one["LayerVersion"]
                say(f"  layer {name}: remove version {number}")
                cloud.write("DeleteLayerVersion", LayerName=name, LayerVersion=number)
    except TencentError as error:
        raise DeployError(f"{error}; {_STAYS}") from None
