"""The bytes of messages up to their payloads, as one bus takes them."""

from __future__ import annotations

from typing import Dict, Tuple

from fifobus.errors import MessageTooLarge
from fifobus.protocol import frames, topics
from fifobus.protocol.control import FRAME_BYTES_MAX_DEFAULT, FRAME_PREFIX_BYTES
from fifobus.protocol.message import Metadata, Will, header_pairs_of

# Heads that are kept so that they need not be made again: a publisher's topics times
# its payload sizes. Above it all are forgotten. Not tuned.
_HEADS_MAX = 4096


class MessageHeads:
    """Checks messages and makes their heads. Thread-compatible."""

    def __init__(self) -> None:
        self._frame_bytes_max = FRAME_BYTES_MAX_DEFAULT
        self._heads: Dict[Tuple[str, int], bytes] = {}

    def limit(self, frame_bytes_max: int) -> None:
        """What the bus takes from now on."""
        self._frame_bytes_max = frame_bytes_max
        self._heads.clear()

    def head_of(self, topic: str, payload_bytes: int) -> bytes:
        """The frame of a message without metadata, up to its payload.

        Raises InvalidName and MessageTooLarge.
        """
        head = self._heads.get((topic, payload_bytes))
        if head is None:
            head = self.head_with(topic, Metadata(), payload_bytes)
            if len(self._heads) >= _HEADS_MAX:
                self._heads.clear()
            self._heads[(topic, payload_bytes)] = head
        return head

    def head_with(self, topic: str, metadata: Metadata, payload_bytes: int) -> bytes:
        """As head_of, with metadata."""
        topics.check_publishable(topic)
        if metadata.reply_topic:
            topics.check_publishable(metadata.reply_topic)
        head = frames.frame_head(topic, metadata, payload_bytes)
        body = len(head) + payload_bytes - FRAME_PREFIX_BYTES
        if body > self._frame_bytes_max:
            raise MessageTooLarge(
                f"the message makes a frame of {body} bytes and this bus takes "
                f"{self._frame_bytes_max}; put it into a file and publish the "
                "file's name"
            )
        return head


def will_member(will: Will) -> bytes:
    """The Message in a Hello. Raises InvalidName."""
    topics.check_publishable(will.topic)
    metadata = Metadata()
    metadata.retain = will.retain
    metadata.content_type = will.content_type
    metadata.headers = header_pairs_of(will.headers)
    payload = frames.payload_bytes(will.payload)
    return frames.member_head(will.topic, metadata, len(payload)) + payload
