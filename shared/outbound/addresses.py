"""Which network addresses a request may be sent to, from the IANA special-purpose registries.

The tables are written out because Python's own `is_global` changes its mind between versions.

判断一个网络地址能否访问。
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)

Address = IPv4Address | IPv6Address


class Reach(Enum):
    """How far an address reaches: anybody, this machine, a private network, or nobody to call.

    地址的可达范围。
    """

    PUBLIC = "public"
    LOOPBACK = "loopback"
    PRIVATE = "private"
    FORBIDDEN = "forbidden"


def _networks(*texts: str) -> tuple[IPv4Network | IPv6Network, ...]:
    return tuple(ip_network(text) for text in texts)


_LOOPBACK = _networks("127.0.0.0/8", "::1/128")

# Where clouds answer with credentials: Alibaba, Azure, AWS, Google. Those at 169.254 are
# link-local and below.
_METADATA = _networks("100.100.100.200/32", "168.63.129.16/32", "fd00:ec2::/32", "fd20:ce::/32")

_PRIVATE = _networks(
    "10.0.0.0/8",
    "100.64.0.0/10",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "fc00::/7",
)

_SPECIAL = _networks(
    "0.0.0.0/8",  # this network
    "169.254.0.0/16",  # link-local, metadata services among it
    "192.0.0.0/24",  # protocol assignments
    "192.0.2.0/24",  # documentation
    "192.88.99.0/24",  # 6to4 relays
    "198.51.100.0/24",  # documentation
    "203.0.113.0/24",  # documentation
    "224.0.0.0/4",  # multicast
    "240.0.0.0/4",  # reserved, broadcast
    "2001::/23",  # protocol assignments: Teredo, benchmarking, ORCHID
    "2001:db8::/32",  # documentation
    "2002::/16",  # 6to4: carries an IPv4 address
    "3fff::/20",  # documentation
)

# All of IPv6 that is handed out. Outside it lie the unspecified address, link-local, multicast,
# and the forms that carry an IPv4 address: mapped, compatible, translated, NAT64.
_GLOBAL_V6 = IPv6Network("2000::/3")


def reach_of(address: Address) -> Reach:
    """How far this address reaches; what no table knows of IPv6 is forbidden.

    Cloud metadata services are forbidden, though some of them lie in private networks.

    判断地址的可达范围。
    """
    if _within(address, _LOOPBACK):
        return Reach.LOOPBACK
    if _within(address, _METADATA):
        return Reach.FORBIDDEN
    if _within(address, _PRIVATE):
        return Reach.PRIVATE
    if _within(address, _SPECIAL):
        return Reach.FORBIDDEN
    if isinstance(address, IPv6Address) and address not in _GLOBAL_V6:
        return Reach.FORBIDDEN
    return Reach.PUBLIC


def parse(text: str) -> Address | None:
    """The address this text writes in its usual form, or None if it is not one.

    Refuses zone ids and every spelling of IPv4 but four decimal numbers.

    解析网络地址。
    """
    if "%" in text:
        return None
    try:
        return ip_address(text)
    except ValueError:
        return None


def _within(address: Address, networks: Sequence[IPv4Network | IPv6Network]) -> bool:
    return any(address in network for network in networks)
