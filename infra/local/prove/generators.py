"""The generators that can be put to the proof: how each is run, asked, disturbed and looked into.

可验证的生成服务：如何启动、如何提问、如何检查。
"""

from __future__ import annotations

import io
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from infra.local.prove.clock import ask, move_clock
from infra.local.prove.scenario import Scenario
from infra.local.prove.troubled import troubled
from infra.local.prove.troubles.outage import Outage
from shared.jobs.model import Job, Status

_MODEL = ("model", "preview")
_PICTURE = ("image", "thumbnail")
_MADE_SECONDS = 240.0
"""More than a service needs for a case, its own start included."""


@dataclass(frozen=True)
class Account:
    """What a generator's own books say of a case: what is wrong, and figures to be summed up.

    生成服务自己的记录对案例的说明。
    """

    faults: Sequence[str] = ()
    figures: Mapping[str, int] = field(default_factory=dict)


class Generator(Protocol):
    """One that can be put to the proof. It runs as a process of its own, with a stand-in's routes
    (`/_log`, `/_faults`, `/_clock`, `/_health`).

    可验证的生成服务。
    """

    name: str
    """The provider's name."""
    usual: Sequence[str]
    """The scenarios that run unless told otherwise."""

    def scenarios(self) -> list[Scenario]:
        """Every way of asking that is put to the proof.

        全部验证场景。
        """

    def command(self, home: Path) -> list[str]:
        """What runs it until its stdin ends, for one slot with a folder of its own; it says
        "listening on URL" when it can be used.

        启动命令。
        """

    def settings(self, url: str, key: str) -> dict[str, str]:
        """The settings by which the bundle talks to it there.

        服务包所需的设置。
        """

    def open(self, url: str, scenario: Scenario) -> Any:
        """Get ready for a case; where its own books stand.

        准备案例。
        """

    def close(self, url: str, since: Any, scenario: Scenario, job: Job, tasks: set[str]) -> Account:
        """What its own books say after a case; `tasks` are those that the requests' log shows.

        核对生成服务自己的记录。
        """


class Tripo:
    """Tripo's stand-in: the log of requests is all that it can tell.

    Tripo 的替身。
    """

    name = "tripo"
    # A photo's way calls everything that a text's way calls.
    usual: Sequence[str] = ("photo", "photo-by-url", "photo-uploaded")

    def scenarios(self) -> list[Scenario]:
        """Every way of asking that is put to the proof.

        全部验证场景。
        """
        text = Scenario("text", self.name, "text-to-3d", _MODEL, prompt="oak")
        photo = Scenario("photo", self.name, "image-to-3d", _MODEL, photo=_photo())
        return [
            text,
            photo,
            replace(photo, name="photo-by-url", photo_from="web"),
            replace(photo, name="photo-uploaded", photo_from="upload"),
            replace(text, name="answer-lost", faults=("drop_after:1",)),
            replace(text, name="canceled", cancel=True),
            replace(text, name="refused", prompt="forbidden", succeeds=False),
            replace(text, name="doomed", prompt="doomed", succeeds=False),
            replace(text, name="broken-file", faults=("short_file:1",), succeeds=False),
            *troubled(text, photo),
        ]

    def command(self, home: Path) -> list[str]:
        """The stand-in; it keeps nothing.

        启动命令。
        """
        made = [sys.executable, "-m", "infra.local.standins.tripo", "--watch-stdin"]
        return [*made, "--port", "0", "--seconds", "0.2", "--concurrency", "100000"]

    def settings(self, url: str, key: str) -> dict[str, str]:
        """An account of its own for each key.

        服务包所需的设置。
        """
        return {"TRIPO_API_KEY": f"tsk_{key}", "TRIPO_BASE_URL": url}

    def open(self, url: str, scenario: Scenario) -> None:
        """Nothing to get ready.

        无需准备。
        """

    def close(self, url: str, since: Any, scenario: Scenario, job: Job, tasks: set[str]) -> Account:
        """Nothing beyond the log.

        没有更多记录。
        """
        return Account()


