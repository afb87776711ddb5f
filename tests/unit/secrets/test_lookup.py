"""Whom the lookup asks, what it keeps, and what it says when there is nothing to give."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, ensureDeferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from buildbot.process.properties import Interpolate, Property, Secret
from buildbot.process.rendering import RenderingError
from buildbot.secrets.base import ProviderFailed, SecretProblem, SecretProviderBase
from buildbot.secrets.lookup import KEPT_SECONDS, MOST_BYTES, PROVIDER_SECONDS, Secrets


class Given(SecretProviderBase):
    """Answers with what `answer(name)` gives."""

    def __init__(self, answer: Callable[[str], Any], name: str = "given") -> None:
        super().__init__(name=name)
        self.answer = answer
        self.asked: list[str] = []

    def get(self, entry: str) -> Any:
        self.asked.append(entry)
        return self.answer(entry)


def known(**values: Any) -> Given:
    return Given(values.get)


class Lookup(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.secrets = Secrets(self.clock)

    def ask(self, *providers: Any, name: str = "x") -> Deferred[str]:
        self.secrets.use(providers)
        return ensureDeferred(self.secrets.get(name))

    def got(self, *providers: Any, name: str = "x") -> str:
        return self.successResultOf(self.ask(*providers, name=name))

    def problem(self, *providers: Any, name: str = "x") -> str:
        return str(self.failureResultOf(self.ask(*providers, name=name), RenderingError).value)

    def test_the_first_that_knows_the_name_wins(self) -> None:
        last = known(x="three")
        self.assertEqual(self.got(known(y="one"), known(x="two"), last), "two")
        self.assertEqual(last.asked, [])

    def test_a_provider_may_answer_in_every_way(self) -> None:
        async def later(name: str) -> str:
            return await succeed("coroutine")

        for answer, value in (
            (lambda name: "plain", "plain"),
            (lambda name: b"bytes", "bytes"),
            (lambda name: succeed("deferred"), "deferred"),
            (later, "coroutine"),
            (lambda name: "", ""),
        ):
            self.assertEqual(self.got(Given(answer)), value)

    def test_a_class_of_a_users_own_needs_get_alone(self) -> None:
        class Mine:
            def get(self, entry: str) -> str:
                return entry.upper()

        self.assertEqual(self.got(Mine()), "X")

    def test_arguments_go_to_the_methods_of_a_service(self) -> None:
        told: list[Any] = []

        class Service(SecretProviderBase):
            name = "service"

            def checkConfig(self, where: str, port: int = 0) -> None:
                told.append(("check", where, port))

            async def reconfigService(self, where: str, port: int = 0) -> None:
                await succeed(None)
                self.where = f"{where}:{port}"

            def get(self, entry: str) -> str:
                return self.where

        service = Service("there", port=1)
        self.assertEqual(told, [("check", "there", 1)])
        self.assertEqual(self.got(service), "there:1")
        self.assertIs(service.reactor, self.clock)

    def test_without_providers_and_with_an_unknown_name_it_says_what_to_do(self) -> None:
        none = "the secret 'x' is wanted, but there is no secret provider: add one to c['secretsProviders']"
        self.assertEqual(self.problem(), none)
        self.assertIn("there is no secret 'x'; asked: given, given. Store it there", self.problem(known(), known()))

    def test_a_provider_that_fails_is_not_passed_over(self) -> None:
        def fails(name: str) -> str:
            raise ProviderFailed("is out of order")

        self.assertEqual(
            self.problem(Given(fails), known(x="other")), "the secret 'x' cannot be had: given is out of order"
        )

    def test_a_bug_of_a_provider_is_in_the_log(self) -> None:
        def fails(name: str) -> str:
            raise ZeroDivisionError("hunter2")

        problem = self.problem(Given(fails))
        self.assertEqual(
            problem, "the secret 'x' cannot be had: given failed with ZeroDivisionError; the master's log says more"
        )
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_values_that_cannot_be(self) -> None:
        for value, words in ((5, "gave int"), (b"\xff", "not UTF-8"), ("a" * (MOST_BYTES + 1), "at most")):
            self.assertIn(words, self.problem(known(x=value)))

    def test_a_provider_that_hangs_is_given_up(self) -> None:
        waiting: Deferred[str] = Deferred()
        asked = self.ask(Given(lambda name: waiting), known(x="other"))
        self.clock.advance(PROVIDER_SECONDS - 1)
        self.assertNoResult(asked)
        self.clock.advance(1)
        failed = self.failureResultOf(asked, SecretProblem)
        self.assertEqual(failed.getErrorMessage(), "the secret 'x' cannot be had: given did not answer within 30 s")

    def test_one_answer_serves_all_who_wait(self) -> None:
        waiting: Deferred[str] = Deferred()
        provider = Given(lambda name: waiting)
        first = self.ask(provider)
        second, third = (ensureDeferred(self.secrets.get("x")) for _ in range(2))
        second.addErrback(lambda _: None)  # type: ignore[unused-awaitable]
        second.cancel()
        waiting.callback("hunter2")
        self.assertEqual([self.successResultOf(each) for each in (first, third)], ["hunter2"] * 2)
        self.assertEqual(provider.asked, ["x"])

    def test_a_value_is_kept_for_a_short_time(self) -> None:
        values = iter(["one", "two", "three"])
        provider = Given(lambda name: next(values))
        self.assertEqual(self.got(provider), "one")
        self.clock.advance(KEPT_SECONDS - 1)
        self.assertEqual(self.successResultOf(ensureDeferred(self.secrets.get("x"))), "one")
        self.clock.advance(1)
        self.assertEqual(self.successResultOf(ensureDeferred(self.secrets.get("x"))), "two")
        self.assertEqual(self.got(provider), "three")  # a reconfiguration forgets

    def test_the_masters_log_shows_none_of_them(self) -> None:
        self.assertEqual(self.secrets.mask("hunter2"), "hunter2")
        self.got(known(x="hunter2"))
        self.assertEqual(self.secrets.mask("it is hunter2, 'hunter2'"), "it is <x>, '<x>'")
        self.assertNotIn("hunter2", repr(self.secrets))

    def test_outside_of_builds(self) -> None:
        self.secrets.use([known(x="hunter2", empty="")])

        def text(value: Any) -> Deferred[str]:
            return ensureDeferred(self.secrets.text(value, "passwd of the source"))

        self.assertEqual(self.successResultOf(text("as it is")), "as it is")
        self.assertEqual(self.successResultOf(text(Secret("x"))), "hunter2")
        self.assertEqual(self.successResultOf(text(Interpolate("a-%(secret:x)s"))), "a-hunter2")
        for value, words in (
            (Secret("y"), "passwd of the source: there is no secret 'y'"),
            (Secret("empty"), "passwd of the source comes to nothing"),
            (Property("y"), "passwd of the source: there is no property 'y', because this belongs to no build"),
        ):
            self.assertIn(words, self.failureResultOf(text(value), SecretProblem).getErrorMessage())
