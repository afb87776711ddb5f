"""What assigning and the pages ask of the queue."""

from __future__ import annotations

from buildbot.model import Result
from buildbot.store import builds, pauses, queue, requests, slaves
from buildbot.store.pauses import Kind
from tests.unit.store.cases import NOW, StoreCase


class TestQueue(StoreCase):
    def test_what_a_request_asks_for(self) -> None:
        id = self.ask(changes=[self.change(revision="1")])
        found = queue.asked(self.store, id)
        assert found is not None
        self.assertEqual((found.request.id, found.reason, found.properties), (id, "because", "{}"))
        self.assertEqual(found.sources, (queue.AskedSource("", "", "", "main", "1", None, 1),))
        self.assertEqual(queue.asked_of_builder(self.store, self.builder, 5), [found])
        self.assertIsNone(queue.asked(self.store, requests.last_id(self.store) + 1))  # type: ignore[arg-type]

    def test_the_first_that_wait_for_each_builder(self) -> None:
        quick = self.builders["quick"]
        ids = [self.ask(priority=priority) for priority in (0, 3, 0, 0)]
        other = self.ask(builder_ids=[quick])
        self.store.execute("UPDATE build_requests SET parked_reason = 'x' WHERE id = ?", ids[2])
        found = queue.situation(self.store, ["full", "quick"], [], []).lines
        self.assertEqual(found["full"].first, ((ids[1], 3), (ids[0], 0), (ids[3], 0)))
        self.assertEqual(found["quick"].first, ((other, 0),))
        few = queue.situation(self.store, ["full"], [], [], line=2).lines
        self.assertEqual({name: len(line.first) for name, line in few.items()}, {"full": 2})

    def test_the_situation_of_a_builder(self) -> None:
        for _ in range(2):
            ended = self.start(self.ask())
            self.store.transact(builds.finish, ended.id, Result.SUCCESS, "", NOW + 30)
        running = self.start(self.ask())
        quick = self.builders["quick"]
        rival = self.ask(builder_ids=[quick], priority=4)
        self.store.transact(slaves.connected, self.slaves["bob"], NOW, incarnation=None, version=None, details={})
        for kind, name in ((Kind.SLAVE, "al"), (Kind.BUILDER, "full")):
            self.store.transact(pauses.begin, kind, name, NOW, who="ada", why="so", graceful=kind is Kind.SLAVE)
        before = self.store.statements
        found = queue.situation(self.store, ["full", "quick"], ["bob", "al"], ["quick"])
        self.assertEqual(self.store.statements - before, 1)
        earlier = ((30.0, Result.SUCCESS),) * 2
        self.assertEqual(found.running, (queue.Running("full", running.number, "bob", NOW, earlier),))
        self.assertEqual(found.lines["full"].earlier, earlier)
        self.assertEqual(found.lines["quick"], queue.Line(None, (), ((rival, 4),)))
        self.assertEqual(found.heads, (("quick", rival, 4, NOW),))
        self.assertEqual(found.slaves["bob"], queue.SlaveNow(NOW, None, None))
        pause, builder_pause = found.slaves["al"].pause, found.lines["full"].pause
        assert pause is not None and builder_pause is not None
        self.assertEqual((pause.name, pause.graceful, pause.who, builder_pause.name), ("al", True, "ada", "full"))

    def test_a_paused_builder_is_nobodys_rival(self) -> None:
        self.ask(builder_ids=[self.builders["quick"]])
        self.store.transact(pauses.begin, Kind.BUILDER, "quick", NOW, who="ada", why="", graceful=False)
        self.assertEqual(queue.situation(self.store, ["full"], [], ["quick"]).heads, ())

    def test_the_situation_of_a_builder_that_nothing_is_known_of(self) -> None:
        found = queue.situation(self.store, ["full"], ["nobody"], [])
        self.assertEqual(found, queue.Situation((), {}, (), {"full": queue.Line(None, (), ())}))
