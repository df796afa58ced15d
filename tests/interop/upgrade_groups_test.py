"""Upgrades brokers while groups and readers of logs work, and keeps the books: each
message is done once, nobody gets one that it did not ask for again, and no session
ends. $FIFOBUS_UPGRADES is how often, if not a few times."""

import os
import queue
import subprocess
import threading
import unittest

import fifobus
from tests.support.fifobus_support import (
    HANG_SECONDS,
    LogBus,
    await_condition,
    binary,
)

UPGRADES = int(os.environ.get("FIFOBUS_UPGRADES", "3"))
# Nothing is late, however slow the machine.
MORE_THAN_A_RUN = fifobus.AckOptions(unacked_max=200, timeout=600)


class Worker(threading.Thread):
    """A client that works on what it receives until it is told to end."""

    def __init__(self, subscribe, work):
        super().__init__(daemon=True)
        self.gaps = []
        self.client = fifobus.Client(on_gap=self.gaps.append)
        subscribe(self.client)
        self.work = work
        self.got = []
        self.fault = None
        self.ending = False
        self._tasks = queue.SimpleQueue()
        self.start()

    def run(self):
        try:
            while not self.ending:
                while not self._tasks.empty():
                    self._tasks.get()()
                try:
                    message = self.client.receive(0.05)
                except TimeoutError:
                    continue
                self.got.append(message)
                self.work(self.client, message)
        except Exception as fault:  # told by end()
            self.fault = fault

    def do(self, task):
        """Has its thread do it, and waits for that."""
        done = threading.Event()
        self._tasks.put(lambda: (task(), done.set()))
        await_condition(lambda: done.is_set() or self.fault, "a task of a client")

    def end(self):
        self.ending = True
        self.join(HANG_SECONDS)
        self.client.close()
        if self.fault is not None:
            raise self.fault


def payloads(*workers):
    return sorted(int(m.payload) for worker in workers for m in worker.got)


