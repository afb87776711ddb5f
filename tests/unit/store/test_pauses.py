"""What is paused: by whom, why, and until when."""

from __future__ import annotations

from typing import Any

from buildbot.model import EventKind
from buildbot.store import pauses
from buildbot.store.pauses import Kind, Pause
from tests.unit.store.cases import NOW, StoreCase


class TestPauses(StoreCase):
    def begin(self, kind: Kind, name: str, now: float = NOW, **fields: Any) -> bool:
        return self.store.transact(pauses.begin, kind, name, now, **{"who": "ada", "why": "new disk", **fields})

    def end(self, kind: Kind, name: str) -> bool:
        return self.store.transact(pauses.end, kind, name, NOW + 9, who="bob", why="")

    def test_a_pause_is_kept_with_who_and_why(self) -> None:
        self.assertTrue(self.begin(Kind.SLAVE, "bob"))
        self.reopen()
        kept = Pause(Kind.SLAVE, "bob", False, NOW, "ada", "new disk")
        self.assertEqual(pauses.get(self.store, Kind.SLAVE, "bob"), kept)
        self.assertEqual(pauses.all_of(self.store, Kind.SLAVE), {"bob": kept})

    def test_kinds_of_the_same_name_are_apart(self) -> None:
        self.begin(Kind.SLAVE, "full")
        self.assertIsNone(pauses.get(self.store, Kind.BUILDER, "full"))
        self.assertEqual(pauses.all_of(self.store, Kind.BUILDER), {})
        self.assertFalse(self.end(Kind.BUILDER, "full"))

    def test_the_first_of_two_pauses_stays(self) -> None:
        self.begin(Kind.BUILDER, "full")
        self.assertFalse(self.begin(Kind.BUILDER, "full", NOW + 5, who="eve"))
        self.assertEqual(pauses.all_of(self.store, Kind.BUILDER)["full"].who, "ada")

    def test_the_newer_word_on_graceful_counts(self) -> None:
        self.begin(Kind.SLAVE, "bob")
        self.assertTrue(self.begin(Kind.SLAVE, "bob", NOW + 5, who="eve", graceful=True))
        found = pauses.all_of(self.store, Kind.SLAVE)["bob"]
        self.assertEqual((found.graceful, found.paused_at, found.who), (True, NOW + 5, "eve"))
        self.assertTrue(self.begin(Kind.SLAVE, "bob", NOW + 6))
        self.assertFalse(pauses.all_of(self.store, Kind.SLAVE)["bob"].graceful)

    def test_it_ends_once_and_is_told(self) -> None:
        self.begin(Kind.SLAVE, "bob")
        self.assertEqual((self.end(Kind.SLAVE, "bob"), self.end(Kind.SLAVE, "bob")), (True, False))
        self.assertIsNone(pauses.get(self.store, Kind.SLAVE, "bob"))
        self.assertEqual(self.kinds(), [EventKind.PAUSED, EventKind.UNPAUSED])
        self.assertEqual(self.events()[1].detail, {"thing": "slave", "name": "bob", "who": "bob", "why": ""})
