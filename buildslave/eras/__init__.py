"""Masters of other eras: the dialect of Perspective Broker that Buildbot has spoken since 0.7, from the slave's side.

docs/slave-protocol.md, "Masters of other eras". Such a master knows no positions and does not come back for a command:
what runs for it lives as long as its connection.
"""
