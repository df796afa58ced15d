"""Each part between two machines is killed while messages cross both ways.

What a stream holds is read by a client that shares no code with the bridge, and
compared message by message with what was published.
"""

import contextlib
import unittest

from tests.bridge.bridge_site import (
    DURABLE,
    Site,
    Tally,
    bus_publisher,
    check_in,
    check_out,
    nats_publisher,
)
from tests.support import nats_support


@unittest.skipUnless(nats_support.is_installed(), "nats-server is not installed")
class BridgeKillTest(unittest.TestCase):
    @contextlib.contextmanager
    def crossing(self):
        """Messages cross both ways; at the end all have come, once and in order."""
        with nats_support.Cluster(3) as cluster:
            cluster.make_stream("PRICES", subjects=["prices.>"], num_replicas=3)
            with Site(cluster.urls(), DURABLE % 3) as site:
                tallies = [Tally(bus_publisher(site)), Tally(nats_publisher(cluster))]

                def more():
                    for tally in tallies:
                        tally.await_more()

                try:
                    more()
                    yield cluster, site, more
                    more()
                finally:
                    for tally in tallies:
                        tally.stop()
                check_out(cluster, site, tallies[0].published)
                check_in(cluster, site, tallies[1].published)

    def test_kills_of_the_leader(self):
        with self.crossing() as (cluster, _, more):
            leader = cluster.leader("PRICES")
            leader.kill()
            more()
            leader.start()
            leader.connect().close()

    def test_kills_of_the_bridge_and_the_broker(self):
        with self.crossing() as (_, site, more):
            for _ in range(3):
                site.kill_bridge()
                more()
                site.start_bridge()
                more()
                site.bus.kill()
                site.start_broker()
                more()


if __name__ == "__main__":
    unittest.main()
