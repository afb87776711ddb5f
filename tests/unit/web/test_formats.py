"""How times, durations and texts are written."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from jinja2 import UndefinedError
from twisted.trial.unittest import SynchronousTestCase

from buildbot.model import Build, BuilderID, BuildID, Result
from buildbot.process import estimates
from buildbot.status.web import formats, urls
from buildbot.status.web.force_forms import fields_of


class FormatTests(SynchronousTestCase):
    def test_durations_have_two_units_at_most(self) -> None:
        cases = {
            0: "0 s",
            42.4: "42 s",
            60: "1 min",
            185: "3 min 5 s",
            3600: "1 h",
            7801: "2 h 10 min",
            97200: "1 d 3 h",
            -5: "0 s",
        }
        for seconds, text in cases.items():
            self.assertEqual(formats.duration_text(seconds), text)
        self.assertEqual(formats.duration(185), '<time datetime="PT185S">3 min 5 s</time>')
        self.assertEqual(formats.duration(None), "—")

    def test_moments_are_tags_that_machines_read(self) -> None:
        self.assertRegex(
            formats.when(1_700_000_000.0), r'<time datetime="2023-11-1[45]T\d\d:13:20[+-]\d\d:\d\d" title="'
        )
        self.assertIn(">2 min ago<", formats.ago(100, 220))
        self.assertIn(">in 2 min<", formats.ago(220, 100))
        self.assertEqual(formats.ago(None, 1), "never")

    def test_sizes(self) -> None:
        for count, text in (
            (None, "—"),
            (999, "999 B"),
            (1500, "1.5 kB"),
            (123_456_789, "123 MB"),
            (5 * 10**12, "5.0 TB"),
        ):
            self.assertEqual(formats.size(count), text)

    def test_texts(self) -> None:
        self.assertEqual(formats.short("a" * 40), "a" * 12)
        self.assertEqual(formats.short("refs/heads/x"), "refs/heads/x")
        self.assertEqual(formats.short(None), "latest")
        self.assertEqual(formats.first_line("  one\ntwo"), "one")
        self.assertEqual(len(formats.first_line("x" * 200)), 80)
        self.assertEqual(formats.person('"Ann B" <a@b>'), "Ann B")
        self.assertEqual(formats.person("<ann@example.org>"), "ann")

    def test_only_web_addresses_are_links(self) -> None:
        for address in ("https://a/", "http://a/", "/here"):
            self.assertEqual(formats.web_link(address), address)
        for address in ("javascript:x", "//evil", "data:text/html,x", "", " javascript:x", "ftp://x"):
            self.assertEqual(formats.web_link(address), "")

    def test_templates_refuse_what_is_not_defined_and_escape(self) -> None:
        environment = formats.make_environment()
        self.assertRaises(UndefinedError, environment.from_string("{{ nothing }}").render)
        self.assertEqual(environment.from_string("{{ x }}").render(x="<&>"), "&lt;&amp;&gt;")

    @given(st.text(min_size=1))
    def test_names_round_trip(self, name: str) -> None:
        if "\ud800" <= max(name) <= "\udfff" or name in ("%2E", "%2E%2E"):
            return
        self.assertEqual(urls.name_of(urls.segment(name)), name)
        self.assertNotIn("/", urls.segment(name))


class EstimateTests(SynchronousTestCase):
    def build(self, took: float, result: Result) -> Build:
        return Build(BuildID(1), BuilderID(1), 1, None, 1000.0, 1000.0 + took, result, "", "", 1)

    def test_usual_time_is_the_middle_of_the_good_ones(self) -> None:
        good = [self.build(took, Result.SUCCESS) for took in (10, 1000, 30)]
        self.assertEqual(estimates.usual_seconds([*good, self.build(1, Result.FAILURE)]), 30)

    def test_failed_ones_count_when_there_is_nothing_better(self) -> None:
        self.assertEqual(estimates.usual_seconds([self.build(5, Result.FAILURE), self.build(1, Result.CANCELLED)]), 5)
        self.assertIsNone(estimates.usual_seconds([self.build(1, Result.CANCELLED)]))


class FieldTests(SynchronousTestCase):
    DESCRIBED = [
        {"name": "reason", "label": "Reason: ", "kind": "string", "default": "force", "size": 30},
        {"name": "clean", "kind": "bool", "default": True},
        {"name": "how", "kind": "choice", "choices": ["a", "b"], "default": "a", "multiple": True},
        {
            "name": "",
            "kind": "group",
            "label": "Code",
            "fields": [{"name": "branch", "kind": "string", "required": True}],
        },
    ]

    def test_defaults_stand_in_a_new_form(self) -> None:
        reason, clean, how, group = fields_of(self.DESCRIBED, None, {})
        self.assertEqual((reason.label, reason.value, reason.size), ("Reason", "force", 30))
        self.assertTrue(clean.checked)
        self.assertEqual((how.values, how.choices), (("a",), ("a", "b")))
        self.assertTrue(group.fields[0].required)

    def test_what_was_typed_stays_with_its_mistakes(self) -> None:
        typed = {"reason": ("<x>",), "how": ("b",)}
        reason, clean, how, group = fields_of(self.DESCRIBED, typed, {"branch": "is needed"})
        self.assertEqual((reason.value, clean.checked, how.values), ("<x>", False, ("b",)))
        self.assertEqual(group.fields[0].error, "is needed")
