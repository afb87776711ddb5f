"""The parameters of a ForceScheduler: what a person is asked, and how an answer becomes a value.

An answer comes as a form sends it: {full name: [text, ...]}. A full name is the names of the parameters around it
and its own, joined with "_" ("app_branch"). What is wrong with an answer is collected for each field.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from twisted.logger import Logger

from buildbot.config.arguments import configurable
from buildbot.config.errors import did_you_mean, error
from buildbot.schedulers.tryjob import TryJob

_log = Logger()
_ADDRESS = re.compile(r"[^\s@<>]+@[^\s@<>]+")
NOBODY = ("", "anonymous")
LAYOUTS = ("vertical", "simple", "tabs")

Fields = Mapping[str, Sequence[str]]
Validation = Mapping[str, re.Pattern[str]]


class FieldErrors(Exception):
    """Some fields of the form are wrong; `errors` says for each field's full name what is."""

    def __init__(self, errors: Mapping[str, str]) -> None:
        self.errors = dict(errors)
        super().__init__("; ".join(f"{field}: {message}" for field, message in self.errors.items()))


class ValidationError(ValueError):
    """An answer is not acceptable; the text is shown beside its field. Users' own parameters may raise it."""


class Asking:
    """One reading of a filled form: the answers, who gave them, and the mistakes and results found so far."""

    def __init__(self, fields: Fields, who: str, validation: Validation, scheduler: Any, builder: str | None) -> None:
        self.fields = fields
        self.who = who
        self.validation = validation
        self.scheduler = scheduler
        self.builder = builder
        self.errors: dict[str, str] = {}
        self.stamps: dict[str, dict[str, str | None]] = {}
        self.patches: dict[str, TryJob] = {}  # of codebases
        self.inherits: list[str] = []  # builds whose forced properties are taken over, "builder/number"

    def check(self, rule: str, text: str, what: str) -> None:
        """Raises ValidationError when c['validation'][rule] does not allow this text."""
        pattern = self.validation.get(rule)
        if pattern is not None and not pattern.match(text):
            raise ValidationError(f"{what} {text!r} is not allowed: it must match {pattern.pattern}")


