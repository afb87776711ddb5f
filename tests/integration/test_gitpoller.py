"""GitPoller against real git repositories."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import CancelledError, DeferredSemaphore, ensureDeferred, gatherResults
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from buildbot.changes.base import SourceContext
from buildbot.changes.git import Git, GitFailed
from buildbot.changes.gitpoller import GitPoller
from buildbot.model import Change, ChangeID, NewChange
from buildbot.secrets.lookup import Secrets
from buildbot.slaves.pbport import PBPorts
from buildbot.store import changes, sources
from buildbot.store.store import Store
from tests.processes import pid_alive
from tests.tools import require_tool


class Upstream:
    """A repository that the test pushes to."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir()
        self.git("init", "-q", "-b", "main")

    def git(self, *words: str | bytes, env: dict[str, str] | None = None) -> str:
        done = subprocess.run(
            ["git", "-C", str(self.path), *words], check=True, capture_output=True, env={**os.environ, **(env or {})}
        )
        return done.stdout.decode("utf-8", "replace").strip()

    def commit(self, message: str, *paths: str | bytes, **env: str) -> str:
        for path in paths or (message.replace(" ", "-"),):
            target = os.path.join(os.fsencode(self.path), os.fsencode(path))
            os.makedirs(os.path.dirname(target), exist_ok=True)
            with open(target, "ab") as file:
                file.write(message.encode() + b"\n")
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", message, env=env)
        return self.git("rev-parse", "HEAD")


class PollerCase(TestCase):
    def setUp(self) -> None:
        require_tool("git", "git")
        self.base = Path(self.mktemp()).absolute()
        self.base.mkdir()
        self.upstream = Upstream(self.base / "upstream")
        self.store = Store.open(self.base / "state.sqlite")
        self.addCleanup(lambda: self.store.close())
        self.seconds = 1_000_000.0
        self.slots = DeferredSemaphore(2)

    def add_change(self, change: NewChange) -> tuple[ChangeID, bool]:
        return self.store.transact_durable(changes.add, change, self.seconds)

    def context(self) -> SourceContext:
        return SourceContext(
            store=self.store, reactor=reactor, now=lambda: self.seconds, add_change=self.add_change, basedir=self.base,
            pb=PBPorts(reactor, reactor), pb_ports=(), git_slots=self.slots, secrets=Secrets(reactor),
        )  # fmt: skip

    async def poller(self, **arguments: Any) -> GitPoller:
        """A started poller whose own timer is far away: the test says when it polls."""
        defaults: dict[str, Any] = {"repourl": str(self.upstream.path), "pollInterval": 1e6}
        poller = GitPoller(**(defaults | arguments))
        await poller.start(self.context())
        self.addCleanup(lambda: ensureDeferred(poller.stop()))
        return poller

    def new(self) -> list[Change]:
        """The changes stored since the last time this was asked, oldest first."""
        last = getattr(self, "_last", 0)
        found = changes.after(self.store, ChangeID(last))
        if found:
            self._last = found[-1].id
        return found

    def script(self, body: str) -> str:
        """A program that stands in for git."""
        path = self.base / "git-script"
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)
        return str(path)

    def told(self) -> list[tuple[str | None, str]]:
        return [(change.branch, change.comments) for change in self.new()]


