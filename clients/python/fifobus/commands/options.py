"""The options of python3 -m fifobus: names and meanings are those of the program's."""

from __future__ import annotations

import argparse
from typing import Any, Dict, List, Optional, Sequence, Set, Tuple

from fifobus.commands import values
from fifobus.commands.template import Template
from fifobus.protocol.control import Overflow
from fifobus.protocol.message import AckOptions

# What is not given.
_DEFAULTS: Dict[str, Dict[str, Any]] = {
    "pub": {
        "repeat": 1,
        "header": [],
        "content_type": "",
        "wait_subscribers": 0,
        "publisher": "",
    },
    "sub": {
        "group": "",
        "ack_timeout": 0.0,
        "max_deliveries": 0,
        "unacked": 0,
        "overflow": Overflow.UNSPECIFIED,
        "queue_bytes": 0,
        "queue_messages": 0,
        "durable": "",
        "until": False,
    },
}
_BUS_DEFAULTS: Dict[str, Any] = {"connect_timeout": 5.0, "will_payload": ""}

# Options of which one excludes those behind it.
_EXCLUDES: Tuple[Tuple[str, Tuple[str, ...]], ...] = (
    ("message", ("raw", "null", "json")),
    ("raw", ("null", "json")),
    ("json", ("null", "show_topic", "show_retained", "format")),
    ("format", ("show_topic", "show_retained", "raw", "null")),
    ("exec", ("busy_poll", "show_topic", "show_retained", "raw", "null")),
    ("exec_stream", ("exec", "busy_poll")),
    ("until", ("group",)),
    ("non_blocking", ("busy_poll",)),
)
# Options that need the one behind them.
_NEEDS = (
    ("repeat", "message"),
    ("will_payload", "will_topic"),
    ("will_retain", "will_topic"),
    ("fail_on_error", "exec"),
    ("ack", "group"),
    ("ack_timeout", "ack"),
    ("max_deliveries", "ack"),
    ("unacked", "ack"),
    ("resume", "publisher"),
    ("resume", "confirm"),
)


# What a word of pub is to argparse, which would take the next one for the level.
_ALONE = {"-0": "--null", "--confirm": "--confirm=accepted"}


