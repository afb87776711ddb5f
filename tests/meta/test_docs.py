"""Whatever a user can say, in a configuration or on a command line, is in the manual."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator, Mapping
from functools import cache

import click
import pytest

from buildbot.config.keys import KEYS, SAME
from buildbot.scripts import runner as master_commands
from buildslave.scripts.runner import make_parser
from tests.tools import ROOT


@cache
def manual(pages: str = "*") -> str:
    return "\n".join(page.read_text() for page in sorted((ROOT / "docs" / "manual").glob(f"{pages}.md")))


def says(text: str, word: str) -> bool:
    return re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-])", text) is not None


def slave_words() -> Iterator[tuple[str, str]]:
    """(subcommand, itself or a long option of it) of `buildslave`."""
    for action in make_parser()._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, parser in action.choices.items():
                yield name, name
                for option in parser._actions:
                    yield from ((name, text) for text in option.option_strings if text.startswith("--"))


def master_group() -> click.Group:
    (group,) = {value for value in vars(master_commands).values() if isinstance(value, click.Group)}
    return group


def master_words() -> Iterator[tuple[str, str]]:
    """(subcommand, itself or a long option of it) of `buildbot`."""
    commands: Mapping[str, click.Command] = master_group().commands
    for name, command in commands.items():
        if command.hidden:
            continue
        yield name, name
        for parameter in command.params:
            yield from ((name, text) for text in parameter.opts if text.startswith("--"))


@pytest.mark.parametrize(("command", "word"), sorted(set(slave_words())))
def test_the_slaves_command_line_is_in_the_manual(command: str, word: str) -> None:
    assert says(manual(), word) or word == "--help"


@pytest.mark.parametrize(("command", "word"), sorted(set(master_words())))
def test_the_masters_command_line_is_in_the_manual(command: str, word: str) -> None:
    assert says(manual(), word) or word == "--help"


def test_the_masters_commands_are_all_there() -> None:
    promised = "create-master upgrade-master start stop restart reconfig checkconfig sendchange statuslog quickstart"
    assert set(promised.split()) <= set(master_group().commands)


@pytest.mark.parametrize("key", sorted({*KEYS, *SAME}))
def test_every_key_of_the_configuration_is_in_the_manual(key: str) -> None:
    assert says(manual(), key)


def test_a_word_that_only_begins_alike_does_not_count() -> None:
    assert not says("see --password-file", "--password")
    assert says("see `--password`", "--password")
