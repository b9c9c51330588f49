"""Whether a server holds back the ends of its answers.

检查服务器是否延迟发送应答的后半部分。
"""

from __future__ import annotations

import asyncio
import socket


def holds_back(listener: socket.socket) -> bool:
    """Whether a server on this listener keeps the end of an answer until its beginning has been
    acknowledged, which clients on a kept connection do some 40 ms later.

    监听套接字上的应答是否会被延迟。
    """
    return asyncio.run(_holds_back(listener))


async def _holds_back(listener: socket.socket) -> bool:
    found: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def connected(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = writer.get_extra_info("socket")
        found.set_result(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        writer.close()

    async with await asyncio.start_server(connected, sock=listener):
        _, client = await asyncio.open_connection(*listener.getsockname()[:2])
        sends_at_once = await found
        client.close()
    return not sends_at_once
