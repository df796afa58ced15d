"""`fifobus metrics` as Prometheus and node_exporter see it."""

import json
import os
import re
import signal
import socket
import subprocess
import time
import unittest
import urllib.request

import fifobus
from tests.support.fifobus_support import HANG_SECONDS, Bus, await_condition, binary

SAMPLE = re.compile(r'([a-z_]+)(?:\{((?:[a-z]+="[^"]*",?)*)\})? (\S+)')


def samples(text):
    """{(name, labels): value} of Prometheus's text format."""
    found = {}
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        name, labels, value = SAMPLE.fullmatch(line).groups()
        pairs = re.findall(r'([a-z]+)="([^"]*)"', labels or "")
        found[name, tuple(sorted(pairs))] = float(value)
    return found


def value_of(found, metric, **labels):
    """The one sample of the name that has these labels among others."""
    values = [
        value
        for (other, pairs), value in found.items()
        if other == metric and set(labels.items()) <= set(pairs)
    ]
    assert len(values) == 1, (metric, labels, values)
    return values[0]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Exporter:
    def __init__(self, *options):
        self.process = subprocess.Popen(
            [binary("fifobus"), "metrics", *options], stderr=subprocess.PIPE
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.communicate(timeout=HANG_SECONDS)
        return self.process.returncode


def once():
    return subprocess.run(
        [binary("fifobus"), "metrics"],
        capture_output=True,
        check=True,
        text=True,
        timeout=HANG_SECONDS,
    ).stdout


def scrape(port):
    """What Prometheus gets; empty as long as nobody listens."""
    try:
        with urllib.request.urlopen(
            f"http://127.0.0.1:{port}/metrics", timeout=HANG_SECONDS
        ) as answer:
            return answer.read().decode()
    except OSError:
        return ""


class MetricsTest(unittest.TestCase):
    def test_connections_that_send_nothing_delay_no_scrape(self):
        port = free_port()
        with Bus(), Exporter("--listen", str(port)) as exporter:
            await_condition(lambda: scrape(port), "the first scrape")
            idle = [
                socket.create_connection(("127.0.0.1", port), HANG_SECONDS)
                for _ in range(40)
            ]
            begin = time.monotonic()
            self.assertIn("fifobus_up 1", scrape(port))
            # An idle one is let go after a second, and 16 of them at once.
            self.assertLess(time.monotonic() - begin, 20)
            for connection in idle:
                connection.close()
            self.assertEqual(exporter.stop(), 0)

    def test_what_is_there_is_told(self):
        with Bus(), fifobus.Client(name="one") as one, fifobus.Client() as two:
            one.subscribe("a/*")
            two.subscribe("work", group="g")
            for _ in range(3):
                two.publish("a/b", b"12345")
            two.publish("nobody", b"")
            two.ping()
            found = samples(once())
            self.assertEqual(value_of(found, "fifobus_up"), 1)
            topic = {"topic": "a/b"}
            self.assertEqual(
                value_of(found, "fifobus_topic_messages_total", **topic), 3
            )
            self.assertEqual(value_of(found, "fifobus_topic_bytes_total", **topic), 15)
            self.assertEqual(value_of(found, "fifobus_topic_subscribers", **topic), 1)
            self.assertEqual(
                value_of(
                    found, "fifobus_topic_no_subscriber_messages_total", topic="nobody"
                ),
                1,
            )
            self.assertEqual(
                value_of(
                    found, "fifobus_queue_messages", name="one", pid=str(os.getpid())
                ),
                0,
            )
            self.assertEqual(value_of(found, "fifobus_group_members", name="g"), 1)
            self.assertEqual(value_of(found, "fifobus_messages_published_total"), 4)
            self.assertEqual(value_of(found, "fifobus_sessions_opened_total"), 3)

    def test_a_stuck_subscriber_shows_with_its_pid(self):
        with Bus() as bus:
            bus.stop()
            bus.start("--stall-timeout", "10ms", "--queue-bytes", "4096")
            with fifobus.Client(name="stuck") as stuck, fifobus.Client() as client:
                stuck.subscribe("a")

                def is_stalled():
                    client.publish("a", b"x" * 10000)
                    client.flush()
                    found = samples(once())
                    labels = {"name": "stuck", "pid": str(os.getpid())}
                    return (
                        value_of(found, "fifobus_queue_stalled", **labels) == 1
                        and value_of(
                            found, "fifobus_queue_dropped_messages_total", **labels
                        )
                        > 0
                    )

                await_condition(is_stalled, "the stall to show")

    def test_http_outlives_the_broker(self):
        port = free_port()

        def up():
            return value_of(samples(scrape(port)), "fifobus_up")

        with Bus() as bus, Exporter("--listen", str(port)) as exporter:
            await_condition(lambda: scrape(port), "the first scrape")
            self.assertEqual(up(), 1)
            bus.kill()
            await_condition(lambda: up() == 0, "the broker's death to show")
            bus.start()
            await_condition(lambda: up() == 1, "the next broker to show")
            with Exporter("--listen", str(port)) as second:
                _, said = second.process.communicate(timeout=HANG_SECONDS)
                self.assertEqual(second.process.returncode, 1)
                self.assertIn(b"cannot be listened on", said)
            self.assertEqual(exporter.stop(), 0)

    def test_the_textfile_is_whole_and_goes_at_the_end(self):
        with Bus() as bus:
            path = os.path.join(os.path.dirname(bus.directory), "fifobus.prom")
            with Exporter("--textfile", path, "--interval", "1ms") as exporter:
                await_condition(lambda: os.path.exists(path), "the file")
                for _ in range(200):
                    with open(path, encoding="utf-8") as file:
                        text = file.read()
                    self.assertTrue(text.endswith("\n"))
                    self.assertEqual(value_of(samples(text), "fifobus_up"), 1)
                self.assertEqual(exporter.stop(), 0)
            self.assertFalse(os.path.exists(path))
            self.assertEqual(
                [n for n in os.listdir(os.path.dirname(path)) if "prom" in n], []
            )

    def test_the_dashboard_asks_for_what_is_told(self):
        with open("tools/grafana-dashboard.json", encoding="utf-8") as file:
            dashboard = json.load(file)
        asked = set()
        for panel in dashboard["panels"]:
            for target in panel.get("targets", []):
                asked |= set(re.findall(r"fifobus_[a-z_]+", target["expr"]))
        self.assertGreater(len(asked), 8)
        with Bus(), fifobus.Client() as client:
            client.subscribe("a", group="g")
            client.publish("a", b"")
            client.ping()
            told = {name for name, _ in samples(once())}
        self.assertEqual(asked - told, set())


if __name__ == "__main__":
    unittest.main()
