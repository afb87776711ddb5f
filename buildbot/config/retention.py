"""How long things are kept: c['retention'], and the older words that say the same.

`Keep` is one rule; `plan_of` makes one `RetentionPlan` of all that a configuration says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from croniter import croniter

from buildbot.config.arguments import configurable
from buildbot.config.errors import error, is_broken, warning

KINDS = ("builds", "steps", "logs", "data", "requests", "changes", "events")
_BY_BUILDER = frozenset({"builds", "steps", "logs", "data", "requests"})
EVERY_SECONDS = 3600.0
DAY = 86400.0


@configurable
class Keep:
    """One rule of c['retention']: what is kept, and for how long. What no rule speaks of is kept for ever.

    what: "builds" (with their steps, logs, data and requests), "steps" (with their logs and results of tests; the
    build's line stays), "logs", "data" (of `setBuildData`), "requests" (that no build serves), "changes" or "events".
    newest: so many of the newest ones are kept; for logs, data and steps it counts builds, and it counts in each
    builder by itself. days: those of the last so many days are kept (a number, or a timedelta); for builds it counts
    from their end. With both, what either keeps is kept.
    builders, tags: the rule is for these builders alone, or for those with one of these tags; not for changes and
    events. Of several rules for the same thing, the first that is for a builder decides.
    """

    def __init__(
        self,
        what: str,
        newest: int | None = None,
        days: float | timedelta | None = None,
        builders: Sequence[str] | str | None = None,
        tags: Sequence[str] | str | None = None,
    ) -> None:
        self.what = what
        self.newest = newest
        self.seconds = _seconds(days)
        self.builders = _names(builders)
        self.tags = _names(tags)
        self.said = ""  # how the configuration says it, when not with Keep
        self._check(days)

    def _check(self, days: Any) -> None:
        if self.what not in KINDS:
            error(f"Keep(): {self.what!r} is nothing that can be kept", f"it is one of {', '.join(KINDS)}")
        if self.newest is None and days is None:
            error(f"Keep({self.what!r}) says neither newest nor days", "without a rule everything is kept")
        newest: Any = self.newest
        if newest is not None and (isinstance(newest, bool) or not isinstance(newest, int) or newest < 0):
            error(f"Keep({self.what!r}): newest must be a whole number of at least 0, not {newest!r}")
            self.newest = None
        if days is not None and self.seconds is None:
            error(f"Keep({self.what!r}): days must be a number above 0 or a timedelta, not {days!r}")
        if (self.builders or self.tags) and self.what not in _BY_BUILDER:
            error(f"Keep({self.what!r}): {self.what} belong to no builder", "leave out builders and tags")

    def is_for(self, builder: str, tags: Iterable[str]) -> bool:
        """Whether it speaks of the builder of this name."""
        if not self.builders and not self.tags:
            return True
        return builder in self.builders or not self.tags.isdisjoint(tags)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Keep) and vars(self) == vars(other)

    def __hash__(self) -> int:
        return hash((self.what, self.newest, self.seconds))

    def __repr__(self) -> str:
        if self.said:
            return self.said
        parts = [repr(self.what)]
        if self.newest is not None:
            parts.append(f"newest={self.newest}")
        if self.seconds is not None:
            parts.append(f"days={self.seconds / DAY:g}")
        parts += [f"{name}={sorted(value)!r}" for name in ("builders", "tags") if (value := getattr(self, name))]
        return f"Keep({', '.join(parts)})"


def _seconds(days: Any) -> float | None:
    if isinstance(days, timedelta):
        days = days.total_seconds() / DAY
    number = isinstance(days, (int, float)) and not isinstance(days, bool) and 0 < days < 1e7
    return float(days) * DAY if number else None


def _names(given: Any) -> frozenset[str]:
    if given is None:
        return frozenset()
    names = [given] if isinstance(given, str) else given
    if not isinstance(names, (list, tuple, set, frozenset)) or not all(isinstance(name, str) for name in names):
        error(f"Keep(): builders and tags are lists of names, not {given!r}")
        return frozenset()
    return frozenset(names)


@configurable
class JanitorConfigurator:
    """For c['configurators']: logs and data of builds are removed some time after their build, at certain hours.

    logHorizon: how long logs are kept, a timedelta (or days, a number). build_data_horizon: the same for the data of
    `setBuildData`. minute, hour, dayOfMonth, month, dayOfWeek: when to look, as for Nightly
    (default: at minute 0 of every hour); Monday is 0. Other arguments of Nightly are accepted and mean nothing here.
    """

    def __init__(
        self,
        logHorizon: timedelta | float | None = None,
        hour: Any = "*",
        dayOfWeek: Any = "*",
        minute: Any = 0,
        dayOfMonth: Any = "*",
        month: Any = "*",
        build_data_horizon: timedelta | float | None = None,
        **_nightly: Any,
    ) -> None:
        self.rules: tuple[Keep, ...] = ()
        told = (("logs", "logHorizon", logHorizon), ("data", "build_data_horizon", build_data_horizon))
        for what, name, horizon in told:
            if horizon is not None and _seconds(horizon) is None:
                error(f"JanitorConfigurator: {name} must be a timedelta, not {horizon!r}")
            elif horizon is not None:
                rule = Keep(what, days=horizon)
                rule.said = f"JanitorConfigurator({name}={horizon})"
                self.rules = (*self.rules, rule)
        if logHorizon is None and build_data_horizon is None:
            error("JanitorConfigurator says no logHorizon", "write logHorizon=timedelta(weeks=4)")
        fields = [_field(field) for field in (minute, hour, dayOfMonth, month)]
        self.cron = " ".join([*fields, _days_of_week(dayOfWeek)])
        if not croniter.is_valid(self.cron):
            error(f"JanitorConfigurator: {self.cron!r} is no time (minute, hour, dayOfMonth, month, dayOfWeek)")
            self.cron = "0 * * * *"


def _field(given: Any) -> str:
    return ",".join(map(str, given)) if isinstance(given, (list, tuple)) else str(given)


def _days_of_week(given: Any) -> str:
    """Monday is 0 in Buildbot, and 1 in cron."""
    words = _field(given).split(",")
    return ",".join(str((int(word) + 1) % 7) if word.isdigit() else word for word in words)


@dataclass(frozen=True, slots=True)
class RetentionPlan:
    """What is kept, and when to look for what is not. cron: times of day to look at; empty: every hour."""

    rules: tuple[Keep, ...] = ()
    cron: tuple[str, ...] = ()

    def rule(self, what: str, builder: str = "", tags: Iterable[str] = ()) -> Keep | None:
        """The rule that decides about this kind of thing, in this builder. None: it is kept for ever."""
        return next((rule for rule in self.rules if rule.what == what and rule.is_for(builder, tags)), None)

    def next_after(self, began_at: float) -> float:
        """When to look, after a look that began then."""
        if not self.cron:
            return began_at + EVERY_SECONDS
        local = datetime.fromtimestamp(began_at).astimezone()
        return min(float(croniter(cron, local).get_next(float)) for cron in self.cron)


NO_PLAN = RetentionPlan()


def plan_of(values: Mapping[str, Any], builders: Sequence[Any], at: Callable[[str], None]) -> RetentionPlan:
    """One plan of c['retention'], the horizons and c['configurators']; what is wrong with them is reported."""
    rules = _own_rules(values, builders, at)
    horizons = _horizons(values, builders)
    janitors = _janitors(values, at)
    cron = tuple(janitor.cron for janitor in janitors) if not rules and not horizons else ()
    late = [rule for janitor in janitors for rule in janitor.rules]
    return RetentionPlan((*rules, *horizons, *late), cron)


@dataclass(frozen=True, slots=True)
class Packing:
    """Whether and which finished logs are compressed. smallest: in bytes; smaller ones stay as they are."""

    wanted: bool = True
    smallest: int = 4096


DEFAULT_PACKING = Packing()
_METHODS = ("zstd", "raw", "gz", "bz2", "lz4", "br")


def packing_of(values: Mapping[str, Any], at: Callable[[str], None]) -> Packing:
    """`logCompressionMethod` and `logCompressionLimit`, as Buildbot has them; there is one method here."""
    at("logCompressionMethod")
    method = values.get("logCompressionMethod", "zstd")
    if method not in _METHODS:
        error(f"c['logCompressionMethod'] is {method!r}", "write 'zstd', or 'raw' for no compression")
    elif method not in ("zstd", "raw"):
        warning(f"c['logCompressionMethod'] = {method!r}: logs are compressed with zstd in this version")
    limit = values.get("logCompressionLimit", DEFAULT_PACKING.smallest)
    return Packing(method != "raw" and limit is not False, limit or 0)


def _own_rules(values: Mapping[str, Any], builders: Sequence[Any], at: Callable[[str], None]) -> list[Keep]:
    at("retention")
    rules: list[Keep] = []
    names = {builder.name for builder in builders}
    tags = {tag for builder in builders for tag in builder.tags}
    for given in values.get("retention", ()):
        if not isinstance(given, Keep):
            error(f"c['retention'] holds util.Keep(...) rules, not {given!r}", "write [util.Keep('logs', days=30)]")
        elif not is_broken(given):
            rules.append(given)
            for name in sorted(given.builders - names):
                error(f"{given!r}: there is no builder {name!r}")
            for tag in sorted(given.tags - tags):
                error(f"{given!r}: no builder has the tag {tag!r}")
    return rules


def _horizons(values: Mapping[str, Any], builders: Sequence[Any]) -> list[Keep]:
    """The words of 0.7 and 0.8: numbers of builds, changes and events; 0, False and None keep everything."""
    rules: list[Keep] = []

    def add(said: str, what: str, newest: int, builder: str | None = None) -> None:
        rule = Keep(what, newest=newest, builders=builder)
        rule.said = f"{said} = {newest}" + (f" of builder {builder}" if builder else "")
        rules.append(rule)

    for builder in builders:
        for word, what in (("buildHorizon", "builds"), ("logHorizon", "logs")):
            newest = getattr(builder, word, None)
            if newest:
                add(word, what, newest, builder.name)
    for word, what in (("buildHorizon", "builds"), ("logHorizon", "logs"), ("changeHorizon", "changes")):
        if values.get(word):
            add(word, what, values[word])
    if values.get("eventHorizon"):  # of each builder; here the events of all are one list
        add("eventHorizon", "events", values["eventHorizon"] * max(1, len(builders)))
    if values.get("buildHorizon") and (values.get("logHorizon") or 0) > values["buildHorizon"]:
        error("c['logHorizon'] is more than c['buildHorizon']", "the log of a build is not kept longer than the build")
    return rules


def _janitors(values: Mapping[str, Any], at: Callable[[str], None]) -> list[JanitorConfigurator]:
    at("configurators")
    found = []
    for given in values.get("configurators", ()):
        if not isinstance(given, JanitorConfigurator):
            error(f"c['configurators'] holds util.JanitorConfigurator(...) in this version, not {given!r}")
        elif not is_broken(given):
            found.append(given)
    return found
