"""How far a Python client's messages come, and what its publisher's name brings."""

import asyncio
import unittest

import fifobus
from fifobus import Failure, Level
from fifobus.protocol import control
from fifobus.protocol.control import ErrorCode
from fifobus.protocol.frames import Message
from tests.support.fake_log import FakeLogBroker
from tests.support.fifobus_support import HANG_SECONDS, await_condition


class LogTest(unittest.TestCase):
    def setUp(self):
        self.broker = self.enterContext(FakeLogBroker())

    def client(self, **options):
        return self.enterContext(fifobus.Client(**options))

    def published(self):
        """Levels and numbers of what the broker got."""
        return [
            (message._metadata.confirm_level, message.sequence)
            for message in self.broker.asked(Message)
        ]

    def stored(self):
        return [payload for _, payload, *_ in self.broker.stored]

    def end_session(self):
        with self.broker.lock:
            self.broker.sessions[-1].end()

    def hold(self):
        with self.broker.lock:
            self.broker.held = []

    def await_held(self, count):
        await_condition(lambda: len(self.broker.held) == count, f"{count} messages")

    def release(self):
        with self.broker.lock:
            self.broker.release()


FAILURES = (
    (Failure.NO_LOG, fifobus.NoLog, ErrorCode.NO_LOG),
    (Failure.LOG_FAILED, fifobus.LogFailed, ErrorCode.LOG_FAILED),
    (Failure.TOO_MANY_PUBLISHERS, fifobus.TooManyPublishers, ErrorCode.LIMIT),
)


class LevelTest(LogTest):
    def test_the_confirmation_says_where_the_message_is(self):
        client = self.client()
        for level in (Level.WRITTEN, Level.STORED):
            confirmed = client.publish("log/a", b"x", level=level, timeout=HANG_SECONDS)
            self.assertEqual(confirmed.level, level)
            self.assertEqual(confirmed.offset, len(self.broker.stored))
            self.assertEqual((confirmed.sessions, confirmed.duplicate), (1, False))
        self.assertEqual(self.published(), [(2, 0), (3, 0)])

    def test_accepted_is_what_it_was(self):
        client = self.client()
        for options in ({"confirm": True}, {"level": Level.ACCEPTED}):
            confirmed = client.publish("plain", b"x", timeout=HANG_SECONDS, **options)
            self.assertEqual(
                confirmed, fifobus.Confirmation(Level.ACCEPTED, 1, 0, False)
            )
        self.assertEqual(self.published(), [(0, 0), (0, 0)])

    def test_a_level_that_is_not_reached_is_raised(self):
        client = self.client()
        with self.assertRaises(fifobus.NoLog):
            client.publish("plain", b"x", level=Level.STORED, timeout=HANG_SECONDS)
        for failure, kind, code in FAILURES:
            self.broker.failure = failure
            for call in (
                lambda: client.publish(
                    "log/a", b"x", level=Level.STORED, timeout=HANG_SECONDS
                ),
                lambda: client.publish_pending("log/a", b"x").result(HANG_SECONDS),
                lambda: client.flush(HANG_SECONDS, level=Level.STORED),
            ):
                with self.subTest(failure), self.assertRaises(kind) as raised:
                    call()
                self.assertEqual(raised.exception.code, code)

    def test_a_broker_without_logs_stores_nothing(self):
        self.broker._publish = lambda session, message: session.write(
            control.Confirm(message._metadata.confirm_id, Level.ACCEPTED, 1)
        )
        with self.assertRaises(fifobus.NoLog) as raised:
            self.client().publish("a", level=Level.WRITTEN, timeout=HANG_SECONDS)
        self.assertIn("the broker is older", str(raised.exception))

    def test_many_are_on_their_way_at_once(self):
        client = self.client()
        self.hold()
        pending = [client.publish_pending("log/a", b"%d" % n) for n in range(500)]
        self.await_held(500)
        self.assertFalse(any(one.done for one in pending))
        with self.assertRaises(fifobus.TimedOut):
            pending[0].result(0.01)
        self.release()
        offsets = [one.result(HANG_SECONDS).offset for one in pending]
        self.assertEqual(offsets, list(range(1, 501)))
        self.assertTrue(all(one.done for one in pending))

    def test_what_is_lost_with_its_session_is_not_known(self):
        client = self.client()
        self.hold()
        pending = client.publish_pending("log/a", b"x")
        self.await_held(1)
        self.end_session()
        with self.assertRaises(fifobus.Disconnected):
            pending.result(HANG_SECONDS)

    def test_flush_waits_for_the_level(self):
        client = self.client()
        client.publish("log/a", b"x")
        client.flush(HANG_SECONDS, level=Level.STORED)
        self.assertEqual(self.broker.asked(control.Ping), [control.Ping(1, 3)])
        self.assertEqual(self.stored(), [b"x"])

    def test_whoever_does_not_wait_is_told_so(self):
        client = self.client(
            mode=fifobus.Mode.NON_BLOCKING, publisher="p", resend_bytes_max=100
        )
        self.hold()
        client.publish_pending("log/a", bytes(80))
        with self.assertRaises(fifobus.WouldBlock):
            client.publish_pending("log/a", bytes(80))


