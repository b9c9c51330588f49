"""A command that starts the bundle: its settings, what it says when it cannot start, and its end.

启动命令共用的部分：检查设置、说明错误与结束进程。
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Mapping

from infra.aws.template import TemplateError
from infra.local.cloud.beside import Beside
from infra.local.cloud.home import STANDIN_KEY, Home, UsageError
from infra.local.cloud.standin import StandinError
from shared.buckets.base import BucketUnavailable
from shared.config import SettingsError
from shared.store.base import StoreUnavailable


def check_settings(home: Home, made: Mapping[str, str]) -> None:
    """Raise `SettingsError` before anything is made; the stand-in's address is not needed yet.

    启动前检查设置。
    """
    placeholder = {"TRIPO_API_KEY": STANDIN_KEY} if home.needs_standin else {}
    home.check({**placeholder, **made})


def reporting(work: Callable[[], int]) -> int:
    """Run a command; what keeps it from starting is told in words, not as a traceback.

    Returns its exit status, or 2 for wrong settings and flags, 1 for anything else.

    运行命令并把启动错误说清楚。
    """
    try:
        return work()
    except SettingsError as error:
        print(error.report(), file=sys.stderr)
        return 2
    except UsageError as error:
        print(error, file=sys.stderr)
        return 2
    except BrokenPipeError:
        # Whoever read what was printed has left; what the interpreter flushes at its end as well.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except (TemplateError, StandinError, StoreUnavailable, BucketUnavailable, OSError) as error:
        print(f"Maquette cannot start: {error}", file=sys.stderr)
        return 1


def leave(status: int, left: Mapping[str, int], servers: Beside) -> int:
    """The exit status; where something still runs, the process ends here and now.

    Nothing is lost by that: a job in a dead worker's hands becomes due again.

    结束进程。
    """
    servers.close()
    if left:
        names = ", ".join(left)
        print(f"Not waiting any longer for {names}; it is taken up again.", file=sys.stderr)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    return status
