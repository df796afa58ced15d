"""A message whose confirmation is to come: what is noted before it is published, and when
it was or was not. Client and AsyncClient share it."""

from __future__ import annotations

from fifobus.protocol.control import Level
from fifobus.protocol.dialogue import Dialogue
from fifobus.protocol.message import Confirmation, Metadata
from fifobus.protocol.request import Request

# Messages of one client whose confirmation is to come: as many as of a client in C++.
UNCONFIRMED_MAX = 65536


def has_room(dialogue: Dialogue, body_bytes: int) -> bool:
    """Whether another one may be published."""
    few = dialogue.requests.unconfirmed < UNCONFIRMED_MAX
    return few and dialogue.publisher.has_room(body_bytes)


def expect(
    dialogue: Dialogue, metadata: Metadata, level: Level
) -> Request[Confirmation]:
    """The message is about to be published, and is to reach the level."""
    if level > Level.ACCEPTED:  # the lowest goes without saying
        metadata.confirm_level = int(level)
    metadata.confirm_id, request = dialogue.requests.expect_confirm()
    dialogue.publisher.expect(metadata)
    return request


def forget(dialogue: Dialogue, metadata: Metadata) -> None:
    """It was not published."""
    dialogue.requests.forget(metadata.confirm_id)
    dialogue.publisher.forget(metadata.confirm_id)


def keep(dialogue: Dialogue, topic: str, metadata: Metadata, body: bytes) -> None:
    """It was published; the next session sends it again if it is to be kept and is not
    confirmed by then."""
    if dialogue.publisher.keeps(metadata.confirm_id):
        frame = dialogue.head(topic, metadata, len(body)) + body
        dialogue.publisher.keep(metadata.confirm_id, frame)
