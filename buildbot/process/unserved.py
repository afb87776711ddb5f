"""What code of other eras asks of a running build's objects and this version cannot give, and what to write instead."""

from __future__ import annotations

from typing import NoReturn

_CONTROL = "trigger other builders with steps.Trigger; end this build with `self.build.stopBuild(reason)`"
_DATABASE = 'there is no such database here: ask `self.master.data.get(("builds", id))`, or read /json'
_SUBSTEPS = "a step that shows parts of its output as steps of their own cannot; give each part a log by addLog(name)"
_WIRE = "a step asks its slave by `runCommand(RemoteCommand(name, args))`"

#: Attribute -> advice.
ADVICE = {
    "botmaster": _CONTROL,
    "broker": _WIRE,
    "callRemote": _WIRE,
    "conn": _WIRE,
    "db": _DATABASE,
    "expectations": "how long a build will take is reckoned from the builds before it; nothing is kept in the builder",
    "mq": "a step that waits for builds is steps.Trigger(waitForFinish=True)",
    "remote": _WIRE,
    "remoteCommands": "checkSlaveHasCommand(name) and slaveVersion(name) of the step",
    "scheduler_manager": "steps.Trigger(schedulerNames=[...]) triggers schedulers",
    "slave_status": "`info` has what the slave has told of itself",
    "stepFinished": _SUBSTEPS,
    "stepStarted": _SUBSTEPS,
    "updates": "properties, links, logs and numbers are set by the step's own methods",
}


def refuse(asked: object, name: str) -> NoReturn:
    """Raises the AttributeError for an attribute that is not there."""
    advice = ADVICE.get(name)
    text = f"{type(asked).__name__} has no attribute {name!r}"
    raise AttributeError(f"{text} in this version: {advice}" if advice else text, name=name)
