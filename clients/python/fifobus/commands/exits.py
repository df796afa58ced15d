"""How a command ends, and what all commands do with descriptors."""

from __future__ import annotations

import os
import select
import stat
import sys
import time
from typing import List, Optional, Sequence, Tuple

DONE, FAILED, USAGE, TIMED_OUT = 0, 1, 2, 3

# A wait is cut into pieces of this length, in seconds: poll(2) counts in an int.
_LONGEST_WAIT = 3600.0


class CommandFailed(Exception):
    """Ends the command with FAILED; the text is for standard error."""


def warn(text: object) -> None:
    """One line on standard error; lost if that takes nothing."""
    try:
        os.write(2, f"fifobus: {text}\n".encode(errors="replace"))
    except OSError:
        pass


def poll_until(
    polled: Sequence[Tuple[int, int]], deadline: Optional[float]
) -> List[int]:
    """The descriptors that are ready, of pairs of a descriptor and what is awaited; -1
    is passed over. May return earlier, with none."""
    poll = select.poll()
    for fd, wanted in polled:
        if fd >= 0:
            poll.register(fd, wanted)
    left = _LONGEST_WAIT
    if deadline is not None:
        left = min(left, max(0.0, deadline - time.monotonic()))
    return [fd for fd, _ in poll.poll(left * 1000 + (0.999 if left else 0))]


def output_watch() -> Tuple[int, int]:
    """For poll_until: ready when nobody reads standard output any more."""
    try:
        mode = os.fstat(1).st_mode
    except OSError:
        return (-1, 0)
    # Of others nothing can be told. POLLERR comes unasked.
    return (1 if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) else -1, 0)


def output_is_unread() -> bool:
    return bool(poll_until([output_watch()], time.monotonic()))


def write_out(lines: List[bytes]) -> None:
    """Writes all lines. Raises OSError. Not by sys.stdout, which would try again at the
    end."""
    text = memoryview(b"".join(lines))
    lines.clear()
    while text:
        text = text[os.write(1, text) :]
