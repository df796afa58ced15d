"""python3 -m fifobus pub|sub: the command line where there is no `fifobus`.

Options, output and exit codes are those of the program of that name. It lacks `pub
--json` and `--rate`, and `sub --format`, `--exec` and `--exec-stream`.
"""

from __future__ import annotations

import argparse
import os
import select
import stat
import sys
import time
from typing import Callable, List, Optional, Sequence

from fifobus import errors
from fifobus.client import Client
from fifobus.client_session import Mode
from fifobus.command_line import acks_of, fault, parser, will_of
from fifobus.protocol.message import Gap, Message, json_line

DONE, FAILED, USAGE, TIMED_OUT = 0, 1, 2, 3

_OUTPUT_BYTES = 64 << 10
# How long --busy-poll spins before it looks whether its output is still read.
SPIN_SECONDS = 0.1


def report_gap(gap: Gap) -> None:
    print(f"fifobus: {gap}", file=sys.stderr)


class GapFailure(Exception):
    """A gap, where --fail-on-gap makes it the end."""


def fail_on_gap(gap: Gap) -> None:
    report_gap(gap)
    raise GapFailure


# pub


def pub(options: argparse.Namespace) -> int:
    with Client(
        options.dir,
        name="python3 -m fifobus pub",
        connect_timeout=options.connect_timeout,
        will=will_of(options),
        on_gap=report_gap,
    ) as client:
        if options.wait_subscribers:
            client.wait_for_subscribers(
                options.topic, options.wait_subscribers, options.timeout
            )
        publisher = Publisher(client, options)
        if options.message is not None:
            publisher.repeat(os.fsencode(options.message), options.repeat)
        elif options.raw:
            publisher.publish(sys.stdin.buffer.read())
        else:
            publish_parts(client, publisher.publish, b"\0" if options.null else b"\n")
        return end_of_publishing(client)


class Publisher:
    """Numbers, stamps and publishes, and prints confirmations if they are wanted."""

    def __init__(self, client: Client, options: argparse.Namespace) -> None:
        self._client = client
        self._options = options
        self._sequence = 0

    def publish(self, payload: bytes) -> None:
        options = self._options
        self._sequence += 1
        forever = float(1 << 31)
        confirmation = self._client.publish(
            options.topic,
            payload,
            headers=options.header,
            content_type=options.content_type,
            expiry=options.expire,
            retain=options.retain,
            sequence=self._sequence,
            publish_time_unix_nanos=time.time_ns(),
            confirm=options.confirm,
            timeout=(options.timeout or forever) if options.confirm else None,
        )
        if confirmation is not None:
            sessions, taps = confirmation.sessions, confirmation.taps
            write_out([b"accepted %d %d\n" % (sessions, taps)])

    def repeat(self, payload: bytes, times: Optional[int]) -> None:
        left = 1 if times is None else times
        with self._client.batch():
            while True:
                self.publish(payload)
                left -= 1
                if left == 0:
                    return


def end_of_publishing(client: Client) -> int:
    """Waits until the broker has read everything: a refusal comes behind what was
    written. What it has not read within a second, because subscribers are slow, it
    reads when this process is gone."""
    try:
        client.ping(1.0)
    except (errors.TimedOut, errors.Disconnected) as error:
        if isinstance(error, errors.SessionRefused):
            raise
    if client.publish_losses == 0:
        return DONE
    print(
        "fifobus: the broker went away meanwhile; an unknown number of messages is lost",
        file=sys.stderr,
    )
    return FAILED


def publish_parts(
    client: Client, publish: Callable[[bytes], None], separator: bytes
) -> None:
    """What is there is published as one batch: nobody waits for a line to go out, and a
    fast writer does not pay a system call for each."""
    rest = b""
    while True:
        data = os.read(0, 64 << 10)
        if not data:
            break
        lines = (rest + data).split(separator)
        rest = lines.pop()
        with client.batch():
            for line in lines:
                publish(line)
    if rest:
        publish(rest)


