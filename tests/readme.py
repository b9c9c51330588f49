"""The blocks of a guide: what stands in its fences, and whether an output has the same shape.

测试用：读取说明文档中的代码块并比较输出的形状。
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from infra.paths import ROOT

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_STATUS = re.compile(r".+: (queued|submitting|running|storing|processing|succeeded)")
_VARIES = re.compile(r"01[0-9A-HJKMNP-TV-Z]{24}|\d[\d,.]*")
"""Ids of jobs, counts, sizes and seconds."""


@dataclass(frozen=True)
class Block:
    """One fenced block: its language and its lines."""

    language: str
    text: str

    @property
    def command(self) -> str:
        """What is typed, where it is a session."""
        first = self.text.splitlines()[0]
        return first.removeprefix("$ ") if first.startswith("$ ") else ""

    @property
    def output(self) -> list[str]:
        """What a session shows after the command."""
        return self.text.splitlines()[1:]


def blocks(guide: str) -> list[Block]:
    """Every fenced block of a guide at the checkout's root, in order."""
    found = _FENCE.findall((ROOT / guide).read_text("utf-8"))
    return [Block(language, text) for language, text in found]


def shape(lines: Sequence[str]) -> list[str]:
    """Lines without what differs from run to run: numbers, ids, how a job's status moved on."""
    return [_VARIES.sub("#", line).rstrip() for line in lines if not _STATUS.fullmatch(line)]


def differences(sample: Sequence[str], seen: Sequence[str]) -> list[str]:
    """Lines of the sample, but for its "…", that were not seen in this order."""
    rest: Iterator[str] = iter(shape(seen))
    return [line for line in shape(sample) if line != "…" and line not in rest]
