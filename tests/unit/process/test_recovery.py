"""What a new process makes of what the last one left."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from twisted.internet.task import Clock

from buildbot.model import Result
from buildbot.process.build import BuildServices
from buildbot.process.lockqueue import Locks
from buildbot.process.progress import Progress
from buildbot.process.recovery import restore
from buildbot.store import builds, buildsets, logs, requests, slaves, steps
from buildbot.store.logfiles import Channel, LogFiles, log_path
from tests.unit.store.cases import NOW, StoreCase


class RecoveryTests(StoreCase):
    def setUp(self) -> None:
        super().setUp()
        self.files = LogFiles(self.directory / "logs")
        self.buildset, asked = self.store.transact(
            buildsets.submit, builders=[self.builder], source_stamps=[], reason="because", now=NOW
        )
        self.request = asked[0]

    def recover(self, now: float) -> int:
        """As a master without any builder in its configuration starts: how many builds go on."""
        services = BuildServices(
            store=self.store,
            log_files=self.files,
            clock=Clock(),
            now=lambda: now,
            progress=Progress(),
            properties={},
            locks=Locks(),
            url_of=lambda builder, number: "",
            family=cast(Any, None),  # nothing runs
            scheduler=lambda name: None,
            scheduler_names=list,
        )
        config = SimpleNamespace(builder=lambda name: None, slaves=[])
        return len(restore(config, lambda: services))

    def cut_off(self) -> builds.Build:
        """A build with a running step that has written half a line, and then nothing more."""
        build = self.store.transact(
            builds.start, builder=self.builder, slave=self.slave, claimed=[self.request], reason="because", now=NOW
        )
        step = self.store.transact(steps.start, build.id, 0, "compile", "compiling", NOW)
        path = log_path("full", build.number, "compile", "stdio")
        self.store.transact(logs.add, step=step, name="stdio", slug="stdio", kind="stream", path=path, now=NOW)
        writer = self.files.write(path)
        writer.append(b"one\ntwo", Channel.STDOUT, 1, NOW)
        writer.close()
        return build

    def test_a_build_that_cannot_go_on_is_retried(self) -> None:
        build = self.cut_off()
        self.assertEqual(self.recover(NOW + 5), 0)
        ended = builds.get(self.store, build.id)
        assert ended is not None
        self.assertEqual((ended.result, ended.complete_at), (Result.RETRY, NOW + 5))
        self.assertIn("there is no builder full any more", ended.state_text)
        waiting = requests.next_pending(self.store, self.builder)
        assert waiting is not None
        self.assertEqual(waiting.id, self.request)
        self.assertTrue(all(step.complete_at for step in steps.of_build(self.store, build.id)))

    def test_its_log_is_closed_where_it_ends(self) -> None:
        build = self.cut_off()
        self.recover(NOW + 5)
        (log,) = logs.of_build(self.store, build.id)
        self.assertEqual((log.size, log.lines, log.finished_at), (7, 2, NOW + 5))

    def test_restarts_of_the_master_never_park_a_request(self) -> None:
        for number in range(requests.MOST_RETRIES + 3):
            build = self.cut_off()
            self.assertEqual(build.attempt, number + 1)
            self.recover(NOW + 5)
        waiting = requests.get(self.store, self.request)
        assert waiting is not None
        self.assertEqual((waiting.parked_reason, waiting.retries), (None, 0))

    def test_nobody_is_connected_to_a_new_process(self) -> None:
        self.store.transact(slaves.connected, self.slave, NOW, incarnation="i", version="1", details={})
        self.recover(NOW + 5)
        slave = slaves.get(self.store, self.slave)
        assert slave is not None
        self.assertEqual((slave.connected_at, slave.lost_at), (None, NOW + 5))

    def test_what_was_finished_is_left_alone(self) -> None:
        build = self.cut_off()
        self.recover(NOW + 5)
        self.assertEqual(self.recover(NOW + 9), 0)
        ended = builds.get(self.store, build.id)
        assert ended is not None
        self.assertEqual(ended.complete_at, NOW + 5)
