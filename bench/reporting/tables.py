"""The report's tables, in words and numbers; page.py draws them."""

import dataclasses

from reporting.results import (
    bandwidth,
    cpu_per_message,
    latency,
    lost_part,
    number,
    throughput,
)

WAIT_NAMES = {
    "blocking": "blocking read",
    "epoll": "non-blocking + epoll",
    "sleep": "non-blocking + sleep 1 ms",
    "busy": "busy-poll",
}


@dataclasses.dataclass
class Table:
    title: str
    header: list
    rows: list
    note: str = ""


def size_name(size):
    if size >= 1 << 20:
        return f"{size >> 20} MiB"
    return f"{size >> 10} KiB" if size >= 1 << 10 else f"{size} B"


def load_name(record):
    if record["ping"]:
        return "ping-pong"
    return f"{record['rate']:,}/s" if record["rate"] else "as fast as possible"


def text(value, scale=1.0):
    return value.text(scale) if value else ""


def advice(results):
    """The one table to read: what each way of waiting costs."""
    rows = []
    for wait, name in WAIT_NAMES.items():
        row = [name]
        for rate in (1000, 20000):
            shape = {"wait": wait, "rate": rate, "size": 64, "ping": False}
            row += [
                text(results.value("fifobus", latency(p), "matrix", **shape))
                for p in ("p50", "p99")
            ]
        shape = {"wait": wait, "ping": True, "size": 64}
        row.append(text(results.value("fifobus", latency("p50"), "matrix", **shape)))
        shape = {"wait": wait, "rate": 1000, "size": 64, "ping": False}
        row.append(text(results.value("fifobus", cpu_per_message, "matrix", **shape)))
        rows.append(row)
    return Table(
        "How a subscriber waits: fifobus, 64 B, microseconds",
        [
            "reader",
            "1,000/s p50",
            "p99",
            "20,000/s p50",
            "p99",
            "round trip p50",
            "CPU per message at 1,000/s, all processes",
        ],
        rows,
        "A round trip goes through the broker back to the sender. With busy-poll the "
        "broker spins too.",
    )


def matrix(results):
    rows = []
    records = results.select("matrix")
    shapes = dict.fromkeys(
        (r["size"], load_name(r), r["rate"], r["ping"], r["wait"]) for r in records
    )
    for size, load, rate, ping, wait in sorted(
        shapes, key=lambda s: (s[0], s[3], s[2] or 1e9, list(WAIT_NAMES).index(s[4]))
    ):
        shape = {"size": size, "rate": rate, "ping": ping, "wait": wait}
        row = [size_name(size), load, WAIT_NAMES[wait]]
        for system in ("raw FIFO", "raw relay", "fifobus"):
            values = [
                results.value(system, pick, "matrix", **shape)
                for pick in (
                    latency("p50"),
                    latency("p99"),
                    latency("p999"),
                    cpu_per_message,
                )
            ]
            row.append(
                " / ".join(number(v.median) for v in values) if values[0] else ""
            )
        rows.append(row)
    return Table(
        "Blocking and non-blocking, in full: p50 / p99 / p99.9 / CPU per message, "
        "microseconds",
        ["size", "load", "reader", "raw FIFO", "raw relay", "fifobus"],
        rows,
        "Messages are due at fixed times, and latency counts from then. So a stall "
        "counts for all messages that it holds up.",
    )


def compare(results, figure, pick, title, columns, scale, note=""):
    """Systems over loads: one row each, with the ratio to the best peer."""
    names = results.systems(figure)
    rows = []
    for label, shape in columns:
        if not results.select(figure, **shape):
            continue
        row = [label]
        for name in names:
            value = results.value(name, pick, figure, **shape)
            lost = results.value(name, lost_part, figure, **shape)
            cell = text(value, scale)
            if lost and lost.median > 0:
                cell += f", lost {number(100 * lost.median)} %"
            row.append(cell)
        smallest = pick not in (throughput, bandwidth)
        best = results.best_peer(pick, figure, smallest, **shape)
        ratio = results.ratio(pick, "fifobus", best, figure, **shape) if best else None
        row.append(f"{number(ratio)} x {best}" if ratio else "")
        rows.append(row)
    return Table(
        title, ["", *names, "fifobus by the best peer that lost nothing"], rows, note
    )


