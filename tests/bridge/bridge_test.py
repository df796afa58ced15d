"""`fifobus bridge nats` between a real broker and real nats-servers.

What a stream holds is read by a client that shares no code with the bridge, and
compared message by message with what was published.
"""

import json
import subprocess
import threading
import unittest

import fifobus
from tests.bridge.bridge_site import DURABLE, Site
from tests.support import nats_support
from tests.support.fifobus_support import HANG_SECONDS, await_condition, binary


@unittest.skipUnless(nats_support.is_installed(), "nats-server is not installed")
class BridgeTest(unittest.TestCase):
    def test_messages_that_the_other_side_cannot_take_are_set_aside(self):
        with nats_support.Cluster(1, "max_payload: 10000") as cluster:
            server = cluster.servers[0]
            cluster.make_stream("PRICES", subjects=["prices.>"])
            with Site(cluster.urls(), DURABLE % 1) as site, fifobus.Client() as client:
                client.subscribe("bridge/dead")
                with server.connect() as nats:
                    for payload in (b"before", b"x" * 20000, b"after"):
                        client.publish("orders/new", payload)
                    message = client.receive(HANG_SECONDS)
                    self.assertIn(
                        "max_payload", dict(message.headers)["bridge-reason"].decode()
                    )
                    self.assertEqual(len(message.payload), 20000)
                    await_condition(
                        lambda: [m.payload for m in nats.all_stored("ORDERS")]
                        == [b"before", b"after"],
                        "the two others",
                    )
                    for subject in ("prices.a", "prices.no#topic", "prices.b"):
                        nats.request(subject, subject.encode())
                message = client.receive(HANG_SECONDS)
                self.assertEqual(message.payload, b"prices.no#topic")
                self.assertIn(
                    "prices.no#topic", dict(message.headers)["bridge-source"].decode()
                )
                topics = [m["topic"] for m in site.stored("nats/**", 2)]
                self.assertEqual(topics, ["nats/prices/a", "nats/prices/b"])
                self.assertEqual(site.stop_bridge(), 0)

    def test_headers_cross_and_what_came_over_a_bridge_stays(self):
        with nats_support.Cluster(1) as cluster:
            cluster.make_stream("PRICES", subjects=["prices.>"])
            maps = DURABLE % 1 + '[[out]]\npattern = "nats/**"\nstream = "BACK"\n'
            maps += 'subject-prefix = "back"\ncreate = true\n'
            with Site(cluster.urls(), maps) as site, fifobus.Client() as client:
                with cluster.servers[0].connect() as nats:
                    nats.request("prices.a", b"1", [("unit", "eur")])
                    (message,) = site.stored("nats/**", 1)
                    self.assertEqual(message["headers"]["unit"], "eur")
                    self.assertEqual(message["headers"]["fifobus-origin"], "nats")
                    client.publish("nats/own", "2", headers=[("trace", " t ")])
                    (own,) = await_condition(
                        lambda: nats.all_stored("BACK"), "a message in BACK"
                    )
                    self.assertEqual(own.subject, "back.nats.own")
                    self.assertEqual(own.header("Fifobus-Origin"), "edge1")
                    self.assertEqual(own.header("Fifobus-H-trace"), "=%20t%20")
                    self.assertEqual(own.header("Fifobus-Offset"), "2")

    def test_requests_and_replies_cross_both_ways(self):
        maps = """
[[out]]
live = true
pattern = "svc/**"
subject-prefix = "edge1"
[[in]]
live = true
filter = "edge2.svc.>"
subject-prefix = "edge2"
"""
        with nats_support.Cluster(1) as cluster, Site(cluster.urls(), maps) as site:
            with cluster.servers[0].connect() as nats:
                nats.subscribe("edge1.svc.*")
                site.await_log("connected to NATS")
                with fifobus.Client() as client:
                    answers = []
                    thread = threading.Thread(
                        target=lambda: answers.append(
                            client.request("svc/time", b"now?", timeout=HANG_SECONDS)
                        )
                    )
                    thread.start()
                    request = nats.next()
                    self.assertEqual(request.payload, b"now?")
                    nats.publish(request.reply, b"noon")
                    thread.join()
                    self.assertEqual(answers[0].payload, b"noon")
                replier = subprocess.Popen(
                    [binary("fifobus"), "reply", "svc/shout", "--exec", "tr a-z A-Z"]
                )
                try:
                    await_condition(
                        lambda: "svc/shout" in site.run("ls").stdout, "the replier"
                    )
                    answer = nats.request("edge2.svc.shout", b"hello")
                    self.assertEqual(answer.payload, b"HELLO")
                finally:
                    replier.kill()
                    replier.wait()

    def test_what_is_missing_is_said_and_waited_for(self):
        maps = (DURABLE % 1).replace("create = true\nreplicas = 1\n", "")
        with nats_support.Cluster(1) as cluster, Site(cluster.urls(), maps) as site:
            site.await_log("stream ORDERS: stream not found; make it, or set")
            site.await_log("stream PRICES: stream not found")
            cluster.make_stream("ORDERS", subjects=["other.>"])
            site.await_log("does not take all subjects edge1.orders.>")
            with cluster.servers[0].connect() as nats:
                nats.api(
                    "STREAM.UPDATE.ORDERS",
                    name="ORDERS",
                    subjects=["edge1.orders.>"],
                    storage="file",
                )
                site.await_log("map goes on")
                site.run("pub", "orders/new", "late")
                await_condition(lambda: nats.all_stored("ORDERS"), "the message")
            cluster.servers[0].kill()
            site.await_log("NATS is not connected any more")
            site.run("pub", "orders/new", "later")
            cluster.servers[0].start()
            with cluster.servers[0].connect() as nats:
                await_condition(
                    lambda: len(nats.all_stored("ORDERS")) == 2, "the next message"
                )
            status = site.run("sub", "bridge/status", "-n", "1").stdout
            self.assertEqual(json.loads(status)["origin"], "edge1")

    def test_a_topic_without_a_log_ends_the_bridge(self):
        maps = '[[out]]\npattern = "loose/**"\nstream = "S"\n'
        with Site(["nats://127.0.0.1:1"], maps) as site:
            site.await_log("no log stores")
            self.assertEqual(site.stop_bridge(), 1)


if __name__ == "__main__":
    unittest.main()
