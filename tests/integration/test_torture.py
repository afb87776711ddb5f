"""Short forms of `make torture` and of the demonstration, and each of the named gaps."""

from __future__ import annotations

import re
from contextlib import closing
from pathlib import Path

import pytest

from buildbot.store.store import connect
from tests.processes import Processes, wait_until
from tests.torture import recorder
from tests.torture.demonstration import Demonstration
from tests.torture.gaps import GAPS
from tests.torture.rounds import Torture


def test_nothing_is_lost_whatever_is_killed(processes: Processes, tmp_path: Path) -> None:
    Torture(processes, tmp_path, seed=20080815).run(rounds=8)


BROKEN = (
    "changes: Counter({'never acknowledged': 1})",
    "has 2, its last build 0",
    "plain/1/first ran 2 times",
    "plain/1/first: channel 1",
    "no journal knows of {'nobody/1/none'}",
    "ran at once with alone-",
    "source/1/built is of r",
    "files/1: up is another one",
    "custom/1/judged has written down b'begun",
    "mails: {",
    "open: {'steps': 1}",
    "processes are left: [",
)


def break_everything(torture: Torture) -> None:
    """What the lines above tell of."""
    master, load = torture.master, torture.load
    records = {path: path.read_text().split() for path in load.side.iterdir() if path.name.startswith("alone-")}
    # began PID TIME LINES ended PID TIME CODE; the end is missing when somebody has stopped it
    whole = {path: words for path, words in records.items() if len(words) == 8}
    began, ended = min(words[2] for words in whole.values()), max(words[6] for words in whole.values())
    for path, words in whole.items():
        path.write_text(f"began {words[1]} {began} {words[3]}\nended {words[1]} {ended} {words[7]}\n")
    twice = next(path for path in load.side.iterdir() if path.name.startswith("plain+1+first"))
    twice.write_text(twice.read_text() + "began 1 0 40\n")
    built = recorder.file_of(load.side, "source/1/built")
    built.write_text(re.sub(r"^(saw \d+) .*$", r"\1 another", built.read_text(), flags=re.MULTILINE))
    sent = master.basedir / "files" / "1" / "up"
    sent.write_bytes(sent.read_bytes()[:-1] + b"?")
    notes = master.basedir / "logs" / master.value("SELECT path FROM logs WHERE name = 'notes' ORDER BY id LIMIT 1")
    notes.write_bytes(notes.read_bytes() * 2)
    log = master.basedir / "logs" / master.value("SELECT path FROM logs WHERE path LIKE 'plain%' ORDER BY id LIMIT 1")
    log.write_bytes(log.read_bytes().replace(b"line 7", b"line 8"))
    with closing(connect(master.basedir / "state.sqlite")) as connection:
        connection.execute("UPDATE steps SET complete_at = NULL WHERE id = 1")
        connection.execute(
            "UPDATE build_requests SET result = 2 WHERE id = (SELECT min(id) FROM build_requests WHERE result = 0)"
        )
    load.sent.append("never acknowledged")
    torture.smtp.mails.pop(0)
    master.processes.python(recorder.__file__, load.side, "nobody/1/none", "10", "300")
    wait_until(recorder.file_of(load.side, "nobody/1/none").exists)


def test_the_checker_sees_what_is_broken(processes: Processes, tmp_path: Path) -> None:
    torture = Torture(processes, tmp_path, seed=3)
    with torture.living():
        torture.ask()
        torture.come_to_rest()
        torture.check()
        break_everything(torture)
        with pytest.raises(AssertionError) as found:
            torture.check()
    for what in BROKEN:
        assert what in str(found.value), found.value


def test_the_master_is_killed_in_each_gap(processes: Processes, tmp_path: Path) -> None:
    torture = Torture(processes, tmp_path, seed=1)
    torture.run_through(["after"])
    assert torture.struck == [f"after {gap}" for gap in GAPS]


def test_a_killed_master_and_an_undisturbed_one_keep_the_same(processes: Processes, tmp_path: Path) -> None:
    Demonstration(processes, tmp_path, minutes=0.4, builders=3, kills=2, seed=1).run()
