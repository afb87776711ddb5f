"""A running step as code of 0.7 and 0.8 knows it by `step_status`: what it says of itself, and what there is of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Words = str | Sequence[str]


def as_words(text: Words) -> list[str]:
    """A text as the list of words that Buildbot 0.7 and 0.8 wanted."""
    return [text] if isinstance(text, str) else [str(word) for word in text]


class RunningStepStatus:
    """Of one step. What only a finished step has (`getTimes`, `getResults` ...) is read from the store."""

    def __init__(self, step: Any) -> None:
        self._step = step

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("_") and self._step._row is not None:
            for stored in self._step.build.build_status.getSteps():
                if stored.getName() == self._step.name:
                    return getattr(stored, name)
        raise AttributeError(f"step_status has no {name!r}", name=name)

    # -- what it says

    def setText(self, text: Words) -> None:
        """The step's text, now and at its end."""
        self._step.said = as_words(text)
        _ = self._step.updateSummary()

    def setText2(self, text: Words) -> None:
        """What the step adds to the text of its build."""
        self._step.said_in_build = as_words(text)

    def getText(self) -> list[str]:
        step = self._step
        if step.said is not None:
            return list(step.said)
        summary = step.getCurrentSummary() if step.results is None else step.getResultSummary()
        return [summary.get("step", "")]

    def setColor(self, color: str) -> None:
        """Colours follow from results since 0.8; this changes nothing."""

    def setHidden(self, hidden: bool) -> None:
        self._step.hideStepIf = hidden

    # -- what there is

    def getName(self) -> str:
        return str(self._step.name)

    @property
    def name(self) -> str:
        return self.getName()

    def getBuild(self) -> Any:
        return self._step.build.build_status

    build = property(getBuild)

    def getLogs(self) -> list[Any]:
        """The logs of the step, as objects that can be read and written to."""
        return self._step.getLogs()  # type: ignore[no-any-return]

    logs = property(getLogs)

    def getLog(self, name: str) -> Any:
        return self._step.getLog(name)

    def addLog(self, name: str) -> Any:
        return self._step.addLog(name)

    def addURL(self, name: str, url: str) -> None:
        self._step.addURL(name, url)

    def getURLs(self) -> dict[str, str]:
        return dict(self._step._urls)

    def setProgress(self, metric: str, value: float) -> None:
        self._step.setProgress(metric, value)

    def setStatistic(self, name: str, value: Any) -> None:
        self._step.setStatistic(name, value)

    def getStatistic(self, name: str, default: Any = None) -> Any:
        return self._step.getStatistic(name, default)

    def hasStatistic(self, name: str) -> bool:
        return bool(self._step.hasStatistic(name))

    def getStatistics(self) -> dict[str, Any]:
        return dict(self._step.getStatistics())

    def isStarted(self) -> bool:
        return self._step._row is not None

    def isFinished(self) -> bool:
        return self._step.results is not None

