"""The records of a run as medians, spreads and ratios."""

import statistics


def number(value):
    """The text of a number with three significant digits, as people write it."""
    if value == 0:
        return "0"
    if value >= 1000:
        return f"{float(f'{value:.3g}'):,.0f}"
    text = f"{value:.3g}"
    return f"{float(text):.0f}" if "e" in text else text


class Value:
    """One measured quantity over its repetitions."""

    def __init__(self, samples):
        self.samples = samples
        self.median = statistics.median(samples)

    def text(self, scale=1.0):
        low, high = min(self.samples) * scale, max(self.samples) * scale
        middle = number(self.median * scale)
        if len(self.samples) == 1:
            return middle
        return f"{middle} ({number(low)} to {number(high)})"


class Results:
    """All records of one run."""

    def __init__(self, records, sign):
        self.records = records
        self.peers = sign["peers"]  # names of the peers that were measured

    def select(self, figure, **shape):
        return [
            r
            for r in self.records
            if r["figure"] == figure
            and all(r[name] == value for name, value in shape.items())
        ]

    def value(self, system, pick, figure, **shape):
        """The Value of pick(result), or None if it was not measured."""
        samples = [
            pick(r["result"])
            for r in self.select(figure, **shape)
            if r["system"] == system
        ]
        return Value(samples) if samples else None

    def ratio(self, pick, upper, lower, figure, **shape):
        """`upper`'s median divided by `lower`'s in the same load, or None."""
        a = self.value(upper, pick, figure, **shape)
        b = self.value(lower, pick, figure, **shape)
        return a.median / b.median if a and b and b.median else None

    def best_peer(self, pick, figure, smallest=False, **shape):
        """The name of the best peer that lost nothing, or None."""
        values = {}
        for name in self.peers:
            value = self.value(name, pick, figure, **shape)
            lost = self.value(name, lost_part, figure, **shape)
            if value and value.median and lost.median == 0:
                values[name] = value.median
        if not values:
            return None
        return (min if smallest else max)(values, key=values.get)

    def distinct(self, figure, field):
        return sorted({r[field] for r in self.select(figure)})

    def systems(self, figure, **shape):
        """The names of the systems, in the order in which they were measured."""
        return list(dict.fromkeys(r["system"] for r in self.select(figure, **shape)))


def throughput(result):
    return result["deliveries_per_s"]


def bandwidth(result):
    return result["bytes_per_s"]


def lost_part(result):
    return result["lost_part"]


def latency(name):
    return lambda result: result["latency_us"][name]


def cpu_per_message(result):
    """Microseconds of processor time, of all processes together."""
    used = result["broker_cpu_s"] + result["clients_cpu_s"]
    return used / result["messages"] * 1e6 if result["messages"] else 0
