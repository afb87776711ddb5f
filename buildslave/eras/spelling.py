"""How masters of other eras spell what this slave calls otherwise: a command's arguments, its output and its outcome.

A master of 0.9 and later asks for `getWorkerInfo`; it wants text. One of before runs on Python 2: it wants bytes, and
what it says itself comes as bytes.
"""

import codecs
from collections.abc import Mapping
from typing import Any

from buildslave.blocks import Piece
from buildslave.commands.base import Reason
from buildslave.errors import BadArguments

ARGUMENTS = {"shell": {"max_lines": "maxLines", "initial_stdin": "initialStdin"}}
"""By command: their name and ours. What is not here has the same name on both sides."""
RESULTS = {"stat": "stat", "glob": "files", "listdir": "files"}
"""By command: the update that tells its result."""
FAILURE_REASONS = frozenset({Reason.TIMEOUT, Reason.SILENT, Reason.MAX_LINES})
"""Those that such a master knows; that it has interrupted a command itself it need not be told."""
MOST_DEPTH = 50

Update = dict[str, Any]


def as_text(value: Any, depth: int = 0) -> Any:
    """`value` with all bytes in it as text, in a way that gives the same bytes again when a command is run with it."""
    if depth > MOST_DEPTH:
        raise BadArguments("startCommand: the arguments are nested too deep")
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    if isinstance(value, dict):
        return {as_text(key, depth + 1): as_text(each, depth + 1) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(as_text(each, depth + 1) for each in value)
    return value


def our_arguments(command: str, args: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments by the names that our commands know them by."""
    names = ARGUMENTS.get(command, {})
    return {names.get(name, name): value for name, value in args.items()}


class Updates:
    """One command's output and outcome as the updates that a master of another era takes."""

    def __init__(self, command: str, encoding: str | None) -> None:
        """`encoding` is that of the output: it is sent as text. None: it is sent as the bytes it is."""
        self._command = command
        self._encoding = encoding
        self._decoders: dict[str, codecs.IncrementalDecoder] = {}

    def output(self, pieces: list[Piece]) -> list[Update]:
        """Some pieces, in their order. A character that is not yet whole waits for its rest."""
        made: list[Update] = []
        for stream, data in pieces:
            assert isinstance(stream, str) and isinstance(data, bytes)
            made += self._told(stream, self._decode(stream, data), final=False)
        return made

    def end(self, outcome: Mapping[str, Any]) -> list[Update]:
        """What is left of the output, and how the command ended."""
        left: list[Update] = []
        for stream in self._decoders:
            left += self._told(stream, self._decode(stream, b"", final=True), final=True)
        told: list[Update] = []
        if outcome["reason"] in FAILURE_REASONS:
            told.append({"failure_reason": outcome["reason"]})
        name = RESULTS.get(self._command)
        if name is not None and outcome["result"] is not None:
            told.append({name: self.result(outcome["result"])})
        rc = -1 if outcome["rc"] is None else outcome["rc"]
        return [*left, *told, {"rc": rc}, {"elapsed": outcome["elapsed"]}]

    def value(self, stream: str, text: str | bytes, *, final: bool) -> Any:
        """What is told of this much more output of a stream; nothing, if that is empty. `final`: there is no more."""
        return text

    def result(self, found: Any) -> Any:
        """What is told of the result."""
        return found

    def _told(self, stream: str, text: str | bytes, *, final: bool) -> list[Update]:
        value = self.value(stream, text, final=final)
        kind, _, name = stream.partition(":")
        return [{"log": (name, value)} if kind == "log" else {stream: value}] if value else []

    def _decode(self, stream: str, data: bytes, *, final: bool = False) -> str | bytes:
        if self._encoding is None:
            return data
        decoder = self._decoders.get(stream)
        if decoder is None:
            decoder = self._decoders[stream] = codecs.getincrementaldecoder(self._encoding)("replace")
        return decoder.decode(data, final)
