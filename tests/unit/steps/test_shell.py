"""The shell family on a real slave: what runs, what it means, and what is seen in its output."""

from __future__ import annotations

import re
from typing import Any

from buildbot.config.errors import ConfigErrors
from buildbot.model import Result
from buildbot.process.properties import Interpolate, Property
from buildbot.process.results import CANCELLED, EXCEPTION, FAILURE, SKIPPED, SUCCESS, WARNINGS
from buildbot.steps.shell import Configure, SetPropertyFromCommand, ShellArg, ShellCommand, ShellSequence
from buildbot.steps.warnings import Compile, Test, WarningCountingShellCommand
from tests.rig import Built, RigCase


class ShellCase(RigCase):
    async def shell(self, command: Any, **options: Any) -> Built:
        options.setdefault("name", "it")
        return await self.run_steps(ShellCommand(command=command, **options))


class TestShellCommand(ShellCase):
    async def test_a_string_is_for_a_shell_and_a_list_is_run_as_it_is(self) -> None:
        assert (await self.shell("echo $((1+1)) *")).text("it") == "2 *\n"
        assert (await self.shell(["echo", "$((1+1))", "a  b"])).text("it") == "$((1+1)) a  b\n"
        assert (await self.shell(["echo", ["x", ["y"]], [], "z"])).text("it") == "x y z\n"

    async def test_a_command_may_be_renderable(self) -> None:
        built = await self.shell(["echo", Interpolate("%(prop:buildername)s"), Property("buildnumber")])
        assert built.text("it") == "b 1\n"

    async def test_exit_codes(self) -> None:
        built = await self.shell("exit 0")
        assert built.results == {"it": SUCCESS}
        built = await self.shell("exit 3")
        assert built.results == {"it": FAILURE}
        assert built.commands("it")[0].outcome["rc"] == 3
        assert "exit code 3" in built.everything("it")

    async def test_decode_rc_says_what_exit_codes_mean(self) -> None:
        meaning = {0: SUCCESS, 1: WARNINGS, 2: SKIPPED, 9: EXCEPTION}
        for code, result in ((0, SUCCESS), (1, WARNINGS), (2, SKIPPED), (3, FAILURE), (9, EXCEPTION)):
            assert (await self.shell(f"exit {code}", decodeRC=meaning)).results == {"it": result}

    async def test_a_program_that_is_not_there(self) -> None:
        built = await self.shell(["/no/such/program"])
        assert built.results == {"it": FAILURE}
        assert "could not be started" in built.everything("it")

    async def test_a_program_killed_by_a_signal_is_a_failure(self) -> None:
        built = await self.shell("kill -9 $$")
        assert built.results == {"it": FAILURE}
        assert built.commands("it")[0].outcome["signal"] == 9

    async def test_the_directory_it_runs_in(self) -> None:
        directory = self.rig.slave_dir()
        assert (await self.shell("pwd")).text("it") == f"{directory}/build\n"
        assert (await self.shell("pwd", workdir="build/deep")).text("it") == f"{directory}/build/deep\n"
        assert (await self.shell("pwd", workdir=Interpolate("x-%(prop:slavename)s"))).text("it").endswith("/x-bot\n")
        built = await self.shell("pwd", workdir="../../../outside")
        assert built.results == {"it": EXCEPTION}

    async def test_too_long_without_output(self) -> None:
        built = await self.shell("echo a; sleep 60", timeout=0.3)
        assert built.results == {"it": FAILURE}
        assert built.step("it").state_text == "'echo a; ...' (failure) (timed out)"
        assert built.commands("it")[0].outcome["reason"] == "timeout_without_output"

    async def test_output_keeps_the_silence_from_counting(self) -> None:
        built = await self.shell("for i in 1 2 3 4; do echo $i; sleep 0.2; done", timeout=0.6)
        assert built.results == {"it": SUCCESS}

    async def test_too_long_in_all(self) -> None:
        built = await self.shell("while true; do echo; sleep 0.05; done", maxTime=0.3)
        assert built.results == {"it": FAILURE}
        assert built.commands("it")[0].outcome["reason"] == "timeout"

    async def test_no_time_limit(self) -> None:
        assert (await self.shell("sleep 0.2", timeout=None)).results == {"it": SUCCESS}

    async def test_too_many_lines(self) -> None:
        built = await self.shell("yes", max_lines=100)
        assert built.results == {"it": FAILURE}
        assert built.commands("it")[0].outcome["reason"] == "max_lines_failure"
        assert built.step("it").state_text == "'yes' (failure) (max lines)"

    async def test_the_environment(self) -> None:
        env = {"A": "1", "LIST": ["x", "y"], "HOME": None, "MORE": "more:${PATH}", "R": Property("buildername")}
        built = await self.shell('echo "$A $LIST ${HOME-none} ${MORE%%:*} $R"; test "$MORE" = "more:$PATH"', env=env)
        assert built.text("it") == "1 x:y none more b\n"
        assert built.results == {"it": SUCCESS}

    async def test_the_builders_environment_comes_below_the_steps(self) -> None:
        step = ShellCommand(name="it", command='echo "$A $B"', env={"B": "step"})
        built = await self.run_steps(step, env={"A": Property("buildername"), "B": "builder"})
        assert built.text("it") == "b step\n"

    async def test_the_environment_is_logged_unless_it_is_not_wanted(self) -> None:
        assert "  PROBE=42\n" in (await self.shell("true", env={"PROBE": "42"})).everything("it")
        assert "PROBE" not in (await self.shell("true", env={"PROBE": "42"}, logEnviron=False)).everything("it")

    async def test_a_terminal_when_it_is_wanted(self) -> None:
        assert (await self.shell("test -t 1 && echo tty || echo pipe")).text("it") == "pipe\n"
        for wanted in (True, 1):
            assert (await self.shell("test -t 1 && echo tty || echo pipe", usePTY=wanted)).text("it") == "tty\r\n"
        assert (await self.shell("test -t 1 && echo tty || echo pipe", usePTY="slave-config")).text("it") == "pipe\n"

    async def test_standard_input(self) -> None:
        assert (await self.shell("cat", initialStdin="given\n")).text("it") == "given\n"
        assert (await self.shell("cat; echo end")).text("it") == "end\n"

    async def test_unwanted_streams_are_left_out(self) -> None:
        assert (await self.shell("echo o; echo e >&2", want_stdout=False)).text("it") == "e\n"
        assert (await self.shell("echo o; echo e >&2", want_stderr=0)).text("it") == "o\n"

    async def test_log_files_are_followed_into_logs_of_their_own(self) -> None:
        built = await self.shell(
            "echo first > a.log; echo out; sleep 0.1; echo second >> a.log",
            logfiles={"a": "a.log", "old": {"filename": "old.log", "follow": True}, "never": "never.log"},
        )
        assert set(built.logs("it")) == {"stdio", "a", "old", "never"}
        assert built.text("it", "a") == "first\nsecond\n"
        assert built.text("it") == "out\n"
        assert built.text("it", "never") == ""

    async def test_lazy_log_files_have_logs_once_something_is_in_them(self) -> None:
        built = await self.shell("echo x > a.log", logfiles={"a": "a.log", "never": "never.log"}, lazylogfiles=True)
        assert set(built.logs("it")) == {"stdio", "a"}
        assert built.text("it", "a") == "x\n"

    async def test_secrets_are_in_no_log_and_no_row(self) -> None:
        built = await self.shell(["sh", "-c", 'test "$0" = open', ("obfuscated", "open", "XXXX")])
        assert built.results == {"it": SUCCESS}
        assert "XXXX" in built.everything("it")
        assert "'open'" not in repr(built.commands("it"))

    async def test_bytes_that_are_no_text_are_kept(self) -> None:
        built = await self.shell(["printf", r"\377\000\n"])
        with self.rig.log_files.read(built.logs("it")["stdio"].path) as reader:
            assert b"\xff\x00\n" in reader.raw(0, reader.size)

    async def test_texts(self) -> None:
        for options, text in (
            ({"command": "true"}, "'true'"),
            ({"command": ["true", "a", "b"]}, "'true a ...'"),
            ({"command": "false"}, "'false' (failure)"),
            ({"command": "true", "description": "testing"}, "testing"),
            ({"command": "true", "description": ["a"], "descriptionDone": ["b", "c"]}, "b c"),
            ({"command": "false", "descriptionDone": "d", "descriptionSuffix": "s"}, "d s (failure)"),
            ({"command": ["true", ("obfuscated", "secret", "XX")]}, "'true XX'"),
        ):
            built = await self.shell(**options)  # type: ignore[arg-type]
            assert built.step("it").state_text == text

    async def test_a_subclass_may_set_the_command_while_it_runs(self) -> None:
        class Late(ShellCommand):
            async def run(self) -> int:
                self.setCommand(["echo", "late"])
                return await super().run()

        assert (await self.run_steps(Late(name="it"))).text("it") == "late\n"

    def test_mistakes_are_said_when_the_configuration_is_read(self) -> None:
        for make, sentence in (
            (lambda: ShellCommand(), "ShellCommand needs a command"),
            (lambda: ShellCommand(command="x", logfile="y"), "no argument 'logfile'"),
            (lambda: ShellSequence(commands=[], command="x"), "ShellSequence has no argument 'command'"),
            (lambda: ShellArg(), "ShellArg needs a command"),
            (lambda: ShellArg("x", flunk=True), "ShellArg has no argument 'flunk'"),
            (lambda: SetPropertyFromCommand(command="x"), "property or extract_fn"),
            (lambda: Compile(warningPattern="("), "not a regular expression"),
        ):
            with self.assertRaises(ConfigErrors) as caught:
                make()  # type: ignore[no-untyped-call]
            assert sentence in str(caught.exception)


