"""Run a master.cfg and give its Config, or all that is wrong with it.

The file runs in a fresh namespace with `basedir` and `__file__`; the modules beside it are read again each time.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

from buildbot.config import names, python2
from buildbot.config.errors import Collecting, ConfigErrors, Location, Problem, collecting
from buildbot.config.keys import read_keys
from buildbot.config.master import Config, config_from_dict
from buildbot.config.modules import MAIN_MODULE, fresh_modules, users_files
from buildbot.config.names.absent import forget_modules, without_absent
from buildbot.config.places import KeyPlaces

#: What other parts of a configuration name.
_REFERRED_TO = frozenset({"slaves", "workers", "bots", "builders", "schedulers", "services", "secretsProviders"})


def load_config(path: str | Path) -> Config:
    """The configuration of this file. Raises ConfigErrors with every problem; then nothing has changed.

    It runs the user's code, which may take any time: the running master uses `load_config_aside`.
    """
    names.install()
    file = str(Path(path).absolute())
    directory = str(Path(file).parent)
    with collecting(file, directory) as collected, fresh_modules(directory, collected.is_users_file):
        try:
            given = _run(file, directory, collected)
        finally:
            forget_modules()
        config = None if given is None else _check(given, collected)
        if collected.problems or config is None:
            raise ConfigErrors(collected.problems)
        warnings = tuple(collected.warnings)
    return replace(config, files=(file, *users_files()), warnings=warnings)


def _run(file: str, directory: str, collected: Collecting) -> Mapping[Any, Any] | None:
    """BuildmasterConfig as the file leaves it; None when it came to no end, which has been noted."""
    module = ModuleType(MAIN_MODULE)
    module.__dict__.update({"__file__": file, "basedir": directory})
    sys.modules[MAIN_MODULE] = module
    try:
        code = compile(Path(file).read_bytes(), file, "exec", dont_inherit=True)
        exec(code, module.__dict__)
    except OSError as wrong:
        if collected.place_in_traceback(wrong.__traceback__) is None:
            sample = f"{file}.sample"
            hint = f"write one; to begin with, cp {sample} {file}" if Path(sample).exists() else None
            hint = hint if isinstance(wrong, FileNotFoundError) else None
            collected.add(Problem(f"cannot read the configuration: {wrong.strerror or wrong}", file, None, hint))
        else:
            _note(wrong, collected)
        return None
    except (Exception, SystemExit) as wrong:
        _note(wrong, collected)
        given = module.__dict__.get("BuildmasterConfig")
        if isinstance(given, Mapping):
            _check_keys_only(given, collected)
        return None
    given = module.__dict__.get("BuildmasterConfig")
    if not isinstance(given, Mapping):
        said = "does not define BuildmasterConfig" if given is None else "must make BuildmasterConfig a dict"
        collected.add(Problem(f"the file {said}", file, None, "it begins with c = BuildmasterConfig = {}"))
        return None
    return given


def _note(wrong: BaseException, collected: Collecting) -> None:
    """What the user's code raised, at the user's line."""
    if isinstance(wrong, ConfigErrors):
        for problem in wrong.problems:
            collected.add(problem)
        if wrong.problems or collected.problems:
            return
    if isinstance(wrong, SyntaxError) and wrong.filename and collected.is_users_file(wrong.filename):
        hint = python2.hint_for(wrong, wrong.filename)
        collected.add(Problem(f"{type(wrong).__name__}: {wrong.msg}", wrong.filename, wrong.lineno, hint))
        return
    place = collected.place_in_traceback(wrong.__traceback__) or Location(collected.main_file, 0)
    text = f"{type(wrong).__name__}: {wrong}" if str(wrong) else type(wrong).__name__
    mine = None if isinstance(wrong, SyntaxError) else python2.hint_for(wrong, place.file)
    hint = mine or names.hint_for(wrong) or getattr(wrong, "hint", None)
    collected.add(Problem(text, place.file, place.line or None, hint))


def _check(given: Mapping[Any, Any], collected: Collecting) -> Config | None:
    given, missing = without_absent(given)
    if missing & _REFERRED_TO:
        _check_keys_only(given, collected)  # what else refers to those is not wrong for that
        return None
    at = _placing(collected)

    def set_place(place: Location | None) -> None:
        collected.default_place = place

    return config_from_dict(given, at, set_place)


def _check_keys_only(given: Mapping[Any, Any], collected: Collecting) -> None:
    """After an exception the rest is missing, but what is misspelt is misspelt."""
    read_keys(given, _placing(collected))


def _placing(collected: Collecting) -> Any:
    places = KeyPlaces([collected.main_file, *collected.users_modules()])

    def at(key: str) -> None:
        collected.default_place = places.of(key) if key else None

    return at
