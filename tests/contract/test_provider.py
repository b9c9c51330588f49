"""What every Provider must do, tried over each adapter and its stand-in.

所有生成服务适配器共同的行为测试。
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
import time
import traceback
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import pytest
from PIL import Image
from pydantic import SecretStr

from infra.local.standins.qwen_service import QwenService
from infra.local.standins.tripo import Standin
from shared.artifacts.images.image import BrokenImage, ImageLimits, inspect_image
from shared.buckets.base import BucketUnavailable
from shared.clock import Deadline, OutOfTime, SystemClock
from shared.providers.base import (
    Adapter,
    Ask,
    Download,
    DownloadFailed,
    InputImage,
    OutOfCredit,
    Provider,
    ProviderError,
    ProviderUnavailable,
    RateLimited,
    Rejected,
    RemoteFile,
    Request,
    TaskState,
    Unauthorized,
    UnknownOutcome,
    Wanted,
)
from shared.providers.credentials import Credential, KeptCredentials
from shared.providers.guarded import Guarded
from shared.providers.qwen_image.adapter import QwenImage
from shared.providers.qwen_image.declaration import QWEN_IMAGE
from shared.providers.tripo.adapter import Tripo
from shared.providers.tripo.declaration import TRIPO

KEY = "tsk_a-key-that-must-never-be-seen"


class Held(KeptCredentials):
    """One credential, `main`; all may be replaced while tasks run."""

    __setattr__ = object.__setattr__

    def __init__(self, provider: str) -> None:
        self.provider = provider
        self.hold(Credential("main", SecretStr(KEY)))

    def hold(self, *credentials: Credential) -> None:
        """Have these from now on."""
        self.kept = {self.provider: credentials}


class QuickClock(SystemClock):
    """The real time, but waiting costs none; it remembers what was waited."""

    def __init__(self) -> None:
        self.waits: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)


def picture(colour: str, media_type: str = "image/png") -> InputImage:
    buffer = io.BytesIO()
    Image.new("RGB", (64, 64), colour).save(buffer, media_type.partition("/")[2])
    data = buffer.getvalue()
    digest = hashlib.sha256(data).hexdigest()
    return InputImage(media_type, len(data), digest, lambda: io.BytesIO(data))


def is_whole_glb(data: bytes) -> bool:
    return data[:4] == b"glTF" and int.from_bytes(data[8:12], "little") == len(data)


@dataclass
class Case:
    """One adapter with its stand-in: what it can be asked, and how to read the stand-in's log."""

    provider: Provider
    server: Any
    clock: QuickClock
    asks: Sequence[Ask]
    refused: Ask
    creates: Callable[[Mapping[str, Any]], bool]
    is_whole: Callable[[bytes], bool]
    make: Callable[..., Provider]
    credentials: Held
    faults: Mapping[str, type[ProviderError] | None] = field(default_factory=dict)
    keys: Iterator[int] = field(default_factory=lambda: count(1))

    @property
    def credential(self) -> str:
        return "main"

    def prepared(self, ask: Ask | None = None) -> Request:
        return self.provider.prepare(ask or self.asks[0], self.credential, soon())

    def submitted(self, ask: Ask | None = None) -> str:
        return self.sends(self.prepared(ask))

    def sends(self, request: Request, key: str | None = None) -> str:
        key = key or f"job:{next(self.keys)}"
        return self.provider.submit(request, key, self.credential, soon())

    def state(self, task_id: str) -> TaskState:
        return self.provider.check([task_id], self.credential, soon())[task_id]

    def finished(self) -> RemoteFile:
        task_id = self.submitted()
        self.server.advance(60)
        return self.state(task_id).files[0]

    def fetch(self, file: RemoteFile, deadline: Deadline | None = None) -> bytes:
        with self.provider.download(file, self.credential, deadline or soon()) as download:
            return b"".join(download.chunks)

    def finds(self, request: Request, since: int) -> list[str]:
        (found,) = self.provider.find([Wanted(request, since)], self.credential, soon())
        return list(found)

    def hold(self, key: str) -> None:
        """Replace the key under the credential's name."""
        self.credentials.hold(Credential("main", SecretStr(key)))

    def sent(self) -> list[Mapping[str, Any]]:
        return [entry for entry in self.server.log() if self.creates(entry)]


