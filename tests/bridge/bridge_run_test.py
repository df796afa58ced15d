"""Kills, stops and cuts by chance of all that stands between two publishers.

One publishes on a bus and one in NATS, and books are made of both ways at the end. The
suite has a few rounds, without failures of servers, since other tests have those. A long
run has all of them:

    FIFOBUS_BRIDGE_MINUTES=30 bazel-bin/tests/bridge/bridge_run_test

$FIFOBUS_SEED makes the choices of an earlier run.
"""

import contextlib
import os
import random
import signal
import statistics
import sys
import time
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
from tests.support.relay import Relay

MINUTES = float(os.environ.get("FIFOBUS_BRIDGE_MINUTES", "0"))
ROUNDS = 3


def say(text):
    print(time.strftime("%H:%M:%S"), text, file=sys.stderr, flush=True)


class Run:
    """All parts, and what may become of them. Each event is over when it returns."""

    def __init__(self, stack, seed):
        self._random = random.Random(seed)
        self.cluster = stack.enter_context(nats_support.Cluster(3))
        self.cluster.make_stream("PRICES", subjects=["prices.>"], num_replicas=3)
        self._networks = [
            stack.enter_context(Relay(server.port)) for server in self.cluster.servers
        ]
        urls = [each.url() for each in self._networks]
        self.site = stack.enter_context(Site(urls, DURABLE % 3))
        self.on_bus = Tally(bus_publisher(self.site), per_second=50)
        stack.callback(self.on_bus.stop)
        self.in_nats = Tally(nats_publisher(self.cluster), per_second=50)
        stack.callback(self.in_nats.stop)
        self.usual = []  # Seconds that publishing on the bus takes,
        self.cut_off = []  # and while the bridge is cut off.

    def both_publish(self, count=20):
        self.on_bus.await_more(count)
        self.in_nats.await_more(count)

    def round(self):
        """One event, or two at once."""
        self.cluster.await_whole("PRICES")
        begin = len(self.on_bus.seconds)
        self.both_publish()
        self.usual += self.on_bus.seconds[begin:]
        events = self._random.sample(self.events(), self._random.choice((1, 1, 2)))
        say(" and ".join(each.__name__ for each in events))
        with contextlib.ExitStack() as stack:
            for event in events:
                stack.enter_context(event())
            self.on_bus.await_more(20)

    def events(self):
        of_servers = [
            self.server_is_killed,
            self.server_is_stopped,
            self.all_servers_are_killed,
        ]
        return [
            self.bridge_is_killed,
            self.broker_is_killed,
            self.leader_steps_down,
            self.network_is_cut,
            self.one_network_is_cut,
            *(of_servers if MINUTES > 0 else ()),
        ]

    @contextlib.contextmanager
    def bridge_is_killed(self):
        self.site.kill_bridge()
        yield
        self.site.start_bridge()

    @contextlib.contextmanager
    def broker_is_killed(self):
        self.site.bus.kill()
        self.site.start_broker()
        yield

    @contextlib.contextmanager
    def server_is_killed(self):
        server = self._random.choice(self.cluster.servers)
        server.kill()
        yield
        if not server.is_running():
            server.start()

    @contextlib.contextmanager
    def server_is_stopped(self):
        server = self._random.choice(self.cluster.servers)
        if not server.is_running():
            yield
            return
        server.signal(signal.SIGSTOP)
        try:
            yield
        finally:
            if server.is_running():
                server.signal(signal.SIGCONT)

    @contextlib.contextmanager
    def all_servers_are_killed(self):
        for server in self.cluster.servers:
            server.kill()
        yield
        for server in self.cluster.servers:
            if not server.is_running():
                server.start()

    @contextlib.contextmanager
    def leader_steps_down(self):
        kind = self._random.choice(
            ("STREAM.LEADER.STEPDOWN.PRICES", "STREAM.LEADER.STEPDOWN.ORDERS")
            + ("CONSUMER.LEADER.STEPDOWN.PRICES.edge1",)
        )
        self.cluster.ask(kind)
        yield

    @contextlib.contextmanager
    def network_is_cut(self):
        for network in self._networks:
            network.cut()
        begin = len(self.on_bus.seconds)
        self.on_bus.await_more(self._random.choice((20, 100, 500)))
        self.cut_off += self.on_bus.seconds[begin:]
        yield
        for network in self._networks:
            network.heal()

    @contextlib.contextmanager
    def one_network_is_cut(self):
        network = self._random.choice(self._networks)
        network.cut()
        yield
        network.heal()


@unittest.skipUnless(nats_support.is_installed(), "nats-server is not installed")
class BridgeRunTest(unittest.TestCase):
    def test_all_messages_cross_once_whatever_fails(self):
        seed = int(os.environ.get("FIFOBUS_SEED", random.randrange(1 << 32)))
        say(f"seed {seed}")
        with contextlib.ExitStack() as stack:
            run = Run(stack, seed)
            rounds = 0
            end = time.monotonic() + 60 * MINUTES
            while rounds < ROUNDS or time.monotonic() < end:
                run.round()
                rounds += 1
            run.both_publish()
            run.on_bus.stop()
            run.in_nats.stop()
            say(f"{rounds} rounds; the books are made")
            check_out(run.cluster, run.site, run.on_bus.published)
            check_in(run.cluster, run.site, run.in_nats.published)
            say(f"out {run.on_bus.published}, in {run.in_nats.published} messages")
            self.check_latencies(run)

    def check_latencies(self, run):
        """A cut delays nobody on the bus."""
        if not run.cut_off:
            return
        usual, cut_off = map(statistics.median, (run.usual, run.cut_off))
        say(f"publishing took {usual * 1e3:.2f} ms, cut off {cut_off * 1e3:.2f} ms")
        self.assertLess(cut_off, 10 * usual + 0.05)


if __name__ == "__main__":
    unittest.main()
