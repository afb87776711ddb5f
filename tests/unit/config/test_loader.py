"""Loading a master.cfg: all mistakes together, each with its line; fresh every time; nothing left behind."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from buildbot.config.builder import BuilderConfig
from buildbot.config.errors import ConfigErrors, location_of
from buildbot.config.loader import load_config
from tests.unit.config.files import GOOD, loaded, problems, told, write


def test_three_mistakes_are_three_messages_with_lines_and_nearest_names(tmp_path: Path) -> None:
    text = """\
        from buildbot.plugins import changes, schedulers, steps, util, worker
        c = BuildmasterConfig = {}
        c['titel'] = "mine"
        c['workers'] = [worker.Worker("bot", "pw", max_build=2)]
        f = util.BuildFactory([steps.ShellCommand(command=["make"])])
        c['builders'] = [util.BuilderConfig(name="full", workernames=["bott"], factory=f)]
        c['schedulers'] = [schedulers.AnyBranchScheduler(name="all", builderNames=["full"])]
        """
    assert told(tmp_path, text) == [
        "4: Worker() has no argument 'max_build' (did you mean 'max_builds'?)",
        "3: c['titel'] is not a key of BuildmasterConfig (did you mean 'title'?)",
        "6: builder 'full': there is no slave 'bott' (did you mean 'bot'?)",
    ]


def test_a_good_configuration_becomes_values(tmp_path: Path) -> None:
    config = loaded(tmp_path)
    assert [slave.name for slave in config.slaves] == ["bot"]
    assert [builder.name for builder in config.builders] == ["full"]
    assert [scheduler.name for scheduler in config.schedulers] == ["all"]
    assert config.pb_ports == ("tcp:9989",)
    assert (config.www, config.status, config.change_sources, config.warnings) == (None, (), (), ())
    assert config.files == (str(tmp_path / "master.cfg"),)
    assert config.builder("full") is config.builders[0]


OLDEST = """\
    from buildbot.process.factory import BuildFactory, s
    from buildbot.steps.shell import Compile, ShellCommand, WithProperties
    from buildbot.scheduler import Scheduler
    from buildbot.changes.pb import PBChangeSource
    from buildbot.status import html
    from buildbot.status.builder import SUCCESS
    c = BuildmasterConfig = {}
    c['bots'] = [("bot", "pw")]
    c['sources'] = [PBChangeSource()]
    c['slavePortnum'] = 9989
    f = BuildFactory([s(Compile, command=["make"])])
    f.addStep(ShellCommand, command=WithProperties("echo %(branch)s"))
    c['builders'] = [{'name': "full", 'slavename': "bot", 'builddir': "full", 'factory': f, 'category': "x"}]
    c['schedulers'] = [Scheduler("all", None, 60, ["full"])]
    c['status'] = [html.WebStatus(http_port="8010", allowForce=True)]
    c['projectName'] = "Mine"
    c['projectURL'] = "http://mine"
    c['buildbotURL'] = "http://mine/bb"
    c['debugPassword'] = "secret"
    """

OLD = """\
    from buildbot.buildslave import BuildSlave
    from buildbot.changes.filter import ChangeFilter
    from buildbot.changes.pb import PBChangeSource
    from buildbot.config import BuilderConfig
    from buildbot.process.factory import BuildFactory
    from buildbot.process.properties import Interpolate
    from buildbot.schedulers.basic import SingleBranchScheduler
    from buildbot.status import html
    from buildbot.status.web import auth, authz
    from buildbot.steps.shell import Compile, ShellCommand
    c = BuildmasterConfig = {}
    c['slaves'] = [BuildSlave("bot", "pw")]
    c['change_source'] = PBChangeSource()
    c['protocols'] = {'pb': {'port': 9989}}
    f = BuildFactory()
    f.addStep(Compile(command=["make"]))
    f.addStep(ShellCommand(command=Interpolate("echo %(prop:branch)s")))
    c['builders'] = [BuilderConfig(name="full", slavenames=["bot"], factory=f, category="x")]
    c['schedulers'] = [SingleBranchScheduler(name="all", change_filter=ChangeFilter(branch=None),
                                             treeStableTimer=60, builderNames=["full"])]
    users = authz.Authz(auth=auth.BasicAuth([("me", "pw")]), forceBuild="auth")
    c['status'] = [html.WebStatus(http_port=8010, authz=users)]
    c['title'] = "Mine"
    c['projectName'] = "the older name of the same"
    c['titleURL'] = "http://mine"
    c['buildbotURL'] = "http://mine/bb/"
    c['db'] = {'db_url': "sqlite:///state.sqlite"}
    """

NEW = """\
    from buildbot.plugins import changes, schedulers, steps, util, worker
    c = BuildmasterConfig = {}
    c['workers'] = [worker.Worker("bot", "pw")]
    c['change_source'] = [changes.PBChangeSource()]
    c['protocols'] = {'pb': {'port': "9989"}}
    f = util.BuildFactory()
    f.addStep(steps.Compile(command=["make"]))
    f.addStep(steps.ShellCommand(command=util.Interpolate("echo %(prop:branch)s")))
    c['builders'] = [util.BuilderConfig(name="full", workernames=["bot"], factory=f, tags=["x"])]
    c['schedulers'] = [schedulers.SingleBranchScheduler(
        name="all", change_filter=util.ChangeFilter(branch=None), treeStableTimer=60, builderNames=["full"])]
    c['www'] = dict(port=8010, plugins={'waterfall_view': {}},
                    auth=util.UserPasswordAuth({"me": "pw"}),
                    authz=util.Authz(allowRules=[util.AnyControlEndpointMatcher(role="admins")],
                                     roleMatchers=[util.RolesFromUsername(roles=["admins"], usernames=["me"])]))
    c['services'] = []
    c['title'] = "Mine"
    c['titleURL'] = "http://mine"
    c['buildbotURL'] = "http://mine/bb/"
    c['buildbotNetUsageData'] = None
    """


@pytest.mark.parametrize("text", [OLDEST, OLD, NEW], ids=["0.7", "0.8", "4.x"])
def test_every_era_says_the_same(tmp_path: Path, text: str) -> None:
    config = loaded(tmp_path, text)
    assert (config.title, config.title_url, config.buildbot_url) == ("Mine", "http://mine", "http://mine/bb/")
    assert [(slave.name, slave.password) for slave in config.slaves] == [("bot", "pw")]
    assert [type(source).__name__ for source in config.change_sources] == ["PBChangeSource"]
    assert config.pb_ports == ("tcp:9989",)
    (builder,) = config.builders
    assert (builder.name, builder.slavenames, builder.builddir, builder.tags) == ("full", ("bot",), "full", ("x",))
    assert [type(step).__name__ for step in builder.factory.new_steps()] == ["Compile", "ShellCommand"]
    (scheduler,) = config.schedulers
    assert (scheduler.name, list(scheduler.builderNames)) == ("all", ["full"])
    assert config.www is not None
    assert config.www.port == "tcp:8010"
    assert config.status == ()


def test_what_has_no_effect_is_said(tmp_path: Path) -> None:
    (warning,) = loaded(tmp_path, OLDEST).warnings
    assert (warning.line, warning.message) == (19, "c['debugPassword'] has no effect in this version")


WRONG = {
    "syntax": ("c = {\n", ["1: SyntaxError: '{' was never closed"]),
    "exception": (
        "import os\n\ndef f():\n    return os.nothing\nf()\n",
        ["4: AttributeError: module 'os' has no attribute 'nothing'"],
    ),
    "exception in a library": (
        "import json\njson.loads('x')\n",
        ["2: JSONDecodeError: Expecting value: line 1 column 1 (char 0)"],
    ),
    "exit": ("import sys\nsys.exit(3)\n", ["2: SystemExit: 3"]),
    "missing import": (
        "c = BuildmasterConfig = {}\nf = BuildFactory()\n",
        ["2: NameError: name 'BuildFactory' is not defined (is its import missing?)"],
    ),
    "misspelt name": (
        "from buildbot.plugins import schedulers\nREPOSITORY = 'x'\ndef f():\n    return REPOSITRY\n"
        "c = BuildmasterConfig = {}\nf()\n",
        ["4: NameError: name 'REPOSITRY' is not defined (did you mean 'REPOSITORY'?)"],
    ),
    "misspelt module": (
        "from buildbot.plugins import schedulers\nschedulres.Nightly\n",
        ["2: NameError: name 'schedulres' is not defined (did you mean 'schedulers'?)"],
    ),
    "misspelt import": (
        "from buildbot.steps.shell import ShelCommand\n",
        ["1: ImportError: there is no 'ShelCommand' in buildbot.steps.shell (did you mean 'ShellCommand'?)"],
    ),
    "misspelt plugin": (
        "from buildbot.plugins import steps\nsteps.Compil(command='make')\n",
        ["2: AttributeError: there is no 'Compil' in buildbot.plugins.steps (did you mean 'Compile'?)"],
    ),
    "module of later": (
        "from buildbot.www.hooks import GitHub\n",
        [
            "1: there is no module buildbot.www.hooks (it is a module of Buildbot, but not in this version)",
            " the file does not define BuildmasterConfig (it begins with c = BuildmasterConfig = {})",
        ],
    ),
    "before an exception": (
        "from buildbot.plugins import worker\nc = BuildmasterConfig = {}\nc['titel'] = 1\nworker.Worker('a')\n1 / 0\n",
        [
            "4: Worker() needs the argument 'password'",
            "5: ZeroDivisionError: division by zero",
            "3: c['titel'] is not a key of BuildmasterConfig (did you mean 'title'?)",
        ],
    ),
}


@pytest.mark.parametrize(("text", "said"), WRONG.values(), ids=WRONG)
def test_what_the_file_raises_is_told_at_its_line(tmp_path: Path, text: str, said: list[str]) -> None:
    assert told(tmp_path, text) == said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("c = {}\n", "does not define BuildmasterConfig"),
        ("BuildmasterConfig = 3\n", "must make BuildmasterConfig a dict"),
    ],
)
def test_a_file_without_the_dict_is_told(tmp_path: Path, text: str, said: str) -> None:
    (problem,) = problems(tmp_path, text)
    assert said in problem.message
    assert problem.hint == "it begins with c = BuildmasterConfig = {}"


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigErrors, match="cannot read the configuration: No such file") as raised:
        load_config(tmp_path / "master.cfg")
    assert raised.value.problems[0].hint is None
    (tmp_path / "master.cfg.sample").touch()
    with pytest.raises(ConfigErrors, match=r"cp .*/master\.cfg\.sample .*/master\.cfg\b"):
        load_config(tmp_path / "master.cfg")


def test_an_unreadable_file_of_the_users_is_not_taken_for_the_configuration(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, "open('/nonexistent/passwords')\n")
    assert (problem.line, problem.message.partition(":")[0]) == (1, "FileNotFoundError")


def test_a_mistake_in_a_module_beside_it_is_told_there(tmp_path: Path) -> None:
    write(tmp_path, "from buildbot.plugins import worker\nbot = worker.Worker('bot', password=3)\n", "bots_here.py")
    (problem,) = problems(tmp_path, GOOD.replace('worker.Worker("bot", "pw")', "__import__('bots_here').bot"))
    assert (problem.file, problem.line) == (str(tmp_path / "bots_here.py"), 2)


def test_the_namespace_is_fresh_and_knows_where_it_is(tmp_path: Path) -> None:
    text = GOOD + "assert 'seen' not in globals()\nseen = 1\nc['properties'] = {'where': basedir, 'file': __file__}\n"
    for _ in range(2):
        config = loaded(tmp_path, text)
    assert config.properties == {"where": str(tmp_path), "file": str(tmp_path / "master.cfg")}


def test_modules_beside_it_are_read_again_each_time(tmp_path: Path) -> None:
    text = GOOD + "import fresh_value\nc['title'] = fresh_value.title\n"
    for title in ("one", "two", "six"):  # of one length, within one second: neither size nor time differs
        write(tmp_path, f"title = '{title}'\n", "fresh_value.py")
        config = loaded(tmp_path, text)
        assert config.title == title
        assert sys.modules["fresh_value"].title == title
    assert config.files == (str(tmp_path / "master.cfg"), str(tmp_path / "fresh_value.py"))


def test_a_failed_load_leaves_the_modules_of_the_last_good_one(tmp_path: Path) -> None:
    text = GOOD + "import kept_value\nc['title'] = kept_value.title\n"
    write(tmp_path, "title = 'good'\n", "kept_value.py")
    loaded(tmp_path, text)
    path = list(sys.path)
    write(tmp_path, "title = 'bad'\n", "kept_value.py")
    problems(tmp_path, text + "import only_in_the_bad_one\n1 / 0\n")
    assert sys.modules["kept_value"].title == "good"
    assert sys.path == path


def test_things_remember_their_line(tmp_path: Path) -> None:
    config = loaded(tmp_path)
    lines = [location_of(thing) for thing in (config.slaves[0], config.builders[0], config.schedulers[0])]
    assert [place.line for place in lines if place] == [3, 6, 7]
    assert location_of(BuilderConfig) is None


def test_dataclasses_with_late_annotations_work(tmp_path: Path) -> None:
    text = "from __future__ import annotations\nfrom dataclasses import dataclass\n" + GOOD
    loaded(tmp_path, text + "@dataclass\nclass Mine:\n    a: ClassVar[int] = 3\n")
