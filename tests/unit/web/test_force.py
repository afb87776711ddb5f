"""The form that forces a build: what it shows, what its POST makes, and what it says about mistakes."""

from __future__ import annotations

import re
from dataclasses import replace

from buildbot.config.master import DEFAULT_VALIDATION
from buildbot.schedulers.forcesched import (
    BooleanParameter,
    ChoiceStringParameter,
    CodebaseParameter,
    FileParameter,
    FixedParameter,
    ForceScheduler,
    IntParameter,
    NestedParameter,
    PatchParameter,
    StringParameter,
    TextParameter,
    WorkerChoiceParameter,
)
from buildbot.store import actions, buildsets, properties, requests, sourcestamps
from tests.unit.web.visitor import SiteCase

BUILDER = "a/b <x>"
ADDRESS = "/builders/a%2Fb%20%3Cx%3E"
FIELDS = [
    ChoiceStringParameter("how", choices=["fast", "<slow>"], default="fast"),
    ChoiceStringParameter("on", choices=["linux", "mac"], multiple=True, default=["linux"]),
    ChoiceStringParameter("of", choices=lambda _, scheduler, builder: [f"{builder} by {scheduler.name}"], strict=False),
    IntParameter("jobs", default=2),
    BooleanParameter("clean", default=True),
    TextParameter("notes"),
    FixedParameter("secretish", default="of-the-master"),
    NestedParameter("deep", [StringParameter("er", "A <b> label:", required=True, default="1")]),
]


class ForceCase(SiteCase):
    def setUp(self) -> None:
        super().setUp()
        self.scheduler = ForceScheduler("by hand", [BUILDER, "other"], buttonName="Go & build", properties=FIELDS)
        second = ForceScheduler("second", [BUILDER], label="The second")
        self.config = replace(self.config, validation=DEFAULT_VALIDATION)
        self.configure({BUILDER: ["s1"], "other": ["s1"]}, schedulers=(self.scheduler, second, object()))
        self.log_in()

    def force(self, address: str = ADDRESS, scheduler: str = "by hand", **fields: object):
        return self.post(f"{address}/force", token=self.token(), forcescheduler=scheduler, **fields)

    def forced(self) -> list:
        found = [buildsets.get(self.store, id) for id in self.store.column("SELECT id FROM buildsets ORDER BY id")]
        return [buildset for buildset in found if buildset is not None]


class FormTests(ForceCase):
    def test_every_kind_of_field_is_asked_and_markup_is_text(self) -> None:
        text = self.visit(ADDRESS).text
        for part in (
            'name="reason" value="force build"',
            "<option selected>fast</option><option>&lt;slow&gt;</option>",
            'type="number" id="f6-jobs" name="jobs" value="2"',
            'type="checkbox" id="f7-clean" name="clean" value="true" checked',
            '<textarea id="f8-notes"',
            "A &lt;b&gt; label",
            'name="branch"',
            '<option value="a/b &lt;x&gt; by by hand">',
            "<button>Go &amp; build</button>",
            "<summary>The second</summary>",
        ):
            self.assertIn(part, text)

    def test_what_nobody_may_answer_is_not_sent(self) -> None:
        text = self.visit(ADDRESS).text
        self.assertNotIn("of-the-master", text)
        self.assertNotIn('name="username"', text)

    def test_only_the_schedulers_of_this_builder_offer_a_form(self) -> None:
        self.assertNotIn("<summary>The second</summary>", self.visit("/builders/other").text)
        self.assertEqual(self.force("/builders/other", "second").status, 400)
        self.assertEqual(self.forced(), [])


