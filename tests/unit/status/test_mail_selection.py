"""Which builds call for a mail, and what it says: decided from the store alone."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from buildbot.config.errors import ConfigErrors
from buildbot.model import BuildID, Patch, PatchID, Property, Result
from buildbot.status.build_report import BuildReport, build_url, gather
from buildbot.status.build_status import BuildStatus, MasterStatus
from buildbot.status.mail import Domain, MailNotifier
from buildbot.status.mail_logs import log_attachments
from buildbot.status.mail_mime import (
    Letter,
    address_of,
    is_header_name,
    mail,
    message_id,
    plain_addresses,
    thread_id,
)
from buildbot.status.mail_selection import BuildStatusGenerator, modes_of
from buildbot.status.mail_text import (
    MessageFormatter,
    Site,
    Text,
    clean,
    default_text,
    summary,
    template_values,
    text_of_dict,
)
from buildbot.store import builds
from tests.unit.status.builds import NOW, World

S, W, F, E, C, R, K = (
    Result.SUCCESS,
    Result.WARNINGS,
    Result.FAILURE,
    Result.EXCEPTION,
    Result.CANCELLED,
    Result.RETRY,
    Result.SKIPPED,
)
SITE = Site("Pyflakes", "http://p.example.org/", "http://ci.example.org/bb/")


@pytest.fixture
def world(tmp_path: Path) -> Any:
    made = World(tmp_path)
    yield made
    made.store.close()


def report_of(world: World, build: BuildID) -> BuildReport:
    found = gather(world.store, build)
    assert found is not None
    return found


# history of results, the last of which is asked about; mode; whether a mail is sent
CASES = [
    ([F], "failing", True),
    ([S], "failing", False),
    ([S], "passing", True),
    ([W], "passing", False),
    ([W], "warnings", True),
    ([F], "warnings", True),
    ([W], ["warnings"], True),
    ([F], ["warnings"], False),
    ([E], "exception", True),
    ([C], "cancelled", True),
    ([F], "all", True),
    ([S], "all", True),
    ([W], "all", True),
    ([E], "all", True),
    ([C], "all", True),
    ([R], "all", False),
    ([K], "all", False),
    ([F], "problem", False),
    ([S, F], "problem", True),
    ([F, F], "problem", False),
    ([W, F], "problem", True),
    ([F, C, F], "problem", False),
    ([F, R, F], "problem", False),
    ([S, C, F], "problem", True),
    ([S, E], "problem", False),
    ([S], "change", False),
    ([S, S], "change", False),
    ([S, F], "change", True),
    ([F, S], "change", True),
    ([F, C], "change", False),
    ([F, C, S], "change", True),
    ([S, F], ["change", "exception"], True),
    ([S, S], ["change", "passing"], True),
]


@pytest.mark.parametrize(("history", "mode", "sent"), CASES)
def test_modes(world: World, history: list[Result], mode: Any, sent: bool) -> None:
    last = [world.build(result) for result in history][-1]
    assert BuildStatusGenerator(mode=mode).wants(report_of(world, last)) is sent


def test_the_build_before_is_the_same_builders(world: World) -> None:
    world.build(F, builder="lint <all>")
    world.build(S)
    last = world.build(F)
    assert BuildStatusGenerator(mode="problem").wants(report_of(world, last))


@pytest.mark.parametrize(
    ("options", "sent"),
    [
        ({"builders": ["runtests"]}, True),
        ({"builders": ["other"]}, False),
        ({"tags": ["unit", "x"]}, True),
        ({"tags": ["style"]}, False),
        ({"schedulers": ["quick"]}, True),
        ({"schedulers": ["nightly"]}, False),
        ({"branches": ["main"]}, True),
        ({"branches": [None]}, False),
    ],
)
def test_filters(world: World, options: dict[str, Any], sent: bool) -> None:
    build = world.build(F)
    assert BuildStatusGenerator(mode="all", **options).wants(report_of(world, build)) is sent


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"mode": "faling"}, "failing"),
        ({"mode": ["all"]}, "stands alone"),
        ({"mode": 7}, "mode"),
        ({"fromaddr": "nobody"}, "fromaddr"),
        ({"fromaddr": "a@b.org\nBcc: x@y.org"}, "fromaddr"),
        ({"extraRecipients": "a@b.org"}, "list"),
        ({"extraRecipients": ["joe"]}, "joe"),
        ({"sendToInterestedUsers": False}, "nobody would get"),
        ({"tags": ["a"], "builders": ["b"]}, "not both"),
        ({"tags": ["a"], "categories": ["b"]}, "older name"),
        ({"builders": "runtests"}, "list"),
        ({"smtpPort": "x"}, "port"),
        ({"smtpUser": "me"}, "go together"),
        ({"useTls": True, "useSmtps": True}, "exclude"),
        ({"lookup": 5}, "lookup"),
        ({"lookup": "not a domain"}, "domain"),
        ({"extraHeaders": {"To": "x"}}, "To"),
        ({"extraHeaders": {"X y": "x"}}, "X y"),
        ({"subject": "%(reslt)s"}, "subject"),
        ({"subject": "{{ a"}, "template"),
        ({"messageFormatter": "text"}, "formatter"),
        ({"buildSetSummary": True}, "buildset"),
        ({"customMesg": len}, "messageFormatter"),
        ({"previousBuildGetter": len}, "previousBuildGetter"),
        ({"generators": [object()]}, "BuildStatusGenerator"),
        ({"generators": [], "mode": "all"}, "generators"),
        ({"frmaddr": 1}, "fromaddr"),
    ],
)
def test_mistakes_are_said(options: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigErrors, match=says):
        MailNotifier(**{"fromaddr": "ci@example.org", **options})


def test_equal_settings_make_equal_notifiers() -> None:
    def make(**more: Any) -> MailNotifier:
        return MailNotifier("ci@example.org", lookup="example.org", messageFormatter=MessageFormatter("x"), **more)

    assert make() == make()
    assert make() != make(mode="all")
    assert "secret" not in repr(make(smtpUser="me", smtpPassword="secret"))


def test_mode_words_of_every_era() -> None:
    assert modes_of("all") == ("failing", "passing", "warnings", "exception", "cancelled")
    assert modes_of("problem") == ("problem",)
    assert modes_of(("passing", "failing")) == ("failing", "passing")


class TestAddresses:
    @pytest.mark.parametrize(
        ("text", "address"),
        [
            ("joe@example.org", "joe@example.org"),
            ("Joe <joe@example.org>", "joe@example.org"),
            ('"Doe, Joe" <joe+x@example.org>', "joe+x@example.org"),
            ("joe@example.org (Joe)", "joe@example.org"),
            ("joe@bücher.example", "joe@xn--bcher-kva.example"),
            ("joe", None),
            ("", None),
            ("@example.org", None),
            ("joe@", None),
            ("joe@a..b", None),
            ("a b@example.org", None),
            ("jöe@example.org", None),
            ("<joe@example.org\r\nBcc: x@y.z>", None),
            ("joe@example.org>\r\nRCPT TO:<x@y.z", None),
            ("joe@example.org, ann@example.org", None),
            ("x" * 2000 + "@example.org", None),
        ],
    )
    def test_only_one_plain_address_is_one(self, text: str, address: str | None) -> None:
        assert address_of(text) == address

    def test_each_once(self) -> None:
        assert plain_addresses(["A <a@x.org>", "b", "a@x.org", "c@x.org"]) == ["a@x.org", "c@x.org"]

    def test_a_domain_completes_names_only(self) -> None:
        domain = Domain("example.org")
        assert domain.getAddress("joe") == "joe@example.org"
        assert domain.getAddress("joe@x.org") == "joe@x.org"

    def test_own_headers_are_ours(self) -> None:
        assert is_header_name("X-Priority")
        assert not any(is_header_name(name) for name in ("To", "bcc", "FROM", "", "a:b", "a b", "x\n"))


class TestText:
    def test_it_tells_all(self, world: World) -> None:
        joe = world.change("Joe <joe@example.org>", comments="Mend it\n\nReally")
        text = default_text(report_of(world, world.build(F, blamed=(joe,))), SITE, world.log_files)
        for words in (
            "runtests #1 failed: failed test",
            "Builder:  runtests",
            "Slave:    bob",
            "Reason:   a change",
            "Took:     1 min 5 s",
            "branch main abc123",
            "http://ci.example.org/bb/builders/runtests/builds/1",
            "Step 2 of 2, test",
            "/steps/test/logs/stdio",
            "    FAILED test_x",
            "Changes (1):",
            "* abc123 on main by Joe <joe@example.org>",
            "    Mend it",
            "      setup.py",
        ):
            assert words in text, words

    def test_it_says_what_is_new(self, world: World) -> None:
        first, second, third = world.build(S), world.build(F), world.build(F)
        fourth = world.build(S)
        said = [summary(report_of(world, build)) for build in (first, second, third, fourth)]
        assert ["newly broken" in s for s in said] == [False, True, False, False]
        assert "again" in said[2]
        assert "fixed" in said[3]

    def test_nothing_of_a_log_or_change_gets_through_as_a_control(self, world: World) -> None:
        evil = "a\x1b[31mred\x1b[0m\x00\x07\u202eb\ud800"
        joe = world.change(f"Joe {evil}".encode("utf-8", "replace").decode(), comments="\x1b]0;title\x07c")
        build = world.build(F, blamed=(joe,), log=evil.encode("utf-8", "replace") + b"\r\n\xff\xfe\n")
        text = default_text(report_of(world, build), SITE, world.log_files)
        assert not [c for c in text if ord(c) < 32 and c != "\n"]
        assert "ared" in text
        assert "\u202e" not in text
        assert "title" not in text

    def test_huge_things_are_cut(self, world: World) -> None:
        many = tuple(world.change(revision=f"r{n}", comments="word " * 5000) for n in range(250))
        build = world.build(F, blamed=many, log=b"x" * 2_000_000 + b"\n" + b"y\n" * 100_000)
        text = default_text(report_of(world, build), SITE, world.log_files)
        assert len(text) < 120_000
        assert "Changes (250):" in text
        assert "220 older ones are not shown" in text
        assert text.count("    y\n") <= 30

    def test_a_log_that_is_gone_is_no_error(self, world: World) -> None:
        build = world.build(F)
        for path in world.log_files.root.rglob("*.txt"):
            path.unlink()
        assert "Step 2 of 2" in default_text(report_of(world, build), SITE, world.log_files)
        assert log_attachments(report_of(world, build), True, world.log_files)[0].data.startswith(b"(the log")

    def test_builders_with_odd_names_have_whole_links(self) -> None:
        assert build_url("http://x/", "a/b <x>", 3) == "http://x/builders/a%2Fb%20%3Cx%3E/builds/3"
        assert build_url("", "a", 3) == ""

    def test_cleaning_keeps_what_people_write(self) -> None:
        assert clean("Grüße\tan 日本\n") == "Grüße\tan 日本\n"
        assert clean("one\r\ntwo\rthree") == "one\ntwo\nthree"


class TestFormatters:
    def values(self, world: World) -> dict[str, Any]:
        joe = world.change()
        return template_values(report_of(world, world.build(F, blamed=(joe,))), SITE, ("failing",))

    def test_jinja_templates(self, world: World) -> None:
        formatter = MessageFormatter(
            "{{ buildername }} {{ result_names[results] }} {{ build_url }} {{ extra }} "
            "{{ build.properties.slavename[0] }}",
            subject="{{ buildername }}: {{ summary }}",
            ctx={"extra": "E"},
        )
        text = formatter.text(self.values(world), lambda: "default")
        assert text.body == "runtests failure http://ci.example.org/bb/builders/runtests/builds/1 E bob"
        assert text.subject == "runtests: failed test"

    def test_html_is_escaped(self, world: World) -> None:
        values = self.values(world) | {"summary": "<script>"}
        assert MessageFormatter("{{ summary }}", template_type="html").text(values, str) == Text(
            "&lt;script&gt;", "html", None
        )

    def test_without_a_template_it_is_our_text(self, world: World) -> None:
        assert MessageFormatter(subject="S").text(self.values(world), lambda: "ours") == Text("ours", "plain", "S")

    def test_a_function_of_0_8_sees_what_it_saw_there(self, world: World) -> None:
        joe = world.change("Joe <joe@example.org>")
        world.build(S)
        row = builds.get(world.store, world.build(F, blamed=(joe,)))
        assert row is not None
        status = MasterStatus(world.store, world.log_files, SITE)
        build = BuildStatus(status, row)
        assert build.getBuilder().getName() == "runtests"
        assert build.getBuilder().getCategory() == "unit"
        assert build.getNumber() == 2
        assert build.getResults() == 2
        assert build.getSlavename() == "bob"
        assert build.getResponsibleUsers() == ["Joe <joe@example.org>"]
        assert build.getSourceStamps()[0].revision == "abc123"
        assert build.getChanges()[0].files == ["setup.py"]
        previous = build.getPreviousBuild()
        assert previous is not None
        assert previous.getResults() == 0
        step = build.getSteps()[1]
        assert (step.getName(), step.getResults()[0]) == ("test", 2)
        assert "FAILED" in step.getLogs()[0].getText()
        assert status.getURLForThing(build) == "http://ci.example.org/bb/builders/runtests/builds/2"
        assert status.getURLForThing(step.getLogs()[0]) == (
            "http://ci.example.org/bb/builders/runtests/builds/2/steps/test/logs/stdio"
        )
        assert status.getBuilderNames() == ["runtests", "lint <all>"]

    @pytest.mark.parametrize("answer", [None, "text", {}, {"body": 5}, {"body": "x", "type": "rtf"}])
    def test_other_answers_of_a_function_are_refused(self, answer: Any) -> None:
        with pytest.raises((TypeError, ValueError)):
            text_of_dict(answer)


class TestMime:
    def letter(self, **more: Any) -> Letter:
        facts: dict[str, Any] = {
            "sender": "CI <ci@example.org>",
            "to": ["Jöe <joe@example.org>"],
            "cc": [],
            "subject": "Grüße",
            "text": Text("Grüße an alle\n.\n"),
            "sent_at": NOW,
            "message_id": message_id("example.org", 1),
            "thread_id": thread_id("example.org", "t", "b"),
            "headers": {},
            "attachments": [],
        }
        return Letter(**{**facts, **more})

    def test_headers_are_ascii_and_the_body_utf8(self) -> None:
        data = mail(self.letter())
        head, _, _ = data.partition(b"\n\n")
        head.decode("ascii")
        assert b"\r" not in data
        assert b"=?utf-8?" in head

    def test_a_thread_a_builder_and_an_id_a_mail(self) -> None:
        assert thread_id("d", "t", "a") == thread_id("d", "t", "a") != thread_id("d", "t", "b")
        assert message_id("d", 1, "x") == message_id("d", 1, "x") != message_id("d", 2, "x")
        data = mail(self.letter()).decode()
        root = thread_id("example.org", "t", "b")
        assert f"In-Reply-To: {root}" in data
        assert f"References: {root}" in data

    def test_line_breaks_make_no_header(self) -> None:
        data = mail(self.letter(subject="a\nBcc: x@y.z", headers={"X-A": "b\r\nBcc: x@y.z", "To": "evil@y.z"}))
        head = data.partition(b"\n\n")[0].split(b"\n")
        assert not [line for line in head if line.lower().startswith(b"bcc")]
        assert len([line for line in head if line.startswith(b"To:")]) == 1

    def test_no_line_is_longer_than_smtp_allows(self) -> None:
        data = mail(self.letter(text=Text("x" * 5000 + "\n"), subject="word " * 200, headers={"X-A": "y" * 5000}))
        assert max(len(line) for line in data.split(b"\n")) <= 998


def test_interested_users_are_the_union(world: World) -> None:
    ann, bob = (world.change(f"{n} <{n.lower()}@x.org>", n) for n in ("Ann", "Bob"))
    build = world.build(F, blamed=(ann, bob), extra=(Property("owner", "cli@x.org", "Force"),))
    assert report_of(world, build).users() == ["Ann <ann@x.org>", "Bob <bob@x.org>", "cli@x.org"]


def test_attached_logs_are_chosen_by_name_and_bounded(world: World) -> None:
    report = report_of(world, world.build(F, log=b"z" * 3_000_000))
    assert [part.name for part in log_attachments(report, True, world.log_files)] == ["compile.stdio", "test.stdio"]
    assert [part.name for part in log_attachments(report, ["test.stdio"], world.log_files)] == ["test.stdio"]
    assert log_attachments(report, ["nothing"], world.log_files) == []
    (part,) = log_attachments(report, ["test.stdio"], world.log_files)
    assert len(part.data) < 1_050_000
    assert part.data.startswith(b"(1951424 bytes before are left out)\n")


def test_a_patchs_author_is_interested(world: World) -> None:
    report = report_of(world, world.build(F, patch=b"x"))
    assert report.patches[0].body == b"x"
    patched = dataclasses.replace(report, patches=(Patch(PatchID(1), 1, b"x", "", "Try <try@x.org>", ""),))
    assert patched.users() == ["Try <try@x.org>"]