# sub


def sub(options: argparse.Namespace) -> int:
    with Client(
        options.dir,
        name="python3 -m fifobus sub",
        connect_timeout=options.connect_timeout,
        overflow=options.overflow,
        queue_bytes_max=options.queue_bytes,
        queue_messages_max=options.queue_messages,
        will=will_of(options),
        on_gap=fail_on_gap if options.fail_on_gap else report_gap,
    ) as client:
        for pattern in options.pattern:
            client.subscribe(
                pattern,
                group=options.group,
                acks=acks_of(options) or False,
                skip_retained=options.no_retained,
            )
        if options.busy_poll:
            client.mode = Mode.BUSY_POLL
        try:
            return print_messages(client, options)
        except GapFailure:
            return FAILED


def print_messages(client: Client, options: argparse.Namespace) -> int:
    """Output is written whenever no message is waiting."""
    deadline = None
    if options.timeout is not None:
        deadline = time.monotonic() + options.timeout
    lines: List[bytes] = []
    unacked: List[Message] = []
    size = received = 0
    ready = select.poll()
    ready.register(client, select.POLLIN)
    if may_hang_up(1):
        ready.register(1, 0)  # POLLERR comes unasked: nobody reads what is printed
    while options.count is None or received < options.count:
        try:
            message = client.receive_nowait()
        except BlockingIOError:
            write_out(lines, unacked)
            size = 0
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                return TIMED_OUT
            if not options.busy_poll:
                polled = ready.poll(None if left is None else left * 1000 + 0.999)
                if any(fd == 1 for fd, _ in polled):
                    return DONE
                continue
            if any(fd == 1 for fd, _ in ready.poll(0)):
                return DONE
            try:
                message = client.receive(SPIN_SECONDS if left is None else left)
            except TimeoutError:
                continue
        received += 1
        lines.append(text_of(message, options))
        if message.ack_id:
            unacked.append(message)
        size += len(lines[-1])
        if size >= _OUTPUT_BYTES:
            write_out(lines, unacked)
            size = 0
    write_out(lines, unacked)
    return DONE


def may_hang_up(fd: int) -> bool:
    """Whether polling it can tell that its reader is gone."""
    try:
        mode = os.fstat(fd).st_mode
    except OSError:
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)


def text_of(message: Message, options: argparse.Namespace) -> bytes:
    if options.json:
        return json_line(message)
    retained = b"retained " if options.show_retained and message.retained else b""
    topic = f"{message.topic} ".encode() if options.show_topic else b""
    end = b"" if options.raw else b"\0" if options.null else b"\n"
    return retained + topic + message.payload + end


def write_out(lines: List[bytes], unacked: Sequence[Message] = ()) -> None:
    """Writes all lines, and acknowledges the messages that they are of. Raises OSError.
    Not by sys.stdout, which would try again at the end."""
    text = memoryview(b"".join(lines))
    lines.clear()
    while text:
        text = text[os.write(1, text) :]
    for message in unacked:
        message.ack()
    if isinstance(unacked, list):
        unacked.clear()


# The command line


def hold_standard_descriptors() -> None:
    """One that is closed would be the next FIFO's, and output would go to the broker.
    Opened the wrong way round, reading and writing fail as they should."""
    for fd in (0, 1, 2):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDONLY if fd else os.O_WRONLY)


def main(arguments: Optional[List[str]] = None) -> int:
    hold_standard_descriptors()
    options = parser().parse_args(arguments)
    wrong = fault(options)
    if wrong:
        parser().error(wrong)
    try:
        return pub(options) if options.command == "pub" else sub(options)
    except errors.TimedOut as error:
        print(f"fifobus: {error}", file=sys.stderr)
        return TIMED_OUT
    except errors.FifobusError as error:
        print(f"fifobus: {error}", file=sys.stderr)
        return FAILED
    except BrokenPipeError:  # `| head -1` is no failure
        return DONE
    except OSError as error:
        print(f"fifobus: standard output: {error.strerror}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
