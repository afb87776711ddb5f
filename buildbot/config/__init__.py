"""master.cfg becomes one frozen, checked Config."""

from buildbot.config.errors import ConfigErrors, Problem, error

__all__ = ["ConfigErrors", "Problem", "error"]
