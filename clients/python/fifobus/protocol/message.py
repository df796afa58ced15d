"""What a subscriber gets: messages, and gaps where messages are missing."""

from __future__ import annotations

import base64
import datetime
import json
import time
from dataclasses import dataclass, field
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple, Union

from fifobus.protocol.control import Failure, GapFrame, GapReason, Level, Verdict

Payload = Union[bytes, bytearray, memoryview, str]
HeaderValue = Union[bytes, str]
Headers = Union[Mapping[str, HeaderValue], Sequence[Tuple[str, HeaderValue]]]


def header_pairs_of(headers: Headers) -> List[Tuple[str, bytes]]:
    """Headers as pairs, whichever way they were given."""
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    return [
        (name, value.encode() if isinstance(value, str) else value)
        for name, value in pairs
    ]


class Metadata:
    """What most messages do not have. Times count nanoseconds since the Unix epoch."""

    __slots__ = (
        "sequence",
        "publish_time_unix_nanos",
        "reply_topic",
        "content_type",
        "expiry_unix_nanos",
        "headers",
        "retain",
        "confirm_id",
        "confirm_level",
        "retained",
        "ack_id",
        "delivery_count",
        "offset",
        "stored_time_unix_nanos",
        "answer",
        "session",
        "watched",
    )

    def __init__(self) -> None:
        self.sequence = 0
        self.publish_time_unix_nanos = 0
        self.reply_topic = ""
        self.content_type = ""
        self.expiry_unix_nanos = 0
        self.headers: List[Tuple[str, bytes]] = []
        self.retain = False
        self.confirm_id = 0
        self.confirm_level = 0
        # What the broker says about it: Delivery.
        self.retained = False
        self.ack_id = 0
        self.delivery_count = 0
        self.offset = 0
        self.stored_time_unix_nanos = 0
        self.answer: Optional[Callable[[int, Verdict], None]] = None
        self.session = 0  # that brought it; 0: not said
        # Dialogue.shown is to see it before the program: it may expire, or a reader of
        # a log comes on by it.
        self.watched = False


_NOTHING = Metadata()
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)


