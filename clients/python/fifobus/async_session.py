"""A session that is driven by an asyncio event loop."""

from __future__ import annotations

import asyncio
import time
from typing import Callable, List, Optional, Sequence, TypeVar

from fifobus import errors
from fifobus.call_options import BATCH_BYTES, UNCOPIED_BYTES, has_passed
from fifobus.protocol.dialogue import Dialogue, Event, State
from fifobus.protocol.request import Request
from fifobus.transport.connection import Connection, without_front
from fifobus.transport.session_pipes import Buffer

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
    anew after it has run. Loop-affine.
    """

    def __init__(
        self, dialogue: Dialogue, connection: Connection, receive_bytes_max: int
    ) -> None:
        self._dialogue = dialogue
        self._connection = connection
        self._events = dialogue.events
        self._receive_bytes_max = receive_bytes_max
        self._loop: Optional[asyncio.AbstractEventLoop] = None
        self._waiting: List["asyncio.Future[None]"] = []
        self._sending: Optional[asyncio.Lock] = None
        self._writers = 0  # tasks that wait for room
        self._ahead_bytes = 0
        self._turn_bytes = 0
        self._open_batches = 0

    def _on_ready(self) -> None:
        """fileno() is readable."""
        connection, dialogue = self._connection, self._dialogue
        self._connection.nudge(False)
        connection.advance()
        if dialogue.out and not self._open_batches:
            connection.flush()
        self._read()
        connection.watch_room(bool(dialogue.out) or self._writers > 0)
        self._wake()

    def _read(self) -> None:
        if self._is_full():
            # Level-triggered: the loop would spin. _take reads on.
            self._connection.watch_down(False)
            return
        self._ahead_bytes += self._connection.read()

    def _is_full(self) -> bool:
        waits = self._writers > 0 or self._dialogue.is_asked
        limit = self._receive_bytes_max if waits else _READ_AHEAD_BYTES
        return bool(self._events) and self._ahead_bytes >= limit

    def _take(self) -> Event:
        event = self._events.popleft()
        if not self._events:
            self._ahead_bytes = 0
            self._connection.watch_down(True)
        return event

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(None)

    async def _change(self, deadline: Optional[float]) -> None:
        """Waits until _on_ready has done something, or until the deadline."""
        if self._loop is None:
            raise errors.Disconnected("call connect(), or use `async with`")
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
                raise errors.TimedOut(f"{what} did not come: {self._dialogue.failure}")
            self._connection.watch_down(not self._is_full())
            await self._change(deadline)

    async def _await_session(self, deadline: float) -> None:
        self._connection.advance()
        await self._until(
            lambda: self._dialogue.state is State.OPEN, deadline, "a session"
        )

    # Sending

    async def _send(
        self, make_head: Callable[[], bytes], body: Buffer, deadline: Optional[float]
    ) -> None:
        lock = self._sending
        if lock is None:
            raise errors.Disconnected("call connect(), or use `async with`")
        if lock.locked() or not self._send_now(make_head, body):
            async with lock:  # first come, first served
                while not self._send_now(make_head, body):
                    await self._await_room(deadline)
        self._turn_bytes += len(body)
        if self._turn_bytes >= _TURN_BYTES:
            self._turn_bytes = 0
            await asyncio.sleep(0)

    def _send_now(self, make_head: Callable[[], bytes], body: Buffer) -> bool:
        """False: nothing was taken."""
        dialogue, connection = self._dialogue, self._connection
        connection.advance()
        if dialogue.state in (State.FAILED, State.CLOSED):
            raise dialogue.failure
        if dialogue.state is not State.OPEN:
            return False
        head = make_head()
        small = len(body) < UNCOPIED_BYTES
        if self._open_batches and small and len(dialogue.out) < BATCH_BYTES:
            dialogue.out += head
            dialogue.out += body
            return True
        if dialogue.out and not connection.flush():
            return False
        parts: Sequence[Buffer] = [head + body] if small else [head, body]
        written = connection.write(parts)
        if written == 0:
            return False
        for rest in without_front(parts, written):
            dialogue.out += rest
        connection.watch_room(bool(dialogue.out))
        return True

    async def _await_room(self, deadline: Optional[float]) -> None:
        if has_passed(deadline):
            raise errors.TimedOut(f"the pipe is full, or: {self._dialogue.failure}")
        self._writers += 1
        try:
            self._connection.watch_room(True)
            self._connection.watch_down(not self._is_full())
            await self._change(deadline)
        finally:
            self._writers -= 1

    async def _flush(self, deadline: Optional[float]) -> None:
        while not self._connection.flush() and self._dialogue.state is State.OPEN:
            await self._await_room(deadline)

    async def _flush_batch(self, deadline: float) -> None:
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
        self, request: Request[Answer], deadline: float, what: str
    ) -> Answer:
        self._connection.watch_room(not self._connection.flush())
        await self._until(lambda: request.done, deadline, what)
        return request.answer()


def _finish(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)
