"""What becomes of configured values in a build: format strings, Property, renderer and the rest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import pytest
from twisted.internet.defer import Deferred, ensureDeferred, succeed
from twisted.python.failure import Failure

from buildbot.config.errors import ConfigErrors
from buildbot.process.properties import (
    FlattenList,
    Interpolate,
    Properties,
    Property,
    RenderingError,
    Secret,
    Transform,
    URLForBuild,
    WithProperties,
    needs_rendering,
    render,
    renderer,
)


class Stamp(NamedTuple):
    branch: str | None
    revision: str


class Build:
    """A build as rendering knows it."""

    def __init__(self, secrets: Mapping[str, Any] | None = None) -> None:
        if secrets is not None:
            self.getSecret = secrets.__getitem__

    def getSourceStamp(self, codebase: str = "") -> Any:
        return {"": Stamp("trunk", "r1"), "lib": {"branch": None, "revision": "r2"}}.get(codebase)

    def getSlaveInfo(self) -> Mapping[str, Any]:
        return {"name": "bot1", "admin": "me"}

    def getUrl(self) -> str:
        return "http://bb/1"


def properties(build: Any = None) -> Properties:
    made = Properties(x="ex", one=1, empty="", zero=0, none=None, words=["a", "b"])
    made.build = build or Build()
    return made


def rendered(value: Any, props: Any = None) -> Any:
    """The value, now: nothing in these tests waits."""
    outcome: list[Any] = []
    _ = ensureDeferred(render(value, props or properties())).addBoth(outcome.append)
    assert outcome, f"{value!r} is still waiting"
    if isinstance(outcome[0], Failure):
        outcome[0].raiseException()
    return outcome[0]


def waiting(value: Any) -> Deferred[Any]:
    return succeed(value)


INTERPOLATIONS = [
    ("plain", "plain"),
    ("100%%", "100%"),
    ("%(prop:x)s", "ex"),
    ("a%(prop:x)sb%(prop:one)sc", "aexb1c"),
    ("%(prop:one)03d|%(prop:x)-4s|%(prop:x)r", "001|ex  |'ex'"),
    ("%(prop:missing)s|%(prop:none)s", "|"),
    ("%(prop:words)s", "['a', 'b']"),
    # not set
    ("%(prop:missing:-else)s %(prop:empty:-else)s %(prop:zero:-else)s", "else  0"),
    # not set, or false
    ("%(prop:missing:~else)s %(prop:empty:~else)s %(prop:x:~else)s", "else else ex"),
    # set
    ("%(prop:x:+yes)s %(prop:empty:+yes)s %(prop:missing:+yes)s", "yes yes "),
    ("%(prop:empty:?|yes|no)s %(prop:missing:?|yes|no)s", "yes no"),
    ("%(prop:empty:#?|yes|no)s %(prop:x:#?:yes:no)s", "no yes"),
    ("%(prop:missing:-%(prop:x)s!)s", "ex!"),
    ("%(prop:missing:-%(prop:missing:-%(prop:one)s)s)s", "1"),
    ("%(prop:x:#?|<%(prop:x)s>|)s", "<ex>"),
    ("%(prop:missing:-a:b)s", "a:b"),
    ("%(prop:missing:-(x))s", "(x)"),
    ("%(src::branch)s %(src::revision)s", "trunk r1"),
    ("%(src:lib:revision)s %(src:lib:branch:-none)s", "r2 "),
    ("%(src:other:branch)s %(src:other:branch:-gone)s", " gone"),
    ("%(slave:name)s %(worker:admin)s %(worker:missing:-?)s", "bot1 me ?"),
]


@pytest.mark.parametrize(("text", "expected"), INTERPOLATIONS)
def test_interpolate(text: str, expected: str) -> None:
    assert rendered(Interpolate(text)) == expected


@pytest.mark.parametrize(
    ("text", "keywords", "expected"),
    [
        ("%(kw:a)s", {"a": 1}, "1"),
        ("%(kw:a)s", {"a": Property("x")}, "ex"),
        ("%(kw:a)s", {"a": waiting("later")}, "later"),
        ("%(kw:a:#?|yes|no)s", {"a": Property("empty")}, "no"),
        ("%(kw:a:~else)s", {"a": Property("empty", default="")}, "else"),
        ("%(prop:missing:-%(kw:a)s)s", {"a": Interpolate("<%(prop:x)s>")}, "<ex>"),
        ("%(kw:a)s", {"a": None}, ""),
        ("%(kw:a:-d)s", {}, "d"),
        ("%(kw:a)s", {"a": lambda properties: properties["x"] + "!"}, "ex!"),
        ("%(kw:a:#?|yes|no)s", {"a": lambda properties: properties["empty"]}, "no"),
        ("%(kw:a:#?|yes|no)s", {"a": waiting("")}, "no"),
        ("%(kw:a:~else)s", {"a": Interpolate("%(kw:b)s", b=waiting(""))}, "else"),
    ],
)
def test_interpolate_with_keywords(text: str, keywords: dict[str, Any], expected: str) -> None:
    assert rendered(Interpolate(text, **keywords)) == expected


def test_interpolate_with_positional_arguments() -> None:
    assert rendered(Interpolate("%s-%s 5%%", Property("x"), Property("missing"))) == "ex- 5%"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("%(x)s", r"no selector.*%\(prop:x\)s"),
        ("%(propp:x)s", "no selector .did you mean 'prop'"),
        ("%(prop:x", "no closing parenthesis"),
        ("%(prop:x)", "not followed by a conversion"),
        ("50% off", r"percent sign is written %%"),
        ("%s", "begins no"),
        ("%(prop:)s", "name of the property is missing"),
        ("%(src:branch)s", "takes a codebase"),
        ("%(prop:x:=y)s", "one of :-"),
        ("%(prop:x:?|yes)s", "a choice is written"),
        ("%(prop:x:-%(oops)s)s", "no selector"),
    ],
)
def test_a_bad_format_string_is_told_at_once(text: str, said: str) -> None:
    with pytest.raises(ConfigErrors, match=said):
        Interpolate(text)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Interpolate("%s", 1, a=2),
        lambda: Interpolate("%s %s", 1),
        lambda: Interpolate("%(prop:x)s %s", 1),
        lambda: Interpolate(3),
        lambda: WithProperties("%s", "a", b=len),
        lambda: WithProperties("%(a)s", a="not a function"),
        lambda: WithProperties("%(a:?b)s"),
        lambda: Property(3),
        lambda: Transform("not a function"),
        lambda: renderer("not a function"),
    ],
)
def test_wrong_arguments_are_told_at_once(make: Any) -> None:
    with pytest.raises(ConfigErrors):
        make()


def test_a_value_that_does_not_fit_its_conversion_is_named() -> None:
    with pytest.raises(RenderingError, match="'ex'"):
        rendered(Interpolate("%(prop:x)d"))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (WithProperties("%(x)s-%(one)s"), "ex-1"),
        (WithProperties("%s-%s", "x", "missing"), "ex-"),
        (WithProperties("%(missing)s"), ""),
        (WithProperties("%(missing:-d)s %(empty:-d)s %(empty:~d)s %(x:+set)s %(missing:+set)s"), "d  d set "),
        (WithProperties("%(f)s 1%%", f=lambda build: build.getProperty("x") * 2), "exex 1%"),
        (WithProperties("no fields"), "no fields"),
    ],
)
def test_with_properties(value: WithProperties, expected: str) -> None:
    assert rendered(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (Property("words"), ["a", "b"]),
        (Property("missing"), None),
        (Property("missing", "d"), "d"),
        (Property("empty", "d"), "d"),
        (Property("empty", "d", defaultWhenFalse=False), ""),
        (Property("missing", "d", defaultWhenFalse=False), "d"),
        (Property("missing", Property("x")), "ex"),
        (FlattenList(["a", ["b", ("c", [Property("words")])]]), ["a", "b", "c", "a", "b"]),
        (FlattenList([["a"], ("b",)], types=(list,)), ["a", ("b",)]),
        (FlattenList(["a"]) + ["b"], ["a", "b"]),  # noqa: RUF005
        (Transform(lambda a, b: a + b, Property("x"), b=Interpolate("!%(prop:one)s")), "ex!1"),
        (URLForBuild, "http://bb/1"),
    ],
)
def test_other_renderables(value: Any, expected: Any) -> None:
    assert rendered(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (Property("x") == "ex", True),
        (Property("x") != "ex", False),
        (Property("one") < 2, True),
        (Property("one") <= 0, False),
        (Property("one") > 0, True),
        (Property("one") >= 2, False),
        (Property("one") + 2, 3),
        ("<" + Property("x"), "<ex"),
        (Property("one") - 2, -1),
        (Property("one") * 4, 4),
        (Property("one") / 2, 0.5),
        (Property("one") // 2, 0),
        (Property("one") % 2, 1),
        (Interpolate("%(prop:x)s").in_(["ex", "why"]), True),
        (Property("x") == Interpolate("%(prop:x)s"), True),
        ((Property("one") + 1) * 3, 6),
    ],
)
def test_operators_are_applied_in_the_build(value: Any, expected: Any) -> None:
    assert rendered(value) == expected


def test_an_operator_that_does_not_fit_says_what_it_met() -> None:
    with pytest.raises(RenderingError, match="'ex' and 3"):
        rendered(Property("x") + 3)


def test_membership_in_a_list_asks_whether_it_is_written_the_same_way() -> None:
    command = ["make", Property("x"), Interpolate("%(kw:a)s", a=[1])]
    assert Property("x") in command
    assert Interpolate("%(kw:a)s", a=[1]) in command
    assert Property("y") not in command
    assert "ex" not in command


def test_an_order_has_no_truth_while_the_configuration_is_read() -> None:
    with pytest.raises(TypeError, match="@renderer"):
        bool(Property("one") < 2)


def test_a_renderer_may_answer_in_any_way() -> None:
    @renderer
    def plain(props: Any) -> Any:
        """Says it."""
        return props.getProperty("x")

    @renderer
    async def later(props: Any) -> Any:
        return await waiting(Interpolate("%(prop:x)s!"))

    @renderer
    def deferred(props: Any) -> Any:
        return waiting([Property("one")])

    @renderer
    def with_arguments(props: Any, a: Any, b: Any = None) -> Any:
        return (a, b, props.getProperty("one"))

    assert rendered(plain) == "ex"
    assert vars(plain)["__name__"] == "plain" and plain.__doc__ == "Says it."
    assert rendered(later) == "ex!"
    assert rendered(deferred) == [1]
    assert rendered(with_arguments.withArgs(Property("x")).withArgs(b=Property("one"))) == ("ex", 1, 1)


def test_a_users_own_renderable_works() -> None:
    class Own:
        def getRenderingFor(self, props: Any) -> Any:
            return Property("x")

    assert needs_rendering(Own())
    assert rendered([Own()]) == ["ex"]
    assert not needs_rendering(Own)
    assert rendered(Own) is Own


def test_containers_are_rendered_to_any_depth_and_never_shared() -> None:
    configured = {"a": [1, {"b": (Property("x"),)}], Interpolate("%(prop:one)s"): None}
    result = rendered(configured)
    assert result == {"a": [1, {"b": ("ex",)}], "1": None}
    plain = {"a": ["b"]}
    result = rendered(plain)
    result["a"].append("c")
    assert plain == {"a": ["b"]}
    assert rendered(Stamp(None, Property("x"))) == Stamp(None, "ex")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("value", "answer"),
    [
        ("a", False),
        (["a", 1, None], False),
        ({"a": b"b"}, False),
        (Interpolate("a"), True),
        (["a", [Property("x")]], True),
        ({"a": {"b": Property("x")}}, True),
        (object(), False),
        (str, False),
    ],
)
def test_needs_rendering(value: Any, answer: bool) -> None:
    assert needs_rendering(value) is answer


def test_a_secret_without_provider_is_an_error_that_names_it() -> None:
    for value in (Interpolate("%(secret:token)s"), Secret("token")):
        with pytest.raises(RenderingError, match=r"'token'.*no secret provider"):
            rendered(value)


def test_secrets_come_from_the_build_now_or_later() -> None:
    props = properties(Build(secrets={"now": "s1", "later": waiting("s2")}))
    assert rendered(Interpolate("%(secret:now)s-%(secret:later)s"), props) == "s1-s2"
    assert rendered(Secret("now"), props) == "s1"


def test_outside_a_build_its_facts_are_empty() -> None:
    props = Properties(x=1)
    assert rendered(Interpolate("%(src::branch)s|%(slave:name:-none)s|%(prop:x)s"), props) == "|none|1"


def test_a_build_may_stand_in_for_its_properties() -> None:
    class BuildWithProperties(Build):
        build = None

        def getProperty(self, name: str, default: Any = None) -> Any:
            return properties().getProperty(name, default)

        def hasProperty(self, name: str) -> bool:
            return True

    assert rendered(Interpolate("%(prop:x)s %(src::branch)s"), BuildWithProperties()) == "ex trunk"
