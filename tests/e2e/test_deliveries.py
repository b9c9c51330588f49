"""Deliveries over a real store, real sockets and receivers that misbehave."""

from __future__ import annotations

import itertools
import json
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
import trustme
from hypothesis import example, given, settings
from hypothesis import strategies as st
from standardwebhooks import Webhook

from shared.clock import Deadline
from shared.deliveries.model import QUEUE, Delivery, DeliveryStatus, from_record, frozen, to_record
from shared.deliveries.repository import for_job, next_due, save
from shared.deliveries.runner import MOST_CLAIMS, DeliveryRunner
from shared.deliveries.schedule import WAITS, Outcome, next_try, replay
from shared.deliveries.send import Limits, Sender
from shared.deliveries.signing import new_secret
from shared.outbound.connection import MOST_ADDRESSES
from shared.outbound.resolvers import Shares
from shared.outbound.url_policy import Policy
from shared.store.base import Lease, Record, StoreUnavailable, Table
from shared.store.sql.store import SqlStore
from shared.store.tables import DELIVERIES
from shared.work.alarm import Alarm
from shared.work.fair_queue import Caps
from tests import receivers
from tests.databases import empty_database
from tests.fakes import FakeClock
from tests.receivers import Receiver, answer

SECRET = new_secret()
LOCAL = Policy(stage_is_local=True)
QUICK = Limits(connect=0.5, total=0.5)
PLENTY = 60.0
BODY = '{"type":"job.succeeded","data":{"prompt":"一只猫"}}'


def by_name(host: str, port: int) -> list[str]:
    """Every name is this machine."""
    return ["127.0.0.1"]


@pytest.fixture
def url(tmp_path: Path) -> str:
    return empty_database(tmp_path / "deliveries.db")


