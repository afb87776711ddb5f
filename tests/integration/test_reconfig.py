"""A running master and its master.cfg: mistakes are refused as a whole, and what is accepted disturbs nobody."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from buildbot.model import Result
from tests.integration.a_master import AMaster, Visitor
from tests.processes import Processes, port_answers, wait_until

# A misspelt key, a misspelt argument, and a slave that there is not.
MISTAKES = """\
c['shedulers'] = []
wrong = steps.ShellCommand(comand=['true'])
c['builders'].append(util.BuilderConfig(name='more', slavenames=['on'], factory=runs('true')))
c['schedulers'].append(schedulers.AnyBranchScheduler(name='more', builderNames=['more']))
"""


@pytest.fixture
def master(processes: Processes, tmp_path: Path) -> AMaster:
    return AMaster(processes, tmp_path)


def waits_for(path: Path) -> str:
    """A builder `slow` whose build runs until the file is there."""
    return f"""
c['builders'].append(util.BuilderConfig(name='slow', slavenames=['one'], factory=runs(
    'sh', '-c', 'echo began; while ! [ -e {path} ]; do sleep 0.05; done; echo ended')))
c['schedulers'].append(schedulers.AnyBranchScheduler(
    name='slow', builderNames=['slow'], change_filter=util.ChangeFilter(branch='slow')))
"""


def lines_of(config: Path, *texts: str) -> list[int]:
    lines = config.read_text().splitlines()
    return [next(number for number, line in enumerate(lines, 1) if text in line) for text in texts]


def assert_all_three_are_shown(said: str, config: Path) -> None:
    key, argument, slave = lines_of(config, "c['shedulers']", "comand=", "name='more', slavenames")
    assert re.search(rf"{config}:{key}: .*shedulers.*did you mean 'schedulers'\?", said)
    assert re.search(rf"{config}:{argument}: .*comand.*did you mean 'command'\?", said)
    assert re.search(rf"{config}:{slave}: .*no slave 'on'.*did you mean 'one'\?", said)
    assert said.count(f"{config}:") == 3 + said.count(": 3 mistakes")
    assert "Traceback" not in said


def test_three_mistakes_are_three_messages_with_their_lines_and_the_nearest_names(master: AMaster) -> None:
    master.configure(MISTAKES)
    config = master.basedir / "master.cfg"
    assert_all_three_are_shown(master.buildbot("checkconfig", master.basedir, code=1), config)
    assert_all_three_are_shown(master.buildbot("start", master.basedir, code=1), config)
    assert not port_answers(master.pb_port)


def test_a_refused_configuration_changes_nothing_and_is_shown_until_a_good_one_comes(master: AMaster) -> None:
    process = master.start()
    master.slave()
    master.configure(MISTAKES)
    config = master.basedir / "master.cfg"
    for _ in range(2):
        said = master.reconfig(code=1)
        assert_all_three_are_shown(said, config)
        assert "old one stays in force" in said
    master.send("r1")
    assert master.finished("tests", 1).result is Result.SUCCESS
    for path in ("/about", "/waterfall", "/builders/tests"):
        page = master.web.get(path)
        assert page.status == 200
        assert "did you mean &#39;schedulers&#39;?" in page.text
        assert "refused" in page.text
    assert "more" not in [name for (name,) in master.rows("SELECT name FROM builders")]

    master.configure()
    assert "new configuration" in master.reconfig()
    for path in ("/about", "/waterfall"):
        assert "did you mean" not in master.web.get(path).text
    assert process.running


def test_a_configuration_that_raises_or_is_gone_is_refused_as_well(master: AMaster) -> None:
    master.start()
    master.configure("raise ZeroDivisionError('oops')\n")
    config = master.basedir / "master.cfg"
    (line,) = lines_of(config, "raise Zero")
    assert f"{config}:{line}: ZeroDivisionError: oops" in master.reconfig(code=1)
    master.configure("c['title'] = (\n")
    assert "SyntaxError" in master.reconfig(code=1)
    config.unlink()
    assert "master.cfg" in master.reconfig(code=1)
    assert master.web.get("/builders/tests").status == 200


MORE = """
c['slaves'].append(buildslave.BuildSlave('two', 'secret'))
c['builders'].append(util.BuilderConfig(name='more', slavenames=['two'], factory=runs('true')))
c['schedulers'].append(schedulers.AnyBranchScheduler(
    name='more', builderNames=['more'], change_filter=util.ChangeFilter(branch='more')))
