"""The buildslave: it runs a buildmaster's commands and sends their output back. It depends on Twisted alone."""

__version__ = "1.0.0a1"
version = __version__
