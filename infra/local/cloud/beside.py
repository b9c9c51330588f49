"""The generators beside the bundle on this machine: which ones, who waits for them, how they are.

与本机服务一同运行的生成服务。
"""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from typing import Literal

from infra.local.cloud.generators import qwen_image, qwen_is_there, tripo
from infra.local.cloud.home import STANDIN_KEY, VARIABLE, Home, UsageError
from infra.local.cloud.standin import News, Standin, StandinError
from shared.notices import Notices, about
from shared.providers.qwen_image.options import NAME as QWEN_IMAGE
from shared.providers.registry import PROVIDERS
from shared.providers.tripo.options import NAME as TRIPO

log = logging.getLogger("maquette.local")

SNAPPY = {"MAQUETTE_POLL_FIRST_SECONDS": "0.5", "MAQUETTE_POLL_FACTOR": "1.1"}
"""How the stand-in is looked at, where the operator did not say: it is quick, so looks are too."""


@dataclass(frozen=True)
class Beside:
    """The generators that run beside the bundle on this machine, where no others are set.

    The one for pictures is optional to the rest: nobody waits for it, unless it is `needed`.

    与本机服务一同运行的生成服务。
    """

    tripo: Standin | None = None
    qwen_image: Standin | None = None
    needed: bool = False

    def start(self) -> None:
        """Begin to start those that are waited for; returns at once.

        开始启动。
        """
        if self.tripo is not None:
            self.tripo.start()
        if self.qwen_image is not None and self.needed:
            self.qwen_image.start()

    def made(self) -> dict[str, str]:
        """What the settings are given so that the bundle talks to them; waits until those answer
        without which nothing can be made. Raises `StandinError` if they do not.

        所需的设置。
        """
        made: dict[str, str] = {}
        if self.tripo is not None:
            made = {**SNAPPY, "TRIPO_API_KEY": STANDIN_KEY, "TRIPO_BASE_URL": self.tripo.url()}
        if self.qwen_image is not None:
            url = self.qwen_image.url() if self.needed else self.qwen_image.settle()
            made |= {**SNAPPY, "QWEN_IMAGE_BASE_URL": url}
            made["MAQUETTE_OPTIONAL_PROVIDERS"] = QWEN_IMAGE
        return made

    def go_on(self, notices: Notices) -> None:
        """Begin to start the one that nobody waits for, now that everything else is up, and have
        it say how it is, where `/ready` and `/info` read it.

        启动可有可无的服务，并写入其状态。
        """
        if self.qwen_image is not None and not self.needed:
            self.qwen_image.tell(_posting(notices, about(QWEN_IMAGE)))
            self.qwen_image.start()

    def maker(self, provider: str) -> str:
        """Who makes what this provider is asked for, in words; and how the real one does.

        由谁生成。
        """
        if self.tripo is not None and provider == TRIPO:
            return f"the stand-in; {PROVIDERS[TRIPO].switch} for the real one"
        if self.qwen_image is not None and provider == QWEN_IMAGE:
            model = os.environ.get("QWEN_IMAGE_MODEL") or "the tiny model"
            return f"{model} on this machine; {PROVIDERS[QWEN_IMAGE].switch} for a real service"
        return provider

    def close(self) -> None:
        """End them, as the last thing.

        全部停止。
        """
        for one in (self.tripo, self.qwen_image):
            if one is not None:
                one.close()


def _posting(notices: Notices, name: str) -> News:
    """News that become the notice of this name, or take it back.

    把消息写成提示。
    """

    def news(trouble: str | None) -> None:
        try:
            if trouble is None:
                notices.clear(name)
            else:
                notices.post(name, trouble)
        except Exception:  # whatever the store is in the middle of: it is told again later
            log.info("%s could not be told", name, exc_info=True)

    return news


Pictures = Literal["none", "optional", "needed"]
"""Whether the service for pictures runs as well: not at all, if it is there, or in any case."""


def beside(home: Home, pictures: Pictures) -> Beside:
    """The generators to be run here, starting: Tripo's stand-in where there is no key for the real
    one, and the Qwen-Image service where none is set.

    Raises `StandinError` where that is needed and not installed.

    启动本机的生成服务。
    """
    wanted = pictures != "none" and not home.has_qwen_image
    if wanted and pictures == "needed" and not qwen_is_there():
        raise StandinError("the Qwen-Image service is not installed; ./scripts/run installs it")
    try:
        home.folder.mkdir(parents=True, exist_ok=True)
        (home.folder / "standin.lock").touch()
    except OSError as error:
        raise UsageError(
            f"{home.folder} cannot be written to ({error.strerror}); set {VARIABLE} to a folder "
            "that can."
        ) from None
    found = Beside(
        Standin(home.folder, tripo()) if home.needs_standin else None,
        Standin(home.folder, qwen_image()) if wanted and qwen_is_there() else None,
        needed=pictures == "needed",
    )
    found.start()
    return found
