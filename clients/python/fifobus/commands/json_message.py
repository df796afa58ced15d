"""Messages as sub --json prints them, for pub --json."""

from __future__ import annotations

import base64
import binascii
import datetime
import json
import re
from dataclasses import dataclass, field
from typing import Any, List, Tuple

# What belongs to the delivery that was printed, and not to the message.
_PASSED_OVER = (
    "sequence",
    "time",
    "retained",
    "ack_id",
    "delivery_count",
    "offset",
    "stored_time",
)

_TIME = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d+))?(?:Z|([+-])(\d\d):(\d\d))",
    re.ASCII,
)
_EPOCH = datetime.datetime(1970, 1, 1)
_TIME_MAX = (1 << 63) - 1


class _Members(List[Tuple[str, Any]]):
    """The members of an object: a dict has but one of each name."""


@dataclass
class JsonMessage:
    """What a line says. The topic may be missing."""

    topic: str = ""
    payload: bytes = b""
    reply_topic: str = ""
    content_type: str = ""
    expiry_unix_nanos: int = 0
    retain: bool = False
    headers: List[Tuple[str, bytes]] = field(default_factory=list)


def parse_json_message(line: bytes) -> JsonMessage:
    """Headers keep their order; those of one name are a list, or have a member each.
    Unknown members are refused, for they are likely misspelt. Raises ValueError, which
    says what is wrong."""
    members = _members_of(line)
    message = JsonMessage()
    for name, value in members:
        _read_member(name, value, message)
    if sum(name.startswith("payload") for name, _ in members) != 1:
        raise ValueError("there is not one payload or payload_base64")
    return message


def _members_of(line: bytes) -> _Members:
    try:
        text = line.decode("utf-8-sig")
        parsed = json.loads(
            text, object_pairs_hook=_Members, parse_constant=_refuse_constant
        )
    except (ValueError, RecursionError) as error:
        raise ValueError(f"no JSON: {error}") from None
    if not isinstance(parsed, _Members):
        raise ValueError("no JSON object")
    return parsed


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _fault(name: str, what: str) -> ValueError:
    return ValueError(f'"{name[:64]}" {what}')


def _read_member(name: str, value: Any, message: JsonMessage) -> None:
    if name in ("topic", "reply_topic", "content_type"):
        setattr(message, name, _text(name, value).decode())
    elif name == "payload":
        message.payload = _text(name, value)
    elif name == "payload_base64":
        message.payload = _bytes_of_base64(name, value)
    elif name == "expiry":
        message.expiry_unix_nanos = _time(name, value)
    elif name == "headers" and isinstance(value, _Members):
        for header, values in value:
            _read_header(header, values, message)
    elif name == "retain" and isinstance(value, bool):
        message.retain = value
    elif name not in _PASSED_OVER:
        raise _fault(name, "is not what a message has, or not of its type")


def _read_header(name: str, value: Any, message: JsonMessage) -> None:
    is_list = isinstance(value, list) and not isinstance(value, _Members)
    for one in value if is_list else [value]:
        members = dict(one) if isinstance(one, _Members) else {}
        if "base64" in members:
            data = _bytes_of_base64(name, members["base64"])
        else:
            data = _text(name, one)
        message.headers.append((name, data))


def _text(name: str, value: Any) -> bytes:
    if not isinstance(value, str):
        raise _fault(name, "is no string")
    try:
        return value.encode()
    except UnicodeEncodeError:  # half of a surrogate pair
        raise _fault(name, "is no text") from None


def _bytes_of_base64(name: str, value: Any) -> bytes:
    try:
        text = "".join(value.split())
        if "=" not in text:
            text += "=" * (-len(text) % 4)
        return base64.b64decode(text, validate=True)
    except (AttributeError, ValueError, binascii.Error):
        raise _fault(name, "is no base64") from None


def _time(name: str, value: Any) -> int:
    """Nanoseconds since the Unix epoch: a float would round them."""
    nanos = 0
    parts = _TIME.fullmatch(value) if isinstance(value, str) else None
    if parts:
        year, month, day, hour, minute, second = map(int, parts.groups()[:6])
        fraction, sign, hours, minutes = parts.groups()[6:]
        try:
            # A leap second is the second behind it.
            when = datetime.datetime(year, month, day, hour, minute, min(second, 59))
            seconds = (when - _EPOCH) // datetime.timedelta(seconds=1)
            seconds += second == 60
            if sign:
                offset = int(hours) * 3600 + int(minutes) * 60
                seconds -= offset if sign == "+" else -offset
            if second <= 60:
                nanos = seconds * 1_000_000_000 + int(f"{fraction or 0:0<9}"[:9])
        except ValueError:
            pass
    if nanos <= 0:
        raise _fault(name, "is no time such as 2026-11-23T20:15:00.5Z")
    return min(nanos, _TIME_MAX)
