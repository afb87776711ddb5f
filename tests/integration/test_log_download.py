"""Large logs through real sockets: memory, speed, and clients that are slow or leave."""

from __future__ import annotations

import http.client
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.log_server import PATH, LogServer
from tests.processes import Processes, wait_until

MEGABYTE = 1 << 20
SIZE = 300 * MEGABYTE


@pytest.fixture
def server(processes: Processes, basedir: Path) -> Iterator[LogServer]:
    started = LogServer(processes, basedir)
    line = "x" * 79 + "\n"
    started.do("append", line * (MEGABYTE // 80), "STDOUT", 10)
    yield started
    started.close()


def a_client(server: LogServer, path: str) -> socket.socket:
    """Has asked, and reads little."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32 * 1024)
    client.settimeout(30)
    client.connect(("127.0.0.1", server.port))
    client.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    return client


@pytest.mark.slow
def test_a_large_log_costs_a_slow_client_s_server_no_memory(server: LogServer) -> None:
    server.do("append", "y" * 79 + "\n", "STDOUT", 1)
    server.do("append", ("z" * 79 + "\n") * (MEGABYTE // 80), "STDOUT", 290)
    with a_client(server, f"{PATH}/raw") as warm:
        warm.recv(MEGABYTE)
    before = server.do("stats")["rss"]
    most, received = before, 0
    with a_client(server, f"{PATH}/raw") as client:
        while data := client.recv(4 * MEGABYTE):
            received += len(data)
            if received < 2 * MEGABYTE:
                time.sleep(0.01)  # slow at first: what is not read must not pile up
            if received // (32 * MEGABYTE) != (received - len(data)) // (32 * MEGABYTE):
                most = max(most, server.do("stats")["rss"])
    assert received > SIZE - 2 * MEGABYTE
    assert most - before < 10 * MEGABYTE


def test_a_client_that_reads_nothing_holds_one_buffer_only(server: LogServer) -> None:
    before = server.do("stats")
    clients = [a_client(server, f"{PATH}/raw") for _ in range(10)]
    wait_until(lambda: server.do("stats")["files"] >= before["files"] + 20)
    time.sleep(0.3)
    started = server.do("stats")
    time.sleep(0.5)
    after = server.do("stats")
    assert after["rss"] - before["rss"] < 10 * MEGABYTE
    assert after["cpu_ms"] - started["cpu_ms"] < 100
    for client in clients:
        client.close()
    wait_until(lambda: server.do("stats")["files"] <= before["files"], what="the files of clients that left")


def test_streams_end_with_their_clients(server: LogServer) -> None:
    before = server.do("stats")
    clients = [a_client(server, path) for path in (f"{PATH}/events", "/events") for _ in range(5)]
    wait_until(lambda: server.do("stats")["streams"] == 10)
    server.do("append", "more\n")
    for client in clients:
        assert client.recv(100).startswith(b"HTTP/1.1 200")
        client.close()
    wait_until(lambda: server.do("stats")["streams"] == 0)
    wait_until(lambda: server.do("stats")["files"] <= before["files"])


def test_head_says_how_much_there_is(server: LogServer) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    connection.request("HEAD", f"{PATH}/text")
    answer = connection.getresponse()
    assert int(answer.headers["Content-Length"]) == 10 * (MEGABYTE // 80) * 80
    assert answer.read() == b""
    connection.request("HEAD", f"{PATH}/text", headers={"Range": "bytes=0-9"})
    assert connection.getresponse().headers["Content-Length"] == "10"
    connection.close()


def test_a_connection_goes_on_after_a_download(server: LogServer) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    for _ in range(2):
        connection.request("GET", f"{PATH}/text", headers={"Range": "bytes=80-159"})
        assert connection.getresponse().read() == b"x" * 79 + b"\n"
    connection.close()
