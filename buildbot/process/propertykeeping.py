"""How a build's properties outlive a restart of the master, and how it has those of an earlier moment again.

Values come back as they were set, also what JSON changes. One that holds a secret is not written down and does not come
back; then the build cannot go on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from buildbot.process.buildsecrets import BuildSecrets
from buildbot.process.journal import Diverged
from buildbot.process.properties import Properties
from buildbot.store.properties import Kept

Given = Mapping[str, tuple[Any, str]]  # {name: (value, source)}


def to_keep(given: Given, secrets: BuildSecrets) -> list[Kept]:
    """Properties as they are written down."""
    shown = secrets.mask_data
    return [Kept.of(shown(name), value, shown(source), shown(value)) for name, (value, source) in given.items()]


def as_set(kept: Sequence[Kept]) -> dict[str, tuple[Any, str]]:
    """Properties as they were set. Raises Diverged for what was not kept."""
    try:
        return {each.name: (each.again(), each.source) for each in kept}
    except ValueError as lost:
        raise Diverged(str(lost)) from None


@contextmanager
def as_they_were(properties: Properties, kept: Sequence[Kept]) -> Iterator[None]:
    """For a while, have the properties that there were before. Raises Diverged for what was not kept."""
    after, properties.properties = properties.properties, as_set(kept)
    try:
        yield
    finally:
        properties.properties = after
