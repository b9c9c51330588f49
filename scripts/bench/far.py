"""A server that is so far away: `python -m scripts.bench.far HOST:PORT MILLISECONDS`.

Whatever is said through it comes half of that later, either way, however much is on the way. It
runs in a process of its own, so as not to take its processor time from whoever is measured.

模拟网络往返延迟的代理。
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit, urlunsplit

from infra.paths import ROOT

_PIECE = 2**16


@contextmanager
def far(url: str, milliseconds: float) -> Iterator[str]:
    """The URL of the same server, a round trip to which takes so many milliseconds longer.

    经过延迟代理的地址。
    """
    parts = urlsplit(url)
    command = [sys.executable, "-m", "scripts.bench.far", f"{parts.hostname}:{parts.port}"]
    process = subprocess.Popen(
        [*command, str(milliseconds)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdin is not None
        assert process.stdout is not None
        port = process.stdout.readline().strip()
        user, at, _ = parts.netloc.rpartition("@")
        try:
            yield urlunsplit(parts._replace(netloc=f"{user}{at}127.0.0.1:{port}"))
        finally:
            process.stdin.close()


async def serve(host: str, port: int, milliseconds: float) -> None:
    """Pass on what is said until standard input ends; the port is printed first.

    运行代理。
    """
    half = milliseconds / 2000

    async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(host, port)
        await asyncio.gather(_pass_on(reader, back, half), _pass_on(there, writer, half))

    server = await asyncio.start_server(meet, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)
    server.close()
    os._exit(0)  # nobody is left to hear of connections that end


async def _pass_on(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seconds: float
) -> None:
    """What is read is written so much later, in its order.

    延迟后转发。
    """
    loop = asyncio.get_running_loop()
    while piece := await reader.read(_PIECE):
        loop.call_later(seconds, writer.write, piece)
    loop.call_later(seconds, writer.close)


def main(arguments: list[str]) -> int:
    """The command.

    命令行入口。
    """
    place, milliseconds = arguments
    host, _, port = place.rpartition(":")
    asyncio.run(serve(host, int(port), float(milliseconds)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