class Message:
    """One received message. It owns its bytes and may be kept.

    `topic` is a str and `payload` bytes; the rest is 0, empty or False where the
    publisher, or the broker, said nothing.
    """

    __slots__ = ("topic", "payload", "_metadata")

    def __init__(
        self, topic: str, payload: bytes, metadata: Metadata = _NOTHING
    ) -> None:
        self.topic = topic
        self.payload = payload
        self._metadata = metadata

    def __repr__(self) -> str:
        return f"Message({self.topic!r}, {self.payload[:64]!r})"

    @property
    def sequence(self) -> int:
        """Counts its publisher's messages from 1; 0: not counted."""
        return self._metadata.sequence

    @property
    def publish_time_unix_nanos(self) -> int:
        """When it was published; 0: not said."""
        return self._metadata.publish_time_unix_nanos

    @property
    def reply_topic(self) -> str:
        """Where an answer is expected; empty: nowhere."""
        return self._metadata.reply_topic

    @property
    def content_type(self) -> str:
        """A media type such as "application/json", if the publisher gave one."""
        return self._metadata.content_type

    @property
    def expiry_unix_nanos(self) -> int:
        """After this time nobody wants it; 0: never."""
        return self._metadata.expiry_unix_nanos

    @property
    def headers(self) -> Dict[str, bytes]:
        """The headers; of those with one name the last one."""
        return dict(self._metadata.headers)

    @property
    def header_list(self) -> List[Tuple[str, bytes]]:
        """All headers in their order."""
        return list(self._metadata.headers)

    @property
    def retain(self) -> bool:
        """Whether its publisher asked to keep it as its topic's retained value."""
        return self._metadata.retain

    @property
    def retained(self) -> bool:
        """Whether it is a retained value, published before the subscription."""
        return self._metadata.retained

    @property
    def ack_id(self) -> int:
        """Not 0: its group expects ack() or retry()."""
        return self._metadata.ack_id

    @property
    def delivery_count(self) -> int:
        """How often it was delivered; above 1: perhaps worked on before."""
        return self._metadata.delivery_count

    @property
    def offset(self) -> int:
        """Its place in the log that it was read out of, from 1; 0: it was not."""
        return self._metadata.offset

    @property
    def stored_time_unix_nanos(self) -> int:
        """When its log stored it; 0: it was not read out of one."""
        return self._metadata.stored_time_unix_nanos

    @property
    def stored_time(self) -> Optional[datetime.datetime]:
        """The same, in UTC and to the microsecond."""
        nanos = self._metadata.stored_time_unix_nanos
        if not nanos:
            return None
        return _EPOCH + datetime.timedelta(microseconds=nanos // 1000)

    def ack(self) -> None:
        """Tells the group that the work on this message is done.

        Does not wait and raises nothing: if the session that brought the message is
        over, the broker has given the message to another member already. Without
        effect on messages that are not to be acknowledged.
        """
        self._answer(Verdict.DONE)

    def retry(self) -> None:
        """Asks for the message to be delivered again, to any member of the group."""
        self._answer(Verdict.RETRY)

    def extend(self) -> None:
        """Tells the group that the work goes on: its timeout begins anew."""
        self._answer(Verdict.EXTEND)

    def _answer(self, verdict: Verdict) -> None:
        if self._metadata.ack_id and self._metadata.answer:
            self._metadata.answer(self._metadata.ack_id, verdict)


@dataclass(frozen=True)
class Gap:
    """Messages that were lost for this subscriber at this point of the stream."""

    reason: GapReason
    messages: int = 0  # in all; 0: unknown
    losses: Dict[str, int] = field(default_factory=dict)  # by topic, at most 64

    def __str__(self) -> str:
        if self.reason == GapReason.RECONNECTED:
            return (
                "the broker is gone; what is published until it is back, an unknown "
                "number of messages, is missing here"
            )
        topics = " ".join(f"{topic}={count}" for topic, count in self.losses.items())
        missing = f"{self.messages} messages are missing here"
        return f"{missing} ({self.reason.name}): {topics}"


_REASONS = {int(reason) for reason in GapReason}


def gap_of(frame: GapFrame) -> Gap:
    """The gap that the broker announces."""
    known = frame.reason in _REASONS
    reason = GapReason(frame.reason) if known else GapReason.UNSPECIFIED
    return Gap(
        reason, frame.messages, {loss.topic: loss.messages for loss in frame.losses}
    )


@dataclass(frozen=True)
class Restarted:
    """The broker is gone and nothing is lost: all that is subscribed to is read out of
    logs, and goes on where it was when a broker is there again."""

    def __str__(self) -> str:
        return (
            "restarted, nothing lost: the log is read on from where it was (restarted)"
        )


@dataclass(frozen=True)
class CaughtUp:
    """All that a log had when this reader subscribed has been received."""

    pattern: str
    next_offset: int  # it was read up to here, exclusive
    until_now: bool  # the subscription has ended with it


@dataclass(frozen=True)
class ReadPosition:
    """How far a subscription that reads a log has come."""

    log: str
    next_offset: int  # the program has got all before it; at first where it begins


@dataclass(frozen=True)
class Confirmation:
    """What the broker says about a message that was published with `confirm` or a
    `level`."""

    level: Level  # that was reached
    sessions: int  # that take it, each group counting as one
    taps: int  # that take it
    retained: bool  # it is the topic's retained value now, or has cleared it
    offset: int = 0  # its place in its log; 0: none, or of a duplicate not known
    duplicate: bool = False  # its publisher's name had stored it already
    failure: Failure = Failure.NONE  # why a higher level was not reached


@dataclass(frozen=True)
class Will:
    """A message that the broker publishes when the client dies."""

    topic: str
    payload: Payload = b""
    retain: bool = False
    content_type: str = ""
    headers: Headers = ()


@dataclass(frozen=True)
class AckOptions:
    """How a group acknowledges; the same for all its members. 0: the broker's own."""

    unacked_max: int = 0  # messages that one member may hold without an answer; 1
    timeout: float = 0  # seconds without an answer until it is delivered again; 30
    deliveries_max: int = 0  # until a message is published on $dead/GROUP; 5


def _json_value(value: bytes) -> Any:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(value).decode()}


def _json_headers(pairs: List[Tuple[str, bytes]]) -> Dict[str, Any]:
    """Headers of one name are one list."""
    values: Dict[str, List[Any]] = {}
    for name, value in pairs:
        values.setdefault(name, []).append(_json_value(value))
    return {name: own if len(own) > 1 else own[0] for name, own in values.items()}


def time_text(unix_nanos: int) -> str:
    """In UTC, as JSON has it."""
    seconds, nanos = divmod(unix_nanos, 1_000_000_000)
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    return f"{whole}.{nanos:09d}Z"


def json_line(message: Message) -> bytes:
    """One JSON object and a newline, as `fifobus sub --json` prints it."""
    line: Dict[str, Any] = {"topic": message.topic}
    try:
        line["payload"] = message.payload.decode()
    except UnicodeDecodeError:
        line["payload_base64"] = base64.b64encode(message.payload).decode()
    optional: List[Tuple[str, Any]] = [
        ("sequence", message.sequence),
        ("time", message.publish_time_unix_nanos),
        ("reply_topic", message.reply_topic),
        ("content_type", message.content_type),
        ("expiry", message.expiry_unix_nanos),
        ("headers", message.header_list),
        ("retained", message.retained),
        ("ack_id", message.ack_id),
        ("delivery_count", message.delivery_count),
        ("offset", message.offset),
        ("stored_time", message.stored_time_unix_nanos),
    ]
    for name, value in optional:
        if value and name in ("time", "expiry", "stored_time"):
            line[name] = time_text(value)
        elif value and name == "headers":
            line[name] = _json_headers(value)
        elif value:
            line[name] = value
    text = json.dumps(line, ensure_ascii=False, separators=(",", ":"))
    return text.encode() + b"\n"
