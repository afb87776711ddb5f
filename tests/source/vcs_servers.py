"""Repositories of the other version control systems, each behind its real server on 127.0.0.1, and the case that checks
them out on a real slave.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

from buildbot.model import Result
from tests.processes import Processes, free_port
from tests.rig import Built, RigCase, Source
from tests.source.servers import WebServer, daemon
from tests.tools import require_tool

ENV = {**os.environ, "LC_ALL": "C.UTF-8", "HGPLAIN": "1", "EMAIL": "me <me@example.org>"}


def run(directory: Path, *words: str | Path, stdin: str = "") -> str:
    done = subprocess.run(words, cwd=directory, input=stdin, capture_output=True, text=True, check=False, env=ENV)
    assert done.returncode == 0, f"{words}: {done.stderr}{done.stdout}"
    return done.stdout.strip()


def put(directory: Path, **files: str | None) -> list[str]:
    """Write files, of whose names `__` is a slash; None removes one. The paths of those that were not there."""
    new = []
    for name, content in files.items():
        path = directory / name.replace("__", "/")
        if content is None:
            path.unlink()
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            new.append(str(path.relative_to(directory)))
        path.write_text(content)
    return new


def let_others_through(directory: Path) -> None:
    """Have the account of a server's come to what is in a directory."""
    for above in (directory, *directory.parents):
        if above.stat().st_uid == os.getuid() and not above.stat().st_mode & 0o1:
            above.chmod(above.stat().st_mode | 0o711)


class SourceCase(RigCase):
    """A slave, and a class of steps with its usual arguments in `usual`."""

    step: Any
    tools: tuple[tuple[str, str], ...] = ()

    async def setUp(self) -> None:  # type: ignore[override]
        require_tool("patch", "patch")
        for tool, package in self.tools:
            require_tool(tool, package)
        await super().setUp()
        self.processes = Processes(self.rig.base / "processes")
        self.addCleanup(self.processes.stop_all)
        self.usual: dict[str, Any] = {"logEnviron": False, "timeout": 30}

    @property
    def work(self) -> Path:
        return self.rig.slave_dir() / "build"

    async def check_out(self, *sources: Source, **options: Any) -> Built:
        return await self.run_steps(self.step(**{**self.usual, **options}), sources=sources)

    async def good(self, *sources: Source, **options: Any) -> Built:
        built = await self.check_out(*sources, **options)
        assert built.result is Result.SUCCESS, self.told(built)
        return built

    async def bad(self, *sources: Source, **options: Any) -> str:
        """The text of the step of a build that fails."""
        built = await self.check_out(*sources, **options)
        assert built.result is Result.FAILURE, self.told(built)
        return str(built.steps[0].state_text)

    def told(self, built: Built) -> str:
        step = built.steps[0].name
        return "\n".join(f"{name}: {built.text(step, name, headers=True)}" for name in built.logs(step)) or str(
            built.steps
        )

    def names(self, marker: str = "") -> set[str]:
        """The names in the working directory, but for the program's own."""
        return {path.name for path in self.work.iterdir()} - {marker}


