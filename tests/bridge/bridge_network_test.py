"""The network between a bridge and its server is cut, as a cable that is out.

Both are in network namespaces of their own, which this program makes; where it may not,
the test is skipped.
"""

import os
import statistics
import subprocess
import sys
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

INSIDE = "FIFOBUS_IN_NAMESPACE"
ADDRESS = "10.77.0.1"
OTHER = "10.77.0.2"

# A second namespace, of a shell that lives as long as its input, joined to this one.
MAKE = f"""set -e
ip link set lo up
ip link add here type veth peer name there
ip link set there netns $1
ip address add {ADDRESS}/24 dev here
ip link set here up
nsenter --net=/proc/$1/ns/net sh -c \\
  'ip link set lo up; ip address add {OTHER}/24 dev there; ip link set there up'
"""

# What the test itself needs, tried and thrown away.
TRY = f"""unshare -n sleep 60 & set -- $!
until [ "$(cat /proc/$1/comm)" = sleep ]
do kill -0 $1 || exit 1; done
trap "kill $1" EXIT
{MAKE}"""


def why_not():
    """Why there can be no namespaces here; empty: there can."""
    try:
        tried = subprocess.run(
            ["unshare", "-Urn", "sh", "-c", TRY],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError as error:
        return str(error)
    return tried.stderr.strip() if tried.returncode else ""


class Cable:
    """Joins this network namespace with another, in which a bridge may run."""

    def __enter__(self):
        self._other = subprocess.Popen(
            ["unshare", "-n", "sh", "-c", "echo made; exec cat"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self._other.stdout.readline()
        pid = str(self._other.pid)
        subprocess.run(["sh", "-c", MAKE, "sh", pid], check=True)
        self.prefix = ("nsenter", f"--net=/proc/{pid}/ns/net")
        return self

    def __exit__(self, *_):
        self._other.communicate()

    @staticmethod
    def pull():
        subprocess.run(["ip", "link", "set", "here", "down"], check=True)

    @staticmethod
    def plug():
        subprocess.run(["ip", "link", "set", "here", "up"], check=True)


@unittest.skipUnless(nats_support.is_installed(), "nats-server is not installed")
class BridgeNetworkTest(unittest.TestCase):
    @unittest.skipIf(INSIDE in os.environ, "in the namespace")
    def test_in_namespaces(self):
        reason = why_not()
        if reason:
            self.skipTest(f"no network namespaces here: {reason}")
        outcome = subprocess.run(
            ["unshare", "-Urn", sys.executable, os.path.abspath(__file__)],
            env={**os.environ, INSIDE: "1", "PYTHONPATH": os.pathsep.join(sys.path)},
            check=False,
        )
        self.assertEqual(outcome.returncode, 0)

    @unittest.skipUnless(INSIDE in os.environ, "not in the namespace")
    def test_short_and_long_cuts(self):
        with Cable() as cable, nats_support.Cluster(1, address="0.0.0.0") as cluster:
            cluster.make_stream("PRICES", subjects=["prices.>"])
            url = f"nats://{ADDRESS}:{cluster.servers[0].port}"
            with Site([url], DURABLE % 1, prefix=cable.prefix) as site:
                on_bus = Tally(bus_publisher(site))
                in_nats = Tally(nats_publisher(cluster))
                try:
                    self.cut(cable, site, on_bus, in_nats)
                finally:
                    on_bus.stop()
                    in_nats.stop()
                check_out(cluster, site, on_bus.published)
                check_in(cluster, site, in_nats.published)

    def cut(self, cable, site, on_bus, in_nats):
        def both_publish():
            on_bus.await_more(50)
            in_nats.await_more(50)

        site.await_log("connected to NATS")
        both_publish()
        usual = statistics.median(on_bus.seconds)
        # Shorter than the bridge notices.
        cable.pull()
        both_publish()
        cable.plug()
        both_publish()
        cable.pull()
        before = len(on_bus.seconds)
        site.await_log("NATS is not connected any more")
        both_publish()
        during = statistics.median(on_bus.seconds[before:])
        self.assertLess(during, 10 * usual + 0.05, "a cut delays nobody on the bus")
        cable.plug()
        both_publish()


if __name__ == "__main__":
    unittest.main()