Around = Callable[[Adapter], Any]
"""What is put around an adapter, below the guard."""


def as_it_is(adapter: Adapter) -> Adapter:
    return adapter


class Breaking:
    """An adapter that raises `error` after what it was asked for was done; a check of many only
    for `doomed`.
    """

    def __init__(self, adapter: Adapter, error: Exception, doomed: str = "") -> None:
        self._adapter, self._error, self._doomed = adapter, error, doomed

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._adapter, name)

        def broken(*args: Any) -> Any:
            answer = call(*args)
            if name != "close" and (name != "check" or self._doomed in args[0]):
                raise self._error
            return answer

        return broken


def stop_after_one(download: Download, trouble: Exception) -> None:
    next(download.chunks)
    raise trouble


def soon(seconds: float = 30.0) -> Deadline:
    return Deadline.after(seconds)


@contextmanager
def tripo() -> Iterator[Case]:
    views = {"front": picture("red"), "back": picture("blue", "image/jpeg")}
    clock, credentials = QuickClock(), Held("tripo")
    with ExitStack() as stack:
        server = stack.enter_context(Standin(seconds=30, key=KEY, concurrency=500, hang_seconds=8))

        def make(around: Around = as_it_is, **changes: Any) -> Provider:
            given = {"credentials": credentials, "base_url": server.url, "clock": clock, **changes}
            provider = Guarded(TRIPO, lambda: around(Tripo(**given)), credentials, clock)
            stack.callback(provider.close)
            return provider

        yield Case(
            provider=make(),
            server=server,
            clock=clock,
            asks=[
                Ask("text-to-3d", "ein Stuhl, 一把椅子", {}, {"face_limit": 5000}),
                Ask("image-to-3d", None, {"image": picture("green", "image/webp")}, {}),
                Ask("multiview-to-3d", None, views, {"texture_seed": 4}),
            ],
            refused=Ask("text-to-3d", "something forbidden", {}, {}),
            creates=lambda entry: entry["path"].startswith("/v3/generation/"),
            is_whole=is_whole_glb,
            make=make,
            credentials=credentials,
            faults={
                "rate_limit": RateLimited,
                "error_500": ProviderUnavailable,
                "error_503": ProviderUnavailable,
                "error_502": UnknownOutcome,
                "drop_before": UnknownOutcome,
                "drop_after": UnknownOutcome,
                "error_502_after": UnknownOutcome,
                "hang": UnknownOutcome,
                "slow": None,
            },
        )


def is_whole_png(data: bytes) -> bool:
    try:
        return inspect_image(data, ImageLimits()).media_type == "image/png"
    except BrokenImage:
        return False


@contextmanager
def qwen_image() -> Iterator[Case]:
    clock, credentials = QuickClock(), Held("qwen-image")
    with ExitStack() as stack:
        server = stack.enter_context(QwenService(seconds=30, key=KEY, hang_seconds=8))

        def make(around: Around = as_it_is, **changes: Any) -> Provider:
            given = {"credentials": credentials, "base_url": server.url, "clock": clock, **changes}
            provider = Guarded(QWEN_IMAGE, lambda: around(QwenImage(**given)), credentials, clock)
            stack.callback(provider.close)
            return provider

        yield Case(
            provider=make(),
            server=server,
            clock=clock,
            asks=[
                Ask("text-to-image", "ein Stuhl, 一把椅子", {}, {"width": 96, "steps": 8}),
                Ask("image-to-image", "blau", {"image": picture("green")}, {"strength": 0.5}),
                Ask("image-to-image", "blue", {"image": picture("red", "image/webp")}, {"seed": 4}),
            ],
            refused=Ask("text-to-image", "something forbidden", {}, {}),
            creates=lambda entry: (entry["method"], entry["path"]) == ("POST", "/jobs"),
            is_whole=is_whole_png,
            make=make,
            credentials=credentials,
            faults={
                "rate_limit": RateLimited,
                # Whatever became of it, the same key may be sent again.
                "error_500": UnknownOutcome,
                "error_503": ProviderUnavailable,
                "error_502": UnknownOutcome,
                "drop_before": UnknownOutcome,
                "drop_after": UnknownOutcome,
                "error_502_after": UnknownOutcome,
                "hang": UnknownOutcome,
                "slow": None,
            },
        )


