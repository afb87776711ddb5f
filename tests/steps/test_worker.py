"""Steps that are one command of the slave."""

from __future__ import annotations

from typing import Any

from buildbot.config.errors import ConfigErrors
from buildbot.process.properties import Interpolate
from buildbot.process.results import FAILURE, SUCCESS
from buildbot.steps.worker import CopyDirectory, FileExists, MakeDirectory, RemoveDirectory, SetPropertiesFromEnv
from tests.steps.case import StepsCase


class TestDirectories(StepsCase):
    async def test_they_are_made_copied_looked_into_and_removed(self) -> None:
        self.put({"kept/a.txt": "a", "old/deep/b.txt": "b"})
        (self.work / "old" / "deep").chmod(0o500)
        built = await self.run_steps(
            MakeDirectory(dir=Interpolate("build/%(prop:buildername)s/new")),
            CopyDirectory(src="build/kept", dest="build/copy"),
            RemoveDirectory("build/old"),
            RemoveDirectory("build/never there", name="nothing"),
            FileExists("build/copy/a.txt", name="file"),
            FileExists("build/kept", name="directory", haltOnFailure=False),
            FileExists("build/none", name="none", haltOnFailure=False),
            CopyDirectory("build/none", "build/x", name="no copy", haltOnFailure=False),
            MakeDirectory("build/kept/a.txt/b", name="no place"),
            MakeDirectory("build/never", name="never"),
        )
        wanted = {"MakeDirectory": SUCCESS, "CopyDirectory": SUCCESS, "RemoveDirectory": SUCCESS, "nothing": SUCCESS}
        wanted |= {"file": SUCCESS, "directory": FAILURE, "none": FAILURE, "no copy": FAILURE, "no place": FAILURE}
        assert built.results == wanted
        assert (self.work / "b" / "new").is_dir()
        assert (self.work / "copy" / "a.txt").read_text() == "a"
        assert not (self.work / "old").exists()
        texts = {step.name: step.state_text for step in built.steps}
        assert texts["MakeDirectory"] == "Created"
        assert texts["file"] == "File found."
        assert texts["directory"] == "Not a file. (failure)"
        assert texts["none"] == "File not found. (failure)"
        assert texts["no place"] == "Create failed. (failure)"

    async def test_nothing_outside_of_the_slaves_directory_is_touched(self) -> None:
        built = await self.run_steps(RemoveDirectory("../../../etc"))
        assert "leads out of the slave's base directory" in built.text("RemoveDirectory", "err.text")


class TestEnvironment(StepsCase):
    async def test_bad_arguments_are_said(self) -> None:
        wrong: Any = 7
        with self.assertRaises(ConfigErrors):
            SetPropertiesFromEnv(wrong)
