"""MailNotifier against a real SMTP server, with a real reactor."""

from __future__ import annotations

import os
import ssl
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from twisted.internet import reactor as global_reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from buildbot.model import Property, Result
from buildbot.process.properties import Secret
from buildbot.secrets.environment import SecretInEnvironment
from buildbot.secrets.lookup import Secrets
from buildbot.status.mail import MailNotifier
from buildbot.status.receiver import ReceiverContext, ReceiverWorker
from buildbot.store import events
from tests.integration.smtp_server import SmtpServer
from tests.tools import require_tool
from tests.unit.status.builds import Config, World

reactor: Any = global_reactor


@dataclass
class Process:
    """One life of a master, as far as mail is concerned."""

    world: World
    notifier: MailNotifier
    secrets: Secrets = field(default_factory=lambda: Secrets(reactor))

    def __post_init__(self) -> None:
        self.world.store.transact(events.start_cursor, "MailNotifier")
        context = ReceiverContext(
            store=self.world.store,
            log_files=self.world.log_files,
            config=Config,
            now=self.world.now,
            reactor=reactor,
            secrets=self.secrets,
        )
        self.worker = ReceiverWorker("MailNotifier", self.notifier, context)

    async def run(self) -> float | None:
        """What the doorbell does; the time of the next try, if there is to be one."""
        return await self.worker(self.world.now())

    async def run_after_back_off(self) -> float | None:
        at = self.cursor().next_try_at
        assert at is not None
        self.world.time = at + 0.1
        return await self.run()

    def cursor(self) -> Any:
        return events.cursor(self.world.store, "MailNotifier")


