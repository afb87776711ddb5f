"""The module paths and names of every era of Buildbot, served from one table instead of from scattered files.

After `install()`, `import buildbot.status.html` and `from buildbot.plugins import steps` work although there are no
such files, and a module of ours also gives the names that it had in other eras.
"""

from __future__ import annotations

import builtins
import re

from buildbot.config.errors import did_you_mean
from buildbot.config.names.dropped import advice_for
from buildbot.config.names.finder import install, message_for, names_of
from buildbot.config.names.known import KNOWN_MODULES, KNOWN_NAMES, KNOWN_OWNERS

__all__ = ["hint_for", "install", "names_of"]


def hint_for(wrong: BaseException) -> str | None:
    """What to say to a user whose import or attribute failed with this exception."""
    if isinstance(wrong, ModuleNotFoundError):
        return _about_module(wrong.name or "")
    if isinstance(wrong, ImportError):
        missing = re.search(r"cannot import name '([^']+)' from '([^']+)'", str(wrong))
        if missing and missing[2].startswith("buildbot"):
            return message_for(missing[2], missing[1]).hint
    if isinstance(wrong, NameError) and wrong.name in KNOWN_NAMES | {"c"}:
        return "is its import missing?" if wrong.name != "c" else "the file begins with c = BuildmasterConfig = {}"
    if isinstance(wrong, NameError) and wrong.name:
        return did_you_mean(wrong.name, _names_around(wrong))
    return None


def _names_around(wrong: NameError) -> set[str]:
    """What could have been written there: the names of the place that raised it, and Python's own."""
    raised = wrong.__traceback__
    while raised is not None and raised.tb_next is not None:
        raised = raised.tb_next
    here = {} if raised is None else {**raised.tb_frame.f_globals, **raised.tb_frame.f_locals}
    return {name for name in (*here, *dir(builtins)) if not name.startswith("__")}


def _about_module(module: str) -> str | None:
    dropped = advice_for("", module)
    if dropped is not None:
        return dropped
    if module in KNOWN_MODULES or any(known.startswith(module + ".") for known in KNOWN_MODULES):
        return f"{module} is a module of Buildbot that is not in this version"
    if module.partition(".")[0] == "buildbot":
        return did_you_mean(module, KNOWN_MODULES)
    if module in KNOWN_OWNERS:
        return "this is a module of Buildbot's own; import it from there"
    return None
