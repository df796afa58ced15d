"""A client's questions, whose answers are to come, and its subscriptions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import (
    AbstractSet,
    Any,
    Callable,
    Dict,
    Generic,
    List,
    Optional,
    Tuple,
    TypeVar,
)

from fifobus import errors
from fifobus.protocol import control, topics
from fifobus.protocol.control import ErrorCode, Failure, Level
from fifobus.protocol.message import AckOptions, Confirmation, Message
from fifobus.protocol.start import Start

Answer = TypeVar("Answer")

_LEVELS = {int(level) for level in Level}
_FAILURES = {int(failure) for failure in Failure}


class Request(Generic[Answer]):
    """A question that was asked, and its answer or failure once it is there."""

    __slots__ = ("done", "awaited", "_answer", "_error")

    def __init__(self) -> None:
        self.done = False
        self.awaited = 0  # calls that wait for it now
        self._answer: Optional[Answer] = None
        self._error: Optional[errors.FifobusError] = None

    def succeed(self, answer: Answer) -> None:
        self._answer = answer
        self.done = True

    def fail(self, error: errors.FifobusError) -> None:
        self._error = error
        self.done = True

    def answer(self) -> Answer:
        """REQUIRES: done. Raises what it failed with."""
        if self._error is not None:
            raise self._error
        return self._answer  # type: ignore[return-value]


class Requests:
    """What was asked and is not answered yet, by the ids that the answers name.

    Ids are not used again in a later session. Each method can be repeated: an exception
    from a signal handler in its midst loses nothing. Thread-compatible.
    """

    def __init__(self, inbox: str) -> None:
        self._inbox = inbox
        self._last_id = 0
        self._requests: Dict[int, Request[Any]] = {}
        self._confirms: Dict[int, Request[Confirmation]] = {}
        self._replies: Dict[str, Request[Message]] = {}

    def __bool__(self) -> bool:
        return bool(self._requests or self._confirms or self._replies)

    def ask(self, request: Request[Any]) -> int:
        """The id that the question is to carry."""
        self._last_id += 1
        self._requests[self._last_id] = request
        return self._last_id

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

    def succeed(self, request_id: int, answer: Any) -> None:
        request = self._requests.get(request_id)
        if request is not None:
            request.succeed(answer)
            self._requests.pop(request_id, None)

    def on_confirm(self, frame: control.Confirm) -> None:
        request = self._confirms.get(frame.confirm_id)
        if request is not None:
            request.succeed(_confirmation_of(frame))
            self._confirms.pop(frame.confirm_id, None)

    def on_reply(self, message: Message) -> None:
        request = self._replies.get(message.topic)
        if request is not None:  # it is still waited for
            request.succeed(message)
            self._replies.pop(message.topic, None)

    def refuse(
        self, request_id: int, on_refused: Callable[[Request[Any]], None]
    ) -> None:
        request = self._requests.get(request_id)
        if request is not None:
            on_refused(request)
            self._requests.pop(request_id, None)

    @property
    def unconfirmed(self) -> int:
        """How many messages are published and their confirmation is to come."""
        return len(self._confirms)

    def fail_all(
        self,
        error: errors.FifobusError,
        standing: AbstractSet[int] = frozenset(),
        confirmed_later: AbstractSet[int] = frozenset(),
        replied_later: AbstractSet[str] = frozenset(),
    ) -> None:
        """But for requests with these identities, and for confirmations with these ids
        and replies on these topics, which the next session brings."""
        kept = {i: self._confirms[i] for i in confirmed_later & self._confirms.keys()}
        replies = {t: self._replies[t] for t in replied_later & self._replies.keys()}
        asked: List[Request[Any]] = [*self._confirms.values(), *self._replies.values()]
        later: List[Request[Any]] = [*kept.values(), *replies.values()]
        stand = standing | set(map(id, later))
        for request in [*self._requests.values(), *asked]:
            if id(request) not in stand:
                request.fail(error)
        self._requests.clear()
        self._confirms = kept
        self._replies = replies


def _confirmation_of(frame: control.Confirm) -> Confirmation:
    return Confirmation(
        Level(frame.level) if frame.level in _LEVELS else Level.UNSPECIFIED,
        frame.sessions,
        frame.taps,
        frame.retained,
        frame.offset,
        frame.duplicate,
        Failure(frame.failure) if frame.failure in _FAILURES else Failure.NONE,
    )


_OF_FAILURE = {
    Failure.NO_LOG: (
        errors.NoLog,
        "no log stores its topic; `fifobus log ls` shows the logs",
        ErrorCode.NO_LOG,
    ),
    Failure.LOG_FAILED: (
        errors.LogFailed,
        "its log has failed; the broker's messages say why",
        ErrorCode.LOG_FAILED,
    ),
    Failure.TOO_MANY_PUBLISHERS: (
        errors.TooManyPublishers,
        "its log remembers no more names of publishers; use a known one, or a log that "
        "has room",
        ErrorCode.LIMIT,
    ),
}


_OF_NONE = (
    errors.NoLog,
    "it had expired when it came, or the broker is older than this client and keeps no "
    "logs",
    ErrorCode.NO_LOG,
)


def check_reached(
    level: int, failure: int, wanted: Level, what: str = "the message"
) -> None:
    """Raises NoLog, LogFailed or TooManyPublishers if a level is lower than wanted."""
    if level >= wanted:
        return
    known = Failure(failure) if failure in _FAILURES else Failure.NONE
    kind, text, code = _OF_FAILURE.get(known, _OF_NONE)
    raise kind(f"{what} was taken and is not {wanted.name.lower()}: {text}", code)


_OF_CODE = {
    int(ErrorCode.NO_LOG): errors.NoLog,
    int(ErrorCode.LOG_FAILED): errors.LogFailed,
    int(ErrorCode.BAD_START): errors.BadStart,
    int(ErrorCode.BAD_DURABLE): errors.BadDurable,
}


def refusal_of(frame: control.Error) -> errors.Refused:
    """The exception for what the broker refuses: a request, or the whole session."""
    text = f"the broker refused: {frame.text}"
    if frame.request_id:
        return _OF_CODE.get(frame.code, errors.Refused)(text, frame.code)
    fenced = frame.code == ErrorCode.FENCED
    return (errors.Fenced if fenced else errors.SessionRefused)(text, frame.code)


@dataclass
class SubscribeOptions:
    """How one pattern is subscribed to."""

    # Do not begin with the retained values of matching topics.
    skip_retained: bool = False
    # Share the pattern's messages with the others of this group: each goes to one.
    group: str = ""
    # Of a group only: messages are to be answered by ack() or retry().
    acks: Optional[AckOptions] = None
    # Read a log from here on, ...
    start: Optional[Start] = None
    # ... as the durable reader of this name, ...
    durable: str = ""
    # ... and end where it was at its end.
    until_now: bool = False
    # Of a durable reader without a group: a message is done when the next is asked for.
    auto_ack: bool = True

    @property
    def reads_log(self) -> bool:
        return self.start is not None or bool(self.durable)

    def check(self) -> None:
        """Raises InvalidName if they do not go together."""
        topics.check_group(self.group)
        if self.acks is not None and not self.group:
            raise errors.InvalidName("only the members of a group acknowledge")
        if self.durable:
            topics.check_level("durable reader's name", self.durable)
        if self.durable and self.group and self.acks is None:
            raise errors.InvalidName("the members of a durable group acknowledge: acks")
        if self.start is not None and self.group and not self.durable:
            raise errors.InvalidName("a group reads a log as a durable reader: durable")
        if self.until_now and (self.start is None or self.durable):
            raise errors.InvalidName("until_now goes with a start and without durable")

    def frame(
        self, pattern: str, request_id: int, resume_offset: int
    ) -> control.Subscribe:
        """`resume_offset`: where reading goes on; 0: it begins."""
        start = None if self.start is None else self.start.frame
        if resume_offset and not self.durable:
            start = control.StartFrame(offset=resume_offset)
        acks = None
        if self.acks is not None:
            millis = round(self.acks.timeout * 1000)
            acks = control.Acks(self.acks.unacked_max, millis, self.acks.deliveries_max)
        return control.Subscribe(
            request_id,
            pattern,
            self.skip_retained,
            self.group,
            acks,
            start,
            self.durable,
            self.until_now,
        )


class Subscription:
    """One that stands, and its answer from the session that is."""

    def __init__(self, pattern: str, options: SubscribeOptions) -> None:
        self.pattern = pattern
        self.options = options
        self.asked_in = 0  # the number of the session that has been asked for it
        self.request_id = 0  # in that session
        self.request: Request[None] = Request()
        # Of one that reads a log, alone. 0: not known.
        self.log = ""
        self.next_offset = 0  # behind what the program was given
        self.resume_offset = 0  # behind what was read in the sessions before
        self.done_offset = 0  # this one and all below are done, in this session
        self.told_offset = 0  # and the broker knows
        self.caught_up = False
