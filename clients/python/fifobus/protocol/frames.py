"""Message frames: encoding, decoding, and what is wrong with a frame.

The rules are those of proto/FRAMING.md; proto/vectors/frames.json has examples.
"""

from __future__ import annotations

from typing import Any, Dict, List, Set, Tuple

from fifobus.errors import InvalidName
from fifobus.protocol import control, wire
from fifobus.protocol.control import FRAME_PREFIX_BYTES, MESSAGE
from fifobus.protocol.message import Message, Metadata, Payload
from fifobus.protocol.topics import topic_fault

_TOPIC = 1
_VARINTS = {
    2: "sequence",
    3: "publish_time_unix_nanos",
    6: "expiry_unix_nanos",
    8: "retain",
    9: "confirm_id",
    10: "confirm_level",
}
_REPLY_TOPIC = 4
_CONTENT_TYPE = 5
_HEADERS = 7
_NUMBERS_MAX = 10  # of the fields beside the payload
_PAYLOAD = 15


class BadFrame(ValueError):
    """Why a frame is refused; `fault` is one of the words of frames.json."""

    def __init__(self, fault: str, text: str) -> None:
        super().__init__(text)
        self.fault = fault


def payload_bytes(payload: Payload) -> bytes:
    """The payload as bytes, which nobody can change until they are written: a copy of
    what is not bytes already."""
    if isinstance(payload, bytes):
        return payload
    if isinstance(payload, str):
        return payload.encode()
    return bytes(memoryview(payload))


def _is_printable(text: bytes) -> bool:
    return not text or (min(text) >= 0x20 and max(text) <= 0x7E)


def _printable(kind: str, text: str) -> bytes:
    try:
        encoded = text.encode("ascii")
    except UnicodeEncodeError:
        encoded = b"\0"
    if not _is_printable(encoded):
        raise InvalidName(f"the {kind} {text!r} is not printable ASCII")
    return encoded


def _encode_headers(headers: List[Tuple[str, bytes]]) -> List[bytes]:
    fields = []
    for name, value in headers:
        header = wire.tagged_bytes(1, _printable("header name", name))
        fields.append(wire.tagged_bytes(_HEADERS, header + wire.tagged_bytes(2, value)))
    return fields


def member_head(topic: str, metadata: Metadata, payload_size: int) -> bytes:
    """A Message's bytes up to its payload. Raises InvalidName for text."""
    out = [wire.tagged_bytes(_TOPIC, topic.encode())]
    # In the order of their numbers, as protobuf writes them.
    for number in range(2, _NUMBERS_MAX + 1):
        if number in _VARINTS:
            value = getattr(metadata, _VARINTS[number])
            if value:
                out += (wire.tagged(number, wire.VARINT), wire.varint(int(value)))
        elif number == _REPLY_TOPIC and metadata.reply_topic:
            out.append(wire.tagged_bytes(number, metadata.reply_topic.encode()))
        elif number == _CONTENT_TYPE and metadata.content_type:
            text = _printable("content type", metadata.content_type)
            out.append(wire.tagged_bytes(number, text))
        elif number == _HEADERS:
            out += _encode_headers(metadata.headers)
    if payload_size:
        out += (wire.tagged(_PAYLOAD, wire.LEN), wire.varint(payload_size))
    return b"".join(out)


def frame_head(topic: str, metadata: Metadata, payload_size: int) -> bytes:
    """A Message's frame up to its payload, which is to follow it."""
    head = member_head(topic, metadata, payload_size)
    tag = wire.tagged(MESSAGE, wire.LEN) + wire.varint(len(head) + payload_size)
    size = len(tag) + len(head) + payload_size
    return size.to_bytes(FRAME_PREFIX_BYTES, "big") + tag + head


def read_frame(body: wire.Buffer) -> Tuple[int, wire.Buffer]:
    """The number and the bytes of a frame's only member. Raises BadFrame."""
    if not body:
        raise BadFrame("no_member", "the Frame holds no member")
    try:
        (number, wire_type, member), at = wire.take_field(body, 0, len(body))
    except wire.Malformed as error:
        raise BadFrame("malformed", str(error)) from error
    if number != MESSAGE and number not in control.KINDS:
        raise BadFrame("unknown_member", f"the Frame's member {number} is unknown")
    if member is None or isinstance(member, int):
        raise BadFrame("malformed", "the Frame's member has a wrong wire type")
    if at != len(body):
        raise BadFrame("several_members", "the Frame holds more than one member")
    return number, member


def read_control(number: int, member: wire.Buffer) -> Any:
    """The control frame in a member. Raises BadFrame."""
    try:
        return wire.decode(control.KINDS[number], member)
    except wire.Malformed as error:
        raise BadFrame("malformed", str(error)) from error


def read_message(member: wire.Buffer) -> Message:
    """The message in a member. Raises BadFrame."""
    try:
        return _read_message(member)
    except wire.Malformed as error:
        raise BadFrame("malformed", str(error)) from error


def _read_message(member: wire.Buffer) -> Message:
    metadata = Metadata()
    topic = payload = b""
    seen: Set[int] = set()
    for number, wire_type, value in wire.fields_of(member):
        if not seen and (number != _TOPIC or wire_type != wire.LEN):
            break
        known = number <= _NUMBERS_MAX or number == _PAYLOAD
        if known and number in seen and number != _HEADERS:
            raise BadFrame("repeated_field", f"field {number} occurs twice")
        seen.add(number)
        if number in _VARINTS:
            if wire_type != wire.VARINT:
                raise wire.Malformed(f"field {number} has wire type {wire_type}")
            number_value = bool(value) if number == 8 else value
            setattr(metadata, _VARINTS[number], number_value)
        elif known:
            if value is None or isinstance(value, int):
                raise wire.Malformed(f"field {number} has wire type {wire_type}")
            if number == _TOPIC:
                topic = bytes(value)
            elif number == _PAYLOAD:
                payload = bytes(value)
            else:
                _store_text(metadata, number, bytes(value))
    if _TOPIC not in seen:
        raise BadFrame("topic_not_first", "the Message does not begin with its topic")
    metadata.watched = metadata.expiry_unix_nanos > 0
    return Message(_checked_topic(topic), payload, metadata)


def _checked_topic(topic: bytes) -> str:
    text = topic.decode("latin-1")
    fault = topic_fault(text)
    if fault:
        raise BadFrame("bad_topic", f"the topic {fault}")
    return text


def _store_text(metadata: Metadata, number: int, value: bytes) -> None:
    if number == _REPLY_TOPIC:
        metadata.reply_topic = _checked_topic(value)
    elif number == _CONTENT_TYPE:
        metadata.content_type = _checked_text(value)
    else:
        metadata.headers.append(_read_header(value))


def _checked_text(value: bytes) -> str:
    if not _is_printable(value):
        raise BadFrame("bad_text", "a content type or header name is not ASCII")
    return value.decode("ascii")


def _read_header(data: bytes) -> Tuple[str, bytes]:
    parts: Dict[int, bytes] = {}
    for number, wire_type, value in wire.fields_of(data):
        if number not in (1, 2):
            continue
        if value is None or isinstance(value, int):
            raise wire.Malformed(f"a header has wire type {wire_type}")
        parts[number] = bytes(value)
        if number == 1:  # each, though only the last one counts
            _checked_text(parts[number])
    return _checked_text(parts.get(1, b"")), parts.get(2, b"")
