"""Each part between two machines is killed while messages cross both ways.

What a stream holds is read by a client that shares no code with the bridge, and
compared message by message with what was published.
"""

import unittest

from tests.bridge.bridge_site import crossing
from tests.support import nats_support


@unittest.skipUnless(nats_support.is_installed(), "nats-server is not installed")
class BridgeKillTest(unittest.TestCase):
    def test_kills_of_the_leader(self):
        with crossing() as (cluster, _, more):
            leader = cluster.leader("PRICES")
            leader.kill()
            more()
            leader.start()
            leader.connect().close()

    def test_kills_of_the_bridge_and_the_broker(self):
        with crossing() as (_, site, more):
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
