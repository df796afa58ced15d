"""A session's two FIFOs."""

from __future__ import annotations

import os
import select
from typing import List

from fifobus.transport import noted
from fifobus.transport.sent_frames import unread_bytes


class SessionPipes:
    """The pair of FIFOs of one session, from Hello until they are closed.

    The handshake is that of proto/PROTOCOL.md. Nothing here ever waits. Whatever
    interrupts a method, close() leaves nothing open and no name behind. Owned by its
    Connection. Thread-compatible.
    """

    def __init__(self, bus: str) -> None:
        self.down = self.up = -1
        name = os.urandom(16).hex()
        self._base = f"{bus}/sessions/{name}"
        self._hidden = f"{bus}/sessions/.{name}"
        self._names: List[str] = []
        # Each descriptor is in its list as long as it is open.
        self._down_fds: List[int] = []
        self._up_fds: List[int] = []
        self._up_reader_fds: List[int] = []

    def offer(self, hello: bytes) -> None:
        """Offers a session to the broker. Raises OSError."""
        hidden = self._hidden
        self._names = [hidden + ".down", hidden + ".up"]
        for name in self._names:
            os.mkfifo(name, 0o600)
        self.down = noted.open_path(self._down_fds, hidden + ".down", os.O_RDONLY)
        noted.open_path(self._up_reader_fds, hidden + ".up", os.O_RDONLY)
        self.up = noted.open_path(self._up_fds, hidden + ".up", os.O_WRONLY)
        written: List[int] = []
        noted.write(written, self.up, [hello])
        if written != [len(hello)]:
            raise OSError("Hello does not fit into the pipe")
        # The broker waits for the name of `up`, so it comes last.
        for end in (".down", ".up"):
            self._names.append(self._base + end)
            os.rename(hidden + end, self._base + end)

    def on_welcome(self) -> None:
        """The broker has both ends and has removed the names."""
        self._names = []
        noted.close_all(self._up_reader_fds)

    def names_exist(self) -> bool:
        """Whether the broker has not taken the pair yet."""
        return os.path.exists(self._base + ".up")

    def unread(self) -> int:
        """Bytes in `up`; 0: it is closed."""
        return 0 if self.up < 0 else unread_bytes(self.up)

    def has_reader(self) -> bool:
        """Whether the broker has `up` open. One that dies closes `down` first, or it
        second."""
        if self.up < 0:
            return False
        poll = select.poll()
        poll.register(self.up, 0)
        return not any(events & select.POLLERR for _, events in poll.poll(0))

    def close_up(self) -> None:
        """Ends the session once the broker has read what is in `up`."""
        self.up = -1
        noted.close_all(self._up_fds)

    def close(self) -> None:
        """Closes everything and leaves no names behind. May be called again."""
        for name in self._names:
            try:
                os.unlink(name)
            except OSError:
                pass
        self.forget()

    def forget(self) -> None:
        """Closes everything. The session is another process's."""
        self._names = []
        self.down = self.up = -1
        for fds in (self._down_fds, self._up_fds, self._up_reader_fds):
            noted.close_all(fds)
