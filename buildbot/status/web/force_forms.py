"""The fields of a force form as the page shows them, made from what a ForceScheduler says of itself."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
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
    layout: str = "vertical"  # of a group: vertical, simple or tabs
    columns: int = 1
    tab: str = ""  # the caption of its tab, in a group with tabs
    fills: str = ""  # JSON: what an answer fills into other fields; see live.js

    @property
    def value(self) -> str:
        return self.values[0] if self.values else ""

    @property
    def has_file(self) -> bool:
        return self.kind == "file" or any(field.has_file for field in self.fields)

    @property
    def checked(self) -> bool:
        return self.value.lower() in ("true", "1", "on", "yes")

    @property
    def wrong(self) -> bool:
        """Whether it, or a field in it, has a mistake."""
        return bool(self.error) or any(field.wrong for field in self.fields)

    @property
    def open_tab(self) -> Field:
        """Of a group with tabs: the first with a mistake, or the first."""
        return next((field for field in self.fields if field.wrong), self.fields[0])


def fields_of(
    described: Iterable[Described], typed: Values | None, errors: Mapping[str, str], slaves: Sequence[str] = ()
) -> tuple[Field, ...]:
    """The fields that are asked; with `typed`, holding what somebody sent, and `errors` beside their fields.

    `slaves` are those of the builder: what there is to choose when one is asked for and nothing else is said.
    What is hidden or fixed is left out: the scheduler takes no answer for it anyway.
    """
    asked = [each for each in described if not each.get("hide") and each.get("kind") != "fixed"]
    fields = [_field(each, typed, errors, slaves) for each in asked]
    return tuple(field for field in fields if field.kind != "group" or field.fields)


def _field(described: Described, typed: Values | None, errors: Mapping[str, str], slaves: Sequence[str]) -> Field:
    def get(name: str, default: Any = None) -> Any:
        value = described.get(name)
        return default if value is None else value

    name = str(get("name", ""))
    kind = str(get("kind", "string"))
    choices = _texts(get("choices", ()))
    if kind == "slave":
        kind, choices = "choice", choices or tuple(slaves)
    kind = kind if kind in _KINDS else "string"
    inner = fields_of(get("fields", ()), typed, errors, slaves)
    values = _texts(get("default", ""))
    if typed is not None and kind not in ("file", "group"):
        values = typed.get(name, ())
    return Field(
        name=name,
        label=str(get("label") or name).rstrip(": "),
        kind=kind,
        values=values,
        choices=choices,
        required=bool(get("required", False)),
        multiple=bool(get("multiple", False)),
        strict=bool(get("strict", True)),
        size=int(get("size", 40)),
        rows=int(get("rows", 6)),
        help=str(get("tooltip", "")),
        error=errors.get(name, ""),
        fields=inner,
        layout=str(get("layout", "vertical")),
        columns=int(get("columns", 0)) or (2 if len(inner) > 3 else 1),
        tab=str(get("tablabel") or get("label") or name).rstrip(": "),
        fills=json.dumps(get("autopopulate"), default=str) if get("autopopulate") else "",
    )


def _texts(value: Any) -> tuple[str, ...]:
    if isinstance(value, bool):
        return ("true",) if value else ()
    if isinstance(value, (list, tuple)):
        return tuple(str(each) for each in value)
    return (str(value),) if value != "" else ()
