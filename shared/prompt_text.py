"""The one rule for prompts: what text is taken, and in which form it is kept.

`gpu_inference/prompt_text.py` is the same rule: the picture service knows nothing of this package.

提示词的统一规则。
"""

from __future__ import annotations

import re
import unicodedata

MOST_MARKS = 30
"""Combining marks in a row, as in Unicode's Stream-Safe Text Format (UAX #15): normalising takes
quadratic time in them, and no language needs as many."""

PATTERN = r"^[^\u0000-\u0008\u000b-\u001f\u007f-\u009f]*$"
"""What a text is that may be a prompt, as JSON Schema says it; `normalised` takes CR as well."""

# Written as escapes, and compiled when first used: most starts are for something else.
_CONTROLS = r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]"
# Letters, marks and symbols that show nothing (Default_Ignorable_Code_Point, and empty Braille).
_BLANKS = r"[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0]"
_BLANK_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Zs", "Zl", "Zp"})


class UnusablePrompt(ValueError):
    """A text that is no prompt; it says why, to go on after the field's name.

    不可用作提示词的文本。
    """


def normalised(text: str) -> str:
    """A prompt as it is kept: in NFC, its lines divided by one LF each, without blanks around it.

    Raises `UnusablePrompt` for control characters other than line breaks and tabs, for half a
    character, and for more than `MOST_MARKS` combining marks in a row.

    规范化提示词。
    """
    lines = text.replace("\r\n", "\n").replace("\r", "\n")
    control = re.search(_CONTROLS, lines)
    if control is not None:
        code = f"U+{ord(control[0]):04X}"
        raise UnusablePrompt(f"holds {code}; of control characters only line breaks and tabs may")
    marks = 0
    for one in "" if lines.isascii() else lines:
        marks = marks + 1 if unicodedata.combining(one) else 0
        if marks > MOST_MARKS:
            raise UnusablePrompt(f"has more than {MOST_MARKS} combining marks in a row")
    return unicodedata.normalize("NFC", lines).strip()


def shows(text: str) -> bool:
    """Whether something of a text is visible.

    文本是否含有可见字符。
    """
    return any(
        unicodedata.category(one) not in _BLANK_CATEGORIES
        and not re.match(_BLANKS, one)
        and not "\U000e0000" <= one <= "\U000e0fff"
        for one in text
    )
