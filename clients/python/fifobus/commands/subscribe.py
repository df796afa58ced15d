"""python3 -m fifobus sub."""

from __future__ import annotations

import argparse
import time
from collections import deque
from typing import Optional

from fifobus import errors
from fifobus.client import Client
from fifobus.commands.execute import Executor, Streamer
from fifobus.commands.exits import (
    DONE,
    FAILED,
    TIMED_OUT,
    warn,
)
from fifobus.commands.options import acks_of
from fifobus.commands.session import connect
from fifobus.commands.sub_output import Incoming, Printer, SubOutput
from fifobus.protocol.message import CaughtUp, Gap, Message, Restarted

# How long, in seconds, the broker may take to answer a Subscribe.
_ANSWER_PATIENCE = 5.0


def sub(options: argparse.Namespace) -> int:
    deadline = None
    if options.timeout is not None:
        deadline = time.monotonic() + options.timeout
    incoming: Incoming = deque()
    client = connect(
        options,
        overflow=options.overflow,
        queue_bytes_max=options.queue_bytes,
        queue_messages_max=options.queue_messages,
        on_gap=incoming.append,
        on_caught_up=incoming.append,
        on_restarted=incoming.append,
    )
    with client:
        for pattern in options.pattern:
            patience = _ANSWER_PATIENCE
            if deadline is not None:
                patience = min(patience, max(0.0, deadline - time.monotonic()))
            client.subscribe(
                pattern,
                group=options.group,
                acks=acks_of(options) or False,
                skip_retained=options.no_retained,
                start=vars(options)["from"],
                durable=options.durable,
                until_now=options.until and not options.durable,
                auto_ack=False,
                timeout=patience,
            )
        output = _open_output(client, options, incoming, deadline)
        try:
            return _receive_all(output, options, deadline)
        finally:
            output.close()


def _open_output(
    client: Client,
    options: argparse.Namespace,
    incoming: Incoming,
    deadline: Optional[float],
) -> SubOutput:
    if options.exec:
        return Executor(client, options, incoming)
    if options.exec_stream:
        return Streamer(client, options, incoming, deadline)
    return Printer(client, options, incoming)


def _receive_all(
    output: SubOutput, options: argparse.Namespace, deadline: Optional[float]
) -> int:
    """Puts what is received there until one of all the ends has come."""
    received = caught_up = 0
    while True:
        try:
            got = output.next(deadline)
        except errors.EndOfLog:
            return output.end(DONE)
        except errors.FifobusError as error:
            warn(error)
            return output.end(FAILED)
        if isinstance(got, Message):
            output.put(got)
            received += 1
        elif isinstance(got, Gap):
            warn(got)
            if options.fail_on_gap:
                return output.end(FAILED)
        elif isinstance(got, Restarted):
            warn(got)
        elif isinstance(got, CaughtUp):
            caught_up += 1
            if options.until and caught_up == len(set(options.pattern)):
                return output.end(DONE)
        if output.over or received == options.count:
            return output.end(DONE)
        # Also if there is always another message.
        if deadline is not None and time.monotonic() >= deadline:
            return output.end(TIMED_OUT)
