"""`create-master` and `upgrade-master`: make or renew a master's directory."""

from __future__ import annotations

import os
import sqlite3
import struct
from pathlib import Path

from buildbot.scripts.outcome import CommandFailed, Say
from buildbot.scripts.pidfile import PidFile
from buildbot.scripts.tac import TAC_FILE, TacSettings, new_tac, require_tac
from buildbot.store import probe
from buildbot.store.store import Store, StoreError

STORE_FILE = "state.sqlite"
SAMPLE_FILE = "master.cfg.sample"
PUBLIC = "public_html"

INDEX = """\
<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<title>Buildbot</title>
<link rel="icon" href="favicon.ico">
<h1>Buildbot</h1>
<p>This page is yours to change: it is index.html in the master's public_html.
<ul>
<li><a href="waterfall">Waterfall</a>: what was built, when, and how it ended
<li><a href="builders">Builders</a>
<li><a href="buildslaves">Buildslaves</a>
<li><a href="changes">Changes</a>
<li><a href="about">About this master</a>
</ul>
</html>
"""

ROBOTS = """\
User-agent: *
Disallow: /waterfall
Disallow: /builders
Disallow: /changes
Disallow: /buildslaves
Disallow: /json
Disallow: /api
"""


def sample_text() -> str:
    """The sample configuration, which is package data."""
    return Path(__file__).with_name("sample.cfg").read_text(encoding="utf-8")


def favicon() -> bytes:
    """An icon of 16 by 16 pixels: one green build above a grey one."""
    green, grey, clear = b"\x5a\xb8\x5a\xff", b"\xa8\xa8\xa8\xff", b"\0\0\0\0"
    edge = clear * 16
    rows = [clear + grey * 14 + clear] * 6 + [edge] * 2 + [clear + green * 14 + clear] * 6  # from the lowest up
    image = struct.pack("<IiiHHIIiiII", 40, 16, 32, 1, 32, 0, 0, 0, 0, 0, 0)
    image += b"".join([edge, *rows, edge]) + bytes(16 * 4)
    return struct.pack("<HHH", 0, 1, 1) + struct.pack("<BBBBHHII", 16, 16, 0, 0, 1, 32, len(image), 22) + image


def create_master(settings: TacSettings, *, force: bool, say: Say) -> None:
    """Make the directory and all it needs. An existing buildbot.tac is refused, unless `force` renews it."""
    basedir = settings.basedir
    tac, text = basedir / TAC_FILE, new_tac(settings)
    if tac.exists() and tac.read_text(encoding="utf-8", errors="replace") != text and not force:
        raise CommandFailed(f"{tac} exists already; use --force to replace it, or choose another directory")
    _check_store(basedir / STORE_FILE)
    try:
        basedir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CommandFailed(f"cannot make {basedir}: {error.strerror}") from None
    if tac.exists() and tac.read_text(encoding="utf-8", errors="replace") != text:
        os.replace(tac, tac.with_name(TAC_FILE + ".old"))
        say(f"the former {TAC_FILE} is now {TAC_FILE}.old")
    tac.write_text(text, encoding="utf-8")
    _write_files(basedir, replace=force, say=say)
    _open_store(basedir, upgrade=False)
    say(f"made a buildmaster in {basedir}")
    if not (basedir / settings.config).exists():
        say(f"write its configuration:  cp {basedir / SAMPLE_FILE} {basedir / settings.config}")
        say(f"and check it:             buildbot checkconfig {basedir}")
    say(f"then start it:            buildbot start {basedir}")


def upgrade_master(basedir: Path, *, replace: bool, say: Say, warn: Say) -> None:
    """Bring the store and the sample files up to date. The store as it was is kept beside it."""
    require_tac(basedir)
    pid = PidFile(basedir).running()
    if pid is not None:
        raise CommandFailed(f"the buildmaster in {basedir} is running (pid {pid}): stop it first")
    for sentence in old_state(basedir):
        warn(sentence)
    _check_store(basedir / STORE_FILE)
    before = probe.schema_of(basedir / STORE_FILE)
    after = _open_store(basedir, upgrade=True)
    if before and before != after:
        say(f"{STORE_FILE} is upgraded from schema {before} to {after}; the former is {STORE_FILE}.{before}")
    else:
        say(f"{STORE_FILE} is up to date (schema {after})")
    _write_files(basedir, replace=replace, say=say)
    say(f"upgraded the buildmaster in {basedir}; check its configuration: buildbot checkconfig {basedir}")


def _write_files(basedir: Path, *, replace: bool, say: Say) -> None:
    (basedir / SAMPLE_FILE).write_text(sample_text(), encoding="utf-8")
    public = basedir / PUBLIC
    public.mkdir(exist_ok=True)
    for name, data in (("index.html", INDEX.encode()), ("robots.txt", ROBOTS.encode()), ("favicon.ico", favicon())):
        path = public / name
        if not path.exists() or (replace and path.read_bytes() != data):
            path.write_bytes(data)
        elif path.read_bytes() != data:
            say(f"{path} is yours and is kept")


def _open_store(basedir: Path, *, upgrade: bool) -> int:
    try:
        store = Store.open(basedir / STORE_FILE, upgrade=upgrade)
    except StoreError as error:
        raise CommandFailed(str(error)) from None
    except sqlite3.Error as error:
        raise CommandFailed(f"{basedir / STORE_FILE}: {error}") from None
    try:
        return store.schema_version
    finally:
        store.close()


def _check_store(path: Path) -> None:
    """A database of another Buildbot is not to be touched."""
    if not path.exists() or path.stat().st_size == 0:
        return
    try:
        tables = probe.tables_of(path)
    except sqlite3.Error as error:
        raise CommandFailed(f"{path} is no SQLite file, or a damaged one: {error}") from None
    if tables & {"migrate_version", "alembic_version", "version", "buildrequests"}:
        raise CommandFailed(
            f"{path} was made by Buildbot 0.8 or later ones, and this version does not read it. Keep it, and let a new "
            f"one be made:  mv {path} {path}.old"
        )


def old_state(basedir: Path) -> list[str]:
    """What older masters have left in this directory that this one does not read."""
    found = []
    if (basedir / "changes.pck").exists():
        found.append(f"{basedir / 'changes.pck'}: changes of Buildbot 0.7 are not read")
    pickled = [path.parent.name for path in basedir.glob("*/builder")]
    if pickled:
        shown = ", ".join(sorted(pickled)[:5]) + (", ..." if len(pickled) > 5 else "")
        found.append(f"builds of Buildbot 0.7 or 0.8 ({shown}) are not read; their directories are left alone")
    return found
