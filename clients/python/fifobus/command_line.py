"""The options of python3 -m fifobus: names and meanings are those of the program's."""

from __future__ import annotations

import argparse
import re
from typing import Optional, Tuple

from fifobus.protocol.control import Overflow
from fifobus.protocol.message import AckOptions, Will

_UNITS = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def duration(text: str) -> float:
    """Seconds of "500ms", "2s", "1.5m" or a bare number of seconds."""
    parts = re.fullmatch(r"([0-9]+\.?[0-9]*|\.[0-9]+)(ms|s|m|h|)", text)
    if not parts:
        raise argparse.ArgumentTypeError(
            f'"{text}" is not a duration; examples: 500ms 2s 1.5m'
        )
    return float(parts[1]) * _UNITS[parts[2]]


def header(text: str) -> Tuple[str, str]:
    """The name and value of "name=value"."""
    name, separator, value = text.partition("=")
    if not separator or not name:
        raise argparse.ArgumentTypeError(
            f'"{text}" is no header; example: --header unit=celsius'
        )
    return name, value


def number(text: str) -> int:
    """Not negative."""
    if not re.fullmatch("[0-9]+", text):
        raise argparse.ArgumentTypeError(f'"{text}" is no number')
    return int(text)


def positive(text: str) -> int:
    value = number(text)
    if value == 0:
        raise argparse.ArgumentTypeError("it is at least 1")
    return value


def overflow(text: str) -> Overflow:
    try:
        return Overflow[text.replace("-", "_").upper()]
    except KeyError:
        raise argparse.ArgumentTypeError(
            f'"{text}" is none of drop-oldest, drop-newest, latest, disconnect, block'
        ) from None


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="python3 -m fifobus",
        description="A client of the message broker over named pipes.",
        epilog="Exit codes: 0 done, 1 failed, 2 wrong usage, 3 timed out.",
    )
    commands = top.add_subparsers(dest="command", required=True)
    bus = argparse.ArgumentParser(add_help=False)
    bus.add_argument("--dir", help="the bus [$FIFOBUS_DIR, or where a broker runs]")
    _add_duration(bus, "--connect-timeout", "how long to wait for a broker [5s]", 5.0)
    bus.add_argument(
        "--will-topic",
        metavar="TOPIC",
        help="the broker publishes there when this process dies",
    )
    bus.add_argument(
        "--will-payload", default="", metavar="MESSAGE", help="what it publishes then"
    )
    bus.add_argument(
        "--will-retain", action="store_true", help="and keeps as the retained value"
    )
    _add_pub(commands.add_parser("pub", parents=[bus], help="publish messages"))
    _add_sub(commands.add_parser("sub", parents=[bus], help="print messages"))
    return top


def _add_duration(
    command: argparse.ArgumentParser,
    name: str,
    text: str,
    default: Optional[float] = None,
) -> None:
    command.add_argument(
        name, type=duration, default=default, metavar="DURATION", help=text
    )


def _add_pub(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    add("topic")
    source = command.add_mutually_exclusive_group()
    source.add_argument(
        "message",
        nargs="?",
        help="the payload; without it each line of standard input is one message",
    )
    source.add_argument(
        "--raw", action="store_true", help="all of standard input is one message"
    )
    source.add_argument(
        "-0",
        "--null",
        action="store_true",
        help="messages on standard input end with a NUL, not a newline",
    )
    add(
        "--repeat",
        type=number,
        metavar="N",
        help="publish MESSAGE so many times; 0: until it is ended [1]",
    )
    add("--retain", action="store_true", help="also keep it for later subscribers")
    add("--header", type=header, action="append", default=[], metavar="NAME=VALUE")
    add("--content-type", default="", metavar="TYPE", help="the payload's media type")
    _add_duration(
        command, "--expire", "not delivered to anybody later than this from now"
    )
    add(
        "--confirm",
        action="store_true",
        help='print "accepted SESSIONS TAPS" when the broker has taken a message',
    )
    add(
        "--wait-subscribers",
        type=number,
        default=0,
        metavar="N",
        help="publish when the topic has so many",
    )
    _add_duration(
        command,
        "--timeout",
        "how long to wait for subscribers, and for each confirmation",
    )


def _add_sub(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    add(
        "pattern",
        nargs="+",
        help="a topic; a level may be * (any one), the last ** (any)",
    )
    add("-n", "--count", type=positive, help="end after so many messages")
    _add_duration(command, "--timeout", "end with exit code 3")
    add("--fail-on-gap", action="store_true", help="end with 1 when messages are lost")
    add("--no-retained", action="store_true", help="do not begin with retained values")
    form = command.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="one JSON object a line")
    form.add_argument("--raw", action="store_true", help="no newline behind payloads")
    form.add_argument("-0", "--null", action="store_true", help="a NUL behind payloads")
    add("--show-topic", action="store_true", help="the topic before each payload")
    add(
        "--show-retained",
        action="store_true",
        help='"retained " before what was published earlier',
    )
    mode = command.add_mutually_exclusive_group()
    mode.add_argument("--non-blocking", action="store_true", help="poll, in a loop")
    mode.add_argument("--busy-poll", action="store_true", help="spin: lowest latency")
    _add_group(command)
    add(
        "--overflow",
        type=overflow,
        default=Overflow.UNSPECIFIED,
        metavar="POLICY",
        help="when it is too slow: drop-oldest, drop-newest, latest, disconnect, block",
    )
    for name in ("--queue-bytes", "--queue-messages"):
        add(name, type=positive, default=0, metavar="N", help="the broker's at most")


def _add_group(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    add("--group", default="", help="share the messages with a group")
    add(
        "--ack",
        action="store_true",
        help="acknowledge each message when it was written out",
    )
    _add_duration(
        command, "--ack-timeout", "deliver again what was not acknowledged [30s]", 0.0
    )
    for name in ("--max-deliveries", "--unacked"):
        add(name, type=positive, default=0, metavar="N", help="as the program's")


def fault(options: argparse.Namespace) -> str:
    """What argparse cannot say about options that need or exclude each other."""
    if not options.will_topic and (options.will_payload or options.will_retain):
        return "--will-payload and --will-retain need --will-topic"
    if options.command == "pub":
        needs_message = options.repeat is not None and options.message is None
        return "--repeat needs MESSAGE" if needs_message else ""
    if options.json and (options.show_topic or options.show_retained):
        return "--json excludes --show-topic and --show-retained"
    if options.ack and not options.group:
        return "--ack needs --group"
    needs_ack = options.ack_timeout or options.max_deliveries or options.unacked
    if needs_ack and not options.ack:
        return "--ack-timeout, --max-deliveries and --unacked need --ack"
    return ""


def will_of(options: argparse.Namespace) -> Optional[Will]:
    if not options.will_topic:
        return None
    return Will(options.will_topic, options.will_payload, options.will_retain)


def acks_of(options: argparse.Namespace) -> Optional[AckOptions]:
    if not options.ack:
        return None
    return AckOptions(options.unacked, options.ack_timeout, options.max_deliveries)
