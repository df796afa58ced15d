"""Taps: publishing lines and reading JSON lines with nothing but files.

    from fifobus import tap

    with tap.Publisher("greetings") as publisher:
        publisher.publish("Hello World!")

    with tap.Subscriber("greetings") as subscriber:
        for message in subscriber:
            print(message["topic"], message["payload"])

For scripts that need no more. A line is one message of at most 4,096 bytes with its
newline, and a reader that is too slow loses the oldest messages. `fifobus.Client` has
none of these limits. Times are seconds.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import select
import time
from collections import deque
from typing import Any, Deque, Dict, Iterator, List, Optional, Tuple, Union

from fifobus.errors import (
    InvalidName,
    MessageTooLarge,
    Misuse,
    NoBroker,
    TimedOut,
    WouldBlock,
)
from fifobus.protocol.message import time_text
from fifobus.protocol.topics import check_publishable
from fifobus.transport import noted
from fifobus.transport.bus_locator import bus_candidates, find_bus
from fifobus.transport.forks import forget_in_child
from fifobus.transport.timer import milliseconds_to

# PIPE_BUF: longer writes of several writers mix.
LINE_BYTES_MAX = 4096

# How a line of a .json tap begins: a message, or word of a loss.
_BEGIN = re.compile(rb'\{"(?:topic|gap)":')

# What is read at once: what a default pipe holds.
_READ_BYTES = 64 << 10

# How long, in seconds, between two looks for a broker that is not there.
_PAUSE = 0.02

TapMessage = Dict[str, Any]


def topic_path(
    topic: str, directory: Optional[str] = None, timeout: Optional[float] = 5.0
) -> str:
    """The path of the topic's files without their ending: PATH.in is written to, FIFOs
    in the folder PATH.out are read from. Makes them if need be.

    Waits for the broker. Raises TimedOut and InvalidName.
    """
    check_publishable(topic)
    deadline = None if timeout is None else time.monotonic() + timeout
    while True:
        try:
            path = f"{find_bus(directory)}/topics/{topic}"
            os.makedirs(path + ".out", exist_ok=True)
            if os.path.exists(path + ".in"):
                return path
            why = f"{path}.in: the broker has not made it"
        except (NoBroker, FileNotFoundError) as error:
            why = str(error)
        if deadline is not None and time.monotonic() >= deadline:
            raise TimedOut(why)
        time.sleep(_PAUSE)


class Publisher:
    """Writes lines into a topic's .in. Waits for a broker that is not there, goes on
    with the next one, never makes a regular file and never raises SIGPIPE."""

    def __init__(
        self,
        topic: str,
        directory: Optional[str] = None,
        timeout: Optional[float] = 5.0,
    ) -> None:
        """Raises TimedOut (no broker) and InvalidName."""
        self._topic = topic
        self._directory = directory
        self._fd = -1
        topic_path(topic, directory, timeout)

    def __enter__(self) -> "Publisher":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def publish(
        self, payload: Union[str, bytes], timeout: Optional[float] = None
    ) -> None:
        """Publishes one line. Waits while the pipe is full.

        Raises MessageTooLarge, InvalidName (a newline inside) and TimedOut; nothing was
        written then.
        """
        line = _line_of(payload)
        deadline = None if timeout is None else time.monotonic() + timeout
        while not self._write(line):
            if deadline is not None and time.monotonic() >= deadline:
                raise TimedOut(f"{self._topic}: the pipe is full, or no broker runs")
            self._wait(deadline)

    def publish_nowait(self, payload: Union[str, bytes]) -> None:
        """As publish. Raises WouldBlock, a BlockingIOError, instead of waiting."""
        if not self._write(_line_of(payload)):
            raise WouldBlock(f"{self._topic}: the pipe is full, or no broker runs")

    def _write(self, line: bytes) -> bool:
        """Whether the line is in the pipe, whole."""
        try:
            if self._fd < 0:
                self._fd = self._open()
            noted.write([], self._fd, [line])
            return True
        except BlockingIOError:
            return False
        except OSError:  # no reader: the broker has gone, or is not there yet
            self.close()
            return False

    def _open(self) -> int:
        # No O_CREAT: a file that only looks like a topic would swallow the lines.
        directory = bus_candidates(self._directory)[0]
        try:
            directory = find_bus(self._directory)
        except NoBroker:
            pass
        path = f"{directory}/topics/{self._topic}.in"
        return os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)

    def _wait(self, deadline: Optional[float]) -> None:
        # Always with an end: a full pipe may be readier for a short line than it
        # says, and a broker that is not there is to be looked for.
        soon = time.monotonic() + _PAUSE
        until = soon if deadline is None else min(soon, deadline)
        poll = select.poll()
        if self._fd >= 0:
            poll.register(self._fd, select.POLLOUT)
        poll.poll(milliseconds_to(until))


class Subscriber:
    """Reads a FIFO of its own, `.out/NAME.json`, which is the subscription as long as
    it exists. Outlives brokers. A message is the dictionary that `fifobus sub --json`
    prints: "topic", "payload" (or "payload_base64"), and what else it has.

    `lost` counts the messages that were announced as lost so far: this tap was too slow
    for them, or they have expired. What has expired when it is taken is dropped and
    counted as well. Thread-compatible, and not to be used in the child of a fork.
    """

    def __init__(
        self,
        topic: str,
        name: str = "",
        directory: Optional[str] = None,
        timeout: Optional[float] = 5.0,
    ) -> None:
        """`name` tells the topic's taps apart; by default a random one. A FIFO of that
        name that is there already is used, with what waits in it.

        Raises TimedOut (no broker) and InvalidName.
        """
        name = name or secrets.token_hex(8)
        if "/" in name or name.startswith("."):
            raise InvalidName(f'"{name}" is no name for a tap')
        folder = topic_path(topic, directory, timeout) + ".out"
        self._path = f"{folder}/{name}.json"
        # The rest of a line, what was read behind it, and the messages before both.
        self._stage: Tuple[bytes, List[bytes], Deque[TapMessage]] = (b"", [], deque())
        self.lost = 0
        try:
            os.mkfifo(self._path, 0o600)
        except FileExistsError:
            pass
        # For reading and writing, so that the end of a broker is no end-of-file.
        self._fd = os.open(self._path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        self._pid = os.getpid()
        forget_in_child(self)

    def __enter__(self) -> "Subscriber":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the subscription: the FIFO is removed."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
            try:
                os.unlink(self._path)
            except FileNotFoundError:
                pass

    def fileno(self) -> int:
        """Readable when receive_nowait() has something to read."""
        return self._fd

    def forget(self) -> None:
        """In the child of a fork: the FIFO stays its parent's."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def receive(self, timeout: Optional[float] = None) -> TapMessage:
        """The next message. Raises TimedOut."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            message = self._next()
            if message is not None:
                return message
            if deadline is not None and time.monotonic() >= deadline:
                raise TimedOut("no message came in time")
            poll = select.poll()
            poll.register(self._fd, select.POLLIN)
            poll.poll(milliseconds_to(deadline))

    def receive_nowait(self) -> TapMessage:
        """The next message, if it is there. Raises WouldBlock, a BlockingIOError."""
        message = self._next()
        if message is None:
            raise WouldBlock("no message is there now")
        return message

    def __iter__(self) -> Iterator[TapMessage]:
        """All messages to come, until it is closed."""
        while self._fd >= 0 or self._pid != os.getpid():
            yield self.receive()

    def _next(self) -> Optional[TapMessage]:
        """The next message; None: none is there."""
        if self._pid != os.getpid():
            raise Misuse(
                f"this tap is that of process {self._pid}; a child of a fork needs one "
                "of its own"
            )
        while True:
            rest, reads, messages = self._stage
            while messages:
                message = messages.popleft()
                if "gap" in message:
                    self.lost += message["gap"]["messages"]
                elif _is_expired(message):
                    self.lost += 1
                else:
                    return message
            if not reads:
                try:
                    noted.read_bytes(reads, self._fd, _READ_BYTES)
                except BlockingIOError:
                    return None
            *lines, rest = (rest + b"".join(reads)).split(b"\n")
            self._stage = (rest, [], deque(filter(None, map(_read_line, lines))))


def _read_line(line: bytes) -> Optional[TapMessage]:
    """The object of a line. What a killed broker left of one stands before the next
    one's, and both together are no JSON."""
    for begin in _BEGIN.finditer(line):
        try:
            message: TapMessage = json.loads(line[begin.start() :])
            return message
        except ValueError:
            pass
    return None


def _is_expired(message: TapMessage) -> bool:
    # Times of that form, in UTC and with nanoseconds, are in the order of their text.
    expiry = message.get("expiry")
    return expiry is not None and str(expiry) <= time_text(time.time_ns())


def _line_of(payload: Union[str, bytes]) -> bytes:
    text = payload.encode() if isinstance(payload, str) else payload
    if b"\n" in text:
        raise InvalidName("a line with a newline inside would be two messages")
    if len(text) >= LINE_BYTES_MAX:
        raise MessageTooLarge(f"a line of a tap has at most {LINE_BYTES_MAX} bytes")
    return text + b"\n"
