"""Layers of the emulated SCF: versions of zips that functions have in /opt.

模拟 SCF 的层。
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from infra.tencent.emulator import configuration
from infra.tencent.emulator.configuration import MOST_LAYERS, Objects
from infra.tencent.emulator.errors import ApiError

_NAME = re.compile(r"[A-Za-z]([A-Za-z0-9_-]{0,62}[A-Za-z0-9])?")


@dataclass
class Version:
    """One version of a layer; `looks` is how often it is still seen being published.

    层的一个版本。
    """

    name: str
    number: int
    content: bytes
    runtimes: tuple[str, ...]
    description: str
    looks: int

    def shown(self) -> dict[str, Any]:
        """As ListLayerVersions has it.

        返回形式。
        """
        return {
            "LayerName": self.name,
            "LayerVersion": self.number,
            "CompatibleRuntimes": list(self.runtimes),
            "Description": self.description,
            "Status": "Publishing" if self.looks > 0 else "Active",
        }


@dataclass
class Layers:
    """All layers of an account, by name and number; a number is never given twice.

    全部层。
    """

    objects: Objects | None
    appid: str
    looks: int
    versions: dict[tuple[str, int], Version] = field(default_factory=dict)
    last: dict[str, int] = field(default_factory=dict)

    def publish(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """PublishLayerVersion.

        发布层版本。
        """
        name = str(given.get("LayerName", ""))
        runtimes = given.get("CompatibleRuntimes")
        if not _NAME.fullmatch(name):
            raise ApiError("InvalidParameterValue.LayerName", f"{name!r} is no layer's name")
        if not isinstance(runtimes, list) or not set(runtimes) <= set(configuration.RUNTIMES):
            raise ApiError("InvalidParameterValue.CompatibleRuntimes", "runtimes are meant")
        if not isinstance(given.get("Content"), dict):
            raise ApiError("InvalidParameterValue.Content", "ZipFile or an object is meant")
        content = configuration.code_of(given["Content"], self.objects, self.appid)
        number = self.last[name] = self.last.get(name, 0) + 1
        self.versions[name, number] = Version(
            name, number, content, tuple(runtimes), str(given.get("Description", "")), self.looks
        )
        return {"LayerVersion": number}

    def get(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """GetLayerVersion.

        查看层版本。
        """
        version = self._found(given.get("LayerName"), given.get("LayerVersion"))
        shown = version.shown()
        version.looks -= 1
        digest = base64.b64encode(hashlib.sha256(version.content).digest()).decode()
        return {**shown, "CodeSha256": digest, "Location": ""}

    def list_versions(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """ListLayerVersions; of a layer that is not there, none.

        列出层版本。
        """
        found = [one for one in self.versions.values() if one.name == given.get("LayerName")]
        found.sort(key=lambda one: -one.number)
        return {"LayerVersions": [one.shown() for one in found], "TotalCount": len(found)}

    def delete(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """DeleteLayerVersion; functions that have it keep it.

        删除层版本。
        """
        version = self._found(given.get("LayerName"), given.get("LayerVersion"))
        del self.versions[version.name, version.number]
        return {}

    def of(self, listed: Any) -> tuple[tuple[tuple[str, int], ...], tuple[bytes, ...]]:
        """Names with numbers, and contents, of a function's `Layers`; raises `ApiError`.

        One whose name is empty says that there are none.

        解析函数引用的层。
        """
        if not isinstance(listed, list) or len(listed) > MOST_LAYERS:
            raise ApiError("InvalidParameterValue.Layers", f"{MOST_LAYERS} layers at most")
        if listed == [{"LayerName": "", "LayerVersion": 0}]:
            return (), ()
        found = [self._found(one.get("LayerName"), one.get("LayerVersion")) for one in listed]
        if any(one.looks > 0 for one in found):
            raise ApiError("InvalidParameterValue.Layers", "a layer is still being published")
        return tuple((one.name, one.number) for one in found), tuple(one.content for one in found)

    def _found(self, name: Any, number: Any) -> Version:
        version = self.versions.get((name, number))
        if version is None:
            raise ApiError("ResourceNotFound.LayerVersion", f"no version {number} of {name}")
        return version
