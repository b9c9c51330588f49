"""What is set on a bucket of COS: the rules that template.yaml has for S3's, in COS's words.

COS 存储桶应有的规则，与 template.yaml 中 S3 的一致。
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

PREFIX = "maquette-"
"""What the names of our rules begin with; rules with other names are the operator's and stay."""

Rule = Mapping[str, Any]


def _lifecycle(name: str, prefix: str, **more: Any) -> Rule:
    return {"ID": f"{PREFIX}{name}", "Status": "Enabled", "Filter": {"Prefix": prefix}, **more}


LIFECYCLE: Sequence[Rule] = (
    _lifecycle("incoming", "incoming/", Expiration={"Days": 7}),
    _lifecycle(
        "uploads",
        "uploads/",
        Expiration={"Days": 2},
        NoncurrentVersionExpiration={"NoncurrentDays": 1},
    ),
    _lifecycle("old-versions", "", NoncurrentVersionExpiration={"NoncurrentDays": 30}),
    _lifecycle("half-uploads", "", AbortIncompleteMultipartUpload={"DaysAfterInitiation": 1}),
    # What a deployment that was killed left of its packages; there are none on AWS.
    _lifecycle("code", "code/", Expiration={"Days": 1}),
)
"""When objects go, and uploads that nobody ends (document 436/8280, "PUT Bucket lifecycle")."""

CORS: Sequence[Rule] = (
    {
        "ID": f"{PREFIX}links",
        "AllowedOrigin": ["*"],
        "AllowedMethod": ["GET", "HEAD", "PUT"],
        "AllowedHeader": ["*"],
        "ExposeHeader": [
            "Accept-Ranges",
            "Content-Disposition",
            "Content-Length",
            "Content-Range",
            "ETag",
        ],
        "MaxAgeSeconds": 3600,
    },
)
"""Any page may follow a link, which is signed (document 436/8279, "PUT Bucket cors")."""


@dataclass(frozen=True)
class Merged:
    """The rules that a bucket is to have, and what changes with them, a line each.

    合并后的规则及其变化。
    """

    rules: Sequence[Rule]
    changes: Sequence[str]


def merged(found: Sequence[Rule], wanted: Sequence[Rule]) -> Merged:
    """A bucket's rules with ours as they are to be; the operator's stay, before ours.

    合并已有规则与应有规则。
    """
    theirs = [rule for rule in found if not str(rule.get("ID", "")).startswith(PREFIX)]
    ours = {str(rule["ID"]): rule for rule in found if rule not in theirs}
    changes = []
    for rule in wanted:
        before = ours.pop(str(rule["ID"]), None)
        if before is None:
            changes.append(f"+ {rule['ID']}")
        elif plain(before) != plain(rule):
            changes.append(f"~ {rule['ID']}")
    changes += [f"- {name}" for name in ours]
    return Merged([*theirs, *wanted], changes)


def plain(value: Any) -> Any:
    """A rule as it is compared: COS gives numbers as text, one of a list alone, and leaves out what
    is empty.

    用于比较的规则形式。
    """
    if isinstance(value, Mapping):
        found = {name: plain(one) for name, one in value.items()}
        return {name: one for name, one in found.items() if one not in (None, "", {}, [])}
    if isinstance(value, list | tuple):
        return sorted(str(plain(one)) for one in value)
    return None if value is None else str(value)
