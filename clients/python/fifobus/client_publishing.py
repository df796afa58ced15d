"""What a blocking client publishes, and how far it has come."""

from __future__ import annotations

import errno
from _thread import get_ident
from typing import Dict, Optional

from fifobus import errors
from fifobus.batch import Batch
from fifobus.call_options import (
    BATCH_BYTES,
    CONFIRMS_BETWEEN_LOOKS,
    REQUEST_TIMEOUT,
    UNCOPIED_BYTES,
    deadline_of,
    metadata_of,
)
from fifobus.client_session import ClientSession, Mode, one_at_a_time
from fifobus.protocol import expected_confirms
from fifobus.protocol.control import Level, PublisherMark
from fifobus.protocol.dialogue import State
from fifobus.protocol.frames import payload_bytes
from fifobus.protocol.message import Confirmation, Headers, Metadata, Payload
from fifobus.protocol.request import Request, check_reached


class PendingConfirmation:
    """The confirmation to come of a message. Belongs to the client that has published
    it. Thread-compatible."""

    def __init__(
        self, client: "PublishingClient", request: Request[Confirmation], level: Level
    ) -> None:
        self._client = client
        self._request = request
        self._level = level

    @property
    def done(self) -> bool:
        """Whether it is there, as far as the client has read."""
        return self._request.done

    def result(self, timeout: float = REQUEST_TIMEOUT) -> Confirmation:
        """Waits for it. Raises what Client.publish does with a level; after TimedOut it
        may be asked again."""
        confirmation = self._client._confirmed(self._request, timeout)
        check_reached(confirmation.level, confirmation.failure, self._level)
        return confirmation


