"""The client for ordinary, blocking programs."""

from __future__ import annotations

import time
from typing import Any, Callable, Iterator, Optional, Union

from fifobus import errors
from fifobus.call_options import (
    LAST_FLUSH,
    REQUEST_TIMEOUT,
    deadline_of,
    has_passed,
    log_gap,
    log_restarted,
    metadata_of,
    nobody_takes,
    seconds_to,
    subscribe_options,
    subscribers_of,
)
from fifobus.client_publishing import PublishingClient
from fifobus.client_session import Mode, one_at_a_time
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
_FIRST_PAUSE = 0.005
_LAST_PAUSE = 0.1


class Client(PublishingClient):
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
    however many of its patterns match. What a broker that dies has not read of them is
    sent again, first of all in the next session: none is lost, or comes twice. What it
    had read and not passed on is lost, see `publish_losses`. Where messages are missing, `on_gap` is called
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
        on_caught_up: Callable[[CaughtUp], None] = lambda caught_up: None,
        on_restarted: Callable[[Restarted], None] = log_restarted,
        receive_bytes_max: int = 64 << 20,
        publisher: str = "",
        resend_bytes_max: int = 0,
    ) -> None:
        """Waits for a broker, which may be started later, up to `connect_timeout`; 0
        does not wait, and the client connects when it is used.

        `directory` is the bus directory; without it $FIFOBUS_DIR, or where a broker
        runs. `fifobus ls` shows `name`. `overflow` and the bounds say what becomes of
        messages when this client is too slow (0: the broker's own). The broker
        publishes `will` when this process dies. `receive_bytes_max` bounds what is read
        ahead by calls that wait for something else than a message. `on_caught_up` is
        called where a reader of a log has received all that was there when it
        subscribed, and `on_restarted`, which logs a line, in place of `on_gap` where
        the session ended and nothing is missing, because logs are all that is read.

        Logs remember under the name `publisher`, one level of a topic, what this client
        has stored. Its messages are numbered, and no log stores one twice. A later
        client of that name ends this one, with Fenced. Up to `resend_bytes_max` bytes
        of what is published with a level above ACCEPTED are kept until it is confirmed,
        and sent again when the session was lost; 0: none.

        Raises NoBroker, SessionRefused, InvalidName (of the will or the publisher).
        """
        dialogue = Dialogue(
            name,
            overflow,
            queue_bytes_max,
            queue_messages_max,
            will,
            publisher,
            resend_bytes_max,
        )
        connection = Connection(dialogue, directory, reconnect)
        super().__init__(dialogue, connection, mode, receive_bytes_max)
        self._on_gap = on_gap
        self._on_caught_up = on_caught_up
        self._on_restarted = on_restarted
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
        """Writes the rest and what was taken back from a broker that died, for up to a
        second, and says goodbye, so that no will is published. Closing twice does
        nothing.

        What groups without acks have sent to this client and receive() has not returned
        is lost, and the broker counts it. To lose nothing, unsubscribe first, and
        receive what is there."""
        if self._connection.closed:
            return
        deadline = time.monotonic() + LAST_FLUSH
        try:
            self._take_leave(deadline)
            self._connection.read()  # a refusal that is there is logged
        except errors.FifobusError:
            pass
        finally:
            self._dialogue.close()
            self._connection.close()

    # Requests. They wait whatever the mode.

    @one_at_a_time
    def subscribe(
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
        """Subscribes to a pattern: a topic in which a level may be "*" and the last one
        "**". When it returns, all that is published afterwards arrives.

        It begins with the retained values of matching topics, unless `skip_retained`.
        Subscribers that name the same `group` share the messages: each goes to one of
        them. With `acks` each message is to be answered by its ack() or retry().

        With `start` it reads the log that stores the topics, from there on and then
        what comes: each message once it is on disk, and with its `offset`. In a new
        session it goes on behind the last one. With `until_now` it ends where the log
        ended at first, and iterating ends with it.

        `durable` names a reader, one level of a topic, whose position outlives this
        client and the broker; the first time it begins at `start`, or at the first
        message. A message is done when the next one is asked for, and without
        `auto_ack` when done() is called. What is not done comes again, to the next
        client that is this reader. A group that names one shares its position.

        Raises InvalidName, Refused (the broker's answer; as NoLog, BadStart and
        BadDurable, of logs), Disconnected, and TimedOut: no answer yet, but the
        subscription stands and is made as soon as there is a broker.
        """
        options = subscribe_options(
            group, acks, skip_retained, start, durable, until_now, auto_ack
        )
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
                lambda: dialogue.head(topic, metadata, len(body)),
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
        and none will be made), Refused (of a subscription, by the next broker),
        EndOfLog (nothing is left that it is subscribed to with `until_now`).
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
            if type(event) is Message and not event._metadata.watched:
                return event
            event = self._received.shown(event)
            if type(event) is Message:
                return event
            if type(event) is Gap:
                self._on_gap(event)
            elif type(event) is CaughtUp:
                self._on_caught_up(event)
            elif type(event) is Restarted:
                self._on_restarted(event)

    def done(self, message: Message) -> None:
        """The work on this message is done: of a durable reader, on all before it, too.
        Of one in a group it is the message's ack(). Does not wait. The broker is told at
        once if no other message is there, and else some ten times a second, and at
        flush() and close().

        Without effect on other messages, and on those of an earlier session, which come
        again."""
        self._dialogue.done(message)

    def read_position(self, pattern: str) -> Optional[ReadPosition]:
        """How far this subscription without a group has come in its log; None: it reads
        none, or has no answer yet."""
        return self._dialogue.readers.position(pattern)

    def extend(self, message: Message) -> None:
        """As message.extend(): the group's timeout for it begins anew."""
        message.extend()

    def __iter__(self) -> Iterator[Message]:
        """All messages to come, until the client is closed, or has received all that it
        is subscribed to with `until_now`."""
        while not self._is_over():
            try:
                message = self.receive()
            except errors.EndOfLog:
                return
            yield message

    def events(self) -> Iterator[Event]:
        """As iterating, with each Gap in its place instead of at `on_gap`, and with
        CaughtUp where a reader has received all that its log had when it subscribed,
        and Restarted where a session ended and nothing is missing."""
        while not self._is_over():
            if self._events:
                event = self._received.shown(self._events.popleft())
                if event is not None:
                    yield event
                continue
            try:
                self._fill(None, self.mode)
            except errors.EndOfLog:
                return
