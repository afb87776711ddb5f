"""master.stop.json: what `buildbot stop --clean` wants of the master to which it sends SIGUSR1.

A signal carries no words. The command writes the file, the master takes it away as it reads it; a SIGUSR1 without it is
a clean stop with nothing more to say.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

ORDER_FILE = "master.stop.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class StopOrder:
    """who: who asks, as people say it; seconds: the longest that builds are waited for (None: the usual); cancel: call
    off the clean stop that is under way."""

    who: str
    seconds: float | None = None
    cancel: bool = False


def write(basedir: Path, order: StopOrder) -> None:
    """Leave the order for the master. Before the signal."""
    part = basedir / f"{ORDER_FILE}.part"
    part.write_text(json.dumps(asdict(order)), encoding="utf-8")
    part.replace(basedir / ORDER_FILE)


def take(basedir: Path) -> StopOrder | None:
    """The order, which is then gone; None when there is none, or it is not to be understood."""
    path = basedir / ORDER_FILE
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
        seconds = said.get("seconds")
        order = StopOrder(
            who=str(said["who"])[:200],
            seconds=None if seconds is None else float(seconds),
            cancel=bool(said.get("cancel")),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        order = None
    with suppress(OSError):
        path.unlink()
    return order
