"""A builder whose commands say numbered lines and note on the slave that they run, and what must hold at its end."""

from __future__ import annotations

from buildbot.model import Result
from buildbot.store.logfiles import Channel, LogFiles
from tests.integration.a_master import AMaster

NUMBERED = """
def numbered(name, lines, pause):
    script = ('echo $0 {{0}} >> RAN; for i in $(seq {{1}}); do echo {{0}} $i; '
              '[ $((i % 7)) = 0 ] && echo err $i >&2; sleep {{2}}; done; exit 0')
    return steps.ShellCommand(name=name, command=[
        'sh', '-c', script.format(name, lines, pause), util.Interpolate('%(prop:buildnumber)s')])


c['builders'] = [util.BuilderConfig(name='numbered', slavenames=['one'], factory=util.BuildFactory(
    [numbered(name, {lines}, {pause}) for name in {names!r}]))]
c['schedulers'] = [schedulers.AnyBranchScheduler(name='all', builderNames=['numbered'])]
"""


class Numbered:
    """`names` are the steps, one after the other; each says `lines` lines with `pause` seconds after each."""

    def __init__(self, *names: str, lines: int, pause: float) -> None:
        self.names, self.lines, self.pause = names, lines, pause

    @property
    def config(self) -> str:
        """For `AMaster.configure`."""
        return NUMBERED.format(names=self.names, lines=self.lines, pause=self.pause)

    def check(self, master: AMaster, number: int = 1, *, slave: str = "slave-one") -> None:
        """The build went well, each of its commands ran once, and its logs are whole, byte for byte."""
        build = master.finished("numbered", number, timeout=90)
        assert build.result is Result.SUCCESS, (build, master.log[-3000:])
        ran = (master.where / slave / "numbered" / "build" / "RAN").read_text().splitlines()
        assert [line for line in ran if line.startswith(f"{number} ")] == [f"{number} {name}" for name in self.names]
        for name in self.names:
            out = "".join(f"{name} {i}\n" for i in range(1, self.lines + 1))
            err = "".join(f"err {i}\n" for i in range(7, self.lines + 1, 7))
            channels = self._channels(master, number, name)
            assert channels[Channel.STDOUT].decode() == out
            assert channels[Channel.STDERR].decode() == err

    def _channels(self, master: AMaster, number: int, step: str) -> dict[Channel, bytes]:
        path, size = master.rows(
            "SELECT l.path, l.size FROM logs AS l JOIN steps AS s ON s.id = l.step_id "
            "JOIN builds AS b ON b.id = s.build_id WHERE b.number = ? AND s.name = ?",
            number,
            step,
        )[0]
        channels: dict[Channel, bytes] = {}
        with LogFiles(master.basedir / "logs").read(path) as reader:
            assert reader.size == size
            for run, data in reader.pieces(0, reader.size):
                channels[run.channel] = channels.get(run.channel, b"") + data
        return channels