def latencies(results):
    columns = [(f"{rate:,}/s", {"rate": rate}) for rate in (1000, 20000)]
    return [
        compare(
            results,
            "latency",
            latency(p),
            f"Latency {p}, 64 B, microseconds",
            columns,
            1,
            "Blocking subscribers; each message flushed alone.",
        )
        for p in ("p50", "p99")
    ]


def streams(results):
    columns = [
        (size_name(size), {"size": size}) for size in results.distinct("stream", "size")
    ]
    return [
        compare(
            results,
            "stream",
            throughput,
            "One publisher to one subscriber, thousands of messages a second",
            columns,
            1e-3,
            "Publishers may gather messages.",
        ),
        compare(results, "stream", bandwidth, "The same in MB/s", columns, 1e-6),
    ]


def fans(results):
    columns = [
        (f"{size_name(size)} to {n}", {"size": size, "subscribers": n})
        for size in results.distinct("fan-out", "size")
        for n in results.distinct("fan-out", "subscribers")
    ]
    tables = [
        compare(
            results,
            "fan-out",
            bandwidth,
            "Fan-out, MB/s delivered to all together",
            columns,
            1e-6,
            "Each subscriber is a process of its own.",
        )
    ]
    if results.select("fan-in"):
        columns = [
            (f"10 to {n}", {"subscribers": n})
            for n in results.distinct("fan-in", "subscribers")
        ]
        tables.append(
            compare(
                results,
                "fan-in",
                throughput,
                "Ten publishers, 64 B, thousands of deliveries a second",
                columns,
                1e-3,
            )
        )
    return tables


def scaling(results):
    idle_rows = []
    for record in results.select("idle"):
        sessions = record["idle"]
        if record["repetition"]:
            continue
        shape = {"idle": record["idle"]}
        memory = results.value(
            "fifobus", lambda r: r.get("bytes_per_idle_session", 0), "idle", **shape
        )
        idle_rows.append(
            [
                f"{sessions[0]:,}",
                *[
                    text(results.value("fifobus", latency(p), "idle", **shape))
                    for p in ("p50", "p99")
                ],
                text(memory) if sessions[0] else "",
            ]
        )
    pattern_rows = []
    for record in results.select("patterns"):
        if record["repetition"]:
            continue
        value = results.value("fifobus", throughput, "patterns", idle=record["idle"])
        pattern_rows.append(
            [
                f"{record['idle'][0] * record['idle'][1]:,}",
                number(1e9 / value.median),
                text(value, 1e-3),
            ]
        )
    return [
        Table(
            "Idle sessions beside one that is busy, 64 B at 1,000/s",
            ["idle sessions", "p50 us", "p99 us", "broker's bytes per idle session"],
            idle_rows,
            "The largest number is what the limit on descriptors allows, at most "
            "10,000.",
        ),
        Table(
            "Subscriptions beside the one that matches, 64 B",
            ["patterns", "ns per message", "thousands a second"],
            pattern_rows,
        ),
    ]


