"""System calls whose results outlive an exception from a signal handler.

Python runs signal handlers between its own instructions. A handler that raises, as
Ctrl-C does, can do so behind a system call and before its result is assigned: then
bytes are in the pipe, or out of it, and nobody knows how many. Here one call of C makes
the system call and appends its result to a list, and no handler runs within it.
"""

from __future__ import annotations

import functools
import os
import signal
from collections import deque
from itertools import repeat
from typing import Any, Deque, List, Optional, Sequence, Union

Buffer = Union[bytes, bytearray, memoryview]

# include/uapi/linux/fs.h; Python does not name it. Since Linux 6.11 or so.
_RWF_NOSIGNAL = 0x100
_NO_OFFSET = (-1,)
_FLAGS = (_RWF_NOSIGNAL,)
_kernel_lacks_flag = False


def write(noted: List[int], fd: int, parts: Sequence[Buffer]) -> None:
    """As os.writev, but a reader that is gone never raises SIGPIPE. Appends to `noted`
    how many bytes were written. Raises OSError if none were.

    Python ignores SIGPIPE when it starts, but command line programs often restore it.
    """
    global _kernel_lacks_flag
    if not _kernel_lacks_flag:
        try:
            noted.extend(map(os.pwritev, (fd,), (parts,), _NO_OFFSET, _FLAGS))
            return
        except (BlockingIOError, BrokenPipeError, NotImplementedError):
            raise
        except OSError:
            _kernel_lacks_flag = True
    _write_with_signal_blocked(noted, fd, parts)


def _write_with_signal_blocked(
    noted: List[int], fd: int, parts: Sequence[Buffer]
) -> None:
    pipe_signal = {signal.SIGPIPE}
    # One that is pending already is not ours to take.
    was_pending = signal.SIGPIPE in signal.sigpending()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    try:
        signal.pthread_sigmask(signal.SIG_BLOCK, pipe_signal)
        noted.extend(map(os.writev, (fd,), (parts,)))
    except BrokenPipeError:
        if not was_pending:
            signal.sigtimedwait(pipe_signal, 0)
        raise
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def read(noted: List[int], fd: int, space: memoryview) -> None:
    """Reads into `space` and appends to `noted` how many bytes; 0: the end."""
    noted.extend(map(os.readv, (fd,), ((space,),)))


def read_bytes(noted: List[bytes], fd: int, size: int) -> None:
    """Appends to `noted` what was read."""
    noted.extend(map(os.read, (fd,), (size,)))


def open_path(
    noted: List[int], path: str, access: int, folder: Optional[int] = None
) -> int:
    """Opens it, without waiting or following a link, and appends the descriptor to
    `noted`, which is to own it. `folder`: what `path` is relative to."""
    flags = access | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
    noted.extend(map(functools.partial(os.open, dir_fd=folder), (path,), (flags,)))
    return noted[-1]


def close_all(fds: List[int]) -> None:
    """Closes all, each of which leaves the list in the same moment: a descriptor that
    is closed twice may be somebody else's the second time."""
    deque(map(os.close, map(fds.pop, repeat(-1, len(fds)))), maxlen=0)


def move_all(source: Deque[Any], target: Deque[Any]) -> None:
    """Each item is in exactly one of the two at any moment."""
    target.extend(map(_take_first, repeat(source, len(source))))


_take_first = deque.popleft
