"""Bytes on their way into one session's `up`, and those that may be unread in it."""

from __future__ import annotations

from typing import List, Sequence, Tuple

from fifobus.transport import noted
from fifobus.transport.noted import Buffer
from fifobus.transport.sent_frames import Remains, SentFrames, size_of

# Where the bytes stand, replaced as a whole so that it is always one state:
# - what is being written, whole frames;
# - what is left of that, the rest of a begun frame first;
# - how many bytes of that were written, noted by the writes themselves;
# - whole frames behind it;
# - whether what is being written was taken. If not, it is withdrawn unless a byte of it
#   was written.
_Lane = Tuple[Sequence[Buffer], Sequence[Buffer], List[int], bytearray, bool]


class Outbox:
    """Frames for one session's `up`, written in their order as the pipe takes them.

    Invariant: a frame that was begun is finished before another byte is written, and no
    byte is written twice, wherever an exception from a signal handler comes between.
    Thread-compatible.
    """

    def __init__(self) -> None:
        self._lane: _Lane = ((), (), [], bytearray(), True)
        self.sent = SentFrames()  # another object in each session
        self.cuts = 0  # how often something was thrown away with its session

    def append(self, frame: Buffer) -> None:
        """Whole frames, to be written after all that is there."""
        self._lane[3].extend(frame)

    @property
    def waiting_bytes(self) -> int:
        """Of the frames of which nothing was tried yet."""
        return len(self._lane[3])

    def __bool__(self) -> bool:
        if self._lane[1]:
            self._settle()
        return bool(self._lane[1] or self._lane[3])

    def clear(self) -> None:
        """The session is over, and what is left is lost."""
        if self:
            self.cuts += 1
        self.begin()

    def begin(self) -> None:
        """Another session: nothing is left, and nothing was sent."""
        self._lane = ((), (), [], bytearray(), True)
        self.sent = SentFrames()

    def remains(self, unread: int) -> Remains:
        """What the session leaves behind if `unread` bytes are in the pipe, what was
        not written included. Changes nothing."""
        self._settle()
        whole, rest, _, waiting, _ = self._lane
        begun = size_of(whole) - size_of(rest)
        return self.sent.remains((*whole, waiting), begun, unread)

    def flush(self, fd: int) -> bool:
        """Writes what the pipe takes; True: nothing is left. Raises BrokenPipeError."""
        while True:
            self._settle()
            whole, front, written, waiting, _ = self._lane
            if not front:
                if self.sent.is_long:
                    self.sent.trim(fd)
                if not waiting:
                    return True
                whole = front = (waiting,)
                self._lane = (whole, front, written, bytearray(), True)
            try:
                noted.write(written, fd, front)
            except BlockingIOError:
                return False

    def offer(self, fd: int, frame: Sequence[bytes]) -> bool:
        """Takes a frame if the pipe takes a byte of it now; False: it did not. The rest
        is left to flush. REQUIRES: nothing is left. Raises BrokenPipeError."""
        written: List[int] = []
        self._lane = (frame, frame, written, self._lane[3], False)
        try:
            noted.write(written, fd, frame)
        except BlockingIOError:
            pass
        self._settle()
        return bool(written)

    def _settle(self) -> None:
        """Takes note of what was written. All else begins with it, since an exception
        may have come between a write and this."""
        whole, front, written, waiting, taken = self._lane
        if written:
            rest = without_front(front, sum(written))
            if rest:
                self._lane = (whole, rest, [], waiting, True)
            else:
                self.sent.add(whole)
                self._lane = ((), (), [], waiting, True)
        elif not taken:
            self._lane = ((), (), written, waiting, True)


def without_front(parts: Sequence[Buffer], written: int) -> List[Buffer]:
    """What is left of `parts` behind their first `written` bytes."""
    rest: List[Buffer] = []
    for part in parts:
        if written >= len(part):
            written -= len(part)
        else:
            rest.append(memoryview(part)[written:] if written else part)
            written = 0
    return rest
