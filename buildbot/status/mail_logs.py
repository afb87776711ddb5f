"""What goes along with a mail: logs and patches, of bounded size."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from buildbot.model import Log
from buildbot.status.build_report import BuildReport
from buildbot.status.mail_mime import Attachment
from buildbot.store.logfiles import LogFiles

LARGEST_ATTACHMENT = 1 << 20
LARGEST_IN_ALL = 4 << 20


def log_attachments(report: BuildReport, wanted: Any, log_files: LogFiles) -> list[Attachment]:
    """The wanted logs: True for all, or their names ('log' or 'step.log'). Of a long one, its end."""
    room = LARGEST_IN_ALL
    found = []
    for name, log in _chosen(report, wanted):
        part = _attachment(name, log, log_files, min(LARGEST_ATTACHMENT, room))
        room -= len(part.data)
        found.append(part)
        if room <= 0:
            break
    return found


def _chosen(report: BuildReport, wanted: Any) -> Iterator[tuple[str, Log]]:
    if not wanted:
        return
    names = {wanted} if isinstance(wanted, str) else None if wanted is True else set(wanted)
    for log in report.logs:
        name = f"{report.step_of(log).name}.{log.name}"
        if names is None or log.name in names or name in names:
            yield name, log


def _attachment(name: str, log: Log, log_files: LogFiles, most: int) -> Attachment:
    try:
        with log_files.read(log.path) as reader:
            start = max(0, reader.size - most)
            data = reader.raw(start, reader.size)
    except OSError:
        return Attachment(name, b"(the log is not there any more)\n")
    if start:
        data = b"(%d bytes before are left out)\n" % start + data
    return Attachment(name, data, "html" if log.kind == "html" else "plain")


def patch_attachments(report: BuildReport) -> list[Attachment]:
    several = len(report.patches) > 1
    return [
        Attachment(f"source patch {number}" if several else "source patch", patch.body[:LARGEST_ATTACHMENT])
        for number, patch in enumerate(report.patches, 1)
    ]
