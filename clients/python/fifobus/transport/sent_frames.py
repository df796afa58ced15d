"""What was written into a pipe and may not have been read."""

from __future__ import annotations

import fcntl
import struct
import termios
from collections import deque
from typing import Deque, Iterator, List, NamedTuple, Sequence

from fifobus.protocol.control import FRAME_PREFIX_BYTES, MESSAGE
from fifobus.transport.noted import Buffer

# What a default pipe holds. When so much more was written, it is time to ask how much
# of it was read.
_TRIM_BYTES = 64 << 10

# Of a Frame that holds a Message: the key of a field of wire type LEN.
_MESSAGE_KEY = bytes((MESSAGE << 3 | 2,))


class Remains(NamedTuple):
    """What a session leaves behind whose broker reads no more."""

    # Whole frames of messages, in order, of which the last byte was not read.
    frames: List[bytes]
    # Whether it had read any messages. They may not have been passed on.
    messages_read: bool


class SentFrames:
    """The last writes of one session, each of whole frames, as their callers gave them.

    Nothing is copied. So that nothing that may be unread is missing, they are more than
    the pipe holds; above that they are at most _TRIM_BYTES and one write. Whatever
    interrupts a method, too much is kept and never too little. Thread-compatible.
    """

    def __init__(self) -> None:
        self._writes: Deque[Sequence[Buffer]] = deque()
        self._bytes = 0  # at least those that came since trim, unless interrupted
        self._long = _TRIM_BYTES
        self._messages_read = False  # of what is not here any more

    def add(self, write: Sequence[Buffer]) -> None:
        """All of it was written. Adding the last one again does nothing."""
        writes = self._writes
        if writes and writes[-1] is write:
            return
        writes.append(write)
        self._bytes += len(write[0]) if len(write) == 1 else size_of(write)

    @property
    def is_long(self) -> bool:
        """Whether it is time to trim."""
        return self._bytes >= self._long

    def trim(self, fd: int) -> None:
        """Forgets what was read. REQUIRES: all that was written to `fd` was added."""
        writes = self._writes
        left = sum(map(size_of, writes))
        unread = unread_bytes(fd)
        while writes and left - (size := size_of(writes[0])) >= unread:
            if not self._messages_read:
                self._messages_read = _has_message(writes[0])
            writes.popleft()
            left -= size
        self._long = left + _TRIM_BYTES
        self._bytes = left

    def remains(
        self, begun: Sequence[Buffer], begun_bytes: int, unread: int
    ) -> Remains:
        """`begun`: what is behind all that was added, of which so many bytes were
        written. `unread`: bytes in the pipe. Changes nothing."""
        at = 0
        read = sum(map(size_of, self._writes)) + begun_bytes - unread
        frames: List[bytes] = []
        messages_read = self._messages_read
        for write in [*self._writes, begun]:
            for frame in frames_of(write):
                at += len(frame)
                if not is_message(frame):
                    continue
                if at > read:
                    frames.append(frame)
                else:
                    messages_read = True
        return Remains(frames, messages_read)


def size_of(parts: Sequence[Buffer]) -> int:
    return sum(map(len, parts))


def frames_of(write: Sequence[Buffer]) -> Iterator[bytes]:
    """REQUIRES: whole frames."""
    data = write[0] if len(write) == 1 else b"".join(write)
    at = 0
    while at < len(data):
        begin = at + FRAME_PREFIX_BYTES
        end = begin + int.from_bytes(data[at:begin], "big")
        yield bytes(data[at:end])
        at = end


def is_message(frame: bytes) -> bool:
    return frame[FRAME_PREFIX_BYTES : FRAME_PREFIX_BYTES + 1] == _MESSAGE_KEY


def unread_bytes(fd: int) -> int:
    """In the pipe whose writing end this is."""
    answer = fcntl.ioctl(fd, termios.FIONREAD, bytes(4))
    return int(struct.unpack("i", answer)[0])


def _has_message(write: Sequence[Buffer]) -> bool:
    return any(map(is_message, frames_of(write)))
