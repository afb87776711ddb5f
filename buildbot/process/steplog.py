"""A log of a running step: its row, its file, and who watches it grow."""

from __future__ import annotations

import re
from codecs import getincrementaldecoder
from collections.abc import Callable, Generator, Iterator
from typing import Any, Protocol

from buildbot.model import BuildID, LogID, StepID
from buildbot.process.journal import Diverged
from buildbot.process.logchannels import CHANNELS
from buildbot.process.logreading import ReadableLog, Subscriber
from buildbot.process.masking import MaskedStream, Masker
from buildbot.store import Store
from buildbot.store import logs as log_rows
from buildbot.store.logfiles import STEP_ITSELF, THE_LIMIT, Channel, Limit, LogFiles


def close_left_open(store: Store, files: LogFiles, now: float, build: BuildID | None = None) -> None:
    """Close the logs that steps of the past left open, of one build or of all, where they end."""
    for log in log_rows.left_open(store, build):
        writer = files.write(log.path)
        store.transact(log_rows.finish, log.id, writer.size, writer.lines, now)
        writer.close()


class Done:
    """What a call that is already done returns, for callers that `await` or `yield` it."""

    def __await__(self) -> Generator[Any, Any, None]:
        yield from ()


DONE = Done()


class Watcher(Protocol):
    """Whoever is told of text as it comes (buildbot.process.observers)."""

    def got(self, channel: Channel, text: str) -> None: ...

    def command_ended(self) -> None: ...

    def ended(self) -> None: ...


