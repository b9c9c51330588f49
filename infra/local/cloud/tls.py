"""A certificate for this machine, and an authority of its own that clients can be told to trust.

The authority signs once and its key is thrown away: whoever trusts it trusts this server alone.

本机的 TLS 证书及其签发机构。
"""

from __future__ import annotations

import os
import re
import shutil
import socket
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from uuid import uuid4

_DAYS = 820
"""Apple's systems refuse certificates that are good for more than 825 days ("Requirements for
trusted certificates", HT210176)."""
_RENEW_DAYS = 30
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*")
_ALWAYS = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class Certificate:
    """The files: the authority's certificate, which clients are to trust; the server's own with its
    key, for its owner's eyes only.

    证书文件。
    """

    authority: Path
    server: Path


def certificate(folder: Path, hosts: Iterable[str], now: datetime) -> Certificate:
    """The certificate kept in a state folder, for this machine under `hosts` as well; it is made
    anew where it does not name them all or has less than a month left at `now` (with a time zone).
    Raises `ValueError` for a host that no certificate can name.

    取得（或生成）本机证书。
    """
    place = folder / "tls"
    found = Certificate(place / "ca.pem", place / "server.pem")
    names = {*_ALWAYS, *map(_plain, hosts)}
    if not _serves(found.server, names, now):
        _make(place, names | _own_name(), now)
    return found


def _serves(path: Path, names: set[str], now: datetime) -> bool:
    """Whether the certificate in a file is good for these names, and for a while yet.

    证书是否仍然可用。
    """
    from cryptography import x509

    try:
        kept = x509.load_pem_x509_certificate(path.read_bytes())
        named = kept.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (OSError, ValueError, x509.ExtensionNotFound):
        return False
    addresses = map(str, named.get_values_for_type(x509.IPAddress))
    known = {*named.get_values_for_type(x509.DNSName), *addresses}
    return names <= known and kept.not_valid_after_utc - now > timedelta(days=_RENEW_DAYS)


def _make(place: Path, names: set[str], now: datetime) -> None:
    """Make both files, and put them in place together.

    生成证书文件。
    """
    import trustme

    authority = trustme.CA(
        path_length=0,
        organization_name="Maquette",
        organization_unit_name=f"Maquette on {socket.gethostname()}"[:64],
    )
    leaf = authority.issue_cert(
        *sorted(names),
        organization_name="Maquette",
        not_before=(now - timedelta(days=1)).replace(tzinfo=None),
        not_after=(now + timedelta(days=_DAYS)).replace(tzinfo=None),
    )
    place.parent.mkdir(parents=True, exist_ok=True)
    aside = place.with_name(f".tls.{uuid4().hex}")
    aside.mkdir(mode=0o700)
    chain = b"".join(part.bytes() for part in leaf.cert_chain_pems)
    for name, data in (
        ("ca.pem", authority.cert_pem.bytes()),
        ("server.pem", chain + leaf.private_key_pem.bytes()),
    ):
        descriptor = os.open(aside / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
    _swap(aside, place)


def _swap(aside: Path, place: Path) -> None:
    """Put a new folder where an older one may be; of two that come at once one stays.

    替换旧的证书文件夹。
    """
    old = aside.with_name(f"{aside.name}.old")
    with suppress(FileNotFoundError):
        place.rename(old)
    try:
        aside.rename(place)
    except OSError:  # another process was faster, and its certificate is as good
        shutil.rmtree(aside)
    shutil.rmtree(old, ignore_errors=True)


def _plain(host: str) -> str:
    """A host as a certificate names it: an address in its shortest form."""
    try:
        return str(ip_address(host.strip("[]")))
    except ValueError:
        return host.lower()


def _own_name() -> set[str]:
    name = socket.gethostname().lower()
    return {name} if _NAME.fullmatch(name) else set()
