"""Start the service: `python -m gpu_inference --config FILE --model DIR --port 9000 …`.

启动推理服务。
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from gpu_inference import checkpoints
from gpu_inference.settings import Settings, SettingsError, load


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the settings and serve until stopped; 2 where they are wrong.

    读取设置并提供服务。
    """
    try:
        settings = checked(sys.argv[1:] if arguments is None else arguments)
    except SettingsError as error:
        print(error.report(), file=sys.stderr)
        return 2
    # After the settings: these take seconds to import.
    from gpu_inference.engine.pipeline import DiffusersEngine
    from gpu_inference.http.app import serve

    return serve(settings, DiffusersEngine(settings))


def checked(arguments: Sequence[str]) -> Settings:
    """The settings, with a model that may be there; raises SettingsError.

    读取设置并检查模型位置。
    """
    settings = load(arguments, os.environ)
    wrong = checkpoints.fault(settings.model)
    if wrong is not None:
        raise SettingsError([f"model: {wrong}"])
    return settings


if __name__ == "__main__":
    sys.exit(main())
