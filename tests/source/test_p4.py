"""The P4 step with a stand-in for `p4`, on a real slave: what it is given, and what comes of its answers."""

from __future__ import annotations

from typing import Any

from buildbot.config.errors import ConfigErrors
from buildbot.model import NewChange
from buildbot.steps.source.p4 import P4
from tests.rig import Source
from tests.source.stubs import Perforce
from tests.source.vcs_servers import SourceCase

PATCH = b"--- a\n+++ a\n@@ -1 +1 @@\n-one\n+patched\n--- /dev/null\n+++ new\n@@ -0,0 +1 @@\n+of the patch\n"


class TestP4(SourceCase):
    step = P4

    async def setUp(self) -> None:  # type: ignore[override]
        await super().setUp()
        self.p4 = Perforce(self.rig.base / "p4 program")
        self.p4.put("depot/1", a="one\n", gone="soon\n")
        self.p4.put("depot/7", a="two\n")
        self.usual |= {"p4base": "//depot/project", "p4branch": "trunk", "env": self.p4.env}

    def form(self, calls: list[Any]) -> str:
        (given,) = [given for _, words, given in calls if words == ["client", "-i"]]
        return str(given)

    async def test_what_p4_is_given(self) -> None:
        self.p4.put(".", password="open-sesame")
        built = await self.good(p4port="h:1666", p4user="anna", p4passwd="open-sesame", p4extra_args=["--parallel=0"])
        calls = self.p4.calls()
        options = {"-p": "h:1666", "-u": "anna", "-P": "open-sesame", "-c": "buildbot_bot_b"}
        assert [given for given, _, _ in calls] == [options] * 4
        assert [words for _, words, _ in calls] == [
            ["client", "-i"],
            ["-ztag", "changes", "-m1", "//buildbot_bot_b/...#head"],
            ["--parallel=0", "sync", "#none"],
            ["--parallel=0", "sync", "//buildbot_bot_b/...@7"],
        ]
        assert self.form(calls) == (
            "Client:\tbuildbot_bot_b\n\nOwner:\tanna\n\nDescription:\tCreated by anna\n\n"
            f"Root:\t{self.work}\n\nOptions:\tallwrite rmdir\n\nLineEnd:\tlocal\n\n"
            "View:\n\t//depot/project/trunk/... //buildbot_bot_b/...\n"
        )
        assert built.properties["got_revision"] == "7"
        assert "open-sesame" not in self.told(built) + str(built.commands("p4"))
        # a ticket instead
        built = await self.good(p4user="anna", p4passwd="open-sesame", use_tickets=True)
        calls = self.p4.calls()
        assert calls[0] == [{"-u": "anna", "-c": "buildbot_bot_b"}, ["login"], "open-sesame\n"]
        assert not any("-P" in given for given, _, _ in calls)
        assert "open-sesame" not in self.told(built) + str(built.commands("p4"))
        assert "cannot log in" in await self.bad(p4user="anna", p4passwd="close-sesame", use_tickets=True)

    async def test_views_and_clients(self) -> None:
        await self.good(
            p4extra_views=[("//depot/lib x", "lib")], p4client="my client/%(slave)s", p4line_end="unix",
            p4client_type="readonly", p4client_spec_options="clobber\nView: //...",
        )  # fmt: skip
        form = self.form(self.p4.calls())
        assert "Client:\tmy_client_bot\n" in form
        assert "Options:\tclobber View: //...\n" in form
        assert ("LineEnd:\tunix\n" in form, "Type:\treadonly\n" in form) == (True, True)
        assert form.endswith(
            'View:\n\t//depot/project/trunk/... //my_client_bot/...\n\t"//depot/lib x/..." //my_client_bot/lib/...\n'
        )
        view = {"p4base": None, "p4branch": None, "p4client": "c"}
        await self.good(**view, p4viewspec=[("//depot/a/", ""), ("//depot/b/", "below/")])
        assert self.form(self.p4.calls()).endswith("\t//depot/a/... //c/...\n\t//depot/b/... //c/below/...\n")
        await self.good(stream=True, p4client="c")
        form = self.form(self.p4.calls())
        assert ("Stream:\t//depot/project/trunk\n" in form, "View:" in form) == (True, False)
        # branches of source stamps
        branches = {"p4base": "//depot/project/", "p4branch": None, "defaultBranch": "main", "p4client": "c"}
        await self.good(Source("stable"), **branches)
        assert "\t//depot/project/stable/... //c/...\n" in self.form(self.p4.calls())
        await self.good(**branches)
        assert "\t//depot/project/main/... //c/...\n" in self.form(self.p4.calls())
        for branch in ("a/...", 'a" //x', "a\n\t//other/... //c/...", "../x", "-x"):
            assert "is not a branch's name" in await self.bad(Source(branch), **branches)
        assert self.p4.calls() == []

    async def test_modes_and_revisions(self) -> None:
        built = await self.good(Source(None, "6"))
        assert built.properties["got_revision"] == "1"
        (self.work / "own").write_text("mine")
        await self.good(Source(changes=[NewChange("me", revision="7"), NewChange("me", revision="3")]))
        assert (self.names(), (self.work / "a").read_text()) == ({"a", "own"}, "two\n")
        await self.good(mode="full")
        assert self.names() == {"a"}
        # a patch is taken away
        await self.good(Source(None, "1", patch=(0, PATCH, ".")))
        (self.work / "own").write_text("mine")
        assert (self.work / "a").read_text() == "patched\n"
        await self.good(Source(None, "1"))
        assert (self.names(), (self.work / "a").read_text()) == ({"a", "gone", "own"}, "one\n")
        assert any("-f" in words for _, words, _ in self.p4.calls())
        # files that are gone are brought again
        for path in self.work.iterdir():
            path.unlink()
        self.work.rmdir()
        await self.good(Source(None, "1", codebase="c"), codebase="c")
        assert self.names() == {"a", "gone"}
        # the server knows nothing of the files that are here: its client was deleted, or it is another server
        (self.work / "own").write_text("mine")
        (self.work / "a").write_text("spoiled")
        (self.p4.directory / "have-buildbot_bot_b").unlink()
        await self.good(Source(None, "1"))
        assert (self.names(), (self.work / "a").read_text()) == ({"a", "gone", "own"}, "one\n")
        await self.good(mode="copy", p4client="other")
        assert self.names() == {"a"}
        self.p4.calls()
        for revision in ("-f", "1,@2", "#none"):
            assert "is not a revision" in await self.bad(Source(None, revision))
        assert self.p4.calls() == []
        assert "no change in the view at 0" in await self.bad(Source(None, "0"))
        self.p4.put(".", down="")
        assert "cannot make the client" in await self.bad()
        assert self.names() == {"a"}


