"""Keys, values and cross-checks of BuildmasterConfig: one mistake, one message."""

# ruff: noqa: E501 (a row of the table is one line)

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.config.files import GOOD, loaded, told

# what is put after GOOD -> what is said
MISTAKES = {
    "unknown key": ("c['buildbotUrl'] = 'x'", ["8: c['buildbotUrl'] is not a key of BuildmasterConfig (did you mean 'buildbotURL'?)"]),
    "own key": ("c['zzz'] = 1", ["8: c['zzz'] is not a key of BuildmasterConfig (values of your own belong in ordinary variables)"]),
    "key of the past": ("c['interlocks'] = []", ["8: c['interlocks'] is not a key any more (use locks: MasterLock or SlaveLock in the builders' and steps' locks=[...])"]),
    "type": ("c['title'] = 3", ["8: c['title'] must be a string, not int 3"]),
    "no encoding": ("c['logEncoding'] = 'utf-88'", ["8: c['logEncoding'] must be the name of an encoding, such as 'utf-8', not str 'utf-88'"]),
    "no encoding of text": ("c['logEncoding'] = 'base64'", ["8: c['logEncoding'] must be the name of an encoding, such as 'utf-8', not str 'base64'"]),
    "no encoding of a step": ("factory.addStep(steps.ShellCommand(command='x', logEncoding='latin-x'))", ["8: ShellCommand: logEncoding is the name of an encoding, such as 'utf-8', not 'latin-x'"]),
    "type of a list": ("c['status'] = 'x'", ["8: c['status'] must be a list, not str 'x'"]),
    "two eras": ("c['slaves'] = []", ["3: c['workers'] and c['slaves'] are the same key; give one of them"]),
    "two ports": ("c['slavePortnum'] = 9989", ["8: c['slavePortnum'] is the older form of c['protocols']; give one of them"]),
    "bad port": ("c['protocols'] = {'pb': {'port': 'x:1'}}", ["8: c['protocols']['pb']['port']: 'x:1' is no port: write a number, or a string such as 'tcp:9989:interface=127.0.0.1'"]),
    "unknown protocol": ("c['protocols'] = {'pv': {}}", ["8: c['protocols'] has no 'pv' (write {'pb': {'port': 9989}}; the other one is 'msgpack_experimental_v7')"]),
    "unknown key of a protocol": ("c['protocols'] = {'msgpack_experimental_v7': {'port': 1, 'ports': 2}}", ["8: c['protocols']['msgpack_experimental_v7'] has no 'ports' (its only key is 'port')"]),
    "one port for two": ("c['protocols'] = {'pb': {'port': 1}, 'msgpack_experimental_v7': {'port': 1}}", ["8: two of c['protocols'] have the port tcp:1 (give each one of its own)"]),
    "class for object": ("c['change_source'] = type('Poller', (), {})", ["8: c['change_source'] holds objects of Buildbot's classes, not <class 'buildbot_master_cfg.Poller'> (call it: Poller(...))"]),
    "no slaves": ("c['workers'] = []", ["no slaves are configured (c['slaves'] = [BuildSlave('name', 'password')])"]),
    "reserved slave": ("c['workers'].append(worker.Worker('change', 'pw'))", ["8: the slave name 'change' is reserved (choose another name)"]),
    "two slaves": ("c['workers'].append(worker.Worker('bot', 'pw'))", ["8: there are two slaves named 'bot' (the other one is at {file}:3)"]),
    "two builders": ("c['builders'] *= 2\nc['builders'][1] = util.BuilderConfig(name='full', workername='bot', factory=factory)", ["9: there are two builders named 'full' (the other one is at {file}:6)"]),
    "two schedulers": ("c['schedulers'].append(schedulers.AnyBranchScheduler(name='all', builderNames=['full']))", ["8: there are two schedulers named 'all' (the other one is at {file}:7)"]),
    "unknown builder": ("c['schedulers'].append(schedulers.AnyBranchScheduler(name='b', builderNames=['ful']))", ["8: scheduler 'b': there is no builder 'ful' (did you mean 'full'?)"]),
    "unknown upstream": ("c['schedulers'].append(schedulers.Dependent('b', 'al', ['full']))", ["8: scheduler 'b': there is no scheduler 'al', its upstream (did you mean 'all'?)"]),
    "upstream left out": ("c['schedulers'].append(schedulers.Dependent('b', schedulers.Periodic('zz', ['full'], 60), ['full']))", ["8: scheduler 'b': there is no scheduler 'zz', its upstream (it must be in c['schedulers'] as well)"]),
    "circle": ("c['schedulers'].append(schedulers.Dependent('b', 'b', ['full']))", ["8: scheduler 'b' depends on itself: b <- b"]),
    "unknown slave": ("c['builders'].append({'name': 'x', 'slavename': 'bat', 'factory': factory})\nc['schedulers'][0] = schedulers.AnyBranchScheduler(name='b', builderNames=['x', 'full'])", ["8: builder 'x': there is no slave 'bat' (did you mean 'bot'?)"]),
    "idle builder": ("c['builders'].append(util.BuilderConfig(name='idle', workernames=['bot'], factory=factory))", ["8: builder 'idle' has no scheduler: nothing would ever start it (name it in a scheduler's builderNames)"]),
    "one builddir": ("c['builders'].append(util.BuilderConfig(name='x', builddir='full', workernames=['bot'], factory=factory))\nc['schedulers'][0] = schedulers.AnyBranchScheduler(name='b', builderNames=['x', 'full'])", ["8: builders 'full' and 'x' have the same builddir 'full' (give one of them builddir=...)"]),
    "builder key": ("c['builders'] = [{'name': 'full', 'slavename': 'bot', 'factory': factory, 'periodicBuildTime': 3}]", ["8: builder 'full' has no key 'periodicBuildTime' (use a Periodic scheduler)"]),
    "lock of build and step": (
        "lock = util.MasterLock('disk')\nfactory.addStep(steps.ShellCommand(command='x', locks=[lock.access('counting')]))\nc['builders'][0].locks = [lock.access('exclusive')]",
        ["9: builder 'full' and one of its steps both take the lock 'disk'; the step would wait for ever"],
    ),
    "two locks of a name": (
        "c['workers'][0].locks = [util.MasterLock('disk')]\nc['builders'][0].locks = [util.MasterLock('disk', 2)]",
        ["6: builder 'full': there are two different locks named 'disk': MasterLock('disk', 1) and MasterLock('disk', 2)"],
    ),
    "too much of a lock": (
        "c['builders'][0].locks = [util.MasterLock('disk', 2).access('counting', 3)]",
        ["6: builder 'full' would wait for ever: it takes 3 of the lock 'disk', which has 2"],
    ),
    "no lock": ("c['builders'][0].locks = ['disk']", ["6: builder 'full': locks holds locks such as lock.access('counting'), not 'disk'"]),
    "validation": ("c['validation'] = {'branch': '('}", ["8: c['validation']['branch'] must be a regular expression: missing ), unterminated subpattern at position 0"]),
}  # fmt: skip