@configurable
class BaseParameter:
    """What all parameters take.

    name: of the property it sets. label: shown beside the field (default: the name). regex: a text must match it from
    its beginning. default. required: an empty answer is a mistake. multiple: the answer is a list. hide: not shown,
    the default is used. tooltip: help. maxsize: bytes. tablabel: of its tab, in a group with tabs (default: the label).
    autopopulate: {answer: {full name of another field: what to fill in there}}, when the answer changes. debug: taken,
    and does nothing.
    """

    kind = "string"
    label = ""
    tablabel = ""
    default: Any = ""
    required = False
    multiple = False
    hide = False
    tooltip = ""
    maxsize: int | None = None
    autopopulate: Any = None
    debug = False

    def __init__(self, name: Any, label: str | None = None, regex: str | None = None, **kw: Any) -> None:
        self.name: str = name
        self.around: BaseParameter | None = None
        if not isinstance(name, str):
            error(f"{type(self).__name__}: a parameter's name is a string, not {name!r}")
        self.label = name if label is None and not self.label else label if label is not None else self.label
        known = [key for key in dir(type(self)) if _is_setting(type(self), key)]
        for key, value in kw.items():
            if key in known:
                setattr(self, key, value)
            else:
                error(f"{type(self).__name__}() has no argument {key!r}", did_you_mean(key, [*known, "regex"]))
        self.regex = self._compiled(regex)
        if not _is_autopopulate(self.autopopulate):
            error(f"parameter {name!r}: autopopulate is {{answer: {{field: value}}}}, not {self.autopopulate!r}")
            self.autopopulate = None

    def _compiled(self, regex: Any) -> re.Pattern[str] | None:
        try:
            return re.compile(regex) if regex else None
        except (re.error, TypeError) as wrong:
            error(f"parameter {self.name!r}: its regex {regex!r} cannot be used: {wrong}")
            return None

    @property
    def fullName(self) -> str:
        around = self.around.fullName if self.around is not None else ""
        return "_".join(part for part in (around, self.name) if part)

    @property
    def hidden(self) -> bool:
        """Whether it, or a group around it, is hidden."""
        return self.hide or (self.around is not None and self.around.hidden)

    def describe(self, scheduler: Any, builder: str | None) -> dict[str, Any]:
        """What a form shows: plain data."""
        return {
            "name": self.fullName,
            "label": self.label,
            "kind": self.kind,
            "default": self.default,
            "required": self.required,
            "multiple": self.multiple,
            "hide": self.hidden,
            "tooltip": self.tooltip,
            "tablabel": self.tablabel or self.label,
            "maxsize": self.maxsize,
            "autopopulate": self.autopopulate,
        }

    def collect(self, asking: Asking, into: dict[str, Any]) -> None:
        """Put this parameter's value into `into`, or what is wrong with it into the errors."""
        try:
            into[self.name] = self.value_of(asking)
        except ValueError as wrong:
            asking.errors[self.fullName] = str(wrong)

    def value_of(self, asking: Asking) -> Any:
        given = None if self.hidden else asking.fields.get(self.fullName)
        if given is None:
            if self.required and self.default in ("", None):
                raise ValidationError("needs an answer")
            return self.default
        if self.multiple:
            several = [self._one(text, asking) for text in given if self.tidy(text)]
            if self.required and not several:
                raise ValidationError("needs an answer")
            return several
        return self._one(given[-1] if given else "", asking)

    def _one(self, text: str, asking: Asking) -> Any:
        if self.maxsize is not None and len(text.encode("utf-8", "surrogateescape")) > self.maxsize:
            raise ValidationError(f"is too long: at most {self.maxsize} bytes")
        text = self.tidy(text)
        if not text:
            if self.required:
                raise ValidationError("needs an answer")
            return self.empty()
        if self.regex is not None and not self.regex.match(text):
            raise ValidationError(f"{text!r} does not match {self.regex.pattern!r}")
        return self.parse_from_arg(text)

    def tidy(self, text: str) -> str:
        return text.strip()

    def empty(self) -> Any:
        """The value of an empty answer."""
        return ""

    def parse_from_arg(self, s: str) -> Any:
        """The value of one answer. Users' subclasses raise ValidationError or ValueError."""
        return s


def _is_autopopulate(value: Any) -> bool:
    if value is None:
        return True
    return isinstance(value, Mapping) and all(isinstance(others, Mapping) for others in value.values())


def _is_setting(cls: type, key: str) -> bool:
    """Whether a keyword of this name may be given to the parameter's constructor."""
    value = getattr(cls, key, None)
    return not key.startswith("_") and not isinstance(value, property) and not (callable(value) and key != "choices")


@configurable
class FixedParameter(BaseParameter):
    """Not asked: always its default."""

    kind = "fixed"

    def value_of(self, asking: Asking) -> Any:
        return self.default


@configurable
class StringParameter(BaseParameter):
    """One line of text. size: of the field, in characters."""

    size = 10

    def describe(self, scheduler: Any, builder: str | None) -> dict[str, Any]:
        return {**super().describe(scheduler, builder), "size": self.size}


@configurable
class TextParameter(StringParameter):
    """Several lines of text. cols, rows: of the field."""

    kind = "text"
    cols = 80
    rows = 20

    def describe(self, scheduler: Any, builder: str | None) -> dict[str, Any]:
        return {**super().describe(scheduler, builder), "cols": self.cols, "rows": self.rows}

    def tidy(self, text: str) -> str:
        return text.replace("\r\n", "\n")


@configurable
class IntParameter(StringParameter):
    """A whole number; an empty answer is the default."""

    kind = "int"
    default: Any = 0

    def empty(self) -> Any:
        return self.default

    def parse_from_arg(self, s: str) -> int:
        try:
            return int(s)
        except ValueError:
            raise ValidationError(f"{s!r} is not a whole number") from None


