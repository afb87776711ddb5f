"""How slaves of other eras write the commands of docs/slave-protocol: names, arguments, paths.

Steps and the journal know one spelling, that of our own dialect. A `Spelling` makes of one command the one or more
that a slave of its era is to run one after another. What comes back is the business of `oldcommand`.
"""

from __future__ import annotations

import ntpath
import posixpath
import re
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any, NamedTuple

from buildbot.process.slaveport import CommandRefused

LONGEST_BLOCK = 64 * 1024  # of a file that is sent or fetched
DEEPEST = 16  # directories in the place of one `**`, for slaves whose glob does not know it


class Part(NamedTuple):
    """One command as the slave gets it.

    most_lines: how much output the master has to bear, if the slave cannot count. hidden: what must not be shown, and
    what is shown in its place. guards: it looks whether what the next part removes is no directory.
    """

    name: str
    args: dict[str, Any]
    most_lines: int | None = None
    hidden: Mapping[str, str] = {}
    guards: bool = False


class Spelling:
    """The spelling of slaves that speak Perspective Broker.

    worker: a buildbot-worker (0.9 and newer), otherwise a buildslave of 0.8 or older. counts_lines: it knows
    max_lines. removes_files: it knows rmfile. windows: its paths have backslashes.
    """

    def __init__(
        self, *, worker: bool, counts_lines: bool, removes_files: bool = True, windows: bool = False
    ) -> None:
        self.paths: ModuleType = ntpath if windows else posixpath
        self._worker = worker
        self._counts_lines = counts_lines
        self._removes_files = removes_files
        self._spell: dict[str, Callable[[str, dict[str, Any]], list[Part]]] = {
            "shell": self._shell,
            "mkdir": self._directories,
            "rmdir": self._directories,
            "cpdir": self._cpdir,
            "stat": self._stat,
            "glob": self._glob,
            "listdir": self._listdir,
            "rmfile": self._rmfile,
            "uploadFile": self._upload,
            "uploadDirectory": self._upload,
            "downloadFile": self._download,
        }

    def parts(self, name: str, args: dict[str, Any]) -> list[Part]:
        """The command as this slave knows it; what is not among ours is sent as it is. Raises CommandRefused."""
        spell = self._spell.get(name)
        return [Part(name, dict(args))] if spell is None else spell(name, dict(args))

    def path(self, *given: str) -> str:
        """A path, from the builder's directory on."""
        return str(self.paths.join("", *given))

    # -- commands

    def _shell(self, name: str, args: dict[str, Any]) -> list[Part]:
        most_lines = args.pop("maxLines", None)
        if self._counts_lines:
            args["max_lines"], most_lines = most_lines, None
        args["initial_stdin"] = args.pop("initialStdin", None)
        args["command"], hidden = self._command(args.get("command"))
        args["workdir"] = self.path(args.get("workdir") or "")
        if isinstance(args.get("env"), Mapping):
            args["env"] = {name: _variable(value) for name, value in args["env"].items()}
        if args.get("usePTY") in (None, "slave-config"):
            args["usePTY"] = False if self._worker else "slave-config"
        return [Part(name, args, most_lines, hidden)]

    def _command(self, command: Any) -> tuple[Any, dict[str, str]]:
        """The words, and which of them are secret."""
        if isinstance(command, (str, bytes)):
            return command, {}
        words: list[Any] = []
        _flatten(command, words)
        return words, {}

    def _directories(self, name: str, args: dict[str, Any]) -> list[Part]:
        given = args.pop("dir", None)
        if given in (None, [], ()):
            raise CommandRefused(f"{name} needs dir, the name of a directory or several")
        workdir = str(args.pop("workdir", None) or "")
        if name == "rmdir":
            args = {"logEnviron": False, **args}
            if args.get("timeout") is not None:
                args.setdefault("maxTime", args["timeout"])
        return [
            Part(name, {**args, "dir": self.path(workdir, str(each))})
            for each in (given if isinstance(given, (list, tuple)) else [given])
        ]

    def _cpdir(self, name: str, args: dict[str, Any]) -> list[Part]:
        workdir = str(args.pop("workdir", None) or "")
        for key in ("fromdir", "todir"):
            args[key] = self.path(workdir, _text(name, args, key))
        return [Part(name, {"logEnviron": False, **args})]

    def _stat(self, name: str, args: dict[str, Any]) -> list[Part]:
        return [Part(name, {"file": self._place(name, args, "file", "path")})]

    def _glob(self, name: str, args: dict[str, Any]) -> list[Part]:
        path = self._place(name, args, "path", "glob")
        before, deep, after = path.partition("**/")
        if self._counts_lines or not deep or (before and not before.endswith(("/", "\\"))):  # it is on Python 3
            return [Part(name, {"path": path})]
        return [Part(name, {"path": f"{before}{'*/' * depth}{after}"}) for depth in range(DEEPEST + 1)]

    def _listdir(self, name: str, args: dict[str, Any]) -> list[Part]:
        return [Part(name, {"dir": self._place(name, args, "dir", "path")})]

    def _rmfile(self, name: str, args: dict[str, Any]) -> list[Part]:
        path = self._place(name, args, "path", "file")
        if self._removes_files:
            return [Part(name, {"path": path})]
        looking = Part("stat", {"file": path}, guards=True)
        return [looking, *self._directories("rmdir", {"dir": path})]  # which is `rm -rf` there

    def _upload(self, name: str, args: dict[str, Any]) -> list[Part]:
        source = _text(name, args, "slavesrc", "workersrc", "path")
        sent = {
            "workdir": str(args.get("workdir") or ""),
            "workersrc" if self._worker else "slavesrc": source,
            "maxsize": args.get("maxsize"),
            "blocksize": _block(args),
        }
        if name == "uploadDirectory":
            sent["compress"] = args.get("compress")
        else:
            sent["keepstamp"] = bool(args.get("keepstamp"))
        return [Part(name, sent)]

    def _download(self, name: str, args: dict[str, Any]) -> list[Part]:
        target = _text(name, args, "slavedest", "workerdest", "path")
        sent = {
            "workdir": str(args.get("workdir") or ""),
            "workerdest" if self._worker else "slavedest": target,
            "maxsize": args.get("maxsize"),
            "blocksize": _block(args),
            "mode": args.get("mode"),
        }
        return [Part(name, sent)]

    def _place(self, name: str, args: dict[str, Any], *keys: str) -> str:
        return self.path(str(args.get("workdir") or ""), _text(name, args, *keys))


