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


def slave_words() -> Iterator[tuple[str, ...]]:
    """Of `buildslave`: each subcommand; each subcommand with an option and the option's other long spellings."""
    for action in make_parser()._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, parser in action.choices.items():
                yield name, name
                yield from ((name, *long_ones(option.option_strings)) for option in parser._actions)


def master_commands() -> Mapping[str, click.Command]:
    try:
        runner = importlib.import_module("buildbot.scripts.runner")
    except ModuleNotFoundError:
        return {}  # test_the_masters_commands_are_all_there fails for it
    (group,) = {value for value in vars(runner).values() if isinstance(value, click.Group)}
    return group.commands


def master_words() -> Iterator[tuple[str, ...]]:
    """The same of `buildbot`."""
    for name, command in master_commands().items():
        if command.hidden:
            continue
        yield name, name
        options = [parameter for parameter in command.params if isinstance(parameter, click.Option)]
        yield from ((name, *long_ones(option.opts)) for option in options if not option.hidden)


def long_ones(spellings: Iterable[str]) -> list[str]:
    return [text for text in spellings if text.startswith("--") and text != "--help"]


def unsaid(words: Iterable[tuple[str, ...]]) -> set[tuple[str, ...]]:
    """Those of which no spelling is in the manual."""
    return {entry for entry in words if entry[1:] and not any(says(manual(), word) for word in entry[1:])}


def test_the_slaves_command_line_is_in_the_manual() -> None:
    assert unsaid(slave_words()) == set()


def test_the_masters_command_line_is_in_the_manual() -> None:
    assert unsaid(master_words()) == set()


def test_the_masters_commands_are_all_there() -> None:
    promised = "create-master upgrade-master start stop restart reconfig checkconfig sendchange statuslog quickstart"
    promised += " try tryserver backup check"
    assert set(promised.split()) - set(master_commands()) == set()


def test_every_key_of_the_configuration_is_in_the_manual() -> None:
    assert {key for key in {*KEYS, *SAME} if not says(manual(), key)} == set()


def test_a_word_that_only_begins_alike_does_not_count() -> None:
    assert not says("see --password-file", "--password")
    assert says("see `--password`", "--password")
