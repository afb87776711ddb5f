"""What the arguments of steps that people use most do, and what small files and names of any letters become."""

from __future__ import annotations

import os
import re
from typing import Any

from buildbot.process.results import FAILURE, SKIPPED, SUCCESS
from buildbot.steps.downloading import FileDownload, StringDownload
from buildbot.steps.shell import ShellCommand
from buildbot.steps.transfer import DirectoryUpload, FileUpload, MultipleFileUpload
from buildbot.steps.worker import CopyDirectory, FileExists, MakeDirectory, RemoveDirectory
from tests.dialects.catalogue.case import Here, case

CONTENT = os.urandom(150_000)
NAME = "caf\u00e9 au lait"


@case(ShellCommand)
async def arguments_of_programs(here: Here) -> None:
    stubborn = "trap 'echo told > told; exit 0' TERM; echo begun; while :; do sleep .05; done"
    built = await here.run_steps(
        ShellCommand(name="pty", command="test -t 1 && test -t 0", usePTY=True),
        ShellCommand(name="no pty", command="test ! -t 1", usePTY=False, logEnviron=False),
        ShellCommand(name="quiet", command="echo out; echo err >&2", want_stdout=False, logEnviron=False),
        ShellCommand(name="gently", command=["sh", "-c", stubborn], sigtermTime=10, timeout=1, flunkOnFailure=False),
        ShellCommand(name="by TERM", command=["sh", "-c", stubborn], interruptSignal="TERM", maxTime=1),
        ShellCommand(name="paths", command="echo $MANY", env={"MANY": ["a", "${NONE_OF_IT}b"]}, workdir=f"{NAME}/x"),
        ShellCommand(name="letters", command=["printf", "%s\\n", NAME, "a b", "", "'\"$x`", "*"]),
        ShellCommand(
            name="followed",
            command="echo new >> it.log; sleep .2",
            logfiles={"all": {"filename": "it.log"}, "never": "never.log"},
            lazylogfiles=True,
        ),
        ShellCommand(name="ends", command="kill -9 $$", flunkOnFailure=False),
    )
    results = built.results
    failed = [name for name, result in results.items() if result != SUCCESS]
    assert failed == ["gently", "by TERM", "ends"], failed
    assert (here.work / "told").read_text() == "told\n"
    assert built.text("quiet") == "err\n"
    assert "PATH=" in built.everything("pty")
    assert "PATH=" not in built.everything("no pty")
    assert built.text("paths") == "a:b\n"
    assert (here.work.parent / NAME / "x").is_dir()
    assert built.text("letters") == f"{NAME}\na b\n\n'\"$x`\n*\n"
    assert built.text("followed", "all") == "new\n"
    assert set(built.logs("followed")) == {"stdio", "all"}


