"""The one place that knows which adapter is in use: settings in, a wired bundle out.

唯一知道使用哪个适配器的地方：按设置把各部件接好。
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache, cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar
from urllib.parse import unquote, urlsplit

from pydantic import SecretStr

from shared import config, observability, readiness
from shared.buckets.base import Bucket, ObjectInfo
from shared.clock import Clock, Deadline, SystemClock, new_id
from shared.config import Settings
from shared.inputs.remote import Fetcher
from shared.inputs.uploads import UploadRepository
from shared.jobs import job_metrics
from shared.jobs.durations import Durations
from shared.jobs.model import Job
from shared.jobs.ports import Ports
from shared.jobs.presentation import event_at_end
from shared.jobs.repository import JobRepository, Observer, task_of
from shared.jobs.rests import Rests
from shared.jobs.service import JobService
from shared.links import Links
from shared.metrics import (
    CLAIMS_LOST,
    DELIVERIES,
    OFF,
    QUEUE_AGE,
    RECORDS_SET_ASIDE,
    Gathered,
    Metrics,
)
from shared.notices import Notices, about
from shared.observability import set_up_logs
from shared.providers.base import Adapter, Provider, Unauthorized
from shared.providers.credentials import Credential, KeptCredentials
from shared.providers.declaration import Declaration, Surroundings
from shared.providers.guarded import Guarded
from shared.providers.limits import ToldLimits
from shared.providers.registry import PROVIDERS
from shared.records import Unreadable
from shared.secret_values import SecretsUnavailable
from shared.store.base import Store
from shared.store.tables import OLD_LANES
from shared.waiting import Waiters, held
from shared.work.alarm import Alarm
from shared.work.company import Company
from shared.work.courtesy import Courtesy

if TYPE_CHECKING:
    from shared.deliveries.model import Delivery
    from shared.deliveries.runner import DeliveryRunner
    from shared.deliveries.schedule import Outcome
    from shared.inputs.keeping import InputKeeper

log = logging.getLogger("maquette.wiring")

T = TypeVar("T")


def _sql(settings: Settings, clock: Clock, metrics: Metrics) -> Store:
    from shared.store.sql.store import SqlStore

    try:
        return SqlStore(settings.store_url)
    except ValueError as error:  # of its options; the URL itself was looked at before
        raise config.SettingsError([f"MAQUETTE_STORE_URL: {error}"]) from None


def _dynamodb(settings: Settings, clock: Clock, metrics: Metrics) -> Store:
    from shared.store.dynamodb.store import DynamoStore

    table = urlsplit(settings.store_url).netloc
    return DynamoStore(table, clock, on_lost=lambda number: metrics.add(CLAIMS_LOST, number))


StoreFactory = Callable[[Settings, Clock, Metrics], Store]

STORES: dict[str, StoreFactory] = {"dynamodb": _dynamodb, "mysql": _sql, "sqlite": _sql}
"""Store adapters by the scheme of `store_url`."""


@dataclass(frozen=True)
class Outside:
    """What the place the bundle runs in brings along: its clock, how a function is woken (None: as
    `wake_url` says), who hears of new objects (where the bucket itself cannot tell), how many
    requests may wait for a job's end and what ends them, and the callers that work gives way to.

    运行环境提供的部件。
    """

    wake: Callable[[str], None] | None = None
    on_created: Callable[[ObjectInfo], None] | None = None
    clock: Clock = field(default_factory=SystemClock)
    waiters: Waiters = field(default_factory=Waiters)
    courtesy: Courtesy = field(default_factory=Courtesy)


def _folder(settings: Settings, outside: Outside) -> Bucket:
    """A folder as a bucket.

    本地文件夹存储。
    """
    from shared.buckets.folder import FolderBucket

    return FolderBucket(
        Path(unquote(urlsplit(settings.bucket_url).path)),
        base_url=settings.public_url,
        secret=link_secrets(settings)[0],
        older=link_secrets(settings)[1:],
        clock=outside.clock,
        on_created=outside.on_created,
    )


def _s3(settings: Settings, outside: Outside) -> Bucket:
    from shared.buckets.s3 import S3Bucket

    return S3Bucket(urlsplit(settings.bucket_url).netloc)


def _cos(settings: Settings, outside: Outside) -> Bucket:
    from shared.buckets.cos import CosBucket

    name = urlsplit(settings.bucket_url).netloc
    return CosBucket(name, acl=settings.cos_acl, encryption=settings.cos_encryption)


BUCKETS: dict[str, Callable[[Settings, Outside], Bucket]] = {
    "cos": _cos,
    "file": _folder,
    "s3": _s3,
}
"""Bucket adapters by the scheme of `bucket_url`."""


class Waker(Protocol):
    """Wakes functions, and asks for one more `poll`; may raise anything.

    唤醒函数的部件。
    """

    def wake(self, function: str) -> None:
        """Tell a function that work waits for it.

        唤醒一个函数。
        """

    def help(self, provider: str) -> None:
        """Have one more `poll` carry a provider's jobs forward.

        请求协助推进某个生成服务的任务。
        """


class _Timers:
    """Where nobody is woken: the timers find everything."""

    def wake(self, function: str) -> None:
        pass

    def help(self, provider: str) -> None:
        pass


def _lambda(settings: Settings) -> Waker:
    from shared.aws.wake import LambdaWake

    return LambdaWake(urlsplit(settings.wake_url).netloc)


def _scf(settings: Settings) -> Waker:
    from shared.tencent.wake import ScfWake

    return ScfWake.at(settings.wake_url)


WAKERS: dict[str, Callable[[Settings], Waker]] = {
    "": lambda _: _Timers(),
    "lambda": _lambda,
    "scf": _scf,
}
"""How functions are woken, by the scheme of `wake_url`."""


def _aws_secrets(url: str) -> Mapping[str, str]:
    from shared.aws.secrets import read

    return read(url)


def _tencent_secrets(url: str) -> Mapping[str, str]:
    from shared.tencent.secrets import read

    return read(url)


SECRETS: dict[str, Callable[[str], Mapping[str, str]]] = {
    "": lambda _: {},
    "secretsmanager": _aws_secrets,
    "ssm": _aws_secrets,
    "tencent-ssm": _tencent_secrets,
}
"""Where settings that are secret are read from, by the scheme of `secrets_url`."""


def _emf(settings: Settings, clock: Clock) -> Metrics:
    from shared.aws.emf import Emf

    return Gathered(Emf(settings.stage), clock.now)


def _cls(settings: Settings, clock: Clock) -> Metrics:
    from shared.tencent.cls import Cls

    return Gathered(Cls(settings.stage), clock.now)


METRICS: dict[str, Callable[[Settings, Clock], Metrics]] = {
    "off": lambda *_: OFF,
    "cls": _cls,
    "emf": _emf,
}
"""Where measurements go, by the setting `metrics`."""


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
    uploads: UploadRepository
    ports: Ports
    metrics: Metrics = OFF

    @cached_property
    def limits(self) -> ToldLimits:
        """What providers told of their limits.

        各生成服务自述的限制。
        """
        return ToldLimits(self.store, self.clock)

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
        return DeliveryRunner(
            self.store,
            sender,
            self.clock,
            lease_margin_ms=margin,
            observe=_delivery_observer(self.metrics),
            aside=_aside(self.metrics, self.ports.notices),
            company=self.ports.company,
            alarm=self.ports.alarm,
        )

    @cached_property
    def keeper(self) -> InputKeeper:
        """What checks and keeps inputs; made on first use.

        检查并保存输入的部件。
        """
        return keeper(self.settings, self.bucket)

    def faults(self, seconds: float = 5.0) -> dict[str, str]:
        """Which part does not answer, and what it says; empty when all do. All are asked at once; a
        provider's calls may take `seconds`.

        检查各部件是否可用。
        """
        checks: dict[str, Callable[[], None]] = {
            "store": self.store.check,
            "bucket": self.bucket.check,
        }
        for name, provider in self.providers.items():
            checks[about(name)] = self._ready(name, provider, seconds)
        found = readiness.faults(checks)
        if not self.providers:
            found["provider"] = "no provider is configured"
        return found

    def _ready(self, name: str, provider: Provider, seconds: float) -> Callable[[], None]:
        """The check of a provider; what anybody may read of its outcome is a notice as well.

        生成服务的就绪检查，可公开的结果写成提示。
        """

        def check() -> None:
            deadline = Deadline.after(seconds)
            try:
                provider.ready(deadline)
            except Unauthorized:
                variable = self.ports.key_variables.get(name, "its key")
                self.ports.notices.post(about(name), f"{name} does not accept {variable}")
                raise Unauthorized(f"{variable} is not accepted, or may not do this") from None
            self.ports.notices.clear(about(name))
            self.limits.refresh(provider, deadline)

        return check

    def close(self) -> None:
        """Close every client; calling it twice is harmless.

        关闭全部连接。
        """
        for provider in self.providers.values():
            provider.close()
        self.bucket.close()
        self.store.close()


def store_of(settings: Settings, clock: Clock, metrics: Metrics = OFF) -> Store:
    """The store that the settings name.

    按设置打开存储。
    """
    return _adapter(STORES, settings.store_url)(settings, clock, metrics)


def link_secrets(settings: Settings) -> list[bytes]:
    """What links are signed with, first the one that signs new ones.

    链接的签名密钥，第一个用于新链接。
    """
    return [item.get_secret_value().encode() for item in settings.link_secret]


def keeper(settings: Settings, bucket: Bucket) -> InputKeeper:
    """What checks and keeps inputs, by this deployment's rules.

    按本部署的规则检查并保存输入。
    """
    from shared.artifacts.images.image import ImageLimits
    from shared.inputs.content import ContentRules
    from shared.inputs.keeping import InputKeeper

    limits = ImageLimits(
        min_side=settings.image_min_side,
        max_side=settings.image_max_side,
        max_pixels=settings.image_pixels,
        max_bytes=settings.image_bytes,
    )
    rules = ContentRules(limits, settings.image_formats, settings.model_bytes)
    return InputKeeper(bucket, rules)


def callback_policy(settings: Settings) -> Any:
    """Which URLs of callers this deployment may send webhooks to.

    回调允许访问的地址范围。
    """
    return _url_policy(settings, settings.callback_hosts)


def input_policy(settings: Settings) -> Any:
    """Which URLs of callers this deployment may fetch inputs from. A host that takes webhooks is
    not one of itself: whatever it serves, a caller could have fetched.

    网络输入允许访问的地址范围。
    """
    return _url_policy(settings, settings.input_hosts)


def _url_policy(settings: Settings, hosts: Sequence[str]) -> Any:
    from shared.outbound.url_policy import Policy

    return Policy(stage_is_local=settings.is_local, allowed_hosts=frozenset(hosts))


def build(
    settings: Settings,
    outside: Outside | None = None,
    *,
    wrap: Callable[[str, Any], Any] = lambda name, part: part,
) -> Bundle:
    """Wire a bundle. `wrap(name, part)` may put something around store, bucket, and, when they are
    made at their first use, the adapters and the fetcher.

    按设置接好全部部件。
    """
    observability.hide(_secrets(settings))
    outside = outside or Outside()
    clock = outside.clock
    metrics = METRICS[settings.metrics](settings, clock)
    waker = _adapter(WAKERS, settings.wake_url)(settings)
    # Where time is not the machine's own, waiting is not either.
    alarm = Alarm(None if isinstance(clock, SystemClock) else lambda seconds: clock.sleep(seconds))
    wake = _ringing(alarm, _harmless(outside.wake or waker.wake))
    store = wrap("store", store_of(settings, clock, metrics))
    bucket = wrap("bucket", _adapter(BUCKETS, settings.bucket_url)(settings, outside))
    credentials = KeptCredentials(_credentials(settings))
    around = Surroundings(credentials, clock, settings.artifact_bytes)
    providers: dict[str, Provider] = {}
    for name in credentials.kept:
        make = _adapter_of(PROVIDERS[name], settings, around, wrap)
        providers[name] = Guarded(PROVIDERS[name], make, credentials, clock, metrics)
    secret, *older = link_secrets(settings)
    links = Links(settings.public_url, secret, older)
    notices = Notices(store, clock)
    jobs = JobRepository(
        store,
        (task_of, event_at_end(links, partial(new_id, clock))),
        _job_observer(metrics),
        _aside(metrics, notices),
    )
    keep = cache(partial(keeper, settings, bucket))
    ports = Ports(
        jobs,
        bucket,
        providers,
        credentials,
        clock,
        settings.policy(),
        wake,
        Rests(store, clock),
        notices,
        keep,
        _fetcher(settings, wrap),
        bells=[partial(_ring_callback, store, metrics, wake)],
        errands=[partial(_refile_deliveries, store, lane) for lane in range(1, OLD_LANES)],
        help=_harmless(waker.help),
        measure_below=settings.measure_below_bytes,
        draws_previews=settings.preview == "on",
        metrics=metrics,
        absent=[name for name in PROVIDERS if name not in providers],
        durations=Durations(store),
        company=Company(outside.courtesy),
        alarm=alarm,
        key_variables={name: one.key_variable for name, one in PROVIDERS.items()},
    )
    uploads = UploadRepository(store, clock)
    service = JobService(
        *(jobs, bucket, providers, clock, wake, keep, uploads, outside.waiters),
        absent=_absent(providers),
    )
    return Bundle(
        settings, clock, store, bucket, providers, links, service, uploads, ports, metrics
    )


def _absent(providers: Mapping[str, Provider]) -> dict[str, dict[str, str]]:
    """By kind: who could make it, were it set up, and by which setting it would be."""
    found: dict[str, dict[str, str]] = {}
    for name, declared in PROVIDERS.items():
        for kind in declared.options if name not in providers else ():
            found.setdefault(kind, {})[name] = declared.switch
    return found


def _fetcher(settings: Settings, wrap: Callable[[str, Any], Any]) -> Callable[[], Fetcher]:
    """The fetcher of this process, made on first use: its TLS set-up takes 25 ms."""

    @cache
    def made() -> Fetcher:
        from shared.inputs.fetch import WebFetcher

        fetcher: Fetcher = wrap("fetcher", WebFetcher(input_policy(settings)))
        return fetcher

    return made


def _adapter_of(
    declared: Declaration[Any],
    settings: Settings,
    around: Surroundings,
    wrap: Callable[[str, Any], Any],
) -> Callable[[], Adapter]:
    own = settings.providers[declared.name]
    return lambda: wrap(f"provider {declared.name}", declared.make(own, around))


_current: Bundle | None = None
_outside = Outside()
_lock = threading.Lock()
_BUILD_SECONDS = 8.0
"""How long one request waits for another one that reads the secrets and wires the parts."""


def current() -> Bundle:
    """This process's bundle, wired from its environment on first use.

    Raises `SettingsError`, and `Unavailable` while somebody else wires it for too long.

    本进程的部件。
    """
    global _current
    with held(_lock, _BUILD_SECONDS):
        if _current is None:
            settings = config.load(environment())
            set_up_logs(settings.log_level, settings.log_format)
            _current = build(settings, _outside)
        return _current


def run_in(outside: Outside) -> None:
    """Say what this process brings along; to be said before `current` wires its bundle.

    指定本进程的运行环境。
    """
    global _outside
    _outside = outside


def install(bundle: Bundle | None) -> None:
    """Make `bundle` this process's one (None: wire anew on next use).

    指定本进程使用的部件。
    """
    global _current
    with held(_lock, _BUILD_SECONDS):
        _current = bundle


@contextmanager
def invocation(context: Any) -> Iterator[Deadline]:
    """One invocation, by Lambda's context object: log lines inside name it, and what was measured
    is written at its end, however it ends. Gives its deadline.

    包裹一次函数调用。
    """
    with observability.invocation(context):
        try:
            yield deadline_of(context)
        finally:
            if _current is not None:
                _current.metrics.flush()


def deadline_of(context: Any) -> Deadline:
    """The invocation's deadline, from Lambda's context object.

    本次调用的截止时间。
    """
    return Deadline(lambda: context.get_remaining_time_in_millis() / 1000)


def environment() -> dict[str, str]:
    """The process's environment, which goes first, above the secrets kept elsewhere; raises
    `SettingsError` where these cannot be read.

    本进程的环境变量与密钥。
    """
    url = os.environ.get("MAQUETTE_SECRETS_URL", "")
    # One that is not known is named with all other faults.
    read = SECRETS.get(url.partition(":")[0], SECRETS[""])
    try:
        secrets = read(url)
    except SecretsUnavailable as error:
        raise config.SettingsError([f"MAQUETTE_SECRETS_URL: {error}"]) from None
    return {**secrets, **{name: value for name, value in os.environ.items() if value}}


def _secrets(settings: Settings) -> Iterator[str]:
    """Every secret of the settings, also without what is written around it (`name:`, `whsec_`)."""
    for value in settings.by_variable().values():
        for item in value if isinstance(value, tuple) else (value,):
            if isinstance(item, SecretStr):
                text = item.get_secret_value()
                yield from (text, text.partition(":")[2], text.removeprefix("whsec_"))
    for credentials in _credentials(settings).values():
        yield from (one.secret.get_secret_value() for one in credentials)
    password = urlsplit(settings.store_url).password or ""
    yield from (password, unquote(password))  # as the URL spells it, and as the driver sends it


def _credentials(settings: Settings) -> dict[str, Sequence[Credential]]:
    """The credentials of every provider in use, in the providers' own order."""
    found = {name: settings.providers[name].credentials() for name in PROVIDERS}
    return {name: credentials for name, credentials in found.items() if credentials}


