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
from fifobus.protocol import control
from fifobus.protocol.control import Level
from fifobus.protocol.message import AckOptions, Confirmation, Message

Answer = TypeVar("Answer")

_LEVELS = {int(level) for level in Level}


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
            level = Level(frame.level) if frame.level in _LEVELS else Level.UNSPECIFIED
            request.succeed(
                Confirmation(level, frame.sessions, frame.taps, frame.retained)
            )
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

    def fail_all(
        self, error: errors.FifobusError, standing: AbstractSet[int] = frozenset()
    ) -> None:
        """But for requests with these identities, which the next session answers."""
        asked: List[Request[Any]] = [*self._confirms.values(), *self._replies.values()]
        for request in [*self._requests.values(), *asked]:
            if id(request) not in standing:
                request.fail(error)
        self._requests.clear()
        self._confirms.clear()
        self._replies.clear()


@dataclass
class SubscribeOptions:
    """How one pattern is subscribed to."""

    # Do not begin with the retained values of matching topics.
    skip_retained: bool = False
    # Share the pattern's messages with the others of this group: each goes to one.
    group: str = ""
    # Of a group only: messages are to be answered by ack() or retry().
    acks: Optional[AckOptions] = None

    def frame(self, pattern: str, request_id: int) -> control.Subscribe:
        acks = None
        if self.acks is not None:
            millis = round(self.acks.timeout * 1000)
            acks = control.Acks(self.acks.unacked_max, millis, self.acks.deliveries_max)
        return control.Subscribe(
            request_id, pattern, self.skip_retained, self.group, acks
        )


class Subscription:
    """One that stands, and its answer from the session that is."""

    def __init__(self, pattern: str, options: SubscribeOptions) -> None:
        self.pattern = pattern
        self.options = options
        self.asked_in = 0  # the number of the session that has been asked for it
        self.request: Request[None] = Request()
