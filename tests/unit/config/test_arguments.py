"""@configurable: what a constructor says of wrong arguments, outside a file and while one loads."""

from __future__ import annotations

from typing import Any

import pytest

from buildbot.config.arguments import configurable, known_arguments
from buildbot.config.errors import (
    ConfigErrors,
    Problem,
    collecting,
    did_you_mean,
    error,
    is_broken,
    location_of,
    nearest,
    warning,
)


@configurable(renamed={"pollinterval": "pollInterval"})
class Poller:
    def __init__(self, url: str, pollInterval: float = 600, *, branches: Any = None) -> None:
        if not isinstance(url, str):
            raise TypeError("from inside")
        self.url = url
        self.pollInterval = pollInterval
        self.branches = branches


@configurable
class GitPoller(Poller):
    def __init__(self, url: str, gitbin: str = "git", **kwargs: Any) -> None:
        Poller.__init__(self, url, **kwargs)
        self.gitbin = gitbin


class UsersPoller(GitPoller):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.after = self.url + "!"


MISTAKES = [
    (Poller, ("u",), {"branchs": 1}, ["Poller() has no argument 'branchs' (did you mean 'branches'?)"]),
    (Poller, ("u",), {"qqqq": 1}, ["Poller() has no argument 'qqqq'"]),
    (Poller, (), {}, ["Poller() needs the argument 'url'"]),
    (Poller, (), {"urls": 1}, ["Poller() has no argument 'urls' (did you mean 'url'?)"]),
    (Poller, ("u",), {"url": "v"}, ["Poller() got the argument 'url' twice"]),
    (Poller, ("u", 1, 2), {}, ["Poller() takes at most 2 arguments without a name"]),
    (Poller, ("u",), {"a": 1, "b": 2}, ["Poller() has no argument 'a'", "Poller() has no argument 'b'"]),
    (
        Poller,
        ("u",),
        {"pollinterval": 1, "pollInterval": 2},
        ["Poller(): pollinterval= is the older name of pollInterval=; give one of them"],
    ),
    (GitPoller, ("u",), {"gitbn": 1}, ["GitPoller() has no argument 'gitbn' (did you mean 'gitbin'?)"]),
    (GitPoller, ("u",), {"branchs": 1}, ["GitPoller() has no argument 'branchs' (did you mean 'branches'?)"]),
    (
        UsersPoller,
        (),
        {"url": "u", "branchs": 1},
        ["UsersPoller() has no argument 'branchs' (did you mean 'branches'?)"],
    ),
    (UsersPoller, (), {}, ["UsersPoller() needs the argument 'url'"]),
]


@pytest.mark.parametrize(("cls", "args", "kwargs", "said"), MISTAKES)
def test_wrong_arguments_raise_all_at_once(
    cls: type, args: tuple[Any, ...], kwargs: dict[str, Any], said: list[str]
) -> None:
    with pytest.raises(ConfigErrors) as raised:
        cls(*args, **kwargs)
    assert [str(problem) for problem in raised.value.problems] == said


@pytest.mark.parametrize("cls", [Poller, GitPoller])
def test_old_spellings_are_accepted(cls: Any) -> None:
    assert cls("u", pollinterval=5).pollInterval == 5
    assert cls("u", pollInterval=6).pollInterval == 6


def test_a_type_error_of_the_constructor_itself_stays_one() -> None:
    with pytest.raises(TypeError, match="from inside"):
        Poller(3)  # type: ignore[arg-type]


def test_while_loading_mistakes_are_noted_and_the_object_goes_on_without_them() -> None:
    with collecting(__file__, "/nonexistent") as collected:
        users = UsersPoller(url="u", branchs=1)
        right = UsersPoller(url="v", branches=["a"])
        missing = Poller()  # type: ignore[call-arg]
    assert (users.after, is_broken(users)) == ("u!", True)
    assert (right.branches, is_broken(right)) == (["a"], False)
    assert is_broken(missing)
    assert [problem.message for problem in collected.problems] == [
        "UsersPoller() has no argument 'branchs'",
        "Poller() needs the argument 'url'",
    ]
    place = location_of(right)
    assert place is not None
    assert (place.file, place.line) == (__file__, UsersPoller.__init__.__code__.co_firstlineno + 1)


def test_while_loading_a_users_class_does_not_go_on_with_half_an_object() -> None:
    with collecting(__file__, "/nonexistent") as collected, pytest.raises(ConfigErrors):
        UsersPoller()
    assert [problem.message for problem in collected.problems] == ["UsersPoller() needs the argument 'url'"]


def test_nothing_is_remembered_outside_a_file() -> None:
    assert location_of(Poller("u")) is None
    warning("goes nowhere")


def test_suggestions_know_the_arguments_of_all_bases() -> None:
    assert known_arguments(UsersPoller) == {"url", "pollInterval", "branches", "gitbin"}


@pytest.mark.parametrize(
    ("name", "right"), [("TITLE", "title"), ("titel", "title"), ("tilte", "title"), ("zzz", None), ("", None)]
)
def test_the_nearest_name(name: str, right: str | None) -> None:
    assert nearest(name, ["title", "titleURL", "status"]) == right
    assert did_you_mean(name, ["title", "titleURL"]) == (f"did you mean {right!r}?" if right else None)


def test_errors_show_everything() -> None:
    errors = ConfigErrors([Problem("one", "f", 3, "h"), Problem("two", "f"), "three"])
    assert str(errors) == "f:3: one (h)\nf: two\nthree"
    assert errors.errors == ["one", "two", "three"]


def test_error_can_insist_on_raising() -> None:
    with collecting(__file__, "/nonexistent") as collected, pytest.raises(ConfigErrors, match="no way on"):
        error("no way on", always_raise=True)
    assert collected.problems == []


def test_a_problem_is_told_once() -> None:
    with collecting(__file__, "/nonexistent") as collected:
        for _ in range(2):
            error("the same")
    assert len(collected.problems) == 1


def test_our_own_package_and_installed_ones_are_not_the_users() -> None:
    with collecting("/base/master.cfg", "/base") as collected:
        names = ["/base/master.cfg", "/base/lib/mine.py", "/base/v/site-packages/x.py", "/other/x.py"]
        assert [collected.is_users_file(name) for name in names] == [True, True, False, False]
