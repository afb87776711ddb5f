"""Which codebase a change belongs to, as the configuration's `codebaseGenerator` says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.logger import Logger

from buildbot.model import NewChange

_log = Logger()


def with_codebase(change: NewChange, generator: Callable[[dict[str, Any]], Any] | None) -> NewChange:
    """The change in the codebase that `generator(chdict)` names.

    Without a generator, or when the source named a codebase itself, the change stays as it is; so it does, with a
    line in the log, when the generator raises or answers no string: a change is never lost to it.
    """
    if generator is None or change.codebase:
        return change
    chdict = change._asdict() | {"who": change.author, "files": list(change.files), "when": change.committed_at}
    chdict["properties"] = dict(change.properties)
    try:
        codebase = generator(chdict)
    except Exception:
        _log.failure("codebaseGenerator failed for a change of {repository}", repository=change.repository)
        return change
    if not isinstance(codebase, str):
        _log.error("codebaseGenerator answered {answer}, which is not a codebase's name", answer=repr(codebase)[:100])
        return change
    return change._replace(codebase=codebase)
