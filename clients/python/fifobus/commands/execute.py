"""Commands that get the messages of sub: --exec and --exec-stream."""

from __future__ import annotations

import argparse
import select
import time
from typing import List, NoReturn, Optional, Tuple

from fifobus.client import Client
from fifobus.commands.exits import (
    FAILED,
    CommandFailed,
    output_is_unread,
    output_watch,
    poll_until,
    warn,
)
from fifobus.commands.shell import (
    ShellChild,
    StopSignals,
    end_by_signal,
    exit_text,
    variables_of,
)
from fifobus.commands.sub_output import (
    GATHERED_BYTES,
    Incoming,
    SubOutput,
    bytes_of,
)
from fifobus.protocol.message import Message

# How long, in seconds, the command may take to finish after a signal has ended its
# input. A second signal ends it at once. Not tuned.
_FINISH_SECONDS = 5.0

_NOTHING = (-1, 0)


class Executor(SubOutput):
    """A command for each message, one after the other."""

    def __init__(
        self, client: Client, options: argparse.Namespace, incoming: Incoming
    ) -> None:
        super().__init__(client, options, incoming)
        self._signals = StopSignals()
        self._failed = False  # and is to end because of that

    def put(self, message: Message) -> None:
        options = self.options
        as_text = options.json or options.format is not None
        text = bytes_of(message, options) if as_text else message.payload
        try:
            child = ShellChild(options.exec, variables_of(message))
        except OSError as error:
            warn(
                f"/bin/sh cannot be run ({error.strerror}); are the message's headers "
                "too large for an environment?"
            )
            self._on_failure(message)
            return
        try:
            exit_code = self._run(child, text)
        finally:
            child.close()
        if exit_code == 0:
            self.client.done(message)
        elif output_is_unread():  # what it died of, and no failure
            self.over = True
        else:
            about = f"{message.topic} sequence={message.sequence}"
            warn(f"{about}: the command ended with {exit_text(exit_code)}")
            self._on_failure(message)

    def wait(self, deadline: Optional[float]) -> Optional[Message]:
        output = output_watch()
        polled = [self._signals.watch(), self.session_watch(), output]
        ready = poll_until(polled, deadline)
        if number := self._signals.taken():
            end_by_signal(number)
        self.over = output[0] in ready
        return None

    def end(self, otherwise: int) -> int:
        return FAILED if self._failed else otherwise

    def _run(self, child: ShellChild, text: bytes) -> int:
        """Returns its exit code."""
        rest = memoryview(text)
        while True:
            if child.input_fd >= 0:
                written = child.write(rest) if rest else None
                if written is None or written == len(rest):
                    child.close_input()
                else:
                    rest = rest[written:]
            exit_code = child.reap()
            if exit_code is not None:
                return exit_code
            ahead = self.ahead_watch()
            polled = [
                self._signals.watch(),
                (child.end_fd, select.POLLIN),
                (child.input_fd, select.POLLOUT),
                ahead,
            ]
            ready = poll_until(polled, None)
            if number := self._signals.taken():
                child.close()
                end_by_signal(number)
            self.take_ahead(ready, ahead)

    def _on_failure(self, message: Message) -> None:
        message.retry()
        # To go on would be to say that this message is done as well.
        stays = self.options.durable and not self.options.group
        if stays:
            warn(
                f"the durable reader {self.options.durable} stays at offset "
                f"{message.offset}; another run begins with that message"
            )
        if self.options.fail_on_error or stays:
            self._failed = self.over = True


class Streamer(SubOutput):
    """One command that reads all messages, as in `fifobus sub | command`. It is never
    started again: a loop in the shell can do that."""

    def __init__(
        self,
        client: Client,
        options: argparse.Namespace,
        incoming: Incoming,
        deadline: Optional[float],
    ) -> None:
        super().__init__(client, options, incoming)
        self._deadline = deadline
        self._signals = StopSignals()
        self._text = bytearray()
        try:
            self._child = ShellChild(options.exec_stream)
        except OSError as error:
            raise CommandFailed(f"/bin/sh cannot be run: {error.strerror}") from error

    def put(self, message: Message) -> None:
        self._text += bytes_of(message, self.options)
        self.answer_later(message)
        if len(self._text) >= GATHERED_BYTES:
            self._write()

    def wait(self, deadline: Optional[float]) -> Optional[Message]:
        self._write()
        if not self.over:
            self._await(self.session_watch(), deadline)
        return None

    def end(self, otherwise: int) -> int:
        """Waits for its end, as a shell waits for the end of a pipeline."""
        if not self.over:
            self._write()
        self._child.close_input()
        while (exit_code := self._child.reap()) is None:
            self._await_busy(_NOTHING, None)
        if exit_code == 0 or output_is_unread():
            return otherwise
        warn(f"the command ended with {exit_text(exit_code)}")
        return FAILED

    def close(self) -> None:
        self._child.close()

    def _write(self) -> None:
        """All that is gathered; waits while the command is busy, until the deadline."""
        # Also if there is always another message and nothing to wait for.
        self._await(_NOTHING, time.monotonic())
        written = 0
        with memoryview(self._text) as text:
            while written < len(text) and not self.over:
                taken = self._child.write(text[written:])
                if taken is None:
                    self.over = True
                elif taken:
                    written += taken
                elif self._deadline is not None and time.monotonic() >= self._deadline:
                    break
                else:
                    room = (self._child.input_fd, select.POLLOUT)
                    self._await_busy(room, self._deadline)
        del self._text[:written]
        if not self._text:
            self.answer()

    def _await_busy(self, wanted: Tuple[int, int], deadline: Optional[float]) -> None:
        """As _await, while nothing is received."""
        ahead = self.ahead_watch()
        self.take_ahead(self._await(wanted, deadline, ahead), ahead)

    def _await(
        self,
        wanted: Tuple[int, int],
        deadline: Optional[float],
        ahead: Tuple[int, int] = _NOTHING,
    ) -> List[int]:
        """Until `wanted` or the deadline has come, or the command's end; or what may be
        taken ahead."""
        # If it is over, its end is what is waited for.
        output = _NOTHING if self.over else output_watch()
        end = (self._child.end_fd, select.POLLIN)
        polled = [wanted, self._signals.watch(), end, output, ahead]
        ready = poll_until(polled, deadline)
        if number := self._signals.taken():
            self._end_with_command(number)
        if end[0] in ready or output[0] in ready:
            self.over = True
        return ready

    def _end_with_command(self, number: int) -> NoReturn:
        self._child.close_input()
        polled = [self._signals.watch(), (self._child.end_fd, select.POLLIN)]
        poll_until(polled, time.monotonic() + _FINISH_SECONDS)
        self._child.close()
        end_by_signal(number)
