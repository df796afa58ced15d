"""Streams and consumers change their leaders while messages cross both ways."""

import signal
import unittest

from tests.bridge.bridge_site import crossing
from tests.support import nats_support
from tests.support.fifobus_support import await_condition


@unittest.skipUnless(nats_support.is_installed(), "nats-server is not installed")
class BridgeLeaderTest(unittest.TestCase):
    def test_leaders_step_down(self):
        with crossing() as (cluster, _, more):
            await_condition(
                lambda: cluster.ask("CONSUMER.INFO.PRICES.edge1"), "the consumer"
            )
            for subject in (
                "CONSUMER.LEADER.STEPDOWN.PRICES.edge1",
                "STREAM.LEADER.STEPDOWN.PRICES",
                "STREAM.LEADER.STEPDOWN.ORDERS",
            ):
                await_condition(lambda s=subject: cluster.ask(s), subject)
                more()

    def test_leader_is_stopped_and_comes_back(self):
        with crossing() as (cluster, site, more):
            leader = cluster.leader("PRICES")
            leader.signal(signal.SIGSTOP)
            try:
                site.kill_bridge()
                more()
                # It may connect to the one that is stopped first.
                site.start_bridge()
                more()
            finally:
                leader.signal(signal.SIGCONT)


if __name__ == "__main__":
    unittest.main()