class PathSpelling(Spelling):
    """The spelling of workers that speak msgpack: absolute paths, made by the master.

    root: the builder's directory on the slave. home: that of its user, for paths with `~`.
    """

    _names = {"uploadFile": "upload_file", "uploadDirectory": "upload_directory", "downloadFile": "download_file"}
    _keys = {"file": "path", "fromdir": "from_path", "todir": "to_path"}

    def __init__(self, *, root: str, home: str, counts_lines: bool, windows: bool) -> None:
        super().__init__(worker=True, counts_lines=counts_lines, windows=windows)
        self.root = root
        self._home = home

    def path(self, *given: str) -> str:
        first = re.match(r"~(?=[/\\]|$)", given[-1])
        last = given[-1] if first is None else self._home + given[-1][1:]
        return str(self.paths.join(self.root, *given[:-1], last))

    def parts(self, name: str, args: dict[str, Any]) -> list[Part]:
        return [
            part._replace(name=self._names.get(name, name), args=self._absolute(name, part.args))
            for part in super().parts(name, args)
        ]

    def _absolute(self, name: str, args: dict[str, Any]) -> dict[str, Any]:
        if name in ("mkdir", "rmdir"):
            return {**args, "paths": [args["dir"]]}
        if name == "listdir":
            return {"path": args["dir"]}
        if name in self._names:
            return {**args, "path": self.path(args["workdir"], args.get("workersrc") or args["workerdest"])}
        return {self._keys.get(key, key): value for key, value in args.items()}

    def _command(self, command: Any) -> tuple[Any, dict[str, str]]:
        """msgpack has no tuples, by which a worker tells what it must not show: the master hides it."""
        words, _ = super()._command(command)
        if not isinstance(words, list):
            return words, {}
        hidden = {str(word[1]): str(word[2]) for word in words if isinstance(word, tuple)}
        return [str(word[1]) if isinstance(word, tuple) else word for word in words], hidden


def shell_version(details: Mapping[str, Any]) -> tuple[int, ...]:
    """Of a worker's command: what a slave says of its own version is not always true."""
    commands = details.get("worker_commands")
    version = str(commands.get("shell", "")) if isinstance(commands, dict) else ""
    if not re.fullmatch(r"[0-9]{1,4}(\.[0-9]{1,4})*", version):
        return ()
    return tuple(int(each) for each in version.split("."))


COUNTS_LINES = (3, 3)  # the first version of the command that knows max_lines


def _text(name: str, args: dict[str, Any], *keys: str) -> str:
    for key in keys:
        if isinstance(args.get(key), str):
            return str(args[key])
    raise CommandRefused(f"{name} needs {keys[0]}, a string")


def _variable(value: Any) -> Any:
    """Numbers as text: older slaves take nothing else than that, lists of it and None."""
    if isinstance(value, (list, tuple)):
        return [_variable(each) for each in value]
    return value if value is None or isinstance(value, (str, bytes)) else str(value)


def _block(args: dict[str, Any]) -> int:
    given = args.get("blocksize")
    return min(given, LONGEST_BLOCK) if isinstance(given, int) and given > 0 else LONGEST_BLOCK


def _flatten(given: Any, words: list[Any]) -> None:
    if isinstance(given, (list, tuple)) and len(given) == 3 and given[0] == "obfuscated":
        words.append(tuple(given))
    elif isinstance(given, (list, tuple)):
        for each in given:
            _flatten(each, words)
    else:
        words.append(given if isinstance(given, (str, bytes)) else str(given))


def in_octets(value: Any) -> Any:
    """The same with each text as UTF-8: buildslaves of 0.8 run on Python 2 and expect its byte strings."""
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape")
    if isinstance(value, dict):
        return {in_octets(key): in_octets(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(in_octets(item) for item in value)
    return value


def in_text(value: Any) -> Any:
    """The same with byte strings as text, for what slaves on Python 2 say."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    if isinstance(value, dict):
        return {in_text(key): in_text(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [in_text(item) for item in value]
    return value
