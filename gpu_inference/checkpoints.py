"""Where a model is meant to be, a folder here or a name on a hub, told without asking anybody.

判断模型位置：本机文件夹或模型库名称，不访问网络。
"""

from __future__ import annotations

import re
from pathlib import Path

_PART = r"(?![.-])[A-Za-z0-9._-]{1,96}(?<![.-])"
_HUB = re.compile(rf"{_PART}/{_PART}")
"""Owner and name, as huggingface_hub takes them (utils/_validators.py: no `--`, no `..`)."""


def fault(model: str) -> str | None:
    """What is wrong with a setting `model`, or None.

    A model's name on a hub has its owner before it; all else is a folder. So is what looks like
    such a name, where the folder that it would lie in is here and the model is not.

    检查模型设置，返回问题说明。
    """
    path = Path(model)
    if path.is_dir():
        if (path / "model_index.json").is_file():
            return None
        return f"{model!r} is no model of diffusers': there is no model_index.json in it"
    if path.exists():
        return f"{model!r} is a file; name the folder of the model"
    named = _HUB.fullmatch(model) and "--" not in model and ".." not in model
    if named and not path.parent.is_dir():
        return None
    return f"there is no folder {model!r} (a model on a hub has its owner before its name)"
