"""The Python clients and a broker with a log."""

import asyncio
import threading
import unittest

import fifobus
from fifobus import Level, Start
from tests.support.fifobus_support import HANG_SECONDS, LogBus, await_condition


class LogTest(unittest.TestCase):
    def setUp(self):
        self.bus = self.enterContext(LogBus())

    def client(self, **options):
        options.setdefault("on_gap", self.fail)
        return self.enterContext(fifobus.Client(**options))

    def log(self, client):
        (log,) = client.stats(timeout=HANG_SECONDS).logs
        return log


class PublishTest(LogTest):
    def test_what_is_stored_survives_the_broker(self):
        with fifobus.Client() as client:
            for offset in (1, 2, 3):
                stored = client.publish(
                    "log/a", b"x", level=Level.STORED, timeout=HANG_SECONDS
                )
                self.assertEqual((stored.level, stored.offset), (Level.STORED, offset))
        self.bus.restart()
        client = self.client()
        self.assertEqual(self.log(client).next_offset, 4)
        written = client.publish(
            "log/a", b"x", level=Level.WRITTEN, timeout=HANG_SECONDS
        )
        self.assertGreaterEqual(written.level, Level.WRITTEN)
        self.assertEqual(written.offset, 4)

    def test_a_topic_without_a_log(self):
        client = self.client()
        with self.assertRaises(fifobus.NoLog):
            client.publish("plain", b"x", level=Level.STORED, timeout=HANG_SECONDS)
        confirmed = client.publish("plain", b"x", confirm=True, timeout=HANG_SECONDS)
        self.assertEqual((confirmed.level, confirmed.offset), (Level.ACCEPTED, 0))

    def test_flush_waits_until_all_is_on_disk(self):
        client = self.client()
        pending = [client.publish_pending("log/a", b"x") for _ in range(1000)]
        client.flush(HANG_SECONDS, level=Level.STORED)
        # Confirmations come before the Pong that is behind them.
        self.assertTrue(all(one.done for one in pending))
        self.assertEqual(self.log(client).committed_offset, 1000)

    def test_numbers_go_on_in_the_next_session(self):
        for first in (1, 11):
            with fifobus.Client(publisher="p") as client:
                self.assertEqual(client.last_sequence, first - 1)
                for _ in range(10):
                    client.publish("log/a", b"x")
                client.flush(HANG_SECONDS, level=Level.STORED)
        with fifobus.Client(publisher="p") as client:
            mark = client.publisher_marks["log"]
            self.assertEqual((mark.last_sequence, mark.last_offset), (20, 20))
            again = client.publish(
                "log/a", b"x", sequence=20, level=Level.STORED, timeout=HANG_SECONDS
            )
            self.assertEqual((again.duplicate, again.offset), (True, 20))
            self.assertEqual(self.log(client).next_offset, 21)

    def test_a_later_client_of_the_name_takes_it_over(self):
        first = self.client(publisher="p")
        first.publish("log/a", b"x", level=Level.STORED, timeout=HANG_SECONDS)
        second = self.client(publisher="p")
        self.assertEqual(second.last_sequence, 1)
        with self.assertRaises(fifobus.Fenced):
            first.publish("log/a", b"y", level=Level.STORED, timeout=HANG_SECONDS)
        second.publish("log/a", b"z", level=Level.STORED, timeout=HANG_SECONDS)

    def test_the_death_of_the_broker_neither_loses_nor_doubles(self):
        client = self.client(publisher="p", resend_bytes_max=1 << 20)
        died = threading.Event()

        def die():
            for _ in range(3):
                died.wait(0.2)
                self.bus.restart()

        thread = threading.Thread(target=die)
        thread.start()
        pending = []
        while thread.is_alive() or len(pending) < 3000:
            pending.append(
                client.publish_pending("log/a", b"x" * 100, timeout=HANG_SECONDS)
            )
        thread.join()
        for one in pending:
            one.result(HANG_SECONDS)
        self.assertEqual(self.log(client).next_offset, len(pending) + 1)

    def test_asyncio_as_well(self):
        async def main():
            async with fifobus.AsyncClient(publisher="p") as client:
                calls = [
                    client.publish("log/a", b"x", level=Level.STORED) for _ in range(50)
                ]
                stored = await asyncio.gather(*calls)
                self.assertEqual(sorted(one.offset for one in stored), [*range(1, 51)])
                with self.assertRaises(fifobus.NoLog):
                    await client.publish("plain", level=Level.STORED)
                await client.flush(HANG_SECONDS, level=Level.STORED)
                self.assertEqual(client.last_sequence, 51)

        asyncio.run(asyncio.wait_for(main(), HANG_SECONDS))


if __name__ == "__main__":
    unittest.main()
