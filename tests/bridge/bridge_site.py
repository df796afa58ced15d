"""A bus with a bridge to NATS for tests, and books of what crosses it."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

import fifobus
from tests.support import nats_support
from tests.support.fifobus_support import HANG_SECONDS, Bus, await_condition, binary

LOGS = ("--log", "orders=orders/**", "--log", "nats=nats/**")

# A log to the stream ORDERS of so many replicas, and the stream PRICES to another log.
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


class Site:
    """A bus with logs, and a bridge."""

    def __init__(
        self,
        urls,
        maps,
        nats="",
        origin="edge1",
        logs=LOGS,
        prefix=(),
        options=(),
        preload=None,
    ):
        """`nats` is more of that part of the configuration; `maps` may be all of it.
        `prefix` is a command that runs the bridge, and `options` are more of its own;
        `preload` is environment for all programs here."""
        self.origin = origin
        self.bus = Bus()
        self.folder = tempfile.mkdtemp(dir="/dev/shm", prefix="fifobus-bridge-")
        self._logs = logs
        self._prefix = prefix
        self._options = options
        self.config = os.path.join(self.folder, "bridge.toml")
        with open(self.config, "w", encoding="utf-8") as file:
            if "origin = " not in maps:
                file.write(
                    f'origin = "{origin}"\nstatus-topic = "bridge/status"\n'
                    'state-interval = "200ms"\n[nats]\n'
                    f"servers = {json.dumps(urls)}\n{nats}\n"
                )
            file.write(maps)
        self._bridge = None
        self.environment = {"FIFOBUS_DIR": self.bus.directory, **(preload or {})}
        self._log = os.path.join(self.folder, "bridge.log")

    def __enter__(self):
        self.start_broker()
        self.start_bridge()
        return self

    def __exit__(self, kind, *_):
        if kind is not None:
            self.tell()
        self.kill_bridge()
        self.bus.kill()
        self.bus.__exit__()
        shutil.rmtree(self.folder)

    def tell(self):
        """Says after a failure what the log and the bridge have."""
        print(f"--- the bridge of {self.bus.directory}:\n{self.log()}", file=sys.stderr)
        with contextlib.suppress(subprocess.TimeoutExpired):
            print(f"--- its bus:\n{self.run('ls').stdout}", file=sys.stderr)

    def run(self, *arguments, **options):
        """The outcome of a command on this bus."""
        return subprocess.run(
            [binary("fifobus"), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            timeout=2 * HANG_SECONDS,
            check=False,
            env={**os.environ, **self.environment},
            **options,
        )

    def client(self, **options):
        return fifobus.Client(self.bus.directory, **options)

    def start_broker(self):
        self.bus.start(
            *("--state-dir", self.folder, *self._logs), environment=self.environment
        )

    def start_bridge(self):
        with open(self._log, "ab") as log:
            self._bridge = subprocess.Popen(
                [
                    *self._prefix,
                    *(binary("fifobus"), "bridge", "nats", "--config", self.config),
                    *self._options,
                ],
                stderr=log,
                env={**os.environ, **self.environment},
            )

    def kill_bridge(self):
        if self._bridge is not None:
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

    def status(self):
        """The bridge's counters and troubles, by the name of a map."""
        outcome = self.run("sub", "bridge/status", "-n", "1", "--timeout", "10s")
        maps = json.loads(outcome.stdout or "{}").get("maps", [])
        return {each["map"]: each for each in maps}

    def stored(self, pattern, count):
        """The first messages of a pattern in its log, as JSON says them; fewer, if no
        more come."""
        outcome = self.run(
            *("sub", pattern, "--from", "start", "-n", str(count), "--json"),
            *("--timeout", f"{HANG_SECONDS}s"),
        )
        return [json.loads(line) for line in outcome.stdout.splitlines()]

    def has_stored(self, pattern):
        outcome = self.run(
            "sub", pattern, "--from", "start", "--until", "now", "--json"
        )
        return [json.loads(line) for line in outcome.stdout.splitlines()]


class Tally(threading.Thread):
    """Publishes numbers, one after the other, until it is told to stop.

    `publish` takes a number, and raises OSError or fifobus.FifobusError if it is not known
    to have arrived; then it is published again.
    """

    def __init__(self, publish, per_second=200):
        super().__init__()
        self.published = 0
        self.seconds = []  # that each one took which arrived at once
        self._publish = publish
        self._pause = 1 / per_second
        self._stopping = threading.Event()
        self.start()

    def run(self):
        # A bounded rate: what is tested is what becomes of messages, not how many.
        while not self._stopping.wait(self._pause):
            begin = time.monotonic()
            try:
                self._publish(self.published)
            except (OSError, fifobus.FifobusError):
                continue
            self.seconds.append(time.monotonic() - begin)
            self.published += 1

    def stop(self):
        self._stopping.set()
        self.join()

    def await_more(self, count=20):
        """Waits until so many more are published."""
        goal = self.published + count
        await_condition(
            lambda: self.published >= goal, f"{count} more messages of {self._publish}"
        )