class PublisherTest(LogTest):
    def test_numbers_go_on_behind_what_a_log_has(self):
        self.broker.marks["p"] = (41, 7)
        client = self.client(publisher="p")
        mark = fifobus.PublisherMark("log", 41, 7)
        self.assertEqual(client.publisher_marks, {"log": mark})
        self.assertEqual(client.last_sequence, 41)
        client.publish("log/a", b"x")
        client.publish("log/a", b"x", level=Level.STORED, timeout=HANG_SECONDS)
        with client.batch():
            client.publish("log/a", b"x")
        client.ping(HANG_SECONDS)
        numbers = [sequence for _, sequence in self.published()]
        self.assertEqual(numbers, [42, 43, 44])
        self.assertEqual(client.last_sequence, 44)

    def test_a_request_has_a_number_too(self):
        client = self.client(publisher="p")
        with self.assertRaises(TimeoutError):
            client.request("log/a", b"x", timeout=0.05)

        async def ask():
            async with fifobus.AsyncClient(publisher="p") as client:
                with self.assertRaises(TimeoutError):
                    await client.request("log/a", b"x", timeout=0.05)

        asyncio.run(ask())
        self.assertEqual([sequence for _, sequence in self.published()], [1, 2])

    def test_a_repeated_number_is_a_duplicate(self):
        client = self.client(publisher="p")
        options = {"level": Level.STORED, "timeout": HANG_SECONDS}
        client.publish("log/a", b"x", sequence=5, **options)
        again = client.publish("log/a", b"x", sequence=5, **options)
        self.assertEqual((again.duplicate, again.offset), (True, 1))
        earlier = client.publish("log/a", b"x", sequence=4, **options)
        self.assertEqual((earlier.duplicate, earlier.offset), (True, 0))
        self.assertEqual(client.last_sequence, 5)
        self.assertEqual(client.publish("log/a", b"y", **options).offset, 2)
        self.assertEqual(self.published()[-1], (3, 6))

    def test_without_a_name_nothing_is_numbered(self):
        client = self.client()
        client.publish("log/a", b"x", headers={"a": "b"})
        client.ping(HANG_SECONDS)
        self.assertEqual(self.published(), [(0, 0)])
        self.assertEqual((client.last_sequence, client.publisher_marks), (0, {}))

    def test_a_bad_name_is_refused_here(self):
        for name in ("a/b", "*", "a b", ".a"):
            with self.subTest(name), self.assertRaises(fifobus.InvalidName):
                fifobus.Client(publisher=name)

    def test_a_later_client_of_the_name_ends_this_one(self):
        client = self.client(publisher="p")
        with self.broker.lock:
            text = "another session has the name p"
            self.broker.sessions[-1].write(control.Error(ErrorCode.FENCED, text))
            self.broker.sessions[-1].end()
        with self.assertRaises(fifobus.Fenced):
            client.ping(HANG_SECONDS)
        with self.assertRaises(fifobus.Fenced):
            client.publish("log/a", b"x")
        self.assertEqual(len(self.broker.sessions), 1)


