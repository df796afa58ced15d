"""Where sub puts messages."""

from __future__ import annotations

import abc
import argparse
import select
import time
from typing import Deque, List, Optional, Tuple, Union

from fifobus import errors
from fifobus.client import Client
from fifobus.client_session import Mode
from fifobus.commands.exits import output_watch, poll_until, write_out
from fifobus.protocol.message import CaughtUp, Gap, Message, Restarted, json_line

Incoming = Deque[Union[Message, Gap, CaughtUp, Restarted, errors.FifobusError]]

# What is gathered before it is written although more is waiting.
GATHERED_BYTES = 64 << 10

# How long --busy-poll spins before it looks whether its output is still read.
_SPIN_SECONDS = 0.1


def bytes_of(message: Message, options: argparse.Namespace) -> bytes:
    """The message as the options say."""
    if options.json:
        return json_line(message)
    if options.format is not None:
        formatted: bytes = options.format.bytes_of(message)
        return formatted
    retained = b"retained " if options.show_retained and message.retained else b""
    topic = f"{message.topic} ".encode() if options.show_topic else b""
    end = b"" if options.raw else b"\0" if options.null else b"\n"
    return retained + topic + message.payload + end


class SubOutput(abc.ABC):
    """Acknowledges messages when it is done with them, if their group wants that.

    While it is busy with something else, it takes one message ahead and then no more.
    So a subscriber that is slow is slow for the broker, too, and one that has got
    everything answers a broker that stops. A member of a group that does not
    acknowledge takes nothing ahead, which would be lost if it left. Single-threaded.
    """

    def __init__(
        self, client: Client, options: argparse.Namespace, incoming: Incoming
    ) -> None:
        """The client appends gaps, and where it has caught up, to `incoming`."""
        self.client = client
        self.options = options
        self.over = False  # nothing more can be put there: end() is to be called
        self._incoming = incoming
        self._takes_ahead = not options.group or options.ack
        self._undone: List[Message] = []

    def next(
        self, deadline: Optional[float]
    ) -> Union[Message, Gap, CaughtUp, Restarted, None]:
        """None: look again."""
        if not self._incoming:
            self._receive()
        if self._incoming:
            found = self._incoming.popleft()
            if isinstance(found, errors.FifobusError):
                raise found
            return found
        return self.wait(deadline)

    @abc.abstractmethod
    def put(self, message: Message) -> None:
        """At once or later."""

    @abc.abstractmethod
    def wait(self, deadline: Optional[float]) -> Optional[Message]:
        """There is no message now: puts out what is gathered, and waits."""

    @abc.abstractmethod
    def end(self, otherwise: int) -> int:
        """Puts out what is gathered. Returns the exit code, `otherwise` if nothing is
        wrong."""

    def close(self) -> None:
        """Without putting anything out."""

    def answer_later(self, message: Message) -> None:
        """It is done when all that is put out has been written."""
        if message.ack_id or (self.options.durable and message.offset):
            self._undone.append(message)

    def answer(self) -> None:
        for message in self._undone:
            self.client.done(message)
        self._undone.clear()

    def session_watch(self) -> Tuple[int, int]:
        return (self.client.fileno(), select.POLLIN)

    def ahead_watch(self) -> Tuple[int, int]:
        """To be polled while it is busy, for take_ahead."""
        if self._takes_ahead and not self._incoming:
            return self.session_watch()
        return (-1, 0)

    def take_ahead(self, ready: List[int], watch: Tuple[int, int]) -> None:
        if watch[0] in ready:
            try:
                self._receive()
            except errors.FifobusError as error:
                self._incoming.append(error)

    def _receive(self) -> None:
        try:
            message = self.client.receive_nowait()
        except BlockingIOError:
            return
        self._incoming.append(message)  # behind the gap before it


class Printer(SubOutput):
    """To standard output, and acknowledged when written out. Ends when nobody reads
    standard output any more, although there is nothing to be written."""

    def __init__(
        self, client: Client, options: argparse.Namespace, incoming: Incoming
    ) -> None:
        super().__init__(client, options, incoming)
        self._lines: List[bytes] = []
        self._size = 0
        self._watch = output_watch()
        if options.busy_poll:
            client.mode = Mode.BUSY_POLL

    def put(self, message: Message) -> None:
        self._lines.append(bytes_of(message, self.options))
        self.answer_later(message)
        self._size += len(self._lines[-1])
        if self._size >= GATHERED_BYTES:
            self._write()

    def wait(self, deadline: Optional[float]) -> Optional[Message]:
        self._write()
        if not self.options.busy_poll:
            ready = poll_until([self._watch, self.session_watch()], deadline)
            self.over = self._watch[0] in ready
            return None
        left = _SPIN_SECONDS
        if deadline is not None:
            left = min(left, max(0.0, deadline - time.monotonic()))
        try:
            message = self.client.receive(left)
        except TimeoutError:
            self.over = bool(poll_until([self._watch], time.monotonic()))
            return None
        if not self._incoming:
            return message
        self._incoming.append(message)  # behind the gap before it
        return None

    def end(self, otherwise: int) -> int:
        if not self.over:
            self._write()
        return otherwise

    def _write(self) -> None:
        """Raises OSError."""
        write_out(self._lines)
        self.answer()
        self._size = 0
