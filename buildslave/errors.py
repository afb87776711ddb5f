"""What the slave refuses. Each is a `pb.Error`, so that the master sees the sentence, and no traceback is logged."""

from twisted.spread import pb


class Refusal(pb.Error):
    """The slave refuses what the master asked."""


class UnknownCommand(Refusal):
    """This slave has no command of that name."""


class BadArguments(Refusal):
    """An argument of the command is missing, of the wrong type, or makes no sense."""


class OutsideBasedir(BadArguments):
    """A path leads out of the slave's base directory."""
