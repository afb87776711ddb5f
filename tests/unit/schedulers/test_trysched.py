"""Try_Jobdir and Try_Userpass: what a job becomes, and that nothing of it is lost or built twice."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import ensureDeferred
from twisted.logger import capturedLogs

from buildbot.config.errors import ConfigErrors
from buildbot.model import Patch
from buildbot.process.outside import BadInput
from buildbot.process.properties import Interpolate
from buildbot.schedulers.base import drive
from buildbot.schedulers.tryjob import TryJob, encoded
from buildbot.schedulers.trysched import Try_Jobdir, Try_Userpass
from buildbot.scripts.try_commands import put
from buildbot.store import Store, sourcestamps
from tests.unit.schedulers.cases import SchedulerCase


def job(**given: Any) -> TryJob:
    return TryJob(**{"jobid": "j1", "patch": b"diff\n", "patch_level": 1, "revision": "r1"} | given)


class TryCase(SchedulerCase):
    def setUp(self) -> None:
        super().setUp()
        self.scheduler = Try_Jobdir("try", ["full", "quick"], "jobs")
        self.configure(self.scheduler)
        self.jobdir = self.path.absolute().parent / "jobs"

    def put(self, *jobs: TryJob) -> None:
        self.jobdir.mkdir(exist_ok=True)
        for each in jobs:
            put(self.jobdir, encoded(each))

    def files(self, part: str) -> list[str]:
        directory = self.jobdir / part
        return sorted(each.name for each in directory.iterdir()) if directory.is_dir() else []

    def patch_of(self, buildset: Any) -> Patch | None:
        (stamp,) = self.stamps(buildset)
        return None if stamp.patch_id is None else sourcestamps.patch(self.store, stamp.patch_id)

    def whys(self) -> str:
        return "".join(
            (self.jobdir / "rejected" / name).read_text() for name in self.files("rejected") if name.endswith(".why")
        )


class TestJobs(TryCase):
    def test_a_job_is_a_buildset_with_its_patch(self) -> None:
        self.put(job(branch="topic", repository="r", project="p", who="Ann", comment="what if\nit works", subdir="lib",
                     builder_names=("quick",), properties={"a": 1}))  # fmt: skip
        self.drive(self.scheduler)
        (buildset,) = self.buildsets()
        self.assertEqual((buildset.external_id, buildset.scheduler), ("j1", "try"))
        self.assertEqual(buildset.reason, "try job by Ann: what if")
        self.assertEqual(len(self.requests(buildset)), 1)
        (stamp,) = self.stamps(buildset)
        self.assertEqual((stamp.branch, stamp.revision, stamp.repository, stamp.project), ("topic", "r1", "r", "p"))
        patch = self.patch_of(buildset)
        assert patch is not None
        self.assertEqual(patch[1:], (1, b"diff\n", "lib", "Ann", "what if\nit works"))
        found = {name: (each.value, each.source) for name, each in self.properties(buildset).items()}
        self.assertEqual(found, {"a": (1, "try"), "owner": ("Ann", "try"), "scheduler": ("try", "Scheduler")})
        self.assertEqual((self.files("new"), len(self.files("cur"))), ([], 1))

    def test_without_builders_all_are_asked_and_without_a_patch_there_is_none(self) -> None:
        self.put(job(patch=b"", revision=None))
        self.drive(self.scheduler)
        (buildset,) = self.buildsets()
        self.assertEqual(len(self.requests(buildset)), 2)
        self.assertIsNone(self.patch_of(buildset))

    def test_the_jobs_properties_go_over_the_schedulers_but_not_over_its_name(self) -> None:
        own = {"a": "s", "b": Interpolate("%(kw:x)s", x="s"), "owner": "o"}
        scheduler = Try_Jobdir("try", ["full"], "jobs", properties=own, priority=5)
        self.put(job(who="Ann", properties={"a": "j", "scheduler": "other"}))
        self.drive(scheduler)
        (buildset,) = self.buildsets()
        found = {name: each.value for name, each in self.properties(buildset).items()}
        self.assertEqual(found, {"a": "j", "b": "s", "owner": "o", "scheduler": "try"})
        self.assertEqual(self.requests(buildset)[0].priority, 5)

    def test_a_patch_is_for_the_codebase_of_its_repository(self) -> None:
        both = {"one": {"repository": "r1", "branch": "main"}, "two": {"repository": "r2", "revision": "7"}}
        scheduler = Try_Jobdir("try", ["full"], "jobs", codebases=both)
        self.put(job(jobid="a", repository="r1"), job(jobid="b", repository="nowhere"))
        self.drive(scheduler)
        (buildset,) = self.buildsets()
        one, two = sorted(self.stamps(buildset), key=lambda stamp: stamp.codebase)
        self.assertEqual((one.branch, one.revision, one.patch_id is None), ("main", "r1", False))
        self.assertEqual((two.repository, two.revision, two.patch_id), ("r2", "7", None))
        self.assertIn("must be one of r1, r2", self.whys())

    def test_dynamic_builder_names(self) -> None:
        scheduler = Try_Jobdir("try", _Names(), "jobs")
        self.put(job(builder_names=("quick",)), job(jobid="j2", builder_names=("full",)))
        self.drive(scheduler)
        self.assertEqual([each.external_id for each in self.buildsets()], ["j1"])
        self.assertIn("does not build 'full'", self.whys())


class _Names:
    """builderNames as a renderable."""

    def getRenderingFor(self, properties: Any) -> list[str]:
        return ["quick"]


class TestRefused(TryCase):
    def test_what_is_no_job_is_moved_aside_with_its_reason_and_the_others_are_built(self) -> None:
        self.put(job())
        (self.jobdir / "new" / "bad").write_bytes(b"nonsense")
        with capturedLogs() as events:
            self.drive(self.scheduler)
        self.assertEqual(len(self.buildsets()), 1)
        self.assertEqual(self.files("rejected"), ["bad", "bad.why"])
        self.assertEqual((self.jobdir / "rejected" / "bad").read_bytes(), b"nonsense")
        self.assertIn("no row of netstrings", self.whys())
        self.assertIn("no row of netstrings", " ".join(str(event.get("why")) for event in events))

    def test_an_unknown_builder_drops_the_whole_job_with_a_sentence(self) -> None:
        self.put(job(builder_names=("full", "quik")))
        self.drive(self.scheduler)
        self.assertEqual(self.buildsets(), [])
        self.assertIn("the scheduler 'try' does not build 'quik'; did you mean 'quick'?", self.whys())

    def test_files_that_are_none(self) -> None:
        self.put()
        new = self.jobdir / "new"
        new.mkdir(parents=True)
        secret = self.path.absolute().parent / "secret"
        secret.write_bytes(encoded(job()))
        os.symlink(secret, new / "link")
        (new / "directory").mkdir()
        os.mkfifo(new / "pipe")
        (new / ".hidden").write_bytes(b"not yet")
        with open(new / "large", "wb") as large:
            large.truncate(7_000_000)
        self.drive(self.scheduler)
        self.drive(self.scheduler)
        self.assertEqual(self.buildsets(), [])
        self.assertEqual(self.files("new"), [".hidden"])
        for reason in ("symbolic link", "not a plain file", "at most"):
            self.assertIn(reason, self.whys())

    def test_two_bad_files_of_one_name_are_both_kept(self) -> None:
        self.put(job())
        for text in (b"one", b"two"):
            (self.jobdir / "new" / "bad").write_bytes(text)
            self.drive(self.scheduler)
        kept = {(self.jobdir / "rejected" / name).read_bytes() for name in self.files("rejected") if ".why" not in name}
        self.assertEqual(kept, {b"one", b"two"})

    def test_a_jobdir_that_cannot_be_made_is_logged_and_tried_again(self) -> None:
        self.jobdir.write_text("a file")
        with capturedLogs() as events:
            wake_at = self.drive(self.scheduler)
        self.assertEqual(wake_at, self.now + 1)
        self.assertIn("cannot be made", " ".join(event["log_format"] for event in events))

    def test_a_function_of_the_configuration_that_fails_keeps_the_job(self) -> None:
        def priority(*_: Any) -> int:
            raise ZeroDivisionError

        self.put(job())
        self.drive(Try_Jobdir("try", ["full"], "jobs", priority=priority))
        self.assertEqual(len(self.flushLoggedErrors()), 1)
        self.assertEqual(len(self.files("rejected")), 2)
        self.assertIn("priority failed: ZeroDivisionError", self.whys())


class TestOnce(TryCase):
    def test_a_death_between_the_commit_and_the_move_builds_nothing_twice(self) -> None:
        """After the commit the file is still in `new`: as a kill -9 at that point leaves it."""
        self.put(job())
        (name,) = self.files("new")
        self.drive(self.scheduler)
        (self.jobdir / "cur" / name).rename(self.jobdir / "new" / name)
        self.reopen()
        self.drive(self.scheduler)
        self.assertEqual(len(self.buildsets()), 1)
        self.assertEqual((self.files("new"), self.files("cur")), ([], [name]))

    def test_jobs_behind_those_that_were_taken_before_do_not_wait_longer(self) -> None:
        self.put(job())
        self.drive(self.scheduler)
        self.put(job())
        self.assertEqual(self.drive(self.scheduler), self.now + 1)

    def test_a_file_that_cannot_be_moved_is_built_once_and_not_looked_at_all_the_time(self) -> None:
        self.put(job())
        self.drive(self.scheduler)
        self.put(job())
        (cur, away) = self.jobdir / "cur", self.jobdir / "away"

        class Blocked(Try_Jobdir):
            def run(self, *args: Any) -> float | None:
                cur.rename(away)
                cur.write_text("in the way")
                return super().run(*args)

        self.assertEqual(self.drive(Blocked("try", ["full"], "jobs")), self.now + 60)
        self.assertEqual((len(self.buildsets()), len(self.files("new"))), (1, 1))

    def test_a_failure_before_the_commit_loses_nothing(self) -> None:
        class Failing(Try_Jobdir):
            def accept(self, *args: Any) -> Any:
                super().accept(*args)
                raise OSError("No space left on device")

        self.put(job())
        driven = ensureDeferred(drive(Failing("try", ["full"], "jobs"), self.store, self.now))
        self.failureResultOf(driven, OSError)
        self.assertEqual((self.buildsets(), len(self.files("new"))), ([], 1))
        self.reopen()
        self.drive(self.scheduler)
        self.assertEqual(len(self.buildsets()), 1)

    def test_the_commit_is_durable(self) -> None:
        levels: list[Any] = []

        class Noting(Try_Jobdir):
            def accept(self, store: Store, *args: Any) -> Any:
                levels.append(store.value("PRAGMA synchronous"))
                return super().accept(store, *args)

        self.put(job())
        self.drive(Noting("try", ["full"], "jobs"))
        self.assertEqual(levels, [2])  # FULL

    def test_the_same_jobid_again_is_not_built_again(self) -> None:
        self.put(job(), job(comment="sent once more"))
        self.drive(self.scheduler)
        self.assertEqual(len(self.buildsets()), 1)
        self.assertEqual((self.files("new"), len(self.files("cur"))), ([], 2))

    def test_another_scheduler_may_have_the_same_jobid(self) -> None:
        other = Try_Jobdir("other", ["full"], "jobs")
        self.configure(self.scheduler, other)
        self.put(job())
        self.drive(self.scheduler)
        self.put(job())
        self.drive(other)
        self.assertEqual([each.scheduler for each in self.buildsets()], ["try", "other"])

    def test_many_jobs_are_taken_oldest_first_a_bounded_number_a_pass(self) -> None:
        self.put(*(job(jobid=f"j{number}") for number in range(30)))
        for number, name in enumerate(self.files("new")):
            os.utime(self.jobdir / "new" / name, (number, number))
        self.drive(self.scheduler)
        self.assertEqual(len(self.buildsets()), 20)
        self.drive(self.scheduler)
        self.assertEqual(
            sorted(each.external_id or "" for each in self.buildsets()), sorted(f"j{n}" for n in range(30))
        )


class TestArguments(SchedulerCase):
    def test_wrong_arguments_are_config_errors_and_show_no_password(self) -> None:
        makers: list[Callable[[], Any]] = [
            lambda: Try_Jobdir("t", ["full"], 5),  # type: ignore[arg-type]
            lambda: Try_Jobdir("t", ["full"], ""),
            lambda: Try_Userpass("t", ["full"], "nonsense", [("u", "sekrit")]),
            lambda: Try_Userpass("t", ["full"], 1, [("u", "sekrit", "x")]),  # type: ignore[list-item]
            lambda: Try_Userpass("t", ["full"], 1, [("u", "sekrit"), ("u", "sekrit2")]),
            lambda: Try_Userpass("t", ["full"], 1, []),
            lambda: Try_Userpass("t", ["full"], 1, {"u": "sekrit"}),  # type: ignore[arg-type]
        ]
        for make in makers:
            with self.assertRaises(ConfigErrors) as caught:
                make()
            self.assertNotIn("sekrit", str(caught.exception))

    def test_the_repr_has_no_password(self) -> None:
        self.assertNotIn("sekrit", repr(Try_Userpass("t", ["full"], 9999, [("u", "sekrit")])))

    def test_an_unknown_builder_is_refused(self) -> None:
        scheduler = Try_Userpass("t", ["full"], None, [("u", "p")])
        refused = self.failureResultOf(ensureDeferred(scheduler.settled(job(builder_names=("nobody",)))), BadInput)
        self.assertIn("its builders are full", str(refused.value))
