"""Protobuf's wire format, as far as fifobus uses it.

Written by hand because it is small: with it the package needs nothing but Python, runs
at one speed whatever backend of protobuf a machine has, and is never out of step with
code that some protoc generated. tests/python/codec_test.py holds it against protobuf.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Dict, Iterator, List, Optional, Tuple, Type, TypeVar, Union

VARINT = 0
FIXED64 = 1
LEN = 2
FIXED32 = 5

_FIXED_BYTES = {FIXED64: 8, FIXED32: 4}
_UINT64_MAX = (1 << 64) - 1
_UINT32_MAX = (1 << 32) - 1
_TAG_BYTES_MAX = 5  # protobuf refuses more, even if they are padded with zeros

Buffer = Union[bytes, bytearray, memoryview]
# A field's number, its wire type, and its value: an integer for VARINT and FIXED64, for
# LEN a slice of what was read, None for FIXED32, which fifobus passes over.
Value = Union[int, Buffer, None]
WireField = Tuple[int, int, Value]


class Malformed(ValueError):
    """The bytes are not protobuf's wire format."""


def varint(value: int) -> bytes:
    """The encoding of an unsigned integer below 2**64."""
    if value < 0x80:
        return bytes((value,))
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def take_varint(data: Buffer, at: int, end: int) -> Tuple[int, int]:
    """The integer at `at` and where it ends."""
    value = shift = 0
    while at < end and shift < 70:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            if value > _UINT64_MAX:
                break
            return value, at
        shift += 7
    raise Malformed("a varint is cut or too long")


def take_field(data: Buffer, at: int, end: int) -> Tuple[WireField, int]:
    """The field at `at` and where it ends."""
    begin = at
    tag, at = take_varint(data, at, end)
    number, wire_type = tag >> 3, tag & 7
    if tag > _UINT32_MAX or number == 0 or at - begin > _TAG_BYTES_MAX:
        raise Malformed("a field number is out of range")
    if wire_type == VARINT:
        value, at = take_varint(data, at, end)
        return (number, wire_type, value), at
    if wire_type == LEN:
        size, at = take_varint(data, at, end)
        if size > end - at:
            raise Malformed("a length leads beyond the end")
        return (number, wire_type, data[at : at + size]), at + size
    size = _FIXED_BYTES.get(wire_type, 0)
    if size == 0 or size > end - at:
        raise Malformed("a wire type is unknown, or its value cut")
    fixed = None
    if wire_type == FIXED64:
        fixed = int.from_bytes(data[at : at + size], "little")
    return (number, wire_type, fixed), at + size


def fields_of(data: Buffer) -> Iterator[WireField]:
    """All fields, in their order. Raises Malformed."""
    at, end = 0, len(data)
    while at < end:
        field, at = take_field(data, at, end)
        yield field


def tagged(number: int, wire_type: int) -> bytes:
    """A field's tag."""
    return varint(number << 3 | wire_type)


def tagged_bytes(number: int, value: Buffer) -> bytes:
    """A whole field of wire type LEN."""
    return b"".join((tagged(number, LEN), varint(len(value)), value))


# Declaring messages of frame.proto as dataclasses.

_KIND = "fifobus_kind"
_NUMBER = "fifobus_number"
_TYPE = "fifobus_type"


def uint(number: int) -> Any:
    """Declares a uint32, uint64 or enum field."""
    return dataclasses.field(default=0, metadata={_NUMBER: number, _KIND: "uint"})


def fixed64(number: int) -> Any:
    """Declares a fixed64 field."""
    return dataclasses.field(default=0, metadata={_NUMBER: number, _KIND: "fixed64"})


def choice(number: int, kind: str) -> Any:
    """Declares a "uint" or "flag" that is one of several: None unless it is the one,
    and then written whatever its value."""
    return dataclasses.field(default=None, metadata={_NUMBER: number, _KIND: kind})


def flag(number: int) -> Any:
    """Declares a bool field."""
    return dataclasses.field(default=False, metadata={_NUMBER: number, _KIND: "flag"})


def text(number: int) -> Any:
    """Declares a string field."""
    return dataclasses.field(default="", metadata={_NUMBER: number, _KIND: "text"})


