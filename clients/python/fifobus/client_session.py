"""How the calls of a blocking client wait."""

from __future__ import annotations

import enum
import errno
import functools
import sys
import time
from _thread import get_ident
from types import FrameType
from typing import Any, Callable, Dict, List, Optional, Sequence, Set, TypeVar, cast

from fifobus import errors
from fifobus.call_options import BATCH_BYTES, UNCOPIED_BYTES, deadline_of, has_passed
from fifobus.protocol.dialogue import Dialogue, State
from fifobus.protocol.request import Request
from fifobus.transport.connection import Connection

Answer = TypeVar("Answer")

# How often, in seconds, a client that only publishes looks for what the broker says.
_LOOK_INTERVAL = 0.1


class Mode(enum.Enum):
    """How a client's calls wait, for publishing and receiving alike."""

    BLOCKING = "blocking"  # until done, or until the call's timeout
    NON_BLOCKING = "non-blocking"  # not at all: WouldBlock says: not now
    BUSY_POLL = "busy-poll"  # receive spins, for the lowest latency; publish as above


Method = TypeVar("Method", bound=Callable[..., Any])


def one_at_a_time(method: Method) -> Method:
    """A call of ClientSession that may wait or change the session."""

    @functools.wraps(method)
    def call(self: ClientSession, *arguments: Any, **named: Any) -> Any:
        token = [get_ident()]
        if self._use.setdefault(0, token) is not token:
            self._take_use(token)
        try:
            return method(self, *arguments, **named)
        finally:
            self._use.clear()

    return cast(Method, call)


