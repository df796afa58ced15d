"""Machines whose clocks are off, and are set."""

import os
import subprocess
import unittest

from tests.bridge.bridge_site import Site, crossing
from tests.support import nats_support
from tests.support.fifobus_support import await_condition, binary

DAY = 24 * 3600


def shift(seconds):
    return {
        "LD_PRELOAD": os.path.abspath("tests/support/shifted_clock.so"),
        "CLOCK_SHIFT_SECONDS": str(seconds),
    }


REQUESTS = """
[[out]]
live = true
pattern = "svc/%(other)s/**"
subject-prefix = "%(own)s"
[[in]]
live = true
filter = "%(other)s.svc.%(own)s.>"
subject-prefix = "%(other)s"
"""


@unittest.skipUnless(nats_support.is_installed(), "nats-server is not installed")
class BridgeClockTest(unittest.TestCase):
    def test_clock_that_is_set_back_and_forth_loses_nothing(self):
        with crossing(servers=1, preload=shift(DAY)) as (_, site, more):
            for seconds in (-DAY, 3 * DAY):
                site.kill_bridge()
                site.bus.kill()
                site.environment.update(shift(seconds))
                site.start_broker()
                site.start_bridge()
                more()

    def test_deadlines_cross_between_clocks_that_differ(self):
        with nats_support.Cluster(1) as cluster:
            urls = cluster.urls()
            for seconds in (-DAY, DAY):
                one = Site(urls, REQUESTS % {"own": "edge1", "other": "edge2"})
                two = Site(
                    urls,
                    REQUESTS % {"own": "edge2", "other": "edge1"},
                    origin="edge2",
                    preload=shift(seconds),
                )
                with self.subTest(seconds=seconds), one, two:
                    self.check_requests(one, two)
                    self.check_requests(two, one)

    def check_requests(self, here, there):
        topic = f"svc/{there.origin}/shout"
        for site in (here, there):
            site.await_log("connected to NATS")
        replier = subprocess.Popen(
            [binary("fifobus"), "reply", topic, "--exec", "tr a-z A-Z"],
            env={**os.environ, **there.environment},
        )
        try:
            await_condition(lambda: topic in there.run("ls").stdout, "the replier")
            answer = here.run("req", topic, "hello", "--timeout", "60s")
            self.assertEqual((answer.returncode, answer.stdout.strip()), (0, "HELLO"))
        finally:
            replier.terminate()
            replier.wait()
        late = here.run("req", f"svc/{there.origin}/nobody", "x", "--timeout", "1s")
        self.assertEqual(late.returncode, 3, late.stderr)


if __name__ == "__main__":
    unittest.main()
