"""The numbers by which code of 0.7 and 0.8 knows what a piece of a log is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from buildbot.store.logfiles import Channel

STDOUT: Final = 0
STDERR: Final = 1
HEADER: Final = 2
ChunkTypes: Final = ["stdout", "stderr", "header"]  # indexed by the number

NUMBERS: Final[Mapping[Channel, int]] = {Channel.STDOUT: STDOUT, Channel.STDERR: STDERR, Channel.HEADER: HEADER}
CHANNELS: Final[Mapping[int, Channel]] = {number: channel for channel, number in NUMBERS.items()}
