"""Debian packages: pbuilder, cowbuilder and lintian."""

from __future__ import annotations

import stat
from typing import Any, ClassVar

from buildbot.config.errors import error
from buildbot.process.buildstep import BuildStepFailed
from buildbot.process.remotecommand import RemoteCommand, RemoteShellCommand
from buildbot.steps.findings import FindingStep
from buildbot.steps.madecommand import MadeCommand, check_words, needed, words
from buildbot.steps.warnings import WarningCountingShellCommand

_WEEK = 7 * 24 * 3600.0


class DebPbuilder(MadeCommand, WarningCountingShellCommand):
    """Build a Debian package in a clean system, with `pdebuild` and pbuilder.

    That system is made when it is not there (`sudo pbuilder --create`), and updated when it is a week old.

    architecture, distribution (default "stable"), mirror, othermirror, components, keyring, extrapackages (list): for
    pbuilder's options of these names. basetgz: the file of the system (default: of a name that is made of
    distribution, architecture and "local-buildbot"). All may be renderable; the other arguments are those of
    WarningCountingShellCommand.
    """

    name = "pbuilder"
    haltOnFailure = True
    flunkOnFailure = True
    description = ["building"]
    descriptionDone = ["built"]
    warningPattern = r".*(warning[: ]|\sW: ).*"
    renderables: ClassVar[Any] = (
        "architecture",
        "distribution",
        "basetgz",
        "mirror",
        "othermirror",
        "extrapackages",
        "keyring",
        "components",
    )
    architecture: Any = None
    distribution: Any = "stable"
    basetgz: Any = None
    default_basetgz = "/var/cache/pbuilder/{distribution}{architecture}-local-buildbot.tgz"
    mirror: Any = "http://ftp.debian.org/debian/"
    othermirror: Any = None
    extrapackages: Any = None
    keyring: Any = None
    components: Any = None
    maxAge = _WEEK  # seconds
    pbuilder = "/usr/sbin/pbuilder"
    baseOption = "--basetgz"
    base_is_directory = False

    def __init__(
        self,
        architecture: Any = None,
        distribution: Any = None,
        basetgz: Any = None,
        mirror: Any = None,
        othermirror: Any = None,
        extrapackages: Any = None,
        keyring: Any = None,
        components: Any = None,
        **kwargs: Any,
    ) -> None:
        given = {
            "architecture": architecture,
            "distribution": distribution,
            "basetgz": basetgz,
            "mirror": mirror,
            "extrapackages": extrapackages,
            "keyring": keyring,
            "components": components,
            "othermirror": othermirror,
        }
        for name, value in given.items():
            if value is not None:
                setattr(self, name, value)
        needed(self, "distribution")
        check_words(self, "extrapackages")
        super().__init__(**kwargs)

    @property
    def base(self) -> str:
        """Where the clean system is."""
        if self.basetgz:
            return str(self.basetgz)
        architecture = f"-{self.architecture}" if self.architecture else ""
        return self.default_basetgz.format(distribution=self.distribution, architecture=architecture)

    def argv(self) -> list[Any]:
        command = ["pdebuild", "--buildresult", ".", "--pbuilder", self.pbuilder]
        if self.architecture:
            command += ["--architecture", self.architecture]
        command += ["--", "--buildresult", ".", self.baseOption, self.base]
        if self.extrapackages:
            command += ["--extrapackages", " ".join(words(self.extrapackages))]
        return command

    def creating(self) -> list[Any]:
        """The command that makes the clean system."""
        command = ["sudo", self.pbuilder, "--create", self.baseOption, self.base]
        command += ["--distribution", self.distribution, "--mirror", self.mirror]
        if self.othermirror:
            command += ["--othermirror", "|".join(words(self.othermirror))]
        if self.architecture:
            command += ["--architecture", self.architecture]
        if self.extrapackages:
            command += ["--extrapackages", " ".join(words(self.extrapackages))]
        if self.keyring:
            command += ["--debootstrapopts", f"--keyring={self.keyring}"]
        if self.components:
            command += ["--components", self.components]
        return command

    async def run(self) -> int:
        there = RemoteCommand("stat", {"file": self.base, "workdir": self.workdir})
        await self.runCommand(there)
        if there.rc != 0:
            await self._prepare(self.creating(), "made")
        else:
            mode, changed_at = _mode_and_time(there)
            if stat.S_ISDIR(mode) is not self.base_is_directory:
                self.note_text("err.text", f"{self.base} is not what {self.pbuilder} makes: remove it\n")
                raise BuildStepFailed(f"{self.base} is not what {self.pbuilder} makes")
            looked_at = self.remember("the age of the base", lambda store: self.build.now())
            if isinstance(looked_at, (int, float)) and looked_at - changed_at > self.maxAge:
                await self._prepare(["sudo", self.pbuilder, "--update", self.baseOption, self.base], "updated")
        return await super().run()

    async def _prepare(self, argv: list[Any], what: str) -> None:
        command: RemoteShellCommand = await self.makeRemoteShellCommand(command=argv)
        await self.runCommand(command)
        if command.didFail():
            self.note_text("err.text", f"{self.base} could not be {what}\n")
            raise BuildStepFailed(f"{self.base} could not be {what}")


