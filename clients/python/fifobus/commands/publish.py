"""python3 -m fifobus pub."""

from __future__ import annotations

import argparse
import os
import select
import time
from typing import Any, Callable, List, Optional, Tuple

from fifobus import errors
from fifobus.client import Client
from fifobus.commands.exits import (
    DONE,
    FAILED,
    USAGE,
    CommandFailed,
    output_watch,
    poll_until,
    warn,
)
from fifobus.commands.confirmer import Confirmer
from fifobus.commands.json_message import JsonMessage, parse_json_message
from fifobus.commands.session import attend, connect
from fifobus.commands.values import FOREVER
from fifobus.protocol.control import Level

_INPUT_BYTES = 64 << 10
# What may be kept until it is confirmed. Not tuned.
_RESEND_BYTES_MAX = 16 << 20


class Pacer:
    """The times when the messages of a steady rate are due.

    Each is counted from the one before, so that one late message does not delay all
    that follow. A publisher that is late by more than CATCH_UP begins anew.
    """

    CATCH_UP = 1.0  # Seconds. Not tuned.

    def __init__(self, interval: float) -> None:
        self._interval = interval
        self._due = -float("inf")

    def next(self, now: float) -> float:
        """When the next message is due, which may be past."""
        if now - self._due > self.CATCH_UP:
            self._due = now
        due = self._due
        self._due += self._interval
        return due


class Publisher:
    """Numbers, stamps and publishes at the rate that is wanted, and prints
    confirmations if they are. Single-threaded."""

    def __init__(self, client: Client, options: argparse.Namespace) -> None:
        self._client = client
        self._options = options
        self._pacer = Pacer(1 / options.rate) if options.rate else None
        self._watch = output_watch() if options.confirm else (-1, 0)
        self.confirmer = Confirmer(client, options) if options.confirm else None
        self.published = 0

    def publish(self, payload: bytes) -> None:
        self.publish_message(JsonMessage(payload=payload))

    def publish_message(self, given: JsonMessage) -> None:
        """The options say what the message does not. Raises ValueError for a message
        that is bad."""
        options = self._options
        topic = options.topic or given.topic
        if not topic:
            raise ValueError("there is no topic")
        if self._pacer:
            self._await_turn(self._pacer)
        self.published += 1
        now = time.time_ns()
        expiry = given.expiry_unix_nanos
        if not expiry and options.expire is not None and options.expire < FOREVER:
            expiry = now + round(options.expire * 1e9)
        # A publisher with a name is numbered by the client, unless it repeats what it
        # may have stored.
        counts = not options.publisher or options.resume
        publish: Callable[..., Any] = self._client.publish
        if self.confirmer is not None:
            publish = self.confirmer.publish
        publish(
            topic,
            given.payload,
            headers=[*options.header, *given.headers],
            reply_topic=given.reply_topic,
            content_type=given.content_type or options.content_type,
            expiry_unix_nanos=expiry,
            retain=options.retain or given.retain,
            sequence=self.published if counts else 0,
            publish_time_unix_nanos=now,
        )

    def repeat(self, payload: bytes, times: int) -> None:
        """0: for ever."""
        with self._client.batch():
            while True:
                self.publish(payload)
                times -= 1
                if times == 0:
                    return

    def read_input(self) -> bytes:
        """The next bytes of standard input; none: its end."""
        self._await((0, select.POLLIN), None)
        try:
            return os.read(0, _INPUT_BYTES)
        except OSError as error:
            raise CommandFailed(f"standard input: {error.strerror}") from error

    def _await_turn(self, pacer: Pacer) -> None:
        now = time.monotonic()
        due = pacer.next(now)
        if now < due:
            self._client.flush()
            self._await((-1, 0), due)

    def _await(self, wanted: Tuple[int, int], deadline: Optional[float]) -> None:
        """Until `wanted` is ready or the deadline has come. Attends to the session
        meanwhile. Raises BrokenPipeError when nobody reads the confirmations."""
        while True:
            session = (self._client.fileno(), select.POLLIN)
            ready = poll_until([session, wanted, self._watch], deadline)
            if session[0] in ready:
                attend(self._client)
                if self.confirmer is not None:
                    self.confirmer.take()
            if self._watch[0] in ready:
                raise BrokenPipeError
            if wanted[0] in ready:
                return
            if deadline is not None and time.monotonic() >= deadline:
                return


