"""How far a client has come in the logs that it reads."""

from __future__ import annotations

import time
from collections import deque
from typing import Any, Deque, Dict, List, Optional

from fifobus.errors import InvalidName
from fifobus.protocol import control, topics
from fifobus.protocol.message import CaughtUp, Message, ReadPosition
from fifobus.protocol.request import Subscription

# While messages are received one after the other, the broker is told of a durable
# reader's position so often, in seconds: it keeps one as often.
_TELL_INTERVAL = 0.1
# Topics whose reader was looked up. Above it all are forgotten.
_TOPICS_MAX = 4096


class Readers:
    """The subscriptions that read a log and are not shared with a group.

    A durable one is told to the broker by the offset below which all is done, once for
    many messages. Any other goes on in the next session behind the last message that
    was read in this one. Their patterns do not overlap, so a message's topic says whose
    it is. Thread-compatible.
    """

    def __init__(self) -> None:
        self.entries: List[Subscription] = []
        self._of_topic: Dict[str, Optional[Subscription]] = {}
        # Handed to the program, and done when it asks for the next one.
        self._handed: Optional[Message] = None
        self._is_untold = False  # some are done up to where the broker was not told
        self._told_at = 0.0
        # All that was subscribed to has ended with its CaughtUp.
        self.read_out = False

    def check(self, pattern: str) -> None:
        """Raises InvalidName if another one may read the same messages."""
        for other in self.entries:
            if topics.overlap(pattern, other.pattern):
                raise InvalidName(
                    f'the pattern "{pattern}" overlaps "{other.pattern}", which this '
                    "client reads already; unsubscribe from that one, or use another "
                    "client"
                )

    def add(self, subscription: Subscription) -> None:
        self.entries.append(subscription)
        self._of_topic.clear()

    def remove(self, subscription: Subscription) -> None:
        if subscription in self.entries:
            self.entries.remove(subscription)
            self._of_topic.clear()

    def _reader_of(self, topic: str) -> Optional[Subscription]:
        if topic not in self._of_topic:
            if len(self._of_topic) >= _TOPICS_MAX:
                self._of_topic.clear()
            self._of_topic[topic] = next(
                (
                    entry
                    for entry in self.entries
                    if topics.matches(entry.pattern, topic)
                ),
                None,
            )
        return self._of_topic[topic]

    # Messages

    def hand(self, message: Message) -> bool:
        """The program gets this message, which was read out of a log. False: it does
        not, because it comes again in the session that is now."""
        entry = self._reader_of(message.topic)
        if entry is None:
            return True  # it was read before its subscription ended
        if entry.options.durable:
            if message._metadata.session != entry.asked_in:
                return False
            self.finish()
            if entry.options.auto_ack:
                self._handed = message
        entry.next_offset = message.offset + 1
        return True

    def finish(self) -> None:
        """The program asks for the next message: it has done the one before."""
        if self._handed is not None:
            self.done(self._handed)
            self._handed = None

    def done(self, message: Message) -> None:
        """The program has done this message and, of its reader, all before it."""
        entry = self._reader_of(message.topic)
        if entry is None or not entry.options.durable:
            return
        # In the next session it comes again, and is another message.
        if message._metadata.session == entry.asked_in:
            if message.offset > entry.done_offset:
                entry.done_offset = message.offset
                self._is_untold = True

    # Positions

    @property
    def is_time_to_tell(self) -> bool:
        return self._is_untold and time.monotonic() >= self._told_at + _TELL_INTERVAL

    def positions(self) -> List[control.Ack]:
        """Of durable readers, as far as the broker was not told."""
        if not self._is_untold:
            return []
        self._is_untold = False
        self._told_at = time.monotonic()
        acks = []
        for entry in self.entries:
            if entry.done_offset > entry.told_offset:
                entry.told_offset = entry.done_offset
                acks.append(
                    control.Ack(
                        subscription=entry.request_id, up_to_offset=entry.done_offset
                    )
                )
        return acks

    # Sessions

    def ask(self, entry: Subscription) -> None:
        """A session has been asked for this subscription: what is received in it is
        done in it."""
        entry.done_offset = entry.told_offset = 0
        if self._handed is not None and self._reader_of(self._handed.topic) is entry:
            self._handed = None

    def on_subscribed(self, frame: control.Subscribed) -> None:
        entry = self._asked(frame.request_id)
        if entry is not None:
            entry.log = frame.log
            if entry.options.durable or not entry.next_offset:
                entry.next_offset = frame.next_offset

    def caught_up(self, frame: control.CaughtUpFrame) -> Optional[CaughtUp]:
        """What the program is told; None: it was told so before, or has
        unsubscribed."""
        entry = self._asked(frame.request_id)
        if entry is None or entry.caught_up:
            return None
        until_now = entry.options.until_now
        return CaughtUp(entry.pattern, frame.next_offset, until_now)

    def on_caught_up(self, frame: control.CaughtUpFrame) -> Optional[Subscription]:
        """Returns the subscription that this ends, if it does."""
        entry = self._asked(frame.request_id)
        if entry is None:
            return None
        entry.caught_up = True
        return entry if entry.options.until_now else None

    def _asked(self, request_id: int) -> Optional[Subscription]:
        for entry in self.entries:
            if entry.request_id == request_id:
                return entry
        return None

    def on_loss(self, events: Deque[Any]) -> None:
        """The session has ended; `events` has what was read and not handed out."""
        for entry in self.entries:
            entry.resume_offset = max(entry.resume_offset, entry.next_offset)
        for event in events if self.entries else ():
            if isinstance(event, Message) and event.offset and not event.ack_id:
                reader = self._reader_of(event.topic)
                if reader is not None:
                    offset = event.offset + 1
                    reader.resume_offset = max(reader.resume_offset, offset)

    def position(self, pattern: str) -> Optional[ReadPosition]:
        for entry in self.entries:
            if entry.pattern == pattern and entry.log:
                return ReadPosition(entry.log, entry.next_offset)
        return None
