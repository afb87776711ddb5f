"""Microsoft's compilers: Visual Studio of every version, by devenv, and MSBuild.

Nothing of this was run on Windows: what is tested are the command lines, the environments, and how output is read.
"""

from __future__ import annotations

import re
from typing import Any, ClassVar

from buildbot.config.errors import error
from buildbot.process.remotecommand import RemoteCommand
from buildbot.process.rendering import needs_rendering
from buildbot.process.results import FAILURE, SUCCESS, WARNINGS, Results, worst_status
from buildbot.steps.examining import LineWatcher
from buildbot.steps.findings import Findings, counted
from buildbot.steps.madecommand import MadeCommand, needed, words
from buildbot.steps.shell import ShellCommand

_PROJECT = re.compile(r"(?:\d+>)?-{5,} |(?:\s*\d+(?::\d+)?>)?Project \".*\" (?:\(\d+\) is building|on node)")
_FILE = re.compile(r"(?:\s*\d+>)?\s*[\w.+-]+\.(?:cpp|cxx|cc|c)$", re.IGNORECASE)
_WARNING = re.compile(r" ?: (?:\w+ )?warning [A-Z]{1,10}\d{1,8}\b ?:|: warning: ")
_ERROR = re.compile(r" ?: (?:\w+ )?error [A-Z]{1,10}\d{1,8}\b ?:|: fatal error |^(?:\d+>)?error ?: ", re.IGNORECASE)


class VisualStudio(MadeCommand, ShellCommand):
    """What the steps of all versions share.

    projectfile: the solution or project. mode: "rebuild" (default), "build" or "clean". config: such as "release"
    (default) or "debug". project: one of the solution's. useenv: use the environment's PATH, INCLUDE and LIB.
    installdir: where the compiler is (default: where its version is usually). INCLUDE, LIB, PATH: lists of directories
    (or one) to be put first; they make useenv True. All may be renderable; the other arguments are those of
    ShellCommand. Its logs are `warnings` and `errors`; an error is FAILURE.
    """

    name = "compile"
    description = "compiling"
    descriptionDone = "compile"
    default_installdir: ClassVar[str | None] = None
    renderables: ClassVar[Any] = (
        "projectfile",
        "config",
        "project",
        "mode",
        "useenv",
        "installdir",
        "INCLUDE",
        "LIB",
        "PATH",
    )

    def __init__(
        self,
        installdir: Any = None,
        mode: Any = "rebuild",
        projectfile: Any = None,
        config: Any = "release",
        useenv: Any = False,
        project: Any = None,
        INCLUDE: Any = None,
        LIB: Any = None,
        PATH: Any = None,
        **kwargs: Any,
    ) -> None:
        self.installdir = installdir
        self.mode = mode
        self.projectfile = projectfile
        self.config = config
        self.project = project
        self.INCLUDE = words(INCLUDE)
        self.LIB = words(LIB)
        self.PATH = words(PATH)
        self.useenv = useenv or bool(INCLUDE or LIB or PATH)
        if not needs_rendering(mode) and mode not in ("rebuild", "build", "clean"):
            error(f'{type(self).__name__}: mode is "rebuild", "build" or "clean", not {mode!r}')
        needed(self, "projectfile", "config")
        self.findings = Findings(("errors", "warnings"))
        self.projects = self.files = 0
        super().__init__(**kwargs)
        self.addLogObserver("stdio", LineWatcher(self._see))

    def _see(self, line: str) -> None:
        if _PROJECT.match(line):
            self.projects += 1
            self.setProgress("projects", self.projects)
        elif _FILE.match(line):
            self.files += 1
            self.setProgress("files", self.files)
        elif _WARNING.search(line):
            self.findings.add("warnings", line)
        elif _ERROR.search(line):
            self.findings.add("errors", line)

    def directories(self, root: str) -> dict[str, list[str]]:
        """Of the compiler in this directory: what its PATH, INCLUDE and LIB have to have."""
        return {}

    def environment(self) -> dict[str, Any]:
        """The variables of the command, besides those of the step's `env`."""
        root = self.installdir or self.default_installdir or ""
        env: dict[str, Any] = {}
        for name, own in self.directories(root).items():
            given = (self.env or {}).get(name)
            first = [] if given is None else given if isinstance(given, list) else [given.rstrip(";")]
            env[name] = "".join(f"{each};" for each in [*first, *getattr(self, name), *own])
        return env

    async def run(self) -> int:
        self.env = {**(self.env or {}), **self.environment()}
        return await super().run()

    def createSummary(self, stdio: Any = None) -> Any:
        counts = self.findings.counts
        for kind, count in counts.items():
            if count:
                self.note_text(kind, self.findings.text(kind))
        for name, count in {"projects": self.projects, "files": self.files, **counts}.items():
            self.setStatistic(name, count)

    def evaluateCommand(self, cmd: RemoteCommand) -> Any:
        result = super().evaluateCommand(cmd)
        if self.findings.counts["errors"]:
            return worst_status(result, FAILURE)
        return worst_status(result, WARNINGS) if self.findings.counts["warnings"] else result

    def getResultSummary(self) -> dict[str, str]:
        if self.results is None:
            return super().getResultSummary()
        said = [self._with_suffix("compile"), counted(self.projects, "project"), counted(self.files, "file")]
        for kind, count in self.findings.counts.items():
            said += [counted(count, kind.removesuffix("s"))] if count else []
        if self.results != SUCCESS:
            said.append(f"({Results[self.results]})")
        return {"step": " ".join(said)}


