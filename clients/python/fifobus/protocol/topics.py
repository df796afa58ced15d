"""The names of topics and patterns: proto/FRAMING.md, "Topics and patterns"."""

from __future__ import annotations

import re

from fifobus.errors import InvalidName

TOPIC_BYTES_MAX = 200
TOPIC_LEVELS_MAX = 16

_LEVEL = re.compile(r"[A-Za-z0-9_:@-][A-Za-z0-9_.:@-]*\Z")
_WILDCARDS = (
    "levels are separated by /, a level that is * matches any one, and ** as the last "
    "level matches all that are left"
)
_RESERVED_SUFFIXES = (".in", ".out", ".last")


def _level_fault(level: str, first: bool) -> str:
    if first and level.startswith("$"):
        level = level[1:]
    if not level:
        return "has an empty level"
    if level.startswith("."):
        return "has a level that begins with a dot"
    if not _LEVEL.match(level):
        return "has a character outside [A-Za-z0-9_.:@-]"
    if level.endswith(_RESERVED_SUFFIXES):
        return "has a level that ends in .in, .out or .last"
    return ""


def _name_fault(name: str, wildcards: bool) -> str:
    if not name:
        return "is empty"
    # Only ASCII passes below, so that characters are bytes.
    if len(name) > TOPIC_BYTES_MAX:
        return f"is longer than {TOPIC_BYTES_MAX} bytes"
    levels = name.split("/")
    if len(levels) > TOPIC_LEVELS_MAX:
        return f"has more than {TOPIC_LEVELS_MAX} levels"
    for index, level in enumerate(levels):
        if wildcards and level == "*":
            continue
        if wildcards and level == "**":
            if index + 1 == len(levels):
                continue
            return "has ** before its last level"
        fault = _level_fault(level, index == 0)
        if fault:
            return fault
    return ""


def topic_fault(topic: str) -> str:
    """What is wrong with a topic, as a clause: "is empty"; "" if it is valid."""
    return _name_fault(topic, wildcards=False)


def pattern_fault(pattern: str) -> str:
    """As topic_fault, of a pattern. Says how wildcards are written to people who know
    others, such as "#", "+" and ">"."""
    fault = _name_fault(pattern, wildcards=True)
    wildcards = fault.startswith(("has a character", "has **"))
    return f"{fault}; {_WILDCARDS}" if wildcards else fault


def is_reserved(topic: str) -> bool:
    """Whether only the broker publishes on this topic."""
    return topic.startswith("$")


def check_publishable(topic: str) -> None:
    """Raises InvalidName unless a client may publish on `topic`."""
    fault = topic_fault(topic)
    if fault:
        raise InvalidName(f'the topic "{topic[:TOPIC_BYTES_MAX]}" {fault}')
    if is_reserved(topic):
        raise InvalidName(f'the topic "{topic}" is the broker\'s own: it begins with $')


def check_pattern(pattern: str) -> None:
    """Raises InvalidName unless `pattern` is one."""
    fault = pattern_fault(pattern)
    if fault:
        raise InvalidName(f'the pattern "{pattern[:TOPIC_BYTES_MAX]}" {fault}')


def check_group(group: str) -> None:
    """Raises InvalidName unless `group` is empty or one level of a topic."""
    if group:
        check_level("group", group)


def check_level(what: str, name: str) -> None:
    """Raises InvalidName unless `name`, of a `what`, is one level of a topic."""
    if _level_fault(name, first=False) or "/" in name:
        raise InvalidName(f'the {what} "{name}" is not one level of a topic')


def overlap(pattern: str, other: str) -> bool:
    """Whether some topic matches both of two valid patterns."""
    levels, others = pattern.split("/"), other.split("/")
    for index in range(max(len(levels), len(others))):
        if index >= len(levels) or index >= len(others):
            return False
        one, two = levels[index], others[index]
        # A wildcard in front matches no topic of the broker.
        if index == 0 and (is_reserved(one) or is_reserved(two)) and one != two:
            return False
        if one == "**" or two == "**":
            return True
        if one != two and "*" not in (one, two):
            return False
    return True


def matches(pattern: str, topic: str) -> bool:
    """Whether a valid pattern matches a valid topic."""
    wanted = pattern.split("/")
    levels = topic.split("/")
    for index, level in enumerate(wanted):
        if index >= len(levels):
            return False
        wildcard = level in ("*", "**")
        if wildcard and index == 0 and is_reserved(topic):
            return False
        if level == "**":
            return True
        if not wildcard and level != levels[index]:
            return False
    return len(wanted) == len(levels)
