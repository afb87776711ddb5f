"""The modules that a configuration imports from its own directory: read again at every load, put back when it fails."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType

MAIN_MODULE = "buildbot_master_cfg"

# The modules of the configuration in force, by name. They stay in sys.modules, because functions of a configuration
# may import again when they run.
_in_force: dict[str, ModuleType] = {}


@contextmanager
def fresh_modules(directory: str, is_users_file: Callable[[str], bool]) -> Iterator[None]:
    """In the block, imports look into `directory` too, and what came from there before is read again.

    When the block raises, the modules are those from before it. One load at a time.
    """
    before = {name: sys.modules.pop(name) for name in list(_in_force) if name in sys.modules}
    known = set(sys.modules)
    sys.path.insert(0, directory)
    # A file changed within its timestamp's resolution would otherwise be taken from its cached byte code.
    writes, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    importlib.invalidate_caches()
    try:
        yield
    except BaseException:
        for name in _users_modules(known, is_users_file):
            del sys.modules[name]
        sys.modules.update(before)
        raise
    else:
        _in_force.clear()
        _in_force.update({name: sys.modules[name] for name in _users_modules(known, is_users_file)})
    finally:
        sys.dont_write_bytecode = writes
        if directory in sys.path:
            sys.path.remove(directory)


def _users_modules(known: set[str], is_users_file: Callable[[str], bool]) -> list[str]:
    found = []
    for name, module in list(sys.modules.items()):
        if name in known:
            continue
        file = getattr(module, "__file__", None)
        if name == MAIN_MODULE or (isinstance(file, str) and is_users_file(file)):
            found.append(name)
    return found


def users_files() -> tuple[str, ...]:
    """The files of the configuration in force that were imported (not master.cfg itself)."""
    files = (getattr(module, "__file__", None) for name, module in _in_force.items() if name != MAIN_MODULE)
    return tuple(sorted(file for file in files if isinstance(file, str)))