class BranchTests(PollerCase):
    async def test_the_first_poll_only_looks_and_later_ones_bring_what_is_new(self) -> None:
        self.upstream.commit("one")
        poller = await self.poller(branch="main")
        await poller.poll()
        self.assertEqual(self.told(), [])
        self.upstream.commit("two")
        self.upstream.commit("three")
        await poller.poll()
        self.assertEqual(self.told(), [("main", "two"), ("main", "three")])
        await poller.poll()
        self.assertEqual(self.told(), [])

    async def test_the_first_commits_of_an_empty_repository_are_new(self) -> None:
        poller = await self.poller(branch="main")
        await poller.poll()
        self.upstream.commit("one")
        self.upstream.commit("two")
        await poller.poll()
        self.assertEqual(self.told(), [("main", "one"), ("main", "two")])

    async def test_what_a_change_says(self) -> None:
        self.upstream.commit("one")
        poller = await self.poller(branch="main", project="p", codebase="cb", category="c")
        await poller.poll()
        sha = self.upstream.commit(
            "Subject\n\nBody <b>\n", "a", "sub/b c", GIT_AUTHOR_NAME="Zoë", GIT_AUTHOR_EMAIL="z@e",
            GIT_COMMITTER_NAME="Cem", GIT_COMMITTER_EMAIL="c@e", GIT_COMMITTER_DATE="1234567890 +0200",
        )  # fmt: skip
        await poller.poll()
        (change,) = self.new()
        self.assertEqual(
            change._replace(id=ChangeID(0)),
            Change(
                id=ChangeID(0), arrived_at=self.seconds, committed_at=1234567890.0, author="Zoë <z@e>",
                committer="Cem <c@e>", comments="Subject\n\nBody <b>", repository=str(self.upstream.path), project="p",
                codebase="cb", branch="main", revision=sha, category="c", revlink="", source=str(self.upstream.path),
            ),
        )  # fmt: skip
        self.assertEqual(changes.files(self.store, change.id), ["a", "sub/b c"])

    async def test_without_timestamps_a_change_has_no_time_of_its_own(self) -> None:
        poller = await self.poller(branch="main", usetimestamps=False)
        await poller.poll()
        self.upstream.commit("one")
        await poller.poll()
        self.assertEqual([change.committed_at for change in self.new()], [None])

    async def test_odd_names_and_paths_come_through(self) -> None:
        poller = await self.poller(branch="main")
        await poller.poll()
        subprocess.run(
            ["git", "-C", str(self.upstream.path), "commit", "-q", "--allow-empty", "-m", "x",
             b"--author=J\xf6rg <j\xff@e>"],
            check=True,
        )  # fmt: skip
        self.upstream.commit("names", "quo\"te's", "tab\tline\nbreak", b"latin\xf6", "ünicode", "-dash")
        await poller.poll()
        odd, names = self.new()
        self.assertEqual(odd.author, "Jörg <jÿ@e>")
        self.assertEqual(
            sorted(changes.files(self.store, names.id)),
            sorted(["quo\"te's", "tab\tline\nbreak", "latinö", "ünicode", "-dash"]),
        )

    async def test_a_message_in_another_encoding_is_text(self) -> None:
        poller = await self.poller(branch="main")
        await poller.poll()
        self.upstream.git(
            "-c", "i18n.commitEncoding=latin-1", "commit", "--allow-empty", "-q", "-m", "gr\xfcn".encode("latin-1")
        )
        await poller.poll()
        self.assertEqual(self.told(), [("main", "grün")])

    async def test_all_branches(self) -> None:
        self.upstream.commit("one")
        poller = await self.poller(branches=True)
        await poller.poll()
        self.upstream.git("checkout", "-q", "-b", "feature/ä")
        self.upstream.commit("two")
        self.upstream.git("checkout", "-q", "main")
        self.upstream.commit("three")
        await poller.poll()
        self.assertEqual(self.told(), [("main", "three"), ("feature/ä", "two")])

    async def test_branches_by_a_function(self) -> None:
        self.upstream.commit("one")
        asked: list[str] = []

        def watch(ref: str) -> bool:
            asked.append(ref)
            return ref.startswith("refs/heads/v")

        poller = await self.poller(branches=watch)
        await poller.poll()
        self.assertIn("refs/heads/main", asked)
        for branch in ("v1", "w1"):
            self.upstream.git("checkout", "-q", "-b", branch)
            self.upstream.commit(f"on {branch}")
        await poller.poll()
        self.assertEqual(self.told(), [("v1", "on v1")])

    async def test_without_a_branch_it_is_master_or_the_default_one(self) -> None:
        poller = await self.poller()
        await poller.poll()
        self.upstream.commit("on main")
        await poller.poll()
        self.upstream.git("checkout", "-q", "-b", "master")
        self.upstream.commit("on master")
        await poller.poll()
        self.assertEqual(self.told(), [("main", "on main"), ("master", "on master")])

    async def test_a_branch_that_is_not_there_yet(self) -> None:
        self.upstream.commit("one")
        poller = await self.poller(branches=["main", "later"])
        await poller.poll()
        self.upstream.git("checkout", "-q", "-b", "later")
        self.upstream.commit("two")
        await poller.poll()
        self.assertEqual(self.told(), [("later", "two")])

    async def test_an_unrelated_name_in_place_of_a_branch(self) -> None:
        self.upstream.commit("one")
        poller = await self.poller(branches=True)
        await poller.poll()
        self.upstream.git("branch", "a")
        await poller.poll()
        self.upstream.git("branch", "-D", "a")
        self.upstream.git("checkout", "-q", "-b", "a/b")
        self.upstream.commit("two")
        await poller.poll()
        self.assertEqual(self.told(), [("a/b", "two")])


