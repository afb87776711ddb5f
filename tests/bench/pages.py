"""What each page costs with a long history: statements, bytes, and CPU of a process that serves it and asks for it."""

from __future__ import annotations

import gzip
import time
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from buildbot.config.builder import BuilderConfig
from buildbot.process.factory import BuildFactory
from tests.history import BUILDERS, fill
from tests.unit.web.served import START, Served

URLS = (
    "/",
    "/waterfall",
    "/waterfall?failures_only=true&show_events=true",
    "/builders",
    "/builders/lint",
    "/builders/lint/builds/-1",
    "/buildslaves",
    "/buildslaves/slave-1",
    "/changes",
    "/about",
)
ROUNDS = 7


class Cost(NamedTuple):
    url: str
    statements: int
    size: int
    compressed: int
    cpu_ms: float


def page_costs(where: Path, builds: int) -> list[Cost]:
    """The cost of each page of `URLS`: CPU is the best of a few rounds, the client's share included."""
    where.mkdir(parents=True)
    served = Served(where)
    try:
        fill(served.store, now=START + 100, builds_count=builds, log_files=None)
        slaves = ["slave-1", "slave-2"]
        known = tuple(BuilderConfig(name=name, slavenames=slaves, factory=BuildFactory()) for name, *_ in BUILDERS)
        served.config = replace(served.config, builders=known)
        return [_cost(served, url) for url in URLS]
    finally:
        served.close()


def _cost(served: Served, url: str) -> Cost:
    best, statements, body = float("inf"), 0, b""
    for _ in range(ROUNDS):
        asked, begun = served.store.statements, time.process_time()
        answer = served.ask(url)
        body = answer.body
        best = min(best, time.process_time() - begun)
        statements = served.store.statements - asked
        if answer.status != 200:
            raise RuntimeError(f"{url}: {answer.status}")
    return Cost(url, statements, len(body), len(gzip.compress(body)), best * 1000)