class Goals:
    """Rows of the table of goals; a ratio that was not measured has none."""

    def __init__(self, results):
        self.results = results
        self.rows = []

    def add(self, what, ratio, goal, at_most=False):
        if ratio is None:
            return
        reached = ratio <= goal if at_most else ratio >= goal
        self.rows.append(
            [
                what,
                number(ratio),
                f"at {'most' if at_most else 'least'} {goal}",
                "yes" if reached else "no",
            ]
        )

    def add_by(self, other, what, goal, pick, figure, at_most=False, **shape):
        """fifobus by another system."""
        ratio = self.results.ratio(pick, "fifobus", other, figure, **shape)
        self.add(f"{what} by the {other}'s", ratio, goal, at_most)

    def add_by_best(self, what, goal, pick, figure, at_most=False, **shape):
        """fifobus by the best peer."""
        best = self.results.best_peer(pick, figure, at_most, **shape)
        ratio = self.results.ratio(pick, "fifobus", best, figure, **shape)
        self.add(f"{what} by {best}'s, the best peer", ratio, goal, at_most)


def latency_goals(found):
    p50, p99 = latency("p50"), latency("p99")
    for rate in (1000, 20000):
        what = f"at {rate:,}/s"
        found.add_by(
            "raw relay", f"latency p50 {what}", 1.15, p50, "latency", True, rate=rate
        )
        found.add_by_best(f"latency p50 {what}", 0.6, p50, "latency", True, rate=rate)
        found.add_by_best(f"latency p99 {what}", 1, p99, "latency", True, rate=rate)
    shape = {"size": 64, "ping": True, "wait": "busy"}
    found.add_by("raw relay", "busy-poll round trip", 2.5, p50, "matrix", True, **shape)


def fan_out_goals(found):
    results = found.results
    for size in results.distinct("fan-out", "size"):
        for n in results.distinct("fan-out", "subscribers"):
            if n == 1:
                continue
            what = f"{size_name(size)} to {n} subscribers"
            shape = {"size": size, "subscribers": n}
            found.add_by_best(
                what, 4 if size == 64 else 2.2, throughput, "fan-out", **shape
            )
            if size >= 64 << 10:
                found.add_by("raw tee", what, 0.8, throughput, "fan-out", **shape)


def goals(results):
    """What we aim at, as ratios within this run."""
    found = Goals(results)
    latency_goals(found)
    for size, goal in ((64, 5), (1024, 3), (64 << 10, 1.3), (1 << 20, 1.3)):
        found.add_by_best(
            f"{size_name(size)} stream", goal, throughput, "stream", size=size
        )
    fan_out_goals(found)
    found.add(
        "64 B, each flushed alone, by the raw relay's one write per message",
        results.ratio(throughput, "fifobus", "raw relay", "unbatched", size=64),
        0.8,
    )
    return Table(
        "Goals and this run", ["ratio", "measured", "goal", "reached"], found.rows
    )


def losses(results):
    """Where the best peer is ahead."""
    rows = []
    for figure, name, pick, smallest in (
        ("latency", "latency p50", latency("p50"), True),
        ("latency", "latency p99", latency("p99"), True),
        ("stream", "stream", throughput, False),
        ("fan-out", "fan-out", throughput, False),
        ("fan-in", "fan-in", throughput, False),
    ):
        shapes = {
            (r["size"], r["subscribers"], r["publishers"], r["rate"])
            for r in results.select(figure)
        }
        for size, subscribers, publishers, rate in sorted(shapes):
            shape = {
                "size": size,
                "subscribers": subscribers,
                "rate": rate,
                "publishers": publishers,
            }
            best = results.best_peer(pick, figure, smallest, **shape)
            ratio = results.ratio(pick, "fifobus", best, figure, **shape)
            if ratio and (ratio > 1 if smallest else ratio < 1):
                load = f", {rate:,}/s" if rate else ""
                rows.append(
                    [
                        f"{name}, {size_name(size)}, {publishers} to "
                        f"{subscribers}{load}",
                        best,
                        number(ratio),
                    ]
                )
    return Table("Where a peer is ahead", ["load", "peer", "fifobus by the peer"], rows)


def all_tables(results):
    return [
        advice(results),
        goals(results),
        losses(results),
        *latencies(results),
        *streams(results),
        *fans(results),
        *scaling(results),
        matrix(results),
    ]
