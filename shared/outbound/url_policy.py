"""Which URLs of a caller may be used, for webhooks and inputs alike, and which addresses of theirs.

A URL is looked at twice: its text when a job is accepted, without asking DNS, and the addresses
of its host before every try. The request then goes to exactly the addresses that were checked,
so a name that changes its answer in between gains nothing.

检查调用方给出的地址，防止请求被引向内网。
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import IPv6Address

from shared.errors import InvalidInput
from shared.outbound.addresses import Address, Reach, parse, reach_of

LONGEST_URL = 2048

Resolver = Callable[[str, int], Sequence[str]]
"""Gives the addresses of a host and port as text; raises `OSError` if there are none."""


class TargetRefused(Exception):
    """This URL must not be called; the message says why and does not repeat the URL.

    不允许使用这个地址。
    """


class TargetUnresolved(Exception):
    """DNS gives no address for the host, or does not answer in time.

    域名无法解析。
    """


def system_resolver(host: str, port: int) -> list[str]:
    """The addresses the operating system knows, in the order it would try them.

    用系统的域名解析。
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


@dataclass(frozen=True)
class Policy:
    """What this deployment allows besides https to public addresses.

    `stage_is_local` admits http and this machine's own addresses, for development.
    `allowed_hosts` are names or addresses that the operator vouches for: they may be called by
    http, on any port, and may lie in a private network. Nothing admits metadata services,
    link-local, multicast and reserved addresses.

    本部署允许访问的范围。
    """

    stage_is_local: bool = False
    allowed_hosts: frozenset[str] = frozenset()
    resolver: Resolver = field(default=system_resolver, repr=False)

    def lists(self, host: str) -> bool:
        """Whether the operator vouches for this host (lower case, no brackets).

        运营方是否列出了这个主机。
        """
        return host in {_plain(entry) for entry in self.allowed_hosts}


@dataclass(frozen=True)
class Target:
    """Where a URL leads: `host` in lower case without brackets, `path` with its query.

    地址的组成部分。
    """

    scheme: str
    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        """The value of the `Host` header.

        请求的 Host 头。
        """
        name = f"[{self.host}]" if ":" in self.host else self.host
        return name if self.port == _PORTS[self.scheme] else f"{name}:{self.port}"


@dataclass(frozen=True)
class Pinned:
    """A target with the addresses that were checked for it, in the order to try them.

    已核对的目标与其网络地址。
    """

    target: Target
    addresses: tuple[str, ...]

    def rotated(self, by: int) -> Pinned:
        """The same, beginning with the address `by` places further on.

        从后面的地址开始。
        """
        first = by % len(self.addresses)
        return replace(self, addresses=self.addresses[first:] + self.addresses[:first])


def check_url(url: str, policy: Policy, param: str = "callback_url") -> None:
    """Raise `InvalidInput`, which names the field `param`, unless the URL may be used.

    Judges by the text alone; the host's addresses are looked at before every try.

    受理任务时检查地址。
    """
    try:
        _admit(read_url(url), policy)
    except TargetRefused as refusal:
        raise InvalidInput(f"{param} {refusal}", param=param) from None


def resolve(url: str, policy: Policy, look_up: Resolver | None = None) -> Pinned:
    """The target of a URL with its checked addresses; `look_up` (the policy's own resolver, if left
    out) is asked for those of a name.

    If one of several addresses is forbidden the whole name is refused: no honest receiver has
    such a mix, and a name that is being rebound shows it first. Raises `TargetRefused` or
    `TargetUnresolved`.

    请求前解析并核对地址。
    """
    target = read_url(url)
    _admit(target, policy)
    literal = parse(target.host)
    texts = [str(literal)] if literal else _look_up(look_up or policy.resolver, target)
    addresses = [_address(text) for text in texts]
    for address in addresses:
        _admit_address(address, target.host, policy)
    return Pinned(target, tuple(str(address) for address in addresses))


def host_of(url: str) -> str:
    """The host a URL leads to, or "" if it is none that could be called.

    取出地址的主机名。
    """
    try:
        return read_url(url).host
    except TargetRefused:
        return ""


_PORTS = {"http": 80, "https": 443}
_URL = re.compile(r"(https?)://([^/?#]*)([/?][^#]*)?", re.IGNORECASE)
_PRINTABLE = re.compile(r"[!-~]*")
_AUTHORITY = re.compile(r"(?:\[([0-9a-f:.]+)\]|([a-z0-9._-]+))(?::([1-9][0-9]{0,4}))?")
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
# A last label like these makes resolvers read the whole name as an IPv4 address.
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_LONGEST_HOST = 253


