"""What each function's role may do on Tencent Cloud: the CAM policies, with the names of a stage.

The files in `policies/` are templates; `${…}` stands for what an account has of its own. A policy's
words are CAM's: `name/cos:` before COS's actions, resources of six segments (598/10606, 583/47934,
1078/38612).

各函数角色的 CAM 授权策略。
"""

from __future__ import annotations

import json
import string
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from infra.paths import ROOT

FOLDER = ROOT / "infra" / "tencent" / "policies"

TRUST: Mapping[str, Any] = {
    "version": "2.0",
    "statement": [
        {
            "action": "name/sts:AssumeRole",
            "effect": "allow",
            "principal": {"service": ["scf.qcloud.com"]},
        }
    ],
}
"""Who may take on a function's role: SCF."""


@dataclass(frozen=True)
class Account:
    """What an account has of its own: its APPID, its owner's UIN, the UIN of who made the secrets.

    账号信息。
    """

    region: str
    appid: str
    uin: str
    creator: str


def functions() -> list[str]:
    """The functions that have a policy.

    有授权策略的函数。
    """
    return sorted(path.stem for path in FOLDER.glob("*.json"))


def policy(
    function: str, account: Account, *, prefix: str, bucket: str, namespace: str = "default"
) -> dict[str, Any]:
    """The policy of a function ("poll") of the deployment named `prefix` ("maquette-dev").

    `bucket` is the files' bucket by its full name.

    生成某个函数的授权策略。
    """
    text = (FOLDER / f"{function}.json").read_text("utf-8")
    filled = string.Template(text).substitute(
        region=account.region,
        appid=account.appid,
        uin=account.uin,
        creator=account.creator,
        prefix=prefix,
        bucket=bucket,
        namespace=namespace,
    )
    made: dict[str, Any] = json.loads(filled)
    return made
