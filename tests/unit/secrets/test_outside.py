"""Secrets that belong to no build: the passwords of the configuration, and the master's own log."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.internet.defer import ensureDeferred
from twisted.internet.task import Clock
from twisted.logger import LegacyLogObserverWrapper, Logger, LogPublisher
from twisted.python.log import FileLogObserver
from twisted.trial.unittest import SynchronousTestCase

from buildbot.config.authz import UserPasswordAuth
from buildbot.config.errors import ConfigErrors
from buildbot.config.loader import load_config
from buildbot.secrets.base import SecretProblem
from buildbot.secrets.environment import SecretInEnvironment
from buildbot.secrets.logmask import masked_observer
from buildbot.secrets.lookup import Secrets
from buildbot.secrets.outside import with_passwords

CONFIG = """\
from buildbot.plugins import secrets, util, worker
c = BuildmasterConfig = {'multiMaster': True}
c['workers'] = [worker.Worker('one', util.Secret('one')), worker.Worker('two', 'plain')]
c['builders'] = [util.BuilderConfig(name='b', workernames=['one', 'two'], factory=util.BuildFactory())]
c['secretsProviders'] = [secrets.SecretInEnvironment(prefix='UNIT_TEST_')]
c['www'] = {'port': 0, 'auth': util.UserPasswordAuth({'ann': util.Secret('ann'), 'bob': 'plain'})}
"""


class Passwords(SynchronousTestCase):
    def setUp(self) -> None:
        self.secrets = Secrets(Clock())
        self.secrets.use([SecretInEnvironment("X_", {"X_ONE": "hunter2", "X_ANN": "hunter3"})])
        self.path = Path(self.mktemp())

    def load(self, text: str = CONFIG) -> Any:
        self.path.write_text(text)
        return load_config(self.path)

    def test_slaves_and_people_get_their_passwords(self) -> None:
        config = self.load()
        self.assertEqual(config.warnings, ())
        self.assertEqual([repr(provider) for provider in config.secrets_providers], ["<SecretInEnvironment>"])
        known = self.successResultOf(ensureDeferred(with_passwords(config, self.secrets)))
        self.assertEqual([slave.password for slave in known.slaves], ["hunter2", "plain"])
        auth = known.www.auth
        assert isinstance(auth, UserPasswordAuth)
        self.assertTrue(auth.check("ann", "hunter3"))
        self.assertTrue(auth.check("bob", "plain"))
        self.assertFalse(auth.check("ann", "plain"))
        self.assertNotEqual(config.slaves[0].password, "hunter2")

    def test_authz_of_the_old_web_status_gets_them_too(self) -> None:
        old = """
from buildbot.status.html import WebStatus
from buildbot.status.web.authz import Authz
from buildbot.status.web.auth import BasicAuth
del c['www']
c['status'] = [WebStatus(http_port=0, authz=Authz(auth=BasicAuth([('ann', util.Secret('ann'))]), forceBuild='auth'))]
"""
        known = self.successResultOf(ensureDeferred(with_passwords(self.load(CONFIG + old), self.secrets)))
        self.assertTrue(known.www.auth.check("ann", "hunter3"))
        self.assertTrue(known.www.authz.auth.check("ann", "hunter3"))

    def test_one_that_is_missing_is_named(self) -> None:
        self.secrets.use([SecretInEnvironment("X_", {})])
        failed = self.failureResultOf(ensureDeferred(with_passwords(self.load(), self.secrets)), SecretProblem)
        self.assertIn("the password of slave 'one': there is no secret 'one'", failed.getErrorMessage())

    def test_what_is_no_provider_is_refused(self) -> None:
        for given, words in (("[secrets.SecretInEnvironment]", "call it"), ("['file']", "not 'file'"), ("3", "a list")):
            with self.assertRaises(ConfigErrors) as wrong:
                self.load(f"{CONFIG}\nc['secretsProviders'] = {given}\n")
            self.assertIn(words, str(wrong.exception))


class MasterLog(SynchronousTestCase):
    def setUp(self) -> None:
        self.path = Path(self.mktemp())
        file = self.path.open("w")
        self.addCleanup(file.close)
        secrets = Secrets(Clock())
        secrets.use([SecretInEnvironment("X_", {"X_TOKEN": "hunter2"})])
        self.successResultOf(ensureDeferred(secrets.get("token")))
        publisher = LogPublisher()
        observer = FileLogObserver(file)
        publisher.addObserver(LegacyLogObserverWrapper(masked_observer(observer.emit, secrets.mask)))
        self.log = Logger("tests", observer=publisher)

    def test_texts_and_tracebacks_are_masked(self) -> None:
        self.log.info("it is {value!r} in {where}", value="hunter2", where=["hunter2"])
        self.log.info("nothing of it: {value}", value="other")
        try:
            raise ValueError("no hunter2 here")
        except ValueError:
            self.log.failure("while doing {what}", what="hunter2")
        text = self.path.read_text()
        self.assertIn("[-] it is '<token>' in ['<token>']", text)
        self.assertIn("nothing of it: other", text)
        self.assertIn("while doing <token>", text)
        self.assertIn("ValueError: no <token> here", text)
        self.assertNotIn("hunter2", text)
