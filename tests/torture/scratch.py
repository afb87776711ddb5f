"""A directory and the processes of one run by hand, outside of pytest."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.processes import Processes


def say(text: str) -> None:
    print(text, flush=True)


@contextmanager
def scratch(name: str) -> Iterator[tuple[Processes, Path]]:
    """Both are gone after it; after a failure the directory is kept, and where is said."""
    where = Path(tempfile.mkdtemp(prefix=f"{name}-"))
    processes = Processes(where / "processes")
    try:
        yield processes, where
    except BaseException:
        say(f"what is left is in {where}")
        raise
    finally:
        processes.stop_all()
    shutil.rmtree(where)