@pytest.fixture
def store(url: str) -> Iterator[SqlStore]:
    opened = SqlStore(url)
    yield opened
    opened.close()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(start=time.time_ns() // 1_000_000, chance=0.0)


def make(url: str, name: str = "evt_1", **changes: Any) -> Delivery:
    values: dict[str, Any] = {
        "id": name,
        "job_id": "job_1",
        "url": url,
        "event": "job.succeeded",
        "body": BODY,
        "created_at": 0,
        "due_at": 0,
        **changes,
    }
    return Delivery(**values)


def attempt(url: str, clock: FakeClock, **options: Any) -> Outcome:
    """One try by a sender that allows everything on this machine."""
    limits = options.pop("limits", QUICK)
    policy = options.pop("policy", LOCAL)
    sender = Sender([SECRET], policy, clock, limits=limits, **options)
    return sender.attempt(make(url), Deadline.after(PLENTY))


def runner(store: SqlStore, clock: FakeClock, **options: Any) -> DeliveryRunner:
    limits = options.pop("limits", QUICK)
    policy = options.pop("policy", LOCAL)
    sender = options.pop("sender", Sender([SECRET], policy, clock, limits=limits))
    alarm = Alarm(clock.sleep)
    return DeliveryRunner(store, sender, clock, alarm=alarm, **options)


def kept(store: SqlStore, name: str = "evt_1") -> Delivery:
    record = store.get(DELIVERIES, name)
    assert record is not None
    return from_record(record)


# One message


def test_a_message_arrives_signed_whole_and_with_its_trace(clock: FakeClock) -> None:
    trace = {
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "X-Request-Id": "req_7",
        "authorization": "not for receivers",
    }
    with Receiver() as receiver:
        sender = Sender([new_secret(), SECRET], LOCAL, clock, agent="Maquette/9.9")
        delivery = make(receiver.url("/hook?a=%20b"), trace=trace)
        outcome = sender.attempt(delivery, Deadline.after(PLENTY))
    assert (outcome.status, outcome.error, outcome.taken) == (200, None, True)
    [seen] = receiver.requests
    assert seen.path == "/hook?a=%20b"
    assert seen.body.decode() == BODY
    Webhook(SECRET).verify(seen.body, seen.headers)
    assert seen.headers["webhook-id"] == "evt_1"
    assert seen.headers["content-type"] == "application/json"
    assert seen.headers["user-agent"] == "Maquette/9.9"
    assert seen.headers["host"] == f"127.0.0.1:{receiver.port}"
    assert seen.headers["traceparent"] == trace["traceparent"]
    assert seen.headers["x-request-id"] == "req_7"
    assert "authorization" not in seen.headers


def test_a_trace_that_would_break_the_headers_is_left_out(clock: FakeClock) -> None:
    trace = {"traceparent": "00\r\nx-injected: 1", "x-request-id": "请求"}
    with Receiver() as receiver:
        delivery = make(receiver.url(), trace=trace)
        Sender([SECRET], LOCAL, clock).attempt(delivery, Deadline.after(PLENTY))
    [seen] = receiver.requests
    assert not {"traceparent", "x-request-id", "x-injected"} & set(seen.headers)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_a_failure_and_is_not_followed(clock: FakeClock, status: int) -> None:
    with Receiver() as inner:
        with Receiver(answer(status, location=inner.url("/admin"))) as receiver:
            outcome = attempt(receiver.url(), clock)
        assert (outcome.status, outcome.taken) == (status, False)
        assert len(receiver.requests) == 1
        assert inner.requests == []


@pytest.mark.parametrize(
    ("behaviour", "error"),
    [
        (receivers.hang, "timed out while waiting for the answer"),
        (receivers.reset, "connection reset"),
        (receivers.nonsense, "no valid HTTP answer"),
    ],
)
def test_a_broken_answer_ends_in_time_and_is_named(
    clock: FakeClock, behaviour: receivers.Behaviour, error: str
) -> None:
    began = time.monotonic()
    with Receiver(behaviour) as receiver:
        outcome = attempt(receiver.url("/hook?token=hush"), clock)
        assert time.monotonic() - began < 2.0
    assert (outcome.status, outcome.error) == (None, error)


def answered(status: int, rest: bytes) -> receivers.Behaviour:
    return receivers.raw(b"HTTP/1.1 %d Words\r\n" % status + rest)


@pytest.mark.parametrize(
    ("behaviour", "status"),
    [
        (receivers.drip_headers, 200),
        (receivers.drip_body, 200),
        (receivers.cut_off, 200),
        (answered(200, b"Warning mysqli\r\nContent-Length: 2\r\n\r\nok"), 200),
        (answered(200, b"x: " + b"y" * 200_000 + b"\r\n\r\n"), 200),
        (answered(204, b""), 204),
        (answered(410, b"content-length: many\r\n\r\n"), 410),
        (answered(200, b"transfer-encoding: chunked\r\n\r\nnot a chunk"), 200),
        (answered(103, b"a\r\n\r\nHTTP/1.1 503 Busy\r\n: nameless\r\n\r\n"), 503),
    ],
)
def test_a_status_line_counts_whatever_follows_it(
    clock: FakeClock, behaviour: receivers.Behaviour, status: int
) -> None:
    began = time.monotonic()
    with Receiver(behaviour) as receiver:
        outcome = attempt(receiver.url(), clock)
        assert time.monotonic() - began < 2.0
    assert (outcome.status, outcome.error) == (status, None)


def test_a_wait_asked_for_among_broken_headers_is_heard(clock: FakeClock) -> None:
    with Receiver(answered(503, b"no colon\r\nRetry-After: 7\r\n\r\n")) as receiver:
        assert attempt(receiver.url(), clock).retry_after == 7000


def test_of_a_huge_answer_only_a_little_is_read(clock: FakeClock) -> None:
    with Receiver(receivers.huge) as receiver:
        outcome = attempt(receiver.url(), clock, limits=Limits())
    assert outcome.taken
    # What the kernel buffers between the two lies far below the half gigabyte on offer.
    assert receiver.sent_bytes < 64 * 1024 * 1024


def test_a_try_ends_with_the_invocation(clock: FakeClock) -> None:
    began = time.monotonic()
    with Receiver(receivers.hang) as receiver:
        sender = Sender([SECRET], LOCAL, clock, limits=Limits(total=15))
        outcome = sender.attempt(make(receiver.url()), Deadline.after(0.3))
        assert time.monotonic() - began < 2.0
    assert outcome.error == "timed out while waiting for the answer"


def test_nobody_listening_is_a_refused_connection(clock: FakeClock) -> None:
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))
        outcome = attempt(f"http://127.0.0.1:{unheard.getsockname()[1]}/", clock)
    assert (outcome.status, outcome.error) == (None, "connection refused")


def test_a_forbidden_target_is_never_called(clock: FakeClock) -> None:
    with Receiver() as receiver:
        outcome = attempt(receiver.url(), clock, policy=Policy())
    assert outcome.error == "not sent: must use https"
    assert receiver.requests == []


def test_proxies_of_the_environment_are_not_used(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Receiver() as proxy, Receiver() as receiver:
        for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url(""))
        assert attempt(receiver.url(), clock).taken
    assert proxy.requests == []


