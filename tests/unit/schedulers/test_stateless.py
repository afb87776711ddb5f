"""No scheduler keeps anything to itself: a new object, on a store that was just opened, decides as the old one does."""

from __future__ import annotations

from typing import Any

from tests.unit.schedulers.histories import KINDS, Doing, HistoryCase, Way


class TestStateless(HistoryCase):
    def afresh(self, kind: str) -> Way:
        def has_it(do: Doing) -> Any:
            self.reopen()
            return do(self.store, KINDS[kind]())

        return has_it

    def test_each_kind(self) -> None:
        self.assert_the_same(self.afresh)
