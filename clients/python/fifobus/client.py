"""The client for ordinary, blocking programs."""

from __future__ import annotations

import time
from _thread import get_ident
from typing import Any, Callable, Iterator, Optional, Union

from fifobus import errors
from fifobus.batch import Batch
from fifobus.call_options import (
    BATCH_BYTES,
    LAST_FLUSH,
    REQUEST_TIMEOUT,
    UNCOPIED_BYTES,
    deadline_of,
    has_passed,
    log_gap,
    metadata_of,
    nobody_takes,
    seconds_to,
    subscribe_options,
    subscribers_of,
)
from fifobus.client_session import ClientSession, Mode, one_at_a_time
from fifobus.protocol import control
from fifobus.protocol.control import Overflow
from fifobus.protocol.dialogue import Dialogue, Event, State
from fifobus.protocol.frames import payload_bytes
from fifobus.protocol.message import (
    AckOptions,
    Confirmation,
    Gap,
    Headers,
    Message,
    Metadata,
    Payload,
    Will,
)
from fifobus.transport.connection import Connection

# How long, in seconds, wait_for_subscribers pauses before it asks again.
_FIRST_PAUSE = 0.005
_LAST_PAUSE = 0.1


class Client(ClientSession):
    """One session with a bus, for publishing and receiving on one thread.

        with fifobus.Client() as client:
            client.subscribe("sensors/**")
            client.publish("sensors/kitchen/temp", "21.5")
            for message in client:
                print(message.topic, message.payload)

    It connects when it is made, and reconnects and subscribes anew by itself when the
    broker dies. While a call waits to write, arriving messages are read, so that one
    thread may publish to a topic that it receives. No call raises SIGPIPE, hangs in
    open(2) or changes a setting of the process, and there are no threads behind it.

    Messages from one client arrive at each subscriber in their order, exactly once,
    however many of its patterns match. Where messages are missing, `on_gap` is called
    before the message that follows; it logs a warning unless you give another one.
    `events()` yields gaps in line instead.

    A message that has expired when it is taken is dropped, and told as a gap. Where a
    subscription cannot be made anew because the next broker refuses it, receive()
    raises Refused.

    An exception from a signal handler may end any call, and the client goes on working:
    no message is torn or doubled by it. One that receive() was about to return may be
    gone with it.

    Times are seconds. Thread-compatible: one call at a time. A call while another
    thread is in one, or from a signal handler within one, raises Misuse; so does each
    call in the child of a fork, which inherits nothing but the object.
    """

    def __init__(
        self,
        directory: Optional[str] = None,
        *,
        name: str = "python",
        mode: Mode = Mode.BLOCKING,
        connect_timeout: float = 5.0,
        reconnect: bool = True,
        overflow: Overflow = Overflow.UNSPECIFIED,
        queue_bytes_max: int = 0,
        queue_messages_max: int = 0,
        will: Optional[Will] = None,
        on_gap: Callable[[Gap], None] = log_gap,
        receive_bytes_max: int = 64 << 20,
    ) -> None:
        """Waits for a broker, which may be started later, up to `connect_timeout`; 0
        does not wait, and the client connects when it is used.

        `directory` is the bus directory; without it $FIFOBUS_DIR, or where a broker
        runs. `fifobus ls` shows `name`. `overflow` and the bounds say what becomes of
        messages when this client is too slow (0: the broker's own). The broker
        publishes `will` when this process dies. `receive_bytes_max` bounds what is read
        ahead by calls that wait for something else than a message.

        Raises NoBroker, SessionRefused, InvalidName (of the will).
        """
        dialogue = Dialogue(name, overflow, queue_bytes_max, queue_messages_max, will)
        connection = Connection(dialogue, directory, reconnect)
        super().__init__(dialogue, connection, mode, receive_bytes_max)
        self._on_gap = on_gap
        try:
            self._connection.advance()
            if connect_timeout > 0:
                self._connect(time.monotonic() + connect_timeout)
        except BaseException:
            self._connection.close()
            raise

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @one_at_a_time
    def close(self) -> None:
        """Writes the rest, for up to a second, and says goodbye, so that no will is
        published. Closing twice does nothing.

        What groups without acks have sent to this client and receive() has not returned
        is lost, and the broker counts it. To lose nothing, unsubscribe first, and
        receive what is there."""
        if self._connection.closed:
            return
        deadline = time.monotonic() + LAST_FLUSH
        try:
            self._leave_groups(deadline)
            self._dialogue.say_goodbye()
            self._flush_out(deadline)
            self._connection.read()  # a refusal that is there is logged
        except errors.FifobusError:
            pass
        finally:
            self._dialogue.close()
            self._connection.close()

    # Publishing

    def publish(
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
        timeout: Optional[float] = None,
    ) -> Optional[Confirmation]:
        """Publishes one message; when it returns, its bytes are in the pipe, or in the
        open batch.

        Text is sent as UTF-8. After `expiry` seconds, or at `expiry_unix_nanos`, the
        message is not delivered any more. `retain` also makes it its topic's retained
        value (with an empty payload: clears that). With `confirm` it waits, whatever
        the mode, for up to `timeout` (5) seconds until the broker says how many
        subscribers take the message. Otherwise `timeout` counts in mode BLOCKING only.

        Raises InvalidName, MessageTooLarge, WouldBlock (not blocking: the pipe is full
        or there is no broker now) and TimedOut, all without having taken anything;
        with `confirm` TimedOut and Disconnected say that it is not known. Raises
        Disconnected if there is no session and none will be made. As SessionRefused
        that may be about an earlier message, which this client may not publish.
        """
        body = payload_bytes(payload)
        extra = (
            headers
            or reply_topic
            or content_type
            or expiry is not None
            or expiry_unix_nanos
            or retain
            or sequence
            or publish_time_unix_nanos
        )
        metadata = None
        if extra or confirm:
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
        token = [get_ident()]
        if self._use.setdefault(0, token) is not token:
            self._take_use(token)
        try:
            if metadata is not None and confirm:
                return self._publish_confirmed(topic, body, metadata, timeout)
            self._publish(topic, body, metadata, timeout)
            return None
        finally:
            self._use.clear()

    def _publish(
        self,
        topic: str,
        body: bytes,
        metadata: Optional[Metadata],
        timeout: Optional[float],
    ) -> None:
        dialogue = self._dialogue
        heads = dialogue.heads
        if metadata is not None:
            extra = metadata
            self._send(lambda: heads.head_with(topic, extra, len(body)), body, timeout)
            return
        if self._open_batches and dialogue.state is State.OPEN:
            gathered = dialogue.out.waiting_bytes
            if 0 < gathered < BATCH_BYTES and len(body) < UNCOPIED_BYTES:
                dialogue.out.append(heads.head_of(topic, len(body)) + body)
                return
        self._send(lambda: heads.head_of(topic, len(body)), body, timeout)

    def _publish_confirmed(
        self, topic: str, body: bytes, metadata: Metadata, timeout: Optional[float]
    ) -> Confirmation:
        deadline = time.monotonic() + (REQUEST_TIMEOUT if timeout is None else timeout)
        self._await_session(deadline, wait=True)
        metadata.confirm_id, request = self._dialogue.requests.expect_confirm()
        try:
            self._send_until(
                lambda: self._dialogue.heads.head_with(topic, metadata, len(body)),
                body,
                deadline,
                wait=True,
            )
            return self._answer(request, deadline, "the broker's confirmation")
        finally:
            self._dialogue.requests.forget(metadata.confirm_id)

    @one_at_a_time
    def flush(self, timeout: Optional[float] = None) -> None:
        """Writes what a batch or a partial write has left.

        Raises WouldBlock and TimedOut if something is left still, and Disconnected.
        """
        self._check_open()
        self._connection.advance()
        self._flush_out(deadline_of(timeout), self.mode is Mode.BLOCKING)

    def batch(self) -> "Batch":
        """Gathers messages, so that many cross the pipe in one write:

            with client.batch():
                for line in lines:
                    client.publish("log", line)

        They go out at 64 KiB, at flush(), when a call waits for something else, and at
        the end.
        """
        return Batch(self._open_batches, self._end_batch)

    def _end_batch(self) -> None:
        if not self.closed:
            try:
                self.flush()
            except errors.WouldBlock:
                pass  # the rest goes out with later calls

    # Requests. They wait whatever the mode.

    @one_at_a_time
    def subscribe(
        self,
        pattern: str,
        *,
        group: str = "",
        acks: Union[bool, AckOptions] = False,
        skip_retained: bool = False,
        timeout: float = REQUEST_TIMEOUT,
    ) -> None:
        """Subscribes to a pattern: a topic in which a level may be "*" and the last one
        "**". When it returns, all that is published afterwards arrives.

        It begins with the retained values of matching topics, unless `skip_retained`.
        Subscribers that name the same `group` share the messages: each goes to one of
        them. With `acks` each message is to be answered by its ack() or retry().

        Raises InvalidName, Refused (the broker's answer), Disconnected, and TimedOut:
        no answer yet, but the subscription stands and is made as soon as there is a
        broker.
        """
        options = subscribe_options(group, acks, skip_retained)
        self._check_open()
        self._connection.advance()
        request = self._dialogue.subscribe(pattern, options)
        self._answer(request, time.monotonic() + timeout, "the answer to Subscribe")

    @one_at_a_time
    def unsubscribe(
        self, pattern: str, *, group: str = "", timeout: float = REQUEST_TIMEOUT
    ) -> None:
        """Ends a subscription. Messages that were read already still come.

        Raises InvalidName if there is none, Disconnected and TimedOut.
        """
        self._check_open()
        request = self._dialogue.unsubscribe(pattern, group)
        deadline = time.monotonic() + timeout
        self._answer(request, deadline, "the answer to Unsubscribe")

    def ping(self, timeout: float = REQUEST_TIMEOUT) -> None:
        """Returns when the broker has dealt with everything published before.

        Raises Disconnected and TimedOut.
        """
        self._ask(self._dialogue.ping, timeout, "the answer to Ping")

    def stats(
        self, topic: str = "", timeout: float = REQUEST_TIMEOUT
    ) -> control.StatsReply:
        """What the broker knows about itself, as `fifobus ls --json` shows it; with a
        topic nothing but that one. Raises Refused, Disconnected and TimedOut."""
        return self._ask(lambda: self._dialogue.stats(topic), timeout, "the statistics")

    def wait_for_subscribers(
        self, topic: str, count: int = 1, timeout: Optional[float] = None
    ) -> None:
        """Returns when so many sessions, groups and taps would get what is published on
        `topic` now. Raises TimedOut, Disconnected and InvalidName."""
        deadline = deadline_of(timeout)
        pause = _FIRST_PAUSE
        while subscribers_of(self.stats(topic, seconds_to(deadline)), topic) < count:
            if has_passed(deadline):
                raise errors.TimedOut(f'"{topic}" has fewer than {count} subscribers')
            time.sleep(min(pause, seconds_to(deadline)))
            pause = min(2 * pause, _LAST_PAUSE)

    @one_at_a_time
    def request(
        self,
        topic: str,
        payload: Payload = b"",
        *,
        headers: Headers = (),
        content_type: str = "",
        timeout: float = REQUEST_TIMEOUT,
    ) -> Message:
        """Publishes a question and returns the first reply to it, in up to `timeout`
        seconds. A subscriber answers with reply().

        Raises NoResponders at once if nobody is subscribed to `topic`, TimedOut,
        Disconnected, and what publish raises.
        """
        body = payload_bytes(payload)
        deadline = time.monotonic() + timeout
        dialogue = self._dialogue
        self._await_session(deadline, wait=True)
        subscribed = dialogue.subscribe_to_replies()
        self._answer(subscribed, deadline, "the answer to Subscribe")
        metadata = metadata_of(headers, "", content_type, timeout, False, 0, 0)
        metadata.reply_topic, reply = dialogue.requests.expect_reply()
        metadata.confirm_id, confirm = dialogue.requests.expect_confirm()
        try:
            self._send_until(
                lambda: dialogue.heads.head_with(topic, metadata, len(body)),
                body,
                deadline,
                wait=True,
            )
            self._wait_until(
                lambda: reply.done or nobody_takes(confirm), deadline, "the reply"
            )
            if not reply.done:
                raise errors.NoResponders(f'nobody is subscribed to "{topic}"')
            return reply.answer()
        finally:
            dialogue.requests.forget(metadata.confirm_id, metadata.reply_topic)

    def reply(
        self,
        message: Message,
        payload: Payload = b"",
        *,
        headers: Headers = (),
        content_type: str = "",
        timeout: Optional[float] = None,
    ) -> None:
        """Answers a request. Raises InvalidName if `message` is none, and what publish
        raises."""
        if not message.reply_topic:
            raise errors.InvalidName("the message expects no reply")
        self.publish(
            message.reply_topic,
            payload,
            headers=headers,
            content_type=content_type,
            timeout=timeout,
        )

    # Receiving

    def receive(self, timeout: Optional[float] = None) -> Message:
        """The next message. `timeout` counts in the modes BLOCKING and BUSY_POLL.

        Raises TimedOut, WouldBlock (not blocking), Disconnected (there is no session
        and none will be made), Refused (of a subscription, by the next broker).
        """
        return self._receive(deadline_of(timeout), self.mode)

    def receive_nowait(self) -> Message:
        """The next message, if there is one already. Raises WouldBlock, which is a
        BlockingIOError, and Disconnected."""
        return self._receive(None, Mode.NON_BLOCKING)

    def _receive(self, deadline: Optional[float], mode: Mode) -> Message:
        events = self._events
        while True:
            if not events:
                self._fill(deadline, mode)
                continue
            event: Any = events.popleft()
            if type(event) is Message and not event._metadata.expiry_unix_nanos:
                return event
            event = self._dialogue.shown(event)
            if type(event) is Message:
                return event
            self._on_gap(event)

    def __iter__(self) -> Iterator[Message]:
        """All messages to come, until the client is closed."""
        while not self._is_over():
            yield self.receive()

    def events(self) -> Iterator[Event]:
        """As iterating, with each Gap in its place instead of at `on_gap`."""
        while not self._is_over():
            if self._events:
                yield self._dialogue.shown(self._events.popleft())
            else:
                self._fill(None, self.mode)