@pytest.mark.parametrize(("addition", "said"), MISTAKES.values(), ids=MISTAKES)
def test_one_mistake_is_one_message(tmp_path: Path, addition: str, said: list[str]) -> None:
    text = GOOD + addition + "\n"
    assert told(tmp_path, text) == [line.replace("{file}", str(tmp_path / "master.cfg")) for line in said]


def test_a_misspelt_list_is_not_also_a_missing_one(tmp_path: Path) -> None:
    assert told(tmp_path, GOOD.replace("c['workers']", "c['workrs']")) == [
        "3: c['workrs'] is not a key of BuildmasterConfig (did you mean 'workers'?)"
    ]


def test_a_thing_with_a_wrong_argument_still_counts_as_there(tmp_path: Path) -> None:
    assert told(tmp_path, GOOD.replace('"pw")', '"pw", colour=3)')) == ["3: Worker() has no argument 'colour'"]


def test_without_cross_checks_on_several_masters(tmp_path: Path) -> None:
    text = GOOD.replace('["full"])]', '["elsewhere"])]')
    assert told(tmp_path, text) == ["7: scheduler 'all': there is no builder 'elsewhere'"]
    assert loaded(tmp_path, text + "c['multiMaster'] = True\n").multi_master


def test_an_old_web_status_that_forces_makes_an_idle_builder_a_warning(tmp_path: Path) -> None:
    addition = (
        "c['builders'].append(util.BuilderConfig(name='idle', workernames=['bot'], factory=factory))\n"
        "from buildbot.status import html\nc['status'] = [html.WebStatus(8010, allowForce=True)]\n"
    )
    (warning,) = loaded(tmp_path, GOOD + addition).warnings
    assert warning.message == "builder 'idle' has no scheduler: nothing would ever start it unless it is forced"


def test_another_database_is_said_not_to_be_used(tmp_path: Path) -> None:
    (warning,) = loaded(tmp_path, GOOD + "c['db_url'] = 'mysql://x'\n").warnings
    assert (warning.line, "state.sqlite" in warning.message) == (8, True)


def test_a_scheduler_that_decides_in_each_build_is_not_checked(tmp_path: Path) -> None:
    config = loaded(tmp_path, GOOD.replace('builderNames=["full"]', "builderNames=util.Property('which')"))
    assert [builder.name for builder in config.builders] == ["full"]


def test_other_keys_are_kept(tmp_path: Path) -> None:
    addition = "c['collapseRequests'] = False\nc['caches'] = {'Builds': 3}\nc['validation'] = {'branch': 'a+'}\n"
    config = loaded(tmp_path, GOOD + addition)
    assert config.other == {"collapseRequests": False, "caches": {"Builds": 3}}
    assert config.validation["branch"].pattern == "a+"
    assert config.validation["revision"].match("1a2b")