@configurable
class BooleanParameter(BaseParameter):
    """A box to tick. As browsers send nothing for an empty box, an answer that is missing means no."""

    kind = "bool"
    default: Any = False

    def value_of(self, asking: Asking) -> bool:
        if self.hidden:
            return bool(self.default)
        given = asking.fields.get(self.fullName) or [""]
        return given[-1].strip().lower() in ("true", "on", "1", "yes")


@configurable
class FileParameter(BaseParameter):
    """A file that is sent. The value is what it holds, as text. maxsize: bytes, 1 MiB (a form may have 8 in all)."""

    kind = "file"
    maxsize: int | None = 1024 * 1024
    _binary = False  # whether bytes that are no text may be in it, as surrogates

    def tidy(self, text: str) -> str:
        return text

    def parse_from_arg(self, s: str) -> str:
        if not self._binary and any("\udc80" <= character <= "\udcff" for character in s):
            raise ValidationError("is not a text in UTF-8")
        return s


@configurable
class UserNameParameter(StringParameter):
    """Who asks. Somebody who is logged in need not say it. need_email: it must hold an address."""

    kind = "username"
    default: Any = ""
    size = 30
    need_email = True

    def __init__(self, name: str = "username", label: str | None = "Your name:", **kw: Any) -> None:
        super().__init__(name, label, **kw)

    def value_of(self, asking: Asking) -> Any:
        return asking.who if asking.who not in NOBODY else super().value_of(asking)

    def empty(self) -> str:
        return self.parse_from_arg("")

    def parse_from_arg(self, s: str) -> str:
        if self.need_email and not _ADDRESS.search(s):
            raise ValidationError("needs an address, as in: Your Name <you@example.org>")
        return s


@configurable
class ChoiceStringParameter(BaseParameter):
    """One of several texts (with multiple: some of them).

    choices: list, or a function (None, scheduler, name of the builder or None) that gives one each time the form is
    shown or read. strict: False allows other texts.
    """

    kind = "choice"
    choices: Any = ()
    strict = True

    def __init__(self, name: str, label: str | None = None, regex: str | None = None, **kw: Any) -> None:
        super().__init__(name, label, regex, **kw)
        if not callable(self.choices) and not isinstance(self.choices, (list, tuple)):
            error(f"parameter {name!r}: choices is a list of strings, not {self.choices!r}")
            self.choices = []
        if self.multiple and isinstance(self.default, str):
            self.default = [self.default] if self.default else []

    def getChoices(self, master: Any, scheduler: Any, buildername: str | None) -> Sequence[str]:
        """The choices; users' subclasses make them as they like. `master` is None here."""
        choices = self.choices
        return list(choices(master, scheduler, buildername) if callable(choices) else choices)

    def _choices(self, scheduler: Any, builder: str | None) -> list[str]:
        try:
            return [str(choice) for choice in self.getChoices(None, scheduler, builder)]
        except Exception as wrong:
            _log.failure("the choices of force parameter {name} cannot be listed", name=self.fullName)
            raise ValidationError(f"its choices cannot be listed: {type(wrong).__name__}: {wrong}") from None

    def describe(self, scheduler: Any, builder: str | None) -> dict[str, Any]:
        described = {**super().describe(scheduler, builder), "strict": self.strict}
        try:
            return {**described, "choices": self._choices(scheduler, builder)}
        except ValidationError as wrong:
            return {**described, "choices": [], "tooltip": str(wrong)}  # the page is more than this one field

    def value_of(self, asking: Asking) -> Any:
        value = super().value_of(asking)
        if self.strict and not self.hidden and self.fullName in asking.fields:
            choices = self._choices(asking.scheduler, asking.builder)
            for one in value if self.multiple else [value]:
                if one not in choices and not (one == "" and not self.required):
                    raise ValidationError(f"{one!r} is not one of {', '.join(map(repr, choices))}")
        return value