def _mode_and_time(there: RemoteCommand) -> tuple[int, float]:
    """Of what `stat` answered. It comes from the slave."""
    numbers = there.outcome.get("result")
    if not isinstance(numbers, (list, tuple)) or len(numbers) < 9:
        return 0, 0.0
    mode, changed_at = numbers[0], numbers[8]
    if not isinstance(mode, int) or not isinstance(changed_at, (int, float)):
        return 0, 0.0
    return mode, float(changed_at)


class DebCowbuilder(DebPbuilder):
    """As DebPbuilder, with cowbuilder, whose clean system is a directory."""

    name = "cowbuilder"
    pbuilder = "/usr/sbin/cowbuilder"
    baseOption = "--basepath"
    default_basetgz = "/var/cache/pbuilder/{distribution}{architecture}-local-buildbot.cow/"
    base_is_directory = True


class UbuPbuilder(DebPbuilder):
    """As DebPbuilder, for Ubuntu; distribution is needed."""

    distribution: Any = None
    mirror = "http://archive.ubuntu.com/ubuntu/"
    components = "main universe"


class UbuCowbuilder(DebCowbuilder):
    """As DebCowbuilder, for Ubuntu; distribution is needed."""

    distribution: Any = None
    mirror = "http://archive.ubuntu.com/ubuntu/"
    components = "main universe"


class DebLintian(MadeCommand, FindingStep):
    """Look at a package with lintian; its errors and warnings are counted, and its exit code counts.

    fileloc: the file; needed. suppressTags: list of tags that do not count. Both may be renderable; the other arguments
    are those of ShellCommand.
    """

    name = "lintian"
    description = "Lintian running"
    descriptionDone = "Lintian"
    flunkOnFailure = False
    warnOnFailure = True
    kinds = ("errors", "warnings")
    renderables: ClassVar[Any] = ("fileloc", "suppressTags")

    def __init__(self, fileloc: Any = None, suppressTags: Any = None, **kwargs: Any) -> None:
        self.fileloc = fileloc
        self.suppressTags = suppressTags
        needed(self, "fileloc")
        if isinstance(suppressTags, str):
            error(f"DebLintian: suppressTags is a list, not {suppressTags!r}")
        super().__init__(**kwargs)

    def argv(self) -> list[Any]:
        command = ["lintian", "-v", self.fileloc]
        for tag in words(self.suppressTags):
            command += ["--suppress-tags", tag]
        return command

    def see(self, line: str) -> None:
        if line.startswith(("E: ", "W: ")):
            self.findings.add("errors" if line[0] == "E" else "warnings", line)