class TestShellSequence(ShellCase):
    async def sequence(self, *commands: Any, **options: Any) -> Built:
        return await self.run_steps(ShellSequence(commands=list(commands), name="it", **options))

    async def test_commands_run_one_after_the_other_into_one_log(self) -> None:
        built = await self.sequence(ShellArg(["echo", "a"]), ShellArg("echo b"), ShellArg(["echo", "c"]))
        assert built.text("it") == "a\nb\nc\n"
        assert list(built.logs("it")) == ["stdio"]
        assert built.result is Result.SUCCESS

    async def test_flags_of_each_command(self) -> None:
        built = await self.sequence(ShellArg("exit 1", flunkOnFailure=True), ShellArg("echo on"))
        assert built.results == {"it": FAILURE}
        assert built.text("it") == "on\n"
        built = await self.sequence(ShellArg("exit 1", haltOnFailure=True, flunkOnFailure=True), ShellArg("echo on"))
        assert built.text("it") == ""
        assert (await self.sequence(ShellArg("exit 1"))).results == {"it": FAILURE}
        assert (await self.sequence(ShellArg("exit 1", flunkOnFailure=False))).results == {"it": SUCCESS}
        assert (await self.sequence(ShellArg("exit 1", warnOnFailure=True))).results == {"it": FAILURE}
        warns = ShellArg("exit 1", flunkOnFailure=False, warnOnFailure=True)
        assert (await self.sequence(warns)).results == {"it": WARNINGS}

    async def test_logs_of_their_own_renderables_and_empty_commands(self) -> None:
        built = await self.sequence(
            ShellArg(["echo", Property("buildername")], logname=Interpolate("log-%(prop:buildername)s")),
            ShellArg(Property("missing", default="")),
            ShellArg("echo rest"),
        )
        assert built.text("it", "log-b") == "b\n"
        assert built.text("it") == "rest\n"

    async def test_a_stop_leaves_the_rest_out(self) -> None:
        waiting = self.run_steps_later(
            ShellSequence(commands=[ShellArg("echo begun; sleep 60"), ShellArg("touch ../ran")], name="it")
        )
        await self.rig.until_step_runs("it", "begun\n")
        (build,) = self.rig.running.by_id
        self.rig.control.stop_build(build, "tester", "")
        assert (await waiting).results == {"it": CANCELLED}
        assert not (self.rig.slave_dir() / "ran").exists()

    async def test_what_is_no_shell_arg_is_an_exception(self) -> None:
        built = await self.sequence("echo a")
        assert "util.ShellArg" in built.text("it", "err.text")
        assert len(self.flushLoggedErrors(TypeError)) == 1


