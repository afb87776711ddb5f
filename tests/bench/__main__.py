"""Runs every comparison and prints one table."""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
import time
from pathlib import Path

from buildbot.store import Store, builders
from tests.bench.contender import CFG, Contender
from tests.bench.keeping import TOO_LONG_MS, retention_cost
from tests.bench.pages import page_costs
from tests.bench.queue import fill, pass_cost
from tests.bench.reconnect import reconnecting
from tests.bench.recovery import recovery
from tests.bench.testing import cost_of_tests
from tests.bench.transfers import print_transfers

PENDING = 100_000
MANY_CFG = CFG + """
c['builders'] += [
    util.BuilderConfig(name='idle-%d' % n, workernames=names[n % len(names):][:5], factory=factory(['true']))
    for n in range(1000)]
c['schedulers'].append(schedulers.AnyBranchScheduler(name='idle', change_filter=util.ChangeFilter(branch='idle'),
    treeStableTimer=None, builderNames=[b.name for b in c['builders'] if b.name.startswith('idle-')]))
"""


def build_cost(contender: Contender, kind: str, changes: int) -> float:
    """CPU milliseconds of the master for one build of this kind."""
    before, cpu = contender.finished_builds(), contender.cpu()
    contender.send(kind, contender.revisions(changes))
    wanted = before + changes * contender.builders
    contender.wait(lambda: contender.finished_builds() >= wanted, f"{kind}-step builds")
    return (contender.cpu() - cpu) / (changes * contender.builders) * 1000


def latency(contender: Contender, rounds: int) -> float:
    """Milliseconds from a change's acknowledgement to its command's start: the median."""
    sent = contender.send("when", contender.revisions(rounds), pause=3.0)
    files = {revision: contender.where / f"when-{revision}" for revision in sent}
    contender.wait(lambda: all(f.exists() and f.read_text().strip() for f in files.values()), "commands")
    return statistics.median((float(files[r].read_text()) - sent[r]) * 1000 for r in sent)


def output(contender: Contender) -> tuple[float, float]:
    """(CPU seconds a 100 MB, growth of the peak resident memory in MiB) for one step that prints `lines` lines."""
    time.sleep(1)
    contender.forget_peak()
    before, cpu, done = contender.memory("VmRSS"), contender.cpu(), contender.finished_builds()
    contender.send("much", contender.revisions(1))
    contender.wait(lambda: contender.finished_builds() > done, "output", 900)
    megabytes = contender.lines * 80 / 1e6
    return (contender.cpu() - cpu) / megabytes * 100, contender.memory() - before


def measure(where: Path, *, ours: bool, quick: bool) -> dict[str, float]:
    """Every figure of one contender."""
    found: dict[str, float] = {}
    changes = (5 if quick else 20) if ours else 1 if quick else 2
    lines = (250_000 if ours else 25_000) if quick else 2_500_000  # 200 MB of lines of 80 bytes
    contender = Contender(where / "work", ours=ours, lines=lines)
    contender.make()
    try:
        contender.start()
        contender.start_slaves()
        build_cost(contender, "one", 1)  # what is done once is not counted
        found["one-step build, CPU ms"] = build_cost(contender, "one", changes + 1)
        found["five-step build, CPU ms"] = build_cost(contender, "five", changes)
        found["change to command, ms"] = latency(contender, 5 if quick else 15)
        found["output, CPU s/100 MB"], found["output, memory +MiB"] = output(contender)
    finally:
        contender.stop()
    many = Contender(where / "many", ours=ours, slaves=200, builders=0)
    many.make(MANY_CFG)
    try:
        many.start()
        found["start with 1,000 builders, s"] = many.started_in
        time.sleep(2 if ours else 20)
        cpu = many.cpu()
        time.sleep(5)
        found["idle with 1,000 builders, CPU %"] = (many.cpu() - cpu) / 5 * 100
        if ours:
            many.stop()
            store = Store.open(many.database)
            fill(store, [builder.name for builder in builders.present(store)], PENDING)
            store.close()
            many.start()
            found["start with 100,000 requests, s"] = many.started_in
    finally:
        many.stop()
    return found


