"""What the person who starts a master reads when it does not start."""

from __future__ import annotations

import socket

from twisted.internet.error import CannotListenError
from twisted.python.failure import Failure

from buildbot.scripts.serve import _reason
from buildbot.slaves.ports import CannotListen


def a_taken_port() -> OSError:
    with socket.socket() as first, socket.socket() as second:
        first.bind(("127.0.0.1", 0))
        first.listen()
        try:
            second.bind(first.getsockname())
        except OSError as problem:
            return problem
    raise AssertionError("both got the port")


def test_a_taken_port_is_told_with_what_to_do() -> None:
    web = CannotListenError("127.0.0.1", 8010, a_taken_port())
    for problem in (web, CannotListen(f"cannot listen on tcp:9989: {web}")):
        said = _reason(Failure(problem))
        assert "8010" in said
        assert "in use: another program" in said
        assert "c['www']" in said


def test_another_problem_is_told_as_it_is() -> None:
    assert _reason(Failure(CannotListen("cannot listen on tcp:1: Permission denied"))) == (
        "cannot listen on tcp:1: Permission denied"
    )
