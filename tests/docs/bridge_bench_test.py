"""`bench/bridge` runs, by its smallest plan, and has a figure for each load."""

import os
import re
import shutil
import subprocess
import tempfile
import unittest

from tests.support import nats_support

HANG_SECONDS = 240


@unittest.skipUnless(nats_support.is_installed(), "nats-server is not installed")
class BridgeBenchTest(unittest.TestCase):
    def test_each_load_has_its_figures(self):
        folder = tempfile.mkdtemp(dir="/dev/shm", prefix="fifobus-bench-test-")
        self.addCleanup(shutil.rmtree, folder)
        run = subprocess.run(
            [
                "bench/bridge",
                "--prebuilt",
                *("--repetitions", "1", "--messages", "300", "--seconds", "0.2"),
                # The others want more messages, or a backlog that takes its time.
                *("--only", "500/s"),
            ],
            env=dict(
                os.environ,
                FIFOBUS_BIN=os.getcwd(),
                FIFOBUS_BENCH_DISK=folder,
                # Where Debian has nats-server.
                PATH=f"{os.environ.get('PATH', '/usr/bin')}:/usr/sbin",
            ),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            timeout=HANG_SECONDS,
            check=False,
        )
        self.assertEqual(run.returncode, 0, run.stdout + run.stderr)
        lines = re.findall(r"(?m)^\| .* \| [\d,]+ to [\d,]+ \|$", run.stdout)
        # Two figures each of NATS alone and of both directions.
        self.assertEqual(len(lines), 6, run.stdout)


if __name__ == "__main__":
    unittest.main()
