"""Kills the broker under load, with and without a keeper, and holds what follows
against the table of promises in README.md, cell by cell.

    FIFOBUS_KILLS=1000 bazel test //tests/interop:kill_table_test \
        --test_env=FIFOBUS_KILLS --test_output=all --test_timeout=3600

Every second kill, of a stopped broker, finds all read that was passed on; then not one
message may be missing."""

import json
import os
import random
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import unittest

import fifobus
from tests.support.fifobus_support import HANG_SECONDS, await_condition, binary

KILLS = int(os.environ.get("FIFOBUS_KILLS", "6"))  # of each of the two tests
LIVE = ("live/py", "live/cpp", "live/tap")
BURST = 300


class Stream:
    """What a reader got of one topic. A message may be missing only behind a gap, and
    none may come twice or too early."""

    def __init__(self, name):
        self.name = name
        self.last = 0
        self.gaps = 0
        self.jumps = 0  # gaps that messages were missing at
        self.missing = 0
        self.faults = []
        self._gap_before = False

    def on_gap(self):
        self.gaps += 1
        self._gap_before = True

    def on_number(self, number):
        if number <= self.last:
            self.faults.append(f"{self.name}: {number} behind {self.last}")
        elif number > self.last + 1:
            self.jumps += 1
            self.missing += number - self.last - 1
            if not self._gap_before:
                self.faults.append(f"{self.name}: {number} behind {self.last}, no gap")
        self.last = number
        self._gap_before = False


class Reader:
    """A client that receives all the time, in a thread of its own."""

    def __init__(self, name, **subscription):
        self.streams = {topic: Stream(f"{name} of {topic}") for topic in LIVE}
        self.failure = None
        self._stop = False
        self.client = fifobus.Client(
            name=name, overflow=fifobus.Overflow.BLOCK, on_gap=self.take
        )
        self.client.subscribe(**subscription)
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self):
        try:
            while not self._stop:
                try:
                    self.take(self.client.receive(0.1))
                except TimeoutError:
                    pass
        except Exception as error:  # for the main thread
            self.failure = error
            raise

    def take(self, event):
        if isinstance(event, fifobus.Gap):
            assert event.reason is fifobus.GapReason.RECONNECTED, event
            for stream in self.streams.values():
                stream.on_gap()
        else:
            self.streams[event.topic].on_number(int(event.payload))

    def end(self):
        self._stop = True
        self._thread.join()
        self.client.close()


class DurableReader(Reader):
    """Of the log. Counts what comes again, and when it had come first."""

    def __init__(self):
        self.last = self.newest = 0
        self.repeated = 0
        self.oldest_repeat = 0.0  # seconds before the end of the broker
        self.broker_ended = 0.0
        self.faults = []
        self._times = {}
        super().__init__("durable", pattern="log/**", durable="kept")

    def take(self, event):
        if isinstance(event, fifobus.Gap):
            self.faults.append(f"durable: {event}")
            return
        now = time.monotonic()
        if event.offset > self.last + 1:
            self.faults.append(f"durable: {event.offset} behind {self.last}")
        if event.offset <= self.newest:
            self.repeated += 1
        if event.offset <= self.last:  # since the kill; all behind it is younger
            age = self.broker_ended - self._times.get(event.offset, 0.0)
            self.oldest_repeat = max(self.oldest_repeat, age)
        self.last = event.offset
        self.newest = max(self.newest, self.last)
        self._times[event.offset] = now  # when it came last
        self._times.pop(event.offset - 50000, None)


class Broker:
    """With or without a keeper."""

    def __init__(self, folder, bus, keeper):
        self.bus = bus
        self.keeper = keeper
        self._log = open(os.path.join(folder, "broker.log"), "ab")
        self._command = [
            *(binary("fifobus"), "serve", *(["--keep"] if keeper else [])),
            *(["--restart-delay", "10ms"] if keeper else []),
            *("--state-dir", os.path.join(folder, "state")),
            # On a busy machine nobody is too slow.
            *("--log", "log=log/**", "--stall-timeout", "5m"),
        ]
        self._process = None
        self.start()

    def start(self):
        self._process = subprocess.Popen(self._command, stderr=self._log)
        self._await_other(None)

    @property
    def pid(self):
        try:
            with open(self.bus + "/broker.lock", encoding="ascii") as lock:
                return int(lock.read().split()[0])
        except (OSError, ValueError, IndexError):
            return 0

    def _await_other(self, before):
        def serves():
            if self.pid in (0, before):
                return False
            try:
                fifobus.Client(connect_timeout=0.2).close()
                return True
            except fifobus.FifobusError:
                return False

        await_condition(serves, "the broker")

    def stop_reading(self):
        pid = self.pid
        os.kill(pid, signal.SIGSTOP)
        await_condition(lambda: _state_of(pid) == "T", "the broker to stop")

    def kill(self):
        """And see to the next one."""
        before = self.pid
        os.kill(before, signal.SIGKILL)
        if self.keeper:
            self._await_other(before)
        else:
            self._process.wait(HANG_SECONDS)

    def end(self):
        if self._process.poll() is None:
            self._process.terminate()
            self._process.wait(HANG_SECONDS)
        self._log.close()


