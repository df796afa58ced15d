"""Upgrades a broker in place under load, and keeps the books: nothing is lost, doubled
or reordered, and no client connects again. And what an upgrade refuses.

$FIFOBUS_UPGRADE_ROUNDS upgrades; the suite does a few."""

import json
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
import unittest

from tests.support.fifobus_support import HANG_SECONDS, await_condition

sys.path.insert(0, os.path.abspath("clients/python"))

import fifobus  # noqa: E402
from fifobus.protocol.frames import frame_head  # noqa: E402
from fifobus.protocol.message import Metadata  # noqa: E402

ROUNDS = int(os.environ.get("FIFOBUS_UPGRADE_ROUNDS", "3"))
PROGRAM = os.path.abspath("fifobus")
LATER = os.path.abspath("tests/support/later_fifobus")

LARGE_BYTES = (16 << 20) - 4096  # of a payload, in a frame of the largest size


class Actor(threading.Thread):
    """A client in a thread of its own, until stop(). What it raises is told by end()."""

    def __init__(self, work):
        super().__init__(daemon=True)
        self._work = work
        self._error = None
        self.stopping = threading.Event()
        self.start()

    def run(self):
        try:
            self._work(self.stopping)
        except Exception as error:  # told by end()
            self._error = error

    def end(self):
        self.stopping.set()
        self.join(HANG_SECONDS)
        if self.is_alive():
            raise AssertionError("an actor hangs")
        if self._error is not None:
            raise self._error


class UpgradeTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(dir="/dev/shm", prefix="fifobus-test-")
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.bus = self.file("bus")
        os.environ["FIFOBUS_DIR"] = self.bus
        self.brokers = []
        self.addCleanup(self.kill)

    def file(self, name):
        return os.path.join(self.folder, name)

    def kill(self):
        for broker in self.brokers:
            broker.send_signal(signal.SIGTERM)
            try:
                broker.wait(HANG_SECONDS)
            except subprocess.TimeoutExpired:
                broker.kill()
                broker.wait()
        if self.brokers and sys.exc_info()[0] is not None:
            print(self.log())

    def serve(self, *options, program=PROGRAM, environment=None):
        with open(self.file("log"), "ab") as log:
            self.brokers.append(
                subprocess.Popen(
                    [program, "serve", *options],
                    stderr=log,
                    env={**os.environ, **(environment or {})},
                )
            )
        await_condition(lambda: "ready" in self.log(), "the broker")
        return self.brokers[-1]

    def log(self):
        with open(self.file("log"), encoding="utf-8") as log:
            return log.read()

    def run_program(self, *words, program=PROGRAM):
        return subprocess.run(
            [program, *words],
            capture_output=True,
            text=True,
            timeout=HANG_SECONDS,
            check=False,
        )

    def upgrade(self, *words):
        """The pause in milliseconds."""
        outcome = self.run_program("upgrade", *words)
        self.assertEqual(outcome.returncode, 0, outcome.stderr + self.log())
        found = re.search(r"publishers waited ([0-9.]+) ms", outcome.stdout)
        self.assertIsNotNone(found, outcome.stdout)
        return float(found.group(1))

    def refuse(self, *words):
        """Why the broker goes on as it was."""
        outcome = self.run_program("upgrade", *words)
        self.assertEqual(outcome.returncode, 1, outcome.stdout + outcome.stderr)
        self.assertIn("the broker goes on as it was", outcome.stderr)
        return outcome.stderr

    def script(self, text):
        path = self.file("script")
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(path, stat.S_IRWXU)
        return path

    def stats(self):
        return json.loads(self.run_program("ls", "--json").stdout)

    def counter(self, name):
        return self.stats()["counters"][name]


class RefusedTest(UpgradeTest):
    def setUp(self):
        super().setUp()
        self.broker = self.serve()
        self.subscriber = fifobus.Client(reconnect=False, name="still here")
        self.addCleanup(self.subscriber.close)
        self.subscriber.subscribe("t/**")

    def tearDown(self):
        # All goes on, with the same session and the same process.
        self.assertEqual(self.run_program("pub", "t/a", "hello").returncode, 0)
        self.assertEqual(self.subscriber.receive(HANG_SECONDS).payload, b"hello")
        self.assertIsNone(self.broker.poll())

    def test_what_is_no_program_is_refused_before_any_pause(self):
        why = self.refuse(self.script("no program at all"))
        self.assertIn("Exec format error", why)
        self.assertEqual(self.counter("broker_upgrades"), 0)

    def test_a_program_that_is_another_is_refused(self):
        self.assertIn("it printed nothing", self.refuse("/bin/true"))
        self.assertIn("exit code 1", self.refuse("/bin/false"))

    def test_a_program_that_crashes_in_its_check_is_refused(self):
        why = self.refuse(self.script("#!/bin/sh\nkill -SEGV $$\n"))
        self.assertIn("signal 11", why)

    def test_a_program_that_refuses_is_quoted(self):
        why = self.refuse(self.script("#!/bin/sh\necho too old >&2\nexit 1\n"))
        self.assertIn("too old", why)

    def test_a_program_that_accepts_without_looking_is_refused(self):
        reply = "state is good: 1 records, 1 bytes"
        why = self.refuse(self.script(f"#!/bin/sh\necho {reply}\n"))
        self.assertIn(reply, why)

    def test_a_file_that_is_missing_is_named(self):
        outcome = self.run_program("upgrade", self.file("missing"))
        self.assertEqual(outcome.returncode, 1)
        self.assertIn(self.file("missing"), outcome.stderr)

    def test_a_program_that_cannot_read_the_whole_state_lets_the_broker_go_on(self):
        # It passes the check of the header and fails in that of all.
        marks = self.file("checked")
        why = self.refuse(
            self.script(
                f"#!/bin/sh\nif [ -e {marks} ]; then echo I cannot >&2; exit 1; fi\n"
                f'touch {marks}\nexec {PROGRAM} "$@"\n'
            )
        )
        self.assertIn("I cannot", why)


