"""How a session ends, and what its client makes of the broker's last words."""

import asyncio
import time
import unittest

import fifobus
from fifobus.protocol import control
from fifobus.protocol.control import ErrorCode, GapReason
from tests.support.fake_broker import FakeBroker, message
from tests.support.fifobus_support import HANG_SECONDS, Bus, await_condition


def denied(request_id=0):
    return control.Error(ErrorCode.DENIED, "not this user", request_id)


class SessionTest(unittest.TestCase):
    def setUp(self):
        self.broker = self.enterContext(FakeBroker())
        self.gaps = []

    def client(self, **options):
        options.setdefault("on_gap", self.gaps.append)
        return self.enterContext(fifobus.Client(**options))

    def subscriber(self, pattern="a", **options):
        client = self.client(**options)
        client.subscribe(pattern)
        return client, self.broker.sessions[-1]

    def reasons(self):
        return [gap.reason for gap in self.gaps]

    def test_what_was_in_the_pipe_comes_before_the_end_also_for_a_publisher(self):
        client, session = self.subscriber()
        with self.broker.lock:
            session.write(*(message("a", b"%d" % n) for n in range(100)))
            session.end()
        client.publish("b", b"")  # finds out by EPIPE
        got = []
        while not self.gaps:
            try:
                got.append(client.receive(0.1).payload)
            except TimeoutError:
                pass
        self.assertEqual(got, [b"%d" % n for n in range(100)])
        self.assertEqual(self.reasons(), [GapReason.RECONNECTED])
        self.assertEqual(client.publish_losses, 0)  # nobody has read it: sent again

    def test_a_publisher_is_told_that_it_was_refused_and_does_not_come_back(self):
        def refuse(session, _):
            session.write(denied())
            session.end()

        self.broker._on_message = refuse
        client = self.client()
        with self.assertRaises(fifobus.SessionRefused) as refused:
            while True:
                client.publish("denied", b"x")
                if self.broker.sessions[-1].up < 0:
                    client.publish("denied", b"the next one at the latest")
                    self.fail("it was not told")
        self.assertEqual(refused.exception.code, ErrorCode.DENIED)
        with self.assertRaises(fifobus.SessionRefused):
            client.publish("denied", b"x")
        with self.assertRaises(fifobus.SessionRefused):
            client.receive(HANG_SECONDS)
        self.assertEqual(len(self.broker.sessions), 1)

    def test_a_task_is_told_that_it_was_refused_and_does_not_come_back(self):
        def refuse(session, _):
            session.write(denied())
            session.end()

        self.broker._on_message = refuse

        async def publish():
            async with fifobus.AsyncClient() as client:
                while True:
                    await client.publish("denied", b"x")
                    await asyncio.sleep(0)
                    if self.broker.sessions[-1].up < 0:
                        await client.publish("denied", b"the next one at the latest")
                        self.fail("it was not told")

        with self.assertRaises(fifobus.SessionRefused):
            asyncio.run(publish())
        self.assertEqual(len(self.broker.sessions), 1)

    def test_the_last_words_of_a_session_do_not_end_the_next_one(self):
        client, session = self.subscriber()
        with self.broker.lock:
            # Unread, it is behind messages when the next session begins.
            session.write(*(message("a", bytes(500)) for _ in range(100)))
            session.write(control.Goodbye("stopping"))
            session.end()
        for _ in range(3):
            client.publish("b", b"x")
        client.ping(HANG_SECONDS)
        self.assertEqual(len(self.broker.sessions), 2)
        with self.broker.lock:
            self.broker.sessions[-1].write(message("a", b"next"))
        got = [client.receive(HANG_SECONDS).payload for _ in range(101)]
        self.assertEqual(got[-1], b"next")
        self.assertEqual(self.reasons(), [GapReason.RECONNECTED])
        client.ping(HANG_SECONDS)
        self.assertEqual(len(self.broker.sessions), 2)

    def test_a_subscription_that_the_next_broker_refuses_is_told(self):
        client, session = self.subscriber("allowed")
        client.subscribe("denied")
        answer = self.broker._answer

        def refuse(session, frame):
            if isinstance(frame, control.Subscribe) and frame.pattern == "denied":
                session.write(denied(frame.request_id))
            else:
                answer(session, frame)

        self.broker._answer = refuse
        with self.broker.lock:
            session.end()
        with self.assertRaises(fifobus.Refused) as refused:
            client.receive(HANG_SECONDS)
        self.assertIn('"denied"', str(refused.exception))
        self.assertEqual(refused.exception.code, ErrorCode.DENIED)
        self.assertEqual(self.reasons(), [GapReason.RECONNECTED])
        # The others stand, and it is not asked for again.
        with self.broker.lock:
            self.broker.sessions[-1].write(message("allowed", b"x"))
        self.assertEqual(client.receive(HANG_SECONDS).payload, b"x")
        with self.assertRaises(fifobus.InvalidName):
            client.unsubscribe("denied")

    def test_a_task_is_told_of_a_subscription_that_the_next_broker_refuses(self):
        answer = self.broker._answer

        def refuse(session, frame):
            if isinstance(frame, control.Subscribe):
                session.write(denied(frame.request_id))
            else:
                answer(session, frame)

        async def receive():
            async with fifobus.AsyncClient(on_gap=self.gaps.append) as client:
                await client.subscribe("denied")
                self.broker._answer = refuse
                with self.broker.lock:
                    self.broker.sessions[-1].end()
                with self.assertRaises(fifobus.Refused):
                    await client.receive(HANG_SECONDS)

        asyncio.run(receive())

    def test_who_is_ended_for_being_slow_gets_one_gap_for_it(self):
        client, session = self.subscriber(overflow=fifobus.Overflow.DISCONNECT)
        with self.broker.lock:
            session.write(
                message("a", b"x"),
                control.GapFrame(GapReason.DISCONNECTED, 7, [control.Loss("a", 7)]),
                control.Error(ErrorCode.OVERFLOW, "too slow"),
            )
            session.end()
        events = []
        with self.assertRaises(fifobus.SessionRefused):
            for event in client.events():
                events.append(event)
        self.assertEqual(events[0].payload, b"x")
        gaps = [(gap.reason, gap.messages) for gap in events[1:]]
        self.assertEqual(gaps, [(GapReason.DISCONNECTED, 7)])

    def test_time_outs_say_what_is_now(self):
        client, session = self.subscriber()
        self.broker._answer = lambda *_: None
        for call in (
            lambda: client.ping(0.05),
            lambda: client.publish("a", b"x", confirm=True, timeout=0.05),
            lambda: client.subscribe("b", timeout=0.05),
        ):
            with self.assertRaises(fifobus.TimedOut) as late:
                call()
            self.assertIn("did not come in time", str(late.exception))
            self.assertNotIn("has not answered", str(late.exception))
        self.broker.welcome = False
        with self.broker.lock:
            session.end()
        with self.assertRaises(fifobus.Disconnected):
            client.ping(HANG_SECONDS)
        with self.assertRaises(fifobus.TimedOut) as late:
            client.ping(0.3)
        self.assertIn("the broker on", str(late.exception))

    def test_a_bad_frame_ends_the_session_behind_what_was_before_it(self):
        client, session = self.subscriber()
        with self.broker.lock:
            session.write(message("a", b"good"), b"\x00\x00\x00\x01\x00")
        self.assertEqual(client.receive(HANG_SECONDS).payload, b"good")
        with self.assertRaises(fifobus.ProtocolError):
            client.receive(HANG_SECONDS)


