"""What a Python client that reads a log asks for, is told, and says."""

import asyncio
import datetime
import unittest

import fifobus
from fifobus import Start
from fifobus.protocol import control, topics
from fifobus.protocol.control import ErrorCode, GapReason
from tests.support.fake_broker import message
from tests.support.fake_log import STORED_UNIX_NANOS, LogReaderTest
from tests.support.fifobus_support import HANG_SECONDS

EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)


class StartTest(LogReaderTest):
    def test_each_start_is_asked_for_as_it_is(self):
        client = self.client()
        when = datetime.datetime(2026, 11, 28, 10, tzinfo=datetime.timezone.utc)
        nanos = 1_795_860_000_000_000_000
        local = when.astimezone().replace(tzinfo=None)
        for number, (start, wanted) in enumerate(
            (
                (Start.first(), control.StartFrame(first=True)),
                (Start.offset(0), control.StartFrame(offset=0)),
                (Start.offset(1), control.StartFrame(offset=1)),
                (Start.last(10), control.StartFrame(last=10)),
                (Start.next(), control.StartFrame(next=True)),
                (Start.time(when), control.StartFrame(time_unix_nanos=nanos)),
                (Start.time(local), control.StartFrame(time_unix_nanos=nanos)),
                (Start.time(1.5), control.StartFrame(time_unix_nanos=1_500_000_000)),
            )
        ):
            client.subscribe(f"log/{number}", start=start)
            asked = self.broker.asked(control.Subscribe)[-1]
            self.assertEqual(asked.start, wanted)
            self.assertEqual((asked.durable, asked.until_now), ("", False))

    def test_what_is_no_start_is_refused_here(self):
        for call in (lambda: Start.offset(-1), lambda: Start.last(1 << 64)):
            with self.assertRaises(fifobus.InvalidName):
                call()

    def test_options_that_do_not_go_together_are_refused_here(self):
        client = self.client()
        for options in (
            {"durable": "a/b"},
            {"durable": "*"},
            {"durable": "d", "group": "g"},
            {"start": Start.first(), "group": "g"},
            {"until_now": True},
            {"until_now": True, "start": Start.first(), "durable": "d"},
        ):
            with self.subTest(options), self.assertRaises(fifobus.InvalidName):
                client.subscribe("log/a", **options)
        client.subscribe("log/*/b", durable="d")
        for pattern in ("log/a/*", "log/**", "**", "log/x/b"):
            with self.subTest(pattern), self.assertRaises(fifobus.InvalidName):
                client.subscribe(pattern, start=Start.first())
        with self.assertRaises(fifobus.InvalidName):
            client.subscribe("log/*/b", durable="other")
        client.subscribe("log/a/c", start=Start.first())
        self.assertEqual(len(self.broker.asked(control.Subscribe)), 2)

    def test_patterns_overlap_where_a_topic_matches_both(self):
        for one, other, wanted in (
            ("a", "a", True),
            ("a", "b", False),
            ("a/*", "*/b", True),
            ("a/*", "a", False),
            ("a/**", "a", False),
            ("a/**", "*/b/c", True),
            ("**", "a", True),
            ("**", "$dead/g", False),
            ("$dead/*", "$dead/g", True),
            ("a/*/c", "a/b/d", False),
        ):
            self.assertEqual(topics.overlap(one, other), wanted, (one, other))
            self.assertEqual(topics.overlap(other, one), wanted, (other, one))

    def test_refusals_have_their_types(self):
        client = self.client()
        with self.assertRaises(fifobus.NoLog) as refused:
            client.subscribe("other/a", start=Start.first())
        self.assertIn("the logs are: log", str(refused.exception))
        with self.assertRaises(fifobus.BadStart):
            client.subscribe("log/a", start=Start.offset(2))
        self.broker._read = lambda session, subscribe: session.write(
            control.Error(ErrorCode.BAD_DURABLE, "another pattern", 2)
            if subscribe.durable
            else control.Error(ErrorCode.LOG_FAILED, "see the log", 1)
        )
        client = self.client()
        with self.assertRaises(fifobus.LogFailed):
            client.subscribe("log/a", start=Start.first())
        with self.assertRaises(fifobus.BadDurable):
            client.subscribe("log/a", durable="d")


