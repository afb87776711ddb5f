"""The fields of a force form as the page shows them, made from what a ForceScheduler says of itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from buildbot.status.web.asked import Values

_KINDS = frozenset(["string", "text", "int", "bool", "choice", "fixed", "file", "group"])
_OF_TYPE = {
    "username": "string",
    "str": "string",
    "integer": "int",
    "boolean": "bool",
    "checkbox": "bool",
    "list": "choice",
    "inherit": "choice",
    "nested": "group",
    "hidden": "fixed",
    "textarea": "text",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One field. `kind` is string, text, int, bool, choice, fixed, file or group (which has `fields`)."""

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


def fields_of(described: Iterable[Any], typed: Values | None, errors: Mapping[str, str]) -> tuple[Field, ...]:
    """The fields; with `typed`, holding what somebody sent, and `errors` beside the fields that they are about."""
    return tuple(_field(each, typed, errors) for each in described)


def _field(described: Any, typed: Values | None, errors: Mapping[str, str]) -> Field:
    def get(name: str, default: Any = None) -> Any:
        value = described.get(name) if isinstance(described, Mapping) else getattr(described, name, None)
        return default if value is None else value

    name = str(get("full_name") or get("fullName") or get("name", ""))
    kind = str(get("kind") or get("type", "string"))
    kind = kind if kind in _KINDS else _OF_TYPE.get(kind, "string")
    inner = get("fields", ())
    values = _texts(get("default", ""))
    if typed is not None and kind not in ("fixed", "file", "group"):
        values = typed.get(name, ())
    return Field(
        name=name,
        label=str(get("label") or name).rstrip(": "),
        kind="fixed" if get("hide", False) else kind,
        values=values,
        choices=_texts(get("choices", ())),
        required=bool(get("required", False)),
        multiple=bool(get("multiple", False)),
        strict=bool(get("strict", True)),
        size=int(get("size", 40)),
        rows=int(get("rows", 6)),
        help=str(get("tooltip", "") or get("help", "")),
        error=errors.get(name, ""),
        fields=fields_of(inner, typed, errors) if inner else (),
    )


def _texts(value: Any) -> tuple[str, ...]:
    if isinstance(value, bool):
        return ("true",) if value else ()
    if isinstance(value, (list, tuple)):
        return tuple(str(each) for each in value)
    return (str(value),) if value != "" else ()
