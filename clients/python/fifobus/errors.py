"""What can go wrong. Every exception of this package is a FifobusError.

Each is also what the standard library would raise in its place, so that
`except TimeoutError` or `except ConnectionError` work without this module.
"""

from __future__ import annotations


class FifobusError(Exception):
    """Anything that this package raises."""


class InvalidName(FifobusError, ValueError):
    """A topic, pattern, group or header name breaks the rules; nothing was sent."""


class MessageTooLarge(FifobusError, ValueError):
    """The message makes a larger frame than this bus takes; nothing was sent."""


class WouldBlock(FifobusError, BlockingIOError):
    """Not now, and the call was told not to wait. Nothing was taken."""


class TimedOut(FifobusError, TimeoutError):
    """The call's deadline came. Publishing: nothing was taken."""


class Disconnected(FifobusError, ConnectionError):
    """There is no session with a broker, and the call can not or shall not wait."""


class NoBroker(Disconnected):
    """No live broker was found; the text names the places that were tried."""


class Refused(FifobusError):
    """The broker refused a request; the session goes on.

    `code` is one of fifobus.protocol.control.ErrorCode.
    """

    def __init__(self, text: str, code: int) -> None:
        super().__init__(text)
        self.code = code


class NoLog(Refused):
    """No log stores these messages, or all that the pattern matches."""


class LogFailed(Refused):
    """The log cannot store anything any more; the broker's log says why."""


class TooManyPublishers(Refused):
    """The log remembers no more publishers' names."""


class BadStart(Refused):
    """The log does not reach as far as where reading was to begin."""


class BadDurable(Refused):
    """The durable reader's name is not allowed, or it reads in another way."""


class SessionRefused(Refused, Disconnected):
    """The broker ended the session for good, because of what this client sent."""


class Fenced(SessionRefused):
    """Another client has taken this one's name, of a publisher or a durable reader."""


class EndOfLog(FifobusError, EOFError):
    """All that was subscribed to with `until_now` has been received."""


class ProtocolError(Disconnected):
    """The other side sent bytes that are no fifobus frame."""


class NoResponders(FifobusError):
    """A request's topic has no subscriber, so no reply will come."""


class Misuse(FifobusError, RuntimeError):
    """The client is not this caller's to use: another thread is in one of its calls, a
    signal handler has interrupted one, or it is the client of a parent process."""


class Closed(FifobusError, ValueError):
    """The client was closed, as with the standard library's files."""
