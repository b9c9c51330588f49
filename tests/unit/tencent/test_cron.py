"""When SCF's timers fire.

SCF 定时器何时触发。
"""

from __future__ import annotations

from datetime import datetime

import pytest

from infra.tencent.emulator import cron

SATURDAY = datetime(2026, 11, 28, 17, 30, 15)


@pytest.mark.parametrize(
    ("expression", "fires"),
    [
        ("* * * * * * *", True),
        ("15 30 17 28 11 6 2026", True),
        ("15 30 17 28 NOV SAT 2026", True),
        ("0 * * * * * *", False),
        ("*/5 * * * * * *", True),
        ("*/2 * * * * * *", False),
        ("5/10 * * * * * *", True),
        ("0-14,16-59 * * * * * *", False),
        ("10-20/5 * * * * * *", True),
        ("15 * * * * MON-FRI *", False),
        ("15 * * 1 * SAT *", True),
        ("15 * * 28 * MON *", True),
        ("15 * * 1 * MON *", False),
        ("15 * * * * * 2027", False),
    ],
)
def test_a_timer_fires_in_the_seconds_that_all_of_its_fields_name(
    expression: str, fires: bool
) -> None:
    assert cron.parse(expression).fires(SATURDAY) is fires


@pytest.mark.parametrize(
    "expression",
    [
        "",
        "* * * * *",
        "* * * * * *",
        "60 * * * * * *",
        "* * * 0 * * *",
        "* * * * * 7 *",
        "x * * * * * *",
        "*/0 * * * * * *",
        "5-1 * * * * * *",
        "* * * * FOO * *",
        "1, * * * * * *",
    ],
)
def test_what_is_no_timer_is_refused(expression: str) -> None:
    with pytest.raises(cron.CronError):
        cron.parse(expression)
