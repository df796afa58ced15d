"""Waiting for a time: a timer that is a file descriptor, so that one epoll descriptor
serves all, and what poll(2) takes."""

from __future__ import annotations

import ctypes
import os
import time
from typing import Optional

from fifobus.transport.noted import close_all

_CLOCK_MONOTONIC = 1
_libc = ctypes.CDLL(None, use_errno=True)


class _Itimerspec(ctypes.Structure):
    _fields_ = [
        ("interval_seconds", ctypes.c_long),
        ("interval_nanos", ctypes.c_long),
        ("seconds", ctypes.c_long),
        ("nanos", ctypes.c_long),
    ]


class TimerFd:
    """A timerfd_create(2) descriptor; Python itself has it from 3.13 on.
    Thread-compatible."""

    def __init__(self) -> None:
        self._fd: int = _libc.timerfd_create(
            _CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC
        )
        if self._fd < 0:
            error = ctypes.get_errno()
            raise OSError(error, os.strerror(error), "timerfd_create")
        self._fds = [self._fd]  # as long as it is open
        self._set = False

    def fileno(self) -> int:
        return self._fd

    def set(self, seconds: float) -> None:
        """Readable from `seconds` from now on, until it is set again or cleared."""
        nanos = max(1, int(seconds * 1e9))
        self._settime(nanos)
        self._set = True

    def clear(self) -> None:
        """Not readable any more."""
        if self._set:
            self._settime(0)
            self._set = False

    def _settime(self, nanos: int) -> None:
        # Setting it, also to the same time, takes back that it had come.
        after = _Itimerspec(0, 0, nanos // 1_000_000_000, nanos % 1_000_000_000)
        _libc.timerfd_settime(self._fd, 0, ctypes.byref(after), None)

    def close(self) -> None:
        self._fd = -1
        close_all(self._fds)


def milliseconds_to(deadline: Optional[float]) -> Optional[float]:
    """For poll: rounded up, so that it does not spin through the last millisecond."""
    if deadline is None:
        return None
    return max(0.0, min(deadline - time.monotonic(), 3600.0)) * 1000 + 0.999