class TestWarnings(ShellCase):
    def make(self, text: str, **options: Any) -> WarningCountingShellCommand:
        return WarningCountingShellCommand(name="it", command=["printf", "%s", text], **options)

    async def test_warnings_are_counted_and_kept(self) -> None:
        built = await self.run_steps(self.make("a.c:1: warning: x\nfine\nb.c:2: Warning: y\n"))
        assert built.results == {"it": WARNINGS}
        assert built.text("it", "warnings (2)") == "a.c:1: warning: x\nb.c:2: Warning: y\n"
        assert built.properties["warnings-count"] == 2

    async def test_the_last_line_counts_without_a_newline_and_in_parts(self) -> None:
        command = "printf 'x: warn'; sleep 0.1; printf 'ing: y'"
        built = await self.run_steps(WarningCountingShellCommand(name="it", command=command))
        assert built.properties["warnings-count"] == 1

    async def test_warnings_of_several_steps_are_added_up(self) -> None:
        built = await self.run_steps(self.make("warning: x\n"), self.make("warning: y\nwarning: z\n"))
        assert built.properties["warnings-count"] == 3

    async def test_without_warnings_there_is_no_log(self) -> None:
        built = await self.run_steps(self.make("fine\n"))
        assert built.results == {"it": SUCCESS}
        assert set(built.logs("it")) == {"stdio"}

    async def test_too_many_are_a_failure(self) -> None:
        assert (await self.run_steps(self.make("warning: x\n", maxWarnCount=0))).results == {"it": FAILURE}
        assert (await self.run_steps(self.make("warning: x\n", maxWarnCount=1))).results == {"it": WARNINGS}

    async def test_a_failed_command_stays_a_failure(self) -> None:
        step = WarningCountingShellCommand(name="it", command="echo warning: x; exit 1")
        assert (await self.run_steps(step)).results == {"it": FAILURE}

    async def test_patterns_may_be_strings_compiled_or_renderable(self) -> None:
        for pattern in ("careful", re.compile("careful"), Interpolate("care%(prop:missing:-)sful")):
            built = await self.run_steps(self.make("careful\nwarning: x\n", warningPattern=pattern))
            assert built.properties["warnings-count"] == 1

    async def test_suppressed_warnings_do_not_count(self) -> None:
        def extract(step: Any, line: str, match: Any) -> tuple[str, int, str]:
            file, number, text = line.split(":", 2)
            return file, int(number), text

        text = "a.c:5: warning: one\na.c:50: warning: one\nb.c:5: warning: two\nc.c:1: warning: three\n"
        for suppress, left in (
            ([], 4),
            ([(None, None, None, None)], 0),
            ([("a", None, None, None)], 2),
            ([("a", "one", 1, 10)], 3),
            ([("a", "two", 1, 10)], 4),
            ([(None, "t", None, None)], 2),
        ):
            built = await self.run_steps(self.make(text, warningExtractor=extract, suppressionList=suppress))
            assert built.properties["warnings-count"] == left, suppress

    async def test_directories_of_make_make_file_names_whole(self) -> None:
        def extract(step: Any, line: str, match: Any) -> tuple[str, int, str]:
            file, number, text = line.split(":", 2)
            return file, int(number), text

        text = (
            "make: Entering directory '/src/lib'\na.c:1: warning: x\nmake: Leaving directory '/src/lib'\n"
            "a.c:1: warning: x\n"
        )
        step = self.make(text, warningExtractor=extract, suppressionList=[("^/src/lib/a.c$", None, None, None)])
        assert (await self.run_steps(step)).properties["warnings-count"] == 1

    async def test_suppressions_may_be_in_a_file_of_the_source(self) -> None:
        directory = self.rig.slave_dir() / "build"
        directory.mkdir(parents=True)
        (directory / "quiet").write_text("# known\n\na[.]c : one\n  b[.]c:two : 3-7\nc:x:9\n")
        options: Any = {
            "warningPattern": r"(.*?):(\d+): warning: (.*)",
            "warningExtractor": Compile.warnExtractFromRegexpGroups,
            "suppressionFile": Interpolate("%(kw:name)s", name="quiet"),
        }
        text = "a.c:5: warning: one\na.c:5: warning: two\nb.c:5: warning: two\nb.c:8: warning: two\nc:9: warning: x\n"
        built = await self.run_steps(self.make(text, **options))
        assert built.text("it", "warnings (2)") == "a.c:5: warning: two\nb.c:8: warning: two\n"
        (directory / "quiet").unlink()
        assert (await self.run_steps(self.make(text, **options))).results == {"it": FAILURE}
        (directory / "quiet").write_text("nonsense\n")
        assert "line 1 of the suppressions" in (await self.run_steps(self.make(text, **options))).text("it", "err.text")
        assert len(self.flushLoggedErrors(ValueError)) == 1

    async def test_the_whole_line_may_be_the_warning(self) -> None:
        options: Any = {
            "warningExtractor": Compile.warnExtractWholeLine,
            "suppressionList": [(None, "known", None, None)],
        }
        built = await self.run_steps(self.make("warning: known\nwarning: new\n", **options))
        assert built.properties["warnings-count"] == 1

    async def test_a_pattern_does_not_run_for_ever_on_a_huge_line(self) -> None:
        command = ["python3", "-c", "print('a' * 5_000_000 + ' warning: x')"]
        built = await self.run_steps(WarningCountingShellCommand(name="it", command=command))
        assert built.results == {"it": SUCCESS}


