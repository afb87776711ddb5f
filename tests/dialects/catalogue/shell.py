"""Steps that run a program and look at its output."""

from __future__ import annotations

from typing import Any

from buildbot.process.properties import Property
from buildbot.process.results import FAILURE, SUCCESS, WARNINGS
from buildbot.steps.shell import Configure, SetPropertyFromCommand, ShellArg, ShellCommand, ShellSequence, TreeSize
from buildbot.steps.warnings import Compile, PerlModuleTest, Test, WarningCountingShellCommand
from tests.dialects.catalogue.case import Here, case
from tests.tools import require_tool


@case(ShellCommand, ShellSequence, SetPropertyFromCommand, TreeSize)
async def programs(here: Here) -> None:
    def extract(rc: int | None, stdout: str, stderr: str) -> dict[str, Any]:
        return {"code": rc, "out": stdout.strip(), "err": stderr.strip()}

    script = "echo $WORD $0; echo told > told.log; sleep .2; cat >&2; exit 3"
    here.put({"big": "x" * 100_000})
    built = await here.run_steps(
        ShellCommand(
            command=["sh", "-c", [script], Property("buildername")], env={"WORD": "word"}, decodeRC={3: WARNINGS},
            logfiles={"told": "told.log"}, lazylogfiles=True, initialStdin="given\n", warnOnWarnings=True,
        ),
        ShellSequence(
            commands=[
                ShellArg(command=["echo", "one"], logname="first"),
                ShellArg(command=[]),
                ShellArg(command="echo two; exit 1", flunkOnFailure=False, warnOnFailure=True),
                ShellArg(command="echo three; exit 1", logname="third", haltOnFailure=True),
                ShellArg(command="echo never", logname="fourth"),
            ],
            haltOnFailure=False, flunkOnFailure=False,
        ),
        SetPropertyFromCommand(command="echo ' seen '", property="seen"),
        SetPropertyFromCommand(command="echo ' it '", property="kept", strip=False, name="kept"),
        SetPropertyFromCommand(command="echo 1; echo 2 >&2", extract_fn=extract, name="extracted"),
        TreeSize(),
    )  # fmt: skip
    told = {step.name: (step.result, step.state_text) for step in built.steps}
    assert told["shell"][0] == WARNINGS
    assert "word b\n" in built.text("shell")
    assert "given\n" in built.text("shell")
    assert built.text("shell", "told") == "told\n"
    assert told["shell_sequence"][0] == FAILURE, built.everything("shell_sequence")
    assert (built.text("shell_sequence", "first"), built.text("shell_sequence")) == ("one\n", "two\n")
    assert set(built.logs("shell_sequence")) == {"first", "stdio", "third"}
    found = built.properties
    assert (found["seen"], found["kept"], found["code"], found["out"], found["err"]) == ("seen", " it \n", 0, "1", "2")
    assert 90 < found["tree-size-KiB"] < 300
    assert told["treesize"] == (SUCCESS, f"treesize {found['tree-size-KiB']} KiB")


@case(Configure, Compile, Test, WarningCountingShellCommand)
async def a_project_of_make(here: Here) -> None:
    require_tool("gcc", "gcc")
    here.put(
        {
            "configure": "#!/bin/sh\necho configured $1\n",
            "Makefile": "all:\n\t$(MAKE) -w -C lib\ntest:\n\t@echo 3 passed; exit 2\n",
            "lib/Makefile": "all:\n\tgcc -Wall -c a.c\n",
            "lib/a.c": "int f(void) { int unused; int known; return 0; }\n",
            "quiet": "a[.]c : known\n",
        }
    )
    (here.work / "configure").chmod(0o755)
    built = await here.run_steps(
        Configure(command=["./configure", "--it"]),
        Compile(
            warningPattern=r"(.*?):(\d+):\d+: warning: (.*)",
            warningExtractor=Compile.warnExtractFromRegexpGroups,
            suppressionList=[(r".*/build/lib/a\.c$", "known", 1, 1)],
            env={"LC_ALL": "C", "MAKEFLAGS": None},
        ),
        WarningCountingShellCommand(
            name="counting",
            command="echo 'a.c:1: warning: known'; echo 'a.c:2: warning: new' >&2; echo 'b.c:3: warning: more'",
            suppressionFile="quiet",
            warningPattern=r"(.*?):(\d+): warning: (.*)",
            warningExtractor=Compile.warnExtractFromRegexpGroups,
            maxWarnCount=1,
            flunkOnFailure=False,
        ),
        Test(),
    )
    assert list(built.results.values()) == [SUCCESS, WARNINGS, FAILURE, FAILURE], built.everything("compile")
    assert built.text("configure") == "configured --it\n"
    assert "'unused'" in built.text("compile", "warnings (1)").replace("‘", "'").replace("’", "'")
    assert sorted(built.text("counting", "warnings (2)").splitlines()) == [
        "a.c:2: warning: new", "b.c:3: warning: more"
    ]  # fmt: skip
    assert built.properties["warnings-count"] == 3
    assert built.text("test").startswith("3 passed\n")
    assert built.step("test").state_text == "test (failure)"


@case(PerlModuleTest)
async def tests_of_perl(here: Here) -> None:
    require_tool("prove", "perl")
    here.put({"lib/Mine.pm": "1;\n"})
    here.put({"t/a.t": 'print "1..3\\nok 1\\nok 2\\nok 3\\n";', "t/b.t": 'print "1..2\\nok 1\\nnot ok 2\\n";'})
    built = await here.run_steps(PerlModuleTest())
    assert built.results == {"test": FAILURE}
    assert built.step("test").state_text == "test (failure): 5 tests 4 passed 1 failed"
    (here.work / "t" / "b.t").unlink()
    built = await here.run_steps(PerlModuleTest())
    assert built.results == {"test": SUCCESS}
    assert built.step("test").state_text == "test: 3 tests 3 passed"
