"""`./scripts/manage bucket|logs`: gives a bucket of COS, or a topic of CLS, what Maquette needs.

管理 COS 存储桶（访问权限、加密、跨域与生命周期规则）和 CLS 日志主题的索引，可重复执行。
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from infra.paths import ROOT
from infra.tencent import bucket_rules
from infra.tencent.cls import topic
from infra.tencent.cos_requests import is_bucket
from shared.buckets.base import BucketUnavailable
from shared.buckets.cos import allowed_to_all
from shared.buckets.cos_calls import Refused, answering
from shared.config import read_dotenv
from shared.tencent import cos
from shared.tencent.clients import RegionMissing, TencentError
from shared.tencent.credentials import CredentialsMissing
from shared.tencent.endpoints import EndpointWrong

_SECONDS = 20.0
_READABLE = {"private": set[str](), "public-read": {"READ"}}
_NONE = {
    "get_bucket_cors": "NoSuchCORSConfiguration",
    "get_bucket_encryption": "NoSuchEncryptionConfiguration",
    "get_bucket_lifecycle": "NoSuchLifecycleConfiguration",
}
"""What COS says where nothing was set."""


NOT_SET = (CredentialsMissing, RegionMissing, EndpointWrong)
"""What is missing in the environment, or wrong there, before anything is asked."""


class WrongWords(Exception):
    """What was given on the command line, or set for it, makes no sense.

    命令行参数有误。
    """


@dataclass(frozen=True)
class Change:
    """One thing that is not as it is to be: a line that says it, and what makes it so.

    一项待执行的变更。
    """

    line: str
    make: Callable[[], object]


class Bucket:
    """A bucket's settings as COS has them; raises `BucketUnavailable`.

    存储桶的设置。
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def exists(self) -> bool:
        """Whether there is such a bucket.

        存储桶是否存在。
        """
        try:
            self.ask("head_bucket")
        except Refused as error:
            if error.status == 404:
                return False
            raise
        return True

    def told(self, operation: str) -> dict[str, Any]:
        """What was set, empty where nothing was.

        读取一项设置。
        """
        try:
            found: dict[str, Any] = self.ask(operation) or {}
        except Refused as error:
            if error.code == _NONE[operation] or error.status == 404:
                return {}
            raise
        return found

    def ask(self, operation: str, **parameters: Any) -> Any:
        """One call about the bucket.

        调用一次。
        """
        with answering(operation):
            sender = cos.client(self.name, seconds=_SECONDS)
            return getattr(sender, operation)(Bucket=self.name, **parameters)


def changes(bucket: Bucket, acl: str, encryption: str) -> list[Change]:
    """What has to change on a bucket, in the order in which it is made so; nothing for one that is
    as it is to be. A bucket that is not there is to be made.

    计算需要的变更。
    """
    made = bucket.exists()
    found: list[Change] = []
    if not made:
        make = partial(bucket.ask, "create_bucket", ACL=acl)
        found.append(Change(f"+ the bucket, {acl}", make))
    elif allowed_to_all(bucket.ask("get_bucket_acl")) != _READABLE[acl]:
        make = partial(bucket.ask, "put_bucket_acl", ACL=acl)
        found.append(Change(f"~ who may read: {acl}", make))
    found += _encryption(bucket, encryption, made)
    found += _rules(bucket, "cors", bucket_rules.CORS, made)
    found += _rules(bucket, "lifecycle", bucket_rules.LIFECYCLE, made)
    return found


def _encryption(bucket: Bucket, encryption: str, made: bool) -> list[Change]:
    """What of the default encryption has to change: it is for files that come without their own.

    默认加密的变更。
    """
    if encryption == "off":
        return []
    algorithm = {"cos/kms": "KMS"}.get(encryption, encryption)
    told = bucket.told("get_bucket_encryption") if made else {}
    if f"'{algorithm}'" in str(told):
        return []
    rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": algorithm}}
    wanted = {"ServerSideEncryptionConfiguration": {"Rule": [rule]}}
    make = partial(bucket.ask, "put_bucket_encryption", **wanted)
    return [Change(f"~ encryption: {algorithm}", make)]


