"""Streams that are full, that drop what is old, and that were emptied."""

import json
import unittest

from tests.bridge.bridge_site import DURABLE, Site
from tests.support import nats_support
from tests.support.fifobus_support import HANG_SECONDS, await_condition

ORDERS = {"name": "ORDERS", "subjects": ["edge1.orders.>"], "storage": "file"}


def numbers(begin, end):
    return [str(i) for i in range(begin, end)]


@unittest.skipUnless(nats_support.is_installed(), "nats-server is not installed")
class BridgeLimitsTest(unittest.TestCase):
    def setUp(self):
        self.cluster = nats_support.Cluster(1)
        self.addCleanup(self.cluster.__exit__)
        self.nats = self.cluster.servers[0].connect()
        self.addCleanup(self.nats.close)

    def publish(self, site, begin, end):
        lines = "".join(f"{line}\n" for line in numbers(begin, end))
        outcome = site.run("pub", "orders/new", "--confirm=stored", input=lines)
        self.assertEqual(outcome.returncode, 0, outcome.stderr)

    def await_stream(self, wanted):
        def held():
            return [each.payload.decode() for each in self.nats.all_stored("ORDERS")]

        await_condition(lambda: held() == wanted, f"{wanted} in ORDERS")

    def await_all_read(self, site):
        """Waits until the bridge's reader of the log is at its end."""

        def is_read():
            logs = json.loads(site.run("ls", "--json").stdout)["logs"]
            (log,) = [each for each in logs if each["name"] == "orders"]
            return all(reader["lag"] == 0 for reader in log["readers"])

        await_condition(is_read, "the end of the log")

    def test_full_stream_is_said_and_waited_for(self):
        self.cluster.make_stream(**ORDERS, max_msgs=5, discard="new")
        self.cluster.make_stream("PRICES", subjects=["prices.>"])
        with Site(self.cluster.urls(), DURABLE % 1) as site:
            self.publish(site, 0, 20)
            site.await_log("stream ORDERS: maximum messages exceeded")
            self.await_stream(numbers(0, 5))
            # It holds up neither the bus nor the other way.
            self.publish(site, 20, 30)
            self.nats.request("prices.x", b"in")
            self.assertEqual([m["payload"] for m in site.stored("nats/**", 1)], ["in"])
            self.nats.api("STREAM.UPDATE.ORDERS", **ORDERS, max_msgs=1000)
            self.await_stream(numbers(0, 30))
            site.await_log('map goes on: map="out orders/**"')

    def test_stream_that_drops_what_is_old_has_the_newest(self):
        self.cluster.make_stream(**ORDERS, max_msgs=5)
        with Site(self.cluster.urls(), DURABLE % 1) as site:
            self.publish(site, 0, 20)
            site.await_log("drops messages by its limits")
            self.await_stream(numbers(15, 20))
            site.kill_bridge()
            self.publish(site, 20, 50)
            site.start_bridge()
            self.await_stream(numbers(45, 50))

    def test_stream_that_was_emptied_goes_on(self):
        self.cluster.make_stream(**ORDERS)
        with Site(self.cluster.urls(), DURABLE % 1) as site:
            self.publish(site, 0, 20)
            self.await_stream(numbers(0, 20))
            self.await_all_read(site)
            site.kill_bridge()
            self.nats.api("STREAM.PURGE.ORDERS")
            self.publish(site, 20, 30)
            site.start_bridge()
            self.await_stream(numbers(20, 30))
            self.nats.api("STREAM.PURGE.ORDERS")
            self.publish(site, 30, 40)
            self.await_stream(numbers(30, 40))

    def test_messages_that_the_stream_has_dropped_are_passed_over(self):
        self.cluster.make_stream("PRICES", subjects=["prices.>"], max_msgs=5)
        with Site(self.cluster.urls(), DURABLE % 1) as site:

            def publish(begin, end):
                for line in numbers(begin, end):
                    self.nats.request("prices.x", line.encode())

            publish(0, 5)
            self.assertEqual(len(site.stored("nats/**", 5)), 5)
            site.kill_bridge()
            publish(5, 20)
            site.start_bridge()
            got = [m["payload"] for m in site.stored("nats/**", 10)]
            self.assertEqual(got, numbers(0, 5) + numbers(15, 20))

    def test_messages_larger_than_the_stream_takes_are_set_aside(self):
        self.cluster.make_stream(**ORDERS, max_msg_size=2000)
        with Site(self.cluster.urls(), DURABLE % 1) as site, site.client() as client:
            client.subscribe("bridge/dead")
            for payload in (b"before", b"x" * 5000, b"after"):
                client.publish("orders/new", payload)
            message = client.receive(HANG_SECONDS)
            self.assertIn(
                "max_msg_size", dict(message.headers)["bridge-reason"].decode()
            )
            self.assertEqual(message.payload, b"x" * 5000)
            self.await_stream(["before", "after"])


if __name__ == "__main__":
    unittest.main()
