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
from fifobus.transport import noted
from fifobus.transport.bus_locator import bus_fault, find_bus
from fifobus.transport.forks import forget_in_child
from fifobus.transport.session_pipes import SessionPipes
from fifobus.transport.timer import TimerFd, milliseconds_to

# Between two tries, in seconds. A broker that restarts is found within a few
# milliseconds, one that is not there costs a handful of system calls a second.
_FIRST_DELAY = 0.002
_LAST_DELAY = 0.2

# A pair whose names are gone without an answer is given up after so many seconds: a
# broker that was just killed may have taken it.
_GREETING_PATIENCE = 1.0

_NOTHING_THERE = -1


class Connection:
    """All I/O of both clients. Thread-compatible.

    An exception from a signal handler may end any of its methods anywhere. Bytes are
    neither lost nor doubled by that, see Outbox and FrameDecoder. If it ends a change
    of the session itself, that session is given up and another one made.
    """

    def __init__(
        self, dialogue: Dialogue, directory: Optional[str], reconnect: bool
    ) -> None:
        self._dialogue = dialogue
        self._directory = directory
        self._reconnect = reconnect
        self._pid = os.getpid()
        self._pipes: Optional[SessionPipes] = None
        self._bus = ""
        self._looking_fds: List[int] = []  # open as long as a broker is looked for
        self._next_try = 0.0
        self._delay = _FIRST_DELAY
        self._greeting_since = 0.0
        self._writer_seen = False
        # A change of the session has begun and is not finished.
        self._is_changing = False
        self._watching_room = False
        self._watching_down = False
        self._timer = TimerFd()
        self._epoll = select.epoll()
        self._epoll.register(self._timer.fileno(), select.EPOLLIN)
        forget_in_child(self)

    def fileno(self) -> int:
        """Readable when there is something to do. Valid until close()."""
        return self._epoll.fileno()

    # Connecting

    def advance(self) -> None:
        """Does what can be done now about connecting, without waiting."""
        dialogue = self._dialogue
        if self._is_changing:
            self._give_up()
        if dialogue.state in (State.WAITING, State.GREETING):
            self._is_changing = True
            if dialogue.state is State.WAITING and self._is_time():
                self._try()
            if dialogue.state is State.GREETING:
                self._greet()
            self._is_changing = False

    def _is_time(self) -> bool:
        return time.monotonic() >= self._next_try

    def _try(self) -> None:
        dialogue = self._dialogue
        try:
            self._bus = find_bus(self._directory, self._looking_fds)
            self._pipes = SessionPipes(self._bus)
            self._pipes.offer(dialogue.hello())
        except OSError as error:  # NoBroker is one too
            self._close_pipes()
            dialogue.state = State.WAITING
            dialogue.failure = errors.NoBroker(str(error))
            self._schedule()
            return
        self.watch_down(True)
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
        dialogue = self._dialogue
        while dialogue.state is State.GREETING and dialogue.verdict is None:
            size = self._read_down()
            if size == _NOTHING_THERE:
                self._writer_seen = True
            if size <= 0:
                self._check_greeting(no_writer=size == 0)
                return
        if dialogue.verdict is not None:
            dialogue.lose(dialogue.verdict, again=False)
        if dialogue.state is not State.OPEN:
            self._after_loss()
            return
        self._pipes.on_welcome()
        self._delay = _FIRST_DELAY
        self._timer.clear()
        self._flush()
        self._heed_last_words()

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
        fault = bus_fault(self._bus, self._looking_fds)
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

    def _lose(self, text: str, reads_on: bool = False) -> None:
        """`reads_on`: the broker will read what is in `up`."""
        unread = 0 if self._pipes is None or reads_on else self._pipes.unread()
        error = errors.Disconnected(text)
        self._dialogue.lose(error, self._reconnect, unread=unread, reads_on=reads_on)
        self._after_loss()

    def _after_loss(self) -> None:
        self._close_pipes()
        if self._dialogue.state is State.WAITING:
            self._schedule()

    def _give_up(self) -> None:
        """An exception came in the midst of a change: what the session is now, nobody
        knows."""
        dialogue = self._dialogue
        if dialogue.state in (State.OPEN, State.LEAVING, State.GREETING):
            dialogue.take()
            reads_on = self._pipes is not None and self._pipes.has_reader()
            text = "a call was interrupted when the session began or ended"
            self._lose(text, reads_on)
        elif dialogue.state is State.WAITING:
            self._after_loss()
        else:
            self._close_pipes()
        self._is_changing = False

    def _close_pipes(self) -> None:
        # Closing a descriptor that nobody else has takes it out of epoll: epoll(7).
        # A fork may have it, so it is taken out first.
        self.watch_down(False)
        self.watch_room(False)
        if self._pipes is not None:
            self._pipes.close()
            self._pipes = None
        self._watching_down = self._watching_room = False
        noted.close_all(self._looking_fds)

    # Reading

    def read(self) -> int:
        """Reads once and feeds the Dialogue; how many bytes, 0: there were none."""
        if self._is_changing:
            self._give_up()
        if self._pipes is None or self._dialogue.state not in (
            State.OPEN,
            State.LEAVING,
        ):
            return 0
        # What an interrupted call has read and not taken comes first.
        left = self._dialogue.take()
        size = self._read_down()
        if size == 0:
            self._is_changing = True
            self._on_down_ended()
            self._is_changing = False
        else:
            self._heed_last_words()
        return max(size, int(left))

    def _read_down(self) -> int:
        """How many bytes came and were taken; 0: the end, or _NOTHING_THERE."""
        assert self._pipes is not None
        decoder = self._dialogue.decoder
        space = decoder.space()
        sizes = decoder.sizes
        try:
            noted.read(sizes, self._pipes.down, space)
        except BlockingIOError:
            return _NOTHING_THERE
        size = sizes[-1]
        self._dialogue.take()
        return size

    def _on_down_ended(self) -> None:
        """A subscriber that is ended for being slow may have been too slow to be told
        so: its pipe was full until the broker closed it. A broker that was killed and
        replaced before this client looked is taken for the same."""
        if self._dialogue.is_ended_for_being_slow and not bus_fault(
            self._bus, self._looking_fds
        ):
            unread = 0 if self._pipes is None else self._pipes.unread()
            self._dialogue.end_for_being_slow(unread)
            self._after_loss()
        else:
            self._lose("the broker is gone")

    def _heed_last_words(self) -> None:
        """Ends the session, or what is written in it, if the broker said so."""
        dialogue = self._dialogue
        if dialogue.verdict is not None:
            self._is_changing = True
            unread = 0 if self._pipes is None else self._pipes.unread()
            dialogue.lose(dialogue.verdict, again=False, unread=unread)
            self._after_loss()
            self._is_changing = False
        elif dialogue.goodbye_received and dialogue.state is State.OPEN:
            self._is_changing = True
            self._leave()
            self._is_changing = False

    def _leave(self) -> None:
        assert self._pipes is not None
        # What is not in the pipe by now would make the broker wait.
        self._flush()
        if self._pipes is None or self._dialogue.state is not State.OPEN:
            return
        error = errors.Disconnected("the broker is stopping")
        # What was written is read and passed on, unless it has stopped by now.
        unread = 0 if self._pipes.has_reader() else self._pipes.unread()
        self._dialogue.leave(error, unread, reads_on=True)
        self.watch_room(False)
        self._pipes.close_up()

    # Writing

    def flush(self) -> bool:
        """Writes of the Dialogue's `out` what the pipe takes; True: all of it."""
        if self._is_changing:
            self._give_up()
        return self._flush()

    def _flush(self) -> bool:
        if self._pipes is None or self._dialogue.state is not State.OPEN:
            return not self._dialogue.out
        try:
            return self._dialogue.out.flush(self._pipes.up)
        except BrokenPipeError:
            self._on_up_broken()
            return True  # nothing is left: what there was is taken back

    def offer(self, frame: Sequence[bytes]) -> bool:
        """Whether the pipe has taken a byte of `frame`; then the rest of it is in the
        Dialogue's `out`. False also if the session is lost. REQUIRES: `out` is empty.
        """
        if self._is_changing:
            self._give_up()
        if self._pipes is None or self._dialogue.state is not State.OPEN:
            return False
        try:
            return self._dialogue.out.offer(self._pipes.up, frame)
        except BrokenPipeError:
            self._on_up_broken()
            return False

    def _on_up_broken(self) -> None:
        """Nobody reads `up` any more. What the broker said before that is in `down`."""
        assert self._pipes is not None
        self._is_changing = True
        self.watch_room(False)
        error = errors.Disconnected("the broker is gone")
        self._dialogue.leave(error, self._pipes.unread(), reads_on=False)
        self._pipes.close_up()
        self._is_changing = False
        while self.read() > 0:
            pass

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
        self._watch(self._pipes.up, select.EPOLLOUT if watch else 0)
        self._watching_room = watch

    def watch_down(self, watch: bool) -> None:
        """Whether fileno() is readable when `down` has bytes."""
        if watch == self._watching_down or self._pipes is None or self._pipes.down < 0:
            return
        self._watch(self._pipes.down, select.EPOLLIN if watch else 0)
        self._watching_down = watch

    def _watch(self, fd: int, events: int) -> None:
        try:
            if events:
                self._epoll.register(fd, events)
            else:
                self._epoll.unregister(fd)
        except (FileExistsError, FileNotFoundError):
            pass  # an interrupted call has done it

    def nudge(self, on: bool) -> None:
        """Whether fileno() is readable because something was read ahead."""
        if self._dialogue.state not in (State.OPEN, State.LEAVING):
            return  # the timer is for the next try
        if on:
            self._timer.set(0)
        else:
            self._timer.clear()

    @property
    def closed(self) -> bool:
        return self._epoll.closed

    def close(self) -> None:
        """Ends the session; nothing is valid afterwards. May be called again."""
        self._close_pipes()
        self._timer.close()
        self._epoll.close()

    def forget(self) -> None:
        """In the child of a fork: closes what it has inherited of the session, which
        goes on with the parent. That shares the epoll and the timer, so that these are
        closed as they are."""
        if self.closed:
            return
        self._dialogue.forget(
            errors.Misuse(
                f"this client is that of process {self._pid}; a child of a fork needs "
                "one of its own"
            )
        )
        if self._pipes is not None:
            self._pipes.forget()
            self._pipes = None
        self._timer.close()
        self._epoll.close()
