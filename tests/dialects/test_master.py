"""A whole master, its configuration, and buildbot-worker as people make and start it."""

from __future__ import annotations

import signal
from pathlib import Path

from buildbot.model import Result
from buildslave.scripts.runner import main as buildslave_command
from tests.certificates import Authority
from tests.integration.a_master import BUILDSLAVE, AMaster
from tests.processes import Process, Processes, free_port, port_answers, wait_until
from tests.tools import Peer

WAITS = """
c['builders'] = [util.BuilderConfig(name='tests', workername='one', factory=runs(
    'sh', '-c', 'while [ ! -e ../../go ]; do sleep .05; done; echo done'))]
"""


def test_the_build_of_a_worker_is_given_back_when_the_master_is_restarted(
    processes: Processes, tmp_path: Path, peer: Peer
) -> None:
    master = AMaster(processes, tmp_path)
    master.configure(WAITS)
    master.start()
    worker = tmp_path / "worker"
    where = f"127.0.0.1:{master.pb_port}"
    processes.run([peer.python, peer.worker, "create-worker", "--quiet", worker, where, "one", "secret"])
    processes.start([peer.python, peer.worker, "start", "--nodaemon", worker], name="worker", cwd=worker)
    master.send("r1")
    master.running("tests", 1)
    master.kill()
    master.start()
    lost = master.finished("tests", 1, timeout=5)
    assert lost.result is Result.RETRY
    assert "slave one is of another version, whose commands end with the connection" in lost.text
    (worker / "go").touch()
    assert master.finished("tests", 2).result is Result.SUCCESS
    wait_until(lambda: not master.open_rows(), what="an end of everything")
    assert master.log_file("tests", 2).read_text().count("\ndone\n") == 1


def test_a_worker_that_was_made_for_msgpack_connects_to_its_port_over_tls(
    processes: Processes, tmp_path: Path, peer: Peer
) -> None:
    master = AMaster(processes, tmp_path)
    port = free_port()
    authority = Authority(tmp_path)
    server = authority.issue("server", "127.0.0.1")
    endpoint = f"ssl:{port}:interface=127.0.0.1:privateKey={server.with_suffix('.key')}:certKey={server}"
    master.configure(f"c['protocols']['msgpack_experimental_v7'] = {{'port': {endpoint!r}}}\n")
    master.start()
    worker = tmp_path / "worker"
    trusts = {"SSL_CERT_FILE": str(authority.certificate)}
    words = [
        "create-worker",
        "--quiet",
        "--protocol=msgpack_experimental_v7",
        "--use-tls",
        worker,
        f"127.0.0.1:{port}",
        "one",
        "secret",
    ]
    processes.run([peer.python, peer.worker, *words])
    processes.start([peer.python, peer.worker, "start", "--nodaemon", worker], name="worker", cwd=worker, env=trusts)
    master.send("r1")
    assert master.finished("tests", 1).result is Result.SUCCESS
    master.configure()
    master.reconfig()
    wait_until(lambda: not port_answers(port), what="the port is closed")
    assert not master.rows("SELECT 1 FROM slaves WHERE connected_at IS NOT NULL")


def test_a_build_of_our_slave_over_websocket_goes_on_and_its_port_may_become_one_for_pb(
    processes: Processes, tmp_path: Path
) -> None:
    master = AMaster(processes, tmp_path)
    port = free_port()
    endpoint = f"tcp:{port}:interface=127.0.0.1"
    master.configure(WAITS + f"c['protocols']['msgpack_experimental_v7'] = {{'port': {endpoint!r}}}\n")
    master.start()
    directory = tmp_path / "slave"

    def slave(*options: str) -> Process:
        words = ["create-slave", "-q", "--force", "--maxdelay=1", *options, str(directory), f"127.0.0.1:{port}"]
        assert buildslave_command([*words, "one", "secret"]) == 0
        before = master.log.count("slave one is connected")
        process = processes.start([BUILDSLAVE, "start", "--nodaemon", directory], name="slave")
        wait_until(lambda: master.log.count("slave one is connected") > before, what="the slave")
        return process

    first = slave("--protocol=msgpack_experimental_v7")
    master.send("r1")
    master.running("tests", 1)
    master.kill()
    master.start()
    (directory / "go").touch()
    assert master.finished("tests", 1).result is Result.SUCCESS
    assert master.log_file("tests", 1).read_text().count("\ndone\n") == 1

    master.configure(WAITS + f"c['protocols']['pb']['port'] = [c['protocols']['pb']['port'], {endpoint!r}]\n")
    master.reconfig()
    first.kill(signal.SIGTERM)
    assert first.wait_for_exit() == 0
    slave()
    master.send("r2")
    assert master.finished("tests", 2).result is Result.SUCCESS
