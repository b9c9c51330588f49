"""Names in the environment that look like settings and are none.

找出拼写错误的设置名。
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from difflib import get_close_matches

_OURS = "MAQUETTE_"
_SERVICE = frozenset(
    (
        *("ACCEPT_RESEARCH_LICENCE", "API_KEYS", "ATTENTION", "BATCH_PIXELS", "BATCH_SIZE"),
        *("BATCH_WINDOW", "BODY_BYTES", "COMPILE", "DEVICE", "DTYPE", "FP8"),
        *("GRACE_SECONDS", "GUIDANCE", "HEIGHT", "HOST", "IMAGE_BYTES", "IMAGE_PIXELS"),
        *("KEEP_HOURS", "LIGHTNING_SCHEDULE", "LOG_FORMAT", "LOG_LEVEL", "LORA"),
        *("LORA_FILE", "LORA_SCALE", "MAX_GUIDANCE", "MAX_IMAGES", "MAX_PIXELS"),
        *("MAX_SIDE", "MAX_STEPS", "MIN_SIDE", "MODEL", "OFFLINE", "OFFLOAD", "PORT"),
        *("QUEUE_SIZE", "RATE_PER_MINUTE", "REQUEST_SECONDS", "REVISION", "STATE"),
        *("STEP_CACHE", "STEP_CACHE_THRESHOLD", "STEPS", "STRENGTH", "THREADS"),
        *("VAE_SINGLE_FRAME", "VAE_TILING", "WIDTH"),
    )
)
"""The Qwen-Image service's own settings, behind `QWEN_IMAGE_`."""
_OTHERS = frozenset({"MAQUETTE_HOME", *(f"QWEN_IMAGE_{name}" for name in _SERVICE)})
"""Known elsewhere: to the local commands, and to the service."""
_TESTS = "MAQUETTE_TEST_"
_ALIKE = 0.85


def faults(names: Iterable[str], known: Collection[str]) -> list[str]:
    """What is wrong with the names of an environment, by the settings that are `known`.

    Every `MAQUETTE_…` is ours, and so must be known; of other prefixes (`TRIPO_…`) there may be
    variables of other programs, so that only what looks like a slip is one.

    返回拼写错误的名字及建议。
    """
    prefixes = {name.partition("_")[0] for name in known}
    found = []
    for name in sorted(set(names) - set(known) - _OTHERS):
        if name.partition("_")[0] not in prefixes or name.startswith(_TESTS):
            continue
        alike = get_close_matches(name, known, 1, 0.6 if name.startswith(_OURS) else _ALIKE)
        if alike:
            found.append(f"{name} is no setting; did you mean {alike[0]}?")
        elif name.startswith(_OURS):
            found.append(f"{name} is no setting; .env.example names all there are")
    return found
