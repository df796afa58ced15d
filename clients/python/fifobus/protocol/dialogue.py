"""A client's side of the protocol: its questions, and what follows from the answers.

Client and AsyncClient share it. Bytes go in at `filled`, bytes to be written gather in
`out`, and received messages and gaps wait in `events`. It outlives sessions:
subscriptions are made anew, unanswered requests fail, and losses become gaps.
"""

from __future__ import annotations

import enum
import functools
import logging
import os
from collections import deque
from typing import Any, Callable, Deque, Dict, List, Optional, Tuple, Union

from fifobus import errors
from fifobus.protocol import control, frames, topics
from fifobus.protocol.control import GapReason, Level, Overflow, Verdict
from fifobus.protocol.decoder import FrameDecoder
from fifobus.protocol.message import (
    Confirmation,
    Gap,
    Message,
    Metadata,
    Will,
    header_pairs_of,
)
from fifobus.protocol.request import Request, SubscribeOptions, Subscription

log = logging.getLogger("fifobus")

# Heads of frames that are kept so that they need not be made again: a publisher's
# topics times its payload sizes. Above it all are forgotten. Not tuned.
_HEADS_MAX = 4096


class State(enum.Enum):
    WAITING = "waiting"  # for a broker, or for the time to look for one again
    GREETING = "greeting"  # Hello is said, Welcome is to come
    OPEN = "open"
    LEAVING = "leaving"  # the broker stops: nothing more is written, the rest is read
    FAILED = "failed"  # for good: refused, or lost and not to be made again
    CLOSED = "closed"  # by this side


Event = Union[Message, Gap]
SubscriptionKey = Tuple[str, str]  # pattern, group