class VC6(VisualStudio):
    """Visual C++ 6, by `msdev`. Arguments: those of VisualStudio."""

    default_installdir = "C:\\Program Files\\Microsoft Visual Studio"

    def directories(self, root: str) -> dict[str, list[str]]:
        tools = "\\Common\\TOOLS"
        return {
            "PATH": [root + each for each in ("\\Common\\msdev98\\BIN", "\\VC98\\BIN", f"{tools}\\WINNT", tools)],
            "INCLUDE": [root + each for each in ("\\VC98\\INCLUDE", "\\VC98\\ATL\\INCLUDE", "\\VC98\\MFC\\INCLUDE")],
            "LIB": [root + each for each in ("\\VC98\\LIB", "\\VC98\\MFC\\LIB")],
        }

    def argv(self) -> Any:
        command = ["msdev", self.projectfile, "/MAKE", f"{self.project or 'ALL'} - {self.config}"]
        command.append({"rebuild": "/REBUILD", "clean": "/CLEAN", "build": "/BUILD"}[self.mode])
        return [*command, *(["/USEENV"] if self.useenv else [])]


class VC7(VisualStudio):
    """Visual Studio .NET 2003, by `devenv.com`. Arguments: those of VisualStudio."""

    default_installdir = "C:\\Program Files\\Microsoft Visual Studio .NET 2003"
    program = "devenv.com"

    def directories(self, root: str) -> dict[str, list[str]]:
        path = ("\\Common7\\IDE", "\\VC7\\BIN", "\\Common7\\Tools", "\\Common7\\Tools\\bin")
        include = ("\\VC7\\INCLUDE", "\\VC7\\ATLMFC\\INCLUDE", "\\VC7\\PlatformSDK\\include", "\\SDK\\v1.1\\include")
        lib = ("\\VC7\\LIB", "\\VC7\\ATLMFC\\LIB", "\\VC7\\PlatformSDK\\lib", "\\SDK\\v1.1\\lib")
        return {
            "PATH": [root + each for each in path],
            "INCLUDE": [root + each for each in include],
            "LIB": [root + each for each in lib],
        }

    def argv(self) -> Any:
        command = [self.program, self.projectfile]
        command += [{"rebuild": "/Rebuild", "clean": "/Clean", "build": "/Build"}[self.mode], self.config]
        command += ["/UseEnv"] if self.useenv else []
        return [*command, *(["/Project", self.project] if self.project is not None else [])]


class VC8(VC7):
    """Visual Studio 2005. arch: "x86" (default) or "x64". The other arguments are those of VisualStudio."""

    default_installdir = "C:\\Program Files\\Microsoft Visual Studio 8"
    renderables: ClassVar[Any] = ("arch",)

    def __init__(self, arch: Any = "x86", **kwargs: Any) -> None:
        self.arch = arch
        if not needs_rendering(arch) and arch not in ("x86", "x64"):
            error(f'{type(self).__name__}: arch is "x86" or "x64", not {arch!r}')
        super().__init__(**kwargs)

    def directories(self, root: str) -> dict[str, list[str]]:
        wide = self.arch == "x64"
        path = [
            "\\Common7\\IDE",
            *(["\\VC\\BIN\\x86_amd64"] if wide else []),
            "\\VC\\BIN",
            "\\Common7\\Tools",
            "\\Common7\\Tools\\bin",
            "\\VC\\PlatformSDK\\bin",
            "\\SDK\\v2.0\\bin",
            "\\VC\\VCPackages",
        ]
        lib = ("\\VC\\LIB", "\\VC\\ATLMFC\\LIB", "\\VC\\PlatformSDK\\lib", "\\SDK\\v2.0\\lib")
        include = ("\\VC\\INCLUDE", "\\VC\\ATLMFC\\include", "\\VC\\PlatformSDK\\include")
        return {
            "PATH": [*(root + each for each in path), "${PATH}"],
            "INCLUDE": [root + each for each in include],
            "LIB": [root + each + ("\\amd64" if wide else "") for each in lib],
        }


class VCExpress9(VC8):
    """Visual Studio 2008 Express, by `vcexpress`. Arguments: those of VC8."""

    program = "vcexpress"


class VC9(VC8):
    """Visual Studio 2008. Arguments: those of VC8."""

    default_installdir = "C:\\Program Files\\Microsoft Visual Studio 9.0"


