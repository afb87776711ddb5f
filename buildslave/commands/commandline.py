"""What to run and how to show it: the master's `command` argument in all its forms."""

import shlex
from typing import Any, NamedTuple

from buildslave import platform
from buildslave.errors import BadArguments

OBFUSCATED = "obfuscated"


class CommandLine(NamedTuple):
    """`argv` is run, `shown` is written to the log: what is secret is hidden in it."""

    argv: list[str | bytes]
    shown: str


def parse_command(command: Any) -> CommandLine:
    """A string is for the shell, a list is run as it is.

    Lists in a list are flattened; of ("obfuscated", real, fake) the fake is shown.
    """
    if isinstance(command, (str, bytes)):
        word, shown = _word(command)
        return CommandLine(platform.shell_words(word), shown)
    if _is_obfuscated(command):
        return CommandLine(platform.shell_words(_word(command[1])[0]), _word(command[2])[1])
    argv: list[str | bytes] = []
    shown_words: list[str] = []
    _flatten(command, argv, shown_words)
    if not argv:
        raise BadArguments("shell: the command is empty")
    return CommandLine(argv, shlex.join(shown_words))


def _is_obfuscated(item: Any) -> bool:
    return isinstance(item, (list, tuple)) and len(item) == 3 and item[0] == OBFUSCATED


def _flatten(item: Any, argv: list[str | bytes], shown: list[str]) -> None:
    if _is_obfuscated(item):
        argv.append(_word(item[1])[0])
        shown.append(_word(item[2])[1])
    elif isinstance(item, (list, tuple)):
        for each in item:
            _flatten(each, argv, shown)
    else:
        word, text = _word(item)
        argv.append(word)
        shown.append(text)


def _word(item: Any) -> tuple[str | bytes, str]:
    if isinstance(item, bytes):
        if b"\0" not in item:
            return item, item.decode("utf-8", "replace")
    elif isinstance(item, (str, int, float)) and "\0" not in str(item):
        return str(item), str(item)
    raise BadArguments(f"shell: {item!r} cannot be a word of a command")