class PushTests(PollerCase):
    """The same commit on a second branch, merges, pushes by force: what is built, and that nothing is built twice."""

    async def start(self, **arguments: Any) -> GitPoller:
        self.base_commit = self.upstream.commit("base")
        poller = await self.poller(**({"branches": True} | arguments))
        await poller.poll()
        return poller

    async def test_a_fast_forward_of_a_second_branch_is_new_there(self) -> None:
        poller = await self.start()
        self.upstream.git("checkout", "-q", "-b", "dev")
        self.upstream.commit("one")
        await poller.poll()
        self.upstream.git("checkout", "-q", "main")
        self.upstream.git("merge", "-q", "--ff-only", "dev")
        await poller.poll()
        self.assertEqual(self.told(), [("dev", "one"), ("main", "one")])

    async def test_a_merge_brings_its_commits_and_itself(self) -> None:
        poller = await self.start(branches=["main"])
        self.upstream.git("checkout", "-q", "-b", "dev")
        self.upstream.commit("one")
        self.upstream.git("checkout", "-q", "main")
        self.upstream.commit("two")
        await poller.poll()
        self.upstream.git("merge", "-q", "--no-ff", "-m", "merged", "dev")
        await poller.poll()
        self.assertEqual(self.told(), [("main", "two"), ("main", "one"), ("main", "merged")])
        merged = changes.newest(self.store, 1)[0]
        self.assertEqual(changes.files(self.store, merged.id), ["one"])

    async def test_a_forced_push_brings_the_commits_of_the_new_line(self) -> None:
        poller = await self.start()
        self.upstream.commit("one")
        await poller.poll()
        self.upstream.git("reset", "-q", "--hard", self.base_commit)
        self.upstream.commit("one again")
        self.upstream.commit("two")
        await poller.poll()
        self.assertEqual(self.told(), [("main", "one"), ("main", "one again"), ("main", "two")])

    async def test_going_back_brings_nothing_and_forth_again_nothing_twice(self) -> None:
        poller = await self.start()
        tip = self.upstream.commit("one")
        await poller.poll()
        self.upstream.git("reset", "-q", "--hard", self.base_commit)
        await poller.poll()
        self.upstream.git("reset", "-q", "--hard", tip)
        await poller.poll()
        self.assertEqual(self.told(), [("main", "one")])

    async def test_a_new_branch_without_commits_is_nothing(self) -> None:
        poller = await self.start()
        self.upstream.git("branch", "dev")
        await poller.poll()
        self.assertEqual(self.told(), [])

    async def test_unless_pushes_without_commits_are_built(self) -> None:
        poller = await self.start(buildPushesWithNoCommits=True)
        self.upstream.git("branch", "dev")
        await poller.poll()
        self.assertEqual(self.told(), [("dev", "base")])
        await poller.poll()
        self.assertEqual(self.told(), [])

    async def test_a_branch_that_is_deleted_and_comes_again(self) -> None:
        poller = await self.start()
        self.upstream.git("checkout", "-q", "-b", "dev")
        tip = self.upstream.commit("one")
        self.upstream.git("checkout", "-q", "main")
        await poller.poll()
        self.upstream.git("branch", "-D", "dev")
        await poller.poll()
        self.assertNotIn("refs/heads/dev", sources.states(self.store, poller.name, "head "))
        self.upstream.git("branch", "dev", tip)
        await poller.poll()
        self.assertEqual(self.told(), [("dev", "one")])

    async def test_the_only_branch_is_deleted_and_comes_again(self) -> None:
        poller = await self.start(branches=["main"])
        self.upstream.git("checkout", "-q", "-b", "other")
        self.upstream.git("branch", "-D", "main")
        await poller.poll()
        self.upstream.git("checkout", "-q", "-b", "main")
        self.upstream.commit("one")
        await poller.poll()
        self.assertEqual(self.told(), [("main", "one")])

    async def test_a_watched_branch_that_is_new_does_not_bring_the_whole_past(self) -> None:
        for n in range(5):
            self.upstream.commit(f"old {n}")
        poller = await self.start(branches=["release"])
        self.upstream.git("checkout", "-q", "-b", "release")
        self.upstream.commit("for the release")
        await poller.poll()
        self.assertEqual(self.told(), [("release", "for the release")])

    async def test_a_branch_without_common_history_is_new(self) -> None:
        poller = await self.start()
        self.upstream.git("checkout", "-q", "--orphan", "pages")
        self.upstream.commit("page one")
        self.upstream.commit("page two")
        await poller.poll()
        self.assertEqual(self.told(), [("pages", "page one"), ("pages", "page two")])

    async def test_watching_more_brings_no_past(self) -> None:
        poller = await self.start(branches=["main"])
        self.upstream.git("checkout", "-q", "-b", "old")
        self.upstream.commit("on old")
        await poller.stop()
        wider = await self.poller(branches=["main", "old"])
        await wider.poll()
        self.assertEqual(self.told(), [])
        self.upstream.commit("now")
        await wider.poll()
        self.assertEqual(self.told(), [("old", "now")])

    async def test_tags(self) -> None:
        poller = await self.start(branches=None, only_tags=True)
        self.upstream.commit("one")
        self.upstream.git("tag", "v1")
        self.upstream.git("tag", "-a", "-m", "annotated", "v1-signed")
        await poller.poll()
        self.assertEqual({branch for branch, _ in self.told()}, {"refs/tags/v1", "refs/tags/v1-signed"})
        tree = self.upstream.git("rev-parse", "HEAD^{tree}")
        self.upstream.git("tag", "a-tree", tree)
        await poller.poll()
        self.assertEqual(self.told(), [])

    async def test_category_by_a_function(self) -> None:
        def category(change: dict[str, Any]) -> str:
            if change["comments"] == "bad":
                raise ValueError("bad")
            return str(change["files"][0])

        poller = await self.start(category=category)
        self.upstream.commit("one", "docs")
        self.upstream.commit("bad")
        await poller.poll()
        self.assertEqual([change.category for change in self.new()], ["docs", None])
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)


