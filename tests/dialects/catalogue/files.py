"""Steps that send, fetch, make, copy and remove files of the slave."""

from __future__ import annotations

import json
import os

from buildbot.process.properties import Interpolate
from buildbot.process.results import FAILURE, SUCCESS
from buildbot.steps.download_secret_to_worker import DownloadSecretsToWorker, RemoveWorkerFileSecret
from buildbot.steps.downloading import FileDownload, JSONPropertiesDownload, JSONStringDownload, StringDownload
from buildbot.steps.shell import ShellCommand
from buildbot.steps.transfer import DirectoryUpload, FileUpload, MultipleFileUpload
from buildbot.steps.worker import CopyDirectory, FileExists, MakeDirectory, RemoveDirectory, SetPropertiesFromEnv
from tests.dialects.catalogue.case import Here, case


@case(
    CopyDirectory, DirectoryUpload, FileDownload, FileExists, FileUpload, MakeDirectory, MultipleFileUpload,
    RemoveDirectory, StringDownload,
)  # fmt: skip
async def there_and_back(here: Here) -> None:
    (here.rig.base / "given.txt").write_text("given\n")
    built = await here.run_steps(
        MakeDirectory("build/tree/deep", name="mkdir"),
        StringDownload("text\n", slavedest="tree/deep/text", name="string"),
        FileDownload("given.txt", slavedest="tree/given.txt", mode=0o755, name="download"),
        CopyDirectory("build/tree", "build/copy", name="cpdir"),
        FileExists("build/copy/deep/text", name="exists"),
        FileExists("build/copy/deep", name="is no file", flunkOnFailure=False, haltOnFailure=False),
        FileExists("build/none", name="is not there", flunkOnFailure=False, haltOnFailure=False),
        FileUpload(slavesrc="copy/given.txt", masterdest="came/given.txt", keepstamp=True, mode=0o600, name="upload"),
        FileUpload(workersrc="none", masterdest="came/none", flunkOnFailure=False, haltOnFailure=False, name="none"),
        DirectoryUpload(slavesrc="copy", masterdest="came/tree", compress="gz", name="directory"),
        DirectoryUpload("gone", masterdest="came/gone", flunkOnFailure=False, haltOnFailure=False, name="gone"),
        MultipleFileUpload(slavesrcs=["copy/*"], glob=True, masterdest="came/many", name="many"),
        CopyDirectory("build/none", "build/x", name="no copy", flunkOnFailure=False, haltOnFailure=False),
        MakeDirectory("build/tree/given.txt/b", name="no place", flunkOnFailure=False, haltOnFailure=False),
        RemoveDirectory("build/copy", name="rmdir"),
        RemoveDirectory("build/never there", name="nothing"),
    )
    failed = [name for name, result in built.results.items() if result != SUCCESS]
    assert failed == ["is no file", "is not there", "none", "gone", "no copy", "no place"], failed
    texts = {step.name: step.state_text for step in built.steps}
    assert (texts["mkdir"], texts["no place"]) == ("Created", "Create failed. (failure)")
    assert (texts["exists"], texts["is no file"]) == ("File found.", "Not a file. (failure)")
    assert texts["is not there"] == "File not found. (failure)"
    came = here.rig.base / "came"
    assert (came / "given.txt").read_text() == "given\n"
    assert (came / "given.txt").stat().st_mode & 0o777 == 0o600
    for place in ("tree", "many"):
        assert (came / place / "given.txt").read_text() == "given\n"
        assert (came / place / "deep" / "text").read_text() == "text\n"
    assert (came / "tree" / "given.txt").stat().st_mode & 0o777 == 0o755
    assert not (came / "none").exists()
    assert not (came / "gone").exists()
    assert not (here.work / "copy").exists()


@case(DownloadSecretsToWorker, JSONPropertiesDownload, JSONStringDownload, RemoveWorkerFileSecret)
async def made_of_texts(here: Here) -> None:
    secrets = [("keys/one", Interpolate("key of %(prop:buildername)s")), ("../two", "two\n")]
    built = await here.run_steps(
        JSONStringDownload({"a": [1, None, "\u00e9"]}, workerdest="a.json"),
        JSONPropertiesDownload(slavedest="properties.json"),
        DownloadSecretsToWorker(secrets),
        ShellCommand(command="cat keys/one ../two; ls -l keys/one ../two"),
        RemoveWorkerFileSecret(secrets),
    )
    assert set(built.results.values()) == {SUCCESS}, built.results
    assert json.loads((here.work / "a.json").read_text()) == {"a": [1, None, "\u00e9"]}
    told = json.loads((here.work / "properties.json").read_text())
    assert told["properties"]["buildername"] == "b"
    assert "key of btwo\n" in built.text("shell")
    assert built.text("shell").count("-rw-------") == 2
    assert not (here.work / "keys" / "one").exists()
    assert not (here.work.parent / "two").exists()


@case(SetPropertiesFromEnv)
async def of_the_environment(here: Here) -> None:
    built = await here.run_steps(
        SetPropertiesFromEnv(["PATH", "NO_SUCH_VARIABLE"]),
        SetPropertiesFromEnv("HOME", source="mine", name="home"),
    )
    assert FAILURE not in built.results.values()
    assert (built.properties["PATH"], built.properties["HOME"]) == (os.environ["PATH"], os.environ["HOME"])
    assert "NO_SUCH_VARIABLE" not in built.properties
    assert built.text("home", "properties") == f"HOME = {os.environ['HOME']!r}"