class ExpiryTest(unittest.TestCase):
    """What has expired when it is taken is dropped, counted, and told in its place."""

    def setUp(self):
        self.broker = self.enterContext(FakeBroker())

    def stream(self):
        past, future = time.time_ns() - 1, time.time_ns() + HANG_SECONDS * 10**9
        return (
            message("a", b"1"),
            message("a", b"late", expiry_unix_nanos=past),
            message("b", b"late", expiry_unix_nanos=past),
            message("a", b"late", expiry_unix_nanos=past),
            message("a", b"2", expiry_unix_nanos=future),
            message("b", b"late", expiry_unix_nanos=past),
        )

    def check(self, events, client):
        self.assertEqual([events[0].payload, events[2].payload], [b"1", b"2"])
        self.assertEqual(events[1].reason, GapReason.EXPIRED)
        self.assertEqual(events[1].losses, {"a": 2, "b": 1})
        self.assertEqual((events[3].messages, events[3].losses), (1, {"b": 1}))
        self.assertEqual(client.expired_messages, 4)

    def test_as_events(self):
        client = self.enterContext(fifobus.Client())
        client.subscribe("*")
        with self.broker.lock:
            self.broker.sessions[-1].write(*self.stream())
        events = client.events()
        self.check([next(events) for _ in range(4)], client)

    def test_as_messages_with_gaps_at_their_places(self):
        seen = []
        client = self.enterContext(fifobus.Client(on_gap=seen.append))
        client.subscribe("*")
        with self.broker.lock:
            self.broker.sessions[-1].write(*self.stream())
        for _ in range(2):
            seen.append(client.receive(HANG_SECONDS))
        with self.assertRaises(TimeoutError):
            client.receive(0.05)
        self.check(seen, client)

    def test_as_asyncio_sees_it(self):
        async def main():
            async with fifobus.AsyncClient() as client:
                await client.subscribe("*")
                with self.broker.lock:
                    self.broker.sessions[-1].write(*self.stream())
                events = client.events()
                self.check([await events.__anext__() for _ in range(4)], client)

        asyncio.run(main())

    def test_a_group_is_not_kept_waiting_for_its_answer(self):
        client = self.enterContext(fifobus.Client(on_gap=lambda gap: None))
        client.subscribe("a", group="g", acks=True)
        session = self.broker.sessions[-1]
        with self.broker.lock:
            late = message("a", b"late", expiry_unix_nanos=time.time_ns() - 1)
            session.write(control.Delivery(False, 5, 1), late, message("a", b"2"))
        self.assertEqual(client.receive(HANG_SECONDS).payload, b"2")
        await_condition(
            lambda: control.Ack([5], control.Verdict.DONE) in session.frames, "the Ack"
        )

    def test_a_reply_that_comes_too_late_is_none(self):
        def reply(session, request):
            late = time.time_ns() - 1
            topic = request.reply_topic
            session.write(message(topic, b"late", expiry_unix_nanos=late))
            session.write(message(topic, b"reply"))

        self.broker._on_message = reply
        client = self.enterContext(fifobus.Client())
        self.assertEqual(client.request("a", timeout=HANG_SECONDS).payload, b"reply")
        self.assertEqual(client.expired_messages, 1)