ADAPTERS = [tripo, qwen_image]
TAKES_KEYS = [qwen_image]
FINDS = [tripo]
"""Those that take no keys find an unanswered create again, by its mark."""
CHARGES = [tripo]
UPLOADS = [tripo]
SIGNS_LINKS = [tripo]
"""Those whose result links need no key, and end."""


def only(adapters: Sequence[Any]) -> Any:
    """The test is about these adapters alone."""
    names = [adapter.__name__ for adapter in adapters]
    return pytest.mark.parametrize("case", adapters, indirect=True, ids=names)


@pytest.fixture(params=ADAPTERS, ids=lambda adapter: adapter.__name__)
def case(request: pytest.FixtureRequest) -> Iterator[Case]:
    with request.param() as case:
        yield case


@pytest.fixture(params=[0, 1, 2])
def ask(case: Case, request: pytest.FixtureRequest) -> Ask:
    if request.param >= len(case.asks):
        pytest.skip("this adapter makes fewer kinds")
    return case.asks[request.param]


# Plain paths.


def test_a_task_goes_from_create_to_a_whole_file(case: Case, ask: Ask) -> None:
    task_id = case.submitted(ask)
    assert case.state(task_id).status == "waiting"
    case.server.advance(15)
    assert case.state(task_id).status == "running"
    case.server.advance(30)
    state = case.state(task_id)
    assert (state.status, state.progress, len(state.files)) == ("succeeded", 100, 1)
    with case.provider.download(state.files[0], case.credential, soon()) as download:
        data = b"".join(download.chunks)
    assert download.length == len(data)
    assert case.is_whole(data)
    assert len(case.sent()) == 1


def test_the_exact_text_of_the_request_is_what_is_sent(case: Case, ask: Ask) -> None:
    prepared = case.prepared(ask)
    assert case.sent() == []
    assert prepared.body.isascii()
    case.sends(prepared)
    assert case.sent()[0]["body"] == json.loads(prepared.body)


@only(FINDS)
def test_two_requests_never_carry_the_same_mark(case: Case, ask: Ask) -> None:
    first, second = case.prepared(ask), case.prepared(ask)
    assert first.mark
    assert first.mark != second.mark
    assert first.mark in first.body


def test_ready_is_content_with_a_provider_that_answers(case: Case) -> None:
    case.provider.ready(soon())


def test_cancel_says_whether_there_is_such_a_call(case: Case) -> None:
    assert case.provider.cancel(case.submitted(), case.credential, soon()) in (True, False)


def test_closing_twice_is_harmless_and_it_works_again_after(case: Case) -> None:
    case.provider.close()
    case.provider.close()
    case.provider.ready(soon())


def test_closing_one_leaves_anothers_running_download_alone(case: Case) -> None:
    file, other = case.finished(), case.make()
    other.ready(soon())
    with case.provider.download(file, case.credential, soon()) as download:
        other.close()
        assert case.is_whole(b"".join(download.chunks))


# Creating: once, and a clear word about the outcome.


