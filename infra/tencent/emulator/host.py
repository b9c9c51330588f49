"""Runs in an instance of an event function: imports its entry, then answers event after event.

Started by its path with the function's own environment, so it imports nothing of Maquette. Events
come on standard input, a line of JSON each; answers go to a descriptor of their own, because the
function may print. With standard input everything ends: so no instance outlives its keeper.

在实例进程中导入函数入口并逐个处理事件。
"""

from __future__ import annotations

import importlib
import json
import os
import queue
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from typing import Any


def main() -> None:
    """Serve the handler `sys.argv[2]`, answering on the descriptor `sys.argv[1]`.

    运行函数直到标准输入结束。
    """
    answers = os.fdopen(int(sys.argv[1]), "w", encoding="utf-8")
    # Not the folder of this file: the platform has the function's code first.
    sys.path[0] = os.environ["USER_CODE_ROOT"]
    asked = _asked()
    try:
        handler = _imported(sys.argv[2])
    except Exception as error:
        _tell(answers, {"failed": _words(error)})
        return
    _tell(answers, {"ready": True})
    for ask in asked:
        _tell(answers, {"id": ask["id"], **_answered(handler, ask)})


def _asked() -> Iterator[dict[str, Any]]:
    """What is asked, as it comes in; the process ends with its source, whatever it does then.

    逐个读取请求；输入结束时进程随之结束。
    """
    source = os.fdopen(os.dup(0), encoding="utf-8")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()

    def read() -> None:
        for line in source:
            lines.put(line)
        os._exit(0)

    threading.Thread(target=read, name="platform", daemon=True).start()
    return (json.loads(line) for line in iter(lines.get, None))


def _imported(handler: str) -> Callable[[Any, Any], Any]:
    module, _, name = handler.rpartition(".")
    found: Callable[[Any, Any], Any] = getattr(importlib.import_module(module), name)
    return found


def _answered(handler: Callable[[Any, Any], Any], ask: dict[str, Any]) -> dict[str, str]:
    """The handler's answer to one event as JSON, or its error in words; both also in the log.

    处理一个事件。
    """
    print(f"START RequestId: {ask['id']}", flush=True)
    try:
        return {"result": json.dumps(handler(ask["event"], ask["context"]))}
    except Exception as error:
        traceback.print_exc()
        return {"error": _words(error)}
    finally:
        sys.stderr.flush()
        print(f"\nEND RequestId: {ask['id']}", flush=True)


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _tell(answers: Any, message: dict[str, Any]) -> None:
    answers.write(json.dumps(message) + "\n")
    answers.flush()


if __name__ == "__main__":
    main()
