"""`./scripts/run`: words and pictures in, models or pictures out; the bundle, for these jobs.

在本机用整套服务完成给定的任务。
"""

from __future__ import annotations

import argparse
import io
import json
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from infra.local.cli import arguments, pictures
from infra.local.cli.show import RESULTS, Board, summary
from infra.local.cloud import inputs, results
from infra.local.cloud.beside import Beside, beside
from infra.local.cloud.command import check_settings, leave, reporting
from infra.local.cloud.door import Door, Refused, resource
from infra.local.cloud.inputs import InputError, Wanted
from infra.local.cloud.machine import Machine, assemble, home_for, preload
from infra.local.cloud.payloads import HttpAnswer
from infra.local.cloud.stop import Stop, on_signals
from shared.jobs.model import TERMINAL
from shared.observability import set_up_logs

_LOOK = 0.2
_HTTP_THREADS = 4
_ENDED = {status.value for status in TERMINAL}
_PICTURES = ("text-to-image", "image-to-image")
_SHOWN = ("preview", "thumbnail", "image")
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
    """The command; see --help. Returns 0 if every job succeeded, else 1, 2 for what cannot be asked
    for, or 128 + the signal.

    命令行入口。
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that knows no Chinese shows the rest
    options = arguments.parser().parse_args(argv)
    try:
        wanted = inputs.gather(
            options.inputs,
            options.views,
            kind=arguments.kind_of(options),
            prompt=options.prompt,
            mask=options.mask,
            note=_note,
        )
        more = arguments.further_fields(options, wanted)
    except InputError as error:
        lines = [f"./scripts/run: {error}", *(f"  {one}" for one in arguments.what_there_is())]
        print("\n".join(lines), file=sys.stderr)
        return 2
    return reporting(lambda: _run(options, wanted, more))


def _run(options: argparse.Namespace, wanted: Sequence[Wanted], more: Mapping[str, str]) -> int:
    """Bring everything up, have the jobs made, and show what came of them; the exit status.

    启动、运行并显示结果。
    """
    home, stop = home_for(options.cloud), Stop()
    check_settings(home, _QUIET)
    on_signals(stop, say=_note)
    drawn = any(one.fields["kind"] in _PICTURES for one in wanted)
    servers = beside(home, "needed" if drawn else "none")
    try:
        preload(options.cloud)
        made = {**_QUIET, **servers.made()}
        board = Board([one.label for one in wanted])
        machine = assemble(options.cloud, home, made, stop, http_threads=_HTTP_THREADS)
        with machine, board:
            set_up_logs(machine.settings.log_level, machine.settings.log_format)
            asked = _carry_out(machine, board, wanted, more)
            _place(machine, asked, home.folder / results.FOLDER)
        if options.json:
            jobs = [one.job for one in asked]
            print(json.dumps({"jobs": jobs}, ensure_ascii=False, indent=2))
        else:
            _print(asked, servers)
        if options.open:
            _open(asked)
        return leave(_status(asked, machine, board), machine.left, servers)
    finally:
        servers.close()


def _carry_out(
    machine: Machine, board: Board, wanted: Sequence[Wanted], more: Mapping[str, str]
) -> list[Asked]:
    """Have the jobs made, side by side; returns early when a stop is asked for.

    并行完成各个任务。
    """
    door = Door(machine.gateway, machine.settings, machine.files)
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
    return asked


def _place(machine: Machine, asked: Sequence[Asked], folder: Path) -> None:
    for one in asked:
        if one.job["id"] is not None:
            machine.place(one.job, folder / one.job["id"])


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


def _print(asked: Sequence[Asked], servers: Beside) -> None:
    """Say what came of each job, and show its picture where the terminal can.

    输出结果与预览。
    """
    console = Console()
    for one in asked:
        succeeded = one.job["status"] == "succeeded"
        maker = servers.maker(one.job.get("provider", ""))
        text = summary(one.wanted.label, one.job, _seconds(one.job), maker)
        print(text, file=sys.stdout if succeeded else sys.stderr, flush=True)
        shown = [item["path"] for item in one.job.get("artifacts", ()) if item["role"] in _SHOWN]
        if succeeded and shown and shown[0]:
            pictures.show(Path(shown[0]), console)


def _open(asked: Sequence[Asked]) -> None:
    for one in asked:
        for artifact in one.job.get("artifacts", ()):
            if artifact["role"] in RESULTS and artifact["path"]:
                pictures.open_file(artifact["path"], _note)


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


def _note(text: str) -> None:
    print(text, file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