class TestArguments(SourceCase):
    with_slave = False

    def test_those_of_every_era(self) -> None:
        old = P4("//depot/x/", p4port="h:1")
        assert (old.p4base, old.mode) == ("//depot/x/", "incremental")
        assert P4(p4base="//depot/x", mode="clobber").method == "clobber"

    def test_wrong_ones_are_told(self) -> None:
        base = {"p4base": "//depot/x"}
        for options, complaint in (
            ({}, "give p4base or p4viewspec"),
            ({"p4base": "depot"}, "a path in the depot"),
            ({"p4viewspec": "//depot"}, "is a list of"),
            ({**base, "p4viewspec": [("//a/", "")]}, "p4viewspec says all"),
            ({**base, "stream": True}, "a stream is named by"),
            ({**base, "p4client_type": "odd"}, "p4client_type is one of"),
            ({**base, "p4line_end": "odd"}, "p4line_end is one of"),
            ({**base, "p4branch": "a", "defaultBranch": "b"}, "not both"),
            ({**base, "repourl": "x"}, "there is no repourl"),
            ({**base, "p4extra_args": "-q"}, "list of strings"),
        ):
            with self.assertRaises(ConfigErrors) as caught:
                P4(**options)  # type: ignore[arg-type]
            assert complaint in str(caught.exception), caught.exception
