"""A client's requests, whose answers are to come, and its subscriptions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, Optional, TypeVar

from fifobus import errors
from fifobus.protocol import control
from fifobus.protocol.message import AckOptions

Answer = TypeVar("Answer")


class Request(Generic[Answer]):
    """A question that was asked, and its answer or failure once it is there."""

    __slots__ = ("done", "_answer", "_error")

    def __init__(self) -> None:
        self.done = False
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
        self.request: Request[None] = Request()
