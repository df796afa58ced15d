"""What a client publishes, from one session to the next."""

from __future__ import annotations

import logging
from typing import FrozenSet

from fifobus import errors
from fifobus.protocol.message import Metadata
from fifobus.protocol.message_heads import MessageHeads
from fifobus.protocol.named_publisher import NamedPublisher
from fifobus.protocol.taken_back import TakenBack
from fifobus.transport.outbox import Outbox

log = logging.getLogger("fifobus")


class Publishing:
    """The writing side of a Dialogue, and what a broker that dies leaves of it.

    What that has not read is taken back, and sent first in the next session. What it
    has read may not have been passed on, and nobody knows. Thread-compatible.
    """

    def __init__(self, publisher: str, resend_bytes_max: int) -> None:
        self.out = Outbox()
        self.heads = MessageHeads()
        self.publisher = NamedPublisher(publisher, resend_bytes_max)
        self.taken_back = TakenBack()
        # Sessions that ended with messages, written or batched, that may be lost.
        self.losses = 0
        self._last_loss: object = None
        self._again = 0  # messages that this session began with

    def head(self, topic: str, metadata: Metadata, payload_bytes: int) -> bytes:
        """As MessageHeads.head_with, and numbered if the client has a publisher's
        name."""
        self.publisher.number(metadata)
        return self.heads.head_with(topic, metadata, payload_bytes)

    def begin(self) -> int:
        """Another session; how many messages it is to begin with."""
        self.out.begin()
        if not self.taken_back:
            self.publisher.forget_unkept()
        return len(self.taken_back.frames_with(self.publisher.kept_frames()))

    def append_again(self) -> None:
        """Puts what was taken back, and is kept, behind what is in `out`. The session
        begins with it, and on_begun is to be called once it has."""
        frames = self.taken_back.frames_with(self.publisher.kept_frames())
        self.out.append(b"".join(frames))
        self._again = len(frames)

    def on_begun(self) -> None:
        self.taken_back.sent(self._again)
        if self._again:
            log.info("published again what was not read: messages=%d", self._again)

    def end(self, error: errors.FifobusError, unread: int, reads_on: bool) -> None:
        """A session that was open is over. `unread`: so many bytes of it nobody will
        read. `reads_on`: the others will all be read and passed on."""
        remains = self.out.remains(unread)
        self.taken_back.take(remains, self.out.sent)
        if remains.messages_read and not reads_on and self.publisher.has_unkept:
            self._count_loss(error)
        self.out.begin()

    def give_up(self, error: errors.FifobusError) -> None:
        """No other session will be."""
        if self.taken_back:
            self._count_loss(error)
            self.out.cuts += 1
        self.taken_back.clear()

    def forget(self) -> None:
        self.out.begin()
        self.taken_back.clear()

    @property
    def confirmed_later(self) -> FrozenSet[int]:
        """The confirm_ids of what the next session is sent."""
        return self.taken_back.confirm_ids | self.publisher.kept_ids

    def _count_loss(self, error: errors.FifobusError) -> None:
        """Once for each session."""
        if self._last_loss is not self.taken_back.session:
            self._last_loss = self.taken_back.session
            self.losses += 1
            log.warning("what was published last may be lost: %s", error)
