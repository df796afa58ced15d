"""What the values of options may be. Each raises ArgumentTypeError."""

from __future__ import annotations

import argparse
import datetime
import re
import time
from typing import Callable, Tuple

from fifobus.protocol.control import Level, Overflow
from fifobus.protocol.start import Start

# Seconds that stand for "inf".
FOREVER = float(1 << 31)

_UNITS = {"ns": 1e-9, "us": 1e-6, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_NUMBER = r"(?:[0-9]+\.?[0-9]*|\.[0-9]+)"
_PART = re.compile(rf"({_NUMBER})(ns|us|ms|s|m|h)")


def duration(text: str) -> float:
    """Seconds of "500ms", "2s", "1m30s" or a bare number of seconds."""
    if text in ("inf", "+inf"):
        return FOREVER
    plain = text[1:] if text.startswith("+") else text
    if re.fullmatch(_NUMBER, plain):
        plain += "s"
    if not re.fullmatch(rf"({_PART.pattern})+", plain):
        raise argparse.ArgumentTypeError(
            f'"{text}" is not a duration; examples: 500ms 2s 1.5m'
        )
    seconds = sum(float(count) * _UNITS[unit] for count, unit in _PART.findall(plain))
    return min(seconds, FOREVER)


def age(text: str) -> float:
    """Seconds of "90s", "1h30m" or "7d"."""
    if re.fullmatch("[0-9]{1,5}d", text):
        return int(text[:-1]) * 86400.0
    if not re.fullmatch(rf"({_PART.pattern})+", text):
        raise argparse.ArgumentTypeError(f'"{text}" is not a duration')
    return duration(text)


def header(text: str) -> Tuple[str, bytes]:
    """The name and value of "name=value"."""
    name, separator, value = text.partition("=")
    if not separator or not name:
        raise argparse.ArgumentTypeError(
            f'"{text}" is no header; example: --header unit=celsius'
        )
    return name, value.encode(errors="surrogateescape")


def count(least: int, bits: int = 64) -> Callable[[str], int]:
    """A whole number of at least `least` that has so many bits at most."""
    most = (1 << bits) - 1

    def parse(text: str) -> int:
        if re.fullmatch("[0-9]{1,20}", text) and least <= int(text) <= most:
            return int(text)
        bounds = f"from {least} to {most}" if bits < 64 else f"of at least {least}"
        raise argparse.ArgumentTypeError(f'"{text}" is not a whole number {bounds}')

    return parse


def rate(text: str) -> float:
    """How often a second."""
    try:
        value = 0.0 if "_" in text else float(text)
    except ValueError:
        value = 0.0
    if 1e-6 <= value <= 1e9:
        return value
    raise argparse.ArgumentTypeError(f'"{text}" is not a number from 0.000001 to 1e9')


def level(text: str) -> Level:
    names = {level.name.lower(): level for level in Level if level}
    if text in names:
        return names[text]
    raise argparse.ArgumentTypeError(f'"{text}" is none of {", ".join(names)}')


START_HELP = (
    "start, an offset (42), the last messages (-10), an age (-5m), a time "
    "(2026-11-28T10:00) or new"
)


def start(text: str) -> Start:
    """Where in a log reading begins."""
    if text == "start":
        return Start.first()
    if text == "new":
        return Start.next()
    try:
        if re.fullmatch("0*[1-9][0-9]*", text):
            return Start.offset(int(text))
        if re.fullmatch("-0*[1-9][0-9]*", text):
            return Start.last(int(text[1:]))
        if text.startswith("-"):
            return Start.time(time.time() - age(text[1:]))
        # Before Python 3.11 it knows no Z.
        when = text[:-1] + "+00:00" if text.endswith("Z") else text
        return Start.time(datetime.datetime.fromisoformat(when))
    except (ValueError, OverflowError, argparse.ArgumentTypeError):
        raise argparse.ArgumentTypeError(
            f'"{text}" is no place in a log; it may be {START_HELP}'
        ) from None


def now(text: str) -> bool:
    if text == "now":
        return True
    raise argparse.ArgumentTypeError(f'"{text}" is none of now')


def overflow(text: str) -> Overflow:
    names = {
        policy.name.lower().replace("_", "-"): policy
        for policy in Overflow
        if policy is not Overflow.UNSPECIFIED
    }
    if text in names:
        return names[text]
    raise argparse.ArgumentTypeError(f'"{text}" is none of {", ".join(names)}')
