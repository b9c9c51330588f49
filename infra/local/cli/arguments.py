"""The command line of `./scripts/run`: what may be asked for, and what is told where it may not.

run 命令的参数。
"""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Collection, Iterator, Sequence

from infra.local.cloud.inputs import InputError, Wanted
from infra.local.cloud.machine import CLOUDS
from shared.jobs.kinds import KINDS
from shared.providers.registry import PROVIDERS

_OWN_FIELDS = ("kind", "prompt", "provider")


def parser() -> argparse.ArgumentParser:
    """The parser of the command line.

    命令行参数解析器。
    """
    made = argparse.ArgumentParser(
        prog="./scripts/run",
        description="Make 3D models, or pictures, from words and pictures, several side by side.",
        allow_abbrev=False,
    )
    made.add_argument(
        "inputs", nargs="*", metavar="INPUT", help="words, or a picture's file or URL"
    )
    made.add_argument(
        "--views",
        action="append",
        default=[],
        metavar="front=FILE,back=FILE",
        help="views of one thing: front, and left, back or right",
    )
    made.add_argument(
        "--kind",
        metavar="KIND",
        help=f"what to make, where the input leaves it open: {', '.join(KINDS)} (default: models)",
    )
    made.add_argument(
        "--prompt", metavar="TEXT", help="words that go with a picture, for image-to-image"
    )
    made.add_argument(
        "--mask",
        metavar="FILE",
        help="a picture of the same size: only where it is white does the picture change",
    )
    made.add_argument(
        "--provider", help=f"who makes it: {', '.join(PROVIDERS)} (default: the first that can)"
    )
    made.add_argument(
        "--option",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="an option of the provider's, face_limit=5000 or width=1024 say",
    )
    made.add_argument(
        "--cloud",
        choices=CLOUDS,
        default="local",
        help="where the functions run: in this process, or as functions of an emulated AWS or "
        "Tencent Cloud that is gone afterwards (local)",
    )
    made.add_argument("--open", action="store_true", help="open what was made, once it is there")
    made.add_argument("--json", action="store_true", help="print the jobs as one JSON object")
    return made


def kind_of(options: argparse.Namespace) -> str | None:
    """The kind named; or, where the provider makes pictures only, that of words alone.

    选定的任务种类。
    """
    if options.kind is None and options.provider == "qwen-image" and options.prompt is None:
        return "text-to-image"
    return None if options.kind is None else str(options.kind)


def further_fields(options: argparse.Namespace, wanted: Sequence[Wanted]) -> dict[str, str]:
    """The provider and its options as fields; raises `InputError`, which lists what there is.

    服务与选项字段。
    """
    fields: dict[str, str] = {}
    if options.provider is not None:
        if options.provider not in PROVIDERS:
            raise InputError(
                f"there is no provider {options.provider!r}; choose from {', '.join(PROVIDERS)}"
            )
        fields["provider"] = options.provider
    for text in options.option:
        name, equals, value = text.partition("=")
        if not equals or not name or name in _OWN_FIELDS:
            raise InputError(f"--option {text}: write it as name=value")
        fields[name] = value
    for kind in dict.fromkeys(one.fields["kind"] for one in wanted):
        maker = _maker(kind, options.provider)
        for name in fields.keys() - {"provider"}:
            _check_option(name, kind, maker)
    return fields


def _maker(kind: str, named: str | None) -> str:
    makers = [one for one in PROVIDERS if kind in PROVIDERS[one].options]
    if named is not None and named not in makers:
        raise InputError(f"{named} does not make {kind}; {' and '.join(makers)} can")
    return named or makers[0]


def _check_option(name: str, kind: str, maker: str) -> None:
    """Raise `InputError` for an option that whoever makes this kind does not know."""
    known = PROVIDERS[maker].options[kind].model_fields
    if name not in known:
        raise InputError(
            f"{maker} has no option {name!r} for {kind}{_meant(name, known)}; there are: "
            f"{', '.join(sorted(known))}"
        )


def _meant(name: str, known: Collection[str]) -> str:
    close = difflib.get_close_matches(name, known, 1)
    return f" (do you mean {close[0]}?)" if close else ""


def what_there_is() -> Iterator[str]:
    """What can be asked for, a line each, with an example.

    可用的输入与种类。
    """
    yield 'words:       ./scripts/run "a small wooden chair"'
    yield "a picture:   ./scripts/run photo.jpg, or https://…/photo.jpg"
    yield "views:       ./scripts/run --views front=front.jpg,back=back.jpg"
    yield f"kinds:       {', '.join(KINDS)} (--kind)"
    yield "all flags:   ./scripts/run --help"
