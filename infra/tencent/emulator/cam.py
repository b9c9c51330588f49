"""The emulated CAM: roles, policies, and which role has which policy.

After version 2019-01-16 of the API, as `tencentcloud-sdk-python-cam` 3.1.181 describes it: names,
parameters and error codes.

模拟的访问管理。
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Mapping
from typing import Any

from infra.tencent.emulator.errors import ApiError

_NAME = re.compile(r"[A-Za-z0-9+=,.@_-]{1,128}")
_LONGEST = 6144
_Action = Callable[[Mapping[str, Any]], dict[str, Any]]


class Cam:
    """All roles and policies of an account. May be called from many threads.

    一个账号的角色与策略。
    """

    def __init__(self, *, appid: int = 1250000000, uin: str = "100000000001") -> None:
        self.roles: dict[str, dict[str, Any]] = {}
        self.policies: dict[str, dict[str, Any]] = {}
        self.attached: dict[str, list[str]] = {}
        self._who = {"Uin": "100000000002", "OwnerUin": uin, "AppId": appid}
        self._lock = threading.Lock()
        self._actions: dict[str, tuple[_Action, frozenset[str]]] = {
            "GetUserAppId": (lambda given: dict(self._who), frozenset()),
            "GetRole": (self._get_role, frozenset({"RoleName"})),
            "CreateRole": (
                self._create_role,
                frozenset({"RoleName", "PolicyDocument", "Description"}),
            ),
            "ListPolicies": (self._list, frozenset({"Rp", "Page", "Scope", "Keyword"})),
            "GetPolicy": (self._get_policy, frozenset({"PolicyId"})),
            "CreatePolicy": (
                self._create_policy,
                frozenset({"PolicyName", "PolicyDocument", "Description"}),
            ),
            "UpdatePolicy": (self._update_policy, frozenset({"PolicyId", "PolicyDocument"})),
            "AttachRolePolicy": (self._attach, frozenset({"AttachRoleName", "PolicyId"})),
            "ListAttachedRolePolicies": (
                self._list_attached,
                frozenset({"Page", "Rp", "RoleName"}),
            ),
        }

    def answer(self, action: str, given: Mapping[str, Any], /) -> dict[str, Any]:
        """Do what is asked; the answer without its request id. Raises `ApiError`.

        执行一个操作。
        """
        if action not in self._actions:
            raise ApiError("InvalidAction", f"{action} is not known here")
        perform, known = self._actions[action]
        if unknown := sorted(set(given) - known):
            raise ApiError("UnknownParameter", f"{action} has no parameter {unknown[0]}")
        with self._lock:
            return perform(given)

    def _get_role(self, given: Mapping[str, Any]) -> dict[str, Any]:
        return {"RoleInfo": dict(self._role(given["RoleName"]))}

    def _create_role(self, given: Mapping[str, Any]) -> dict[str, Any]:
        name = self._name(given, "RoleName", "InvalidParameter.RoleNameError")
        if name in self.roles:
            raise ApiError("InvalidParameter.RoleNameInUse", f"there is a role {name}")
        document = self._document(given)
        number = str(4611686018400000000 + len(self.roles))
        self.roles[name] = {"RoleId": number, "RoleName": name, "PolicyDocument": document}
        self.attached[name] = []
        return {"RoleId": number}

    def _list(self, given: Mapping[str, Any]) -> dict[str, Any]:
        found = [one for one in self.policies.values() if given.get("Keyword", "") in one["name"]]
        page, rows = int(given.get("Page", 1)), int(given.get("Rp", 20))
        shown = found[(page - 1) * rows : page * rows]
        return {
            "TotalNum": len(found),
            "List": [
                {"PolicyId": one["id"], "PolicyName": one["name"], "Type": 1} for one in shown
            ],
        }

    def _get_policy(self, given: Mapping[str, Any]) -> dict[str, Any]:
        one = self._policy(given)
        return {"PolicyName": one["name"], "Type": 1, "PolicyDocument": one["document"]}

    def _create_policy(self, given: Mapping[str, Any]) -> dict[str, Any]:
        name = self._name(given, "PolicyName", "InvalidParameter.PolicyNameError")
        if name in self.policies:
            raise ApiError("FailedOperation.PolicyNameInUse", f"there is a policy {name}")
        number = 200000000 + len(self.policies)
        document = self._document(given)
        self.policies[name] = {"id": number, "name": name, "document": document}
        return {"PolicyId": number}

    def _update_policy(self, given: Mapping[str, Any]) -> dict[str, Any]:
        one = self._policy(given)
        one["document"] = self._document(given)
        return {"PolicyId": one["id"]}

    def _attach(self, given: Mapping[str, Any]) -> dict[str, Any]:
        role = self._role(given["AttachRoleName"])["RoleName"]
        name = self._policy(given)["name"]
        if name not in self.attached[role]:
            self.attached[role].append(name)
        return {}

    def _list_attached(self, given: Mapping[str, Any]) -> dict[str, Any]:
        names = self.attached[self._role(given["RoleName"])["RoleName"]]
        listed = [{"PolicyId": self.policies[one]["id"], "PolicyName": one} for one in names]
        return {"List": listed, "TotalNum": len(listed)}

    def _role(self, name: Any) -> dict[str, Any]:
        if name not in self.roles:
            raise ApiError("InvalidParameter.RoleNotExist", f"there is no role {name}")
        return self.roles[name]

    def _policy(self, given: Mapping[str, Any]) -> dict[str, Any]:
        for one in self.policies.values():
            if one["id"] == given.get("PolicyId"):
                return one
        raise ApiError("InvalidParameter.PolicyIdNotExist", "there is no such policy")

    @staticmethod
    def _name(given: Mapping[str, Any], parameter: str, code: str) -> str:
        name = given.get(parameter)
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise ApiError(code, f"{name!r} is no name")
        return name

    @staticmethod
    def _document(given: Mapping[str, Any]) -> str:
        """A policy's document: JSON of version 2.0, each statement with effect and action.

        校验策略文档。
        """
        text = given.get("PolicyDocument")
        if not isinstance(text, str) or len(text) > _LONGEST:
            raise ApiError("InvalidParameter.PolicyDocumentLengthOverLimit", f"{_LONGEST} at most")
        try:
            told = json.loads(text)
            statements = told["statement"]
            whole = told["version"] == "2.0" and all(
                one["effect"] in ("allow", "deny") and one["action"] for one in statements
            )
        except (ValueError, KeyError, TypeError):
            whole = False
        if not whole:
            raise ApiError("InvalidParameter.PolicyDocumentError", "it is not understood")
        return text
