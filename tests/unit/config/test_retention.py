"""What a configuration says about keeping: c['retention'], the horizons, the janitor."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from buildbot.config import ConfigErrors
from buildbot.config.builder import BuilderConfig
from buildbot.config.retention import DAY, JanitorConfigurator, Keep, RetentionPlan, plan_of
from buildbot.process.factory import BuildFactory


def builder(name: str, *tags: str, **more: Any) -> BuilderConfig:
    return BuilderConfig(name=name, slavenames=["s"], factory=BuildFactory(), tags=list(tags), **more)


BUILDERS = [builder("fast", "linux"), builder("slow", "linux", "nightly"), builder("odd")]


def plan(**values: Any) -> RetentionPlan:
    return plan_of(values, BUILDERS, lambda key: None)


class TestRules(SynchronousTestCase):
    def test_the_first_rule_for_a_builder_decides(self) -> None:
        rules = [Keep("builds", newest=5, builders="slow"), Keep("builds", newest=9, tags=["linux"])]
        made = plan(retention=rules, buildHorizon=100)
        found = {each.name: made.rule("builds", each.name, each.tags) for each in BUILDERS}
        self.assertEqual(
            {name: rule and rule.newest for name, rule in found.items()}, {"fast": 9, "slow": 5, "odd": 100}
        )
        self.assertIsNone(made.rule("logs", "fast", ["linux"]))

    def test_rules_are_told_as_they_are_written(self) -> None:
        self.assertEqual(repr(Keep("logs", days=30, tags=["a"])), "Keep('logs', days=30, tags=['a'])")
        self.assertEqual(repr(plan(logHorizon=7).rules[0]), "logHorizon = 7")
        self.assertEqual(Keep("logs", days=timedelta(hours=12)).seconds, DAY / 2)

    def test_mistakes(self) -> None:
        for wrong in (
            lambda: Keep("bulids", newest=1),
            lambda: Keep("builds"),
            lambda: Keep("builds", newest=-1),
            lambda: Keep("builds", newest=True),
            lambda: Keep("builds", days=0),
            lambda: Keep("builds", days="30"),
            lambda: Keep("changes", newest=5, builders=["a"]),
            lambda: Keep("builds", newest=5, builders=[3]),
            lambda: plan(retention=[Keep("builds", newest=5, builders=["fsat"])]),
            lambda: plan(retention=[Keep("builds", newest=5, tags=["linus"])]),
            lambda: plan(retention=["builds"]),
            lambda: plan(configurators=[object()]),
            lambda: plan(buildHorizon=10, logHorizon=11),
            lambda: JanitorConfigurator(),
            lambda: JanitorConfigurator(logHorizon=timedelta(weeks=1), hour=25),
            lambda: builder("x", logHorizon=-1),
        ):
            with self.assertRaises(ConfigErrors):
                wrong()


class TestOlderWords(SynchronousTestCase):
    def test_horizons_count(self) -> None:
        made = plan(buildHorizon=100, logHorizon=40, eventHorizon=50, changeHorizon=200)
        self.assertEqual(
            {rule.what: rule.newest for rule in made.rules}, {"builds": 100, "logs": 40, "changes": 200, "events": 150}
        )

    def test_nothing_and_no_mean_for_ever(self) -> None:
        self.assertEqual(plan(buildHorizon=0, logHorizon=False, changeHorizon=0).rules, ())

    def test_a_builder_of_its_own(self) -> None:
        made = plan_of({"buildHorizon": 10}, [builder("a", buildHorizon=3), builder("b")], lambda key: None)
        self.assertEqual([made.rule("builds", name).newest for name in ("a", "b")], [3, 10])  # type: ignore[union-attr]

    def test_the_janitor(self) -> None:
        made = plan(configurators=[JanitorConfigurator(logHorizon=timedelta(weeks=4), hour=12, dayOfWeek=6)])
        rule = made.rule("logs", "fast")
        assert rule is not None
        self.assertEqual(rule.seconds, 28 * DAY)
        self.assertIsNone(made.rule("data", "fast"))
        both = plan(configurators=[JanitorConfigurator(logHorizon=3, build_data_horizon=timedelta(weeks=1))])
        self.assertEqual([both.rule(what, "fast").seconds for what in ("logs", "data")], [3 * DAY, 7 * DAY])  # type: ignore[union-attr]
        saturday = time.mktime((2026, 5, 2, 13, 0, 0, 0, 0, -1))
        due = time.localtime(made.next_after(saturday))
        self.assertEqual((due.tm_wday, due.tm_mday, due.tm_hour, due.tm_min), (6, 3, 12, 0))

    def test_the_janitors_hours_are_for_the_janitor_alone(self) -> None:
        janitor = JanitorConfigurator(logHorizon=timedelta(weeks=4), hour=12)
        made = plan(configurators=[janitor], changeHorizon=5)
        self.assertEqual(made.next_after(1000.0), 4600.0)
        self.assertEqual(len(made.rules), 2)
