"""The templates of sub --format, such as "{topic} {header:unit}: {payload}\\n"."""

from __future__ import annotations

import argparse
from typing import Callable, Dict, List

from fifobus.protocol.message import Message, json_line, time_text

Piece = Callable[[Message], bytes]


def _time(unix_nanos: int) -> bytes:
    return time_text(unix_nanos).encode() if unix_nanos else b""


_FIELDS: Dict[str, Piece] = {
    "topic": lambda message: message.topic.encode(),
    "payload": lambda message: message.payload,
    "sequence": lambda message: b"%d" % message.sequence,
    "time": lambda message: _time(message.publish_time_unix_nanos),
    "reply_topic": lambda message: message.reply_topic.encode(),
    "content_type": lambda message: message.content_type.encode(),
    "expiry": lambda message: _time(message.expiry_unix_nanos),
    "size": lambda message: b"%d" % len(message.payload),
    "retained": lambda message: b"true" if message.retained else b"false",
    "delivery_count": lambda message: b"%d" % message.delivery_count,
    "offset": lambda message: b"%d" % message.offset,
    "stored_time": lambda message: _time(message.stored_time_unix_nanos),
    "json": lambda message: json_line(message)[:-1],
}
_HEADER = "header:"
_ESCAPES = {"n": b"\n", "t": b"\t", "r": b"\r", "0": b"\0", "\\": b"\\"}


def _header(name: str) -> Piece:
    return lambda message: message.headers.get(name, b"")


def _text(text: bytes) -> Piece:
    return lambda _: text


class Template:
    """Fields in braces; {{ is a brace, and so is a } that closes nothing; escapes are
    as in C. What a message does not have is empty, a number 0. Nothing is added."""

    def __init__(self, text: str) -> None:
        """Raises ArgumentTypeError, which names the place."""
        self._text = text
        self._pieces: List[Piece] = []
        at = 0
        while at < len(text):
            at = self._parse(at)

    def bytes_of(self, message: Message) -> bytes:
        return b"".join(piece(message) for piece in self._pieces)

    def _parse(self, at: int) -> int:
        """Parses what begins there, and returns where it ends."""
        text = self._text
        behind = text[at + 1 : at + 2]
        if text[at] == "\\":
            if behind not in _ESCAPES:
                raise self._fault(at, "a \\ wants n, t, r, 0 or \\ behind it")
            self._pieces.append(_text(_ESCAPES[behind]))
            return at + 2
        if text[at] != "{":
            literal = text[at].encode(errors="surrogateescape")
            self._pieces.append(_text(literal))
            return at + 1
        if behind == "{":
            self._pieces.append(_text(b"{"))
            return at + 2
        end = text.find("}", at)
        if end < 0:
            raise self._fault(at, "the { is not closed; {{ stands for a brace")
        self._pieces.append(self._field(text[at + 1 : end], at))
        return end + 1

    def _field(self, name: str, at: int) -> Piece:
        if name.startswith(_HEADER) and name != _HEADER:
            return _header(name[len(_HEADER) :])
        if name in _FIELDS:
            return _FIELDS[name]
        known = ", ".join(_FIELDS)
        raise self._fault(
            at,
            f"{{{name}}} is no field; there are {known}, header:NAME, and {{{{ for a "
            "brace",
        )

    def _fault(self, at: int, what: str) -> argparse.ArgumentTypeError:
        return argparse.ArgumentTypeError(
            f'"{self._text}", at character {at + 1}: {what}'
        )
