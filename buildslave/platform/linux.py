"""What Linux tells of processes in /proc, and how one process becomes the parent of orphans.

Where there is no /proc every answer is empty: then a command's process group is all that is known of it.
"""

import ctypes
import os
from collections.abc import Collection, Iterator
from typing import NamedTuple

from buildslave.platform.kinds import MARK, ProcessStat, Relative

PR_SET_CHILD_SUBREAPER = 36
PR_GET_CHILD_SUBREAPER = 37
MOST_ENVIRON_BYTES = 8 * 1024 * 1024


class _Seen(NamedTuple):
    pid: int
    state: bytes
    parent: int
    group: int
    session: int
    started_ticks: int


def _look(pid: int) -> _Seen | None:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
        return _Seen(pid, fields[0], int(fields[1]), int(fields[2]), int(fields[3]), int(fields[19]))
    except (OSError, ValueError, IndexError):
        return None


def _all() -> Iterator[_Seen]:
    try:
        numbers = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    except OSError:
        return
    for number in numbers:
        seen = _look(number)
        if seen is not None:
            yield seen


def process_stat(pid: int) -> ProcessStat | None:
    """Of a process that exists, even as a zombie; None if there is none, or the system does not tell."""
    seen = _look(pid)
    return None if seen is None else ProcessStat(seen.group, seen.started_ticks)


def group_members(leader: int) -> list[ProcessStat]:
    """Of all processes of a group."""
    return [ProcessStat(seen.group, seen.started_ticks) for seen in _all() if seen.group == leader]


def boot() -> str | None:
    """Differs between two starts of the machine, and between containers; None if the system does not tell."""
    try:
        with open("/proc/sys/kernel/random/boot_id") as file:
            return f"{file.read().strip()} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return None


def ticks_since_boot() -> int:
    """The time as `ProcessStat` has it. Only where `boot` tells something."""
    import time

    return int(time.clock_gettime(time.CLOCK_BOOTTIME) * os.sysconf("SC_CLK_TCK"))


def adopt_orphans() -> bool:
    """From now on a process that loses its parent becomes a child of this one, if that started it. False if the
    system cannot do that."""
    try:
        return bool(ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0)
    except (OSError, AttributeError, TypeError):
        return False


def adopts_orphans() -> bool:
    """Whether `adopt_orphans` was called in this process, and worked."""
    answer = ctypes.c_int(0)
    try:
        done = ctypes.CDLL(None).prctl(PR_GET_CHILD_SUBREAPER, ctypes.byref(answer), 0, 0, 0)
    except (OSError, AttributeError, TypeError):
        return False
    return bool(done == 0 and answer.value == 1)


def relatives(leader: Relative | None, mark: str | None, *, others: Collection[int] | None = None) -> list[Relative]:
    """The living processes of a command: in the group or session that `leader` began, marked by `mark` in their
    environment, or descended from such a one.

    `others`: the leaders of all other commands that run in this process. If there are none (an empty collection), what
    this process has adopted and what bears no mark belongs to the command, too; with None, nothing does by that alone.
    Without `mark` all that was adopted is meant, whatever mark it bears.
    """
    everything = {seen.pid: seen for seen in _all()}
    ours = os.getpid()
    begun = None if leader is None else everything.get(leader.pid)
    if leader is not None and begun is not None and begun.started_ticks != leader.started_ticks:
        leader = None  # its number is another's now, so nobody is left of its group
    own_session = everything[ours].session if ours in everything else None
    adopts = others is not None and not others and adopts_orphans()
    found: set[int] = set()
    for pid, seen in everything.items():
        if pid == ours or pid == 1:
            continue
        led = leader is not None and leader.pid in (pid, seen.group, seen.session)
        adopted = adopts and seen.parent == ours and seen.session != own_session
        if led or _is_marked(pid, mark) or (adopted and (mark is None or not _is_marked(pid, f"{MARK}="))):
            found.add(pid)
    found |= _descendants(found, everything) - {ours}
    return [Relative(pid, everything[pid].started_ticks) for pid in sorted(found) if everything[pid].state not in b"ZX"]


def _descendants(roots: set[int], everything: dict[int, _Seen]) -> set[int]:
    children: dict[int, list[int]] = {}
    for seen in everything.values():
        children.setdefault(seen.parent, []).append(seen.pid)
    found: set[int] = set()
    waiting = list(roots)
    while waiting:
        for child in children.get(waiting.pop(), ()):
            if child not in found:
                found.add(child)
                waiting.append(child)
    return found


def _is_marked(pid: int, mark: str | None) -> bool:
    if mark is None:
        return False
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return mark.encode() in file.read(MOST_ENVIRON_BYTES)
    except OSError:
        return False  # it is gone, or another user's


def signal_relative(relative: Relative, number: int) -> bool:
    """Signal that very process, never a later one with its number. False if it is gone, or not ours to signal."""
    import signal

    try:
        descriptor = os.pidfd_open(relative.pid)
    except (OSError, AttributeError):
        return False
    try:
        seen = _look(relative.pid)
        if seen is None or seen.started_ticks != relative.started_ticks:
            return False
        signal.pidfd_send_signal(descriptor, number)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True


def dead_children(known: Collection[int]) -> set[int]:
    """The children of this process that have ended and that nobody has asked about, without those that are known."""
    seen = (_look(pid) for pid in _children() - set(known))
    return {each.pid for each in seen if each is not None and each.parent == os.getpid() and each.state == b"Z"}


def _children() -> set[int]:
    found: set[int] = set()
    try:
        for thread in os.listdir("/proc/self/task"):
            with open(f"/proc/self/task/{thread}/children", "rb") as file:
                found |= {int(word) for word in file.read().split()}
    except OSError:  # a thread that has ended, or a kernel that does not tell
        return {seen.pid for seen in _all() if seen.parent == os.getpid()}
    return found