def _harmless(wake: Callable[[T], None]) -> Callable[[T], None]:
    """A wake-up that cannot fail its caller: what it announces is saved, the timer finds it."""

    def call(whom: T) -> None:
        try:
            wake(whom)
        except Exception:
            log.warning("%s could not be woken; the timer will find the work", whom, exc_info=True)

    return call


def _adapter(known: Mapping[str, T], url: str) -> T:
    return known[urlsplit(url).scheme]  # the settings know every scheme that there is


def _job_observer(metrics: Metrics) -> Observer:
    def observe(old: Job | None, new: Job) -> None:
        for metric, value, dimensions in job_metrics.of_change(old, new):
            metrics.add(metric, value, **dimensions)

    return observe


def _delivery_observer(metrics: Metrics) -> Callable[[Delivery, Outcome], None]:
    """One that is still pending after a try has failed this time and is tried again."""

    def observe(delivery: Delivery, outcome: Outcome) -> None:
        status = delivery.status.value
        metrics.add(DELIVERIES, result="failed" if status == "pending" else status)

    return observe


def _aside(metrics: Metrics, notices: Notices) -> Callable[[Unreadable], None]:
    """What becomes known of a record that this code has to leave alone."""

    def tell(error: Unreadable) -> None:
        metrics.add(RECORDS_SET_ASIDE, reason=error.reason)
        if not error.newer:
            notices.post("unreadable records", f"Some are left alone, {error.key} among them.")

    return tell


def _ring_callback(store: Store, metrics: Metrics, wake: Callable[[str], None], now: int) -> None:
    """Wake `callback` if a delivery lies due for it; claims nothing."""
    from shared.deliveries import repository

    due = repository.next_due(store)
    waited = max(0, now - due) / 1000 if due is not None else 0
    metrics.add(QUEUE_AGE, waited, queue="deliveries")
    if due is not None and due <= now:
        wake("callback")


def _refile_deliveries(store: Store, lane: int, now: int) -> int:
    from shared.deliveries import repository

    return repository.refile(store, lane, now, _REFILED)


_REFILED = 100


def _ringing(alarm: Alarm, wake: Callable[[str], None]) -> Callable[[str], None]:
    """A wake-up that a `poll` which already runs in this process hears as well."""

    def call(function: str) -> None:
        wake(function)
        if function == "poll":
            alarm.ring()

    return call
