"""What a publisher's name brings: numbers that rise, and messages that are sent again."""

from __future__ import annotations

from typing import Dict, KeysView, List

from fifobus.protocol import topics
from fifobus.protocol.control import Level, PublisherMark
from fifobus.protocol.message import Metadata


class NamedPublisher:
    """Numbers a client's messages, and keeps those whose confirmation is to come.

    Without a name it does neither. What it keeps is sent again in the next session; a
    log passes over what it has already, so that each is stored once. Thread-compatible.

    Invariant: kept_bytes is the size of all kept frames.
    """

    def __init__(self, name: str, resend_bytes_max: int) -> None:
        """Raises InvalidName."""
        if name:
            topics.check_level("publisher", name)
        self.name = name
        self.marks: Dict[str, PublisherMark] = {}  # by log, as the session began
        # The highest number that a message has had.
        self.last_sequence = 0
        # Whether messages are published that are not kept, or may be: all, without a
        # name.
        self.has_unkept = True
        self._resend_bytes_max = resend_bytes_max if name else 0
        self._kept: Dict[int, bytes] = {}  # frames by confirm_id, in their order
        self.kept_bytes = 0

    def on_welcome(self, marks: List[PublisherMark]) -> None:
        self.marks = {mark.log: mark for mark in marks}
        highest = max((mark.last_sequence for mark in marks), default=0)
        self.last_sequence = max(self.last_sequence, highest)

    def number(self, metadata: Metadata) -> None:
        """Gives the message its number, unless it has one. Later it keeps it."""
        if not self.name:
            return
        if metadata.confirm_id not in self._kept:
            self.has_unkept = True
        if not metadata.sequence:
            metadata.sequence = self.last_sequence + 1
        self.last_sequence = max(self.last_sequence, metadata.sequence)

    def forget_unkept(self) -> None:
        """Nothing but what is kept is published in the next session yet."""
        self.has_unkept = self._resend_bytes_max == 0

    def expect(self, metadata: Metadata) -> None:
        """The message is about to be published. If it is to be kept, its confirmation
        may be of any session from now on. Only a log knows what it has already."""
        if self._resend_bytes_max > 0 and metadata.confirm_level > Level.ACCEPTED:
            self._kept[metadata.confirm_id] = b""

    def keeps(self, confirm_id: int) -> bool:
        """Whether it is to be kept, and is not confirmed."""
        return confirm_id in self._kept

    def has_room(self, frame_bytes: int) -> bool:
        """A frame that is larger than all the room has it alone."""
        fits = self.kept_bytes + frame_bytes <= self._resend_bytes_max
        return fits or not self._kept

    def keep(self, confirm_id: int, frame: bytes) -> None:
        """It was published. REQUIRES: keeps(confirm_id)."""
        self._kept[confirm_id] = frame
        self.kept_bytes += len(frame)

    def forget(self, confirm_id: int) -> None:
        """It is confirmed, or was not published."""
        self.kept_bytes -= len(self._kept.pop(confirm_id, b""))

    @property
    def kept_ids(self) -> KeysView[int]:
        """The confirm_ids of what the next session is sent again."""
        return self._kept.keys()

    def kept_frames(self) -> List[bytes]:
        return [frame for frame in self._kept.values() if frame]
