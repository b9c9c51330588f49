"""Tencent's Secrets Manager on loopback: its actions on state that is kept while it runs.

After version 2019-09-23 of the API, as `tencentcloud-sdk-python-ssm` 3.1.194 describes it: names,
versions, states and error codes. Nothing is encrypted, and no version is ever rotated.

模拟的凭据管理系统。
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from infra.tencent.emulator.errors import ApiError

VERSION = "2019-09-23"
FIRST_VERSION = "SSM_Current"
"""The version of a secret that is made without naming one."""
LARGEST_BYTES = 32 * 1024
MOST_VERSIONS = 10

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}")
_VERSION_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_VALUES = ("SecretString", "SecretBinary")

Answer = dict[str, Any]


@dataclass
class Secret:
    """One secret: its values by version, each `{"SecretString": …}` or `{"SecretBinary": …}`.

    一个凭据。
    """

    name: str
    created: int
    description: str = ""
    status: Literal["Enabled", "Disabled", "PendingDelete"] = "Enabled"
    delete_time: int = 0
    versions: dict[str, dict[str, str]] = field(default_factory=dict)
    made: dict[str, int] = field(default_factory=dict)


class Ssm:
    """All secrets of one region; `now` is seconds since 1970. May be called from many threads.

    一个地域的全部凭据。
    """

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._lock = threading.Lock()
        self.secrets: dict[str, Secret] = {}
        self._actions: dict[str, tuple[Callable[[Mapping[str, Any]], Answer], frozenset[str]]] = {
            "CreateSecret": (
                self._create,
                frozenset({"SecretName", "VersionId", "Description", *_VALUES}),
            ),
            "DeleteSecret": (self._delete, frozenset({"SecretName", "RecoveryWindowInDays"})),
            "DeleteSecretVersion": (self._delete_version, frozenset({"SecretName", "VersionId"})),
            "DescribeSecret": (self._describe, frozenset({"SecretName"})),
            "DisableSecret": (self._disable, frozenset({"SecretName"})),
            "EnableSecret": (self._enable, frozenset({"SecretName"})),
            "GetSecretValue": (self._get, frozenset({"SecretName", "VersionId"})),
            "ListSecretVersionIds": (self._list_versions, frozenset({"SecretName"})),
            "ListSecrets": (self._list, frozenset({"Offset", "Limit", "SearchSecretName"})),
            "PutSecretValue": (self._put, frozenset({"SecretName", "VersionId", *_VALUES})),
            "RestoreSecret": (self._restore, frozenset({"SecretName"})),
            "UpdateSecret": (self._update, frozenset({"SecretName", "VersionId", *_VALUES})),
        }

    def answer(self, action: str, parameters: Mapping[str, Any]) -> Answer:
        """Do an action, and say what the API's `Response` holds besides its `RequestId`; raises
        `ApiError` with the API's code.

        执行一个操作。
        """
        if action not in self._actions:
            raise ApiError("InvalidAction", f"{action} is not known here")
        perform, known = self._actions[action]
        unknown = sorted(set(parameters) - known)
        if unknown:
            raise ApiError("UnknownParameter", f"The parameter `{unknown[0]}` is not recognized.")
        with self._lock:
            self._bury()
            return perform(parameters)

    def _create(self, parameters: Mapping[str, Any]) -> Answer:
        """Make a secret with its first version; the second of two is told that it exists.

        创建凭据。
        """
        name = _text(parameters, "SecretName", _NAME)
        version = _text({"VersionId": FIRST_VERSION, **parameters}, "VersionId", _VERSION_ID)
        value = _value(parameters)
        if name in self.secrets:
            raise ApiError("ResourceInUse.SecretExists", f"the secret {name} exists")
        secret = Secret(name, self._seconds(), str(parameters.get("Description", "")))
        secret.versions[version] = value
        secret.made[version] = secret.created
        self.secrets[name] = secret
        return {"SecretName": name, "VersionId": version}

    def _get(self, parameters: Mapping[str, Any]) -> Answer:
        secret = self._usable(parameters)
        version = self._version(secret, parameters)
        return {
            "SecretName": secret.name,
            "VersionId": version,
            "SecretString": "",
            "SecretBinary": "",
            **secret.versions[version],
        }

    def _put(self, parameters: Mapping[str, Any]) -> Answer:
        """Put a further version beside those that there are.

        新增一个版本。
        """
        secret = self._kept(parameters)
        version = _text(parameters, "VersionId", _VERSION_ID)
        value = _value(parameters)
        if version in secret.versions:
            raise ApiError("ResourceInUse.VersionIdExists", f"version {version} exists")
        if len(secret.versions) >= MOST_VERSIONS:
            raise ApiError("LimitExceeded", f"a secret has at most {MOST_VERSIONS} versions")
        secret.versions[version] = value
        secret.made[version] = self._seconds()
        return {"SecretName": secret.name, "VersionId": version}

    def _update(self, parameters: Mapping[str, Any]) -> Answer:
        secret = self._usable(parameters)
        version = self._version(secret, parameters)
        secret.versions[version] = _value(parameters)
        return {"SecretName": secret.name, "VersionId": version}

    def _describe(self, parameters: Mapping[str, Any]) -> Answer:
        return _described(self._found(parameters))

    def _list(self, parameters: Mapping[str, Any]) -> Answer:
        wanted = str(parameters.get("SearchSecretName", ""))
        found = [one for one in self.secrets.values() if wanted in one.name]
        found.sort(key=lambda one: (one.created, one.name), reverse=True)
        first = _number(parameters, "Offset")
        page = found[first : first + (_number(parameters, "Limit") or 20)]
        return {"TotalCount": len(found), "SecretMetadatas": [_described(one) for one in page]}

    def _list_versions(self, parameters: Mapping[str, Any]) -> Answer:
        secret = self._found(parameters)
        versions = [{"VersionId": name, "CreateTime": at} for name, at in secret.made.items()]
        return {"SecretName": secret.name, "Versions": versions}

    def _delete_version(self, parameters: Mapping[str, Any]) -> Answer:
        secret = self._kept(parameters)
        version = self._version(secret, parameters)
        if len(secret.versions) == 1:
            raise ApiError("OperationDenied", "the last version of a secret stays")
        del secret.versions[version], secret.made[version]
        return {"SecretName": secret.name, "VersionId": version}

    def _disable(self, parameters: Mapping[str, Any]) -> Answer:
        secret = self._kept(parameters)
        secret.status = "Disabled"
        return {"SecretName": secret.name}

    def _enable(self, parameters: Mapping[str, Any]) -> Answer:
        secret = self._kept(parameters)
        secret.status = "Enabled"
        return {"SecretName": secret.name}

    def _delete(self, parameters: Mapping[str, Any]) -> Answer:
        """Delete a secret at once, or after some days in which it can be restored.

        删除凭据。
        """
        secret = self._kept(parameters)
        days = _number(parameters, "RecoveryWindowInDays")
        if days > 30:
            raise ApiError("InvalidParameterValue", "RecoveryWindowInDays is 0 to 30")
        if not days:
            del self.secrets[secret.name]
            return {"SecretName": secret.name, "DeleteTime": self._seconds()}
        secret.status = "PendingDelete"
        secret.delete_time = self._seconds() + days * 24 * 3600
        return {"SecretName": secret.name, "DeleteTime": secret.delete_time}

    def _restore(self, parameters: Mapping[str, Any]) -> Answer:
        secret = self._found(parameters)
        # "Restored, it is disabled; EnableSecret makes it usable" (RestoreSecret).
        secret.status, secret.delete_time = "Disabled", 0
        return {"SecretName": secret.name}

    def _bury(self) -> None:
        """Forget the secrets whose time has come."""
        for name, secret in list(self.secrets.items()):
            if secret.status == "PendingDelete" and secret.delete_time <= self._now():
                del self.secrets[name]

    def _found(self, parameters: Mapping[str, Any]) -> Secret:
        name = _text(parameters, "SecretName", _NAME)
        if name not in self.secrets:
            raise ApiError("ResourceNotFound.SecretNotExist", f"there is no secret {name}")
        return self.secrets[name]

    def _kept(self, parameters: Mapping[str, Any]) -> Secret:
        secret = self._found(parameters)
        if secret.status == "PendingDelete":
            raise ApiError(
                "ResourceUnavailable.ResourcePendingDeleted", f"{secret.name} is to be deleted"
            )
        return secret

    def _usable(self, parameters: Mapping[str, Any]) -> Secret:
        secret = self._kept(parameters)
        if secret.status == "Disabled":
            raise ApiError("ResourceUnavailable.ResourceDisabled", f"{secret.name} is disabled")
        return secret

    def _version(self, secret: Secret, parameters: Mapping[str, Any]) -> str:
        version = _text(parameters, "VersionId", _VERSION_ID)
        if version not in secret.versions:
            raise ApiError("ResourceNotFound", f"{secret.name} has no version {version}")
        return version

    def _seconds(self) -> int:
        return int(self._now())


def _described(secret: Secret) -> Answer:
    return {
        "SecretName": secret.name,
        "Description": secret.description,
        "Status": secret.status,
        "CreateTime": secret.created,
        "DeleteTime": secret.delete_time,
        "SecretType": 0,
    }


def _text(parameters: Mapping[str, Any], name: str, form: re.Pattern[str]) -> str:
    value = parameters.get(name)
    if value is None or value == "":
        raise ApiError("MissingParameter", f"The request is missing the parameter `{name}`.")
    if not isinstance(value, str) or not form.fullmatch(value):
        raise ApiError("InvalidParameterValue", f"{name} is not of the form {form.pattern}")
    return value


def _number(parameters: Mapping[str, Any], name: str) -> int:
    value = parameters.get(name, 0)
    if type(value) is not int or value < 0:
        raise ApiError("InvalidParameter", f"{name} is a whole number")
    return value


def _value(parameters: Mapping[str, Any]) -> dict[str, str]:
    """The one value that a call must bring along, as text or as Base64."""
    given = {name: parameters[name] for name in _VALUES if parameters.get(name)}
    if len(given) != 1:
        raise ApiError("InvalidParameter", "either SecretString or SecretBinary is given")
    ((_, value),) = given.items()
    if not isinstance(value, str):
        raise ApiError("InvalidParameter", "a secret's value is a text")
    if len(value.encode()) > LARGEST_BYTES:
        raise ApiError("InvalidParameterValue", f"a secret has at most {LARGEST_BYTES} bytes")
    return given
