"""`./scripts/serve`: the whole bundle on this machine, until it is stopped.

在本机持续运行整套服务。
"""

from __future__ import annotations

import argparse
import errno
import gc
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from infra.local.cloud.beside import Beside, beside
from infra.local.cloud.command import check_settings, leave, reporting
from infra.local.cloud.home import Home, UsageError
from infra.local.cloud.local_machine import assemble_local
from infra.local.cloud.machine import CLOUDS, Machine, assemble, home_for, notices_of, preload
from infra.local.cloud.results import shown
from infra.local.cloud.stop import Stop, on_signals
from infra.local.cloud.tls import Certificate, certificate
from infra.local.cloud.workers import Inherited, Workers
from shared import config
from shared.config import Settings
from shared.observability import set_up_logs

_ANY = ("0.0.0.0", "::")
_BACKLOG = 1024
_COLLECT = (10_000, 20, 50)
"""When the garbage of a job is looked for: one leaves hardly any that counting does not find."""


class PortTaken(OSError):
    """The address cannot be listened on; the message says what to do.

    端口不可用。
    """


def main(argv: Sequence[str] | None = None) -> int:
    """The command; see --help. Returns the exit status.

    命令行入口。
    """
    options = _arguments(argv)
    if options.worker:
        return reporting(lambda: _worker(Inherited.of(options.worker), options.certificate))
    return reporting(lambda: _serve(options))


def _serve(options: argparse.Namespace) -> int:
    """Bring everything up and serve until a stop is asked for; the exit status.

    启动并提供服务直到停止。
    """
    home, stop = home_for(options.cloud), Stop()
    check_settings(home, {})
    listener = _listen(options.host, options.port)
    made = {"MAQUETTE_PUBLIC_URL": _address(listener, tls=options.tls)}
    secured = _secured(home, options.host, made) if options.tls else None
    servers = beside(home, "optional")
    try:
        preload(options.cloud)
        made.update(servers.made())
        if options.workers > 1:
            return _parent(options.workers, listener, home, made, stop, servers, secured)
        on_signals(stop, say=_say)
        machine = assemble(options.cloud, home, made, stop)
        kept = shown(str(home.folder))
        if not machine.lasting:
            kept = f"{CLOUDS[options.cloud]}, until this stops"
        ready = partial(_greet, home, listener, machine.settings, kept, secured)
        left = _run(machine, listener, ready, servers, secured.server if secured else None)
        return leave(0, left, servers)
    finally:
        # The last to go: until here others may be asking them for their tasks.
        servers.close()


def _secured(home: Home, host: str, made: Mapping[str, str]) -> Certificate:
    """The certificate for the addresses that callers are told.

    本机证书。
    """
    told = urlsplit(home.complete(made)["MAQUETTE_PUBLIC_URL"]).hostname or ""
    hosts = {one for one in (host, told) if one not in ("", *_ANY)}
    try:
        return certificate(home.folder, hosts, datetime.now(timezone.utc))
    except ValueError:
        raise UsageError(f"--tls: no certificate can name {', '.join(sorted(hosts))}.") from None


def _run(
    machine: Machine,
    listener: socket.socket,
    ready: Callable[[], None],
    servers: Beside,
    secured: Path | None,
) -> Mapping[str, int]:
    """Serve on a listener until the machine's stop, by TLS with the certificate of a file; what
    the machine says is left to do.

    在一个进程里提供服务。
    """
    from infra.local.cloud.http import Front, serve

    set_up_logs(machine.settings.log_level, machine.settings.log_format)
    with machine:
        files = machine.files()
        machine.begin()
        machine.warm_up()
        machine.look_round()
        # What is there by now stays: to look through it again and again finds nothing.
        gc.freeze()
        gc.set_threshold(*_COLLECT)
        front = Front(
            machine.gateway, machine.stop, files, machine.settings, platform=machine.platform
        )
        serve(front, listener, machine.stop, lambda: _up(ready, machine, servers), secured)
        if files is not None:
            files.close()
    return machine.left


def _up(ready: Callable[[], None], machine: Machine, servers: Beside) -> None:
    ready()
    servers.go_on(machine.notices())


def _parent(
    count: int,
    listener: socket.socket,
    home: Home,
    made: dict[str, str],
    stop: Stop,
    servers: Beside,
    secured: Certificate | None,
) -> int:
    """Serve by several processes on one listener, until the stop; the exit status.

    以多个进程提供服务。
    """
    from infra.migrations.migrate import upgrade

    settings = home.settings(made)
    set_up_logs(settings.log_level, settings.log_format)
    upgrade(settings.store_url)

    def ready() -> None:
        _greet(home, listener, settings, shown(str(home.folder)), secured)
        servers.go_on(notices_of(settings))

    more = ("--certificate", str(secured.server)) if secured else ()
    workers = Workers(count, listener, home.complete(made), stop, ready, more)
    on_signals(stop, last=workers.kill, say=_say)
    return workers.run()


