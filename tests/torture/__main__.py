"""`python -m tests.torture [--rounds N] [--seed S] [--no-gaps]`; says where it keeps what a failed run has left."""

from __future__ import annotations

import argparse
import secrets
from collections.abc import Callable

from tests.torture.rounds import Torture
from tests.torture.scratch import say, scratch


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--no-gaps", action="store_true", help="Only the rounds.")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(1_000_000))
    options = parser.parse_args()
    if not options.no_gaps:
        say("the master dies in each named gap")
        in_a_directory(lambda torture: torture.run_through(), options.seed)
    say(f"seed {options.seed}, {options.rounds} rounds")
    in_a_directory(lambda torture: torture.run(options.rounds), options.seed)


def in_a_directory(run: Callable[[Torture], None], seed: int) -> None:
    with scratch("torture") as (processes, where):
        run(Torture(processes, where, seed, say))


if __name__ == "__main__":
    main()