def _state_of(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
        return stat.read().rsplit(")", 1)[1].split()[0]


class Program:
    """kill_publisher; its lines are gathered."""

    def __init__(self, folder, *arguments):
        self._path = os.path.join(folder, arguments[0] + ".out")
        with open(self._path, "wb") as output:
            self.process = subprocess.Popen(
                [binary("tests/interop/kill_publisher"), *arguments],
                stdin=subprocess.PIPE,
                stdout=output,
            )

    def end(self):
        """Its lines; the last one says what it has sent and lost."""
        self.process.stdin.close()
        code = self.process.wait(HANG_SECONDS)
        assert code == 0, f"{self._path}: {code}"
        with open(self._path, encoding="ascii") as lines:
            return lines.read().splitlines()

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.process.stdin.close()


class Tap:
    """Lines into live/tap, and a `cat` that reads them out of a `.json`."""

    def __init__(self, folder, bus):
        self.out = f"{bus}/topics/live/tap.out"
        self.into = f"{bus}/topics/live/tap.in"
        self.path = os.path.join(folder, "cat.out")
        self.sent = 0
        self.kept = set()  # that a broker which read no more had not read
        self.starts = 0
        os.makedirs(self.out, exist_ok=True)
        os.mkfifo(self.out + "/cat.json")
        self.cat = None

    def look(self):
        """Begins `cat`, unless it runs."""
        if self.cat is not None and self.cat.poll() is None:
            return
        self.starts += 1
        with open(self.path, "ab") as output:
            self.cat = subprocess.Popen(["cat", self.out + "/cat.json"], stdout=output)

    def write(self, count):
        """What a full FIFO does not take is not sent."""
        try:
            fd = os.open(self.into, os.O_WRONLY | os.O_NONBLOCK)
        except OSError:
            return  # no broker and no keeper
        try:
            for _ in range(count):
                os.write(fd, b"%d\n" % (self.sent + 1))
                self.sent += 1
        except BlockingIOError:
            pass
        finally:
            os.close(fd)

    def lines(self):
        """A broker that dies leaves half a line where its `cat` ends as well."""
        with open(self.path, encoding="utf-8") as lines:
            for line in lines.read().splitlines():
                try:
                    yield json.loads(line)
                except json.JSONDecodeError:
                    pass

    def end(self):
        if self.cat is not None and self.cat.poll() is None:
            self.cat.kill()
        if self.cat is not None:
            self.cat.wait()


class KillTable:
    """One bus under load."""

    def __init__(self, test, keeper, seed):
        self.test = test
        self.keeper = keeper
        self.dice = random.Random(seed)
        self.folder = tempfile.mkdtemp()
        test.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        shm = tempfile.mkdtemp(dir="/dev/shm", prefix="fifobus-kill-")
        test.addCleanup(shutil.rmtree, shm, ignore_errors=True)
        bus = shm + "/bus"
        os.environ["FIFOBUS_DIR"] = bus
        self.broker = Broker(self.folder, bus, keeper)
        test.addCleanup(self.broker.end)
        self.tap = Tap(self.folder, bus)
        test.addCleanup(self.tap.end)
        self.readers = []
        test.addCleanup(lambda: [reader.end() for reader in self.readers])
        # Subscribed first: what is published has a reader from the beginning.
        self.plain = self.reader(Reader("plain", pattern="live/**"))
        self.group = self.reader(Reader("group", pattern="live/**", group="g"))
        self.durable = self.reader(DurableReader())
        self.publisher = self.client(mode=fifobus.Mode.NON_BLOCKING)
        self.storing = self.client(publisher="py", resend_bytes_max=8 << 20)
        self.asker = self.client()
        self.sent = 0
        self.pending = []
        self.stored = 0
        self.kills = 0
        self.resent = 0  # by all, as brokers say
        self.await_readers()
        self.programs = [
            Program(self.folder, "live", "live/cpp"),
            Program(self.folder, "stored", "log/cpp", "cpp"),
        ]
        for program in self.programs:
            test.addCleanup(program.kill)

    def reader(self, reader):
        self.readers.append(reader)
        return reader

    def client(self, **options):
        client = fifobus.Client(connect_timeout=HANG_SECONDS, **options)
        self.test.addCleanup(client.close)
        return client

    def ping(self, client):
        while True:
            try:
                client.ping(HANG_SECONDS)
                return
            except fifobus.Disconnected:
                pass

    def await_readers(self):
        """Both have subscribed: the broker counts them on each topic."""
        self.tap.look()

        def all_there():
            try:
                for topic in LIVE:
                    # And live/tap's `cat`.
                    wanted = 3 if topic == "live/tap" else 2
                    self.asker.wait_for_subscribers(topic, wanted, HANG_SECONDS)
                return True
            except fifobus.Disconnected:
                return False

        await_condition(all_there, "subscribers")

    def publish(self, count):
        try:
            for _ in range(count):
                self.publisher.publish("live/py", b"%d" % (self.sent + 1))
                self.sent += 1
        except BlockingIOError:
            pass

    def store(self, count):
        for _ in range(count):
            try:
                self.pending.append(
                    self.storing.publish_pending(
                        "log/py", b"%d" % (self.stored + 1), timeout=0
                    )
                )
                self.stored += 1
            except fifobus.TimedOut:
                return

    def load(self, seconds):
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.publish(BURST)
            self.tap.write(BURST)
            self.store(10)

    def await_all(self, what):
        def got_all():
            for reader in self.readers:
                if reader.failure:
                    raise reader.failure
            streams = [reader.streams for reader in (self.plain, self.group)]
            return all(
                s["live/py"].last == self.sent and s["live/tap"].last == self.tap.sent
                for s in streams
            )

        await_condition(got_all, what)

    def jumps(self):
        """Of what waits until its readers are there again."""
        readers = (self.plain, self.group)
        return sum(reader.streams["live/py"].jumps for reader in readers)

    def kill(self, stopped):
        self.load(self.dice.uniform(0.01, 0.05))
        jumps = 0
        if stopped:
            # All is passed on, and then nothing more is read.
            self.ping(self.publisher)
            self.tap.write(1)
            self.await_all("all before the kill")
            self.durable.broker_ended = time.monotonic()
            self.broker.stop_reading()
            jumps = self.jumps()
            self.publish(10 * BURST)
            unread = self.tap.sent
            self.tap.write(BURST)
            if self.keeper:
                self.tap.kept.update(range(unread + 1, self.tap.sent + 1))
            self.store(20)
        else:
            timer = threading.Timer(self.dice.uniform(0, 0.02), lambda: None)
            timer.start()
            self.publish(10 * BURST)
            timer.join()
        if not stopped:
            self.durable.broker_ended = time.monotonic()
        # Before its readers are there, nobody publishes.
        self.programs[0].process.send_signal(signal.SIGSTOP)
        self.broker.kill()
        if not self.keeper:
            self.test.assertEqual(self.tap.cat.wait(HANG_SECONDS), 0)
            self.broker.start()
        self.await_readers()
        self.programs[0].process.send_signal(signal.SIGCONT)
        self.ping(self.publisher)
        self.count()
        self.publish(1)
        self.tap_again()
        self.await_all("all after the kill")
        if stopped:
            self.test.assertEqual(self.jumps(), jumps, "what nobody had read is lost")
        for confirmation in self.pending:
            self.test.assertIs(
                confirmation.result(HANG_SECONDS).level, fifobus.Level.STORED
            )
        self.pending.clear()

    def count(self):
        """What the broker knows of its predecessors."""
        self.kills += 1
        counters = {c.name: c.value for c in self.asker.stats().counters}
        self.resent += counters["messages_resent"]
        restarts = self.kills if self.keeper else 0
        self.test.assertEqual(counters["broker_restarts"], restarts)

    def tap_again(self):
        """Until a line is taken: without a keeper the FIFO is new, or not yet there."""
        before = self.tap.sent

        def taken():
            self.tap.write(1)
            return self.tap.sent > before

        await_condition(taken, "the tap")

    def finish(self):
        """All that is published has come."""
        live, stored = [program.end() for program in self.programs]
        sent, losses = int(live[-1].split()[1]), int(live[-1].split()[3])
        self.test.assertGreaterEqual(self.resent, self.publisher.resent_messages)
        for reader in (self.plain, self.group):
            stream = reader.streams["live/cpp"]
            await_condition(lambda: stream.last == sent, f"{sent} of live/cpp")
        confirmed = list(map(int, stored[:-1]))
        await_condition(
            lambda: self.durable.last == self.stored + confirmed[-1], "all of the log"
        )
        self.check_streams(losses)
        self.check_log(confirmed)
        self.check_cat()
        self.books(sent, losses, len(confirmed))

    def check_streams(self, cpp_losses):
        faults = list(self.durable.faults)
        # 100 ms, and what a busy machine adds.
        self.test.assertLess(self.durable.oldest_repeat, 10)
        for reader in (self.plain, self.group):
            for stream in reader.streams.values():
                faults += stream.faults
            py, cpp = reader.streams["live/py"], reader.streams["live/cpp"]
            # Its publisher knows of each loss, too.
            self.test.assertLessEqual(py.jumps, self.publisher.publish_losses)
            self.test.assertLessEqual(cpp.jumps, cpp_losses)
        self.test.assertEqual(faults, [])

    def check_log(self, confirmed):
        """What was confirmed is there once, in order; also what the readers got."""
        self.storing.flush(HANG_SECONDS, level=fifobus.Level.STORED)
        with fifobus.Client() as client:
            client.subscribe("log/**", start=fifobus.Start.first(), until_now=True)
            stored = {"log/py": [], "log/cpp": []}
            for message in client:
                stored[message.topic].append(int(message.payload))
        self.test.assertEqual(stored["log/py"], list(range(1, self.stored + 1)))
        self.test.assertEqual(stored["log/cpp"], confirmed)
        self.test.assertEqual(confirmed, list(range(1, len(confirmed) + 1)))

    def check_cat(self):
        stream = Stream("cat")
        numbers = set()
        for line in self.tap.lines():
            if "gap" in line:
                stream.on_gap()
            else:
                stream.on_number(int(line["payload"]))
                numbers.add(stream.last)
        kills = self.tap.starts - 1
        if self.keeper:  # the same `cat` all the time, and each loss is told
            self.test.assertEqual(stream.faults, [])
            self.test.assertEqual(self.tap.starts, 1)
            self.test.assertEqual(stream.last, self.tap.sent)
            self.test.assertEqual(self.tap.kept - numbers, set())
        else:  # its end has told it
            self.test.assertLessEqual(stream.jumps, kills)

    def books(self, cpp_sent, cpp_losses, cpp_stored):
        print(f"kills {KILLS}, {'with' if self.keeper else 'without'} a keeper")
        print(f"  published: py {self.sent}, cpp {cpp_sent}, tap {self.tap.sent}")
        print(f"  stored: py {self.stored}, cpp {cpp_stored}, none lost or doubled")
        print(
            f"  resent: py {self.publisher.resent_messages}, all {self.resent}; sessions with unknown "
            f"losses: py {self.publisher.publish_losses}, cpp {cpp_losses}"
        )
        for reader in (self.plain, self.group):
            for stream in reader.streams.values():
                print(
                    f"  {stream.name}: {stream.last} read, {stream.missing} missing "
                    f"at {stream.jumps} of {stream.gaps} announced gaps"
                )
        print(
            f"  durable: {self.durable.last} read, {self.durable.repeated} again, the "
            f"oldest {self.durable.oldest_repeat * 1000:.0f} ms before a kill"
        )
        print(f"  cat: began {self.tap.starts} times")


class KillTableTest(unittest.TestCase):
    def play(self, keeper):
        seed = random.SystemRandom().getrandbits(32)
        print(f"seed {seed}", flush=True)
        table = KillTable(self, keeper, seed)
        for number in range(KILLS):
            table.kill(stopped=number % 2 == 1)
        table.finish()

    def test_kills(self):
        self.play(keeper=False)

    def test_kills_under_a_keeper(self):
        self.play(keeper=True)


if __name__ == "__main__":
    unittest.main()
