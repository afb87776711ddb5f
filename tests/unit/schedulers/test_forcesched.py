"""ForceScheduler: the form it describes, what a filled form becomes, and what is said about mistakes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import ensureDeferred

from buildbot.config.errors import ConfigErrors
from buildbot.model import BuildsetID, EventKind
from buildbot.schedulers.forcesched import (
    AnyPropertyParameter,
    BaseParameter,
    BooleanParameter,
    ChoiceStringParameter,
    CodebaseParameter,
    FieldErrors,
    FileParameter,
    FixedParameter,
    ForceScheduler,
    InheritBuildParameter,
    IntParameter,
    NestedParameter,
    PatchParameter,
    StringParameter,
    TextParameter,
    UserNameParameter,
    ValidationError,
    WorkerChoiceParameter,
    force,
)
from buildbot.store import actions, builds, buildsets, events, pauses, properties, slaves, sourcestamps
from tests.unit.schedulers.cases import SchedulerCase

HEAD = ("owner", "reason", "scheduler")


class ForceCase(SchedulerCase):
    who = "ada"

    def force(
        self,
        scheduler: ForceScheduler,
        names: Sequence[str] = ("full",),
        who: str | None = None,
        **fields: str | list[str],
    ) -> BuildsetID:
        sent = {name: [value] if isinstance(value, str) else value for name, value in fields.items()}
        asked = force(self.store, scheduler, names, sent, self.who if who is None else who, self.now)
        return self.value_of(asked)

    def errors(self, scheduler: ForceScheduler, *args: Any, **fields: Any) -> dict[str, str]:
        sent = {name: [value] if isinstance(value, str) else value for name, value in fields.items()}
        who = args[0] if args else self.who
        failed = ensureDeferred(force(self.store, scheduler, ["full"], sent, who, self.now))
        self.assertEqual(self.store.value("SELECT count(*) FROM buildsets"), 0)
        return dict(self.failureResultOf(failed, FieldErrors).value.errors)

    def errors_afresh(self, scheduler: ForceScheduler, **fields: Any) -> dict[str, str]:
        self.tearDown()
        self.setUp()
        return self.errors(scheduler, **fields)

    def values(self, scheduler: ForceScheduler, **fields: str | list[str]) -> dict[str, Any]:
        """The properties that this form sets, but for those that every form sets."""
        buildset = buildsets.get(self.store, self.force(scheduler, **fields))
        assert buildset is not None
        return {name: p.value for name, p in self.properties(buildset).items() if name not in HEAD}

    def with_field(self, *fields: BaseParameter, **kwargs: Any) -> ForceScheduler:
        return ForceScheduler("force", ["full", "quick"], properties=list(fields), **kwargs)


class TestForce(ForceCase):
    def test_a_plain_form_makes_a_build_of_the_newest(self) -> None:
        self.force(ForceScheduler("force", ["full", "quick"]), reason="try again")
        (buildset,) = self.buildsets()
        self.assertEqual(buildset.reason, "A build was forced by 'ada': try again")
        self.assertEqual(buildset.scheduler, "force")
        self.assertEqual(len(self.requests(buildset)), 1)
        (stamp,) = self.stamps(buildset)
        self.assertEqual((stamp.branch, stamp.revision, stamp.repository, stamp.project), (None, None, "", ""))

    def test_owner_reason_and_scheduler_are_properties(self) -> None:
        self.force(ForceScheduler("force", ["full"]), reason="why not")
        found = self.properties(self.buildsets()[0])
        self.assertEqual(
            {name: (p.value, p.source) for name, p in found.items()},
            {
                "owner": ("ada", "Force Build Form"),
                "reason": ("why not", "Force Build Form"),
                "scheduler": ("force", "Scheduler"),
            },
        )

    def test_a_paused_scheduler_refuses(self) -> None:
        scheduler = ForceScheduler("force", ["full"])
        self.store.transact(pauses.begin, pauses.Kind.SCHEDULER, "force", self.now, who="bob", why="moving")
        self.assertEqual(self.errors(scheduler), {"forcescheduler": "scheduler 'force' is paused by bob: moving"})

    def test_it_is_written_down_who_did_it_and_why(self) -> None:
        self.force(ForceScheduler("force", ["full", "quick"]), [], reason="see #7")
        for name in ("full", "quick"):
            (action,) = actions.about(self.store, f"builder {name}")
            self.assertEqual((action.who, action.what, action.why), ("ada", "force", "see #7"))
        self.assertEqual(len(self.requests(self.buildsets()[0])), 2)

    def test_it_is_durable_and_told_once(self) -> None:
        heard: list[tuple[str, int]] = []

        def hear(event: Any) -> None:
            heard.append((event.kind, self.store.value("PRAGMA synchronous")))

        self.store.event_listeners.append(hear)
        self.force(ForceScheduler("force", ["full"]))
        full = 2
        self.assertEqual(heard, [(EventKind.BUILDSET_SUBMITTED, full), (EventKind.OPERATOR_ACTION, full)])

    def test_without_fields_the_defaults_are_used(self) -> None:
        self.force(ForceScheduler("force", ["full"]))
        self.assertEqual(self.buildsets()[0].reason, "A build was forced by 'ada': force build")

    def test_a_builder_of_another_scheduler_is_refused(self) -> None:
        scheduler = ForceScheduler("force", ["quick"])
        self.assertEqual(self.errors(scheduler), {"builderNames": "force does not build 'full'"})

    def test_all_mistakes_come_at_once_and_nothing_is_built(self) -> None:
        scheduler = self.with_field(IntParameter("jobs"), StringParameter("tag", required=True))
        errors = self.errors(scheduler, jobs="many", tag=" ", branch="a b;c")
        self.assertEqual(sorted(errors), ["branch", "jobs", "tag"])
        self.assertEqual(events.newest(self.store), [])

    def test_priority(self) -> None:
        self.force(ForceScheduler("force", ["full"], priority=3))
        self.force(ForceScheduler("force", ["full"], priority=IntParameter("priority", default=5)), priority="8")
        self.force(ForceScheduler("force", ["full"], priority=IntParameter("priority", default=5)))
        self.assertEqual([self.requests(buildset)[0].priority for buildset in self.buildsets()], [3, 8, 5])

    def test_changes_do_not_concern_it(self) -> None:
        scheduler = ForceScheduler("force", ["full"])
        self.configure(scheduler)
        self.change()
        self.assertIsNone(self.drive(scheduler))
        self.assertEqual(self.store.value("SELECT count(*) FROM classifications"), 0)

    def test_a_reason_with_percent_signs_is_only_text(self) -> None:
        self.force(ForceScheduler("force", ["full"]), reason="100%s %(owner)s <b>")
        self.assertEqual(self.buildsets()[0].reason, "A build was forced by 'ada': 100%s %(owner)s <b>")


class TestWhoAsks(ForceCase):
    def owner(self) -> Any:
        return self.properties(self.buildsets()[-1])["owner"].value

    def test_who_is_logged_in_cannot_say_to_be_another(self) -> None:
        self.force(ForceScheduler("force", ["full"]), username="Bob <bob@example.org>")
        self.assertEqual(self.owner(), "ada")

    def test_anybody_else_must_give_an_address(self) -> None:
        scheduler = ForceScheduler("force", ["full"])
        for nobody in ("", "anonymous"):
            self.assertIn("needs an address", self.errors(scheduler, nobody, username="Bob")["username"])
            self.assertIn("needs an address", self.errors(scheduler, nobody, username="")["username"])
        self.force(scheduler, who="", username="Bob <bob@example.org>")
        self.assertEqual(self.owner(), "Bob <bob@example.org>")

    def test_unless_none_is_wanted(self) -> None:
        self.force(ForceScheduler("force", ["full"], UserNameParameter(need_email=False)), who="", username="Bob")
        self.assertEqual(self.owner(), "Bob")


class TestParameters(ForceCase):
    def test_fixed_cannot_be_changed(self) -> None:
        self.assertEqual(self.values(self.with_field(FixedParameter("a", default="x")), a="y"), {"a": "x"})

    def test_hidden_cannot_be_changed(self) -> None:
        fields = [StringParameter("a", default="x", hide=True), BooleanParameter("b", default=True, hide=True)]
        self.assertEqual(self.values(self.with_field(*fields), a="y", b=""), {"a": "x", "b": True})

    def test_what_is_in_a_hidden_group_cannot_either(self) -> None:
        group = NestedParameter("g", [NestedParameter("", [StringParameter("a", default="x")])], hide=True)
        self.assertEqual(self.values(self.with_field(group), g_a="y"), {"g": {"a": "x"}})

    def test_string_is_stripped(self) -> None:
        self.assertEqual(self.values(self.with_field(StringParameter("a", default="x")), a=" b c "), {"a": "b c"})

    def test_string_may_be_emptied_although_it_has_a_default(self) -> None:
        self.assertEqual(self.values(self.with_field(StringParameter("a", default="x")), a=""), {"a": ""})
        self.assertEqual(self.values(self.with_field(StringParameter("a", default="x"))), {"a": "x"})

    def test_string_must_match_its_regex(self) -> None:
        scheduler = self.with_field(StringParameter("a", regex=r"v\d+$"))
        self.assertIn("does not match", self.errors(scheduler, a="7")["a"])
        self.assertEqual(self.values(scheduler, a="v7"), {"a": "v7"})

    def test_string_may_have_a_greatest_size(self) -> None:
        scheduler = self.with_field(StringParameter("a", maxsize=3))
        self.assertEqual(self.errors(scheduler, a="äö")["a"], "is too long: at most 3 bytes")

    def test_required(self) -> None:
        scheduler = self.with_field(StringParameter("a", required=True))
        self.assertEqual(self.errors(scheduler, a=""), {"a": "needs an answer"})
        self.assertEqual(self.errors(scheduler), {"a": "needs an answer"})

    def test_multiple_makes_a_list(self) -> None:
        self.assertEqual(
            self.values(self.with_field(StringParameter("a", multiple=True)), a=["x", "y"]), {"a": ["x", "y"]}
        )

    def test_text_keeps_its_lines(self) -> None:
        self.assertEqual(self.values(self.with_field(TextParameter("a")), a=" one\r\ntwo\n"), {"a": " one\ntwo\n"})

    def test_int(self) -> None:
        scheduler = self.with_field(IntParameter("a", default=4))
        self.assertEqual(self.errors(scheduler, a="1.5"), {"a": "'1.5' is not a whole number"})
        self.assertEqual(self.values(scheduler, a="-7"), {"a": -7})
        self.assertEqual(self.values(scheduler, a=""), {"a": 4})

    def test_boolean_is_no_when_the_browser_sends_nothing(self) -> None:
        scheduler = self.with_field(BooleanParameter("a", default=True))
        self.assertEqual(self.values(scheduler), {"a": False})
        self.assertEqual(self.values(scheduler, a="true"), {"a": True})
        self.assertEqual(self.values(scheduler, a=["", "on"]), {"a": True})

    def test_choice(self) -> None:
        scheduler = self.with_field(ChoiceStringParameter("a", choices=["x", "y"], default="x"))
        self.assertEqual(self.errors(scheduler, a="z"), {"a": "'z' is not one of 'x', 'y'"})
        self.assertEqual(self.values(scheduler, a="y"), {"a": "y"})
        self.assertEqual(self.values(scheduler), {"a": "x"})

    def test_choice_that_is_not_strict(self) -> None:
        scheduler = self.with_field(ChoiceStringParameter("a", choices=["x"], strict=False))
        self.assertEqual(self.values(scheduler, a="z"), {"a": "z"})

    def test_choice_of_several(self) -> None:
        scheduler = self.with_field(ChoiceStringParameter("a", choices=["x", "y"], multiple=True))
        self.assertEqual(self.values(scheduler, a=["x", "y"]), {"a": ["x", "y"]})
        self.assertEqual(self.values(scheduler), {"a": []})
        self.assertIn("a", self.errors_afresh(scheduler, a=["x", "z"]))

    def test_choices_may_be_made_by_a_subclass(self) -> None:
        class Builders(ChoiceStringParameter):
            def getChoices(self, master: Any, scheduler: Any, buildername: str | None) -> list[str]:
                return list(scheduler.builderNames)

        scheduler = self.with_field(Builders("a"))
        self.assertIn("not one of 'full', 'quick'", self.errors(scheduler, a="z")["a"])
        self.assertEqual(scheduler.describe_fields()[-1]["choices"], ["full", "quick"])

    def test_inherit_offers_what_the_function_lists(self) -> None:
        def compatible(status: Any, builder: str | None) -> list[str]:
            return [f"{builder}/1", f"{builder}/2"]

        scheduler = self.with_field(InheritBuildParameter("a", compatible_builds=compatible))
        self.assertEqual(self.values(scheduler, a="full/2"), {"a": "full/2"})
        self.assertEqual(scheduler.describe_fields("quick")[-1]["choices"], ["quick/1", "quick/2"])

    def test_slave_choice(self) -> None:
        self.assertEqual(self.values(self.with_field(WorkerChoiceParameter()), slavename="bob"), {"slavename": "bob"})
        scheduler = self.with_field(WorkerChoiceParameter(choices=["al"]))
        self.assertIn("slavename", self.errors_afresh(scheduler, slavename="bob"))

    def test_a_group_with_a_name_is_one_property(self) -> None:
        group = NestedParameter("opts", [StringParameter("a"), NestedParameter("in", [IntParameter("b")])])
        self.assertEqual(
            self.values(self.with_field(group), opts_a="x", opts_in_b="2"), {"opts": {"a": "x", "in": {"b": 2}}}
        )

    def test_a_group_without_a_name_only_groups(self) -> None:
        group = NestedParameter("", [StringParameter("a"), StringParameter("b")])
        self.assertEqual(self.values(self.with_field(group), a="x", b="y"), {"a": "x", "b": "y"})

    def test_any_property(self) -> None:
        scheduler = ForceScheduler("force", ["full"])
        self.assertEqual(self.values(scheduler, property1_name="a", property1_value="b", property2_name=""), {"a": "b"})

    def test_any_property_is_checked(self) -> None:
        scheduler = self.with_field(AnyPropertyParameter("p"))
        errors = self.errors(scheduler, p_name="a b", p_value="$(rm)")
        self.assertEqual(sorted(errors), ["p_name", "p_value"])
        self.assertEqual(self.errors(scheduler, p_value="b"), {"p_name": "the value needs a name"})

    def test_the_rules_are_those_of_the_configuration(self) -> None:
        rules = {"property_value": re.compile("^[0-9]+$")}
        scheduler = self.with_field(AnyPropertyParameter("p"))
        sent = {"p_name": ["a b"], "p_value": ["x"]}
        failed = ensureDeferred(force(self.store, scheduler, ["full"], sent, "ada", self.now, rules))
        self.assertEqual(list(self.failureResultOf(failed, FieldErrors).value.errors), ["p_value"])

    def test_a_users_own_parameter(self) -> None:
        class Even(IntParameter):
            def parse_from_arg(self, s: str) -> int:
                if int(s) % 2:
                    raise ValidationError("is odd")
                return int(s)

        scheduler = self.with_field(Even("a"))
        self.assertEqual(self.errors(scheduler, a="3"), {"a": "is odd"})
        self.assertEqual(self.values(scheduler, a="4"), {"a": 4})


class TestCodebases(ForceCase):
    def stamps_of(self, scheduler: ForceScheduler, **fields: str) -> list[tuple[Any, ...]]:
        self.force(scheduler, **fields)
        return [(s.codebase, s.branch, s.revision, s.repository, s.project) for s in self.stamps(self.buildsets()[-1])]

    def test_the_unnamed_one(self) -> None:
        scheduler = ForceScheduler("force", ["full"])
        fields = {"branch": "b", "revision": "r", "repository": "repo", "project": "p"}
        self.assertEqual(self.stamps_of(scheduler, **fields), [("", "b", "r", "repo", "p")])

    def test_several(self) -> None:
        library = CodebaseParameter("lib", branch="stable", revision=None, repository="git://lib", project="")
        scheduler = ForceScheduler("force", ["full"], codebases=["app", library])
        self.assertEqual(
            self.stamps_of(scheduler, app_branch="topic", lib_branch="mine"),
            [("app", "topic", None, "", ""), ("lib", "stable", None, "git://lib", "")],
        )

    def test_arguments_of_0_8_for_the_unnamed_one(self) -> None:
        branch = ChoiceStringParameter("branch", choices=["main", "next"], default="main")
        scheduler = ForceScheduler(
            "force", ["full"], branch=branch, repository=FixedParameter("repository", default="r")
        )
        self.assertEqual(self.stamps_of(scheduler, branch="next", repository="x"), [("", "next", None, "r", "")])

    def test_one_parameter_may_serve_two_codebases(self) -> None:
        branch = StringParameter("branch", default="main")
        scheduler = ForceScheduler(
            "force", ["full"], codebases=[CodebaseParameter(name, branch=branch) for name in ("a", "b")]
        )
        self.assertEqual([s[1] for s in self.stamps_of(scheduler, a_branch="x", b_branch="y")], ["x", "y"])

    def test_branch_and_revision_are_checked(self) -> None:
        scheduler = ForceScheduler("force", ["full"])
        self.assertEqual(sorted(self.errors(scheduler, branch="$(x)", revision="`x`")), ["branch", "revision"])


class TestForm(ForceCase):
    def test_it_says_all_that_a_form_needs(self) -> None:
        scheduler = ForceScheduler(
            "force",
            ["full"],
            codebases=["app"],
            properties=[
                TextParameter("notes", "Notes:", tooltip="what for"),
                NestedParameter("opts", [BooleanParameter("fast", default=True)]),
            ],
        )
        username, reason, app, notes, opts = scheduler.describe_fields(anonymous=True)
        self.assertEqual((username["name"], username["kind"], username["hide"]), ("username", "username", False))
        self.assertEqual((reason["name"], reason["default"], reason["size"]), ("reason", "force build", 20))
        self.assertEqual(
            [field["name"] for field in app["fields"]], ["app_branch", "app_revision", "app_repository", "app_project"]
        )
        self.assertEqual((notes["kind"], notes["rows"], notes["tooltip"]), ("text", 20, "what for"))
        self.assertEqual((opts["kind"], opts["fields"][0]["name"]), ("group", "opts_fast"))

    def test_who_is_logged_in_is_not_asked_for_a_name(self) -> None:
        self.assertTrue(ForceScheduler("force", ["full"]).describe_fields()[0]["hide"])

    def test_every_field_that_it_describes_is_understood(self) -> None:
        def names(fields: list[dict[str, Any]]) -> list[str]:
            return [n for f in fields for n in (names(f["fields"]) if "fields" in f else [f["name"]])]

        scheduler = ForceScheduler("force", ["full"])
        sent: dict[str, Any] = dict.fromkeys(names(scheduler.describe_fields()), "x@y")
        errors = self.errors(scheduler, **{**sent, "property1_name": "???", "branch": "a b"})
        self.assertEqual(
            sorted(errors), ["branch", "property1_name", *sorted(set(errors) - {"branch", "property1_name"})]
        )
        self.assertTrue(set(errors) <= set(sent))


class TestTakenOver(ForceCase):
    def forced_build(self) -> str:
        """A forced build that has begun."""
        self.force(self.with_field(StringParameter("a"), StringParameter("b")), a="1", b="2")
        (request,) = self.requests(self.buildsets()[-1])

        def begin(store: Any) -> Any:
            slave = slaves.sync(store, ["al"], self.now)["al"]
            build = builds.start(
                store, builder=request.builder_id, slave=slave, claimed=[request.id], reason="r", now=self.now
            )
            properties.put(store, "build", build.id, properties.of(store, "buildset", request.buildset_id))
            return build

        return f"full/{self.store.transact(begin).number}"

    def test_the_answers_of_an_earlier_build_are_given_again_but_for_what_is_asked_now(self) -> None:
        name = self.forced_build()
        inherit = InheritBuildParameter("like", compatible_builds=lambda *_: [name])
        found = self.values(self.with_field(inherit, StringParameter("b")), like=name, b="mine")
        self.assertEqual(found, {"like": name, "a": "1", "b": "mine", "orig_owner": "ada"})

    def test_a_build_that_is_not_there_gives_nothing(self) -> None:
        for name in ("full/99", "nobody/1", "full", f"full/{10**30}", "full/\u0663"):
            field = InheritBuildParameter("like", strict=False)
            self.assertEqual(self.values(self.with_field(field), like=name), {"like": name})


class TestRefusals(ForceCase):
    def test_a_field_that_the_form_has_not_is_refused_with_the_nearest(self) -> None:
        errors = self.errors(ForceScheduler("force", ["full"]), resaon="x", zzz="<b>")
        self.assertEqual(
            errors,
            {"resaon": "is not a field of this form; did you mean 'reason'?", "zzz": "is not a field of this form"},
        )

    def test_a_property_of_ones_own_naming_replaces_no_checked_field(self) -> None:
        fields = [FixedParameter("deploy", default="no"), NestedParameter("", [StringParameter("in")])]
        for name in ("deploy", "in", "owner", "reason", "scheduler"):
            scheduler = self.with_field(*fields, AnyPropertyParameter("p"))
            self.assertEqual(list(self.errors(scheduler, p_name=name, p_value="yes")), ["p_name"], name)

    def test_a_priority_that_is_none_is_refused(self) -> None:
        for typed in ("9" * 30, "high"):
            scheduler = ForceScheduler("force", ["full"], priority=IntParameter("priority"))
            self.assertEqual(list(self.errors(scheduler, priority=typed)), ["priority"])

    def test_a_fixed_username_hides_nobody_who_is_logged_in(self) -> None:
        self.force(ForceScheduler("force", ["full"], FixedParameter("username", default="team")))
        self.assertEqual(self.properties(self.buildsets()[0])["owner"].value, "team")
        self.assertEqual(actions.newest(self.store)[0].who, "ada")

    def test_choices_that_cannot_be_listed_are_that_fields_mistake_alone(self) -> None:
        def broken(*_: Any) -> list[str]:
            raise KeyError("no <network>")

        scheduler = self.with_field(ChoiceStringParameter("a", choices=broken))
        self.assertIn("cannot be listed: KeyError", scheduler.describe_fields()[-1]["tooltip"])
        self.assertIn("cannot be listed", self.errors(scheduler, a="x")["a"])
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 2)

    def test_choices_may_be_a_function(self) -> None:
        scheduler = self.with_field(ChoiceStringParameter("a", choices=lambda _, sched, name: [sched.name, name]))
        self.assertEqual(self.values(scheduler, a="full"), {"a": "full"})

    def test_none_of_several_choices(self) -> None:
        field = {"choices": ["x", "y"], "multiple": True, "default": "x"}
        self.assertEqual(self.values(self.with_field(ChoiceStringParameter("a", **field))), {"a": ["x"]})
        self.assertEqual(self.values(self.with_field(ChoiceStringParameter("a", **field)), a=""), {"a": []})
        scheduler = self.with_field(ChoiceStringParameter("a", required=True, **field))
        self.assertEqual(self.errors_afresh(scheduler, a=[""]), {"a": "needs an answer"})


class TestMistakes(ForceCase):
    def test_they_are_named(self) -> None:
        def refused(expected: str, make: Any) -> None:
            with self.assertRaises(ConfigErrors) as caught:
                make()
            self.assertIn(expected, str(caught.exception))

        Force = ForceScheduler
        table: list[tuple[str, Any]] = [
            ("did you mean 'required'?", lambda: StringParameter("a", requird=True)),
            ("cannot be used", lambda: StringParameter("a", regex="(")),
            ("choices is a list", lambda: ChoiceStringParameter("a", choices="xy")),
            ("is not a parameter", lambda: Force("f", ["full"], properties=["a"])),
            ("parameters come as a list", lambda: NestedParameter("a", fields=StringParameter("b"))),
            (
                "two fields named 'reason'",
                lambda: Force("f", ["full"], properties=[StringParameter("reason")]),
            ),
            ("neither a name nor", lambda: Force("f", ["full"], codebases=[7])),
            ("codebases is a list", lambda: Force("f", ["full"], codebases=[])),
            ("to the CodebaseParameters", lambda: Force("f", ["full"], codebases=["a"], branch="x")),
            ("reasonString takes", lambda: Force("f", ["full"], reasonString="%(who)s")),
            ("did you mean 'buttonName'?", lambda: Force("f", ["full"], buttonname="x")),
            ("builderNames is a list", lambda: Force("f", "full")),
            ("patch is a PatchParameter", lambda: CodebaseParameter("a", patch=StringParameter("p"))),
            ("needs this name itself", lambda: ForceScheduler("f", ["full"], properties=[StringParameter("token")])),
            ("no argument 'fullName'", lambda: StringParameter("a", fullName="b")),
            ("branch of a codebase is", lambda: CodebaseParameter("a", branch=7)),
        ]
        for expected, make in table:
            refused(expected, make)


class TestFilesAndPatches(ForceCase):
    def test_a_file_is_text_and_bounded(self) -> None:
        scheduler = self.with_field(FileParameter("notes", maxsize=10), FileParameter("other"))
        self.assertEqual(self.values(scheduler, notes=" a\r\nb "), {"notes": " a\r\nb ", "other": ""})
        self.assertEqual(scheduler.file_names, ["notes", "other"])
        self.assertIn("at most 10 bytes", self.errors_afresh(scheduler, notes="ü" * 6)["notes"])
        self.assertIn("UTF-8", self.errors_afresh(scheduler, other="\udcff")["other"])

    def patched(self, **kw: Any) -> ForceScheduler:
        source = CodebaseParameter("lib", patch=PatchParameter(**kw))
        return ForceScheduler("force", ["full"], codebases=[source, "app"], properties=[])

    def test_a_patch_over_one_codebase(self) -> None:
        self.force(
            self.patched(), lib_branch="topic", lib_patch_body="diff \udcff\r\n", lib_patch_level="2",
            lib_patch_subdir="src", lib_patch_comment="why", reason="r",
        )  # fmt: skip
        (buildset,) = self.buildsets()
        app, lib = sorted(self.stamps(buildset), key=lambda stamp: stamp.codebase)
        self.assertIsNone(app.patch_id)
        assert lib.patch_id is not None
        patch = sourcestamps.patch(self.store, lib.patch_id)
        assert patch is not None
        self.assertEqual(patch[1:], (2, b"diff \xff\r\n", "src", "ada", "why"))
        self.assertEqual(set(self.properties(buildset)), set(HEAD))

    def test_without_a_file_there_is_no_patch(self) -> None:
        self.force(self.patched(), lib_patch_body="", lib_patch_level="1")
        self.assertEqual([stamp.patch_id for stamp in self.stamps(self.buildsets()[0])], [None, None])

    def test_mistakes_of_a_patch_stand_at_their_fields(self) -> None:
        wrong = self.errors(self.patched(), lib_patch_body="d", lib_patch_level="x")
        self.assertIn("whole number", wrong["lib_patch_level"])
        wrong = self.errors(self.patched(), lib_patch_body="d", lib_patch_level="-1")
        self.assertIn("0 to 99", wrong["lib_patch_body"])
        wrong = self.errors(self.patched(), lib_patch_body="d", lib_patch_subdir="../x")
        self.assertIn("not below the source", wrong["lib_patch_body"])

    def test_own_fields_of_a_patch(self) -> None:
        scheduler = self.patched(fields=[FixedParameter("level", default=0), FileParameter("body", required=True)])
        self.assertIn("needs an answer", self.errors(scheduler, lib_patch_body="")["lib_patch_body"])
        self.force(scheduler, lib_patch_body="diff")
        self.assertEqual(self.store.column("SELECT level FROM patches"), [0])
        with self.assertRaises(ConfigErrors):
            PatchParameter(fields=[StringParameter("nonsense")])

    def test_wrong_layouts_are_config_errors(self) -> None:
        makers: list[Any] = [
            lambda: NestedParameter("g", [], layout="round"),
            lambda: NestedParameter("g", [], columns=7),
            lambda: StringParameter("s", autopopulate={"a": "b"}),
        ]
        for make in makers:
            with self.assertRaises(ConfigErrors):
                make()
