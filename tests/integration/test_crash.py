"""kill -9 of a slave and of the master at the worst moment: what was acknowledged is there, and all of it is built."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from buildbot.model import Result
from tests.integration.a_master import AMaster
from tests.processes import Process, Processes, wait_until

CHANGES = 200
CONNECTIONS = 4
KILL_AFTER = (50, 120)  # so many acknowledged changes


@pytest.fixture
def master(processes: Processes, tmp_path: Path) -> AMaster:
    return AMaster(processes, tmp_path)


def slow_until(path: Path) -> str:
    """A builder `slow`, whose build runs until the file is there, and never longer than a minute."""
    wait = f"echo began; for i in $(seq 600); do [ -e {path} ] && echo ended && exit 0; sleep 0.1; done; exit 1"
    return f"""
c['builders'].append(util.BuilderConfig(name='slow', slavenames=['one'], factory=runs('sh', '-c', {wait!r})))
c['schedulers'].append(schedulers.AnyBranchScheduler(
    name='slow', builderNames=['slow'], change_filter=util.ChangeFilter(branch='slow')))
c['schedulers'][0] = schedulers.AnyBranchScheduler(
    name='all', builderNames=['tests'], change_filter=util.ChangeFilter(branch='main'))
"""


def test_a_slave_that_is_killed_in_mid_build_loses_nothing(master: AMaster, tmp_path: Path) -> None:
    go = tmp_path / "go"
    master.configure(slow_until(go))
    master.start()
    slave = master.slave()
    master.send("r1", branch="slow")
    master.running("slow", 1)
    wait_until(lambda: b"began" in master.log_file("slow", 1).read_bytes(), what="its first line")
    slave.kill()
    slave.wait_for_exit()
    master.slave()
    cut = master.finished("slow", 1)
    assert cut.result is Result.RETRY
    assert "slave one was restarted" in cut.text
    page = master.web.get("/builders/slow")
    assert "slave one was restarted" in page.text
    assert "began" in master.web.get("/builders/slow/builds/1/steps/run/logs/stdio").text, "what came is kept"

    go.touch()
    again = master.finished("slow", 2)
    assert (again.result, again.attempt) == (Result.SUCCESS, 2)
    master.idle()
    assert [build.number for build in master.builds()] == [1, 2]
    assert master.open_rows() == {}


def acknowledged(senders: list[Process]) -> list[str]:
    return [name for sender in senders for name in re.findall("^acknowledged (.*)$", sender.output(), re.MULTILINE)]


def test_every_acknowledged_change_is_stored_once_and_built_although_the_master_is_killed(
    master: AMaster, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    master.configure(slow_until(go))
    master.start()
    master.slave()
    master.send("s1", branch="slow")
    master.running("slow", 1)

    names = [f"r{number}" for number in range(CHANGES)]
    senders = [master.sending(tuple(names[each::CONNECTIONS]), branch="main") for each in range(CONNECTIONS)]
    for count in KILL_AFTER:
        wait_until(lambda count=count: len(acknowledged(senders)) >= count, 60, f"{count} changes")  # type: ignore[misc]
        master.kill()
        told = acknowledged(senders)
        stored = [name for (name,) in master.rows("SELECT revision FROM changes WHERE branch = 'main'")]
        assert set(told) <= set(stored), "it is stored before it is acknowledged"
        assert len(stored) == len(set(stored))
        master.start()
    for sender in senders:
        assert sender.wait_for_exit(60) == 0
    assert sorted(acknowledged(senders)) == sorted(names)
    assert any("again" in sender.output() for sender in senders), "the kill came in the midst of them"
    go.touch()
    master.idle(120)

    stored = [name for (name,) in master.rows("SELECT revision FROM changes WHERE branch = 'main'")]
    assert sorted(stored) == sorted(names), "each is stored once"
    built = master.rows(
        "SELECT c.revision, b.result FROM changes AS c JOIN source_stamp_changes AS s ON s.change_id = c.id "
        "JOIN buildset_source_stamps AS m ON m.source_stamp_id = s.source_stamp_id "
        "JOIN build_requests AS q ON q.buildset_id = m.buildset_id "
        "JOIN build_requests_of_builds AS o ON o.request_id = q.id JOIN builds AS b ON b.id = o.build_id "
        "WHERE c.branch = 'main'"
    )
    ended = [(name, Result(result)) for name, result in built if result != Result.RETRY]
    assert sorted(ended) == sorted((name, Result.SUCCESS) for name in names), "each is built once, to its end"

    slow = [build for build in master.builds() if build.builder == "slow"]
    assert [build.result for build in slow] == [Result.SUCCESS], "it went on over each kill"
    assert master.open_rows() == {}
    assert master.log.count("ended without saying so") == len(KILL_AFTER)
    assert "Traceback" not in master.log
