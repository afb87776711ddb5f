"""Requests in a real master: merged ones, why one waits, priorities after a restart."""

from __future__ import annotations

from pathlib import Path

from buildbot.model import Result
from tests.integration.a_master import AMaster
from tests.processes import Processes, wait_until

TWO = """
c['builders'] = [
    util.BuilderConfig(name='tests', slavenames=['one'], factory=runs('true'),
        canStartBuild=lambda builder, slave, request: request.source.branch != 'never'),
    util.BuilderConfig(name='urgent', slavenames=['one'], factory=runs('true'), priority=10),
]
c['slaves'] = [buildslave.BuildSlave('one', 'secret', max_builds=1)]
c['schedulers'] = [schedulers.AnyBranchScheduler(name='all', builderNames=['tests', 'urgent'])]
"""


def test_what_waits_says_why_is_merged_and_keeps_its_place_over_a_restart(processes: Processes, tmp_path: Path) -> None:
    master = AMaster(processes, tmp_path)
    master.configure(TWO)
    master.start()
    for revision in ("1", "2"):
        master.send(revision, branch="main")
    wait_until(lambda: len(master.rows("SELECT 1 FROM build_requests")) == 4, 30, "requests")
    assert "one has never been here" in master.web.get("/buildrequests/1").text
    master.kill()
    master.start()
    master.slave()
    for builder in ("tests", "urgent"):
        assert master.finished(builder, 1).result is Result.SUCCESS
    merged = master.rows(
        "SELECT request_id, merged_because IS NOT NULL FROM build_requests_of_builds ORDER BY request_id"
    )
    assert [tuple(row) for row in merged] == [(1, 0), (2, 0), (3, 1), (4, 1)]
    built = master.rows("SELECT br.name FROM builds AS b JOIN builders AS br ON br.id = b.builder_id ORDER BY b.id")
    assert [row[0] for row in built] == ["urgent", "tests"]
    assert "merged into this build" in master.web.get("/buildrequests/3").text
    master.send("3", branch="never")
    wait_until(lambda: "canStartBuild said no for one" in master.web.get("/builders/tests").text, 30, "the reason")