@pytest.mark.parametrize(
    "fault",
    [
        *("rate_limit", "error_500", "error_502", "error_503", "drop_before"),
        *("drop_after", "error_502_after", "hang", "slow"),
    ],
)
def test_a_create_is_sent_exactly_once_under_every_fault(case: Case, fault: str) -> None:
    prepared = case.prepared()
    case.server.faults = {fault: {"rate": 1, "scope": "create"}}
    expected = case.faults[fault]
    if expected is None:
        assert case.provider.submit(prepared, "key:1", case.credential, soon())
    else:
        deadline = soon(2.5 if fault == "hang" else 30)
        with pytest.raises(expected):
            case.provider.submit(prepared, "key:1", case.credential, deadline)
    assert len(case.sent()) == 1


def test_a_rate_limit_says_when_to_come_again(case: Case) -> None:
    case.server.faults = {"rate_limit": {"rate": 1, "scope": "create"}}
    with pytest.raises(RateLimited) as caught:
        case.submitted()
    assert caught.value.retry_after is None or caught.value.retry_after >= 0


def test_a_refusal_is_final_and_says_why(case: Case) -> None:
    with pytest.raises(Rejected) as caught:
        case.submitted(case.refused)
    assert caught.value.code
    assert "forbidden" in caught.value.message


def test_without_a_connection_nothing_was_created(case: Case) -> None:
    prepared = case.prepared()
    case.server.stop()
    with pytest.raises(ProviderUnavailable):
        case.provider.submit(prepared, "key:1", case.credential, soon())


def test_without_time_a_create_is_not_begun(case: Case) -> None:
    prepared = case.prepared()
    with pytest.raises(ProviderUnavailable):
        case.provider.submit(prepared, "key:1", case.credential, soon(0))
    assert case.sent() == []


@only(CHARGES)
def test_an_empty_account_is_out_of_credit(case: Case) -> None:
    case.server.balance = 0
    with pytest.raises(OutOfCredit):
        case.submitted()


def test_a_wrong_key_is_unauthorized_everywhere(case: Case) -> None:
    case.hold("tsk_another-key")
    stranger, name = case.make(), case.credential
    prepared = case.prepared()
    with pytest.raises(Unauthorized):
        stranger.ready(soon())
    with pytest.raises(Unauthorized):
        stranger.submit(prepared, "key:1", name, soon())
    with pytest.raises(Unauthorized):
        stranger.check(["x"], name, soon())


def test_a_credential_that_is_not_there_is_unauthorized_and_nothing_is_sent(case: Case) -> None:
    prepared, file = case.prepared(), case.finished()
    before = len(case.server.log())
    for call in (
        lambda: case.provider.submit(prepared, "key:1", "other", soon()),
        lambda: case.provider.check(["x"], "other", soon()),
    ):
        with pytest.raises(Unauthorized, match="key is not accepted"):
            call()
    with suppress(Unauthorized):
        assert not case.provider.cancel("x", "other", soon()), "there may be no such call"
    assert len(case.server.log()) == before
    assert case.fetch(file)


def test_a_key_replaced_under_its_name_is_used_from_the_next_call_on(case: Case) -> None:
    case.provider.ready(soon())
    case.server.key = "tsk_the-new-key"
    with pytest.raises(Unauthorized):
        case.provider.ready(soon())
    case.hold("tsk_the-new-key")
    case.provider.ready(soon())
    assert case.submitted()


def test_a_replaced_key_disturbs_no_running_task(case: Case) -> None:
    running = case.submitted()
    case.server.key = None
    case.credentials.hold(
        Credential("main", SecretStr("tsk_the-new-key")),
        Credential("old", SecretStr(KEY), may_create=False),
    )
    assert case.credentials.names(case.provider.name) == ("main",)
    fresh = case.submitted()
    case.server.advance(60)
    for task_id in (running, fresh):
        state = case.state(task_id)
        assert state.status == "succeeded"
        assert case.is_whole(case.fetch(state.files[0]))
    assert case.state(str(uuid.uuid4())).status == "missing"


