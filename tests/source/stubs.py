"""Stand-ins for programs that no package brings: `p4` and `mtn`, for the PATH of a slave.

Each writes down what it is given, one JSON list a line in `calls`, and answers as its manual says, from a directory in
which each depot's change, or each revision, is a directory of files.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

_P4 = r"""
import json, os, re, shutil, sys
home = os.path.dirname(os.path.abspath(sys.argv[0]))
words, options = sys.argv[1:], {}
while words and words[0] in ("-p", "-u", "-P", "-c"):
    options[words[0]] = words[1]
    words = words[2:]
flags = []
while words and words[0].startswith("-"):
    flags.append(words.pop(0))
given = sys.stdin.read()
with open(home + "/calls", "a") as calls:
    print(json.dumps([options, flags + words, given]), file=calls)
if os.path.exists(home + "/down"):
    sys.exit("Perforce client error: Connect to server failed; check $P4PORT.")
password, ticket = home + "/password", home + "/ticket"
if words[0] == "login":
    if given.strip() != open(password).read():
        sys.exit("Password invalid.")
    open(ticket, "w").close()
    sys.exit()
if os.path.exists(password) and options.get("-P") != open(password).read() and not os.path.exists(ticket):
    sys.exit("Perforce password (P4PASSWD) invalid or unset.")
name = options["-c"]
form, have = home + "/client-" + name, home + "/have-" + name
if words[0] == "client":
    open(form, "w").write(given)
    print("Client %s saved." % name)
    sys.exit()
root = re.search(r"^Root:\t(.*)$", open(form).read(), re.M)[1]
changes = sorted(int(each) for each in os.listdir(home + "/depot"))
held = json.load(open(have)) if os.path.exists(have) else {}
if words[0] == "changes":
    upto = re.search(r"[@#](\w+)$", words[-1])[1]
    found = [each for each in changes if upto == "head" or each <= int(upto)]
    if found:
        print("... change %d\n... time 1694770219\n... user anna\n... status submitted\n" % found[-1])
elif words[0] == "sync":
    if words[-1] == "#none":
        new, force = [], False
    else:
        depot = home + "/depot/" + words[-1].rpartition("@")[2]
        new, force = os.listdir(depot), "-f" in words
    for each in held:
        if each not in new and os.path.exists(root + "/" + each):
            os.unlink(root + "/" + each)
    now = {}
    for each in new:
        now[each] = words[-1].rpartition("@")[2]
        if force or held.get(each) != now[each]:
            if each not in held and not force and os.path.exists(root + "/" + each):
                sys.exit("Can't clobber writable file " + root + "/" + each)
            os.makedirs(root, exist_ok=True)
            shutil.copy(depot + "/" + each, root + "/" + each)
    json.dump(now, open(have, "w"))
else:
    sys.exit("Unknown command.  Try 'p4 help' for info.")
"""

_MTN = r"""
import json, os, shutil, sys
home = os.path.dirname(os.path.abspath(sys.argv[0]))
words = sys.argv[1:]
with open(home + "/calls", "a") as calls:
    print(json.dumps(words), file=calls)
options = dict(each[2:].split("=", 1) for each in words if each.startswith("--") and "=" in each)
words = [each for each in words if not each.startswith("--")]
revisions = home + "/revisions"
heads = json.load(open(home + "/heads"))
def found(selector):
    name = heads.get(selector[2:]) if selector.startswith("h:") else selector
    return name if name and os.path.isdir(revisions + "/" + name) else None
def fill(where, name):
    os.makedirs(where + "/_MTN", exist_ok=True)
    for each in os.listdir(revisions + "/" + name):
        shutil.copy(revisions + "/" + name + "/" + each, where + "/" + each)
    open(where + "/_MTN/revision", "w").write(name)
def tracked():
    return os.listdir(revisions + "/" + open("_MTN/revision").read())
if words[:2] == ["db", "init"]:
    if os.path.exists(options["db"]):
        sys.exit("mtn: misuse: database already exists")
    open(options["db"], "w").write("sqlite")
elif words[:2] == ["db", "migrate"]:
    if open(options["db"]).read() != "sqlite":
        sys.exit("mtn: error: not a monotone database")
elif words[0] == "pull":
    if os.path.exists(home + "/down"):
        sys.exit("mtn: error: could not connect")
elif words[0] == "checkout":
    if os.path.exists(words[1]):
        sys.exit("mtn: misuse: checkout directory already exists")
    name = found(options["revision"])
    if name is None:
        sys.exit("mtn: misuse: no such revision")
    fill(words[1], name)
elif words[0] == "update":
    name = found(options["revision"])
    if name is None or not os.path.exists("_MTN/revision"):
        sys.exit("mtn: misuse: no such revision")
    for each in tracked():
        if os.path.exists(each):
            os.unlink(each)
    fill(".", name)
elif words[0] == "revert":
    if not os.path.exists("_MTN/revision"):
        sys.exit("mtn: misuse: workspace required")
    fill(".", open("_MTN/revision").read())
elif words[:2] == ["automate", "select"]:
    name = open("_MTN/revision").read() if words[2] == "w:" else found(words[2])
    if name:
        print(name)
elif words[0] == "ls":
    for each in sorted(set(os.listdir(".")) - set(tracked()) - {"_MTN"}):
        if each.endswith(".o") == (words[1] == "ignored"):
            print(each)
else:
    sys.exit("mtn: misuse: unknown command")
"""


class Stub:
    """A program in `directory`, which is to be on the PATH."""

    def __init__(self, directory: Path, name: str, text: str) -> None:
        directory.mkdir(parents=True)
        self.directory = directory
        program = directory / name
        program.write_text(f"#!{sys.executable}\n{text}")
        program.chmod(0o755)

    @property
    def env(self) -> dict[str, Any]:
        return {"PATH": [str(self.directory), "${PATH}"]}

    def calls(self) -> list[Any]:
        """What it was given since this was last asked."""
        path = self.directory / "calls"
        told = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        path.write_text("")
        return told

    def put(self, under: str, **files: str) -> None:
        """Write the files of a change or revision."""
        place = self.directory / under
        place.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (place / name).write_text(content)


class Perforce(Stub):
    """`p4`: `put("depot/7", ...)` is change 7; the file `password` protects all, and `down` is a server that is not."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory, "p4", _P4)


class MonotoneProgram(Stub):
    """`mtn`: `put("revisions/ID", ...)` is a revision; `head` names a branch's newest."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory, "mtn", _MTN)
        self._heads: dict[str, str] = {}

    def head(self, branch: str, revision: str) -> None:
        self._heads[branch] = revision
        (self.directory / "heads").write_text(json.dumps(self._heads))
