"""The CVS step against a pserver, on a real slave."""

from __future__ import annotations

import os
import shutil
import time

from buildbot.config.errors import ConfigErrors
from buildbot.model import NewChange
from buildbot.steps.source.cvs import CVS, written
from tests.rig import Source
from tests.source.servers import SilentServer, SSHServer
from tests.source.vcs_servers import CVSRepository, SourceCase, put

PATCH = b"--- a\n+++ a\n@@ -1 +1 @@\n-one\n+patched\n--- /dev/null\n+++ new\n@@ -0,0 +1 @@\n+of the patch\n"


class CVSCase(SourceCase):
    step = CVS
    tools = (("cvs", "cvs"), ("openssl", "openssl"))

    async def setUp(self) -> None:  # type: ignore[override]
        await super().setUp()
        self.repository = CVSRepository(self.processes, self.rig.base / "cvs")
        self.repository.commit(a="one\n", gone="soon\n", lib__b="b\n", **{".cvsignore": "*.made\n"})
        self.usual |= {"cvsroot": self.repository.root, "cvsmodule": "module", "login": "wonder-land"}
        self.usual["env"] = {"CVS_PASSFILE": str(self.rig.base / "passfile")}


class TestCVS(CVSCase):
    async def test_the_modes(self) -> None:
        built = await self.good()
        assert "wonder-land" not in self.told(built) + str(built.commands("cvs"))
        assert built.properties["got_revision"].endswith("+0000")
        files = {"CVS", ".cvsignore", "a", "gone", "lib"}
        assert self.names() == files
        put(self.work, own="mine", coming="in the way", lib__own="mine")
        (self.work / "an.o").write_text("ignored by default")
        (self.work / "x.made").write_text("ignored")
        (self.work / "a").write_text("spoiled")
        (self.work / "lib" / "b").unlink()
        self.repository.commit(gone=None, coming="here\n")
        await self.good()
        files = {"CVS", ".cvsignore", "a", "coming", "lib"}
        assert files | {"own", "an.o", "x.made"} <= self.names()
        assert "gone" not in self.names()
        assert [(self.work / name).read_text() for name in ("a", "coming", "lib/b")] == ["one\n", "here\n", "b\n"]
        assert (self.work / "lib" / "own").exists()
        await self.good(mode="full", method="clean")
        assert {name for name in self.names() if not name.startswith(".#")} == {*files, "an.o", "x.made"}
        assert not (self.work / "lib" / "own").exists()
        await self.good(mode="full")
        assert self.names() == files
        (self.work / os.fsdecode(b"lat\xe9in")).write_text("")
        await self.good(mode="full")
        assert self.names() == files
        await self.good(mode="copy", extra_options=["-R"])
        (self.work / "own").write_text("mine")
        await self.good(mode="copy", login=None, global_options=["-f"])
        assert self.names() == files
        await self.good(mode="export")
        assert self.names() == files - {"CVS"}
        await self.good(mode="clobber")
        assert self.names() == files

    async def test_what_is_behind_a_link_stays(self) -> None:
        self.repository.commit(**{".hidden__.cvsignore": "*.made\n"})
        outside = self.rig.base / "outside"
        put(outside, CVS__Entries="D\n", **{".cvsignore": "*.o\n"})
        await self.good()
        (self.work / "link").symlink_to(outside)
        (self.work / ".hidden" / "x.made").write_text("")
        await self.good(mode="full")
        assert self.names() == {"CVS", ".cvsignore", ".hidden", "a", "gone", "lib"}
        assert {path.name for path in (self.work / ".hidden").iterdir()} == {"CVS", ".cvsignore"}
        (self.work / "link").symlink_to(outside)
        # cvs leaves a directory out, or brings more than the module, where one of these is missing
        for damaged in ("lib/CVS/Entries", "lib/CVS/Repository", "CVS/Entries", "CVS/Repository"):
            (self.work / damaged).unlink()
            put(self.work, a="spoiled", lib__b="spoiled")
            built = await self.good()
            assert "making it anew" in self.told(built)
            assert [(self.work / name).read_text() for name in ("a", "lib/b")] == ["one\n", "b\n"], damaged
            names = {name for name in self.names() if not name.startswith(".#")}
            assert names == {"CVS", ".cvsignore", ".hidden", "a", "gone", "lib", "link"}
        assert {path.name for path in outside.iterdir()} == {"CVS", ".cvsignore"}

    async def test_times_and_branches(self) -> None:
        repository = self.repository
        repository("tag", "-b", "stable")
        first = time.time() + 0.5
        await self.rig.until(lambda: time.time() > first + 1, "the next second, in which cvs counts")
        repository.commit(a="two\n")
        built = await self.good(Source(None, written(first)))
        assert ((self.work / "a").read_text(), built.properties["got_revision"]) == ("one\n", written(first))
        await self.good()
        assert (self.work / "a").read_text() == "two\n"
        changes = [NewChange("me", revision="1.1", committed_at=first - 100), NewChange("me", committed_at=first - 9)]
        await self.good(Source(changes=changes), checkoutDelay=9)
        assert (self.work / "a").read_text() == "one\n"
        built = await self.good(Source(changes=[NewChange("me", committed_at=first + 3600)]))
        assert (self.work / "a").read_text() == "two\n"
        assert built.properties["revision"] == written(first + 3600)
        repository("update", "-r", "stable")
        repository.commit(a="stable\n")
        (self.work / "own").write_text("mine")
        await self.good(Source("stable"))
        assert (self.work / "a").read_text() == "stable\n"
        await self.good(branch="HEAD")
        assert (self.work / "a").read_text() == "two\n"
        assert "no module with a branch or tag nowhere" in await self.bad(branch="nowhere")
        assert "no other with a branch" in await self.bad(cvsmodule="other")
        await self.good(Source("stable", codebase="c"), codebase="c", cvsmodule="module")
        for branch in ("-d/tmp", "--help", "a b"):
            assert "is not a branch's name" in await self.bad(Source(branch))
        for revision in ("-d/tmp", "1\n2"):
            assert "is not a revision" in await self.bad(Source(None, revision))

    async def test_trouble_is_mended_and_nothing_is_lost(self) -> None:
        await self.good(Source(patch=(0, PATCH, ".")))
        assert ((self.work / "a").read_text(), (self.work / "new").exists()) == ("patched\n", True)
        (self.work / "own").write_text("mine")
        await self.good()
        assert ((self.work / "a").read_text(), (self.work / "new").exists()) == ("one\n", False)
        # broken working copies
        (self.work / "lib" / "CVS" / "Entries").unlink()
        shutil.rmtree(self.work / "CVS")
        (self.work / "a").write_text("spoiled")
        await self.good()
        assert ((self.work / "a").read_text(), (self.work / "lib" / "b").read_text()) == ("one\n", "b\n")
        (self.work / "CVS" / "Entries").unlink()
        (self.work / "CVS" / "Root").write_text("")
        (self.work / "CVS" / "Repository").write_text("nonsense\n")
        await self.good()
        (self.work / "own").write_text("mine")
        # no server, a wrong password, a server that says nothing
        assert "cannot log in" in await self.bad(login="wrong-pass-word")
        nowhere = f":pserver:anna@127.0.0.1:1{self.repository.local}"
        assert "cannot be reached" in await self.bad(cvsroot=nowhere, login=None)
        silent = SilentServer()
        self.addCleanup(silent.stop)
        hanging = f":pserver:anna:a-long-secret@127.0.0.1:{silent.port}{self.repository.local}"
        built = await self.check_out(cvsroot=hanging, login=None, timeout=1)
        assert "cvs timed out" in str(built.step("cvs").state_text)
        assert "a-long-secret" not in self.told(built) + str(built.commands("cvs"))
        await self.good()


