"""What the calls of Client and AsyncClient have in common."""

from __future__ import annotations

import time
from typing import Optional, Union

from fifobus.protocol import control
from fifobus.protocol.publishing import log
from fifobus.protocol.message import (
    AckOptions,
    Confirmation,
    Gap,
    Headers,
    Metadata,
    Restarted,
    header_pairs_of,
)
from fifobus.protocol.request import Request, SubscribeOptions
from fifobus.protocol.start import Start

# A batch is written when it is this large: what a default pipe holds.
BATCH_BYTES = 64 << 10

# From this much on a payload is written from the caller's memory and not copied behind
# its head. Not tuned.
UNCOPIED_BYTES = 16 << 10

# How long, in seconds, close() waits for the rest of a partial write.
LAST_FLUSH = 1.0

# How long, in seconds, requests wait for their answer unless they are told.
REQUEST_TIMEOUT = 5.0

# A program that publishes without a pause has the confirmations read so often that the
# broker, which holds 1 MiB of them, has not to. Not tuned.
CONFIRMS_BETWEEN_LOOKS = 256


def log_gap(gap: Gap) -> None:
    """What is done about a gap unless the program does something else."""
    log.warning("%s", gap)


def log_restarted(restarted: Restarted) -> None:
    """What is done about it unless the program does something else."""
    log.info("%s", restarted)


def metadata_of(
    headers: Headers,
    reply_topic: str,
    content_type: str,
    expiry: Optional[float],
    retain: bool,
    sequence: int,
    publish_time_unix_nanos: int,
    expiry_unix_nanos: int = 0,
) -> Metadata:
    """What publish was told beside topic and payload."""
    metadata = Metadata()
    metadata.headers = header_pairs_of(headers)
    metadata.reply_topic = reply_topic
    metadata.content_type = content_type
    metadata.expiry_unix_nanos = expiry_unix_nanos
    if expiry is not None:
        metadata.expiry_unix_nanos = time.time_ns() + round(expiry * 1e9)
    metadata.retain = retain
    metadata.sequence = sequence
    metadata.publish_time_unix_nanos = publish_time_unix_nanos
    return metadata


def subscribe_options(
    group: str,
    acks: Union[bool, AckOptions],
    skip_retained: bool,
    start: Optional[Start],
    durable: str,
    until_now: bool,
    auto_ack: bool,
) -> SubscribeOptions:
    """The options that subscribe was told."""
    wanted = AckOptions() if acks is True else acks or None
    return SubscribeOptions(
        skip_retained, group, wanted, start, durable, until_now, auto_ack
    )


def subscribers_of(stats: control.StatsReply, topic: str) -> int:
    """How many subscribers a topic has."""
    return sum(entry.subscribers for entry in stats.topics if entry.name == topic)


def nobody_takes(confirm: Request[Confirmation]) -> bool:
    """Whether it is known that a request has no responder."""
    return confirm.done and confirm.answer().sessions == 0


def deadline_of(timeout: Optional[float]) -> Optional[float]:
    """Of time.monotonic; None: for ever."""
    return None if timeout is None else time.monotonic() + timeout


def has_passed(deadline: Optional[float]) -> bool:
    return deadline is not None and time.monotonic() >= deadline


def seconds_to(deadline: Optional[float]) -> float:
    """For one request of a call that may wait for ever."""
    if deadline is None:
        return REQUEST_TIMEOUT
    return max(0.0, deadline - time.monotonic())
