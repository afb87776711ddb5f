"""Output as a master of 4.x takes it over WebSocket: whole lines, each with its place and its time.

Such a master puts what comes into its log as it is, so a line that has no end yet waits for it. The master says how
long a line may be, and what ends one.
"""

import re
import time
from collections.abc import Callable, Mapping
from typing import Any

from buildslave.arguments import Arguments
from buildslave.eras.spelling import Updates

MOST_LENGTH = 64 * 1024


class LineRules:
    """Where a line ends, and where one is broken that is too long."""

    def __init__(self, longest: int = 4096, newline: str = r"\r\n|\r(?=.)") -> None:
        """Raises ValueError if `newline` is no regular expression."""
        try:
            self._newline = re.compile(newline)
        except (re.error, RecursionError, OverflowError) as error:
            raise ValueError(f"{newline!r:.100} is no regular expression: {error}") from None
        self._too_long = re.compile(rf"([^\n]{{{max(1, min(longest, MOST_LENGTH))}}})(?=[^\n])")

    @classmethod
    def told(cls, settings: Mapping[str, Any]) -> "LineRules":
        """As the master's `set_worker_settings` says. Raises BadArguments."""
        args = Arguments("set_worker_settings", settings)
        longest = args.count("max_line_length")
        if not longest:
            raise args.refuse("max_line_length", "must be a number of characters")
        try:
            return cls(longest, args.text("newline_re"))
        except ValueError as error:
            raise args.refuse("newline_re", str(error)) from None

    def divided(self, text: str) -> str:
        return self._too_long.sub(r"\1\n", self._newline.sub("\n", text))


class LineUpdates(Updates):
    """One command's output and outcome."""

    def __init__(self, command: str, encoding: str, rules: LineRules, listed: Callable[[Any], Any] | None) -> None:
        """`listed`: what may be told of the command's result; None: all."""
        super().__init__(command, encoding)
        self._rules = rules
        self._listed = listed
        self._begun: dict[str, str] = {}

    def value(self, stream: str, text: str | bytes, *, final: bool) -> Any:
        assert isinstance(text, str)
        text = self._begun.get(stream, "") + text
        if final and text and not text.endswith("\n"):
            text += "\n"
        whole, end, self._begun[stream] = self._rules.divided(text).rpartition("\n")
        if not end:
            return None
        whole += end
        places = [found.start() for found in re.finditer("\n", whole)]
        return [whole, places, [time.time()] * len(places)]

    def result(self, found: Any) -> Any:
        return found if self._listed is None else self._listed(found)
