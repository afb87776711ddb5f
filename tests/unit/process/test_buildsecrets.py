"""A build's secrets: given to its steps, and nowhere in what is stored of it, whatever its steps try."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import ensureDeferred, succeed
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from buildbot.model import Result
from buildbot.process.buildsecrets import BuildSecrets
from buildbot.process.buildstep import BuildStep
from buildbot.process.properties import Interpolate, Secret
from buildbot.process.rendering import RenderingError
from buildbot.process.results import FAILURE, SUCCESS
from buildbot.secrets.base import SecretProviderBase
from buildbot.steps.shell import ShellCommand
from tests.rig import RigCase

VALUE = "hunter2-é\"'&-secret"


class Provider(SecretProviderBase):
    name = "ours"
    values: dict[str, str] = {"token": VALUE, "second": "another-one", "number": "271828"}

    def get(self, entry: str) -> Any:
        return succeed(self.values.get(entry))


class Noted(SynchronousTestCase):
    def secrets(self, **values: str) -> BuildSecrets:
        made = BuildSecrets(None)
        for name, value in values.items():
            made.note(name, value)
        return made

    def test_texts_and_data(self) -> None:
        secrets = self.secrets(token=VALUE, number="271828")
        self.assertEqual(secrets.mask(f"it is {VALUE}."), "it is <token>.")
        given = {f"a {VALUE}": [VALUE, (VALUE.encode(), 5, None, True)], "n": 271828, "f": 3.5}
        masked = {"a <token>": ["<token>", (b"<token>", 5, None, True)], "n": "<number>", "f": 3.5}
        self.assertEqual(secrets.mask_data(given), masked)
        self.assertNotIn("hunter2", repr(secrets))

    def test_what_is_no_text_at_all_comes_through(self) -> None:
        odd = "\ud800 lone surrogate \udcff"
        self.assertEqual(self.secrets(token=VALUE).mask(odd), odd)
        self.assertIn("<token>", self.secrets(token=VALUE).mask(odd + VALUE))

    def test_without_secrets_the_very_object_comes_back(self) -> None:
        given = {"a": ["b"]}
        self.assertIs(BuildSecrets(None).mask_data(given), given)

    def test_the_mark_in_html_is_no_tag(self) -> None:
        secrets = self.secrets(token=VALUE)
        self.assertEqual(secrets.html_masker().mask(b"<b>another-one</b>"), b"<b>another-one</b>")
        self.assertEqual(secrets.masker(html=True).mask(VALUE.encode()), b"&lt;token&gt;")

    def test_a_short_one_is_told_in_the_log_and_not_masked(self) -> None:
        with capturedLogs() as events:
            secrets = self.secrets(pin="12", empty="")
        (said,) = map(formatEvent, events)
        self.assertIn("the secret 'pin' is shorter than 3 bytes", said)
        self.assertNotIn("12", said)
        self.assertEqual(secrets.mask("12 <> 12"), "12 <> 12")

    def test_without_a_source_it_says_what_to_do(self) -> None:
        failed = self.failureResultOf(ensureDeferred(BuildSecrets(None).get("token")), RenderingError)
        self.assertIn("add one to c['secretsProviders']", failed.getErrorMessage())


class Leaky(BuildStep):
    """Puts a secret wherever a step can put text."""

    renderables = ("value",)

    def __init__(self, value: Any, result: int = SUCCESS, **kwargs: Any) -> None:
        self.value = value
        self.result = result
        super().__init__(**kwargs)

    async def run(self) -> int:
        self.setProperty("plain", self.value)
        self.setProperty("deep", {"list": [f"x{self.value}x", 1], self.value: True}, source=self.value)
        self.setProperty(f"named {self.value}", 1)
        self.addURL(f"link {self.value}", f"http://example.com/?token={self.value}")
        self.description = f"describes {self.value}"
        self.updateSummary()
        assert self.getProperty("plain") == VALUE
        return self.result

    def getCurrentSummary(self) -> dict[str, str]:
        return {"step": f"running with {self.value}"}

    def getResultSummary(self) -> dict[str, str]:
        return {"step": f"done with {self.value}", "build": f"build of {self.value}"}


class Builds(RigCase):
    async def setUp(self) -> None:  # type: ignore[override]
        await super().setUp()
        self.rig.secrets.use([Provider()])

    def stored(self) -> str:
        """Everything that the store holds, as text."""
        tables = self.rig.store.all(lambda name: name, "SELECT name FROM sqlite_master WHERE type = 'table'")
        return "\n".join(
            repr(self.rig.store.all(lambda *values: values, f"SELECT * FROM {name}"))
            for name in tables
            if not name.startswith("sqlite_")
        )

    async def test_steps_get_it_and_the_store_does_not(self) -> None:
        steps = [
            Leaky(Secret("token"), name=Interpolate("step %(secret:token)s")),
            Leaky(Interpolate("%(secret:token)s"), FAILURE, name="fails"),
        ]
        built = await self.run_steps(*steps, properties={"given": Secret("token"), "n": Secret("number")})
        self.assertEqual(built.results, {"step <token>": Result.SUCCESS, "fails": Result.FAILURE})
        self.assertEqual(built.steps[0].state_text, "done with <token>")
        self.assertEqual(built.row.state_text, "failed build of <token> build of <token>")
        self.assertEqual(built.properties["plain"], "<token>")
        self.assertEqual(built.properties["deep"], {"list": ["x<token>x", 1], "<token>": True})
        self.assertEqual((built.properties["given"], built.properties["n"]), ("<token>", "<number>"))
        stored = self.stored()
        self.assertIn("http://example.com/?token=<token>", stored)
        for part in ("hunter2", "271828"):
            self.assertNotIn(part, stored)

    async def test_a_command_gets_it(self) -> None:
        step = ShellCommand(command=["sh", "-c", 'test "$T" = "$0"', Secret("second")], env={"T": Secret("second")})
        built = await self.run_steps(step)
        self.assertEqual(built.result, Result.SUCCESS)

    async def test_one_that_cannot_be_had_ends_the_step_with_a_sentence(self) -> None:
        built = await self.run_steps(ShellCommand(name="run", command=["echo", Secret("missing")]))
        self.assertEqual(built.results, {"run": Result.EXCEPTION})
        said = built.text("run", "err.text")
        self.assertIn("there is no secret 'missing'; asked: ours. Store it there, or correct its name", said)
        self.assertEqual(len(self.flushLoggedErrors(RenderingError)), 1)
