"""What holds for the repository as a whole: sizes, names, versions, who imports what."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
import tomllib
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tools import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
SQL = re.compile(r"\s*(SELECT|INSERT( OR \w+)? INTO|UPDATE \w+ SET|DELETE FROM|CREATE \w+|PRAGMA)\s")
LONGEST_MODULE = 500
LONGEST_TEST = 700


def tracked() -> list[Path]:
    """The repository's files; in a source archive without .git, all that would be tracked."""
    if (ROOT / ".git").exists():
        # With what is new and not ignored: the tests of a change come before its commit.
        command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        listed = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout
        files = [ROOT / name for name in listed.split("\0") if name]
    else:
        made = {".venv", ".venv-peer", ".venv-peers", "demo", "build", "dist", "__pycache__", "_build"}
        files = [path for path in ROOT.rglob("*") if path.is_file() and not made & set(path.relative_to(ROOT).parts)]
    return [path for path in files if path.is_file()]


def modules(*packages: str) -> list[Path]:
    return [path for path in tracked() if path.suffix == ".py" and path.relative_to(ROOT).parts[0] in packages]


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def lines(path: Path) -> int:
    return len(path.read_bytes().splitlines())


def imports(path: Path) -> Iterator[str]:
    """Every module that the file imports, wherever the import stands."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module


def statements(path: Path) -> Iterator[str]:
    """Every SQL statement that stands in the file as a string."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and SQL.match(node.value):
            yield node.value.strip()


class TestSizes:
    def test_no_module_is_too_long(self) -> None:
        long = {name(path): lines(path) for path in modules("buildbot", "buildslave") if lines(path) > LONGEST_MODULE}
        assert not long

    def test_long_test_modules_are_told(self) -> None:
        for path in modules("tests", "contrib"):
            if lines(path) > LONGEST_TEST:
                warnings.warn(f"{name(path)} has {lines(path)} lines", stacklevel=1)
            assert lines(path) <= 2 * LONGEST_TEST, name(path)


class TestNothingOfThisMachine:
    # Put together here, so that this file does not hold them.
    PATHS = re.compile(r"(?<![\w.])/(?:" + "|".join(["wor" + "k", "ro" + "ot", "far" + "m"]) + r")/[\w.]")
    HOSTS = re.compile(
        "|".join(
            ["py" + r"pi\.org", r"python" + r"hosted\.org", r"npm" + r"js\.(?:org|com)", r"deb" + r"\.debian\.org"]
        )
    )

    @pytest.mark.parametrize("pattern", [PATHS, HOSTS], ids=["paths", "registries"])
    def test_no_file_names_it(self, pattern: re.Pattern[str]) -> None:
        found = []
        for path in tracked():
            text = path.read_text(errors="replace")
            found += [f"{name(path)}: {match[0]}" for match in pattern.finditer(text)]
        assert not found

    def test_the_patterns_find_what_they_should(self) -> None:
        assert self.PATHS.search("cd /" + "work/main")
        assert not self.PATHS.search("the slave's build/" + "work/dir")
        assert self.HOSTS.search("https://py" + "pi.org/simple")


class TestVersion:
    def test_packages_say_the_version_of_the_distribution(self) -> None:
        for package in ("buildbot", "buildslave"):
            text = (ROOT / package / "__init__.py").read_text()
            said = re.search(r'^__version__ = "([^"]+)"', text, re.MULTILINE)
            assert said, package
            assert said[1] == PROJECT["version"], package

    def test_the_version_has_its_release_notes(self) -> None:
        notes = ROOT / "docs" / "relnotes" / f"{PROJECT['version']}.md"
        assert PROJECT["version"] in notes.read_text().splitlines()[0]


class TestReadme:
    README = (ROOT / "README").read_text()

    def test_the_first_screen_has_both_commands(self) -> None:
        screen = self.README.splitlines()[:24]
        for command in ("make demo", "make test"):
            assert any(command in line for line in screen), command

    def test_commands_are_targets_of_the_makefile(self) -> None:
        makefile = (ROOT / "Makefile").read_text()
        said = re.findall(r"^ +make (\w+)", self.README, re.MULTILINE)
        assert said
        for target in said:
            assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