class PublishingClient(ClientSession):
    """The part of Client that publishes. Thread-compatible."""

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
        level: Level = Level.UNSPECIFIED,
        timeout: Optional[float] = None,
    ) -> Optional[Confirmation]:
        """Publishes one message; when it returns, its bytes are in the pipe, or in the
        open batch.

        Text is sent as UTF-8. After `expiry` seconds, or at `expiry_unix_nanos`, the
        message is not delivered any more. `retain` also makes it its topic's retained
        value (with an empty payload: clears that). With `confirm` it waits, whatever
        the mode, for up to `timeout` (5) seconds until the broker says how many
        subscribers take the message. Otherwise `timeout` counts in mode BLOCKING only.
        With a `level` it waits likewise until the message is that far: Level.STORED is
        on disk. Of a duplicate the log had the message already: client's `publisher`.

        Raises InvalidName, MessageTooLarge, WouldBlock (not blocking: the pipe is full
        or there is no broker now) and TimedOut, all without having taken anything;
        with `confirm` or a `level` TimedOut and Disconnected say that it is not known.
        Raises Disconnected if there is no session and none will be made. As
        SessionRefused that may be about an earlier message, which this client may not
        publish. NoLog, LogFailed and TooManyPublishers say that the message was taken
        and will not reach the level.
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
        confirm = confirm or level > 0
        if extra or confirm or self._dialogue.publisher.name:
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
                return self._publish_confirmed(topic, body, metadata, level, timeout)
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
            self._send(lambda: dialogue.head(topic, extra, len(body)), body, timeout)
            return
        if self._open_batches and dialogue.state is State.OPEN:
            gathered = dialogue.out.waiting_bytes
            if 0 < gathered < BATCH_BYTES and len(body) < UNCOPIED_BYTES:
                dialogue.out.append(heads.head_of(topic, len(body)) + body)
                return
        self._send(lambda: heads.head_of(topic, len(body)), body, timeout)

    def _publish_confirmed(
        self,
        topic: str,
        body: bytes,
        metadata: Metadata,
        level: Level,
        timeout: Optional[float],
    ) -> Confirmation:
        deadline = deadline_of(REQUEST_TIMEOUT if timeout is None else timeout)
        request = self._ask_confirmation(
            topic, body, metadata, level, deadline, wait=True
        )
        try:
            confirmation = self._answer(request, deadline, "the broker's confirmation")
        finally:
            self._dialogue.requests.forget(metadata.confirm_id)
        check_reached(confirmation.level, confirmation.failure, level)
        return confirmation

    def _ask_confirmation(
        self,
        topic: str,
        body: bytes,
        metadata: Metadata,
        level: Level,
        deadline: Optional[float],
        wait: bool,
    ) -> Request[Confirmation]:
        """Publishes it; the confirmation is to come."""
        dialogue = self._dialogue
        self._await_session(deadline, wait)
        self._await_confirmations(len(body), deadline, wait)
        request = expected_confirms.expect(dialogue, metadata, level)
        try:
            self._send_until(
                lambda: dialogue.head(topic, metadata, len(body)), body, deadline, wait
            )
        except BaseException:
            expected_confirms.forget(dialogue, metadata)
            raise
        expected_confirms.keep(dialogue, topic, metadata, body)
        return request

    def _await_confirmations(
        self, body_bytes: int, deadline: Optional[float], wait: bool
    ) -> None:
        """Until there is room for another one that is to come."""
        requests = self._dialogue.requests

        def has_room() -> bool:
            return expected_confirms.has_room(self._dialogue, body_bytes)

        if not has_room() or requests.unconfirmed % CONFIRMS_BETWEEN_LOOKS == 0:
            self._read_ahead()
        if not wait and not has_room():
            text = "too many messages wait for their confirmation"
            raise errors.WouldBlock(errno.EAGAIN, text)
        self._wait_until(has_room, deadline, "the confirmation of earlier messages")

    def publish_pending(
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
    ) -> PendingConfirmation:
        """Publishes as publish() does without waiting for the confirmation, whose
        result() does. So many messages may be on their way to the disk at once: 65536,
        and `resend_bytes_max` if that is not 0; then it waits for earlier ones.

        flush(level=...) waits for all.
        """
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
        request = self._publish_pending(topic, body, metadata, level, timeout)
        return PendingConfirmation(self, request, level)

    @one_at_a_time
    def _publish_pending(
        self,
        topic: str,
        body: bytes,
        metadata: Metadata,
        level: Level,
        timeout: Optional[float],
    ) -> Request[Confirmation]:
        wait = self.mode is not Mode.NON_BLOCKING
        deadline = deadline_of(timeout)
        return self._ask_confirmation(topic, body, metadata, level, deadline, wait)

    @one_at_a_time
    def _confirmed(
        self, request: Request[Confirmation], timeout: float
    ) -> Confirmation:
        return self._answer(request, deadline_of(timeout), "the broker's confirmation")

    @property
    def publisher_marks(self) -> Dict[str, PublisherMark]:
        """By log: what it had of this `publisher` when the session began."""
        return dict(self._dialogue.publisher.marks)

    @property
    def last_sequence(self) -> int:
        """Of a `publisher`: the highest number that a message was given, or that a log
        has. A program that repeats messages after a crash goes on behind it, or gives
        old ones their numbers again: a log stores none twice."""
        return self._dialogue.publisher.last_sequence

    @one_at_a_time
    def flush(
        self, timeout: Optional[float] = None, *, level: Level = Level.UNSPECIFIED
    ) -> None:
        """Writes what a batch, a partial write, or a broker that died has left; for
        that it waits for the next session. With a `level` it waits,
        whatever the mode, for up to `timeout` (5) seconds until all that was published
        in this session is that far, as far as logs store it.

        Raises WouldBlock and TimedOut if something is left still, and Disconnected;
        with a level also what publish() raises with one.
        """
        self._check_open()
        self._connection.advance()
        self._dialogue.append_positions()
        if not level:
            self._flush_all(deadline_of(timeout), self.mode is Mode.BLOCKING)
            return
        deadline = deadline_of(REQUEST_TIMEOUT if timeout is None else timeout)
        self._await_session(deadline, wait=True)
        request = self._dialogue.ping(int(level))
        pong = self._answer(request, deadline, "the answer to Ping")
        check_reached(pong.level, pong.failure, level, "what was published")

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
                self._flush_batch()
            except errors.WouldBlock:
                pass  # the rest goes out with later calls

    @one_at_a_time
    def _flush_batch(self) -> None:
        """Does not wait for another session."""
        self._connection.advance()
        self._dialogue.append_positions()
        self._flush_out(None, self.mode is Mode.BLOCKING)
