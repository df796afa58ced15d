"""Finding frames in what was read."""

from __future__ import annotations

import struct
from collections import deque
from typing import Any, Callable, Deque, Dict, List, Optional, Tuple, Union

from fifobus.protocol import control, frames
from fifobus.protocol.control import (
    FRAME_BYTES_MAX_DEFAULT,
    FRAME_PREFIX_BYTES,
    MESSAGE,
)
from fifobus.protocol.message import (
    CaughtUp,
    Gap,
    Message,
    Metadata,
    Restarted,
    gap_of,
)
from fifobus.protocol.wire import Buffer

Event = Union[Message, Gap, CaughtUp, Restarted]
Answer = Callable[[int, control.Verdict], None]
# What a CaughtUp frame means to the program; None: nothing any more.
OnCaughtUp = Callable[[control.CaughtUpFrame], Optional[CaughtUp]]

_PREFIX = struct.Struct(">I")
# A Delivery that says an offset and a time and no more, as a log writes it: all up to
# the offset, then that, the tag of the time, and the time.
_STORED_HEAD = b"\x00\x00\x00\x14\x4a\x12\x21"
_STORED_TIME_TAG = 0x29
_STORED = struct.Struct("<7xQBQ")
_STORED_BYTES = _STORED.size
_NEVER = 1 << 62  # bytes that no read ever has
# Topics that were checked and need not be again. Above it all are forgotten.
_TOPICS_MAX = 4096
# What is read at once, unless a frame needs more: what a default pipe holds, and the
# least that loses nothing from a pipe in packet mode. Not more: a reader that empties
# a grown pipe in one go sleeps more often, and malloc maps and unmaps pages for larger
# pieces (bench/DECISIONS.md).
_READ_BYTES = 64 << 10
# A read behind the rest of a frame. For a larger frame the memory doubles as its bytes
# come, and is kept for as long as such frames come.
_MEMORY_BYTES = 2 * _READ_BYTES
# From this much on a payload is copied alone, and once. Not tuned.
_LARGE_FRAME_BYTES = 4 << 10
_MESSAGE_TAG = 0x0A
_TOPIC_TAG = 0x0A
_PAYLOAD_TAG = 0x7A


class Decoded:
    """What one decode() has found, to be taken out piece by piece."""

    __slots__ = ("events", "event_bytes", "others", "fault")

    def __init__(self) -> None:
        self.events: Deque[Event] = deque()  # messages, and gaps at their places
        self.event_bytes = 0  # of their frames
        self.others: Deque[Any] = deque()  # replies, and all other frames
        # Why no more can be read: what comes behind all of these is no frame.
        self.fault: Optional[frames.BadFrame] = None


# What was read and not taken out, replaced as a whole so that it is always one state:
# - the memory that is read to, and another one to move a rest to;
# - where in it the bytes begin and end that are not decoded;
# - the sizes of reads behind that end, noted by the reads themselves;
# - the Delivery that belongs to the next message;
# - what was decoded and is not taken out yet.
_Stage = Tuple[
    memoryview,
    memoryview,
    int,
    int,
    List[int],
    Optional[control.Delivery],
    Optional[Decoded],
]