class TestWhoImportsWhat:
    """What import-linter cannot say. The layers themselves are its contract in pyproject.toml."""

    def test_the_slave_needs_twisted_alone(self) -> None:
        """But for WebSocket, which is imported when it is chosen; with Twisted alone that is seen in tests/steps."""
        allowed = {"twisted", "zope", "buildslave", *sys.stdlib_module_names}
        of_websocket = {"buildslave/websocket.py", "buildslave/oversocket.py"}
        for path in modules("buildslave"):
            more = {"msgpack", "wsproto"} if name(path) in of_websocket else set()
            foreign = {module for module in imports(path) if module.partition(".")[0] not in allowed | more}
            assert not foreign, name(path)

    def test_sql_stays_in_the_store(self) -> None:
        outside = [path for path in modules("buildbot") if "store" not in path.parts]
        assert not {f"{name(path)}: {text[:60]}" for path in outside for text in statements(path)}

    def test_sql_is_recognised(self) -> None:
        assert list(statements(ROOT / "buildbot" / "store" / "builds.py"))

    def test_what_is_imported_is_required(self) -> None:
        required = {re.split(r"[\[<>=~!]", line)[0].lower() for line in PROJECT["dependencies"]}
        required |= {"service_identity", "openssl"}  # the extra `tls`, imported where TLS is asked for
        ours = {"buildbot", "buildslave", *sys.stdlib_module_names}
        for path in modules("buildbot"):
            tops = {"zope.interface" if top.startswith("zope.") else top.partition(".")[0] for top in imports(path)}
            assert not {top for top in tops - ours if top.lower() not in required}, name(path)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel built from what is tracked."""
    base = tmp_path_factory.mktemp("wheel")
    source, out = base / "source", base / "out"
    for path in tracked():
        copy = source / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
    command = "import sys; from setuptools import build_meta; print(build_meta.build_wheel(sys.argv[1]))"
    out.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", command, str(out)], cwd=source, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = out.glob("*.whl")
    return built


class TestWheel:
    def test_it_holds_every_file_of_the_packages(self, wheel: Path) -> None:
        held = set(zipfile.ZipFile(wheel).namelist())
        ours = {name(path) for path in tracked() if path.relative_to(ROOT).parts[0] in ("buildbot", "buildslave")}
        assert ours - held == {"buildslave/pyproject.toml"}  # it is for a wheel of the slave alone

    def test_it_holds_nothing_else(self, wheel: Path) -> None:
        tops = {entry.partition("/")[0] for entry in zipfile.ZipFile(wheel).namelist()}
        assert tops == {"buildbot", "buildslave", f"buildbot_oneoh-{PROJECT['version']}.dist-info"}

    def test_it_brings_both_commands(self, wheel: Path) -> None:
        dist_info = f"buildbot_oneoh-{PROJECT['version']}.dist-info"
        scripts = zipfile.ZipFile(wheel).read(f"{dist_info}/entry_points.txt").decode()
        assert "buildbot = buildbot.scripts.runner:run" in scripts
        assert "buildslave = buildslave.scripts.runner:run" in scripts


class TestLocks:
    @pytest.mark.parametrize("lock", ["peer", "test", "uv"])
    def test_every_requirement_is_pinned_and_hashed(self, lock: str) -> None:
        text = (ROOT / "requirements" / f"{lock}.txt").read_text()
        requirements = re.sub(r"\\\n", " ", text).splitlines()
        wanted = [line for line in requirements if line and not line.lstrip().startswith("#")]
        assert wanted
        for line in wanted:
            assert re.match(r"[\w.-]+(\[\w+\])?==\S+ .*--hash=sha256:", line), line

    def test_every_dependency_of_the_project_is_locked(self) -> None:
        locked = set(re.findall(r"^([\w.-]+)==", (ROOT / "requirements" / "test.txt").read_text(), re.MULTILINE))
        asked = [
            *PROJECT["dependencies"],
            *(line for extra in PROJECT["optional-dependencies"].values() for line in extra),
        ]
        names = {re.split(r"[\[<>=~!]", line)[0].lower().replace(".", "-").replace("_", "-") for line in asked}
        assert names - locked == set()


class TestDebianPackages:
    SCRIPT = ROOT / "contrib" / "debian-packages"

    def run(
        self, tmp_path: Path, *words: str, tools: tuple[str, ...] = ("bash", "id")
    ) -> subprocess.CompletedProcess[str]:
        """Run it where only `tools` are on the PATH, so that it can install nothing."""
        bin_dir = tmp_path / "bin"
        bin_dir.mkdir()
        for tool in tools:
            (bin_dir / tool).symlink_to(str(shutil.which(tool)))
        return subprocess.run(
            [str(self.SCRIPT), *words], env={"PATH": str(bin_dir)}, capture_output=True, text=True, check=False
        )

    def test_it_names_the_missing_package_when_it_may_not_install(self, tmp_path: Path) -> None:
        done = self.run(tmp_path, "bash:bash", "chromedriver:chromium-driver")
        assert done.returncode == 1
        assert "apt-get install chromium-driver\n" in done.stderr

    def test_it_reads_a_file(self, tmp_path: Path) -> None:
        listed = tmp_path / "listed"
        listed.write_text("# why\nbash:bash\nno-such-program:the-package\n")
        done = self.run(tmp_path, "-r", str(listed), "id:coreutils", tools=("bash", "id", "grep"))
        assert done.returncode == 1
        assert "apt-get install the-package\n" in done.stderr

    def test_every_tool_that_a_test_requires_is_in_the_list(self) -> None:
        listed = (ROOT / "requirements" / "debian.txt").read_text().splitlines()
        asked = set()
        for path in modules("tests"):
            asked |= set(re.findall(r'require_tool\("([\w./-]+)", "([\w.-]+)"\)', path.read_text()))
        asked.discard(("no-such-tool", "the-package"))
        assert asked
        assert {f"{tool}:{package}" for tool, package in asked} - set(listed) == set()

    def test_it_is_silent_when_all_is_there(self, tmp_path: Path) -> None:
        done = self.run(tmp_path, "bash:bash", "id:coreutils")
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")

    def test_it_names_the_package_of_pythons_venv(self, tmp_path: Path) -> None:
        bare = tmp_path / "python3"
        bare.write_text("#!/bin/sh\ncase $2 in *ensurepip*) exit 1;; esac\n")
        bare.chmod(0o755)
        done = self.run(tmp_path, "--python", str(bare), tools=("bash", "id", "sh"))
        assert done.returncode == 1
        assert "apt-get install python3-venv\n" in done.stderr

    def test_an_old_python_is_refused(self, tmp_path: Path) -> None:
        old = tmp_path / "python3"
        old.write_text("#!/bin/sh\n[ $1 = -V ] && echo Python 3.9.2\nexit 1\n")
        old.chmod(0o755)
        done = self.run(tmp_path, "--python", str(old), tools=("bash", "id", "sh"))
        assert done.returncode == 1
        assert "Python 3.9.2; Python 3.11 or newer is needed" in done.stderr
