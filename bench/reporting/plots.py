"""The report's plots, as SVG text."""

import io

import matplotlib

matplotlib.use("svg")
# pylint: disable=wrong-import-position
import matplotlib.pyplot as plt
from matplotlib.ticker import FuncFormatter, NullFormatter

from reporting.results import bandwidth, latency, throughput
from reporting.tables import WAIT_NAMES, size_name

COLOURS = {
    "fifobus": "#d62728",
    "raw FIFO": "#bbbbbb",
    "raw relay": "#888888",
    "raw tee": "#444444",
    "ZeroMQ": "#1f77b4",
    "NNG": "#17becf",
    "Redis": "#ff7f0e",
    "NATS": "#2ca02c",
    "mosquitto": "#9467bd",
}


def style(system):
    ours = system == "fifobus"
    return {
        "color": COLOURS.get(system),
        "linewidth": 2.4 if ours else 1.4,
        "zorder": 3 if ours else 2,
        "label": system,
        "linestyle": "--" if system.startswith("raw") else "-",
    }


def as_svg(figure):
    out = io.StringIO()
    figure.tight_layout()
    figure.savefig(out, format="svg")
    plt.close(figure)
    text = out.getvalue()
    return text[text.index("<svg") :]


def draw_distribution(axes, results, figure, systems, **shape):
    """Draws percentiles, on an axis that gives the slowest messages the most room."""
    for system in systems:
        records = [r for r in results.select(figure, **shape) if r["system"] == system]
        if not records:
            continue
        # Of several runs the median one is drawn.
        records.sort(key=lambda r: r["result"]["latency_us"]["p99"])
        curve = records[len(records) // 2]["result"]["curve"]
        axes.plot(
            [1 / (1 - q) for q, _ in curve], [us for _, us in curve], **style(system)
        )
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xticks([2, 10, 100, 1000, 10000])
    axes.set_xticklabels(["50", "90", "99", "99.9", "99.99"])
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("percent of messages")
    axes.set_ylabel("latency, us")
    axes.grid(True, which="both", alpha=0.2)


def wait_distributions(results):
    figure, grid = plt.subplots(2, 4, figsize=(13, 6.4), sharey=True)
    for row, rate in enumerate((1000, 20000)):
        for column, (wait, name) in enumerate(WAIT_NAMES.items()):
            axes = grid[row][column]
            draw_distribution(
                axes,
                results,
                "matrix",
                ("raw FIFO", "raw relay", "fifobus"),
                size=64,
                wait=wait,
                rate=rate,
                ping=False,
            )
            axes.set_title(f"{name}, {rate:,}/s", fontsize=9)
    grid[0][0].legend(fontsize=8)
    return as_svg(figure)


def round_trips(results):
    figure, axes = plt.subplots(figsize=(7, 3.4))
    waits = list(WAIT_NAMES)
    for offset, system in ((-0.2, "raw relay"), (0.2, "fifobus")):
        values = [
            results.value(
                system, latency("p50"), "matrix", size=64, ping=True, wait=wait
            )
            for wait in waits
        ]
        heights = [v.median if v else 0 for v in values]
        bars = axes.bar(
            [i + offset for i in range(len(waits))],
            heights,
            0.38,
            color=COLOURS[system],
            label=system,
        )
        axes.bar_label(bars, [f"{h:.3g}" for h in heights], fontsize=8)
    axes.set_yscale("log")
    axes.set_xticks(range(len(waits)))
    axes.set_xticklabels(WAIT_NAMES.values(), fontsize=8)
    axes.set_ylabel("round trip p50, us")
    axes.legend(fontsize=8)
    return as_svg(figure)


def peer_distributions(results):
    figure, grid = plt.subplots(1, 2, figsize=(12, 4.4), sharey=True)
    for axes, rate in zip(grid, (1000, 20000)):
        draw_distribution(
            axes, results, "latency", results.systems("latency"), rate=rate
        )
        axes.set_title(f"64 B, {rate:,}/s", fontsize=9)
    grid[0].legend(fontsize=8)
    return as_svg(figure)


def lines(axes, results, figure, pick, scale, over, xs, **shape):
    for system in results.systems(figure, **shape):
        points = [
            (x, results.value(system, pick, figure, **{over: x}, **shape)) for x in xs
        ]
        points = [(x, v) for x, v in points if v and v.median]
        axes.errorbar(
            [x for x, _ in points],
            [v.median * scale for _, v in points],
            yerr=[
                [(v.median - min(v.samples)) * scale for _, v in points],
                [(max(v.samples) - v.median) * scale for _, v in points],
            ],
            marker="o",
            markersize=4,
            capsize=2,
            **style(system),
        )
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.grid(True, which="both", alpha=0.2)


def throughput_over_size(results):
    figure, grid = plt.subplots(1, 2, figsize=(12, 4.6))
    sizes = results.distinct("stream", "size")
    for axes, pick, scale, label in (
        (grid[0], throughput, 1e-6, "million messages/s"),
        (grid[1], bandwidth, 1e-9, "GB/s"),
    ):
        lines(axes, results, "stream", pick, scale, "size", sizes)
        axes.set_xlabel("payload")
        axes.set_ylabel(label)
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: size_name(int(x))))
        axes.set_xticks(sizes[::2] if len(sizes) > 5 else sizes)
        axes.xaxis.set_minor_formatter(NullFormatter())
    grid[0].legend(fontsize=8)
    return as_svg(figure)


