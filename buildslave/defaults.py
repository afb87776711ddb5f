"""What buildbot.tac may set, as it is unless it does."""

ORPHAN_GRACE_SECONDS = 3600.0
"""How long commands go on without any master."""
SPOOL_BYTES = 1024 * 1024 * 1024
"""On disk, for output that no master takes."""
