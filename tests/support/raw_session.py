"""A session of which a test says every byte: its pipes, and the frames in them."""

import os
import select
import struct
import time

from proto import frame_pb2 as pb
from tests.support.fifobus_support import HANG_SECONDS

PREFIX = struct.Struct(">I")


def framed(frame):
    """The bytes of a pb.Frame."""
    body = frame.SerializeToString()
    return PREFIX.pack(len(body)) + body


def hello(**fields):
    frame = pb.Frame()
    frame.hello.protocol_version = 1
    frame.hello.client_name = "raw"
    frame.hello.pid = os.getpid()
    for name, value in fields.items():
        if name == "will":
            frame.hello.will.CopyFrom(value)
        else:
            setattr(frame.hello, name, value)
    return framed(frame)


def message(topic, payload, **fields):
    frame = pb.Frame()
    frame.message.topic = topic
    frame.message.payload = payload
    for name, value in fields.items():
        setattr(frame.message, name, value)
    return framed(frame)


class RawSession:
    """A pair of pipes. Nothing is sent that a test does not send."""

    def __init__(self, bus, first=b"", rename=True):
        """`first`: what is in `up` before the broker looks."""
        self._base = os.path.join(bus.directory, "sessions", os.urandom(8).hex())
        self._hidden = os.path.join(
            bus.directory, "sessions", "." + os.path.basename(self._base)
        )
        for end in (".down", ".up"):
            os.mkfifo(self._hidden + end, 0o600)
        self.down = os.open(self._hidden + ".down", os.O_RDONLY | os.O_NONBLOCK)
        reader = os.open(self._hidden + ".up", os.O_RDONLY | os.O_NONBLOCK)
        self.up = os.open(self._hidden + ".up", os.O_WRONLY | os.O_NONBLOCK)
        os.write(self.up, first)
        self._reader = reader
        self._bytes = bytearray()
        if rename:
            self.offer()

    def offer(self):
        """Returns when the broker has taken the pair."""
        for end in (".down", ".up"):
            os.rename(self._hidden + end, self._base + end)
        deadline = time.monotonic() + HANG_SECONDS
        while os.path.exists(self._base + ".up"):
            assert time.monotonic() < deadline, "the broker takes no session"
            time.sleep(0.002)
        os.close(self._reader)

    @classmethod
    def open(cls, bus, **fields):
        """One that has been greeted."""
        session = cls(bus, hello(**fields))
        assert session.receive().HasField("welcome")
        return session

    def send(self, data):
        """All of it, however long that takes."""
        data = memoryview(data)
        while data:
            poll = select.poll()
            poll.register(self.up, select.POLLOUT)
            assert poll.poll(HANG_SECONDS * 1000), "the broker does not read"
            try:
                data = data[os.write(self.up, data[: 1 << 16]) :]
            except BlockingIOError:  # a page is free, and this needs more
                time.sleep(0.001)

    def send_what_fits(self, data):
        """Writes until the pipe is full. Returns how many bytes it took."""
        taken = 0
        while taken < len(data):
            try:
                taken += os.write(self.up, data[taken : taken + (1 << 16)])
            except BlockingIOError:
                break
        return taken

    def read_more(self):
        """Reads once. False: the broker has closed the pipe."""
        poll = select.poll()
        poll.register(self.down, select.POLLIN)
        assert poll.poll(HANG_SECONDS * 1000), "the broker sends nothing"
        data = os.read(self.down, 1 << 16)
        self._bytes += data
        return bool(data)

    def read_some(self, size):
        """Takes up to so many bytes out of the pipe, and keeps them."""
        self._bytes += os.read(self.down, size)

    def read_available(self, size):
        """The same of what is there. False: the broker has closed the pipe."""
        try:
            data = os.read(self.down, size)
        except BlockingIOError:
            return True
        self._bytes += data
        return bool(data)

    def next_frame(self):
        """Of what was read; None: no whole frame."""
        if len(self._bytes) < PREFIX.size:
            return None
        (size,) = PREFIX.unpack_from(self._bytes)
        end = PREFIX.size + size
        if len(self._bytes) < end:
            return None
        frame = pb.Frame()
        frame.ParseFromString(bytes(self._bytes[PREFIX.size : end]))
        del self._bytes[:end]
        return frame

    def receive(self):
        """The next frame; None: the broker has closed the pipe between two."""
        while (frame := self.next_frame()) is None:
            if not self.read_more():
                assert not self._bytes, "the pipe ends within a frame"
                return None
        return frame

    def subscribe(self, pattern, **fields):
        frame = pb.Frame()
        frame.subscribe.request_id = 1
        frame.subscribe.pattern = pattern
        for name, value in fields.items():
            setattr(frame.subscribe, name, value)
        self.send(framed(frame))
        answer = self.receive()
        assert answer.HasField("subscribed"), answer

    def ping(self, token=1):
        """Returns when the broker has dealt with all that was sent."""
        frame = pb.Frame()
        frame.ping.token = token
        self.send(framed(frame))
        answer = self.receive()
        assert answer.pong.token == token, answer

    def stats(self):
        frame = pb.Frame()
        frame.stats.request_id = 1
        self.send(framed(frame))
        answer = self.receive()
        assert answer.HasField("stats_reply"), answer
        return answer.stats_reply

    def close_up(self):
        os.close(self.up)
        self.up = -1

    def close(self):
        if self.up >= 0:
            self.close_up()
        os.close(self.down)
