"""The control frames, field by field as in proto/frame.proto.

Their meaning, and when each is sent, is in proto/FRAMING.md and proto/PROTOCOL.md.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any, Dict, List, Optional, Type

from fifobus.protocol import wire

PROTOCOL_VERSION = 1
FRAME_PREFIX_BYTES = 4
FRAME_BYTES_MAX_DEFAULT = 16 << 20
MESSAGE = 1  # the number of Frame.message; messages have a module of their own


class Overflow(enum.IntEnum):
    """What becomes of a stalled subscriber's messages when its queue is full."""

    UNSPECIFIED = 0  # drop the oldest
    DROP_OLDEST = 1
    DROP_NEWEST = 2
    LATEST = 3  # of each topic the newest is kept
    DISCONNECT = 4  # the session is ended
    BLOCK = 5  # its publishers wait as long as it takes


class GapReason(enum.IntEnum):
    """Why messages were lost."""

    UNSPECIFIED = 0
    OVERFLOW = 1
    RECONNECTED = 2  # the broker died or was restarted; made by the client
    CONFLATED = 3
    EXPIRED = 4
    DISCONNECTED = 5
    TRIMMED = 6  # the log did not keep them until they were read
    DAMAGED = 7  # the disk has damaged what the log has of them


class Level(enum.IntEnum):
    """How far a message has come when it is confirmed."""

    UNSPECIFIED = 0
    ACCEPTED = 1  # in each subscriber's pipe or queue
    WRITTEN = 2  # and in its log's file: survives the broker
    STORED = 3  # and on disk: survives the machine


class Failure(enum.IntEnum):
    """Why a level above ACCEPTED was not reached."""

    NONE = 0
    NO_LOG = 1
    LOG_FAILED = 2
    TOO_MANY_PUBLISHERS = 3  # the log remembers no more names


class Verdict(enum.IntEnum):
    """How a group's member answers a message."""

    DONE = 0
    RETRY = 1
    EXTEND = 2  # the timeout begins anew


class ErrorCode(enum.IntEnum):
    """Why a broker refuses."""

    UNSPECIFIED = 0
    BAD_FRAME = 1
    FRAME_TOO_LARGE = 2
    BAD_TOPIC = 3
    BAD_PATTERN = 4
    UNEXPECTED_FRAME = 5
    UNSUPPORTED_VERSION = 6
    LIMIT = 7
    OVERFLOW = 8
    BAD_GROUP = 9
    BAD_OVERFLOW = 10
    DENIED = 11
    NO_LOG = 12
    BAD_START = 13
    BAD_DURABLE = 14
    FENCED = 15
    LOG_FAILED = 16


@dataclass
class Hello:
    protocol_version: int = wire.uint(1)
    client_name: str = wire.text(2)
    pid: int = wire.uint(3)
    overflow: int = wire.uint(4)
    queue_bytes_max: int = wire.uint(5)
    queue_messages_max: int = wire.uint(6)
    will: bytes = wire.raw(7)  # a Message
    publisher: str = wire.text(8)
    resent_messages: int = wire.uint(9)


@dataclass
class PublisherMark:
    """Where a publisher stands in a log."""

    log: str = wire.text(1)
    last_sequence: int = wire.uint(2)
    last_offset: int = wire.uint(3)  # that of this message


@dataclass
class Welcome:
    protocol_version: int = wire.uint(1)
    frame_bytes_max: int = wire.uint(2)
    broker_version: str = wire.text(3)
    broker_pid: int = wire.uint(4)
    session_number: int = wire.uint(5)
    queue_bytes_max: int = wire.uint(6)
    queue_messages_max: int = wire.uint(7)
    publisher_marks: List[PublisherMark] = wire.repeated(8, PublisherMark)


@dataclass
class StartFrame:
    """At most one of them is not None."""

    first: Optional[bool] = wire.choice(1, "flag")
    offset: Optional[int] = wire.choice(2, "uint")
    last: Optional[int] = wire.choice(3, "uint")
    time_unix_nanos: Optional[int] = wire.choice(4, "uint")
    next: Optional[bool] = wire.choice(5, "flag")


@dataclass
class Acks:
    unacked_max: int = wire.uint(1)
    timeout_millis: int = wire.uint(2)
    deliveries_max: int = wire.uint(3)