class ReadAheadTest(unittest.TestCase):
    """Answers are taken whatever waits to be received, and nothing spins."""

    def setUp(self):
        self.bus = self.enterContext(Bus())

    def client(self, **options):
        return self.enterContext(fifobus.Client(**options))

    def test_a_client_that_only_asks_goes_on_for_ever(self):
        client = self.client(receive_bytes_max=1 << 14)
        for _ in range(2000):
            client.publish("nobody", confirm=True, timeout=HANG_SECONDS)
        for _ in range(2000):
            client.ping(HANG_SECONDS)

    def test_also_while_a_message_waits_to_be_received(self):
        client = self.client(receive_bytes_max=1 << 14)
        client.subscribe("a")
        client.publish("a", b"first")
        for number in range(2000):
            client.publish("a", b"%d" % number)
            client.ping(HANG_SECONDS)
            client.receive(HANG_SECONDS)

    def test_a_bound_that_is_reached_is_named(self):
        client = self.client(receive_bytes_max=1 << 14)
        client.subscribe("a")
        with self.client() as publisher:
            for _ in range(10):
                publisher.publish("a", bytes(1 << 14))
            publisher.ping()
        with self.assertRaises(fifobus.TimedOut) as full:
            for _ in range(10):
                client.ping(0.3)
        self.assertIn("receive_bytes_max", str(full.exception))
        for _ in range(10):
            client.receive(HANG_SECONDS)
        client.ping(HANG_SECONDS)

    def test_receiving_in_an_open_batch_sleeps_and_the_batch_goes_out(self):
        client = self.client()
        client.subscribe("a")
        with client.batch():
            client.publish("a", b"asked")
            self.assertEqual(client.receive(HANG_SECONDS).payload, b"asked")
            client.publish("b", b"x")
            before = time.process_time()
            with self.assertRaises(TimeoutError):
                client.receive(0.5)
            self.assertLess(time.process_time() - before, 0.1)

    def test_asyncio_in_an_open_batch_sleeps_as_well(self):
        async def main():
            async with fifobus.AsyncClient() as client:
                await client.subscribe("a")
                async with client.batch():
                    await client.publish("a", b"asked")
                    self.assertEqual((await client.receive(60)).payload, b"asked")
                    await client.publish("a", b"gathered")
                    async with fifobus.AsyncClient() as other:
                        await other.publish("a", b"wakes it")
                        await other.ping()
                    before = time.process_time()
                    await asyncio.sleep(0.5)
                    self.assertLess(time.process_time() - before, 0.1)

        asyncio.run(main())


if __name__ == "__main__":
    unittest.main()