class Subversion:
    """A repository behind svnserve, with two accounts; everybody may read `url`. `work` is a working copy of all."""

    def __init__(self, processes: Processes, directory: Path) -> None:
        directory.mkdir(parents=True)
        self.directory = directory
        self.path = directory / "repo"
        run(directory, "svnadmin", "create", self.path)
        (self.path / "conf" / "svnserve.conf").write_text(
            "[general]\nanon-access = read\nauth-access = write\npassword-db = passwd\n"
        )
        (self.path / "conf" / "passwd").write_text("[users]\nalice = wonder-land\n")
        port = free_port()
        server = processes.start(
            ["svnserve", "--daemon", "--foreground", "--listen-host", "127.0.0.1", "--listen-port", str(port),
             "--root", str(directory)]
        )  # fmt: skip
        server.wait_for_port(port)
        self.server = f"svn://127.0.0.1:{port}"
        self.url = f"{self.server}/repo"
        self.work = directory / "work"
        run(directory, "svn", "checkout", "-q", self.path.as_uri(), self.work)

    def __call__(self, *words: str) -> str:
        return run(self.work, "svn", "--non-interactive", *words)

    def commit(self, message: str = "change", **files: str | None) -> str:
        """Commit files; the revision."""
        gone = [name.replace("__", "/") for name, content in files.items() if content is None]
        if gone:
            self("rm", "-q", *gone)
        new = put(self.work, **{name: content for name, content in files.items() if content is not None})
        if new:
            self("add", "-q", "--parents", *new)
        self("commit", "-q", "-m", message)
        self("update", "-q", "--ignore-externals")
        return self("info", "--show-item", "revision")

    def private(self) -> None:
        """From now on nobody reads without a password."""
        path = self.path / "conf" / "svnserve.conf"
        path.write_text(path.read_text().replace("anon-access = read", "anon-access = none"))


class SubversionWeb:
    """Apache, which serves a repository over HTTP: at `url` for everybody to read, at `private` for alice alone."""

    def __init__(self, processes: Processes, directory: Path, repository: Subversion) -> None:
        directory.mkdir(parents=True)
        apache = daemon("apache2", "apache2-bin")
        modules = Path(require_tool("/usr/lib/apache2/modules/mod_dav_svn.so", "libapache2-mod-svn")).parent
        secret = run(directory, "openssl", "passwd", "-apr1", "wonder-land")
        (directory / "passwords").write_text(f"alice:{secret}\n")
        let_others_through(directory)
        run(directory, "chmod", "-R", "a+rwX", repository.path)
        port = free_port()
        names = ("mpm_event", "authn_core", "authn_file", "authz_core", "authz_user", "auth_basic", "dav", "dav_svn")
        lines = [f"LoadModule {name}_module {modules}/mod_{name}.so" for name in names]
        configuration = directory / "apache.conf"
        configuration.write_text(
            _APACHE.format(
                modules="\n".join(lines), directory=directory, port=port, repository=repository.path,
                user="User nobody\nGroup nogroup" if os.getuid() == 0 else "",
            )
        )  # fmt: skip
        server = processes.start([apache, "-D", "FOREGROUND", "-f", str(configuration)])
        server.wait_for_port(port)
        self.url = f"http://127.0.0.1:{port}/open"
        self.private = f"http://127.0.0.1:{port}/private"


_APACHE = """\
{modules}
{user}
ServerName localhost
ServerRoot {directory}
PidFile {directory}/pid
DefaultRuntimeDir {directory}
ErrorLog {directory}/errors
Listen 127.0.0.1:{port}
StartServers 1
<Location /open>
    DAV svn
    SVNPath {repository}
    Require all granted
</Location>
<Location /private>
    DAV svn
    SVNPath {repository}
    AuthType Basic
    AuthName repository
    AuthUserFile {directory}/passwords
    Require valid-user
</Location>
"""


class MercurialRepository:
    """Repositories behind `hg serve`: `url` is the one that is worked in, and its clones are beside it."""

    def __init__(self, processes: Processes, directory: Path) -> None:
        self.directory = directory
        self.path = directory / "main"
        self.path.mkdir(parents=True)
        self("init")
        (directory / "web.conf").write_text(f"[paths]\n/ = {directory}/**\n")
        port = free_port()
        server = processes.start(
            ["hg", "serve", "--address", "127.0.0.1", "--port", str(port), "--web-conf", str(directory / "web.conf"),
             "--config", "web.refreshinterval=0"]
        )  # fmt: skip
        server.wait_for_port(port)
        self.server = f"http://127.0.0.1:{port}"
        self.url = f"{self.server}/main"

    def __call__(self, *words: str) -> str:
        return run(self.path, "hg", "--noninteractive", "--config", "ui.username=me", *words)

    def commit(self, message: str = "change", **files: str | None) -> str:
        put(self.path, **files)
        self("commit", "-q", "--addremove", "-m", message)
        return self("log", "--rev=.", "--template={node}")


