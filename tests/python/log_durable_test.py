"""What a durable reader in Python says it has done, and when."""

import asyncio
import unittest

import fifobus
from fifobus.protocol import control
from fifobus.protocol.control import ErrorCode
from tests.support.fake_log import LogReaderTest
from tests.support.fifobus_support import HANG_SECONDS, await_condition


class DurableTest(LogReaderTest):
    def test_a_message_is_done_when_the_next_is_asked_for(self):
        self.store(3)
        client = self.client()
        client.subscribe("log/**", durable="d")
        asked = self.broker.asked(control.Subscribe)[-1]
        self.assertEqual((asked.durable, asked.start), ("d", None))
        self.assertEqual(self.offsets(client, 3), [1, 2, 3])
        client.ping(HANG_SECONDS)
        self.assertNotEqual(self.broker.positions.get("d"), 4)
        with self.assertRaises(TimeoutError):
            client.receive(0.01)
        self.await_position("d", 4)

    def test_many_are_told_at_once(self):
        client = self.client()
        client.subscribe("log/**", durable="d")
        self.store(1000)  # a pipe holds them
        self.offsets(client, 1000)
        with self.assertRaises(fifobus.WouldBlock):
            client.receive_nowait()
        self.await_position("d", 1001)
        self.assertLess(len(self.broker.asked(control.Ack)), 500)

    def test_a_slow_program_is_not_far_behind(self):
        """Although there is always another message."""
        self.store(1000)
        client = self.client()
        client.subscribe("log/**", durable="d")
        for _ in range(999):
            client.receive(HANG_SECONDS)
            if self.broker.positions.get("d", 0) > 1:
                break
            client._dialogue.readers._told_at -= 1  # as if a second had passed
            client.ping(HANG_SECONDS)
        self.assertGreater(self.broker.positions["d"], 1)

    def test_the_last_one_is_not_done_by_leaving(self):
        self.store(3)
        with fifobus.Client() as client:
            client.subscribe("log/**", durable="d")
            self.offsets(client, 2)
            client.ping(HANG_SECONDS)  # all is written that was on its way here
        self.await_position("d", 2)
        client = self.client()
        client.subscribe("log/**", durable="d")
        self.assertEqual(self.offsets(client, 2), [2, 3])

    def test_done_says_so_and_nothing_else_does(self):
        self.store(4)
        with fifobus.Client() as client:
            client.subscribe("log/**", durable="d", auto_ack=False)
            got = self.receive(client, 4)
            with self.assertRaises(TimeoutError):
                client.receive(0.01)
            client.ping(HANG_SECONDS)
            self.assertEqual(self.broker.asked(control.Ack), [])
            client.done(got[2])
            client.done(got[0])  # it is done already
        self.await_position("d", 4)
        self.assertEqual(len(self.broker.asked(control.Ack)), 1)

    def test_flush_tells_what_is_done(self):
        self.store(2)
        client = self.client()
        client.subscribe("log/**", durable="d", auto_ack=False)
        for received in self.receive(client, 2):
            client.done(received)
        client.flush(HANG_SECONDS)
        self.await_position("d", 3)

    def test_unsubscribing_tells_what_is_done(self):
        self.store(2)
        client = self.client()
        client.subscribe("log/**", durable="d", auto_ack=False)
        for received in self.receive(client, 2):
            client.done(received)
        client.unsubscribe("log/**")
        self.assertEqual(self.broker.positions["d"], 3)

    def test_two_readers_are_told_apart_by_their_topics(self):
        client = self.client()
        client.subscribe("log/a/*", durable="a")
        client.subscribe("log/*", durable="b")
        self.store(2, "log/a/x")
        self.store(1, "log/b")
        self.offsets(client, 3)
        with self.assertRaises(TimeoutError):
            client.receive(0.01)
        self.await_position("a", 3)
        self.await_position("b", 4)

    def test_the_next_session_begins_where_the_broker_says(self):
        self.store(5)
        client = self.client()
        client.subscribe("log/**", durable="d", auto_ack=False)
        got = self.receive(client, 2)  # and more is read ahead
        client.done(got[0])
        client.flush(HANG_SECONDS)
        self.await_position("d", 2)
        self.end_session()
        await_condition(lambda: self.is_in_session(client, 2), "the next session")
        again = self.receive(client, 4)
        self.assertEqual([m.offset for m in again], [2, 3, 4, 5])
        client.done(got[1])  # another delivery
        client.flush(HANG_SECONDS)
        client.ping(HANG_SECONDS)
        self.assertEqual(self.broker.positions["d"], 2)
        client.done(again[-1])
        client.flush(HANG_SECONDS)
        self.await_position("d", 6)
        self.assertEqual(self.gaps, [])

    def is_in_session(self, client, number):
        try:
            client.ping(HANG_SECONDS)
        except fifobus.Disconnected:
            return False
        return len(self.broker.sessions) == number

    def test_a_later_reader_of_the_name_ends_this_one(self):
        client = self.client()
        client.subscribe("log/**", durable="d")
        with self.broker.lock:
            self.broker.sessions[-1].write(
                control.Error(ErrorCode.FENCED, "taken over")
            )
            self.broker.sessions[-1].end()
        with self.assertRaises(fifobus.Fenced):
            client.receive(HANG_SECONDS)
        self.assertEqual(len(self.broker.sessions), 1)

    def test_a_group_answers_each_message(self):
        self.store(3)
        client = self.client()
        client.subscribe("log/**", group="g", durable="d", acks=True)
        asked = self.broker.asked(control.Subscribe)[-1]
        self.assertEqual((asked.durable, asked.group), ("d", "g"))
        first, second, third = self.receive(client, 3)
        self.assertEqual((second.offset, second.ack_id), (2, 102))
        client.done(first)
        client.extend(second)
        third.retry()
        await_condition(lambda: len(self.broker.asked(control.Ack)) == 3, "Acks")
        verdicts = [(a.ack_ids, a.verdict) for a in self.broker.asked(control.Ack)]
        self.assertEqual(verdicts, [([101], 0), ([102], 2), ([103], 1)])

    def test_a_task_tells_what_is_done(self):
        self.store(3)

        async def body(client):
            await client.subscribe("log/a", durable="d")
            for _ in range(3):
                await client.receive()
            with self.assertRaises(TimeoutError):
                await client.receive(0.01)
            while self.broker.positions.get("d") != 4:
                await asyncio.sleep(0.001)
            self.store(2)
            await client.receive()
            client.done(await client.receive())

        async def main():
            async with fifobus.AsyncClient() as client:
                await asyncio.wait_for(body(client), HANG_SECONDS)

        asyncio.run(main())
        self.await_position("d", 6)


if __name__ == "__main__":
    unittest.main()
