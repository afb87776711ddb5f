"""What a step, a build or a buildset came to: the seven codes, their names, and which is worse.

The names are Buildbot's own, because users' master.cfg files import them from here.
"""

from __future__ import annotations

from typing import Final

SUCCESS: Final = 0
WARNINGS: Final = 1
FAILURE: Final = 2
SKIPPED: Final = 3
EXCEPTION: Final = 4
RETRY: Final = 5
CANCELLED: Final = 6

ALL_RESULTS: Final[tuple[int, ...]] = (SUCCESS, WARNINGS, FAILURE, SKIPPED, EXCEPTION, RETRY, CANCELLED)

# indexed by the code
Results: Final[list[str]] = ["success", "warnings", "failure", "skipped", "exception", "retry", "cancelled"]

# best to worst: a skipped step does not hide that another one succeeded
_BADNESS: Final = {
    code: badness for badness, code in enumerate((SKIPPED, SUCCESS, WARNINGS, FAILURE, EXCEPTION, RETRY, CANCELLED))
}


def worst_status(a: int, b: int) -> int:
    """The worse of two results."""
    return a if _BADNESS[a] >= _BADNESS[b] else b


def worst_of(results: list[int] | tuple[int, ...]) -> int:
    """The worst of any number of results; SKIPPED when there is none."""
    return max(results, key=_BADNESS.__getitem__, default=SKIPPED)


def statusToString(status: int | None) -> str:
    """The word for a result; `not finished` for None, `Invalid status` for a number that is none."""
    if status is None:
        return "not finished"
    if 0 <= status < len(Results):
        return Results[status]
    return "Invalid status"


def computeResultAndTermination(obj: object, result: int, previousResult: int) -> tuple[int, bool]:
    """How a step's `result` changes what its build has come to, and whether the build stops here.

    `obj` carries the step's flags: haltOnFailure, flunkOnFailure, flunkOnWarnings, warnOnFailure, warnOnWarnings.
    """
    possible = result
    terminate = False
    if result == FAILURE:
        terminate = bool(getattr(obj, "haltOnFailure", False))
        if not getattr(obj, "flunkOnFailure", False):
            possible = WARNINGS if getattr(obj, "warnOnFailure", False) else SUCCESS
    elif result == WARNINGS:
        if getattr(obj, "flunkOnWarnings", False):
            possible = FAILURE
        elif not getattr(obj, "warnOnWarnings", False):
            possible = SUCCESS
    elif result in (EXCEPTION, RETRY, CANCELLED):
        terminate = True
    return worst_status(previousResult, possible), terminate