class JsonLines:
    """Lines of JSON, those that are bad passed over."""

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher
        self._number = 0
        self.bad = 0

    def publish(self, line: bytes) -> None:
        self._number += 1
        if not line:
            return
        try:
            self._publisher.publish_message(parse_json_message(line))
        except errors.Closed:
            raise
        except ValueError as error:  # InvalidName and MessageTooLarge are ones, too
            self.bad += 1
            warn(f"line {self._number}: {error}")


def pub(options: argparse.Namespace) -> int:
    keeps = options.publisher and (options.confirm or 0) > Level.ACCEPTED
    resend_bytes_max = _RESEND_BYTES_MAX if keeps else 0
    with connect(
        options, publisher=options.publisher, resend_bytes_max=resend_bytes_max
    ) as client:
        if options.wait_subscribers:
            _await_subscribers(client, options)
        publisher = Publisher(client, options)
        bad = _publish_all(client, publisher, options)
        if publisher.confirmer is None:
            code = _end_of_publishing(client)
        else:
            publisher.confirmer.finish()
            code = DONE
        if options.null_by_digit and publisher.published == 0:
            warn(
                "standard input was empty, so nothing was published; to publish the "
                "MESSAGE -0 write: python3 -m fifobus pub TOPIC -- -0"
            )
            return USAGE
        return FAILED if bad else code


def _publish_all(
    client: Client, publisher: Publisher, options: argparse.Namespace
) -> int:
    """Publishes what the options say. Returns how many lines were bad."""
    if options.message is not None:
        publisher.repeat(os.fsencode(options.message), options.repeat)
        return 0
    if options.raw:
        parts: List[bytes] = []
        while data := publisher.read_input():
            parts.append(data)
        publisher.publish(b"".join(parts))
        return 0
    if options.json:
        lines = JsonLines(publisher)
        _publish_parts(client, publisher, lines.publish, b"\n")
        return lines.bad
    separator = b"\0" if options.null else b"\n"
    _publish_parts(client, publisher, publisher.publish, separator)
    return 0


def _publish_parts(
    client: Client,
    publisher: Publisher,
    publish: Callable[[bytes], None],
    separator: bytes,
) -> None:
    """What is there is published as one batch: no line waits for others to be read, and
    a fast writer does not pay a system call for each."""
    rest: List[bytes] = []  # joined once, so that a long line costs no square of time
    while data := publisher.read_input():
        first, *others = data.split(separator)
        rest.append(first)
        if not others:
            continue
        last = others.pop()
        with client.batch():
            for part in (b"".join(rest), *others):
                publish(part)
        rest = [last]
    final = b"".join(rest)
    if final:
        publish(final)


def _await_subscribers(client: Client, options: argparse.Namespace) -> None:
    deadline = None
    if options.timeout is not None:
        deadline = time.monotonic() + options.timeout
    while True:
        left = None if deadline is None else max(0.0, deadline - time.monotonic())
        try:
            return client.wait_for_subscribers(
                options.topic, options.wait_subscribers, left
            )
        except errors.TimedOut:  # also where a broker was away for a while
            if deadline is not None and time.monotonic() >= deadline:
                raise


def _end_of_publishing(client: Client) -> int:
    """Waits until the broker has read everything: a refusal comes behind what was
    written. What it has not read within a second, because subscribers are slow, it
    reads when this process is gone."""
    client.flush()  # also what a broker that died has not read
    try:
        client.ping(1.0)
    except (errors.TimedOut, errors.Disconnected) as error:
        if isinstance(error, errors.SessionRefused):
            raise
    if client.publish_losses == 0:
        return DONE
    warn(
        "the session with the broker was lost: it is not known which of the messages "
        "have arrived"
    )
    return FAILED