# An adapter that raises what no provider says.

FOREIGN = [KeyError("x"), RecursionError("x"), UnicodeError("x"), OverflowError("1e306"), OSError()]


@pytest.mark.parametrize("error", FOREIGN, ids=lambda error: type(error).__name__)
def test_whatever_an_adapter_raises_is_an_error_of_the_family(case: Case, error: Exception) -> None:
    file, prepared = case.finished(), case.prepared()
    broken = case.make(around=lambda adapter: Breaking(adapter, error))
    with pytest.raises(UnknownOutcome):
        broken.submit(prepared, "job:broken", case.credential, soon())
    with pytest.raises(DownloadFailed), broken.download(file, case.credential, soon()):
        pass
    calls: list[Callable[[], object]] = [
        lambda: broken.prepare(case.asks[0], case.credential, soon()),
        lambda: broken.cancel("x", case.credential, soon()),
        lambda: broken.find([Wanted(prepared, 0)], case.credential, soon()),
        lambda: broken.ready(soon()),
    ]
    for call in calls:
        with pytest.raises(ProviderUnavailable):
            call()


@pytest.mark.parametrize("error", FOREIGN, ids=lambda error: type(error).__name__)
def test_a_task_that_breaks_the_adapter_costs_the_others_nothing(
    case: Case, error: Exception
) -> None:
    tasks = [case.submitted() for _ in range(9)]
    broken = case.make(around=lambda adapter: Breaking(adapter, error, doomed=tasks[4]))
    states = broken.check(tasks, case.credential, soon())
    assert set(states) == set(tasks) - {tasks[4]}
    assert {state.status for state in states.values()} == {"waiting"}


# Asking again with the same key.


@only(TAKES_KEYS)
@pytest.mark.parametrize("fault", ["drop_after", "error_502_after"])
def test_the_same_key_gives_the_create_nobody_answered(case: Case, ask: Ask, fault: str) -> None:
    prepared = case.prepared(ask)
    case.server.faults = {fault: {"rate": 1, "scope": "create"}}
    with pytest.raises(UnknownOutcome):
        case.sends(prepared, "job:unanswered")
    case.server.faults = {}
    other = case.submitted(ask)
    found = case.sends(prepared, "job:unanswered")
    assert found == case.sends(prepared, "job:unanswered") == case.sent()[0]["task_id"]
    assert found != other


@only(TAKES_KEYS)
def test_a_key_is_never_taken_for_another_request(case: Case) -> None:
    case.sends(case.prepared(case.asks[0]), "job:one")
    with pytest.raises(Rejected) as caught:
        case.sends(case.prepared(case.asks[1]), "job:one")
    assert caught.value.code == "idempotency_key_reused"


# Finding an unanswered create.


@only(FINDS)
@pytest.mark.parametrize("fault", ["drop_after", "error_502_after"])
def test_find_gives_exactly_the_create_nobody_answered(case: Case, ask: Ask, fault: str) -> None:
    started = case.clock.now()
    others = [case.submitted(ask) for _ in range(3)]
    prepared = case.prepared(ask)
    case.server.faults = {fault: {"rate": 1, "scope": "create"}}
    with pytest.raises(UnknownOutcome):
        case.provider.submit(prepared, "key:1", case.credential, soon())
    case.server.faults = {}
    others += [case.submitted(ask) for _ in range(3)]
    (found,) = case.finds(prepared, started)
    assert found == case.sent()[3]["task_id"]
    assert found not in others


@only(FINDS)
def test_find_gives_nothing_for_a_create_that_never_arrived(case: Case) -> None:
    prepared = case.prepared()
    case.submitted()
    case.server.faults = {"drop_before": {"rate": 1, "scope": "create"}}
    with pytest.raises(UnknownOutcome):
        case.provider.submit(prepared, "key:1", case.credential, soon())
    assert not case.finds(prepared, case.clock.now())


