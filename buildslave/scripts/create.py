"""`create-slave` and `upgrade-slave`: make or renew a slave's directory."""

import os
import sys
from pathlib import Path

from buildslave.scripts.outcome import CommandFailed
from buildslave.scripts.tac import TAC_FILE, TacSettings, new_tac, upgraded_tac

INFO_TEXTS = {
    "admin": (
        "Your Name Here <admin@youraddress.invalid>\n",
        "who looks after this slave; the master shows it, so that people know whom to ask",
    ),
    "host": (
        "Please put a description of this build host here\n",
        "what machine this is: system, versions of compilers and libraries, what is special about it",
    ),
}


class Reporter:
    """Says what was done, unless told to be quiet."""

    def __init__(self, quiet: bool) -> None:
        self._quiet = quiet

    def say(self, sentence: str) -> None:
        if not self._quiet:
            print(sentence)


def create_slave(settings: TacSettings, *, force: bool, reporter: Reporter) -> None:
    """Make the directory, buildbot.tac and info/. What exists is kept, unless `force` renews the tac."""
    existed = settings.basedir.is_dir()
    try:
        settings.basedir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CommandFailed(f"cannot make {settings.basedir}: {error.strerror}") from None
    reporter.say(f"{'using the existing' if existed else 'made'} directory {settings.basedir}")
    _write_tac(settings.basedir / TAC_FILE, new_tac(settings), force=force, reporter=reporter)
    make_info_files(settings.basedir, reporter)
    reporter.say(f"the slave is configured; start it with: buildslave start {settings.basedir}")


def _write_tac(path: Path, text: str, *, force: bool, reporter: Reporter) -> None:
    if path.exists() and path.read_text() == text:
        reporter.say(f"{path} is already right")
        return
    if path.exists() and not force:
        new = path.with_name(TAC_FILE + ".new")
        write_private(new, text)
        reporter.say(f"{path} exists and is kept; compare it with {new}, or use --force")
        return
    if path.exists():
        os.replace(path, path.with_name(TAC_FILE + ".old"))
        reporter.say(f"the former {TAC_FILE} is now {TAC_FILE}.old")
    write_private(path, text)
    reporter.say(f"wrote {path}")


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner may read: there is a password in it."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(temporary, path)


def make_info_files(basedir: Path, reporter: Reporter) -> None:
    """info/admin and info/host, to be edited. Those that exist are kept."""
    info = basedir / "info"
    info.mkdir(exist_ok=True)
    for name, (text, purpose) in INFO_TEXTS.items():
        path = info / name
        if not path.exists():
            path.write_text(text)
            reporter.say(f"please edit {path}: {purpose}")
    if not (info / "access_uri").exists():
        reporter.say(f"you may add {info / 'access_uri'}: an address under which the machine can be reached")


def upgrade_slave(basedir: Path, reporter: Reporter) -> None:
    """Let a tac of another era import this package, and add missing info files. The former tac is kept."""
    path = basedir / TAC_FILE
    if not path.is_file():
        raise CommandFailed(f"{basedir} has no {TAC_FILE}: it is no slave's directory")
    text = path.read_text(encoding="utf-8", errors="surrogateescape")
    upgraded = upgraded_tac(text)
    try:
        compile(upgraded.encode("utf-8", "surrogateescape"), str(path), "exec")
    except SyntaxError as error:
        raise CommandFailed(
            f"{path}, line {error.lineno}: {error.msg}. It may be Python 2; mend that line, or make a new slave with"
            " `buildslave create-slave --force`"
        ) from None
    if upgraded == text:
        reporter.say(f"{path} needs no change")
    else:
        mode = path.stat().st_mode & 0o777
        os.replace(path, path.with_name(TAC_FILE + ".old"))
        path.write_text(upgraded, encoding="utf-8", errors="surrogateescape")
        path.chmod(mode)
        reporter.say(f"{path} now imports buildslave.bot; the former one is {TAC_FILE}.old")
    make_info_files(basedir, reporter)


def complain(sentence: str) -> None:
    print(sentence, file=sys.stderr)
