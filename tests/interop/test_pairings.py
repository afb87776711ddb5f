"""One configuration and one factory on the four pairings of master and slave: this repository's and Buildbot 4.3's.

Every result, text, log, property and uploaded file is the same, but for what is listed here, with its reason.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import pytest

from tests.interop.comparing import Aspect, differences, facts
from tests.interop.masters import CONFIG, SLAVE, WORKER, PairedMaster, PeersMaster, Sources
from tests.interop.our_master import OurMaster
from tests.processes import Processes, wait_until
from tests.tools import Peer

PEERS, OURS = "4.3", "1.0"
OF_0_8 = "of 0.8"  # a step that only our master takes

pytestmark = pytest.mark.timeout(900)


class Other(NamedTuple):
    """A difference that there should be: the values with Buildbot's program and with ours. None: not there."""

    peers: Any
    ours: Any


class Anything(NamedTuple):
    """A difference that there may be."""


ANYTHING = Anything()

LONG = "x" * 3000 + "\n" + "y" * 50_000 + "\nshort\n"

OF_SLAVES: dict[Aspect, Other | Anything] = {
    # A character whose end never came: the worker says nothing of it.
    ("binary", "stdio stdout"): Other(
        "caf\u00e9 \ufffd\ufffd\x00\x01 end\n", "caf\u00e9 \ufffd\ufffd\x00\x01 end\n\ufffd\n"
    ),
    # The worker begins to read a file that it follows where that ends when it looks first, up to two seconds late.
    ("follows", "progress stdout"): Other(None, "entry 0\nentry 1\nentry 2\nno end\n"),
    # The worker sends the traceback of what went wrong in its own process after the fork.
    ("missing program", "stdio stderr"): ANYTHING,
    # What a transfer has to say is on stderr with the worker, and in the header with ours.
    ("upload nothing", "stdio stderr"): Other("Cannot open file 'BUILD/build/nothing' for upload\n", None),
    ("upload too much", "stdio stderr"): Other(
        "Maximum filesize reached, truncating file 'BUILD/build/big.bin'\n", None
    ),
    # `cpdir` is `cp -v` with the worker, and our master keeps what that says.
    ("cpdir", "stdio stdout"): ANYTHING,
    ("compose", "stdio stderr"): Other("Cannot open file 'BUILD/build/composed/nothing' for upload\n", None),
    # The worker breaks lines after 4096 characters, and loses parts of them.
    ("long lines", "stdio stdout"): ANYTHING,
}  # fmt: skip

OF_MASTERS: dict[Aspect, Other | Anything] = {
    # How each master talks with git is its own affair; what comes of it is compared by the steps after.
    **{(f"git {mode}", f"stdio {stream}"): ANYTHING
       for mode in ("clobber", "clean", "fresh", "incremental") for stream in ("stdout", "stderr")},
    # A build's text names its steps with us, as up to 0.8; 4.3 repeats their texts.
    ("build", "text"): ANYTHING,
    # Where a property comes from: a step by its name, and the configuration's file by its own.
    **{("build", f"source {name}"): Other("SetPropertyFromCommand Step", "properties")
       for name in ("code", "out", "err")},
    ("build", "source found"): Other("SetPropertyFromCommand Step", "one property"),
    **{("build", f"source {name}"): Other("TEST/master/master.cfg", "master.cfg") for name in ("flavour", "numbers")},
    ("build", "source slavename"): Other(None, "BuildSlave"),
    # Git says which revision it has decided for.
    ("build", "source revision"): Other("Build", "Git"),
    # A step that is skipped is told by its name: its arguments are not rendered.
    ("skipped", "text"): Other("'echo never' (skipped)", "skipped skipped"),
    # What the worker loses of long lines is something else each time.
    ("long lines", "stdio stdout"): ANYTHING,
    # Two Pythons are not the same place.
    ("missing program", "stdio stderr"): ANYTHING,
    # What an Assert has checked, as Python shows it.
    ("asserted", "text"): Other(
        "checked Property(found) == 'value'", "checked (Property('found') == 'value')"
    ),
    # What is run on the master is told as what is run on a slave.
    ("on the master", "text"): Other("Ran", "'echo here'"),
    # What a worker's `cp -v` says is kept.
    ("cpdir", "stdio stdout"): ANYTHING,
    # Without `mode` an uploaded file has the rights that the master's umask gives; with 4.3 only its owner may read it.
    **{("build", f"mode {name}"): Other("0o600", "0o644")
       for name in ("big.bin", "several/a.txt", "several/b.txt", "several/c.txt", "several/sizes.txt")},
    # ("obfuscated", real, shown), as up to 0.8. To 4.3 it is a list like any other.
    ("hidden word", "text"): Other("'echo obfuscated ...'", "'echo fake'"),
    ("hidden word", "stdio stdout"): Other("obfuscated real fake\n", "real\n"),
}  # fmt: skip


