"""When a running build may end, from how long the last ones of its builder took."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from buildbot.model import Build, Result

_TELLING = (Result.SUCCESS, Result.WARNINGS)
_LESS_TELLING = (*_TELLING, Result.FAILURE)


def usual_seconds(finished: Sequence[Build]) -> float | None:
    """The middle of the last builds' durations; of failed ones only when none was good. None: nobody knows."""
    ended = [(b.complete_at - b.started_at, b.result) for b in finished if b.complete_at is not None]
    return usual_of(ended)


def usual_of(ended: Sequence[tuple[float, Result | None]]) -> float | None:
    """As `usual_seconds`, of (seconds, result) of each build."""
    for results in (_TELLING, _LESS_TELLING):
        took = [seconds for seconds, result in ended if result in results]
        if took:
            return median(took)
    return None


def ends_at(build: Build, finished: Sequence[Build]) -> float | None:
    """About when the build will end, by the last ones; it may have passed."""
    usual = usual_seconds(finished)
    return None if usual is None else build.started_at + usual
