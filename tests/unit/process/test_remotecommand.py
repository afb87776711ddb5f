"""What a remote command's exit code comes to."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from buildbot.process.remotecommand import RemoteCommand
from buildbot.process.results import EXCEPTION, FAILURE, RETRY, SUCCESS, WARNINGS


class ResultTests(SynchronousTestCase):
    def command(self, rc: int | None, **outcome: object) -> RemoteCommand:
        command = RemoteCommand("shell", {}, decodeRC={0: SUCCESS, 3: WARNINGS})
        command.rc = rc
        command.outcome = dict(outcome)
        return command

    def test_exit_codes_are_decoded(self) -> None:
        table = ((0, SUCCESS, False), (3, WARNINGS, False), (1, FAILURE, True), (None, FAILURE, True))
        for rc, result, failed in table:
            self.assertEqual((self.command(rc).results(), self.command(rc).didFail()), (result, failed), rc)

    def test_an_error_of_the_slave_is_no_exit_code(self) -> None:
        command = self.command(None, error="no such directory")
        self.assertEqual((command.results(), command.didFail()), (EXCEPTION, True))

    def test_a_lost_slave_is_a_retry(self) -> None:
        command = self.command(None)
        command.lost_why = "gone"
        self.assertEqual((command.results(), command.didFail()), (RETRY, True))
