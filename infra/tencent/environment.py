"""What a function's environment may hold on SCF: 4 KB in all, and no names of the platform's.

函数环境变量的限制。
"""

from __future__ import annotations

from collections.abc import Mapping

MOST_BYTES = 4096
"""Names and values together, of one function ("quota limits", 583/11637)."""
KEPT_BYTES = 160
"""Left for MAQUETTE_PUBLIC_URL, which the deployer sets where nobody else does: its name, and a
function URL of `https://<appid>-<id>.<region>.tencentscf.com`."""
RESERVED = ("SCF_", "QCLOUD_", "TENCENTCLOUD_")
"""What the platform's own variables begin with; it takes no others of these (583/32748)."""

_ADDED = "MAQUETTE_PUBLIC_URL"
_NAMED = 3


def size(environment: Mapping[str, str]) -> int:
    """The bytes of names and values.

    环境变量的总字节数。
    """
    return sum(len(f"{name}{value}".encode()) for name, value in environment.items())


def fault(environment: Mapping[str, str]) -> str | None:
    """Why SCF would not take these variables, or None; no value is told.

    环境变量不被接受的原因。
    """
    reserved = sorted(name for name in environment if name.startswith(RESERVED))
    if reserved:
        return f"{reserved[0]}: names that begin with {', '.join(RESERVED)} are the platform's own"
    most = MOST_BYTES - (0 if environment.get(_ADDED) else KEPT_BYTES)
    if (found := size(environment)) <= most:
        return None
    longest = sorted(environment, key=lambda name: len(environment[name]), reverse=True)[:_NAMED]
    told = ", ".join(f"{name} ({len(environment[name].encode())} bytes)" for name in longest)
    return (
        f"the variables have {found} bytes with their names, {most} are left of SCF's "
        f"{MOST_BYTES}; put the longest into the secret, which goes in all the same: {told}"
    )