def _rules(
    bucket: Bucket, kind: str, wanted: Sequence[bucket_rules.Rule], made: bool
) -> list[Change]:
    """What of a kind of rules has to change; they are written at once, so it is one change.

    一类规则的变更。
    """
    name, member = {
        "cors": ("CORSConfiguration", "CORSRule"),
        "lifecycle": ("LifecycleConfiguration", "Rule"),
    }[kind]
    told = bucket.told(f"get_bucket_{kind}") if made else {}
    merged = bucket_rules.merged(told.get(member) or [], wanted)
    if not merged.changes:
        return []
    make = partial(bucket.ask, f"put_bucket_{kind}", **{name: {member: list(merged.rules)}})
    return [Change(f"~ {kind}: {', '.join(merged.changes)}", make)]


def set_up(
    bucket: Bucket, acl: str, encryption: str, *, plan: bool, say: Callable[[str], object] = print
) -> int:
    """Make a bucket what it is to be, or only say what would change; how many changes.

    设置存储桶，或只列出变更。
    """
    found = changes(bucket, acl, encryption)
    for change in found:
        say(f"  {change.line}")
        if not plan:
            change.make()
    return len(found)


def main() -> int:
    """The command; the exit status is 1 where the cloud refuses, 2 for wrong words.

    命令入口。
    """
    environ = {**read_dotenv(ROOT / ".env"), **os.environ}
    parser = argparse.ArgumentParser(prog="./scripts/manage", description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(required=True, metavar="bucket|logs")
    plan = argparse.ArgumentParser(add_help=False)
    plan.add_argument(
        "--plan", action="store_true", help="say what would change, and change nothing"
    )
    command = commands.add_parser(
        "bucket", parents=[plan], help="a bucket's access, encryption, CORS and lifecycle"
    )
    command.add_argument(
        "name",
        nargs="?",
        default=environ.get("MAQUETTE_BUCKET_URL", ""),
        help="NAME-APPID, or cos://NAME-APPID (default: MAQUETTE_BUCKET_URL)",
    )
    command.set_defaults(run=_bucket)
    command = commands.add_parser(
        "logs", parents=[plan], help="the index that a topic of CLS is searched by"
    )
    command.add_argument(
        "name",
        nargs="?",
        default=environ.get("TENCENT_CLS_TOPIC_ID", ""),
        help="the topic's id (default: TENCENT_CLS_TOPIC_ID)",
    )
    command.set_defaults(run=_logs)
    given = parser.parse_args()
    os.environ.update({k: v for k, v in environ.items() if k.startswith(("COS_", "TENCENT"))})
    try:
        number = given.run(given, environ)
    except WrongWords as error:
        parser.error(str(error))
    except (BucketUnavailable, TencentError, topic.TooManyKeys, *NOT_SET) as error:
        print(f"{error}", file=sys.stderr)
        return 1
    print("  nothing to change" if not number else "  planned" if given.plan else "  done")
    return 0


def _bucket(given: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """Set up a bucket; how many changes.

    设置存储桶。
    """
    name = given.name.removeprefix("cos://")
    if not is_bucket(name):
        raise WrongWords(f"{given.name!r} is no bucket of COS; write NAME-APPID")
    acl = environ.get("MAQUETTE_COS_ACL") or "private"
    encryption = environ.get("MAQUETTE_COS_ENCRYPTION") or "AES256"
    if acl not in _READABLE or encryption not in ("AES256", "cos/kms", "off"):
        raise WrongWords("MAQUETTE_COS_ACL or MAQUETTE_COS_ENCRYPTION is wrong; see .env.example")
    print(f"{name}:")
    return set_up(Bucket(name), acl, encryption, plan=given.plan)


def _logs(given: argparse.Namespace, environ: Mapping[str, str]) -> int:
    if not given.name:
        raise WrongWords("which topic? Write its id, or set TENCENT_CLS_TOPIC_ID")
    print(f"{given.name}:")
    return topic.set_up(given.name, plan=given.plan)


if __name__ == "__main__":
    sys.exit(main())
