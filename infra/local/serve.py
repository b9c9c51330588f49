"""`./scripts/serve`: the whole bundle on this machine, until it is stopped.

在本机持续运行整套服务。
"""

from __future__ import annotations

import argparse
import errno
import socket
import sys
from collections.abc import Callable, Mapping, Sequence

from infra.local.home import Home, open_home
from infra.local.machine import (
    assemble,
    check_settings,
    leave,
    made_for,
    preload,
    reporting,
    standin_for,
)
from infra.local.stop import Stop, on_signals
from infra.local.workers import Inherited, Workers
from shared import config
from shared.config import Settings
from shared.observability import set_up_logs

_BACKLOG = 1024


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
        return reporting(lambda: _worker(Inherited.of(options.worker)))
    return reporting(lambda: _serve(options))


def _serve(options: argparse.Namespace) -> int:
    home, stop = open_home(), Stop()
    check_settings(home, {})
    listener = _listen(options.host, options.port)
    made = {"MAQUETTE_PUBLIC_URL": _address(listener)}
    standin = standin_for(home)
    try:
        preload()
        if options.workers > 1:
            return _parent(options.workers, listener, home, {**made, **made_for(standin)}, stop)
        on_signals(stop, say=_say)
        settings = home.settings({**made, **made_for(standin)})
        set_up_logs(settings.log_level, settings.log_format)
        left = _run(settings, listener, stop, lambda: _greet(home, listener, settings))
        return leave(0, left, standin)
    finally:
        # The last to go: until here others may be asking it for their tasks.
        if standin is not None:
            standin.close()


def _run(
    settings: Settings, listener: socket.socket, stop: Stop, ready: Callable[[], None]
) -> Mapping[str, int]:
    from infra.local.files import BucketFiles
    from infra.local.http import Front, serve
    from shared.buckets.folder import FolderBucket

    machine = assemble(settings, stop)
    bucket = machine.bundle.bucket
    files = (
        BucketFiles(bucket, settings.artifact_bytes) if isinstance(bucket, FolderBucket) else None
    )
    with machine:
        machine.cloud.import_handlers()
        machine.cloud.start_timers()
        machine.warm_up()
        serve(Front(machine.cloud, stop, files), listener, stop, ready)
        if files is not None:
            files.close()
    return machine.left


def _parent(
    count: int, listener: socket.socket, home: Home, made: dict[str, str], stop: Stop
) -> int:
    from infra.migrations.migrate import upgrade

    settings = home.settings(made)
    set_up_logs(settings.log_level, settings.log_format)
    upgrade(settings.store_url)
    ready = lambda: _greet(home, listener, settings)  # noqa: E731
    workers = Workers(count, listener, home.complete(made), stop, ready)
    on_signals(stop, last=workers.kill, say=_say)
    return workers.run()


def _worker(inherited: Inherited) -> int:
    stop = Stop()
    on_signals(stop)
    inherited.watch(stop)
    settings = config.load()
    set_up_logs(settings.log_level, settings.log_format)
    return leave(0, _run(settings, inherited.listener, stop, inherited.say_ready), None)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise PortTaken(
                f"port {port} on {host} is in use. Stop what uses it, or choose another one: "
                "./scripts/serve --port 8001 (0 lets the system choose)."
            ) from None
        raise PortTaken(f"port {port} on {host} cannot be used: {error.strerror}.") from None
    return listener


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    if host in ("0.0.0.0", "::"):
        host = "127.0.0.1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _greet(home: Home, listener: socket.socket, settings: Settings) -> None:
    here = _address(listener)
    secret = "as set in MAQUETTE_WEBHOOK_SECRETS"
    if not home.environ.get("MAQUETTE_WEBHOOK_SECRETS"):
        secret = f"{home.secrets_file} (webhook_secret)"
    maker = (
        "a stand-in: set TRIPO_API_KEY for the real one"
        if home.needs_standin
        else settings.tripo_base_url
    )
    lines = {
        "API": f"{here}/api/v1",
        "docs": f"{here}/docs",
        "webhook secret": secret,
        "kept in": str(home.folder),
        "Tripo": maker,
    }
    if settings.public_url != here:
        lines["public address"] = settings.public_url
    text = "\n".join(f"  {name:<15} {value}" for name, value in lines.items())
    _say(f"Maquette is up; Ctrl-C stops it.\n{text}")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="./scripts/serve", description="Run the whole of Maquette on this machine."
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (127.0.0.1)")
    parser.add_argument(
        "--port", type=int, default=8000, help="port (8000); 0 lets the system choose"
    )
    parser.add_argument("--workers", type=_count, default=1, help="processes (1)")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    return parser.parse_args(argv)


def _count(text: str) -> int:
    count = int(text) if text.isdecimal() else 0
    if not 1 <= count <= 64:
        raise argparse.ArgumentTypeError("a number from 1 to 64")
    return count


if __name__ == "__main__":
    sys.exit(main())
