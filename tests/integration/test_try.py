"""`buildbot try` against a real master with a real slave: ours and that of Buildbot 4.3."""

from __future__ import annotations

import base64
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from buildbot.schedulers.tryjob import TryJob, encoded
from buildbot.scripts.try_commands import put
from tests.integration.a_master import BUILDBOT, AMaster
from tests.processes import Process, Processes, free_port, wait_until
from tests.tools import Peer, require_tool

TRY = """
def tries(command):
    return util.BuildFactory([steps.Git(repourl={repo!r}, mode='incremental'),
                              steps.ShellCommand(name='run', command=['sh', '-c', command])])

c['builders'] += [
    util.BuilderConfig(name='good', slavenames=['one'], factory=tries('grep -q two a.txt && grep -q new sub/b.txt')),
    util.BuilderConfig(name='bad', slavenames=['one'], factory=tries('echo no; exit 3')),
    util.BuilderConfig(name='never', slavenames=['one'], factory=tries('false')),
]
c['schedulers'] += [
    schedulers.Try_Userpass(name='try', builderNames=['good', 'bad'], port={port}, userpass=[('joe', 'pw')]),
    schedulers.Try_Jobdir(name='jobs', builderNames=['good', 'bad'], jobdir='jobdir'),
]
c['schedulers'].append(schedulers.AnyBranchScheduler(name='others', builderNames=['never'], branches=['nowhere']))
"""


