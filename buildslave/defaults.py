"""What buildbot.tac may set, as it is unless it does."""

ORPHAN_GRACE_SECONDS = 3600.0
"""How long commands go on without any master."""
SPOOL_BYTES = 1024 * 1024 * 1024
"""On disk, for output that no master takes."""
PROTOCOL = "pb"
"""The one that this slave speaks."""


def protocol_refused(name: object) -> str:
    """What to do about a slave that is to speak another one."""
    return (
        f"this slave does not speak {name!r}, only {PROTOCOL!r} (Perspective Broker): give the master a port for it,"
        " c['protocols'] = {'pb': {'port': 9989}}, and this slave that port"
    )
