"""When a cron-like schedule fires: from five fields and a time zone to moments.

The fields are about the clock on the wall; croniter knows which of its times match. What a change of that clock does is
ours, because a library's answer differs from version to version:

- A time that the clock skips in spring comes as much later as the clock jumps: of 02:30, when 02:00 becomes 03:00, it
  is 03:30. When that time is in the schedule itself, it fires once.
- A time that comes twice in autumn fires the first time. When the hour is a wildcard (`*`, `*/2` ...), which means
  "again and again" and not "at this hour", it fires both times.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta, tzinfo
from typing import Any

from croniter import CroniterBadDateError, CroniterError, croniter

FIELDS = ("minute", "hour", "dayOfMonth", "month", "dayOfWeek")
_DAY = 86_400.0
_JUMP = timedelta(hours=3)  # no zone's clock has jumped further, but for days that were left out altogether
_SOME_DAY = datetime(2000, 1, 1)  # noqa: DTZ001  # of the clock on the wall, as croniter is told all


class Cron:
    """A schedule of five fields. zone None: the machine's local time. Raises ValueError: what is wrong with the fields.

    minute (0-59), hour (0-23), dayOfMonth (1-31), month (1-12), dayOfWeek (0-6, Monday is 0): a number, a list, '*', or
    a string as crontab(5) has it, with names. In such a string a range of days of the week counts from Sunday.
    """

    def __init__(self, given: Sequence[Any], zone: tzinfo | None = None) -> None:
        fields = [
            _field(name, value, _day_of_week if name == "dayOfWeek" else str)
            for name, value in zip(FIELDS, given, strict=True)
        ]
        self.text = " ".join(fields)
        self._zone = zone
        self._again = fields[1].startswith("*")
        try:
            croniter(self.text, _SOME_DAY).get_next(datetime)
        except CroniterBadDateError:
            raise ValueError(f"no time is ever like {self.text} ({', '.join(FIELDS)})") from None
        except CroniterError as wrong:
            raise ValueError(f"{wrong} ({', '.join(FIELDS)})") from None

    def __str__(self) -> str:
        return f"{self.text} {self._zone or 'local time'}"

    def after(self, moment: float) -> float:
        """The first time that is later."""
        slack = self._slack(moment)
        best: float | None = None
        for wall in self._walls(moment, -slack):
            if best is not None and wall > self._wall(best) + slack:
                break
            later = [time for time in self._moments(wall) if time > moment]
            best = min([*later, *([] if best is None else [best])], default=None)
            if best is not None and not slack:
                break
        assert best is not None
        return best

    def latest(self, moment: float) -> float:
        """The last time that is not later."""
        slack = self._slack(moment)
        best: float | None = None
        for wall in self._walls(moment, slack, back=True):
            if best is not None and wall < self._wall(best) - slack:
                break
            past = [time for time in self._moments(wall) if time <= moment]
            best = max([*past, *([] if best is None else [best])], default=None)
            if best is not None and not slack:
                break
        assert best is not None
        return best

    def _slack(self, moment: float) -> timedelta:
        """How far what the clock shows may be from the order of time: nothing, but for the days around a jump."""
        before, after = self._offset(moment - _DAY), self._offset(moment + _DAY)
        return timedelta(0) if before == after else _JUMP

    def _offset(self, moment: float) -> timedelta | None:
        then = datetime.fromtimestamp(moment, self._zone)
        return (then.astimezone() if self._zone is None else then).utcoffset()

    def _wall(self, moment: float) -> datetime:
        """What the clock on the wall shows."""
        return datetime.fromtimestamp(moment, self._zone).replace(tzinfo=None, fold=0)

    def _walls(self, moment: float, shift: timedelta, *, back: bool = False) -> Iterator[datetime]:
        """The times of the clock that match, from a moment on, shifted."""
        start = self._wall(moment) + shift
        if back:
            start += timedelta(seconds=1)  # one that matches exactly is one of them
        found = croniter(self.text, start)
        while True:
            yield found.get_prev(datetime) if back else found.get_next(datetime)

    def _moments(self, wall: datetime) -> list[float]:
        """When the clock shows that, or would if it did not jump."""
        first, second = (wall.replace(tzinfo=self._zone, fold=fold).timestamp() for fold in (0, 1))
        return [first, second] if self._again and second > first else [first]


def _field(name: str, value: Any, one: Callable[[str], str]) -> str:
    parts = value if isinstance(value, (list, tuple, set, frozenset)) else [value]
    texts = []
    for part in parts:
        if isinstance(part, bool) or not isinstance(part, (int, str)) or (isinstance(part, str) and not part.strip()):
            raise ValueError(f"{name} is a number, a list of numbers or a string such as '*/2', not {value!r}")
        texts += [one(text.strip()) for text in str(part).split(",")]
    if not texts:
        raise ValueError(f"{name} is an empty list")
    if any(len(text.split()) != 1 for text in texts):
        raise ValueError(f"{name}: {value!r} has a space in it")
    return ",".join(texts)


def _day_of_week(text: str) -> str:
    """Buildbot counts days from Monday, and cron from Sunday."""
    if not (text.isascii() and text.isdecimal()):
        return text
    if int(text) > 6:
        raise ValueError(f"dayOfWeek is 0 (Monday) to 6 (Sunday), not {text}")
    return str((int(text) + 1) % 7)
