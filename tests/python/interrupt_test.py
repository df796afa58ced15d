"""Whatever interrupts a client at any instruction: no frame is torn, none comes twice,
and the client goes on."""

import os
import signal
import time
import unittest

import fifobus
from fifobus.protocol import control
from tests.support.fake_broker import FakeBroker, message
from tests.support.fifobus_support import HANG_SECONDS, Bus, await_condition
from tests.support.interruption import Interruption, at_instructions

# More than a pipe holds, so that it is written in pieces.
LARGE_BYTES = 300_000


def is_whole(payload):
    """Each payload of this test is one byte, repeated."""
    return payload.count(payload[:1]) == len(payload)


class PublishTest(unittest.TestCase):
    def setUp(self):
        self.bus = self.enterContext(Bus())
        self.publisher = self.enterContext(fifobus.Client())
        self.subscriber = self.enterContext(fifobus.Client(on_gap=self.fail))
        self.subscriber.subscribe("a")

    def check(self, publish, sizes, step=1):
        """`publish()` may have been interrupted; what is published after that
        arrives, and before it nothing but its whole messages, at most once."""

        def check(place):
            mark = b"mark %d" % place
            self.publisher.publish("a", mark)
            got = []
            while not got or got[-1] != mark:
                got.append(self.subscriber.receive(HANG_SECONDS).payload)
            for payload in got[:-1]:
                self.assertTrue(is_whole(payload), f"at instruction {place}")
            taken = [len(payload) for payload in got[:-1]]
            self.assertEqual(taken, sizes[: len(taken)], f"at instruction {place}")

        places = at_instructions(lambda: publish, check, step)
        self.assertGreater(places, 50)
        self.assertEqual(self.publisher.publish_losses, 0)

    def test_small(self):
        self.check(lambda: self.publisher.publish("a", b"x" * 64), [64])

    def test_with_metadata(self):
        self.check(
            lambda: self.publisher.publish("a", b"x" * 64, headers={"k": "v"}), [64]
        )

    def test_larger_than_the_pipe(self):
        self.check(
            lambda: self.publisher.publish("a", b"x" * LARGE_BYTES), [LARGE_BYTES]
        )

    def test_confirmed(self):
        self.check(lambda: self.publisher.publish("a", b"x", confirm=True), [1], 3)

    def test_in_a_batch(self):
        def publish():
            with self.publisher.batch():
                for size in (10, 20, 30):
                    self.publisher.publish("a", b"x" * size)

        self.check(publish, [10, 20, 30])

    def test_request(self):
        """The question is taken once or not at all, and the next one is answered."""

        def request():
            with self.assertRaises(fifobus.NoResponders):
                self.publisher.request("nobody", b"x", timeout=HANG_SECONDS)

        at_instructions(
            lambda: request, lambda place: self.publisher.ping(HANG_SECONDS), step=7
        )


class ReceiveTest(unittest.TestCase):
    def setUp(self):
        self.bus = self.enterContext(Bus())
        self.publisher = self.enterContext(fifobus.Client())
        self.client = self.enterContext(fifobus.Client(on_gap=self.fail))
        self.client.subscribe("a")

    def check(self, call):
        """At most the message that the interrupted call had taken is missing."""
        sizes = [10, LARGE_BYTES, 20, 5000]

        def make_call():
            for size in sizes:
                self.publisher.publish("a", b"x" * size, headers={"size": str(size)})
            self.publisher.ping()
            return call

        def check(place):
            self.publisher.publish("a", b"x")
            left = []
            while not left or left[-1] != 1:
                got = self.client.receive(HANG_SECONDS)
                self.assertTrue(is_whole(got.payload), f"at instruction {place}")
                left.append(len(got.payload))
            self.assertIn(left[:-1], (sizes, sizes[1:]), f"at instruction {place}")

        self.assertGreater(at_instructions(make_call, check, step=11), 50)

    def test_receive(self):
        self.check(lambda: self.client.receive(HANG_SECONDS))

    def test_ping_that_reads_ahead(self):
        self.check(lambda: self.client.ping(HANG_SECONDS))

    def test_subscribe_and_unsubscribe(self):
        def call():
            self.client.subscribe("b")
            self.client.unsubscribe("b")

        def check(place):
            self.client.subscribe("b")
            self.publisher.publish("b", str(place))
            got = self.client.receive(HANG_SECONDS)
            self.assertEqual(got.payload, str(place).encode())
            self.client.unsubscribe("b")

        at_instructions(lambda: call, check, step=5)


