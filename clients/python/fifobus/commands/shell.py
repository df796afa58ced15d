"""Commands of /bin/sh as children of sub, and the signals that end both."""

from __future__ import annotations

import ctypes
import os
import select
import signal
import subprocess
from typing import Dict, List, NoReturn, Optional, Tuple, Union

from fifobus.protocol.message import Message

_HEADER_PREFIX = b"FIFOBUS_HEADER_"
_PR_SET_PDEATHSIG = 1  # prctl(2)
_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def _header_variable(name: str) -> bytes:
    """ "trace-id" becomes "FIFOBUS_HEADER_TRACE_ID"."""
    byte_values = name.upper().encode()
    text = bytes(c if c < 128 and chr(c).isalnum() else ord("_") for c in byte_values)
    return _HEADER_PREFIX + text


def variables_of(message: Message) -> Dict[bytes, bytes]:
    """A message's metadata as a command's environment. A value ends where it has a
    NUL."""
    variables = {
        b"FIFOBUS_TOPIC": message.topic.encode(),
        b"FIFOBUS_SEQUENCE": b"%d" % message.sequence,
        b"FIFOBUS_PUBLISH_TIME_UNIX_NANOS": b"%d" % message.publish_time_unix_nanos,
        b"FIFOBUS_REPLY_TOPIC": message.reply_topic.encode(),
        b"FIFOBUS_CONTENT_TYPE": message.content_type.encode(),
        b"FIFOBUS_RETAINED": b"%d" % message.retained,
        b"FIFOBUS_DELIVERY_COUNT": b"%d" % message.delivery_count,
    }
    if message.offset:
        stored_time = b"%d" % message.stored_time_unix_nanos
        variables[b"FIFOBUS_OFFSET"] = b"%d" % message.offset
        variables[b"FIFOBUS_STORED_TIME_UNIX_NANOS"] = stored_time
    for name, value in message.header_list:
        variables[_header_variable(name)] = value
    return {name: value.partition(b"\0")[0] for name, value in variables.items()}


class ShellChild:
    """A command of /bin/sh whose standard input is a pipe that does not block.

    It is a process group of its own. When the command has ended, what it has left
    running dies. close() kills all of the group. Single-threaded.
    """

    def __init__(
        self, command: str, variables: Optional[Dict[bytes, bytes]] = None
    ) -> None:
        """Raises OSError. The FIFOBUS_HEADER_* of this process are not passed on: they
        belong to another message."""
        environment = {
            name: value
            for name, value in os.environb.items()
            if not name.startswith(_HEADER_PREFIX)
        }
        environment.update(variables or {})
        libc = ctypes.CDLL(None)
        parent = os.getpid()

        def become_group() -> None:
            os.setpgid(0, 0)
            libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))
            if os.getppid() != parent:  # it died before the line above
                os._exit(127)

        # Standard output is inherited.
        self._process = subprocess.Popen(
            ["/bin/sh", "-c", os.fsencode(command)],
            bufsize=0,
            stdin=subprocess.PIPE,
            env=environment,
            preexec_fn=become_group,
        )
        self._reaped = False
        assert self._process.stdin is not None
        self._stdin = self._process.stdin
        os.set_blocking(self._stdin.fileno(), False)
        try:
            self.end_fd = os.pidfd_open(self._process.pid)
        except BaseException:
            self._kill()
            raise

    @property
    def input_fd(self) -> int:
        """-1: closed."""
        return -1 if self._stdin.closed else self._stdin.fileno()

    def write(self, data: Union[bytes, memoryview]) -> Optional[int]:
        """How much its pipe takes now. None: it does not want the rest."""
        try:
            return os.write(self._stdin.fileno(), data)
        except BlockingIOError:
            return 0
        except OSError:
            return None

    def close_input(self) -> None:
        self._stdin.close()

    def reap(self) -> Optional[int]:
        """If it has ended: 0 to 255, or 128 + the signal's number."""
        if not self._reaped:
            options = os.WEXITED | os.WNOHANG | os.WNOWAIT
            if os.waitid(os.P_PID, self._process.pid, options) is None:
                return None
            self._kill()  # its children, if it left any
        code = self._process.returncode
        return code if code >= 0 else 128 - code

    def close(self) -> None:
        self.close_input()
        if not self._reaped:
            self._kill()
        if self.end_fd >= 0:
            os.close(self.end_fd)
            self.end_fd = -1

    def _kill(self) -> None:
        # Not yet reaped, its number is still its group's and nobody else's.
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self._process.wait()
        self._reaped = True


def exit_text(exit_code: int) -> str:
    if exit_code > 128:
        return f"signal {exit_code - 128}"
    return f"exit status {exit_code}"


class StopSignals:
    """From now on SIGTERM, SIGINT and SIGHUP do nothing but make `fd` readable. One
    that was ignored when the process started stays ignored. Main thread only."""

    def __init__(self) -> None:
        self.fd, self._written = os.pipe()
        for end in (self.fd, self._written):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(self._written, warn_on_full_buffer=False)
        for number in _STOP_SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, lambda *_: None)

    def watch(self) -> Tuple[int, int]:
        return (self.fd, select.POLLIN)

    def taken(self) -> int:
        """The signal that has come; 0: none."""
        try:
            numbers: List[int] = list(os.read(self.fd, 16))
        except BlockingIOError:
            return 0
        return next((number for number in numbers if number in _STOP_SIGNALS), 0)


def end_by_signal(number: int) -> NoReturn:
    """Ends this process as if the signal had not been taken, so that a shell sees that,
    say, a loop is to end as well."""
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    os._exit(128 + number)
