"""What is odd about a file that every loader opens: collected on the way, each named once.

这个模块收集模型中不合规范但仍可打开的地方。
"""

from __future__ import annotations

MAX_ODDITIES = 20
"""Warnings of one model: a file of ten thousand parts may have the same fault in each."""


class Oddities:
    """Sentences about a file; beyond a bound they are only counted.

    这个类按顺序收集警告。
    """

    def __init__(self) -> None:
        self._found: list[str] = []
        self._known: set[int] = set()

    def add(self, sentence: str) -> None:
        """Keep a sentence, unless it is known already.

        这个方法记下一条警告。
        """
        if hash(sentence) not in self._known:
            self._known.add(hash(sentence))
            if len(self._found) < MAX_ODDITIES:
                self._found.append(sentence)

    def warnings(self) -> tuple[str, ...]:
        """All of them, in the order they were found.

        这个方法给出全部警告。
        """
        more = len(self._known) - len(self._found)
        return (*self._found, *([f"{more} more oddities of this kind"] if more else []))
