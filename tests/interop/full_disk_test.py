"""Lets the disk of a log run full again and again, and kills the broker meanwhile.

A publisher waits while there is no room and goes on when there is. What was confirmed is in
the log, once and in order."""

import os
import random
import shutil
import subprocess
import sys
import tempfile
import unittest

from tests.support.fifobus_support import HANG_SECONDS, Bus, await_condition, binary

ROUNDS = int(os.environ.get("FIFOBUS_FULL_DISK_ROUNDS", "4"))
IN_NAMESPACE = "FIFOBUS_TEST_IN_NAMESPACE"
# What a namespace of its own ends with if nothing may be mounted.
NO_MOUNT = 99
MESSAGES = 100_000  # more than are published


class FullDiskTest(unittest.TestCase):
    def setUp(self):
        self.disk = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.disk, ignore_errors=True)
        mount = ["mount", "-t", "tmpfs", "-o", "size=16m", "none", self.disk]
        if subprocess.run(mount, check=False).returncode != 0:
            sys.exit(NO_MOUNT)
        self.addCleanup(subprocess.run, ["umount", self.disk], check=True)
        self.state = os.path.join(self.disk, "state")
        self.ballast = os.path.join(self.disk, "ballast")
        self.books = tempfile.NamedTemporaryFile()  # a line for each confirmed message
        self.addCleanup(self.books.close)
        self.publisher = None

    def run_fifobus(self, *arguments):
        return subprocess.run(
            [binary("fifobus"), *arguments],
            capture_output=True,
            text=True,
            timeout=HANG_SECONDS,
            check=True,
        ).stdout

    def fill(self):
        """Until not a byte more is taken, while the log takes its share."""
        with open(self.ballast, "ab", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(4096))
            except OSError:
                pass

    def count_confirmed(self):
        with open(self.books.name, "rb") as file:
            return file.read().count(b"\n")

    def look(self):
        """Begins the publisher, unless it runs: a killed broker ends it."""
        if self.publisher is None or self.publisher.poll() is not None:
            with open(self.books.name, "ab") as output:
                self.publisher = subprocess.Popen(
                    [
                        sys.executable,
                        binary("tests/interop/durable_publisher.py"),
                        *("till", "orders/till", str(MESSAGES)),
                    ],
                    stdout=output,
                    stderr=subprocess.DEVNULL,
                    env=dict(os.environ, PYTHONPATH=binary("clients/python")),
                )

    def await_more(self, count):
        goal = self.count_confirmed() + count

        def is_reached():
            self.look()
            return self.count_confirmed() >= goal

        await_condition(is_reached, "confirmations")

    def why_says_so(self):
        return "disk is full" in self.run_fifobus("why", "orders/till")

    def start_broker(self, bus):
        bus.start("--state-dir", self.state, "--log", "orders=orders/**")

    def run_full(self, bus, rng):
        self.await_more(rng.randrange(1, 40))
        self.fill()

        def is_full():
            self.fill()  # what a kill or a trim gave back
            return self.why_says_so()

        await_condition(is_full, "a full disk in `why`")
        if rng.random() < 0.5:
            bus.kill()
            self.start_broker(bus)
        os.unlink(self.ballast)
        self.await_more(1)

    def test_what_was_confirmed_outlives_a_full_disk_and_kills(self):
        seed = int(os.environ.get("FIFOBUS_SEED", random.randrange(2**32)))
        print("seed", seed)
        rng = random.Random(seed)
        with Bus() as bus:
            bus.stop()
            self.start_broker(bus)
            for _ in range(ROUNDS):
                self.run_full(bus, rng)
            self.publisher.kill()
            self.publisher.wait()
            lines = self.run_fifobus(
                "sub", "orders/**", "--from", "start", "--until", "now"
            ).splitlines()
            bus.stop()
        self.assertGreaterEqual(len(lines), self.count_confirmed())
        self.assertEqual(lines, [f"till {i + 1}" for i in range(len(lines))])
        said = self.run_fifobus("log", "check", "--state-dir", self.state)
        self.assertIn("orders: good", said)


def main():
    """Runs the test in a namespace in which it may mount."""
    if IN_NAMESPACE in os.environ:
        unittest.main()
    outcome = subprocess.run(
        ["unshare", "-rm", sys.executable, *sys.argv],
        env=dict(os.environ, **{IN_NAMESPACE: "1"}),
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    print(outcome.stderr, file=sys.stderr)
    if outcome.returncode == NO_MOUNT or outcome.stderr.startswith("unshare:"):
        print("skipped: nothing may be mounted here", file=sys.stderr)
        return
    sys.exit(outcome.returncode)


if __name__ == "__main__":
    main()
