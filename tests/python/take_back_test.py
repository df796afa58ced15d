"""What a publisher takes back from a broker that has died, and publishes again."""

import asyncio
import contextlib
import inspect
import os
import signal
import time
import unittest
from unittest import mock

import fifobus
from fifobus.protocol.control import Hello
from fifobus.protocol.message import Message
from tests.support.fake_broker import FakeBroker, FakeSession
from tests.support.fake_broker import message as frame
from tests.support.fifobus_support import HANG_SECONDS, Bus, LogBus, await_condition


class Waited:
    """An AsyncClient whose calls are waited for, as those of a Client are."""

    def __init__(self, **options):
        self.loop = asyncio.new_event_loop()
        self.client = fifobus.AsyncClient(**options)
        self.loop.run_until_complete(self.client.connect())

    def __getattr__(self, name):
        member = getattr(self.client, name)
        if not callable(member):
            return member

        def call(*arguments, **named):
            result = member(*arguments, **named)
            return self.wait(result) if inspect.isawaitable(result) else result

        return call

    def wait(self, awaitable):
        async def result():
            return await awaitable

        return self.loop.run_until_complete(result())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.wait(self.client.close())
        self.loop.close()


class TakeBackCases:
    """On a fake broker, which reads exactly so much and dies."""

    def setUp(self):
        self.broker = self.enterContext(FakeBroker())
        self.client = self.enterContext(self.make())
        self.client.ping(HANG_SECONDS)
        self.broker.lock.acquire()
        self.locked = True
        self.addCleanup(self.let_go)

    def let_go(self):
        """The broker works on."""
        if self.locked:
            self.locked = False
            self.broker.lock.release()

    @property
    def session(self) -> FakeSession:
        return self.broker.sessions[-1]

    def publish(self, *payloads, **metadata):
        for payload in payloads:
            self.client.publish("a", payload, timeout=0, **metadata)

    def fill(self):
        """Until nothing more is taken; how many messages were."""
        count = 0
        while True:
            try:
                self.publish(b"%d" % count)
            except TimeoutError:
                return count
            count += 1

    def die(self, read=0):
        """The broker reads so many bytes more, and is gone."""
        if read:
            self.assertEqual(len(os.read(self.session.up, read)), read)
        self.session.end()

    def again(self):
        """The messages of the next session."""
        before = len(self.broker.sessions)
        self.let_go()
        while True:
            try:
                self.client.ping(HANG_SECONDS)
            except fifobus.Disconnected:
                continue
            if len(self.broker.sessions) > before:
                break
        with self.broker.lock:
            found = [f for f in self.session.frames if isinstance(f, Message)]
            hello = self.session.frames[0]
        self.assertIsInstance(hello, Hello)
        self.assertEqual(hello.resent_messages, len(found))
        return found

    def payloads_again(self):
        return [bytes(message.payload) for message in self.again()]

    def frame_bytes(self, payload):
        return len(self.client._dialogue.heads.head_of("a", len(payload))) + len(
            payload
        )

    def test_a_full_pipe_of_small_messages_comes_again(self):
        count = self.fill()
        self.assertGreater(count, 1000)
        self.die()
        self.assertEqual(self.payloads_again(), [b"%d" % n for n in range(count)])
        self.assertEqual(self.client.resent_messages, count)
        self.assertEqual(self.client.publish_losses, 0)

    def test_what_was_read_whole_does_not_come_again(self):
        self.publish(b"one", b"two", b"three")
        self.die(read=self.frame_bytes(b"one"))
        self.assertEqual(self.payloads_again(), [b"two", b"three"])
        self.assertEqual(self.client.publish_losses, 1)

    def test_a_frame_of_which_a_part_was_read_comes_again_whole(self):
        self.publish(b"one", b"two")
        self.die(read=self.frame_bytes(b"one") - 1)
        self.assertEqual(self.payloads_again(), [b"one", b"two"])
        self.assertEqual(self.client.publish_losses, 0)

    def test_a_large_frame_that_was_cut_comes_again_whole(self):
        large = os.urandom(3 << 20)
        self.publish(b"before", large)
        self.die(read=40000)
        self.assertEqual(self.payloads_again(), [large])

    def test_what_is_published_next_comes_behind_it(self):
        self.publish(b"one", b"two")
        self.die()
        self.let_go()
        self.client.publish("a", b"three", timeout=HANG_SECONDS)
        self.client.ping(HANG_SECONDS)
        with self.broker.lock:
            found = [f for f in self.session.frames if isinstance(f, Message)]
        self.assertEqual([m.payload for m in found], [b"one", b"two", b"three"])

    def test_a_batch_comes_again_also_what_was_not_written(self):
        few = [b"%d" % number for number in range(100)]
        with self.batch():
            self.publish(*few)
            self.die()
            self.assertEqual(self.payloads_again(), few)

    def test_a_batch_of_which_a_part_was_read_comes_again(self):
        with self.batch():
            count = self.fill()
            self.die(read=self.frame_bytes(b"0") + 2)
            self.assertEqual(
                self.payloads_again(), [b"%d" % n for n in range(1, count)]
            )

    def test_it_comes_once_after_several_deaths(self):
        count = self.fill()
        self.die()
        read = []
        with mock.patch.object(FakeSession, "bytes_max", 10000):
            for _ in range(3):
                before = len(self.broker.sessions)
                self.let_go()
                await_condition(
                    lambda: self._next_session(before, read), "the next session"
                )
        rest = self.payloads_again()
        self.assertGreater(len(rest), 0)
        self.assertEqual(read + rest, [b"%d" % n for n in range(count)])

    def _next_session(self, before, read):
        """Has the next session read a part, and end in the midst of a frame."""
        try:
            self.client.ping(0.01)
        except fifobus.FifobusError:
            pass
        with self.broker.lock:
            if len(self.broker.sessions) == before:
                return False
            found = [f for f in self.session.frames if isinstance(f, Message)]
            if not found:
                return False
            self.session.end()
            read += [bytes(message.payload) for message in found]
            return True

    def test_expiry_and_retain_are_as_they_were(self):
        expiry = time.time_ns() + (1 << 60)
        self.publish(b"x", retain=True, expiry_unix_nanos=expiry, headers={"k": "v"})
        self.die()
        (message,) = self.again()
        self.assertTrue(message._metadata.retain)
        self.assertEqual(message.expiry_unix_nanos, expiry)
        self.assertEqual(message.headers, {"k": b"v"})

    def test_a_confirmation_comes_from_the_next_session(self):
        pending = [
            self.client.publish_pending("a", b"%d" % n, level=fifobus.Level.ACCEPTED)
            for n in range(3)
        ]
        self.die(read=1)
        self.let_go()
        for confirmation in pending:
            self.assertEqual(self.result(confirmation).sessions, 1)

    def test_a_confirmation_of_what_was_read_is_not_known(self):
        pending = self.client.publish_pending("a", b"x", level=fifobus.Level.ACCEPTED)
        self.session.read()
        self.die()
        self.let_go()
        with self.assertRaises(fifobus.Disconnected):
            self.result(pending)

    def test_nothing_else_is_written_again(self):
        self.let_go()
        self.client.subscribe("b")
        with self.broker.lock:
            self.client.publish("a", b"x", timeout=0)
            try:
                self.client.ping(0.01)  # unread
            except fifobus.TimedOut:
                pass
            before = self.session
            before.end()
        self.assertEqual([m.payload for m in self.again()], [b"x"])
        kinds = [type(frame).__name__ for frame in self.session.frames]
        self.assertEqual(kinds[:3], ["Hello", "Subscribe", "Message"])
        self.assertEqual(kinds.count("Ping"), 1)  # that of again()

    def test_closing_waits_for_the_next_session(self):
        self.publish(b"x")
        self.die()
        self.let_go()
        self.client.close()
        with self.broker.lock:
            found = [f for f in self.session.frames if isinstance(f, Message)]
        await_condition(lambda: self._has_read(b"x"), "the message")
        self.assertLessEqual(len(found), 1)

    def _has_read(self, payload):
        with self.broker.lock:
            found = [f for f in self.session.frames if isinstance(f, Message)]
        return [bytes(message.payload) for message in found] == [payload]