class VersionsTest(UpgradeTest):
    def test_programs_of_two_formats_follow_each_other_both_ways(self):
        broker = self.serve()
        subscriber = fifobus.Client(reconnect=False)
        self.addCleanup(subscriber.close)
        subscriber.subscribe("t")
        for count, program in enumerate((LATER, PROGRAM, LATER, PROGRAM), 1):
            self.upgrade(program)
            running = os.readlink(f"/proc/{broker.pid}/exe")
            self.assertEqual(running, os.path.realpath(program))
            self.run_program("pub", "t", str(count))
            got = subscriber.receive(HANG_SECONDS)
            self.assertEqual(got.payload, str(count).encode())
            self.assertEqual(self.counter("broker_upgrades"), count)

    def test_a_program_refuses_a_state_that_it_must_not_read(self):
        self.serve(program=LATER, environment={"FIFOBUS_TEST_NEEDS": "2"})
        why = self.refuse(PROGRAM)
        self.assertIn("needs format 2, this program knows 1", why)
        self.upgrade(LATER)


class KeptTest(UpgradeTest):
    def test_a_keeper_goes_on_with_the_upgraded_broker_and_passes_the_signal_on(self):
        keeper = self.serve("--keep")
        with open(self.bus + "/broker.lock", encoding="utf-8") as lock:
            broker = int(lock.read())
        self.upgrade(LATER)
        keeper.send_signal(signal.SIGUSR2)
        await_condition(lambda: self.counter("broker_upgrades") == 2, "the signal")
        with open(self.bus + "/broker.lock", encoding="utf-8") as lock:
            self.assertEqual(int(lock.read()), broker)
        # A broker that dies after that is followed by the keeper's own.
        os.kill(broker, signal.SIGKILL)
        await_condition(
            lambda: '"broker_restarts":1' in self.run_program("ls", "--json").stdout,
            "the next broker",
        )
        self.assertEqual(self.counter("broker_upgrades"), 0)


