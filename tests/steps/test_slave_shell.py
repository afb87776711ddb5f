"""Options of the `shell` command that need a real process, beside those of the unit tests."""

from __future__ import annotations

import os
import sys

from tests.unit.buildslave.cases import SlaveCase


class Shell(SlaveCase):
    async def said(self, id: str = "1", **args: object) -> bytes:
        await self.master.run(id, "shell", **args)
        text: bytes = self.master.log(id).text("stdout")
        return text

    async def test_every_form_of_a_command(self) -> None:
        for number, (command, expected) in enumerate(
            (
                ("echo 'a  b' | cat", b"a  b\n"),
                (b"printf '\xff\\n'", b"\xff\n"),
                (["printf", "%s-", "a b", "$HOME"], b"a b-$HOME-"),
                (["printf", ["%s-", [b"\xfe", 3]], "x"], b"\xfe-3-x-"),
                (["echo", ("obfuscated", "real", "fake")], b"real\n"),
            )
        ):
            self.assertEqual(await self.said(str(number), command=command), expected)

    async def test_a_line_of_any_length_and_one_without_end(self) -> None:
        program = "import sys; sys.stdout.write('x' * 20_000_000 + chr(10) + 'no end')"
        got = await self.said(command=[sys.executable, "-c", program], maxLines=1)
        self.assertEqual((len(got), got[:2], got[-8:]), (20_000_007, b"xx", b"x\nno end"))
        self.assertEqual(self.master.outcomes["1"]["rc"], 0)

    async def test_input_without_a_last_newline_ends_on_a_terminal_too(self) -> None:
        for number, given in enumerate(("no newline", "with one\n", "")):
            got = await self.said(str(number), command=["cat"], usePTY=True, initialStdin=given, timeout=10)
            self.assertEqual(self.master.outcomes[str(number)]["rc"], 0, given)
            self.assertIn(given.strip().encode(), got)

    async def test_variables(self) -> None:
        env = {"A": "x:${PATH}", "B": ["p", "q"], "HOME": None, "N": 5, "M": "${NO_SUCH}."}
        got = await self.said(command='echo "$A|$B|${HOME-gone}|$N|$M"', env=env)
        self.assertEqual(got.decode(), f"x:{os.environ['PATH']}|p{os.pathsep}q|gone|5|.\n")

    async def test_what_old_masters_send_besides_is_taken(self) -> None:
        got = await self.said(command="cat; echo end", initial_stdin="in ", keepStdout=True, keep_stdin_open=0)
        self.assertEqual(got, b"in end\n")

    async def test_a_lazy_log_is_empty_until_something_comes(self) -> None:
        await self.said(command="true", logfiles={"late": {"filename": "late.log", "follow": True}})
        self.assertNotIn("log:late", {stream for stream, _ in self.master.log("1").pieces})
