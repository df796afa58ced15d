"""fifobus.Client on a real broker."""

import os
import select
import signal
import subprocess
import sys
import threading
import time
import unittest

import fifobus
from tests.support.fifobus_support import HANG_SECONDS, Bus, await_condition


class ClientTest(unittest.TestCase):
    def setUp(self):
        self.bus = self.enterContext(Bus())

    def client(self, **options):
        options.setdefault("on_gap", self.fail)
        return self.enterContext(fifobus.Client(**options))

    def subscriber(self, pattern, **options):
        client = self.client(**options)
        client.subscribe(pattern)
        return client

    def test_what_is_published_after_subscribe_arrives(self):
        client = self.subscriber("a/**")
        client.publish("a/b", "text")
        client.publish("other", "not this")
        client.publish("a/b/c", b"\x00\xff")
        first, second = client.receive(HANG_SECONDS), client.receive(HANG_SECONDS)
        self.assertEqual((first.topic, first.payload), ("a/b", b"text"))
        self.assertEqual((second.topic, second.payload), ("a/b/c", b"\x00\xff"))

    def test_metadata_arrives(self):
        client = self.subscriber("a")
        client.publish(
            "a",
            memoryview(b"p"),
            headers={"k": "v"},
            reply_topic="b",
            content_type="text/plain",
            expiry=60,
            sequence=7,
            publish_time_unix_nanos=8,
        )
        message = client.receive(HANG_SECONDS)
        self.assertEqual(message.headers, {"k": b"v"})
        self.assertEqual(message.reply_topic, "b")
        self.assertEqual(message.content_type, "text/plain")
        self.assertGreater(message.expiry_unix_nanos, time.time_ns())
        self.assertEqual((message.sequence, message.publish_time_unix_nanos), (7, 8))
        self.assertFalse(message.retained)

    def test_an_expiry_is_kept_to_the_nanosecond(self):
        client = self.subscriber("a")
        expiry = time.time_ns() + 3_600_000_000_001
        client.publish("a", expiry_unix_nanos=expiry)
        self.assertEqual(client.receive(HANG_SECONDS).expiry_unix_nanos, expiry)

    def test_payloads_of_all_sizes_arrive(self):
        client = self.subscriber("a")
        sizes = [0, 1, 120, 121, 4096, 65536, 70000, 1 << 20, 15 << 20]
        for size in sizes:
            payload = os.urandom(size)
            client.publish("a", payload)
            self.assertEqual(client.receive(HANG_SECONDS).payload, payload)

    def test_a_batch_arrives_in_order(self):
        publisher, client = self.client(), self.subscriber("a")
        with publisher.batch():
            for number in range(20000):
                publisher.publish("a", str(number))
        for number in range(20000):
            self.assertEqual(client.receive(HANG_SECONDS).payload, b"%d" % number)

    def test_bad_names_and_sizes_are_refused_before_anything_is_sent(self):
        client = self.client()
        for topic in ("", "a b", "küche", "$sys/x", "a/*", "a.in"):
            with self.assertRaises(fifobus.InvalidName):
                client.publish(topic, "x")
        with self.assertRaises(ValueError):
            client.subscribe("a/**/b")
        with self.assertRaises(fifobus.InvalidName):
            client.publish("a", headers={"ü": "x"})
        with self.assertRaises(fifobus.MessageTooLarge):
            client.publish("a", bytes(16 << 20))
        client.ping()

    def test_non_blocking_calls_say_would_block(self):
        client = self.subscriber("a", mode=fifobus.Mode.NON_BLOCKING)
        with self.assertRaises(BlockingIOError):
            client.receive()
        with self.assertRaises(BlockingIOError):
            client.receive_nowait()
        client.mode = fifobus.Mode.BLOCKING
        with self.assertRaises(TimeoutError):
            client.receive(0.01)
        client.mode = fifobus.Mode.BUSY_POLL
        with self.assertRaises(fifobus.TimedOut):
            client.receive(0.01)
        client.publish("a", "x")
        self.assertEqual(client.receive(HANG_SECONDS).payload, b"x")

    def test_a_select_loop_gets_everything_and_does_other_work(self):
        client = self.subscriber("a", mode=fifobus.Mode.NON_BLOCKING)
        publisher = self.client()
        received = other_work = 0
        while received < 300:
            publisher.publish("a", "x")
            readable, _, _ = select.select([client], [], [], 0.5)
            if not readable:
                other_work += 1
                continue
            while True:
                try:
                    client.receive_nowait()
                except BlockingIOError:
                    break
                received += 1
        self.assertEqual(received + other_work, 300)

    def test_what_was_read_with_an_answer_is_not_forgotten_by_fileno(self):
        client = self.subscriber("a")
        client.publish("a", "x")
        client.ping()  # the message comes before its Pong
        self.assertTrue(select.select([client], [], [], HANG_SECONDS)[0])
        self.assertEqual(client.receive_nowait().payload, b"x")
        with self.assertRaises(BlockingIOError):
            client.receive_nowait()
        self.assertFalse(select.select([client], [], [], 0)[0])

    def test_a_full_pipe_takes_nothing_or_all(self):
        self.bus.kill()
        self.bus.start("--stall-timeout", "600s", "--queue-bytes", "65536")
        slow = self.subscriber("a")
        publisher = self.client()
        sent = 0
        while True:
            try:
                publisher.publish("a", b"%08d" % sent + bytes(20000), timeout=0.3)
            except TimeoutError:
                break
            sent += 1
        self.assertGreater(sent, 0)
        publisher.mode = fifobus.Mode.NON_BLOCKING
        # A short one might still fit into the last page of the full pipe.
        with self.assertRaises(BlockingIOError):
            publisher.publish("a", b"never" + bytes(20000))
        for number in range(sent):
            payload = slow.receive(HANG_SECONDS).payload
            self.assertEqual(payload[:8], b"%08d" % number)
            try:
                publisher.flush()
            except BlockingIOError:
                pass
        publisher.ping()
        with self.assertRaises(TimeoutError):
            slow.receive(0.01)

    def test_waits_for_a_broker_that_is_started_later(self):
        self.bus.stop()
        with self.assertRaises(ConnectionError) as nobody:
            fifobus.Client(connect_timeout=0.05)
        self.assertIn(self.bus.directory, str(nobody.exception))
        later = threading.Timer(0.2, self.bus.start)
        later.start()
        client = self.client(connect_timeout=HANG_SECONDS)
        later.join()
        client.ping()

    def test_comes_back_after_the_brokers_death_and_tells_of_the_gap(self):
        client = self.subscriber("a")
        publisher = self.client()
        for round_number in range(3):
            gaps = []
            client._on_gap = gaps.append
            self.bus.restart()
            self.publish_until_received(publisher, client, b"%d" % round_number)
            self.assertEqual(
                [gap.reason for gap in gaps], [fifobus.GapReason.RECONNECTED]
            )

    def publish_until_received(self, publisher, client, payload):
        """What is published before both are back is lost."""
        deadline = time.monotonic() + HANG_SECONDS
        while time.monotonic() < deadline:
            publisher.publish("a", payload)
            try:
                if client.receive(0.02).payload == payload:
                    return
            except TimeoutError:
                pass
        self.fail("nothing arrives")

    def test_a_stopping_broker_gets_all_and_is_not_held_up(self):
        client = self.subscriber("a")
        client.publish("a", "last")
        stopper = threading.Thread(target=self.bus.stop)
        begin = time.monotonic()
        stopper.start()
        gaps = []
        client._on_gap = gaps.append
        payloads = []
        while not gaps:
            try:
                payloads.append(client.receive(0.05).payload)
            except TimeoutError:
                pass
        stopper.join()
        self.assertEqual(payloads, [b"last"])
        self.assertEqual(client.publish_losses, 0)
        self.assertLess(time.monotonic() - begin, HANG_SECONDS)

    def test_without_reconnect_the_end_is_an_error(self):
        client = self.client(reconnect=False)
        self.bus.kill()
        with self.assertRaises(fifobus.Disconnected):
            client.receive(HANG_SECONDS)
        with self.assertRaises(ConnectionError):
            client.publish("a", "x")

    def test_no_sigpipe_even_where_it_would_kill(self):
        script = (
            "import fifobus, signal, sys\n"
            "signal.signal(signal.SIGPIPE, signal.SIG_DFL)\n"
            "client = fifobus.Client()\n"
            "print('up', flush=True)\n"
            "sys.stdin.readline()\n"
            "client.publish('a', 'x' * 100)\n"
            "print(signal.getsignal(signal.SIGPIPE) == signal.SIG_DFL)\n"
            "client.close()\n"
        )
        child = subprocess.Popen(
            [sys.executable, "-c", script],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path)),
        )
        self.assertEqual(child.stdout.readline(), b"up\n")
        self.bus.restart()
        output, _ = child.communicate(b"\n", HANG_SECONDS)
        self.assertEqual((child.returncode, output), (0, b"True\n"))

    def test_an_interrupted_publish_leaves_no_half_frame(self):
        self.bus.kill()
        self.bus.start("--stall-timeout", "600s", "--queue-bytes", "65536")
        slow = self.subscriber("a")
        publisher = self.client()

        class Interrupted(Exception):
            pass

        def interrupt(*_):
            raise Interrupted

        before = signal.signal(signal.SIGALRM, interrupt)
        self.addCleanup(signal.signal, signal.SIGALRM, before)
        sent = 0
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.3)
            while True:
                publisher.publish("a", b"%08d" % sent + bytes(300000))
                sent += 1
        except Interrupted:
            pass
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        finisher = threading.Thread(target=publisher.publish, args=("a", b"the end"))
        finisher.start()
        numbers = []
        while True:
            payload = slow.receive(HANG_SECONDS).payload
            if payload == b"the end":
                break
            self.assertEqual(len(payload), 300008)
            numbers.append(int(payload[:8]))
        finisher.join()
        # The one that was interrupted may have been begun, and then it was finished.
        self.assertIn(numbers, (list(range(sent)), list(range(sent + 1))))

    def test_one_thread_may_answer_itself(self):
        client = self.client()
        responder = self.subscriber("service")

        def respond():
            for _ in range(2):
                request = responder.receive(HANG_SECONDS)
                responder.reply(request, request.payload.upper())

        thread = threading.Thread(target=respond)
        thread.start()
        self.assertEqual(client.request("service", "abc").payload, b"ABC")
        self.assertEqual(client.request("service", "def").payload, b"DEF")
        thread.join()
        with self.assertRaises(fifobus.InvalidName):
            responder.reply(fifobus.Message("a", b""), "to nobody")

    def test_stats_show_the_client_and_closing_ends_its_session(self):
        client = self.client()
        with fifobus.Client(name="shown") as shown:
            shown.subscribe("x/*")
            named = [s for s in client.stats().sessions if s.client_name == "shown"]
            self.assertEqual(named[0].patterns, ["x/*"])
            self.assertEqual(named[0].pid, os.getpid())
        with self.assertRaises(fifobus.Closed):
            shown.receive()
        self.assertEqual(list(shown), [])
        await_condition(
            lambda: "shown" not in [s.client_name for s in client.stats().sessions],
            "the session to end",
        )

    def test_unsubscribed_topics_do_not_come(self):
        client = self.subscriber("a")
        client.subscribe("b")
        client.unsubscribe("a")
        client.publish("a", "x")
        client.publish("b", "y")
        self.assertEqual(client.receive(HANG_SECONDS).topic, "b")
        with self.assertRaises(fifobus.InvalidName):
            client.unsubscribe("a")

    def test_leaves_nothing_behind(self):
        before = len(os.listdir("/proc/self/fd"))
        with fifobus.Client():
            self.assertEqual(os.listdir(self.bus.directory + "/sessions"), [])
        self.assertLessEqual(len(os.listdir("/proc/self/fd")), before)
        self.bus.kill()
        with self.assertRaises(fifobus.NoBroker):
            fifobus.Client(connect_timeout=0.02)
        self.assertLessEqual(len(os.listdir("/proc/self/fd")), before)


if __name__ == "__main__":
    unittest.main()
