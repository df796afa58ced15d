"""How the calls of a blocking client wait, for whatever they wait for."""

from __future__ import annotations

import enum
import errno
import time
from typing import Callable, Optional, Sequence, TypeVar

from fifobus import errors
from fifobus.calls import BATCH_BYTES, UNCOPIED_BYTES, deadline_of, has_passed
from fifobus.core import Core, State
from fifobus.link import Link, without_front
from fifobus.pipes import Buffer
from fifobus.request import Request

Answer = TypeVar("Answer")

# How often, in seconds, a client that only publishes looks for what the broker says.
_LOOK_INTERVAL = 0.1


class Mode(enum.Enum):
    """How a client's calls wait, for publishing and receiving alike."""

    BLOCKING = "blocking"  # until done, or until the call's timeout
    NON_BLOCKING = "non-blocking"  # not at all: WouldBlock says: not now
    BUSY_POLL = "busy-poll"  # receive spins, for the lowest latency; publish as above


class BlockingSession:
    """The session behind a Client: its Core and Link, driven by the calls' own waiting.

    Knows frames and deadlines, not what the calls mean. Thread-compatible.
    """

    def __init__(
        self, core: Core, link: Link, mode: Mode, receive_bytes_max: int
    ) -> None:
        self.mode = mode
        self._core = core
        self._link = link
        self._events = core.events
        self._receive_bytes_max = receive_bytes_max
        self._ahead_bytes = 0  # read while a call waited that is not receive
        self._open_batches = 0
        self._last_look = 0.0

    def _connect(self, deadline: float) -> None:
        while self._core.state != State.OPEN:
            if self._core.state == State.FAILED or time.monotonic() >= deadline:
                raise self._core.failure
            self._link.wait(deadline)
            self._link.advance()

    def _await_session(self, deadline: Optional[float], wait: bool) -> None:
        core = self._core
        while True:
            self._link.advance()
            if core.state is State.OPEN:
                return
            if core.state in (State.FAILED, State.CLOSED):
                raise core.failure
            if not wait:
                raise self._given_up(wait)
            if has_passed(deadline):
                raise errors.TimedOut(f"there is no session: {core.failure}")
            if not self._read_ahead():
                self._link.wait(deadline)

    def _check_open(self) -> None:
        if self._core.state is State.CLOSED:
            raise self._core.failure

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
        core = self._core
        while True:
            if core.state is not State.OPEN:
                self._await_session(deadline, wait)
            # Also for the first message of a batch: what is gathered for a session that
            # is over would be lost.
            self._look_for_goodbye()
            if core.state is not State.OPEN:
                continue
            head = make_head()
            small = len(body) < UNCOPIED_BYTES
            if self._open_batches and small and len(core.out) < BATCH_BYTES:
                core.out += head
                core.out += body
                return
            # What is left of earlier messages goes first, so that afterwards it is
            # known whether any byte of this one was written.
            if core.out:
                self._flush_out(deadline, wait)
                continue
            parts = [head + body] if small else [head, body]
            if core.state is State.OPEN and self._write_all(parts, deadline, wait):
                return

    def _write_all(
        self, parts: Sequence[Buffer], deadline: Optional[float], wait: bool
    ) -> bool:
        """False: the session was lost. Raises WouldBlock and TimedOut if nothing was
        taken; what was begun is finished by later calls."""
        session = self._core.sessions
        rest = parts
        begun = False
        try:
            while True:
                written = self._link.write(rest)
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
                    self._core.out += part
                self._link.watch_room(True)

    def _is_session(self, number: int) -> bool:
        return self._core.state is State.OPEN and self._core.sessions == number

    def _flush_out(self, deadline: Optional[float], wait: bool = True) -> None:
        """Returns when nothing is left, also because the session was lost."""
        while not self._link.flush():
            if self._core.state is not State.OPEN:
                return
            if has_passed(deadline) or not wait:
                self._link.watch_room(True)
                raise self._given_up(wait)
            self._await_room(deadline)
        self._link.watch_room(False)

    def _given_up(self, wait: bool) -> errors.FifobusError:
        if wait:
            return errors.TimedOut("the pipe is full: the broker waits for its readers")
        return errors.WouldBlock(errno.EAGAIN, "the pipe is full, or no broker runs")

    def _await_room(self, deadline: Optional[float]) -> None:
        if not self._read_ahead():
            self._link.wait(deadline, room=True, down=not self._is_full())

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

    def _wait_until(
        self, done: Callable[[], bool], deadline: float, what: str
    ) -> None:
        while not done():
            self._link.advance()
            self._link.flush()
            if done() or self._read_ahead():
                continue
            if self._core.state in (State.FAILED, State.CLOSED):
                raise self._core.failure
            if has_passed(deadline):
                raise errors.TimedOut(f"{what} did not come: {self._core.failure}")
            self._link.wait(deadline, down=not self._is_full())

    # Reading

    def _fill(self, deadline: Optional[float], mode: Mode) -> None:
        """Returns when something may be in `_events`. REQUIRES: nothing is."""
        link = self._link
        self._ahead_bytes = 0
        link.advance()
        if self._core.out and not self._open_batches:
            link.watch_room(not link.flush())
        if link.read() or self._events:
            return
        if self._core.state in (State.FAILED, State.CLOSED):
            raise self._core.failure
        if mode is Mode.NON_BLOCKING:
            link.nudge(False)
            raise errors.WouldBlock(errno.EAGAIN, "no message is there now")
        if has_passed(deadline):
            raise errors.TimedOut("no message came in time")
        if mode is Mode.BLOCKING:
            link.wait(deadline)

    def _is_full(self) -> bool:
        return self._ahead_bytes >= self._receive_bytes_max

    def _read_ahead(self) -> bool:
        """Reads while a call waits that is not receive; False: nothing was read."""
        if self._is_full():
            return False
        read = self._link.read()
        self._ahead_bytes += read
        if read:
            self._link.nudge(bool(self._events))
        return read > 0

    def _look_for_goodbye(self) -> None:
        """For clients that only publish: the broker may have something to say."""
        now = time.monotonic()
        if now - self._last_look >= _LOOK_INTERVAL:
            self._last_look = now
            self._read_ahead()
