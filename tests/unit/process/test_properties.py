"""Properties: values, sources, and what may be stored."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from buildbot.process.properties import Interpolate, Properties


def test_the_last_one_to_set_a_value_wins_and_is_its_source() -> None:
    properties = Properties()
    properties.setProperty("branch", "a", "Change")
    properties.setProperty("branch", "b", "Force")
    assert properties.getProperty("branch") == properties["branch"] == "b"
    assert properties.getPropertySource("branch") == "Force"


def test_a_property_that_is_not_set_gives_the_default() -> None:
    properties = Properties(none=None, zero=0)
    assert properties.getProperty("missing") is None
    assert properties.getProperty("missing", 7) == 7
    assert properties.getProperty("none", 7) is None
    assert properties.getProperty("zero", 7) == 0
    assert [properties.hasProperty(name) for name in ("missing", "none")] == [False, True]
    assert properties.has_key("zero") and "zero" in properties
    with pytest.raises(KeyError):
        properties["missing"]


def test_lists_and_dictionaries_tell_the_sources() -> None:
    properties = Properties()
    properties.update({"b": 1, "a": [2]}, "Scheduler")
    assert properties.asList() == [("a", [2], "Scheduler"), ("b", 1, "Scheduler")]
    assert Properties.fromDict(properties.asDict()) == properties


@pytest.mark.parametrize("value", ["x", 1, 1.5, True, None, [1, ["a"]], {"a": {"b": None}}, ("a", 1)])
def test_plain_data_is_taken(value: Any) -> None:
    properties = Properties()
    properties.setProperty("p", value, "test")
    assert properties.getProperty("p") == value


@pytest.mark.parametrize("value", [b"x", {1, 2}, object(), float("nan"), datetime.date(2020, 1, 1), Interpolate("x")])
def test_what_json_cannot_hold_is_refused_by_name(value: Any) -> None:
    properties = Properties()
    with pytest.raises(TypeError, match="property 'p' cannot be"):
        properties.setProperty("p", value, "test")
    assert not properties.hasProperty("p")


def test_runtime_properties_are_left_out_on_request() -> None:
    first, rebuild, copy = Properties(), Properties(), Properties()
    first.setProperty("asked", 1, "Force")
    first.setProperty("got_revision", "abc", "Git", runtime=True)
    rebuild.updateFromPropertiesNoRuntime(first)
    copy.updateFromProperties(first)
    assert rebuild.asList() == [("asked", 1, "Force")]
    assert copy == first
    assert copy.runtime == {"got_revision"}


def test_render_gives_a_deferred() -> None:
    rendered: list[Any] = []
    _ = Properties(x=1).render([Interpolate("%(prop:x)s")]).addCallback(rendered.append)
    assert rendered == [["1"]]