_PSERVER = """
import socketserver, subprocess, sys
class Session(socketserver.BaseRequestHandler):
    def handle(self):
        end = self.request.fileno()
        subprocess.run(["cvs", "--allow-root=" + sys.argv[2], "-f", "pserver"], stdin=end, stdout=end)
class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
Server(("127.0.0.1", int(sys.argv[1])), Session).serve_forever()
"""


class CVSRepository:
    """A repository behind a `pserver`, which lets in `anna` with `wonder-land`. `local` is its own root."""

    def __init__(self, processes: Processes, directory: Path) -> None:
        directory.mkdir(parents=True)
        let_others_through(directory)
        self.directory = directory
        self.local = directory / "root"
        run(directory, "cvs", "-d", self.local, "init")
        secret = run(directory, "openssl", "passwd", "-1", "wonder-land")
        (self.local / "CVSROOT" / "passwd").write_text(f"anna:{secret}:nobody\n")
        (self.local / "module").mkdir()
        run(directory, "chmod", "-R", "a+rwX", self.local)
        port = free_port()
        processes.python("-c", _PSERVER, str(port), str(self.local)).wait_for_port(port)
        self.root = f":pserver:anna@127.0.0.1:{port}{self.local}"
        self.work = directory / "work"
        run(directory, "cvs", "-Q", "-d", self.local, "checkout", "-d", "work", "module")

    def __call__(self, *words: str) -> str:
        return run(self.work, "cvs", "-Q", "-z0", *words)

    def commit(self, **files: str | None) -> None:
        for name in put(self.work, **files):
            for part in (*reversed(list(Path(name).parents)[:-1]), Path(name)):
                if not (self.work / part / "CVS").exists():
                    self("add", str(part))
        gone = [name for name, content in files.items() if content is None]
        if gone:
            self("remove", *gone)
        self("commit", "-m", "change")
        run(self.directory, "chmod", "-R", "a+rwX", self.local)


class BazaarBranch:
    """A branch behind `brz serve`; others may be put beside it, below `directory`."""

    def __init__(self, processes: Processes, directory: Path) -> None:
        self.directory = directory
        self.path = directory / "trunk"
        self.path.mkdir(parents=True)
        self("init", "-q")
        port = free_port()
        server = processes.start(
            ["brz", "serve", "--listen=127.0.0.1", f"--port={port}", f"--directory={directory}"],
            env={"BRZ_LOG": "/dev/null"},
        )
        server.wait_for_port(port)
        self.server = f"bzr://127.0.0.1:{port}"
        self.url = f"{self.server}/trunk"

    def __call__(self, *words: str) -> str:
        return run(self.path, "brz", *words)

    def commit(self, **files: str | None) -> str:
        put(self.path, **files)
        self("add", "-q")
        self("commit", "-q", "-m", "change")
        return self("revno")


class DarcsRepository:
    """A repository whose files nginx serves; others may be put beside it, below `directory`."""

    def __init__(self, processes: Processes, directory: Path) -> None:
        self.directory = directory
        self.path = directory / "served" / "trunk"
        self.path.mkdir(parents=True)
        self("initialize", "-q")
        self.server = WebServer(processes, directory / "web", directory / "served").files
        self.url = f"{self.server}/trunk"

    def __call__(self, *words: str, beside: str = "trunk") -> str:
        return run(self.path.parent / beside, "darcs", *words)

    def commit(self, beside: str = "trunk", **files: str | None) -> str:
        """Record files; the context of the repository."""
        put(self.path.parent / beside, **files)
        self("record", "-q", "-l", "-a", "-m", "change", "-A", "me", beside=beside)
        return run(self.path.parent / beside, "darcs", "log", "--context")
