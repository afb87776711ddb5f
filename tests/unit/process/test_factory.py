"""Factories: every form in which steps are given, and new step objects for each build."""

from __future__ import annotations

from typing import Any

import pytest

from buildbot.config.errors import ConfigErrors
from buildbot.process.factory import BuildFactory, Recreatable, StepFactory, s, step_factory_of


class Step(Recreatable):
    def __init__(self, *words: str, **options: Any) -> None:
        self.words = words
        self.options = options


class UsersStep(Step):
    """As configurations write them: the constructor does as it likes."""

    def __init__(self, target: str, **options: Any) -> None:
        super().__init__("make", target, **options)
        self.addFactoryArguments(target=target)


FORMS = [
    pytest.param(Step("a", b=1), ("a",), {"b": 1}, id="instance"),
    pytest.param(Step, (), {}, id="class"),
    pytest.param(s(Step, b=1), (), {"b": 1}, id="s()"),
    pytest.param((Step, {"b": 1}), (), {"b": 1}, id="pair"),
    pytest.param(StepFactory(Step, ["a"]), ("a",), {}, id="recipe"),
    pytest.param(UsersStep("all", b=1), ("make", "all"), {"b": 1}, id="subclass"),
    pytest.param(UsersStep(target="all"), ("make", "all"), {}, id="subclass with keyword"),
]


@pytest.mark.parametrize(("step", "words", "options"), FORMS)
def test_every_form_of_a_step_is_made_again(step: Any, words: tuple[str, ...], options: dict[str, Any]) -> None:
    factory = BuildFactory([step])
    factory.addStep(step)
    first, second = factory.new_steps()
    assert first is not second
    for made in (first, second):
        assert (made.words, made.options) == (words, options)


def test_a_class_takes_its_arguments_beside_it() -> None:
    factory = BuildFactory()
    factory.addStep(UsersStep, target="all", b=2)
    (made,) = factory.new_steps()
    assert (made.words, made.options) == (("make", "all"), {"b": 2})


def test_each_build_gets_its_own_steps() -> None:
    factory = BuildFactory([Step()])
    assert factory.new_steps()[0] is not factory.new_steps()[0]


def test_steps_that_a_subclass_puts_into_the_list_are_taken() -> None:
    class Own(BuildFactory):
        def __init__(self) -> None:
            BuildFactory.__init__(self)
            self.steps.insert(0, (Step, {"b": 3}))
            self.steps.append(Step("last"))

    assert [(step.words, step.options) for step in Own().new_steps()] == [((), {"b": 3}), (("last",), {})]


def test_a_clone_has_its_own_list() -> None:
    factory = BuildFactory([Step("a")])
    factory.workdir = "elsewhere"
    clone = factory.clone()
    clone.addSteps([Step("b")])
    assert [len(factory.steps), len(clone.steps), clone.workdir] == [1, 2, "elsewhere"]


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda f: f.addStep("make"), "'make' is not a build step"),
        (lambda f: f.addStep(Step(), b=1), "only after a step's class"),
        (lambda f: f.addSteps(Step()), "takes a list of steps"),
        (lambda f: f.addSteps("make"), "takes a list of steps"),
        (lambda f: f.addSteps([Step()], withSecrets=[("a",)]), "populated_secret_list is a list of"),
        (lambda f: f.addStep(UsersStep), "target"),
        (lambda f: f.setSkipBuildIf(True), "takes a function of the build, not True"),
    ],
)
def test_what_is_no_step_is_refused(call: Any, said: str) -> None:
    with pytest.raises((ConfigErrors, TypeError), match=said):
        call(BuildFactory())


def test_something_else_has_no_recipe() -> None:
    with pytest.raises(TypeError):
        step_factory_of((Step, "not a dict"))
