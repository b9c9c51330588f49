"""Setting a prompt in type: line breaking, and the coverage picture that letters are cut from.

The bundled font has Latin and the common Chinese characters; anything else is drawn as a box.
把提示词排成几行字,供立体字建模使用。
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.ImageFont import FreeTypeFont

FONT = Path(__file__).parent / "assets" / "lettering.ttf"
MAX_LINES = 6
LONGEST_LINE = 14.0  # em: as long as lines get before the text is cut off
LINE_HEIGHT = 1.2  # em
MARGIN = 0.4  # em of plate around the letters


@lru_cache(maxsize=32)
def font(size: int) -> FreeTypeFont:
    """The bundled font at so many pixels to the em.

    按字号取字体。
    """
    from PIL import ImageFont

    # The basic layout gives the same picture whether or not Raqm is installed.
    return ImageFont.truetype(FONT, size, layout_engine=ImageFont.Layout.BASIC)


def clean(text: str) -> str:
    """The text in one line without what cannot be drawn: controls, lone surrogates, joiners.

    去掉无法画出的字符。
    """
    text = unicodedata.normalize("NFC", text)
    drawn = (" " if unicodedata.category(each)[0] in "CZ" else each for each in text)
    return " ".join("".join(drawn).split()) or "?"


def width(text: str) -> float:
    """How wide a text is set, in em.

    计算文字的宽度。
    """
    return float(font(64).getlength(text)) / 64


def words(text: str) -> list[str]:
    """The pieces between which a line may break: words with their space, or single wide characters.

    把文字切成可以换行的小段。
    """
    pieces: list[str] = [""]
    for each in text:
        wide = unicodedata.east_asian_width(each) in "WF"
        # Closing punctuation stays with what it closes.
        closing = unicodedata.category(each) in ("Pe", "Po", "Pf")
        fresh = pieces[-1].endswith(" ") or (wide and not closing)
        after_wide = pieces[-1] and unicodedata.east_asian_width(pieces[-1][-1]) in "WF"
        if fresh or (after_wide and not closing and each != " "):
            pieces.append("")
        pieces[-1] += each
    return [part for piece in pieces if piece for part in _split(piece)]


def _split(piece: str) -> list[str]:
    """A word longer than a line, in pieces that are not."""
    parts = [""]
    for each in piece:
        if width((parts[-1] + each).rstrip()) > LONGEST_LINE:
            parts.append("")
        parts[-1] += each
    return parts


def lines(text: str) -> list[str]:
    """The text as one to six lines of sensible length, with an ellipsis where it was cut.

    把文字排成一到六行。
    """
    pieces = words(clean(text))
    longest = max(width(piece.rstrip()) for piece in pieces)
    # About twice as wide as high, as long as six lines suffice.
    target = max(5.0, (2.4 * width("".join(pieces))) ** 0.5, longest)
    result = _fill(pieces, min(LONGEST_LINE, target))
    if len(result) > MAX_LINES:
        result = _fill(pieces, LONGEST_LINE)
    if len(result) <= MAX_LINES:
        return _even(pieces, result)
    result = result[:MAX_LINES]
    while width(result[-1] + "…") > LONGEST_LINE:
        result[-1] = result[-1][:-1]
    return [*result[:-1], result[-1].rstrip() + "…"]


def _even(pieces: list[str], rows: list[str]) -> list[str]:
    """As many lines, but of lengths as equal as they get, so that no word is left alone."""
    limit = width("".join(pieces)) / len(rows)
    while len(result := _fill(pieces, limit)) > len(rows):
        limit += 0.25
    return result


def _fill(pieces: list[str], limit: float) -> list[str]:
    result = [""]
    for piece in pieces:
        if result[-1] and width((result[-1] + piece).rstrip()) > limit:
            result[-1] = result[-1].rstrip()
            result.append("")
        result[-1] += piece
    return [*result[:-1], result[-1].rstrip()]


def coverage(text: str, cells: int) -> tuple[NDArray[Any], int]:
    """How far each pixel lies under a letter, 0..1, bottom row first, in at most about `cells`
    pixels, and how many pixels an em has; a margin of nothing surrounds the letters.

    把文字画成覆盖度网格。
    """
    import numpy as np
    from PIL import Image, ImageDraw

    rows = lines(text)
    em_wide = max(width(row) for row in rows) + 2 * MARGIN
    em_high = LINE_HEIGHT * len(rows) + 2 * MARGIN
    size = max(6, min(96, int((cells / (em_wide * em_high)) ** 0.5)))
    margin = max(2, round(MARGIN * size))
    wide = max(int(font(size).getlength(row)) for row in rows) + 1 + 2 * margin
    pitch = LINE_HEIGHT * size
    picture = Image.new("L", (wide, round(pitch * len(rows)) + 2 * margin))
    draw = ImageDraw.Draw(picture)
    for number, row in enumerate(rows):
        middle = margin + (number + 0.5) * pitch
        draw.text((wide / 2, middle), row, 255, font(size), anchor="mm")
    values = np.asarray(picture, np.float32)[::-1] / 255
    values[[0, -1], :] = 0
    values[:, [0, -1]] = 0
    return values, size