class FrameDecoder:
    """The frames of one session, out of reads of any size into its own memory.

    Its owner reads into space(), lets the read append its size to sizes, takes all out
    of what decode() returns, and calls taken(). An exception from a signal handler may
    come anywhere in between: the next decode() goes on with what is left.
    Thread-compatible.

    A frame that begins with the same bytes as the message before it has the same
    topic, the same size and no other field, so that it is not walked again: in a
    stream of equal messages that comparison is all the decoding there is.
    """

    def __init__(
        self,
        reply_prefix: str,
        answer: Optional[Answer],
        caught_up: OnCaughtUp = lambda frame: None,
        session: int = 0,
    ) -> None:
        self._reply_prefix = reply_prefix
        self._answer = answer
        self._caught_up = caught_up
        self._session = session
        self._stage: _Stage = (_memory(), _memory(), 0, 0, [], None, None)
        self._topics: Dict[bytes, str] = {}
        # The last plain message: its frame's bytes up to the payload, the frame's size,
        # and the topic.
        self._like: Tuple[bytes, int, str] = (b"", _NEVER, "")
        # Of one run of decode().
        self._decoded = Decoded()
        self._other_bytes = 0
        self._delivery: Optional[control.Delivery] = None

    def space(self) -> memoryview:
        """Where to read to next; never empty. Valid until decode(). REQUIRES: what was
        decoded was taken."""
        memory, spare, begin, end, sizes, delivery, _ = self._stage
        rest = end - begin
        size = self._read_bytes(rest)
        length = max(rest + min(size, max(_READ_BYTES, rest)), _MEMORY_BYTES)
        if rest == 0 and self._is_too_large(memory):
            memory, spare, end = _memory(), _memory(), 0
        elif length > len(memory):
            larger = _memory(length)
            larger[:rest] = memory[begin:end]
            memory, end = larger, rest
        elif rest == 0:
            end = 0
        elif begin > 0:
            # Not within one memory: what is moved might not be whole when an exception
            # comes.
            target = spare if len(spare) >= len(memory) else _memory(len(memory))
            target[:rest] = memory[begin:end]
            memory, spare, end = target, memory, rest
        self._stage = (memory, spare, end - rest, end, sizes, delivery, None)
        return memory[end : end + size]

    @property
    def sizes(self) -> List[int]:
        """Of the reads to space() that are not decoded."""
        return self._stage[4]

    def decode(self) -> Optional[Decoded]:
        """What was read and is not taken yet; None: nothing. After a fault nothing more
        is ever found."""
        memory, spare, at, end, sizes, delivery, decoded = self._stage
        if decoded is not None:
            return decoded
        if not sizes:
            return None
        decoded = self._decoded
        decoded.events.clear()  # of a run that was interrupted
        decoded.others.clear()
        self._other_bytes = 0
        self._delivery = delivery
        begin, end = at, end + sum(sizes)
        try:
            at = self._decode(memory, begin, end)
        except frames.BadFrame as fault:
            decoded.fault = fault
            at = end
        decoded.event_bytes = at - begin - self._other_bytes
        self._stage = (memory, spare, at, end, [], self._delivery, decoded)
        return decoded

    def taken(self) -> None:
        """All that decode() returned was taken out."""
        self._stage = (*self._stage[:6], None)

    @property
    def missing(self) -> int:
        """How many bytes are missing to the end of a frame that has begun; or 0."""
        memory, _, begin, end, *_ = self._stage
        rest = end - begin
        if rest < FRAME_PREFIX_BYTES:
            return FRAME_PREFIX_BYTES - rest if rest else 0
        return FRAME_PREFIX_BYTES + int(_PREFIX.unpack_from(memory, begin)[0]) - rest

    def _read_bytes(self, rest: int) -> int:
        """How much to read at once."""
        missing = self.missing
        like_bytes = self._like[1]
        # In a stream of equal large frames reads end where frames do, so that no rest
        # is to be moved.
        if self._is_large(like_bytes):
            if missing > _READ_BYTES // 2:
                return missing
            if rest == 0:
                return (_READ_BYTES // like_bytes + 1) * like_bytes
        return max(missing, _READ_BYTES)

    def _is_too_large(self, memory: memoryview) -> bool:
        """Whether frames of that size do not come any more."""
        like_bytes = self._like[1]
        few = like_bytes < _MEMORY_BYTES or like_bytes == _NEVER
        return few and len(memory) > _MEMORY_BYTES

    @staticmethod
    def _is_large(frame_bytes: int) -> bool:
        return _LARGE_FRAME_BYTES <= frame_bytes < _NEVER

    def _decode(self, memory: memoryview, at: int, end: int) -> int:
        """Takes all whole frames; returns where the rest begins. Raises BadFrame."""
        while True:
            if self._is_large(self._like[1]):
                at = self._take_equal(memory, at, end)
            stop = self._frame_end(memory, at, end)
            if stop == 0:
                return at
            # Slices of bytes are cheaper than those of a view, so small frames are
            # copied many at once.
            if not self._is_large(stop - at):
                stop = min(end, at + _READ_BYTES)
            at += self._take_all(bytes(memory[at:stop]))

    @staticmethod
    def _frame_end(data: Buffer, at: int, end: int) -> int:
        """Where the frame at `at` ends; 0: it is not all there. Raises BadFrame."""
        if end - at < FRAME_PREFIX_BYTES:
            return 0
        size = int(_PREFIX.unpack_from(data, at)[0])
        if size > FRAME_BYTES_MAX_DEFAULT:
            raise frames.BadFrame("too_large", f"a frame of {size} bytes")
        stop = at + FRAME_PREFIX_BYTES + size
        return stop if stop <= end else 0

    def _take_equal(self, memory: memoryview, at: int, end: int) -> int:
        """Takes frames that are like the last one, their payloads copied once."""
        head, size, topic = self._like
        skip = len(head)
        while (
            self._delivery is None
            and at + size <= end
            and memory[at : at + skip] == head
        ):
            payload = bytes(memory[at + skip : at + size])
            self._decoded.events.append(Message(topic, payload))
            at += size
        return at

    def _take_all(self, data: bytes) -> int:
        """Takes all whole frames; returns where the rest begins."""
        on_message = self._decoded.events.append
        at, end = 0, len(data)
        while True:
            head, frame_bytes, topic = self._like
            payload_at = len(head)
            while data.startswith(head, at) and at + frame_bytes <= end:
                if self._delivery is not None:
                    break
                on_message(Message(topic, data[at + payload_at : at + frame_bytes]))
                at += frame_bytes
            stop = self._frame_end(data, at, end)
            if stop == 0:
                return at
            if not self._take_plain(data, at, stop):
                stored_stop = self._take_stored(data, at, end)
                if stored_stop == 0:
                    self._take(memoryview(data)[at:stop])
                stop = stored_stop or stop
            at = stop

    def _take_stored(self, data: bytes, at: int, end: int) -> int:
        """Takes messages out of a log that are like the last one, each behind what the
        log says of it; returns where they end, 0: there is none."""
        head, message_bytes, topic = self._like
        skip = _STORED_BYTES + len(head)
        size = _STORED_BYTES + message_bytes
        stop = 0
        while (
            data.startswith(_STORED_HEAD, at)
            and at + size <= end
            and data.startswith(head, at + _STORED_BYTES)
        ):
            offset, tag, stored_time = _STORED.unpack_from(data, at)
            if tag != _STORED_TIME_TAG or self._delivery is not None:
                break
            metadata = Metadata()
            metadata.offset = offset
            metadata.stored_time_unix_nanos = stored_time
            metadata.answer = self._answer
            metadata.session = self._session
            metadata.watched = True
            payload = data[at + skip : at + size]
            self._decoded.events.append(Message(topic, payload, metadata))
            at = stop = at + size
        return stop

    def _take_plain(self, data: bytes, at: int, stop: int) -> bool:
        """Takes a message of topic and payload alone; False: it is something else."""
        tag = at + FRAME_PREFIX_BYTES
        if stop - tag < 5 or data[tag] != _MESSAGE_TAG:
            return False
        # The member fills the frame. Its length is read only to check that.
        where = tag + 2
        while where < stop and data[where - 1] >= 0x80:
            where += 1
        member_bytes = 0
        for byte in data[where - 1 : tag : -1]:
            member_bytes = member_bytes << 7 | byte & 0x7F
        if member_bytes != stop - where or member_bytes < 4:
            return False
        if data[where] != _TOPIC_TAG or data[where + 1] >= 0x80:
            return False
        payload_tag = where + 2 + data[where + 1]
        if payload_tag + 2 > stop or data[payload_tag] != _PAYLOAD_TAG:
            return False
        payload = payload_tag + 2
        while payload < stop and data[payload - 1] >= 0x80:
            payload += 1
        payload_bytes = 0
        for byte in data[payload - 1 : payload_tag : -1]:
            payload_bytes = payload_bytes << 7 | byte & 0x7F
        topic = self._topics.get(data[where + 2 : payload_tag])
        if payload_bytes != stop - payload or topic is None:
            return False
        self._like = (data[at:payload], stop - at, topic)
        message = Message(topic, data[payload:stop])
        if self._delivery is not None:
            message = self._delivered(Message(topic, message.payload, Metadata()))
        self._decoded.events.append(message)
        return True

    def _take(self, frame: memoryview) -> None:
        try:
            number, member = frames.read_frame(frame[FRAME_PREFIX_BYTES:])
        except frames.BadFrame as fault:
            if fault.fault != "unknown_member" or self._delivery is not None:
                raise
            self._other_bytes += len(frame)  # of a newer broker
            return
        if number == MESSAGE:
            message = frames.read_message(member)
            if self._take_message(self._delivered(message)):
                return
        elif self._delivery is not None:
            raise frames.BadFrame("malformed", "a Delivery without its Message")
        else:
            found = frames.read_control(number, member)
            if isinstance(found, control.GapFrame):
                self._decoded.events.append(gap_of(found))
                return
            if isinstance(found, control.CaughtUpFrame):
                event = self._caught_up(found)
                if event is not None:
                    self._decoded.events.append(event)
            if isinstance(found, control.Delivery):
                self._delivery = found
            else:
                self._decoded.others.append(found)
        self._other_bytes += len(frame)

    def _take_message(self, message: Message) -> bool:
        """False: it is a reply."""
        if message.topic.startswith(self._reply_prefix):
            self._decoded.others.append(message)
            return False
        if len(self._topics) >= _TOPICS_MAX:
            self._topics.clear()
        self._topics[message.topic.encode()] = message.topic
        self._decoded.events.append(message)
        return True

    def _delivered(self, message: Message) -> Message:
        delivery, self._delivery = self._delivery, None
        if delivery is not None:
            metadata: Metadata = message._metadata
            metadata.retained = delivery.retained
            metadata.ack_id = delivery.ack_id
            metadata.delivery_count = delivery.delivery_count
            metadata.offset = delivery.offset
            metadata.stored_time_unix_nanos = delivery.stored_time_unix_nanos
            metadata.answer = self._answer
            metadata.session = self._session
            metadata.watched = metadata.watched or delivery.offset > 0
        return message


def _memory(size: int = _MEMORY_BYTES) -> memoryview:
    return memoryview(bytearray(size))