class TakeBackTest(TakeBackCases, unittest.TestCase):
    def make(self, **options):
        return fifobus.Client(**options)

    def result(self, pending):
        return pending.result(HANG_SECONDS)

    def batch(self):
        return self.client.batch()

    def test_a_reply_to_a_request_comes_from_the_next_session(self):
        answers = []

        def answer(session, message):
            if message.reply_topic:
                answers.append(message.payload)
                session.write(frame(message.reply_topic, b"answer"))

        self.let_go()
        self.broker._on_message = answer
        self.client.request("a", b"first", timeout=HANG_SECONDS)
        # This one is read in part only.
        self.broker.lock.acquire()
        self.locked = True
        real_wait = self.client._connection.wait

        def wait(*arguments, **named):
            if self.locked:
                self.die(read=5)
                self.let_go()
            real_wait(*arguments, **named)

        self.client._connection.wait = wait
        reply = self.client.request("a", b"second", timeout=HANG_SECONDS)
        self.assertEqual(reply.payload, b"answer")
        self.assertEqual(answers, [b"first", b"second"])


class AsyncTakeBackTest(TakeBackCases, unittest.TestCase):
    def make(self, **options):
        return Waited(**options)

    def result(self, pending):
        return self.client.wait(pending.result(HANG_SECONDS))

    @contextlib.contextmanager
    def batch(self):
        batch = self.client.client.batch()
        self.client.wait(batch.__aenter__())
        yield
        self.client.wait(batch.__aexit__(None, None, None))