@case(DirectoryUpload, FileDownload, FileUpload, MultipleFileUpload, ShellCommand, StringDownload)
async def arguments_of_transfers(here: Here) -> None:
    (here.rig.base / "all bytes").write_bytes(CONTENT)
    may_fail: dict[str, Any] = {"flunkOnFailure": False, "haltOnFailure": False}
    made = "mkdir -p tree/empty 'tree/a b' && ln -s 'a b' tree/link && : > tree/nothing && chmod 755 tree/nothing"
    url = {"url": "http://there/", "urlText": "there"}
    built = await here.run_steps(
        FileDownload("all bytes", workerdest=NAME, blocksize=1000, mode=0o600, name="down"),
        FileDownload("all bytes", slavedest="big", maxsize=len(CONTENT) - 1, name="too big", **may_fail),
        StringDownload("of a text", workerdest="big", maxsize=8, name="too big a text", **may_fail),
        FileDownload("all bytes", slavedest="exact", maxsize=len(CONTENT), name="exact"),
        FileDownload("none", slavedest="none", name="not there", **may_fail),
        StringDownload(b"\x00\xff", workerdest="bytes", workdir="other", name="bytes"),
        StringDownload("", slavedest="empty", mode=0o755, name="empty"),
        ShellCommand(name="made", command=f"{made}; touch -d '2001-02-03 04:05:06 UTC' '{NAME}'"),
        FileUpload(NAME, "up/file", blocksize=4096, keepstamp=True, name="up", **url),
        FileUpload(NAME, "up/big", maxsize=149_999, name="too big up", **may_fail),
        FileUpload("empty", f"up/{NAME}", mode=0o640, name="empty up"),
        FileUpload("tree", "up/no file", name="a directory", **may_fail),
        DirectoryUpload("tree", "up/tree", compress="bz2", blocksize=4096, name="tree", **url),
        DirectoryUpload("tree", "up/plain", name="plain"),
        DirectoryUpload(".", "up/big tree", maxsize=1000, name="too big a tree", **may_fail),
        DirectoryUpload(NAME, "up/no tree", name="a file", **may_fail),
        MultipleFileUpload(["empty", "tree", NAME], "up/some", keepstamp=True, mode=0o600, name="some"),
        MultipleFileUpload(["no*"], "up/none", glob=True, name="none"),
        MultipleFileUpload(["empty", "no such"], "up/half", name="half", **may_fail),
    )
    failed = [name for name, result in built.results.items() if result not in (SUCCESS, SKIPPED)]
    too_big = ["too big", "too big a text", "too big up", "too big a tree"]
    expected = [*too_big[:2], "not there", too_big[2], "a directory", too_big[3], "a file", "half"]
    assert failed == expected, failed
    assert built.results["none"] == SKIPPED
    up = here.rig.base / "up"
    there = here.work / NAME
    assert (there.read_bytes(), there.stat().st_mode & 0o777) == (CONTENT, 0o600)
    assert (here.work.parent / "other" / "bytes").read_bytes() == b"\x00\xff"
    assert not (here.work / "big").exists()
    assert (here.work / "exact").read_bytes() == CONTENT
    assert (here.work / "empty").stat().st_mode & 0o777 == 0o755
    assert ((up / "file").read_bytes(), (up / "file").stat().st_mtime) == (CONTENT, 981173106)
    assert ((up / NAME).read_bytes(), (up / NAME).stat().st_mode & 0o777) == (b"", 0o640)
    for place in (up / "tree", up / "plain", up / "some" / "tree"):
        assert {path.name for path in place.iterdir()} == {"a b", "empty", "link", "nothing"}
        assert os.readlink(place / "link") == "a b"
        assert (place / "nothing").stat().st_mode & 0o777 == 0o755
    some = up / "some" / NAME
    assert (some.read_bytes(), some.stat().st_mtime, some.stat().st_mode & 0o777) == (CONTENT, 981173106, 0o600)
    assert {path.name for path in up.iterdir()} - {"no tree"} == {"file", NAME, "tree", "plain", "some", "half"}
    assert not list((up / "no tree").glob("*"))
    for name, said in (
        ("too big", "maxsize=149999"),
        ("too big a text", "9 bytes, which is more than maxsize=8"),
        ("not there", "none"),
        ("too big up", "maxsize|Maximum filesize"),
        ("too big a tree", "maxsize|Maximum filesize"),
        ("a file", "not a directory|no directory"),
        ("half", "no such"),
    ):
        step = built.step(name)
        assert re.search(said, step.state_text + built.everything(name)), (step.state_text, built.everything(name))


@case(CopyDirectory, FileExists, MakeDirectory, RemoveDirectory, ShellCommand)
async def arguments_of_directories(here: Here) -> None:
    made = f"mkdir -p '{NAME}/x' locked/in && touch '{NAME}/x/file' locked/in/file && chmod 500 locked/in locked"
    built = await here.run_steps(
        ShellCommand(name="made", command=made),
        MakeDirectory(f"build/{NAME}/x", name="is there"),
        CopyDirectory(f"build/{NAME}", "build/copy/deep", timeout=10, maxTime=20, name="copied"),
        FileExists("build/copy/deep/x/file"),
        RemoveDirectory("build/locked", name="locked"),
        RemoveDirectory(f"build/{NAME}", name="removed"),
    )
    failed = [name for name, result in built.results.items() if result != SUCCESS]
    assert not failed, (failed, [built.everything(name) for name in failed])
    assert {path.name for path in here.work.iterdir()} == {"copy"}
    assert FAILURE not in built.results.values()
