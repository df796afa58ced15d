"""What the broker says about the messages of pub --confirm."""

from __future__ import annotations

import argparse
import select
import time
from collections import deque
from typing import Any, Deque, List

from fifobus import errors
from fifobus.client import Client
from fifobus.client_publishing import PendingConfirmation
from fifobus.commands.exits import (
    CommandFailed,
    output_watch,
    poll_until,
    warn,
    write_out,
)
from fifobus.commands.session import attend
from fifobus.commands.values import FOREVER
from fifobus.protocol.control import Level
from fifobus.protocol.message import Confirmation

# Messages that may be on their way: as many as of the program.
_IN_FLIGHT_MAX = 32768


def line_of(confirmation: Confirmation) -> bytes:
    if confirmation.duplicate:
        return b"duplicate %d\n" % confirmation.offset
    takers = b"%d %d" % (confirmation.sessions, confirmation.taps)
    if confirmation.level <= Level.ACCEPTED:
        return b"accepted %b\n" % takers
    level = confirmation.level.name.lower().encode()
    return b"%b %d %b\n" % (level, confirmation.offset, takers)


class Confirmer:
    """Publishes, and prints one line for each message on standard output, in their
    order. The first message that does not get as far as it should is the end.

    Raises BrokenPipeError and OSError of standard output. Single-threaded.
    """

    def __init__(self, client: Client, options: argparse.Namespace) -> None:
        self._client = client
        self._level: Level = options.confirm
        self._timeout = FOREVER if options.timeout is None else options.timeout
        self._pending: Deque[PendingConfirmation] = deque()
        self._answered = 0
        self._duplicates = 0
        self._lines: List[bytes] = []

    def publish(self, topic: str, payload: bytes, **fields: Any) -> None:
        """Waits if too many are on their way."""
        self._pending.append(
            self._client.publish_pending(
                topic, payload, level=self._level, timeout=self._timeout, **fields
            )
        )
        if len(self._pending) >= _IN_FLIGHT_MAX:
            self._await_fewer(_IN_FLIGHT_MAX // 2)

    def take(self) -> bool:
        """Prints what has come; False: nothing has."""
        before = self._answered
        try:
            while self._pending and self._pending[0].done:
                self._print(self._pending.popleft())
        finally:
            if self._lines:
                write_out(self._lines)
        return self._answered > before

    def finish(self) -> None:
        """Prints all that is still to come."""
        try:
            self._await_fewer(0)
        finally:
            if self._duplicates:
                warn(
                    f"{self._duplicates} of {self._answered} messages were in the log "
                    "already and are not stored again"
                )

    def _print(self, pending: PendingConfirmation) -> None:
        self._answered += 1
        try:
            confirmation = pending.result(0)
        except (errors.NoLog, errors.LogFailed, errors.TooManyPublishers) as error:
            why = str(error).partition(": ")[2]
            text = f"message {self._answered} is not stored: {why}"
            raise CommandFailed(text) from error
        except errors.SessionRefused:
            raise
        except errors.Disconnected as error:
            raise CommandFailed(
                f"it is not known whether message {self._answered} was taken, because "
                "its session was lost; with --publisher and --confirm=stored it would "
                "be sent again"
            ) from error
        self._duplicates += confirmation.duplicate
        self._lines.append(line_of(confirmation))

    def _await_fewer(self, most: int) -> None:
        watch = output_watch()
        self._client.flush(self._timeout)  # what a batch holds is not on its way
        deadline = time.monotonic() + self._timeout
        while True:
            attend(self._client)
            if self.take():
                deadline = time.monotonic() + self._timeout
            if len(self._pending) <= most:
                return
            if time.monotonic() >= deadline:
                raise errors.TimedOut(
                    f"the confirmation of message {self._answered + 1} did not come in "
                    "time; it is not known whether the message was taken"
                )
            session = (self._client.fileno(), select.POLLIN)
            if watch[0] in poll_until([session, watch], deadline):
                raise BrokenPipeError