def bus_publisher(site, name=""):
    """Publishes numbers on a bus, behind a name, each stored once."""
    clients = []

    def publish_on_bus(number):
        if not clients:
            clients.append(site.client(publisher="tally"))
        try:
            clients[0].publish(
                "orders/new",
                f"{name}{number}",
                sequence=number + 1,
                level=fifobus.Level.STORED,
            )
        except fifobus.FifobusError:
            clients.pop().close()
            raise

    return publish_on_bus


def nats_publisher(cluster):
    """Publishes numbers into the stream PRICES, until it says that it has them."""
    connections = []
    servers = list(cluster.servers)
    attempt = {}

    def publish_in_nats(number):
        if not connections:
            servers.append(servers.pop(0))
            connections.append(nats_support.Connection(servers[0].port, timeout=3))
        try:
            message_id = f"{number}/{attempt.get(number, 0)}"
            answer = connections[0].request(
                "prices.x", str(number).encode(), [("Nats-Msg-Id", message_id)]
            )
            sequence = json.loads(answer.payload or b"{}").get("seq")
            if sequence == 0:
                # A server that has lost its lead knows the id, but has not stored the
                # message, and answers so as long as it knows the id.
                attempt[number] = attempt.get(number, 0) + 1
            if not sequence:
                raise ConnectionError(f"not stored: {answer.payload}")
        except OSError:
            connections.pop().close()
            raise

    return publish_in_nats


def difference(name, wanted, got):
    """Where two lists of payloads differ, for people; empty: nowhere."""
    if wanted == got:
        return ""
    both = min(len(wanted), len(got))
    first = next((i for i in range(both) if wanted[i] != got[i]), both)
    known = set(got)
    missing = [each for each in wanted if each not in known]
    return (
        f"{name} has {len(got)} messages instead of {len(wanted)}; the first that "
        f"differs is number {first}: {got[first : first + 5]} instead of "
        f"{wanted[first : first + 5]}; missing are {len(missing)}: {missing[:10]}; "
        f"repeated are {len(got) - len(known)}"
    )


def await_none(found, about):
    """Waits until `found` returns no difference.

    Again and again: a server that was stopped may answer for a while as if it led a
    stream, and has not all of it.
    """
    # What is long is long to compare as well.
    deadline = time.monotonic() + HANG_SECONDS
    attempts = 0
    difference_last = found()
    while difference_last and (time.monotonic() < deadline or attempts < 5):
        attempts += 1
        difference_last = found()
    if difference_last:
        raise AssertionError(f"{difference_last}; {about()}")


def check_in(cluster, site, counted, pattern="nats/**", stream="PRICES"):
    """The log has what the stream has, once and in order.

    What the stream has is asked, because JetStream itself may lose or repeat a message
    that it has acknowledged when its leader changes: nats-server 2.9 remembers the id
    of a message whose storing it has given up.
    """
    wanted = [str(i) for i in range(counted)]
    held = []

    def found():
        held[:] = [each.payload.decode() for each in cluster.all_stored(stream)]
        got = [each["payload"] for each in site.has_stored(pattern)]
        return difference("the bus", held, got)

    await_none(
        found, lambda: f"the consumer is {cluster.ask(f'CONSUMER.INFO.{stream}.edge1')}"
    )
    lost = difference(f"JetStream's {stream}", wanted, held)
    if lost:
        print(f"JETSTREAM HAS NOT KEPT ITS WORD: {lost}", file=sys.stderr)


def check_out(cluster, site, counted, stream="ORDERS", subject="edge1.orders.new"):
    """The stream has all that was published on the bus, once and in order."""
    wanted = [str(i) for i in range(counted)]
    log = [each["payload"] for each in site.has_stored("orders/**")]
    if difference("the log", wanted, log):
        raise AssertionError(difference("the log", wanted, log))
    held = []

    def found():
        held[:] = cluster.all_stored(stream)
        return difference(stream, wanted, [each.payload.decode() for each in held])

    await_none(found, lambda: f"the bridge says {site.status()}")
    if {each.subject for each in held} - {subject}:
        raise AssertionError(f"subjects {set(each.subject for each in held)}")


@contextlib.contextmanager
def crossing(servers=3, **options):
    """A cluster, a site with these options, and a function that waits for more.

    Messages cross both ways meanwhile; at the end all have come, once and in order.
    """
    with nats_support.Cluster(servers) as cluster:
        cluster.make_stream("PRICES", subjects=["prices.>"], num_replicas=servers)
        with Site(cluster.urls(), DURABLE % servers, **options) as site:
            tallies = [Tally(bus_publisher(site)), Tally(nats_publisher(cluster))]

            def more():
                for tally in tallies:
                    tally.await_more()

            try:
                more()
                yield cluster, site, more
                more()
            finally:
                for tally in tallies:
                    tally.stop()
            check_out(cluster, site, tallies[0].published)
            check_in(cluster, site, tallies[1].published)