def read_url(url: str) -> Target:
    """Take a URL apart, strictly: what two readers could understand differently is refused.

    Raises `TargetRefused`.

    严格解析地址。
    """
    if len(url) > LONGEST_URL:
        raise TargetRefused(f"is longer than {LONGEST_URL} characters")
    if not _PRINTABLE.fullmatch(url) or "\\" in url:
        raise TargetRefused(
            "holds a blank, a backslash or a character outside ASCII; write it percent-encoded, "
            "and an international host name in its xn-- form"
        )
    if "#" in url:
        raise TargetRefused("holds a fragment, which is never sent")
    found = _URL.fullmatch(url)
    if not found:
        raise TargetRefused("is not an absolute http or https URL")
    scheme, authority, path = found[1].lower(), found[2].lower(), found[3] or "/"
    if "@" in authority:
        raise TargetRefused("holds a user name or password")
    host, port = _host_and_port(authority, _PORTS[scheme])
    return Target(scheme, host, port, path if path.startswith("/") else "/" + path)


def _host_and_port(authority: str, usual: int) -> tuple[str, int]:
    """Host and port of a URL's authority; raises TargetRefused for any unusual spelling.

    解析主机与端口。
    """
    found = _AUTHORITY.fullmatch(authority)
    if not found:
        raise TargetRefused("has no host, or one that is not written in the usual form")
    bracketed, name, digits = found.groups()
    port = int(digits) if digits else usual
    if port > 65535:
        raise TargetRefused("has a port above 65535")
    if bracketed is None:
        return _name(name), port
    address = parse(bracketed)
    if not isinstance(address, IPv6Address):
        raise TargetRefused("has a host in brackets that is not an IPv6 address")
    return str(address), port


def _name(host: str) -> str:
    """A host name or dotted IPv4 address, as it is if it is in its usual form."""
    labels = host.split(".")
    if len(host) > _LONGEST_HOST or not all(_LABEL.fullmatch(label) for label in labels):
        raise TargetRefused("has a host that is not a valid name (a trailing dot is none either)")
    if _NUMBER.fullmatch(labels[-1]) and parse(host) is None:
        raise TargetRefused("writes an IP address in an unusual form")
    return host


# Names that never mean a host of the public internet (RFC 6761, 6762, 8375; `.internal`).
_INWARD = (".localhost", ".local", ".localdomain", ".internal", ".home.arpa", ".lan")

# Ports above 1023 where plain text sent by HTTP could be taken for commands.
_RISKY = frozenset({2049, 5060, 5061, 6000, 6379, 6697, 11211, *range(6665, 6670)})


def _admit(target: Target, policy: Policy) -> None:
    """Raise `TargetRefused` if scheme, port or host are not allowed, as far as text can tell.

    检查地址是否允许。
    """
    if policy.lists(target.host):
        return
    if target.scheme == "http" and not policy.stage_is_local:
        raise TargetRefused("must use https")
    usual = target.port in (80, 443) or (target.port > 1023 and target.port not in _RISKY)
    if not usual and not policy.stage_is_local:
        raise TargetRefused("uses a port that is kept for other services")
    address = parse(target.host)
    if address is not None:
        _admit_address(address, target.host, policy)
    elif _inward(target.host) and not (policy.stage_is_local and _own(target.host)):
        raise TargetRefused("names a host inside a private network")


def _inward(host: str) -> bool:
    return "." not in host or host.endswith(_INWARD)


def _own(host: str) -> bool:
    return host == "localhost" or host.endswith(".localhost")


def _admit_address(address: Address, host: str, policy: Policy) -> None:
    """Raise `TargetRefused` if a request must not go to this address."""
    reach = reach_of(address)
    allowed = {Reach.PUBLIC}
    if policy.stage_is_local:
        allowed |= {Reach.LOOPBACK}
    if policy.lists(host):
        allowed |= {Reach.LOOPBACK, Reach.PRIVATE}
    if reach not in allowed:
        raise TargetRefused("leads to an address that is not public")


def _plain(entry: str) -> str:
    """An entry of the operator's list in the form that hosts are compared in."""
    text = entry.strip().lower().removeprefix("[").removesuffix("]")
    address = parse(text)
    return str(address) if address else text


def _address(text: str) -> Address:
    address = parse(text)
    if address is None:
        # A link-local answer comes with its zone, as fe80::1%eth0.
        raise TargetRefused("leads to an address that is not public")
    return address


def _look_up(resolver: Resolver, target: Target) -> Sequence[str]:
    try:
        found = resolver(target.host, target.port)
    except (OSError, UnicodeError):
        found = ()
    if not found:
        raise TargetUnresolved("the host name could not be resolved")
    return found
