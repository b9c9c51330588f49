"""Which URLs of a caller are taken, and to which addresses a request may go."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import InvalidInput
from shared.outbound.addresses import Reach, reach_of
from shared.outbound.url_policy import (
    LONGEST_URL,
    Policy,
    Resolver,
    TargetRefused,
    TargetUnresolved,
    check_url,
    host_of,
    read_url,
    resolve,
)
from tests.hostile_urls import HOSTILE

PUBLIC = Policy()
LOCAL = Policy(stage_is_local=True)


def resolving(*answers: Sequence[str]) -> Policy:
    """A policy whose resolver gives these answers, one after the other."""
    left = list(answers)
    return Policy(resolver=lambda host, port: left.pop(0))


@pytest.mark.parametrize(
    "url",
    [
        "https://receiver.example/hook",
        "https://receiver.example",
        "HTTPS://Receiver.Example/Hook",
        "https://receiver.example?token=a%20b&c=[1]",
        "https://receiver.example:8443/hook",
        "https://receiver.example:80/",
        "https://xn--fiq228c.example/%E9%92%A9",
        "https://a_b.receiver.example/@user:pass",
        "https://1.example/",
        "https://93.184.216.34/hook",
        "https://[2606:2800:220:1:248:1893:25c8:1946]:8443/hook",
    ],
)
def test_an_https_url_of_a_public_host_is_taken(url: str) -> None:
    check_url(url, PUBLIC)


@pytest.mark.parametrize("url", HOSTILE)
def test_a_hostile_url_is_refused_without_being_repeated(url: str) -> None:
    with pytest.raises(InvalidInput, match=r"^callback_url ") as caught:
        check_url(url, PUBLIC)
    assert caught.value.param == "callback_url"
    assert len(url) < 10 or url not in caught.value.message


def test_a_url_may_be_as_long_as_the_limit_and_no_longer() -> None:
    url = "https://receiver.example/"
    check_url(url.ljust(LONGEST_URL, "a"), PUBLIC)
    with pytest.raises(InvalidInput, match="longer than 2048"):
        check_url(url.ljust(LONGEST_URL + 1, "a"), PUBLIC)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8000/hook",
        "http://localhost:3000/hook",
        "http://app.localhost/hook",
        "http://[::1]:8000/hook",
        "http://receiver.example/hook",
        "https://receiver.example:81/hook",
    ],
)
def test_on_one_machine_http_and_loopback_are_taken(url: str) -> None:
    check_url(url, LOCAL)


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/",
        "http://[fd00:ec2::254]/",
        "http://0.0.0.0/",
        "http://10.0.0.1/",
        "http://192.168.1.1/",
        "http://[::ffff:127.0.0.1]/",
        "http://0x7f.1/",
        "http://router.lan/",
    ],
)
def test_even_on_one_machine_other_inner_addresses_are_refused(url: str) -> None:
    with pytest.raises(InvalidInput):
        check_url(url, LOCAL)


def test_a_host_the_operator_lists_is_taken_by_http_on_any_port_and_in_a_private_network() -> None:
    policy = Policy(
        allowed_hosts=frozenset({"Hooks.Internal", "10.0.0.7", "[FD12:0::7]", "app"}),
        resolver=lambda host, port: ["10.0.0.7"],
    )
    for host in ("hooks.internal", "HOOKS.internal:22", "10.0.0.7:6379", "[fd12::7]", "app"):
        check_url(f"http://{host}/hook", policy)
    assert resolve("http://hooks.internal/", policy).addresses == ("10.0.0.7",)
    for host in ("x.hooks.internal", "10.0.0.8", "hooks.internal.example", "[fd12::8]"):
        with pytest.raises(InvalidInput):
            check_url(f"http://{host}/hook", policy)


@pytest.mark.parametrize(
    "address", ["169.254.169.254", "100.100.100.200", "fd00:ec2::254", "0.0.0.0", "224.0.0.1"]
)
def test_listing_a_host_does_not_open_the_way_to_metadata_services(address: str) -> None:
    policy = Policy(
        allowed_hosts=frozenset({"hooks.internal", address}), resolver=lambda *_: [address]
    )
    with pytest.raises(TargetRefused):
        resolve("https://hooks.internal/", policy)
    bracketed = f"[{address}]" if ":" in address else address
    with pytest.raises(TargetRefused):
        resolve(f"https://{bracketed}/", policy)


def test_a_url_is_taken_apart_as_it_will_be_called() -> None:
    target = read_url("HTTPS://Receiver.Example:8443?a=B")
    assert (target.scheme, target.host, target.port) == ("https", "receiver.example", 8443)
    assert target.path == "/?a=B"
    assert target.authority == "receiver.example:8443"
    assert read_url("https://receiver.example:443/").authority == "receiver.example"
    assert read_url("https://[2606:2800:0:0::1]/").authority == "[2606:2800::1]"
    assert host_of("https://Receiver.Example/x") == "receiver.example"
    assert host_of("nonsense") == ""


def test_every_address_that_dns_gives_is_kept_in_its_order() -> None:
    policy = resolving(["2606:2800:220:1::1", "93.184.216.34"])
    pinned = resolve("https://receiver.example/", policy)
    assert pinned.addresses == ("2606:2800:220:1::1", "93.184.216.34")


@pytest.mark.parametrize(
    "answer",
    [
        ["10.0.0.1"],
        ["93.184.216.34", "10.0.0.1"],
        ["93.184.216.34", "169.254.169.254"],
        ["93.184.216.34", "::1"],
        ["fe80::1%eth0"],
        ["64:ff9b::a00:1"],
        ["garbage"],
    ],
)
def test_one_forbidden_address_refuses_the_whole_name(answer: list[str]) -> None:
    with pytest.raises(TargetRefused, match="not public"):
        resolve("https://receiver.example/", resolving(answer))


def test_a_host_that_is_an_address_is_never_looked_up() -> None:
    assert resolve("https://93.184.216.34/", resolving()).addresses == ("93.184.216.34",)


def test_a_url_that_was_taken_once_is_judged_again_before_it_is_called() -> None:
    with pytest.raises(TargetRefused, match="must use https"):
        resolve("http://receiver.example/", resolving(["93.184.216.34"]))


def _no_such_name(host: str, port: int) -> list[str]:
    raise socket.gaierror(socket.EAI_NONAME, "not known")


def _no_address(host: str, port: int) -> list[str]:
    return []


@pytest.mark.parametrize("resolver", [_no_such_name, _no_address])
def test_a_name_without_an_address_is_unresolved(resolver: Resolver) -> None:
    with pytest.raises(TargetUnresolved, match="could not be resolved"):
        resolve("https://receiver.example/", Policy(resolver=resolver))


# Every spelling of an address that some resolver, parser or network understands.
def _spellings(address: IPv4Address) -> list[str]:
    number = int(address)
    a, b, c, d = address.packed
    high, low = number >> 16, number & 0xFFFF
    return [
        str(address),
        f"{address}.",
        str(number),
        hex(number),
        f"0{number:o}",
        f"{a}.{number & 0xFFFFFF}",
        f"{a}.{b}.{number & 0xFFFF}",
        f"0x{a:x}.0x{b:x}.0x{c:x}.0x{d:x}",
        f"0{a:o}.0{b:o}.0{c:o}.0{d:o}",
        f"{a:03d}.{b:03d}.{c:03d}.{d:04d}",
        "".join(f"%{ord(mark):02x}" for mark in str(address)),
        "".join(chr(ord(mark) + 0xFEE0) if mark != "." else mark for mark in str(address)),
        str(address).replace(".", "。"),
        f"[{address}]",
        f"[::{address}]",
        f"[::ffff:{address}]",
        f"[::ffff:{high:x}:{low:x}]",
        f"[0:0:0:0:0:FFFF:{high:X}:{low:X}]",
        f"[::ffff:0:{address}]",
        f"[64:ff9b::{address}]",
        f"[64:ff9b:1::{address}]",
        f"[2002:{high:x}:{low:x}::]",
        f"[2001:0:{high:x}:{low:x}::1]",
        f"[2001::{~high & 0xFFFF:x}:{~low & 0xFFFF:x}]",
        f"user@{address}",
        f"receiver.example@{address}",
        f"{address}%00.example",
        f"{address}#.receiver.example",
    ]


_INNER = st.one_of(
    *(
        st.integers(int(IPv4Address(first)), int(IPv4Address(last))).map(IPv4Address)
        for first, last in (
            ("0.0.0.0", "0.255.255.255"),
            ("10.0.0.0", "10.255.255.255"),
            ("100.64.0.0", "100.127.255.255"),
            ("127.0.0.0", "127.255.255.255"),
            ("169.254.0.0", "169.254.255.255"),
            ("172.16.0.0", "172.31.255.255"),
            ("192.168.0.0", "192.168.255.255"),
            ("198.18.0.0", "198.19.255.255"),
            ("224.0.0.0", "255.255.255.255"),
        )
    )
)


@given(address=_INNER)
def test_no_inner_address_passes_in_any_spelling(address: IPv4Address) -> None:
    for host in _spellings(address):
        with pytest.raises(InvalidInput):
            check_url(f"https://{host}/", PUBLIC)


@given(address=_INNER)
def test_no_inner_address_passes_by_way_of_dns(address: IPv4Address) -> None:
    with pytest.raises(TargetRefused):
        resolve("https://receiver.example/", resolving([str(address)]))


@given(
    st.one_of(
        st.integers(0, 2**32 - 1).map(IPv4Address),
        st.integers(0, 2**128 - 1).map(IPv6Address),
        st.integers(0, 2**128 - 1).map(lambda number: IPv6Address(2**125 + number % 2**125)),
    )
)
def test_what_python_calls_special_is_never_public(address: IPv4Address | IPv6Address) -> None:
    special = (
        address.is_private
        or address.is_loopback
        or address.is_link_local
        or address.is_multicast
        or address.is_unspecified
        or address.is_reserved
    )
    if special:
        assert reach_of(address) is not Reach.PUBLIC


@given(st.text(max_size=40), st.text(max_size=20))
def test_whatever_the_text_it_is_taken_or_refused_and_nothing_else(host: str, rest: str) -> None:
    for url in (host, f"https://{host}/{rest}"):
        try:
            check_url(url, PUBLIC)
        except InvalidInput:
            continue
        assert read_url(url).authority.isascii()
