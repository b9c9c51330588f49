"""A function as the emulated SCF keeps it, and who runs it.

模拟 SCF 中的函数及其运行方。
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

Kind = Literal["Event", "HTTP"]
"""An event function, or a web function (`Type` of CreateFunction)."""

Status = Literal["Creating", "Active", "Updating", "Deleting", "CreateFailed", "UpdateFailed"]
"""`Status` of GetFunction, as far as it is used here."""


@dataclass(frozen=True)
class Trigger:
    """What wakes a function: CreateTrigger's fields.

    `kind` is `timer`, `cos` or `http`. `description` is TriggerDesc as it was sent: a timer's seven
    cron fields alone, else a JSON object: `{"event", "filter": {"Prefix", "Suffix"}}` of a bucket's
    events, `{"AuthType", "NetConfig"}` of a function URL. A bucket's trigger is named like the
    bucket's host. `argument` is what a timer's event has as its `Message`.

    触发器。
    """

    name: str
    kind: str
    description: str
    argument: str = ""
    enabled: bool = True
    qualifier: str = "$DEFAULT"


@dataclass(frozen=True)
class Outcome:
    """How an invocation ended, or that it was taken where nobody waits for its end.

    `result` is the answer as JSON text, empty where there is none. `error` is what went wrong in
    the function, none if nothing did. `seconds` is how long it ran, `log` its last output.

    一次调用的结果。
    """

    request_id: str
    result: str = ""
    error: str | None = None
    seconds: float = 0.0
    log: str = ""


@dataclass
class Deployed:
    """One function, as CreateFunction and the calls after it left it.

    `timeout` in seconds, `memory` in MB; `code` is the zip of UpdateFunctionCode, `layers` the zips
    that are unpacked into /opt, in this order. `retries` is how often the platform repeats a failed
    asynchronous invocation, `event_age` (seconds) how long it keeps one. `revision` grows with each
    change of code or configuration, so that who keeps processes knows which are old. `url` is set
    by the runner of a web function: where it answers HTTP. `more` is what else was set, by the
    API's own names (Description, ClsTopicId, …), `layer_versions` name and number of each layer.

    已部署的函数。
    """

    name: str
    namespace: str = "default"
    kind: Kind = "Event"
    handler: str = ""
    runtime: str = "Python3.10"
    timeout: int = 3
    memory: int = 128
    environment: dict[str, str] = field(default_factory=dict)
    code: bytes = b""
    layers: tuple[bytes, ...] = ()
    layer_versions: tuple[tuple[str, int], ...] = ()
    status: Status = "Creating"
    reason: str = ""
    triggers: dict[str, Trigger] = field(default_factory=dict)
    retries: int = 2
    event_age: int = 6 * 3600
    role: str = ""
    vpc: dict[str, str] = field(default_factory=dict)
    init_timeout: int = 65
    concurrency: int = 1
    revision: int = 0
    url: str = ""
    more: dict[str, Any] = field(default_factory=dict)


class Runner(Protocol):
    """Runs what is deployed: the data plane. Called by the server from several threads.

    函数的运行方。
    """

    def invoke(self, function: Deployed, event: Any, *, wait: bool) -> Outcome:
        """Give a function an event; without `wait` only to see that it was taken.

        调用函数。
        """
        ...

    def changed(self, function: Deployed) -> None:
        """A function was made, or its code, configuration or triggers are others now.

        函数已创建或变更。
        """
        ...

    def removed(self, function: Deployed) -> None:
        """A function is no longer there.

        函数已删除。
        """
        ...
