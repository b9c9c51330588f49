"""The GPU measurement's results: as figures, as a table for people, as JSON.

GPU 测量结果的表格与 JSON。
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import diffusers
import numpy as np
import torch
import transformers
from PIL import Image

NOT_MEASURED = "not measured"
MOST_OF_STOCK = 0.7
"""What bfloat16 without caches may take of stock diffusers' time."""
_LIBRARIES = (torch, diffusers, transformers)


@dataclass
class Result:
    """What a cell gave; what was not measured is None, and `note` says why.

    一行的测量结果。
    """

    name: str
    note: str = ""
    size: str = ""
    exact: bool = False  # nothing but the rounding may differ from stock
    on: list[str] = field(default_factory=list)  # of the engine's settings
    seconds_per_image: float | None = None
    tflop_per_image: float | None = None
    share_of_limit: float | None = None
    of_stock: float | None = None
    peak_gb: float | None = None
    psnr: float | None = None
    furthest: int | None = None
    contrast: float | None = None
    computed: float | None = None  # share of the transformer's calls that the cache did not skip


def difference(one: Image.Image, other: Image.Image) -> tuple[float, int]:
    """Compare two pictures: PSNR in decibels (infinite where equal), and the furthest value.

    比较两张图。
    """
    apart = np.asarray(one).astype(float) - np.asarray(other).astype(float)
    error = float(np.mean(apart**2))
    psnr = math.inf if error == 0 else 10 * math.log10(255**2 / error)
    return psnr, int(np.abs(apart).max())


def table(results: Sequence[Result], rates: dict[str, Any]) -> str:
    """Write the results for people; without rates nothing was measured.

    生成结果表。
    """
    lines = [
        f"{'':37}{'size, steps':>13}{'s/image':>10}{'limit':>8}{'× stock':>9}{'GB':>7}"
        f"{'PSNR':>7}{'max':>5}"
    ]
    for result in results:
        line = f"{result.name:37}{result.size:>13}"
        if result.note or not rates:
            line += f"  {result.note or NOT_MEASURED}"
        else:
            line += f"{shown(result.seconds_per_image):>10}{_percent(result.share_of_limit):>8}"
            line += f"{_percent(result.of_stock):>9}{shown(result.peak_gb, digits=1):>7}"
        if result.psnr is not None:
            line += f"{shown(result.psnr, digits=1):>7}{result.furthest:>5}"
        if result.computed is not None:
            line += f"  the cache computed {result.computed:.0%} of the calls"
        lines.append(line)
    return "\n".join([*lines, "", *_remarks(results, rates)])


def _remarks(results: Sequence[Result], rates: dict[str, Any]) -> list[str]:
    """Return the lines below the table: what was measured, and what the columns mean.

    表格下方的说明。
    """
    if not rates:
        failed = any(result.note for result in results)
        outcome = "did not pass, see above" if failed else "passed"
        return [f"No GPU: nothing was measured. The dry run of a tiny model on the CPU {outcome}."]
    attention = ", ".join(
        f"{name or 'as torch chooses'} {rate:.0f}" for name, rate in rates["attention"].items()
    )
    remarks = [
        f"matrix rate, TFLOP/s: bf16 {rates['bf16']:.0f},"
        f" float8 {shown(rates.get('float8'), digits=0)}; attention: {attention}",
        "limit: the time that the matrix work takes at the bf16 rate, of the time taken",
        "PSNR (dB), max: against the stock picture of the same seed, random weights"
        f" (its contrast: {shown(results[0].contrast, digits=0)} of 255)",
    ]
    remarks += [f"{result.name}: {', '.join(result.on)}" for result in results if result.on]
    exact = next((result.of_stock for result in results if result.of_stock and result.exact), None)
    if exact is not None:
        verdict = "met" if exact <= MOST_OF_STOCK else "missed"
        remarks.append(
            f"bf16 without caches: {exact:.0%} of stock diffusers' time (70%: {verdict})"
        )
    return remarks


def report(device: str, results: Sequence[Result], rates: dict[str, Any]) -> dict[str, Any]:
    """Give all figures for JSON.

    生成 JSON 报告。
    """
    cells = [asdict(result) for result in results]
    for cell in cells:
        if cell["psnr"] is not None and math.isinf(cell["psnr"]):
            cell["psnr"] = "equal"  # JSON has no infinity
    return {
        "device": device,
        "measured": bool(rates),
        "versions": {module.__name__: module.__version__ for module in _LIBRARIES},
        "rates": rates,
        "cells": cells,
    }


def shown(value: float | None, unit: str = "", digits: int = 2) -> str:
    """Write a figure, or that there is none.

    显示数值。
    """
    return NOT_MEASURED if value is None else f"{value:.{digits}f} {unit}".strip()


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{value:.0%}"
