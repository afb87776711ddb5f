"""How an older store becomes a current one.

`UPGRADES[n]` brings schema n + 1 to schema n + 2; the tuple is append-only and each entry is a plain function over
the open store, run inside one transaction with foreign keys off and checked before the commit.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from buildbot.store.store import Store

FIRST_SCHEMA = 1

UPGRADES: tuple[Callable[[Store], None], ...] = ()

SCHEMA_VERSION = FIRST_SCHEMA + len(UPGRADES)
