"""PBChangeSource: configuration, registration on ports, and what is acknowledged when."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet.defer import DeferredSemaphore, ensureDeferred
from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from buildbot.changes.base import SourceContext
from buildbot.changes.pb import ChangeAvatar, ChangeRefused, PBChangeSource
from buildbot.config.errors import ConfigErrors
from buildbot.model import ChangeID, NewChange
from buildbot.process.properties import Interpolate, Secret
from buildbot.secrets.base import SecretProblem
from buildbot.secrets.environment import SecretInEnvironment
from buildbot.secrets.lookup import Secrets
from buildbot.slaves.guard import GuardedBroker
from buildbot.slaves.pbport import LoginFactory
from buildbot.slaves.ports import NameInUse
from buildbot.store import changes
from tests.stores import new_store


class Ports:
    """Remembers who was registered where; satisfies what PBChangeSource asks of PBPorts."""

    def __init__(self) -> None:
        self.users: set[tuple[str, str]] = set()
        self.passwords: list[str] = []

    def register(self, endpoint: str, username: str, password: str, make_avatar: Any) -> Any:
        if (endpoint, username) in self.users:
            raise NameInUse(username)
        self.users.add((endpoint, username))
        self.passwords.append(password)
        return Undo(lambda: self.users.discard((endpoint, username)))


class Undo:
    def __init__(self, unregister: Callable[[], object]) -> None:
        self.unregister = unregister


class SourceCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1000)
        self.store = new_store(Path(self.mktemp()))
        self.addCleanup(self.store.close)
        self.ports = Ports()
        self.secrets = Secrets(self.clock)
        self.full = False

    def add_change(self, change: NewChange) -> tuple[ChangeID, bool]:
        if self.full:
            raise OSError("No space left on device")
        return self.store.transact_durable(changes.add, change, self.clock.seconds())

    def context(self, pb_ports: tuple[str, ...] = ("tcp:9989",)) -> SourceContext:
        return SourceContext(
            store=self.store, reactor=self.clock, now=self.clock.seconds, add_change=self.add_change, basedir=Path("."),
            pb=self.ports, pb_ports=pb_ports, git_slots=DeferredSemaphore(1), secrets=self.secrets,  # type: ignore[arg-type]
        )  # fmt: skip

    def start(self, source: PBChangeSource, **context: Any) -> None:
        self.successResultOf(ensureDeferred(source.start(self.context(**context))))


class ConfigurationTests(SourceCase):
    def test_user_and_passwd_may_be_secrets(self) -> None:
        self.secrets.use([SecretInEnvironment("X_", {"X_USER": "ann", "X_PASSWD": "hunter2"})])
        source = PBChangeSource(user=Secret("user"), passwd=Interpolate("%(secret:passwd)s!"))
        self.assertEqual(source, PBChangeSource(user=Secret("user"), passwd=Interpolate("%(secret:passwd)s!")))
        self.assertNotEqual(source, PBChangeSource(user=Secret("user"), passwd=Secret("other")))
        self.start(source)
        self.assertEqual((self.ports.users, self.ports.passwords), ({("tcp:9989", "ann")}, ["hunter2!"]))
        self.assertNotIn("hunter2", source.describe() + repr(vars(source)))
        missing = PBChangeSource(passwd=Secret("missing"))
        failed = self.failureResultOf(ensureDeferred(missing.start(self.context())), SecretProblem)
        self.assertIn("passwd of PBChangeSource:change: there is no secret 'missing'", failed.getErrorMessage())

    def test_without_a_port_it_shares_those_of_the_slaves(self) -> None:
        source = PBChangeSource()
        self.start(source, pb_ports=("tcp:9989", "ssl:9990:privateKey=k"))
        self.assertEqual(self.ports.users, {("tcp:9989", "change"), ("ssl:9990:privateKey=k", "change")})
        self.successResultOf(ensureDeferred(source.stop()))
        self.assertEqual(self.ports.users, set())

    def test_an_own_port_and_user(self) -> None:
        self.start(PBChangeSource("hook", "pw", 9999))
        self.assertEqual(self.ports.users, {("tcp:9999", "hook")})

    def test_no_port_at_all_is_an_error(self) -> None:
        failure = self.failureResultOf(ensureDeferred(PBChangeSource().start(self.context(pb_ports=()))), ConfigErrors)
        self.assertIn("port=", str(failure.value))

    def test_a_second_source_with_the_same_user_leaves_nothing_behind(self) -> None:
        self.start(PBChangeSource())
        second = PBChangeSource(prefix="x")
        context = self.context(pb_ports=("tcp:1", "tcp:9989"))
        self.failureResultOf(ensureDeferred(second.start(context)), NameInUse)
        self.assertEqual(self.ports.users, {("tcp:9989", "change")})

    def test_sep_of_old_configurations_ends_the_prefix(self) -> None:
        self.assertEqual(PBChangeSource(prefix="trunk", sep="/").prefix, "trunk/")
        self.assertEqual(PBChangeSource(prefix="trunk/", sep="/").prefix, "trunk/")

    def test_wrong_arguments_are_config_errors(self) -> None:
        for arguments in ({"port": "nonsense"}, {"port": 99999}, {"user": ""}, {"passwd": None}, {"usr": "x"}):
            with self.assertRaises(ConfigErrors, msg=str(arguments)):
                PBChangeSource(**arguments)  # type: ignore[arg-type]

    def test_names_and_equality_tell_sources_apart(self) -> None:
        self.assertEqual(PBChangeSource(), PBChangeSource())
        self.assertNotEqual(PBChangeSource(), PBChangeSource(passwd="other"))
        self.assertNotEqual(PBChangeSource(prefix="a").name, PBChangeSource(prefix="b").name)
        self.assertEqual(PBChangeSource(name="hooks").name, "hooks")
        self.assertNotIn("sekrit", PBChangeSource(passwd="sekrit").describe() + PBChangeSource(passwd="sekrit").name)


class AddChangeTests(SourceCase):
    def setUp(self) -> None:
        super().setUp()
        self.broker: GuardedBroker = LoginFactory(self.clock).buildProtocol(None)
        self.avatar = ChangeAvatar(PBChangeSource(prefix="src/"), self.context(), self.broker)

    def test_it_is_stored_when_the_call_returns(self) -> None:
        self.avatar.perspective_addChange({"who": "ann", "files": ["src/a", "doc/b"], "revision": "r1"})
        (stored,) = changes.newest(self.store)
        self.assertEqual((stored.author, stored.revision, stored.source), ("ann", "r1", "PBChangeSource:src/:change"))
        self.assertEqual(changes.files(self.store, stored.id), ["a"])

    def test_the_same_change_twice_is_one(self) -> None:
        for _ in range(2):
            self.avatar.perspective_addChange({"who": "ann", "revision": "r1"})
        self.assertEqual(len(changes.newest(self.store)), 1)

    def test_a_full_disk_is_not_acknowledged(self) -> None:
        self.full = True
        with self.assertRaises(ChangeRefused) as caught:
            self.avatar.perspective_addChange({"who": "ann"})
        self.assertIn("send it again", str(caught.exception))
        self.assertEqual(len(self.flushLoggedErrors(OSError)), 1)

    def test_a_refused_change_keeps_the_others(self) -> None:
        self.avatar.perspective_addChange({"who": "ann", "comments": "one"})
        with self.assertRaises(ChangeRefused) as caught:
            self.avatar.perspective_addChange({"who": "ann", "comments": "x" * 1_000_001})
        self.assertIn("1000000", str(caught.exception))
        self.avatar.perspective_addChange({"who": "ann", "comments": "two"})
        self.assertEqual([change.comments for change in changes.newest(self.store)], ["two", "one"])

    def test_unknown_keys_are_taken_and_logged(self) -> None:
        with capturedLogs() as events:
            self.avatar.perspective_addChange({"who": "ann", "mood": "good"})
        self.assertEqual([event["keys"] for event in events if "keys" in event], ["mood"])
        self.assertEqual(len(changes.newest(self.store)), 1)

    def test_markup_and_nul_come_through_as_text(self) -> None:
        self.avatar.perspective_addChange({"who": "<b>ann</b>", "comments": b"a\0b\xff<script>"})
        (stored,) = changes.newest(self.store)
        self.assertEqual((stored.author, stored.comments), ("<b>ann</b>", "a\ufffdb\ufffd<script>"))

    def test_properties_of_every_plain_kind_are_stored(self) -> None:
        values = {"s": "v", "i": 2**70, "f": 1.5, "n": None, "l": [1, {"a": b"x"}], "b": True}
        self.avatar.perspective_addChange({"who": "ann", "properties": values})
        self.assertEqual(len(changes.newest(self.store)), 1)
