"""SCF's timers: seven fields, from the second to the year.

SCF 定时触发器的七段 cron 表达式。
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_FIELDS: tuple[tuple[str, int, int, dict[str, int]], ...] = (
    ("second", 0, 59, {}),
    ("minute", 0, 59, {}),
    ("hour", 0, 23, {}),
    ("day", 1, 31, {}),
    ("month", 1, 12, {name: number for number, name in enumerate(_MONTHS, 1)}),
    ("day of the week", 0, 6, {name: number for number, name in enumerate(_DAYS)}),
    ("year", 1970, 2099, {}),
)
"""Each field's name, least and largest value, and the names that its values may have (document
583/9708)."""
_DAY, _WEEKDAY = 3, 5


class CronError(ValueError):
    """Not a timer's expression; the message says which field.

    表达式有误。
    """


@dataclass(frozen=True)
class Cron:
    """When a timer fires: the values of each field, None for every value (`*`).

    定时器的触发时刻。
    """

    fields: tuple[frozenset[int] | None, ...]

    def fires(self, moment: datetime) -> bool:
        """Whether it fires in this second. Where day and day of the week are both given, either is
        enough (document 583/9708).

        是否在这一秒触发。
        """
        values = (
            moment.second,
            moment.minute,
            moment.hour,
            moment.day,
            moment.month,
            moment.isoweekday() % 7,
            moment.year,
        )
        fits = [
            wanted is None or value in wanted
            for wanted, value in zip(self.fields, values, strict=True)
        ]
        if self.fields[_DAY] is not None and self.fields[_WEEKDAY] is not None:
            either = fits[_DAY] or fits[_WEEKDAY]
            fits[_DAY] = fits[_WEEKDAY] = either
        return all(fits)


def parse(expression: str) -> Cron:
    """Read `second minute hour day month weekday year`; raises `CronError`.

    解析表达式。
    """
    parts = expression.split()
    if len(parts) != len(_FIELDS):
        raise CronError(f"{expression!r} has {len(parts)} fields, not {len(_FIELDS)}")
    return Cron(tuple(_field(part, *field) for part, field in zip(parts, _FIELDS, strict=True)))


def _field(
    text: str, name: str, least: int, most: int, names: dict[str, int]
) -> frozenset[int] | None:
    """The values of one field: `*`, `5`, `1-5`, `*/10`, `MON,WED` and so on.

    一段的取值。
    """
    if text == "*":
        return None
    found: set[int] = set()
    for part in text.split(","):
        span, slash, step = part.partition("/")
        first, dash, last = span.partition("-")
        try:
            if span == "*":
                low, high = least, most
            else:
                low = _number(first, names)
                high = _number(last, names) if dash else most if slash else low
            by = int(step) if slash else 1
        except ValueError:
            raise CronError(f"{text!r} is no {name}") from None
        if not least <= low <= high <= most or by < 1:
            raise CronError(f"{text!r} is no {name} from {least} to {most}")
        found.update(range(low, high + 1, by))
    return frozenset(found)


def _number(text: str, names: dict[str, int]) -> int:
    known = names.get(text.upper())
    return int(text) if known is None else known
