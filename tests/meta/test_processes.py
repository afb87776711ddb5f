"""The tests' own process keeper: nothing that a test starts outlives it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.processes import Gone, Late, Processes, free_port, pid_alive, port_answers, wait_until
from tests.tools import ROOT, require_tool

PARENT_OF_A_SLEEPER = """
import subprocess, sys
child = subprocess.Popen(["sleep", "100"])
print("child", child.pid, flush=True)
child.wait()
"""
DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(100)"


def test_the_whole_group_ends_with_the_test(tmp_path: Path) -> None:
    processes = Processes(tmp_path)
    parent = processes.python("-c", PARENT_OF_A_SLEEPER)
    child = int(parent.wait_for_line(r"^child (\d+)")[1])
    assert pid_alive(child)
    processes.stop_all()
    wait_until(lambda: not pid_alive(child), 5)
    assert not parent.running


def test_a_process_deaf_to_sigterm_is_killed(tmp_path: Path) -> None:
    processes = Processes(tmp_path)
    deaf = processes.python("-c", DEAF)
    deaf.wait_for_line("deaf")
    assert deaf.stop(grace=0.1) == -9


def test_a_named_daemon_is_ended(tmp_path: Path) -> None:
    processes = Processes(tmp_path)
    pid_file = tmp_path / "daemon.pid"
    processes.daemon(pid_file)
    processes.run(["sh", "-c", f"setsid sleep 100 >/dev/null 2>&1 & echo $! > {pid_file}"])
    pid = int(pid_file.read_text())
    assert pid_alive(pid)
    processes.stop_all()
    wait_until(lambda: not pid_alive(pid), 5)


def test_processes_end_when_the_tests_are_killed(tmp_path: Path) -> None:
    words = f"from tests.processes import Processes; from pathlib import Path; import os; \
        print(Processes(Path({str(tmp_path)!r})).start(['sleep', '100']).pid, flush=True); os._exit(1)"
    done = subprocess.run([sys.executable, "-c", words], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    pid = int(done.stdout)
    wait_until(lambda: not pid_alive(pid), 5)


def test_waiting_shows_the_output_when_the_process_ends(processes: Processes) -> None:
    process = processes.start(["sh", "-c", "echo last words; exit 3"])
    with pytest.raises(Gone, match=r"ended with 3(?s:.*)last words"):
        process.wait_for_line("never said")


def test_waiting_is_late_and_shows_the_output(processes: Processes) -> None:
    process = processes.start(["sh", "-c", "echo so far; sleep 100"])
    process.wait_for_line("so far")
    with pytest.raises(Late, match="so far"):
        process.wait_for_line("never said", timeout=0.1)


def test_a_wrong_exit_code_fails(processes: Processes) -> None:
    assert processes.run(["sh", "-c", "echo fine"]) == "fine\n"
    processes.run(["sh", "-c", "exit 4"], code=4)
    with pytest.raises(AssertionError, match="ended with 4, not 0"):
        processes.run(["sh", "-c", "exit 4"])


def test_the_environment_is_laid_over(processes: Processes) -> None:
    env = {"GREETING": "hello", "HOME": None}
    assert processes.run(["sh", "-c", "echo $GREETING ${HOME-homeless}"], env=env) == "hello homeless\n"


def test_a_port_is_waited_for(processes: Processes, tmp_path: Path) -> None:
    port = free_port()
    assert not port_answers(port)
    server = processes.python("-m", "http.server", str(port), "--bind", "127.0.0.1", cwd=tmp_path)
    server.wait_for_port(port)


class TestRequireTool:
    def test_a_present_tool_is_found(self) -> None:
        assert os.access(require_tool("git", "git"), os.X_OK)

    def test_a_missing_tool_fails_in_ci(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CI", "true")
        with pytest.raises(pytest.fail.Exception, match="apt-get install the-package"):
            require_tool("no-such-tool", "the-package")

    def test_a_missing_tool_skips_elsewhere_and_names_its_package(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("CI", raising=False)
        with pytest.raises(pytest.skip.Exception, match="apt-get install the-package"):
            require_tool("no-such-tool", "the-package")
