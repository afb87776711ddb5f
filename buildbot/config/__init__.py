"""master.cfg becomes one frozen, checked Config."""

from buildbot.config.builder import BuilderConfig
from buildbot.config.errors import ConfigErrors, Problem, error
from buildbot.config.slave import BuildSlave, Worker

__all__ = ["BuildSlave", "BuilderConfig", "ConfigErrors", "Problem", "Worker", "error"]
