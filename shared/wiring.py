"""The one place that knows which adapter is in use: settings in, a wired bundle out.

唯一知道使用哪个适配器的地方：按设置把各部件接好。
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from shared import config
from shared.buckets.base import Bucket, ObjectInfo
from shared.clock import Clock, Deadline, SystemClock, new_id
from shared.config import Settings
from shared.jobs.advance import Ports
from shared.jobs.model import Job
from shared.jobs.repository import JobRepository
from shared.jobs.resource import event_of
from shared.jobs.service import JobService
from shared.links import Links
from shared.observability import set_up_logs
from shared.providers.base import Provider
from shared.store.base import Store

if TYPE_CHECKING:
    from shared.deliveries.runner import DeliveryRunner

log = logging.getLogger("maquette.wiring")

ProviderFactory = Callable[[Settings, Clock], Provider | None]


def _tripo(settings: Settings, clock: Clock) -> Provider | None:
    if not settings.tripo_api_key:
        return None
    from shared.providers.tripo import Tripo

    return Tripo(
        api_keys=[key.get_secret_value() for key in settings.tripo_api_key],
        base_url=settings.tripo_base_url,
        clock=clock,
        max_download_bytes=settings.artifact_bytes,
    )


PROVIDERS: dict[str, ProviderFactory] = {"tripo": _tripo}
"""Every provider's factory; it gives None where its settings are absent. One line adds one."""


def _sqlite(settings: Settings) -> Store:
    from shared.store.sql import SqlStore

    return SqlStore(settings.store_url)


STORES: dict[str, Callable[[Settings], Store]] = {"sqlite": _sqlite}
"""Store adapters by the scheme of `store_url`."""


@dataclass(frozen=True)
class Outside:
    """What the place the bundle runs in brings along: its clock, how a function is woken, who
    hears of new objects (where the bucket itself cannot tell).

    运行环境提供的部件。
    """

    wake: Callable[[str], None] = lambda function: None
    on_created: Callable[[ObjectInfo], None] | None = None
    clock: Clock = field(default_factory=SystemClock)


def _folder(settings: Settings, outside: Outside) -> Bucket:
    from shared.buckets.folder import FolderBucket

    return FolderBucket(
        Path(unquote(urlsplit(settings.bucket_url).path)),
        base_url=settings.public_url,
        secret=settings.link_secret.get_secret_value().encode(),
        clock=outside.clock,
        on_created=outside.on_created,
    )


BUCKETS: dict[str, Callable[[Settings, Outside], Bucket]] = {"file": _folder}
"""Bucket adapters by the scheme of `bucket_url`."""


@dataclass(frozen=True)
class Bundle:
    """Everything a function needs, wired once per process.

    一个进程所需的全部部件。
    """

    settings: Settings
    clock: Clock
    store: Store
    bucket: Bucket
    providers: Mapping[str, Provider]
    links: Links
    jobs: JobService
    ports: Ports

    @cached_property
    def deliveries(self) -> DeliveryRunner:
        """The runner that sends due webhooks; made on first use, its TLS set-up takes 25 ms.

        负责发送通知的部件。
        """
        from shared.deliveries.runner import DeliveryRunner
        from shared.deliveries.send import Sender

        secrets = [secret.get_secret_value() for secret in self.settings.webhook_secrets]
        sender = Sender(secrets, callback_policy(self.settings), self.clock)
        margin = round(self.ports.policy.lease_margin * 1000)
        return DeliveryRunner(self.store, sender, self.clock, lease_margin_ms=margin)

    def faults(self, seconds: float = 5.0) -> dict[str, str]:
        """Which part does not answer, and what it says; empty when all do.

        检查各部件是否可用。
        """
        checks: dict[str, Callable[[], None]] = {
            "store": self.store.check,
            "bucket": self.bucket.check,
        }
        for name, provider in self.providers.items():
            checks[f"provider {name}"] = _ready(provider, seconds)
        found: dict[str, str] = {}
        for name, check in checks.items():
            try:
                check()
            except Exception as error:  # whatever it is, the part is not ready
                found[name] = f"{type(error).__name__}: {error}"
        if not self.providers:
            found["provider"] = "no provider is configured"
        return found

    def close(self) -> None:
        """Close every client; calling it twice is harmless.

        关闭全部连接。
        """
        for provider in self.providers.values():
            provider.close()
        self.bucket.close()
        self.store.close()


def callback_policy(settings: Settings) -> Any:
    """Which callback URLs this deployment may call.

    允许的回调地址范围。
    """
    from shared.deliveries.targets import Policy

    return Policy(
        stage_is_local=settings.is_local, allowed_hosts=frozenset(settings.callback_hosts)
    )


def build(
    settings: Settings,
    outside: Outside | None = None,
    *,
    wrap: Callable[[str, Any], Any] = lambda name, part: part,
) -> Bundle:
    """Wire a bundle. `wrap(name, part)` may put something around store, bucket and providers.

    按设置接好全部部件。
    """
    outside = outside or Outside()
    clock, wake = outside.clock, _harmless(outside.wake)
    store = wrap("store", _adapter(STORES, "MAQUETTE_STORE_URL", settings.store_url)(settings))
    bucket = wrap(
        "bucket", _adapter(BUCKETS, "MAQUETTE_BUCKET_URL", settings.bucket_url)(settings, outside)
    )
    made = {name: factory(settings, clock) for name, factory in PROVIDERS.items()}
    providers = {name: wrap(f"provider {name}", one) for name, one in made.items() if one}
    links = Links(settings.public_url, settings.link_secret.get_secret_value().encode())
    jobs = JobRepository(store, lambda job: _event(job, links, clock))
    ports = Ports(
        jobs,
        bucket,
        providers,
        clock,
        settings.policy(),
        wake,
        measure_below=settings.measure_below_bytes,
    )
    service = JobService(jobs, bucket, providers, clock, wake)
    return Bundle(settings, clock, store, bucket, providers, links, service, ports)


_current: Bundle | None = None
_lock = threading.Lock()


def current() -> Bundle:
    """This process's bundle, wired from its environment on first use.

    Raises `SettingsError`.

    本进程的部件。
    """
    global _current
    with _lock:
        if _current is None:
            settings = config.load()
            set_up_logs(settings.log_level, settings.log_format)
            _current = build(settings)
        return _current


def install(bundle: Bundle | None) -> None:
    """Make `bundle` this process's one (None: wire anew on next use).

    指定本进程使用的部件。
    """
    global _current
    with _lock:
        _current = bundle


def deadline_of(context: Any) -> Deadline:
    """The invocation's deadline, from Lambda's context object.

    本次调用的截止时间。
    """
    return Deadline(lambda: context.get_remaining_time_in_millis() / 1000)


def _harmless(wake: Callable[[str], None]) -> Callable[[str], None]:
    """A wake-up that cannot fail its caller: what it announces is saved, the timer finds it."""

    def call(function: str) -> None:
        try:
            wake(function)
        except Exception:
            log.warning(
                "%s could not be woken; its timer will find the work", function, exc_info=True
            )

    return call


def _adapter(known: Mapping[str, Any], variable: str, url: str) -> Any:
    scheme = urlsplit(url).scheme
    if scheme not in known:
        choices = ", ".join(f"{name}:" for name in sorted(known))
        raise config.SettingsError([f"{variable}: {scheme!r} is not known; choose from {choices}"])
    return known[scheme]


def _event(job: Job, links: Links, clock: Clock) -> Any:
    return event_of(job, links, new_id(clock))


def _ready(provider: Provider, seconds: float) -> Callable[[], None]:
    return lambda: provider.ready(Deadline.after(seconds))