class PostTests(ForceCase):
    def test_a_filled_form_is_a_build_of_this_builder_by_who_is_logged_in(self) -> None:
        answer = self.force(
            reason="<i>why</i>", branch="topic", how="<slow>", on=["", "mac"], jobs="3", notes="a\r\nb", deep_er="x"
        )
        self.assertEqual((answer.status, answer.header("location")), (303, ADDRESS))
        (buildset,) = self.forced()
        self.assertEqual(buildset.reason, "A build was forced by 'ada': <i>why</i>")
        self.assertEqual(
            [r.builder_id for r in requests.of_buildset(self.store, buildset.id)], [self.builders[BUILDER]]
        )
        self.assertEqual([s.branch for s in sourcestamps.of_buildset(self.store, buildset.id)], ["topic"])
        found = {p.name: p.value for p in properties.of(self.store, "buildset", buildset.id)}
        self.assertEqual(found.pop("deep"), {"er": "x"})
        self.assertEqual(
            (found["how"], found["on"], found["jobs"], found["clean"], found["notes"], found["secretish"]),
            ("<slow>", ["mac"], 3, False, "a\nb", "of-the-master"),
        )
        (action,) = actions.newest(self.store)
        self.assertEqual((action.who, action.what, action.subject), ("ada", "force", f"builder {BUILDER}"))
        page = self.visit(ADDRESS).text
        self.assertIn("&lt;i&gt;why&lt;/i&gt;", page)
        self.assertNotIn("<i>why", page)

    def test_a_browser_can_send_the_form_as_it_comes(self) -> None:
        text = self.visit(ADDRESS).text
        form = re.search(r"<form[^>]*/force.*?</form>", text, re.DOTALL)
        assert form is not None
        sent = {}
        for tag in re.findall(r"<input[^>]*>", form.group()):
            name = re.search(r' name="([^"]*)"', tag)
            value = re.search(r' value="([^"]*)"', tag)
            assert name is not None
            sent[name.group(1)] = value.group(1) if value else ""
        self.assertEqual(self.post(f"{ADDRESS}/force", **sent).status, 303)
        (buildset,) = self.forced()
        found = {p.name: p.value for p in properties.of(self.store, "buildset", buildset.id)}
        self.assertEqual((found["on"], found["deep"]), ([], {"er": "1"}))  # of the list nothing was chosen

    def test_mistakes_stand_beside_their_fields_and_what_was_typed_stays(self) -> None:
        answer = self.force(jobs='"><script>', how="none", deep_er="", branch="a b", reason="mine")
        self.assertEqual(answer.status, 400)
        self.assertEqual(answer.text.count('class="error"'), 4)
        self.assertIn("is not a whole number", answer.words)
        self.assertIn('value="&#34;&gt;&lt;script&gt;"', answer.text)
        self.assertIn('name="reason" value="mine"', answer.text)
        self.assertNotIn('"><script>', answer.text)
        self.assertEqual((self.forced(), actions.newest(self.store)), ([], []))

    def test_a_field_that_the_form_has_not_is_refused(self) -> None:
        answer = self.force(deep_er="x", brnch="main")
        self.assertEqual(answer.status, 400)
        self.assertIn("brnch: is not a field of this form; did you mean", answer.words)

    def test_the_configurations_validation_rules(self) -> None:
        self.config = replace(self.config, validation={"branch": re.compile("^v[0-9]+$")})
        self.assertEqual(self.force(branch="main").status, 400)
        self.assertEqual(self.force(branch="v7").status, 303)
        self.assertEqual(len(self.forced()), 1)

    def test_scripts_of_old_call_the_reason_comments(self) -> None:
        self.assertEqual(self.force(scheduler="second", comments="nightly").status, 303)
        self.assertEqual(self.forced()[0].reason, "A build was forced by 'ada': nightly")


class UploadTests(ForceCase):
    def setUp(self) -> None:
        super().setUp()
        tabs = [NestedParameter(name, [StringParameter("x", default=name)]) for name in ("one", "two <b>")]
        fields = [
            FileParameter("notes", maxsize=100),
            ChoiceStringParameter("how", choices=["fast"], autopopulate={"fast": {"notes": '"&'}}),
            WorkerChoiceParameter(),
            NestedParameter("t", tabs, layout="tabs"),
            NestedParameter("c", [StringParameter("y")], "Shown", columns=3, layout="simple"),
        ]
        source = CodebaseParameter("", label="", patch=PatchParameter())
        self.scheduler = ForceScheduler("by hand", [BUILDER], codebases=[source], properties=fields)
        self.configure({BUILDER: ["s1"]}, schedulers=(self.scheduler,))

    def upload_form(self, files: dict[str, bytes], **fields: str):
        return self.upload(f"{ADDRESS}/force", files, token=self.token(), forcescheduler="by hand", **fields)

    def test_the_form_on_a_page_of_its_own(self) -> None:
        text = self.visit(f"{ADDRESS}/force").text
        for part in (
            'enctype="multipart/form-data"',
            '<input type="file" id="f3-notes" name="notes">',
            '<input type="file" id="f2-patch_body" name="patch_body">',
            'data-fills="{&#34;fast&#34;: {&#34;notes&#34;: &#34;\\&#34;&amp;&#34;}}"',
            '<option value="s1">',
            "<summary>two &lt;b&gt;</summary>",
            '<div class="columns3">',
        ):
            self.assertIn(part, text)
        self.assertIn(f'href="{ADDRESS}/force"', self.visit(ADDRESS).text)

    def test_files_arrive_byte_for_byte(self) -> None:
        patch = b"--- a\r\n+++ b\n\xff\0"
        self.assertEqual(self.upload_form({"notes": "ü\n".encode(), "patch_body": patch}, reason="r").status, 303)
        (buildset,) = self.forced()
        self.assertEqual(self.store.column("SELECT body FROM patches"), [patch])
        found = {p.name: p.value for p in properties.of(self.store, "buildset", buildset.id)}
        self.assertEqual(found["notes"], "ü\n")

    def test_a_mistake_stands_at_the_file_and_nothing_is_forced(self) -> None:
        answer = self.upload_form({"notes": b"\xff"}, reason="mine")
        self.assertEqual((answer.status, answer.text.count('class="error"')), (400, 1))
        self.assertIn("is not a text in UTF-8", answer.words)
        self.assertIn('value="mine"', answer.text)
        self.assertIn("at most 100 bytes", self.upload_form({"notes": b"x" * 101}).words)
        self.assertEqual(self.forced(), [])

    def test_a_mistake_in_a_tab_opens_it(self) -> None:
        self.scheduler.property_fields[3].fields[1].fields[0].regex = re.compile("z")  # type: ignore[attr-defined]
        answer = self.upload_form({}, **{"t_two <b>_x": "bad"})
        self.assertIn("open><summary>two &lt;b&gt;</summary>", answer.text)
        self.assertNotIn("open><summary>one</summary>", answer.text)