class DurabilityTests(PollerCase):
    async def test_a_restart_goes_on_where_it_was(self) -> None:
        self.upstream.commit("one")
        first = await self.poller(branch="main")
        await first.poll()
        self.upstream.commit("two")
        await first.poll()
        await first.stop()
        self.upstream.commit("three")
        self.store.close()
        self.store = Store.open(self.base / "state.sqlite")
        second = await self.poller(branch="main")
        await second.poll()
        self.assertEqual([message for _, message in self.told()], ["two", "three"])

    async def test_a_crash_between_two_transactions_loses_nothing_and_doubles_nothing(self) -> None:
        self.upstream.commit("base")
        poller = await self.poller(branch="main")
        await poller.poll()
        for n in range(120):
            self.upstream.git("commit", "-q", "--allow-empty", "-m", str(n))
        real, calls = self.store.transact_durable, []

        def failing(*work: Any) -> Any:
            calls.append(work)
            if len(calls) == 2:
                raise OSError("No space left on device")
            return real(*work)

        self.store.transact_durable = failing  # type: ignore[method-assign, assignment]
        with self.assertRaises(OSError):
            await poller.poll()
        self.assertEqual(changes.last_id(self.store), 50)
        self.store.transact_durable = real  # type: ignore[method-assign]
        await poller.poll()
        self.assertEqual(self.store.column("SELECT comments FROM changes ORDER BY id"), [str(n) for n in range(120)])

    async def test_a_lost_copy_is_made_again(self) -> None:
        self.upstream.commit("one")
        poller = await self.poller(branch="main", workdir="copies")
        await poller.poll()
        (copy,) = (self.base / "copies").iterdir()
        copy.rename(self.base / "gone")
        self.upstream.commit("two")
        await poller.poll()
        self.assertEqual(self.told(), [("main", "two")])

    async def test_a_lost_copy_and_a_forced_push_still_bring_the_head(self) -> None:
        self.upstream.commit("one")
        poller = await self.poller(branch="main", workdir="copies")
        await poller.poll()
        (copy,) = (self.base / "copies").iterdir()
        copy.rename(self.base / "gone")
        self.upstream.git("commit", "-q", "--amend", "-m", "rewritten")
        self.upstream.git("reflog", "expire", "--expire=now", "--all")
        self.upstream.git("gc", "-q", "--prune=now")
        await poller.poll()
        self.assertEqual(self.told(), [("main", "rewritten")])

    async def test_locks_of_a_git_that_was_killed_do_not_block_the_next(self) -> None:
        self.upstream.commit("one")
        poller = await self.poller(branch="main", workdir="copies")
        await poller.poll()
        (copy,) = (self.base / "copies").iterdir()
        (kept,) = (copy / "refs" / "kept").iterdir()
        kept.with_name(kept.name + ".lock").touch()
        (copy / "packed-refs.lock").touch()
        self.upstream.commit("two")
        await poller.poll()
        self.assertEqual(self.told(), [("main", "two")])

    async def test_a_failed_poll_is_shown_with_its_reason_and_without_the_password(self) -> None:
        poller = await self.poller(repourl=f"http://bob:sekrit@127.0.0.1:1/{self.id()}", pollAtLaunch=True, name="p")
        for _ in range(500):
            if poller.poll_state()["failures"]:
                break
            await deferLater(reactor, 0.02, lambda: None)
        state = poller.poll_state()
        self.assertEqual((state["failures"], state["succeeded_at"], state["failed_at"]), (1, None, self.seconds))
        self.assertIn("git ls-remote failed", state["error"])
        self.assertNotIn("sekrit", state["error"])

    async def test_a_repository_that_is_not_there(self) -> None:
        poller = await self.poller(repourl=str(self.base / "nowhere"))
        with self.assertRaises(GitFailed):
            await poller.poll()

    async def test_when_nothing_moved_git_is_asked_once(self) -> None:
        self.upstream.commit("one")
        log = self.base / "calls"
        poller = await self.poller(branch="main", gitbin=self.script(f'echo "$@" >> {log}; exec git "$@"'))
        await poller.poll()
        log.write_text("")
        await poller.poll()
        (line,) = log.read_text().splitlines()
        self.assertIn("ls-remote", line)


