"""A client's way to the broker: descriptors, time, and nothing else.

Finds a broker, makes a session, moves bytes between its pipes and the Dialogue,
notices its end, and begins anew with growing delays. Waits only in `wait`.
"""

from __future__ import annotations

import os
import select
import time
from typing import List, Optional, Sequence

from fifobus import errors
from fifobus.protocol.dialogue import Dialogue, State
from fifobus.transport.bus_locator import bus_fault, find_bus
from fifobus.transport.session_pipes import Buffer, SessionPipes, write_without_signal
from fifobus.transport.timer import TimerFd

# Between two tries, in seconds. A broker that restarts is found within a few
# milliseconds, one that is not there costs a handful of system calls a second.
_FIRST_DELAY = 0.002
_LAST_DELAY = 0.2

# A pair whose names are gone without an answer is given up after so many seconds: a
# broker that was just killed may have taken it.
_GREETING_PATIENCE = 1.0


class Connection:
    """All I/O of both clients. Thread-compatible."""

    def __init__(
        self, dialogue: Dialogue, directory: Optional[str], reconnect: bool
    ) -> None:
        self._dialogue = dialogue
        self._directory = directory
        self._reconnect = reconnect
        self._pipes: Optional[SessionPipes] = None
        self._bus = ""
        self._next_try = 0.0
        self._delay = _FIRST_DELAY
        self._greeting_since = 0.0
        self._writer_seen = False
        self._watching_room = False
        self._watching_down = False
        self._timer = TimerFd()
        self._epoll = select.epoll()
        self._epoll.register(self._timer.fileno(), select.EPOLLIN)
        dialogue.flush = self.flush

    def fileno(self) -> int:
        """Readable when there is something to do. Valid until close()."""
        return self._epoll.fileno()

    # Connecting

    def advance(self) -> None:
        """Does what can be done now about connecting, without waiting."""
        if self._dialogue.state == State.WAITING and self._is_time():
            self._try()
        if self._dialogue.state == State.GREETING:
            self._greet()

    def _is_time(self) -> bool:
        return time.monotonic() >= self._next_try

    def _try(self) -> None:
        dialogue = self._dialogue
        try:
            self._bus = find_bus(self._directory)
            self._pipes = SessionPipes(self._bus, dialogue.hello())
        except OSError as error:  # NoBroker is one too
            dialogue.state = State.WAITING
            dialogue.failure = errors.NoBroker(str(error))
            self._schedule()
            return
        self._watch_down(True)
        self._writer_seen = False
        self._greeting_since = time.monotonic()
        # A broker that is full keeps its last word and its growing delay.
        if not dialogue.turned_away:
            dialogue.failure = errors.NoBroker(
                f"the broker on {self._bus} has not answered"
            )
            self._delay = _FIRST_DELAY
        self._schedule()

    def _greet(self) -> None:
        """Reads until the broker's first frame is there."""
        assert self._pipes is not None
        while self._dialogue.state == State.GREETING:
            try:
                size = os.readv(self._pipes.down, [self._dialogue.space()])
            except BlockingIOError:
                self._writer_seen = True
                self._check_greeting(no_writer=False)
                return
            if size == 0:
                self._check_greeting(no_writer=True)
                return
            self._dialogue.filled(size)
        self._after_feed()
        if self._dialogue.state == State.OPEN:
            self._pipes.on_welcome()
            self._delay = _FIRST_DELAY
            self._timer.clear()
            self.flush()

    def _check_greeting(self, no_writer: bool) -> None:
        """No answer has come yet, and perhaps never will.

        Until the broker has opened `down` a read finds no writer, which then says
        nothing; afterwards it says that the broker is gone.
        """
        assert self._pipes is not None
        if no_writer and self._writer_seen:
            self._lose("the broker hung up")
            return
        if not self._is_time():
            return
        patient = time.monotonic() - self._greeting_since < _GREETING_PATIENCE
        fault = bus_fault(self._bus)
        if fault:
            self._lose(fault)
        elif no_writer and not patient and not self._pipes.names_exist():
            self._lose("the broker removed the session's pipes; its log says why")
        else:
            self._schedule()

    def _schedule(self) -> None:
        self._next_try = time.monotonic() + self._delay
        self._timer.set(self._delay)
        self._delay = min(2 * self._delay, _LAST_DELAY)

    def _lose(self, text: str) -> None:
        self._dialogue.lose(errors.Disconnected(text), again=self._reconnect)
        self._after_loss()

    def _after_loss(self) -> None:
        self._close_pipes()
        if self._dialogue.state == State.WAITING:
            self._schedule()

    def _close_pipes(self) -> None:
        # Closing a descriptor that nobody else has takes it out of epoll: epoll(7).
        # A fork may have it, so it is taken out first.
        self._watch_down(False)
        self.watch_room(False)
        if self._pipes is not None:
            self._pipes.close()
            self._pipes = None

    # Reading

    def read(self) -> int:
        """Reads once and feeds the Dialogue; how many bytes, 0: there were none."""
        if self._pipes is None or self._dialogue.state not in (
            State.OPEN,
            State.LEAVING,
        ):
            return 0
        try:
            size = os.readv(self._pipes.down, [self._dialogue.space()])
        except BlockingIOError:
            return 0
        if size == 0:
            self._on_down_ended()
            return 0
        self._dialogue.filled(size)
        self._after_feed()
        return size

    def _on_down_ended(self) -> None:
        """A subscriber that is ended for being slow may have been too slow to be told
        so: its pipe was full until the broker closed it. A broker that was killed and
        replaced before this client looked is taken for the same."""
        if self._dialogue.is_ended_for_being_slow and not bus_fault(self._bus):
            self._dialogue.end_for_being_slow()
            self._after_loss()
        else:
            self._lose("the broker is gone")

    def _after_feed(self) -> None:
        if self._dialogue.state in (State.WAITING, State.FAILED):
            self._after_loss()
        elif self._dialogue.goodbye_received and self._dialogue.state == State.OPEN:
            self._leave()

    def _leave(self) -> None:
        assert self._pipes is not None
        # What is not in the pipe by now would make the broker wait.
        flushed = self.flush()
        if self._pipes is None:
            return
        self._dialogue.leave(lost=not flushed or self._pipes.up_is_abandoned())
        self.watch_room(False)
        self._pipes.close_up()

    # Writing

    def flush(self) -> bool:
        """Writes of the Dialogue's `out` what the pipe takes; True: all of it."""
        out = self._dialogue.out
        while out:
            written = self.write([out])
            if written == 0:
                return not out  # a lost session has emptied it
            del out[:written]
        return True

    def write(self, parts: Sequence[Buffer]) -> int:
        """How many bytes of `parts` the pipe took; 0: none, or the session is lost."""
        if self._pipes is None or self._dialogue.state != State.OPEN:
            return 0
        try:
            return write_without_signal(self._pipes.up, parts)
        except BlockingIOError:
            return 0
        except BrokenPipeError:
            self._lose("the broker is gone")
            return 0

    # Waiting

    def wait(
        self, deadline: Optional[float], room: bool = False, down: bool = True
    ) -> None:
        """Waits for bytes (unless `down` says no), for room if wanted or needed, for
        another try, or until `deadline` (of time.monotonic; None: for ever)."""
        poll = select.poll()
        if self._pipes is not None:
            if down:
                poll.register(self._pipes.down, select.POLLIN)
            if (room or self._dialogue.out) and self._pipes.up >= 0:
                poll.register(self._pipes.up, select.POLLOUT)
        until = deadline
        if self._dialogue.state in (State.WAITING, State.GREETING):
            until = self._next_try if until is None else min(until, self._next_try)
        poll.poll(milliseconds_to(until))

    def watch_room(self, watch: bool) -> None:
        """Whether fileno() is readable when `up` has room."""
        if watch == self._watching_room or self._pipes is None or self._pipes.up < 0:
            return
        self._watching_room = watch
        if watch:
            self._epoll.register(self._pipes.up, select.EPOLLOUT)
        else:
            self._epoll.unregister(self._pipes.up)

    def watch_down(self, watch: bool) -> None:
        """Whether fileno() is readable when `down` has bytes."""
        if self._pipes is not None:
            self._watch_down(watch)

    def _watch_down(self, watch: bool) -> None:
        if watch == self._watching_down or self._pipes is None:
            return
        self._watching_down = watch
        if watch:
            self._epoll.register(self._pipes.down, select.EPOLLIN)
        else:
            self._epoll.unregister(self._pipes.down)

    def nudge(self, on: bool) -> None:
        """Whether fileno() is readable because something was read ahead."""
        if self._dialogue.state not in (State.OPEN, State.LEAVING):
            return  # the timer is for the next try
        if on:
            self._timer.set(0)
        else:
            self._timer.clear()

    def close(self) -> None:
        """Ends the session; nothing is valid afterwards."""
        self._close_pipes()
        self._timer.close()
        self._epoll.close()


def milliseconds_to(deadline: Optional[float]) -> Optional[float]:
    """For poll: rounded up, so that it does not spin through the last millisecond."""
    if deadline is None:
        return None
    return max(0.0, min(deadline - time.monotonic(), 3600.0)) * 1000 + 0.999


def without_front(parts: Sequence[Buffer], written: int) -> List[Buffer]:
    """What is left of `parts` behind their first `written` bytes."""
    rest: List[Buffer] = []
    for part in parts:
        if written >= len(part):
            written -= len(part)
        else:
            rest.append(memoryview(part)[written:])
            written = 0
    return rest
