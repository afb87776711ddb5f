"""Whether a master has kept its promises: read from its store, its logs and what the commands themselves wrote down.

Uses nothing of the product but the names of results: the store is asked in SQL, and logs are taken apart here, by the
format that docs/architecture.md and buildbot/store/logindex.py describe.
"""

from __future__ import annotations

import re
import struct
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from buildbot.model import Result
from tests.integration.a_master import AMaster
from tests.processes import pid_alive
from tests.torture import custom, filler, load, recorder
from tests.torture.load import Load
from tests.torture.recorder import Ran

RECORD = struct.Struct("<QQdIIIHH")  # offset, newlines before it, time, bytes, taken, producer, channel, reserved
STDOUT, STDERR, HEADER = 1, 2, 3
FORGOTTEN_SECONDS = 20.0  # a loss of power may take so much of what was acknowledged to nobody
ON_THEIR_WAY_SECONDS = 2.0  # and orders that it took may begin so much later
NOT_ON_DISK = "its logs could not be brought to the disk"  # an EXCEPTION says so; a loss of power may take them
WITH_PARKED = ("buildsets", "build_requests")  # what a parked request keeps open
ENDED = b"\nexit code "

COMMANDS = """
SELECT r.name || '/' || b.number || '/' || s.name, c.state, json_extract(c.outcome, '$.rc'), b.result, l.path,
    l.size, s.state_text
FROM commands AS c JOIN steps AS s ON s.id = c.step_id JOIN builds AS b ON b.id = s.build_id
JOIN builders AS r ON r.id = b.builder_id LEFT JOIN logs AS l ON l.step_id = s.id AND l.slug = 'stdio'
WHERE c.name = 'shell' AND instr(c.args, 'recorder.py') ORDER BY c.id
"""
ASKED = """
SELECT c.revision, k.scheduler, k.verdict, r.id, r.result, r.parked_reason
FROM changes AS c LEFT JOIN classifications AS k ON k.change_id = c.id
LEFT JOIN build_requests AS r ON r.buildset_id = k.buildset_id
"""
TRIES = """
SELECT q.id, q.result, q.cancelled_because, q.parked_reason, b.result, b.state_text FROM build_requests AS q
LEFT JOIN build_requests_of_builds AS o ON o.request_id = q.id LEFT JOIN builds AS b ON b.id = o.build_id
ORDER BY q.id, b.id
"""
FAMILIES = """
SELECT p.id, p.result, count(DISTINCT s.id), max(c.id) < e.id, count(DISTINCT u.name), (
    SELECT count(*) FROM build_requests_of_builds AS o JOIN build_requests AS q ON q.id = o.request_id
    JOIN buildsets AS k ON k.id = q.buildset_id WHERE k.parent_build_id = p.id)
FROM builds AS p JOIN builders AS r ON r.id = p.builder_id JOIN steps AS t ON t.build_id = p.id AND t.name = 'children'
JOIN events AS e ON e.kind = 'build finished' AND e.subject_id = p.id
LEFT JOIN buildsets AS s ON s.parent_build_id = p.id
LEFT JOIN events AS c ON c.kind = 'buildset complete' AND c.subject_id = s.id
LEFT JOIN step_urls AS u ON u.step_id = t.id
WHERE r.name = 'parent' AND t.code_began_at IS NOT NULL GROUP BY p.id
"""
BUILT = """
SELECT r.name, b.number, json_extract(p.value, '$') FROM builds AS b JOIN builders AS r ON r.id = b.builder_id
JOIN build_properties AS p ON p.build_id = b.id AND p.name = 'revision' WHERE b.result NOT IN (4, 5, 6)
"""
TRANSFERRED = """
SELECT b.number, b.result, group_concat(s.state_text, '; ') FROM builds AS b JOIN builders AS r ON r.id = b.builder_id
JOIN steps AS s ON s.build_id = b.id WHERE r.name = ? GROUP BY b.id
"""
FINISHED = """
SELECT r.name, b.number FROM events AS e JOIN builds AS b ON b.id = e.subject_id JOIN builders AS r
ON r.id = b.builder_id WHERE e.kind = 'build finished' AND b.result <> 5 ORDER BY e.id
"""


