"""Which changes a scheduler is about: the filter that its `change_filter` argument takes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from buildbot.config.arguments import configurable
from buildbot.config.errors import error
from buildbot.schedulers.judging import NotABranch

__all__ = ["ChangeFilter", "NotABranch", "SourceStampFilter"]


class Check(NamedTuple):
    """One condition: which value of a change it looks at, how it is told to people, and the test."""

    name: str
    value: Callable[[Any], Any]
    wants: str
    passes: Callable[[Any], Any]


@configurable
class ChangeFilter:
    """Lets a change through when it meets every condition given here.

    For each of project, repository, branch, category and codebase: `project=` a value or list of values, `project_re=`
    a regular expression (from the beginning), `project_fn=` a function of the value, `project_not_eq=` and
    `project_not_re=` their opposites. property_eq, property_not_eq, property_re, property_not_re: {name: the same}.
    filter_fn: a function of the whole change. `branch=None` is the trunk; leaving it out lets every branch through.
    """

    def __init__(
        self,
        filter_fn: Callable[[Any], Any] | None = None,
        project: Any = None,
        project_not_eq: Any = None,
        project_re: Any = None,
        project_not_re: Any = None,
        project_fn: Callable[[Any], Any] | None = None,
        repository: Any = None,
        repository_not_eq: Any = None,
        repository_re: Any = None,
        repository_not_re: Any = None,
        repository_fn: Callable[[Any], Any] | None = None,
        branch: Any = NotABranch,
        branch_not_eq: Any = NotABranch,
        branch_re: Any = None,
        branch_not_re: Any = None,
        branch_fn: Callable[[Any], Any] | None = None,
        category: Any = None,
        category_not_eq: Any = None,
        category_re: Any = None,
        category_not_re: Any = None,
        category_fn: Callable[[Any], Any] | None = None,
        codebase: Any = None,
        codebase_not_eq: Any = None,
        codebase_re: Any = None,
        codebase_not_re: Any = None,
        codebase_fn: Callable[[Any], Any] | None = None,
        property_eq: Mapping[str, Any] | None = None,
        property_not_eq: Mapping[str, Any] | None = None,
        property_re: Mapping[str, Any] | None = None,
        property_not_re: Mapping[str, Any] | None = None,
    ) -> None:
        given = {name: value for name, value in locals().items() if name != "self"}
        self.filter_fn = _function("filter_fn", filter_fn)
        self.checks: tuple[Check, ...] = (
            *_checks("project", given),
            *_checks("repository", given),
            *_checks("branch", given),
            *_checks("category", given),
            *_checks("codebase", given),
            *_property_checks(given),
        )

    def filter_change(self, change: Any) -> bool:
        """Whether this change is let through. Raises what the user's functions raise."""
        return self.why_not(change) is None

    def why_not(self, change: Any) -> str | None:
        """Why this change is not let through, in words; None when it is."""
        if self.filter_fn is not None and not self.filter_fn(change):
            return "filter_fn said no"
        for check in self.checks:
            value = check.value(change)
            if not check.passes(value):
                return f"{check.name} is {value!r}, {check.wants}"
        return None

    def __repr__(self) -> str:
        conditions = [f"{check.name}: {check.wants}" for check in self.checks]
        if self.filter_fn is not None:
            conditions.insert(0, "filter_fn")
        return f"<ChangeFilter {'; '.join(conditions) or 'of everything'}>"


@configurable
class SourceStampFilter:
    """Matches a source stamp that meets every condition given here.

    For each of project, repository, branch and codebase: `project_eq=` a value or list of values, `project_re=` a
    regular expression (from the beginning), `project_not_eq=` and `project_not_re=` their opposites. filter_fn: a
    function of the whole stamp. `branch_eq=None` is the trunk; leaving it out matches every branch.
    """

    def __init__(
        self,
        filter_fn: Callable[[Any], Any] | None = None,
        project_eq: Any = None,
        project_not_eq: Any = None,
        project_re: Any = None,
        project_not_re: Any = None,
        repository_eq: Any = None,
        repository_not_eq: Any = None,
        repository_re: Any = None,
        repository_not_re: Any = None,
        branch_eq: Any = NotABranch,
        branch_not_eq: Any = NotABranch,
        branch_re: Any = None,
        branch_not_re: Any = None,
        codebase_eq: Any = None,
        codebase_not_eq: Any = None,
        codebase_re: Any = None,
        codebase_not_re: Any = None,
    ) -> None:
        given = {
            name.removesuffix("_eq") if not name.endswith("_not_eq") else name: value
            for name, value in locals().items()
            if name != "self"
        }
        given |= dict.fromkeys(("project_fn", "repository_fn", "branch_fn", "codebase_fn"))
        self.filter_fn = _function("filter_fn", filter_fn)
        self.checks: tuple[Check, ...] = tuple(
            check for name in ("project", "repository", "branch", "codebase") for check in _checks(name, given)
        )

    def is_matched(self, stamp: Any) -> bool:
        """Whether this stamp meets all conditions. Raises what the user's function raises."""
        if self.filter_fn is not None and not self.filter_fn(stamp):
            return False
        return all(check.passes(check.value(stamp)) for check in self.checks)


