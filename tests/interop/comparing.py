"""What is compared of two readings of the same build, and in which form.

Rules, each for what must differ between two runs, whoever made them:

- *Paths.* The directories of the slave and of the builder become SLAVE and BUILD, the test's own directory TEST.
- *Headers* are not compared: they are each slave's and each master's own words, with times, paths and the environment.
  A log that has nothing but headers counts as no log.
- *Line ends.* Buildbot 4.3 makes a carriage return the end of a line, and ends the last line of a log. This
  repository's master keeps the bytes as they came. Both are compared in 4.3's form.
- *Preparation.* 4.3's own first step, `worker_preparation`, is left out.
- *Names of their own.* `buildername`, `workername` and `slavename` differ, because each slave has its builder.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.interop.readings import BuildReading, StepReading

OWN_STEP = "worker_preparation"
OWN_PROPERTIES = frozenset({"buildername", "workername", "slavename", "builderid", "basedir", "builddir"})

Aspect = tuple[str, str]
"""A step's name (or `build`) and what of it: `result`, `text`, `hidden`, `links`, `LOG STREAM`,
`property NAME`, `source NAME` (where the property comes from), `file PATH`, `mode PATH`."""


def facts(reading: BuildReading, where: Path, incoming: Path, builder: str) -> dict[Aspect, Any]:
    """Everything of a build that is compared. `where` is the directory of master and slaves, `incoming` what was
    uploaded."""
    plain = _Plain(where, builder)
    found: dict[Aspect, Any] = {("build", "result"): reading.result, ("build", "text"): reading.text}
    found["build", "steps"] = [step.name for step in reading.steps if step.name != OWN_STEP]
    for step in reading.steps:
        if step.name != OWN_STEP:
            found |= _of_step(step, plain)
    for name, (value, source) in reading.properties.items():
        found["build", f"source {name}"] = plain(source)
        if name not in OWN_PROPERTIES:
            found["build", f"property {name}"] = value
    for path in sorted(incoming.rglob("*")):
        name = path.relative_to(incoming)
        found["build", f"file {name}"] = _content(path)
        if path.is_file() and not path.is_symlink():
            found["build", f"mode {name}"] = oct(path.stat().st_mode & 0o777)
    return found


def differences(one: Mapping[Aspect, Any], other: Mapping[Aspect, Any]) -> dict[Aspect, tuple[Any, Any]]:
    """What is not the same in both, None where it is not there."""
    names = [*one, *(name for name in other if name not in one)]
    return {name: (one.get(name), other.get(name)) for name in names if one.get(name) != other.get(name)}


def _of_step(step: StepReading, plain: _Plain) -> dict[Aspect, Any]:
    found: dict[Aspect, Any] = {(step.name, "result"): step.result, (step.name, "text"): plain(step.text)}
    found |= {(step.name, "hidden"): step.hidden, (step.name, "links"): step.urls}
    for log, streams in step.logs.items():
        for stream, text in streams.items():
            if stream != "header" and text:
                found[step.name, f"{log} {stream}"] = plain.lines(text)
    return found


def _content(path: Path) -> str:
    if path.is_symlink():
        return f"link to {path.readlink()}"
    return "directory" if path.is_dir() else hashlib.sha256(path.read_bytes()).hexdigest()


class _Plain:
    """A text as it would be everywhere."""

    def __init__(self, where: Path, builder: str) -> None:
        # the directory of a slave and its builder bear the same name
        self._names = [(f"{where}/{builder}/{builder}", "BUILD"), (f"{where}/{builder}", "SLAVE"), (f"{where}", "TEST")]

    def __call__(self, text: str) -> str:
        for path, name in self._names:
            text = text.replace(path, name)
        return text

    def lines(self, text: str) -> str:
        text = re.sub(r"\r\n?", "\n", self(text))
        return text if text.endswith("\n") else text + "\n"
