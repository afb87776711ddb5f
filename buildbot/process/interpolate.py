"""Format strings that are filled in for each build: Interpolate and WithProperties.

A string is taken apart once, when the configuration is read, so that a mistake in it is reported with its line. What
remains is a list of pieces: literal text, and fields (`%(selector:key)s`), each with a lookup that gives its value.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import FunctionType, MethodType
from typing import Any, NamedTuple

from zope.interface import implementer

from buildbot.config.errors import did_you_mean, error
from buildbot.process.renderables import Operators, build_of, secret
from buildbot.process.rendering import (
    IRenderable,
    PropertySource,
    RenderingError,
    is_renderable,
    is_waiting,
    needs_rendering,
    render,
)

_CONVERSION = re.compile(r"[#0\- +]*\d*(?:\.\d+)?[diouxXeEfFgGcrsa]")
_POSITIONAL = re.compile(r"%[#0\- +]*\d*(?:\.\d+)?[diouxXeEfFgGcrsa]")
_MISSING: Any = object()


class BadFormat(Exception):
    """A format string that can never be filled in."""


class Field(NamedTuple):
    """One `%(key)conversion` of a format string."""

    key: str
    conversion: str


Piece = str | Field
# gives the value, or _MISSING
Lookup = Callable[[PropertySource], Any]


def split_format(text: str) -> list[Piece]:
    """Literal pieces and fields, in order. Parentheses inside a key are counted, so that defaults may hold fields."""
    pieces: list[Piece] = []
    literal: list[str] = []
    position = 0
    while True:
        percent = text.find("%", position)
        if percent < 0:
            literal.append(text[position:])
            break
        literal.append(text[position:percent])
        after = text[percent + 1 : percent + 2]
        if after == "%":
            literal.append("%")
            position = percent + 2
            continue
        if after != "(":
            raise BadFormat(f"the % at column {percent + 1} begins no %(...)s; a percent sign is written %%")
        field, position = _field_at(text, percent)
        if any(literal):
            pieces.append("".join(literal))
            literal = []
        pieces.append(field)
    if any(literal):
        pieces.append("".join(literal))
    return pieces


def _field_at(text: str, percent: int) -> tuple[Field, int]:
    depth = 0
    for position in range(percent + 1, len(text)):
        if text[position] == "(":
            depth += 1
        elif text[position] == ")":
            depth -= 1
            if depth == 0:
                break
    else:
        raise BadFormat(f"the %( at column {percent + 1} has no closing parenthesis")
    key = text[percent + 2 : position]
    conversion = _CONVERSION.match(text, position + 1)
    if conversion is None:
        raise BadFormat(f"%({key}) is not followed by a conversion such as s")
    return Field(key, conversion.group()), conversion.end()


class _Filled(NamedTuple):
    lookup: Lookup
    conversion: str


def _compile(text: str, lookup_for: Callable[[str], Lookup]) -> list[str | _Filled]:
    return [
        piece if isinstance(piece, str) else _Filled(lookup_for(piece.key), piece.conversion)
        for piece in split_format(text)
    ]


def _fill(pieces: list[str | _Filled], properties: PropertySource) -> Any:
    """The finished string, or a coroutine of it when a value must be waited for."""
    values = [piece if isinstance(piece, str) else _value(piece, properties) for piece in pieces]
    if any(needs_rendering(value) for value in values):
        return _fill_later(pieces, values, properties)
    return _join(pieces, values)


async def _fill_later(pieces: list[str | _Filled], values: list[Any], properties: PropertySource) -> str:
    return _join(pieces, [await render(value, properties) for value in values])


def _value(field: _Filled, properties: PropertySource) -> Any:
    value = field.lookup(properties)
    # One level here keeps the common nested case free of coroutines.
    if is_renderable(value) and not is_waiting(value):
        value = value.getRenderingFor(properties)
    return value


def _join(pieces: list[str | _Filled], values: list[Any]) -> str:
    return "".join(
        value if isinstance(piece, str) else _converted(value, piece.conversion)
        for piece, value in zip(pieces, values, strict=True)
    )


def _converted(value: Any, conversion: str) -> str:
    if value is None or value is _MISSING:
        value = ""
    if conversion == "s":
        return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    try:
        return str(("%" + conversion) % (value,))
    except (TypeError, ValueError) as wrong:
        raise RenderingError(f"%{conversion} cannot show {value!r}: {wrong}") from wrong


def _deciding(lookup: Lookup, choose: Callable[[Any], Any]) -> Lookup:
    """What `choose` makes of the looked up value, which is rendered first: nobody knows the truth of a renderable."""

    async def later(found: Any, properties: PropertySource) -> Any:
        return choose(await render(found, properties))

    def value(properties: PropertySource) -> Any:
        found = lookup(properties)
        return later(found, properties) if needs_rendering(found) else choose(found)

    return value


def _default_if(lookup: Lookup, default: Any, *, also_when_false: bool) -> Lookup:
    return _deciding(lookup, lambda found: default if found is _MISSING or (also_when_false and not found) else found)


def _either(lookup: Lookup, if_yes: Any, if_no: Any, *, by_truth: bool) -> Lookup:
    return _deciding(lookup, lambda found: if_yes if found is not _MISSING and (found or not by_truth) else if_no)


def _property(name: str) -> Lookup:
    def value(properties: PropertySource) -> Any:
        return properties.getProperty(name, _MISSING)

    return value


@implementer(IRenderable)
class Interpolate(Operators):
    """Text with fields that are filled in for each build: `Interpolate("%(prop:branch)s on %(src:lib:revision)s")`.

    Selectors: `prop:NAME`, `src:CODEBASE:ATTRIBUTE`, `slave:NAME` or `worker:NAME`, `secret:NAME`, `kw:NAME` (the
    keyword arguments: values, renderables or functions of the properties). After the key may stand `:-default` (not
    set), `:~default` (not set or false), `:+text` (text if set), `:?|yes|no` (by being set) or `:#?|yes|no` (by being
    true), where `|` may be any character; these texts may hold fields again. With positional arguments the string
    holds plain `%s` instead.
    """

    __slots__ = ("fmtstring", "args", "kwargs", "_pieces")

    def __init__(self, fmtstring: Any, *args: Any, **kwargs: Any) -> None:
        self.fmtstring = fmtstring
        self.args = args
        self.kwargs = kwargs
        self._pieces: list[str | _Filled] = []
        if not isinstance(fmtstring, str):
            error(f"Interpolate() takes a format string first, not {fmtstring!r}")
        elif args and kwargs:
            error(f"Interpolate({fmtstring!r}) takes positional or keyword arguments, not both")
        else:
            self._take_apart()

    def _take_apart(self) -> None:
        try:
            if self.args:
                _check_positional(self.fmtstring, len(self.args))
            else:
                self._pieces = _compile(self.fmtstring, self._lookup_for)
        except BadFormat as wrong:
            error(f"Interpolate({self.fmtstring!r}): {wrong}")

    def _facts(self) -> tuple[Any, ...]:
        return (self.fmtstring, self.args, self.kwargs)

    def getRenderingFor(self, properties: PropertySource) -> Any:
        if self.args:
            return self._fill_positional(properties)
        return _fill(self._pieces, properties)

    async def _fill_positional(self, properties: PropertySource) -> str:
        values = [await render(value, properties) for value in self.args]
        return str(self.fmtstring % tuple("" if value is None else value for value in values))

    def __repr__(self) -> str:
        return f"Interpolate({self.fmtstring!r})"

    def _lookup_for(self, key: str) -> Lookup:
        selector, colon, rest = key.partition(":")
        if not colon:
            hint = f"write %(prop:{key})s" if re.fullmatch(r"[\w.-]+", key) else "write %(selector:key)s"
            raise BadFormat(f"%({key})s has no selector ({hint})")
        if selector not in _SELECTORS:
            hint = did_you_mean(selector, _SELECTORS) or f"selectors are {', '.join(_SELECTORS)}"
            raise BadFormat(f"{selector!r} in %({key})s is no selector ({hint})")
        lookup, operation = _SELECTORS[selector](rest, self.kwargs)
        return self._with_operation(lookup, operation, key)

    def _with_operation(self, lookup: Lookup, operation: str, key: str) -> Lookup:
        if not operation:
            return lookup
        if operation.startswith("-"):
            return _default_if(lookup, self._nested(operation[1:]), also_when_false=False)
        if operation.startswith("~"):
            return _default_if(lookup, self._nested(operation[1:]), also_when_false=True)
        if operation.startswith("+"):
            return _either(lookup, self._nested(operation[1:]), "", by_truth=False)
        if operation.startswith("?"):
            return self._ternary(lookup, operation[1:], key, by_truth=False)
        if operation.startswith("#?"):
            return self._ternary(lookup, operation[2:], key, by_truth=True)
        raise BadFormat(f"{operation!r} in %({key})s: after the key stands one of :- :~ :+ :? :#?")

    def _ternary(self, lookup: Lookup, text: str, key: str, *, by_truth: bool) -> Lookup:
        parts = text[1:].split(text[0]) if text else []
        if len(parts) != 2 or text[0] == "(":
            raise BadFormat(f"%({key})s: a choice is written |yes|no, with the same character before both texts")
        return _either(lookup, self._nested(parts[0]), self._nested(parts[1]), by_truth=by_truth)

    def _nested(self, text: str) -> Any:
        """The text of a default; parsed now, so that a mistake inside it is found now."""
        if "%" not in text:
            return text
        pieces = _compile(text, self._lookup_for)
        return _Part(pieces)


class _Part:
    """A text inside an operator: rendered only when it is chosen."""

    __slots__ = ("_pieces",)

    def __init__(self, pieces: list[str | _Filled]) -> None:
        self._pieces = pieces

    def getRenderingFor(self, properties: PropertySource) -> Any:
        return _fill(self._pieces, properties)


def _check_positional(text: str, count: int) -> None:
    without_percents = text.replace("%%", "")
    if "%(" in without_percents:
        raise BadFormat("%(...)s fields and positional arguments cannot be mixed")
    fields = _POSITIONAL.findall(without_percents)
    if len(fields) != without_percents.count("%"):
        raise BadFormat("a % begins no conversion such as %s; a percent sign is written %%")
    if len(fields) != count:
        raise BadFormat(f"{len(fields)} fields, but {count} arguments")


def _key_and_operation(rest: str, what: str) -> tuple[str, str]:
    name, _, operation = rest.partition(":")
    if not name and what != "codebase":
        raise BadFormat(f"the name of the {what} is missing")
    return name, operation


def _prop(rest: str, kwargs: Mapping[str, Any]) -> tuple[Lookup, str]:
    name, operation = _key_and_operation(rest, "property")
    return _property(name), operation


def _src(rest: str, kwargs: Mapping[str, Any]) -> tuple[Lookup, str]:
    codebase, colon, after = rest.partition(":")
    if not colon:
        raise BadFormat("src: takes a codebase (which may be empty) and an attribute: %(src:CODEBASE:branch)s")
    attribute, operation = _key_and_operation(after, "attribute")

    def value(properties: PropertySource) -> Any:
        build = build_of(properties)
        stamp = build.getSourceStamp(codebase) if build is not None else None
        return _MISSING if stamp is None else _attribute_of(stamp, attribute)

    return value, operation


def _attribute_of(stamp: Any, attribute: str) -> Any:
    if isinstance(stamp, Mapping):
        return stamp.get(attribute, _MISSING)
    found = getattr(stamp, attribute, _MISSING)
    if found is _MISSING and hasattr(stamp, "asDict"):
        return stamp.asDict().get(attribute, _MISSING)
    return found


def _slave(rest: str, kwargs: Mapping[str, Any]) -> tuple[Lookup, str]:
    name, operation = _key_and_operation(rest, "slave's fact")

    def value(properties: PropertySource) -> Any:
        build = build_of(properties)
        ask = getattr(build, "getSlaveInfo", None) or getattr(build, "getWorkerInfo", None)
        facts = ask() if ask is not None else {}
        return facts.get(name, _MISSING)

    return value, operation


def _secret(rest: str, kwargs: Mapping[str, Any]) -> tuple[Lookup, str]:
    name, operation = _key_and_operation(rest, "secret")
    return (lambda properties: secret(properties, name)), operation


def _kw(rest: str, kwargs: Mapping[str, Any]) -> tuple[Lookup, str]:
    name, operation = _key_and_operation(rest, "keyword argument")
    given = kwargs.get(name, _MISSING)
    if isinstance(given, FunctionType | MethodType):
        return (lambda properties: given(properties)), operation
    return (lambda properties: given), operation


_SELECTORS: Mapping[str, Callable[[str, Mapping[str, Any]], tuple[Lookup, str]]] = {
    "prop": _prop,
    "src": _src,
    "slave": _slave,
    "worker": _slave,
    "secret": _secret,
    "kw": _kw,
}


@implementer(IRenderable)
class WithProperties(Operators):
    """The older format string: `WithProperties("%(branch)s")` or `WithProperties("%s-%s", "branch", "revision")`.

    Keys are property names, with `:-default` (not set), `:~default` (not set or false) or `:+text` (text if set).
    Keyword arguments are functions that get the build's properties and return the value of a key of their name.
    """

    __slots__ = ("fmtstring", "args", "lambda_subs", "_pieces")

    def __init__(self, fmtstring: Any, *args: str, **lambda_subs: Any) -> None:
        self.fmtstring = fmtstring
        self.args = args
        self.lambda_subs = lambda_subs
        self._pieces: list[str | _Filled] = []
        if not isinstance(fmtstring, str):
            error(f"WithProperties() takes a format string first, not {fmtstring!r}")
        elif args and lambda_subs:
            error(f"WithProperties({fmtstring!r}) takes positional or keyword arguments, not both")
        else:
            self._take_apart()

    def _take_apart(self) -> None:
        for name, function in self.lambda_subs.items():
            if not callable(function):
                error(f"WithProperties({self.fmtstring!r}): {name}= must be a function of the build's properties")
        try:
            if self.args:
                _check_positional(self.fmtstring, len(self.args))
            else:
                self._pieces = _compile(self.fmtstring, self._lookup_for)
        except BadFormat as wrong:
            error(f"WithProperties({self.fmtstring!r}): {wrong}")

    def _facts(self) -> tuple[Any, ...]:
        return (self.fmtstring, self.args, self.lambda_subs)

    def _lookup_for(self, key: str) -> Lookup:
        name, _, operation = key.partition(":")
        lookup = self._calling(name) if name in self.lambda_subs else _property(name)
        if not operation:
            return lookup
        match operation[0]:
            case "-":
                return _default_if(lookup, operation[1:], also_when_false=False)
            case "~":
                return _default_if(lookup, operation[1:], also_when_false=True)
            case "+":
                return _either(lookup, operation[1:], "", by_truth=False)
        raise BadFormat(f"%({key})s: after the key stands one of :- :~ :+")

    def _calling(self, name: str) -> Lookup:
        function = self.lambda_subs[name]

        def value(properties: PropertySource) -> Any:
            return function(properties)

        return value

    def getRenderingFor(self, properties: PropertySource) -> Any:
        if self.args:
            values = (properties.getProperty(name) for name in self.args)
            return self.fmtstring % tuple("" if value is None else value for value in values)
        return _fill(self._pieces, properties)

    def __repr__(self) -> str:
        return f"WithProperties({self.fmtstring!r})"