class ResendTest(LogTest):
    def lost(self, **options):
        """Publishes three messages, of which the log stores the first. The session ends
        before anything is confirmed."""
        client = self.client(publisher="p", **options)
        self.hold()
        pending = [client.publish_pending("log/a", b"%d" % n) for n in range(3)]
        client.publish("log/b", b"plain")
        self.await_held(3)
        with self.broker.lock:
            del self.broker.stored[1:]
            self.broker.marks["p"] = (1, 1)
            self.broker.held = None
            self.broker.sessions[-1].end()
        return client, pending

    def test_each_is_stored_once(self):
        client, pending = self.lost(resend_bytes_max=1 << 20)
        confirmed = [one.result(HANG_SECONDS) for one in pending]
        self.assertEqual([one.offset for one in confirmed], [1, 2, 3])
        self.assertEqual([one.duplicate for one in confirmed], [True, False, False])
        client.publish("log/a", b"next", level=Level.STORED, timeout=HANG_SECONDS)
        # What asked for no level was not kept.
        self.assertEqual(self.stored(), [b"0", b"1", b"2", b"next"])
        self.assertEqual(self.published()[-1], (3, 5))

    def test_a_confirmed_message_is_not_sent_again(self):
        client = self.client(publisher="p", resend_bytes_max=1 << 20)
        client.publish("log/a", b"x", level=Level.STORED, timeout=HANG_SECONDS)
        self.end_session()
        with self.assertRaises(fifobus.FifobusError):
            while True:  # until it has noticed
                client.ping(HANG_SECONDS)
        client.ping(HANG_SECONDS)
        self.assertEqual(len(self.published()), 1)

    def test_unless_it_is_asked_for_nothing_is_sent_again(self):
        client, pending = self.lost()
        for one in pending:
            with self.assertRaises(fifobus.Disconnected):
                one.result(HANG_SECONDS)
        client.publish("log/a", b"next", level=Level.STORED, timeout=HANG_SECONDS)
        self.assertEqual(self.stored(), [b"0", b"next"])

    def test_the_bound_holds_publishers_up(self):
        client = self.client(publisher="p", resend_bytes_max=1000)
        self.hold()
        for _ in range(2):
            client.publish_pending("log/a", bytes(400))
        with self.assertRaises(fifobus.TimedOut):
            client.publish_pending("log/a", bytes(400), timeout=0.01)
        self.release()
        client.publish_pending("log/a", bytes(400), timeout=HANG_SECONDS)
        # A message may be larger than the bound, if it is alone.
        pending = client.publish_pending("log/a", bytes(5000), timeout=HANG_SECONDS)
        self.assertEqual(pending.result(HANG_SECONDS).offset, 4)

    def test_a_session_that_ends_before_a_message_is_written(self):
        client = self.client(publisher="p", resend_bytes_max=1 << 20)
        self.end_session()
        client._last_look = 0.0  # so that it finds out within the call
        pending = client.publish_pending("log/a", b"x")
        self.assertEqual(pending.result(HANG_SECONDS).offset, 1)
        self.assertEqual(self.stored(), [b"x"])

    def test_also_for_a_call_that_waits(self):
        client = self.client(publisher="p", resend_bytes_max=1 << 20)
        publish = self.broker._publish

        def die(session, message):
            self.broker._publish = publish
            session.end()

        self.broker._publish = die
        confirmed = client.publish(
            "log/a", b"x", level=Level.STORED, timeout=HANG_SECONDS
        )
        self.assertEqual((confirmed.offset, confirmed.duplicate), (1, False))


class AsyncTest(LogTest):
    def run_with(self, body, **options):
        async def main():
            async with fifobus.AsyncClient(**options) as client:
                await asyncio.wait_for(body(client), HANG_SECONDS)

        asyncio.run(main())

    def test_many_are_on_their_way_at_once(self):
        async def body(client):
            self.hold()
            pending = [await client.publish_pending("log/a") for _ in range(300)]
            tasks = [
                asyncio.ensure_future(client.publish("log/a", level=Level.STORED))
                for _ in range(20)
            ]
            while len(self.broker.held) < 320:
                await asyncio.sleep(0.001)
            self.assertFalse(pending[0].done)
            self.release()
            offsets = [(await one).offset for one in pending]
            offsets += [(await task).offset for task in tasks]
            self.assertEqual(offsets, list(range(1, 321)))
            await client.flush(level=Level.STORED)

        self.run_with(body)

    def test_a_level_that_is_not_reached_is_raised(self):
        async def body(client):
            with self.assertRaises(fifobus.NoLog):
                await client.publish("plain", level=Level.STORED)
            for failure, kind, _ in FAILURES:
                self.broker.failure = failure
                with self.assertRaises(kind):
                    await client.publish("log/a", level=Level.STORED)
                with self.assertRaises(kind):
                    await (await client.publish_pending("log/a"))
                with self.assertRaises(kind):
                    await client.flush(level=Level.STORED)

        self.run_with(body)

    def test_a_publisher_numbers_and_sends_again(self):
        self.broker.marks["p"] = (41, 0)

        async def body(client):
            self.assertEqual(client.last_sequence, 41)
            self.hold()
            pending = [await client.publish_pending("log/a") for _ in range(3)]
            while len(self.broker.held) < 3:
                await asyncio.sleep(0.001)
            with self.broker.lock:
                self.broker.held = None
                self.broker.sessions[-1].end()
            confirmed = [await one for one in pending]
            self.assertTrue(all(one.duplicate for one in confirmed))
            await client.publish("log/a", b"next", level=Level.STORED)
            self.assertEqual(client.publisher_marks["log"].last_sequence, 44)

        self.run_with(body, publisher="p", resend_bytes_max=1 << 20)
        self.assertEqual(self.published()[-1], (3, 45))


if __name__ == "__main__":
    unittest.main()
