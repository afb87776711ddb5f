"""`backup` and `check`: the state and the logs of a master, copied and looked at while it runs or not."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tarfile
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

from buildbot.scripts.create import STORE_FILE
from buildbot.scripts.outcome import CommandFailed, ExitCode, Say
from buildbot.store.backup import LOGS, Copied, back_up
from buildbot.store.checking import SPOILED, Check, Finding, repair
from buildbot.store.store import Queries, Store, StoreError, connect

TAR_ENDINGS = (".tar", ".tar.gz", ".tgz")
SHOWN = 20  # findings of one kind


def backup(basedir: Path, target: Path, say: Say, *, copy: bool) -> ExitCode:
    """Copy to `target`, which must not exist; it gets its name when it is complete."""
    _require_store(basedir)
    if target.exists():
        raise CommandFailed(f"{target} exists already; give a name that is new, such as one with the date")
    part = target.with_name(target.name + ".part")
    if part.is_dir():
        shutil.rmtree(part)  # of a backup that was interrupted
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        copied = back_up(basedir, part, time.time(), link=not copy)
        if target.name.endswith(TAR_ENDINGS):
            _as_tar(part, target)
        else:
            os.rename(part, target)
    except (OSError, sqlite3.Error) as error:
        raise CommandFailed(f"the backup failed: {error}") from None
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return _told(target, copied, say)


def _as_tar(directory: Path, target: Path) -> None:
    part = target.with_name(target.name + ".tarpart")
    try:
        with tarfile.open(part, "w" if target.name.endswith(".tar") else "w:gz") as tar:
            tar.add(directory, arcname=".")
        with part.open("rb") as file:
            os.fsync(file.fileno())
        os.rename(part, target)
    finally:
        part.unlink(missing_ok=True)


def _told(target: Path, copied: Copied, say: Say) -> ExitCode:
    say(f"backed up to {target}: {STORE_FILE} ({copied.store_bytes} bytes) and {copied.logs} logs")
    if copied.removed_meanwhile:
        say(f"{copied.removed_meanwhile} logs were removed by retention meanwhile, and the copy says so")
    if copied.missing:
        raise CommandFailed(
            f"the backup is there, but logs are missing in the master, such as {copied.missing[0]}: see buildbot check"
        )
    return ExitCode.OK


def check(basedir: Path, say: Say, warn: Say, *, repair: bool) -> ExitCode:
    """Say what is wrong. With `repair`, do what can be done about it first."""
    _require_store(basedir)
    try:
        found, looked_at = _findings(basedir)
        spoiled = any(finding.kind in SPOILED for finding in found)
        if repair and found and not spoiled:
            _repair(basedir, found, say)
            found, looked_at = _findings(basedir)
    except sqlite3.Error as error:
        raise CommandFailed(f"{basedir / STORE_FILE}: {error}") from None
    for line in _report(found):
        warn(line)
    if found:
        more = "" if repair or not any(finding.kind.repairable for finding in found) else "; see --repair"
        if spoiled:
            more = "; nothing is repaired, because the store itself is damaged: restore a backup" if repair else ""
        raise CommandFailed(f"{len(found)} things are wrong in {basedir}{more}")
    say(f"{basedir} is in order: the store, and {looked_at} logs")
    return ExitCode.OK


def _findings(basedir: Path) -> tuple[list[Finding], int]:
    with closing(connect(basedir / STORE_FILE, read_only=True)) as connection:
        check = Check(Queries(connection), basedir / LOGS)
        return check.findings(), check.looked_at


def _repair(basedir: Path, found: list[Finding], say: Say) -> None:
    try:
        store = Store.open(basedir / STORE_FILE)
    except StoreError as error:
        raise CommandFailed(f"nothing is repaired: {error}") from None
    try:
        left = repair(store, basedir / LOGS, found, time.time())
    finally:
        store.close()
    say(f"repaired: {len(found) - len(left)} of {len(found)}")


def _report(found: list[Finding]) -> list[str]:
    lines = []
    counts = Counter(finding.kind for finding in found)
    for kind, count in counts.items():
        lines.append(f"{kind.words} ({count}):")
        lines += [f"  {finding.what}" for finding in found if finding.kind is kind][:SHOWN]
        if count > SHOWN:
            lines.append(f"  and {count - SHOWN} more")
    return lines


def _require_store(basedir: Path) -> None:
    if not (basedir / STORE_FILE).is_file():
        raise CommandFailed(f"{basedir} is no buildmaster's directory: there is no {STORE_FILE}")
