"""All processes of one command: its process group, and what has left that.

A daemon forks twice and begins a session of its own, and is then in no group and no child of anybody whom we know. It
is found by the mark that every command has in its environment, which goes on to all that it starts; or, if it has
dropped its environment as well, by being a child of this process: the slave's process adopts orphans (see
`platform.adopt_orphans`), and while no other command runs in it, an orphan can only be this one's.
"""

import os
from collections.abc import Callable, Collection, Mapping

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from buildslave import platform

MARK = platform.MARK
LOOK_SECONDS = 0.05
END_SECONDS = 5.0


def new_mark() -> str:
    return os.urandom(16).hex()


def marked(environ: Mapping[str, str], mark: str, own: Mapping[str, str]) -> dict[str, str]:
    """`environ` with the mark, behind those of the commands that this slave itself was started by, if there are any."""
    marks = [each for each in (own.get(MARK), mark) if each]
    return {**environ, MARK: ":".join(marks)}


class Family:
    """The processes of one command, whose first one is `leader`."""

    def __init__(
        self, leader: int, mark: str, *, clock: IReactorTime, others: Callable[[], Collection[int]] | None
    ) -> None:
        """`others()`: the leaders of the commands that run in this process besides this one; None: cannot be told."""
        self._mark = mark
        self._clock = clock
        self._others = others
        self._group = leader
        stat = platform.process_stat(leader)
        self._leader = None if stat is None else platform.Relative(leader, stat.started_ticks)

    def members(self) -> list[platform.Relative]:
        """Those that live now. Empty where the system does not tell."""
        return platform.relatives(self._leader, self._mark, others=self._others() if self._others else None)

    def signal(self, number: int) -> None:
        """Signal the group, and each member that has left it."""
        members = self.members()
        platform.signal_group(self._group, number)
        for member in members:
            stat = platform.process_stat(member.pid)
            if stat is not None and stat.group != self._group:
                platform.signal_relative(member, number)

    async def end(self) -> list[int]:
        """Kill all of them, and those that they start meanwhile. The answer: which cannot be ended."""
        waited = 0.0
        while members := self.members():
            for member in members:
                platform.signal_relative(member, platform.KILL)
            if waited >= END_SECONDS:
                return [member.pid for member in members]
            await deferLater(self._clock, LOOK_SECONDS)
            waited += LOOK_SECONDS
        return []


def end_marked(mark: str) -> list[int]:
    """Kill what bears the mark of a command of a former process of the slave. The answer: which they were."""
    return _end(lambda: platform.relatives(None, mark))


def end_adopted(running: Collection[int]) -> list[int]:
    """Kill what this process has adopted: commands that ended by themselves have left it. Nothing, as long as there are
    leaders of commands that are `running`: it may be theirs."""
    return _end(lambda: platform.relatives(None, None, others=running))


def _end(find: Callable[[], list[platform.Relative]]) -> list[int]:
    killed = []
    for _ in range(3):  # what is started meanwhile is found the next time
        killed += [member.pid for member in find() if platform.signal_relative(member, platform.KILL)]
    return sorted(set(killed))
