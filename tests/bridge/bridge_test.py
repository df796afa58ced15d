"""`fifobus bridge nats` between a real broker and real nats-servers.

What a stream holds is read by a client that shares no code with the bridge, and
compared message by message with what was published.
"""

import json
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import unittest

import fifobus
from tests.support import nats_support
from tests.support.fifobus_support import HANG_SECONDS, Bus, await_condition, binary

LOGS = ("--log", "orders=orders/**", "--log", "nats=nats/**")


def run(*arguments, **options):
    """The outcome of a command."""
    return subprocess.run(
        [binary("fifobus"), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        timeout=HANG_SECONDS,
        check=False,
        **options,
    )


class Site:
    """A bus with logs, and a bridge."""

    def __init__(self, urls, maps):
        self.bus = Bus()
        self.folder = tempfile.mkdtemp(dir="/dev/shm", prefix="fifobus-bridge-")
        self._config = os.path.join(self.folder, "bridge.toml")
        with open(self._config, "w", encoding="utf-8") as file:
            file.write(
                'origin = "edge1"\nstatus-topic = "bridge/status"\n'
                f'state-interval = "200ms"\n[nats]\nservers = {json.dumps(urls)}\n'
                f"{maps}"
            )
        self._bridge = None
        self._log = os.path.join(self.folder, "bridge.log")

    def __enter__(self):
        self.start_broker()
        self.start_bridge()
        return self

    def __exit__(self, *_):
        self.kill_bridge()
        self.bus.kill()
        self.bus.__exit__()
        shutil.rmtree(self.folder)

    def start_broker(self):
        self.bus.start("--state-dir", self.folder, *LOGS)

    def start_bridge(self):
        with open(self._log, "ab") as log:
            self._bridge = subprocess.Popen(
                [binary("fifobus"), "bridge", "nats", "--config", self._config],
                stderr=log,
            )

    def kill_bridge(self):
        self._bridge.kill()
        self._bridge.wait()

    def stop_bridge(self):
        self._bridge.send_signal(signal.SIGTERM)
        return self._bridge.wait(HANG_SECONDS)

    def log(self):
        with open(self._log, encoding="utf-8") as log:
            return log.read()

    def await_log(self, text):
        await_condition(lambda: text in self.log(), f"{text!r} in the bridge's log")

    def stored(self, pattern, count):
        """The first messages of a pattern in its log, as JSON says them."""
        outcome = run(
            "sub",
            pattern,
            "--from",
            "start",
            "-n",
            str(count),
            "--json",
            "--timeout",
            f"{HANG_SECONDS}s",
        )
        return [json.loads(line) for line in outcome.stdout.splitlines()]

    def has_stored(self, pattern):
        outcome = run("sub", pattern, "--from", "start", "--until", "now", "--json")
        return [json.loads(line) for line in outcome.stdout.splitlines()]


class Tally(threading.Thread):
    """Publishes numbers, one after the other, until it is told to stop.

    `publish` takes a number, and raises OSError or fifobus.FifobusError if it is not known
    to have arrived; then it is published again.
    """

    def __init__(self, publish):
        super().__init__()
        self.published = 0
        self._publish = publish
        self._stopping = threading.Event()
        self.start()

    def run(self):
        while not self._stopping.is_set():
            try:
                self._publish(self.published)
            except (OSError, fifobus.FifobusError, KeyError):
                continue
            self.published += 1

    def stop(self):
        self._stopping.set()
        self.join()

    def await_more(self, count=20):
        """Waits until so many more are published."""
        goal = self.published + count
        await_condition(lambda: self.published >= goal, f"{count} more messages")


def bus_publisher():
    """Publishes numbers on the bus, each stored once."""
    clients = []

    def publish(number):
        if not clients:
            clients.append(fifobus.Client(publisher="tally"))
        try:
            clients[0].publish(
                "orders/new",
                str(number),
                sequence=number + 1,
                level=fifobus.Level.STORED,
            )
        except fifobus.FifobusError:
            clients.pop().close()
            raise

    return publish


def nats_publisher(cluster):
    """Publishes numbers into the stream PRICES, each once."""
    connections = []
    servers = list(cluster.servers)

    def publish(number):
        if not connections:
            servers.append(servers.pop(0))
            connections.append(nats_support.Connection(servers[0].port, timeout=3))
        try:
            answer = connections[0].request(
                "prices.x", str(number).encode(), [("Nats-Msg-Id", str(number))]
            )
            json.loads(answer.payload or b"{}")["seq"]
        except (OSError, KeyError):
            connections.pop().close()
            raise

    return publish


DURABLE = """
[[out]]
pattern = "orders/**"
stream = "ORDERS"
subject-prefix = "edge1"
create = true
replicas = %d
[[in]]
stream = "PRICES"
filter = "prices.>"
topic-prefix = "nats"
create = true
"""


@unittest.skipUnless(nats_support.is_installed(), "nats-server is not installed")
class BridgeTest(unittest.TestCase):
    def check_both_ways(self, cluster, site, sent, received):
        """All that was published has come, once and in order."""
        got = site.stored("nats/**", received)
        self.assertEqual([m["payload"] for m in got], [str(i) for i in range(received)])
        self.assertEqual(len(site.has_stored("nats/**")), received)

        def stored():
            for server in cluster.servers:
                with server.connect() as connection:
                    messages = connection.all_stored("ORDERS")
                    if len(messages) >= sent:
                        return messages
            return None

        messages = await_condition(stored, f"{sent} messages in ORDERS")
        self.assertEqual(
            [m.payload.decode() for m in messages], [str(i) for i in range(sent)]
        )
        self.assertEqual({m.subject for m in messages}, {"edge1.orders.new"})

    def test_each_message_crosses_once_while_all_parts_are_killed_in_turn(self):
        with nats_support.Cluster(3) as cluster:
            cluster.make_stream("PRICES", subjects=["prices.>"], num_replicas=3)
            with Site(cluster.urls(), DURABLE % 3) as site:
                tallies = [Tally(bus_publisher()), Tally(nats_publisher(cluster))]
                try:
                    self.kill_all(cluster, site, tallies)
                finally:
                    for tally in tallies:
                        tally.stop()
                self.check_both_ways(cluster, site, *[t.published for t in tallies])

    def kill_all(self, cluster, site, tallies):
        def more():
            for tally in tallies:
                tally.await_more()

        more()
        for server in cluster.servers:
            server.kill()
            more()
            server.start()
            server.connect().close()
        cluster.servers[0].signal(signal.SIGSTOP)
        site.kill_bridge()
        more()
        site.start_bridge()
        cluster.servers[0].signal(signal.SIGCONT)
        site.bus.kill()
        site.start_broker()
        more()

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

                    def back():
                        try:
                            return nats.all_stored("BACK")
                        except KeyError:
                            return []

                    (own,) = await_condition(back, "a message in BACK")
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
                        lambda: "svc/shout" in run("ls").stdout, "the replier"
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
                run("pub", "orders/new", "late")
                await_condition(lambda: nats.all_stored("ORDERS"), "the message")
            cluster.servers[0].kill()
            site.await_log("NATS is not connected any more")
            run("pub", "orders/new", "later")
            cluster.servers[0].start()
            with cluster.servers[0].connect() as nats:
                await_condition(
                    lambda: len(nats.all_stored("ORDERS")) == 2, "the next message"
                )
            status = run("sub", "bridge/status", "-n", "1").stdout
            self.assertEqual(json.loads(status)["origin"], "edge1")

    def test_a_topic_without_a_log_ends_the_bridge(self):
        maps = '[[out]]\npattern = "loose/**"\nstream = "S"\n'
        with Site(["nats://127.0.0.1:1"], maps) as site:
            site.await_log("no log stores")
            self.assertEqual(site.stop_bridge(), 1)


if __name__ == "__main__":
    unittest.main()
