"""What a slave of another era may say over Perspective Broker: a fake one that says it, through a real connection."""

from __future__ import annotations

import datetime
from typing import Any

from twisted.internet.defer import Deferred, gatherResults
from twisted.spread import pb

from buildbot.model import Result
from buildbot.process.buildstep import BuildStep
from buildbot.process.remotecommand import RemoteCommand
from buildbot.process.results import SUCCESS
from buildbot.slaves import link, oldpb
from buildbot.steps.shell import ShellCommand
from tests.rig import Built
from tests.unit.slaves.test_session import Mind, SessionCase

INFO = {"version": "4.3.0", "worker_commands": {"shell": "3.3", "mkdir": "3.3"}, "basedir": "/bot"}


class Builder(pb.Referenceable):
    """A builder's object on the slave: keeps what it is told to run."""

    def __init__(self, mind: Worker) -> None:
        self.mind = mind

    def remote_startCommand(self, ours: Any, id: str, name: str, args: dict[str, Any]) -> Any:
        self.mind.started.append((ours, id, name, args))
        return self.mind.answer

    def remote_interruptCommand(self, id: str, why: str) -> None:
        self.mind.interrupted.append(id)


class Worker(Mind):
    def __init__(self, builders: Any = None) -> None:
        super().__init__(INFO)
        self.started: list[tuple[Any, str, str, dict[str, Any]]] = []
        self.answer: Any = None
        self.lists: list[Any] = []
        self._builders = builders

    def remote_setBuilderList(self, wanted: Any) -> Any:
        self.lists.append(wanted)
        return {name: Builder(self) for name, _ in wanted} if self._builders is None else self._builders


class AtOnce(BuildStep):
    """So many commands at once."""

    count = 3

    async def run(self) -> int:
        given = [RemoteCommand("mkdir", {"dir": str(number)}) for number in range(self.count)]
        await gatherResults([self.runCommand(command) for command in given], consumeErrors=True)
        return SUCCESS


class WorkerCase(SessionCase):
    async def begin(self, *steps: Any) -> tuple[Worker, Any, Deferred[Built]]:
        """A worker that runs a command; what it may call; the build to be."""
        worker = Worker()
        await self.log_in(worker)
        await self.rig.until(lambda: "bot" in self.rig.sessions.here)
        building = self.run_steps_later(*(steps or (ShellCommand(name="it", command="x"),)))
        await self.rig.until(lambda: worker.started, "an order")
        return worker, worker.started[0][0], building

    async def refused(self, ours: Any, method: str, *args: Any) -> str:
        try:
            await ours.callRemote(method, *args)
        except (pb.RemoteError, pb.Error) as error:
            return str(error)
        raise AssertionError(f"{method}{args!r:.200} was taken")


class TestWords(WorkerCase):
    async def test_garbage_is_refused_and_the_command_goes_on_unharmed(self) -> None:
        _, ours, building = await self.begin()
        for garbage in (
            (), (1,), ([[1, 0]],), ([[{"stdout": 5}, 0]],), ([[{"log": "x"}, 0]],), ([[{5: "x"}, 0]],), ([], []),
            ([[{"other": datetime.date(2026, 1, 1)}, 0]],), ([[{"stdout": "x" * 600_000}, 0]] * 3000,),
        ):  # fmt: skip
            await self.refused(ours, "update", *garbage)
        self.assertIn("no message", await self.refused(ours, "nonsense"))
        self.assertEqual(await ours.callRemote("update", [[{"stdout": "fine\n"}, 0], [{"rc": 0}, 7]]), 7)
        await ours.callRemote("complete", None)
        built = await building
        self.assertEqual((built.result, built.text("it")), (Result.SUCCESS, "fine\n"))
        self.assertIn("is not run by this master", await self.refused(ours, "update", [[{"stdout": "late"}, 0]]))
        await ours.callRemote("complete", None)

    async def test_an_end_is_an_end_however_it_is_told(self) -> None:
        for failure, words in (
            (datetime.date(2026, 1, 1), "does not say how"),
            ("it broke", "it broke"),
            (5, "5"),
        ):
            worker, ours, building = await self.begin()
            await ours.callRemote("complete", failure)
            built = await building
            self.assertIs(built.result, Result.EXCEPTION)
            self.assertIn(words, built.commands("it")[0].outcome["error"])
            worker.avatar.broker.transport.loseConnection()
            await self.rig.until(lambda: not self.rig.sessions.here)


class TestBuilders(WorkerCase):
    async def test_each_command_has_an_object_of_its_own(self) -> None:
        worker, _, building = await self.begin(AtOnce(name="it"))
        await self.rig.until(lambda: len(worker.started) == 3, "all of them")
        self.assertEqual([directory for _, directory in worker.lists[-1]], ["b", "b", "b"])
        for ours, *_ in worker.started:
            await ours.callRemote("update", [[{"rc": 0}, 0]])
            await ours.callRemote("complete", None)
        self.assertIs((await building).result, Result.SUCCESS)

    async def test_but_not_without_end(self) -> None:
        self.patch(oldpb, "MOST_LANES", 2)
        _, _, building = await self.begin(AtOnce(name="it"))
        built = await building
        (error,) = [row.outcome["error"] for row in built.commands("it") if row.outcome]
        self.assertIn("does not end the commands that it was told to end", error)

    async def test_who_gives_none_is_not_taken(self) -> None:
        for given in (5, "x", []):
            worker = Worker(given)
            await self.log_in(worker)
            await self.rig.until(lambda worker=worker: worker.avatar.broker.disconnected, "it is sent away")
            self.assertEqual(self.rig.sessions.here, {})

    async def test_a_builder_without_an_object_runs_nothing(self) -> None:
        worker = Worker({})
        await self.log_in(worker)
        await self.rig.until(lambda: "bot" in self.rig.sessions.here)
        built = await self.run_steps(ShellCommand(name="it", command="x"))
        self.assertIs(built.result, Result.EXCEPTION)
        self.assertIn("gives no object for the directory 'b'", built.commands("it")[0].outcome["error"])

    async def test_one_that_does_not_take_a_command_in_time_is_lost(self) -> None:
        self.patch(link, "ANSWER_SECONDS", 0.2)
        worker = Worker()
        worker.answer = Deferred()
        await self.log_in(worker)
        await self.rig.until(lambda: "bot" in self.rig.sessions.here)
        built = await self.run_steps(ShellCommand(name="it", command="x"))
        self.assertIs(built.result, Result.RETRY)
        self.assertIn("gives no answer to startCommand", built.row.state_text)
