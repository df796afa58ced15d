"""The session of a command."""

from __future__ import annotations

import argparse
import time
from typing import Any

from fifobus import errors
from fifobus.client import Client
from fifobus.protocol.message import Will

# The shortest wait for a broker, in seconds: 0 would be no try at all.
_SHORTEST_WAIT = 1e-6


def connect(options: argparse.Namespace, **arguments: Any) -> Client:
    """A client with what the options of every command say, and with `arguments`. Raises
    TimedOut if there is no session within the command's own timeout."""
    wait = options.connect_timeout
    is_own = options.timeout is not None and options.timeout < wait
    if is_own:
        wait = options.timeout
    will = None
    if options.will_topic:
        payload = options.will_payload.encode(errors="surrogateescape")
        will = Will(options.will_topic, payload, bool(options.will_retain))
    deadline = time.monotonic() + wait
    try:
        return Client(
            options.dir,
            name=f"python3 -m fifobus {options.command}",
            connect_timeout=max(wait, _SHORTEST_WAIT),
            will=will,
            **arguments,
        )
    except errors.Disconnected as error:
        if is_own and time.monotonic() >= deadline:
            raise errors.TimedOut(str(error)) from error
        raise


def attend(client: Client) -> None:
    """Does what the session of a client without subscriptions needs now, without
    waiting: answers a broker that stops, connects to the next one."""
    while True:
        try:
            client.receive_nowait()
        except BlockingIOError:
            return
