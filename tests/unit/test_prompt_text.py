"""The rule for prompts, in the bundle and in the picture service alike.

测试提示词规则。
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpu_inference import prompt_text as service
from shared import prompt_text as bundle

ODD = "\0\x07\t\n\x0b\r\x1b\x7f\x85\xad\u0301\u0323\u0344\u034f\u115f\u1160\u200b\u200d\u2028"
ODD += "\u2800\u3000\u3164\ud800\ufe0f\ufeff\uffa0\U000e0001\U000e0100\u212b한각ệ図🪑👩‍👩‍👧"
TEXTS = st.text(st.characters(exclude_categories=()) | st.sampled_from(ODD), max_size=60)


def outcome(rule: Callable[[str], str], text: str) -> tuple[str | None, str | None]:
    try:
        return rule(text), None
    except ValueError as refused:
        return None, str(refused)


@given(TEXTS | st.integers(0, 40).map(lambda count: "a" + "\u0301\u0323" * count))
def test_both_rules_are_one(text: str) -> None:
    assert outcome(bundle.normalised, text) == outcome(service.normalised, text)
    assert bundle.shows(text) == service.shows(text)


@given(TEXTS)
def test_what_is_kept_is_clean_and_stays_as_it_is(text: str) -> None:
    kept, refused = outcome(bundle.normalised, text)
    has_control = any(
        unicodedata.category(one) in ("Cc", "Cs") and one not in "\t\n\r" for one in text
    )
    assert (refused is not None) == has_control or "combining" in str(refused)
    if kept is not None:
        assert unicodedata.is_normalized("NFC", kept)
        assert kept == kept.strip()
        assert "\r" not in kept
        assert bundle.normalised(kept) == kept
        assert bundle.shows(kept) == bundle.shows(text)


@pytest.mark.parametrize("text", ["", " \t\n", "\u3000", "\u200b\u200d\ufeff", "\u3164", "\u2800"])
@pytest.mark.parametrize("more", ["", "\ufe0f", "\U000e0100"])
def test_of_some_texts_nothing_shows(text: str, more: str) -> None:
    assert not bundle.shows(text + more)


@pytest.mark.parametrize(
    "text", ["a", "椅", "🪑", "👩\u200d👧", "\U000f0000", ".", "\u0301", "\U0001faea"]
)
def test_of_others_something_does(text: str) -> None:
    assert bundle.shows(f"\u200b{text}")


def test_lines_of_a_form_are_kept_as_lines() -> None:
    assert (
        bundle.normalised("a chair\r\n\tof oak\rand a table ") == "a chair\n\tof oak\nand a table"
    )


def test_letters_and_their_marks_become_one() -> None:
    assert bundle.normalised("cafe\u0301 \u1112\u1161\u11ab") == "café 한"


def test_the_character_at_fault_is_named() -> None:
    with pytest.raises(bundle.UnusablePrompt, match=r"U\+001B"):
        bundle.normalised("a\x1b[31m chair")


def test_marks_without_end_are_refused_before_they_are_sorted() -> None:
    with pytest.raises(bundle.UnusablePrompt, match="30 combining marks"):
        bundle.normalised("a" + "\u0301\u0323" * 500_000)
