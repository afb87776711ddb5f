"""What buildbot.tac may set, as it is unless it does."""

ORPHAN_GRACE_SECONDS = 3600.0
"""How long commands go on without any master."""
SPOOL_BYTES = 1024 * 1024 * 1024
"""On disk, for output that no master takes."""
PB = "pb"
MSGPACK = "msgpack_experimental_v7"
PROTOCOLS = (PB, MSGPACK)
"""Those that this slave speaks: Perspective Broker, and msgpack over WebSocket."""


def protocol_refused(name: object) -> str:
    """What to do about a slave that is to speak another one."""
    return f"this slave does not speak {name!r}: write {PB!r}, or {MSGPACK!r} if the master has a port for that"