def raw(number: int) -> Any:
    """Declares a field of bytes, or of a message that is encoded elsewhere."""
    return dataclasses.field(default=b"", metadata={_NUMBER: number, _KIND: "raw"})


def member(number: int, kind: Type[Any]) -> Any:
    """Declares an optional message."""
    return dataclasses.field(
        default=None, metadata={_NUMBER: number, _KIND: "member", _TYPE: kind}
    )


def repeated(number: int, kind: Type[Any]) -> Any:
    """Declares a list: of int (packed when written), of str, or of messages."""
    return dataclasses.field(
        default_factory=list, metadata={_NUMBER: number, _KIND: "repeated", _TYPE: kind}
    )


def encode(message: Any) -> bytes:
    """The bytes of a declared message; what has its default value is left out."""
    out: List[bytes] = []
    for field in dataclasses.fields(message):
        number = field.metadata[_NUMBER]
        value = getattr(message, field.name)
        kind = field.metadata[_KIND]
        if value is None or value == field.default or value == []:
            continue
        if kind in ("uint", "flag"):
            out += (tagged(number, VARINT), varint(int(value)))
        elif kind == "fixed64":
            out += (tagged(number, FIXED64), value.to_bytes(8, "little"))
        elif kind == "repeated":
            out.append(_encode_list(number, field.metadata[_TYPE], value))
        else:
            out.append(tagged_bytes(number, _bytes_of(value)))
    return b"".join(out)


def _bytes_of(value: Any) -> bytes:
    if isinstance(value, str):
        return value.encode()
    return value if isinstance(value, bytes) else encode(value)


def _encode_list(number: int, kind: Type[Any], values: List[Any]) -> bytes:
    if kind is int:
        return tagged_bytes(number, b"".join(map(varint, values)))
    return b"".join(tagged_bytes(number, _bytes_of(value)) for value in values)


Declared = TypeVar("Declared")


def decode(kind: Type[Declared], data: Buffer) -> Declared:
    """The declared message in `data`; unknown fields are passed over.

    Raises Malformed, also for a known field with a wrong wire type and for text that
    is not UTF-8.
    """
    message = kind()
    known = _known_fields(kind)
    for number, wire_type, value in fields_of(data):
        field = known.get(number)
        if field is not None:
            _store(message, field, wire_type, value)
    return message


_known: Dict[Type[Any], Dict[int, "dataclasses.Field[Any]"]] = {}


def _known_fields(kind: Type[Any]) -> Dict[int, "dataclasses.Field[Any]"]:
    fields = _known.get(kind)
    if fields is None:
        fields = {field.metadata[_NUMBER]: field for field in dataclasses.fields(kind)}
        _known[kind] = fields
    return fields


def _store(
    message: Any, field: "dataclasses.Field[Any]", wire_type: int, value: Value
) -> None:
    kind = field.metadata[_KIND]
    item: Optional[Type[Any]] = field.metadata.get(_TYPE)
    if kind in ("uint", "flag", "fixed64"):
        if wire_type != (FIXED64 if kind == "fixed64" else VARINT):
            raise Malformed(f"{field.name} has wire type {wire_type}")
        setattr(message, field.name, bool(value) if kind == "flag" else value)
    elif kind == "repeated" and item is int and wire_type == VARINT:
        getattr(message, field.name).append(value)
    elif value is None or isinstance(value, int):
        raise Malformed(f"{field.name} has wire type {wire_type}")
    elif kind == "repeated":
        getattr(message, field.name).extend(_items(item, value))
    else:
        setattr(message, field.name, _item(kind, item, value))


def _items(item: Optional[Type[Any]], value: Buffer) -> List[Any]:
    if item is not int:
        return [_item("text" if item is str else "member", item, value)]
    numbers: List[int] = []
    at = 0
    while at < len(value):
        number, at = take_varint(value, at, len(value))
        numbers.append(number)
    return numbers


def _item(kind: str, item: Optional[Type[Any]], value: Buffer) -> Any:
    if kind == "raw":
        return bytes(value)
    if kind == "text":
        try:
            return bytes(value).decode()
        except UnicodeDecodeError as error:
            raise Malformed("text is not UTF-8") from error
    assert item is not None
    return decode(item, value)
