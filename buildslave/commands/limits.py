"""When a command has taken too long, been silent too long, or said too much."""

from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from buildslave.commands.base import Reason


class Limits:
    """Watches one command. While the slave itself does not read, silence does not count."""

    def __init__(
        self,
        *,
        clock: IReactorTime,
        silence_seconds: float | None,
        total_seconds: float | None,
        lines: int | None,
        exceeded: Callable[[Reason, str], None],
    ) -> None:
        """`exceeded(reason, sentence)` is called at most once."""
        self._clock = clock
        self._silence_seconds = silence_seconds
        self._total_seconds = total_seconds
        self._lines_left = lines
        self._lines = lines
        self._exceeded = exceeded
        self._heard_at = clock.seconds()
        self._paused = False
        self._timers: dict[str, IDelayedCall] = {}

    def start(self) -> None:
        self._heard_at = self._clock.seconds()
        if self._silence_seconds is not None:
            self._timers["silence"] = self._clock.callLater(self._silence_seconds, self._check_silence)
        if self._total_seconds is not None:
            self._timers["total"] = self._clock.callLater(self._total_seconds, self._too_long)

    def heard(self, data: bytes, *, counted: bool) -> None:
        """The command has written `data`. Lines count on its own streams only, not in followed files."""
        self._heard_at = self._clock.seconds()
        if counted and self._lines_left is not None:
            self._lines_left -= data.count(b"\n")
            if self._lines_left < 0:
                self._exceed(Reason.MAX_LINES, f"more than {self._lines} lines of output")

    def pause(self) -> None:
        self._paused = True

    def resume(self) -> None:
        self._paused = False
        self._heard_at = self._clock.seconds()

    def stop(self) -> None:
        for timer in self._timers.values():
            if timer.active():
                timer.cancel()
        self._timers = {}
        self._lines_left = None

    def _check_silence(self) -> None:
        assert self._silence_seconds is not None
        if self._paused:
            self._heard_at = self._clock.seconds()
        left = self._heard_at + self._silence_seconds - self._clock.seconds()
        if left > 0:
            self._timers["silence"] = self._clock.callLater(left, self._check_silence)
        else:
            self._exceed(Reason.SILENT, f"no output for {self._silence_seconds:g} s")

    def _too_long(self) -> None:
        self._exceed(Reason.TIMEOUT, f"still running after {self._total_seconds:g} s")

    def _exceed(self, reason: Reason, sentence: str) -> None:
        self.stop()
        self._exceeded(reason, sentence)
