"""How the calls of a blocking client wait."""

from __future__ import annotations

import enum
import errno
import time
from typing import Callable, Optional, Sequence, TypeVar

from fifobus import errors
from fifobus.call_options import BATCH_BYTES, UNCOPIED_BYTES, deadline_of, has_passed
from fifobus.protocol.dialogue import Dialogue, State
from fifobus.protocol.request import Request
from fifobus.transport.connection import Connection, without_front
from fifobus.transport.session_pipes import Buffer

Answer = TypeVar("Answer")

# How often, in seconds, a client that only publishes looks for what the broker says.
_LOOK_INTERVAL = 0.1


class Mode(enum.Enum):
    """How a client's calls wait, for publishing and receiving alike."""

    BLOCKING = "blocking"  # until done, or until the call's timeout
    NON_BLOCKING = "non-blocking"  # not at all: WouldBlock says: not now
    BUSY_POLL = "busy-poll"  # receive spins, for the lowest latency; publish as above


class ClientSession:
    """The session behind a Client: Dialogue and Connection, driven by waiting calls.

    Knows frames and deadlines, not what the calls mean. Thread-compatible.
    """

    def __init__(
        self,
        dialogue: Dialogue,
        connection: Connection,
        mode: Mode,
        receive_bytes_max: int,
    ) -> None:
        self.mode = mode
        self._dialogue = dialogue
        self._connection = connection
        self._events = dialogue.events
        self._receive_bytes_max = receive_bytes_max
        self._ahead_bytes = 0  # read while a call waited that is not receive
        self._open_batches = 0
        self._last_look = 0.0

    def _connect(self, deadline: float) -> None:
        while self._dialogue.state != State.OPEN:
            if self._dialogue.state == State.FAILED or time.monotonic() >= deadline:
                raise self._dialogue.failure
            self._connection.wait(deadline)
            self._connection.advance()

    def _await_session(self, deadline: Optional[float], wait: bool) -> None:
        dialogue = self._dialogue
        while True:
            self._connection.advance()
            if dialogue.state is State.OPEN:
                return
            if dialogue.state in (State.FAILED, State.CLOSED):
                raise dialogue.failure
            if not wait:
                raise self._given_up(wait)
            if has_passed(deadline):
                raise errors.TimedOut(f"there is no session: {dialogue.failure}")
            if not self._read_ahead():
                self._connection.wait(deadline)

    def _check_open(self) -> None:
        if self._dialogue.state is State.CLOSED:
            raise self._dialogue.failure

    # Sending

    def _send(
        self, make_head: Callable[[], bytes], body: Buffer, timeout: Optional[float]
    ) -> None:
        wait = self.mode is Mode.BLOCKING
        self._send_until(make_head, body, deadline_of(timeout), wait)

    def _send_until(
        self,
        make_head: Callable[[], bytes],
        body: Buffer,
        deadline: Optional[float],
        wait: bool,
    ) -> None:
        dialogue = self._dialogue
        while True:
            if dialogue.state is not State.OPEN:
                self._await_session(deadline, wait)
            # Also for the first message of a batch: what is gathered for a session that
            # is over would be lost.
            self._look_for_goodbye()
            if dialogue.state is not State.OPEN:
                continue
            head = make_head()
            small = len(body) < UNCOPIED_BYTES
            if self._open_batches and small and len(dialogue.out) < BATCH_BYTES:
                dialogue.out += head
                dialogue.out += body
                return
            # What is left of earlier messages goes first, so that afterwards it is
            # known whether any byte of this one was written.
            if dialogue.out:
                self._flush_out(deadline, wait)
                continue
            parts = [head + body] if small else [head, body]
            if dialogue.state is State.OPEN and self._write_all(parts, deadline, wait):
                return

    def _write_all(
        self, parts: Sequence[Buffer], deadline: Optional[float], wait: bool
    ) -> bool:
        """False: the session was lost. Raises WouldBlock and TimedOut if nothing was
        taken; what was begun is finished by later calls."""
        session = self._dialogue.sessions
        rest = parts
        begun = False
        try:
            while True:
                written = self._connection.write(rest)
                begun = begun or written > 0
                rest = without_front(rest, written) if written else rest
                if not rest:
                    return True
                if not self._is_session(session):
                    return False
                if has_passed(deadline) or not wait:
                    if begun:
                        return True
                    raise self._given_up(wait)
                self._await_room(deadline)
        finally:
            # Also when a signal's exception ends the wait: a frame that was begun must
            # be finished.
            if begun and rest and self._is_session(session):
                for part in rest:
                    self._dialogue.out += part
                self._connection.watch_room(True)

    def _is_session(self, number: int) -> bool:
        return self._dialogue.state is State.OPEN and self._dialogue.sessions == number

    def _flush_out(self, deadline: Optional[float], wait: bool = True) -> None:
        """Returns when nothing is left, also because the session was lost."""
        while not self._connection.flush():
            if self._dialogue.state is not State.OPEN:
                return
            if has_passed(deadline) or not wait:
                self._connection.watch_room(True)
                raise self._given_up(wait)
            self._await_room(deadline)
        self._connection.watch_room(False)

    def _given_up(self, wait: bool) -> errors.FifobusError:
        if wait:
            return errors.TimedOut("the pipe is full: the broker waits for its readers")
        return errors.WouldBlock(errno.EAGAIN, "the pipe is full, or no broker runs")

    def _await_room(self, deadline: Optional[float]) -> None:
        if not self._read_ahead():
            self._connection.wait(deadline, room=True, down=not self._is_full())

    # Asking

    def _ask(
        self, ask: Callable[[], Request[Answer]], timeout: float, what: str
    ) -> Answer:
        deadline = time.monotonic() + timeout
        self._check_open()
        self._await_session(deadline, wait=True)
        return self._answer(ask(), deadline, what)

    def _answer(self, request: Request[Answer], deadline: float, what: str) -> Answer:
        self._wait_until(lambda: request.done, deadline, what)
        return request.answer()

    def _wait_until(self, done: Callable[[], bool], deadline: float, what: str) -> None:
        while not done():
            self._connection.advance()
            self._connection.flush()
            if done() or self._read_ahead():
                continue
            if self._dialogue.state in (State.FAILED, State.CLOSED):
                raise self._dialogue.failure
            if has_passed(deadline):
                raise errors.TimedOut(f"{what} did not come: {self._dialogue.failure}")
            self._connection.wait(deadline, down=not self._is_full())

    # Reading

    def _fill(self, deadline: Optional[float], mode: Mode) -> None:
        """Returns when something may be in `_events`. REQUIRES: nothing is."""
        connection = self._connection
        self._ahead_bytes = 0
        connection.advance()
        if self._dialogue.out and not self._open_batches:
            connection.watch_room(not connection.flush())
        if connection.read() or self._events:
            return
        if self._dialogue.state in (State.FAILED, State.CLOSED):
            raise self._dialogue.failure
        if mode is Mode.NON_BLOCKING:
            connection.nudge(False)
            raise errors.WouldBlock(errno.EAGAIN, "no message is there now")
        if has_passed(deadline):
            raise errors.TimedOut("no message came in time")
        if mode is Mode.BLOCKING:
            connection.wait(deadline)

    def _is_full(self) -> bool:
        return self._ahead_bytes >= self._receive_bytes_max

    def _read_ahead(self) -> bool:
        """Reads while a call waits that is not receive; False: nothing was read."""
        if self._is_full():
            return False
        read = self._connection.read()
        self._ahead_bytes += read
        if read:
            self._connection.nudge(bool(self._events))
        return read > 0

    def _look_for_goodbye(self) -> None:
        """For clients that only publish: the broker may have something to say."""
        now = time.monotonic()
        if now - self._last_look >= _LOOK_INTERVAL:
            self._last_look = now
            self._read_ahead()
