"""A fake broker with one log, which keeps everything."""

import unittest

import fifobus
from fifobus.protocol import control, frames, topics
from fifobus.protocol.control import ErrorCode, Failure, Level
from tests.support.fake_broker import FakeBroker, message
from tests.support.fifobus_support import HANG_SECONDS, await_condition

STORED_UNIX_NANOS = 1_800_000_000_123_456_789


class FakeLogBroker(FakeBroker):
    """The log "log" stores what is published below log/. Tests change what it does by
    its attributes, with `lock` held."""

    def __init__(self):
        super().__init__()
        self.stored = []  # (topic, payload, publisher, sequence), the first at offset 1
        self.positions = {}  # of durable readers
        self.marks = {}  # sequence and offset, by publisher
        self.held = None  # a list gathers the confirmations that are held back
        self.failure = Failure.NONE
        self.is_caught_up = True  # whether readers are told so
        self._publishers = {}  # by session
        self._readers = []  # (session, Subscribe)

    def store(self, topic, payload, publisher="", sequence=0):
        """Returns its offset. Live readers get it."""
        self.stored.append((topic, payload, publisher, sequence))
        offset = len(self.stored)
        for session, subscribe in self._readers:
            if session.down >= 0:
                self._deliver(session, subscribe, offset)
        return offset

    def release(self):
        """Confirms what was held back."""
        held, self.held = self.held, None
        for session, confirm in held:
            if session.down >= 0:
                session.write(confirm)

    def asked(self, kind):
        """The frames of this kind that all sessions have sent."""
        return [
            frame
            for session in self.sessions
            for frame in session.frames
            if isinstance(frame, kind)
        ]

    def _deliver(self, session, subscribe, offset):
        topic, payload, _, sequence = self.stored[offset - 1]
        if not topics.matches(subscribe.pattern, topic):
            return
        delivery = control.Delivery(
            offset=offset, stored_time_unix_nanos=STORED_UNIX_NANOS + offset
        )
        if subscribe.group:
            delivery.ack_id, delivery.delivery_count = 100 + offset, 1
        session.write(delivery, message(topic, payload, sequence=sequence))

    def _answer(self, session, frame):
        if isinstance(frame, control.Hello) and frame.publisher and self.welcome:
            self._publishers[session] = frame.publisher
            welcome = control.Welcome(1, control.FRAME_BYTES_MAX_DEFAULT)
            if frame.publisher in self.marks:
                mark = control.PublisherMark("log", *self.marks[frame.publisher])
                welcome.publisher_marks.append(mark)
            session.write(welcome)
        elif isinstance(frame, control.Subscribe) and (frame.start or frame.durable):
            self._read(session, frame)
        elif isinstance(frame, control.Ack):
            for reader, subscribe in self._readers:
                if reader is session and subscribe.request_id == frame.subscription:
                    self.positions[subscribe.durable] = frame.up_to_offset + 1
        elif isinstance(frame, control.Ping) and frame.level:
            level = Level.ACCEPTED if self.failure else frame.level
            session.write(control.Pong(frame.token, level, self.failure))
        elif isinstance(frame, frames.Message):
            self._publish(session, frame)
        else:
            super()._answer(session, frame)

    def _read(self, session, subscribe):
        if not subscribe.pattern.startswith("log/"):
            text = "no log stores it; the logs are: log"
            error = control.Error(ErrorCode.NO_LOG, text, subscribe.request_id)
            session.write(error)
            return
        end = len(self.stored) + 1
        offset = self._first_offset(subscribe, end)
        if offset > end:
            text = f"the log ends at {end}"
            session.write(
                control.Error(ErrorCode.BAD_START, text, subscribe.request_id)
            )
            return
        session.write(control.Subscribed(subscribe.request_id, "log", offset))
        for at in range(offset, end):
            self._deliver(session, subscribe, at)
        if self.is_caught_up and not subscribe.group:
            session.write(control.CaughtUpFrame(subscribe.request_id, end))
        if not subscribe.until_now:
            self._readers.append((session, subscribe))

    def _first_offset(self, subscribe, end):
        start = subscribe.start or control.StartFrame(first=True)
        if subscribe.durable in self.positions:
            return self.positions[subscribe.durable]
        if start.next:
            return end
        if start.last is not None:
            return max(1, end - start.last)
        return max(1, start.offset or 1)

    def _publish(self, session, frame):
        metadata = frame._metadata
        publisher = self._publishers.get(session, "")
        confirm = control.Confirm(metadata.confirm_id, Level.ACCEPTED, 1)
        if not frame.topic.startswith("log/"):
            if metadata.confirm_level > Level.ACCEPTED:
                confirm.failure = Failure.NO_LOG
        elif self.failure:
            confirm.failure = self.failure
        else:
            confirm.level = max(metadata.confirm_level, Level.ACCEPTED)
            sequence, offset = self.marks.get(publisher, (0, 0))
            if publisher and frame.sequence <= sequence:
                confirm.duplicate = True
                confirm.offset = offset if frame.sequence == sequence else 0
            else:
                sequence = frame.sequence
                offset = self.store(frame.topic, frame.payload, publisher, sequence)
                confirm.offset = offset
                if publisher:
                    self.marks[publisher] = (sequence, offset)
        if metadata.confirm_id:
            if self.held is not None:
                self.held.append((session, confirm))
            else:
                session.write(confirm)


class LogReaderTest(unittest.TestCase):
    """Clients that read the log of such a broker."""

    def setUp(self):
        self.broker = self.enterContext(FakeLogBroker())
        self.gaps = []

    def client(self, **options):
        options.setdefault("on_gap", self.gaps.append)
        return self.enterContext(fifobus.Client(**options))

    def store(self, count, topic="log/a"):
        with self.broker.lock:
            for _ in range(count):
                self.broker.store(topic, b"%d" % (len(self.broker.stored) + 1))

    def receive(self, client, count):
        return [client.receive(HANG_SECONDS) for _ in range(count)]

    def offsets(self, client, count):
        return [message.offset for message in self.receive(client, count)]

    def end_session(self):
        with self.broker.lock:
            self.broker.sessions[-1].end()

    def await_position(self, name, position):
        await_condition(
            lambda: self.broker.positions.get(name) == position,
            f"the position {position} of {name}",
        )