class MailTests(TestCase):
    timeout = 60  # type: ignore[assignment]

    def setUp(self) -> None:
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = Path(directory.name)
        self.world = World(self.directory / "master")
        self.addCleanup(lambda: self.world.store.close())

    async def tearDown(self) -> None:
        # The connections' ends are a matter of milliseconds.
        for _ in range(100):
            if len(reactor.getDelayedCalls()) <= 1:  # the test's own time limit
                break
            await deferLater(reactor, 0.01)

    def serve(self, **options: Any) -> SmtpServer:
        server = SmtpServer(**options)
        self.addCleanup(server.stop)
        return server

    def process(self, port: int, **options: Any) -> Process:
        options.setdefault("extraRecipients", ["all@example.org"])
        return Process(self.world, MailNotifier("ci@example.org", relayhost="localhost", smtpPort=port, **options))

    async def test_a_failing_build_is_mailed_to_its_authors_and_the_list(self) -> None:
        server = self.serve()
        process = self.process(server.port)
        joe = self.world.change("Joe Müller <joe@example.org>", comments="Rénové\nand more")
        self.world.build(blamed=(joe,))
        assert await process.run() is None
        (mail,) = server.mails
        assert mail.sender == "ci@example.org"
        assert mail.recipients == ("joe@example.org", "all@example.org")
        assert mail.message["To"] == "Joe Müller <joe@example.org>"
        assert mail.message["Cc"] == "all@example.org"
        assert mail.message["Subject"] == "buildbot failure in Pyflakes on runtests"
        body = mail.message.get_content()
        for words in (
            "runtests #1 failed",
            "http://ci.example.org/bb/builders/runtests/builds/1",
            "bob",
            "Rénové",
            "setup.py",
            "abc123",
            "FAILED test_x",
        ):
            assert words in body, words

    async def test_merged_requests_blame_the_union(self) -> None:
        server = self.serve()
        process = self.process(server.port, extraRecipients=[])
        blamed = tuple(self.world.change(f"{n} <{n}@example.org>", revision=n) for n in ("ann", "bob"))
        self.world.build(blamed=blamed)
        await process.run()
        assert server.mails[0].recipients == ("ann@example.org", "bob@example.org")

    async def test_lines_of_a_single_full_stop_and_long_logs_arrive_whole(self) -> None:
        server = self.serve()
        process = self.process(server.port, addLogs=True)
        log = b"".join(b".%d\n.\n..x\n" % n for n in range(40_000))
        self.world.build(log=log)
        await process.run()
        parts = {part.get_filename(): part for part in server.mails[0].message.iter_attachments()}
        assert list(parts) == ["compile.stdio", "test.stdio"]
        assert parts["test.stdio"].get_content().replace("\r\n", "\n").encode() == log

    async def test_a_body_with_leading_full_stops_arrives_whole(self) -> None:
        server = self.serve()
        lines = "\n".join("." * (1 + n % 3) + "x" * (n % 70) for n in range(3000)) + "\n"
        process = self.process(server.port, messageFormatter=lambda *ignored: {"body": lines, "type": "plain"})
        self.world.build()
        await process.run()
        assert server.mails[0].message.get_content().replace("\r\n", "\n") == lines

    async def test_a_patch_goes_along(self) -> None:
        server = self.serve()
        process = self.process(server.port)
        self.world.build(patch=b"--- a\n+++ b\n")
        await process.run()
        (part,) = server.mails[0].message.iter_attachments()
        assert part.get_filename() == "source patch"
        assert "+++ b" in part.get_content()

    async def test_login_over_starttls(self) -> None:
        server = self.serve(context=self.certificate(), login=("me", "secret"))
        process = self.process(server.port, useTls=True, smtpUser="me", smtpPassword="secret")
        self.world.build()
        assert await process.run() is None, process.cursor()
        (mail,) = server.mails
        assert mail.encrypted
        assert mail.user == "me"

    async def test_the_password_may_be_a_secret(self) -> None:
        server = self.serve(context=self.certificate(), login=("me", "secret"))
        process = self.process(server.port, useTls=True, smtpUser="me", smtpPassword=Secret("smtp"))
        self.world.build()
        assert await process.run() is not None
        assert "'smtp' is wanted, but there is no secret provider" in process.cursor().last_error
        process.secrets.use([SecretInEnvironment("X_", {"X_SMTP": "secret"})])
        assert await process.run_after_back_off() is None, process.cursor()
        assert server.mails[0].user == "me"
        self.flushLoggedErrors()

    async def test_an_unknown_certificate_is_not_trusted(self) -> None:
        server = self.serve(context=self.certificate(trusted=False))
        process = self.process(server.port, useTls=True)
        self.world.build()
        assert await process.run() is not None
        assert not server.mails
        assert "certificate" in process.cursor().last_error
        self.flushLoggedErrors()

    async def test_a_server_without_tls_gets_nothing_when_tls_is_asked_for(self) -> None:
        server = self.serve()
        process = self.process(server.port, useTls=True)
        self.world.build()
        assert await process.run() is not None
        assert not server.mails
        assert "TLS" in process.cursor().last_error

    async def test_a_wrong_password_is_said_and_tried_again(self) -> None:
        server = self.serve(context=self.certificate(), login=("me", "secret"))
        process = self.process(server.port, useTls=True, smtpUser="me", smtpPassword="wrong")
        self.world.build()
        assert await process.run() is not None
        assert "535" in process.cursor().last_error
        assert "wrong" not in process.cursor().last_error

    async def test_later_is_tried_again_and_nobody_gets_it_twice(self) -> None:
        server = self.serve()
        process = self.process(server.port, extraRecipients=["a@example.org", "slow@example.org", "z@example.org"])
        server.rcpt = lambda address: "450 greylisted" if address.startswith("slow") else "250 OK"
        self.world.build()
        assert await process.run() is not None
        assert process.cursor().last_error == "slow@example.org: 450 greylisted"
        server.rcpt = lambda address: "250 OK"
        assert await process.run_after_back_off() is None
        assert [mail.recipients for mail in server.mails] == [("a@example.org", "z@example.org"), ("slow@example.org",)]
        assert server.mails[0].message["Message-ID"] == server.mails[1].message["Message-ID"]

    async def test_a_mail_refused_for_now_as_a_whole_goes_to_everyone_later(self) -> None:
        server = self.serve()
        process = self.process(server.port)
        server.data = lambda: "451 disk full"
        self.world.build()
        assert await process.run() is not None
        assert "451 disk full" in process.cursor().last_error
        server.data = lambda: "250 OK"
        assert await process.run_after_back_off() is None
        assert [mail.recipients for mail in server.mails] == [("all@example.org",)]

    async def test_never_is_not_tried_again_and_the_others_get_theirs(self) -> None:
        server = self.serve()
        process = self.process(server.port, extraRecipients=["nobody@example.org", "all@example.org"])
        server.rcpt = lambda address: "550 no such user" if address.startswith("nobody") else "250 OK"
        self.world.build()
        self.world.build()
        assert await process.run() is None
        assert [mail.recipients for mail in server.mails] == [("all@example.org",)] * 2

    async def test_a_mail_refused_for_good_does_not_stop_the_next(self) -> None:
        server = self.serve()
        process = self.process(server.port)
        answers = ["554 too ugly", "250 OK"]
        server.data = lambda: answers.pop(0)
        self.world.build()
        self.world.build(Result.SUCCESS)
        assert await process.run() is None
        assert [mail.message["Subject"] for mail in server.mails] == ["buildbot success in Pyflakes on runtests"]

    async def test_one_full_mailbox_holds_up_the_others_for_an_hour_at_most(self) -> None:
        server = self.serve()
        process = self.process(server.port, extraRecipients=["full@example.org", "all@example.org"])
        server.rcpt = lambda address: "452 mailbox full" if address.startswith("full") else "250 OK"
        self.world.build()
        started = self.world.time
        while await process.run() is not None:
            self.world.time = process.cursor().next_try_at + 0.1
            assert self.world.time < started + 5000
        assert self.world.time > started + 3600
        assert [mail.recipients for mail in server.mails] == [("all@example.org",)]

    async def test_no_server_then_one(self) -> None:
        server = self.serve()
        port = server.port
        server.stop()
        process = self.process(port)
        self.world.build()
        assert await process.run() is not None
        assert "refused" in process.cursor().last_error
        again = self.serve()
        process.notifier.smtpPort = again.port
        assert await process.run_after_back_off() is None
        assert len(again.mails) == 1

    async def test_dying_between_the_mail_and_the_cursor_mails_it_once_more(self) -> None:
        server = self.serve()
        process = self.process(server.port)
        self.world.build()
        died: Deferred[None] = Deferred()
        store = self.world.store
        taken = store.transact

        def transact(work: Callable[..., Any], *args: Any) -> Any:
            if work is events.advance_cursor:
                raise SystemError("killed here")
            return taken(work, *args)

        store.transact = transact  # type: ignore[method-assign]
        await self.assertFailure(Deferred.fromCoroutine(process.run()), SystemError)
        died.callback(None)
        self.world.reopen()
        assert await self.process(server.port).run() is None
        ids = [mail.message["Message-ID"] for mail in server.mails]
        assert len(ids) == 2
        assert ids[0] == ids[1]

    async def test_after_a_restart_only_what_was_not_mailed_is_mailed(self) -> None:
        server = self.serve()
        process = self.process(server.port)
        self.world.build()
        await process.run()
        self.world.build(Result.SUCCESS)
        self.world.reopen()
        await self.process(server.port).run()
        subjects = [mail.message["Subject"].split()[1] for mail in server.mails]
        assert subjects == ["failure", "success"]

    async def test_headers_cannot_be_injected(self) -> None:
        server = self.serve()
        evil = "x\r\nBcc: evil@example.org\r\n\r\nboo"
        process = self.process(
            server.port, extraHeaders={"X-Why": "a\nBcc: evil@example.org"}, subject=f"%(result)s {evil}"
        )
        joe = self.world.change(f"Joe {evil} <joe@example.org>", comments=evil)
        other = self.world.change("<a@example.org>\r\nRCPT TO:<evil@example.org>", revision="other")
        self.world.build(blamed=(joe, other), text=evil, extra=(Property("owner", "x@y\r\nBcc: z@z", "Force"),))
        await process.run()
        (mail,) = server.mails
        assert "evil@example.org" not in mail.recipients
        assert mail.message["Bcc"] is None
        assert "\n" not in mail.message["X-Why"]

    def certificate(self, trusted: bool = True) -> ssl.SSLContext:
        """A server's certificate for localhost, which this process trusts if asked to."""
        directory = self.directory
        key, cert = directory / "key.pem", directory / "cert.pem"
        subprocess.run(
            [
                *(require_tool("openssl", "openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
                *("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"),
                *("-keyout", str(key), "-out", str(cert)),
            ],
            check=True,
            capture_output=True,
        )
        if trusted:
            before = os.environ.get("SSL_CERT_FILE")
            os.environ["SSL_CERT_FILE"] = str(cert.absolute())
            self.addCleanup(lambda: self._restore(before))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert, key)
        return context

    @staticmethod
    def _restore(before: str | None) -> None:
        if before is None:
            os.environ.pop("SSL_CERT_FILE", None)
        else:
            os.environ["SSL_CERT_FILE"] = before