class TestSSH(SourceCase):
    """`:ext:`, by the program that CVS_RSH names."""

    step = CVS
    tools = (("cvs", "cvs"), ("openssl", "openssl"), ("ssh", "openssh-client"))

    async def test_a_checkout_an_update_and_a_server_that_does_not_let_in(self) -> None:
        repository = CVSRepository(self.processes, self.rig.base / "cvs")
        repository.commit(a="one\n", lib__b="b\n")
        server = SSHServer(self.processes, self.rig.base / "sshd")
        self.usual |= {"cvsroot": f":ext:{server.user}@127.0.0.1:{repository.local}", "cvsmodule": "module"}

        def by(key: str) -> dict[str, str]:
            program = self.rig.base / f"ssh with {key}"
            options = f"-F none -o BatchMode=yes -o IdentitiesOnly=yes -i {self.rig.base}/sshd/{key} -p {server.port}"
            known = f"-o StrictHostKeyChecking=no -o UserKnownHostsFile={self.rig.base}/known"
            program.write_text(f'#!/bin/sh\nexec ssh {options} {known} "$@"\n')
            program.chmod(0o755)
            return {"CVS_RSH": str(program)}

        await self.good(env=by("key"))
        (self.work / "own").write_text("mine")
        repository.commit(a="two\n")
        await self.good(env=by("key"))
        assert ((self.work / "a").read_text(), "own" in self.names()) == ("two\n", True)
        built = await self.good(env=by("key"), mode="full")
        assert (self.names(), "Accepted publickey" in server.seen()) == ({"CVS", "a", "lib"}, True)
        assert built.properties["got_revision"]
        assert "cannot be reached" in await self.bad(env=by("other"))
        assert "no module with a branch or tag nowhere" in await self.bad(env=by("key"), branch="nowhere")
        await self.good(env=by("key"), mode="export")
        assert self.names() == {"a", "lib"}


class TestArguments(SourceCase):
    with_slave = False

    def test_wrong_ones_are_told(self) -> None:
        for options, complaint in (
            ({"cvsmodule": "m"}, "needs a cvsroot"),
            ({"cvsroot": "/r"}, "needs a cvsmodule"),
            ({"cvsroot": "/r", "cvsmodule": "m", "global_options": "-q"}, "list of strings"),
            ({"cvsroot": "/r", "cvsmodule": "m", "checkoutDelay": "soon"}, "number of seconds"),
            ({"cvsroot": "/r", "cvsmodule": "m", "repourl": "x"}, "no repourl"),
        ):
            with self.assertRaises(ConfigErrors) as caught:
                CVS(**options)  # type: ignore[arg-type]
            assert complaint in str(caught.exception), caught.exception
