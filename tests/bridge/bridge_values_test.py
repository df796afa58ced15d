"""Retained values over `fifobus bridge nats`, in both directions."""

import contextlib
import unittest

import fifobus
from tests.bridge.bridge_site import Site
from tests.support import nats_support
from tests.support.fifobus_support import await_condition

MAPS = """
[[out]]
retained = true
pattern = "state/**"
stream = "VALUES_%s"
subject-prefix = "%s"
create = true
[[in]]
retained = true
stream = "VALUES_%s"
subject-prefix = "%s"
"""


def maps(own, other):
    return MAPS % (own, own, other, other)


def values(site):
    """The retained values below state/, by topic."""
    found = {}
    with site.client() as client:
        client.subscribe("state/**")
        # They have come before the answer to that.
        with contextlib.suppress(fifobus.WouldBlock):
            while True:
                message = client.receive_nowait()
                found[message.topic] = message.payload
    return {topic: payload for topic, payload in found.items() if payload}


def retain(site, topic, payload):
    with site.client() as client:
        client.publish(topic, payload, retain=True)
        client.ping()


def await_values(site, wanted):
    await_condition(
        lambda: values(site) == wanted,
        f"the values {wanted} instead of {values(site)}",
    )


@unittest.skipUnless(nats_support.is_installed(), "nats-server is not installed")
class BridgeValuesTest(unittest.TestCase):
    def test_values_of_two_machines_are_on_both(self):
        with nats_support.Cluster(1) as cluster:
            one = Site(cluster.urls(), maps("a", "b"), origin="one")
            two = Site(cluster.urls(), maps("b", "a"), origin="two")
            one.start_broker()
            # There before the bridge is.
            retain(one, "state/early", b"1")
            two.start_broker()
            retain(two, "state/other", b"2")
            one.start_bridge()
            two.start_bridge()
            try:
                await_values(one, {"state/early": b"1", "state/other": b"2"})
                await_values(two, {"state/early": b"1", "state/other": b"2"})
                retain(one, "state/early", b"3")
                await_values(two, {"state/early": b"3", "state/other": b"2"})
                retain(two, "state/other", b"")
                await_values(one, {"state/early": b"3"})
                with cluster.servers[0].connect() as nats:
                    # What came over a bridge has not gone out again.
                    for stream, subjects in (("a", {"early"}), ("b", {"other"})):
                        self.assertEqual(
                            {m.subject for m in nats.all_stored(f"VALUES_{stream}")},
                            {f"{stream}.state.{s}" for s in subjects},
                        )
                self.check_what_changes_while_parts_are_away(cluster, one, two)
            finally:
                one.__exit__(None)
                two.__exit__(None)

    def check_what_changes_while_parts_are_away(self, cluster, one, two):
        """Only the last change of each topic counts."""
        server = cluster.servers[0]
        server.kill()
        one.await_log("NATS is not connected any more")
        for i in range(100):
            retain(one, "state/busy", b"%d" % i)
        retain(one, "state/early", b"")
        server.start()
        await_values(two, {"state/busy": b"99"})
        # A bridge that was away clears what the bus has no more.
        one.kill_bridge()
        retain(one, "state/busy", b"")
        retain(one, "state/late", b"4")
        one.start_bridge()
        await_values(two, {"state/late": b"4"})
        # And one that is new to the stream begins with all that there is.
        two.kill_bridge()
        retain(one, "state/late", b"5")
        two.start_bridge()
        await_values(two, {"state/late": b"5"})
        await_values(one, {"state/late": b"5"})

    def test_the_values_of_a_program_of_nats_are_retained(self):
        with nats_support.Cluster(1) as cluster:
            cluster.make_stream("KV_x", subjects=["$KV.x.>"], max_msgs_per_subject=5)
            text = '[[in]]\nretained = true\nstream = "KV_x"\n'
            text += 'subject-prefix = "$KV.x"\ntopic-prefix = "state/kv"\n'
            with cluster.servers[0].connect() as nats:
                nats.request("$KV.x.color", b"red")
                nats.request("$KV.x.color", b"blue")
                with Site(cluster.urls(), text) as site:
                    await_values(site, {"state/kv/color": b"blue"})
                    nats.request("$KV.x.size", b"7")
                    await_values(
                        site, {"state/kv/color": b"blue", "state/kv/size": b"7"}
                    )
                    nats.request("$KV.x.color", b"", [("KV-Operation", "DEL")])
                    await_values(site, {"state/kv/size": b"7"})

    def test_many_values_come_in_spite_of_a_small_window(self):
        count = 2000
        text = MAPS % ("a", "a", "b", "b") + "\n"
        text = text.replace("create = true", "create = true\nwindow-messages = 3", 1)
        with nats_support.Cluster(1) as cluster:
            one = Site(cluster.urls(), text, origin="one")
            one.start_broker()
            with one.client() as client:
                for i in range(count):
                    client.publish(f"state/{i}", b"x" * 100, retain=True)
                client.ping()
            one.start_bridge()
            wanted = {f"state/{i}": b"x" * 100 for i in range(count)}
            try:
                with Site(cluster.urls(), maps("b", "a"), origin="two") as two:
                    await_values(two, wanted)
            finally:
                one.__exit__(None)


if __name__ == "__main__":
    unittest.main()
