"""Kills the broker under load, with and without a keeper, and holds what follows
against the table of promises in README.md, cell by cell.

    FIFOBUS_KILLS=1000 bazel test //tests/interop:kill_table_test \
        --test_env=FIFOBUS_KILLS --test_output=all --test_timeout=3600

Every second kill, of a stopped broker, finds all read that was passed on; then not one
message may be missing."""

import os
import random
import shutil
import signal
import tempfile
import threading
import time
import unittest

import fifobus
from tests.interop.kill_load import (
    LIVE,
    Broker,
    DurableReader,
    Program,
    Reader,
    Stream,
    Tap,
)
from tests.support.fifobus_support import HANG_SECONDS, await_condition

KILLS = int(os.environ.get("FIFOBUS_KILLS", "6"))  # of each of the two tests
BURST = 300


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
