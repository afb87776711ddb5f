"""Every class of step does its work on our slave and on those that people already run."""

from __future__ import annotations

import sys
import traceback
from pathlib import Path
from typing import ClassVar

from tests.dialects.cases import SLAVE_TAC
from tests.dialects.catalogue import TABLE
from tests.dialects.catalogue.case import Here


class Catalogue(Here):
    """One process of the slave for the whole table."""

    timeout = 300
    version: ClassVar[str]

    async def test_every_class_of_step(self) -> None:
        await self.connect()
        self.assertIn(self.version, str(self.rig.sessions.here["bot"].details["version"]))
        troubles = []
        for case in TABLE:
            self.begin()
            try:
                await case.run(self)
            except Exception:  # it is told below, with those of the other cases
                troubles.append(f"{case.name}: {traceback.format_exc()}")
                continue
            if missing := set(case.classes) - self.ran:
                troubles.append(f"{case.name} has not run {missing}")
        self.assertEqual(troubles, [], "\n".join([*troubles, self.peer.output()[-3000:]]))


class TestOurs(Catalogue):
    tac = SLAVE_TAC
    version = "1.0"

    def find_programs(self) -> Path:
        return Path(sys.executable).parent


class TestWorker43(Catalogue):
    version = "4.3.0"
    makes_text = True


class TestWorker43OverWebSocket(Catalogue):
    version = "4.3.0"
    makes_text = True
    with_sockets = True
    options = "protocol='msgpack_experimental_v7'"


class TestWorker311(Catalogue):
    peer_name = "worker-3.11.9"
    version = "3.11.9"
    makes_text = True


class TestSlave08(Catalogue):
    tac = SLAVE_TAC
    version = "0.8.14"
    peer_name = "slave-0.8.14"


del Catalogue, Here
