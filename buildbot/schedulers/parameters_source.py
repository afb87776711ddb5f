"""The parameters of a ForceScheduler that say which source is built: codebases, and patches over them."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from typing import Any

from buildbot.config.arguments import configurable
from buildbot.config.errors import error
from buildbot.process.outside import BadInput
from buildbot.schedulers.parameters import (
    Asking,
    BaseParameter,
    FileParameter,
    FixedParameter,
    IntParameter,
    NestedParameter,
    StringParameter,
    ValidationError,
    adopted,
)
from buildbot.schedulers.tryjob import LARGEST_PATCH, job_from


class DefaultField:
    """The codebase's field is the usual one."""


@configurable
class PatchParameter(NestedParameter):
    """A patch over a codebase: the `patch` of a CodebaseParameter.

    name: `patch`. fields: parameters named body (a FileParameter), level, author, comment and subdir; the usual ones
    of these are made for what is not given. Without a file there is no patch.
    """

    columns = 1

    def __init__(
        self, name: str = "patch", fields: Sequence[BaseParameter] = (), label: str | None = None, **kw: Any
    ) -> None:
        given = {field.name: field for field in adopted(fields, None)}
        usual = {field.name: field for field in _patch_fields()}
        for wrong in given.keys() - usual.keys():
            error(f"a PatchParameter has no field {wrong!r}", f"its fields are {', '.join(usual)}")
        super().__init__(name, list((usual | given).values()), "Patch:" if label is None else label, **kw)
        for field in self.fields:
            if isinstance(field, FileParameter):
                field._binary = True

    def collect_patch(self, asking: Asking, codebase: str) -> None:
        values: dict[str, Any] = {}
        before = len(asking.errors)
        for field in self.fields:
            field.collect(asking, values)
        body = str(values.get("body") or "").encode("utf-8", "surrogateescape")
        if len(asking.errors) > before or not body:
            return
        described = {"patch_body": body, "patch_level": values.get("level"), "patch_subdir": values.get("subdir")}
        described |= {"who": values.get("author"), "comment": values.get("comment")}
        try:
            asking.patches[codebase] = job_from(described)
        except BadInput as wrong:
            asking.errors[self.fields[0].fullName] = str(wrong)


def _patch_fields() -> list[BaseParameter]:
    return [
        FileParameter("body", "File:", maxsize=LARGEST_PATCH),
        IntParameter("level", "Level:", default=1, tooltip="directories to cut from its paths"),
        StringParameter("author", "Author:", size=30),
        StringParameter("comment", "Comment:", size=30),
        StringParameter("subdir", "Directory:", size=30, tooltip="where it applies, below the source"),
    ]


@configurable
class CodebaseParameter(NestedParameter):
    """What to build of one codebase.

    codebase: its name. branch, revision, repository, project: each a parameter, a string (fixed), or None (not
    asked); left out, a field for text. patch: a PatchParameter, for a patch over it.
    """

    def __init__(
        self,
        codebase: str,
        name: str | None = None,
        label: str | None = None,
        branch: Any = DefaultField,
        revision: Any = DefaultField,
        repository: Any = DefaultField,
        project: Any = DefaultField,
        patch: Any = None,
        **kw: Any,
    ) -> None:
        self.codebase = codebase
        if patch is not None and not isinstance(patch, PatchParameter):
            error(f"codebase {codebase!r}: patch is a PatchParameter, not {patch!r}")
            patch = None
        self.patch: PatchParameter | None = patch
        given = {"branch": branch, "revision": revision, "repository": repository, "project": project}
        fields = [_stamp_field(key, value) for key, value in given.items()]
        super().__init__(
            codebase if name is None else name,
            [*(field for field in fields if field is not None), *([] if patch is None else [patch])],
            codebase if label is None else label,
            **kw,
        )

    def collect(self, asking: Asking, into: dict[str, Any]) -> None:
        stamp: dict[str, str | None] = {}
        for field in self.fields:
            values: dict[str, Any] = {}
            if isinstance(field, PatchParameter):
                field.collect_patch(asking, self.codebase)
                continue
            field.collect(asking, values)
            value = values.get(field.name)
            try:
                if value and not isinstance(field, FixedParameter) and field.name in ("branch", "revision"):
                    asking.check(field.name, str(value), field.name)
            except ValidationError as wrong:
                asking.errors[field.fullName] = str(wrong)
            stamp[field.name] = str(value) if value else None
        asking.stamps[self.codebase] = stamp


def _stamp_field(name: str, value: Any) -> BaseParameter | None:
    if value is DefaultField:
        return StringParameter(name, f"{name.capitalize()}:", size=30)
    if isinstance(value, str):
        return FixedParameter(name, default=value)
    if value is None or isinstance(value, BaseParameter):
        return _renamed(value, name)
    error(f"{name} of a codebase is a parameter, a string or None, not {value!r}")
    return None


def _renamed(field: BaseParameter | None, name: str) -> BaseParameter | None:
    if field is None:
        return None
    own = copy(field)  # one parameter may serve several codebases
    own.name = name
    return own
