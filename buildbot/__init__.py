"""Buildbot 1.0: a continuous-integration master in one process over one SQLite file."""

__version__ = "1.0.0a1"
version = __version__  # the spelling that master.cfg files and old tools read