class LoadTest(UpgradeTest):
    def setUp(self):
        super().setUp()
        self.names = set()

    def client(self, name, **options):
        client = fifobus.Client(name=name, reconnect=False, **options)
        self.addCleanup(client.close)
        self.names.add(name)
        return client

    def publish_numbers(self, topic, numbers, name):
        """Publishes numbers until it is stopped; tells the last one by `numbers`."""
        client = self.client(name)

        def work(stopping):
            sent = 0
            while not stopping.is_set():
                for _ in range(50):
                    sent += 1
                    pad = b" " * (sent * 37 % 3000)
                    client.publish(topic, str(sent).encode() + pad)
                time.sleep(0.001)
            client.ping(HANG_SECONDS)
            numbers[topic] = sent

        return Actor(work)

    def subscribe_all(self, pattern, got, name, **options):
        client = self.client(name, queue_bytes_max=64 << 20)
        client.subscribe(pattern, **options)

        def work(stopping):
            while True:
                try:
                    message = client.receive(0.1)
                except fifobus.TimedOut:
                    if stopping.is_set():
                        return
                    continue
                got.append((message.topic, int(message.payload.split()[0])))
                if options.get("acks"):
                    message.ack()

        return Actor(work)

    def ask(self):
        replier = self.client("replier")
        replier.subscribe("ask")
        asker = self.client("asker")

        def reply(stopping):
            while not stopping.is_set():
                try:
                    request = replier.receive(0.1)
                except fifobus.TimedOut:
                    continue
                replier.reply(request, b"re: " + request.payload)

        def ask(stopping):
            count = 0
            while not stopping.is_set():
                count += 1
                text = str(count).encode()
                got = asker.request("ask", text, timeout=HANG_SECONDS)
                assert got.payload == b"re: " + text, got.payload
            assert count > 1

        return [Actor(ask), Actor(reply)]

    def write_lines(self, topic, lines):
        self.run_program("path", topic)
        path = f"{self.bus}/topics/{topic}.in"

        def work(stopping):
            count = 0
            with open(path, "wb", buffering=0) as tap:
                while not stopping.is_set():
                    count += 1
                    # The second part comes later: half lines are taken over as well.
                    tap.write(f"{count} and".encode())
                    time.sleep(0.001)
                    tap.write(b" more\n")
            lines.append(count)

        return Actor(work)

    def cat(self, topic, name):
        path = f"{self.bus}/topics/{topic}.out/{name}"
        os.mkfifo(path)
        with open(self.file(name), "wb") as out:
            process = subprocess.Popen(["cat", path], stdout=out)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def assert_numbers(self, got, topic, last):
        self.assertEqual([n for t, n in got if t == topic], list(range(1, last + 1)))

    def half_frame(self):
        """A client that has written half of a large frame; returns its other half."""
        client = self.client("half")
        client.ping(HANG_SECONDS)
        frame = frame_head("large", Metadata(), LARGE_BYTES) + b"x" * LARGE_BYTES
        up = client._connection._pipes.up  # what no caller of it does
        os.set_blocking(up, True)
        middle = len(frame) // 2
        sent = 0
        while sent < middle:
            sent += os.write(up, frame[sent:middle])
        return up, frame[middle:]

    def test_nothing_is_lost_under_load(self):
        state = self.file("state")
        broker = self.serve("--state-dir", state, "--log", "log=log/**")
        os.makedirs(self.bus + "/topics", exist_ok=True)
        numbers, lines = {}, []
        live, shared, acked, logged = [], [], [], []
        # What reads, first.
        self.run_program("path", "lines")
        reader = self.cat("lines", "me")
        readers = [
            self.subscribe_all("live/*", live, "live"),
            self.subscribe_all("shared", shared, "member 1", group="g"),
            self.subscribe_all("shared", shared, "member 2", group="g"),
            self.subscribe_all("acked", acked, "acked 1", group="a", acks=True),
            self.subscribe_all("acked", acked, "acked 2", group="a", acks=True),
            self.subscribe_all("log/a", logged, "durable", durable="books"),
        ]
        large = self.client("large", queue_bytes_max=64 << 20)
        large.subscribe("large")
        retained = self.client("retained")
        retained.publish("kept", "value", retain=True)
        mourned = self.client("mourned", will=fifobus.Will("wills", b"1"))
        mourners = []
        readers.append(self.subscribe_all("wills", mourners, "mourner"))
        topics = ("live/1", "live/2", "shared", "acked", "log/a")
        writers = [self.publish_numbers(t, numbers, "pub " + t) for t in topics]
        writers += self.ask() + [self.write_lines("lines", lines)]
        up, rest = self.half_frame()
        names = self.session_numbers()
        pauses = [self.upgrade() for _ in range(ROUNDS)]
        print(f"{ROUNDS} upgrades, longest pause {max(pauses):.1f} ms")
        self.assertEqual(self.session_numbers(), names)
        while rest:
            rest = rest[os.write(up, rest) :]
        got = large.receive(HANG_SECONDS)
        self.assertEqual(len(got.payload), LARGE_BYTES)
        for actor in writers:
            actor.end()
        await_condition(lambda: len(shared) >= numbers["shared"], "the group")
        await_condition(lambda: len(acked) >= numbers["acked"], "the acked group")
        await_condition(lambda: len(logged) >= numbers["log/a"], "the durable reader")
        self.assertEqual(mourners, [])
        mourned._connection.close()  # as if it had died
        await_condition(lambda: mourners == [("wills", 1)], "the will")
        for actor in readers:
            actor.end()
        self.check(numbers, live, shared, acked, logged)
        self.check_lines(lines[0], reader)
        self.assertEqual(self.counter("broker_upgrades"), ROUNDS)
        self.assertEqual(self.counter("messages_dropped"), 0)
        fresh = self.client("fresh")
        fresh.subscribe("kept")
        self.assertEqual(fresh.receive(HANG_SECONDS).payload, b"value")
        self.assertIsNone(broker.poll())

    def session_numbers(self):
        """The clients by name, with what tells sessions apart."""
        return {
            session["client_name"]: session["number"]
            for session in self.stats()["sessions"]
            if session["client_name"] in self.names
        }

    def check(self, numbers, live, shared, acked, logged):
        for topic in ("live/1", "live/2"):
            self.assert_numbers(live, topic, numbers[topic])
        self.assert_numbers(logged, "log/a", numbers["log/a"])
        for got, topic in ((shared, "shared"), (acked, "acked")):
            self.assertEqual(
                sorted(number for _, number in got),
                list(range(1, numbers[topic] + 1)),
                topic,
            )

    def check_lines(self, count, reader):
        wanted = b"".join(b"%d and more\n" % i for i in range(1, count + 1))

        def read_all():
            with open(self.file("me"), "rb") as file:
                return len(file.read()) >= len(wanted)

        await_condition(read_all, "the lines")
        self.assertIsNone(reader.poll())
        with open(self.file("me"), "rb") as file:
            self.assertEqual(file.read(), wanted)


if __name__ == "__main__":
    unittest.main()
