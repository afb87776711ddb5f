"""What crosses to a slave with a command, and what of it the journal keeps."""

from __future__ import annotations

import os
from typing import Any

from buildbot.process.slaveport import CommandRefused


def _is_masked(value: Any) -> bool:
    return isinstance(value, tuple) and len(value) == 3 and value[0] == "obfuscated"


def for_journal(value: Any) -> Any:
    """Arguments as they may be kept and shown: what is obfuscated by its stand-in, bytes as text."""
    if _is_masked(value):
        return value[2]
    if isinstance(value, dict):
        return {str(key): for_journal(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [for_journal(item) for item in value]
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value if isinstance(value, (str, int, float, bool, type(None))) else repr(value)


def for_wire(value: Any) -> Any:
    """Arguments as plain data. Raises CommandRefused for what cannot cross."""
    if isinstance(value, dict):
        return {str(key): for_wire(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return tuple(for_wire(item) for item in value)
    if isinstance(value, list):
        return [for_wire(item) for item in value]
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, (bool, int)) and not isinstance(value, bool):
        return int(value)
    if isinstance(value, (str, bytes, float, bool, type(None))):
        return value
    raise CommandRefused(f"{value!r} cannot be sent to a slave: only strings, numbers, lists and dictionaries can")
