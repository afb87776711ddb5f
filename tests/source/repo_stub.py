#!/usr/bin/env python3
"""Stands for Android's `repo` on a slave's PATH: reads the manifest and does with git what `repo` would do, as far as
the Repo step asks. The real one clones itself from a server of its own, which tests cannot."""

import os
import subprocess
import sys
import xml.etree.ElementTree as xml
from pathlib import Path


def git(*words: str, cwd: Path, must: bool = True) -> "subprocess.CompletedProcess[str]":
    done = subprocess.run(["git", *words], cwd=cwd, text=True, capture_output=True, check=False)
    sys.stdout.write(done.stdout)
    sys.stderr.write(done.stderr)
    if must and done.returncode != 0:
        sys.exit(1)
    return done


def manifest(top: Path) -> "tuple[dict[str, tuple[str, str]], xml.Element]":
    """Of each project by its path: the URL and the branch."""
    tree = xml.parse(top / ".repo/manifest.xml").getroot()
    base = git("config", "remote.origin.url", cwd=top / ".repo/manifests").stdout.strip().rpartition("/")[0]
    default = tree.find("default")
    revision = "main" if default is None else default.get("revision", "main")
    projects = {
        each.get("path", each.attrib["name"]): (f"{base}/{each.attrib['name']}", each.get("revision", revision))
        for each in tree.findall("project")
    }
    return projects, tree


def init(top: Path, words: "list[str]") -> None:
    given = dict(zip(words[::2], words[1::2], strict=False))
    (top / ".repo").mkdir(exist_ok=True)
    manifests = top / ".repo/manifests"
    if not manifests.exists():
        git("clone", "-q", given["-u"], str(manifests), cwd=top)
    git("config", "remote.origin.url", given["-u"], cwd=manifests)
    git("fetch", "-q", "origin", cwd=manifests)
    git("checkout", "-q", "-f", "-B", "default", f"origin/{given['-b']}", cwd=manifests)
    link = top / ".repo/manifest.xml"
    link.unlink(missing_ok=True)
    link.symlink_to(f"manifests/{given['-m']}")


def sync(top: Path) -> None:
    projects, _ = manifest(top)
    for path, (url, revision) in projects.items():
        where = top / path
        kept = top / ".repo/projects" / f"{path}.git"
        if not kept.exists():
            git("init", "-q", "--bare", str(kept), cwd=top)
            git("config", "core.bare", "false", cwd=kept)
        where.mkdir(parents=True, exist_ok=True)
        link = where / ".git"
        if not link.is_symlink():
            link.symlink_to(os.path.relpath(kept, where))
        git("fetch", "-q", url, revision, cwd=where)
        git("checkout", "-q", "-f", "--detach", "FETCH_HEAD", cwd=where)
    (top / ".repo/project.list").write_text("\n".join(projects))


def download(top: Path, words: "list[str]") -> None:
    name, change = words[-2:]
    projects, _ = manifest(top)
    number, patch_set = change.split("/")
    path, (url, _) = next(each for each in projects.items() if each[1][0].endswith(f"/{name}"))
    ref = f"refs/changes/{int(number) % 100:02d}/{number}/{patch_set}"
    fetched = git("fetch", url, ref, cwd=top / path, must=False)
    if fetched.returncode != 0:
        sys.exit(1)
    if "-c" in words or "--cherry-pick" in words:
        git("cherry-pick", "FETCH_HEAD", cwd=top / path)
    else:
        git("checkout", "-q", "--detach", "FETCH_HEAD", cwd=top / path)
    head = git("rev-parse", "--short", "HEAD", cwd=top / path).stdout.strip()
    sys.stderr.write(f"HEAD is now at {head}... downloaded\n")


def forall(top: Path, words: "list[str]") -> None:
    words = words[words.index("-c") + 1 :]
    for path in (top / ".repo/project.list").read_text().split():
        subprocess.run(words[0] if len(words) == 1 else words, shell=len(words) == 1, cwd=top / path, check=False)


def show(top: Path, words: "list[str]") -> None:
    projects, tree = manifest(top)
    for each in tree.findall("project"):
        path = each.get("path", each.attrib["name"])
        each.set("revision", git("rev-parse", "HEAD", cwd=top / path).stdout.strip())
    Path(words[words.index("-o") + 1]).write_bytes(xml.tostring(tree))
    assert projects


def main() -> None:
    command, *words = sys.argv[1:]
    with open(os.environ["REPO_SAID"], "a", encoding="utf-8") as said:
        said.write(" ".join([command, *words]) + "\n")
    top = Path.cwd()
    if command == "init":
        init(top, words)
    elif command == "sync":
        sync(top)
    elif command == "download":
        download(top, words)
    elif command == "forall":
        forall(top, words)
    elif command == "manifest":
        show(top, words)
    else:
        sys.exit(f"no {command}")


main()
