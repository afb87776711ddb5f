"""The environment of a command: the slave's own, changed by what the master says."""

import os
import re
from collections.abc import Mapping
from typing import Any

from buildslave.errors import BadArguments

REFERENCE = re.compile(r"\$\{([0-9A-Za-z_]*)\}")


def command_environment(own: Mapping[str, str], given: Any) -> dict[str, str]:
    """`own`, with each variable of `given` set; None removes one, a list is joined with the path separator.

    `${NAME}` in a value is replaced by the slave's own variable (by nothing if there is none). PYTHONPATH is put
    before the slave's own instead of replacing it.
    """
    if given is not None and not isinstance(given, dict):
        raise BadArguments("env: must be a dict")
    environ = dict(own)
    for name, value in (given or {}).items():
        if not isinstance(name, str) or not name or "=" in name or "\0" in name:
            raise BadArguments(f"env: {name!r} is no name of a variable")
        if value is None:
            environ.pop(name, None)
            continue
        text = _expand(_joined(name, value), own)
        if name == "PYTHONPATH" and own.get(name):
            text = text + os.pathsep + own[name]
        environ[name] = text
    return environ


def _joined(name: str, value: Any) -> str:
    parts = [str(part) for part in value] if isinstance(value, (list, tuple)) else [value]
    if any(isinstance(part, (dict, bytes)) or part is None for part in parts):
        raise BadArguments(f"env: the value of {name} must be a string, a list of them, or None")
    text = os.pathsep.join(str(part) for part in parts)
    if "\0" in text:
        raise BadArguments(f"env: the value of {name} holds a NUL character")
    return text


def _expand(text: str, own: Mapping[str, str]) -> str:
    return REFERENCE.sub(lambda match: own.get(match.group(1), ""), text)
