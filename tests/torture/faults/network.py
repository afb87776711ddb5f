"""A network that can be cut: the host and one namespace, joined by a cable of their own.

    with Network() as network:
        start([*network.inside, "buildslave", ...])     # it reaches the host at network.host
        with network.silent():                          # every packet is lost, both ways; nobody is told
            time.sleep(10)

The cuts are rules of the namespace's own packet filter, or its end of the cable, so nothing else on the machine
feels them. Networks of test processes that run at the same time have different numbers; the one that holds a number's
lock takes away what a killed process has left of it.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from tests.torture.faults import require_root, run

NUMBERS = range(256)


class NoNumber(AssertionError):
    """Every number is in use."""


class Network:
    """Two addresses that reach each other and nothing else: `host` here, `guest` in the namespace.

    `inside` are the words before a command line that make it run in the namespace.
    """

    def __init__(self) -> None:
        require_root()
        self._number, self._lock = _take_number()
        self.name = f"bbtest{self._number}"
        self.host = f"10.213.{self._number}.1"
        self.guest = f"10.213.{self._number}.2"
        # Not `ip netns exec`, which also keeps a view of its own of everything that is mounted.
        self.inside = ("nsenter", f"--net=/run/netns/{self.name}")
        self._here, self._there = f"{self.name}h", f"{self.name}g"

    def __enter__(self) -> Self:
        self._remove()
        try:
            self._make()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Take it away. Sockets of what still runs in it lead nowhere from now on."""
        self._remove()
        self._lock.close()

    # -- what can be done to it

    @contextmanager
    def silent(self) -> Iterator[None]:
        """Every packet is lost, both ways: each side believes that the connection is there."""
        with self._rules("INPUT -j DROP", "OUTPUT -j DROP"):
            yield

    @contextmanager
    def deaf(self) -> Iterator[None]:
        """What is sent into the namespace is lost; what it sends arrives."""
        with self._rules("INPUT -j DROP"):
            yield

    @contextmanager
    def losing(self, share: float) -> Iterator[None]:
        """This share of all packets is lost, both ways."""
        lose = f"-m statistic --mode random --probability {share} -j DROP"
        with self._rules(f"INPUT {lose}", f"OUTPUT {lose}"):
            yield

    @contextmanager
    def refusing(self) -> Iterator[None]:
        """Every TCP packet of either side is answered with RST, as by a router that has forgotten the connection."""
        reject = "-p tcp ! --tcp-flags RST RST -j REJECT --reject-with tcp-reset"  # the answers pass
        with self._rules(f"INPUT {reject}", f"OUTPUT {reject}"):
            yield

    @contextmanager
    def link_down(self) -> Iterator[None]:
        """The namespace's end of the cable is taken out."""
        self._within("ip", "link", "set", self._there, "down")
        try:
            yield
        finally:
            self._within("ip", "link", "set", self._there, "up")

    def reset(self) -> None:
        """Every connection of the namespace is reset, once; a new one can be made at once."""
        self._within("ss", "--kill", "--tcp", "dst", self.host)

    # -- inside

    def _make(self) -> None:
        run("ip", "netns", "add", self.name, package="iproute2")
        run("ip", "link", "add", self._here, "type", "veth", "peer", "name", self._there, "netns", self.name)
        run("ip", "address", "add", f"{self.host}/30", "dev", self._here)
        run("ip", "link", "set", self._here, "up")
        self._within("ip", "address", "add", f"{self.guest}/30", "dev", self._there)
        self._within("ip", "link", "set", self._there, "up")
        self._within("ip", "link", "set", "lo", "up")

    def _remove(self) -> None:
        run("ip", "netns", "delete", self.name, package="iproute2", code=None)
        run("ip", "link", "delete", self._here, code=None)  # it goes with its other end, when nothing holds that

    def _within(self, *words: str) -> str:
        return run(*self.inside, *words)

    @contextmanager
    def _rules(self, *rules: str) -> Iterator[None]:
        run("iptables", "--version")
        made: list[list[str]] = []
        try:
            for rule in rules:
                words = rule.split()
                self._within("iptables", "-w", "-I", *words)
                made.append(words)
            yield
        finally:
            for words in made:
                self._within("iptables", "-w", "-D", *words)


def _take_number() -> tuple[int, IO[str]]:
    for number in NUMBERS:
        lock = Path(f"/run/buildbot-test-network-{number}.lock").open("w")  # noqa: SIM115  held
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.close()
        else:
            return number, lock
    raise NoNumber("256 networks are in use")
