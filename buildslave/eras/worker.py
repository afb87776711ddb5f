"""This slave as a worker of 4.x over WebSocket: what such a master calls, and what it is told.

docs/slave-dialects.md, "msgpack over WebSocket". The master knows no builders' objects here: a command has an id, and
every path is absolute. Paths must stay in the slave's base directory all the same.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred

from buildslave.arguments import Arguments
from buildslave.commands.base import Order
from buildslave.eras.lines import LineRules, LineUpdates
from buildslave.eras.running import Place, Running
from buildslave.eras.spelling import as_text, our_arguments
from buildslave.eras.transfer import FILES
from buildslave.errors import BadArguments

COMMANDS = {"upload_file": "uploadFile", "upload_directory": "uploadDirectory", "download_file": "downloadFile"}
"""Their name and ours. What is not here has the same name on both sides."""
PATHS: dict[str, dict[str, str]] = {
    "mkdir": {"paths": "dir"},
    "rmdir": {"paths": "dir"},
    "cpdir": {"from_path": "fromdir", "to_path": "todir"},
    "uploadFile": {"path": "slavesrc"},
    "uploadDirectory": {"path": "slavesrc"},
    "downloadFile": {"path": "slavedest"},
}
"""By command: their name of a path and ours."""
RELATIVE = ("workersrc", "workerdest")
"""What a master leaves among the arguments though the path says it."""

Message = tuple[str, dict[str, Any]]
Request = Callable[..., "Deferred[Any]"]
STEP: dict[str, Callable[..., Message]] = {
    "update": lambda numbered: ("update", {"args": [pair for each, _ in numbered for pair in each.items()]}),
    "complete": lambda failure: ("complete", {"args": failure}),
}
FILE: dict[str, dict[str, Callable[..., Message]]] = {
    "uploadFile": {
        "write": lambda data: ("update_upload_file_write", {"args": data}),
        "close": lambda: ("update_upload_file_close", {}),
        "utime": lambda both: ("update_upload_file_utime", {"access_time": both[0], "modified_time": both[1]}),
    },
    "uploadDirectory": {
        "write": lambda data: ("update_upload_directory_write", {"args": data}),
        "unpack": lambda: ("update_upload_directory_unpack", {}),
    },
    "downloadFile": {
        "read": lambda length: ("update_read_file", {"length": length}),
        "close": lambda: ("update_read_file_close", {}),
    },
}
"""By command and by method of Perspective Broker's: the message and its fields."""


class MastersSide:
    """What takes the news of a command, or its file: called as the objects of a master over Perspective Broker are."""

    def __init__(self, request: Request, command_id: str, messages: Mapping[str, Callable[..., Message]]) -> None:
        self._request = request
        self._command_id = command_id
        self._messages = messages

    def callRemote(self, method: str, /, *args: Any) -> Deferred[Any]:
        op, fields = self._messages[method](*args)
        answer: Deferred[Any] = self._request(op, command_id=self._command_id, **fields)
        return answer


class WorkerCommands:
    """The commands of one connection."""

    def __init__(self, place: Place, request: Request) -> None:
        """`request(op, **fields)` asks the master."""
        self._site = place.site
        self._place = place
        self._request = request
        self._running = Running(place)
        self._rules = LineRules()

    def settings(self, given: object) -> None:
        """`set_worker_settings`. How long output may wait is not taken from it: it does not wait."""
        if not isinstance(given, dict):
            raise BadArguments("set_worker_settings: needs a dict of settings")
        self._rules = LineRules.told(as_text(given))

    def start(self, message: Mapping[str, Any]) -> None:
        """`start_command`."""
        identifier, asked, given = (message.get(key) for key in ("command_id", "command_name", "args"))
        if not isinstance(identifier, str) or not isinstance(asked, str) or not isinstance(given, dict):
            raise BadArguments("start_command: needs command_id, command_name and args")
        if identifier in self._running:
            raise BadArguments(f"start_command: command {identifier!r:.100} runs already")
        name = COMMANDS.get(asked, asked)
        args = _with_our_names(name, as_text(given))
        order = Order(name=name, builddir=self._builder_directory(args), args=Arguments(name, args))
        whole = name == "listdir" and Path(str(args.get("path"))) == self._site.basedir
        self._running.begin(
            identifier,
            order,
            shown=identifier[:100],
            step=MastersSide(self._request, identifier, STEP),
            file=MastersSide(self._request, identifier, FILE[name]) if name in FILES else None,
            updates=LineUpdates(
                name, self._place.encoding() or "utf-8", self._rules, self._of_builders if whole else None
            ),
        )

    def interrupt(self, message: Mapping[str, Any]) -> None:
        """`interrupt_command`."""
        self._running.interrupt(str(message.get("command_id")), str(as_text(message.get("why")))[:1000])

    def _builder_directory(self, args: Mapping[str, Any]) -> Path:
        """The directory below the slave's own in which the command works. It may be a link to another disk."""
        for key in ("dir", "fromdir", "path", "slavesrc", "slavedest", "workdir"):
            value = args.get(key)
            first = value[0] if isinstance(value, list) and value else value
            if isinstance(first, str) and Path(first).is_relative_to(self._site.basedir):
                below = Path(first).relative_to(self._site.basedir).parts
                if below and below[0] != "..":
                    return self._site.basedir / below[0]
        return self._site.basedir

    def _of_builders(self, names: Any) -> Any:
        """A master that removes what no builder uses looks here: it must not find what is the slave's own, nor a link
        to another disk."""
        basedir = self._site.basedir
        return [each for each in names if not each.startswith(".") and not (basedir / each).is_symlink()]


def _with_our_names(name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    names = PATHS.get(name, {})
    args = {names.get(key, key): value for key, value in given.items() if key not in RELATIVE}
    return our_arguments(name, args)
