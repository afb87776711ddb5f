"""Many real slaves in one process: `python -m tests.bench.swarm PORT COUNT DIRECTORY`. They are w0, w1, ...; each comes
back by itself, as slaves do.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import DeferredList
from twisted.python import log

from buildslave.bot import BuildSlave

here: Any = reactor


def main(port: int, count: int, directory: Path) -> None:
    log.startLogging(sys.stdout, setStdout=False)
    slaves = [
        BuildSlave(
            "127.0.0.1", port, f"w{number}", "pw", str(directory / f"w{number}"), maxdelay=1, stop_process=here.stop
        )
        for number in range(count)
    ]
    for slave in slaves:
        here.callWhenRunning(slave.startService)
    here.addSystemEventTrigger("before", "shutdown", lambda: DeferredList([slave.stopService() for slave in slaves]))
    here.run()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
