"""Our slave over WebSocket (`msgpack_experimental_v7`) at Buildbot 4.3's master, beside 4.3's own worker: the whole
factory of the pairings.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.interop.comparing import Aspect, differences, facts
from tests.interop.masters import CONFIG, OVER_WEBSOCKET, SLAVE, WORKER, PeersMaster, Sources
from tests.interop.test_pairings import ANYTHING, OF_SLAVES, Anything, Other, unexpected
from tests.processes import Processes, wait_until
from tests.tools import Peer

pytestmark = pytest.mark.timeout(600)

OF_MASTERS_FAULT: dict[Aspect, Other | Anything] = {
    # 4.3's master answers with nothing when it is asked for a file. Its worker makes an empty one, and is content.
    **{(name, "result"): Other(0, 2)
       for name in ("download", "download text", "download json", "compose", "downloaded")},
    **{(name, what): ANYTHING for name in ("download", "download text", "download json", "downloaded", "compose")
       for what in ("text", "stdio stdout", "stdio stderr", "findings stdout")},
    ("what stays", "stdio stdout"): ANYTHING,
    ("build", "text"): ANYTHING,
    # What the worker says on stderr at the end of a transfer does not get to the log over WebSocket.
    **{aspect: ANYTHING for aspect in OF_SLAVES if aspect[1] == "stdio stderr"},
}  # fmt: skip


def test_both_slaves_give_the_same(processes: Processes, tmp_path: Path, peer: Peer) -> None:
    sources = Sources(tmp_path)
    workers = [SLAVE, WORKER]
    config = CONFIG.read_text().replace('name="download', 'haltOnFailure=False, flunkOnFailure=False, name="download')
    config = config.replace("keepstamp=True", "keepstamp=False")  # the worker of 4.3 breaks on it
    master = PeersMaster(processes, tmp_path / "peer", sources, peer=peer, workers=workers, config=config)
    directory = master.where / SLAVE
    (directory / "former" / "deep").mkdir(parents=True)
    (master.where / "other disk").mkdir()
    (directory / "link").symlink_to(master.where / "other disk")
    master.our_slave(OVER_WEBSOCKET, "--delete-leftover-dirs")
    master.peers_worker(peer, OVER_WEBSOCKET)
    wait_until(lambda: master.connected(SLAVE) and master.connected(WORKER), 60, "the slaves")
    assert {each.name for each in directory.iterdir() if each.is_dir()} == {".spool", "info", "link", SLAVE, "waiting"}
    master.send()
    found = {}
    for slave in workers:
        master.wait_for_build(slave)
        found[slave] = facts(master.read(slave), master.where, master.incoming / slave, slave)
    assert unexpected(differences(found[WORKER], found[SLAVE]), {**OF_SLAVES, **OF_MASTERS_FAULT}) == {}
    assert len(found[SLAVE]["build", "steps"]) > 50
