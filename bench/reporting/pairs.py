"""What pairs of runs say of two builds: a ratio with its confidence interval."""

import math
import statistics

# Student's t for 95 %, by degrees of freedom from 1; beyond the last one, normal.
_T = (
    (12.71, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228)
    + (2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086)
    + (2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042)
)
_NORMAL = 1.96


class Pairs:
    """Figures of two builds, measured in pairs. More is better."""

    def __init__(self):
        self._logs = []  # of new by old

    def add(self, old, new):
        self._logs.append(math.log(new / old))

    def enough(self):
        return len(self._logs) >= 2

    def interval(self):
        """(low, ratio, high): the mean ratio of new by old, with the 95 % confidence
        interval of a t test on its logarithm. Slow drift of the machine meets both runs
        of a pair and so cancels out."""
        mean = statistics.fmean(self._logs)
        error = statistics.stdev(self._logs) / math.sqrt(len(self._logs))
        freedom = len(self._logs) - 1
        width = error * (_T[freedom - 1] if freedom <= len(_T) else _NORMAL)
        return tuple(math.exp(x) for x in (mean - width, mean, mean + width))

    def verdict(self):
        low, _, high = self.interval()
        if low > 1:
            return "faster"
        return "slower" if high < 1 else "no change seen"
