"""What holds at every moment of a world, and what holds when it has come to rest."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace
from typing import Any

from buildbot.model import BuilderID, BuildRequestID, BuildsetID, CommandID, CommandState, Result
from buildbot.process.results import worst_of
from buildbot.status.web.waits import Waits
from buildbot.store import builders, builds, buildsets, requests
from buildbot.store.logfiles import Channel
from tests.lives.world import World

PLACES = """
SELECT r.id, r.parked_reason IS NOT NULL, r.claimed_at IS NOT NULL, r.complete_at IS NOT NULL, r.result IS NOT NULL,
       count(b.id) FILTER (WHERE b.complete_at IS NULL)
FROM build_requests AS r LEFT JOIN build_requests_of_builds AS m ON m.request_id = r.id
LEFT JOIN builds AS b ON b.id = m.build_id GROUP BY r.id
"""


def requests_are_in_one_place(world: World) -> None:
    """Complete, parked, waiting, or claimed by exactly one running build."""
    for id, parked, claimed, complete, has_result, running in world.life.store.all(lambda *row: row, PLACES):
        assert complete == has_result, f"request {id}"
        assert running == (1 if claimed and not complete else 0), f"request {id}: {running} running builds"
        assert not (parked and claimed), f"request {id} is parked and claimed"


def what_waits_says_why(world: World) -> None:
    store, parts = world.life.store, world.life.parts
    master: Any = SimpleNamespace(store=store, config=parts.config, in_the_way=parts.assigning.in_the_way)
    waiting = store.column("SELECT id FROM build_requests WHERE claimed_at IS NULL AND complete_at IS NULL")
    asked = [request for id in waiting if (request := requests.get(store, BuildRequestID(id))) is not None]
    names = {request.builder_id: row.name for request in asked if (row := builders.get(store, request.builder_id))}
    waits = Waits(master, set(names.values()), world.life.now())
    for request in asked:
        assert waits.why(names[request.builder_id], request).text, f"request {request.id} waits, nobody knows why"


def memory_is_as_the_store(world: World) -> None:
    stored = {build.id for build in builds.running(world.life.store)}
    assert set(world.life.parts.under_way.by_id) == stored


def no_command_runs_twice(world: World) -> None:
    ran = Counter(command.id for slave in world.slaves.values() for command in slave.ran)
    assert not {id for id, count in ran.items() if count > 1}


def no_step_of_a_build_runs_twice(world: World) -> None:
    twice = world.life.store.column(
        "SELECT s.id FROM commands AS c JOIN steps AS s ON s.id = c.step_id WHERE c.name = 'shell' "
        "GROUP BY s.id HAVING count(*) > 1"
    )
    assert not twice, f"steps {twice}"


def locks_keep_their_limits(world: World) -> None:
    """As the store and the slaves have it, not as the locks themselves do."""
    store = world.life.store
    wanted = set(commands_wanted(world))
    under_net = [
        (slave.name, command.id)
        for slave, command in world.running
        if command.text == "net" and int(command.id) in wanted
    ]
    assert len(under_net) <= 1, f"lock net is held by {under_net}"
    running = Counter(
        store.column("SELECT br.name FROM builds AS b JOIN builders AS br ON br.id = b.builder_id "
                     "WHERE b.complete_at IS NULL")
    )  # fmt: skip
    assert running["locked"] <= 1, "lock disk is held twice exclusively"


def locks_are_held_by_what_runs(world: World) -> None:
    running = set(world.life.parts.under_way.by_id)
    for lock in world.life.parts.under_way.locks.overview():
        for claim in lock.holders:
            assert claim.user.build in running, f"{lock.key} is held by {claim.user}, which is over"
        used = sum(claim.wants[lock.key].count for claim in lock.holders)
        exclusive = [claim for claim in lock.holders if claim.wants[lock.key].mode == "exclusive"]
        assert not exclusive or len(lock.holders) == 1, f"{lock.key} is not held exclusively"
        assert exclusive or used <= lock.limit, f"{lock.key} is held {used} times of {lock.limit}"


def commands_wanted(world: World) -> list[CommandID]:
    return [
        CommandID(id) for id in world.life.store.column("SELECT id FROM commands WHERE state IN ('ordered', 'running')")
    ]


def buildsets_have_the_worst_result(world: World) -> None:
    store = world.life.store
    for (id,) in store.all(lambda *row: row, "SELECT id FROM buildsets"):
        found, asked = buildsets.get(store, BuildsetID(id)), requests.of_buildset(store, BuildsetID(id))
        assert found is not None
        done = [request.result for request in asked if request.result is not None]
        assert (found.complete_at is not None) == (len(done) == len(asked)), f"buildset {id}"
        if found.complete_at is not None:
            assert found.result == worst_of(done or [Result.SUCCESS]), f"buildset {id}: {found.result} of {done}"


def numbers_have_no_gaps(world: World) -> None:
    store = world.life.store
    for (builder,) in store.all(lambda *row: row, "SELECT id FROM builders"):
        numbers = store.column("SELECT number FROM builds WHERE builder_id = ? ORDER BY id", BuilderID(builder))
        assert numbers == list(range(1, len(numbers) + 1)), f"builder {builder}"


def events_are_told_in_order(world: World) -> None:
    """At least once, and each before any later one."""
    told = list(dict.fromkeys(world.teller.told))
    assert told == sorted(told)
    if told:
        known = world.life.store.column("SELECT id FROM events WHERE id BETWEEN ? AND ? ORDER BY id", told[0], told[-1])
        assert told == known


def who_is_away_is_waited_for_with_a_limit(world: World) -> None:
    parts = world.life.parts
    for build in parts.under_way.by_id.values():
        if build.slavename not in parts.sessions.here and not build._lost:
            assert build.slavename in parts.reattaching.away, f"{build} waits for its slave for ever"
        assert build.session is None or build.session.lost_why is None, f"{build} has a session that is over"


ALWAYS = (
    who_is_away_is_waited_for_with_a_limit,
    requests_are_in_one_place,
    what_waits_says_why,
    memory_is_as_the_store,
    no_command_runs_twice,
    no_step_of_a_build_runs_twice,
    locks_keep_their_limits,
    locks_are_held_by_what_runs,
    buildsets_have_the_worst_result,
    numbers_have_no_gaps,
    events_are_told_in_order,
)


def nothing_is_open(world: World) -> None:
    store = world.life.store
    left = store.column("SELECT id FROM build_requests WHERE complete_at IS NULL AND parked_reason IS NULL")
    assert not left, f"requests {left} are open"
    assert not builds.running(store)
    open_commands = commands_wanted(world)
    assert not open_commands, f"commands {open_commands} are open"
    for table, sql in {
        "steps": "SELECT id FROM steps WHERE complete_at IS NULL",
        "logs": "SELECT id FROM logs WHERE finished_at IS NULL",
        "changes": "SELECT id FROM changes AS c WHERE NOT EXISTS "
        "(SELECT 1 FROM classifications WHERE change_id = c.id AND scheduler = 'any' AND retired = 1)",
    }.items():
        found = store.column(sql)
        assert not found, f"{table} {found} are open"


def nothing_is_held_or_runs(world: World) -> None:
    for lock in world.life.parts.under_way.locks.overview():
        assert not lock.holders and not lock.queue, lock
    for slave in world.slaves.values():
        assert not slave.commands or slave.is_gone, f"{slave.name} still has {list(slave.commands)}"


def everything_was_told(world: World) -> None:
    assert world.teller.told[-1:] == world.life.store.column("SELECT max(id) FROM events")


def logs_hold_what_was_written(world: World) -> None:
    """Byte for byte, of each command that has told its end."""
    store, log_files = world.life.store, world.life.parts.log_files
    ran = {command.id: command for slave in world.slaves.values() for command in slave.ran}
    finished = store.all(
        lambda *row: row, "SELECT id, step_id FROM commands WHERE name = 'shell' AND state = ?", CommandState.FINISHED
    )
    for id, step in finished:
        paths = store.column("SELECT path FROM logs WHERE step_id = ? AND name = 'stdio'", step)
        got = b""
        for path in paths:
            with log_files.read(path) as reader:
                for run, data in reader.pieces(0, reader.size):
                    if run.producer == id and run.channel is Channel.STDOUT:
                        got += data
        written = b"" if str(id) not in ran else ran[str(id)].output
        assert got == written, f"command {id} wrote {written!r}, and its log has {got!r}"


def references_are_whole(world: World) -> None:
    assert world.life.store.all(lambda *row: row, "PRAGMA foreign_key_check") == []


AT_REST = (
    nothing_is_open,
    nothing_is_held_or_runs,
    everything_was_told,
    logs_hold_what_was_written,
    references_are_whole,
)

