"""What `./scripts/deploy tencent` may be told.

部署命令的参数。
"""

from __future__ import annotations

import argparse
import re

COMMANDS = ("deploy", "roles", "remove", "invoke", "logs")
_STAGE = re.compile(r"[a-z][a-z0-9-]{0,31}")


def _stage(text: str) -> str:
    if not _STAGE.fullmatch(text) or text == "local":
        raise argparse.ArgumentTypeError("small letters, digits and dashes; not local")
    return text


def parser() -> argparse.ArgumentParser:
    """The command line of `./scripts/deploy tencent`.

    命令行参数。
    """
    made_by = argparse.ArgumentParser(
        prog="./scripts/deploy tencent",
        description="Package Maquette, show what will change, deploy it to Tencent Cloud, and see "
        "whether it works. Keys are those of the environment (TENCENTCLOUD_SECRET_ID, _KEY).",
    )
    commands = made_by.add_subparsers(dest="command", metavar="COMMAND")
    helps = {
        "deploy": "deploy (what is done where no command is named)",
        "roles": "make the functions' roles and policies in CAM",
        "remove": "remove functions and layers; data and secrets stay",
        "invoke": "call one function",
        "logs": "show what one function has logged",
    }
    made = {name: commands.add_parser(name, help=helps[name]) for name in COMMANDS}
    for one in made.values():
        one.add_argument("--stage", required=True, type=_stage, help="dev, prod, …")
        one.add_argument("--region", help="default: that of the environment, or serverless.yml")
        one.add_argument("--resolved", metavar="FILE", help="the service as osls has resolved it")
    for name in ("deploy", "roles", "remove"):
        made[name].add_argument("--yes", action="store_true", help="do not ask")
    for name in ("deploy", "roles"):
        made[name].add_argument("--plan", action="store_true", help="only show what would change")
    made["roles"].add_argument("--print", action="store_true", help="print the policies as JSON")
    made["roles"].add_argument(
        "--secrets-by",
        default="",
        metavar="UIN",
        help="who makes the secrets (default: whoever calls this)",
    )
    made["deploy"].add_argument(
        "--renew-store-urls",
        action="store_true",
        help="put the databases' URLs of the environment into the secrets that have others",
    )
    made["deploy"].add_argument("--built", metavar="FOLDER", help="deploy the packages there")
    made["deploy"].add_argument(
        "--artifacts",
        metavar="BUCKET",
        help="where large packages lie for a moment (default: the files' own bucket)",
    )
    for name in ("invoke", "logs"):
        made[name].add_argument("--function", required=True, metavar="NAME", help="api, poll, …")
    made["invoke"].add_argument("--data", default="{}", metavar="JSON", help="the event")
    made["invoke"].add_argument("--no-wait", action="store_true", help="only have it taken")
    made["logs"].add_argument("--minutes", type=float, default=10.0, help="so far back (10)")
    made["logs"].add_argument("--filter", default="", metavar="CQL", help="a further condition")
    return made_by
