"""Random lives of a master: what people, slaves, the network and fate may do, against what is promised."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from twisted.logger import globalLogPublisher

from buildbot.model import BuildRequestID, NewChange
from buildbot.process.reattach import PATIENCE_SECONDS
from buildbot.store import builds, pauses
from tests.lives.promises import ALWAYS, AT_REST
from tests.lives.slave import FakeCommand, FakeSlave
from tests.lives.world import ALL_BUILDERS, SLAVES, World

ROUNDS_OF_REST = 80
NAMES = st.sampled_from(sorted(SLAVES))
STEPS = st.sampled_from([0, 1, 2, 3, 5, 8, 13, 10_000])  # how much happens after something was done
TIMES = st.sampled_from([0.5, 5.0, 21.0, 61.0, 200.0])
RCS = st.sampled_from([0, 0, 0, 1])


class Problems:
    """What was logged as a failure: a bug, whatever else comes of it."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def __call__(self, event: dict[str, Any]) -> None:
        failure = event.get("log_failure")
        if failure is not None:
            self.seen.append(f"{event.get('log_format')}\n{failure.getTraceback()}")


class Lives(RuleBasedStateMachine):
    """Each rule does one thing, then lets so many things happen that were due; what is due later waits."""

    @initialize(connected=st.sampled_from(["xy", "xy", "x", "y", ""]), goes=st.booleans())
    def begin(self, connected: str, goes: bool) -> None:
        """goes: slave x is gone for good when all comes to rest; slave y can do everything."""
        self.goes = goes
        self.directory = Path(tempfile.mkdtemp(prefix="lives-"))
        self.problems = Problems()
        globalLogPublisher.addObserver(self.problems)
        self.world = World(self.directory)
        self.changes = 0
        self.world.happen()
        for name in connected:
            self.world.connect(name)
        self.world.happen()

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        try:
            self.come_to_rest()
        finally:
            globalLogPublisher.removeObserver(self.problems)
            self.world.close()
            shutil.rmtree(self.directory)

    def after(self, steps: int, network_first: bool = False) -> None:
        self.world.happen(min(steps, 10_000), network_first=network_first)

    # -- people

    @rule(branch=st.sampled_from(["main", "topic"]), steps=STEPS)
    def a_change_comes(self, branch: str, steps: int) -> None:
        self.changes += 1
        change = NewChange(author="alice", branch=branch, revision=str(self.changes), files=("a.c",))
        self.world.life.parts._add_change(change)
        self.after(steps)

    @rule(
        names=st.lists(st.sampled_from(ALL_BUILDERS), min_size=1, max_size=3, unique=True),
        priority=st.integers(-1, 1),
        merges=st.booleans(),
        steps=STEPS,
    )
    def somebody_asks(self, names: list[str], priority: int, merges: bool, steps: int) -> None:
        self.changes += 1
        self.world.ask(names, priority=priority, revision=None if merges else f"r{self.changes}")
        self.after(steps)

    @rule(names=st.permutations(ALL_BUILDERS), ends=st.integers(0, 4), seconds=st.sampled_from([0.0, 0.5, 5.0]))
    def builds_get_going(self, names: list[str], ends: int, seconds: float) -> None:
        """The usual: builds run, and some of their commands have ended."""
        self.slaves_connect("xy", 10_000, False)
        self.somebody_asks(names[:3], 0, False, 10_000)
        for _ in range(ends):
            self.with_a_command(0, lambda slave, command: slave.end(command, 0))
            self.world.happen()
        self.world.let_pass(seconds)

    @rule(number=st.integers(0, 50), steps=STEPS)
    def somebody_cancels(self, number: int, steps: int) -> None:
        open_ones = self.world.life.store.column("SELECT id FROM build_requests WHERE complete_at IS NULL ORDER BY id")
        if open_ones:
            id = BuildRequestID(open_ones[number % len(open_ones)])
            self.world.life.parts.control.cancel_request(id, "ada", "she wants to")
        self.after(steps)

    @rule(number=st.integers(0, 50), steps=STEPS)
    def somebody_stops_a_build(self, number: int, steps: int) -> None:
        running = builds.running(self.world.life.store)
        if running:
            self.world.life.parts.control.stop_build(running[number % len(running)].id, "ada", "she wants to")
        self.after(steps)

    @rule(steps=STEPS)
    def somebody_retries_what_is_parked(self, steps: int) -> None:
        for id in self.world.life.store.column("SELECT id FROM build_requests WHERE parked_reason IS NOT NULL"):
            self.world.life.parts.control.retry_request(BuildRequestID(id), "ada", "once more")
        self.after(steps)

    @rule(
        what=st.sampled_from([(pauses.Kind.SLAVE, name) for name in SLAVES]
                             + [(pauses.Kind.BUILDER, name) for name in ALL_BUILDERS]),
        graceful=st.booleans(),
        steps=STEPS,
    )  # fmt: skip
    def somebody_pauses(self, what: tuple[pauses.Kind, str], graceful: bool, steps: int) -> None:
        kind, name = what
        control = self.world.life.parts.control
        control.pause(kind, name, "ada", "so", graceful=graceful and kind is pauses.Kind.SLAVE)
        self.after(steps)

    @rule(steps=STEPS)
    def nothing_is_paused_any_more(self, steps: int) -> None:
        self.unpause()
        self.after(steps)

    def unpause(self) -> None:
        for kind in (pauses.Kind.SLAVE, pauses.Kind.BUILDER):
            for name in pauses.all_of(self.world.life.store, kind):
                self.world.life.parts.control.unpause(kind, name, "ada", "so")

    @rule(name=NAMES, steps=STEPS)
    def somebody_gives_a_slave_up(self, name: str, steps: int) -> None:
        self.world.life.parts.control.give_up_slave(name, "ada", "it burns")
        self.after(steps)

    @rule(
        has_locked=st.booleans(), longer=st.booleans(), takes=st.booleans(), tree=st.sampled_from([None, 30.0]),
        steps=STEPS,
    )  # fmt: skip
    @precondition(lambda self: self.world.life.serves)
    def it_is_configured_anew(
        self, has_locked: bool, longer: bool, takes: bool, tree: float | None, steps: int
    ) -> None:
        self.world.reconfigure(has_locked=has_locked, longer=longer, plain_takes_disk=takes, tree_seconds=tree)
        self.after(steps)

    @rule(away=st.booleans(), steps=STEPS)
    def nobody_listens(self, away: bool, steps: int) -> None:
        self.world.teller.is_away = away
        self.after(steps)

    # -- slaves

    @rule(names=st.sampled_from(["x", "y", "xy", "xy"]), steps=STEPS, network_first=st.booleans())
    def slaves_connect(self, names: str, steps: int, network_first: bool) -> None:
        for name in names:
            if not self.world.slaves[name].is_up:
                self.world.restart_slave(name, killed=False)
            self.world.connect(name)
        self.after(steps, network_first)

    @rule(name=NAMES, silently=st.booleans(), steps=STEPS)
    def a_connection_breaks(self, name: str, silently: bool, steps: int) -> None:
        connection = self.world.slaves[name].connection
        if connection is not None:
            if silently:
                connection.break_silently()
            else:
                connection.cut()
        self.after(steps)

    @rule(name=NAMES, killed=st.booleans(), connects=st.booleans(), steps=STEPS)
    def a_slave_is_restarted(self, name: str, killed: bool, connects: bool, steps: int) -> None:
        self.world.restart_slave(name, killed=killed)
        if connects:
            self.world.happen(2)
            self.world.connect(name)
        self.after(steps)

    @rule(number=st.integers(0, 50), text=st.sampled_from([b"x\n", b"half a line", b"\xff\n" * 3]), steps=STEPS)
    def a_command_writes(self, number: int, text: bytes, steps: int) -> None:
        self.with_a_command(number, lambda slave, command: slave.write(command, text))
        self.after(steps)

    @rule(number=st.integers(0, 50), rc=RCS, steps=STEPS, network_first=st.booleans())
    def a_command_ends(self, number: int, rc: int, steps: int, network_first: bool) -> None:
        self.with_a_command(number, lambda slave, command: slave.end(command, rc))
        self.after(steps, network_first)

    @rule(rcs=st.lists(RCS, min_size=1, max_size=8))
    def commands_end_one_after_another(self, rcs: list[int]) -> None:
        for rc in rcs:
            self.with_a_command(0, lambda slave, command, rc=rc: slave.end(command, rc))  # type: ignore[misc]
            self.world.happen()

    def with_a_command(self, number: int, do: Callable[[FakeSlave, FakeCommand], None]) -> None:
        running = self.world.running
        if running:
            do(*running[number % len(running)])

    # -- fate

    @rule(steps=STEPS, network_first=st.booleans())
    def things_happen(self, steps: int, network_first: bool) -> None:
        self.after(steps, network_first)

    @rule(seconds=TIMES)
    def time_passes(self, seconds: float) -> None:
        self.world.let_pass(seconds)

    @rule(steps=STEPS, come=st.booleans(), stay=st.booleans(), later=STEPS)
    def the_master_dies(self, steps: int, come: bool, stay: bool, later: int) -> None:
        self.world.die()
        self.after(steps)
        if come:
            for name in SLAVES:
                self.world.connect(name)
            self.after(later)
        if come and not stay:
            for slave in self.world.slaves.values():
                if slave.connection is not None:
                    slave.connection.cut()
            self.after(later)

    @rule(steps=STEPS)
    @precondition(lambda self: self.world.life.serves)
    def the_master_is_restarted(self, steps: int) -> None:
        self.world.stop_and_start()
        self.after(steps)

    # -- what holds

    @invariant()
    def promises_are_kept(self) -> None:
        if not hasattr(self, "world"):
            return
        for promise in ALWAYS:
            promise(self.world)
        assert not self.problems.seen, "\n".join(self.problems.seen)

    def come_to_rest(self) -> None:
        """The slaves are there (or one is gone), nothing is paused, every command ends: then every build does."""
        world = self.world
        if self.goes:
            world.slaves["x"].end_process()
            world.slaves["x"].is_gone = True
        world.teller.is_away = False
        world.happen()
        self.unpause()
        for _ in range(ROUNDS_OF_REST):
            for name, slave in world.slaves.items():
                if not slave.is_up and not slave.is_gone:
                    world.restart_slave(name, killed=True)
                if slave.connection is None:
                    world.connect(name)
            world.happen()
            while running := world.running:
                slave, command = running[0]
                slave.write(command, b"to rest\n")
                slave.end(command, 0)
                world.happen()
                if slave.connection is None or command.outcome is None:
                    break
            self.promises_are_kept()
            if self.rests():
                break
            world.let_pass(PATIENCE_SECONDS / 4)
        for promise in AT_REST:
            promise(world)
        for work in world.life.work:
            work.addErrback(lambda why: why.raiseException())
            assert work.called

    def rests(self) -> bool:
        try:
            for promise in AT_REST:
                promise(self.world)
        except AssertionError:
            return False
        return True