def git(where: Path, *words: str) -> str:
    return subprocess.run(["git", *words], cwd=where, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A clone with a commit that was not pushed and changes that are not committed."""
    require_tool("git", "git")
    require_tool("patch", "patch")
    origin, clone = tmp_path / "origin", tmp_path / "clone"
    origin.mkdir()
    git(origin, "init", "-q")
    (origin / "a.txt").write_text("one\n")
    git(origin, "add", ".")
    git(origin, "commit", "-qm", "first")
    git(tmp_path, "clone", "-q", "origin", "clone")
    (clone / "a.txt").write_text("one\ntwo\n")
    git(clone, "commit", "-qam", "second")
    (clone / "sub").mkdir()
    (clone / "sub" / "b.txt").write_text("new\n")
    git(clone, "add", "sub")
    return clone


@pytest.fixture
def alone(processes: Processes, tmp_path: Path, tree: Path) -> AMaster:
    """A master whose try port is the slaves', and no slave is there."""
    made = AMaster(processes, tmp_path)
    made.configure(TRY.format(repo=str(tmp_path / "origin"), port=repr(f"tcp:{made.pb_port}:interface=127.0.0.1")))
    made.start()
    return made


@pytest.fixture
def master(alone: AMaster) -> AMaster:
    """The same with its slave."""
    alone.slave()
    return alone


class Client:
    """`buildbot try` of ours or of the peer's, in the working copy."""

    def __init__(self, processes: Processes, master: AMaster, tree: Path, program: Path) -> None:
        self.processes, self.tree, self.program = processes, tree, program
        self.where = f"127.0.0.1:{master.pb_port}"

    def words(self, *more: str) -> list[str | Path]:
        login = [f"--master={self.where}", "--username=joe", "--passwd=pw"]
        return [self.program, "try", "--connect=pb", *login, "--vc=git", *more]

    @property
    def ours(self) -> bool:
        return self.program == BUILDBOT

    def start(self, *more: str) -> Process:
        return self.processes.start(self.words(*more), name="try", cwd=self.tree)

    def run(self, *more: str, code: int = 0) -> str:
        return self.processes.run(self.words(*more), name="try", cwd=self.tree, code=code)


@pytest.fixture(params=["ours", "4.3"])
def client(request: pytest.FixtureRequest, processes: Processes, master: AMaster, tree: Path) -> Client:
    program = BUILDBOT if request.param == "ours" else request.getfixturevalue("peer").buildbot
    return Client(processes, master, tree, program)


def test_a_job_is_built_with_its_patch_and_the_client_sees_the_result(client: Client, master: AMaster) -> None:
    said = client.run("--builder=good", "--wait", "--who=Joe <joe@x>", "--comment=what if", "--property=a=1")
    assert "good: " in said
    ((reason, id),) = master.rows("SELECT reason, id FROM buildsets")
    assert (reason, master.builds()[0].result) == ("try job by Joe <joe@x>: what if", 0)
    given = dict(master.rows("SELECT name, value FROM buildset_properties WHERE buildset_id = ?", id))
    assert given == {"a": '"1"', "owner": '"Joe <joe@x>"', "scheduler": '"try"'}
    ((level, author, comment, branch, revision),) = master.rows(
        "SELECT p.level, p.author, p.comment, s.branch, s.revision FROM source_stamps AS s JOIN patches AS p "
        "ON p.id = s.patch_id"
    )
    assert (level, author, comment, branch) == (1, "Joe <joe@x>", "what if", "main")
    assert revision == git(client.tree, "rev-parse", "origin/main")


def test_the_exit_code_tells_of_a_failure(client: Client, master: AMaster) -> None:
    said = client.run("--wait", code=1)  # no builder named: all of the scheduler's
    assert "good: " in said
    assert "bad: " in said
    assert sorted((build.builder, build.result) for build in master.builds()) == [("bad", 2), ("good", 0)]


def test_the_builders_are_told(client: Client) -> None:
    said = client.run("--get-builder-names")
    assert "good" in said
    assert "never" not in said


def test_a_builder_of_another_scheduler_is_refused_with_a_sentence(client: Client, master: AMaster) -> None:
    trying = client.start("--builder=never")
    trying.wait_for_line("the scheduler 'try' does not build 'never'; its builders are good, bad")
    assert master.value("SELECT count(*) FROM buildsets") == 0
    if client.ours:  # that of 4.3 says it, and waits to be interrupted
        assert trying.wait_for_exit() == 1


class TestOurs:
    @pytest.fixture
    def client(self, processes: Processes, alone: AMaster, tree: Path) -> Client:
        return Client(processes, alone, tree, BUILDBOT)

    def test_a_wrong_password_says_what_to_compare(self, client: Client) -> None:
        said = client.run("--passwd=wrong", code=1)
        assert "compare --username and --passwd" in said

    def test_a_patch_larger_than_one_string_of_the_wire(self, client: Client, master: AMaster) -> None:
        (client.tree / "a.txt").write_text("one\ntwo\n" + "".join(f"line {number}\n" for number in range(100_000)))
        client.run("--builder=good", "--wait", "--quiet")
        assert master.value("SELECT length(body) FROM patches") > 1_000_000

    def test_a_patch_over_the_limit_is_refused_before_it_is_sent(self, client: Client) -> None:
        (client.tree / "a.txt").write_text("x" * 5_000_000)
        assert "at most 4194304" in client.run("--builder=good", code=1)

    def test_waiting_goes_on_when_the_master_was_away(self, client: Client, alone: AMaster) -> None:
        """The result comes, although the master was killed while the job waited for a slave."""
        trying = client.start("--builder=good", "--wait")
        trying.wait_for_line("job has been delivered")
        alone.kill()
        trying.wait_for_line("we look for it again")
        alone.start()
        alone.slave()
        trying.wait_for_line("good: success", timeout=60)
        assert trying.wait_for_exit() == 0
        assert alone.value("SELECT count(*) FROM buildsets") == 1

    def test_a_cancelled_request_ends_the_waiting(self, client: Client, alone: AMaster) -> None:
        trying = client.start("--builder=good", "--wait")
        trying.wait_for_line("job has been delivered")
        (request,) = alone.rows("SELECT id FROM build_requests")[0]
        alone.web.log_in()
        alone.web.press("/builders/good", "/builders/good/cancelbuild", id=str(request))
        trying.wait_for_line(r"good: cancelled \(not built\)")
        assert trying.wait_for_exit() == 1


# -- by ssh

SSH = """\
#!/bin/sh
# Stands in for ssh: notes its words, and runs the command here as a shell on the master's machine would.
printf '%s\\n' "$@" > "$0.words"
while [ "${1#-}" != "$1" ]; do shift 2; done
shift
exec sh -c "$*"
"""


@pytest.fixture
def ssh(tmp_path: Path) -> Path:
    path = tmp_path / "an-ssh"
    path.write_text(SSH)
    path.chmod(0o755)
    return path


@pytest.fixture(params=["ours", "4.3"])
def program(request: pytest.FixtureRequest) -> Path:
    return BUILDBOT if request.param == "ours" else Path(request.getfixturevalue("peer").buildbot)


def test_a_job_goes_by_ssh_into_the_jobdir_and_is_built_once(
    processes: Processes, master: AMaster, tree: Path, ssh: Path, program: Path
) -> None:
    wait_until(lambda: (master.basedir / "jobdir" / "new").is_dir())
    said = processes.run(
        [program, "try", "--connect=ssh", "--host=ci", "--port=2222", "--username=joe", f"--ssh={ssh}",
         f"--jobdir={master.basedir / 'jobdir'}", f"--buildbotbin={BUILDBOT}", "--vc=git", "--builder=good",
         "--who=Joe", "--properties=a=1,b=2"], name="try", cwd=tree,
    )  # fmt: skip
    assert "job has been delivered" in said
    words = ssh.with_name("an-ssh.words").read_text().splitlines()
    assert sorted(words[:4]) == ["-l", "-p", "2222", "joe"]
    wait_until(lambda: [build.result for build in master.builds()] == [0], what="the build")
    ((external_id, scheduler, id),) = master.rows("SELECT external_id, scheduler, id FROM buildsets")
    assert external_id
    assert scheduler == "jobs"
    given = dict(master.rows("SELECT name, value FROM buildset_properties WHERE buildset_id = ?", id))
    assert (given["a"], given["b"], given["owner"]) == ('"1"', '"2"', '"Joe"')
    assert len(list((master.basedir / "jobdir" / "cur").iterdir())) == 1
    assert list((master.basedir / "jobdir" / "new").iterdir()) == []


def test_the_remote_command_failing_is_told(processes: Processes, tree: Path, ssh: Path, tmp_path: Path) -> None:
    said = processes.run(
        [BUILDBOT, "try", "--connect=ssh", "--host=ci", f"--ssh={ssh}", f"--jobdir={tmp_path / 'nowhere'}",
         f"--buildbotbin={BUILDBOT}", "--vc=git"], name="try", cwd=tree, code=1,
    )  # fmt: skip
    assert "there is no directory" in said


# -- jobs as files, and kill -9


def test_jobs_are_built_once_each_however_often_the_master_is_killed(alone: AMaster, tree: Path) -> None:
    """The master is killed again and again while jobs come in; each of them is one buildset in the end."""
    jobdir = alone.basedir / "jobdir"
    wanted = []
    for round in range(4):
        for number in range(30):
            job = TryJob(jobid=f"job-{round}-{number}", builder_names=("good",), patch=b"diff\n")
            wanted.append(job.jobid)
            put(jobdir, encoded(job))
        at_least = round * 30 + 5
        wait_until(lambda n=at_least: alone.value("SELECT count(*) FROM buildsets") >= n)  # type: ignore[misc]
        alone.kill()
        alone.start()
    wait_until(lambda: not list((jobdir / "new").iterdir()), what="every job taken")
    found = [external_id for (external_id,) in alone.rows("SELECT external_id FROM buildsets")]
    assert sorted(found) == sorted(wanted)
    assert len(list((jobdir / "cur").iterdir())) == len(wanted)
    assert not (jobdir / "rejected").exists()


def test_level_and_directory_of_a_patch(master: AMaster, tree: Path) -> None:
    """A patch whose paths have two directories too many, for files in a directory below the source."""
    patch = b"--- x/y/b.txt\n+++ x/y/b.txt\n@@ -0,0 +1 @@\n+new\n"
    change = b"--- a/a.txt\n+++ b/a.txt\n@@ -1 +1,2 @@\n one\n+two\n"
    git(tree.parent / "origin", "config", "receive.denyCurrentBranch", "ignore")
    jobdir = master.basedir / "jobdir"
    put(jobdir, encoded(TryJob(jobid="there", builder_names=("good",), patch=change, patch_level=1)))
    wait_until(lambda: len(master.builds()) == 1 and master.builds()[0].result is not None, what="a build")
    assert master.builds()[0].result == 2  # a.txt is right, and sub/b.txt is not there
    (tree / "a.txt").write_text("one\ntwo\n")
    (tree / "sub" / "keep").write_text("")
    git(tree, "reset", "-q", "sub/b.txt")
    git(tree, "add", "sub/keep")
    git(tree, "commit", "-qm", "a directory")
    git(tree, "push", "-q", "origin", "HEAD:main")
    put(jobdir, encoded(TryJob(jobid="below", builder_names=("good",), patch=patch, patch_level=2, subdir="sub")))
    wait_until(lambda: [build.result for build in master.builds()] == [2, 0], what="the second build")


# -- our client and a master of Buildbot 4.3

PEER = """
from buildbot.plugins import schedulers, steps, util, worker
c = BuildmasterConfig = {{}}
c['workers'] = [worker.Worker('w', 'pw')]
c['protocols'] = {{'pb': {{'port': 'tcp:{workers}:interface=127.0.0.1'}}}}
def runs(command):
    return util.BuildFactory([steps.Git(repourl={repo!r}, mode='incremental'),
                              steps.ShellCommand(command=['sh', '-c', command])])
c['builders'] = [
    util.BuilderConfig(name='good', workernames=['w'], factory=runs('grep -q two a.txt && grep -q new sub/b.txt')),
    util.BuilderConfig(name='bad', workernames=['w'], factory=runs('exit 3')),
]
c['schedulers'] = [
    schedulers.Try_Userpass(name='try', builderNames=['good', 'bad'], port='tcp:{port}:interface=127.0.0.1',
                            userpass=[('joe', 'pw')]),
    schedulers.Try_Jobdir(name='jobs', builderNames=['good'], jobdir='jobdir'),
]
c['buildbotNetUsageData'] = None
"""


class TestMasterOf43:
    @pytest.fixture
    def port(self, processes: Processes, peer: Peer, tree: Path, tmp_path: Path) -> int:
        port, workers = free_port(), free_port()
        processes.run([peer.buildbot, "create-master", "peer"], cwd=tmp_path)
        for part in ("new", "cur", "tmp"):
            (tmp_path / "peer" / "jobdir" / part).mkdir(parents=True)
        text = PEER.format(workers=workers, port=port, repo=str(tmp_path / "origin"))
        (tmp_path / "peer" / "master.cfg").write_text(text)
        processes.run([peer.worker, "create-worker", "w", f"127.0.0.1:{workers}", "w", "pw"], cwd=tmp_path)
        processes.start([peer.buildbot, "start", "--nodaemon", "peer"], cwd=tmp_path).wait_for_port(port)
        processes.start([peer.worker, "start", "--nodaemon", "w"], cwd=tmp_path)
        return port

    def run(self, processes: Processes, port: int, tree: Path, *more: str, code: int = 0) -> str:
        login = ["--connect=pb", f"--master=127.0.0.1:{port}", "--username=joe", "--passwd=pw", "--vc=git"]
        return processes.run([BUILDBOT, "try", *login, *more], name="try", cwd=tree, code=code)

    def test_it_takes_our_jobs_and_we_see_its_results(self, processes: Processes, port: int, tree: Path) -> None:
        assert "good\nbad\n" in self.run(processes, port, tree, "--get-builder-names")
        assert "good: success" in self.run(processes, port, tree, "--wait", "--builder=good", "--property=a=1")
        assert "bad: failure" in self.run(processes, port, tree, "--wait", code=1)
        said = self.run(processes, port, tree, "--wait", "--builder=nobody", code=1)
        assert "did not take the job" in said
        assert "compare --username and --passwd" in self.run(processes, port, tree, "--passwd=wrong", code=1)

    def test_it_takes_the_files_of_our_tryserver(self, port: int, tmp_path: Path) -> None:
        jobdir, diff = tmp_path / "peer" / "jobdir", b"--- a/a.txt\n+++ b/a.txt\n@@ -1 +1,2 @@\n one\n+two\n"
        for number, patch in enumerate((diff, diff + b"\xff\n")):
            put(jobdir, encoded(TryJob(jobid=f"job-{number}", builder_names=("good",), patch=patch, patch_level=1)))
        with closing(sqlite3.connect(f"file:{tmp_path / 'peer' / 'state.sqlite'}?mode=ro", uri=True)) as store:
            wait_until(lambda: len(_ids(store)) == 2, what="both jobs")
            assert _ids(store) == ["job-0", "job-1"]
            assert {body for (body,) in store.execute("SELECT patch_base64 FROM patches")} == {
                base64.b64encode(diff).decode(), base64.b64encode(diff + b"\xff\n").decode()
            }  # fmt: skip


def _ids(store: sqlite3.Connection) -> list[str]:
    return [id for (id,) in store.execute("SELECT external_idstring FROM buildsets ORDER BY 1")]
