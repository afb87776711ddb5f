"""What a master has of one build, read in one form from either."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class StepReading:
    """A step: its number of a result, its text, its links, and its logs, the text of each stream apart."""

    name: str
    result: int
    text: str
    hidden: bool
    urls: dict[str, str]
    logs: dict[str, dict[str, str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BuildReading:
    """A build. `properties` are values with where they came from."""

    result: int
    text: str
    steps: list[StepReading]
    properties: dict[str, tuple[Any, str]]
