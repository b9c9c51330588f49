"""The scenarios in which something goes wrong that is no worker's death, or not that alone.

除单次中断外还有其他麻烦的场景。
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

from infra.local.prove.scenario import Scenario
from infra.local.prove.trouble import Trouble
from infra.local.prove.troubles.adapter import METHODS, Cursed, KeyErrors
from infra.local.prove.troubles.killer import Killer
from infra.local.prove.troubles.outage import Outage, ProviderOutage
from infra.local.prove.troubles.previous import Previous
from infra.local.prove.troubles.strangers import Strangers
from infra.local.prove.troubles.throttle import Throttled


def troubled(text: Scenario, photo: Scenario) -> list[Scenario]:
    """All of them, made of what a text and a photo ask for.

    全部此类场景。
    """
    one = replace(text, every=0, options={"face_limit": 1000})
    three, five = replace(one, jobs=3), replace(one, jobs=5)
    killed = replace(five, lives=20)
    lost = replace(one, faults=("drop_after:1:create:1",))
    unread = replace(lost, photo=photo.photo, kind=photo.kind, prompt=None)
    cursed = replace(three, prompt="cursed", settings={"run_seconds": 300, "cancel_seconds": 120})
    return [
        _with(killed, "killer-creates", Killer, part="provider", method="prepare"),
        _with(killed, "killer-is-fetched", Killer, part="provider", method="download"),
        _with(killed, "killer-is-verified", Killer, part="bucket", method="open"),
        _with(lost, "store-down", Outage, part="store", since="provider.submit"),
        _with(one, "store-down-later", Outage, part="store", since="bucket.put_stream"),
        _with(unread, "bucket-down", Outage, part="bucket", since="provider.submit"),
        _with(one, "bucket-down-later", Outage, part="bucket", since="bucket.put_stream"),
        _with(lost, "provider-down", ProviderOutage),
        *(_with(one, f"key-error-in-{each}", KeyErrors, method=each) for each in METHODS),
        _with(replace(one, cancel=True), "key-error-in-cancel", KeyErrors, method="cancel"),
        _with(lost, "key-error-in-find", KeyErrors, method="find"),
        _with(cursed, "key-error-for-one", Cursed),
        _with(three, "store-throttled", Throttled),
        _with(three, "strangers", Strangers),
        _with(replace(one, jobs=2), "previous-version", Previous),
    ]


def _with(asked: Scenario, name: str, kind: type[Trouble], **how: Any) -> Scenario:
    return replace(asked, name=name, trouble=partial(kind, **how))
