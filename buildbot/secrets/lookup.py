"""Who is asked for a secret: the configured providers, one after the other.

What was found is kept for a short time, so that a thousand steps do not ask a thousand times, and one that was changed
is seen soon. Values are in memory only.
"""

from __future__ import annotations

from collections.abc import Sequence
from inspect import isawaitable
from typing import Any, NoReturn

from twisted.internet.defer import CancelledError, Deferred, DeferredLock, ensureDeferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from buildbot.process.buildsecrets import masked_text
from buildbot.process.masking import Masker, forms_of
from buildbot.process.renderables import no_secrets
from buildbot.process.rendering import RenderingError, needs_rendering, render
from buildbot.secrets.base import ProviderFailed, SecretProblem

KEPT_SECONDS = 30.0
PROVIDER_SECONDS = 30.0
MOST_BYTES = 1 << 16
MOST_REMEMBERED = 10_000  # forms that are hidden in the master's own log


class Secrets:
    """The secrets of a master. `use` gives it the providers of the configuration; `get` asks them in their order.

    What was found is kept for `kept_seconds`; a provider has `provider_seconds` for its answer.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        *,
        clock: IReactorTime | None = None,
        kept_seconds: float = KEPT_SECONDS,
        provider_seconds: float = PROVIDER_SECONDS,
    ) -> None:
        self._reactor = reactor
        self._clock: IReactorTime = reactor if clock is None else clock
        self._kept_seconds = kept_seconds
        self._provider_seconds = provider_seconds
        self._providers: tuple[Any, ...] = ()
        self._set_up: list[Any] = []
        self._setting_up = DeferredLock()
        self._kept: dict[str, tuple[float, str]] = {}
        self._asking: dict[str, list[Deferred[str]]] = {}
        self._forms: dict[bytes, bytes] = {}
        self._masker = Masker()

    def use(self, providers: Sequence[Any]) -> None:
        """From now on ask these. What was kept is forgotten."""
        self._providers = tuple(providers)
        self._set_up = [known for known in self._set_up if any(known is provider for provider in self._providers)]
        self._kept.clear()

    def mask(self, text: str) -> str:
        """A text of the master itself, such as its log, with every secret replaced that anybody has been given."""
        return masked_text(self._masker, text)

    async def render(self, value: Any, what: str) -> Any:
        """A value of the configuration that belongs to no build, such as a password. Raises SecretProblem."""
        if not needs_rendering(value):
            return value
        try:
            return await render(value, _OutsideBuilds(self))
        except RenderingError as wrong:
            raise SecretProblem(f"{what}: {wrong}") from None

    async def text(self, value: Any, what: str) -> str:
        """The same for what must come to a string that is not empty."""
        rendered = await self.render(value, what)
        if not isinstance(rendered, str) or not rendered:
            raise SecretProblem(f"{what} comes to {'nothing' if not rendered else 'something that is no string'}")
        return rendered

    async def get(self, name: str) -> str:
        """The value. Raises SecretProblem when no provider knows it, or one fails."""
        if not self._providers:
            no_secrets(name)
        kept = self._kept.get(name)
        if kept is not None and self._clock.seconds() - kept[0] < self._kept_seconds:
            return kept[1]
        answer: Deferred[str] = Deferred()
        waiting = self._asking.get(name)
        if waiting is not None:
            waiting.append(answer)
        else:
            self._asking[name] = [answer]
            found = ensureDeferred(self._found(name))
            found.addBoth(self._answer, name)  # type: ignore[unused-awaitable]  # ends there
        return await answer

    def _answer(self, found: str | Failure, name: str) -> None:
        for waiting in self._asking.pop(name, ()):
            if waiting.called:  # who asked does not wait any more
                continue
            if isinstance(found, Failure):
                waiting.errback(found.value)
            else:
                waiting.callback(found)

    async def _found(self, name: str) -> str:
        providers = self._providers
        for provider in providers:
            value = await self._ask(provider, name)
            if value is None:
                continue
            text = self._checked(provider, name, value)
            self._remember(name, text)
            if providers is self._providers:
                self._kept[name] = (self._clock.seconds(), text)
            return text
        asked = ", ".join(_called(provider) for provider in providers)
        raise SecretProblem(f"there is no secret {name!r}; asked: {asked}. Store it there, or correct its name")

    async def _ask(self, provider: Any, name: str) -> Any:
        asking = ensureDeferred(self._value(provider, name))
        deadline = self._clock.callLater(self._provider_seconds, asking.cancel)
        try:
            return await asking
        except Exception as bug:
            if not deadline.active():
                _fail(name, provider, f"did not answer within {self._provider_seconds:g} s")
            if isinstance(bug, CancelledError):
                raise
            if isinstance(bug, ProviderFailed):
                _fail(name, provider, str(bug))
            self._log.failure("the provider of secrets {provider} failed", provider=_called(provider))
            _fail(name, provider, f"failed with {type(bug).__name__}; the master's log says more")
        finally:
            if deadline.active():
                deadline.cancel()

    async def _value(self, provider: Any, name: str) -> Any:
        await self._setting_up.run(lambda: ensureDeferred(self._prepare(provider)))
        return await _awaited(provider.get(name))

    async def _prepare(self, provider: Any) -> None:
        if not any(provider is known for known in self._set_up):
            if hasattr(provider, "setup"):
                await _awaited(provider.setup(self._reactor))
            self._set_up.append(provider)

    def _checked(self, provider: Any, name: str, value: Any) -> str:
        try:
            text = value.decode() if isinstance(value, bytes) else value
        except UnicodeDecodeError:
            _fail(name, provider, "gave bytes that are not UTF-8 text")
        if not isinstance(text, str):
            _fail(name, provider, f"gave {type(value).__name__}, not a string")
        if len(text) > MOST_BYTES:
            _fail(name, provider, f"gave {len(text)} characters; a secret has at most {MOST_BYTES}")
        return text

    def _remember(self, name: str, value: str) -> None:
        new = {form: f"<{name}>".encode() for form in forms_of(value) if form not in self._forms}
        if new:
            self._forms.update(new)
            while len(self._forms) > MOST_REMEMBERED:
                del self._forms[next(iter(self._forms))]
            self._masker = Masker(self._forms)


async def _awaited(value: Any) -> Any:
    return await value if isinstance(value, Deferred) or isawaitable(value) else value


def _called(provider: Any) -> str:
    name = getattr(provider, "name", None)
    return name if isinstance(name, str) and name else type(provider).__name__


def _fail(name: str, provider: Any, why: str) -> NoReturn:
    raise SecretProblem(f"the secret {name!r} cannot be had: {_called(provider)} {why}") from None


class _OutsideBuilds:
    """What is rendered for no build has secrets, but no properties."""

    build = None

    def __init__(self, secrets: Secrets) -> None:
        self.getSecret = secrets.get

    def getProperty(self, name: str, default: Any = None) -> Any:
        raise RenderingError(f"there is no property {name!r}, because this belongs to no build; use Secret('name')")

    def hasProperty(self, name: str) -> bool:
        self.getProperty(name)
        return False