class QwenImage:
    """The Qwen-Image service itself, on a tiny model: its folder of jobs and its log are the books.

    真实的 Qwen-Image 服务。
    """

    name = "qwen-image"
    # A picture from a picture calls everything that one from words calls; two files are stored.
    usual: Sequence[str] = ("photo",)

    def scenarios(self) -> list[Scenario]:
        """Every way of asking that is put to the proof.

        全部验证场景。
        """
        one = Scenario("text", self.name, "text-to-image", _PICTURE, prompt="a red circle")
        two: dict[str, Any] = {"options": {"n": 2}, "roles": 2 * _PICTURE}
        photo: dict[str, Any] = {"kind": "image-to-image", "photo": _photo()}
        # It takes 2 steps else: too quick for anything to happen in the middle.
        slow = {"n": 2, "steps": 200, "width": 128, "height": 128}
        return [
            replace(one, **two),
            replace(one, name="photo", **photo, **two),
            # One answer only: the same create again is how it is found.
            replace(one, name="answer-lost", faults=("drop_after:1:create:1",)),
            replace(one, name="canceled", options=slow, cancel=True),
            replace(one, name="refused", options={"width": 2048}, succeeds=False),
            replace(one, name="broken-file", faults=("short_file:1",), succeeds=False),
            replace(one, name="file-broken-once", **two, faults=("short_file:1:download:1",)),
            # Each start of the service takes many seconds: the worker dies at fewer calls.
            replace(one, name="service-killed", **{**two, "options": slow}, kills=True, every=20),
            # The photo travels with the create, which is asked for again by its key.
            replace(
                one,
                name="bucket-down",
                **photo,
                faults=("drop_after:1:create:1",),
                every=0,
                trouble=partial(Outage, part="bucket", since="provider.submit"),
            ),
        ]

    def command(self, home: Path) -> list[str]:
        """The service behind a relay.

        启动命令。
        """
        made = [sys.executable, "-m", "infra.local.standins.qwen_image", "--watch-stdin"]
        return [*made, "--home", str(home)]

    def settings(self, url: str, key: str) -> dict[str, str]:
        """It asks for no key here.

        服务包所需的设置。
        """
        return {"QWEN_IMAGE_BASE_URL": url}

    def open(self, url: str, scenario: Scenario) -> dict[str, int]:
        """Have it killed in the middle of the next job, if it is to be.

        准备案例。
        """
        ask(f"{url}/_kill", {"next": scenario.kills})
        books = ask(f"{url}/_made")
        return {"jobs": len(books["jobs"]), "killed": books["killed"]}

    def close(self, url: str, since: Any, scenario: Scenario, job: Job, tasks: set[str]) -> Account:
        """One job per key in its folder, and its pictures drawn once.

        核对服务的任务文件夹与日志。
        """
        # What nobody waits for any more is drawn to its end first.
        move_clock(url, _MADE_SECONDS)
        books = ask(f"{url}/_made?since={since['jobs']}")
        killed = books["killed"] - since["killed"]
        figures = {
            "jobs in the service's folder": len(books["jobs"]),
            "jobs canceled at the service": sum(
                one["status"] == "canceled" for one in books["jobs"]
            ),
            "pictures drawn": sum(one["drawn"] for one in books["jobs"]),
            "pictures published": sum(item.role == "image" for item in job.artifacts),
            "services killed while they drew": killed,
        }
        return Account(judge_books(books["jobs"], killed, scenario, job, tasks), figures)


def judge_books(
    made: Sequence[Mapping[str, Any]], killed: int, scenario: Scenario, job: Job, tasks: set[str]
) -> list[str]:
    """What is wrong with what the service wrote down of one case.

    判断服务的记录是否与承诺相符。
    """
    faults = []
    if len(made) > 1:
        keys = len({one["key"] for one in made})
        faults.append(f"the service made {len(made)} jobs for {keys} keys")
    if {one["id"] for one in made} != tasks:
        faults.append(f"the service has {len(made)} jobs, the log shows {len(tasks)}")
    if scenario.kills and made and not killed:
        faults.append("the service was not killed while it drew")
    for one in made:
        if one["status"] not in ("succeeded", "failed", "canceled"):
            faults.append(f"the service did not end its job: {one['status']}")
        most = one["pictures"] * (1 + killed)
        if not (one["status"] == "succeeded") * one["pictures"] <= one["drawn"] <= most:
            faults.append(f"{one['drawn']} pictures were drawn where {one['pictures']} were asked")
    if job.status is Status.SUCCEEDED:
        published = [item.sha256 for item in job.artifacts if item.role == "image"]
        if [published] != [one["sha256"] for one in made]:
            faults.append("the pictures published are not those that the service made")
    return faults


GENERATORS: dict[str, Generator] = {one.name: one for one in (Tripo(), QwenImage())}
"""All of them, as `--provider` names them; the first is the default."""


def _photo() -> bytes:
    from PIL import Image

    picture = Image.radial_gradient("L").resize((96, 64)).convert("RGB")
    kept = io.BytesIO()
    picture.save(kept, "JPEG")
    return kept.getvalue()
