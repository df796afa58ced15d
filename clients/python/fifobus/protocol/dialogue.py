"""A client's side of the protocol: its questions, and what follows from the answers.

Client and AsyncClient share it. Bytes go in at `take`, bytes to be written gather in
`out`, and received messages and gaps wait in `events`. It outlives sessions:
subscriptions are made anew, unanswered requests fail, and losses become gaps.
"""

from __future__ import annotations

import enum
import functools
import os
from typing import Any, Callable, Dict, List, Optional, Tuple

from fifobus import errors
from fifobus.protocol import control, topics
from fifobus.protocol.control import GapReason, Overflow, Verdict
from fifobus.protocol.decoder import Event, FrameDecoder
from fifobus.protocol.message import Gap, Message, Restarted, Will
from fifobus.protocol.message_heads import will_member
from fifobus.protocol.publishing import Publishing
from fifobus.protocol.readers import Readers
from fifobus.protocol.received import Received, is_expired
from fifobus.protocol.request import (
    Request,
    Requests,
    SubscribeOptions,
    Subscription,
    refusal_of,
)


class State(enum.Enum):
    WAITING = "waiting"  # for a broker, or for the time to look for one again
    GREETING = "greeting"  # Hello is said, Welcome is to come
    OPEN = "open"
    LEAVING = "leaving"  # nothing more is written, what came before the end is read
    FAILED = "failed"  # for good: refused, or lost and not to be made again
    CLOSED = "closed"  # by this side


SubscriptionKey = Tuple[str, str]  # pattern, group


