"""The fields of a force form as the page shows them, made from what a ForceScheduler says of itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from buildbot.status.web.asked import Values

_KINDS = frozenset(["string", "text", "int", "bool", "choice", "file", "group"])  # any other is a string

Described = Mapping[str, Any]  # one field, as ForceScheduler.describe_fields() says it


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One field. `kind` is string, text, int, bool, choice, file or group (which has `fields`)."""

    name: str
    label: str
    kind: str
    values: tuple[str, ...]  # what stands in it: the default, or what was typed
    choices: tuple[str, ...] = ()
    required: bool = False
    multiple: bool = False
    strict: bool = True  # a choice that allows no other text
    size: int = 40
    rows: int = 6
    help: str = ""
    error: str = ""
    fields: tuple[Field, ...] = ()

    @property
    def value(self) -> str:
        return self.values[0] if self.values else ""

    @property
    def has_file(self) -> bool:
        return self.kind == "file" or any(field.has_file for field in self.fields)

    @property
    def checked(self) -> bool:
        return self.value.lower() in ("true", "1", "on", "yes")


def fields_of(described: Iterable[Described], typed: Values | None, errors: Mapping[str, str]) -> tuple[Field, ...]:
    """The fields that are asked; with `typed`, holding what somebody sent, and `errors` beside their fields.

    What is hidden or fixed is left out: the scheduler takes no answer for it anyway.
    """
    asked = [each for each in described if not each.get("hide") and each.get("kind") != "fixed"]
    fields = [_field(each, typed, errors) for each in asked]
    return tuple(field for field in fields if field.kind != "group" or field.fields)


def _field(described: Described, typed: Values | None, errors: Mapping[str, str]) -> Field:
    def get(name: str, default: Any = None) -> Any:
        value = described.get(name)
        return default if value is None else value

    name = str(get("name", ""))
    kind = str(get("kind", "string"))
    kind = kind if kind in _KINDS else "string"
    values = _texts(get("default", ""))
    if typed is not None and kind not in ("file", "group"):
        values = typed.get(name, ())
    return Field(
        name=name,
        label=str(get("label") or name).rstrip(": "),
        kind=kind,
        values=values,
        choices=_texts(get("choices", ())),
        required=bool(get("required", False)),
        multiple=bool(get("multiple", False)),
        strict=bool(get("strict", True)),
        size=int(get("size", 40)),
        rows=int(get("rows", 6)),
        help=str(get("tooltip", "")),
        error=errors.get(name, ""),
        fields=fields_of(get("fields", ()), typed, errors),
    )


def _texts(value: Any) -> tuple[str, ...]:
    if isinstance(value, bool):
        return ("true",) if value else ()
    if isinstance(value, (list, tuple)):
        return tuple(str(each) for each in value)
    return (str(value),) if value != "" else ()
