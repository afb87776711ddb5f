"""`python -m tests.torture [--rounds N] [--seed S]`"""

from __future__ import annotations

import argparse
import secrets
import tempfile
from pathlib import Path

from tests.processes import Processes
from tests.torture.rounds import Torture


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(1_000_000))
    options = parser.parse_args()
    print(f"seed {options.seed}, {options.rounds} rounds", flush=True)
    with tempfile.TemporaryDirectory(prefix="torture-") as where:
        processes = Processes(Path(where))
        try:
            Torture(processes, Path(where), options.seed, lambda text: print(text, flush=True)).run(options.rounds)
        finally:
            processes.stop_all()


if __name__ == "__main__":
    main()
