"""fifobus: a message broker over named pipes, for one Linux machine.

    import fifobus

    with fifobus.Client() as client:
        client.subscribe("greetings/**")
        client.publish("greetings/python", "Hello from Python")
        print(client.receive().payload)

`Client` is for ordinary programs, `AsyncClient` for asyncio, `fifobus.tap` for scripts
that shall not know more than a file. All need nothing but Python's standard library.
"""

from typing import TYPE_CHECKING, Any

from fifobus.client import Client
from fifobus.client_session import Mode
from fifobus.errors import (
    BadDurable,
    BadStart,
    Closed,
    Disconnected,
    EndOfLog,
    Fenced,
    FifobusError,
    InvalidName,
    LogFailed,
    MessageTooLarge,
    Misuse,
    NoBroker,
    NoLog,
    NoResponders,
    ProtocolError,
    Refused,
    SessionRefused,
    TimedOut,
    TooManyPublishers,
    WouldBlock,
)
from fifobus.protocol.control import (
    Failure,
    GapReason,
    Level,
    Overflow,
    PublisherMark,
    Verdict,
)
from fifobus.protocol.decoder import Event
from fifobus.protocol.message import (
    AckOptions,
    CaughtUp,
    Confirmation,
    Gap,
    Message,
    ReadPosition,
    Restarted,
    Will,
)
from fifobus.protocol.start import Start

if TYPE_CHECKING:
    from fifobus.async_client import AsyncClient

__version__ = "0.1.0"

__all__ = [
    "AckOptions",
    "AsyncClient",
    "BadDurable",
    "BadStart",
    "CaughtUp",
    "Client",
    "Closed",
    "Confirmation",
    "Disconnected",
    "EndOfLog",
    "Event",
    "Failure",
    "Fenced",
    "FifobusError",
    "Gap",
    "GapReason",
    "InvalidName",
    "Level",
    "LogFailed",
    "Message",
    "MessageTooLarge",
    "Misuse",
    "Mode",
    "NoBroker",
    "NoLog",
    "NoResponders",
    "Overflow",
    "ProtocolError",
    "PublisherMark",
    "ReadPosition",
    "Restarted",
    "Refused",
    "SessionRefused",
    "Start",
    "TimedOut",
    "TooManyPublishers",
    "Verdict",
    "WouldBlock",
    "Will",
]


def __getattr__(name: str) -> Any:
    # asyncio takes longer to import than all the rest, and few need it.
    if name == "AsyncClient":
        from fifobus.async_client import AsyncClient

        return AsyncClient
    raise AttributeError(f"module 'fifobus' has no attribute {name!r}")
