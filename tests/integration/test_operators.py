"""What operators do to a real master: pauses over a restart, slaves that are to end, removed builders, clean stops."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from buildbot.model import Result
from tests.integration.a_master import BUILDBOT, AMaster
from tests.integration.test_reconfig import waits_for
from tests.processes import Processes, wait_until


@pytest.fixture
def master(processes: Processes, tmp_path: Path) -> AMaster:
    return AMaster(processes, tmp_path)


def test_a_pause_outlives_kill_9_and_a_graceful_slave_ends_after_its_build(master: AMaster, tmp_path: Path) -> None:
    go = tmp_path / "go"
    master.configure(waits_for(go))
    master.start()
    slave = master.slave()
    master.web.log_in()
    assert master.web.press("/builders/tests", "/builders/tests/pause", comments="tree closed").status == 200
    master.kill()
    master.start()
    wait_until(lambda: master.log.count("slave one is connected") == 2, 60, "the slave")
    assert "by alice: tree closed" in master.web.get("/builders/tests").text
    master.send("r1")
    master.send("r2", branch="slow")
    master.running("slow", 1)
    assert [build.builder for build in master.builds()] == ["slow"]
    master.web.log_in()
    answer = master.web.press("/buildslaves/one", "/buildslaves/one/shutdown", comments="old machine")
    assert "by alice: old machine" in answer.text
    go.write_text("")
    assert master.finished("slow", 1).result is Result.SUCCESS
    assert slave.wait_for_exit(60) == 0
    master.slave()
    assert "old machine" not in master.web.get("/buildslaves").text
    master.web.press("/builders/tests", "/builders/tests/unpause")
    master.idle()
    assert {build.builder for build in master.builds()} == {"slow", "tests"}


def test_what_waits_for_a_removed_builder_is_cancelled_and_for_a_removed_slave_is_not(master: AMaster) -> None:
    master.configure(
        "c['slaves'].append(buildslave.BuildSlave('two', 'secret'))\n"
        "c['builders'].append(util.BuilderConfig(name='more', slavenames=['one', 'two'], factory=runs('true')))\n"
        "c['schedulers'].append(schedulers.AnyBranchScheduler(name='more', builderNames=['more']))\n"
    )
    master.start()
    master.send("r1")
    wait_until(lambda: master.value("SELECT count(*) FROM build_requests") == 2, 60, "both requests")
    master.configure(
        "c['builders'].append(util.BuilderConfig(name='more', slavenames=['one'], factory=runs('true')))\n"
        "c['schedulers'].append(schedulers.AnyBranchScheduler(name='more', builderNames=['more']))\n"
    )
    master.reconfig()
    assert master.value("SELECT count(*) FROM build_requests WHERE complete_at IS NULL") == 2
    master.configure("c['shedulers'] = []\n")
    master.reconfig(code=1)
    assert master.value("SELECT count(*) FROM build_requests WHERE complete_at IS NULL") == 2
    master.configure()
    master.reconfig()
    wait_until(
        lambda: master.value("SELECT count(*) FROM build_requests WHERE complete_at IS NULL") == 1, 60, "the end"
    )
    assert master.rows(
        "SELECT r.cancelled_because, s.result FROM build_requests AS r JOIN buildsets AS s ON s.id = r.buildset_id "
        "JOIN builders AS b ON b.id = r.builder_id WHERE b.name = 'more'"
    ) == [("cancelled by the configuration: it no longer names this builder", Result.CANCELLED)]


class TestCleanStop:
    @pytest.fixture
    def go(self, master: AMaster, tmp_path: Path) -> Path:
        """A build of `slow` runs until this file is there."""
        go = tmp_path / "go"
        master.configure(waits_for(go))
        master.start()
        master.slave()
        master.send("r1", branch="slow")
        master.running("slow", 1)
        return go

    def test_it_says_what_it_waits_for_and_can_be_called_off(self, master: AMaster, go: Path) -> None:
        stopping = master.processes.start([BUILDBOT, "stop", "--clean", master.basedir], name="stop")
        stopping.wait_for_line("waiting at most 3600 s for", timeout=60)
        assert "slow #1 (since " in stopping.output()
        page = master.web.get("/builders").text
        assert "This master is shutting down" in page
        assert "slow #1</a> on one" in page
        assert "goes on" in master.buildbot("stop", "--clean", "--cancel", master.basedir)
        assert stopping.wait_for_exit(60) == 1
        assert "the stop was called off by" in stopping.output()
        assert "shutting down" not in master.web.get("/builders").text
        assert "nothing to call off" in master.buildbot("stop", "--clean", "--cancel", master.basedir, code=1)
        go.write_text("")
        assert master.finished("slow", 1).result is Result.SUCCESS
        master.send("r2", branch="slow")
        master.finished("slow", 2)

    def test_when_its_time_is_up_it_stops_and_says_what_still_runs(self, master: AMaster, go: Path) -> None:
        said = master.buildbot("stop", "--clean", "--timeout", "3", master.basedir)
        assert "it did not wait any longer after 3 s; what still ran: slow #1" in said
        assert "is stopped" in said
        assert "the time is up and slow #1 on one still runs" in master.log

    def test_the_signal_is_the_same(self, master: AMaster, go: Path) -> None:
        assert master.process is not None
        master.process.kill(signal.SIGUSR1)
        wait_until(lambda: "clean shutdown: waiting for slow #1 on one" in master.log, 60, "the log")
        go.write_text("")
        assert master.process.wait_for_exit(60) == 0
        assert {build.builder: build.result for build in master.builds()}["slow"] is Result.SUCCESS
