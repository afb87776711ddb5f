"""Where a path of the master's leads on this disk, and whether it may.

A path is relative to the builder's directory and must stay in the slave's base directory, both as it is written and
after symbolic links are followed. The builder's directory itself may be a link to another disk: who set up the slave
made it, so what lies in it counts as inside.
"""

import os
from pathlib import Path

from buildslave.errors import OutsideBasedir


def inside(path: str, directory: str) -> bool:
    """True if `path` is `directory` or lies below it; both absolute and normal."""
    return path == directory or path.startswith(directory.rstrip(os.sep) + os.sep)


def confined(basedir: Path, builddir: Path, *parts: str) -> Path:
    """The absolute path of `parts` below `builddir`. Raises OutsideBasedir if it leads out of `basedir`."""
    written = os.path.normpath(os.path.join(builddir, *parts))
    if not inside(written, os.path.normpath(basedir)):
        raise OutsideBasedir(f"{os.path.join(*parts)!r} leads out of the slave's base directory")
    real = os.path.join(os.path.realpath(os.path.dirname(written)), os.path.basename(written))
    if not any(inside(real, os.path.realpath(root)) for root in (basedir, builddir)) and written != str(builddir):
        raise OutsideBasedir(f"{os.path.join(*parts)!r} leads through a link out of the slave's base directory")
    return Path(written)


def confined_target(basedir: Path, builddir: Path, *parts: str) -> Path:
    """As `confined`, for a file that will be opened: the last part may not be a link that leads out either."""
    path = confined(basedir, builddir, *parts)
    real = os.path.realpath(path)
    if not any(inside(real, os.path.realpath(root)) for root in (basedir, builddir)):
        raise OutsideBasedir(f"{os.path.join(*parts)!r} is a link that leads out of the slave's base directory")
    return path


def builder_directory(basedir: Path, name: str) -> Path:
    """The directory of a builder. It is never the base directory itself, where the slave's own files are."""
    if not name or "\0" in name:
        raise OutsideBasedir(f"{name!r} is no builder's directory")
    written = os.path.normpath(os.path.join(basedir, name))
    top = os.path.normpath(basedir)
    if written == top or not inside(written, top):
        raise OutsideBasedir(f"builder's directory {name!r} is not below the slave's base directory")
    return Path(written)
