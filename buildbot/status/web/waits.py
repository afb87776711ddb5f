"""What the pages that say why a request waits have in common: the situation of its builder."""

from __future__ import annotations

from buildbot.model import Builder
from buildbot.process.assignment import Head
from buildbot.process.estimates import usual_of
from buildbot.process.waiting import InTheWay, Snapshot
from buildbot.status.web.pages import Master
from buildbot.store import queue


def snapshot(master: Master, builder: Builder, now: float) -> Snapshot:
    """One statement."""
    config = master.config.builder(builder.name) if builder.removed_at is None else None
    names = () if config is None else config.slavenames
    others = {
        other.name: other
        for other in master.config.builders
        if other.name != builder.name and not set(names).isdisjoint(other.slavenames)
    }
    found = queue.situation(master.store, builder.id, names, list(others))
    here = {name for name, slave in found.slaves.items() if slave.connected_at is not None and slave.pause is None}
    return Snapshot(
        now=now,
        builder=config,
        most={slave.name: slave.max_builds for slave in master.config.slaves},
        slaves=found.slaves,
        running=found.running,
        pause=found.pause,
        rivals=[
            Head(name, priority + others[name].priority, submitted_at, request)
            for name, request, priority, submitted_at in found.heads
            if not here.isdisjoint(others[name].slavenames)
        ],
        usual_seconds=usual_of(found.earlier),
        in_the_way=InTheWay() if config is None else master.in_the_way(config),
    )
