"""The buildslaves' side of the master: the Perspective Broker port, one session a slave, the dialects of the wire."""