def slug_of(name: str) -> str:
    """A log's name in URLs: letters, digits and `._-`, as in `stdio` or `test.log`."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", name).strip(".")[:60] or "log"


class StepLog(ReadableLog):
    """One log. Awaiting it gives itself, because Buildbot's newer steps await what `addLog` returns.

    kind: "stream" (channels), "text" or "html". encoding: of text that is added, and of bytes that observers see.

    When the step's code runs again after a restart, the log is there already. What the step itself writes is then
    compared with nothing but the count of what it wrote before, and only what goes beyond it is appended; what its
    commands wrote is told to observers by `recall`.

    of: the step itself.

    masker: gives what hides secrets in this log, now. limit: how long it may get. Observers see what the log holds.
    """

    def __init__(
        self,
        *,
        store: Store,
        files: LogFiles,
        step: StepID,
        name: str,
        slug: str,
        kind: str,
        path: str,
        now: Callable[[], float],
        encoding: str = "utf-8",
        masker: Callable[[], Masker] = Masker,
        limit: Limit | None = None,
        of: Any = None,
    ) -> None:
        self.name = name
        self.step = of
        self.type = kind[0]
        self.slug = slug
        self.finished = False
        self._store = store
        self._now = now
        self._encoding = encoding
        self._watchers: list[Watcher] = []
        self._decoders: dict[Channel, Any] = {}
        self._files = files
        if not log_rows.is_known(store, step, slug):
            files.remove(path)  # of a build that a loss of power took from the store
        self.id: LogID = store.transact(log_rows.add, step=step, name=name, slug=slug, kind=kind, path=path, now=now())
        self.path = path
        self._masker = masker
        self._streams: dict[tuple[Channel, int], MaskedStream] = {}
        self._writer = files.write(path, limit)
        self._repeats = self._writer.held(STEP_ITSELF)  # so many bytes of the step come again

    def __await__(self) -> Generator[Any, Any, StepLog]:
        yield from ()
        return self

    # -- for job control

    def write(self, data: bytes, channel: Channel, producer: int = STEP_ITSELF) -> None:
        """Append bytes. Raises OSError with nothing written; ValueError when the log is closed already."""
        if self.finished:
            raise ValueError(f"log {self.name} is closed already")
        stream = self._streams.get((channel, producer))
        if stream is None:
            stream = self._streams[channel, producer] = MaskedStream(self._masker)
        if producer == STEP_ITSELF and self._repeats:
            known = min(self._repeats, len(data))
            self._repeats -= known
            self._tell(channel, stream.feed(data[:known]), final=False)
            data = data[known:]
        before, shown = stream.held, stream.feed(data)
        try:
            self._append(shown, channel, producer, taken=len(data))
        except OSError:
            stream.held = before
            raise

    def _append(self, shown: bytes, channel: Channel, producer: int, taken: int) -> None:
        self._writer.append(shown, channel, producer, self._now(), taken=taken)
        if self._watchers and shown:
            self._tell(channel, shown, final=False)

    def _tell_rest(self, *, of_step: bool) -> None:
        """What was held back because it could have been the beginning of a secret is none: write it.

        It was taken when it was fed. The index cannot say "none" and says "as many", which a later process counts: of
        commands that have ended, and of the step only in a log that is closed.
        """
        for (channel, producer), stream in self._streams.items():
            if not stream.held or (producer == STEP_ITSELF and not of_step):
                continue
            if producer == STEP_ITSELF and self._repeats:  # the log was closed before the restart, and has it
                self._tell(channel, stream.flush(), final=False)
            else:
                self._append(stream.flush(), channel, producer, taken=0)

    def go_on(self) -> None:
        """What the step writes from now on is new, however much of it was there before."""
        self._repeats = 0

    def held(self, producer: int) -> int:
        """How many bytes of this producer the log has taken."""
        return self._writer.held(producer)

    def recall(self, producer: int, taker: Callable[[Channel, bytes], None] | None = None) -> Iterator[None]:
        """Tell the observers, and `taker`, what a producer has written; a piece at each turn of the iterator.

        Raises Diverged when a part of it was left out, because the log is too long.
        """
        if (not self._watchers and taker is None) or not self.held(producer):
            return
        if self._writer.held(THE_LIMIT):
            raise Diverged(f"a part of log {self.name} was left out (logMaxSize), and what reads it needs all of it")
        with self._files.read(self.path) as reader:
            for run, data in reader.pieces(0, reader.size):
                if run.producer == producer:
                    if taker is not None:
                        taker(run.channel, data)
                    self._tell(run.channel, data, final=False)
                    yield

    def watch(self, watcher: Watcher) -> None:
        self._watchers.append(watcher)

    def command_ended(self) -> None:
        """A command has written all it will; what it left without a newline is a line all the same."""
        self._tell_rest(of_step=False)
        for watcher in self._watchers:
            watcher.command_ended()

    def close(self) -> None:
        """The log is complete. Harmless when it is already."""
        if self.finished:
            return
        self._tell_rest(of_step=True)
        self.finished = True
        for channel in list(self._decoders):
            self._tell(channel, b"", final=True)
        for watcher in self._watchers:
            watcher.ended()
        self._writer.finish(self._now())
        self._store.transact(log_rows.finish, self.id, self._writer.size, self._writer.lines, self._now())
        self._writer.close()

    def leave(self) -> None:
        """This process ends; the next one goes on with the log."""
        if not self.finished:
            self.finished = True
            self._writer.close()

    def _tell(self, channel: Channel, data: bytes, final: bool) -> None:
        decoder = self._decoders.get(channel)
        if decoder is None:
            decoder = self._decoders[channel] = getincrementaldecoder(self._encoding)(errors="replace")
        text = decoder.decode(data, final)
        if text:
            for watcher in self._watchers:
                watcher.got(channel, text)

    # -- for steps

    def addStdout(self, text: str | bytes) -> Done:
        self.write(self._bytes(text), Channel.STDOUT)
        return DONE

    def addStderr(self, text: str | bytes) -> Done:
        self.write(self._bytes(text), Channel.STDERR)
        return DONE

    def addHeader(self, text: str | bytes) -> Done:
        self.write(self._bytes(text), Channel.HEADER)
        return DONE

    addContent = addStdout

    def finish(self) -> Done:
        self.close()
        return DONE

    def getName(self) -> str:
        return self.name

    def isFinished(self) -> bool:
        return self.finished

    def getStep(self) -> Any:
        return self.step

    def subscribe(self, receiver: Any, catchup: bool = False) -> Callable[[], None]:
        """Tell somebody of what is written from now on, and with `catchup` of what is there; see Subscriber. Returns
        what ends it."""
        subscriber = Subscriber(self, receiver)
        if catchup:
            for number, text in self.getChunks():
                subscriber.got(CHANNELS[number], text)
        self.watch(subscriber)
        return lambda: self._watchers.remove(subscriber) if subscriber in self._watchers else None

    def unsubscribe(self, receiver: Any) -> None:
        self._watchers = [each for each in self._watchers if getattr(each, "_receiver", None) is not receiver]

    def _bytes(self, text: str | bytes) -> bytes:
        return text if isinstance(text, bytes) else text.encode(self._encoding, "surrogateescape")
