"""Finding frames in what was read."""

from __future__ import annotations

import struct
from typing import Any, Callable, Dict, List, Optional

from fifobus import control, frames
from fifobus.control import FRAME_BYTES_MAX_DEFAULT, FRAME_PREFIX_BYTES, MESSAGE
from fifobus.message import Message, Metadata

_PREFIX = struct.Struct(">I")
_NEVER = 1 << 62  # bytes that no read ever has
# Topics that were checked and need not be again. Above it all are forgotten.
_TOPICS_MAX = 4096
_MESSAGE_TAG = 0x0A
_TOPIC_TAG = 0x0A
_PAYLOAD_TAG = 0x7A


class FrameDecoder:
    """The frames of one session, out of reads of any size.

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
        self._rest: List[bytes] = []
        self._rest_bytes = 0
        self._wanted = 0
        self._delivery: Optional[control.Delivery] = None
        self._topics: Dict[bytes, str] = {}
        # The last plain message: its frame's bytes up to the payload, and its sizes.
        self._head = b""
        self._frame_bytes = _NEVER
        self._topic = ""

    def feed(self, data: bytes) -> None:
        """Takes what was read. Raises frames.BadFrame, after which it is useless."""
        if self._rest:
            self._rest.append(data)
            self._rest_bytes += len(data)
            if self._rest_bytes < self._wanted:
                return
            data = b"".join(self._rest)
        at = self._take_all(data)
        rest = data[at:]
        self._rest = [rest] if rest else []
        self._rest_bytes = len(rest)
        self._wanted = FRAME_PREFIX_BYTES
        if len(rest) >= FRAME_PREFIX_BYTES:
            self._wanted += _PREFIX.unpack_from(rest)[0]

    @property
    def wanted(self) -> int:
        """How many bytes are missing to the end of a frame that has begun; or 0."""
        return self._wanted - self._rest_bytes if self._rest else 0

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
            if end - at < FRAME_PREFIX_BYTES:
                return at
            size = _PREFIX.unpack_from(data, at)[0]
            if size > FRAME_BYTES_MAX_DEFAULT:
                raise frames.BadFrame("too_large", f"a frame of {size} bytes")
            stop = at + FRAME_PREFIX_BYTES + size
            if stop > end:
                return at
            if self._delivery is not None or not self._take_plain(data, at, stop):
                self._take(memoryview(data)[at + FRAME_PREFIX_BYTES : stop])
            at = stop

    def _take_plain(self, data: bytes, at: int, stop: int) -> bool:
        """Takes a message of topic and payload alone; False: it is something else."""
        tag = at + FRAME_PREFIX_BYTES
        if stop - tag < 5 or data[tag] != _MESSAGE_TAG:
            return False
        # The member fills the frame, so that its length need not be looked at but
        # to see that it does.
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
