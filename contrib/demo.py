"""`make demo`: a master and two slaves below ./demo that build the git history of this very checkout.

Everything is made anew each time, runs as separate processes on 127.0.0.1, and ends with Ctrl-C. Without a git
repository around it (a source archive), a small project is made to be built instead.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from buildbot.model import Event, EventKind, Result
from buildbot.store import Queries, builders, builds, changes, events, slaves
from buildbot.store.store import connect

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
MARK = ".made-by-make-demo"

MASTER_CFG = """\
# The demo's configuration, written by contrib/demo.py each time it starts.
from buildbot.plugins import buildslave, changes, schedulers, steps, util

REPOSITORY = {repository!r}
PYTHON = {python!r}
HERE = {{'PYTHONPATH': '.'}}  # test what was checked out, not what is installed

c = BuildmasterConfig = {{}}
c['title'] = 'Buildbot demo'
c['titleURL'] = {url!r}
c['buildbotURL'] = {url!r}
c['slaves'] = [buildslave.BuildSlave('left', {password!r}), buildslave.BuildSlave('right', {password!r})]
c['protocols'] = {{'pb': {{'port': 'tcp:{pb_port}:interface=127.0.0.1'}}}}
c['change_source'] = [
    changes.GitPoller(repourl=REPOSITORY, branches=True, pollInterval=5, pollAtLaunch=True),
    changes.PBChangeSource(user='change', passwd={password!r}),
]


def factory(*commands):
    made = util.BuildFactory()
    made.addStep(steps.Git(repourl=REPOSITORY, mode='full', method='fresh'))
    for name, command in commands:
        made.addStep(steps.ShellCommand(name=name, command=command, env=HERE, description=name))
    return made


c['builders'] = [
{builders}
]
names = [builder.name for builder in c['builders']]
c['schedulers'] = [
    schedulers.AnyBranchScheduler(name='every-commit', treeStableTimer=2, builderNames=names),
    schedulers.ForceScheduler(name='force', builderNames=names),
]
c['www'] = {{'port': 'tcp:{http_port}:interface=127.0.0.1', 'auth': util.HTPasswdAuth('htpasswd')}}
"""

OWN_BUILDERS = """\
    util.BuilderConfig(name='lint', slavenames=['left', 'right'], tags=['quick'], factory=factory(
        ('ruff', [PYTHON, '-m', 'ruff', 'check', '--no-cache', 'buildbot', 'buildslave']),
        ('syntax', [PYTHON, '-m', 'compileall', '-q', 'buildbot', 'buildslave']))),
    util.BuilderConfig(name='unit-tests', slavenames=['left', 'right'], tags=['tests'], factory=factory(
        ('store', [PYTHON, '-m', 'pytest', '-q', '-p', 'no:cacheprovider', 'tests/unit/store']),
        ('properties', [PYTHON, '-m', 'pytest', '-q', '-p', 'no:cacheprovider', 'tests/unit/process']))),"""

SMALL_BUILDERS = """\
    util.BuilderConfig(name='unit-tests', slavenames=['left', 'right'], factory=factory(
        ('unittest', [PYTHON, '-m', 'unittest', '-v']))),"""


def free_port(wanted: int = 0) -> int:
    """`wanted` when nobody listens there, else a free one."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", port))
                return int(probe.getsockname()[1])
    raise OSError("no port is free on 127.0.0.1")


def run(*command: str | Path, **more: object) -> str:
    """Run a command to its end; its output. Ends the demo with the command's own words when it fails."""
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, **more)  # type: ignore[call-overload]
    if done.returncode != 0:
        sys.exit(f"demo: {' '.join(map(str, command))} failed:\n{done.stdout}{done.stderr}")
    return str(done.stdout)


def git(*words: str | Path, cwd: Path) -> str:
    author = ("-c", "user.name=Demo", "-c", "user.email=demo@example.org", "-c", "init.defaultBranch=main")
    return run("git", *author, *words, cwd=cwd).strip()


def make_small_project(where: Path) -> None:
    """A git repository with something in it to test."""
    where.mkdir()
    (where / "sums.py").write_text("def add(a, b):\n    return a + b\n")
    (where / "test_sums.py").write_text(
        "import unittest\n\nfrom sums import add\n\n\nclass Sums(unittest.TestCase):\n"
        "    def test_add(self):\n        self.assertEqual(add(2, 2), 4)\n"
    )
    git("init", "-q", cwd=where)
    git("add", ".", cwd=where)
    git("commit", "-q", "-m", "A sum and its test", cwd=where)


