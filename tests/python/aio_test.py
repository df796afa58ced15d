"""fifobus.AsyncClient on a real broker."""

import asyncio
import os
import random
import time
import unittest

import fifobus
from tests.support.fifobus_support import HANG_SECONDS, Bus


class AsyncClientTest(unittest.IsolatedAsyncioTestCase):
    def setUp(self):
        self.bus = self.enterContext(Bus())
        self.gaps = []

    async def client(self, **options):
        return await self.enterAsyncContext(
            fifobus.AsyncClient(on_gap=self.gaps.append, **options)
        )

    async def subscriber(self, pattern, **options):
        client = await self.client(**options)
        await client.subscribe(pattern)
        return client

    async def test_what_is_published_after_subscribe_arrives(self):
        client = await self.subscriber("a/**")
        await client.publish("a/b", "text", headers={"k": "v"})
        await client.publish("a/c", os.urandom(5 << 20))
        message = await client.receive(HANG_SECONDS)
        self.assertEqual((message.topic, message.payload), ("a/b", b"text"))
        self.assertEqual(message.headers, {"k": b"v"})
        self.assertEqual(len((await client.receive(HANG_SECONDS)).payload), 5 << 20)
        with self.assertRaises(TimeoutError):
            await client.receive(0.01)
        with self.assertRaises(BlockingIOError):
            client.receive_nowait()

    async def test_an_expiry_is_kept_to_the_nanosecond(self):
        client = await self.subscriber("a")
        expiry = time.time_ns() + 3_600_000_000_001
        await client.publish("a", expiry_unix_nanos=expiry)
        message = await client.receive(HANG_SECONDS)
        self.assertEqual(message.expiry_unix_nanos, expiry)

    async def test_publish_waits_for_the_slowest_and_other_tasks_go_on(self):
        self.bus.kill()
        self.bus.start("--stall-timeout", "600s", "--queue-bytes", "65536")
        slow = await self.subscriber("a")
        publisher = await self.client()
        sent = []

        async def publish():
            for number in range(200):
                await publisher.publish("a", b"%08d" % number + bytes(50000))
                sent.append(number)

        task = asyncio.create_task(publish())
        # 10 MB do not fit into pipes, queue and what is read ahead.
        while len(sent) < 10:
            await asyncio.sleep(0.001)
        held = -1
        while held != len(sent):
            held = len(sent)
            await asyncio.sleep(0.2)
        self.assertLess(held, 200)
        for number in range(200):
            message = await slow.receive(HANG_SECONDS)
            self.assertEqual(message.payload[:8], b"%08d" % number)
        await task

    async def test_messages_go_out_in_the_order_of_publish(self):
        """Also of tasks that begin while others wait for a full pipe."""
        subscriber = await self.subscriber("a")
        publisher = await self.client()
        numbers = 400

        async def publish(number):
            await publisher.publish("a", b"%08d" % number + bytes(100_000))

        async def begin():
            tasks = []
            for number in range(numbers):
                tasks.append(asyncio.create_task(publish(number)))
                if number % 3 == 0:
                    await asyncio.sleep(0)
            await asyncio.gather(*tasks)

        task = asyncio.create_task(begin())
        got = []
        while len(got) < numbers:
            message = await subscriber.receive(HANG_SECONDS)
            got.append(int(message.payload[:8]))
        await task
        self.assertEqual(got, list(range(numbers)))

    async def test_cancelled_publishes_take_all_or_nothing(self):
        seed = int.from_bytes(os.urandom(4), "big")
        dice = random.Random(seed)
        subscriber = await self.subscriber("a")
        publisher = await self.client()
        taken = []

        async def publish(number):
            await publisher.publish("a", b"%08d" % number + bytes(100_000))
            taken.append(number)

        received = []

        async def receive():
            async for message in subscriber:
                if message.payload == b"the end":
                    return
                self.assertEqual(len(message.payload), 100_008, f"seed {seed}")
                received.append(int(message.payload[:8]))

        receiver = asyncio.create_task(receive())
        for start in range(0, 300, 10):
            tasks = [asyncio.create_task(publish(start + n)) for n in range(10)]
            await asyncio.sleep(0)
            for task in tasks:
                if dice.random() < 0.5:
                    task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        await publisher.publish("a", "the end")
        await asyncio.wait_for(receiver, HANG_SECONDS)
        # One that was cancelled in the middle of its frame was finished.
        self.assertLessEqual(set(taken), set(received), f"seed {seed}")
        self.assertEqual(received, sorted(received), f"seed {seed}")
        self.assertEqual(len(received), len(set(received)), f"seed {seed}")

    async def test_cancelled_receives_lose_nothing(self):
        client = await self.subscriber("a")
        publisher = await self.client()
        received = []

        async def publish():
            for number in range(500):
                await publisher.publish("a", str(number))
                await asyncio.sleep(0)

        task = asyncio.create_task(publish())
        while len(received) < 500:
            receive = asyncio.create_task(client.receive(HANG_SECONDS))
            await asyncio.sleep(0)
            receive.cancel()
            try:
                received.append(int((await receive).payload))
            except asyncio.CancelledError:
                await asyncio.sleep(0.0001)
        await task
        self.assertEqual(received, list(range(500)))

    async def test_iteration_outlives_brokers_that_are_killed(self):
        client = await self.subscriber("a")
        publisher = await self.client()
        received = asyncio.Queue()

        async def iterate():
            async for message in client:
                received.put_nowait(message.payload)

        task = asyncio.create_task(iterate())
        for number in range(3):
            payload = b"%d" % number
            for _ in range(10000):
                await publisher.publish("a", payload)
                try:
                    got = await asyncio.wait_for(received.get(), 0.02)
                except asyncio.TimeoutError:
                    continue
                if got == payload:
                    break
            self.assertEqual(got, payload)
            self.bus.kill()
            await asyncio.sleep(0.05)
            self.assertFalse(task.done())
            self.bus.start()
        reasons = {gap.reason for gap in self.gaps}
        self.assertEqual(reasons, {fifobus.GapReason.RECONNECTED})
        await client.close()
        await asyncio.wait_for(task, HANG_SECONDS)

    async def test_requests_of_many_tasks_get_their_own_replies(self):
        client = await self.client()
        responder = await self.subscriber("service")

        async def respond():
            async for request in responder:
                await responder.reply(request, request.payload * 2)

        task = asyncio.create_task(respond())
        replies = await asyncio.gather(
            *(client.request("service", str(number)) for number in range(50))
        )
        self.assertEqual(
            [reply.payload for reply in replies],
            [str(number).encode() * 2 for number in range(50)],
        )
        task.cancel()

    async def test_a_batch_goes_out_at_its_end(self):
        client = await self.subscriber("a")
        publisher = await self.client()
        async with publisher.batch():
            for number in range(3000):
                await publisher.publish("a", str(number))
        for number in range(3000):
            message = await client.receive(HANG_SECONDS)
            self.assertEqual(message.payload, str(number).encode())

    async def test_names_are_checked_and_requests_refused(self):
        client = await self.client()
        with self.assertRaises(fifobus.InvalidName):
            await client.publish("küche", "x")
        with self.assertRaises(fifobus.InvalidName):
            await client.subscribe("a/**/b")
        await client.ping()
        self.assertEqual(len((await client.stats()).sessions), 1)

    async def test_no_broker_is_an_error_that_says_where_it_looked(self):
        self.bus.kill()
        with self.assertRaises(fifobus.NoBroker) as nobody:
            async with fifobus.AsyncClient(connect_timeout=0.05):
                self.fail("there is no broker")
        self.assertIn(self.bus.directory, str(nobody.exception))

    async def test_an_idle_client_does_not_wake_the_loop(self):
        client = await self.subscriber("a")
        wakes = 0
        ready = client._on_ready

        def count():
            nonlocal wakes
            wakes += 1
            ready()

        asyncio.get_running_loop().add_reader(client._connection.fileno(), count)
        await asyncio.sleep(0.3)
        self.assertLessEqual(wakes, 2)


if __name__ == "__main__":
    unittest.main()
