"""The slave's commands by name. The version is what masters of every era compare with."""

from buildslave.commands.base import Channel, Command, Order, Site
from buildslave.commands.download import DownloadFile
from buildslave.commands.filesystem import (
    CopyDirectory,
    Glob,
    ListDirectory,
    MakeDirectory,
    RemoveDirectory,
    RemoveFile,
    Stat,
)
from buildslave.commands.shell import ShellCommand
from buildslave.commands.upload import UploadFile
from buildslave.commands.uploadtree import UploadDirectory
from buildslave.errors import UnknownCommand

COMMAND_VERSION = "3.3"

KINDS: dict[str, type[Command]] = {
    "shell": ShellCommand,
    "mkdir": MakeDirectory,
    "rmdir": RemoveDirectory,
    "cpdir": CopyDirectory,
    "stat": Stat,
    "glob": Glob,
    "listdir": ListDirectory,
    "rmfile": RemoveFile,
    "uploadFile": UploadFile,
    "uploadDirectory": UploadDirectory,
    "downloadFile": DownloadFile,
}


def make(order: Order, site: Site, channel: Channel) -> Command:
    """The ordered command, its arguments checked, not yet started. Raises UnknownCommand, BadArguments."""
    kind = KINDS.get(order.name)
    if kind is None:
        raise UnknownCommand(f"this slave has no command {order.name!r}; it has {', '.join(sorted(KINDS))}")
    return kind(order, site, channel)


def versions() -> dict[str, str]:
    return dict.fromkeys(KINDS, COMMAND_VERSION)
