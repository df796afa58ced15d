"""Upgrades a broker while its sessions stand in the middle of something.

Each test brings a session half way, upgrades, and goes on as if nothing had been. Before
each upgrade comes one to a program that is no fifobus, which must change nothing."""

import fcntl
import os
import subprocess
import unittest

from proto import frame_pb2 as pb
from tests.support.fifobus_support import HANG_SECONDS, Bus, await_condition, binary
from tests.support.raw_session import RawSession, framed, hello, message

# For longer runs.
UPGRADES = int(os.environ.get("FIFOBUS_UPGRADES", "2"))
BIG = 16 * 1000 * 1000  # with its topic below the largest frame


class UpgradeStatesTest(unittest.TestCase):
    def setUp(self):
        self.bus = self.enterContext(Bus())

    def run_upgrade(self, *program):
        return subprocess.run(
            [binary("fifobus"), "upgrade", *program],
            capture_output=True,
            text=True,
            timeout=HANG_SECONDS,
            check=False,
        )

    def upgrade(self):
        refused = self.run_upgrade("/bin/false")
        self.assertEqual(refused.returncode, 1, refused)
        self.assertIn("goes on as it was", refused.stderr)
        for _ in range(UPGRADES):
            done = self.run_upgrade()
            self.assertEqual(done.returncode, 0, done.stderr)

    def open(self, **fields):
        session = RawSession.open(self.bus, **fields)
        self.addCleanup(session.close)
        return session

    def await_queue(self, watcher, number, condition):
        """Of the session of this number."""

        def looks():
            for session in watcher.stats().sessions:
                if session.number == number:
                    return condition(session.queue)
            return False

        await_condition(looks, "a queue that is as it should be")

    def open_numbered(self, **fields):
        session = RawSession(self.bus, hello(**fields))
        self.addCleanup(session.close)
        return session, session.receive().welcome.session_number

    def read_messages(self, subscriber, count):
        """The payloads of what comes; a number counts lost ones."""
        seen = []
        total = 0
        while total < count:
            frame = subscriber.receive()
            self.assertIsNotNone(frame, "the session was ended")
            if frame.HasField("gap"):
                seen.append(frame.gap.messages)
                total += frame.gap.messages
            else:
                seen.append(frame.message.payload)
                total += 1
        return seen

    # Before the first frame.

    def test_a_session_that_has_said_nothing(self):
        session = RawSession(self.bus)
        self.upgrade()
        session.send(hello())
        self.assertTrue(session.receive().HasField("welcome"))
        session.close()

    def test_half_a_hello(self):
        whole = hello(publisher="half")
        session = RawSession(self.bus, whole[:7])
        self.upgrade()
        session.send(whole[7:])
        self.assertTrue(session.receive().HasField("welcome"))
        session.close()

    def test_a_pair_that_is_offered_afterwards(self):
        session = RawSession(self.bus, hello(), rename=False)
        self.upgrade()
        session.offer()
        self.assertTrue(session.receive().HasField("welcome"))
        session.close()

    def test_numbers_of_sessions_go_on(self):
        _, first = self.open_numbered()
        self.upgrade()
        _, second = self.open_numbered()
        self.assertGreater(second, first)

    # Publishers.

    def test_half_a_frame_of_16_mib(self):
        subscriber = self.open(queue_bytes_max=1 << 20)
        subscriber.subscribe("big/**")
        publisher = self.open()
        payload = os.urandom(1 << 20) * (BIG >> 20)
        frame = message("big/one", payload)
        sent = 0
        for upto in (3, 100_000, len(frame) // 2, len(frame) - 1):
            publisher.send(frame[sent:upto])
            sent = upto
            self.upgrade()
        publisher.send(frame[sent:])
        self.assertEqual(subscriber.receive().message.payload, payload)

    def test_a_pipe_in_packet_mode(self):
        subscriber = self.open()
        subscriber.subscribe("a")
        publisher = self.open()
        fcntl.fcntl(publisher.up, fcntl.F_SETFL, os.O_NONBLOCK | os.O_DIRECT)
        for i in range(30):
            frame = message("a", b"%d" % i)
            publisher.send(frame[:5])
            if i % 10 == 3:
                self.upgrade()
            publisher.send(frame[5:])
        self.assertEqual(
            self.read_messages(subscriber, 30), [b"%d" % i for i in range(30)]
        )

    def test_a_goodbye_that_was_said(self):
        watcher = self.open()
        watcher.subscribe("$sys/clients/*/disconnected")
        watcher.subscribe("will")
        leaver = self.open(will=pb.Message(topic="will", payload=b"boo"))
        goodbye = pb.Frame()
        goodbye.goodbye.reason = "done"
        leaver.send(framed(goodbye))
        leaver.ping()
        self.upgrade()
        leaver.close_up()
        event = watcher.receive().message
        self.assertIn(b'"reason":"goodbye"', event.payload)

    def test_a_will_outlives_the_upgrade_and_not_its_client(self):
        watcher = self.open()
        watcher.subscribe("will")
        dying = self.open(will=pb.Message(topic="will", payload=b"boo"))
        self.upgrade()
        dying.close_up()
        self.assertEqual(watcher.receive().message.payload, b"boo")

    def test_a_publishers_name_is_taken_by_another(self):
        first = self.open(publisher="till-1")
        self.upgrade()
        self.open(publisher="till-1")
        self.assertEqual(first.receive().error.code, pb.Error.CODE_FENCED)

    # Subscribers.

    def fill(self, subscriber, number, publisher, watcher, condition):
        """Publishes numbered messages until the subscriber's queue is as wanted.
        Returns how many were published. What does not fit is sent behind them."""
        count = 0

        def published():
            nonlocal count
            queues = [
                session.queue
                for session in watcher.stats().sessions
                if session.number == number
            ]
            # A slow machine may look when the session has been ended.
            if not queues or condition(queues[0]):
                return True
            publisher.send(
                b"".join(
                    message("a", b"%08d" % (count + i) + bytes(1000)) for i in range(50)
                )
            )
            count += 50
            return False

        await_condition(published, "a full queue")
        return count

    def check_stream(self, seen, count):
        """Numbers in order, and gaps where some are missing."""
        expected = 0
        for each in seen:
            if isinstance(each, int):
                expected += each
            else:
                self.assertEqual(int(each[:8]), expected)
                expected += 1
        self.assertEqual(expected, count)

    def test_a_stalled_queue_with_gaps(self):
        watcher = self.open()
        subscriber, number = self.open_numbered(queue_bytes_max=100_000)
        subscriber.subscribe("a")
        publisher = self.open()
        count = self.fill(
            subscriber, number, publisher, watcher, lambda queue: queue.dropped > 100
        )
        subscriber.read_some(1500)  # into the middle of a frame
        self.upgrade()
        publisher.send(message("a", b"%08d" % count))
        publisher.ping()
        self.upgrade()
        seen = self.read_messages(subscriber, count + 1)
        self.assertTrue(any(isinstance(each, int) for each in seen))
        self.check_stream(seen, count + 1)
        publisher.send(message("a", b"%08d" % (count + 1)))
        self.assertEqual(
            subscriber.receive().message.payload[:8], b"%08d" % (count + 1)
        )

    def test_the_newest_of_each_topic(self):
        watcher = self.open()
        subscriber, number = self.open_numbered(
            queue_bytes_max=50_000, overflow=pb.OVERFLOW_LATEST
        )
        subscriber.subscribe("a")
        publisher = self.open()
        count = self.fill(
            subscriber,
            number,
            publisher,
            watcher,
            lambda queue: queue.dropped_conflated > 100,
        )
        self.upgrade()
        self.check_stream(self.read_messages(subscriber, count), count)

    def test_a_subscriber_that_blocks_holds_its_publishers(self):
        watcher = self.open()
        subscriber, number = self.open_numbered(
            queue_bytes_max=50_000, overflow=pb.OVERFLOW_BLOCK
        )
        subscriber.subscribe("a")
        publishers = [self.open() for _ in range(3)]
        frame = message("a", bytes(1000))
        # Until each is held: nothing more goes into its pipe.
        sent = [0] * len(publishers)

        def all_wait():
            for i, publisher in enumerate(publishers):
                sent[i] += publisher.send_what_fits(frame * 100) if not sent[i] else 0
            queues = [
                session.queue
                for session in watcher.stats().sessions
                if session.number == number
            ]
            if queues[0].holds_up == len(publishers):
                return True
            for i, publisher in enumerate(publishers):
                rest = -sent[i] % len(frame)
                sent[i] += publisher.send_what_fits(
                    frame[len(frame) - rest :] if rest else b""
                )
                if sent[i] % len(frame) == 0:
                    sent[i] += publisher.send_what_fits(frame * 100)
            return False

        await_condition(all_wait, "publishers that wait")
        self.upgrade()
        self.await_queue(watcher, number, lambda queue: queue.holds_up == 3)
        self.await_queue(watcher, number, lambda queue: queue.dropped == 0)
        for i, publisher in enumerate(publishers):
            rest = -sent[i] % len(frame)
            if rest:
                # In between the subscriber is read, so that there is room.
                while rest:
                    taken = publisher.send_what_fits(frame[len(frame) - rest :])
                    sent[i] += taken
                    rest -= taken
                    if rest:
                        subscriber.read_some(1 << 16)
        total = sum(sent) // len(frame)
        self.assertEqual(len(self.read_messages(subscriber, total)), total)
        for publisher in publishers:
            publisher.ping()

    def test_a_subscriber_that_is_told_of_its_end(self):
        watcher = self.open()
        subscriber, number = self.open_numbered(
            queue_bytes_max=50_000, overflow=pb.OVERFLOW_DISCONNECT
        )
        subscriber.subscribe("a")
        publisher = self.open()
        count = self.fill(
            subscriber,
            number,
            publisher,
            watcher,
            lambda queue: queue.dropped_disconnected > 0,
        )
        self.upgrade()
        seen = []
        while (frame := subscriber.receive()) is not None:
            seen.append(frame)
        messages = [frame for frame in seen if frame.HasField("message")]
        for i, frame in enumerate(messages):
            self.assertEqual(int(frame.message.payload[:8]), i)
        # It is ended a timeout later, whether it has read the reason or not.
        lost = sum(frame.gap.messages for frame in seen if frame.HasField("gap"))
        if seen[-1].HasField("error"):
            self.assertEqual(seen[-1].error.code, pb.Error.CODE_OVERFLOW)
            self.assertEqual(len(messages) + lost, count)

    def test_a_session_that_ends_while_its_publishing_waits(self):
        watcher = self.open()
        watcher.subscribe("will")
        subscriber, number = self.open_numbered(
            queue_bytes_max=50_000, overflow=pb.OVERFLOW_BLOCK
        )
        subscriber.subscribe("a")
        publisher = self.open(will=pb.Message(topic="will", payload=b"boo"))
        frame = message("a", bytes(1000))
        sent = publisher.send_what_fits(frame * 3000)
        # Its last frame may be torn: that was never published.
        publisher.close_up()
        self.upgrade()
        whole = sent // len(frame)
        self.assertEqual(len(self.read_messages(subscriber, whole)), whole)
        self.assertEqual(watcher.receive().message.payload, b"boo")

    def test_retained_values_are_there_and_not_told_again(self):
        old = self.open()
        old.subscribe("kept/*")
        publisher = self.open()
        publisher.send(message("kept/a", b"1", retain=True))
        self.assertEqual(old.receive().message.payload, b"1")
        self.upgrade()
        publisher.send(message("kept/b", b"2", retain=True))
        self.assertEqual(old.receive().message.payload, b"2")
        new = self.open()
        frame = pb.Frame()
        frame.subscribe.request_id = 1
        frame.subscribe.pattern = "kept/*"
        new.send(framed(frame))
        seen = [new.receive() for _ in range(5)]
        self.assertTrue(seen[0].delivery.retained)
        self.assertEqual(seen[1].message.payload, b"1")
        self.assertTrue(seen[2].delivery.retained)
        self.assertEqual(seen[3].message.payload, b"2")
        self.assertTrue(seen[4].HasField("subscribed"))

    def test_what_is_counted_goes_on(self):
        publisher, number = self.open_numbered()
        publisher.send(message("a", b"1") * 7)
        publisher.ping()
        before = publisher.stats()
        self.upgrade()
        after = publisher.stats()
        self.assertEqual(
            [topic for topic in before.topics if topic.name == "a"],
            [topic for topic in after.topics if topic.name == "a"],
        )
        (old,) = [one for one in before.sessions if one.number == number]
        (new,) = [one for one in after.sessions if one.number == number]
        self.assertEqual(old.published, new.published)
        self.assertEqual(old.connected_unix_nanos, new.connected_unix_nanos)


if __name__ == "__main__":
    unittest.main()
