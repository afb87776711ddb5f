"""A whole master, its configuration, and buildbot-worker as people make and start it."""

from __future__ import annotations

from pathlib import Path

from buildbot.model import Result
from tests.certificates import Authority
from tests.integration.a_master import AMaster
from tests.processes import Processes, free_port, port_answers, wait_until
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