class Dialogue:
    """The protocol's state of one client. Does no I/O. Thread-compatible.

    Invariant: `out` holds whole frames behind what is left of one that was begun.
    """

    def __init__(
        self,
        name: str,
        overflow: Overflow,
        queue_bytes_max: int,
        queue_messages_max: int,
        will: Optional[Will],
    ) -> None:
        self._hello = control.Hello(
            protocol_version=control.PROTOCOL_VERSION,
            client_name=name,
            overflow=int(overflow),
            queue_bytes_max=queue_bytes_max,
            queue_messages_max=queue_messages_max,
            will=b"" if will is None else will_member(will),
        )
        self.state = State.WAITING
        self.failure: errors.FifobusError = errors.NoBroker("not connected yet")
        self.events: Deque[Event] = deque()
        self.out = bytearray()
        self.welcome = control.Welcome(frame_bytes_max=control.FRAME_BYTES_MAX_DEFAULT)
        # The Connection's: writes of `out` what the pipe takes. An answer to a group
        # does not wait for the next call.
        self.flush: Callable[[], object] = lambda: None
        # Three counts: sessions that were opened; sessions that ended with bytes,
        # written or batched, that no broker has read; sessions in which messages may
        # have been missed.
        self.sessions = 0
        self.publish_losses = 0
        self.receive_losses = 0
        # Whether a limit turned it away, so that it is worth another try.
        self.turned_away = False
        # The broker stops: the Connection is to write what it can, and to call leave().
        self.goodbye_received = False
        self._last_id = 0
        self._subscriptions: Dict[SubscriptionKey, Subscription] = {}
        self._requests: Dict[int, Request[Any]] = {}
        self._confirms: Dict[int, Request[Confirmation]] = {}
        self._replies: Dict[str, Request[Message]] = {}
        self._inbox = f"_inbox/{os.urandom(16).hex()}"
        self._heads: Dict[Tuple[str, int], bytes] = {}
        self._decoder = self._new_decoder()

    # Sessions

    def hello(self) -> bytes:
        """Begins a session: what is to be written first."""
        self._decoder = self._new_decoder()
        self.out.clear()
        self.goodbye_received = False
        self.state = State.GREETING
        self._hello.pid = os.getpid()
        return control.frame_of(self._hello)

    def space(self) -> memoryview:
        """Where the Connection is to read to. Valid until filled()."""
        return self._decoder.space()

    def filled(self, size: int) -> None:
        """Takes what was read. Bytes that are no frames end the session for good."""
        try:
            self._decoder.filled(size)
        except frames.BadFrame as error:
            self.fail(errors.ProtocolError(f"the broker sent a bad frame: {error}"))

    def lose(
        self,
        error: errors.FifobusError,
        again: bool,
        reason: GapReason = GapReason.RECONNECTED,
    ) -> None:
        """The session is over. `again`: another is to be made. `reason`: of the gap
        that is told if messages may have been missed."""
        was_open = self.state == State.OPEN
        if was_open:
            self.publish_losses += 1
            log.warning("what was published last may be lost: %s", error)
        if was_open or self.state == State.LEAVING:
            self.receive_losses += 1
            if self._subscriptions:
                self.events.append(Gap(reason))
        self.out.clear()
        self.failure = error
        self.state = State.WAITING if again else State.FAILED
        self._fail_requests(error, all_of_them=not again)

    def fail(self, error: errors.FifobusError) -> None:
        """The session is over, and no other is to be made."""
        self.lose(error, again=False)

    @property
    def is_ended_for_being_slow(self) -> bool:
        """Whether a session that ends without a word has most likely ended for that."""
        asked_for_it = self._hello.overflow == Overflow.DISCONNECT
        return asked_for_it and not self.goodbye_received

    def end_for_being_slow(self) -> None:
        """As the broker's own word, which this client was too slow to be told."""
        text = (
            "the broker ended the session, because this client was too slow and had "
            "asked for that"
        )
        error = errors.SessionRefused(text, control.ErrorCode.OVERFLOW)
        self.lose(error, again=False, reason=GapReason.DISCONNECTED)

    def leave(self, lost: bool) -> None:
        """The broker said Goodbye; what is not written by now never will be."""
        if lost:
            self.publish_losses += 1
        self.out.clear()
        self.state = State.LEAVING
        self.failure = errors.Disconnected("the broker is stopping")

    def close(self) -> None:
        self.state = State.CLOSED
        self.failure = errors.Closed("the client is closed")
        self._fail_requests(self.failure, all_of_them=True)
        self.events.clear()

    def _fail_requests(self, error: errors.FifobusError, all_of_them: bool) -> None:
        """What was asked of a session that is over. Subscriptions stand."""
        standing = {id(entry.request) for entry in self._subscriptions.values()}
        lost = error
        if not all_of_them:
            lost = errors.Disconnected(f"the session ended without an answer: {error}")
        asked: List[Request[Any]] = [*self._confirms.values(), *self._replies.values()]
        for request in [*self._requests.values(), *asked]:
            if all_of_them or id(request) not in standing:
                request.fail(lost)
        self._requests.clear()
        self._confirms.clear()
        self._replies.clear()

    def _new_decoder(self) -> FrameDecoder:
        number = self.sessions + 1  # its own, once it is welcome
        answer = functools.partial(self._answer, number)
        return FrameDecoder(
            self.events.append, self._on_reply, self._inbox, self._on_control, answer
        )

    @property
    def is_asked(self) -> bool:
        """Whether an answer is to come."""
        return bool(self._requests or self._confirms or self._replies)

    # Publishing

    def head_of(self, topic: str, payload_bytes: int) -> bytes:
        """The frame of a message without metadata, up to its payload.

        Raises InvalidName and MessageTooLarge.
        """
        head = self._heads.get((topic, payload_bytes))
        if head is None:
            head = self.head_with(topic, Metadata(), payload_bytes)
            if len(self._heads) >= _HEADS_MAX:
                self._heads.clear()
            self._heads[(topic, payload_bytes)] = head
        return head

    def head_with(self, topic: str, metadata: Metadata, payload_bytes: int) -> bytes:
        """As head_of, with metadata."""
        topics.check_publishable(topic)
        if metadata.reply_topic:
            topics.check_publishable(metadata.reply_topic)
        head = frames.frame_head(topic, metadata, payload_bytes)
        body = len(head) + payload_bytes - control.FRAME_PREFIX_BYTES
        if body > self.welcome.frame_bytes_max:
            raise errors.MessageTooLarge(
                f"the message makes a frame of {body} bytes and this bus takes "
                f"{self.welcome.frame_bytes_max}; put it into a file and publish the "
                "file's name"
            )
        return head

    def expect_confirm(self) -> Tuple[int, Request[Confirmation]]:
        """The id that a message is to carry, and its Confirm to come."""
        self._last_id += 1
        request: Request[Confirmation] = Request()
        self._confirms[self._last_id] = request
        return self._last_id, request

    def expect_reply(self) -> Tuple[str, Request[Message]]:
        """The reply topic that a request is to carry, and its reply to come."""
        self._last_id += 1
        topic = f"{self._inbox}/{self._last_id}"
        request: Request[Message] = Request()
        self._replies[topic] = request
        return topic, request

    def forget(self, confirm_id: int, reply_topic: str = "") -> None:
        """Nobody waits for these any more."""
        self._confirms.pop(confirm_id, None)
        self._replies.pop(reply_topic, None)

    # Requests. Each stands in `out` when it returns, if there is a session.

    def subscribe(self, pattern: str, options: SubscribeOptions) -> Request[None]:
        """Raises InvalidName."""
        topics.check_pattern(pattern)
        topics.check_group(options.group)
        if options.acks is not None and not options.group:
            raise errors.InvalidName("only the members of a group acknowledge")
        key = (pattern, options.group)
        entry = self._subscriptions.get(key)
        if entry is None:
            entry = self._subscriptions[key] = Subscription(pattern, options)
            self._send_subscribe(entry)
        return entry.request

    def subscribe_to_replies(self) -> Request[None]:
        """The one subscription that all replies to this client come by."""
        return self.subscribe(f"{self._inbox}/*", SubscribeOptions(skip_retained=True))

    def forget_refused(self, pattern: str, group: str) -> None:
        """A subscription that the broker refused is not to be made anew."""
        self._subscriptions.pop((pattern, group), None)

    def unsubscribe(self, pattern: str, group: str = "") -> Request[None]:
        """Raises InvalidName if it is not subscribed to."""
        if self._subscriptions.pop((pattern, group), None) is None:
            raise errors.InvalidName(f'not subscribed to "{pattern}"')
        if self.state != State.OPEN:  # the next session will not have it
            request: Request[None] = Request()
            request.succeed(None)
            return request
        return self._ask(lambda i: control.Unsubscribe(i, pattern, group))

    def ping(self) -> Request[control.Pong]:
        return self._ask(control.Ping)

    def stats(self, topic: str = "") -> Request[control.StatsReply]:
        return self._ask(lambda request_id: control.Stats(request_id, topic))

    def say_goodbye(self) -> None:
        if self.state == State.OPEN:
            self.out += control.frame_of(control.Goodbye("the client leaves"))

    def _ask(self, frame_of_id: Callable[[int], Any]) -> Request[Any]:
        request: Request[Any] = Request()
        if self.state != State.OPEN:
            request.fail(errors.Disconnected(str(self.failure)))
            return request
        self._last_id += 1
        self._requests[self._last_id] = request
        self.out += control.frame_of(frame_of_id(self._last_id))
        return request

    def _send_subscribe(self, entry: Subscription) -> None:
        if self.state == State.FAILED:
            entry.request.fail(self.failure)
        elif self.state == State.OPEN:
            self._last_id += 1
            self._requests[self._last_id] = entry.request
            frame = entry.options.frame(entry.pattern, self._last_id)
            self.out += control.frame_of(frame)

    def _answer(self, session: int, ack_id: int, verdict: Verdict) -> None:
        # After the end of its session the message belongs to another delivery.
        if self.state == State.OPEN and session == self.sessions:
            self.out += control.frame_of(control.Ack([ack_id], int(verdict)))
            self.flush()

    # What the broker says

    def _on_reply(self, message: Message) -> None:
        request = self._replies.pop(message.topic, None)
        if request is not None:  # somebody still waits for it
            request.succeed(message)

    def _on_control(self, frame: Any) -> None:
        if self.state == State.GREETING:
            self._on_first_frame(frame)
        elif isinstance(frame, (control.Subscribed, control.Unsubscribed)):
            self._succeed(frame.request_id, None)
        elif isinstance(frame, control.GapFrame):
            self.events.append(_gap_of(frame))
        elif isinstance(frame, control.Confirm):
            self._on_confirm(frame)
        elif isinstance(frame, control.Pong):
            self._succeed(frame.token, frame)
        elif isinstance(frame, control.StatsReply):
            self._succeed(frame.request_id, frame)
        elif isinstance(frame, control.Error):
            self._on_error(frame)
        elif isinstance(frame, control.Goodbye):
            self.goodbye_received = True

    def _on_first_frame(self, frame: Any) -> None:
        if isinstance(frame, control.Welcome):
            self.welcome = frame
            self.sessions += 1
            self.state = State.OPEN
            self.turned_away = False
            self._heads.clear()  # the next broker may take less
            for entry in self._subscriptions.values():
                self._send_subscribe(entry)
        elif isinstance(frame, control.Error):
            error = errors.SessionRefused(
                f"the broker refused the session: {frame.text}", frame.code
            )
            # A limit may be gone at the next try; anything else will not.
            self.turned_away = frame.code == control.ErrorCode.LIMIT
            self.lose(error, again=self.turned_away)
        else:
            self.fail(errors.ProtocolError("the broker did not answer with Welcome"))

    def _on_confirm(self, frame: control.Confirm) -> None:
        request = self._confirms.pop(frame.confirm_id, None)
        if request is not None:
            level = Level(frame.level) if frame.level in _LEVELS else Level.UNSPECIFIED
            request.succeed(
                Confirmation(level, frame.sessions, frame.taps, frame.retained)
            )

    def _on_error(self, frame: control.Error) -> None:
        text = f"the broker refused: {frame.text}"
        if frame.request_id == 0:
            self.fail(errors.SessionRefused(text, frame.code))
            return
        request = self._requests.pop(frame.request_id, None)
        if request is None:
            return
        if request.done:  # a subscription that was there with the last broker
            log.warning("it is not subscribed to any more: %s", text)
        request.fail(errors.Refused(text, frame.code))

    def _succeed(self, request_id: int, answer: Any) -> None:
        request = self._requests.pop(request_id, None)
        if request is not None:
            request.succeed(answer)


_LEVELS = {int(level) for level in Level}
_REASONS = {int(reason) for reason in GapReason}


def _gap_of(frame: control.GapFrame) -> Gap:
    known = frame.reason in _REASONS
    reason = GapReason(frame.reason) if known else GapReason.UNSPECIFIED
    return Gap(
        reason, frame.messages, {loss.topic: loss.messages for loss in frame.losses}
    )


def will_member(will: Will) -> bytes:
    """The Message in a Hello. Raises InvalidName."""
    topics.check_publishable(will.topic)
    metadata = Metadata()
    metadata.retain = will.retain
    metadata.content_type = will.content_type
    metadata.headers = header_pairs_of(will.headers)
    payload = frames.payload_bytes(will.payload)
    return frames.member_head(will.topic, metadata, len(payload)) + payload
