"""Steps that look at output, and at files of the slave, see the same when the master is killed under them."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from buildbot.model import Result
from tests.integration.a_master import AMaster
from tests.integration.test_durable import everything
from tests.processes import Processes

STEPS = r"""
from buildbot.plugins import buildslave, changes, schedulers, steps, util


def slowly(text):
    '''A command that prints this, a line now and then.'''
    return ['sh', '-c', 'printf %s "$0" | while IFS= read -r line; do printf "%s\\n" "$line"; sleep 0.03; done', text]


WARNINGS = ''.join('a.c:%d: warning: %s\n' % (n, 'known' if n % 3 else 'new') for n in range(24))
FLAKES = ''.join("a.py:%d:1: 'm%d' imported but unused\n" % (n, n) for n in range(20))
SUBUNIT = ''.join('test: t%d\n%s: t%d\n' % (n, 'success' if n % 4 else 'skip', n) for n in range(12))
TRIAL = ''.join('m.T.test_%d ... [OK]\n' % n for n in range(20)) + '\nRan 20 tests in 1.0s\n\nPASSED (successes=20)\n'
FILES = 'printf "a[.]c : known\n" > quiet; printf "Name: tiny\nVersion: 1.2\n" > tiny.spec; rm -f base'

factory = util.BuildFactory([
    steps.ShellCommand(name='files', command=FILES),
    steps.Compile(
        command=slowly(WARNINGS), suppressionFile='quiet', warningPattern=r'(.*?):(\d+): warning: (.*)',
        warningExtractor=steps.Compile.warnExtractFromRegexpGroups, haltOnFailure=False),
    steps.RpmSpec(specfile='tiny.spec'),
    steps.PyFlakes(command=slowly(FLAKES)),
    steps.Dummy(timeout=0.7),
    steps.SubunitShellCommand(name='subunit', command=slowly(SUBUNIT)),
    steps.Trial(command=slowly(TRIAL), tests='m', testpath=None),
    steps.SetPropertyFromCommand(command=slowly('a=1\nb=2\n'), extract_fn=lambda rc, out, err: {'both': out.split()}),
    steps.Compile(name='more', command=slowly('warning: x\n' * 10)),
])
"""
CONFIGURATION = """
c['builders'] = [util.BuilderConfig(name='tools', slavenames=['one'], factory=factory)]
c['schedulers'] = [schedulers.AnyBranchScheduler(name='all', builderNames=['tools'])]
"""


def begin(master: AMaster) -> None:
    master.configure(CONFIGURATION, before=STEPS)
    master.start()
    master.slave()
    master.send("r1", branch="main")
    master.running("tools", 1)


@pytest.fixture
def master(processes: Processes, tmp_path: Path) -> AMaster:
    return AMaster(processes, tmp_path)


def test_what_was_seen_of_output_and_files_is_seen_again(master: AMaster) -> None:
    begin(master)
    ends = 0
    while master.builds()[0].result is None and ends < 8:
        time.sleep(0.25 + 0.31 * ends % 0.8)
        master.kill()
        ends += 1
        master.start()
    tools = master.finished("tools", 1)
    assert ends >= 4
    assert tools.result is Result.SUCCESS, master.log[-3000:]
    assert "Traceback" not in master.log
    found = everything(master, "tools")
    master.stop()

    calm = AMaster(master.processes, master.where / "calm")
    begin(calm)
    calm.finished("tools", 1)
    expected = everything(calm, "tools")
    assert [step[3] for step in expected["steps"]] == [
        "'printf \"a[.]c ...'",
        "compile (warnings)",
        "spec file",
        "pyflakes (warnings): 20 unused",
        "delay 0.7 s",
        "12 tests 9 passed 3 skipped",
        "20 tests passed",
        "property 'both' set",
        "compile (warnings)",
    ]
    assert expected["properties"]["warnings-count"][0] == 18
    assert expected["properties"]["rpm-version"][0] == "1.2"
    for all_of_it in (found, expected):
        for channels in all_of_it["logs"].values():
            channels.pop("HEADER", None)  # there are absolute paths in it
    for what in expected:
        assert found[what] == expected[what], what
    calm.stop()
