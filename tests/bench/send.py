"""`python -m tests.bench.send PORT BRANCH PAUSE REVISION...`: changes over PB; prints when each was acknowledged."""

from __future__ import annotations

import sys
import time
from typing import Any

from twisted.cred.credentials import UsernamePassword
from twisted.internet import reactor, task
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.spread import pb


async def send(port: int, branch: str, pause: float, revisions: list[str]) -> None:
    factory = pb.PBClientFactory()
    reactor.connectTCP("127.0.0.1", port, factory)  # type: ignore[attr-defined]
    avatar: Any = await factory.login(UsernamePassword(b"change", b"changepw"))
    for revision in revisions:
        change = {"who": "bench", "files": ["a"], "comments": "c", "branch": branch, "revision": revision}
        change |= {"repository": "r", "project": "", "codebase": None, "category": None, "revlink": "", "src": None}
        await avatar.callRemote("addChange", change | {"properties": {}, "when": None})
        print(revision, time.time(), flush=True)
        if pause:
            await task.deferLater(reactor, pause)  # type: ignore[arg-type]


def main() -> None:
    port, branch, pause, revisions = int(sys.argv[1]), sys.argv[2], float(sys.argv[3]), sys.argv[4:]

    def run(_: object) -> Deferred[None]:
        return ensureDeferred(send(port, branch, pause, revisions))

    task.react(run)


if __name__ == "__main__":
    main()
