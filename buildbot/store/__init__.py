"""All SQL and all log files: one module a noun. Nothing above this package writes SQL."""

from buildbot.store.store import (
    Queries,
    Store,
    StoreError,
    StoreIsInUse,
    StoreIsNewer,
    StoreNeedsUpgrade,
)

__all__ = ["Queries", "Store", "StoreError", "StoreIsInUse", "StoreIsNewer", "StoreNeedsUpgrade"]
