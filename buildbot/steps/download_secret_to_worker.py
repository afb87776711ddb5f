"""Secrets that are files on the slave while a part of a build runs."""

from __future__ import annotations

from typing import Any, ClassVar

from buildbot.process.properties import needs_rendering
from buildbot.process.remotecommand import RemoteCommand
from buildbot.process.results import CANCELLED, FAILURE, SUCCESS
from buildbot.steps.transferbase import BLOCK, TransferStep

MODE = 0o600


class _SecretFiles(TransferStep):
    def __init__(self, populated_secret_list: Any, **kwargs: Any) -> None:
        super().__init__(maxsize=None, blocksize=BLOCK, **kwargs)
        given = populated_secret_list
        if not isinstance(given, (list, tuple)) or not all(
            isinstance(each, (list, tuple)) and len(each) == 2 for each in given
        ):
            self._wrong("populated_secret_list is a list of (path on the slave, secret)")
            given = []
        for path, _ in given:
            self._is_path("the path of a secret", path)
        self.secret_paths = [path for path, _ in given]


class DownloadSecretsToWorker(_SecretFiles):
    """Make files on the slave that hold secrets, which its owner alone may read (mode 0600).

    populated_secret_list: list of (path on the slave, relative to workdir; the text: a Secret or another renderable).

    RemoveWorkerFileSecret removes them; `BuildFactory.withSecrets` adds both.
    """

    name = "download secrets"
    haltOnFailure = True
    renderables: ClassVar[Any] = ("secret_paths", "secret_texts")

    def __init__(self, populated_secret_list: Any, **kwargs: Any) -> None:
        super().__init__(populated_secret_list, **kwargs)
        self.secret_texts = [each[1] for each in populated_secret_list] if self.secret_paths else []
        for text in self.secret_texts:
            if not needs_rendering(text) and not isinstance(text, (str, bytes)):
                self._wrong(f"a secret is a text, not {type(text).__name__}")

    async def run(self) -> int:
        for path, text in zip(self.secret_paths, self.secret_texts, strict=True):
            if not isinstance(text, (str, bytes)):
                raise await self.fail(f"the secret for {path} is no text")
            if not await self.send_text(text, str(path), MODE):
                return CANCELLED if self.stopped else FAILURE
        return SUCCESS

    def own_words(self) -> str:
        return "download secrets"


class RemoveWorkerFileSecret(_SecretFiles):
    """Remove files with secrets from the slave, also when the build has failed or was stopped.

    populated_secret_list: as DownloadSecretsToWorker was given it; the paths count. logEnviron: has no meaning.
    """

    name = "remove secrets"
    alwaysRun = True
    renderables: ClassVar[Any] = ("secret_paths",)  # not the secrets, which may not be there any more

    def __init__(self, populated_secret_list: Any, logEnviron: bool = False, **kwargs: Any) -> None:
        super().__init__(populated_secret_list, **kwargs)

    async def run(self) -> int:
        result = SUCCESS
        for path in self.secret_paths:
            command = RemoteCommand("rmdir", {"dir": str(path), "workdir": self.workdir})  # well if it is not there
            await self.runCommand(command)
            if not await self.ended_well(command):
                result = FAILURE
        return CANCELLED if self.stopped else result

    def own_words(self) -> str:
        return "remove secrets"