class Checker:
    """Collects what is wrong, so that one look shows all of it."""

    def __init__(self, master: AMaster, load: Load) -> None:
        self.master = master
        self.load = load
        self.wrong: list[str] = []

    def expect(self, true: object, *what: object) -> None:
        if not true:
            self.wrong.append(" ".join(str(each) for each in what))

    def check(self, told: Iterable[tuple[str, int]]) -> None:
        """Everything, on a master at rest. `told`: the builds of which mails came, in their order. Raises
        AssertionError with all that is wrong.
        """
        runs = recorder.read(self.load.side)
        parts: list[Callable[[], None]] = [
            self.changes,
            self.requests,
            self.forced,
            lambda: self.commands(runs),
            lambda: self.locks(runs),
            lambda: self.sources(runs),
            self.transfers,
            self.custom,
            self.families,
            self.numbers,
            lambda: self.receivers(list(told)),
            self.nothing_left,
        ]
        for part in parts:
            part()
        if self.wrong:
            raise AssertionError(f"{len(self.wrong)} promises are broken:\n" + "\n".join(self.wrong[:40]))

    def changes(self) -> None:
        """Each acknowledged change is there once, has a verdict of each scheduler, and what it asked for was built."""
        stored = [revision for (revision,) in self.master.rows("SELECT revision FROM changes")]
        self.expect(
            sorted(stored) == sorted(self.load.sent),
            "changes:",
            (Counter(stored) - Counter(self.load.sent)) + (Counter(self.load.sent) - Counter(stored)),
        )
        built: dict[str, set[str]] = {revision: set() for revision in stored}
        for revision, scheduler, verdict, request, result, parked in self.master.rows(ASKED):
            if verdict == "important" and scheduler in load.ON_CHANGES:
                self.expect(request is not None, f"change {revision}: {scheduler} wants it, and asked for nothing")
                self.expect(result is not None or parked, f"change {revision}: request {request} is open")
                built[revision].add(scheduler)
        for revision, by in built.items():
            self.expect(by == load.ON_CHANGES, f"change {revision} was not built by", load.ON_CHANGES - by)

    def requests(self) -> None:
        """Each ends with its last build; RETRY is shown with its reason, and another build or a parked one follows."""
        tries: dict[int, list[tuple[Any, ...]]] = {}
        for request, *rest in self.master.rows(TRIES):
            tries.setdefault(request, []).append(tuple(rest))
        for request, of_it in tries.items():
            result, cancelled, parked, last, _ = of_it[-1]
            if result is not None and not cancelled:
                same = last == result or (last == Result.RETRY and result == Result.CANCELLED)
                self.expect(same, f"request {request} has {result}, its last build {last}")
            self.expect(parked is None or len(of_it) > 3, f"request {request} is parked after {len(of_it)} builds")
            for _, _, _, build, text in of_it[:-1]:
                self.expect(build == Result.RETRY, f"request {request} was built again after", build)
                self.expect(len(text) > len("retry"), f"request {request}: RETRY without a reason: {text!r}")

    def forced(self) -> None:
        reasons = Counter(
            reason for (reason,) in self.master.rows("SELECT reason FROM buildsets WHERE scheduler = 'force'")
        )
        for asked in self.load.forced:
            found = sum(count for reason, count in reasons.items() if re.search(rf"\b{asked.reason}\b", reason))
            self.expect(found == 1 if asked.sure else found <= 1, f"forced build {asked}: there are {found}")

    def commands(self, runs: dict[str, list[Ran]]) -> None:
        """By their own record, those that ended ran once and to their end, and others at most once."""
        known = set()
        for key, state, code, result, path, size, text in self.master.rows(COMMANDS):
            known.add(key)
            ran = runs.get(key, [])
            once = len(ran) <= 1 or self.forgotten(ran[:-1])
            self.expect(once, f"{key} ran {len(ran)} times")
            whole = state == "finished" and code is not None and code >= 0
            if whole and (not ran or ran[-1].code != code):
                self.expect(False, f"{key} ended with {code}, and its own record says", ran)
            if not whole:
                fair = result in (Result.RETRY, Result.CANCELLED)
                self.expect(fair, f"{key} was {state} with {code}, and its build has the result {result}")
            on_disk = not self.load.power_lost_at or NOT_ON_DISK not in text
            if path is not None and ran and on_disk:
                self.log(key, ran[-1], path, size, whole)
        unknown = {key for key in set(runs) - known if not self.forgotten(runs[key])}
        self.expect(not unknown, "no journal knows of", unknown)

    def forgotten(self, runs: Iterable[Ran]) -> bool:
        """Whether a loss of power can have taken the builds of these from the store, soon after they began."""
        return all(
            any(
                -ON_THEIR_WAY_SECONDS <= lost_at - ran.began <= FORGOTTEN_SECONDS for lost_at in self.load.power_lost_at
            )
            for ran in runs
        )

    def log(self, key: str, ran: Ran, path: str, size: int, whole: bool) -> None:
        """Byte for byte what the command wrote to each channel; of one that was cut off, its beginning."""
        channels = channels_of(self.master.basedir / "logs" / path)
        self.expect(size == sum(map(len, channels.values())), f"{key}: its log has another size than its row")
        wanted = {STDOUT: recorder.output(key, ran.lines), STDERR: recorder.errors(key, ran.lines)}
        for channel, all_of_it in wanted.items():
            got = channels.get(channel, b"")
            same = got == all_of_it if whole else all_of_it.startswith(got)
            self.expect(
                same, f"{key}: channel {channel} has {len(got)} bytes of {len(all_of_it)}: {_where(got, all_of_it)}"
            )
        header = channels.get(HEADER, b"")
        ends = header.count(ENDED)
        self.expect(header.count(key.encode()) <= 1, f"{key}: its header is there twice")
        if whole:
            self.expect(
                ends == 1 and ENDED + f"{ran.code},".encode() in header, f"{key}: its header says {header[-200:]!r}"
            )

    def locks(self, runs: dict[str, list[Ran]]) -> None:
        """What must be alone was alone; of what is counted, no more ran at once than two slaves may."""
        for held_by, most in ((load.EXCLUSIVE, 1), (load.COUNTED, 2 * load.HIGHEST_LIMIT)):
            spans = [
                (ran.began, ran.ended, key)
                for key, of_it in runs.items()
                for ran in of_it
                if held_by.get(key.split("/")[0]) == key.split("/")[2] and ran.ended is not None
            ]
            for began, _, key in spans:
                others = [other for since, until, other in spans if since <= began < until]
                self.expect(len(others) <= most, f"{others} ran at once with {key}, and at most {most} may")

    def sources(self, runs: dict[str, list[Ran]]) -> None:
        """What was built is the revision that was asked for. A disk that fails makes it an EXCEPTION."""
        for builder, number, revision in self.master.rows(BUILT):
            if builder in load.FROM_SOURCE:
                key = f"{builder}/{number}/{load.FROM_SOURCE[builder]}"
                saw = [ran.saw for ran in runs.get(key, [])][-1:]
                self.expect(saw == [revision], f"{key} is of {revision}, and saw {saw}")

    def transfers(self) -> None:
        """What has come to the master is what was sent, byte for byte, and so is what went back. Of what did not come
        whole nothing is seen. Only a disk that fails makes a transfer fail."""
        for number, result, texts in self.master.rows(TRANSFERRED, load.TRANSFERS):
            key = f"{load.TRANSFERS}/{number}"
            where = self.master.basedir / key
            disk_failed = "the disk" in texts or "on the master's disk" in texts
            self.expect(result != Result.FAILURE or disk_failed, f"{key} failed: {texts}")
            for path, name in [("up", "big"), *((f"tree/{name}", name) for name in filler.names())]:
                file = where / path
                there = file.exists()
                self.expect(there or result != Result.SUCCESS, f"{key}: {path} is missing")
                same = not there or file.read_bytes() == filler.content(key, name)
                self.expect(same, f"{key}: {path} is another one")
            if result == Result.SUCCESS:
                left = [path.name for path in where.rglob(".*")]
                self.expect(not left, f"{key}: {left} is left")

    def custom(self) -> None:
        """Custom steps that have ended well have written down once, and all of, what they have seen."""
        for key, path, count in self.master.rows(custom.ENDED_WELL):
            notes = custom.notes_of(self.master.basedir / "logs", path)
            self.expect(notes == custom.NOTES, f"{key} has written down {notes!r}")
            self.expect(count == custom.LINES, f"{key} has counted {count} lines")

    def families(self) -> None:
        """A parent has triggered once, has links to all of it, and did not end before."""
        for parent, result, sets, children_first, links, builds in self.master.rows(FAMILIES):
            if result == Result.SUCCESS:
                self.expect(sets == 1, f"build {parent} has {sets} buildsets of children")
                self.expect(
                    links == builds >= 2, f"build {parent} has {links} links to the {builds} builds of its children"
                )
                self.expect(children_first, f"build {parent} ended before its children")
            self.expect(sets <= 1, f"build {parent} has triggered {sets} times")

    def numbers(self) -> None:
        """Each builder counts its builds from 1, and leaves out none."""
        for name, count, highest in self.master.rows(
            "SELECT r.name, count(*), max(b.number) FROM builds AS b JOIN builders AS r ON r.id = b.builder_id "
            "GROUP BY r.id"
        ):
            self.expect(count == highest, f"{name} has {count} builds and the highest number is {highest}")

    def receivers(self, told: list[tuple[str, int]]) -> None:
        """Each build that is not tried again was told at least once, and the first time in the order of their ends."""
        finished = [(name, number) for name, number in self.master.rows(FINISHED)]
        first = list(dict.fromkeys(told))
        if self.load.power_lost_at:  # mails went out about builds that a loss of power took; their numbers came again
            self.expect(set(finished) <= set(first), "no mails came of", set(finished) - set(first))
            return
        self.expect(set(first) == set(finished), "mails:", set(finished) ^ set(first))
        if set(first) == set(finished):
            at = next((n for n, pair in enumerate(zip(first, finished, strict=True)) if pair[0] != pair[1]), None)
            self.expect(at is None, "mails came in another order, from", at, first[at or 0 :][:3])

    def nothing_left(self) -> None:
        """No row is open, no reference dangles, nothing holds a lock, and no process of a command lives."""
        parked = self.master.value("SELECT count(*) FROM build_requests WHERE parked_reason IS NOT NULL")
        open_rows = self.master.open_rows()
        left = {name: count for name, count in open_rows.items() if not (parked and name in WITH_PARKED)}
        self.expect(not left, "open:", left)
        holders = self.master.web.get("/locks").text.count("/builds/")
        self.expect(holders == 0, "the page of the locks shows", holders, "builds that hold or wait")
        self.expect(not processes_of(self.load.side), "processes are left:", processes_of(self.load.side))


def channels_of(path: Path) -> dict[int, bytes]:
    """The bytes of each channel of a finished log, by its index."""
    text, index = path.read_bytes(), path.with_suffix(".idx").read_bytes()
    records = [*RECORD.iter_unpack(index)]
    ends = [record[0] for record in records[1:]] + [len(text)] * bool(records)
    channels: dict[int, bytes] = {}
    for (offset, *_, channel, _), end in zip(records, ends, strict=True):
        channels[channel] = channels.get(channel, b"") + text[offset:end]
    return channels


def processes_of(side: Path) -> list[int]:
    """The processes that write their record there."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if str(side).encode() in words and pid_alive(int(entry.name)):
                found.append(int(entry.name))
    return found


def _where(got: bytes, wanted: bytes) -> str:
    """The first place at which they differ."""
    at = next(
        (n for n, (ours, theirs) in enumerate(zip(got, wanted, strict=False)) if ours != theirs),
        min(len(got), len(wanted)),
    )
    return f"at {at}, {got[max(0, at - 20) : at + 40]!r} and not {wanted[max(0, at - 20) : at + 40]!r}"
