"""BuilderConfig and BuildSlave in the words of all eras, and what they refuse."""

from __future__ import annotations

from typing import Any

import pytest

from buildbot.config import BuilderConfig, BuildSlave, Worker
from buildbot.config.builder import builder_from, safe_directory
from buildbot.config.errors import ConfigErrors
from buildbot.config.slave import slave_from
from buildbot.process.factory import BuildFactory
from buildbot.process.properties import Interpolate, Secret

FACTORY = BuildFactory()


def builder(**given: Any) -> BuilderConfig:
    return BuilderConfig(**{"name": "b", "slavename": "s", "factory": FACTORY, **given})


@pytest.mark.parametrize(
    ("given", "attribute", "value"),
    [
        ({"slavename": "a"}, "slavenames", ("a",)),
        ({"slavename": None, "workername": "a"}, "slavenames", ("a",)),
        ({"slavename": "a", "slavenames": ["b", "a"]}, "slavenames", ("a", "b")),
        ({"slavename": None, "workernames": ["a", "b"]}, "workernames", ("a", "b")),
        ({"slavename": None, "slavenames": "a"}, "slavenames", ("a",)),
        ({}, "builddir", "b"),
        ({"name": "a/b <x>"}, "builddir", "a_b__x_"),
        ({"builddir": "d"}, "slavebuilddir", "d"),
        ({"builddir": "d", "slavebuilddir": "e"}, "workerbuilddir", "e"),
        ({"workerbuilddir": "e"}, "slavebuilddir", "e"),
        ({"category": "c"}, "tags", ("c",)),
        ({"tags": ["c", "d"]}, "tags", ("c", "d")),
        ({"tags": ["c", "d"]}, "category", "c"),
        ({}, "category", None),
        ({"env": {"A": "b"}}, "env", {"A": "b"}),
        ({"max_running": 2}, "max_running", 2),
    ],
)
def test_every_spelling_of_a_builder(given: dict[str, Any], attribute: str, value: Any) -> None:
    assert getattr(builder(**given), attribute) == value
    assert getattr(builder_from({"name": "b", "slavename": "s", "factory": FACTORY, **given}), attribute) == value


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"name": None}, "needs a name"),
        ({"name": "_x"}, "reserved"),
        ({"name": 3}, "needs a name"),
        ({"factory": None}, "has no factory"),
        ({"factory": [1]}, "must be a BuildFactory"),
        ({"slavename": None}, "names no slave"),
        ({"slavename": 3}, "slave names are strings"),
        ({"workername": "t"}, "slavename and workername are the same"),
        ({"category": "a", "tags": ["b"]}, "older form of tags"),
        ({"tags": "ab"}, "tags is a list"),
        ({"tags": ["a", "a"]}, "given twice"),
        ({"tags": [1]}, "a tag is a string"),
        ({"builddir": "/abs"}, "must stay inside"),
        ({"slavebuilddir": "a/../.."}, "must stay inside"),
        ({"builddir": 3}, "builddir is a string"),
        ({"nextSlave": 3}, "nextSlave must be a function"),
        ({"collapseRequests": "yes"}, "collapseRequests must be True, False or a function"),
        ({"env": ["A"]}, "env must be a dict"),
        ({"locks": "l"}, "locks must be a list"),
        ({"max_running": 0}, "max_running must be"),
        ({"slavname": "x"}, "did you mean 'slavename'"),
    ],
)
def test_what_a_builder_refuses(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigErrors, match=said):
        builder(**given)


def test_a_dict_with_unknown_keys_names_them_all() -> None:
    with pytest.raises(ConfigErrors) as raised:
        builder_from({"name": "b", "slavename": "s", "factory": FACTORY, "facktory": 1, "gatekeeper": 2})
    assert [str(problem) for problem in raised.value.problems] == [
        "builder 'b' has no key 'facktory' (did you mean 'factory'?)",
        "builder 'b' has no key 'gatekeeper'",
    ]


def test_a_choice_of_slave_has_one_shape() -> None:
    assert builder().choose_slave() is None
    older = builder(nextSlave=lambda b, slaves: (b, slaves)).choose_slave()
    newer = builder(nextWorker=lambda b, slaves, request: (b, slaves, request)).choose_slave()
    assert older is not None and newer is not None
    assert (older(1, 2, 3), newer(1, 2, 3)) == ((1, 2), (1, 2, 3))


def test_a_subclass_may_set_its_own_defaults() -> None:
    class Mine(BuilderConfig):
        def __init__(self, name: str, **kwargs: Any) -> None:
            super().__init__(name=name, slavename="s", factory=FACTORY, **kwargs)
            self.properties["mine"] = True

    assert Mine("b", properties={"a": 1}).properties == {"a": 1, "mine": True}


@pytest.mark.parametrize(
    ("name", "directory"),
    [("linux-x86_64", "linux-x86_64"), ("a b", "a_b"), ("../x", "_._x"), ("ü", "_"), (".a", "_a")],
)
def test_directories_are_safe(name: str, directory: str) -> None:
    assert safe_directory(name) == directory


def test_a_configuration_may_ask_for_a_slaves_properties() -> None:
    slave = BuildSlave("a", "pw", properties={"platform": "sun"})
    assert [slave.properties.getProperty(name, "none") for name in ("platform", "other")] == ["sun", "none"]
    assert (slave.properties.hasProperty("platform"), slave.properties["platform"]) == (True, "sun")


def test_slaves_compare_by_what_was_said() -> None:
    assert BuildSlave("a", "pw", 2) == BuildSlave("a", "pw", max_builds=2)
    assert BuildSlave("a", "pw") != BuildSlave("a", "other")
    assert slave_from(("a", "pw")) == BuildSlave("a", "pw")
    worker = Worker("a", "pw", notify_on_missing="me@example.org", properties={"os": "linux"})
    assert isinstance(worker, BuildSlave)
    assert (worker.slavename, worker.workername, worker.notify_on_missing) == ("a", "a", ("me@example.org",))
    assert worker.properties == {"os": "linux"}
    assert "pw" not in repr(worker)


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("a b", "pw"), "without spaces and slashes"),
        (("a/b", "pw"), "without spaces and slashes"),
        ((3, "pw"), "without spaces and slashes"),
        (("", "pw"), "without spaces and slashes"),
        (("change", "pw"), "reserved"),
        (("a", None), "password must be a string"),
        (("a", "pw", 0), "max_builds"),
        (("a", "pw", True), "max_builds"),
        (("a", "pw", None, [3]), "takes mail addresses"),
        (("a",), "needs the argument 'password'"),
    ],
)
def test_what_a_slave_refuses(args: tuple[Any, ...], said: str) -> None:
    with pytest.raises(ConfigErrors, match=said):
        BuildSlave(*args)


@pytest.mark.parametrize("password", [Secret("bot"), Interpolate("%(secret:bot)s")])
def test_a_slaves_password_may_be_a_secret(password: Any) -> None:
    assert BuildSlave("a", password).password is password
