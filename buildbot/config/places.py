"""Where a key, or a builder's dict, stands in the user's files: found in their syntax trees, when asked for."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path

from buildbot.config.errors import Location


class KeyPlaces:
    """Finds lines in files. What is looked for: a key of a dict (`title`), or `name=NAME` for the dict of that name."""

    def __init__(self, files: Iterable[str]) -> None:
        self._files = list(files)
        self._found: dict[str, Location] | None = None

    def of(self, key: str) -> Location | None:
        """The last assignment of this key, or else its first place in a dict, in the first file that has it."""
        if self._found is None:
            self._found = {}
            for file in self._files:
                for name, line in _keys_in(file):
                    self._found.setdefault(name, Location(file, line))
        return self._found.get(key)


def _keys_in(file: str) -> Iterator[tuple[str, int]]:
    try:
        tree = ast.parse(Path(file).read_bytes(), file)
    except (OSError, SyntaxError, ValueError):
        return
    nodes = list(ast.walk(tree))
    assigned = [node.slice for node in nodes if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store)]
    for key in sorted(assigned, key=lambda node: -node.lineno):
        yield from _constant(key)
    for node in nodes:
        if isinstance(node, ast.Dict):
            yield from _keys_of_dict(node)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "dict":
            yield from ((keyword.arg, keyword.value.lineno) for keyword in node.keywords if keyword.arg)


def _constant(node: ast.AST | None) -> Iterator[tuple[str, int]]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value, node.lineno


def _keys_of_dict(node: ast.Dict) -> Iterator[tuple[str, int]]:
    for key, value in zip(node.keys, node.values, strict=True):
        yield from _constant(key)
        named = isinstance(key, ast.Constant) and key.value == "name"
        if named and isinstance(value, ast.Constant) and isinstance(value.value, str):
            yield f"name={value.value}", node.lineno
