"""fifobus.tap on a real broker."""

import base64
import os
import select
import subprocess
import sys
import time
import unittest

import fifobus
from fifobus import tap
from tests.support.fifobus_support import HANG_SECONDS, Bus
from tests.support.interruption import at_instructions


class TapTest(unittest.TestCase):
    def setUp(self):
        self.bus = self.enterContext(Bus())

    def test_lines_come_as_json(self):
        with tap.Subscriber("a/b") as subscriber, tap.Publisher("a/b") as publisher:
            publisher.publish("text")
            publisher.publish(b"\xff binary")
            message = subscriber.receive(HANG_SECONDS)
            self.assertEqual((message["topic"], message["payload"]), ("a/b", "text"))
            message = subscriber.receive(HANG_SECONDS)
            payload = base64.b64decode(message["payload_base64"])
            self.assertEqual(payload, b"\xff binary")
            with self.assertRaises(BlockingIOError):
                subscriber.receive_nowait()
            with self.assertRaises(TimeoutError):
                subscriber.receive(0.01)
            publisher.publish_nowait("last")
            self.assertTrue(select.select([subscriber], [], [], HANG_SECONDS)[0])
            self.assertEqual(subscriber.receive_nowait()["payload"], "last")

    def test_sessions_and_taps_meet(self):
        with tap.Subscriber("a", "me") as subscriber, fifobus.Client() as client:
            client.publish("a", "x", headers={"k": "v"}, sequence=3)
            message = subscriber.receive(HANG_SECONDS)
            self.assertEqual(message["headers"], {"k": "v"})
            self.assertEqual(message["sequence"], 3)
            client.subscribe("a")
            with tap.Publisher("a") as publisher:
                publisher.publish("y")
            self.assertEqual(client.receive(HANG_SECONDS).payload, b"y")

    def test_losses_are_counted_and_are_no_messages(self):
        with tap.Subscriber("a") as subscriber, fifobus.Client() as client:
            client.publish("a", "stale", expiry=0)
            client.publish("a", "fresh")
            self.assertEqual(subscriber.receive(HANG_SECONDS)["payload"], "fresh")
            self.assertEqual(subscriber.lost, 1)

    def test_whatever_a_message_holds_is_no_beginning_of_another(self):
        with tap.Subscriber("a") as subscriber, fifobus.Client() as client:
            headers = {"topic": "orders", "gap": "{"}
            client.publish("a", '{"topic":"b","payload":""}', headers=headers)
            message = subscriber.receive(HANG_SECONDS)
            self.assertEqual(message["payload"], '{"topic":"b","payload":""}')
            self.assertEqual(message["headers"], headers)

    def test_what_has_expired_in_the_fifo_is_dropped_and_counted(self):
        with tap.Subscriber("a") as subscriber, fifobus.Client() as client:
            client.publish("a", "stale", expiry=0.05)
            client.publish("a", "kept", expiry=HANG_SECONDS)
            client.publish("a", "fresh")
            client.ping()
            select.select([subscriber], [], [], HANG_SECONDS)
            time.sleep(0.1)  # the expiry itself
            self.assertEqual(subscriber.receive(HANG_SECONDS)["payload"], "kept")
            self.assertEqual(subscriber.receive(HANG_SECONDS)["payload"], "fresh")
            self.assertEqual(subscriber.lost, 1)

    def test_an_interruption_loses_no_other_line(self):
        sizes = [10, 3000, 20, 30]
        with tap.Subscriber("a", "me") as subscriber, fifobus.Client() as client:

            def make_call():
                for size in sizes:
                    client.publish("a", "x" * size)
                client.ping()
                select.select([subscriber], [], [], HANG_SECONDS)
                return subscriber.receive

            def check(place):
                client.publish("a", "")
                left = []
                while not left or left[-1] != 0:
                    left.append(len(subscriber.receive(HANG_SECONDS)["payload"]))
                self.assertIn(left[:-1], (sizes, sizes[1:]), f"at {place}")

            at_instructions(make_call, check)

    def test_a_tap_ends_with_its_fifo(self):
        with tap.Subscriber("a", "me"):
            path = f"{self.bus.directory}/topics/a.out/me.json"
            self.assertTrue(os.path.exists(path))
        self.assertFalse(os.path.exists(path))

    def test_lines_that_are_none_are_refused(self):
        with tap.Publisher("a") as publisher:
            with self.assertRaises(fifobus.MessageTooLarge):
                publisher.publish("x" * 4096)
            with self.assertRaises(fifobus.InvalidName):
                publisher.publish("two\nlines")
        with self.assertRaises(fifobus.InvalidName):
            tap.Publisher("küche")
        with self.assertRaises(fifobus.InvalidName):
            tap.Subscriber("a", "../me")

    def test_outlives_the_broker(self):
        with tap.Subscriber("a") as subscriber, tap.Publisher("a") as publisher:
            publisher.publish("one")
            self.assertEqual(subscriber.receive(HANG_SECONDS)["payload"], "one")
            self.bus.kill()
            with self.assertRaises(BlockingIOError):
                publisher.publish_nowait("nobody is there")
            with self.assertRaises(TimeoutError):
                publisher.publish("nobody is there", timeout=0.05)
            self.bus.start()
            publisher.publish("two", timeout=HANG_SECONDS)
            self.assertEqual(subscriber.receive(HANG_SECONDS)["payload"], "two")

    def test_a_line_that_a_killed_broker_began_is_passed_over(self):
        with tap.Subscriber("a", "me") as subscriber:
            path = f"{self.bus.directory}/topics/a.out/me.json"
            with open(path, "wb", buffering=0) as dead:
                dead.write(b'{"topic":"a","payload":"hal')
                dead.write(b'{"topic":"a","headers":{"topic":')
            with tap.Publisher("a") as publisher:
                publisher.publish("whole")
            self.assertEqual(subscriber.receive(HANG_SECONDS)["payload"], "whole")

    def test_needs_neither_asyncio_nor_protobuf(self):
        script = (
            "import sys, fifobus.tap\n"
            "print([m for m in ('asyncio', 'google.protobuf') if m in sys.modules])"
        )
        output = subprocess.check_output(
            [sys.executable, "-c", script],
            env=dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path)),
        )
        self.assertEqual(output, b"[]\n")

    def test_waits_for_no_broker_longer_than_told(self):
        self.bus.stop()
        with self.assertRaises(TimeoutError):
            tap.topic_path("b", timeout=0.05)


if __name__ == "__main__":
    unittest.main()