def _worker(inherited: Inherited, secured: Path | None) -> int:
    stop = Stop()
    on_signals(stop)
    inherited.watch(stop)
    machine = assemble_local(config.load(), stop)
    servers = Beside()  # the parent's alone
    left = _run(machine, inherited.listener, inherited.say_ready, servers, secured)
    return leave(0, left, servers)


def _listen(host: str, port: int) -> socket.socket:
    """Listen on an address; raises what `main` reports where that cannot be done.

    监听地址。
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # By its protocol asyncio knows it for one whose answers are not to wait for an acknowledgement.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(_BACKLOG)
    except (OSError, ValueError) as error:
        listener.close()
        code = error.errno if isinstance(error, OSError) else None
        if isinstance(error, (socket.gaierror, ValueError)) or code == errno.EADDRNOTAVAIL:
            raise UsageError(f"--host {host!r} is no address of this machine.") from None
        if code == errno.EADDRINUSE:
            raise PortTaken(
                f"port {port} on {host} is in use. Stop what uses it, or choose another one: "
                "./scripts/serve --port 8001 (0 lets the system choose)."
            ) from None
        raise PortTaken(f"port {port} on {host} cannot be used: {error}.") from None
    return listener


def _address(listener: socket.socket, *, tls: bool) -> str:
    host, port = listener.getsockname()[:2]
    if host in _ANY:
        host = "127.0.0.1"
    scheme = "https" if tls else "http"
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def _greet(
    home: Home,
    listener: socket.socket,
    settings: Settings,
    kept: str,
    secured: Certificate | None,
) -> None:
    """Say where everything is: the API, its guide, what is kept where, who makes the models.

    启动后的说明。
    """
    here = _address(listener, tls=secured is not None)
    secret = "as set in MAQUETTE_WEBHOOK_SECRETS"
    if not home.environ.get("MAQUETTE_WEBHOOK_SECRETS"):
        secret = f"{shown(str(home.secrets_file))} (webhook_secret)"
    set_to = settings.by_variable()
    maker = (
        "a stand-in: set TRIPO_API_KEY for the real one"
        if home.needs_standin
        else set_to["TRIPO_BASE_URL"]
    )
    lines = {
        "API": f"{here}/api/v1",
        "docs": f"{here}/docs",
        "webhook secret": secret,
        "kept in": kept,
        "Tripo": maker,
        "Qwen-Image": set_to["QWEN_IMAGE_BASE_URL"] or "none: ./scripts/run installs one",
    }
    if settings.public_url != here:
        lines["public address"] = settings.public_url
    if secured is not None:
        lines["trust it by"] = f"SSL_CERT_FILE={secured.authority} (Python; OpenSSL's programs)"
        lines[""] = "NODE_EXTRA_CA_CERTS for Node.js, --cacert for curl; browsers import that file"
    text = "\n".join(f"  {name:<15} {value}" for name, value in lines.items())
    _say(f"Maquette is up; Ctrl-C stops it.\n{text}")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line.

    读取命令行参数。
    """
    parser = argparse.ArgumentParser(
        prog="./scripts/serve", description="Run the whole of Maquette on this machine."
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (127.0.0.1)")
    parser.add_argument(
        "--port", type=_port, default=8000, help="port (8000); 0 lets the system choose"
    )
    parser.add_argument(
        "--tls",
        action="store_true",
        help="speak https, with a certificate made for this machine and kept in the state folder; "
        "the start says how clients are told to trust it",
    )
    parser.add_argument("--workers", type=_count, default=1, help="processes (1)")
    parser.add_argument(
        "--cloud",
        choices=CLOUDS,
        default="local",
        help="where the functions run: in this process; as AWS Lambda functions of an emulated "
        "AWS, with its DynamoDB and S3; or as functions of an emulated Tencent Cloud, with MariaDB "
        "and its COS. All of an emulated cloud is gone when this stops (local)",
    )
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    parser.add_argument("--certificate", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.cloud != "local" and options.workers > 1:
        parser.error(
            "--workers is for --cloud local; in a cloud each function has its own processes"
        )
    return options


def _port(text: str) -> int:
    port = int(text) if text.isdecimal() and len(text) < 6 else -1
    if not 0 <= port <= 65535:
        raise argparse.ArgumentTypeError("a number from 0 to 65535")
    return port


def _count(text: str) -> int:
    count = int(text) if text.isdecimal() else 0
    if not 1 <= count <= 64:
        raise argparse.ArgumentTypeError("a number from 1 to 64")
    return count


if __name__ == "__main__":
    sys.exit(main())
