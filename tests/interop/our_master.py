"""This repository's master in the pairings, read from its store."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from buildbot.scripts.create import create_master
from buildbot.scripts.tac import TacSettings
from buildbot.store.logfiles import Channel, LogReader
from buildbot.store.store import connect
from tests.integration.a_master import BUILDBOT
from tests.interop.masters import BUILD_SECONDS, PairedMaster, Sources
from tests.interop.readings import BuildReading, StepReading
from tests.processes import Processes, wait_until


class OurMaster(PairedMaster):
    """The master of this repository."""

    def __init__(
        self, processes: Processes, where: Path, sources: Sources, *, workers: Sequence[str], config: str
    ) -> None:
        super().__init__(processes, where, sources)
        where.mkdir()
        create_master(TacSettings(basedir=self.basedir), force=False, say=lambda _: None)
        self.furnish(workers, config)
        self.process = processes.start([BUILDBOT, "start", "--nodaemon", self.basedir], name="our-master")
        self.process.wait_for_line("BuildMaster is running", timeout=60)

    def rows(self, sql: str, *args: Any) -> list[Mapping[str, Any]]:
        with closing(connect(self.basedir / "state.sqlite", read_only=True)) as connection:
            cursor = connection.execute(sql, args)
            names = [column[0] for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor]

    def connected(self, name: str) -> bool:
        return f"slave {name} is connected" in (self.basedir / "twistd.log").read_text(errors="replace")

    def _build(self, builder: str, number: int) -> Mapping[str, Any] | None:
        found = self.rows(
            "SELECT b.* FROM builds b JOIN builders ON builders.id = builder_id WHERE builders.name = ? AND number = ?",
            builder,
            number,
        )
        return found[0] if found else None

    def wait_for_build(self, builder: str, number: int = 1) -> None:
        def done() -> bool:
            build = self._build(builder, number)
            return build is not None and build["complete_at"] is not None

        wait_until(done, BUILD_SECONDS, f"build {number} of {builder}")

    def read(self, builder: str, number: int = 1) -> BuildReading:
        build = self._build(builder, number)
        assert build is not None
        steps = self.rows("SELECT * FROM steps WHERE build_id = ? ORDER BY number", build["id"])
        properties = self.rows("SELECT * FROM build_properties WHERE build_id = ?", build["id"])
        return BuildReading(
            result=build["result"],
            text=build["state_text"],
            steps=[self._step(step) for step in steps],
            properties={row["name"]: (json.loads(row["value"]), row["source"]) for row in properties},
        )

    def _step(self, step: Mapping[str, Any]) -> StepReading:
        logs = self.rows("SELECT * FROM logs WHERE step_id = ?", step["id"])
        urls = self.rows("SELECT * FROM step_urls WHERE step_id = ?", step["id"])
        return StepReading(
            name=step["name"],
            result=step["result"],
            text=step["state_text"],
            hidden=bool(step["hidden"]),
            urls={url["name"]: url["url"] for url in urls},
            logs={log["name"]: self._log(self.basedir / "logs" / log["path"]) for log in logs},
        )

    @staticmethod
    def _log(path: Path) -> dict[str, str]:
        """The text of each stream that has any."""
        with LogReader(path) as reader:
            streams = {
                channel.name.lower(): b"".join(reader.channel(channel)).decode("utf-8", "replace")
                for channel in Channel
            }
        return {name: text for name, text in streams.items() if text}
