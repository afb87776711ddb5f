"""Runs one command to its end, whatever that is: there is always an outcome to tell."""

import time
from typing import Any

from twisted.internet.defer import CancelledError
from twisted.logger import Logger

from buildslave.commands.base import Channel, Command, Outcome, Reason

_log = Logger()


async def run_to_end(command: Command, channel: Channel) -> dict[str, Any]:
    """The outcome as the wire has it. What goes wrong inside the command is told in it, and in a header."""
    started = time.monotonic()
    try:
        outcome = await command.run()
    except CancelledError:
        outcome = Outcome(rc=-1, reason=Reason.INTERRUPTED)
    except OSError as error:
        channel.header(f"{error}\n")
        outcome = Outcome(rc=error.errno or -1, error=str(error))
    except Exception as error:
        _log.failure("command {id} failed inside the slave", id=channel.command_id)
        channel.header(f"the slave failed: {error!r}\n")
        outcome = Outcome(rc=-1, error=f"the slave failed: {error!r}")
    return outcome.to_wire(time.monotonic() - started)
