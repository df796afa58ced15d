"""What people and tools are told of a bridge: `ls`, `why`, `info`, metrics, --check."""

import json
import re
import unittest
import urllib.request

from tests.bridge.bridge_site import DURABLE, Site
from tests.support import nats_support
from tests.support.fifobus_support import HANG_SECONDS, await_condition

MAP = "out orders/**"


def scrape(port):
    """{sample with labels: value}; nothing as long as nobody listens."""
    try:
        with urllib.request.urlopen(
            f"http://127.0.0.1:{port}/metrics", timeout=HANG_SECONDS
        ) as answer:
            text = answer.read().decode()
    except OSError:
        return {}
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines}


def sample(found, name, **labels):
    """The one sample of the name with these labels among others; None: none."""
    values = [
        value
        for key, value in found.items()
        if key.split("{")[0] == f"fifobus_bridge_{name}"
        and all(f'{label}="{text}"' in key for label, text in labels.items())
    ]
    assert len(values) <= 1, (name, labels, found)
    return values[0] if values else None


@unittest.skipUnless(nats_support.is_installed(), "nats-server is not installed")
class BridgeOperationTest(unittest.TestCase):
    def await_text(self, command, pattern):
        """Waits until a command prints it; returns all that it printed."""
        said = []

        def prints():
            said.append(command())
            return re.search(pattern, said[-1])

        try:
            await_condition(prints, pattern)
        except AssertionError as error:
            raise AssertionError(f"{error} in:\n{said[-1]}") from error
        return said[-1]

    def test_why_ls_and_info_say_what_a_topic_waits_for(self):
        with nats_support.Cluster(1) as cluster, Site(
            cluster.urls(), DURABLE % 1
        ) as site:
            cluster.make_stream("PRICES", subjects=["prices.>"])

            def why():
                return site.run("why", "orders/new", "--interval", "1ms").stdout

            site.run("pub", "orders/new", "1", "--confirm=stored")
            works = self.await_text(why, r"The bridge edge1 \(out orders/\*\*\) works")
            self.assertNotIn("waits for the bridge", works)
            self.await_text(why, r"works: 0 messages behind, 1 message passed\.")
            port = cluster.servers[0].port
            cluster.servers[0].kill()
            site.run("pub", "orders/new", "2", "--confirm=stored")
            # "- It waits for the bridge edge1 (out orders/**): 1 message behind,
            #  server 127.0.0.1:20000 not reachable for 2s (...)."
            self.await_text(
                why,
                r"- It waits for the bridge edge1 \(out orders/\*\*\): 1 message "
                rf"behind, server 127\.0\.0\.1:{port} not reachable for [1-9]",
            )
            self.await_text(
                lambda: site.run("ls").stdout,
                rf"edge1 +127\.0\.0\.1:{port} +server .* not reachable for (?s:.*)"
                rf"{re.escape(MAP)} +edge1 +1 +1 ",
            )
            listed = json.loads(site.run("ls", "--json").stdout)["bridges"]
            self.assertEqual([bridge["origin"] for bridge in listed], ["edge1"])
            self.assertFalse(listed[0]["connected"])
            info = site.run("info", "edge1", "--interval", "1ms").stdout
            self.assertIn("bridge edge1 to NATS", info)
            self.assertIn(f"map          {MAP}: 1 message passed, 1 behind", info)
            cluster.servers[0].start()
            self.await_text(why, r"works: 0 messages behind, 2 messages passed\.")

    def test_why_says_what_a_map_lacks(self):
        maps = '[[out]]\npattern = "orders/**"\nstream = "S"\nsubject-prefix = "e"\n'
        with nats_support.Cluster(1) as cluster, Site(cluster.urls(), maps) as site:
            site.run("pub", "orders/new", "1", "--confirm=stored")
            self.await_text(
                lambda: site.run("why", "orders/new", "--interval", "1ms").stdout,
                r"- It waits for the bridge edge1 \(out orders/\*\*\): 1 message "
                r"behind, stream S: stream not found; make it, or set create = true",
            )
            # Limits that drop what nobody has read are said, with their names.
            cluster.make_stream(
                "S", subjects=["e.>"], max_age=3600 * 10**9, max_msgs=9
            )
            self.await_text(
                lambda: site.run("why", "orders/new", "--interval", "1ms").stdout,
                r"stream S drops messages by its limits, read or not: max_age 1h, "
                r"max_msgs 9\.",
            )
            site.await_log("map may lose messages")

    def test_the_status_goes_with_the_bridge(self):
        with nats_support.Cluster(1) as cluster, Site(
            cluster.urls(), DURABLE % 1
        ) as site:

            def status():
                outcome = site.run("sub", "bridge/status", "-n", "1", "--timeout", "1s")
                return outcome.stdout.strip()

            for end in (site.kill_bridge, site.stop_bridge):
                await_condition(status, "a status")
                end()
                await_condition(lambda: not status(), "no status")
                self.assertNotIn("BRIDGE", site.run("ls").stdout)
                site.start_bridge()

    def test_metrics_count_what_each_map_does(self):
        (port,) = nats_support.free_ports(1)
        with nats_support.Cluster(1, "max_payload: 10000") as cluster, Site(
            cluster.urls(), DURABLE % 1, options=("--metrics", str(port))
        ) as site:
            cluster.make_stream("PRICES", subjects=["prices.>"])
            for payload in ("1", "2", "x" * 20000):
                site.run("pub", "orders/new", payload, "--confirm=stored")

            def value(name, **labels):
                return sample(scrape(port), name, **labels)

            def awaits(number, name, **labels):
                await_condition(
                    lambda: value(name, **labels) == number,
                    f"{name} to be {number}, not {value(name, **labels)}",
                )

            awaits(1, "connected", bridge="edge1")
            awaits(2, "forwarded_messages_total", map=MAP, direction="out")
            awaits(1, "dead_letters_total", map=MAP, reason="too-large-for-server")
            awaits(0, "behind_messages", map=MAP)
            self.assertEqual(value("reconnects_total"), 0)
            self.assertEqual(value("clock_off"), 0)
            with cluster.servers[0].connect() as nats:
                nats.request("prices.a", b"1")
            awaits(1, "forwarded_messages_total", map="in PRICES/edge1")
            cluster.servers[0].kill()
            awaits(0, "connected")
            site.run("pub", "orders/new", "3", "--confirm=stored")
            awaits(1, "behind_messages", map=MAP)
            cluster.servers[0].start()
            awaits(1, "reconnects_total")
            awaits(3, "forwarded_messages_total", map=MAP)
            awaits(0, "behind_messages", map=MAP)

    def test_check_shows_where_what_is_there_would_go(self):
        maps = DURABLE % 1 + '[[out]]\npattern = "loose/**"\nstream = "L"\n'
        maps += 'subject-prefix = "l"\n'
        with nats_support.Cluster(1) as cluster, Site(cluster.urls(), maps) as site:
            cluster.make_stream("PRICES", subjects=["prices.>"])
            site.run("pub", "orders/v1.2", "1")
            site.run("pub", "other", "1")
            with cluster.servers[0].connect() as nats:
                nats.request("prices.a", b"1")
                nats.request("prices.no#topic", b"1")
            checked = site.run("bridge", "nats", "--config", site.config, "--check")
            self.assertEqual(checked.returncode, 0, checked.stderr)
            for line in (
                "out orders/**, of the topics that are there now:\n"
                "  orders/v1.2 -> edge1.orders.v1%2E2\n",
                "  no log stores loose/**: the bridge would end",
                "  prices.a -> nats/prices/a\n",
                "  prices.no#topic -> set aside: as a topic it ",
            ):
                self.assertIn(line, checked.stdout)
            self.assertNotIn("other", checked.stdout)
            site.bus.kill()
            cluster.servers[0].kill()
            checked = site.run("bridge", "nats", "--config", site.config, "--check")
            self.assertEqual(checked.returncode, 0, checked.stderr)
            self.assertIn("the bus is not asked for its topics: ", checked.stdout)
            self.assertIn("  the NATS server cannot be asked: ", checked.stdout)


if __name__ == "__main__":
    unittest.main()