class ClientSession:
    """The session behind a Client: Dialogue and Connection, driven by waiting calls.

    Knows frames and deadlines, not what the calls mean. Thread-compatible: each call of
    Client that does more than to look stands in `_use` meanwhile, and a second one
    raises Misuse.
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
        self._received = dialogue.received
        self._events = dialogue.events
        dialogue.send_answer = self._send_answer
        self._receive_bytes_max = receive_bytes_max
        self._open_batches: Set[int] = set()  # by identity
        self._last_look = 0.0
        # The token of the call that is under way: its thread, in a list that is its
        # alone. A call that was interrupted may have left it there.
        self._use: Dict[int, List[int]] = {}

    @property
    def closed(self) -> bool:
        return self._dialogue.state is State.CLOSED

    def fileno(self) -> int:
        """A descriptor for select, selectors and any event loop, valid until close().

        It is readable when bytes have come, when there is room for a rest, and when it
        is time to reconnect. Call receive_nowait() then until it raises
        BlockingIOError."""
        self._check_open()
        return self._connection.fileno()

    @property
    def publish_losses(self) -> int:
        """Sessions that ended with messages that the broker had read, and may not have
        passed on. How many is not known. What it had not read is not lost, but sent
        again, as long as there is to be another session."""
        return self._dialogue.publishing.losses

    @property
    def resent_messages(self) -> int:
        """Messages that were published again in the next session: a broker that died
        had not read them, or they are kept by a publisher's `resend_bytes_max`."""
        return self._dialogue.publishing.taken_back.resent_messages

    @property
    def expired_messages(self) -> int:
        """Messages that were dropped because they had expired when they were taken."""
        return self._received.expired_messages

    def _take_use(self, token: List[int]) -> None:
        """Another call's token is there. Raises Misuse if that call is under way."""
        while True:
            other = self._use.setdefault(0, token)
            if other is token:
                return
            # Only a call of this thread can be known not to be under way any more. For
            # others there is sys._current_frames(), which can deadlock: cpython#106883.
            here = other[0] == token[0]
            if not here or _is_under_way(other, sys._getframe()):
                where = "this thread" if here else "another thread"
                raise errors.Misuse(
                    f"the client is in a call of {where}; a client serves one call at "
                    "a time, and each thread needs one of its own"
                )
            self._use.clear()

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
                raise errors.TimedOut(f"there is no session{dialogue.trouble}")
            if not self._read_ahead():
                self._connection.wait(deadline)

    def _is_over(self) -> bool:
        """Whether iteration has come to its end. Raises Misuse."""
        if isinstance(self._dialogue.failure, errors.Misuse):
            raise self._dialogue.failure
        return self._dialogue.state is State.CLOSED

    @one_at_a_time
    def _send_answer(self, frame: bytes) -> None:
        """To a message of a group. Does not wait."""
        self._dialogue.out.append(frame)
        self._connection.flush()

    def _check_open(self) -> None:
        if self._dialogue.state is State.CLOSED:
            raise self._dialogue.failure

    # Sending

    def _send(
        self, make_head: Callable[[], bytes], body: bytes, timeout: Optional[float]
    ) -> None:
        wait = self.mode is Mode.BLOCKING
        self._send_until(make_head, body, deadline_of(timeout), wait)

    def _send_until(
        self,
        make_head: Callable[[], bytes],
        body: bytes,
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
            if self._open_batches and small:
                if dialogue.out.waiting_bytes < BATCH_BYTES:
                    dialogue.out.append(head + body)
                    return
            # What is left of earlier messages goes first, so that afterwards it is
            # known whether any byte of this one was written.
            if dialogue.out:
                self._flush_out(deadline, wait)
                continue
            parts = (head + body,) if small else (head, body)
            if self._write_all(parts, deadline, wait):
                return

    def _write_all(
        self, frame: Sequence[bytes], deadline: Optional[float], wait: bool
    ) -> bool:
        """False: the session was lost. Raises WouldBlock and TimedOut if nothing was
        taken; what was begun is finished by later calls."""
        session = self._dialogue.sessions
        cuts = self._dialogue.out.cuts
        while not self._connection.offer(frame):
            if not self._is_session(session):
                return False
            if has_passed(deadline) or not wait:
                raise self._given_up(wait)
            self._await_room(deadline)
        while not self._connection.flush():
            if has_passed(deadline) or not wait:
                self._connection.watch_room(True)
                return True
            self._await_room(deadline)
        return self._dialogue.out.cuts == cuts

    def _is_session(self, number: int) -> bool:
        return self._dialogue.state is State.OPEN and self._dialogue.sessions == number

    def _flush_out(self, deadline: Optional[float], wait: bool = True) -> None:
        """Returns when nothing is left, also because the session was lost."""
        while not self._connection.flush():
            if has_passed(deadline) or not wait:
                self._connection.watch_room(True)
                raise self._given_up(wait)
            self._await_room(deadline)
        self._connection.watch_room(False)

    def _flush_all(self, deadline: Optional[float], wait: bool) -> None:
        """Also what was taken back, once there is a session."""
        self._flush_out(deadline, wait)
        while self._dialogue.publishing.taken_back:
            self._await_session(deadline, wait)
            self._flush_out(deadline, wait)

    def _given_up(self, wait: bool) -> errors.FifobusError:
        trouble = self._dialogue.trouble
        text = "the pipe is full: the broker waits for its readers"
        if trouble:
            text = f"there is no session{trouble}"
        return errors.TimedOut(text) if wait else errors.WouldBlock(errno.EAGAIN, text)

    def _await_room(self, deadline: Optional[float]) -> None:
        if not self._read_ahead():
            self._connection.wait(deadline, room=True, down=not self._is_full())

    # Asking

    @one_at_a_time
    def _ask(
        self, ask: Callable[[], Request[Answer]], timeout: float, what: str
    ) -> Answer:
        deadline = time.monotonic() + timeout
        self._check_open()
        self._await_session(deadline, wait=True)
        return self._answer(ask(), deadline, what)

    def _answer(
        self, request: Request[Answer], deadline: Optional[float], what: str
    ) -> Answer:
        request.awaited += 1
        try:
            self._wait_until(lambda: request.done, deadline, what)
        finally:
            request.awaited -= 1
        return request.answer()

    def _wait_until(
        self, done: Callable[[], bool], deadline: Optional[float], what: str
    ) -> None:
        while not done():
            self._connection.advance()
            self._connection.flush()
            if done() or self._read_ahead():
                continue
            if self._dialogue.state in (State.FAILED, State.CLOSED):
                raise self._dialogue.failure
            if has_passed(deadline):
                raise errors.TimedOut(f"{what} did not come in time{self._why_not()}")
            self._connection.wait(deadline, down=not self._is_full())

    def _why_not(self) -> str:
        if self._is_full():
            return (
                f": more than receive_bytes_max={self._receive_bytes_max} bytes of "
                "messages wait to be received, and nothing behind them is read"
            )
        return self._dialogue.trouble

    def _take_leave(self, deadline: float) -> None:
        """Again, if the broker dies meanwhile and leaves something unread."""
        while True:
            if self._dialogue.publishing.taken_back:
                self._await_session(deadline, wait=True)
            self._leave_groups(deadline)
            self._dialogue.say_goodbye()
            self._flush_out(deadline)
            if not self._dialogue.publishing.taken_back:
                return

    def _leave_groups(self, deadline: float) -> None:
        try:
            for left in self._dialogue.leave_groups():
                self._answer(left, deadline, "the answer to Unsubscribe")
            if self._dialogue.readers.entries:
                # The next client of a durable reader's name is to begin behind it.
                self._dialogue.append_positions()
                self._answer(self._dialogue.ping(), deadline, "the answer to Ping")
        except errors.FifobusError:
            pass  # the session ends all the same

    # Reading

    def _fill(self, deadline: Optional[float], mode: Mode) -> None:
        """Returns when something may be in `_events`. REQUIRES: nothing is."""
        token = [get_ident()]
        if self._use.setdefault(0, token) is not token:
            self._take_use(token)
        try:
            connection = self._connection
            connection.advance()
            # The program asks for the next message, and has done the one before.
            if self._dialogue.readers.entries:
                self._dialogue.readers.finish()
                if self._dialogue.append_positions():
                    connection.flush()
            if not self._open_batches and self._dialogue.out:
                connection.watch_room(not connection.flush())
            if not connection.read() and not self._events:
                self._await_event(deadline, mode)
        finally:
            self._use.clear()

    def _await_event(self, deadline: Optional[float], mode: Mode) -> None:
        connection = self._connection
        if self._received.is_read_out:
            raise errors.EndOfLog("all that was stored until now has been received")
        if self._dialogue.state in (State.FAILED, State.CLOSED):
            raise self._dialogue.failure
        if mode is Mode.NON_BLOCKING:
            connection.nudge(False)
            raise errors.WouldBlock(errno.EAGAIN, "no message is there now")
        if has_passed(deadline):
            raise errors.TimedOut("no message came in time")
        if self._open_batches:
            # What was gathered does not wait for a message that may answer it.
            connection.flush()
        if mode is Mode.BLOCKING:
            connection.wait(deadline)

    def _is_full(self) -> bool:
        return self._received.has_unread(self._receive_bytes_max)

    def _read_ahead(self) -> bool:
        """Reads while a call waits that is not receive; False: nothing was read."""
        if self._is_full():
            return False
        read = self._connection.read()
        if read:
            self._connection.nudge(bool(self._events))
        return read > 0

    def _look_for_goodbye(self) -> None:
        """For clients that only publish: the broker may have something to say."""
        now = time.monotonic()
        if now - self._last_look >= _LOOK_INTERVAL:
            self._last_look = now
            self._read_ahead()


def _is_under_way(token: List[int], frame: Optional[FrameType]) -> bool:
    """Whether the call of that token is among those that led to `frame`."""
    while frame is not None:
        # _take_use knows the token by another name.
        if frame.f_locals.get("token") is token:
            return True
        frame = frame.f_back
    return False
