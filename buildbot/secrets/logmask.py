"""The master's own log never shows a secret that anybody has been given."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.python.log import textFromEventDict


def masked_observer(observe: Callable[[dict[str, Any]], object], mask: Callable[[str], str]) -> Any:
    """A log observer that gives `observe` the same events, with `mask` applied to their text and tracebacks."""

    def masked(event: dict[str, Any]) -> None:
        text = textFromEventDict(event)
        hidden = text if text is None else mask(text)
        if hidden != text:
            event = {name: event[name] for name in ("time", "system", "isError") if name in event}
            event["message"] = (hidden,)
        observe(event)

    return masked
