"""python3 -m fifobus pub|sub: the command line where there is no `fifobus`.

Options, output and exit codes are those of the program of that name.
"""

from __future__ import annotations

import argparse
import os
import re
import select
import stat
import sys
import time
from typing import Callable, List, Optional, Tuple

from fifobus import errors
from fifobus.client import Client
from fifobus.client_session import Mode
from fifobus.protocol.message import Gap, Message, json_line

DONE, FAILED, USAGE, TIMED_OUT = 0, 1, 2, 3

_UNITS = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_OUTPUT_BYTES = 64 << 10
# How long --busy-poll spins before it looks whether its output is still read.
SPIN_SECONDS = 0.1


def duration(text: str) -> float:
    """Seconds of "500ms", "2s", "1.5m" or a bare number of seconds."""
    parts = re.fullmatch(r"([0-9.]+)(ms|s|m|h|)", text)
    if not parts:
        raise argparse.ArgumentTypeError(
            f'"{text}" is not a duration; examples: 500ms 2s 1.5m'
        )
    return float(parts[1]) * _UNITS[parts[2]]


def header(text: str) -> Tuple[str, str]:
    """The name and value of "name=value"."""
    name, separator, value = text.partition("=")
    if not separator:
        raise argparse.ArgumentTypeError(f'"{text}" is not NAME=VALUE')
    return name, value


def report_gap(gap: Gap) -> None:
    print(f"fifobus: {gap}", file=sys.stderr)


def connect(options: argparse.Namespace, name: str) -> Client:
    return Client(
        options.dir,
        name=name,
        connect_timeout=options.connect_timeout,
        on_gap=report_gap,
    )


# pub


def pub(options: argparse.Namespace) -> int:
    with connect(options, "python3 -m fifobus pub") as client:
        sequence = 0

        def publish(payload: bytes) -> None:
            nonlocal sequence
            sequence += 1
            client.publish(
                options.topic,
                payload,
                headers=options.header,
                content_type=options.content_type,
                expiry=options.expire,
                retain=options.retain,
                sequence=sequence,
                publish_time_unix_nanos=time.time_ns(),
            )

        if options.message is not None:
            publish(os.fsencode(options.message))
        elif options.raw:
            publish(sys.stdin.buffer.read())
        else:
            publish_parts(client, publish, b"\0" if options.null else b"\n")
        return end_of_publishing(client)


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
    with connect(options, "python3 -m fifobus sub") as client:
        for pattern in options.pattern:
            client.subscribe(pattern, group=options.group)
        if options.busy_poll:
            client.mode = Mode.BUSY_POLL
        return print_messages(client, options)


def print_messages(client: Client, options: argparse.Namespace) -> int:
    """Output is written whenever no message is waiting."""
    deadline = None
    if options.timeout is not None:
        deadline = time.monotonic() + options.timeout
    lines: List[bytes] = []
    size = received = 0
    ready = select.poll()
    ready.register(client, select.POLLIN)
    if may_hang_up(1):
        ready.register(1, 0)  # POLLERR comes unasked: nobody reads what is printed
    while options.count is None or received < options.count:
        try:
            message = client.receive_nowait()
        except BlockingIOError:
            write_out(lines)
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
        size += len(lines[-1])
        if size >= _OUTPUT_BYTES:
            write_out(lines)
            size = 0
    write_out(lines)
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
    topic = f"{message.topic} ".encode() if options.show_topic else b""
    return topic + message.payload + (b"" if options.raw else b"\n")


def write_out(lines: List[bytes]) -> None:
    """Raises OSError. Not by sys.stdout, which would try again at the end."""
    text = memoryview(b"".join(lines))
    lines.clear()
    while text:
        text = text[os.write(1, text) :]


# The command line


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="python3 -m fifobus",
        description="A client of the message broker over named pipes.",
        epilog="Exit codes: 0 done, 1 failed, 2 wrong usage, 3 timed out.",
    )
    commands = top.add_subparsers(dest="command", required=True)
    bus = argparse.ArgumentParser(add_help=False)
    bus.add_argument("--dir", help="the bus [$FIFOBUS_DIR, or where a broker runs]")
    bus.add_argument(
        "--connect-timeout",
        type=duration,
        default=5.0,
        metavar="DURATION",
        help="how long to wait for a broker [5s]",
    )
    add_pub(commands.add_parser("pub", parents=[bus], help="publish messages"))
    add_sub(commands.add_parser("sub", parents=[bus], help="print messages"))
    return top


def add_pub(command: argparse.ArgumentParser) -> None:
    command.add_argument("topic")
    command.add_argument(
        "message",
        nargs="?",
        help="the payload; without it each line of standard input is one message",
    )
    command.add_argument(
        "--raw", action="store_true", help="all of standard input is one message"
    )
    command.add_argument(
        "--retain", action="store_true", help="also keep it for later subscribers"
    )
    command.add_argument(
        "--header", type=header, action="append", default=[], metavar="NAME=VALUE"
    )
    command.add_argument(
        "--expire",
        type=duration,
        metavar="DURATION",
        help="not delivered to anybody later than this from now",
    )
    command.add_argument(
        "--content-type",
        default="",
        metavar="TYPE",
        help="the payload's media type, such as application/json",
    )
    command.add_argument(
        "--null",
        "-0",
        action="store_true",
        help="messages on standard input end with a NUL, not a newline",
    )
    command.set_defaults(run=pub)


def add_sub(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "pattern",
        nargs="+",
        help="a topic; a level may be * (any one), the last ** (any)",
    )
    command.add_argument("-n", "--count", type=int, help="end after so many messages")
    command.add_argument(
        "--timeout", type=duration, metavar="DURATION", help="end with exit code 3"
    )
    command.add_argument("--group", default="", help="share the messages with a group")
    command.add_argument("--json", action="store_true", help="one JSON object a line")
    command.add_argument(
        "--show-topic", action="store_true", help="the topic before each payload"
    )
    command.add_argument(
        "--raw", action="store_true", help="no newline behind payloads"
    )
    mode = command.add_mutually_exclusive_group()
    mode.add_argument("--non-blocking", action="store_true", help="poll, in a loop")
    mode.add_argument("--busy-poll", action="store_true", help="spin: lowest latency")
    command.set_defaults(run=sub)


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
    try:
        return int(options.run(options))
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
