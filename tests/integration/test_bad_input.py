"""Whatever comes from outside, a running master says what is wrong with it, and goes on with everything else."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import pytest

from buildbot.model import Result
from buildbot.store.logfiles import Channel, LogReader
from tests.integration.a_master import AMaster
from tests.processes import Process, Processes, pid_alive, wait_until

LOGIN_SECONDS = 30
ODD = "a/b <x>"
ODD_PATH = "/builders/a%2Fb%20%3Cx%3E"
OUTPUT_BYTES = 300_000_000
MOST_GROWTH_KB = 60_000


@pytest.fixture
def master(processes: Processes, tmp_path: Path) -> AMaster:
    return AMaster(processes, tmp_path)


# -- slaves and strangers


def talk(master: AMaster, data: bytes) -> socket.socket:
    """A connection to the Perspective Broker port on which this was said."""
    connection = socket.create_connection(("127.0.0.1", master.pb_port))
    with contextlib.suppress(ConnectionError):
        connection.sendall(data)
    return connection


def hear_the_end(connection: socket.socket, within: float) -> None:
    """Read until the master ends the connection."""
    connection.settimeout(within)
    with closing(connection), contextlib.suppress(ConnectionError):
        while connection.recv(1000):
            pass


def test_strangers_and_wrong_logins_disturb_nobody(master: AMaster) -> None:
    """Whoever begins a message and then says nothing is dropped when the time for its login is over."""
    master.start()
    # The choice of the dialect and half a list; and what is not known to be no message before more of it comes.
    began = time.monotonic()
    silent = [talk(master, b"\x02\x82pb\x05\x80\x07\x82mes"), talk(master, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")]
    slave = master.slave()

    wrong = master.slave("one", "guessed", directory="wrong-password", wait=False)
    unknown = master.slave("nobody", directory="unknown", wait=False)
    for process, name in ((wrong, "one"), (unknown, "nobody")):
        process.wait_for_line(f"the master refuses the login of '{name}'.*Check slavename and passwd", 60)
    wait_until(lambda: "refused the login of 'one' from 127.0.0.1: the password is wrong" in master.log)
    wait_until(lambda: "refused the login of 'nobody' from 127.0.0.1: no slave or change source" in master.log)
    assert "guessed" not in master.log

    for garbage in (bytes(range(256)), b"\x00" * 100_000, b"\xff" * 5000):
        hear_the_end(talk(master, garbage), within=10)
    assert "does not speak Perspective Broker" in master.log

    assert slave.running
    master.send("r1")
    assert master.finished("tests", 1).result is Result.SUCCESS
    for connection in silent:
        hear_the_end(connection, within=LOGIN_SECONDS + 15)
    assert LOGIN_SECONDS - 1 < time.monotonic() - began < LOGIN_SECONDS + 10
    assert "Traceback" not in master.log
    assert master.log.count("slave one is connected") == 1


def slow(path: Path) -> str:
    wait = f"for i in $(seq 600); do [ -e {path} ] && exit 0; sleep 0.1; done; exit 1"
    return (
        f"c['builders'][0] = util.BuilderConfig(name='tests', slavenames=['one'], factory=runs('sh', '-c', {wait!r}))\n"
    )


def test_the_newest_of_two_slaves_with_one_name_wins_and_the_build_is_tried_again(
    master: AMaster, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    master.configure(slow(go))
    master.start()
    first = master.slave(directory="first")
    master.send("r1")
    master.running("tests", 1)
    first.kill(19)  # SIGSTOP: it hangs, and its connection is there all the same
    second = master.slave(directory="second")
    cut = master.finished("tests", 1)
    assert cut.result is Result.RETRY
    assert "slave one was restarted" in cut.text
    master.running("tests", 2)
    go.touch()
    assert master.finished("tests", 2).result is Result.SUCCESS
    assert second.running
    master.idle()
    assert master.open_rows() == {}
    first.kill(18)  # SIGCONT


def test_two_living_slaves_with_one_name_cost_no_request(master: AMaster, tmp_path: Path) -> None:
    """The second is told why it is not taken, and taken once the first has ended."""
    go = tmp_path / "go"
    master.configure(slow(go))
    master.start()
    first = master.slave(directory="first")
    master.send("r1")
    master.running("tests", 1)
    second = master.slave(directory="second", wait=False)
    second.wait_for_line("another slave of this name is connected from 127.0.0.1, in .*/first, and answers")
    go.touch()
    assert master.finished("tests", 1).result is Result.SUCCESS
    assert len(master.builds()) == 1
    first.stop()
    wait_until(lambda: master.log.count("slave one is connected") == 2, 60, "the second slave")
    master.send("r2")
    assert master.finished("tests", 2).result is Result.SUCCESS


def test_what_costs_its_slave_each_time_is_parked_and_can_be_tried_again(master: AMaster, tmp_path: Path) -> None:
    """The reason is shown before it is tried for ever."""
    go = tmp_path / "go"
    master.configure(slow(go))
    master.start()
    for number in range(1, 5):
        slave = master.slave()
        if number == 1:
            master.send("r1")
        master.running("tests", number)
        slave.kill()
        slave.wait_for_exit()
    slave = master.slave()
    wait_until(lambda: master.value("SELECT parked_reason FROM build_requests"), 60, "the request to be parked")
    assert "slave one was restarted" in master.value("SELECT parked_reason FROM build_requests")
    assert "parked: tried 4 times" in master.web.get("/builders/tests").text
    go.touch()
    assert {build.result for build in master.builds()} == {Result.RETRY}
    master.web.log_in()
    page = "/builders/tests/builds/4"
    assert "will be built again" in master.web.press(page, f"{page}/rebuild").text
    assert master.finished("tests", 5).result is Result.SUCCESS


# -- changes


def sendchange(master: AMaster, *words: str | Path, code: int = 0) -> str:
    return master.buildbot("sendchange", "-m", f"127.0.0.1:{master.pb_port}", "-W", "ann", *words, code=code)


def test_an_oversized_change_is_refused_and_the_others_go_on(master: AMaster, tmp_path: Path) -> None:
    master.start()
    master.slave()
    (tmp_path / "comments").write_text("x" * 600_000)
    properties = [word for each in range(4) for word in ("-p", f"p{each}:{'y' * 120_000}")]
    said = sendchange(master, "-r", "large", "-F", tmp_path / "comments", *properties, code=1)
    assert "change NOT sent" in said
    assert "at most 1000000 are taken" in said
    assert "Traceback" not in said
    assert len(said) < 1000
    wait_until(lambda: "refused a change from 127.0.0.1: the change is" in master.log)

    many = {"who": "ann", "revision": "many", "files": [f"f{number}" for number in range(10_001)]}
    assert "again" in one_try(master, many).output()
    assert master.value("SELECT count(*) FROM changes") == 0
    master.send("small")
    assert master.finished("tests", 1).result is Result.SUCCESS
    assert master.value("SELECT revision FROM changes") == "small"


def one_try(master: AMaster, change: Mapping[str, object]) -> Process:
    """Send a change that will not be taken, and give up after the first answer."""
    script = master.where / "change.py"
    script.write_text(
        f"import sys\nfrom tests.integration.a_master import SENDER\n"
        f"sys.argv[1:] = {[master.pb_host, str(master.pb_port)]!r}"
        f" + [{repr(change)!r}]\nexec(SENDER)\n"
    )
    process = master.processes.python(script, name="one-try", env={"PYTHONPATH": str(Path(__file__).parents[2])})
    process.wait_for_line("again|acknowledged")
    process.stop()
    return process


def test_a_change_of_wild_bytes_is_stored_and_shown_as_text(master: AMaster) -> None:
    master.start()
    master.slave()
    comments = b"caf\xe9 \x00 <script>alert('x')</script> & \xed\xa0\x80 \xf0\x9f\x8e\x89\nsecond <b>line</b>"
    master.send("wild", comments=comments, who=b"<i>\xff\x00</i> <a@b>", branch=b"b\xff<u>", files=[b"d\xff/<s>\x00"])
    assert master.finished("tests", 1).result is Result.SUCCESS
    stored = master.value("SELECT comments FROM changes")
    assert stored.startswith("caf\N{REPLACEMENT CHARACTER} \N{REPLACEMENT CHARACTER} <script>")
    assert "\N{PARTY POPPER}" in stored
    paths = ("/changes", "/changes/1", "/waterfall", "/builders/tests/builds/1", "/builders", "/builders/tests")
    pages = {path: master.web.get(path) for path in paths}
    for path, page in pages.items():
        assert page.status == 200, path
        for raw in ("<script>alert", "<b>line", "<i>", "<u>", "<s>", "\0"):
            assert raw not in page.text, (path, raw)
    for path in ("/changes", "/changes/1", "/builders/tests/builds/1"):
        assert "&lt;script&gt;" in pages[path].text, path
    assert "&lt;b&gt;line" in pages["/changes/1"].text
    assert "/&lt;s&gt;" in pages["/changes/1"].text


# -- a builder with an odd name


def test_a_builder_of_any_name_is_built_shown_and_kept_apart(master: AMaster) -> None:
    master.configure(
        f"c['builders'].append(util.BuilderConfig(name={ODD!r}, slavenames=['one'],"
        " factory=util.BuildFactory([steps.ShellCommand(name='s/t <y>', command=['echo', 'hello <z>'])])))\n"
        f"c['schedulers'] = [schedulers.AnyBranchScheduler(name='all', builderNames=['tests', {ODD!r}]),\n"
        f"    schedulers.ForceScheduler(name='force', builderNames=[{ODD!r}])]\n"
    )
    master.start()
    master.slave()
    sendchange(master, "-r", "r1", "a.c")
    assert master.finished(ODD, 1).result is Result.SUCCESS
    master.web.log_in()
    assert master.web.press(ODD_PATH, f"{ODD_PATH}/force", forcescheduler="force", reason="why not").status == 200
    assert master.finished(ODD, 2).result is Result.SUCCESS

    log = f"{ODD_PATH}/builds/2/steps/s%2Ft%20%3Cy%3E/logs/stdio"
    for path in (ODD_PATH, f"{ODD_PATH}/builds/2", f"{ODD_PATH}/builds/2/steps/s%2Ft%20%3Cy%3E", log):
        page = master.web.get(path)
        assert page.status == 200, path
        assert "a/b &lt;x&gt;" in page.text
        assert "<x>" not in page.text
        assert page.address.endswith(path)
    assert "hello &lt;z&gt;" in master.web.get(log).text
    for path in ("/builders", "/waterfall", "/buildslaves/one", "/waterfall?builder=a%2Fb+%3Cx%3E"):
        page = master.web.get(path)
        assert f'href="{ODD_PATH}' in page.text, path
        assert "<x>" not in page.text

    logs = master.basedir / "logs"
    file = master.log_file(ODD, 2)
    assert "hello <z>" in file.read_text()
    assert len(file.relative_to(logs).parts) == 3, "builder, build, log"
    made = [path.name for path in (master.where / "slave-one").iterdir() if path.is_dir()]
    assert not {"a", "b <x>"} & set(made)
    assert not list(master.where.glob("**/b <x>"))
    assert master.open_rows() == {}


# -- output without end


def peak_kb(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1])


def test_300_mb_without_a_newline_cost_no_memory(master: AMaster) -> None:
    shout = f"yes | tr -d '\\n' | head -c {OUTPUT_BYTES}"
    master.configure(f"c['builders'][0].factory = runs('sh', '-c', {shout!r})\n")
    process = master.start()
    slave = master.slave()
    master.web.get("/waterfall")
    before = peak_kb(process.pid), peak_kb(slave.pid)
    master.send("r1")
    master.running("tests", 1)
    page = "/builders/tests/builds/1/steps/run/logs/stdio"
    wait_until(lambda: master.log_file("tests", 1).stat().st_size > OUTPUT_BYTES / 10, 60, "a tenth of it")
    running = master.web.get(page)
    assert running.status == 200
    assert len(running.text) < 2_000_000
    assert master.finished("tests", 1, 150).result is Result.SUCCESS

    file = master.log_file("tests", 1)
    with LogReader(file) as reader:
        assert sum(len(piece) for piece in reader.channel(Channel.STDOUT)) == OUTPUT_BYTES
    assert master.value("SELECT size FROM logs") == file.stat().st_size
    done = master.web.get(page)
    assert done.status == 200
    assert len(done.text) < 2_000_000
    assert "yyyyyyyy" in done.text
    assert master.web.get("/builders/tests/builds/1").status == 200
    assert peak_kb(process.pid) - before[0] < MOST_GROWTH_KB
    assert peak_kb(slave.pid) - before[1] < MOST_GROWTH_KB
    assert pid_alive(process.pid)
