"""What is left over in the slave's directory: directories of builders that are no more, and secrets of steps that a
former process of the slave did not see the end of."""

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from buildslave.paths import builder_directory

OWN_DIRECTORIES = frozenset({"info"})
SECRETS = ".secrets"  # where steps put keys and passwords for as long as they run


def builder_directories(basedir: Path, builders: Iterable[tuple[str, str]]) -> list[Path]:
    """The directories of (name, builddir) pairs. Raises OutsideBasedir for one that is not below `basedir`."""
    return [builder_directory(basedir, builddir) for _, builddir in builders]


def leftover_directories(basedir: Path, wanted: Iterable[Path]) -> list[Path]:
    """Directories directly in `basedir` that hold none of the wanted ones; never a link or a hidden one."""
    keep = OWN_DIRECTORIES | {path.relative_to(basedir).parts[0] for path in wanted}
    with os.scandir(basedir) as entries:
        names = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    return [basedir / name for name in sorted(names) if name not in keep and not name.startswith(".")]


def remove_secrets(basedir: Path) -> None:
    """Remove what steps had put there: their commands have ended with the former process."""
    shutil.rmtree(basedir / SECRETS, ignore_errors=True)