class Dialogue:
    """The protocol's state of one client. Does no I/O. Thread-compatible."""

    def __init__(
        self,
        name: str,
        overflow: Overflow,
        queue_bytes_max: int,
        queue_messages_max: int,
        will: Optional[Will],
        publisher: str = "",
        resend_bytes_max: int = 0,
    ) -> None:
        self.publishing = Publishing(publisher, resend_bytes_max)
        self.publisher = self.publishing.publisher
        self.heads = self.publishing.heads
        self.head = self.publishing.head
        self.out = self.publishing.out
        self.readers = Readers()
        self.received = Received(self.readers, self._tell_positions)
        self.events = self.received.events
        self._hello = control.Hello(
            protocol_version=control.PROTOCOL_VERSION,
            client_name=name,
            overflow=int(overflow),
            queue_bytes_max=queue_bytes_max,
            queue_messages_max=queue_messages_max,
            will=b"" if will is None else will_member(will),
            publisher=publisher,
        )
        self.state = State.WAITING
        self.failure: errors.FifobusError = errors.NoBroker("not connected yet")
        # The client's: writes an answer to a group, which does not wait for its next
        # call.
        self.send_answer: Callable[[bytes], None] = self.out.append
        # Sessions that were opened, and those in which messages may have been missed.
        self.sessions = 0
        self.receive_losses = 0
        # Whether a limit turned it away, so that it is worth another try.
        self.turned_away = False
        # The broker's last words. The Connection is to draw the consequences.
        self.goodbye_received = False
        self.verdict: Optional[errors.FifobusError] = None
        self._told_of_disconnection = False
        self._subscriptions: Dict[SubscriptionKey, Subscription] = {}
        self._left_patterns: List[str] = []  # at the end, of groups without acks
        self._inbox = f"_inbox/{os.urandom(16).hex()}"
        self.requests = Requests(self._inbox)
        self.decoder = self._new_decoder()

    # Sessions

    def hello(self) -> bytes:
        """Begins a session: what is to be written first."""
        self.decoder = self._new_decoder()
        self._hello.resent_messages = self.publishing.begin()
        self.goodbye_received = False
        self.verdict = None
        self._told_of_disconnection = False
        self._hello.pid = os.getpid()
        self.state = State.GREETING
        return control.frame_of(self._hello)

    def _new_decoder(self) -> FrameDecoder:
        number = self.sessions + 1  # its own, once it is welcome
        answer = functools.partial(self._answer, number)
        return FrameDecoder(self._inbox, answer, self.readers.caught_up, number)

    def lose(
        self,
        error: errors.FifobusError,
        again: bool,
        reason: GapReason = GapReason.RECONNECTED,
        unread: int = 0,
        reads_on: bool = False,
    ) -> None:
        """The session is over. `again`: another is to be made. `reason`: of the gap
        that is told if messages may have been missed. The rest as Publishing.end."""
        was_open = self.state == State.OPEN
        if was_open:
            self.publishing.end(error, unread, reads_on)
        if not again:
            self.publishing.give_up(error)
        if was_open or self.state == State.LEAVING:
            self.receive_losses += 1
            self.readers.on_loss(self.events)
            # Without a next session there is nothing that could be missing before it.
            untold = again or reason is GapReason.DISCONNECTED
            if untold and self._misses_messages() and not self._told_of_disconnection:
                self.events.append(Gap(reason))
            elif again and self._subscribes() and not self._misses_messages():
                self.events.append(Restarted())
        self.failure = error
        self._fail_requests(error, all_of_them=not again)
        self.state = State.WAITING if again else State.FAILED

    def _misses_messages(self) -> bool:
        """What logs have the next session brings."""
        return self._subscribes(beside_logs=True)

    def _subscribes(self, beside_logs: bool = False) -> bool:
        """Whether something is subscribed to beside the replies to this client."""
        return any(
            not entry.pattern.startswith(self._inbox)
            and not (beside_logs and entry.options.reads_log)
            for entry in self._subscriptions.values()
        )

    @property
    def is_ended_for_being_slow(self) -> bool:
        """Whether a session that ends without a word has most likely ended for that."""
        asked_for_it = self._hello.overflow == Overflow.DISCONNECT
        return asked_for_it and not self.goodbye_received

    def end_for_being_slow(self, unread: int) -> None:
        """As the broker's own word, which this client was too slow to be told."""
        text = (
            "the broker ended the session, because this client was too slow and had "
            "asked for that"
        )
        error = errors.SessionRefused(text, control.ErrorCode.OVERFLOW)
        self.lose(error, False, GapReason.DISCONNECTED, unread)

    def leave(self, error: errors.FifobusError, unread: int, reads_on: bool) -> None:
        """Nothing more is written. The rest as Publishing.end."""
        self.publishing.end(error, unread, reads_on)
        self.failure = error
        self.state = State.LEAVING

    def close(self) -> None:
        self.state = State.CLOSED
        self.failure = errors.Closed("the client is closed")
        self._fail_requests(self.failure, all_of_them=True)
        self.events.clear()

    def forget(self, error: errors.FifobusError) -> None:
        """Closed, since it is another process's. Says nothing to anybody."""
        self.state = State.CLOSED
        self.failure = error
        self.publishing.forget()
        self.events.clear()

    def _fail_requests(self, error: errors.FifobusError, all_of_them: bool) -> None:
        """What was asked of a session that is over. Subscriptions stand."""
        if all_of_them:
            self.requests.fail_all(error)
            for entry in self._subscriptions.values():
                if not entry.request.done:
                    entry.request.fail(error)
            return
        standing = {id(entry.request) for entry in self._subscriptions.values()}
        lost = errors.Disconnected(f"the session ended without an answer: {error}")
        self.requests.fail_all(
            lost,
            standing,
            self.publishing.confirmed_later,
            self.publishing.taken_back.reply_topics,
        )

    @property
    def trouble(self) -> str:
        """Why there is no session now, as the end of a sentence; empty: there is."""
        return "" if self.state is State.OPEN else f": {self.failure}"

    # Requests. Each stands in `out` when it returns, if there is a session.

    def subscribe(self, pattern: str, options: SubscribeOptions) -> Request[None]:
        """Raises InvalidName."""
        topics.check_pattern(pattern)
        options.check()
        key = (pattern, options.group)
        entry = self._subscriptions.get(key)
        if entry is None:
            entry = Subscription(pattern, options)
            if options.reads_log and not options.group:
                self.readers.check(pattern)
                self.readers.add(entry)
            self._subscriptions[key] = entry
        elif entry.options != options and (
            options.reads_log or entry.options.reads_log
        ):
            raise errors.InvalidName(
                f'"{pattern}" is subscribed to in another way; unsubscribe first'
            )
        if not pattern.startswith(self._inbox):
            self.readers.read_out = False
        self._send_subscribe(entry)
        return entry.request

    def subscribe_to_replies(self) -> Request[None]:
        """The one subscription that all replies to this client come by."""
        return self.subscribe(f"{self._inbox}/*", SubscribeOptions(skip_retained=True))

    def unsubscribe(self, pattern: str, group: str = "") -> Request[None]:
        """Raises InvalidName if it is not subscribed to."""
        entry = self._subscriptions.get((pattern, group))
        if entry is None:
            raise errors.InvalidName(f'not subscribed to "{pattern}"')
        self.append_positions()
        entry.asked_in = 0
        if self.state == State.OPEN:
            request = self._ask(lambda i: control.Unsubscribe(i, pattern, group))
        else:  # the next session will not have it
            request = Request()
            request.succeed(None)
        self._forget((pattern, group))
        return request

    def _forget(self, key: SubscriptionKey) -> None:
        entry = self._subscriptions.pop(key, None)
        if entry is not None:
            self.readers.remove(entry)

    def append_positions(self) -> bool:
        """Puts into `out` how far durable readers are; False: nothing new."""
        acks = self.readers.positions() if self.state == State.OPEN else []
        for ack in acks:
            self.out.append(control.frame_of(ack))
        return bool(acks)

    def done(self, message: Message) -> None:
        """The program has done it, and of a durable reader all before it."""
        if message.ack_id:
            message.ack()
        elif message.offset:
            self.readers.done(message)
            self._tell_positions(at_once=not self.events)

    def _tell_positions(self, at_once: bool = False) -> None:
        """A program that has much to receive tells them now and then."""
        is_time = at_once or self.readers.is_time_to_tell
        if self.state == State.OPEN and is_time:
            for ack in self.readers.positions():
                self.send_answer(control.frame_of(ack))

    def ping(self, level: int = 0) -> Request[control.Pong]:
        return self._ask(lambda token: control.Ping(token, level))

    def stats(self, topic: str = "") -> Request[control.StatsReply]:
        return self._ask(lambda request_id: control.Stats(request_id, topic))

    def leave_groups(self) -> List[Request[None]]:
        """Ends its part in groups without acks, which then deal nothing more to it."""
        keys = [key for key, entry in self._subscriptions.items() if _is_shared(entry)]
        self._left_patterns = [pattern for pattern, _ in keys]
        return [self.unsubscribe(*key) for key in keys]

    def say_goodbye(self) -> None:
        """What the groups that it has left have sent it, and the program did not take,
        nobody else gets."""
        self.append_positions()
        own = [entry.pattern for entry in self._subscriptions.values()]
        taken_along = self.received.count_only_of(self._left_patterns, own)
        if self.state == State.OPEN:
            goodbye = control.Goodbye("the client leaves", taken_along)
            self.out.append(control.frame_of(goodbye))

    def _ask(self, frame_of_id: Callable[[int], Any]) -> Request[Any]:
        request: Request[Any] = Request()
        if self.state != State.OPEN:
            request.fail(errors.Disconnected(str(self.failure)))
        else:
            request_id = self.requests.ask(request)
            self.out.append(control.frame_of(frame_of_id(request_id)))
        return request

    def _send_subscribe(self, entry: Subscription) -> None:
        if self.state == State.FAILED:
            entry.request.fail(self.failure)
        elif self.state == State.OPEN and entry.asked_in != self.sessions:
            self._append_subscribe(entry)

    def _append_subscribe(self, entry: Subscription) -> None:
        if entry.request.done:
            entry.request = Request()
        entry.request_id = self.requests.ask(entry.request)
        frame = entry.options.frame(
            entry.pattern, entry.request_id, entry.resume_offset
        )
        self.out.append(control.frame_of(frame))
        self.readers.ask(entry)
        entry.asked_in = self.sessions

    def _answer(self, session: int, ack_id: int, verdict: Verdict) -> None:
        # After the end of its session the message belongs to another delivery.
        if self.state == State.OPEN and session == self.sessions:
            self.send_answer(control.frame_of(control.Ack([ack_id], int(verdict))))

    # What the broker says

    def take(self) -> bool:
        """Takes what was read, also if an earlier call was interrupted before that;
        False: nothing was. The Connection is to look at the last words and the state.
        """
        decoded = self.decoder.decode()
        if decoded is None:
            return False
        if decoded.events:
            if self.state is State.GREETING and not decoded.others:
                self.verdict = errors.ProtocolError("the broker did not say Welcome")
            last = decoded.events[-1]
            if isinstance(last, Gap) and last.reason is GapReason.DISCONNECTED:
                self._told_of_disconnection = True
            self.received.move(decoded)
        while decoded.others:
            self._on_other(decoded.others[0])
            decoded.others.popleft()
        if decoded.fault is not None and self.verdict is None:
            text = f"the broker sent a bad frame: {decoded.fault}"
            self.verdict = errors.ProtocolError(text)
        self.decoder.taken()
        return True

    def _on_other(self, frame: Any) -> None:
        if self.state == State.GREETING:
            self._on_first_frame(frame)
        elif isinstance(frame, Message):
            self._on_reply(frame)
        elif isinstance(frame, (control.Subscribed, control.Unsubscribed)):
            if isinstance(frame, control.Subscribed):
                self.readers.on_subscribed(frame)
            self.requests.succeed(frame.request_id, None)
        elif isinstance(frame, control.CaughtUpFrame):
            ended = self.readers.on_caught_up(frame)
            if ended is not None:
                self._forget((ended.pattern, ended.options.group))
                self.readers.read_out = not self._subscribes()
        elif isinstance(frame, control.Confirm):
            self.publisher.forget(frame.confirm_id)
            self.requests.on_confirm(frame)
        elif isinstance(frame, control.Pong):
            self.requests.succeed(frame.token, frame)
        elif isinstance(frame, control.StatsReply):
            self.requests.succeed(frame.request_id, frame)
        elif isinstance(frame, control.Error):
            self._on_error(frame)
        elif isinstance(frame, control.Goodbye):
            self.goodbye_received = True

    def _on_first_frame(self, frame: Any) -> None:
        if isinstance(frame, control.Welcome):
            self._on_welcome(frame)
        elif isinstance(frame, control.Error):
            error = errors.SessionRefused(
                f"the broker refused the session: {frame.text}", frame.code
            )
            # A limit may be gone at the next try; anything else will not.
            self.turned_away = frame.code == control.ErrorCode.LIMIT
            self.lose(error, again=self.turned_away)
        else:
            self.verdict = errors.ProtocolError("the broker did not say Welcome")

    def _on_welcome(self, frame: control.Welcome) -> None:
        """Can be repeated: the session is open when all that it begins with is there,
        which is what an earlier one has left, and by then is not told twice."""
        self.out.begin()
        self.heads.limit(frame.frame_bytes_max)
        self.sessions += 1
        self.turned_away = False
        self.publisher.on_welcome(frame.publisher_marks)
        # The replies to requests that are sent again come by a subscription.
        for entry in self._subscriptions.values():
            self._append_subscribe(entry)
        self.publishing.append_again()
        self.state = State.OPEN
        self.publishing.on_begun()

    def _on_reply(self, message: Message) -> None:
        if is_expired(message):
            self.received.expired_messages += 1
        else:
            self.requests.on_reply(message)

    def _on_error(self, frame: control.Error) -> None:
        error = refusal_of(frame)
        if isinstance(error, errors.SessionRefused):
            self.verdict = error
        else:
            self.requests.refuse(
                frame.request_id, lambda request: self._refuse(request, error)
            )

    def _refuse(self, request: Request[Any], error: errors.Refused) -> None:
        """A refused subscription is not made anew, and if no call waits for it, because
        it was made in an earlier session, the program is told where it receives."""
        for key, entry in self._subscriptions.items():
            if entry.request is request:
                if not request.awaited:
                    text = f'not subscribed to "{entry.pattern}" any more: {error}'
                    self.events.append(type(error)(text, error.code))
                self._forget(key)
                break
        request.fail(error)


def _is_shared(entry: Subscription) -> bool:
    """Whether a message is lost that its member does not work on."""
    return bool(entry.options.group) and entry.options.acks is None
