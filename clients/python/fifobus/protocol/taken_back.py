"""The messages that a broker had not read when it died."""

from __future__ import annotations

from typing import Dict, FrozenSet, List, NamedTuple, Sequence, Tuple

from fifobus.protocol import wire
from fifobus.protocol.control import FRAME_PREFIX_BYTES
from fifobus.transport.sent_frames import Remains

_SEQUENCE = 2
_REPLY_TOPIC = 4
_CONFIRM_ID = 9


class _Taken(NamedTuple):
    frame: bytes
    sequence: int
    reply_topic: str
    confirm_id: int


# What was taken back, and what it was taken from, replaced as a whole.
_Store = Tuple[Sequence[_Taken], object]


class TakenBack:
    """What one session has left, until the next one begins with it. Thread-compatible.

    Each method can be repeated: an exception from a signal handler in its midst neither
    loses a message nor doubles one.
    """

    def __init__(self) -> None:
        self._store: _Store = ((), None)
        self.resent_messages = 0  # over all sessions

    def __bool__(self) -> bool:
        return bool(self._store[0])

    def take(self, remains: Remains, session: object) -> None:
        """`session` has left this. Taking it again does nothing. REQUIRES: what the one
        before it had left was sent."""
        if self._store[1] is not session:
            self._store = (tuple(map(_taken, remains.frames)), session)

    @property
    def session(self) -> object:
        """That it was taken from last."""
        return self._store[1]

    def sent(self, messages: int) -> None:
        """The next session has it now; so many were sent again in all."""
        self.clear()
        self.resent_messages += messages

    def clear(self) -> None:
        self._store = ((), self._store[1])

    @property
    def confirm_ids(self) -> FrozenSet[int]:
        """Of messages whose confirmation the next session brings."""
        return frozenset(taken.confirm_id for taken in self._store[0]) - {0}

    @property
    def reply_topics(self) -> FrozenSet[str]:
        """Of requests that the next session brings the reply to."""
        return frozenset(taken.reply_topic for taken in self._store[0]) - {""}

    def frames_with(self, kept: Sequence[bytes]) -> List[bytes]:
        """All frames that are to be sent, each once and in their order. `kept`: what a
        named publisher sends again besides, numbered like all its messages."""
        taken = self._store[0]
        if not kept:
            return [message.frame for message in taken]
        by_number: Dict[int, bytes] = {}
        for message in [*map(_taken, kept), *taken]:
            by_number[message.sequence] = message.frame
        return [by_number[number] for number in sorted(by_number)]


def _taken(frame: bytes) -> _Taken:
    """What is in the frame of a message that was sent."""
    (_, _, member), _ = wire.take_field(
        memoryview(frame), FRAME_PREFIX_BYTES, len(frame)
    )
    assert isinstance(member, memoryview)
    numbers = {_SEQUENCE: 0, _CONFIRM_ID: 0}
    reply_topic = ""
    for number, _, value in wire.fields_of(member):
        if number == _REPLY_TOPIC and isinstance(value, memoryview):
            reply_topic = bytes(value).decode()
        elif number in numbers and isinstance(value, int):
            numbers[number] = value
    return _Taken(frame, numbers[_SEQUENCE], reply_topic, numbers[_CONFIRM_ID])