def test_cookies_and_connections_are_not_kept(clock: FakeClock) -> None:
    with Receiver(answer(200, set_cookie="a=b")) as receiver:
        sender = Sender([SECRET], LOCAL, clock)
        for _ in range(2):
            sender.attempt(make(receiver.url()), Deadline.after(PLENTY))
    assert ["cookie" in seen.headers for seen in receiver.requests] == [False, False]
    assert receiver.requests[1].headers["connection"] == "close"


@pytest.mark.parametrize(
    ("value", "milliseconds"),
    [("7", 7000), (" 120 ", 120_000), ("-1", None), ("1.5", None), ("soon", None), ("", None)],
)
def test_retry_after_is_read_in_seconds(
    clock: FakeClock, value: str, milliseconds: int | None
) -> None:
    with Receiver(answer(429, retry_after=value)) as receiver:
        assert attempt(receiver.url(), clock).retry_after == milliseconds


@pytest.mark.parametrize(("ahead", "expected"), [(90, 90_000), (-90, 0)])
def test_retry_after_is_read_as_a_date(clock: FakeClock, ahead: int, expected: int) -> None:
    date = formatdate(clock.now() / 1000 + ahead, usegmt=True)
    with Receiver(answer(503, retry_after=date)) as receiver:
        asked = attempt(receiver.url(), clock).retry_after
    assert asked is not None
    assert abs(asked - expected) <= 1000


ANY_TEXT = st.text(st.characters(codec=None, exclude_categories=()), max_size=40)


def test_what_is_signed_and_sent_is_what_was_frozen_whatever_the_text(
    store: SqlStore, clock: FakeClock
) -> None:
    numbers = itertools.count()
    sender = Sender([SECRET], LOCAL, clock)

    @settings(max_examples=40, deadline=None)
    @example("\x00\ud800 \udfff\ud83d\ude00\u2028\u0085一只猫")
    @given(ANY_TEXT)
    def check(text: str) -> None:
        name = f"evt_{next(numbers)}"
        made = make(receiver.url(), name, body=frozen({"type": "job.succeeded", "words": text}))
        save(store, made)
        for _ in range(2):  # and once more, as a replay
            assert sender.attempt(kept(store, name), Deadline.after(PLENTY)).taken
            seen = receiver.requests[-1]
            assert seen.body == made.payload
            Webhook(SECRET).verify(seen.body, seen.headers)
            assert json.loads(seen.body)["words"] == text.encode("utf-8", "replace").decode()

    with Receiver() as receiver:
        check()


def test_half_a_surrogate_pair_in_an_old_body_does_not_keep_it_from_being_sent(
    clock: FakeClock,
) -> None:
    with Receiver() as receiver:
        old = make(receiver.url(), body='{"words":"\ud800"}')
        assert Sender([SECRET], LOCAL, clock).attempt(old, Deadline.after(PLENTY)).taken
    assert receiver.requests[0].body == b'{"words":"?"}'


# Where it goes


