"""What a client for asyncio publishes, and how far it has come."""

from __future__ import annotations

from typing import Dict, Generator, Optional

from fifobus.async_session import AsyncSession
from fifobus.batch import AsyncBatch
from fifobus.call_options import (
    REQUEST_TIMEOUT,
    deadline_of,
    metadata_of,
)
from fifobus.protocol import expected_confirms
from fifobus.protocol.control import Level, PublisherMark
from fifobus.protocol.frames import payload_bytes
from fifobus.protocol.message import Confirmation, Headers, Metadata, Payload
from fifobus.protocol.request import Request, check_reached


class AsyncPendingConfirmation:
    """The confirmation to come of a message; `await` it, or its result(). Loop-affine,
    as the client that has published the message."""

    def __init__(
        self,
        client: "AsyncPublishingClient",
        request: Request[Confirmation],
        level: Level,
    ) -> None:
        self._client = client
        self._request = request
        self._level = level

    @property
    def done(self) -> bool:
        """Whether it is there."""
        return self._request.done

    async def result(self, timeout: float = REQUEST_TIMEOUT) -> Confirmation:
        """As PendingConfirmation.result."""
        confirmation = await self._client._answer(
            self._request, deadline_of(timeout), "the broker's confirmation"
        )
        check_reached(confirmation.level, confirmation.failure, self._level)
        return confirmation

    def __await__(self) -> Generator[object, None, Confirmation]:
        return self.result().__await__()


class AsyncPublishingClient(AsyncSession):
    """The part of AsyncClient that publishes. Loop-affine."""

    # Publishing

    async def publish(
        self,
        topic: str,
        payload: Payload = b"",
        *,
        headers: Headers = (),
        reply_topic: str = "",
        content_type: str = "",
        expiry: Optional[float] = None,
        expiry_unix_nanos: int = 0,
        retain: bool = False,
        sequence: int = 0,
        publish_time_unix_nanos: int = 0,
        confirm: bool = False,
        level: Level = Level.UNSPECIFIED,
        timeout: Optional[float] = None,
    ) -> Optional[Confirmation]:
        """As Client.publish. It waits while the pipe is full, and so for the slowest
        subscriber. Cancelled while it waits, it has taken nothing, unless the frame was
        begun: then its rest follows by itself."""
        body = payload_bytes(payload)
        metadata = metadata_of(
            headers,
            reply_topic,
            content_type,
            expiry,
            retain,
            sequence,
            publish_time_unix_nanos,
            expiry_unix_nanos,
        )
        if confirm or level:
            after = REQUEST_TIMEOUT if timeout is None else timeout
            return await self._publish_confirmed(topic, body, metadata, level, after)
        deadline = deadline_of(timeout)
        extra = headers or reply_topic or content_type or expiry is not None
        stamps = expiry_unix_nanos or publish_time_unix_nanos
        named = self._dialogue.publisher.name
        if extra or retain or sequence or stamps or named:
            await self._send(
                lambda: self._dialogue.head(topic, metadata, len(body)),
                body,
                deadline,
            )
        else:
            await self._send(
                lambda: self._dialogue.heads.head_of(topic, len(body)), body, deadline
            )
        return None

    async def _publish_confirmed(
        self, topic: str, body: bytes, metadata: Metadata, level: Level, timeout: float
    ) -> Confirmation:
        deadline = deadline_of(timeout)
        request = await self._ask_confirmation(topic, body, metadata, level, deadline)
        try:
            await self._flush_batch(deadline)
            confirmation = await self._answer(
                request, deadline, "the broker's confirmation"
            )
        finally:
            self._dialogue.requests.forget(metadata.confirm_id)
        check_reached(confirmation.level, confirmation.failure, level)
        return confirmation

    async def _ask_confirmation(
        self,
        topic: str,
        body: bytes,
        metadata: Metadata,
        level: Level,
        deadline: Optional[float],
    ) -> Request[Confirmation]:
        """Publishes it; the confirmation is to come."""
        dialogue = self._dialogue
        await self._await_session(deadline)
        await self._until(
            lambda: expected_confirms.has_room(dialogue, len(body)),
            deadline,
            "the confirmation of earlier messages",
        )
        request = expected_confirms.expect(dialogue, metadata, level)
        try:
            await self._send(
                lambda: dialogue.head(topic, metadata, len(body)), body, deadline
            )
        except BaseException:
            expected_confirms.forget(dialogue, metadata)
            raise
        expected_confirms.keep(dialogue, topic, metadata, body)
        return request

    async def publish_pending(
        self,
        topic: str,
        payload: Payload = b"",
        *,
        level: Level = Level.STORED,
        headers: Headers = (),
        reply_topic: str = "",
        content_type: str = "",
        expiry: Optional[float] = None,
        expiry_unix_nanos: int = 0,
        retain: bool = False,
        sequence: int = 0,
        publish_time_unix_nanos: int = 0,
        timeout: Optional[float] = None,
    ) -> AsyncPendingConfirmation:
        """As Client.publish_pending."""
        body = payload_bytes(payload)
        metadata = metadata_of(
            headers,
            reply_topic,
            content_type,
            expiry,
            retain,
            sequence,
            publish_time_unix_nanos,
            expiry_unix_nanos,
        )
        deadline = deadline_of(timeout)
        request = await self._ask_confirmation(topic, body, metadata, level, deadline)
        return AsyncPendingConfirmation(self, request, level)

    @property
    def publisher_marks(self) -> Dict[str, PublisherMark]:
        """As Client.publisher_marks."""
        return dict(self._dialogue.publisher.marks)

    @property
    def last_sequence(self) -> int:
        """As Client.last_sequence."""
        return self._dialogue.publisher.last_sequence

    async def flush(
        self, timeout: Optional[float] = None, *, level: Level = Level.UNSPECIFIED
    ) -> None:
        """Returns when all that was published is in the pipe, of the next session if
        the broker has died, and with a `level` when it is that far. Raises TimedOut, Disconnected, and with a level what publish()
        raises with one."""
        self._check_loop()
        self._dialogue.append_positions()
        if not level:
            await self._flush_all(deadline_of(timeout))
            return
        deadline = deadline_of(REQUEST_TIMEOUT if timeout is None else timeout)
        await self._await_session(deadline)
        request = self._dialogue.ping(int(level))
        pong = await self._answer(request, deadline, "the answer to Ping")
        check_reached(pong.level, pong.failure, level, "what was published")

    def batch(self) -> "AsyncBatch":
        """As Client.batch, used with `async with`."""
        return AsyncBatch(self._open_batches, self._end_batch)

    async def _end_batch(self) -> None:
        if not self.closed:
            self._check_loop()
            await self._flush(None)
