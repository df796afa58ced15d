"""Where in a log a reader begins."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import Union

from fifobus.errors import InvalidName
from fifobus.protocol.control import StartFrame

_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
_OFFSET_MAX = (1 << 64) - 1


@dataclass(frozen=True)
class Start:
    """Where subscribe() begins to read: made by one of these, such as Start.first()."""

    frame: StartFrame

    @staticmethod
    def first() -> "Start":
        """The first message that the log still has."""
        return Start(StartFrame(first=True))

    @staticmethod
    def offset(offset: int) -> "Start":
        """This offset. If it is trimmed, a Gap says how much is missing."""
        return Start(StartFrame(offset=_checked("offset", offset)))

    @staticmethod
    def last(messages: int) -> "Start":
        """So many of the pattern's messages before the end."""
        return Start(StartFrame(last=_checked("number of messages", messages)))

    @staticmethod
    def time(when: Union[datetime.datetime, float]) -> "Start":
        """The first message that was stored then or later. Seconds since the Unix
        epoch, or a datetime; one without a time zone is local time."""
        if isinstance(when, datetime.datetime):
            since = when.astimezone(datetime.timezone.utc) - _EPOCH
            nanos = since // datetime.timedelta(microseconds=1) * 1000
        else:
            nanos = round(when * 1e9)
        return Start(StartFrame(time_unix_nanos=_checked("time", nanos)))

    @staticmethod
    def next() -> "Start":
        """What is stored from now on."""
        return Start(StartFrame(next=True))


def _checked(what: str, value: int) -> int:
    if not 0 <= value <= _OFFSET_MAX:
        raise InvalidName(f"the {what} {value} is none: it is negative or too large")
    return value
