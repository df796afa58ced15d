"""What stays known of the bytes in a pipe."""

import os
import random
import unittest

from fifobus.protocol import control
from fifobus.protocol.taken_back import TakenBack
from fifobus.transport.outbox import Outbox
from fifobus.transport.sent_frames import Remains, unread_bytes
from tests.support.fake_broker import message

LARGEST = 200_000


class Pipe:
    """Its reader has read `read` bytes."""

    def __init__(self):
        self.reading, self.writing = os.pipe2(os.O_NONBLOCK)
        self.read = 0

    def take(self, size):
        try:
            self.read += len(os.read(self.reading, size))
        except BlockingIOError:
            pass

    def close(self):
        os.close(self.reading)
        os.close(self.writing)


class SentFramesTest(unittest.TestCase):
    def test_what_is_unread_is_known_at_any_time(self):
        seed = random.randrange(1 << 32)
        print("seed", seed)
        for round_number in range(40):
            self.play(random.Random(seed + round_number))

    def play(self, dice):
        pipe = Pipe()
        self.addCleanup(pipe.close)
        out = Outbox()
        frames = []
        for _ in range(dice.randrange(1, 400)):
            size = dice.choice([0, 10, 100, 5000, LARGEST])
            frame = message("topic", os.urandom(dice.randrange(size + 1)))
            how = dice.randrange(3)
            if how == 0:  # behind the others
                out.append(frame)
                frames.append(frame)
            elif how == 1 and out.flush(pipe.writing):
                head = dice.randrange(len(frame))
                if out.offer(pipe.writing, (frame[:head], frame[head:])):
                    frames.append(frame)
            else:
                out.flush(pipe.writing)
                pipe.take(dice.randrange(1, 100_000))
        self.check(out, pipe, frames)

    def check(self, out, pipe, frames):
        remains = out.remains(unread_bytes(pipe.writing))
        end = 0
        unread = []
        for frame in frames:
            end += len(frame)
            if end > pipe.read:
                unread.append(frame)
        self.assertEqual(remains.frames, unread)
        self.assertEqual(remains.messages_read, len(unread) < len(frames))
        self.assertEqual(out.remains(unread_bytes(pipe.writing)), remains)

    def test_no_more_is_kept_than_the_pipe_holds_and_a_bit(self):
        pipe = Pipe()
        self.addCleanup(pipe.close)
        out = Outbox()
        frame = message("topic", bytes(100))
        for _ in range(5000):
            self.assertTrue(out.flush(pipe.writing))
            self.assertTrue(out.offer(pipe.writing, (frame,)))
            pipe.take(len(frame))
            kept = sum(len(part) for write in out.sent._writes for part in write)
            self.assertLess(kept, (2 * 64 << 10) + len(frame))

    def test_only_messages_are_taken_back(self):
        pipe = Pipe()
        self.addCleanup(pipe.close)
        out = Outbox()
        out.append(control.frame_of(control.Ping(1)))
        out.append(message("a", b"x"))
        out.append(control.frame_of(control.Ping(2)))
        self.assertTrue(out.flush(pipe.writing))
        first = len(control.frame_of(control.Ping(1)))
        unread = unread_bytes(pipe.writing)
        self.assertEqual(
            out.remains(unread - first), Remains([message("a", b"x")], False)
        )


class TakenBackTest(unittest.TestCase):
    def test_a_named_publishers_messages_are_in_order_and_once(self):
        frames = [
            message("a", b"%d" % number, sequence=number, confirm_id=number)
            for number in range(1, 7)
        ]
        taken_back = TakenBack()
        taken_back.take(Remains(frames[2:5], False), "session")
        kept = [frames[0], frames[3], frames[5]]
        again = taken_back.frames_with(kept)
        self.assertEqual(again, [frames[0], *frames[2:]])
        self.assertEqual(taken_back.confirm_ids, {3, 4, 5})

    def test_taking_the_same_again_changes_nothing(self):
        taken_back = TakenBack()
        session = object()
        frame = message("a", b"x", reply_topic="r/1")
        taken_back.take(Remains([frame], False), session)
        taken_back.take(Remains([], False), session)
        self.assertEqual(taken_back.frames_with([]), [frame])
        self.assertEqual(taken_back.reply_topics, {"r/1"})
        taken_back.sent(1)
        taken_back.take(Remains([frame], False), session)
        self.assertFalse(taken_back)
        self.assertEqual(taken_back.resent_messages, 1)


if __name__ == "__main__":
    unittest.main()
