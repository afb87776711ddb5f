"""Steps, factories and their bases take and have what those of Buildbot 4.3.0, 0.8.14, 0.8.3 and 0.7.12 take and have.

That is read from the packages themselves, each in its own environment. What differs is in eras/differences.txt, with
its reason; and nothing is there that does not differ.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from buildbot.config import names
from tests.interop.eras import comparing
from tests.tools import make_old_peer, make_peer

names.install()
REASONS = Path(__file__).parent / "eras" / "differences.txt"


@cache
def found() -> dict[str, str]:
    """What differs -> where it was seen first, and what is on both sides."""
    pythons = [make_peer().python]
    pythons += [make_old_peer(name) / "python" for name in ("master-0.8.14", "master-0.8.3", "slave-0.7.12")]
    differences = comparing.differences([comparing.read(python) for python in pythons])
    seen: dict[str, str] = {}
    for difference in differences:
        seen.setdefault(str(difference.what), difference.seen)
    return seen


def explained() -> set[str]:
    """What differs for a reason."""
    known: set[str] = set()
    for line in REASONS.read_text().splitlines():
        if not line.startswith(" "):
            continue
        kind, owner, *names = line.split()
        if kind in ("class", "order"):
            known |= {f"{kind} {each}" for each in (owner, *names)}
        else:
            known |= {f"{kind} {owner}.{name}" for name in names}
    return known


def test_whatever_differs_has_a_reason() -> None:
    known = explained()
    assert [f"{what}: {seen}" for what, seen in found().items() if what not in known] == []


def test_whatever_has_a_reason_differs() -> None:
    assert sorted(explained() - found().keys()) == []