class VC10(VC9):
    """Visual Studio 2010. Arguments: those of VC8."""

    default_installdir = "C:\\Program Files\\Microsoft Visual Studio 10.0"


class VC11(VC10):
    """Visual Studio 2012. Arguments: those of VC8."""

    default_installdir = "C:\\Program Files\\Microsoft Visual Studio 11.0"


class VC12(VC11):
    """Visual Studio 2013. Arguments: those of VC8."""

    default_installdir = "C:\\Program Files\\Microsoft Visual Studio 12.0"


class VC14(VC12):
    """Visual Studio 2015. Arguments: those of VC8."""

    default_installdir = "C:\\Program Files (x86)\\Microsoft Visual Studio 14.0"


class VC141(VC14):
    """Visual Studio 2017. Arguments: those of VC8."""

    default_installdir = "C:\\Program Files (x86)\\Microsoft Visual Studio\\2017\\Community"


class VS2019(VC141):
    """Visual Studio 2019. Arguments: those of VC8."""

    default_installdir = "C:\\Program Files (x86)\\Microsoft Visual Studio\\2019\\Community"


class VS2022(VS2019):
    """Visual Studio 2022. Arguments: those of VC8."""

    default_installdir = "C:\\Program Files\\Microsoft Visual Studio\\2022\\Community"


class MsBuild4(VisualStudio):
    """MSBuild of Visual Studio 2012, in the environment that its `vcvarsall.bat` makes.

    platform: such as "Win32" or "x64"; needed. defines: list of constants, `/p:DefineConstants`. properties: dict for
    `/p:NAME=VALUE`. All may be renderable; the other arguments are those of VisualStudio.
    """

    description = "building"
    vcenv_bat = "${VS110COMNTOOLS}..\\..\\VC\\vcvarsall.bat"
    renderables: ClassVar[Any] = ("platform", "defines", "properties")

    def __init__(self, platform: Any = None, defines: Any = None, properties: Any = None, **kwargs: Any) -> None:
        self.platform = platform
        self.defines = defines
        self.properties = properties
        needed(self, "platform")
        if properties is not None and not isinstance(properties, dict) and not needs_rendering(properties):
            error(f"{type(self).__name__}: properties is a dict, not {properties!r}")
        super().__init__(**kwargs)

    def environment(self) -> dict[str, Any]:
        return {"VCENV_BAT": self.vcenv_bat}

    def preparing(self) -> str:
        """What makes the compiler's environment."""
        return '"%VCENV_BAT%" x86 && '

    def argv(self) -> Any:
        # one string: the batch file's environment must be that of msbuild
        command = f'msbuild "{self.projectfile}" /p:Configuration="{self.config}" /p:Platform="{self.platform}"'
        target = {"rebuild": "Rebuild", "build": "Build", "clean": "Clean"}[self.mode]
        command += f' /maxcpucount /t:"{self.project}:{target}"' if self.project else f" /maxcpucount /t:{target}"
        if self.defines:
            command += f' /p:DefineConstants="{";".join(words(self.defines))}"'
        for name, value in (self.properties or {}).items():
            command += f' /p:{name}="{value}"'
        return self.preparing() + command


class MsBuild12(MsBuild4):
    """MSBuild of Visual Studio 2013. Arguments: those of MsBuild4."""

    vcenv_bat = "${VS120COMNTOOLS}..\\..\\VC\\vcvarsall.bat"


class MsBuild14(MsBuild4):
    """MSBuild of Visual Studio 2015. Arguments: those of MsBuild4."""

    vcenv_bat = "${VS140COMNTOOLS}..\\..\\VC\\vcvarsall.bat"


class MsBuild141(MsBuild4):
    """MSBuild of Visual Studio 2017, which `vswhere.exe` finds. Arguments: those of MsBuild4."""

    vcenv_bat = "\\VC\\Auxiliary\\Build\\vcvarsall.bat"
    version_range = "[15.0,16.0)"

    def environment(self) -> dict[str, Any]:
        places = [f"C:\\{files}\\Microsoft Visual Studio\\Installer\\" for files in _PROGRAM_FILES]
        return {**super().environment(), "PATH": "".join(f"{each};" for each in [*places, "${PATH}"])}

    def preparing(self) -> str:
        finding = f'vswhere.exe -version "{self.version_range}" -products * -property installationPath'
        return f'FOR /F "tokens=*" %%I in (\'{finding}\')  do "%%I\\%VCENV_BAT%" x86 && '


_PROGRAM_FILES = ("Program Files (x86)", "Program Files")


class MsBuild16(MsBuild141):
    """MSBuild of Visual Studio 2019. Arguments: those of MsBuild4."""

    version_range = "[16.0,17.0)"


class MsBuild17(MsBuild141):
    """MSBuild of Visual Studio 2022. Arguments: those of MsBuild4."""

    version_range = "[17.0,18.0)"
