"""The values of one request, checked and decoded, as a page function gets them. No Twisted in here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple
from urllib.parse import parse_qsl

Values = Mapping[str, tuple[str, ...]]

MOST_VALUES = 1000


class User(NamedTuple):
    """Who asks: somebody who has proved to be."""

    name: str
    full_name: str = ""
    email: str = ""
    groups: tuple[str, ...] = ()


class BadRequest(Exception):
    """The request says something that makes no sense; the text is shown to the person."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request. `place` holds what the `{names}` of the route's pattern stood for, decoded."""

    method: str = "GET"
    path: str = "/"  # as it came, percent-encoded, without the query
    place: Mapping[str, str] = field(default_factory=dict)
    query: Values = field(default_factory=dict)
    form: Values = field(default_factory=dict)
    sent: Mapping[str, tuple[bytes, ...]] = field(default_factory=dict)  # the form as it came, for files
    headers: Mapping[str, str] = field(default_factory=dict)  # lower-case names
    user: User | None = None
    now: float = 0.0
    live: bool = False  # the page's own script asks, to take changed parts of the answer

    def one(self, name: str, default: str = "") -> str:
        """The last value of a query argument."""
        values = self.query.get(name)
        return values[-1] if values else default

    def every(self, *names: str) -> tuple[str, ...]:
        """All values of these query arguments that are not empty, in order."""
        return tuple(value for name in names for value in self.query.get(name, ()) if value)

    def flag(self, name: str, default: bool = False) -> bool:
        """A query argument that says yes or no."""
        value = self.one(name).lower()
        if not value:
            return default
        return value in ("true", "1", "yes", "on")

    def number(self, name: str, default: int, low: int, high: int) -> int:
        """A whole number of the query, kept between `low` and `high`. Raises BadRequest for what is no number."""
        text = self.one(name)
        if not text:
            return default
        return min(max(whole(text, name), low), high)

    def maybe_number(self, name: str) -> int | None:
        """A whole number of the query, or None when it is not given."""
        text = self.one(name)
        return whole(text, name) if text else None

    def filled(self, name: str, default: str = "") -> str:
        """The last value of a form's field."""
        values = self.form.get(name)
        return values[-1] if values else default


def whole(text: str, name: str) -> int:
    """`text` as a number. Raises BadRequest, naming the argument."""
    try:
        number = int(text)
    except ValueError:
        raise BadRequest(f"{name} must be a whole number, and {text[:80]!r} is none") from None
    if abs(number) >= 1 << 62:
        raise BadRequest(f"{name} is too large")
    return number


def parse_values(text: str) -> dict[str, tuple[str, ...]]:
    """A query string or an encoded form. Raises BadRequest when it has too many values."""
    try:
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=MOST_VALUES)
    except ValueError:
        raise BadRequest(f"more than {MOST_VALUES} values in one request") from None
    values: dict[str, tuple[str, ...]] = {}
    for name, value in pairs:
        values[name] = (*values.get(name, ()), value)
    return values
