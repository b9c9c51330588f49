"""What a caller is told of a value that cannot be taken.

测试校验错误的说明。
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest
from annotated_types import Ge
from hypothesis import given
from hypothesis import strategies as st
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, field_validator

from shared.providers.registry import PROVIDERS
from shared.validation import LONGEST_SHOWN, sentence


class Options(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    n: int = Field(1, ge=1, le=8)
    share: float | None = Field(None, gt=0, le=1)
    seed: int | None = Field(None, ge=0, lt=2**32)
    deep: Annotated[int, Ge(3)] = 3
    side: int = Field(64, multiple_of=16)
    quality: Literal["standard", "detailed"] = "standard"
    style: str = Field("plain", min_length=2, max_length=5)
    names: list[str] = Field([], max_length=2)
    on: bool = True
    more: dict[str, Any] = {}
    at: AwareDatetime | None = None
    odd: int = 1

    @field_validator("odd")
    @classmethod
    def _is_odd(cls, value: int) -> int:
        if value % 2 == 0:
            raise ValueError("only odd numbers, with such a model")
        return value


def told(**values: Any) -> str:
    with pytest.raises(ValidationError) as raised:
        Options.model_validate(values)
    (fault,) = raised.value.errors()
    return sentence(fault, str(fault["loc"][0]), Options)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"n": 9}, "n must be from 1 to 8; 9 was given."),
        ({"n": 0}, "n must be from 1 to 8; 0 was given."),
        ({"share": 0.0}, "share must be above 0 and at most 1; 0.0 was given."),
        ({"share": float("nan")}, "share must be above 0 and at most 1; NaN was given."),
        ({"seed": -1}, "seed must be at least 0 and below 4294967296; -1 was given."),
        ({"deep": 2}, "deep must be at least 3; 2 was given."),
        ({"side": 65}, "side must be a multiple of 16; 65 was given."),
        ({"n": "3"}, 'n must be a whole number; "3" was given.'),
        ({"n": 1.5}, "n must be a whole number; 1.5 was given."),
        ({"n": True}, "n must be a whole number; true was given."),
        ({"n": None}, "n must be a whole number; null was given."),
        ({"n": [1]}, "n must be a whole number; a list was given."),
        ({"share": "much"}, 'share must be a number; "much" was given.'),
        ({"quality": "best"}, "quality must be 'standard' or 'detailed'; \"best\" was given."),
        ({"style": "ornate"}, "style may have 5 characters at most; it has 6."),
        ({"style": "x"}, "style must have 2 characters at least; it has 1."),
        ({"style": 7}, "style must be a text; 7 was given."),
        ({"names": ["a", "b", "c"]}, "names may have 2 entries at most; it has 3."),
        ({"names": {}}, "names must be a list; an object was given."),
        ({"on": "yes"}, 'on must be true or false; "yes" was given.'),
        ({"more": []}, "more must be an object; a list was given."),
        ({"odd": 2}, "odd: only odd numbers, with such a model."),
    ],
)
def test_a_sentence_names_the_field_its_bounds_and_what_was_given(
    values: dict[str, Any], expected: str
) -> None:
    assert told(**values) == expected


def test_a_long_text_that_was_given_is_cut() -> None:
    assert told(n="x" * 1000) == f'n must be a whole number; "{"x" * LONGEST_SHOWN}…" was given.'


OPTIONS = [
    (model, name)
    for declared in PROVIDERS.values()
    for model in dict.fromkeys(declared.options.values())
    for name in model.model_fields
]


@given(
    option=st.sampled_from(OPTIONS),
    value=st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just([]),
)
def test_of_every_option_the_bounds_are_told_in_words_of_ours(
    option: tuple[type[BaseModel], str], value: Any
) -> None:
    model, name = option
    try:
        model.model_validate({name: value})
    except ValidationError as error:
        fault = error.errors()[0]
        said = sentence(fault, name, model)
        assert said.startswith(name)
        assert "Input should" not in said
        assert "String should" not in said
        if fault["type"] in ("greater_than_equal", "less_than_equal", "less_than"):
            (bound,) = (fault.get("ctx") or {}).values()
            assert f"{bound:.12g}" in said