class KilledBrokerTest(unittest.TestCase):
    """With the real broker, killed by SIGKILL."""

    def stopped(self, bus, *clients):
        """The broker reads no more."""
        for client in clients:
            client.ping(HANG_SECONDS)
        os.kill(bus._broker.pid, signal.SIGSTOP)
        os.waitid(os.P_PID, bus._broker.pid, os.WSTOPPED | os.WNOWAIT)

    def subscribe_anew(self, subscriber):
        while True:
            try:
                subscriber.ping(HANG_SECONDS)
                return
            except fifobus.Disconnected:
                pass

    def test_a_subscriber_gets_what_was_not_read_in_order_and_once(self):
        bus = self.enterContext(Bus())
        subscriber = self.enterContext(fifobus.Client(on_gap=lambda gap: None))
        subscriber.subscribe("a")
        publisher = self.enterContext(fifobus.Client(mode=fifobus.Mode.NON_BLOCKING))
        sent = 0
        for _ in range(3):
            self.stopped(bus, subscriber, publisher)
            first = sent
            try:
                while True:
                    publisher.publish("a", b"%d" % sent)
                    sent += 1
            except BlockingIOError:
                pass
            bus.restart()
            self.subscribe_anew(subscriber)
            self.subscribe_anew(publisher)
            for number in range(first, sent):
                got = subscriber.receive(HANG_SECONDS)
                self.assertEqual(got.payload, b"%d" % number)
        counters = {c.name: c.value for c in publisher.stats().counters}
        self.assertEqual(counters["messages_resent"], sent - first)
        self.assertEqual(publisher.resent_messages, sent)

    def test_the_child_of_a_fork_takes_nothing_back(self):
        bus = self.enterContext(Bus())
        subscriber = self.enterContext(fifobus.Client(on_gap=lambda gap: None))
        subscriber.subscribe("a")
        publisher = self.enterContext(fifobus.Client())
        self.stopped(bus, subscriber, publisher)
        for number in range(100):
            publisher.publish("a", b"%d" % number)
        child = os.fork()
        if child == 0:
            try:
                publisher.publish("a", b"child")
            except fifobus.Misuse:
                os._exit(0 if not publisher._dialogue.publishing.taken_back else 2)
            os._exit(1)
        self.assertEqual(os.waitpid(child, 0)[1], 0)
        bus.restart()
        self.subscribe_anew(subscriber)
        self.subscribe_anew(publisher)
        for number in range(100):
            got = subscriber.receive(HANG_SECONDS)
            self.assertEqual(got.payload, b"%d" % number)

    def test_a_log_has_each_message_of_a_named_publisher_once(self):
        bus = self.enterContext(LogBus())
        publisher = self.enterContext(
            fifobus.Client(publisher="till", resend_bytes_max=64 << 20)
        )
        pending = []
        for round_number in range(5):
            for number in range(400):
                pending.append(publisher.publish_pending("log/a", b"%d" % len(pending)))
            bus.restart()
        for confirmation in pending:
            confirmation.result(HANG_SECONDS)
        self.assertEqual(publisher.publish_losses, 0)
        reader = self.enterContext(fifobus.Client())
        reader.subscribe("log/**", start=fifobus.Start.first(), until_now=True)
        got = [bytes(message.payload) for message in reader]
        self.assertEqual(got, [b"%d" % number for number in range(len(pending))])


if __name__ == "__main__":
    unittest.main()
