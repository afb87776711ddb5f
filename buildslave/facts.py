"""What the slave tells the master about itself and its machine."""

import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

MOST_BYTES = 64 * 1024


def plain(text: str) -> str:
    """Text that can be sent: bytes that were no UTF-8 become question marks."""
    return text.encode("utf-8", "replace").decode()


def info_files(directory: Path) -> dict[str, str]:
    """Each file of info/ by its name; hidden files and directories are not told."""
    found = {}
    for path in sorted(directory.glob("*")) if directory.is_dir() else []:
        if path.is_file() and not path.name.startswith("."):
            with path.open("rb") as file:
                found[plain(path.name)] = file.read(MOST_BYTES).decode("utf-8", "replace")
    return found


def os_release(path: Path = Path("/etc/os-release")) -> dict[str, str]:
    """The facts of os-release(5) as `os_id`, `os_version_id`, ...; empty where there is no such file."""
    try:
        lines = path.read_text("utf-8", "replace").splitlines()
    except OSError:
        return {}
    pairs = (line.partition("=") for line in lines if "=" in line and not line.startswith("#"))
    return {f"os_{name.strip().lower()}": value.strip().strip("\"'") for name, _, value in pairs}


def describe(basedir: Path, environ: Mapping[str, str], numcpus: int | None) -> dict[str, Any]:
    """Facts that do not change while the slave runs, and the files of info/ as they are now."""
    return {
        **info_files(basedir / "info"),
        **os_release(),
        "environ": {plain(name): plain(value) for name, value in environ.items()},
        "system": os.name,
        "os_machine": platform.machine(),
        "basedir": plain(str(basedir)),
        "numcpus": numcpus or os.cpu_count() or 1,
    }