class HungGitTests(PollerCase):
    """What runs away is killed, with its children."""

    def runner(self, body: str) -> Git:
        return Git(reactor=reactor, binary=self.script(body), slots=self.slots)

    async def pids(self, file: Path, count: int = 2) -> list[int]:
        for _ in range(500):
            if file.exists() and len(file.read_text().split()) == count:
                return [int(word) for word in file.read_text().split()]
            await deferLater(reactor, 0.01, lambda: None)
        raise AssertionError("the script did not start")

    async def all_gone(self, pids: list[int]) -> None:
        for _ in range(300):
            if not any(map(pid_alive, pids)):
                return
            await deferLater(reactor, 0.02, lambda: None)
        self.fail(f"still there: {[pid for pid in pids if pid_alive(pid)]}")

    async def test_a_hung_git_and_its_child_are_killed_at_the_deadline(self) -> None:
        file = self.base / "pids"
        git = self.runner(f"sleep 1000 & echo $! $$ > {file}; wait")
        with self.assertRaises(GitFailed) as caught:
            await git.run("fetch", seconds=0.5)
        self.assertIn("git fetch did not end within 0.5 s", str(caught.exception))
        await self.all_gone(await self.pids(file))
        self.assertEqual(self.slots.tokens, 2)

    async def test_one_that_ignores_sigterm_is_killed_all_the_same(self) -> None:
        file = self.base / "pids"
        git = self.runner(f"trap '' TERM; sleep 1000 & echo $! $$ > {file}; while :; do sleep 0.1; done")
        with self.assertRaises(GitFailed):
            await git.run("fetch", seconds=0.3)
        await self.all_gone(await self.pids(file))

    async def test_cancelling_kills_before_it_returns(self) -> None:
        file = self.base / "pids"
        running = ensureDeferred(self.runner(f"sleep 1000 & echo $! $$ > {file}; wait").run("fetch", seconds=60))
        pids = await self.pids(file)
        running.cancel()
        with self.assertRaises(CancelledError):
            await running
        self.assertFalse(pid_alive(pids[1]))
        await self.all_gone(pids)
        self.assertEqual(self.slots.tokens, 2)

    async def test_cancelling_while_it_waits_for_a_slot(self) -> None:
        for _ in range(2):
            await self.slots.acquire()
        waiting = ensureDeferred(self.runner("exit 0").run("fetch", seconds=60))
        waiting.cancel()
        with self.assertRaises(CancelledError):
            await waiting
        for _ in range(2):
            self.slots.release()
        self.assertEqual(await self.runner("echo ok").run("x", seconds=10), b"ok\n")

    async def test_endless_output_is_cut_off(self) -> None:
        with self.assertRaises(GitFailed) as caught:
            await self.runner("exec yes").run("log", seconds=60, most=100_000)
        self.assertIn("printed more than 100000 bytes", str(caught.exception))

    async def test_a_child_that_keeps_the_pipes_open_does_not_hold_us(self) -> None:
        file = self.base / "pids"
        git = self.runner(f"sleep 1000 & echo $! > {file}; echo done; exit 0")
        self.assertEqual(await git.run("fetch", seconds=60), b"done\n")
        (child,) = await self.pids(file, 1)
        os.kill(child, signal.SIGKILL)

    async def test_a_git_that_is_not_there(self) -> None:
        with self.assertRaises(GitFailed) as caught:
            await Git(reactor=reactor, binary="/nonexistent/git", slots=self.slots).run("fetch", seconds=10)
        self.assertIn("git fetch failed", str(caught.exception))

    async def test_it_cannot_ask_for_a_password(self) -> None:
        printed = await self.runner("echo $GIT_TERMINAL_PROMPT; tty; read x || echo no input").run("x", seconds=10)
        self.assertEqual(printed.split(b"\n")[0], b"0")
        self.assertIn(b"not a tty", printed)
        self.assertIn(b"no input", printed)

    async def test_a_poller_with_a_hung_git_recovers(self) -> None:
        flag = self.base / "hang"
        self.upstream.commit("one")
        poller = await self.poller(
            branch="main", gitbin=self.script(f'test -e {flag} && sleep 1000; exec git "$@"'), timeout=1
        )
        await poller.poll()
        flag.touch()
        self.upstream.commit("two")
        with self.assertRaises(GitFailed):
            await poller.poll()
        flag.unlink()
        await poller.poll()
        self.assertEqual(self.told(), [("main", "two")])

    async def test_stopping_in_the_middle_of_a_poll_loses_nothing(self) -> None:
        self.upstream.commit("one")
        first = await self.poller(branch="main")
        await first.poll()
        await first.stop()
        self.upstream.commit("two")
        file = self.base / "pids"
        hanging = await self.poller(
            branch="main", pollAtLaunch=True,
            gitbin=self.script(f'case "$*" in *rev-list*) echo $$ $$ > {file}; exec sleep 1000;; esac; exec git "$@"'),
        )  # fmt: skip
        pids = await self.pids(file)
        await hanging.stop()
        await self.all_gone(pids)
        again = await self.poller(branch="main")
        await again.poll()
        self.assertEqual(self.told(), [("main", "two")])


