"""Two masters do the same builds; one of them is killed again and again; nothing of what they keep differs.

`python -m tests.torture.demonstration [--minutes 30] [--builders 20] [--kills 10] [--seed S]`
"""

from __future__ import annotations

import argparse
import json
import random
import re
import secrets
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from buildbot.model import Result
from tests.integration.a_master import AMaster
from tests.processes import Processes, wait_until
from tests.torture import recorder
from tests.torture.checking import HEADER, channels_of
from tests.torture.scratch import say, scratch

STEPS = 6  # of each build, one after another
LINES_A_SECOND = 2
LONGEST_ABSENCE = 15.0  # seconds
CONFIG = """
def printing(step):
    name = 'step %d' % step
    return steps.ShellCommand(name=name, command=[
        {python!r}, '-I', {recorder!r}, {side!r}, util.Interpolate('%(prop:buildername)s/%(prop:buildnumber)s/' + name),
        {lines!r}, {seconds!r}])


names = ['builder-%d' % number for number in range({builders})]
factory = util.BuildFactory([printing(step) for step in range({steps})])
factory.addStep(steps.SetPropertyFromCommand(
    property='done', command=['echo', util.Interpolate('%(prop:buildername)s: %(prop:revision)s')]))
c['builders'] = [util.BuilderConfig(name=name, slavenames=['one'], factory=factory) for name in names]
c['schedulers'] = [schedulers.AnyBranchScheduler(name='all', builderNames=names)]
"""
BUILD = "(SELECT b.id FROM builds AS b JOIN builders AS r ON r.id = b.builder_id WHERE r.name = ?)"


class Demonstration:
    """`minutes`: how long each build takes. `kills`: how often the first master is killed meanwhile."""

    def __init__(
        self,
        processes: Processes,
        where: Path,
        *,
        minutes: float,
        builders: int,
        kills: int,
        seed: int,
        say: Callable[[str], object] = print,
    ) -> None:
        self.random = random.Random(seed)
        self.say = say
        self.minutes = minutes
        self.kills = kills
        self.names = [f"builder-{number}" for number in range(builders)]
        self.wild = self._master(processes, where / "wild")
        self.calm = self._master(processes, where / "calm")

    def _master(self, processes: Processes, where: Path) -> AMaster:
        where.mkdir(parents=True)
        (where / "side").mkdir()
        master = AMaster(processes, where)
        seconds = self.minutes * 60 / STEPS
        master.configure(
            CONFIG.format(
                python=sys.executable,
                recorder=str(Path(recorder.__file__)),
                side=str(where / "side"),
                lines=str(max(20, int(seconds * LINES_A_SECOND))),
                seconds=str(seconds),
                steps=STEPS,
                builders=len(self.names),
            )
        )
        return master

    def run(self) -> None:
        """Raises AssertionError when anything differs."""
        for master in (self.wild, self.calm):
            master.start()
            master.slave()
            master.send("r1", branch="main", repository="r")
            for name in self.names:
                master.running(name, 1)
        self._kill_again_and_again()
        for master in (self.wild, self.calm):
            for name in self.names:
                master.finished(name, 1, timeout=self.minutes * 60 + 300)
        self.compare()

    def _kill_again_and_again(self) -> None:
        span = self.minutes * 60 / (self.kills + 1)  # so that the last absence, too, ends before the builds do
        begun = time.monotonic()
        for number in range(self.kills):
            at = begun + span * (number + self.random.uniform(0.3, 0.9))
            time.sleep(max(0.0, at - time.monotonic()))
            running = sum(build.result is None for build in self.wild.builds())
            assert self.wild.process is not None
            pid, absence = self.wild.process.pid, self.random.uniform(0, min(LONGEST_ABSENCE, span / 4))
            self.wild.kill()
            time.sleep(absence)
            self.wild.start()
            self.say(f"kill {number + 1}: process {pid}, {running} builds were running, {absence:.1f} s away")
            assert running == len(self.names)
        absences = "SELECT count(*) FROM absences WHERE slave_id IS NULL"
        wait_until(lambda: self.wild.value(absences) == self.kills, 60, "what was written down of its absences")

    def compare(self) -> None:
        """Everything that the two have kept of each build."""
        bytes_compared = 0
        for name in self.names:
            wild, calm = everything(self.wild, name), everything(self.calm, name)
            assert wild == calm, f"{name}: {_first_difference(wild, calm)}"
            assert wild["build"] == [(1, Result.SUCCESS, "build successful", 1)], wild["build"]
            bytes_compared += sum(len(data) for channels in wild["logs"].values() for data in channels.values())
        for master in (self.wild, self.calm):
            assert master.open_rows() == {}
            assert "Traceback" not in master.log
            runs = recorder.read(master.where / "side")
            assert len(runs) == len(self.names) * STEPS
            for key, of_it in runs.items():
                assert len(of_it) == 1 and of_it[0].code == 0, (key, of_it)
        self.say(
            f"{len(self.names)} builds of {STEPS + 1} steps over {self.minutes} minutes, {self.kills} times kill -9: "
            f"each command ran once, and {bytes_compared:,} bytes of logs and all that the store says are the same"
        )


def everything(master: AMaster, builder: str) -> dict[str, Any]:
    """All that is kept of the first build of a builder, without its times and the place of its directory."""

    def rows(sql: str) -> list[Any]:
        return master.rows(sql.format(BUILD), builder)

    found: dict[str, Any] = {
        "build": rows("SELECT number, result, state_text, attempt FROM builds WHERE id = {}"),
        "steps": rows(
            "SELECT number, name, result, state_text, hidden, words, statistics FROM steps WHERE build_id = {} "
            "ORDER BY number"
        ),
        "urls": rows("SELECT name, url FROM step_urls WHERE step_id IN (SELECT id FROM steps WHERE build_id = {})"),
        "properties": [
            (name, json.loads(value.replace(str(master.where), "WHERE")), source)
            for name, value, source in rows(
                "SELECT name, value, source FROM build_properties WHERE build_id = {} ORDER BY name"
            )
        ],
        "commands": rows(
            "SELECT s.number, c.ordinal, c.name, c.state, json_extract(c.outcome, '$.rc') FROM commands AS c "
            "JOIN steps AS s ON s.id = c.step_id WHERE s.build_id = {} ORDER BY s.number, c.ordinal"
        ),
        "logs": {},
    }
    for step, name, path, size, lines in rows(
        "SELECT s.name, l.name, l.path, l.size, l.lines FROM logs AS l JOIN steps AS s ON s.id = l.step_id "
        "WHERE s.build_id = {}"
    ):
        channels = channels_of(master.basedir / "logs" / path)
        assert size == sum(map(len, channels.values())), (builder, step)
        plain = channels.get(HEADER, b"").replace(str(master.where).encode(), b"WHERE")
        channels[HEADER] = re.sub(rb"elapsed time [0-9.]+", b"elapsed time", plain)
        found["logs"][step, name] = channels
        found[f"lines of {step} {name}"] = lines
    return found


def _first_difference(one: dict[str, Any], other: dict[str, Any]) -> str:
    for key in one:
        if one[key] != other.get(key):
            if key == "logs":
                return next(
                    f"{log}: {one[key][log]} {other[key].get(log)}"
                    for log in one[key]
                    if one[key][log] != other[key].get(log)
                )
            return f"{key}: {one[key]} and not {other.get(key)}"
    return f"{set(other) - set(one)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--builders", type=int, default=20)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(1_000_000))
    options = parser.parse_args()
    with scratch("demonstration") as (processes, where):
        Demonstration(processes, where, **vars(options), say=say).run()


if __name__ == "__main__":
    main()
