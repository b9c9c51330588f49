"""Values are changed as the standard library changes them, only at less cost.

不可变值的复制与修改。
"""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.jobs.model import Job, JobInput, Receipt
from shared.values import replace

JOB = Job("1", "text-to-3d", "tripo", "caller", 5, JobInput("a chair"), due_at=7)
CHANGES = st.fixed_dictionaries(
    {},
    optional={
        "progress": st.integers(0, 99),
        "eta_at": st.none() | st.integers(),
        "receipt": st.builds(Receipt, st.integers()),
        "extra": st.dictionaries(st.text(), st.integers()),
    },
)


@given(CHANGES)
def test_a_value_is_changed_as_the_standard_library_changes_it(changes: Any) -> None:
    changed = replace(JOB, **changes)
    assert changed == dataclasses.replace(JOB, **changes)
    assert repr(changed) == repr(dataclasses.replace(JOB, **changes))


def test_the_value_it_was_made_of_stays_as_it_is() -> None:
    before = dataclasses.asdict(JOB)
    changed = replace(JOB, progress=9)
    assert (changed.progress, JOB.progress) == (9, 0)
    assert dataclasses.asdict(JOB) == before
    with pytest.raises(dataclasses.FrozenInstanceError):
        changed.progress = 3  # type: ignore[misc]


def test_a_member_that_a_value_does_not_have_is_a_mistake() -> None:
    with pytest.raises(TypeError, match="Job has no colour"):
        replace(JOB, colour="red", progress=3)
