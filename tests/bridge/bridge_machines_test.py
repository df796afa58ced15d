"""Two machines share topics as clients/examples/bridge.toml has it.

Each has a bus and a bridge, and a network of its own to the server, which can be cut.
"""

import contextlib
import re
import statistics
import subprocess
import threading
import time
import unittest

from tests.bridge.bridge_site import Site, Tally, bus_publisher, difference
from tests.support import nats_support
from tests.support.fifobus_support import HANG_SECONDS, await_condition, binary
from tests.support.relay import Relay

LOGS = ("--log", "orders=orders/**")
NAMES = ("edge1", "edge2")


def recipe(name, url):
    """The example of edge1 for a machine of this name."""
    with open("clients/examples/bridge.toml", encoding="utf-8") as file:
        text = file.read()
    text = re.sub(r"servers = .*", f'servers = ["{url}"]', text)
    text = text.replace("replicas = 3\n", "")
    other = {"1": "2", "2": "1"}
    if name == "edge2":
        text = re.sub(r"(?i)(edge)([12])", lambda m: m[1] + other[m[2]], text)
    return text


class Machine:
    """A bus with a bridge, behind a network, and messages that are published there."""

    def __init__(self, stack, cluster, name):
        self.name = name
        self.network = stack.enter_context(Relay(cluster.servers[0].port))
        self.site = stack.enter_context(
            Site([], recipe(name, self.network.url()), logs=LOGS)
        )
        self.tally = None

    def begin(self):
        self.tally = Tally(bus_publisher(self.site, f"{self.name} "), per_second=100)

    def orders(self):
        """What the log has of each machine, in its order."""
        found = [each["payload"] for each in self.site.has_stored("orders/**")]
        return {
            name: [each for each in found if each.startswith(name)] for name in NAMES
        }


@unittest.skipUnless(nats_support.is_installed(), "nats-server is not installed")
class BridgeMachinesTest(unittest.TestCase):
    def setUp(self):
        stack = contextlib.ExitStack()
        self.addCleanup(stack.close)
        self.stack = stack
        self.cluster = stack.enter_context(nats_support.Cluster(1))
        self.machines = [Machine(stack, self.cluster, name) for name in NAMES]
        for name in ("EDGE1", "EDGE2"):
            await_condition(
                lambda n=name: self.cluster.ask(f"CONSUMER.INFO.{n}.{self.reader(n)}"),
                f"a consumer of {name}",
            )

    def reader(self, stream):
        return {"EDGE1": "edge2", "EDGE2": "edge1"}[stream]

    def tell(self):
        for machine in self.machines:
            machine.site.tell()

    def check_books(self):
        """Each log has what either machine published, once and in order; and each stream
        what its own machine has."""
        for machine in self.machines:
            machine.tally.stop()
        wanted = {
            each.name: [f"{each.name} {i}" for i in range(each.tally.published)]
            for each in self.machines
        }
        for machine in self.machines:
            try:
                await_condition(
                    lambda m=machine: all(
                        len(got) >= len(wanted[name])
                        for name, got in m.orders().items()
                    ),
                    f"all messages on {machine.name}",
                )
            except AssertionError:
                self.tell()
            for name, got in machine.orders().items():
                found = difference(f"{machine.name}'s log", wanted[name], got)
                self.assertEqual(found, "")
            stream = machine.name.upper()
            held = [m.payload.decode() for m in self.cluster.all_stored(stream)]
            found = difference(f"the stream {stream}", wanted[machine.name], held)
            self.assertEqual(found, "")

    def test_topics_are_shared_over_a_split(self):
        for machine in self.machines:
            machine.begin()
        for machine in self.machines:
            machine.tally.await_more(50)
        cut = self.machines[0]
        before = len(cut.tally.seconds)
        cut.network.cut()
        cut.site.await_log("NATS is not connected any more")
        for machine in self.machines:
            machine.tally.await_more(100)
        # Messages of the other machine wait in NATS, and its own in the log.
        self.assertIn("NATS cannot be connected", self.log_with(cut, "cannot be"))
        usual = statistics.median(cut.tally.seconds[:before])
        during = statistics.median(cut.tally.seconds[before:])
        self.assertLess(during, 10 * usual + 0.05, "a cut delays nobody on the bus")
        cut.network.heal()
        for machine in self.machines:
            machine.tally.await_more(50)
        self.check_books()

    def log_with(self, machine, text):
        machine.site.await_log(text)
        return machine.site.log()

    def test_both_are_cut_and_their_bridges_killed(self):
        for machine in self.machines:
            machine.begin()
            machine.tally.await_more(20)
            machine.network.cut()
        for machine in self.machines:
            machine.site.kill_bridge()
            machine.tally.await_more(50)
            machine.site.start_bridge()
            machine.network.heal()
            machine.tally.await_more(20)
        self.check_books()

    def test_requests_are_answered_on_the_other_machine(self):
        here, there = (each.site for each in self.machines)
        shouting = subprocess.Popen(
            [
                *(binary("fifobus"), "reply", "--dir", there.bus.directory),
                *("svc/edge2/shout", "--exec", "tr a-z A-Z"),
            ]
        )
        try:
            await_condition(
                lambda: "svc/edge2/shout" in there.run("ls").stdout, "the replier"
            )
            answer = here.run("req", "svc/edge2/shout", "hello", "--timeout", "60s")
            self.assertEqual((answer.returncode, answer.stdout.strip()), (0, "HELLO"))
        finally:
            shouting.terminate()
            shouting.wait()
        # The other way.
        with here.client() as replier, there.client() as client:
            replier.subscribe("svc/edge1/time")
            answers = []
            asking = threading.Thread(
                target=lambda: answers.append(
                    client.request("svc/edge1/time", b"now?", timeout=50)
                )
            )
            asking.start()
            request = replier.receive(HANG_SECONDS)
            self.assertEqual(request.payload, b"now?")
            left = request.expiry_unix_nanos / 1e9 - time.time()
            self.assertTrue(0 < left <= 50, f"{left} s are left")
            replier.reply(request, b"noon")
            asking.join()
            self.assertEqual([each.payload for each in answers], [b"noon"])

    def test_request_that_nobody_answers_is_over_in_time(self):
        here = self.machines[0].site
        begin = time.monotonic()
        answer = here.run("req", "svc/edge2/nobody", "hello", "--timeout", "1s")
        self.assertEqual(answer.returncode, 3, answer.stderr)
        self.assertLess(time.monotonic() - begin, HANG_SECONDS / 2)
        self.machines[0].network.cut()
        answer = here.run("req", "svc/edge2/nobody", "hello", "--timeout", "1s")
        self.assertEqual(answer.returncode, 3, answer.stderr)
        self.machines[0].network.heal()


if __name__ == "__main__":
    unittest.main()
