"""The nouns of the product: ids, enumerations and one immutable row type per table.

Imports nothing of ours. A row's fields bear the names of its columns, in the order in which the store's modules
list them; what a column means is said in `buildbot/store/schema.sql`.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import Any, NamedTuple, NewType

ChangeID = NewType("ChangeID", int)
PatchID = NewType("PatchID", int)
SourceStampID = NewType("SourceStampID", int)
BuildsetID = NewType("BuildsetID", int)
BuildRequestID = NewType("BuildRequestID", int)
BuilderID = NewType("BuilderID", int)
SlaveID = NewType("SlaveID", int)
BuildID = NewType("BuildID", int)
StepID = NewType("StepID", int)
CommandID = NewType("CommandID", int)
LogID = NewType("LogID", int)
EventID = NewType("EventID", int)

JSON = Any  # what json.loads gives: plain data


class Result(IntEnum):
    """How a step, build, request or buildset ended. The numbers are Buildbot's own."""

    SUCCESS = 0
    WARNINGS = 1
    FAILURE = 2
    SKIPPED = 3
    EXCEPTION = 4
    RETRY = 5
    CANCELLED = 6

    @property
    def css_class(self) -> str:
        """The class that pages give to a box with this result."""
        return self.name.lower()


class Verdict(StrEnum):
    """What a scheduler thinks of one change."""

    IMPORTANT = "important"
    UNIMPORTANT = "unimportant"
    NOT_MINE = "not mine"
    FAILED = "failed"  # the user's own filter raised


class CommandState(StrEnum):
    """The life of one remote command, as the journal knows it."""

    ORDERED = "ordered"
    RUNNING = "running"
    FINISHED = "finished"
    LOST = "lost"


class EventKind(StrEnum):
    """What an event tells. Receivers choose by these."""

    CHANGE_ADDED = "change added"
    BUILDSET_SUBMITTED = "buildset submitted"
    BUILDSET_COMPLETE = "buildset complete"
    REQUEST_CLAIMED = "request claimed"
    REQUEST_CANCELLED = "request cancelled"
    REQUEST_MERGED = "request merged"
    REQUEST_REQUEUED = "request requeued"
    REQUEST_PARKED = "request parked"
    BUILD_STARTED = "build started"
    BUILD_FINISHED = "build finished"
    SLAVE_CONNECTED = "slave connected"
    SLAVE_LOST = "slave lost"
    MASTER_STARTED = "master started"
    MASTER_STOPPED = "master stopped"
    CONFIG_LOADED = "config loaded"
    CONFIG_REFUSED = "config refused"
    OPERATOR_ACTION = "operator action"
    PAUSED = "paused"
    UNPAUSED = "unpaused"


class Change(NamedTuple):
    id: ChangeID
    arrived_at: float
    committed_at: float | None
    author: str
    committer: str | None
    comments: str
    repository: str
    project: str
    codebase: str
    branch: str | None
    revision: str | None
    category: str | None
    revlink: str
    source: str


class NewChange(NamedTuple):
    """A change as a source brings it, checked at the edge, not yet stored."""

    author: str
    comments: str = ""
    files: tuple[str, ...] = ()
    committed_at: float | None = None
    committer: str | None = None
    repository: str = ""
    project: str = ""
    codebase: str = ""
    branch: str | None = None
    revision: str | None = None
    category: str | None = None
    revlink: str = ""
    source: str = ""
    properties: tuple[tuple[str, JSON], ...] = ()


class Patch(NamedTuple):
    id: PatchID
    level: int
    body: bytes
    subdir: str
    author: str
    comment: str


class SourceStamp(NamedTuple):
    id: SourceStampID
    codebase: str
    repository: str
    project: str
    branch: str | None
    revision: str | None
    patch_id: PatchID | None
    created_at: float


class Buildset(NamedTuple):
    id: BuildsetID
    external_id: str | None
    reason: str
    scheduler: str | None
    submitted_at: float
    complete_at: float | None
    result: Result | None
    parent_build_id: BuildID | None
    parent_relationship: str | None


class BuildRequest(NamedTuple):
    id: BuildRequestID
    buildset_id: BuildsetID
    builder_id: BuilderID
    priority: int
    submitted_at: float
    claimed_at: float | None
    complete_at: float | None
    result: Result | None
    waited_for: bool
    retries: int
    parked_reason: str | None
    cancelled_because: str | None = None


class Builder(NamedTuple):
    id: BuilderID
    name: str
    position: int
    description: str
    tags: tuple[str, ...]
    last_number: int
    removed_at: float | None


class Slave(NamedTuple):
    id: SlaveID
    name: str
    connected_at: float | None
    lost_at: float | None
    heard_at: float | None
    incarnation: str | None
    version: str | None
    details: dict[str, JSON]
    removed_at: float | None


class Build(NamedTuple):
    id: BuildID
    builder_id: BuilderID
    number: int
    slave_id: SlaveID | None
    started_at: float
    complete_at: float | None
    result: Result | None
    state_text: str
    reason: str
    attempt: int
    stop_reason: str | None = None
    stop_result: Result | None = None
    stop_step: int | None = None
    slot: int = 1


class Step(NamedTuple):
    id: StepID
    build_id: BuildID
    number: int
    name: str
    started_at: float | None
    complete_at: float | None
    result: Result | None
    state_text: str
    hidden: bool


class StepURL(NamedTuple):
    step_id: StepID
    name: str
    url: str


class RemoteCommandRow(NamedTuple):
    """One entry of a step's journal: what was asked of the slave, and what came of it."""

    id: CommandID
    step_id: StepID
    ordinal: int
    name: str
    args: dict[str, JSON]
    state: CommandState
    incarnation: str | None
    ordered_at: float
    finished_at: float | None
    outcome: dict[str, JSON] | None
    left_at: float | None = None


class Log(NamedTuple):
    id: LogID
    step_id: StepID
    name: str
    slug: str
    kind: str
    path: str
    size: int | None
    lines: int | None
    created_at: float
    finished_at: float | None
    removed_at: float | None
    removed_by: str | None
    packed_as: str | None = None


class Property(NamedTuple):
    name: str
    value: JSON
    source: str


class Classification(NamedTuple):
    scheduler: str
    change_id: ChangeID
    verdict: Verdict
    reason: str
    classified_at: float
    buildset_id: BuildsetID | None


class Event(NamedTuple):
    id: EventID
    happened_at: float
    kind: EventKind
    subject_id: int | None
    detail: dict[str, JSON]


class Cursor(NamedTuple):
    receiver: str
    event_id: EventID
    failures: int
    next_try_at: float | None
    last_error: str | None


class OperatorAction(NamedTuple):
    id: int
    acted_at: float
    who: str
    what: str
    subject: str
    why: str