@only(FINDS)
def test_find_reads_beyond_the_first_page(case: Case) -> None:
    started = case.clock.now()
    prepared = case.prepared()
    wanted = case.provider.submit(prepared, "key:1", case.credential, soon())
    for _ in range(120):
        case.submitted()
    assert case.finds(prepared, started) == [wanted]


@only(FINDS)
@pytest.mark.parametrize("scope", ["account", "list"])
def test_find_never_takes_a_failed_reading_for_none(case: Case, scope: str) -> None:
    prepared = case.prepared()
    case.provider.submit(prepared, "key:1", case.credential, soon())
    case.server.faults = {"error_503": {"rate": 1, "scope": scope}}
    with pytest.raises(ProviderUnavailable):
        case.finds(prepared, case.clock.now())


# Checking.


def test_250_tasks_cost_three_requests(case: Case) -> None:
    ids = [str(uuid.uuid4()) for _ in range(250)]
    limit = case.provider.check_limit
    before = len(case.server.log())
    for start in range(0, 250, limit):
        states = case.provider.check(ids[start : start + limit], case.credential, soon())
        assert {state.status for state in states.values()} == {"missing"}
    assert len(case.server.log()) - before == -(-250 // limit)
    assert limit < 100 or len(case.server.log()) - before == 3


def test_a_task_that_is_not_known_is_missing(case: Case) -> None:
    known, stranger = case.submitted(), str(uuid.uuid4())
    states = case.provider.check([known, stranger], case.credential, soon())
    assert (states[known].status, states[stranger].status) == ("waiting", "missing")


def test_a_status_nobody_knows_means_still_running(case: Case) -> None:
    task_id = case.submitted()
    case.server.faults = {"unknown_status": 1}
    assert case.state(task_id).status == "running"


def test_a_failed_task_says_why(case: Case) -> None:
    doomed = case.submitted(Ask(case.asks[0].kind, "a doomed chair", {}, {}))
    case.server.advance(60)
    state = case.state(doomed)
    assert state.status == "failed"
    assert state.error is not None
    assert all(state.error)


@pytest.mark.parametrize("fault", ["bad_json", "error_500", "error_502", "error_503", "rate_limit"])
def test_a_check_gets_over_a_passing_fault(case: Case, fault: str) -> None:
    task_id = case.submitted()
    case.server.faults = {fault: {"rate": 1, "scope": "list", "times": 1}}
    assert case.state(task_id).status == "waiting"


@pytest.mark.parametrize("fault", ["bad_json", "error_502", "drop_before"])
def test_a_check_gives_up_after_a_few_attempts(case: Case, fault: str) -> None:
    task_id = case.submitted()
    before = len(case.server.log())
    case.server.faults = {fault: {"rate": 1, "scope": "list"}}
    with pytest.raises(ProviderUnavailable):
        case.state(task_id)
    assert 2 <= len(case.server.log()) - before <= 5
    assert case.clock.waits


# Inputs on their way in.


@only(UPLOADS)
def test_an_upload_is_repeated_after_a_passing_fault(case: Case) -> None:
    ask = next(ask for ask in case.asks if ask.images)
    case.server.faults = {"error_503": {"rate": 1, "scope": "upload", "times": 1}}
    assert case.submitted(ask)


@only(UPLOADS)
@pytest.mark.parametrize("fault", ["error_502", "drop_before", "rate_limit"])
def test_a_failed_upload_is_never_an_unknown_outcome(case: Case, fault: str) -> None:
    ask = next(ask for ask in case.asks if ask.images)
    case.server.faults = {fault: {"rate": 1, "scope": "upload"}}
    with pytest.raises((ProviderUnavailable, RateLimited)):
        case.prepared(ask)
    assert case.sent() == []


# Results on their way out.


@only(SIGNS_LINKS)
def test_an_old_link_is_expired_and_a_fresh_one_works(case: Case) -> None:
    task_id = case.submitted()
    case.server.advance(60)
    old = case.state(task_id).files[0]
    case.server.advance(7 * 24 * 3600)
    with pytest.raises(DownloadFailed) as caught:
        case.fetch(old)
    assert caught.value.expired
    assert case.is_whole(case.fetch(case.state(task_id).files[0]))


@pytest.mark.parametrize("fault", ["truncate", "html_file", "error_502", "drop_before"])
def test_a_spoiled_file_is_noticed(case: Case, fault: str) -> None:
    file = case.finished()
    case.server.faults = {fault: {"rate": 1, "scope": "download"}}
    with pytest.raises(DownloadFailed) as caught:
        case.fetch(file)
    assert not caught.value.expired
    case.server.faults = {}
    assert case.is_whole(case.fetch(file))


@pytest.mark.parametrize("fault", ["short_file", "wrong_length"])
def test_a_file_that_lies_about_itself_never_passes_for_whole(case: Case, fault: str) -> None:
    file = case.finished()
    case.server.faults = {fault: {"rate": 1, "scope": "download"}}
    with suppress(DownloadFailed, OutOfTime):
        assert not case.is_whole(case.fetch(file, soon(3)))


def test_a_file_over_the_limit_is_refused(case: Case) -> None:
    file = case.finished()
    small = case.make(max_download_bytes=1000)
    with (
        pytest.raises(DownloadFailed),
        small.download(file, case.credential, soon()) as download,
    ):
        list(download.chunks)


def test_leaving_a_download_early_is_harmless(case: Case) -> None:
    file = case.finished()
    trouble = BucketUnavailable("the bucket's own trouble")
    with (
        pytest.raises(BucketUnavailable) as caught,
        case.provider.download(file, case.credential, soon()) as got,
    ):
        stop_after_one(got, trouble)
    assert caught.value is trouble
    assert case.is_whole(case.fetch(file))


# Time.


def test_a_hanging_provider_is_left_by_the_deadline(case: Case) -> None:
    file, prepared = case.finished(), case.prepared()
    calls: list[Callable[[Deadline], object]] = [
        lambda end: case.provider.check(["x"], case.credential, end),
        lambda end: case.provider.ready(end),
        lambda end: case.fetch(file, end),
    ]
    if case.provider.key_seconds is None:
        wanted = [Wanted(prepared, 0)]
        calls.append(lambda end: case.provider.find(wanted, case.credential, end))
    case.server.faults = {"hang": {"rate": 1, "scope": "any"}}
    for call in calls:
        started = time.monotonic()
        with pytest.raises((ProviderUnavailable, OutOfTime)):
            call(soon(0.4))
        assert time.monotonic() - started < 1.5


# Secrets.


def test_no_key_and_no_signature_is_ever_shown(
    case: Case, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    texts = [repr(case.provider), repr(case.credentials)]
    file = case.finished()
    signature = file.url.partition("?")[2]
    case.fetch(file)
    prepared = case.prepared()
    faults = ["error_500", "error_502", "drop_before", "rate_limit", "html_file", "dead_link"]
    for fault in faults:
        case.server.faults = {fault: 1}
        for call in (
            lambda: case.provider.submit(prepared, "key:1", case.credential, soon()),
            lambda: case.provider.check(["x"], case.credential, soon()),
            lambda: case.provider.ready(soon()),
            lambda: case.fetch(file),
        ):
            try:
                call()
            except (ProviderError, OutOfTime):
                texts.append(traceback.format_exc())
    texts += [record.getMessage() for record in caplog.records]
    texts += [caplog.text]
    assert len(texts) > len(faults)
    for text in texts:
        assert KEY not in text
        assert not signature or signature not in text


@only(SIGNS_LINKS)
def test_no_key_goes_to_a_result_link(case: Case) -> None:
    file = case.finished()
    before = len(case.server.log())
    case.fetch(file)
    (entry,) = case.server.log()[before:]
    assert entry["key"] is None