class Demo:
    """The processes of one run, and where they are."""

    def __init__(self, where: Path) -> None:
        self.where = where
        self.password = secrets.token_hex(6)
        self.web_password = secrets.token_hex(6)
        self.http_port = free_port(8010)
        self.pb_port = free_port()
        self.url = f"http://127.0.0.1:{self.http_port}/"
        self.processes: list[subprocess.Popen[bytes]] = []
        self.repository = ROOT
        self.own = True

    def make(self) -> None:
        """The directories of the master and the slaves."""
        if self.where.exists():
            if not (self.where / MARK).exists():
                sys.exit(f"demo: {self.where} is in the way, and it was not made by the demo; move it")
            shutil.rmtree(self.where)
        self.where.mkdir()
        (self.where / MARK).touch()
        if not (ROOT / ".git").exists():
            self.repository, self.own = self.where / "project", False
            make_small_project(self.repository)
        master = self.where / "master"
        run(BIN / "buildbot", "create-master", "-q", master)
        (master / "master.cfg").write_text(
            MASTER_CFG.format(
                repository=str(self.repository),
                python=sys.executable,
                url=self.url,
                password=self.password,
                pb_port=self.pb_port,
                http_port=self.http_port,
                builders=OWN_BUILDERS if self.own else SMALL_BUILDERS,
            )
        )
        self._write_htpasswd(master / "htpasswd")
        for name in ("left", "right"):
            address = f"127.0.0.1:{self.pb_port}"
            run(BIN / "buildslave", "create-slave", "-q", self.where / name, address, name, self.password)

    def _write_htpasswd(self, path: Path) -> None:
        from buildbot.status.web.passwords import make

        path.write_text(f"demo:{make(self.web_password)}\n")
        path.chmod(0o600)

    def start(self) -> None:
        self._spawn("master", "buildbot", "master")
        wait_for(lambda: listens(self.http_port), "the master", self._must_run)
        for name in ("left", "right"):
            self._spawn(name, "buildslave", name)

    def _spawn(self, name: str, program: str, directory: str) -> None:
        with open(self.where / f"{name}.out", "wb") as output:
            self.processes.append(
                subprocess.Popen(
                    [str(BIN / program), "start", "--nodaemon", str(self.where / directory)],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,  # Ctrl-C is for this process; it ends the others
                )
            )

    def _must_run(self) -> None:
        for process in self.processes:
            if process.poll() is not None:
                output = "".join(path.read_text(errors="replace")[-2000:] for path in self.where.glob("*.out"))
                sys.exit(f"demo: {process.args} ended by itself:\n{output}")

    def request_first_build(self) -> None:
        """Tell the master of the newest commit, as a hook would."""
        revision = git("rev-parse", "HEAD", cwd=self.repository)
        branch = git("rev-parse", "--abbrev-ref", "HEAD", cwd=self.repository)
        subject = git("log", "-1", "--format=%s", cwd=self.repository)
        author = git("log", "-1", "--format=%an <%ae>", cwd=self.repository)
        auth = f"change:{self.password}"
        run(
            *(BIN / "buildbot", "sendchange", "--master", f"127.0.0.1:{self.pb_port}", "--auth", auth, "--vc", "git"),
            *("--repository", str(self.repository), "--branch", branch, "--revision", revision),
            *("--who", author, "--comments", subject, "README"),
        )

    def follow(self) -> Iterator[tuple[Queries, Event]]:
        """Every event from the beginning, as it happens."""
        connection = connect(self.where / "master" / "state.sqlite", read_only=True)
        queries, seen = Queries(connection), 0
        while True:
            self._must_run()
            for event in events.after(queries, seen):  # type: ignore[arg-type]
                seen = event.id
                yield queries, event
            time.sleep(0.3)

    def stop(self) -> None:
        for process in reversed(self.processes):
            if process.poll() is None:
                process.terminate()
        for process in self.processes:
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def wait_for(condition: object, what: str, check: object, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        check()  # type: ignore[operator]
        if time.monotonic() > deadline:
            sys.exit(f"demo: {what} did not start within {seconds:.0f} s; see demo/*.out")
        time.sleep(0.1)


def in_words(queries: Queries, event: Event) -> str | None:
    """One line for one event; None when it is not worth one."""
    match event.kind:
        case EventKind.CHANGE_ADDED:
            change = changes.get(queries, event.subject_id)  # type: ignore[arg-type]
            if change is None:
                return None
            comment = (change.comments.splitlines() or [""])[0][:60]
            return f"change {(change.revision or '')[:10]} on {change.branch} by {change.author}: {comment}"
        case EventKind.BUILD_STARTED | EventKind.BUILD_FINISHED:
            build = builds.get(queries, event.subject_id)  # type: ignore[arg-type]
            builder = builders.get(queries, build.builder_id) if build else None
            if build is None or builder is None:
                return None
            if event.kind is EventKind.BUILD_STARTED:
                return f"build {builder.name}/{build.number} started ({build.reason})"
            result = Result(event.detail["result"]).name
            return f"build {builder.name}/{build.number} {result}: {event.detail['text']}"
        case EventKind.SLAVE_CONNECTED | EventKind.SLAVE_LOST:
            slave = slaves.get(queries, event.subject_id)  # type: ignore[arg-type]
            return f"{event.kind} ({slave.name})" if slave else None
        case EventKind.MASTER_STARTED | EventKind.OPERATOR_ACTION:
            return f"{event.kind} {event.detail or ''}".strip()
    return None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--until-built", action="store_true", help="end by itself when the first builds are finished")
    parser.add_argument("--directory", type=Path, default=ROOT / "demo")
    options = parser.parse_args()
    demo = Demo(options.directory)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        demo.make()
        demo.start()
        demo.request_first_build()
        for process in demo.processes:
            print(f"process {process.pid}: {' '.join(process.args[1:])}", flush=True)  # type: ignore[misc, index]
        print(f"\n  waterfall   {demo.url}waterfall", flush=True)
        print(f"  login       demo   password   {demo.web_password}", flush=True)
        print(f"  building    {demo.repository}; commit something there and watch.  Ctrl-C ends it.\n", flush=True)
        return report(demo, options.until_built)
    except KeyboardInterrupt:
        print("\ndemo: stopping", flush=True)
        return 0
    finally:
        demo.stop()


def report(demo: Demo, until_built: bool) -> int:
    """Print events for as long as one looks, or until every builder has finished a build."""
    wanted = 2 if demo.own else 1
    results: dict[int, Result] = {}
    for queries, event in demo.follow():
        line = in_words(queries, event)
        if line:
            print(time.strftime("%H:%M:%S ", time.localtime(event.happened_at)) + line, flush=True)
        if event.kind is EventKind.BUILD_FINISHED and event.detail["result"] != Result.RETRY:
            results[event.detail["builder_id"]] = Result(event.detail["result"])
        if until_built and len(results) >= wanted:
            break
    return 0 if all(result is Result.SUCCESS for result in results.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
