"""Wrong arguments of the steps that transfer files are told when the configuration is read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from buildbot.config.errors import ConfigErrors
from buildbot.process.properties import Interpolate
from buildbot.steps.download_secret_to_worker import DownloadSecretsToWorker, RemoveWorkerFileSecret
from buildbot.steps.downloading import FileDownload, JSONStringDownload, StringDownload
from buildbot.steps.related import CancelRelatedBuilds
from buildbot.steps.transfer import DirectoryUpload, FileUpload, MultipleFileUpload

WRONG: list[tuple[Callable[[], Any], str]] = [
    (lambda: FileUpload(masterdest="a"), "it needs workersrc (or slavesrc)"),
    (lambda: FileUpload("a"), "it needs masterdest"),
    (lambda: FileUpload("a", "b", workersrc="c"), "workersrc and slavesrc are names of one argument"),
    (lambda: FileUpload(["a"], "b"), "slavesrc is a path, not ['a']"),
    (lambda: FileUpload("a", ""), "masterdest is a path, not ''"),
    (lambda: FileUpload("a", "b", maxsize=-1), "maxsize is a number of bytes, not -1"),
    (lambda: FileUpload("a", "b", blocksize="1k"), "blocksize is a number of bytes, not '1k'"),
    (lambda: FileUpload("a", "b", mode="0644"), "mode is a number such as 0o644, not '0644'"),
    (lambda: FileUpload("a", "b", keepstamps=True), "did you mean 'keepstamp'?"),
    (lambda: DirectoryUpload("a", "b", compress="zip"), "compress is None, 'gz' or 'bz2', not 'zip'"),
    (lambda: MultipleFileUpload({"a": 1}, "b"), "slavesrcs is a list of paths"),
    (lambda: FileDownload("a"), "it needs workerdest (or slavedest)"),
    (lambda: FileDownload(slavedest="a"), "it needs mastersrc"),
    (lambda: FileDownload("a", "b", mode=1 << 20), "mode is a number such as 0o644"),
    (lambda: StringDownload({"a": 1}, "b"), "JSONStringDownload sends other data"),
    (lambda: JSONStringDownload({"a": object()}, "b"), "cannot be JSON"),
    (lambda: DownloadSecretsToWorker("key"), "populated_secret_list is a list of (path on the slave, secret)"),
    (lambda: DownloadSecretsToWorker([("key", 7)]), "a secret is a text, not int"),
    (lambda: RemoveWorkerFileSecret([("", "x")]), "the path of a secret is a path, not ''"),
    (lambda: CancelRelatedBuilds(["a"]), "CancelRelatedBuilds needs isRelevant"),
    (lambda: CancelRelatedBuilds("a", bool), "builderNames is a list of names, not 'a'"),
]


@pytest.mark.parametrize(("make", "said"), WRONG, ids=[said for _, said in WRONG])
def test_a_wrong_argument_is_told(make: Callable[[], Any], said: str) -> None:
    with pytest.raises(ConfigErrors) as told:
        make()
    assert said in str(told.value)


def test_names_of_both_eras_and_renderables_are_taken() -> None:
    later = Interpolate("%(prop:x)s")
    assert FileUpload(slavesrc=later, masterdest=later, maxsize=later).workersrc is later
    assert FileUpload(workersrc="a", masterdest="b").slavesrc == "a"
    assert DirectoryUpload("a", "b", "src").workdir == "src"
    assert MultipleFileUpload(workersrcs=later, masterdest="b").slavesrcs is later
    assert FileDownload("a", "b", "src", 10, 20, 0o600).workerdest == "b"
