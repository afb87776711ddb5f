"""Overrides that nothing would call, and the arguments of other eras that have no effect: both are told of."""

from __future__ import annotations

import importlib

import pytest

from buildbot.config import names
from buildbot.config.errors import ConfigErrors, collecting

names.install()
from buildbot.config.names.steps import OURS  # noqa: E402
from buildbot.plugins import steps  # noqa: E402
from buildbot.process.loggingstep import LoggingBuildStep  # noqa: E402
from buildbot.process.overridden import NEVER_CALLED, never_called  # noqa: E402
from buildbot.steps.transferbase import TransferStep  # noqa: E402

CLASSES = [getattr(importlib.import_module(module), name) for module, found in OURS.items() for name in found]
CLASSES += [LoggingBuildStep, TransferStep]


def test_each_class_of_the_table_is_one_of_ours() -> None:
    assert NEVER_CALLED.keys() <= {base.__name__ for each in CLASSES for base in each.__mro__}


def test_ours_have_none_of_the_methods_that_they_refuse() -> None:
    assert [(cls.__name__, name) for cls in CLASSES for name in never_called(cls) if hasattr(cls, name)] == []


def test_an_override_that_nothing_would_call_is_refused_with_what_to_write() -> None:
    with pytest.raises(ConfigErrors, match=r"Mine\.mode_full\(\) is not called.*check_out"):
        type("Mine", (steps.SVN,), {"mode_full": lambda self: None})


def test_a_subclass_of_such_a_subclass_is_told_of_its_own_alone() -> None:
    with collecting("/nowhere/master.cfg", "/nowhere") as collected:
        base = type("Base", (steps.Trigger,), {"worstStatus": lambda self: None})
        type("Mine", (base,), {"name": "mine"})
    assert len(collected.problems) == 1


def test_an_attribute_of_that_name_is_no_override() -> None:
    type("Mine", (steps.Trial,), {"rtext": "%s"})


@pytest.mark.parametrize(
    ("make", "argument"),
    [
        (lambda: steps.Git(repourl="/r", logfiles={"a": "b"}), "logfiles"),
        (lambda: steps.Trigger(schedulerNames=["a"], lazylogfiles=True), "lazylogfiles"),
        (lambda: steps.RpmLint(maxWarnCount=3), "maxWarnCount"),
        (lambda: steps.GitDiffInfo(want_stdout=False), "want_stdout"),
    ],
)
def test_an_argument_without_effect_is_accepted_with_a_warning(make: object, argument: str) -> None:
    with collecting("/nowhere/master.cfg", "/nowhere") as collected:
        make()  # type: ignore[operator]
    assert collected.problems == []
    assert [argument in each.message for each in collected.warnings] == [True]


def test_arguments_without_a_name_are_those_of_other_eras() -> None:
    source = steps.Source("w", "full", True, 5, (1, 2), {"A": "b"}, False, "checking", "checked", "out", "c")
    assert (source.workdir, source.mode, source.alwaysUseLatest, source.timeout) == ("w", "full", True, 5)
    assert (source.retry, source.env, source.logEnviron, source.codebase) == ((1, 2), {"A": "b"}, False, "c")
    assert (source.description, source.descriptionDone, source.descriptionSuffix) == ("checking", "checked", "out")
    logging = LoggingBuildStep({"a": "b"}, True)
    assert (logging.logfiles, logging.lazylogfiles) == ({"a": "b"}, True)
    shell = steps.TreeSize("w", None, False)
    assert (shell.workdir, shell.usePTY) == ("w", False)


def test_the_second_argument_of_git_is_its_branch() -> None:
    with pytest.raises(ConfigErrors, match=r"branch is a name, not 22.*port=22"):
        steps.Git("/r", 22)


def test_a_step_is_given_another_argument_before_it_is_added() -> None:
    step = steps.ShellCommand(command="make")
    step.set_step_arg("workdir", "elsewhere")
    assert step.get_step_factory().buildStep().workdir == "elsewhere"
    assert step.is_exact_step_class(steps.ShellCommand)
