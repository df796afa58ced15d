"""Upgrades a broker while publishers and subscribers do what comes to their minds.

Publishers write pieces of frames of any size, down to a byte. Subscribers of each policy
read pieces, or not. In the end each subscriber has, of each publisher and in order, every
message, or a gap that counts it."""

import os
import random
import subprocess
import unittest

from proto import frame_pb2 as pb
from tests.support.fifobus_support import HANG_SECONDS, Bus, await_condition, binary
from tests.support.raw_session import RawSession, message

UPGRADES = int(os.environ.get("FIFOBUS_UPGRADES", "4"))
PUBLISHERS = 4
POLICIES = [
    pb.OVERFLOW_DROP_OLDEST,
    pb.OVERFLOW_DROP_NEWEST,
    pb.OVERFLOW_LATEST,
    pb.OVERFLOW_BLOCK,
    pb.OVERFLOW_BLOCK,
]


class Publisher:
    """Writes numbered messages, in pieces."""

    def __init__(self, bus, number, rng):
        self.session = RawSession.open(bus)
        self.topic = f"random/{number}"
        self.published = 0
        self._rng = rng
        self._pending = b""

    def step(self):
        if not self._pending and self._rng.random() < 0.7:
            for _ in range(self._rng.randrange(1, 20)):
                size = self._rng.choice([0, 10, 1000, 10_000, 100_000])
                payload = b"%d " % self.published + bytes(size)
                self._pending += message(self.topic, payload)
                self.published += 1
        piece = self._pending[: self._rng.choice([1, 5, 100, 4096, 1 << 20])]
        self._pending = self._pending[self.session.send_what_fits(piece) :]

    @property
    def is_done(self):
        return not self._pending

    def finish_step(self):
        """Writes on, and begins nothing."""
        taken = self.session.send_what_fits(self._pending)
        self._pending = self._pending[taken:]


class Subscriber:
    def __init__(self, bus, policy, rng):
        self.session = RawSession.open(bus, overflow=policy, queue_bytes_max=50_000)
        self.session.subscribe("random/*")
        self.policy = policy
        self.next = {}  # by topic
        self.lost = {}  # since the last message of a topic
        self.total_lost = {}
        self._rng = rng
        self._reads = True

    def step(self):
        if self._rng.random() < 0.02:
            self._reads = not self._reads
        # One that blocks would hold everybody.
        if self._reads or self.policy == pb.OVERFLOW_BLOCK:
            self.session.read_available(self._rng.choice([1, 10, 5000, 1 << 16]))
            self.take()

    def take(self):
        """Looks at the whole frames that have come."""
        while (frame := self.session.next_frame()) is not None:
            if frame.HasField("gap"):
                assert len(frame.gap.losses) <= PUBLISHERS
                for loss in frame.gap.losses:
                    self.lost[loss.topic] = self.lost.get(loss.topic, 0) + loss.messages
            elif frame.HasField("message"):
                self.take_message(frame.message)
            else:
                raise AssertionError(frame)

    def take_message(self, got):
        number = int(got.payload.split(b" ")[0])
        expected = self.next.get(got.topic, 0)
        # Conflation tells of its losses at the first of them, others where they were.
        assert number >= expected, f"{got.topic}: {number} after {expected - 1}"
        skipped = number - expected
        self.total_lost[got.topic] = self.total_lost.get(got.topic, 0) + skipped
        if self.policy != pb.OVERFLOW_LATEST:
            assert skipped <= self.lost.get(got.topic, 0), f"{got.topic}: {number}"
        self.next[got.topic] = number + 1


class UpgradeRandomTest(unittest.TestCase):
    def test_nothing_is_lost_doubled_or_moved(self):
        seed = int(os.environ.get("FIFOBUS_SEED", random.randrange(2**32)))
        print("seed", seed)
        rng = random.Random(seed)
        with Bus() as bus:
            bus.stop()
            bus.start("--stall-timeout", "20ms")
            publishers = [Publisher(bus, i, rng) for i in range(PUBLISHERS)]
            subscribers = [Subscriber(bus, policy, rng) for policy in POLICIES]
            steps = [one.step for one in publishers + subscribers]
            for _ in range(UPGRADES):
                for _ in range(rng.randrange(1, 500)):
                    rng.choice(steps)()
                upgrade = subprocess.Popen(
                    [binary("fifobus"), "upgrade"],
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                )
                while upgrade.poll() is None:
                    rng.choice(steps)()
                said = upgrade.communicate(timeout=HANG_SECONDS)
                self.assertEqual(upgrade.returncode, 0, said)
            self.finish(publishers, subscribers)

    def finish(self, publishers, subscribers):
        """Reads until everybody has all that was published."""
        counts = {one.topic: one.published for one in publishers}

        def is_finished():
            for one in publishers:
                one.finish_step()
            for one in subscribers:
                one.session.read_available(1 << 16)
                one.take()
            return all(one.is_done for one in publishers) and all(
                self.has_all(one, counts) for one in subscribers
            )

        await_condition(is_finished, "all messages and gaps")
        for one in subscribers:
            policy = pb.Overflow.Name(one.policy)
            print(policy, "counted", sum(one.next.values()), "lost", one.lost)
            if one.policy == pb.OVERFLOW_BLOCK:
                self.assertEqual(one.lost, {})

    def has_all(self, subscriber, counts):
        """Each message has come, or a gap has counted it."""
        for topic, published in counts.items():
            got = subscriber.next.get(topic, 0) - subscriber.total_lost.get(topic, 0)
            self.assertLessEqual(got + subscriber.lost.get(topic, 0), published, topic)
            if got + subscriber.lost.get(topic, 0) < published:
                return False
        return True


if __name__ == "__main__":
    unittest.main()