class SessionTest(unittest.TestCase):
    """The beginning and the end of a session are interrupted."""

    def setUp(self):
        self.broker = self.enterContext(FakeBroker())
        self.client = None
        self.gaps = []

    def tearDown(self):
        if self.client is not None:
            self.client.close()

    def connected(self):
        self.client = fifobus.Client(on_gap=self.gaps.append, name="client")
        self.client.subscribe("a")
        return self.broker.sessions[-1]

    def test_end_and_beginning_anew(self):
        self.connected()
        self.client.ping(HANG_SECONDS)
        with self.broker.lock:
            descriptors = len(os.listdir("/proc/self/fd"))

        def receive_to_the_end():
            while not self.gaps:
                self.receive_one()

        def make_call():
            session = self.broker.sessions[-1]
            with self.broker.lock:
                session.write(*(message("a", b"%d" % n) for n in range(3)))
                session.end()
            self.ended = session
            self.got = []
            self.gaps.clear()
            return receive_to_the_end

        def check(place):
            # The next session works. One message, or the gap, may be gone with the
            # interrupted call, and the end may be told twice.
            while self.broker.sessions[-1] is self.ended:
                self.receive_one()
            self.client.ping(HANG_SECONDS)
            self.receive_one()
            where = f"at instruction {place}: {self.got} {self.gaps}"
            self.assertEqual(self.got, sorted(set(self.got)), where)
            self.assertGreaterEqual(len(self.got) + len(self.gaps), 3, where)
            self.assertLessEqual(len(self.gaps), 2, where)
            await_condition(
                lambda: sum(s.up >= 0 for s in self.broker.sessions) == 1, "the end"
            )
            with self.broker.lock:
                open_now = len(os.listdir("/proc/self/fd"))
            self.assertLessEqual(open_now, descriptors, where)

        at_instructions(make_call, check, step=97)

    def receive_one(self):
        try:
            self.got.append(self.client.receive(0.05).payload)
        except TimeoutError:
            pass

    def test_close(self):
        """It can be called again, and then nothing is left."""
        self.connected().end()
        self.client.close()
        descriptors = None

        def make_call():
            self.connected()
            return self.client.close

        def check(place):
            nonlocal descriptors
            self.client.close()
            self.assertTrue(self.client.closed)
            session = self.broker.sessions[-1]
            await_condition(lambda: session.up < 0, f"the end, instruction {place}")
            with self.broker.lock:
                open_now = len(os.listdir("/proc/self/fd"))
            descriptors = descriptors or open_now
            self.assertLessEqual(open_now, descriptors, f"at instruction {place}")

        at_instructions(make_call, check, step=7)


class SignalTest(unittest.TestCase):
    """The same by signals, in a stream."""

    def setUp(self):
        self.bus = self.enterContext(Bus())

    def test_a_stream_stays_whole(self):
        publisher = self.enterContext(fifobus.Client())
        client = self.enterContext(fifobus.Client(on_gap=self.fail))
        client.subscribe("a")
        armed = False

        def interrupt(*_):
            if armed:
                raise Interruption

        before = signal.signal(signal.SIGALRM, interrupt)
        self.addCleanup(signal.signal, signal.SIGALRM, before)
        self.addCleanup(signal.setitimer, signal.ITIMER_REAL, 0)
        signal.setitimer(signal.ITIMER_REAL, 0.003, 0.0011)
        interruptions = taken = 0
        end = time.monotonic() + 2
        while time.monotonic() < end:
            got = []
            try:
                armed = True
                publisher.publish("a", bytes([65 + taken % 26]) * LARGE_BYTES)
                while not got:
                    got.append(client.receive(HANG_SECONDS).payload)
                armed = False
            except Interruption:
                armed = False
                interruptions += 1
                publisher.ping(HANG_SECONDS)  # finishes what was begun
                client.ping(HANG_SECONDS)
            while True:
                try:
                    got.append(client.receive_nowait().payload)
                except BlockingIOError:
                    break
            for payload in got:
                self.assertEqual(len(payload), LARGE_BYTES)
                self.assertTrue(is_whole(payload))
            taken += len(got)
        signal.setitimer(signal.ITIMER_REAL, 0)
        self.assertGreater(interruptions, 10)
        counters = {c.name: c.value for c in client.stats().counters}
        self.assertEqual((counters["frames_refused"], counters["frames_torn"]), (0, 0))


if __name__ == "__main__":
    unittest.main()
