"""What is built next, and where: limits, priorities, and the functions of a master.cfg that have a say in it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, succeed

from buildbot.model import BuildRequestID, EventKind, Result
from buildbot.process.buildrequest import BuildRequest
from buildbot.process.factory import BuildFactory
from buildbot.process.userviews import MasterView, enforceChosenSlave
from buildbot.steps.shell import ShellCommand
from buildbot.store import builds, requests
from tests.rig import RigCase, Source

QUICK = BuildFactory([ShellCommand(command="true")])


class AssigningCase(RigCase):
    with_slave = False

    def order(self) -> list[int]:
        """The requests of all builds, in the order in which they were begun."""
        return self.rig.store.column("SELECT request_id FROM build_requests_of_builds ORDER BY build_id, request_id")

    async def all_built(self, ids: list[BuildRequestID]) -> None:
        for id in ids:
            await self.rig.built(id)

    def prioritized(self, priority: int, builder: str = "b", **source: Any) -> BuildRequestID:
        id = self.rig.submit(builder, Source(revision=str(self.rig.now()), **source))
        self.rig.store.execute("UPDATE build_requests SET priority = ? WHERE id = ?", priority, id)
        return id


class TestLimits(AssigningCase):
    async def test_max_builds_of_a_slave_is_kept(self) -> None:
        self.rig.config.slaves.clear()
        self.rig.add_slaves("bot", max_builds=1)
        await self.rig.start_slave()
        command = "mkdir ../../only || exit 1; sleep 0.05; rmdir ../../only"
        for name in ("b", "c", "d"):
            self.rig.add_builder(name, BuildFactory([ShellCommand(command=command)]))
        wanted = [self.rig.submit(name) for name in ("b", "c", "d")]
        for request in wanted:
            assert (await self.rig.built(request)).result is Result.SUCCESS

    async def test_a_request_waits_for_its_slave(self) -> None:
        self.rig.add_builder("b", BuildFactory())
        request = self.rig.submit()
        await self.rig.start_slave()
        assert (await self.rig.built(request)).result is Result.SUCCESS

    async def test_one_request_is_one_build_however_often_the_bell_rings(self) -> None:
        await self.rig.start_slave()
        self.rig.add_builder("b", BuildFactory([ShellCommand(command="sleep 0.1")]))
        request = self.rig.submit()
        for _ in range(50):
            self.rig.bell.ring()
        await self.rig.built(request)
        assert self.rig.store.value("SELECT count(*) FROM builds") == 1

    async def test_functions_of_the_user_choose_and_their_errors_start_nothing(self) -> None:
        self.rig.add_slaves("other")
        await self.rig.start_slave("bot")
        await self.rig.start_slave("other")

        def pick(builder: Any, slaves: Any, request: Any) -> Any:
            return next(slave for slave in slaves if slave.name == "other")

        def wrong(builder: Any, slaves: Any, request: Any) -> Any:
            raise ZeroDivisionError

        self.rig.add_builder("b", BuildFactory(), ["bot", "other"], nextWorker=pick)
        assert (await self.rig.build()).properties["slavename"] == "other"
        first = {"canStartBuild": lambda builder, slave, request: slave.name == "bot"}
        self.rig.add_builder("b", BuildFactory(), ["bot", "other"], **first)
        assert (await self.rig.build()).properties["slavename"] == "bot"
        self.rig.add_builder("b", BuildFactory(), ["bot", "other"], nextWorker=wrong)
        request = self.rig.submit()
        await self.rig.until(lambda: self.flushLoggedErrors(ZeroDivisionError))
        self.rig.add_builder("b", BuildFactory(), ["bot", "other"])
        self.rig.bell.ring()
        assert (await self.rig.built(request)).result is Result.SUCCESS
        self.flushLoggedErrors(ZeroDivisionError)

    async def test_several_builds_of_one_builder_on_one_slave_have_directories_of_their_own(self) -> None:
        await self.rig.start_slave()
        command = "pwd; touch ../../here-$$; until test $(ls ../../ | grep -c here-) -ge 2; do sleep 0.02; done"
        factory = BuildFactory([ShellCommand(name="it", command=command)])
        self.rig.add_builder("b", factory, max_builds_per_slave=2, mergeRequests=False)
        built = [await self.rig.built(id) for id in [self.rig.submit() for _ in range(2)]]
        self.assertEqual([Path(one.properties["builddir"]).name for one in built], ["b", "b-2"])
        for one, directory in zip(built, ("b", "b-2"), strict=True):
            self.assertEqual(one.text("it").strip(), str(self.rig.base / "bot" / directory / "build"))
        self.assertEqual([one.row.slot for one in built], [1, 2])
        again = await self.rig.build()
        self.assertEqual(again.properties["builddir"], str(self.rig.slave_dir()))

    async def test_max_running_holds_over_all_slaves(self) -> None:
        self.rig.add_slaves("other")
        for name in ("bot", "other"):
            await self.rig.start_slave(name)
        command = f"mkdir {self.rig.base}/only || exit 1; sleep 0.05; rmdir {self.rig.base}/only"
        self.rig.add_builder(
            "b", BuildFactory([ShellCommand(command=command)]), ["bot", "other"], max_running=1, mergeRequests=False
        )
        for id in [self.rig.submit() for _ in range(3)]:
            self.assertEqual((await self.rig.built(id)).result, Result.SUCCESS)


class TestPriorities(AssigningCase):
    async def test_the_higher_request_goes_first_then_the_older(self) -> None:
        self.rig.add_builder("b", QUICK)
        ids = [self.prioritized(priority) for priority in (0, 2, 0, 2)]
        await self.rig.start_slave()
        await self.all_built(ids)
        self.assertEqual(self.order(), [ids[1], ids[3], ids[0], ids[2]])

    async def test_the_builders_own_priority_counts_too(self) -> None:
        self.rig.config.slaves.clear()
        self.rig.add_slaves("bot", max_builds=1)
        self.rig.add_builder("low", QUICK)
        self.rig.add_builder("high", QUICK, priority=10)
        ids = [self.prioritized(5, "low"), self.prioritized(-4, "high"), self.prioritized(-6, "high")]
        await self.rig.start_slave()
        await self.all_built(ids)
        self.assertEqual(self.order(), [ids[1], ids[0], ids[2]])

    async def test_the_user_orders_the_builders(self) -> None:
        self.rig.config.slaves.clear()
        self.rig.add_slaves("bot", max_builds=1)
        for name in ("a", "b", "c"):
            self.rig.add_builder(name, QUICK)
        seen: list[Any] = []

        async def newest_first(master: Any, builders: list[Any]) -> list[Any]:
            seen.append((isinstance(master, MasterView), [builder.name for builder in builders]))
            times = {builder.name: await builder.getOldestRequestTime() for builder in builders}
            return sorted(builders, key=lambda builder: times[builder.name], reverse=True)

        def with_a_deferred(master: Any, builders: list[Any]) -> Any:
            return Deferred.fromCoroutine(newest_first(master, builders))

        self.rig.config.other["prioritizeBuilders"] = with_a_deferred
        ids = [self.prioritized(0, name) for name in ("a", "b", "c")]
        await self.rig.start_slave()
        await self.all_built(ids)
        self.assertEqual(self.order(), [ids[2], ids[1], ids[0]])
        self.assertEqual(seen[0], (True, ["a", "b", "c"]))

    async def test_an_order_that_fails_is_no_order(self) -> None:
        self.rig.add_builder("b", QUICK)
        self.rig.config.other["prioritizeBuilders"] = lambda master, builders: 1 / 0
        await self.rig.start_slave()
        self.assertEqual((await self.rig.build()).result, Result.SUCCESS)
        self.assertTrue(self.flushLoggedErrors(ZeroDivisionError))


class TestFunctions(AssigningCase):
    async def two_slaves(self) -> None:
        self.rig.add_slaves("other")
        for name in ("bot", "other"):
            await self.rig.start_slave(name)

    async def test_next_build_chooses_the_request(self) -> None:
        def newest(builder: Any, offered: list[Any]) -> Any:
            assert builder.name == "b" and builder.config.name == "b"
            return succeed(max(offered, key=lambda request: request.submittedAt))

        self.rig.add_builder("b", QUICK, nextBuild=newest, mergeRequests=False)
        ids = [self.rig.submit("b", Source(revision=str(n))) for n in range(3)]
        await self.rig.start_slave()
        await self.all_built(ids)
        self.assertEqual(self.order(), ids[::-1])

    async def test_next_build_may_want_none_of_them(self) -> None:
        chosen: list[Any] = []
        self.rig.add_builder("b", QUICK, nextBuild=lambda builder, offered: chosen[0] if chosen else None)
        id = self.rig.submit()
        await self.rig.start_slave()
        assigning = self.rig.assigning
        await self.rig.until(lambda: "b" in assigning.refusals, "the refusal")
        self.assertEqual(assigning.refusals["b"], {None: "its function nextBuild chose no request"})
        config = self.rig.config.builder("b")
        assert config is not None
        self.assertEqual(assigning.in_the_way(config).refusals, assigning.refusals["b"])
        self.assertEqual(builds.of_request(self.rig.store, id), [])

    async def test_functions_see_a_request_under_the_names_of_every_era(self) -> None:
        seen: list[BuildRequest] = []

        def choose(builder: Any, slaves: Any, request: Any) -> Any:
            seen.append(request)
            return slaves[0].slave.slavename

        self.rig.add_builder("b", QUICK, nextWorker=choose)
        id = self.rig.submit("b", Source(branch="x", revision="7", codebase="lib"), given={"color": "red"})
        await self.rig.start_slave()
        await self.rig.built(id)
        request = seen[0]
        assert request.source is not None
        self.assertEqual(
            (request.id, request.buildername, request.priority, request.reason, request.waitedFor),
            (id, "b", 0, "test", False),
        )
        self.assertEqual((request.source.branch, request.sources["lib"].revision), ("x", "7"))
        self.assertEqual(request.properties["color"], "red")
        self.assertEqual((request["buildrequestid"], request["buildsetid"]), (id, request.bsid))
        self.assertEqual(request["submitted_at"], datetime.fromtimestamp(request.getSubmitTime(), UTC))
        self.assertIsNone(request.get("nothing"))

    async def test_a_request_that_may_start_nowhere_does_not_keep_the_next_ones_waiting(self) -> None:
        await self.two_slaves()
        await self.rig.stop_slave("other")
        await self.rig.until(lambda: "other" not in self.rig.sessions.here, "the slave's leaving")
        self.rig.add_builder("b", QUICK, ["bot", "other"], canStartBuild=enforceChosenSlave)
        first = self.rig.submit(given={"slavename": "other"})
        second = self.rig.submit(given={"slavename": "bot"})
        self.assertEqual((await self.rig.built(second)).properties["slavename"], "bot")
        self.assertEqual(builds.of_request(self.rig.store, first), [])
        self.assertEqual(self.rig.assigning.refusals["b"], {first: "its function canStartBuild said no for bot"})
        await self.rig.start_slave("other")
        self.assertEqual((await self.rig.built(first)).properties["slavename"], "other")

    async def test_a_function_that_thinks_long_does_not_start_what_was_cancelled(self) -> None:
        thinking: Deferred[bool] = Deferred()
        asked: list[Any] = []

        def think(builder: Any, slave: Any, request: Any) -> Any:
            asked.append(request.id)
            return thinking if len(asked) == 1 else True

        self.rig.add_builder("b", QUICK, canStartBuild=think, mergeRequests=False)
        first, second = self.rig.submit(), self.rig.submit()
        await self.rig.start_slave()
        await self.rig.until(lambda: asked, "the question")
        self.rig.store.transact(requests.cancel, first, self.rig.now(), "ada", "")
        thinking.callback(True)
        self.assertEqual((await self.rig.built(second)).result, Result.SUCCESS)
        self.assertEqual(self.order(), [second])

    async def test_nothing_is_done_with_a_slave_that_left_meanwhile(self) -> None:
        await self.two_slaves()
        thinking: Deferred[bool] = Deferred()
        asked: list[str] = []

        def think(builder: Any, slave: Any, request: Any) -> Any:
            asked.append(slave.name)
            return thinking if len(asked) == 1 else True

        self.rig.add_builder("b", QUICK, ["bot", "other"], canStartBuild=think)
        id = self.rig.submit()
        await self.rig.until(lambda: asked, "the question")
        await self.rig.stop_slave("bot")
        await self.rig.until(lambda: "bot" not in self.rig.sessions.here, "the slave's leaving")
        thinking.callback(True)
        self.assertEqual((await self.rig.built(id)).properties["slavename"], "other")

class TestOnce(AssigningCase):
    async def test_a_build_of_several_claims_them_all_or_none(self) -> None:
        self.rig.add_builder("b", QUICK)
        ids = [self.rig.submit() for _ in range(3)]
        await self.rig.start_slave()
        await self.all_built(ids)
        kinds = self.rig.store.column("SELECT kind FROM events WHERE subject_id IN (1, 2, 3) AND kind LIKE 'request%'")
        self.assertEqual(sorted(kinds), [EventKind.REQUEST_CLAIMED, *[EventKind.REQUEST_MERGED] * 2])
        self.assertEqual(self.rig.store.value("SELECT count(*) FROM builds"), 1)
