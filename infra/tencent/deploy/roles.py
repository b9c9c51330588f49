"""The functions' roles and what each may do, made in CAM: once, by somebody who may.

A role is named as serverless.yml names it, and has one policy of the same name. What else a role
was given stays.

在 CAM 中创建各函数的角色与授权策略。
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from infra.tencent import permissions
from infra.tencent.deploy.cloud import Cloud
from infra.tencent.deploy.errors import DeployError
from infra.tencent.deploy.plan import deployable
from infra.tencent.deploy.shelf import bucket_of
from infra.tencent.permissions import Account
from infra.tencent.service import Service
from shared.tencent.clients import TencentError

_ROWS = 200
_NO_ROLE = "InvalidParameter.RoleNotExist"


@dataclass(frozen=True)
class Role:
    """A role that is to be there, and its policy's document; none for one that may do nothing.

    一个角色及其策略。
    """

    name: str
    document: Mapping[str, Any] | None


@dataclass(frozen=True)
class Step:
    """One thing to do in CAM, and how it is told.

    一个步骤。
    """

    words: str
    verb: str
    role: Role
    policy: int = 0


def account(service: Service, cloud: Cloud, *, creator: str = "") -> Account:
    """Whose account it is. `creator` is the UIN of who makes the secrets; by default the caller's.

    读取账号信息。
    """
    told = cloud.read("GetUserAppId", "cam")
    return Account(
        service.region, str(told["AppId"]), str(told["OwnerUin"]), creator or str(told["Uin"])
    )


def wanted(service: Service, whose: Account) -> list[Role]:
    """The roles of the functions that are deployed; raises `DeployError` where one names none.

    需要的角色。
    """
    known, bucket = set(permissions.functions()), bucket_of(service)
    if bucket.rpartition("-")[2] != whose.appid:
        raise DeployError(
            f"the bucket {bucket or '(none)'} is not of this account, whose APPID is "
            f"{whose.appid}: set TENCENTCLOUD_APPID, or TENCENT_BUCKET"
        )
    found = []
    for function in deployable(service):
        if not function.role:
            raise DeployError(f"functions.{function.key} names no role in serverless.yml")
        document = None
        if function.key in known:
            prefix = function.name.removesuffix(f"-{function.key}")
            document = permissions.policy(
                function.key, whose, prefix=prefix, bucket=bucket, namespace=function.namespace
            )
        found.append(Role(function.role, document))
    return found


def plan(roles: list[Role], cloud: Cloud) -> list[Step]:
    """What is not yet as it is to be.

    生成步骤。
    """
    steps = []
    for role in roles:
        there, attached = _role(role.name, cloud)
        if not there:
            steps.append(Step(f"role {role.name}: create it, for SCF to take on", "role", role))
        if role.document is None:
            continue
        number = _policy(role.name, cloud)
        if number is None:
            steps.append(Step(f"policy {role.name}: create it", "policy", role))
        elif json.loads(_document(number, cloud)) != role.document:
            steps.append(Step(f"policy {role.name}: change it", "change", role, number))
        if number is None or number not in attached:
            steps.append(Step(f"role {role.name}: give it its policy", "attach", role))
    return steps


def do(step: Step, cloud: Cloud) -> None:
    """Do one step; raises `TencentError`.

    执行一个步骤。
    """
    name = step.role.name
    document = json.dumps(step.role.document, separators=(",", ":"))
    if step.verb == "role":
        trust = json.dumps(permissions.TRUST, separators=(",", ":"))
        given = {"RoleName": name, "PolicyDocument": trust, "Description": "Maquette"}
        cloud.write("CreateRole", "cam", **given)
    elif step.verb == "policy":
        given = {"PolicyName": name, "PolicyDocument": document, "Description": "Maquette"}
        cloud.write("CreatePolicy", "cam", **given)
    elif step.verb == "change":
        cloud.write("UpdatePolicy", "cam", PolicyId=step.policy, PolicyDocument=document)
    else:
        number = _policy(name, cloud)
        if number is None:
            raise DeployError(f"the policy {name} is gone; did somebody remove it meanwhile?")
        cloud.write("AttachRolePolicy", "cam", AttachRoleName=name, PolicyId=number)


def _role(name: str, cloud: Cloud) -> tuple[bool, set[int]]:
    """Whether a role is there, and the numbers of the policies that it has."""
    try:
        cloud.read("GetRole", "cam", RoleName=name)
    except TencentError as error:
        if error.code == _NO_ROLE:
            return False, set()
        raise
    listed = cloud.read("ListAttachedRolePolicies", "cam", RoleName=name, Page=1, Rp=_ROWS)
    return True, {int(one["PolicyId"]) for one in listed.get("List") or []}


def _policy(name: str, cloud: Cloud) -> int | None:
    """The number of our own policy of this name; a search finds longer names as well.

    查找策略编号。
    """
    page = 1
    while True:
        found = cloud.read("ListPolicies", "cam", Scope="Local", Keyword=name, Page=page, Rp=_ROWS)
        listed = found.get("List") or []
        for one in listed:
            if one["PolicyName"] == name:
                return int(one["PolicyId"])
        if len(listed) < _ROWS:
            return None
        page += 1


def _document(number: int, cloud: Cloud) -> str:
    return str(cloud.read("GetPolicy", "cam", PolicyId=number).get("PolicyDocument") or "null")
