"""Runs a plan: chooses numbers of messages, interleaves repetitions, keeps records."""

import sys
import time

from reporting import running, systems

MIB = 1 << 20
PILOT_BYTES = 4 * MIB
COUNT_MAX = 4_000_000
DELIVERIES_MAX = 20_000_000


class Measuring:
    """`seconds` is about what one run takes."""

    def __init__(self, seconds):
        self.seconds = seconds
        self.counts = {}  # by cell
        self.records = []
        self.broken = {}  # by cell: why

    def pilot_count(self, cell):
        return max(20, min(2000, PILOT_BYTES // cell.size))

    def count(self, cell):
        """The number of messages of one publisher that take about self.seconds."""
        if cell.rate:
            return int(cell.rate * self.seconds) + 1
        if cell.ping:
            return int(self.seconds * (500 if cell.wait == "sleep" else 8000)) + 10
        if cell.system is systems.Nng:
            return self.pilot_count(cell)  # it drops messages when it is too slow
        if cell not in self.counts:
            pilot = running.run(
                cell.system(), count=self.pilot_count(cell), **cell.arguments()
            )
            each = pilot["deliveries_per_s"] / cell.subscribers / cell.publishers
            most = min(COUNT_MAX, DELIVERIES_MAX // cell.subscribers)
            self.counts[cell] = max(
                self.pilot_count(cell), int(min(most, each * self.seconds))
            )
        return self.counts[cell]

    def measure(self, cell, repetition):
        try:
            count = self.count(cell)
            result = running.run(cell.system(), count=count, **cell.arguments())
        except (systems.Broken, OSError) as broken:
            self.broken[cell] = str(broken)
            print(f"\n  {cell.system.name}: {broken}", file=sys.stderr)
            return
        self.records.append(
            {
                "system": cell.system.name,
                **cell.shape(),
                "count": count,
                "repetition": repetition,
                "result": result,
            }
        )

    def pair(self, cell, old, new, swapped):
        """The results of two systems in the cell's load, one right after the other, or
        None if one failed. Both send as many messages."""
        first, second = (new, old) if swapped else (old, new)
        results = {}
        for system in (first, second):
            try:
                count = self.count(cell)
                results[system] = running.run(system(), count=count, **cell.arguments())
            except (systems.Broken, OSError) as broken:
                self.broken[cell] = str(broken)
                print(f"\n  {system.name}: {broken}", file=sys.stderr)
                return None
        return results[old], results[new]

    def run(self, cells, repetitions):
        """Runs all cells once, then all again, so that what disturbs the machine for a
        while disturbs all systems alike. The matrix runs once only, because it is not
        about ratios of a few percent."""
        total = sum(1 if c.figure == "matrix" else repetitions for c in cells)
        done = 0
        begin = time.monotonic()
        for repetition in range(repetitions):
            for cell in cells:
                if cell in self.broken or (cell.figure == "matrix" and repetition):
                    continue
                done += 1
                show_progress(done, total, begin, cell)
                self.measure(cell, repetition)
        print(file=sys.stderr)
        return self.records


def show_progress(done, total, begin, cell):
    passed = time.monotonic() - begin
    line = (
        f"[{done}/{total}] {passed:3.0f} s  {cell.figure}: {cell.system.name}, "
        f"{cell.size} B"
    )
    if sys.stderr.isatty():
        print(f"\r{line:<76}", end="", file=sys.stderr, flush=True)
    elif done % 20 == 0 or done == total:
        print(line, file=sys.stderr, flush=True)