def print_queue_costs(where: Path) -> None:
    """What it costs to give a slave that has become free its next build."""
    heading = f"{'a free slave gets its next build':44}{'CPU ms':>9}{'statements':>12}{'SQL steps':>11}{'requests':>10}"
    print(f"\n{heading}")
    for count, pending, merging in ((1000, 1000, False), (1000, PENDING, False), (1000, PENDING, True)):
        cost = pass_cost(where / f"{pending}-{merging}", builders=count, pending=pending, merging=merging)
        name = f"{pending:,} requests, {count:,} builders{', merging' if merging else ''}"
        print(f"{name:44}{cost.cpu_ms:9.1f}{cost.statements:12}{cost.steps:10.0f}k{cost.requests:10}")


def print_recovery(where: Path, builds: int) -> None:
    """What a kill -9 of the master costs those who wait for its builds."""
    found = recovery(where, builds=builds)
    print(f"\n{f'kill -9 with {builds} running builds':44}{'serves':>9}{'all go on':>12}{'CPU s':>11}")
    print(f"{'':44}{found.serves:8.1f}s{found.goes_on:11.1f}s{found.cpu:11.1f}")


def print_reconnecting(where: Path, slaves: int) -> None:
    """What all slaves that come back at once cost the master."""
    found = reconnecting(where, slaves=slaves)
    heading = f"{f'{slaves} slaves come back at once':44}{'all there':>12}{'longest turn, CPU':>19}"
    print(f"\n{heading}{'by the clock':>14}{'CPU s':>7}")
    print(f"{'':44}{found.seconds:11.1f}s{found.longest_cpu_ms:17.0f}ms{found.longest_ms:12.0f}ms{found.cpu:7.1f}")


def print_retention_costs(where: Path, builds: int) -> None:
    """What a pass of retention costs those who share the reactor with it; the longest transaction must not grow."""
    heading = f"{'retention removes nearly all of':44}{'rows':>9}{'transactions':>14}{'longest, CPU ms':>17}"
    print(f"\n{heading}{'SQL steps':>11}{f'over {TOO_LONG_MS:.0f} ms':>12}")
    for count in (builds // 10, builds):
        cost = retention_cost(where / str(count), builds=count)
        name = f"{count:,} builds"
        print(f"{name:44}{cost.rows:9}{cost.transactions:14}{cost.longest_cpu_ms:17.1f}{cost.steps:10.0f}k{cost.too_long:12}")


def print_tests_costs(where: Path, results: int) -> None:
    """What the results of a build's tests cost the master, with new names and with known ones."""
    heading = f"{f'{results:,} results of tests are stored':44}{'statements':>11}{'CPU ms':>9}{'telling them':>14}"
    print(f"\n{heading}{'longest, CPU ms':>17}{'bytes each':>12}")
    costs = cost_of_tests(where, results=results)
    for name, cost in zip(("their names are new", "their names are known"), costs, strict=True):
        figures = f"{cost.statements:11}{cost.cpu_ms:9.0f}{cost.told_ms:14.0f}{cost.longest_cpu_ms:17.1f}"
        print(f"{name:44}{figures}{cost.bytes_each:12.0f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small amounts of everything")
    parser.add_argument("--ours", action="store_true", help="without Buildbot 4.3.0")
    options = parser.parse_args()
    where = Path(tempfile.mkdtemp(prefix="bench-"))
    try:
        ours = measure(where / "ours", ours=True, quick=options.quick)
        peer = {} if options.ours else measure(where / "peer", ours=False, quick=options.quick)
        print(f"{'':34}{'ours':>12}{'4.3.0':>12}{'ratio':>9}")
        for name, value in ours.items():
            other = peer.get(name)
            ratio = f"{other / value:8.1f}x" if other is not None and value > 0 else ""
            print(f"{name:34}{value:12.2f}{'' if other is None else format(other, '.2f'):>12}{ratio:>9}")
        print_queue_costs(where / "queue")
        print_recovery(where / "recovery", 50 if options.quick else 200)
        print_transfers(where / "transfers", 100 if options.quick else 1000)
        print_reconnecting(where / "reconnecting", 100 if options.quick else 400)
        print_retention_costs(where / "keeping", 2000 if options.quick else 20_000)
        print_tests_costs(where / "testing", 10_000 if options.quick else 100_000)
        print(f"\n{'page, with 20,000 builds':44}{'statements':>11}{'bytes':>9}{'gzip':>8}{'CPU ms':>8}")
        for cost in page_costs(where / "history", builds=2000 if options.quick else 20_000):
            print(f"{cost.url:44}{cost.statements:11}{cost.size:9}{cost.compressed:8}{cost.cpu_ms:8.1f}")
    finally:
        shutil.rmtree(where, ignore_errors=True)


if __name__ == "__main__":
    main()
