"""A command is run once an attempt, whatever the store and the slave forget; and what people do about slaves that are
away.
"""

from __future__ import annotations

import signal
from contextlib import closing
from pathlib import Path

import pytest

from buildbot.model import Result
from buildbot.store.commands import GAP
from buildbot.store.store import connect
from tests.integration.a_master import AMaster
from tests.processes import Process, Processes, wait_until

TWO_STEPS = """
c['builders'] = [util.BuilderConfig(name='tests', slavenames=['one'], factory=util.BuildFactory([
    steps.ShellCommand(name='first', command='echo first >> {ran}; echo out'),
    steps.ShellCommand(name='second', command='echo second >> {ran}; echo $$ > {pid}; '
                       'while ! [ -e {go} ]; do sleep 0.05; done'),
]))]
"""


@pytest.fixture
def master(processes: Processes, tmp_path: Path) -> AMaster:
    return AMaster(processes, tmp_path)


SWALLOWS = """
from buildbot.process.buildstep import BuildStep, RemoteShellCommand
from buildbot.process.results import FAILURE, SUCCESS


class First(BuildStep):
    def start(self):
        d = self.runCommand(RemoteShellCommand('build', 'echo first >> {ran}; echo out'))
        d.addCallbacks(lambda command: self.finished(SUCCESS), lambda why: self.finished(FAILURE))
"""


def begin(master: AMaster, config: str = TWO_STEPS) -> Process:
    """A build in its second step."""
    ran, pid, go = (master.where / name for name in ("RAN", "PID", "GO"))
    master.configure(config.format(ran=ran, pid=pid, go=go))
    master.start()
    slave = master.slave()
    master.send("r1", branch="main")
    wait_until(lambda: pid.exists() and pid.read_text().strip(), 60, "the second step")
    return slave


def ran(master: AMaster) -> list[str]:
    return (master.where / "RAN").read_text().split()


def forget(master: AMaster, *statements: str) -> None:
    """What a loss of power may do to the store: the last transactions were never there."""
    with closing(connect(master.basedir / "state.sqlite")) as connection:
        for statement in statements:
            connection.execute(statement)


FORGET_THE_END_OF_THE_FIRST = (
    "DELETE FROM steps WHERE number = 1",
    "UPDATE steps SET complete_at = NULL, result = NULL",
    "UPDATE commands SET state = 'ordered', finished_at = NULL, outcome = NULL",
    "UPDATE logs SET finished_at = NULL, size = NULL, lines = NULL",
)


@pytest.mark.parametrize("restarted", [False, True], ids=["the slave knows it", "the slave was restarted too"])
def test_a_command_whose_end_the_master_has_forgotten_is_not_run_again(master: AMaster, restarted: bool) -> None:
    slave = begin(master)
    master.kill()
    forget(master, *FORGET_THE_END_OF_THE_FIRST)
    if restarted:
        slave.kill(signal.SIGKILL)
        slave.wait_for_exit()
    (master.where / "GO").touch()
    master.start()
    if restarted:
        master.slave()
    first = master.finished("tests", 1)
    assert first.result is Result.RETRY
    step = "SELECT s.state_text FROM steps AS s JOIN builds AS b ON b.id = s.build_id WHERE b.number = 1"
    why = "slave one was restarted" if restarted else "the slave does not know it any more"
    assert why in f"{first.text} {master.value(step)}"
    again = master.finished("tests", 2)
    assert (again.result, again.attempt) == (Result.SUCCESS, 2)
    assert ran(master) == ["first", "second"] * 2
    assert "Traceback" not in master.log


def test_a_step_that_takes_the_loss_of_its_command_for_a_failure_is_retried_all_the_same(master: AMaster) -> None:
    shell = "steps.ShellCommand(name='first', command='echo first >> {ran}; echo out')"
    assert shell in TWO_STEPS
    begin(master, SWALLOWS + TWO_STEPS.replace(shell, "First(name='first')"))
    master.kill()
    forget(master, *FORGET_THE_END_OF_THE_FIRST)
    (master.where / "GO").touch()
    master.start()
    first = master.finished("tests", 1)
    assert (first.result, first.text) == (
        Result.RETRY,
        "retry: shell was lost: the slave does not know it any more",
    )
    assert master.finished("tests", 2).result is Result.SUCCESS
    assert ran(master) == ["first", "second"] * 2


def test_a_build_that_the_master_has_forgotten_does_not_stand_in_the_way_of_the_next(master: AMaster) -> None:
    begin(master)
    master.kill()
    forget(
        master,
        "DELETE FROM builds",
        "UPDATE build_requests SET claimed_at = NULL",
        "UPDATE builders SET last_number = 0",
        "DELETE FROM sqlite_sequence WHERE name IN ('builds', 'steps', 'logs')",
        f"UPDATE sqlite_sequence SET seq = {GAP} WHERE name = 'commands'",  # as it was on the disk since the start
    )
    (master.where / "GO").touch()
    master.start()
    build = master.finished("tests", 1)
    assert (build.result, build.attempt) == (Result.SUCCESS, 1)
    assert ran(master) == ["first", "second"] * 2
    (path,) = [path for (path,) in master.rows("SELECT path FROM logs") if "first" in path]
    assert (master.basedir / "logs" / path).read_text().count("\nout\n") == 1
    assert "Traceback" not in master.log


def freeze(master: AMaster, slave: Process) -> int:
    """The slave stands still while the master is killed and started again. The process of its command."""
    slave.kill(signal.SIGSTOP)
    master.kill()
    master.start()
    master.web.log_in()
    wait_until(lambda: ">away<" in master.web.get("/buildslaves").text, 60, "the slave is away")
    return int((master.where / "PID").read_text())


def is_gone(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


def test_a_build_is_stopped_right_after_a_restart_while_its_slave_stands_still(master: AMaster) -> None:
    slave = begin(master)
    pid = freeze(master, slave)
    assert "its build waits" in master.web.get("/buildslaves/one").text
    address = "/builders/tests/builds/1"
    assert master.web.press(address, f"{address}/stop", comments="enough").status == 200
    build = master.finished("tests", 1)
    assert (build.result, build.text) == (Result.CANCELLED, "cancelled: stopped by alice: enough")
    assert "alice" in master.web.get("/actions").text
    assert ">detached<" in master.web.get("/buildslaves/one").text
    assert not is_gone(pid)
    slave.kill(signal.SIGCONT)
    wait_until(lambda: is_gone(pid), 60, "the end of the command")
    wait_until(lambda: ">detached<" not in master.web.get("/buildslaves/one").text, 60, "the slave is free")
    assert master.open_rows() == {}
    assert "Traceback" not in master.log


def test_a_slave_is_given_up_and_freed(master: AMaster) -> None:
    slave = begin(master)
    freeze(master, slave)
    page = "/buildslaves/one"
    answer = master.web.press(page, f"{page}/giveup", comments="it burnt")
    assert "one is given up: 1 build will be tried again." in answer.text
    build = master.finished("tests", 1)
    assert (build.result, build.text) == (Result.RETRY, "retry: slave one was given up by alice: it burnt")
    assert "one is free of 1 command." in master.web.press(page, f"{page}/free").text
    assert ">detached<" not in master.web.get(page).text
    done = master.web.get("/actions").text
    assert "give up slave" in done
    assert "free slave" in done
    slave.kill(signal.SIGCONT)
    (master.where / "GO").touch()
    assert master.finished("tests", 2).result is Result.SUCCESS
    assert ran(master) == ["first", "second"] * 2