@dataclass
class Subscribe:
    request_id: int = wire.uint(1)
    pattern: str = wire.text(2)
    skip_retained: bool = wire.flag(3)
    group: str = wire.text(4)
    acks: Optional[Acks] = wire.member(5, Acks)
    start: Optional[StartFrame] = wire.member(6, StartFrame)
    durable: str = wire.text(7)
    until_now: bool = wire.flag(8)


@dataclass
class Subscribed:
    request_id: int = wire.uint(1)
    log: str = wire.text(2)
    next_offset: int = wire.uint(3)


@dataclass
class CaughtUpFrame:
    request_id: int = wire.uint(1)
    next_offset: int = wire.uint(2)


@dataclass
class Unsubscribe:
    request_id: int = wire.uint(1)
    pattern: str = wire.text(2)
    group: str = wire.text(3)


@dataclass
class Unsubscribed:
    request_id: int = wire.uint(1)


@dataclass
class Loss:
    topic: str = wire.text(1)
    messages: int = wire.uint(2)


@dataclass
class GapFrame:
    reason: int = wire.uint(1)
    messages: int = wire.uint(2)
    losses: List[Loss] = wire.repeated(3, Loss)


@dataclass
class Delivery:
    retained: bool = wire.flag(1)
    ack_id: int = wire.uint(2)
    delivery_count: int = wire.uint(3)
    offset: int = wire.fixed64(4)
    stored_time_unix_nanos: int = wire.fixed64(5)


@dataclass
class Confirm:
    confirm_id: int = wire.uint(1)
    level: int = wire.uint(2)
    sessions: int = wire.uint(3)
    taps: int = wire.uint(4)
    retained: bool = wire.flag(5)
    offset: int = wire.uint(6)
    duplicate: bool = wire.flag(7)
    failure: int = wire.uint(8)


@dataclass
class Ack:
    ack_ids: List[int] = wire.repeated(1, int)
    verdict: int = wire.uint(2)
    subscription: int = wire.uint(3)
    up_to_offset: int = wire.uint(4)


@dataclass
class Ping:
    token: int = wire.uint(1)
    level: int = wire.uint(2)


@dataclass
class Pong:
    token: int = wire.uint(1)
    level: int = wire.uint(2)
    failure: int = wire.uint(3)


@dataclass
class Stats:
    request_id: int = wire.uint(1)
    topic: str = wire.text(2)


@dataclass
class TopicStats:
    name: str = wire.text(1)
    messages: int = wire.uint(2)
    bytes: int = wire.uint(3)
    no_subscriber: int = wire.uint(4)
    subscribers: int = wire.uint(5)
    publishers: List[int] = wire.repeated(6, int)
    lines_refused: int = wire.uint(7)


@dataclass
class QueueStats:
    queued_bytes: int = wire.uint(1)
    dropped: int = wire.uint(2)
    stalled: bool = wire.flag(3)
    queued_messages: int = wire.uint(4)
    overflow: int = wire.uint(5)
    delivered: int = wire.uint(6)
    delivered_bytes: int = wire.uint(7)
    dropped_overflow: int = wire.uint(8)
    dropped_conflated: int = wire.uint(9)
    dropped_expired: int = wire.uint(10)
    dropped_disconnected: int = wire.uint(11)
    stalls: int = wire.uint(12)
    holds_up: int = wire.uint(13)
    stuck_millis: int = wire.uint(14)
    pipe_bytes: int = wire.uint(15)
    unread_bytes: int = wire.uint(16)


@dataclass
class SessionStats:
    number: int = wire.uint(1)
    client_name: str = wire.text(2)
    pid: int = wire.uint(3)
    published: int = wire.uint(4)
    patterns: List[str] = wire.repeated(5, str)
    queue: Optional[QueueStats] = wire.member(6, QueueStats)
    published_bytes: int = wire.uint(7)
    uid: int = wire.uint(8)
    connected_unix_nanos: int = wire.uint(9)


@dataclass
class GroupStats:
    name: str = wire.text(1)
    pattern: str = wire.text(2)
    members: int = wire.uint(3)
    queue: Optional[QueueStats] = wire.member(4, QueueStats)
    acked: bool = wire.flag(5)
    unacked: int = wire.uint(6)
    redelivered: int = wire.uint(7)
    dead_lettered: int = wire.uint(8)
    taken_along: int = wire.uint(9)