c['change_source'].append(changes.PBChangeSource(user='second', passwd='changepw'))
"""


def requests(master: AMaster, builder: str) -> int:
    sql = "SELECT count(*) FROM build_requests AS q JOIN builders AS b ON b.id = q.builder_id WHERE b.name = ?"
    return int(master.value(sql, builder))


def can_log_in(master: AMaster, user: str) -> bool:
    """Whether a change source takes this user. The change that is sent is the same each time."""
    words = ("sendchange", "-m", f"127.0.0.1:{master.pb_port}", "-a", f"{user}:changepw", "-W", "ann", "-r", "login")
    return "sent successfully" in master.buildbot(*words, "-b", "other", "a.c", code=None)


def test_what_comes_and_goes_leaves_a_running_build_alone(master: AMaster, tmp_path: Path) -> None:
    go = tmp_path / "go"
    master.configure(waits_for(go))
    master.start()
    slave = master.slave()
    master.send("r1", branch="slow")
    master.running("slow", 1)
    assert not can_log_in(master, "second")

    master.configure(waits_for(go) + MORE)
    master.reconfig()
    master.slave("two")
    master.send("r2", branch="more")
    assert master.finished("more", 1).slave == "two"
    assert can_log_in(master, "second")

    master.configure(waits_for(go))
    master.reconfig()
    wait_until(lambda: master.rows("SELECT 1 FROM slaves WHERE name = 'two' AND connected_at IS NULL"))
    assert not can_log_in(master, "second")
    assert requests(master, "more") == 1
    master.send("r3", branch="more")
    assert "no longer names this builder" in master.web.get("/builders/more").text
    assert master.web.get("/builders/more/builds/1").status == 200, "what was built is still there"

    go.touch()
    build = master.finished("slow", 1)
    assert (build.result, build.attempt, build.slave) == (Result.SUCCESS, 1, "one")
    assert [b.number for b in master.builds() if b.builder == "slow"] == [1]
    assert "began\nended\n" in master.log_file("slow", 1).read_text()
    assert master.log.count("slave one is connected") == 1, "it was never thrown out"
    assert slave.running
    master.idle()
    assert requests(master, "more") == 1, "its scheduler has gone too"
    assert master.open_rows() == {}


def test_the_builder_of_a_running_build_may_go(master: AMaster, tmp_path: Path) -> None:
    go = tmp_path / "go"
    master.configure(waits_for(go))
    master.start()
    master.slave()
    master.send("r1", branch="slow")
    master.running("slow", 1)
    master.configure()
    master.reconfig()
    go.touch()
    assert master.finished("slow", 1).result is Result.SUCCESS
    master.configure(waits_for(go))
    master.reconfig()
    master.send("r2", branch="slow")
    assert master.finished("slow", 2).result is Result.SUCCESS, "numbers go on where they were"


def test_two_who_log_in_by_one_name_are_refused_before_anything_changes(master: AMaster) -> None:
    for more in (
        "c['change_source'].append(changes.PBChangeSource(user='one', passwd='x'))\n",
        "c['change_source'].append(changes.PBChangeSource(user='change', passwd='x', prefix='src/'))\n",
    ):
        master.configure(more)
        said = master.buildbot("checkconfig", master.basedir, code=1)
        (line,) = lines_of(master.basedir / "master.cfg", "passwd='x'")
        assert f"master.cfg:{line}: " in said
        assert re.search("both log in as .(one|change).", said)


def test_a_port_that_is_taken_keeps_the_configuration_that_works(master: AMaster, free_port: Callable[[], int]) -> None:
    process = master.start()
    master.slave()
    taken = free_port()
    with socket.create_server(("127.0.0.1", taken)):
        master.configure(f"c['www']['port'] = 'tcp:{taken}:interface=127.0.0.1'\nc['title'] = 'Moved'\n" + MORE)
        said = master.reconfig(code=1)
    assert str(taken) in said
    page = master.web.get("/about")
    assert page.status == 200, "the page is where it was"
    assert str(taken) in page.text
    assert "Moved" not in page.text
    master.send("r1")
    assert master.finished("tests", 1).result is Result.SUCCESS
    assert process.running
    assert master.log.count("slave one is connected") == 1


def test_the_ports_may_move(master: AMaster, free_port: Callable[[], int]) -> None:
    master.start()
    slave = master.slave()
    old = (master.pb_port, master.http_port)
    master.pb_port, master.http_port = free_port(), free_port()
    master.web = Visitor(f"http://127.0.0.1:{master.http_port}")
    master.configure()
    master.reconfig()
    assert master.web.get("/about").status == 200
    wait_until(lambda: not port_answers(old[0]) and not port_answers(old[1]), what="the old ports to close")
    slave.stop()
    master.slave()
    master.send("r1")
    assert master.finished("tests", 1).result is Result.SUCCESS
