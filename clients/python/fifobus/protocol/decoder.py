"""Finding frames in what was read."""

from __future__ import annotations

import struct
from typing import Any, Callable, Dict, Optional

from fifobus.protocol import control, frames
from fifobus.protocol.control import (
    FRAME_BYTES_MAX_DEFAULT,
    FRAME_PREFIX_BYTES,
    MESSAGE,
)
from fifobus.protocol.message import Message, Metadata
from fifobus.protocol.wire import Buffer

_PREFIX = struct.Struct(">I")
_NEVER = 1 << 62  # bytes that no read ever has
# Topics that were checked and need not be again. Above it all are forgotten.
_TOPICS_MAX = 4096
# What is read at once, unless a frame needs more: what a default pipe holds, and the
# least that loses nothing from a pipe in packet mode. Not more: a reader that empties
# a grown pipe in one go sleeps more often, and malloc maps and unmaps pages for larger
# pieces (bench/DECISIONS.md).
_READ_BYTES = 64 << 10
# A read behind the rest of a frame. A larger frame gets memory of its size, for as long
# as such frames come.
_MEMORY_BYTES = 2 * _READ_BYTES
# From this much on a payload is copied alone, and once. Not tuned.
_LARGE_FRAME_BYTES = 4 << 10
_MESSAGE_TAG = 0x0A
_TOPIC_TAG = 0x0A
_PAYLOAD_TAG = 0x7A


