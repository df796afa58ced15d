"""A session that is driven by an asyncio event loop."""

from __future__ import annotations

import asyncio
import time
from typing import Callable, List, Optional, Sequence, Set, TypeVar

from fifobus import errors
from fifobus.call_options import BATCH_BYTES, UNCOPIED_BYTES, has_passed
from fifobus.protocol.decoder import Event
from fifobus.protocol.dialogue import Dialogue, State
from fifobus.protocol.request import Request
from fifobus.transport.connection import Connection

Answer = TypeVar("Answer")

# Read ahead while nobody receives; above it the broker's queue and then the publishers
# wait, as for any slow subscriber.
_READ_AHEAD_BYTES = 1 << 20

# publish() lets other tasks run after so many bytes, or it would never return to the
# loop while the pipe has room.
_TURN_BYTES = 64 << 10


class AsyncSession:
    """The session behind an AsyncClient: Dialogue, Connection, and the waiting tasks.

    The loop calls _on_ready when there is something to do, and each waiting task looks
    anew after it has run. Loop-affine: a call from elsewhere raises Misuse.
    """

    def __init__(
        self, dialogue: Dialogue, connection: Connection, receive_bytes_max: int
    ) -> None:
        self._dialogue = dialogue
        self._connection = connection
        self._received = dialogue.received
        self._events = dialogue.events
        dialogue.send_answer = self._send_answer
        self._receive_bytes_max = receive_bytes_max
        self._loop: Optional[asyncio.AbstractEventLoop] = None
        self._waiting: List["asyncio.Future[None]"] = []
        self._sending: Optional[asyncio.Lock] = None
        self._senders = 0  # tasks that send, or wait for their turn to
        self._writers = 0  # tasks that wait for room
        self._turn_bytes = 0
        self._read_on_at = 0  # so many events left
        self._open_batches: Set[int] = set()  # by identity

    @property
    def closed(self) -> bool:
        return self._dialogue.state is State.CLOSED

    def _check_loop(self) -> None:
        """Raises Misuse if it is not this client's loop that runs the call, and
        Disconnected if there is none yet."""
        if self._loop is None:
            raise errors.Disconnected("call connect(), or use `async with`")
        if isinstance(self._dialogue.failure, errors.Misuse):
            raise self._dialogue.failure
        if asyncio._get_running_loop() is not self._loop:
            raise errors.Misuse(
                "the client belongs to another event loop; each thread and each loop "
                "needs one of its own"
            )

    def _on_ready(self) -> None:
        """fileno() is readable."""
        connection = self._connection
        if self._dialogue.state is State.CLOSED:
            return
        try:
            connection.nudge(False)
            connection.advance()
            if not self._open_batches:
                connection.flush()
            self._read()
            self._watch_room()
        finally:
            self._wake()

    def _read(self) -> None:
        if self._is_full():
            # Level-triggered: the loop would spin. _take has it read on.
            self._connection.watch_down(False)
            self._read_on_at = len(self._events) // 2
            return
        self._connection.read()

    def _is_full(self) -> bool:
        waits = self._writers > 0 or bool(self._dialogue.requests)
        limit = self._receive_bytes_max if waits else _READ_AHEAD_BYTES
        return bool(self._events) and self._received.has_unread(limit)

    def _watch_room(self) -> None:
        """What a batch gathers waits for its end and not for room."""
        rest = bool(self._dialogue.out) and not self._open_batches
        self._connection.watch_room(rest or self._writers > 0)

    def _take(self) -> Optional[Event]:
        """None: the program gets nothing for it."""
        event = self._events.popleft()
        try:
            return self._received.shown(event)
        finally:
            if len(self._events) <= self._read_on_at:
                self._connection.watch_down(True)

    def _finish_message(self) -> None:
        """The program asks for the next message, and has done the one before."""
        if self._dialogue.readers.entries:
            self._dialogue.readers.finish()
            if self._dialogue.append_positions():
                self._connection.flush()
                self._watch_room()

    def _send_answer(self, frame: bytes) -> None:
        """To a message of a group. Does not wait."""
        self._check_loop()
        self._dialogue.out.append(frame)
        self._connection.flush()
        self._watch_room()

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(None)

    async def _change(self, deadline: Optional[float]) -> None:
        """Waits until _on_ready has done something, or until the deadline."""
        self._check_loop()
        assert self._loop is not None
        future: "asyncio.Future[None]" = self._loop.create_future()
        self._waiting.append(future)
        timer = None
        if deadline is not None:
            after = max(0.0, deadline - time.monotonic())
            timer = self._loop.call_later(after, _finish, future)
        try:
            await future
        finally:
            if timer is not None:
                timer.cancel()
            if future in self._waiting:
                self._waiting.remove(future)

    async def _until(
        self, done: Callable[[], bool], deadline: Optional[float], what: str
    ) -> None:
        while not done():
            if self._dialogue.state in (State.FAILED, State.CLOSED):
                raise self._dialogue.failure
            if has_passed(deadline):
                raise errors.TimedOut(f"{what} did not come in time{self._why_not()}")
            self._connection.watch_down(not self._is_full())
            await self._change(deadline)

    def _why_not(self) -> str:
        if self._is_full():
            return (
                f": more than receive_bytes_max={self._receive_bytes_max} bytes of "
                "messages wait to be received, and nothing behind them is read"
            )
        return self._dialogue.trouble

    async def _await_session(self, deadline: Optional[float]) -> None:
        self._check_loop()
        self._connection.advance()
        await self._until(
            lambda: self._dialogue.state is State.OPEN, deadline, "a session"
        )

    # Sending

    async def _send(
        self, make_head: Callable[[], bytes], body: bytes, deadline: Optional[float]
    ) -> None:
        self._check_loop()
        assert self._sending is not None
        if self._senders or not self._send_now(make_head, body):
            # Each waits behind all that came before it, also in the moment between the
            # end of one's turn and the beginning of the next one's.
            self._senders += 1
            try:
                async with self._sending:  # first come, first served
                    while not self._send_now(make_head, body):
                        await self._await_room(deadline)
            finally:
                self._senders -= 1
        self._turn_bytes += len(body)
        if self._turn_bytes >= _TURN_BYTES:
            self._turn_bytes = 0
            await asyncio.sleep(0)

    def _send_now(self, make_head: Callable[[], bytes], body: bytes) -> bool:
        """False: nothing was taken."""
        dialogue, connection = self._dialogue, self._connection
        connection.advance()
        if dialogue.state in (State.FAILED, State.CLOSED):
            raise dialogue.failure
        if dialogue.state is not State.OPEN:
            return False
        head = make_head()
        small = len(body) < UNCOPIED_BYTES
        if self._open_batches and small and dialogue.out.waiting_bytes < BATCH_BYTES:
            dialogue.out.append(head + body)
            return True
        if not connection.flush() or dialogue.state is not State.OPEN:
            return False
        frame: Sequence[bytes] = (head + body,) if small else (head, body)
        taken = connection.offer(frame)
        self._watch_room()
        return taken

    async def _await_room(self, deadline: Optional[float]) -> None:
        if has_passed(deadline):
            trouble = self._dialogue.trouble
            raise errors.TimedOut(
                f"there is no session{trouble}"
                if trouble
                else "the pipe is full: the broker waits for its readers"
            )
        self._writers += 1
        try:
            self._connection.watch_room(True)
            self._connection.watch_down(not self._is_full())
            await self._change(deadline)
        finally:
            self._writers -= 1

    async def _flush(self, deadline: Optional[float]) -> None:
        self._check_loop()
        while not self._connection.flush() and self._dialogue.state is State.OPEN:
            await self._await_room(deadline)

    async def _flush_all(self, deadline: Optional[float]) -> None:
        """Also what was taken back, once there is a session."""
        await self._flush(deadline)
        while self._dialogue.publishing.taken_back:
            await self._await_session(deadline)
            await self._flush(deadline)

    async def _flush_batch(self, deadline: Optional[float]) -> None:
        if self._open_batches:
            await self._flush(deadline)

    # Asking

    async def _ask(
        self, ask: Callable[[], Request[Answer]], timeout: float, what: str
    ) -> Answer:
        deadline = time.monotonic() + timeout
        await self._await_session(deadline)
        return await self._answer(ask(), deadline, what)

    async def _answer(
        self, request: Request[Answer], deadline: Optional[float], what: str
    ) -> Answer:
        self._check_loop()

        def answered() -> bool:
            if not request.done:  # the question may stand behind an open batch
                self._connection.watch_room(not self._connection.flush())
            return request.done

        request.awaited += 1
        try:
            await self._until(answered, deadline, what)
        finally:
            request.awaited -= 1
        return request.answer()

    async def _take_leave(self, deadline: float) -> None:
        """Again, if the broker dies meanwhile and leaves something unread."""
        dialogue = self._dialogue
        while True:
            if dialogue.publishing.taken_back:
                await self._await_session(deadline)
            await self._leave_groups(deadline)
            dialogue.say_goodbye()
            if not self._connection.flush():
                await self._until(lambda: not dialogue.out, deadline, "room")
            if not dialogue.publishing.taken_back:
                return

    async def _leave_groups(self, deadline: float) -> None:
        try:
            for left in self._dialogue.leave_groups():
                await self._answer(left, deadline, "the answer to Unsubscribe")
            if self._dialogue.readers.entries:
                # The next client of a durable reader's name is to begin behind it.
                self._dialogue.append_positions()
                ping = self._dialogue.ping()
                await self._answer(ping, deadline, "the answer to Ping")
        except errors.FifobusError:
            pass  # the session ends all the same


def _finish(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)
