"""Names in the environment that look like settings and are none.

找出拼写错误的设置名。
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from difflib import get_close_matches

_OURS = "MAQUETTE_"
_OTHERS = frozenset({"MAQUETTE_HOME", "QWEN_IMAGE_API_KEYS"})
"""Known elsewhere: to the local commands, and to the Qwen-Image service itself."""
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