@configurable
class InheritBuildParameter(ChoiceStringParameter):
    """One of the builds that the function compatible_builds(None, builder) lists, as "builder/number", or "".

    What was answered in that build's own form is answered so again, but for what this form sets; its owner is the
    property `orig_owner`. The build's "builder/number" is a property, too.
    """

    compatible_builds: Callable[..., Any] | None = None

    def getChoices(self, master: Any, scheduler: Any, buildername: str | None) -> Sequence[str]:
        compatible: Any = vars(self).get("compatible_builds") or type(self).compatible_builds
        return [] if compatible is None else list(compatible(None, buildername))

    def value_of(self, asking: Asking) -> Any:
        value = super().value_of(asking)
        asking.inherits += [one for one in (value if self.multiple else [value]) if one]
        return value


@configurable
class WorkerChoiceParameter(ChoiceStringParameter):
    """Which buildslave is to build it: sets the property `slavename`. choices: names (default: the builder's own)."""

    kind = "slave"

    def __init__(self, name: str = "slavename", label: str | None = "Buildslave:", **kw: Any) -> None:
        kw.setdefault("strict", bool(kw.get("choices")))
        super().__init__(name, label, **kw)


BuildslaveChoiceParameter = WorkerChoiceParameter  # its name in 0.8


@configurable
class NestedParameter(BaseParameter):
    """A group of parameters. With a name, their values are one property, a dictionary; without, each is its own.

    fields: list of parameters. layout: vertical (default), simple (without a frame) or tabs. columns: 1 to 4; as many
    as suit the fields when it is not said.
    """

    kind = "group"
    layout = "vertical"
    columns: int | None = None

    def __init__(self, name: str, fields: Sequence[BaseParameter] = (), label: str | None = None, **kw: Any) -> None:
        super().__init__(name, label, **kw)
        self.fields: list[BaseParameter] = adopted(fields, self)
        if self.layout not in LAYOUTS:
            error(f"parameter {name!r}: layout is one of {', '.join(LAYOUTS)}, not {self.layout!r}")
        if self.columns not in (None, 1, 2, 3, 4):
            error(f"parameter {name!r}: columns is a number from 1 to 4, not {self.columns!r}")

    def describe(self, scheduler: Any, builder: str | None) -> dict[str, Any]:
        return {
            **super().describe(scheduler, builder),
            "layout": self.layout,
            "columns": self.columns,
            "fields": [field.describe(scheduler, builder) for field in self.fields],
        }

    def collect(self, asking: Asking, into: dict[str, Any]) -> None:
        inner = into.setdefault(self.name, {}) if self.name else into
        for field in self.fields:
            field.collect(asking, inner)


ParameterGroup = NestedParameter


@configurable
class AnyPropertyParameter(NestedParameter):
    """A property that the person names: two fields, name and value. With an empty name it is nothing."""

    columns = 2

    def __init__(self, name: str, label: str | None = None, **kw: Any) -> None:
        fields = [StringParameter("name", "Name:", size=15), StringParameter("value", "Value:", size=30)]
        super().__init__(name, fields, "" if label is None else label, **kw)

    def collect(self, asking: Asking, into: dict[str, Any]) -> None:
        name, value = (str(field.value_of(asking)) for field in self.fields)
        if not name:
            if value:
                asking.errors[self.fields[0].fullName] = "the value needs a name"
            return
        for field, rule, text in zip(self.fields, ("property_name", "property_value"), (name, value), strict=True):
            try:
                asking.check(rule, text, field.name)
            except ValidationError as wrong:
                asking.errors[field.fullName] = str(wrong)
        if name in asking.scheduler.taken:
            asking.errors[self.fields[0].fullName] = f"{name!r} has a field of its own, or is set by the form itself"
        into[name] = value


def adopted(fields: Any, around: BaseParameter | None) -> list[BaseParameter]:
    """These parameters, knowing what is around them; what is none is an error."""
    if not isinstance(fields, (list, tuple)):
        error(f"parameters come as a list, not {fields!r}")
        return []
    for field in fields:
        if isinstance(field, BaseParameter):
            field.around = around
        else:
            error(f"{field!r} is not a parameter of a ForceScheduler")
    return [field for field in fields if isinstance(field, BaseParameter)]
