"""The slave by itself: installed with nothing but Twisted, and run by a user who owns nothing but its directory, with
a home that cannot be written and umask 077.
"""

from __future__ import annotations

import importlib.metadata
import os
import pwd
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from tests.processes import Processes
from tests.tools import ROOT
from tests.unit.buildslave.cases import temporary_directory
from tests.unit.buildslave.fake_master import FakeMaster

NOBODY = "nobody"


def needed(name: str, found: set[str]) -> set[str]:
    """The distributions that this one needs without any extra, and itself."""
    if name not in found:
        found.add(name)
        for line in importlib.metadata.requires(name) or []:
            match = re.match(r"[A-Za-z0-9._-]+", line)
            if match and "extra ==" not in line and not re.search(r"platform_system|python_version *<", line):
                needed(match[0].lower(), found)
    return found


def as_nobody(*words: str) -> list[str]:
    """The command line that runs these words as a user without rights, if we are root."""
    if os.getuid() != 0:
        return list(words)
    user = pwd.getpwnam(NOBODY)
    return ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups", *words]


def interpreter() -> str:
    """A Python of the tests' version that everybody may run."""
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    for path in (os.path.realpath(sys.executable), "/usr/bin/python3", f"/usr/bin/python{version}"):
        words = as_nobody(
            "sh", "-c", 'exec "$@"', "sh", path, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"
        )
        done = subprocess.run(words, capture_output=True, text=True, check=False, cwd="/")
        if done.stdout.strip() == version:
            return path
    raise AssertionError(f"no Python {version} that every user may run")


class Alone(TestCase):
    timeout = 100

    def setUp(self) -> None:
        self.top = temporary_directory(self)
        self.top.chmod(0o755)
        self.processes = Processes(self.top / "processes")
        self.master = FakeMaster()
        self.master.listen()

    def tearDown(self) -> Any:
        return Deferred.fromCoroutine(self._tear_down())

    async def _tear_down(self) -> None:
        self.processes.stop_all()
        await self.master.until(lambda: self.master.avatar is None)
        await self.master.close()

    def install(self) -> Path:
        """A fresh environment with Twisted, what Twisted needs, and the slave from its own pyproject.toml."""
        environment = self.top / "environment"
        self.processes.run([interpreter(), "-m", "venv", "--without-pip", environment], cwd=self.top)
        (packages,) = environment.glob("lib/python3*/site-packages")
        for name in needed("twisted", set()):
            for file in importlib.metadata.files(name) or []:
                source, target = Path(str(file.locate())), packages / file
                if ".." not in file.parts and source.exists():
                    target.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy(source, target)
        shutil.copytree(ROOT / "buildslave", self.top / "source", ignore=shutil.ignore_patterns("__pycache__"))
        pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
        wheels = self.top / "wheels"
        self.processes.run(
            [*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", wheels, self.top / "source"],
            cwd=self.top,
        )
        (wheel,) = wheels.iterdir()
        python = environment / "bin" / "python"
        self.processes.run([*pip, "--python", python, "install", "--no-index", "--no-deps", wheel], cwd=self.top)
        return environment / "bin"

    async def test_it_runs_with_nothing_but_twisted_as_nobody_with_a_home_that_cannot_be_written(self) -> None:
        programs = self.install()
        home = self.top / "home"
        home.mkdir(mode=0o555)
        place = self.top / "place"
        place.mkdir()
        if os.getuid() == 0:
            os.chown(place, pwd.getpwnam(NOBODY).pw_uid, pwd.getpwnam(NOBODY).pw_gid)
        slave = place / "slave"

        def words(*given: str) -> list[str]:
            return as_nobody("sh", "-c", 'umask 077; exec "$@"', "sh", str(programs / "buildslave"), *given)

        env = {"HOME": str(home), "PYTHONPATH": None, "VIRTUAL_ENV": None, "TMPDIR": None}
        where = f"127.0.0.1:{self.master.port}"
        self.processes.run(words("create-slave", str(slave), where, "bot", "secret"), env=env, cwd=place)
        self.processes.daemon(slave / "twistd.pid")
        self.processes.run(words("start", str(slave)), env=env, cwd=place)
        await self.master.until(lambda: self.master.avatar is not None)

        await self.master.run("1", "shell", command="id -u; umask; echo x > made; ls")
        mine = pwd.getpwnam(NOBODY).pw_uid if os.getuid() == 0 else os.getuid()
        self.assertEqual(self.master.log("1").text("stdout").decode().split(), [str(mine), "0077", "made"])
        self.assertEqual(stat.S_IMODE((slave / "builder" / "made").stat().st_mode), 0o600)
        self.master.downloads["2"] = b"data" * 1000
        got = await self.master.run("2", "downloadFile", slavedest="got", blocksize=1000, maxsize=None, mode=None)
        self.assertEqual((got["rc"], (slave / "builder" / "got").read_bytes()), (0, b"data" * 1000))
        sent = await self.master.run("3", "uploadFile", slavesrc="got", blocksize=1000, maxsize=None)
        self.assertEqual((sent["rc"], bytes(self.master.uploads["3"])), (0, b"data" * 1000))
        self.assertEqual(list(home.iterdir()), [])

        self.processes.run(words("stop", str(slave)), env=env, cwd=place)
        await self.master.until(lambda: self.master.avatar is None)
        self.assertFalse((slave / "twistd.pid").exists())

        refused = self.processes.run([str(programs / "python"), "-c", "import jinja2"], code=1, env=env, cwd=place)
        self.assertIn("No module named 'jinja2'", refused)
        for option, told in (
            ("--use-tls", "pip install 'Twisted[tls]'"),
            ("--protocol=msgpack_experimental_v7", "pip install msgpack wsproto"),
        ):
            other = str(place / option.strip("-"))
            self.processes.run(words("create-slave", option, other, where, "bot", "secret"), env=env, cwd=place)
            self.assertIn(told, self.processes.run(words("start", other), code=1, env=env, cwd=place))


def test_its_pyproject_names_every_package() -> None:
    import tomllib

    with (ROOT / "buildslave" / "pyproject.toml").open("rb") as file:
        said = tomllib.load(file)
    there = {
        str(path.parent.relative_to(ROOT)).replace("/", ".") for path in (ROOT / "buildslave").rglob("__init__.py")
    }
    assert set(said["tool"]["setuptools"]["packages"]) == there
