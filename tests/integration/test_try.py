"""`buildbot try` against a real master with a real slave: ours and that of Buildbot 4.3."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.integration.a_master import BUILDBOT, AMaster
from tests.processes import Process, Processes, wait_until
from tests.tools import require_tool

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