class ManyTests(PollerCase):
    async def test_500_pollers_run_few_gits_at_once(self) -> None:
        running = self.base / "running"
        running.mkdir()
        counts = self.base / "counts"
        body = f'touch {running}/$$; ls {running} | wc -l >> {counts}; git "$@"; code=$?; rm {running}/$$; exit $code'
        self.upstream.commit("one")
        self.slots = DeferredSemaphore(3)
        pollers = [await self.poller(branch="main", name=f"p{n}", gitbin=self.script(body)) for n in range(500)]
        head = {b"refs/heads/main": self.upstream.git("rev-parse", "HEAD")}
        for poller in pollers:  # as if they had been there before: the first poll would copy 500 repositories
            self.store.transact(poller._remember, head)
        longest, done = 0.0, False

        async def measure() -> None:
            nonlocal longest
            while not done:
                before = reactor.seconds()
                await deferLater(reactor, 0, lambda: None)
                longest = max(longest, reactor.seconds() - before)

        measuring = ensureDeferred(measure())
        before = os.times()
        await gatherResults([ensureDeferred(poller.poll()) for poller in pollers])
        done = True
        used = os.times().user + os.times().system - before.user - before.system
        await measuring
        seen = [int(line) for line in counts.read_text().split()]
        self.assertEqual(len(seen), 500)
        self.assertLessEqual(max(seen), 3)
        self.assertGreaterEqual(max(seen), 2)
        self.assertLess(longest, 1.0, "the reactor stood still")
        self.assertLess(used, 6, "polled once a minute, they would take more than a tenth of a core")
