"""The directories of builders: which there should be, and which are left over from builders that are no more."""

import os
from collections.abc import Iterable
from pathlib import Path

from buildslave.paths import builder_directory

OWN_DIRECTORIES = frozenset({"info"})


def builder_directories(basedir: Path, builders: Iterable[tuple[str, str]]) -> list[Path]:
    """The directories of (name, builddir) pairs. Raises OutsideBasedir for one that is not below `basedir`."""
    return [builder_directory(basedir, builddir) for _, builddir in builders]


def leftover_directories(basedir: Path, wanted: Iterable[Path]) -> list[Path]:
    """Directories directly in `basedir` that hold none of the wanted ones; never a link or a hidden one."""
    keep = OWN_DIRECTORIES | {path.relative_to(basedir).parts[0] for path in wanted}
    with os.scandir(basedir) as entries:
        names = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    return [basedir / name for name in sorted(names) if name not in keep and not name.startswith(".")]
