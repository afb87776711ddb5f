"""Cancellers in a master.cfg: every era's path, and builders that there are not."""

from __future__ import annotations

from pathlib import Path

import pytest

from buildbot.config.errors import ConfigErrors
from buildbot.config.loader import load_config

TEXT = """
from buildbot.plugins import schedulers, steps, util, worker
from buildbot.schedulers.canceller import OldBuildCanceller
from buildbot.schedulers.canceller_buildset import FailingBuildsetCanceller
from buildbot.util.ssfilter import SourceStampFilter
assert util.OldBuildCanceller is OldBuildCanceller
assert util.FailingBuildsetCanceller is FailingBuildsetCanceller
assert util.SourceStampFilter is SourceStampFilter
c = BuildmasterConfig = {}
c['workers'] = [worker.Worker('one', 'pw')]
c['builders'] = [util.BuilderConfig(name='full', workernames=['one'], factory=util.BuildFactory())]
c['schedulers'] = [schedulers.AnyBranchScheduler(name='all', builderNames=['full'])]
c['services'] = [
    OldBuildCanceller('old', [(['full'], SourceStampFilter(branch_re='a'))]),
    FailingBuildsetCanceller('failing', [('full', None, SourceStampFilter())]),
]
"""


def test_they_are_services(tmp_path: Path) -> None:
    path = tmp_path / "master.cfg"
    path.write_text(TEXT)
    assert [service.name for service in load_config(path).status] == ["old", "failing"]


def test_a_builder_that_there_is_not(tmp_path: Path) -> None:
    path = tmp_path / "master.cfg"
    path.write_text(TEXT.replace("[(['full'],", "[(['fll'],"))
    with pytest.raises(ConfigErrors) as raised:
        load_config(path)
    line = (
        path.read_text()
        .splitlines()
        .index("    OldBuildCanceller('old', [(['fll'], SourceStampFilter(branch_re='a'))]),")
        + 1
    )
    assert f":{line}: OldBuildCanceller 'old': there is no builder 'fll'" in str(raised.value)
    assert "did you mean 'full'?" in str(raised.value)


def test_a_filter_that_is_no_expression(tmp_path: Path) -> None:
    path = tmp_path / "master.cfg"
    path.write_text(TEXT.replace("branch_re='a'", "branch_re='('"))
    with pytest.raises(ConfigErrors, match="branch_re must be a regular expression"):
        load_config(path)
