"""Python clients that read the log of a broker."""

import asyncio
import contextlib
import random
import os
import unittest

import fifobus
from fifobus import GapReason, Level, Start
from tests.support.fifobus_support import HANG_SECONDS, LogBus, await_condition


class LogTest(unittest.TestCase):
    def setUp(self):
        self.bus = self.enterContext(LogBus())
        self.gaps = []

    def client(self, **options):
        options.setdefault("on_gap", self.gaps.append)
        return self.enterContext(fifobus.Client(**options))

    def store(self, count, topic="log/a"):
        """Numbers, which go on."""
        with fifobus.Client(publisher="numbers") as client:
            for _ in range(count):
                number = client.last_sequence + 1
                client.publish(topic, b"%d" % number)
            client.flush(HANG_SECONDS, level=Level.STORED)

    def offsets(self, client, count):
        return [client.receive(HANG_SECONDS).offset for _ in range(count)]

    def reader(self, name):
        with fifobus.Client() as client:
            (log,) = client.stats(timeout=HANG_SECONDS).logs
            return next((one for one in log.readers if one.name == name), None)

    def await_position(self, name, position):
        await_condition(
            lambda: self.reader(name).position == position,
            f"the position {position} of {name}",
        )


class RestartedTest(LogTest):
    """What a reader is told of a broker that was killed."""

    def told(self, *subscriptions):
        """The first event behind a restart, by events() and by the callbacks."""
        restarts = []
        client = self.client(on_restarted=restarts.append)
        other = self.client()
        for pattern, options in subscriptions:
            client.subscribe(pattern, **options)
            other.subscribe(pattern, **options)
        self.bus.restart()
        event = next(e for e in other.events() if not isinstance(e, fifobus.CaughtUp))
        while not restarts and not self.gaps:
            with contextlib.suppress(TimeoutError):
                client.receive(0.1)
        self.assertEqual(len(restarts) + len(self.gaps), 1)
        self.assertEqual(event, (restarts + self.gaps)[0])
        return event

    def test_all_that_logs_bring_is_there(self):
        event = self.told(("log/**", {"start": Start.next()}))
        self.assertIsInstance(event, fifobus.Restarted)
        self.assertIn("restarted, nothing lost", str(event))

    def test_of_a_topic_without_a_log_it_is_not_known(self):
        event = self.told(("log/**", {"start": Start.next()}), ("other", {}))
        self.assertEqual(event.reason, GapReason.RECONNECTED)

    def test_a_client_of_asyncio_is_told_as_well(self):
        async def receive():
            restarts = []
            async with fifobus.AsyncClient(on_restarted=restarts.append) as client:
                await client.subscribe("log/**", durable="d")
                self.bus.restart()
                self.store(1)
                message = await client.receive(HANG_SECONDS)
                self.assertEqual(message.offset, 1)
            self.assertEqual(restarts, [fifobus.Restarted()])

        asyncio.run(receive())


class ReadTest(LogTest):
    def test_from_each_start(self):
        self.store(5)
        self.store(1, "log/b")
        client = self.client()
        for start, pattern, wanted in (
            (Start.first(), "log/**", [1, 2, 3, 4, 5, 6]),
            (Start.offset(4), "log/**", [4, 5, 6]),
            (Start.offset(7), "log/**", []),
            (Start.last(2), "log/**", [5, 6]),
            (Start.last(2), "log/a", [4, 5]),
            (Start.time(0), "log/*", [1, 2, 3, 4, 5, 6]),
            (Start.next(), "log/**", []),
        ):
            with self.subTest((start, pattern)):
                client.subscribe(pattern, start=start, until_now=True)
                self.assertEqual([m.offset for m in client], wanted)
        self.assertEqual(self.gaps, [])

    def test_a_time_between_two_messages(self):
        self.store(2)
        client = self.client()
        client.subscribe("log/a", start=Start.first(), until_now=True)
        _, second = list(client)
        client.subscribe("log/a", start=Start.time(second.stored_time), until_now=True)
        self.assertEqual([m.offset for m in client][-1], 2)
        later = second.stored_time_unix_nanos / 1e9 + 1
        client.subscribe("log/a", start=Start.time(later), until_now=True)
        self.assertEqual([m.offset for m in client], [])

    def test_what_is_there_and_what_comes_join(self):
        self.store(100)
        client = self.client()
        client.subscribe("log/**", start=Start.first())
        self.store(100)
        events = client.events()
        found = [next(events) for _ in range(201)]
        (caught_up,) = [e for e in found if isinstance(e, fifobus.CaughtUp)]
        self.assertEqual((caught_up.pattern, caught_up.until_now), ("log/**", False))
        messages = [e for e in found if isinstance(e, fifobus.Message)]
        self.assertEqual([m.offset for m in messages], [*range(1, 201)])
        self.assertEqual(
            [m.payload for m in messages], [b"%d" % n for n in range(1, 201)]
        )
        self.assertEqual(client.read_position("log/**").next_offset, 201)

    def test_a_plain_subscription_brings_it_once_more(self):
        client = self.client()
        client.subscribe("log/a")
        client.subscribe("log/**", start=Start.next())
        self.store(1)
        found = self.offsets(client, 2)
        self.assertEqual(sorted(found), [0, 1])

    def test_what_the_broker_refuses(self):
        self.store(1)
        client = self.client()
        with self.assertRaises(fifobus.NoLog):
            client.subscribe("plain/**", start=Start.first())
        with self.assertRaises(fifobus.NoLog):
            client.subscribe("**", durable="d")
        with self.assertRaises(fifobus.BadStart):
            client.subscribe("log/**", start=Start.offset(3))
        client.subscribe("log/a", durable="d")
        with self.client() as other, self.assertRaises(fifobus.BadDurable):
            other.subscribe("log/b", durable="d")

    def test_across_the_death_of_the_broker(self):
        self.store(10)
        client = self.client()
        client.subscribe("log/**", start=Start.first())
        self.assertEqual(self.offsets(client, 5), [1, 2, 3, 4, 5])
        self.bus.restart()
        self.store(10)
        self.assertEqual(self.offsets(client, 15), [*range(6, 21)])
        self.assertEqual(self.gaps, [])


