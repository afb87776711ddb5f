"""A build's secrets: given to its steps, and nowhere in what is stored of it, whatever its steps try."""

from __future__ import annotations

import sys
from typing import Any

from twisted.internet.defer import ensureDeferred, succeed
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from buildbot.model import Result
from buildbot.process.buildsecrets import BuildSecrets
from buildbot.process.buildstep import BuildStep
from buildbot.process.masking import Masker
from buildbot.process.observers import LineConsumerLogObserver, LogLineObserver
from buildbot.process.properties import Interpolate, Secret
from buildbot.process.rendering import RenderingError
from buildbot.process.results import FAILURE, SUCCESS
from buildbot.process.steplog import StepLog
from buildbot.secrets.base import SecretProviderBase
from buildbot.steps.shell import ShellCommand
from buildbot.store.logfiles import Channel
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


class Writes(BuildStep):
    """Writes a secret into logs, in halves, and watches one."""

    renderables = ("value",)

    def __init__(self, value: Any, **kwargs: Any) -> None:
        self.value = value
        super().__init__(**kwargs)

    async def run(self) -> int:
        lines: list[str] = []
        self.addLogObserver("halves", LogLineObserver())
        observer = LineConsumerLogObserver(lambda: self.take(lines))
        self.addLogObserver(f"log {self.value}", observer)
        halves = self.addLog("halves")
        for half in (self.value[:4], self.value[4:], " ano\n"):
            halves.addStdout(half)
        watched = self.addLog(f"log {self.value}")
        watched.addStdout(f"{self.value}\n")
        self.addHTMLLog("page", f"<b>{self.value}</b>")
        self.addCompleteLog("seen", "".join(lines))
        raise ValueError(self.value)

    @staticmethod
    def take(lines: list[str]) -> Any:
        while True:
            _, line = yield
            lines.append(f"{line}\n")


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

    async def test_output_in_pieces_on_both_channels(self) -> None:
        pieces = """import os, time
for letter in os.environ["T"]:
    os.write(1, letter.encode()); os.write(2, b"."); time.sleep(.02)"""
        step = ShellCommand(name="run", command=[sys.executable, "-c", pieces], env={"T": Secret("second")})
        built = await self.run_steps(step)
        channels = self.channels(built, "run")
        self.assertEqual(channels[Channel.STDOUT], b"<second>")
        self.assertEqual(channels[Channel.STDERR], b"." * len("another-one"))
        self.assertIn(b"T=<second>", channels[Channel.HEADER])
        self.assertNotIn("another-one", self.stored())

    async def test_what_only_looks_like_a_secret_is_whole(self) -> None:
        for printed in ("another-on", "a", "another-two another-one-", "x" * 70_000 + "another"):
            script = f"print({printed!r}, end='')"
            step = ShellCommand(name="run", command=[sys.executable, "-c", script], env={"T": Secret("second")})
            built = await self.run_steps(step)
            whole = printed.replace("another-one", "<second>")
            self.assertEqual(self.channels(built, "run")[Channel.STDOUT].decode(), whole)

    async def test_observers_and_logs_of_the_step_itself(self) -> None:
        built = await self.run_steps(Writes(Secret("second"), name="writes"))
        self.assertEqual(built.text("writes", "halves"), "<second> ano\n")
        self.assertEqual(built.text("writes", "page"), "<b>&lt;second&gt;</b>")
        self.assertEqual(built.text("writes", "seen"), "<second>\n")
        self.assertIn("ValueError: <second>", built.text("writes", "err.text"))
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
        self.assertNotIn("another-one", self.stored())
        for path in (self.rig.base / "logs").rglob("*"):
            self.assertNotIn("another-one", str(path))
            if path.is_file():
                self.assertNotIn(b"another-one", path.read_bytes())

    async def test_a_log_that_is_gone_on_with_after_a_restart(self) -> None:
        built = await self.run_steps(Leaky(VALUE, name="s"))
        masker = Masker({b"another-one": b"<second>"})
        seen: list[str] = []

        class Seen:
            def got(self, channel: Channel, text: str) -> None:
                seen.append(text)

            def command_ended(self) -> None: ...

            def ended(self) -> None: ...

        def log() -> StepLog:
            made = StepLog(
                store=self.rig.store,
                files=self.rig.log_files,
                step=built.step("s").id,
                name="l",
                slug="l",
                kind="stream",
                path="b/1/s-l.txt",
                now=self.rig.now,
                masker=lambda: masker,
            )
            made.watch(Seen())
            return made

        words = ["it is another", "-one, ", "ano"]
        before = log()
        for word in words[:1]:
            before.addStdout(word)
        before.addHeader("header\n")
        before.leave()
        for _ in range(2):  # the second time, everything is there
            seen.clear()
            after = log()
            after.addStdout(words[0])
            after.addHeader("header\n")
            for word in words[1:]:
                after.addStdout(word)
            after.close()
            self.assertEqual("".join(seen).replace("header\n", ""), "it is <second>, ano")
        text = (self.rig.base / "logs" / "b/1/s-l.txt").read_text()
        self.assertEqual(text, "it is header\n<second>, ano")

    def channels(self, built: Any, step: str) -> dict[Channel, bytes]:
        found: dict[Channel, bytes] = dict.fromkeys(Channel, b"")
        with self.rig.log_files.read(built.logs(step)["stdio"].path) as reader:
            for run, data in reader.pieces(0, reader.size):
                found[run.channel] += data
        return found

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