class ReadTest(LogReaderTest):
    def test_messages_have_their_place_and_time(self):
        self.store(2)
        client = self.client()
        client.subscribe("log/**", start=Start.first())
        self.store(1)
        got = self.receive(client, 3)
        self.assertEqual([m.payload for m in got], [b"1", b"2", b"3"])
        self.assertEqual([m.offset for m in got], [1, 2, 3])
        self.assertEqual(got[0].stored_time_unix_nanos, STORED_UNIX_NANOS + 1)
        whole = STORED_UNIX_NANOS // 1000
        since = got[0].stored_time - EPOCH
        self.assertEqual(since // datetime.timedelta(microseconds=1), whole)
        with self.broker.lock:
            self.broker.sessions[-1].write(message("plain", b""))
        plain = client.receive(HANG_SECONDS)
        self.assertEqual((plain.offset, plain.stored_time), (0, None))

    def test_a_position_is_behind_what_the_program_has(self):
        self.store(3)
        client = self.client()
        client.subscribe("plain")
        client.subscribe("log/**", start=Start.last(2))
        self.assertEqual(client.read_position("log/**"), fifobus.ReadPosition("log", 2))
        self.offsets(client, 1)
        self.assertEqual(client.read_position("log/**"), fifobus.ReadPosition("log", 3))
        for pattern in ("plain", "log/a"):
            self.assertIsNone(client.read_position(pattern))

    def test_caught_up_comes_in_its_place_and_once(self):
        self.store(2)
        client = self.client()
        client.subscribe("log/**", start=Start.first())
        self.store(1)
        events = client.events()
        found = [next(events) for _ in range(4)]
        self.end_session()
        self.store(1)
        self.assertIsInstance(next(events), fifobus.Restarted)
        self.assertEqual(next(events).offset, 4)
        self.assertEqual(found.pop(2), fifobus.CaughtUp("log/**", 3, False))
        self.assertEqual([m.offset for m in found], [1, 2, 3])

    def test_iteration_until_now_ends_by_itself(self):
        self.store(3)
        client = self.client()
        client.subscribe("log/a", start=Start.first(), until_now=True)
        self.assertEqual([m.offset for m in client], [1, 2, 3])
        with self.assertRaises(fifobus.EndOfLog):
            client.receive(HANG_SECONDS)
        client.subscribe("log/a", start=Start.last(1), until_now=True)
        client.subscribe("log/b", start=Start.last(1), until_now=True)
        found = list(client.events())
        self.assertEqual([type(e).__name__ for e in found].count("CaughtUp"), 2)
        self.assertEqual(found[0].offset, 3)
        # The pattern may be read anew, and the client goes on.
        client.subscribe("log/a", start=Start.next())
        self.store(1)
        self.assertEqual(self.offsets(client, 1), [4])

    def test_a_plain_subscription_beside_it_is_not_ended(self):
        client = self.client()
        client.subscribe("plain")
        client.subscribe("log/a", start=Start.first(), until_now=True)
        with self.broker.lock:
            self.broker.sessions[-1].write(message("plain", b"x"))
        self.assertEqual(client.receive(HANG_SECONDS).payload, b"x")
        with self.assertRaises(TimeoutError):
            client.receive(0.01)

    def test_a_next_session_goes_on_behind_the_last_message(self):
        self.store(3)
        client = self.client()
        client.subscribe("log/**", start=Start.last(2))
        self.assertEqual(self.offsets(client, 1), [2])
        self.end_session()
        self.store(2)
        self.assertEqual(self.offsets(client, 3), [3, 4, 5])
        self.end_session()
        self.store(1)
        self.assertEqual(self.offsets(client, 1), [6])
        asked = [frame.start for frame in self.broker.asked(control.Subscribe)]
        self.assertEqual(
            asked,
            [control.StartFrame(last=2)]
            + [control.StartFrame(offset=n) for n in (4, 6)],
        )
        self.assertEqual(self.gaps, [])  # nothing is missing

    def test_also_if_no_message_has_come_yet(self):
        self.store(3)
        client = self.client()
        client.subscribe("log/**", start=Start.next())
        self.end_session()
        self.store(1)
        self.assertEqual(self.offsets(client, 1), [4])
        asked = self.broker.asked(control.Subscribe)[-1]
        self.assertEqual(asked.start, control.StartFrame(offset=4))

    def test_a_session_that_ends_before_caught_up_is_not_the_end(self):
        self.store(2)
        self.broker.is_caught_up = False
        client = self.client()
        client.subscribe("log/a", start=Start.first(), until_now=True)
        received = iter(client)
        self.assertEqual([next(received).offset for _ in range(2)], [1, 2])
        with self.broker.lock:
            self.broker.is_caught_up = True
        self.store(1)
        self.end_session()
        self.assertEqual([m.offset for m in received], [3])
        asked = self.broker.asked(control.Subscribe)[-1]
        self.assertEqual((asked.start.offset, asked.until_now), (3, True))

    def test_a_plain_subscription_beside_it_has_its_gap(self):
        client = self.client()
        client.subscribe("plain")
        client.subscribe("log/**", start=Start.next())
        self.end_session()
        self.store(1)
        self.assertEqual(self.offsets(client, 1), [1])
        self.assertEqual([gap.reason for gap in self.gaps], [GapReason.RECONNECTED])

    def test_gaps_of_logs_have_their_reasons(self):
        client = self.client()
        client.subscribe("log/**", start=Start.first())
        with self.broker.lock:
            self.broker.sessions[-1].write(
                control.GapFrame(GapReason.TRIMMED, 41),
                control.GapFrame(GapReason.DAMAGED, 2),
            )
        self.store(1)
        self.offsets(client, 1)
        self.assertEqual(
            [(gap.reason, gap.messages) for gap in self.gaps],
            [(GapReason.TRIMMED, 41), (GapReason.DAMAGED, 2)],
        )

    def test_a_log_that_is_shorter_in_the_next_session_is_told(self):
        self.store(3)
        client = self.client()
        client.subscribe("log/**", start=Start.first())
        self.offsets(client, 3)
        with self.broker.lock:
            del self.broker.stored[:]
        self.end_session()
        with self.assertRaises(fifobus.BadStart):
            client.receive(HANG_SECONDS)


class AsyncTest(LogReaderTest):
    def run_with(self, body, **options):
        async def main():
            async with fifobus.AsyncClient(
                on_gap=self.gaps.append, **options
            ) as client:
                await asyncio.wait_for(body(client), HANG_SECONDS)

        asyncio.run(main())

    def test_iteration_until_now_ends_by_itself(self):
        self.store(3)

        async def body(client):
            await client.subscribe("log/a", start=Start.first(), until_now=True)
            self.assertEqual([m.offset async for m in client], [1, 2, 3])
            await client.subscribe("log/a", start=Start.last(1), until_now=True)
            events = [event async for event in client.events()]
            self.assertEqual(events[1], fifobus.CaughtUp("log/a", 4, True))
            with self.assertRaises(fifobus.EndOfLog):
                await client.receive()

        self.run_with(body)

    def test_a_next_session_goes_on_behind_the_last_message(self):
        self.store(2)

        async def body(client):
            await client.subscribe("log/a", start=Start.first())
            self.assertEqual((await client.receive()).offset, 1)
            self.end_session()
            self.store(1)
            got = [(await client.receive()).offset for _ in range(2)]
            self.assertEqual(got, [2, 3])

        self.run_with(body)
        self.assertEqual(self.gaps, [])

    def test_refusals_have_their_types(self):
        async def body(client):
            with self.assertRaises(fifobus.NoLog):
                await client.subscribe("other", start=Start.first())
            with self.assertRaises(fifobus.InvalidName):
                await client.subscribe("log/a", durable="a/b")

        self.run_with(body)


if __name__ == "__main__":
    unittest.main()