def _checks(name: str, given: Mapping[str, Any]) -> Iterator[Check]:
    unset = NotABranch if name == "branch" else None

    def value(change: Any) -> Any:
        return getattr(change, name, None)

    if given[name] is not unset:
        yield _among(name, value, given[name])
    if given[f"{name}_not_eq"] is not unset:
        yield _not_among(name, value, given[f"{name}_not_eq"])
    yield from _pattern_checks(name, value, given[f"{name}_re"], given[f"{name}_not_re"])
    function = _function(f"{name}_fn", given[f"{name}_fn"])
    if function is not None:
        yield Check(name, value, f"{name}_fn said no", function)


def _property_checks(given: Mapping[str, Any]) -> Iterator[Check]:
    conditions = {kind: given[f"property_{kind}"] or {} for kind in ("eq", "not_eq", "re", "not_re")}
    for kind, wanted in conditions.items():
        if not isinstance(wanted, Mapping):
            error(f"ChangeFilter(): property_{kind} is a dict of property names, not {wanted!r}")
            return
    for property_name, wanted in conditions["eq"].items():
        yield _among(f"property {property_name}", _property(property_name), wanted)
    for property_name, unwanted in conditions["not_eq"].items():
        yield _not_among(f"property {property_name}", _property(property_name), unwanted)
    for property_name, pattern in conditions["re"].items():
        yield from _pattern_checks(f"property {property_name}", _property(property_name), pattern, None)
    for property_name, pattern in conditions["not_re"].items():
        yield from _pattern_checks(f"property {property_name}", _property(property_name), None, pattern)


def _property(name: str) -> Callable[[Any], Any]:
    def value(change: Any) -> Any:
        properties: Any = getattr(change, "properties", None)
        if hasattr(properties, "getProperty"):
            return properties.getProperty(name)
        return properties.get(name) if properties else None

    return value


def _among(name: str, value: Callable[[Any], Any], given: Any) -> Check:
    wanted = _as_list(given)
    return Check(name, value, f"wanted {_or(wanted)}", lambda found: found in wanted)


def _not_among(name: str, value: Callable[[Any], Any], given: Any) -> Check:
    unwanted = _as_list(given)
    return Check(name, value, f"not wanted {_or(unwanted)}", lambda found: found not in unwanted)


def _pattern_checks(name: str, value: Callable[[Any], Any], wanted: Any, unwanted: Any) -> Iterator[Check]:
    matches = None if wanted is None else _pattern(f"{name}_re", wanted)
    matches_not = None if unwanted is None else _pattern(f"{name}_not_re", unwanted)
    if matches is not None:
        yield Check(name, value, f"wanted a match of {matches.pattern!r}", lambda found: matches.match(found or ""))
    if matches_not is not None:
        says = f"not wanted a match of {matches_not.pattern!r}"
        yield Check(name, value, says, lambda found: not matches_not.match(found or ""))


def _pattern(argument: str, given: Any) -> re.Pattern[str] | None:
    try:
        return re.compile(given)
    except (re.error, TypeError) as wrong:
        error(f"the filter's {argument} must be a regular expression, not {given!r}: {wrong}")
        return None


def _function(argument: str, given: Any) -> Callable[[Any], Any] | None:
    if given is not None and not callable(given):
        error(f"the filter's {argument} must be a function, not {given!r}")
        return None
    return given  # type: ignore[no-any-return]


def _as_list(given: Any) -> list[Any]:
    return list(given) if isinstance(given, (list, tuple, set, frozenset)) else [given]


def _or(values: list[Any]) -> str:
    return " or ".join(repr(value) for value in values)
