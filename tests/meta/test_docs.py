"""Whatever a user can say, in a configuration or on a command line, is in the manual."""

from __future__ import annotations

import argparse
import importlib
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache

import click

from buildbot.config.keys import KEYS, SAME
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


def master_commands() -> Mapping[str, click.Command]:
    try:
        runner = importlib.import_module("buildbot.scripts.runner")
    except ModuleNotFoundError:
        return {}  # test_the_masters_commands_are_all_there fails for it
    (group,) = {value for value in vars(runner).values() if isinstance(value, click.Group)}
    return group.commands


def master_words() -> Iterator[tuple[str, str]]:
    """(subcommand, itself or a long option of it) of `buildbot`."""
    for name, command in master_commands().items():
        if command.hidden:
            continue
        yield name, name
        for parameter in command.params:
            yield from ((name, text) for text in parameter.opts if text.startswith("--"))


def unsaid(words: Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
    return {(command, word) for command, word in words if word != "--help" and not says(manual(), word)}


def test_the_slaves_command_line_is_in_the_manual() -> None:
    assert unsaid(slave_words()) == set()


def test_the_masters_command_line_is_in_the_manual() -> None:
    assert unsaid(master_words()) == set()


def test_the_masters_commands_are_all_there() -> None:
    promised = "create-master upgrade-master start stop restart reconfig checkconfig sendchange statuslog quickstart"
    assert set(promised.split()) - set(master_commands()) == set()


def test_every_key_of_the_configuration_is_in_the_manual() -> None:
    assert {key for key in {*KEYS, *SAME} if not says(manual(), key)} == set()


def test_a_word_that_only_begins_alike_does_not_count() -> None:
    assert not says("see --password-file", "--password")
    assert says("see `--password`", "--password")
