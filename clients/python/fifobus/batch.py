"""Messages that are gathered between `with` and its end."""

from __future__ import annotations

from typing import Awaitable, Callable, Set


class _OpenBatch:
    """One of a client's open batches, as long as it is open. Thread-compatible."""

    _open_batches: Set[int] = set()

    def __init__(self, open_batches: Set[int]) -> None:
        self._open_batches = open_batches

    def _open(self) -> None:
        self._open_batches.add(id(self))

    def _close(self) -> bool:
        """Whether no other is open."""
        self._open_batches.discard(id(self))
        return not self._open_batches

    def __del__(self) -> None:
        # An exception from a signal handler may end `with` before its block begins.
        self._open_batches.discard(id(self))


class Batch(_OpenBatch):
    """What Client.batch() returns; `flush` is called at the end."""

    def __init__(self, open_batches: Set[int], flush: Callable[[], None]) -> None:
        super().__init__(open_batches)
        self._flush = flush

    def __enter__(self) -> "Batch":
        self._open()
        return self

    def __exit__(self, *_: object) -> None:
        if self._close():
            self._flush()


class AsyncBatch(_OpenBatch):
    """What AsyncClient.batch() returns; `flush` is called at the end."""

    def __init__(
        self, open_batches: Set[int], flush: Callable[[], Awaitable[None]]
    ) -> None:
        super().__init__(open_batches)
        self._flush = flush

    async def __aenter__(self) -> "AsyncBatch":
        self._open()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._close():
            await self._flush()