class TestFamily(ShellCase):
    async def test_configure_compile_and_test_have_their_commands_and_texts(self) -> None:
        directory = self.rig.slave_dir() / "build"
        directory.mkdir(parents=True)
        configure = directory / "configure"
        configure.write_text("#!/bin/sh\necho configured\n")
        configure.chmod(0o755)
        (directory / "Makefile").write_text("all:\n\t@echo warning: built\ntest:\n\t@echo tested\n")
        built = await self.run_steps(Configure(), Compile(), Test())
        assert built.results == {"configure": SUCCESS, "compile": WARNINGS, "test": SUCCESS}
        assert built.text("configure") == "configured\n"
        assert "warning: built" in built.text("compile")
        assert built.text("test").endswith("tested\n")
        assert [step.state_text for step in built.steps] == ["configure", "compile (warnings)", "test"]

    async def test_configure_and_compile_stop_the_build_when_they_fail(self) -> None:
        assert (await self.run_steps(Configure(command="false"), Compile())).results == {"configure": FAILURE}
        assert (await self.run_steps(Compile(command="false"), Test())).results == {"compile": FAILURE}

    async def test_a_test_step_tells_its_counts(self) -> None:
        class Mine(Test):
            def evaluateCommand(self, command: Any) -> Any:
                self.setTestResults(total=5, failed=2, passed=3)
                return super().evaluateCommand(command)

        built = await self.run_steps(Mine(command="exit 1"))
        assert built.step("test").state_text == "test (failure): 5 tests 3 passed 2 failed"


