"""`make demo`, from a checkout and from a source archive: builds that really run, and nothing left behind."""

from __future__ import annotations

import re
import signal
import sys
from pathlib import Path

from tests.processes import Processes, pid_alive, wait_until

ROOT = Path(__file__).resolve().parents[2]


def copy_of_the_tree(processes: Processes, where: Path, *, repository: bool) -> Path:
    """A clone of this checkout, or what a source archive of it holds."""
    tree = where / "tree"
    if (ROOT / ".git").exists():
        processes.run(["git", "clone", "-q", "--no-hardlinks", ROOT, tree])
    else:
        processes.run(["cp", "-a", ROOT, tree])
    if not repository:
        processes.run(["rm", "-rf", tree / ".git"])
    return tree


def children_of(output: str) -> list[int]:
    return [int(pid) for pid in re.findall(r"^process (\d+)", output, re.MULTILINE)]


def test_a_source_archive_makes_a_small_project_and_builds_it(processes: Processes, tmp_path: Path) -> None:
    tree = copy_of_the_tree(processes, tmp_path, repository=False)
    demo = processes.python(tree / "contrib" / "demo.py", "--until-built", name="demo")
    assert demo.wait_for_exit(120) == 0, demo.output()
    assert "unit-tests/1 SUCCESS" in demo.output()
    log = tree / "demo" / "master" / "logs" / "unit-tests" / "1" / "unittest-stdio.txt"
    assert "Ran 1 test" in log.read_text()


def test_a_checkout_is_built_and_a_new_commit_appears_by_itself(processes: Processes, tmp_path: Path) -> None:
    tree = copy_of_the_tree(processes, tmp_path, repository=True)
    if not (tree / ".git").exists():
        processes.run(["git", "init", "-q", tree])
        processes.run(["git", "-C", tree, "add", "."])
        processes.run(["git", "-C", tree, "commit", "-q", "-m", "All of it"])
    demo = processes.python(tree / "contrib" / "demo.py", name="demo")
    demo.wait_for_line(r"build lint/1 SUCCESS", timeout=120)
    address = demo.wait_for_line(r"waterfall +(http\S+)")[1]
    (tree / "new.txt").write_text("new\n")
    processes.run(["git", "-C", tree, "add", "new.txt"])
    processes.run(["git", "-C", tree, "commit", "-q", "-m", "Something new to see"])
    demo.wait_for_line(r"change \w+ on \S+ by .*: Something new to see", timeout=60)
    demo.wait_for_line(r"build lint/2 SUCCESS", timeout=120)
    page = processes.run(
        [sys.executable, "-c", f"import urllib.request; print(urllib.request.urlopen({address!r}).read().decode())"]
    )
    assert "success" in page and "lint/builds/2" in page
    demo.wait_for_line(r"build unit-tests/1 SUCCESS", timeout=240)
    pids = children_of(demo.output())
    assert len(pids) == 3 and all(pid_alive(pid) for pid in pids)
    demo.popen.send_signal(signal.SIGINT)
    assert demo.wait_for_exit(60) == 0
    wait_until(lambda: not any(pid_alive(pid) for pid in pids), 10, "the end of all processes")