class Pairings:
    """Two masters with two slaves each, and the facts of the four builds."""

    def __init__(self, masters: Mapping[str, PairedMaster]) -> None:
        self.facts: dict[tuple[str, str], dict[Aspect, Any]] = {}
        for name, master in masters.items():
            for slave in (SLAVE, WORKER):
                master.wait_for_build(slave)
                reading = master.read(slave)
                self.facts[name, slave] = facts(reading, master.where, master.incoming / slave, slave)


@pytest.fixture(scope="module")
def pairings(tmp_path_factory: pytest.TempPathFactory, peer: Peer) -> Iterator[Pairings]:
    where = tmp_path_factory.mktemp("pairings")
    processes = Processes(where / "processes")
    try:
        sources = Sources(where)
        config = CONFIG.read_text()
        workers = [SLAVE, WORKER]
        peers = PeersMaster(processes, where / "peers", sources, peer=peer, workers=workers, config=config)
        ours = OurMaster(processes, where / "ours", sources, workers=workers, config=config)
        for master in (peers, ours):
            master.our_slave()
            master.peers_worker(peer)
        for master in (peers, ours):
            wait_until(lambda: master.connected(SLAVE) and master.connected(WORKER), 60, "the slaves")  # noqa: B023
            master.send()
        yield Pairings({PEERS: peers, OURS: ours})
    finally:
        processes.stop_all()


def unexpected(
    found: Mapping[Aspect, tuple[Any, Any]], expected: Mapping[Aspect, Other | Anything]
) -> dict[Aspect, tuple[Any, Any]]:
    """What differs and should not, and what should differ and does not."""
    wrong = {}
    for aspect, both in found.items():
        should = expected.get(aspect)
        if should is None or (isinstance(should, Other) and both != tuple(should)):
            wrong[aspect] = both
    for aspect, should in expected.items():
        if isinstance(should, Other) and aspect not in found:
            wrong[aspect] = ("the same", should)
    return {aspect: (_short(one), _short(other)) for aspect, (one, other) in wrong.items()}


def _short(value: Any) -> Any:
    return value if not isinstance(value, str) or len(value) < 500 else value[:250] + " ... " + value[-250:]


@pytest.mark.parametrize("master", [PEERS, OURS])
def test_both_slaves_give_the_same(pairings: Pairings, master: str) -> None:
    found = differences(pairings.facts[master, WORKER], pairings.facts[master, SLAVE])
    assert unexpected(found, OF_SLAVES) == {}


@pytest.mark.parametrize("slave", [WORKER, SLAVE])
def test_both_masters_give_the_same(pairings: Pairings, slave: str) -> None:
    ours = {aspect: value for aspect, value in pairings.facts[OURS, slave].items() if aspect[0] != OF_0_8}
    ours["build", "steps"] = [name for name in ours["build", "steps"] if name != OF_0_8]
    for what in ("property", "source"):
        del ours["build", f"{what} counted"]
    assert unexpected(differences(pairings.facts[PEERS, slave], ours), OF_MASTERS) == {}


@pytest.mark.parametrize("slave", [WORKER, SLAVE])
def test_a_step_of_0_8_runs_on_both_slaves(pairings: Pairings, slave: str) -> None:
    found = pairings.facts[OURS, slave]
    assert {what: value for (step, what), value in found.items() if step == OF_0_8} == {
        "result": 1, "text": "counted by a step of 0.8", "hidden": False, "links": {},
        "stdio stdout": "3 passed\n", "stdio stderr": "1 failed\n", "summary stdout": "3 PASSED\n",
    }  # fmt: skip
    assert found["build", "property counted"] == 4


def test_it_is_what_the_factory_says(pairings: Pairings) -> None:
    """Not merely the same: the results of some steps, and that there are many."""
    for found in pairings.facts.values():
        assert found["build", "result"] == 2
        assert len(found["build", "steps"]) > 50
        assert {name for name, what in found if what == "result" and found[name, what] == 2} == {
            "build", "failing", "signalled", "silent", "too long", "too much", "missing program", "sequence",
            "properties", "exists not", "upload nothing", "upload too much", "two programs", "spoils",
        }  # fmt: skip
        assert found["environment", "stdio stdout"] == f"blue\na{os.pathsep}b\nnone\nin there\n"
        cloned = found["what a clone has", "stdio stdout"]
        assert "refs/remotes/origin/HEAD" in cloned
        assert "branch.main.merge refs/heads/main\n" in cloned
        assert "\nv2\n" in cloned
        assert found["downloaded", "stdio stdout"].startswith("100000 600\n")
    for master in (PEERS, OURS):
        assert (pairings.facts[master, SLAVE]["long lines", "stdio stdout"] == LONG) is True