class DurableTest(LogTest):
    def test_the_position_outlives_the_client_and_the_broker(self):
        self.store(10)
        with fifobus.Client() as client:
            client.subscribe("log/**", durable="d")
            self.assertEqual(self.offsets(client, 4), [1, 2, 3, 4])
        self.await_position("d", 4)
        self.bus.stop()
        self.bus.start()
        self.assertEqual(self.reader("d").lag, 7)
        client = self.client()
        client.subscribe("log/**", durable="d")
        self.assertEqual(self.offsets(client, 7), [4, 5, 6, 7, 8, 9, 10])
        with self.assertRaises(TimeoutError):
            client.receive(0.01)
        self.await_position("d", 11)

    def test_done_and_nothing_else_moves_it(self):
        self.store(5)
        with fifobus.Client() as client:
            client.subscribe("log/**", durable="d", auto_ack=False)
            got = [client.receive(HANG_SECONDS) for _ in range(5)]
            client.done(got[2])
        self.await_position("d", 4)

    def test_a_second_client_takes_it_over(self):
        self.store(3)
        first = self.client()
        first.subscribe("log/**", durable="d")
        self.assertEqual(self.offsets(first, 2), [1, 2])
        first.flush(HANG_SECONDS)
        self.await_position("d", 2)
        second = self.client()
        second.subscribe("log/**", durable="d")
        self.assertEqual(self.offsets(second, 2), [2, 3])
        with self.assertRaises(fifobus.Fenced):
            while True:
                first.receive(HANG_SECONDS)

    def test_whatever_dies_each_message_is_received(self):
        """The broker, or the client, at random places; some come twice."""
        seed = int.from_bytes(os.urandom(4), "big")
        dice = random.Random(seed)
        self.store(3000)
        seen = []
        client = None
        while not seen or seen[-1] < 3000:
            if client is None:
                client = fifobus.Client(on_gap=self.gaps.append)
                client.subscribe("log/**", durable="d", timeout=HANG_SECONDS)
            for _ in range(dice.randrange(600)):
                seen.append(client.receive(HANG_SECONDS).offset)
                if seen[-1] == 3000:
                    break
            if dice.random() < 0.3:
                self.bus.restart()
            elif dice.random() < 0.5:
                client.close()
                client = None
        if client is not None:
            client.close()
        self.assertEqual(sorted(set(seen)), [*range(1, 3001)], f"seed {seed}")
        self.assertEqual(self.gaps, [], f"seed {seed}")
        last = 0
        for offset in seen:  # it never leaves one out
            self.assertLessEqual(offset, last + 1, f"seed {seed}")
            last = offset

    def test_the_members_of_a_group_share_it(self):
        self.store(20)
        members = [self.client() for _ in range(2)]
        for member in members:
            member.subscribe("log/**", group="g", durable="d", acks=True)
        seen = []

        def has_all():
            for member in members:
                try:
                    message = member.receive(0.01)
                except TimeoutError:
                    continue
                self.assertGreater(message.ack_id, 0)
                seen.append(message.offset)
                member.done(message)
            return len(seen) >= 20

        await_condition(has_all, "20 messages")
        self.assertEqual(sorted(seen), [*range(1, 21)])
        self.await_position("d", 21)

    def test_what_a_member_has_not_done_comes_again(self):
        self.store(3)
        options = {"group": "g", "durable": "d"}
        acks = fifobus.AckOptions(unacked_max=3)
        with fifobus.Client() as client:
            client.subscribe("log/**", acks=acks, **options)
            got = [client.receive(HANG_SECONDS) for _ in range(3)]
            client.extend(got[0])
            client.done(got[1])
            client.ping(HANG_SECONDS)
        self.await_position("d", 1)
        self.bus.stop()
        self.bus.start()
        client = self.client()
        client.subscribe("log/**", acks=acks, **options)
        self.assertEqual(self.offsets(client, 2), [1, 3])
        self.assertEqual(self.gaps, [])

    def test_asyncio_as_well(self):
        self.store(5)

        async def main():
            async with fifobus.AsyncClient() as client:
                await client.subscribe("log/**", durable="d")
                async for message in client:
                    if message.offset == 5:
                        break
                client.done(message)
            async with fifobus.AsyncClient() as client:
                await client.subscribe("log/a", start=Start.last(2), until_now=True)
                self.assertEqual([m.offset async for m in client], [4, 5])

        asyncio.run(asyncio.wait_for(main(), HANG_SECONDS))
        self.await_position("d", 6)


if __name__ == "__main__":
    unittest.main()
