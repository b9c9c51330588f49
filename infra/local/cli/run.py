"""`./scripts/run`: words and pictures in, models or pictures out; the bundle, for these jobs.

在本机用整套服务完成给定的任务。
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from infra.local.cli.show import Board, summary
from infra.local.cloud import inputs
from infra.local.cloud.door import Door, Refused, resource
from infra.local.cloud.inputs import InputError, Wanted
from infra.local.cloud.machine import (
    CLOUDS,
    Machine,
    assemble,
    beside,
    check_settings,
    home_for,
    leave,
    preload,
    reporting,
)
from infra.local.cloud.payloads import HttpAnswer
from infra.local.cloud.stop import Stop, on_signals
from shared.jobs.kinds import KINDS
from shared.jobs.model import TERMINAL
from shared.observability import set_up_logs

_LOOK = 0.2
_HTTP_THREADS = 4
_ENDED = {status.value for status in TERMINAL}
_PICTURES = ("text-to-image", "image-to-image")
_QUIET = {"MAQUETTE_LOG_LEVEL": "WARNING"}


@dataclass
class Asked:
    """One job that was asked for, as it stood when last looked at; without an id it was refused.

    已提交的一个任务。
    """

    wanted: Wanted
    job: dict[str, Any]

    @property
    def ended(self) -> bool:
        """Whether nothing more is to be expected of it.

        是否已结束。
        """
        return self.job["id"] is None or self.job["status"] in _ENDED


def main(argv: Sequence[str] | None = None) -> int:
    """The command; see --help. Returns 0 if every job succeeded, else 1, or 128 + the signal.

    命令行入口。
    """
    options = _arguments(argv)
    try:
        wanted = inputs.gather(
            options.inputs,
            options.views,
            kind=_kind(options),
            prompt=options.prompt,
            mask=options.mask,
            note=_note,
        )
        more = _further_fields(options)
    except InputError as error:
        print(f"./scripts/run: {error}", file=sys.stderr)
        return 1
    return reporting(lambda: _run(options.cloud, wanted, more, as_json=options.json))


def _kind(options: argparse.Namespace) -> str | None:
    """The kind named; or, where the provider makes pictures only, that of words alone."""
    if options.kind is None and options.provider == "qwen-image" and options.prompt is None:
        return "text-to-image"
    return str(options.kind) if options.kind else None


def _run(cloud: str, wanted: Sequence[Wanted], more: Mapping[str, str], *, as_json: bool) -> int:
    """Bring everything up, have the jobs made, and show what came of them; the exit status.

    启动、运行并显示结果。
    """
    home, stop = home_for(cloud), Stop()
    check_settings(home, _QUIET)
    on_signals(stop, say=_note)
    pictures = any(one.fields["kind"] in _PICTURES for one in wanted)
    servers = beside(home, "needed" if pictures else "none")
    try:
        preload(cloud)
        made = {**_QUIET, **servers.made()}
        board = Board([one.label for one in wanted])
        machine = assemble(cloud, home, made, stop, http_threads=_HTTP_THREADS)
        with machine, board:
            set_up_logs(machine.settings.log_level, machine.settings.log_format)
            asked = _carry_out(machine, board, wanted, more)
        _print(asked, as_json=as_json)
        return leave(_status(asked, machine, board), machine.left, servers)
    finally:
        servers.close()


def _carry_out(
    machine: Machine, board: Board, wanted: Sequence[Wanted], more: Mapping[str, str]
) -> list[Asked]:
    """Have the jobs made, side by side; returns early when a stop is asked for.

    并行完成各个任务。
    """
    door = Door(machine.gateway, machine.settings)
    machine.begin()
    answers = [door.create(one, more) for one in wanted]
    asked = [_accepted(one, answer) for one, answer in zip(wanted, answers, strict=True)]
    machine.warm_up()
    while True:
        for number, one in enumerate(asked):
            if not one.ended:
                one.job = _looked_at(door, one.job)
            board.show(number, one.job["status"], one.job.get("progress", 0))
        if all(one.ended for one in asked) or machine.stop.wait(_LOOK):
            break
    for one in asked:
        if one.job["id"] is not None:
            machine.place(one.job)
    return asked


def _looked_at(door: Door, job: dict[str, Any]) -> dict[str, Any]:
    """The job as it stands now; or as it stood, while the API cannot say."""
    try:
        return door.job(job["id"])
    except Refused as refused:
        if not refused.retryable:
            raise
        return job


def _accepted(wanted: Wanted, answer: Future[HttpAnswer]) -> Asked:
    try:
        return Asked(wanted, resource(answer))
    except Refused as refused:
        return Asked(wanted, {"id": None, "status": "refused", "error": dict(refused.error)})


def _print(asked: Sequence[Asked], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps({"jobs": [one.job for one in asked]}, ensure_ascii=False, indent=2))
        return
    for one in asked:
        text = summary(one.wanted.label, one.job, _seconds(one.job))
        print(text, file=sys.stdout if one.job["status"] == "succeeded" else sys.stderr)


def _status(asked: Sequence[Asked], machine: Machine, board: Board) -> int:
    """Say what is unfinished or failed; the exit status, 128 + n after a signal.

    说明结果并给出退出码。
    """
    left = [one.job["id"] for one in asked if not one.ended]
    if left:
        what = "Kept, and carried on by the next ./scripts/run or ./scripts/serve"
        board.say(f"Stopped. {what if machine.lasting else 'Not kept'}: {', '.join(left)}")
        return 128 + (machine.stop.signal or 2)
    if any(one.job["status"] != "succeeded" for one in asked):
        if len(asked) > 1 or not asked:
            board.say(
                f"{sum(one.job['status'] != 'succeeded' for one in asked)} of {len(asked)} failed"
            )
        return 1
    return 0


def _seconds(job: Mapping[str, Any]) -> float:
    if not job.get("finished_at"):
        return 0.0
    begun, ended = (
        datetime.fromisoformat(job[name].replace("Z", "+00:00"))
        for name in ("created_at", "finished_at")
    )
    return (ended - begun).total_seconds()


def _further_fields(options: argparse.Namespace) -> dict[str, str]:
    fields: dict[str, str] = {}
    if options.provider:
        fields["provider"] = options.provider
    for text in options.option:
        name, equals, value = text.partition("=")
        if not equals or not name or name in ("kind", "prompt", "provider"):
            raise InputError(f"--option {text}: write it as name=value")
        fields[name] = value
    return fields


def _note(text: str) -> None:
    print(text, file=sys.stderr)


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line.

    读取命令行参数。
    """
    parser = argparse.ArgumentParser(
        prog="./scripts/run",
        description="Make 3D models, or pictures, from words and pictures, several side by side.",
    )
    parser.add_argument("inputs", nargs="*", metavar="INPUT", help="words, or a picture's file")
    parser.add_argument(
        "--views",
        action="append",
        default=[],
        metavar="front=FILE,back=FILE",
        help="views of one thing: front, and left, back or right",
    )
    parser.add_argument(
        "--kind",
        metavar="KIND",
        help=f"what to make, where the input leaves it open: {', '.join(KINDS)} (default: models)",
    )
    parser.add_argument(
        "--prompt", metavar="TEXT", help="words that go with a picture, for image-to-image"
    )
    parser.add_argument(
        "--mask",
        metavar="FILE",
        help="a picture of the same size: only where it is white does the picture change",
    )
    parser.add_argument("--provider", help="who makes it (default: the first that can)")
    parser.add_argument(
        "--option",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="an option of the provider's, face_limit=5000 or width=1024 say",
    )
    parser.add_argument(
        "--cloud",
        choices=CLOUDS,
        default="local",
        help="where the functions run: in this process, or as AWS Lambda functions of an emulated "
        "AWS that is gone afterwards (local)",
    )
    parser.add_argument("--json", action="store_true", help="print the jobs as one JSON object")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