class _Once(argparse.Action):
    """An option with a value, which may be given once."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        given: Any,
        option_string: Optional[str] = None,
    ) -> None:
        if hasattr(namespace, self.dest):
            raise argparse.ArgumentError(self, "is given twice")
        setattr(namespace, self.dest, given)


class _Parser(argparse.ArgumentParser):
    """The options of one command. What is no option is left over."""

    def __init__(self, command: str, words: str, about: str) -> None:
        super().__init__(
            prog=f"python3 -m fifobus {command}",
            usage=f"%(prog)s [OPTIONS] {words}",
            description=about,
            epilog="Exit codes: 0 done, 1 failed, 2 wrong usage, 3 timed out.",
            argument_default=argparse.SUPPRESS,
            allow_abbrev=False,
        )
        self.value("--dir", "DIR", "the bus [$FIFOBUS_DIR, or where a broker runs]")
        self.duration("--connect-timeout", "how long to wait for a broker [5s]")
        self.value(
            "--will-topic", "TOPIC", "the broker publishes there when this process dies"
        )
        self.value("--will-payload", "MESSAGE", "what the broker publishes then")
        self.flag("--will-retain", "and keeps as the retained value")

    def flag(self, name: str, about: str) -> None:
        self.add_argument(name, action="store_true", help=about)

    def value(self, name: str, metavar: str, about: str, kind: Any = str) -> None:
        self.add_argument(name, type=kind, action=_Once, metavar=metavar, help=about)

    def duration(self, name: str, about: str) -> None:
        self.value(name, "DURATION", about, values.duration)


def _pub_parser() -> _Parser:
    pub = _Parser(
        "pub",
        "[TOPIC] [MESSAGE]",
        "Publishes MESSAGE; without it each line of standard input is one message. With "
        "--json TOPIC may be - or missing: each line names its own.",
    )
    pub.flag("--raw", "all of standard input is one message")
    pub.flag(
        "--null",
        "messages on standard input end with a NUL, not a newline; -0 does the same",
    )
    pub.flag(
        "--json",
        "each line of standard input is a message with its metadata, as sub --json "
        "prints it. If TOPIC is given, all go there. A bad line is reported and passed "
        "over, and the exit code is 1",
    )
    pub.value(
        "--repeat",
        "N",
        "publish MESSAGE N times; 0: until the command is ended [1]",
        values.count(0),
    )
    pub.value(
        "--rate",
        "N",
        "publish N messages a second [as fast as possible]",
        values.rate,
    )
    pub.flag("--retain", "also keep it for later subscribers")
    pub.add_argument(
        "--header",
        type=values.header,
        action="append",
        metavar="NAME=VALUE",
        help="a header; may be given several times",
    )
    pub.value("--content-type", "TYPE", "the payload's media type")
    pub.duration("--expire", "the message is not delivered later than this from now")
    _add_confirm(pub)
    pub.value(
        "--wait-subscribers",
        "N",
        "publish when the topic has N subscribers",
        values.count(0, bits=32),
    )
    pub.duration(
        "--timeout",
        "how long to wait for subscribers, and for each confirmation; then exit code 3",
    )
    return pub


def _add_confirm(pub: _Parser) -> None:
    pub.add_argument(
        "--confirm",
        nargs="?",  # for --help; _ALONE gives it what it has not
        type=values.level,
        action=_Once,
        metavar="=LEVEL",
        help='print "accepted SESSIONS TAPS" when the broker has taken a message. '
        "--confirm=written and --confirm=stored: when it is in the file of its log, "
        'and on disk; then print "stored OFFSET SESSIONS TAPS", or "duplicate OFFSET"',
    )
    pub.value(
        "--publisher",
        "NAME",
        "the name under which logs know what is stored; with --confirm=stored, "
        "messages of a lost session are sent again, and each is stored once",
    )
    pub.flag(
        "--resume",
        "number the messages from 1, so that those which an earlier run with the same "
        "name and input has stored are not stored again",
    )


def _sub_parser() -> _Parser:
    sub = _Parser(
        "sub",
        "PATTERN...",
        "Prints messages. A PATTERN is a topic; a level may be * (any one), the last "
        "one ** (any).",
    )
    positive = values.count(1)
    sub.add_argument(
        *("-n", "--count"),
        type=positive,
        action=_Once,
        metavar="COUNT",
        help="end after so many messages",
    )
    sub.duration("--timeout", "end after this time, with exit code 3")
    sub.flag("--fail-on-gap", "end with exit code 1 when messages are lost")
    sub.flag("--no-retained", "do not begin with the retained values")
    sub.flag("--non-blocking", "poll, in a loop")
    sub.flag("--busy-poll", "spin: lowest latency")
    _add_text(sub)
    _add_commands(sub)
    _add_log(sub)
    _add_group(sub)
    sub.value(
        "--overflow",
        "POLICY",
        "when it is too slow: drop-oldest, drop-newest, latest, disconnect, block",
        values.overflow,
    )
    for name, metavar in (("--queue-bytes", "BYTES"), ("--queue-messages", "N")):
        sub.value(name, metavar, "the most that the broker queues", positive)
    return sub


def _add_text(sub: _Parser) -> None:
    sub.flag("--json", "one JSON object a line, with all metadata")
    sub.flag("--show-topic", "the topic and a space before each payload")
    sub.flag("--show-retained", '"retained " before what was published earlier')
    sub.flag("--raw", "no newline after the payloads")
    sub.add_argument(
        "-0", "--null", action="store_true", help="a NUL after each payload"
    )
    sub.value(
        "--format",
        "TEMPLATE",
        "what is printed of each message, with fields in braces: {topic} {payload} "
        "{sequence} {time} {size} {content_type} {header:NAME} {reply_topic} {expiry} "
        "{retained} {delivery_count} {offset} {stored_time} {json}; {{ is a brace; \\n, "
        "\\t, \\r, \\0 and \\\\ are as in C. Nothing is added, not even a newline",
        Template,
    )


def _add_commands(sub: _Parser) -> None:
    sub.value(
        "--exec",
        "CMD",
        "sh runs this for each message, one after the other. Its standard input is the "
        "payload, or what --json or --format makes of the message. Its environment has "
        "FIFOBUS_TOPIC, FIFOBUS_SEQUENCE, FIFOBUS_PUBLISH_TIME_UNIX_NANOS, "
        "FIFOBUS_REPLY_TOPIC, FIFOBUS_CONTENT_TYPE, FIFOBUS_RETAINED, "
        "FIFOBUS_DELIVERY_COUNT, FIFOBUS_OFFSET, FIFOBUS_STORED_TIME_UNIX_NANOS, and "
        "FIFOBUS_HEADER_TRACE_ID for a header trace-id",
    )
    sub.value(
        "--exec-stream",
        "CMD",
        "sh runs this once; its standard input is what would be printed. When it ends, "
        "sub ends, too, with exit code 0 if the command had 0, or else with 1",
    )
    sub.flag("--fail-on-error", "end with exit code 1 when a command failed")


def _add_log(sub: _Parser) -> None:
    sub.value(
        "--from",
        "PLACE",
        "read the log that stores the pattern, from there on: " + values.START_HELP,
        values.start,
    )
    sub.value(
        "--until", "WHEN", "now: end when what is stored now was read", values.now
    )
    sub.value(
        "--durable",
        "NAME",
        "go on where the last sub of this NAME ended, at first at --from or at the "
        "start of the log; what was written out, or whose command has succeeded, is "
        "done. With --group and --ack its members share the position",
    )


def _add_group(sub: _Parser) -> None:
    number = values.count(1, bits=32)
    sub.value("--group", "GROUP", "share the messages with a group")
    sub.flag(
        "--ack",
        "acknowledge a message when it was written out, or when its command has "
        "succeeded",
    )
    sub.duration("--ack-timeout", "deliver again what was not acknowledged [30s]")
    sub.value("--max-deliveries", "N", "before it goes to $dead/GROUP [5]", number)
    sub.value("--unacked", "N", "messages held unacknowledged [1]", number)


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Exits with 2 if they are wrong, and with 0 for --help."""
    commands = {"pub": _pub_parser, "sub": _sub_parser}
    top = argparse.ArgumentParser(
        prog="python3 -m fifobus",
        description="A client of the message broker over named pipes.",
        epilog="Exit codes: 0 done, 1 failed, 2 wrong usage, 3 timed out.",
    )
    top.add_argument("command", choices=commands, help="publish or print messages")
    command: str = top.parse_args(arguments[:1]).command
    parser = commands[command]()
    words, behind = _split(arguments[1:])
    words = _joined(words)
    null_by_digit = command == "pub" and "-0" in words
    if command == "pub":
        # If argparse knew an option -0, it would take the payload -0.5 for options.
        words = [_ALONE.get(word, word) for word in words]
    options, left = parser.parse_known_args(words)
    for word in left:
        if word.startswith("-") and word != "-" and not _is_number(word):
            parser.error(f"{word} is no option; text that begins with - goes behind --")
    _take_words(parser, command, options, [*left, *behind])
    fault = _fault(set(vars(options)))
    if fault:
        parser.error(fault)
    for name in _names(parser):
        default = {**_BUS_DEFAULTS, **_DEFAULTS[command]}.get(name)
        if not hasattr(options, name):
            setattr(options, name, default)
    options.command = command
    options.null_by_digit = null_by_digit
    return options


