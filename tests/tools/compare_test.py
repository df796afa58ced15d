"""What bench/compare makes of pairs of runs, and that it runs."""

import os
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.abspath("bench"))

from reporting.pairs import Pairs  # noqa: E402


def pairs_of(*figures):
    pairs = Pairs()
    for old, new in figures:
        pairs.add(old, new)
    return pairs


class PairsTest(unittest.TestCase):
    def test_one_pair_says_nothing(self):
        self.assertFalse(pairs_of((1, 2)).enough())
        self.assertTrue(pairs_of((1, 2), (1, 2)).enough())

    def test_the_ratio_is_the_geometric_mean(self):
        _, ratio, _ = pairs_of((1, 2), (1, 8)).interval()
        self.assertAlmostEqual(ratio, 4)

    def test_the_interval_is_that_of_a_t_test(self):
        # Logarithms 1, 2, 3 to the base e: mean 2, deviation 1, t = 4.303.
        e = 2.718281828459045
        low, _, high = pairs_of((1, e), (1, e**2), (1, e**3)).interval()
        self.assertAlmostEqual(low, e ** (2 - 4.303 / 3**0.5), places=9)
        self.assertAlmostEqual(high, e ** (2 + 4.303 / 3**0.5), places=6)

    def test_the_verdict_needs_all_of_the_interval(self):
        self.assertEqual(pairs_of((1, 1.5), (1, 1.51), (1, 1.49)).verdict(), "faster")
        self.assertEqual(pairs_of((1.5, 1), (1.51, 1), (1.49, 1)).verdict(), "slower")
        self.assertEqual(pairs_of((1, 1.5), (1.5, 1)).verdict(), "no change seen")

    def test_a_drift_of_the_machine_cancels_out(self):
        drifting = pairs_of((100, 110), (50, 55.2), (20, 21.9))
        self.assertEqual(drifting.verdict(), "faster")


class CompareTest(unittest.TestCase):
    """On two copies of one build: the figures mean nothing and are not looked at."""

    def setUp(self):
        self.folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.folder)

    def compare(self, *arguments):
        return subprocess.run(
            [sys.executable, "bench/compare", os.getcwd(), os.getcwd(), *arguments],
            capture_output=True,
            text=True,
            env=dict(os.environ, HOME=self.folder),
            timeout=120,
            check=False,
        )

    def test_it_gives_a_line_for_each_load(self):
        done = self.compare(
            "--only", "1 KiB stream", "--pairs", "2", "--seconds", "0.05"
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(
            done.stdout,
            r"^1 KiB stream +[0-9.,]+ \([0-9.,]+ to [0-9.,]+\)  "
            r"(faster|slower|no change seen)\n$",
        )

    def test_it_names_the_loads_there_are(self):
        done = self.compare("--only", "nonsense")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("64 KiB stream to 10", done.stderr)


if __name__ == "__main__":
    unittest.main()