class TestSetPropertyFromCommand(ShellCase):
    async def set(self, command: Any, **options: Any) -> Built:
        return await self.run_steps(SetPropertyFromCommand(command=command, name="it", **options))

    async def test_output_becomes_a_property(self) -> None:
        built = await self.set("echo ' value '; echo noise >&2", property="p")
        assert built.properties["p"] == "value"
        assert built.text("it", "property changes") == "p: 'value'\n"
        assert built.step("it").state_text == "property 'p' set"
        assert (await self.set("echo ' value '", property="p", strip=False)).properties["p"] == " value \n"

    async def test_a_failed_command_sets_nothing(self) -> None:
        built = await self.set("echo value; exit 1", property="p")
        assert built.results == {"it": FAILURE}
        assert "p" not in built.properties

    async def test_a_function_gets_what_it_wants_and_sets_several(self) -> None:
        def extract(rc: Any, out: str, err: str) -> dict[str, Any]:
            return {"rc": rc, "out": out, "err": err}

        built = await self.set("echo o; echo e >&2; exit 4", extract_fn=extract)
        assert [built.properties[name] for name in ("rc", "out", "err")] == [4, "o\n", "e\n"]
        assert built.step("it").state_text == "3 properties set (failure)"
        built = await self.set("echo o; echo e >&2", extract_fn=extract, includeStdout=False)
        assert [built.properties[name] for name in ("rc", "out", "err")] == [0, "", "e\n"]
        assert built.step("it").state_text == "3 properties set"

    async def test_a_function_that_raises_is_an_exception(self) -> None:
        built = await self.set("true", extract_fn=lambda rc, out, err: {}[1])
        assert "KeyError" in built.text("it", "err.text")
        assert len(self.flushLoggedErrors(KeyError)) == 1
