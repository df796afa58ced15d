"""A session's two FIFOs, and writing without SIGPIPE."""

from __future__ import annotations

import fcntl
import os
import select
import signal
import struct
import termios
from typing import List, Sequence, Union

Buffer = Union[bytes, bytearray, memoryview]

# include/uapi/linux/fs.h; Python does not name it. Since Linux 6.11 or so.
_RWF_NOSIGNAL = 0x100
_kernel_lacks_flag = False


def write_without_signal(fd: int, parts: Sequence[Buffer]) -> int:
    """As os.writev, but a reader that is gone never raises SIGPIPE.

    Python ignores SIGPIPE when it starts, but command line programs often restore it.
    """
    global _kernel_lacks_flag
    if not _kernel_lacks_flag:
        try:
            return os.pwritev(fd, parts, -1, _RWF_NOSIGNAL)
        except BlockingIOError:
            raise
        except (BrokenPipeError, NotImplementedError):
            raise
        except OSError:
            _kernel_lacks_flag = True
    return _write_with_signal_blocked(fd, parts)


def _write_with_signal_blocked(fd: int, parts: Sequence[Buffer]) -> int:
    pipe_signal = {signal.SIGPIPE}
    # One that is pending already is not ours to take.
    was_pending = signal.SIGPIPE in signal.sigpending()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, pipe_signal)
    try:
        return os.writev(fd, parts)
    except BrokenPipeError:
        if not was_pending:
            signal.sigtimedwait(pipe_signal, 0)
        raise
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class SessionPipes:
    """The pair of FIFOs of one session, from Hello until they are closed.

    The handshake is that of proto/PROTOCOL.md. Nothing here ever waits. Owned by its
    Connection. Thread-compatible.
    """

    def __init__(self, bus: str, hello: bytes) -> None:
        """Offers a session to the broker on `bus`. Raises OSError."""
        self.down = self.up = self._up_reader = -1
        name = os.urandom(16).hex()
        self._base = f"{bus}/sessions/{name}"
        hidden = f"{bus}/sessions/.{name}"
        self._names: List[str] = []
        try:
            for end in (".down", ".up"):
                os.mkfifo(hidden + end, 0o600)
                self._names.append(hidden + end)
            self.down = _open_end(hidden + ".down", os.O_RDONLY)
            self._up_reader = _open_end(hidden + ".up", os.O_RDONLY)
            self.up = _open_end(hidden + ".up", os.O_WRONLY)
            if write_without_signal(self.up, [hello]) != len(hello):
                raise OSError("Hello does not fit into the pipe")
            # The broker waits for the name of `up`, so it comes last.
            for index, end in enumerate((".down", ".up")):
                os.rename(hidden + end, self._base + end)
                self._names[index] = self._base + end
        except BaseException:
            self.close()
            raise

    def on_welcome(self) -> None:
        """The broker has both ends and has removed the names."""
        self._names = []
        self._up_reader = _closed(self._up_reader)

    def names_exist(self) -> bool:
        """Whether the broker has not taken the pair yet."""
        return os.path.exists(self._base + ".up")

    def up_is_abandoned(self) -> bool:
        """Whether the broker has left `up` with bytes that it did not read."""
        poll = select.poll()
        poll.register(self.up, 0)
        if not any(events & select.POLLERR for _, events in poll.poll(0)):
            return False
        unread = fcntl.ioctl(self.up, termios.FIONREAD, bytes(4))
        return bool(struct.unpack("i", unread)[0] > 0)

    def close_up(self) -> None:
        """Ends the session once the broker has read what is in `up`."""
        self.up = _closed(self.up)

    def close(self) -> None:
        """Closes everything and leaves no names behind."""
        for name in self._names:
            try:
                os.unlink(name)
            except FileNotFoundError:
                pass
        self._names = []
        self.down = _closed(self.down)
        self.up = _closed(self.up)
        self._up_reader = _closed(self._up_reader)


def _open_end(path: str, access: int) -> int:
    return os.open(path, access | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)


def _closed(fd: int) -> int:
    if fd >= 0:
        os.close(fd)
    return -1
