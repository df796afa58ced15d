"""What was received and waits until the program takes it."""

from __future__ import annotations

import time
from collections import deque
from typing import Callable, Deque, Dict, List, Optional, Union

from fifobus import errors
from fifobus.protocol import topics
from fifobus.protocol.control import GapReason
from fifobus.protocol.decoder import Decoded, Event
from fifobus.protocol.message import CaughtUp, Gap, Message, Restarted
from fifobus.protocol.readers import Readers
from fifobus.transport.noted import move_all

# A subscription that the broker refuses anew has its place among them, too.
Incoming = Union[Message, Gap, CaughtUp, Restarted, errors.Refused]

# What a message takes beside its topic and payload: about that of its frame.
_FRAME_OVERHEAD_BYTES = 16


class Received:
    """Messages, and what happened between them, in their order.

    Invariant: they come from one session after the other, each with its end behind all
    that was read in it. Thread-compatible.
    """

    def __init__(self, readers: Readers, on_handed: Callable[[], None]) -> None:
        """`on_handed` is called when a message of a log is handed out."""
        self.events: Deque[Incoming] = deque()
        # Messages that were dropped because they were taken after they had expired.
        self.expired_messages = 0
        self._readers = readers
        self._on_handed = on_handed
        self._unread_bytes = 0  # of `events`, or more
        self._counted = (0, 0)  # these bytes, exactly, and how many events they are

    def move(self, decoded: Decoded) -> None:
        """Takes the events of what was decoded."""
        move_all(decoded.events, self.events)
        self._unread_bytes += decoded.event_bytes

    def has_unread(self, bytes_max: int) -> bool:
        """Whether so many bytes, or more, wait in `events`."""
        if self._unread_bytes >= bytes_max:
            # Nobody has counted what was taken since.
            if self._counted != (self._unread_bytes, len(self.events)):
                self._unread_bytes = sum(map(_bytes_of, self.events))
                self._counted = (self._unread_bytes, len(self.events))
        return self._unread_bytes >= bytes_max

    def shown(self, event: Incoming) -> Optional[Event]:
        """What the program gets for the event that it has taken from `events`: a gap
        for a message that has expired, and for those behind it that have. None: it gets
        nothing for it. Raises Refused."""
        if isinstance(event, errors.Refused):
            raise event
        if not self._is_handed(event):
            return None
        if not is_expired(event):
            return event
        losses: Dict[str, int] = {}
        while True:
            assert isinstance(event, Message)
            losses[event.topic] = losses.get(event.topic, 0) + 1
            self.expired_messages += 1
            event.ack()  # nobody is to work on it any more
            if not self.events or not is_expired(self.events[0]):
                return Gap(GapReason.EXPIRED, sum(losses.values()), losses)
            event = self.events.popleft()
            self._is_handed(event)

    def _is_handed(self, event: Incoming) -> bool:
        """Whether the program gets it."""
        if not isinstance(event, Message) or not event.offset or event.ack_id:
            return True
        is_handed = self._readers.hand(event)
        self._on_handed()
        return is_handed

    def count_only_of(self, patterns: List[str], others: List[str]) -> int:
        """How many messages wait that match one of these patterns, and no other."""
        if not patterns:
            return 0
        return sum(
            isinstance(event, Message)
            and _matches_any(patterns, event.topic)
            and not _matches_any(others, event.topic)
            for event in self.events
        )

    @property
    def is_read_out(self) -> bool:
        """Nothing is there and nothing will come: all that was subscribed to has ended
        where its log ended."""
        return self._readers.read_out and not self.events


def is_expired(event: Incoming) -> bool:
    if not isinstance(event, Message):
        return False
    return 0 < event.expiry_unix_nanos <= time.time_ns()


def _matches_any(patterns: List[str], topic: str) -> bool:
    return any(topics.matches(pattern, topic) for pattern in patterns)


def _bytes_of(event: Incoming) -> int:
    if isinstance(event, Message):
        return len(event.payload) + len(event.topic) + _FRAME_OVERHEAD_BYTES
    return _FRAME_OVERHEAD_BYTES
