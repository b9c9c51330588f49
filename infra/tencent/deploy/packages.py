"""The zips that are deployed: one for each function, one for each layer, in one folder.

待部署的代码包。
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.tencent.deploy.errors import DeployError
from infra.tencent.service import Function, Service


@dataclass(frozen=True)
class Packages:
    """Zips by the key of the function or layer that they are for.

    按名称列出的代码包。
    """

    functions: Mapping[str, Path]
    layers: Mapping[str, Path]

    def code(self, function: Function) -> str:
        """The SHA-256 of what a function is made of: its zip, or what names its image.

        函数代码的摘要。
        """
        if function.image is not None:
            told = json.dumps([dict(function.image), dict(function.node)], sort_keys=True)
            return hashlib.sha256(told.encode()).hexdigest()
        return digest(self.functions[function.key])


def find(folder: Path, service: Service) -> Packages:
    """The zips in a folder, `<function>.zip` and `layer-<layer>.zip`; raises `DeployError` where
    one is missing.

    查找代码包。
    """
    functions = {
        key: folder / f"{key}.zip" for key, one in service.functions.items() if one.image is None
    }
    layers = {key: folder / f"layer-{key}.zip" for key in service.layers}
    missing = [path.name for path in (*functions.values(), *layers.values()) if not path.exists()]
    if missing:
        raise DeployError(f"{folder} has no {', '.join(missing)}; package first")
    return Packages(functions, layers)


def digest(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal.

    文件摘要。
    """
    with path.open("rb") as file:
        made = hashlib.sha256()
        while chunk := file.read(2**20):
            made.update(chunk)
    return made.hexdigest()


def image_of(function: Function) -> dict[str, Any]:
    """An image function's fields as the API has them; `NodeType` and its like are in no public
    document.

    镜像函数的接口参数。
    """
    image = {_upper(name): value for name, value in (function.image or {}).items() if value}
    return {
        "Code": {"ImageConfig": image},
        "DeployMode": "image",
        **{_upper(name): value for name, value in function.node.items()},
    }


def _upper(name: str) -> str:
    return name[:1].upper() + name[1:]