@dataclass
class TapStats:
    name: str = wire.text(1)
    queue: Optional[QueueStats] = wire.member(2, QueueStats)
    uid: int = wire.uint(3)
    reader_gone: bool = wire.flag(4)


@dataclass
class ReaderStats:
    """A durable reader of a log."""

    name: str = wire.text(1)
    pattern: str = wire.text(2)
    position: int = wire.uint(3)
    done_above: int = wire.uint(4)
    lag: int = wire.uint(5)
    sessions: List[int] = wire.repeated(6, int)
    tap: bool = wire.flag(7)
    group: str = wire.text(8)
    unacked: int = wire.uint(9)
    redelivered: int = wire.uint(10)
    dead_lettered: int = wire.uint(11)


@dataclass
class LogStats:
    name: str = wire.text(1)
    pattern: str = wire.text(2)
    first_offset: int = wire.uint(3)
    next_offset: int = wire.uint(4)
    committed_offset: int = wire.uint(5)
    bytes: int = wire.uint(6)
    segments: int = wire.uint(7)
    trouble: str = wire.text(8)
    backlog_bytes: int = wire.uint(9)
    holds_up: int = wire.uint(10)
    first_time_unix_nanos: int = wire.uint(11)
    readers: List[ReaderStats] = wire.repeated(12, ReaderStats)
    appended: int = wire.uint(13)
    duplicates: int = wire.uint(14)
    replay_readers: int = wire.uint(15)


@dataclass
class Counter:
    name: str = wire.text(1)
    value: int = wire.uint(2)


@dataclass
class StatsReply:
    request_id: int = wire.uint(1)
    topics: List[TopicStats] = wire.repeated(2, TopicStats)
    sessions: List[SessionStats] = wire.repeated(3, SessionStats)
    taps: List[TapStats] = wire.repeated(4, TapStats)
    counters: List[Counter] = wire.repeated(5, Counter)
    groups: List[GroupStats] = wire.repeated(6, GroupStats)
    # Sums of topics that are not listed.
    reply_topics: Optional[TopicStats] = wire.member(7, TopicStats)
    forgotten_topics: Optional[TopicStats] = wire.member(8, TopicStats)
    logs: List[LogStats] = wire.repeated(9, LogStats)


@dataclass
class Seek:
    durable: str = wire.text(1)
    start: Optional[StartFrame] = wire.member(2, StartFrame)
    pattern: str = wire.text(3)


@dataclass
class Trim:
    first_offset: int = wire.uint(1)
    before: Optional[StartFrame] = wire.member(2, StartFrame)


@dataclass
class Forget:
    durable: str = wire.text(1)


@dataclass
class LogRequest:
    """At most one action is not None."""

    request_id: int = wire.uint(1)
    log: str = wire.text(2)
    seek: Optional[Seek] = wire.member(3, Seek)
    trim: Optional[Trim] = wire.member(4, Trim)
    forget: Optional[Forget] = wire.member(5, Forget)


@dataclass
class LogReply:
    request_id: int = wire.uint(1)
    log: Optional[LogStats] = wire.member(2, LogStats)


@dataclass
class Error:
    code: int = wire.uint(1)
    text: str = wire.text(2)
    request_id: int = wire.uint(3)


@dataclass
class Goodbye:
    reason: str = wire.text(1)
    taken_along: int = wire.uint(2)


# The members of Frame by their numbers; Message is MESSAGE.
KINDS: Dict[int, Type[Any]] = {
    2: Hello,
    3: Welcome,
    4: Subscribe,
    5: Subscribed,
    6: Unsubscribe,
    7: Unsubscribed,
    8: GapFrame,
    9: Delivery,
    10: Confirm,
    11: Ack,
    12: Ping,
    13: Pong,
    14: Stats,
    15: StatsReply,
    16: Error,
    17: Goodbye,
    18: CaughtUpFrame,
    19: LogRequest,
    20: LogReply,
}
_NUMBERS = {kind: number for number, kind in KINDS.items()}


def frame_of(control: Any) -> bytes:
    """A control frame with its prefix, ready to be written."""
    body = wire.tagged_bytes(_NUMBERS[type(control)], wire.encode(control))
    return len(body).to_bytes(FRAME_PREFIX_BYTES, "big") + body
