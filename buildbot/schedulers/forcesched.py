"""Builds that a person asks for: the ForceScheduler, its form, and what becomes of a filled form."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from buildbot.config.arguments import configurable
from buildbot.config.errors import did_you_mean, error
from buildbot.config.master import DEFAULT_VALIDATION
from buildbot.model import BuildsetID, PatchID, Property
from buildbot.schedulers.base import BaseScheduler, Settled, why_paused
from buildbot.schedulers.parameters import (
    NOBODY,
    AnyPropertyParameter,
    Asking,
    BaseParameter,
    BooleanParameter,
    BuildslaveChoiceParameter,
    ChoiceStringParameter,
    FieldErrors,
    Fields,
    FileParameter,
    FixedParameter,
    InheritBuildParameter,
    IntParameter,
    NestedParameter,
    ParameterGroup,
    StringParameter,
    TextParameter,
    UserNameParameter,
    Validation,
    ValidationError,
    WorkerChoiceParameter,
    adopted,
)
from buildbot.schedulers.parameters_source import CodebaseParameter, PatchParameter
from buildbot.store import Store, actions, builders, builds, properties, sourcestamps
from buildbot.store.store import Queries

__all__ = [
    "AnyPropertyParameter",
    "BaseParameter",
    "BooleanParameter",
    "BuildslaveChoiceParameter",
    "ChoiceStringParameter",
    "CodebaseParameter",
    "FieldErrors",
    "FileParameter",
    "FixedParameter",
    "ForceScheduler",
    "InheritBuildParameter",
    "IntParameter",
    "NestedParameter",
    "ParameterGroup",
    "PatchParameter",
    "StringParameter",
    "TextParameter",
    "UserNameParameter",
    "ValidationError",
    "WorkerChoiceParameter",
    "force",
]

SOURCE = "Force Build Form"
_REASON = "A build was forced by '%(owner)s': %(reason)s"
_STAMP = ("branch", "revision", "repository", "project")
_OF_THE_PAGE = ("token", "forcescheduler")  # fields that are the page's own
_GREATEST_PRIORITY = 1_000_000_000
_NUMBER = re.compile("[0-9]{1,9}")


@configurable
class ForceScheduler(BaseScheduler):
    """Builds when somebody asks for it.

    name, builderNames. username: a UserNameParameter, for those who are not logged in. reason: a parameter for why.
    reasonString: template with %(owner)s and %(reason)s. buttonName, label: texts on the page. codebases: names or
    CodebaseParameters (default: the unnamed one); or, for that one alone, branch, revision, repository and project,
    as a CodebaseParameter takes them. properties: more parameters (default: four that the person may name).
    priority: an int, or an IntParameter.
    """

    listens = False

    def __init__(
        self,
        name: str,
        builderNames: Sequence[str],
        username: BaseParameter | None = None,
        reason: BaseParameter | None = None,
        reasonString: str = _REASON,
        buttonName: str | None = None,
        codebases: Sequence[Any] | None = None,
        label: str | None = None,
        properties: Sequence[BaseParameter] | None = None,
        branch: Any = None,
        revision: Any = None,
        repository: Any = None,
        project: Any = None,
        priority: int | IntParameter | None = None,
    ) -> None:
        asked_priority = priority if isinstance(priority, BaseParameter) else None
        super().__init__(name, builderNames, priority=None if asked_priority is not None else priority)
        if self.asks:
            error(f"scheduler {name!r}: a ForceScheduler needs builderNames as a list and priority as an int")
        self.username = username if username is not None else UserNameParameter()
        self.reason_field = reason if reason is not None else StringParameter("reason", default="force build", size=20)
        self.priority_field = asked_priority
        self.reasonString = _checked_template(name, reasonString)
        self.label = name if label is None else label
        self.buttonName = self.label if buttonName is None else buttonName
        stamp = dict(zip(_STAMP, (branch, revision, repository, project), strict=True))
        self.codebase_fields = _codebase_fields(name, codebases, stamp)
        self.property_fields = adopted(_any_properties() if properties is None else properties, None)
        head = [self.username, self.reason_field, self.priority_field]
        self.all_fields: list[BaseParameter] = [
            *adopted([field for field in head if field is not None], None),
            *self.codebase_fields,
            *self.property_fields,
        ]
        self.taken = {"owner", "reason", "scheduler"}.union(*(_set_by(field) for field in self.property_fields))
        self.full_names = [field.fullName for field in _leaves(self.all_fields)]
        self.file_names = [field.fullName for field in _leaves(self.all_fields) if isinstance(field, FileParameter)]
        _check_names(name, self.full_names)

    def describe_fields(self, builder: str | None = None, anonymous: bool = False) -> list[dict[str, Any]]:
        """What a form needs, in order. Each field: name (that it sends), label, kind, default, required, multiple,
        hide, tooltip, tablabel, maxsize, autopopulate; and by kind: size; cols and rows; choices and strict; fields (of
        a group), layout, columns. kind: string, text, int, bool, choice, slave, file, fixed, username, group. Who is
        logged in is not asked for a name.
        """
        described = [field.describe(self, builder) for field in self.all_fields]
        described[0]["hide"] = described[0]["hide"] or not anonymous
        return described


async def force(
    store: Store,
    scheduler: ForceScheduler,
    builder_names: Sequence[str],
    fields: Fields,
    who: str,
    now: float,
    validation: Validation | None = None,
) -> BuildsetID:
    """Ask for a build of these builders (none given: of all of the scheduler's). Raises FieldErrors.

    `fields` is what a form sent, and in it files with bytes that are no text as surrogates. `who` is logged in ("" or
    "anonymous": nobody, so the username field says who). `validation` is c['validation']. The buildset, and who asked
    for it and why, survive a power loss.
    """
    rules = DEFAULT_VALIDATION if validation is None else validation
    asking = Asking(fields, who, rules, scheduler, builder_names[0] if len(builder_names) == 1 else None)
    head: dict[str, Any] = {}
    values: dict[str, Any] = {}
    for field in scheduler.all_fields:
        field.collect(asking, values if field in scheduler.property_fields else head)
    unknown = [name for name in builder_names if name not in scheduler.builderNames]
    if unknown:
        asking.errors["builderNames"] = f"{scheduler.name} does not build {', '.join(map(repr, unknown))}"
    for name in fields:
        if name not in scheduler.full_names:
            hint = did_you_mean(name, scheduler.full_names)
            asking.errors[name] = f"is not a field of this form{f'; {hint}' if hint else ''}"
    priority = _priority(scheduler, asking, head)
    paused = why_paused(store, scheduler.name)
    if paused:
        asking.errors["forcescheduler"] = paused
    if asking.errors:
        raise FieldErrors(asking.errors)
    return store.transact_durable(_force, scheduler, tuple(builder_names), asking, head, values, priority, now)


def _priority(scheduler: ForceScheduler, asking: Asking, head: Mapping[str, Any]) -> int:
    field = scheduler.priority_field
    if field is None:
        return scheduler.settle_plain().priority
    try:
        priority = int(head.get(field.name, 0))
    except (TypeError, ValueError):
        priority = _GREATEST_PRIORITY + 1
    if abs(priority) > _GREATEST_PRIORITY:
        asking.errors[field.fullName] = f"must be a whole number, at most {_GREATEST_PRIORITY}"
    return priority


def _force(
    store: Store,
    scheduler: ForceScheduler,
    builder_names: tuple[str, ...],
    asking: Asking,
    head: Mapping[str, Any],
    values: Mapping[str, Any],
    priority: int,
    now: float,
) -> BuildsetID:
    names = builder_names or tuple(scheduler.builderNames)
    owner = str(head[scheduler.username.name])
    reason = store.hide(str(head[scheduler.reason_field.name]))  # also a property of the builds
    stamps = [
        sourcestamps.add(
            store,
            codebase=codebase,
            repository=stamp.get("repository") or "",
            project=stamp.get("project") or "",
            branch=stamp.get("branch"),
            revision=stamp.get("revision"),
            patch_id=_patch(store, asking, codebase, owner),
            now=now,
        )
        for codebase, stamp in asking.stamps.items()
    ]
    given = {**_inherited(store, asking.inherits), **values, "owner": owner, "reason": reason}
    settled = Settled(
        names,
        (
            *(Property(name, value, SOURCE) for name, value in given.items()),
            Property("scheduler", scheduler.name, "Scheduler"),
        ),
        priority,
    )
    text = scheduler.reasonString % {"owner": owner, "reason": reason}
    buildset = scheduler.submit(store, settled, stamps, newest=None, reason=text, now=now)
    who = owner if asking.who in NOBODY else asking.who
    for name in names:
        actions.add(store, who=who, what="force", subject=f"builder {name}", why=reason, now=now)
    return buildset


def _patch(store: Store, asking: Asking, codebase: str, owner: str) -> PatchID | None:
    job = asking.patches.get(codebase)
    if job is None:
        return None
    return sourcestamps.add_patch(store, job.patch, job.patch_level, job.subdir, job.who or owner, job.comment)


def _inherited(store: Queries, inherits: Sequence[str]) -> dict[str, Any]:
    """What was answered in the forms of these builds."""
    found: dict[str, Any] = {}
    for text in inherits:
        name, _, number = text.rpartition("/")
        builder = builders.by_name(store, name)
        build = builds.by_number(store, builder.id, int(number)) if builder and _NUMBER.fullmatch(number) else None
        for given in [] if build is None else properties.of(store, "build", build.id):
            if given.source == SOURCE:
                found["orig_owner" if given.name == "owner" else given.name] = given.value
    return found


def _any_properties() -> list[BaseParameter]:
    several = [AnyPropertyParameter(f"property{number}") for number in range(1, 5)]
    return [NestedParameter("", several, "Additional properties:")]


def _codebase_fields(scheduler: str, codebases: Any, stamp: Mapping[str, Any]) -> list[BaseParameter]:
    given = {key: value for key, value in stamp.items() if value is not None}
    if codebases is None:
        return [CodebaseParameter("", label="", **given)]
    if given:
        error(f"scheduler {scheduler!r}: give {', '.join(given)} to the CodebaseParameters in codebases")
    if not isinstance(codebases, (list, tuple)) or not codebases:
        error(f"scheduler {scheduler!r}: codebases is a list of names or CodebaseParameters, not {codebases!r}")
        return []
    fields = [CodebaseParameter(each) if isinstance(each, str) else each for each in codebases]
    for field in fields:
        if not isinstance(field, CodebaseParameter):
            error(f"scheduler {scheduler!r}: {field!r} in codebases is neither a name nor a CodebaseParameter")
    return [field for field in fields if isinstance(field, CodebaseParameter)]


def _check_names(scheduler: str, names: Sequence[str]) -> None:
    for name in _OF_THE_PAGE:
        if name in names:
            error(f"scheduler {scheduler!r}: no field may be named {name!r}: the web page needs this name itself")
    for name in dict.fromkeys(name for name in names if names.count(name) > 1):
        error(f"scheduler {scheduler!r} has two fields named {name!r}")


def _set_by(field: BaseParameter) -> set[str]:
    """The properties that this field always sets."""
    if isinstance(field, AnyPropertyParameter):
        return set()
    if isinstance(field, NestedParameter) and not field.name:
        return set().union(*(_set_by(inner) for inner in field.fields))
    return {field.name}


def _leaves(fields: Sequence[BaseParameter]) -> Iterator[BaseParameter]:
    """The fields that a form sends."""
    for field in fields:
        if isinstance(field, NestedParameter):
            yield from _leaves(field.fields)
        else:
            yield field


def _checked_template(scheduler: str, template: Any) -> str:
    try:
        template % {"owner": "", "reason": ""}
    except (KeyError, TypeError, ValueError) as wrong:
        error(f"scheduler {scheduler!r}: reasonString takes %(owner)s and %(reason)s: {wrong!r}")
        return _REASON
    return str(template)
