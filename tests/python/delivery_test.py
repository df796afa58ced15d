"""The delivery contract as Python sees it: proto/PROTOCOL.md, "What a subscriber
is told", "What a publisher is told"."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
import unittest

import fifobus
from tests.support.fifobus_support import HANG_SECONDS, Bus, await_condition

# Of 4,000 bytes: more than a pipe, however it grows, and a queue hold together.
MESSAGES = 400


class DeliveryTest(unittest.TestCase):
    def setUp(self):
        self.bus = self.enterContext(Bus())
        self.gaps = []

    def client(self, **options):
        options.setdefault("on_gap", self.gaps.append)
        return self.enterContext(fifobus.Client(**options))

    def subscriber(self, pattern, **options):
        client = self.client(**options)
        client.subscribe(pattern)
        return client

    def drain(self, client):
        """The payloads of all that there is: what came before the answer to ping."""
        client.ping(HANG_SECONDS)
        payloads = []
        while True:
            try:
                payloads.append(client.receive_nowait().payload)
            except BlockingIOError:
                return payloads

    def test_retained_values_come_first_and_say_so(self):
        publisher = self.client()
        confirmation = publisher.publish("a/b", "kept", retain=True, confirm=True)
        self.assertTrue(confirmation.retained)
        late = self.subscriber("a/*")
        message = late.receive(HANG_SECONDS)
        self.assertEqual((message.payload, message.retained), (b"kept", True))
        publisher.publish("a/b", "live", retain=True)
        message = late.receive(HANG_SECONDS)
        self.assertEqual((message.payload, message.retained), (b"live", False))
        uninterested = self.client()
        uninterested.subscribe("a/*", skip_retained=True)
        self.assertEqual(self.drain(uninterested), [])
        publisher.publish("a/b", retain=True, confirm=True)  # clears it
        self.assertEqual(self.drain(self.subscriber("a/*")), [])

    def test_a_confirmation_says_who_takes_the_message(self):
        publisher = self.client()
        nobody = publisher.publish("a", "x", confirm=True)
        self.assertEqual((nobody.sessions, nobody.taps), (0, 0))
        self.subscriber("a")
        self.subscriber("*")
        two = publisher.publish("a", "x", confirm=True)
        self.assertEqual(two.level, fifobus.Level.ACCEPTED)
        self.assertEqual((two.sessions, two.retained), (2, False))

    def test_a_request_that_nobody_takes_fails_at_once(self):
        with self.assertRaises(fifobus.NoResponders):
            self.client().request("nobody/there", "x", timeout=HANG_SECONDS)
        self.subscriber("silent")
        with self.assertRaises(fifobus.TimedOut):
            self.client().request("silent", "x", timeout=0.05)

    def test_a_group_shares_and_acknowledges(self):
        members = [self.client() for _ in range(2)]
        for member in members:
            member.subscribe("jobs/*", group="workers", acks=True)
        publisher = self.client()
        for number in range(10):
            publisher.publish("jobs/x", str(number))
        done = []
        while len(done) < 10:
            for member in members:
                try:
                    message = member.receive(0.01)
                except TimeoutError:
                    continue
                self.assertGreater(message.ack_id, 0)
                message.ack()
                done.append(int(message.payload))
        self.assertEqual(sorted(done), list(range(10)))
        publisher.ping()
        self.assertEqual([self.drain(member) for member in members], [[], []])

    def test_what_a_member_takes_along_is_counted(self):
        member = self.client()
        member.subscribe("jobs", group="workers")
        publisher = self.client()
        for number in range(20):
            publisher.publish("jobs", str(number))
        publisher.ping()
        for _ in range(5):
            member.receive(HANG_SECONDS)
        member.close()

        def taken_along():
            counters = publisher.stats().counters
            return sum(c.value for c in counters if c.name == "messages_taken_along")

        await_condition(lambda: taken_along() == 15, "the count")

    def test_what_is_to_be_retried_or_was_not_answered_comes_again(self):
        first, second = self.client(), self.client()
        options = fifobus.AckOptions(timeout=HANG_SECONDS)
        first.subscribe("jobs", group="workers", acks=options)
        self.client().publish("jobs", "x")
        message = first.receive(HANG_SECONDS)
        self.assertEqual(message.delivery_count, 1)
        message.retry()
        message = first.receive(HANG_SECONDS)
        self.assertEqual(message.delivery_count, 2)
        second.subscribe("jobs", group="workers", acks=options)
        first.close()
        again = second.receive(HANG_SECONDS)
        self.assertEqual((again.payload, again.delivery_count), (b"x", 3))
        message.ack()  # of a client that is closed: passed over
        again.ack()

    def test_given_up_messages_are_dead_letters(self):
        letters = self.subscriber("$dead/workers")
        worker = self.client()
        worker.subscribe(
            "jobs", group="workers", acks=fifobus.AckOptions(deliveries_max=2)
        )
        self.client().publish("jobs", "poison")
        for _ in range(2):
            worker.receive(HANG_SECONDS).retry()
        letter = letters.receive(HANG_SECONDS)
        self.assertEqual(letter.payload, b"poison")
        self.assertEqual(letter.headers["fifobus-topic"], b"jobs")

    def test_groups_that_are_none_are_refused(self):
        client = self.client()
        with self.assertRaises(fifobus.InvalidName):
            client.subscribe("a", group="two/levels")
        with self.assertRaises(fifobus.InvalidName):
            client.subscribe("a", acks=True)
        client.subscribe("a", group="g", acks=True)
        with self.assertRaises(fifobus.Refused) as refused:
            self.client().subscribe("a", group="g")
        self.assertEqual(
            refused.exception.code, fifobus.protocol.control.ErrorCode.BAD_GROUP
        )
        client.unsubscribe("a", group="g")

    def test_the_will_of_the_killed_is_published_and_that_of_leavers_is_not(self):
        heirs = self.subscriber("wills/*")
        with fifobus.Client(will=fifobus.Will("wills/left", "not this")):
            pass
        script = (
            "import fifobus, time\n"
            "will = fifobus.Will('wills/killed', 'gone', headers={'k': 'v'})\n"
            "client = fifobus.Client(will=will)\n"
            "print('up', flush=True)\n"
            "time.sleep(1000)\n"
        )
        child = subprocess.Popen(
            [sys.executable, "-c", script],
            stdout=subprocess.PIPE,
            env=dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path)),
        )
        self.assertEqual(child.stdout.readline(), b"up\n")
        child.send_signal(signal.SIGKILL)
        child.communicate()
        message = heirs.receive(HANG_SECONDS)
        self.assertEqual((message.topic, message.payload), ("wills/killed", b"gone"))
        self.assertEqual(message.headers, {"k": b"v"})
        with self.assertRaises(fifobus.InvalidName):
            fifobus.Client(will=fifobus.Will("$sys/x"))

    def overflow(self, policy, **options):
        """A subscriber of that policy that was too slow, with what it gets then."""
        self.bus.kill()
        self.bus.start("--stall-timeout", "50ms", "--queue-bytes", "65536")
        slow = self.client(overflow=policy, **options)
        slow.subscribe("a/*")
        publisher = self.client()
        for number in range(MESSAGES):
            publisher.publish(f"a/{number % 2}", b"%08d" % number + bytes(4000))
        publisher.ping(HANG_SECONDS)
        return slow

    def numbers(self, slow):
        return [int(payload[:8]) for payload in self.drain(slow)]

    def test_what_is_dropped_for_a_slow_subscriber_is_told_where_it_is_missing(self):
        slow = self.overflow(fifobus.Overflow.DROP_OLDEST)
        events = []
        slow._on_gap = events.append
        numbers = self.numbers(slow)
        self.assertEqual(numbers[-1], MESSAGES - 1)
        self.assertEqual(numbers, sorted(numbers))
        lost = sum(gap.messages for gap in events)
        self.assertGreater(lost, 0)
        self.assertEqual(len(numbers) + lost, MESSAGES)
        self.assertEqual({gap.reason for gap in events}, {fifobus.GapReason.OVERFLOW})
        self.assertEqual(sum(sum(g.losses.values()) for g in events), lost)

    def test_the_newest_are_dropped_for_who_wants_that(self):
        numbers = self.numbers(self.overflow(fifobus.Overflow.DROP_NEWEST))
        self.assertEqual(numbers, list(range(len(numbers))))
        self.assertEqual(len(numbers) + sum(g.messages for g in self.gaps), MESSAGES)

    def test_of_each_topic_the_latest_stays_for_who_wants_that(self):
        numbers = self.numbers(self.overflow(fifobus.Overflow.LATEST))
        self.assertLessEqual({MESSAGES - 2, MESSAGES - 1}, set(numbers), numbers)
        self.assertEqual(len(numbers) + sum(g.messages for g in self.gaps), MESSAGES)
        reasons = {gap.reason for gap in self.gaps}
        self.assertIn(fifobus.GapReason.CONFLATED, reasons)

    def test_who_wants_to_be_ended_for_being_slow_is(self):
        slow = self.overflow(fifobus.Overflow.DISCONNECT)
        with self.assertRaises(fifobus.SessionRefused) as ended:
            while True:
                slow.receive(HANG_SECONDS)
        code = ended.exception.code
        self.assertEqual(code, fifobus.protocol.control.ErrorCode.OVERFLOW)

    def test_who_was_too_slow_to_be_told_so_is_ended_all_the_same(self):
        slow = self.overflow(fifobus.Overflow.DISCONNECT, name="slow")
        watcher = self.client()
        await_condition(
            lambda: "slow" not in [s.client_name for s in watcher.stats().sessions],
            "the slow session's end",
        )
        with self.assertRaises(fifobus.SessionRefused) as ended:
            while True:
                slow.receive(HANG_SECONDS)
        code = ended.exception.code
        self.assertEqual(code, fifobus.protocol.control.ErrorCode.OVERFLOW)
        self.assertEqual(self.gaps[-1].reason, fifobus.GapReason.DISCONNECTED)

    def test_events_have_gaps_in_line(self):
        slow = self.overflow(fifobus.Overflow.DROP_NEWEST)
        total = 0
        for event in slow.events():
            total += event.messages if isinstance(event, fifobus.Gap) else 1
            if total == MESSAGES:
                break
        self.assertEqual(self.gaps, [])

    def test_expired_messages_are_told_as_a_gap(self):
        self.bus.kill()
        self.bus.start("--stall-timeout", "600s")
        slow = self.subscriber("a")
        publisher = self.client()
        for _ in range(8):
            publisher.publish("a", bytes(100_000))
        for _ in range(5):
            publisher.publish("a", "stale", expiry=0.01)
        publisher.publish("a", "fresh")
        publisher.ping(HANG_SECONDS)
        time.sleep(0.02)  # the expiry itself
        payloads = []
        while not payloads or payloads[-1] != b"fresh":
            payloads.append(slow.receive(HANG_SECONDS).payload)
        told = sum(gap.messages for gap in self.gaps)
        self.assertEqual(payloads.count(b"stale") + told, 5)
        self.assertGreater(told, 0)
        self.assertEqual({gap.reason for gap in self.gaps}, {fifobus.GapReason.EXPIRED})

    def test_waiting_for_subscribers_ends_when_they_are_there(self):
        publisher = self.client()
        with self.assertRaises(TimeoutError):
            publisher.wait_for_subscribers("a", timeout=0.05)
        later = threading.Timer(0.1, lambda: self.subscriber("*"))
        later.start()
        publisher.wait_for_subscribers("a", timeout=HANG_SECONDS)
        later.join()

    def test_asyncio_sees_the_same(self):
        async def main():
            async with fifobus.AsyncClient() as client:
                with self.assertRaises(fifobus.NoResponders):
                    await client.request("nobody", "x", timeout=HANG_SECONDS)
                await client.publish("a", "kept", retain=True, confirm=True)
                await client.subscribe("a", group="g", acks=True)
                confirmations = await asyncio.gather(
                    *(client.publish("a", str(n), confirm=True) for n in range(20))
                )
                self.assertEqual({c.sessions for c in confirmations}, {1})
                for number in range(20):
                    message = await client.receive(HANG_SECONDS)
                    self.assertEqual(message.payload, str(number).encode())
                    message.ack()
                await client.subscribe("a")
                self.assertTrue((await client.receive(HANG_SECONDS)).retained)

        asyncio.run(main())


if __name__ == "__main__":
    unittest.main()
