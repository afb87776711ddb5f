"""The secrets of one build: asked for by name, noted when they are given, and hidden in whatever is written of it.

Every string that a build, its steps or their commands bring to the store, to a log or to a page goes through `mask`,
`mask_data` or a `MaskedStream(secrets.masker)` first: `mask_data(for_journal(args))` for the arguments of a command,
`MaskedStream(secrets.html_masker)` for a log that is HTML. A secret is noted before the code that asked for it
gets it, so nothing can write it earlier; after a restart the code that runs again asks again.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any, Protocol

from twisted.logger import Logger

from buildbot.process.masking import SHORTEST, Masker, forms_of
from buildbot.process.renderables import no_secrets


class SecretSource(Protocol):
    """What knows secrets: buildbot.secrets.lookup.Secrets."""

    def get(self, name: str) -> Awaitable[str]: ...


class BuildSecrets:
    """What one build has been given. `source` None: no provider is configured. `encoding`: of the build's logs."""

    _log = Logger()

    def __init__(self, source: SecretSource | None, encoding: str = "utf-8") -> None:
        self._source = source
        self._encoding = encoding
        self._noted: set[tuple[str, str]] = set()
        self._forms: dict[bytes, str] = {}
        self._maskers = {html: Masker() for html in (False, True)}

    def __repr__(self) -> str:
        return f"<BuildSecrets {sorted(name for name, _ in self._noted)}>"  # never the values

    async def get(self, name: str) -> str:
        """The value, noted. Raises RenderingError with a sentence that says what is wrong."""
        if self._source is None:
            no_secrets(name)
        value = await self._source.get(name)
        self.note(name, value)
        return value

    def note(self, name: str, value: str) -> None:
        """From now on `value` is shown as `<name>`. Harmless when it is known."""
        if (name, value) in self._noted:
            return
        self._noted.add((name, value))
        if value and len(value.strip().encode("utf-8", "surrogateescape")) < SHORTEST:
            self._log.warn(
                "the secret {name!r} is shorter than {shortest} bytes and is not hidden in logs: it would hide "
                "every text that holds it by chance; make it longer",
                name=name,
                shortest=SHORTEST,
            )
        for form in forms_of(value, self._encoding):
            self._forms.setdefault(form, name)
        self._maskers = {html: Masker(self._marks(html)) for html in (False, True)}

    def _marks(self, html: bool) -> dict[bytes, bytes]:
        left, right = ("&lt;", "&gt;") if html else ("<", ">")
        return {form: f"{left}{name}{right}".encode() for form, name in self._forms.items()}

    def masker(self, html: bool = False) -> Masker:
        """The masker of what is known by now. html: for text that is HTML, in which `<name>` would be a tag."""
        return self._maskers[html]

    def html_masker(self) -> Masker:
        """As `masker(html=True)`, for a MaskedStream."""
        return self._maskers[True]

    def mask(self, text: str) -> str:
        """A text with every secret in it replaced by its name."""
        return masked_text(self._maskers[False], text)

    def mask_data(self, value: Any) -> Any:
        """The same with all strings and bytes of plain data, such as properties and arguments; others stay."""
        return masked_data(self._maskers[False], value)


def masked_text(masker: Masker, text: str) -> str:
    """`text`, or what the masker makes of it."""
    if not masker:
        return text
    data = text.encode("utf-8", "surrogatepass")
    masked = masker.mask(data)
    return text if masked is data else masked.decode("utf-8", "replace")


def masked_data(masker: Masker, value: Any) -> Any:
    """Plain data with masked strings, keys too."""
    if not masker:
        return value
    if isinstance(value, str):
        return masked_text(masker, value)
    if isinstance(value, bytes):
        return masker.mask(value)
    if isinstance(value, dict):
        return {masked_data(masker, key): masked_data(masker, item) for key, item in value.items()}
    if isinstance(value, list):
        return [masked_data(masker, item) for item in value]
    if isinstance(value, tuple):
        return tuple(masked_data(masker, item) for item in value)
    if isinstance(value, (int, float)) and masked_text(masker, str(value)) != str(value):
        return masked_text(masker, str(value))  # a number that is the secret
    return value
