"""Mail about finished builds: which ones, to whom, and that each is sent until the server has taken it.

The notifier is a receiver (see buildbot.status.receiver): it is told of each finished build in order, and a mail that
cannot be sent now is tried again. Recipients that the server has taken or refused for good are remembered until the
event is done, so nobody gets a mail twice because of somebody else's full mailbox.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from inspect import isawaitable
from typing import Any

from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from zope.interface import Interface, implementer

from buildbot.config.arguments import configurable
from buildbot.config.errors import error
from buildbot.model import BuildID, Event, EventKind
from buildbot.process.properties import Properties
from buildbot.process.rendering import needs_rendering, render
from buildbot.status import mail_logs, mail_mime, mail_smtp
from buildbot.status.build_report import BuildReport, gather
from buildbot.status.build_status import BuildStatus, MasterStatus
from buildbot.status.mail_mime import Letter, address_of
from buildbot.status.mail_selection import BuildStatusGenerator
from buildbot.status.mail_text import Site, Text, default_text, template_values, text_of_dict
from buildbot.status.receiver import NotNow, ReceiverContext

DEFER_SECONDS = 3600.0  # how long one recipient's "later" holds up the mails after this one

_REFUSED = {
    "buildSetSummary": "one mail for a whole buildset is not in this version; each build has its own mail",
    "customMesg": "customMesg is not in this version: use messageFormatter",
}


class IEmailLookup(Interface):
    """Gives the address of a user: classes of users declare it with `@implementer(IEmailLookup)`."""

    def getAddress(user: str) -> Any:
        """The address, or None when there is none (or a Deferred or coroutine of it)."""


@implementer(IEmailLookup)
class Domain:
    """A lookup for users whose addresses differ only in their domain: `Domain("example.org")`."""

    def __init__(self, domain: Any) -> None:
        if not isinstance(domain, str) or "@" in domain or address_of(f"user@{domain}") is None:
            error(f"Domain: {domain!r} is no domain")
        self.domain: str = domain

    def getAddress(self, user: str) -> str:
        """`user` itself when it is an address already."""
        return user if "@" in user else f"{user}@{self.domain}"

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and self.domain == other.domain

    def __hash__(self) -> int:
        return hash(self.domain)


@configurable
class MailNotifier:
    """Sends a mail for each finished build that `mode` selects.

    fromaddr: the sender. mode: one of 'all', 'failing', 'passing', 'problem' (fails, and the build before did not),
    'change' (another result than the build before), 'warnings', 'exception', 'cancelled', or a list of them.
    tags (also called categories) or builders: only these. addLogs: attach all logs (True) or those named ('log' or
    'step.log'). addPatch: attach the patch of a try build. relayhost, smtpPort: the server that takes the mails.
    useTls: insist on STARTTLS; useSmtps: TLS from the start. smtpUser, smtpPassword: the login there.
    subject: may use %(result)s, %(title)s, %(projectName)s and %(builder)s. lookup: a domain, or an object whose
    getAddress(user) returns an address or None (or a coroutine or Deferred). extraRecipients: addresses that get each
    mail. sendToInterestedUsers: also the authors of the build's changes. messageFormatter: a MessageFormatter, or a
    function (mode, name, build, results, master_status) returning {'body', 'type', 'subject'?}. extraHeaders: a dict.
    previousBuildGetter: accepted only as None. dumpMailsToLog: write each mail to the log as well. generators: instead
    of the arguments that select and format: a list of BuildStatusGenerator.
    """

    _log = Logger()

    def __init__(
        self,
        fromaddr: Any,
        mode: Any = None,
        tags: Sequence[str] | None = None,
        builders: Sequence[str] | None = None,
        addLogs: Any = False,
        relayhost: str = "localhost",
        buildSetSummary: bool = False,
        subject: str | None = None,
        lookup: Any = None,
        extraRecipients: Any = None,
        sendToInterestedUsers: bool = True,
        customMesg: Any = None,
        messageFormatter: Any = None,
        extraHeaders: Mapping[Any, Any] | None = None,
        addPatch: bool = True,
        useTls: bool = False,
        smtpUser: Any = None,
        smtpPassword: Any = None,
        smtpPort: Any = 25,
        previousBuildGetter: Any = None,
        categories: Sequence[str] | None = None,
        useSmtps: bool = False,
        dumpMailsToLog: bool = False,
        generators: Any = None,
        schedulers: Sequence[str] | None = None,
        branches: Sequence[str | None] | None = None,
        name: str | None = None,
    ) -> None:
        for argument, given in (("buildSetSummary", buildSetSummary), ("customMesg", customMesg)):
            if given:
                error(f"MailNotifier: {_REFUSED[argument]}")
        if previousBuildGetter is not None:
            error("MailNotifier: previousBuildGetter is not in this version; the build before is always the builder's")
        self.name = name or type(self).__name__
        self.fromaddr = fromaddr
        self.relayhost = relayhost
        self.smtpPort = smtpPort
        self.useTls = useTls
        self.useSmtps = useSmtps
        self.smtpUser = smtpUser
        self.smtpPassword = smtpPassword
        self.lookup = Domain(lookup) if isinstance(lookup, str) else lookup
        self.extraRecipients: tuple[Any, ...] = _recipients(extraRecipients)
        self.sendToInterestedUsers = sendToInterestedUsers
        self.extraHeaders = dict(extraHeaders or {})
        self.dumpMailsToLog = dumpMailsToLog
        selecting = (mode, tags, builders, categories, schedulers, branches, messageFormatter, subject)
        if generators is None:
            own = BuildStatusGenerator(
                mode=("failing", "passing", "warnings") if mode is None else mode,
                tags=tags if categories is None else categories,
                builders=builders,
                schedulers=schedulers,
                branches=branches,
                subject=subject,
                add_logs=addLogs,
                add_patch=addPatch,
                message_formatter=messageFormatter,
            )
            self.generators: tuple[Any, ...] = (own,)
        else:
            self.generators = tuple(generators)
            if any(given is not None for given in selecting) or addLogs:
                error("MailNotifier: with generators=, say what selects and formats in the generators")
        if tags is not None and categories is not None:
            error("MailNotifier: categories is the older name of tags; give one of them")
        self._check()

    def _check(self) -> None:
        if not isinstance(self.fromaddr, str) or address_of(self.fromaddr) is None:
            error(f"MailNotifier: fromaddr {self.fromaddr!r} is no mail address")
        for recipient in self.extraRecipients:
            if not isinstance(recipient, str) or address_of(recipient) is None:
                error(f"MailNotifier: extraRecipients: {recipient!r} is no mail address")
        if not self.extraRecipients and not self.sendToInterestedUsers:
            error("MailNotifier: nobody would get a mail: give extraRecipients or sendToInterestedUsers=True")
        if self.lookup is not None and not callable(getattr(self.lookup, "getAddress", None)):
            error("MailNotifier: lookup is a domain or an object with getAddress(user)")
        if isinstance(self.smtpPort, bool) or not isinstance(self.smtpPort, int) or not 0 < self.smtpPort < 65536:
            error(f"MailNotifier: smtpPort is a port number, not {self.smtpPort!r}")
        if (self.smtpUser is None) != (self.smtpPassword is None):
            error("MailNotifier: smtpUser and smtpPassword go together")
        if self.useTls and self.useSmtps:
            error("MailNotifier: useTls (STARTTLS) and useSmtps (TLS from the start) exclude each other")
        if self.useTls or self.useSmtps:
            _check_tls()
        for header in self.extraHeaders:
            if not isinstance(header, str) or not mail_mime.is_header_name(header):
                error(f"MailNotifier: extraHeaders cannot set {header!r}")
        for generator in self.generators:
            if not isinstance(generator, BuildStatusGenerator):
                error(f"MailNotifier: {type(generator).__name__} is not in this version", "use BuildStatusGenerator")
                continue

    # -- what a receiver is asked

    def wants(self, event: Event) -> bool:
        return event.kind is EventKind.BUILD_FINISHED

    async def tell(self, event: Event, context: ReceiverContext) -> None:
        """Send what this build calls for. Raises NotNow while a recipient or the server says later."""
        if event.subject_id is None:
            return
        report = await context.store.read(gather, BuildID(event.subject_id))
        if report is None:
            self._log.info("no mail about build {build}: it is not in the store any more", build=event.subject_id)
            return
        for position, generator in enumerate(self.generators):
            if generator.wants(report):
                await self._send(position, generator, report, event, context)

    async def _send(
        self,
        position: int,
        generator: BuildStatusGenerator,
        report: BuildReport,
        event: Event,
        context: ReceiverContext,
    ) -> None:
        interested = await self._interested(report) if self.sendToInterestedUsers else []
        settled: set[str] = context.memory.setdefault(f"settled {position}", set())
        recipients = mail_mime.plain_addresses([*interested, *self.extraRecipients])
        open_ones = [recipient for recipient in recipients if recipient not in settled]
        if not open_ones:
            return
        letter = await self._letter(position, generator, report, interested, event, context)
        # Attachments make it long work: not in the reactor.
        pool = context.reactor.getThreadPool()
        data: bytes = await deferToThreadPool(context.reactor, pool, mail_mime.mail, letter)
        if self.dumpMailsToLog:
            self._log.info("mail for {recipients}:\n{mail}", recipients=open_ones, mail=data.decode("utf-8", "replace"))
        server = await self._server(report, context)
        sender = address_of(self.fromaddr) or ""
        try:
            outcome = await mail_smtp.deliver(context.reactor, server, sender, open_ones, data)
        except mail_smtp.NotSent as problem:
            raise NotNow(str(problem)) from problem
        self._settle(outcome, settled, report, context)

    def _settle(
        self, outcome: mail_smtp.Outcome, settled: set[str], report: BuildReport, context: ReceiverContext
    ) -> None:
        """Remember who needs nothing more; raise NotNow for those who are to be tried again."""
        settled.update(outcome.taken, outcome.never)
        about = {"builder": report.builder.name, "number": report.build.number}
        if outcome.taken:
            self._log.info("mailed {builder} #{number} to {to}", to=", ".join(outcome.taken), **about)
        for recipient, answer in outcome.never.items():
            self._log.warn("{builder} #{number}: {to} is refused: {answer}", to=recipient, answer=answer, **about)
        if not outcome.later:
            return
        waiting = "; ".join(f"{recipient}: {answer}" for recipient, answer in outcome.later.items())
        since: float = context.memory.setdefault("deferred since", context.now())
        others_taken = bool(settled)
        if others_taken and context.now() - since > DEFER_SECONDS:
            self._log.warn("{builder} #{number}: given up after an hour: {waiting}", waiting=waiting, **about)
            settled.update(outcome.later)
            return
        raise NotNow(waiting)

    # -- to whom

    async def _interested(self, report: BuildReport) -> list[str]:
        """'Name <address>' or an address for each interested user who has one."""
        found = []
        for user in report.users():
            text = await self._look_up(user)
            if text is not None and address_of(text) is not None:
                found.append(text)
            else:
                self._log.info(
                    "{user} gets no mail about {builder} #{number}: no address is known",
                    user=user,
                    builder=report.builder.name,
                    number=report.build.number,
                )
        return list(dict.fromkeys(found))

    async def _look_up(self, user: str) -> str | None:
        if self.lookup is None:
            return user
        try:
            answer = self.lookup.getAddress(user)
            if isawaitable(answer):
                answer = await answer
        except Exception as problem:
            self._log.warn("the lookup of {user} failed: {problem!r}", user=user, problem=problem)
            return None
        return answer if isinstance(answer, str) else None

    # -- what

    async def _letter(
        self,
        position: int,
        generator: BuildStatusGenerator,
        report: BuildReport,
        interested: list[str],
        event: Event,
        context: ReceiverContext,
    ) -> Letter:
        site = _site(context)
        text = await self._text(generator, report, site, context)
        subject = text.subject or generator.subject_of(report, site)
        shown = context.secrets.mask
        domain = (address_of(self.fromaddr) or "").rpartition("@")[2]
        already = set(mail_mime.plain_addresses(interested))
        extra = [recipient for recipient in self.extraRecipients if address_of(recipient) not in already]
        return Letter(
            sender=self.fromaddr,
            to=interested or extra,
            cc=extra if interested else [],
            subject=shown(subject),
            text=text._replace(body=shown(text.body)),
            sent_at=event.happened_at,
            message_id=mail_mime.message_id(domain, site.title, site.url, self.name, position, int(event.id)),
            thread_id=mail_mime.thread_id(domain, site.title, report.builder.name),
            headers=await self._headers(report, context),
            attachments=[
                *mail_logs.log_attachments(report, generator.add_logs, context.log_files),
                *(mail_logs.patch_attachments(report) if generator.add_patch else []),
            ],
        )

    async def _text(
        self, generator: BuildStatusGenerator, report: BuildReport, site: Site, context: ReceiverContext
    ) -> Text:
        """The formatter's words; our own when there is none, or when it fails."""

        def default() -> str:
            return default_text(report, site, context.log_files)

        formatter = generator.message_formatter
        if formatter is None:
            return Text(default())
        try:
            if hasattr(formatter, "text"):
                answer = formatter.text(template_values(report, site, generator.mode), default)
                text: Text = await answer if isawaitable(answer) else answer
                return text
            status = MasterStatus(context.store, context.log_files, site)
            build = BuildStatus(status, report.build)
            said = formatter(generator.mode_word(report), report.builder.name, build, int(report.result), status)
            return text_of_dict(await said if isawaitable(said) else said)
        except Exception as problem:
            self._log.failure("the message formatter of {name} failed", name=self.name)
            return Text(f"(The message formatter failed: {type(problem).__name__}: {problem})\n\n{default()}")

    async def _headers(self, report: BuildReport, context: ReceiverContext) -> dict[str, str]:
        headers = {}
        for name, value in self.extraHeaders.items():
            headers[name] = str(await render(value, _properties(report, context)) if needs_rendering(value) else value)
        return headers

    async def _server(self, report: BuildReport, context: ReceiverContext) -> mail_smtp.SmtpServer:
        user, password = self.smtpUser, self.smtpPassword
        if needs_rendering(user) or needs_rendering(password):
            user, password = await render([user, password], _properties(report, context))
        return mail_smtp.SmtpServer(
            host=self.relayhost,
            port=self.smtpPort,
            start_tls=self.useTls,
            smtps=self.useSmtps,
            user=user,
            password=password,
        )

    # -- the same after a reconfiguration?

    def _facts(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if not name.startswith("_config")}

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and self._facts() == other._facts()

    def __hash__(self) -> int:
        return hash((type(self), self.name))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.fromaddr!r})"  # never the password


def _site(context: ReceiverContext) -> Site:
    config = context.config()
    return Site(config.title, config.title_url or "", config.buildbot_url or "")


class _ReportProperties(Properties):
    """Those of a finished build, and the master's secrets."""

    __slots__ = ("getSecret",)
    getSecret: Any


def _properties(report: BuildReport, context: ReceiverContext) -> Properties:
    found = _ReportProperties()
    found.properties.update((known.name, (known.value, known.source)) for known in report.properties)
    found.getSecret = context.secrets.get
    return found


def _recipients(given: Any) -> tuple[Any, ...]:
    if isinstance(given, str):
        error("MailNotifier: extraRecipients is a list of addresses, not a string")
        return (given,)
    return tuple(given or ())


def _check_tls() -> None:
    try:
        import twisted.internet.ssl  # noqa: F401
    except ImportError:
        error("MailNotifier: TLS needs pyOpenSSL and service-identity", "install the extra 'tls'")
