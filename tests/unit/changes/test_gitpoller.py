"""GitPoller's configuration, its poll loop, and what needs no git to be known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, DeferredSemaphore, ensureDeferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from buildbot.changes.base import PollFailed, PollingChangeSource, SourceContext
from buildbot.changes.gitpoller import GitPoller
from buildbot.changes.gitrepository import _files
from buildbot.config.errors import ConfigErrors, collecting
from buildbot.model import ChangeID, NewChange
from buildbot.secrets.lookup import Secrets
from buildbot.slaves.pbport import PBPorts
from buildbot.store import changes, sources
from tests.stores import new_store


class ConfigurationTests(SynchronousTestCase):
    def test_every_argument_of_buildbot_is_taken(self) -> None:
        GitPoller(
            "git://r", branches=["a"], workdir="w", pollInterval=30, gitbin="/usr/bin/git", usetimestamps=False,
            category="c", codebase="cb", project="p", encoding="latin-1", name="n", pollAtLaunch=True,
            buildPushesWithNoCommits=True, sshPrivateKey=None, sshHostKey=None, sshKnownHosts=None,
            pollRandomDelayMin=1, pollRandomDelayMax=2, auth_credentials=None, git_credentials=None,
        )  # fmt: skip
        self.assertEqual(GitPoller("git://r", pollinterval=5).pollInterval, 5)
        self.assertEqual(GitPoller("git://r", pollinterval=-2).pollInterval, 600)

    def test_what_to_watch(self) -> None:
        self.assertEqual(GitPoller("u", branch="a").branches, ["a"])
        self.assertEqual(GitPoller("u", branches=("a", "b")).branches, ["a", "b"])
        self.assertIs(GitPoller("u", branches=True).branches, True)
        self.assertEqual(GitPoller("u").branches, [])

    def test_mistakes_are_config_errors_that_say_what_is_wrong(self) -> None:
        for arguments, word in (
            ({"branch": "a", "branches": ["b"]}, "not both"),
            ({"only_tags": True, "branch": "a"}, "only_tags"),
            ({"branches": "main"}, "list of names"),
            ({"encoding": "klingon"}, "encoding"),
            ({"pollInterval": "often"}, "pollInterval"),
            ({"pollRandomDelayMin": 5, "pollRandomDelayMax": 1}, "pollRandomDelayMin"),
            ({"pollRandomDelayMax": 5000}, "pollRandomDelayMax"),
            ({"sshPrivateKey": 3}, "sshPrivateKey is a string"),
            ({"sshHostKey": "k", "sshKnownHosts": "k"}, "sshHostKey and sshKnownHosts are two ways"),
            ({"git_credentials": object()}, "git_credentials is util.GitCredentialOptions"),
            ({"repourl": ""}, "repourl"),
            ({"brunch": "a"}, "brunch"),
        ):
            with self.assertRaises(ConfigErrors) as caught:
                GitPoller(**({"repourl": "git://r"} | arguments))  # type: ignore[arg-type]
            self.assertIn(word, str(caught.exception))

    def test_fetch_refspec_is_a_warning(self) -> None:
        with collecting("master.cfg", ".") as collected:
            GitPoller("git://r", fetch_refspec="+refs/*:refs/*")
        self.assertEqual((len(collected.problems), len(collected.warnings)), (0, 1))

    def test_equal_arguments_make_equal_pollers(self) -> None:
        self.assertEqual(GitPoller("git://r", branch="a"), GitPoller("git://r", branch="a"))
        self.assertNotEqual(GitPoller("git://r", branch="a"), GitPoller("git://r", branch="b"))

    def test_a_password_in_the_url_is_shown_nowhere(self) -> None:
        poller = GitPoller("https://bob:sekrit@example.org/r.git")
        self.assertNotIn("sekrit", poller.name + poller.describe() + poller.repository)
        self.assertEqual(poller.repository, "https://bob@example.org/r.git")


class DiffTests(SynchronousTestCase):
    def test_paths_are_taken_as_they_are(self) -> None:
        sha, other = b"a" * 40, b"b" * 40
        printed = b"\0".join([sha, b"A", b'q"\n\xf6', b"M", b"c" * 40, other, b"D", b"x", b""])
        self.assertEqual(_files(printed), {sha: [b'q"\n\xf6', b"c" * 40], other: [b"x"]})

    def test_of_a_merge_the_first_parent_counts(self) -> None:
        sha = b"a" * 40
        self.assertEqual(_files(b"\0".join([sha, b"A", b"x", sha, b"A", b"y", b""])), {sha: [b"x"]})

    def test_nothing(self) -> None:
        self.assertEqual(_files(b""), {})


class Scripted(PollingChangeSource):
    """A poller whose polls do what the test says: None, an exception, or a Deferred to wait for."""

    def __init__(self, script: list[Any], **arguments: Any) -> None:
        super().__init__(**({"name": "s", "settings": {}, "pollInterval": 100, "pollAtLaunch": True} | arguments))
        self.script = script
        self.polls: list[float] = []

    async def poll(self) -> None:
        self.polls.append(self.context.now())
        step = self.script.pop(0) if self.script else None
        if isinstance(step, Exception):
            raise step
        if isinstance(step, Deferred):
            await step


class PollLoopTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.store = new_store(Path(self.mktemp()))
        self.addCleanup(self.store.close)

    def add_change(self, change: NewChange) -> tuple[ChangeID, bool]:
        return self.store.transact_durable(changes.add, change, self.clock.seconds())

    def start(self, source: PollingChangeSource) -> None:
        context = SourceContext(
            store=self.store, reactor=self.clock, now=self.clock.seconds, add_change=self.add_change,
            basedir=Path("."), pb=PBPorts(self.clock, self.clock), pb_ports=(), git_slots=DeferredSemaphore(1),
            secrets=Secrets(self.clock),
        )  # fmt: skip
        self.successResultOf(ensureDeferred(source.start(context)))

    def pump(self, seconds: int) -> None:
        for _ in range(seconds):
            self.clock.advance(1)

    def test_at_launch_and_then_each_interval(self) -> None:
        source = Scripted([])
        self.start(source)
        self.pump(301)
        self.assertEqual([round(at, -2) for at in source.polls], [0, 100, 200, 300])

    def test_pollers_that_start_together_do_not_poll_together(self) -> None:
        pollers = [Scripted([], name=f"poller {n}", pollAtLaunch=False) for n in range(50)]
        for poller in pollers:
            self.start(poller)
        self.pump(100)
        firsts = [poller.polls[0] for poller in pollers]
        self.assertEqual(len(firsts), 50)
        self.assertLess(max(firsts.count(at) for at in firsts), 6)

    def test_a_slow_poll_is_the_only_one(self) -> None:
        slow: Deferred[None] = Deferred()
        source = Scripted([slow])
        self.start(source)
        self.pump(500)
        self.assertEqual(len(source.polls), 1)
        slow.callback(None)
        self.pump(2)
        self.assertEqual(len(source.polls), 2)

    def test_failures_back_off_and_are_shown_and_success_ends_that(self) -> None:
        source = Scripted([PollFailed("no route"), PollFailed("no route"), None])
        self.start(source)
        self.pump(1)
        state = source.poll_state()
        self.assertEqual((state["failures"], state["error"], state["succeeded_at"]), (1, "no route", None))
        self.pump(700)
        self.assertEqual([round(at) for at in source.polls], [1, 201, 601, 701])
        state = source.poll_state()
        self.assertEqual((state["failures"], state["error"], round(state["succeeded_at"])), (0, None, 701))
        self.assertEqual((state["interval"], round(state["failed_at"])), (100, 201))
        self.assertEqual(sources.state(self.store, "s", "poll"), state)

    def test_a_bug_in_a_poll_is_logged_and_the_loop_goes_on(self) -> None:
        source = Scripted([ValueError("bug")])
        self.start(source)
        self.pump(250)
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
        self.assertEqual(len(source.polls), 2)

    def test_stop_ends_a_poll_that_runs_and_no_other_comes(self) -> None:
        waiting: Deferred[None] = Deferred()
        source = Scripted([waiting])
        self.start(source)
        self.pump(1)
        self.successResultOf(ensureDeferred(source.stop()))
        self.pump(500)
        self.assertEqual(len(source.polls), 1)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_poll_soon(self) -> None:
        source = Scripted([])
        self.start(source)
        self.pump(50)
        source.poll_soon()
        self.pump(1)
        self.assertEqual([round(at) for at in source.polls], [1, 51])

    def test_random_delays(self) -> None:
        source = Scripted([], pollRandomDelayMin=3, pollRandomDelayMax=7, uniform=lambda low, high: low + high)
        self.start(source)
        self.pump(125)
        self.assertEqual([round(at) for at in source.polls], [10, 120])
