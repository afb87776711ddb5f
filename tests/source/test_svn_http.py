"""The SVN step over HTTP, against Apache with mod_dav_svn, on a real slave."""

from __future__ import annotations

from buildbot.steps.source.svn import SVN
from tests.rig import Source
from tests.source.vcs_servers import SourceCase, Subversion, SubversionWeb

PATCH = b"--- b\n+++ b\n@@ -1 +1 @@\n-b\n+patched\n--- /dev/null\n+++ new\n@@ -0,0 +1 @@\n+of the patch\n"


class TestHTTP(SourceCase):
    step = SVN
    tools = (("svn", "subversion"), ("svnserve", "subversion"), ("openssl", "openssl"))

    async def setUp(self) -> None:  # type: ignore[override]
        await super().setUp()
        self.repository = Subversion(self.processes, self.rig.base / "svn")
        self.first = self.repository.commit(trunk__a="one\n", trunk__lib__b="b\n")
        self.web = SubversionWeb(self.processes, self.rig.base / "apache", self.repository)
        self.usual["repourl"] = f"{self.web.url}/trunk"

    async def test_modes_branches_and_patches(self) -> None:
        built = await self.good()
        assert built.properties["got_revision"] == self.first
        (self.work / "own").write_text("mine")
        self.repository.commit(**{"trunk__a": "two\n", "trunk__50% of it": "half\n", "trunk__grün": "green\n"})
        self.repository("copy", "-q", "trunk", "my branch")
        third = self.repository.commit()
        built = await self.good()
        assert self.names(".svn") == {"a", "lib", "own", "50% of it", "grün"}
        assert (self.work / "a").read_text() == "two\n"
        built = await self.good(Source(None, self.first), mode="full", method="fresh")
        assert (self.names(".svn"), built.properties["got_revision"]) == ({"a", "lib"}, self.first)
        # from svnserve to HTTP and back: the same repository
        (self.work / "own").write_text("mine")
        await self.good(repourl=f"{self.repository.url}/trunk")
        await self.good(Source(patch=(0, PATCH, "lib")))
        assert ((self.work / "lib/b").read_text(), (self.work / "lib/new").exists()) == ("patched\n", True)
        branches = {"repourl": None, "baseURL": f"{self.web.url}/", "defaultBranch": "trunk"}
        built = await self.good(Source("my branch"), **branches)
        assert built.properties["got_revision"] == third
        assert "own" in self.names()
        assert not (self.work / "lib" / "new").exists()
        for method in ("copy", "export", "clobber"):
            await self.good(mode="full", method=method)
            assert self.names(".svn") == {"a", "lib", "50% of it", "grün"}
        assert f"there is no {self.web.url}/nowhere" in await self.bad(Source("nowhere"), **branches)

    async def test_a_password(self) -> None:
        private = {"repourl": f"{self.web.private}/trunk", "username": "alice"}
        built = await self.good(**private, password="wonder-land")
        assert "wonder-land" not in self.told(built) + str(built.commands("svn"))
        self.repository.commit(trunk__a="two\n")
        await self.good(**private, password="wonder-land")
        assert (self.work / "a").read_text() == "two\n"
        for given in ({"password": "looking-glass"}, {}):
            built = await self.check_out(**private, **given)
            assert "its server cannot be reached" in str(built.steps[0].state_text), self.told(built)
            assert "looking-glass" not in self.told(built)
        assert (self.work / "a").read_text() == "two\n"