def _split(arguments: Sequence[str]) -> Tuple[List[str], List[str]]:
    """Before and behind "--"."""
    words = list(arguments)
    if "--" not in words:
        return words, []
    at = words.index("--")
    return words[:at], words[at + 1 :]


def _joined(words: List[str]) -> List[str]:
    """The value of --from may begin with -, which to argparse is an option."""
    joined: List[str] = []
    for word in words:
        if joined and joined[-1] == "--from":
            joined[-1] += f"={word}"
        else:
            joined.append(word)
    return joined


def _is_number(word: str) -> bool:
    """Such as -0.5, which is a payload and no option."""
    return word[1:2].isdigit() or word[1:2] == "."


def _names(parser: _Parser) -> List[str]:
    names = [action.dest for action in parser._actions if action.dest != "help"]
    return [*names, "message"]


def _take_words(
    parser: _Parser, command: str, options: argparse.Namespace, words: List[str]
) -> None:
    """What is no option: topic and message, or patterns."""
    if command == "sub":
        if not words:
            parser.error("PATTERN is required")
        options.pattern = words
        return
    if len(words) > 2:
        parser.error(f"{words[2]} is not expected")
    topic = words[0] if words else ""
    is_json = getattr(options, "json", False)
    options.topic = "" if is_json and topic == "-" else topic
    if len(words) == 2:
        options.message = words[1]
    waits = getattr(options, "wait_subscribers", 0) > 0
    if not options.topic and (not is_json or waits):
        parser.error("TOPIC is required")


def _fault(given: Set[str]) -> str:
    """What argparse cannot say about options that need or exclude each other."""
    for name, others in _EXCLUDES:
        for other in others:
            if name in given and other in given:
                return f"{_spelt(name)} excludes {_spelt(other)}"
    if "until" in given and not given & {"from", "durable"}:
        return "--until needs --from or --durable"
    if {"from", "group"} <= given and "durable" not in given:
        return "--from with --group needs --durable"
    if {"durable", "group"} <= given and "ack" not in given:
        return "--durable with --group needs --ack"
    for name, needed in _NEEDS:
        if name in given and needed not in given:
            return f"{_spelt(name)} needs {_spelt(needed)}"
    return ""


def _spelt(name: str) -> str:
    return "MESSAGE" if name == "message" else "--" + name.replace("_", "-")


def acks_of(options: argparse.Namespace) -> Optional[AckOptions]:
    if not options.ack:
        return None
    return AckOptions(options.unacked, options.ack_timeout, options.max_deliveries)