def fan_out(results):
    sizes = results.distinct("fan-out", "size")
    counts = results.distinct("fan-out", "subscribers")
    figure, grid = plt.subplots(
        1, len(sizes), figsize=(4 * len(sizes) + 1, 4.2), squeeze=False
    )
    for axes, size in zip(grid[0], sizes):
        lines(
            axes, results, "fan-out", bandwidth, 1e-9, "subscribers", counts, size=size
        )
        axes.set_title(f"{size_name(size)} each", fontsize=9)
        axes.set_xlabel("subscribers")
        axes.set_ylabel("GB/s delivered")
        axes.set_xticks(counts)
        axes.set_xticklabels(counts)
        axes.xaxis.set_minor_formatter(NullFormatter())
    grid[0][0].legend(fontsize=8)
    return as_svg(figure)


def scaling(results):
    figure, grid = plt.subplots(1, 2, figsize=(11, 3.8))
    idle = [(r["idle"][0], r["result"]["latency_us"]) for r in results.select("idle")]
    for percentile, marker in (("p50", "o"), ("p99", "s")):
        grid[0].plot(
            [max(n, 1) for n, _ in idle],
            [us[percentile] for _, us in idle],
            marker,
            label=percentile,
            color=COLOURS["fifobus"],
            fillstyle="none" if percentile == "p99" else "full",
        )
    grid[0].set_xlabel("idle sessions (1: none)")
    grid[0].set_ylabel("latency of a busy one, us")
    grid[0].legend(fontsize=8)
    patterns = [
        (r["idle"][0] * r["idle"][1], throughput(r["result"]))
        for r in results.select("patterns")
    ]
    grid[1].plot(
        [n for n, _ in patterns],
        [1e9 / rate for _, rate in patterns],
        "o",
        color=COLOURS["fifobus"],
    )
    grid[1].set_xlabel("patterns that do not match")
    grid[1].set_ylabel("ns per message")
    for axes in grid:
        axes.set_xscale("log")
        axes.set_ylim(bottom=0)
        axes.grid(True, alpha=0.2)
    return as_svg(figure)


def all_plots(results):
    """The title and the SVG text of each plot."""
    return [
        ("Latency by how the reader waits", wait_distributions(results)),
        ("Round trip by how both ends wait", round_trips(results)),
        ("Latency of all systems", peer_distributions(results)),
        ("Throughput over size", throughput_over_size(results)),
        ("Fan-out over subscribers", fan_out(results)),
        ("As the bus fills", scaling(results)),
    ]