class FrameDecoder:
    """The frames of one session, out of reads of any size into its own memory.

    Calls `on_message` for each message, with what its Delivery said put into it,
    `on_reply` for those below `reply_prefix`, and `on_control` for each other frame, in
    their order.

    A frame that begins with the same bytes as the message before it has the same
    topic, the same size and no other field, so that it is not walked again: in a
    stream of equal messages that comparison is all the decoding there is.
    """

    def __init__(
        self,
        on_message: Callable[[Message], None],
        on_reply: Callable[[Message], None],
        reply_prefix: str,
        on_control: Callable[[Any], None],
        answer: Callable[[int, control.Verdict], None],
    ) -> None:
        self._on_message = on_message
        self._on_reply = on_reply
        self._reply_prefix = reply_prefix
        self._on_control = on_control
        self._answer = answer
        self._memory = memoryview(bytearray(_MEMORY_BYTES))
        self._rest_bytes = 0  # at the front of the memory
        self._delivery: Optional[control.Delivery] = None
        self._topics: Dict[bytes, str] = {}
        # The last plain message: its frame's bytes up to the payload, and its sizes.
        self._head = b""
        self._frame_bytes = _NEVER
        self._topic = ""

    def space(self) -> memoryview:
        """Where to read to next; never empty. Valid until filled()."""
        missing = self.wanted
        if self._rest_bytes + missing > len(self._memory):
            self._change_memory(self._rest_bytes + missing)
        elif not self._rest_bytes and len(self._memory) > _MEMORY_BYTES:
            if self._frame_bytes < _MEMORY_BYTES or self._frame_bytes == _NEVER:
                self._change_memory(_MEMORY_BYTES)
        at = self._rest_bytes
        size = max(missing, _READ_BYTES)
        # In a stream of equal large frames reads end where frames do, so that no rest
        # is to be moved.
        if self._is_large(self._frame_bytes):
            if missing > _READ_BYTES // 2:
                size = missing
            elif at == 0:
                size = (_READ_BYTES // self._frame_bytes + 1) * self._frame_bytes
        return self._memory[at : at + size]

    def filled(self, size: int) -> None:
        """Takes what was read to space(). After a BadFrame it is useless."""
        memory, end = self._memory, self._rest_bytes + size
        at = 0
        while True:
            if self._is_large(self._frame_bytes):
                at = self._take_equal(at, end)
            stop = self._frame_end(memory, at, end)
            if stop == 0:
                break
            # Slices of bytes are cheaper than those of a view, so small frames are
            # copied many at once.
            if not self._is_large(stop - at):
                stop = min(end, at + _READ_BYTES)
            at += self._take_all(bytes(memory[at:stop]))
        if at and at < end:
            memory[: end - at] = memory[at:end]
        self._rest_bytes = end - at

    @property
    def wanted(self) -> int:
        """How many bytes are missing to the end of a frame that has begun; or 0."""
        if self._rest_bytes < FRAME_PREFIX_BYTES:
            return FRAME_PREFIX_BYTES - self._rest_bytes if self._rest_bytes else 0
        size = int(_PREFIX.unpack_from(self._memory)[0])
        return FRAME_PREFIX_BYTES + size - self._rest_bytes

    @staticmethod
    def _is_large(frame_bytes: int) -> bool:
        return _LARGE_FRAME_BYTES <= frame_bytes < _NEVER

    def _change_memory(self, size: int) -> None:
        changed = memoryview(bytearray(size))
        changed[: self._rest_bytes] = self._memory[: self._rest_bytes]
        self._memory = changed

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

    def _take_equal(self, at: int, end: int) -> int:
        """Takes frames that are like the last one, their payloads copied once."""
        memory, head, size = self._memory, self._head, self._frame_bytes
        skip = len(head)
        while (
            self._delivery is None
            and at + size <= end
            and memory[at : at + skip] == head
        ):
            payload = bytes(memory[at + skip : at + size])
            self._on_message(Message(self._topic, payload))
            at += size
        return at

    def _take_all(self, data: bytes) -> int:
        """Takes all whole frames; returns where the rest begins."""
        on_message = self._on_message
        at, end = 0, len(data)
        while True:
            head, frame_bytes, topic = self._head, self._frame_bytes, self._topic
            payload_at = len(head)
            while data.startswith(head, at) and at + frame_bytes <= end:
                if self._delivery is not None:
                    break
                on_message(Message(topic, data[at + payload_at : at + frame_bytes]))
                at += frame_bytes
            stop = self._frame_end(data, at, end)
            if stop == 0:
                return at
            if self._delivery is not None or not self._take_plain(data, at, stop):
                self._take(memoryview(data)[at + FRAME_PREFIX_BYTES : stop])
            at = stop

    def _take_plain(self, data: bytes, at: int, stop: int) -> bool:
        """Takes a message of topic and payload alone; False: it is something else."""
        tag = at + FRAME_PREFIX_BYTES
        if stop - tag < 5 or data[tag] != _MESSAGE_TAG:
            return False
        # The member fills the frame. Its length is read only to check that.
        where = tag + 2
        while data[where - 1] >= 0x80:
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
        self._head = data[at:payload]
        self._frame_bytes = stop - at
        self._topic = topic
        self._on_message(Message(topic, data[payload:stop]))
        return True

    def _take(self, body: memoryview) -> None:
        number, member = frames.read_frame(body)
        if number == MESSAGE:
            self._take_message(self._delivered(frames.read_message(member)))
            return
        if self._delivery is not None:
            raise frames.BadFrame("malformed", "a Delivery without its Message")
        frame = frames.read_control(number, member)
        if isinstance(frame, control.Delivery):
            self._delivery = frame
        else:
            self._on_control(frame)

    def _take_message(self, message: Message) -> None:
        if message.topic.startswith(self._reply_prefix):
            self._on_reply(message)
            return
        if len(self._topics) >= _TOPICS_MAX:
            self._topics.clear()
        self._topics[message.topic.encode()] = message.topic
        self._on_message(message)

    def _delivered(self, message: Message) -> Message:
        delivery, self._delivery = self._delivery, None
        if delivery is not None:
            metadata: Metadata = message._metadata
            metadata.retained = delivery.retained
            metadata.ack_id = delivery.ack_id
            metadata.delivery_count = delivery.delivery_count
            metadata.answer = self._answer
        return message