def test_a_name_that_is_rebound_is_called_only_where_it_was_checked(clock: FakeClock) -> None:
    asked: list[str] = []

    def rebinding(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["10.0.0.1"]

    policy = Policy(stage_is_local=True, resolver=rebinding)
    with Receiver() as receiver:
        url = receiver.url(host="receiver.example")
        first = attempt(url, clock, policy=policy)
        second = attempt(url, clock, policy=policy)
    assert first.taken
    assert second.error == "not sent: leads to an address that is not public"
    assert asked == ["receiver.example"] * 2
    assert len(receiver.requests) == 1
    assert receiver.requests[0].headers["host"] == f"receiver.example:{receiver.port}"


def test_the_socket_is_opened_to_the_checked_address_and_never_to_a_name(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[Any] = []

    def refuse(address: Any, *_: Any, **__: Any) -> socket.socket:
        opened.append(address)
        raise ConnectionRefusedError

    monkeypatch.setattr(socket, "create_connection", refuse)
    addresses = ["93.184.216.34", "2606:2800:220:1::1"]
    policy = Policy(resolver=lambda host, port: addresses)
    outcome = attempt("https://receiver.example/", clock, policy=policy)
    assert outcome.error == "connection refused"
    assert opened == [("93.184.216.34", 443), ("2606:2800:220:1::1", 443)]


def test_an_address_that_does_not_answer_gives_way_to_the_next(clock: FakeClock) -> None:
    both = Policy(stage_is_local=True, resolver=lambda host, port: ["127.0.0.2", "127.0.0.1"])
    with Receiver() as receiver:
        assert attempt(receiver.url(host="receiver.example"), clock, policy=both).taken


def test_addresses_that_are_silent_leave_time_for_the_next(clock: FakeClock) -> None:
    silent = ["127.0.0.2", "127.0.0.3"]
    policy = Policy(stage_is_local=True, resolver=lambda host, port: [*silent, "127.0.0.1"])
    with (
        Receiver() as receiver,
        receivers.Silent(silent[0], receiver.port),
        receivers.Silent(silent[1], receiver.port),
    ):
        outcome = attempt(receiver.url(host="receiver.example"), clock, policy=policy)
    assert (outcome.status, outcome.error) == (200, None)


def test_every_try_begins_with_the_next_address(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []

    def refuse(address: Any, *_: Any, **__: Any) -> socket.socket:
        opened.append(address[0])
        raise ConnectionRefusedError

    monkeypatch.setattr(socket, "create_connection", refuse)
    known = [f"93.184.216.{number}" for number in range(6)]
    sender = Sender([SECRET], Policy(resolver=lambda host, port: known), clock, limits=QUICK)
    delivery = make("https://receiver.example/")
    for number in range(7):
        opened.clear()
        outcome = sender.attempt(delivery, Deadline.after(PLENTY))
        delivery = next_try(delivery, outcome, clock.now(), 0.0)
        assert opened == [known[(number + place) % 6] for place in range(MOST_ADDRESSES)]


# TLS


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


def serving(authority: trustme.CA, name: str, names_asked: list[str | None]) -> ssl.SSLContext:
    """A server's side of TLS with a certificate for one name, noting which name is asked for."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    context.sni_callback = lambda _, asked, __: names_asked.append(asked)
    return context


def trusting(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


LISTED = Policy(allowed_hosts=frozenset({"receiver.example"}), resolver=by_name)


def test_tls_is_verified_against_the_name_though_the_socket_goes_to_an_address(
    clock: FakeClock, authority: trustme.CA
) -> None:
    asked: list[str | None] = []
    with Receiver(tls=serving(authority, "receiver.example", asked)) as receiver:
        url = receiver.url(host="receiver.example")
        outcome = attempt(url, clock, policy=LISTED, verify=trusting(authority))
    assert (outcome.status, outcome.error) == (200, None)
    assert asked == ["receiver.example"]


def test_a_certificate_for_another_name_is_refused(clock: FakeClock, authority: trustme.CA) -> None:
    with Receiver(tls=serving(authority, "other.example", [])) as receiver:
        url = receiver.url(host="receiver.example")
        outcome = attempt(url, clock, policy=LISTED, verify=trusting(authority))
    assert (outcome.error or "").startswith("the TLS certificate is not valid: Hostname mismatch")
    assert receiver.requests == []


def test_a_certificate_of_an_unknown_authority_is_refused(
    clock: FakeClock, authority: trustme.CA
) -> None:
    with Receiver(tls=serving(authority, "receiver.example", [])) as receiver:
        outcome = attempt(receiver.url(host="receiver.example"), clock, policy=LISTED)
    assert (outcome.error or "").startswith("the TLS certificate is not valid")
    assert receiver.requests == []


def test_https_to_a_server_without_tls_is_named(clock: FakeClock) -> None:
    with Receiver() as receiver:
        url = receiver.url(host="receiver.example").replace("http:", "https:")
        outcome = attempt(url, clock, policy=LISTED)
    assert outcome.error == "no TLS connection could be made"


# The schedule, over a store


def test_a_due_message_is_sent_once_and_what_came_of_it_is_kept(
    store: SqlStore, clock: FakeClock
) -> None:
    heard: list[tuple[Delivery, Outcome]] = []
    with Receiver() as receiver:
        save(store, make(receiver.url()))
        work = runner(store, clock, observe=lambda *result: heard.append(result))
        due = next_due(store)
        assert due is not None
        assert due <= clock.now()
        assert work.run(Deadline.after(PLENTY)) == 1
        assert work.run(Deadline.after(PLENTY)) == 0
    delivery = kept(store)
    assert delivery.status is DeliveryStatus.DELIVERED
    assert [tried.status for tried in delivery.tries] == [200]
    assert delivery.claims == 0
    assert next_due(store) is None
    assert [after.status for after, _ in heard] == [DeliveryStatus.DELIVERED]
    assert len(receiver.requests) == 1


def test_a_message_nobody_takes_dies_after_the_whole_schedule(
    store: SqlStore, clock: FakeClock
) -> None:
    sent_at: list[int] = []
    with Receiver(answer(500)) as receiver:
        save(store, make(receiver.url(), due_at=clock.now()))
        work = runner(store, clock)
        while (due := next_due(store)) is not None:
            clock.advance(due - clock.now() - 1)
            assert work.run(Deadline.after(PLENTY)) == 0
            clock.advance(1)
            assert work.run(Deadline.after(PLENTY)) == 1
            sent_at.append(clock.now())
    waits = [later - earlier for earlier, later in itertools.pairwise(sent_at)]
    assert waits == list(WAITS[1:])
    delivery = kept(store)
    assert delivery.status is DeliveryStatus.DEAD
    assert [tried.status for tried in delivery.tries] == [500] * 10
    assert {seen.headers["webhook-id"] for seen in receiver.requests} == {"evt_1"}
    stamps = [int(seen.headers["webhook-timestamp"]) for seen in receiver.requests]
    assert stamps == [at // 1000 for at in sent_at]


def test_a_dead_message_can_be_replayed_under_the_same_id(
    store: SqlStore, clock: FakeClock
) -> None:
    with Receiver(answer(410), answer(200)) as receiver:
        save(store, make(receiver.url()))
        work = runner(store, clock)
        assert work.run(Deadline.after(PLENTY)) == 1
        assert kept(store).status is DeliveryStatus.DEAD
        save(store, replay(kept(store), clock.now()))
        assert work.run(Deadline.after(PLENTY)) == 1
    assert kept(store).status is DeliveryStatus.DELIVERED
    first, second = receiver.requests
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.body == second.body


def test_a_busy_receiver_is_left_alone_for_as_long_as_it_asks(
    store: SqlStore, clock: FakeClock
) -> None:
    with Receiver(answer(429, retry_after="600"), answer(200)) as receiver:
        save(store, make(receiver.url()))
        work, now = runner(store, clock), clock.now()
        work.run(Deadline.after(PLENTY))
        assert kept(store).due_at == now + 600_000
        clock.advance(600_000)
        work.run(Deadline.after(PLENTY))
    assert kept(store).status is DeliveryStatus.DELIVERED


def test_the_deliveries_of_a_job_are_found(store: SqlStore) -> None:
    for number in range(120):
        save(store, make("https://receiver.example/", f"evt_{number:03d}", job_id="job_7"))
    save(store, make("https://receiver.example/", "evt_other", job_id="job_8"))
    found = for_job(store, "job_7")
    assert [delivery.id for delivery in found] == [f"evt_{number:03d}" for number in range(120)]
    assert for_job(store, "job_9") == []


def test_a_message_whose_url_is_no_url_hurts_no_other(store: SqlStore, clock: FakeClock) -> None:
    with Receiver() as receiver:
        save(store, make("nonsense", "evt_bad"))
        save(store, make(receiver.url(), "evt_good"))
        assert runner(store, clock).run(Deadline.after(PLENTY)) == 2
    assert kept(store, "evt_good").status is DeliveryStatus.DELIVERED
    assert kept(store, "evt_bad").tries[0].error == "not sent: is not an absolute http or https URL"


@pytest.mark.parametrize(
    "change",
    [{"status": "teleported"}, {"url": 7}, {"tries": "many"}, {"format": 99}, {"body": None}],
)
def test_a_record_that_cannot_be_read_or_is_newer_hurts_no_other(
    store: SqlStore, clock: FakeClock, change: dict[str, Any]
) -> None:
    heard: list[str] = []
    with Receiver() as receiver:
        strange = to_record(make(receiver.url(), "evt_strange"))
        store.put(DELIVERIES, replace(strange, document={**strange.document, **change}))
        save(store, make(receiver.url(), "evt_good", due_at=1))
        work = runner(store, clock, aside=lambda error: heard.append(error.key))
        assert work.run(Deadline.after(PLENTY)) == 1
    assert [seen.headers["webhook-id"] for seen in receiver.requests] == ["evt_good"]
    assert heard == ["evt_strange"]
    left = store.get(DELIVERIES, "evt_strange")
    assert left is not None
    assert left.document == {**strange.document, "tries": [], **change}
    assert left.due_at is not None
    assert left.due_at > clock.now()


def test_a_fault_of_our_own_counts_as_a_failed_try(store: SqlStore, clock: FakeClock) -> None:
    class Broken(Sender):
        def attempt(self, delivery: Delivery, deadline: Deadline) -> Outcome:
            raise KeyError("a secret detail")

    save(store, make("https://receiver.example/"))
    broken, now = Broken([SECRET], LOCAL, clock), clock.now()
    assert runner(store, clock, sender=broken).run(Deadline.after(PLENTY)) == 1
    assert kept(store).tries[0].error == "internal error: KeyError"
    assert kept(store).due_at == now + WAITS[1]


# Many at once


def host_caps(**changes: int) -> Caps:
    return Caps(**{"total": 8, "per_owner": 8, "per_host": 3, **changes})


def test_one_host_is_never_called_more_often_at_once_than_its_cap(
    store: SqlStore, clock: FakeClock
) -> None:
    with Receiver(receivers.together(3)) as receiver:
        for number in range(30):
            save(store, make(receiver.url(), f"evt_{number}"))
        work = runner(store, clock, caps=host_caps(), limits=Limits())
        assert work.run(Deadline.after(PLENTY)) == 30
    assert receiver.most_at_once == 3
    assert len(receiver.requests) == 30


def test_all_hosts_together_are_never_called_more_often_at_once_than_the_cap(
    store: SqlStore, clock: FakeClock
) -> None:
    policy = Policy(stage_is_local=True, resolver=by_name)
    with Receiver(receivers.together(8)) as receiver:
        for number in range(40):
            host = f"host{number % 10}.localhost"
            save(store, make(receiver.url(host=host), f"evt_{number}"))
        work = runner(store, clock, caps=host_caps(), policy=policy, limits=Limits())
        assert work.run(Deadline.after(PLENTY)) == 40
    assert receiver.most_at_once == 8


def test_a_slow_host_with_a_long_queue_holds_up_no_other(store: SqlStore, clock: FakeClock) -> None:
    fast_served = threading.Event()
    policy = Policy(stage_is_local=True, resolver=by_name)

    def fast(receiver: Receiver, request: Any) -> None:
        answer(200)(receiver, request)
        if len(receiver.requests) == 5:
            fast_served.set()

    with Receiver(receivers.after(fast_served)) as slow, Receiver(fast) as quick:
        for number in range(150):
            url = slow.url(host="slow.localhost")
            save(store, make(url, f"evt_slow_{number}", due_at=number))
        for number in range(5):
            url = quick.url(host="quick.localhost")
            save(store, make(url, f"evt_quick_{number}", due_at=1000 + number))
        caps = host_caps(held=16, held_per_host=8)
        # Far too little time for the slow host's queue, were the quick ones to wait behind it.
        work = runner(store, clock, caps=caps, policy=policy, limits=Limits(total=5))
        assert work.run(Deadline.after(PLENTY)) == 155
    assert len(slow.requests) == 150
    assert all(delivery.tries[0].status == 200 for delivery in for_job(store, "job_1"))


def test_two_runners_at_once_send_every_message_exactly_once(
    store: SqlStore, url: str, clock: FakeClock
) -> None:
    other_store = SqlStore(url)
    sent: list[int] = []
    with Receiver() as receiver:
        for number in range(60):
            save(store, make(receiver.url(), f"evt_{number}"))
        threads = [
            threading.Thread(
                target=lambda kept_in=kept_in: sent.append(
                    runner(kept_in, clock, limits=Limits()).run(Deadline.after(PLENTY))
                )
            )
            for kept_in in (store, other_store)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    other_store.close()
    assert sum(sent) == 60
    ids = [seen.headers["webhook-id"] for seen in receiver.requests]
    assert len(ids) == len(set(ids)) == 60


def test_three_hundred_silent_hosts_of_one_owner_hold_up_no_other(
    store: SqlStore, clock: FakeClock
) -> None:
    """They take their owner's share and no more: the other's message finds a free place while every
    one of theirs is still unanswered."""
    told = threading.Event()
    called_before: list[int] = []
    policy = Policy(stage_is_local=True, resolver=by_name)

    def quick(receiver: Receiver, request: Any) -> None:
        called_before.append(len(silent.requests))
        told.set()
        answer(200)(receiver, request)

    with Receiver(receivers.after(told)) as silent, Receiver(quick) as receiver:
        for number in range(300):
            url = silent.url(host=f"host{number}.localhost")
            save(store, make(url, f"evt_{number:03d}", due_at=number, caller="anna"))
        last = make(receiver.url(host="ben.localhost"), "evt_ben", due_at=1000, caller="ben")
        save(store, last)
        work = runner(store, clock, policy=policy, limits=Limits())
        assert work.run(Deadline.after(PLENTY)) == 301
    assert called_before[0] <= Caps().per_owner
    assert silent.most_at_once <= Caps().per_owner
    assert all(one.tries[0].status == 200 for one in for_job(store, "job_1"))


def test_names_that_nobody_answers_for_hold_up_no_other_owner(
    store: SqlStore, clock: FakeClock
) -> None:
    told = threading.Event()
    asked: list[str] = []

    def resolver(host: str, port: int) -> list[str]:
        asked.append(host)
        if host.startswith("lost"):
            told.wait(10)
        return ["127.0.0.1"]

    def quick(receiver: Receiver, request: Any) -> None:
        asked_before.append(len(asked))
        told.set()
        answer(200)(receiver, request)

    asked_before: list[int] = []
    policy = Policy(stage_is_local=True, resolver=resolver)
    with Receiver() as found, Receiver(quick) as receiver:
        for number in range(40):
            url = found.url(host=f"lost{number}.localhost")
            save(store, make(url, f"evt_{number:03d}", due_at=number, caller="anna"))
        url = receiver.url(host="ben.localhost")
        save(store, make(url, "evt_ben", due_at=1000, caller="ben"))
        work = runner(store, clock, policy=policy, limits=Limits())
        assert work.run(Deadline.after(PLENTY)) == 41
    assert asked_before[0] <= Shares().per_owner + 1
    assert all(one.tries[0].status == 200 for one in for_job(store, "job_1"))


# Workers that are late, out of time, or gone


def test_a_worker_that_comes_back_late_does_not_undo_what_another_has_done(
    store: SqlStore, clock: FakeClock
) -> None:
    much_later = FakeClock(start=clock.now() + 3_600_000)

    class Late(Sender):
        """Takes so long that its lease runs out and somebody else delivers."""

        def attempt(self, delivery: Delivery, deadline: Deadline) -> Outcome:
            assert runner(store, much_later).run(Deadline.after(PLENTY)) == 1
            return Outcome(clock.now(), 500, None, 3_600_000)

    with Receiver() as receiver:
        save(store, make(receiver.url()))
        late = Late([SECRET], LOCAL, clock, limits=QUICK)
        runner(store, clock, sender=late).run(Deadline.after(PLENTY))
    assert kept(store).status is DeliveryStatus.DELIVERED
    assert [tried.status for tried in kept(store).tries] == [200]


def test_what_was_claimed_and_not_begun_is_handed_back_when_time_is_nearly_up(
    store: SqlStore, clock: FakeClock
) -> None:
    with Receiver() as receiver:
        for number in range(20):
            save(store, make(receiver.url(), f"evt_{number}"))
        ends = Deadline(lambda: PLENTY if len(receiver.requests) < 3 else 2.0)
        work = runner(store, clock, caps=Caps(total=1, per_host=1, held_per_host=20))
        assert work.run(ends) == 3
        left = [kept(store, f"evt_{number}") for number in range(20)]
        left = [delivery for delivery in left if delivery.status is DeliveryStatus.PENDING]
        assert len(left) == 17
        assert all((delivery.due_at or 0) <= clock.now() for delivery in left)
        assert all(delivery.claims == 0 for delivery in left)
        assert runner(store, clock).run(Deadline.after(PLENTY)) == 17
    assert len(receiver.requests) == 20


@pytest.mark.timeout(30)
def test_a_message_that_is_in_the_air_as_its_worker_stops_is_due_again_and_was_no_try(
    store: SqlStore, clock: FakeClock
) -> None:
    with Receiver(receivers.hang) as receiver:
        save(store, make(receiver.url()))
        ends = Deadline(lambda: 0.0 if receiver.requests else 3600.0)
        assert runner(store, clock, limits=Limits(total=1000.0)).run(ends) == 1
    waiting = kept(store)
    assert (waiting.status, waiting.tries, waiting.claims) == (DeliveryStatus.PENDING, (), 0)
    assert (waiting.due_at or 0) <= clock.now()


def test_nothing_is_begun_that_might_not_end_in_time(store: SqlStore, clock: FakeClock) -> None:
    save(store, make("http://127.0.0.1:1/"))
    assert runner(store, clock, limits=Limits(total=15)).run(Deadline.after(16)) == 0
    assert kept(store).version == 1


def lose(store: SqlStore, clock: FakeClock, times: int) -> None:
    """Claim everything so often without saving, each time until the lease has run out."""
    for _ in range(times):
        store.claim(
            DELIVERIES,
            "due",
            {"queue": QUEUE, "lane": 0},
            now=clock.now(),
            lease=lambda _: Lease(clock.now() + 1000, counted=True),
            limit=10,
        )
        clock.advance(1000)


def test_a_message_that_kills_its_workers_counts_as_failed_without_being_sent(
    store: SqlStore, clock: FakeClock
) -> None:
    with Receiver() as receiver:
        save(store, make(receiver.url()))
        lose(store, clock, MOST_CLAIMS)
        now = clock.now()
        assert runner(store, clock).run(Deadline.after(PLENTY)) == 1
        assert receiver.requests == []
        delivery = kept(store)
        assert [tried.error for tried in delivery.tries] == ["the worker was lost while sending"]
        assert delivery.due_at == now + WAITS[1]
        assert delivery.claims == 0
        clock.advance(WAITS[1])
        assert runner(store, clock).run(Deadline.after(PLENTY)) == 1


def test_a_message_is_still_sent_at_its_last_chance(store: SqlStore, clock: FakeClock) -> None:
    with Receiver() as receiver:
        save(store, make(receiver.url()))
        lose(store, clock, MOST_CLAIMS - 1)
        assert runner(store, clock).run(Deadline.after(PLENTY)) == 1
    assert kept(store).status is DeliveryStatus.DELIVERED


class Failing(SqlStore):
    """Refuses this many writes of single records."""

    refuses = 0

    def put(self, table: Table, record: Record) -> Record:
        if self.refuses > 0:
            self.refuses -= 1
            raise StoreUnavailable("no disk")
        return super().put(table, record)


@pytest.fixture
def failing(url: str) -> Iterator[Failing]:
    opened = Failing(url)
    yield opened
    opened.close()


def until(clock: FakeClock, seconds: float) -> Deadline:
    """A deadline by the test's own clock."""
    end = clock.now() + seconds * 1000
    return Deadline(lambda: (end - clock.now()) / 1000)


def test_results_that_could_not_be_saved_for_a_while_are_saved_and_nothing_is_sent_twice(
    failing: Failing, clock: FakeClock
) -> None:
    with Receiver() as receiver:
        for number in range(30):
            save(failing, make(receiver.url(), f"evt_{number}"))
        failing.refuses = 9
        work = runner(failing, clock, caps=Caps(total=4, per_owner=4))
        assert work.run(until(clock, PLENTY)) == 30
    assert len(receiver.requests) == 30
    assert all(one.status is DeliveryStatus.DELIVERED for one in for_job(failing, "job_1"))


def test_while_no_result_can_be_saved_nothing_more_is_sent(
    failing: Failing, clock: FakeClock
) -> None:
    with Receiver() as receiver:
        for number in range(30):
            save(failing, make(receiver.url(), f"evt_{number}"))
        failing.refuses = 10**6
        work = runner(failing, clock, caps=Caps(total=1))
        assert work.run(until(clock, PLENTY)) == 1
        assert len(receiver.requests) == 1
        failing.refuses = 0
        clock.advance(10 * 60_000)
        assert work.run(until(clock, PLENTY)) == 30
    assert len(receiver.requests) == 31


DYING = """
import os, sys
from shared.clock import Deadline, SystemClock
from shared.deliveries.runner import DeliveryRunner
from shared.deliveries.send import Sender
from shared.outbound.url_policy import Policy
from shared.store.sql.store import SqlStore

class Dying(SqlStore):
    def put(self, table, record):
        os._exit(9)

clock = SystemClock()
sender = Sender([sys.argv[2]], Policy(stage_is_local=True), clock)
DeliveryRunner(Dying(sys.argv[1]), sender, clock, 60_000).run(Deadline.after(60))
"""


def test_a_message_whose_sender_was_killed_before_saving_is_sent_again(
    store: SqlStore, url: str, clock: FakeClock
) -> None:
    root = Path(__file__).parents[2]
    with Receiver() as receiver:
        save(store, make(receiver.url()))
        process = subprocess.run([sys.executable, "-c", DYING, url, SECRET], cwd=root, timeout=30)
        assert process.returncode == 9
        assert len(receiver.requests) == 1
        assert (kept(store).status, kept(store).claims) == (DeliveryStatus.PENDING, 1)
        assert runner(store, clock).run(Deadline.after(PLENTY)) == 0
        clock.advance(5 * 60_000)
        assert runner(store, clock).run(Deadline.after(PLENTY)) == 1
    assert kept(store).status is DeliveryStatus.DELIVERED
    first, second = receiver.requests
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.body == second.body