class UpgradeGroupsTest(unittest.TestCase):
    def setUp(self):
        self.bus = self.enterContext(LogBus())
        self.workers = []
        self.addCleanup(self.stop_workers)

    def stop_workers(self):
        for worker in self.workers:
            worker.ending = True

    def worker(self, subscribe, work=lambda client, message: None):
        self.workers.append(Worker(subscribe, work))
        return self.workers[-1]

    def end_workers(self):
        for worker in self.workers:
            worker.end()
            self.assertEqual(worker.gaps, [])
        self.workers = []

    def upgrade(self):
        upgraded = subprocess.run(
            [binary("fifobus"), "upgrade"],
            capture_output=True,
            text=True,
            timeout=HANG_SECONDS,
            check=False,
        )
        self.assertEqual(upgraded.returncode, 0, upgraded.stderr)

    def publish(self, topic, numbers, **options):
        with fifobus.Client() as client:
            for number in numbers:
                client.publish(topic, str(number), **options)
            client.ping(HANG_SECONDS)

    def publish_through_upgrades(self, topics, upgrades=UPGRADES):
        """Publishes on all topics while the broker is upgraded. Returns how many
        messages each has."""
        done = threading.Event()
        counts = dict.fromkeys(topics, 0)

        def publish(topic):
            with fifobus.Client() as client:
                while not done.is_set():
                    for _ in range(50):
                        client.publish(topic, str(counts[topic]))
                        counts[topic] += 1
                    client.ping(HANG_SECONDS)

        threads = [threading.Thread(target=publish, args=[topic]) for topic in topics]
        for thread in threads:
            thread.start()
        try:
            for _ in range(upgrades):
                self.upgrade()
        finally:
            done.set()
            for thread in threads:
                thread.join(HANG_SECONDS)
        return counts

    def counter(self, name):
        listing = subprocess.run(
            [binary("fifobus"), "ls", "--json"],
            capture_output=True,
            text=True,
            timeout=HANG_SECONDS,
            check=True,
        )
        found = [
            line
            for line in listing.stdout.replace(",", "\n").split("\n")
            if name in line
        ]
        self.assertEqual(len(found), 1, listing.stdout)
        return int("".join(c for c in found[0].split(":")[-1] if c.isdigit()))

    def test_members_work_on_as_if_nothing_was(self):
        retried = set()

        def work(client, message):
            number = int(message.payload)
            if number % 50 == 7 and message.delivery_count == 1:
                retried.add(number)
                message.retry()
            else:
                if number % 9 == 0:
                    message.extend()
                message.ack()

        def join(client):
            client.subscribe("jobs", group="acked", acks=MORE_THAN_A_RUN)

        def join_plain(client):
            client.subscribe("plain", group="plain")

        acked = [self.worker(join, work) for _ in range(2)]
        plain = [self.worker(join_plain) for _ in range(2)]
        counts = self.publish_through_upgrades(["jobs", "plain"])
        await_condition(
            lambda: sum(len(w.got) for w in acked) >= counts["jobs"] + len(retried)
            and sum(len(w.got) for w in plain) >= counts["plain"],
            "all messages",
        )
        self.end_workers()
        self.assertEqual(payloads(*plain), list(range(counts["plain"])))
        self.assertEqual(
            payloads(*acked), sorted(list(range(counts["jobs"])) + list(retried))
        )
        again = {
            int(m.payload)
            for worker in acked
            for m in worker.got
            if m.delivery_count > 1
        }
        self.assertEqual(again, retried)
        self.assertEqual(self.counter("messages_redelivered"), len(retried))
        self.assertEqual(self.counter("messages_taken_along"), 0)

    def test_members_that_leave_finish_what_they_hold(self):
        lazy = self.worker(
            lambda client: client.subscribe("jobs", group="g", acks=MORE_THAN_A_RUN)
        )
        self.publish("jobs", range(300))
        await_condition(lambda: len(lazy.got) == 200, "what one may hold")
        lazy.do(lambda: lazy.client.unsubscribe("jobs", group="g"))
        self.upgrade()
        eager = self.worker(
            lambda client: client.subscribe("jobs", group="g", acks=MORE_THAN_A_RUN),
            lambda client, message: message.ack(),
        )
        await_condition(lambda: len(eager.got) == 100, "the others")
        self.upgrade()
        lazy.do(lambda: [message.ack() for message in lazy.got])
        lazy.do(lambda: lazy.client.ping(HANG_SECONDS))
        self.end_workers()
        self.assertEqual(payloads(lazy, eager), list(range(300)))
        self.assertEqual(self.counter("messages_redelivered"), 0)

    def test_a_member_dies_and_the_other_gets_what_it_held(self):
        lazy = self.worker(
            lambda client: client.subscribe("jobs", group="g", acks=MORE_THAN_A_RUN)
        )
        self.publish("jobs", range(150))
        await_condition(lambda: len(lazy.got) == 150, "all")
        self.upgrade()
        self.workers = []
        lazy.end()
        self.upgrade()
        eager = self.worker(
            lambda client: client.subscribe("jobs", group="g", acks=MORE_THAN_A_RUN),
            lambda client, message: message.ack(),
        )
        await_condition(lambda: len(eager.got) == 150, "what it held")
        self.end_workers()
        self.assertEqual(payloads(eager), list(range(150)))
        self.assertEqual({m.delivery_count for m in eager.got}, {2})

    def test_each_dead_letter_is_published_once(self):
        acks = fifobus.AckOptions(unacked_max=10, timeout=600, deliveries_max=2)
        dead = self.worker(lambda client: client.subscribe("$dead/g"))
        self.worker(
            lambda client: client.subscribe("jobs", group="g", acks=acks),
            lambda client, message: message.retry(),
        )
        counts = self.publish_through_upgrades(["jobs"])
        await_condition(lambda: len(dead.got) >= counts["jobs"], "all dead letters")
        self.end_workers()
        self.assertEqual(payloads(dead), list(range(counts["jobs"])))
        self.assertEqual({m.headers["fifobus-deliveries"] for m in dead.got}, {b"2"})

    def test_a_group_without_members_waits_for_one(self):
        with fifobus.Client() as client:
            client.subscribe("jobs", group="g", acks=True)
        self.publish("jobs", range(20))
        self.upgrade()
        self.publish("jobs", range(20, 40))
        self.upgrade()
        late = self.worker(
            lambda client: client.subscribe("jobs", group="g", acks=True),
            lambda client, message: message.ack(),
        )
        await_condition(lambda: len(late.got) == 40, "what waited")
        self.end_workers()
        self.assertEqual(payloads(late), list(range(40)))

    def test_readers_of_a_log_go_on_without_hole_or_repeat(self):
        self.publish("log/a", range(2000), level=fifobus.Level.WRITTEN)
        first = fifobus.Start.first()
        replay = self.worker(lambda client: client.subscribe("log/**", start=first))
        filtered = self.worker(lambda client: client.subscribe("log/b", start=first))
        durable = self.worker(
            lambda client: client.subscribe("log/**", start=first, durable="d")
        )
        group = [
            self.worker(
                lambda client: client.subscribe(
                    "log/**", durable="shared", group="g", acks=MORE_THAN_A_RUN
                ),
                lambda client, message: message.ack(),
            )
            for _ in range(2)
        ]
        counts = self.publish_through_upgrades(["log/a", "log/b"])
        total = 2000 + sum(counts.values())
        for worker in (replay, durable):
            await_condition(lambda: len(worker.got) >= total, "all of the log")
        await_condition(lambda: len(filtered.got) >= counts["log/b"], "log/b")
        await_condition(lambda: sum(len(w.got) for w in group) >= total, "the group")
        self.end_workers()
        every = list(range(1, total + 1))
        self.assertEqual([m.offset for m in replay.got], every)
        self.assertEqual([m.offset for m in durable.got], every)
        self.assertEqual(payloads(filtered), list(range(counts["log/b"])))
        self.assertEqual(sorted(m.offset for w in group for m in w.got), every)

    def test_large_messages_go_to_slow_members_once(self):
        sizes = {}

        def work(client, message):
            number, _, filler = message.payload.partition(b" ")
            sizes[int(number)] = len(filler)
            if message.ack_id:
                message.ack()

        groups = {
            "acked": {"acks": fifobus.AckOptions(unacked_max=3, timeout=600)},
            "plain": {},
        }
        members = {}
        for group, options in groups.items():
            members[group] = [
                self.worker(
                    lambda client, g=group, o=options: client.subscribe(
                        "large", group=g, **o
                    ),
                    work,
                )
                for _ in range(2)
            ]
        done = threading.Event()
        published = []

        def publish():
            with fifobus.Client() as client:
                while not done.is_set():
                    number = len(published)
                    size = (1 << 20) if number % 3 == 0 else 1000 * (number % 90)
                    client.publish("large", b"%d %s" % (number, b"x" * size))
                    published.append(size)
                client.ping(HANG_SECONDS)

        publisher = threading.Thread(target=publish)
        publisher.start()
        try:
            for _ in range(UPGRADES):
                self.upgrade()
        finally:
            done.set()
            publisher.join(HANG_SECONDS)
        for workers in members.values():
            await_condition(
                lambda: sum(len(w.got) for w in workers) >= len(published),
                "large messages",
            )
        everybody = self.workers
        self.end_workers()
        self.assertEqual(sizes, dict(enumerate(published)))
        self.assertEqual(
            sum(len(worker.got) for worker in everybody), 2 * len(published)
        )
        self.assertEqual(self.counter("messages_redelivered"), 0)

    def test_a_durable_tap_goes_on_in_the_middle_of_a_line(self):
        folder = os.path.join(self.bus.directory, "topics/log/a.out")
        os.makedirs(folder)
        fifo = os.path.join(folder, "r.durable")
        os.mkfifo(fifo)
        read = bytearray()
        wanted = threading.Event()

        def read_on():
            with open(fifo, "rb", buffering=0) as reader:
                while not read.endswith(b"the end\n"):
                    read.extend(reader.read(7) or b"the pipe has ended")
            wanted.set()

        thread = threading.Thread(target=read_on, daemon=True)
        thread.start()
        counts = self.publish_through_upgrades(["log/a"])
        with fifobus.Client() as client:
            client.publish("log/a", "the end")
            client.ping(HANG_SECONDS)
        self.assertTrue(wanted.wait(HANG_SECONDS), "the end")
        expected = [str(number) for number in range(counts["log/a"])] + ["the end"]
        self.assertEqual(read.decode().splitlines(), expected)

    def test_an_offline_durable_reader_keeps_its_exact_place(self):
        self.publish("log/a", range(100), confirm=True, level=fifobus.Level.STORED)
        with fifobus.Client() as client:
            client.subscribe("log/a", start=fifobus.Start.first(), durable="d")
            for _ in range(37):
                client.done(client.receive(HANG_SECONDS))
        for _ in range(UPGRADES):
            self.upgrade()
        back = self.worker(lambda client: client.subscribe("log/a", durable="d"))
        await_condition(lambda: len(back.got) == 63, "the rest")
        self.end_workers()
        self.assertEqual([m.offset for m in back.got], list(range(38, 101)))


if __name__ == "__main__":
    unittest.main()
