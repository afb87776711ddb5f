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

    def test_how_many_go_before_it(self) -> None:
        ids = [self.ask(priority=priority) for priority in (0, 3, 0, 0)]
        table = [(ids[1], (0, None, 0)), (ids[0], (1, ids[1], 3)), (ids[3], (3, ids[1], 3))]
        for id, expected in table:
            self.assertEqual(queue.ahead(self.store, self.request(id)), expected, id)
        self.assertEqual(queue.ahead(self.store, self.request(ids[3]), limit=2), (2, ids[1], 3))

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
        found = queue.situation(self.store, self.builder, ["bob", "al"], ["quick"])
        self.assertEqual(self.store.statements - before, 1)
        earlier = ((30.0, Result.SUCCESS),) * 2
        self.assertEqual(found.running, (queue.Running("full", running.number, "bob", NOW, earlier),))
        self.assertEqual(found.earlier, earlier)
        self.assertEqual(found.heads, (("quick", rival, 4, NOW),))
        self.assertEqual(found.slaves["bob"], queue.SlaveNow(NOW, None, None))
        pause = found.slaves["al"].pause
        assert pause is not None and found.pause is not None
        self.assertEqual((pause.name, pause.graceful, pause.who, found.pause.name), ("al", True, "ada", "full"))

    def test_a_paused_builder_is_nobodys_rival(self) -> None:
        self.ask(builder_ids=[self.builders["quick"]])
        self.store.transact(pauses.begin, Kind.BUILDER, "quick", NOW, who="ada", why="", graceful=False)
        self.assertEqual(queue.situation(self.store, self.builder, [], ["quick"]).heads, ())

    def test_the_situation_of_a_builder_that_nothing_is_known_of(self) -> None:
        self.assertEqual(
            queue.situation(self.store, self.builder, ["nobody"], []), queue.Situation((), {}, None, (), ())
        )
