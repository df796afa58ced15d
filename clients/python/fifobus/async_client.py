"""The client for asyncio programs."""

from __future__ import annotations

import asyncio
import time
from typing import AsyncIterator, Callable, Optional, Union

from fifobus import errors
from fifobus.async_publishing import AsyncPublishingClient
from fifobus.call_options import (
    LAST_FLUSH,
    REQUEST_TIMEOUT,
    deadline_of,
    has_passed,
    log_gap,
    log_restarted,
    metadata_of,
    nobody_takes,
    subscribe_options,
    subscribers_of,
)
from fifobus.protocol import control
from fifobus.protocol.control import Overflow
from fifobus.protocol.decoder import Event
from fifobus.protocol.dialogue import Dialogue, State
from fifobus.protocol.frames import payload_bytes
from fifobus.protocol.message import (
    AckOptions,
    CaughtUp,
    Gap,
    Headers,
    Message,
    Payload,
    ReadPosition,
    Restarted,
    Will,
)
from fifobus.protocol.start import Start
from fifobus.transport.connection import Connection

# How long, in seconds, wait_for_subscribers pauses before it asks again.
_PAUSE = 0.02


class AsyncClient(AsyncPublishingClient):
    """As Client, for one asyncio event loop.

        async with fifobus.AsyncClient() as client:
            await client.subscribe("sensors/**")
            await client.publish("sensors/kitchen/temp", "21.5")
            async for message in client:
                print(message.topic, message.payload)

    Many tasks may use it at once. Messages go out in the order in which publish() was
    called. A call that is cancelled has either taken its message or not: never a part
    of it, and no received message is ever lost by a cancelled receive().

    The documentation of Client holds here, but for what is said below. Loop-affine: to
    be used by the tasks of one event loop.
    """

    def __init__(
        self,
        directory: Optional[str] = None,
        *,
        name: str = "python",
        connect_timeout: float = 5.0,
        reconnect: bool = True,
        overflow: Overflow = Overflow.UNSPECIFIED,
        queue_bytes_max: int = 0,
        queue_messages_max: int = 0,
        will: Optional[Will] = None,
        on_gap: Callable[[Gap], None] = log_gap,
        on_caught_up: Callable[[CaughtUp], None] = lambda caught_up: None,
        on_restarted: Callable[[Restarted], None] = log_restarted,
        receive_bytes_max: int = 64 << 20,
        publisher: str = "",
        resend_bytes_max: int = 0,
    ) -> None:
        """As Client's, but nothing happens before connect() or `async with`."""
        dialogue = Dialogue(
            name,
            overflow,
            queue_bytes_max,
            queue_messages_max,
            will,
            publisher,
            resend_bytes_max,
        )
        super().__init__(
            dialogue, Connection(dialogue, directory, reconnect), receive_bytes_max
        )
        self._connect_timeout = connect_timeout
        self._on_gap = on_gap
        self._on_caught_up = on_caught_up
        self._on_restarted = on_restarted

    async def __aenter__(self) -> "AsyncClient":
        try:
            await self.connect()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def connect(self) -> None:
        """Waits for a broker up to the connect timeout; 0 does not wait.

        Raises NoBroker and SessionRefused.
        """
        self._loop = asyncio.get_running_loop()
        self._sending = asyncio.Lock()
        self._loop.add_reader(self._connection.fileno(), self._on_ready)
        self._connection.advance()
        if self._connect_timeout > 0:
            deadline = time.monotonic() + self._connect_timeout
            try:
                await self._until(
                    lambda: self._dialogue.state is State.OPEN, deadline, ""
                )
            except errors.TimedOut:
                raise self._dialogue.failure from None

    async def close(self) -> None:
        """Waits up to a second for what is not in the pipe yet, or was taken back from
        a broker that died, and says goodbye.
        Tasks that wait get Closed, async iteration ends."""
        if self._connection.closed:
            return
        if self._loop is not None:
            self._check_loop()
        deadline = time.monotonic() + LAST_FLUSH
        try:
            if self._loop is not None:
                await self._take_leave(deadline)
            self._connection.read()  # a refusal that is there is logged
        except errors.FifobusError:
            pass
        finally:
            if self._loop is not None:
                self._loop.remove_reader(self._connection.fileno())
            self._dialogue.close()
            self._connection.close()
            self._wake()

    @property
    def publish_losses(self) -> int:
        """As Client.publish_losses."""
        return self._dialogue.publishing.losses

    @property
    def resent_messages(self) -> int:
        """As Client.resent_messages."""
        return self._dialogue.publishing.taken_back.resent_messages

    @property
    def expired_messages(self) -> int:
        """Messages that were dropped because they had expired when they were taken."""
        return self._received.expired_messages

    # Requests

    async def subscribe(
        self,
        pattern: str,
        *,
        group: str = "",
        acks: Union[bool, AckOptions] = False,
        skip_retained: bool = False,
        start: Optional[Start] = None,
        durable: str = "",
        until_now: bool = False,
        auto_ack: bool = True,
        timeout: float = REQUEST_TIMEOUT,
    ) -> None:
        """As Client.subscribe. Several tasks that receive from one durable reader want
        `auto_ack` off: the next message is asked for by any of them."""
        options = subscribe_options(
            group, acks, skip_retained, start, durable, until_now, auto_ack
        )
        self._check_loop()
        request = self._dialogue.subscribe(pattern, options)
        deadline = time.monotonic() + timeout
        await self._answer(request, deadline, "the answer to Subscribe")

    async def unsubscribe(
        self, pattern: str, *, group: str = "", timeout: float = REQUEST_TIMEOUT
    ) -> None:
        """As Client.unsubscribe."""
        self._check_loop()
        request = self._dialogue.unsubscribe(pattern, group)
        deadline = time.monotonic() + timeout
        await self._answer(request, deadline, "the answer to Unsubscribe")

    async def ping(self, timeout: float = REQUEST_TIMEOUT) -> None:
        """As Client.ping."""
        await self._ask(self._dialogue.ping, timeout, "the answer to Ping")

    async def stats(
        self, topic: str = "", timeout: float = REQUEST_TIMEOUT
    ) -> control.StatsReply:
        """As Client.stats."""
        return await self._ask(
            lambda: self._dialogue.stats(topic), timeout, "the statistics"
        )

    async def wait_for_subscribers(
        self, topic: str, count: int = 1, timeout: Optional[float] = None
    ) -> None:
        """As Client.wait_for_subscribers."""
        deadline = deadline_of(timeout)
        while subscribers_of(await self.stats(topic), topic) < count:
            if has_passed(deadline):
                raise errors.TimedOut(f'"{topic}" has fewer than {count} subscribers')
            await asyncio.sleep(_PAUSE)

    async def request(
        self,
        topic: str,
        payload: Payload = b"",
        *,
        headers: Headers = (),
        content_type: str = "",
        timeout: float = REQUEST_TIMEOUT,
    ) -> Message:
        """As Client.request. Many may be under way at once."""
        deadline = time.monotonic() + timeout
        body = payload_bytes(payload)
        await self._await_session(deadline)
        subscribed = self._dialogue.subscribe_to_replies()
        await self._answer(subscribed, deadline, "the answer to Subscribe")
        metadata = metadata_of(headers, "", content_type, timeout, False, 0, 0)
        metadata.reply_topic, reply = self._dialogue.requests.expect_reply()
        metadata.confirm_id, confirm = self._dialogue.requests.expect_confirm()
        try:
            await self._send(
                lambda: self._dialogue.head(topic, metadata, len(body)),
                body,
                deadline,
            )
            await self._flush_batch(deadline)
            await self._until(
                lambda: reply.done or nobody_takes(confirm), deadline, "the reply"
            )
            if not reply.done:
                raise errors.NoResponders(f'nobody is subscribed to "{topic}"')
            return reply.answer()
        finally:
            self._dialogue.requests.forget(metadata.confirm_id, metadata.reply_topic)

    async def reply(
        self,
        message: Message,
        payload: Payload = b"",
        *,
        headers: Headers = (),
        content_type: str = "",
        timeout: Optional[float] = None,
    ) -> None:
        """As Client.reply."""
        if not message.reply_topic:
            raise errors.InvalidName("the message expects no reply")
        await self.publish(
            message.reply_topic,
            payload,
            headers=headers,
            content_type=content_type,
            timeout=timeout,
        )

    # Receiving

    async def receive(self, timeout: Optional[float] = None) -> Message:
        """The next message. Raises TimedOut and Disconnected."""
        while True:
            event = await self._next(timeout)
            if type(event) is Message:
                return event
            self._on_other(event)

    def receive_nowait(self) -> Message:
        """The next message, if it was read already. Raises WouldBlock."""
        self._check_loop()
        while self._events:
            event = self._take()
            if type(event) is Message:
                return event
            self._on_other(event)
        self._finish_message()
        raise errors.WouldBlock("no message is there now")

    def _on_other(self, event: Optional[Event]) -> None:
        if type(event) is Gap:
            self._on_gap(event)
        elif type(event) is CaughtUp:
            self._on_caught_up(event)
        elif type(event) is Restarted:
            self._on_restarted(event)

    def done(self, message: Message) -> None:
        """As Client.done."""
        self._dialogue.done(message)

    def read_position(self, pattern: str) -> Optional[ReadPosition]:
        """As Client.read_position."""
        return self._dialogue.readers.position(pattern)

    def extend(self, message: Message) -> None:
        """As Client.extend."""
        message.extend()

    async def __aiter__(self) -> AsyncIterator[Message]:
        """All messages to come, until the client is closed, or has received all that it
        is subscribed to with `until_now`."""
        while True:
            try:
                message = await self.receive()
            except (errors.Closed, errors.EndOfLog):
                return
            yield message

    async def events(self) -> AsyncIterator[Event]:
        """As Client.events."""
        while True:
            try:
                event = await self._next(None)
            except (errors.Closed, errors.EndOfLog):
                return
            if event is not None:
                yield event

    async def _next(self, timeout: Optional[float]) -> Optional[Event]:
        self._check_loop()
        if not self._events:
            deadline = deadline_of(timeout)
            self._finish_message()
            # What was gathered does not wait for a message that may answer it.
            await self._flush_batch(deadline)
            await self._until(self._has_event, deadline, "a message")
        return self._take()

    def _has_event(self) -> bool:
        if self._received.is_read_out:
            raise errors.EndOfLog("all that was stored until now has been received")
        return bool(self._events)
