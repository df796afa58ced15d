"""The plans: cells, each one load for one system, in the order of their run."""

import dataclasses
import resource

from reporting import systems


@dataclasses.dataclass(frozen=True)
class Cell:
    """One load for one system. `figure` names the part of the report that it belongs
    to. The other fields are the arguments of running.run."""

    figure: str
    system: type
    size: int = 64
    subscribers: int = 1
    publishers: int = 1
    rate: int = 0
    batch: bool = True
    wait: str = "blocking"
    spin: bool = False
    ping: bool = False
    idle: tuple = (0, 0)

    def shape(self):
        """The load without its system. Cells with equal shapes are compared."""
        fields = dataclasses.asdict(self)
        del fields["system"]
        return fields

    def arguments(self):
        """The arguments of running.run, without the count."""
        fields = self.shape()
        del fields["figure"]
        return fields


KIB = 1024
MIB = 1024 * KIB
MATRIX_SYSTEMS = (systems.RawFifo, systems.RawRelay, systems.Fifobus)
WAITS = ("blocking", "epoll", "sleep", "busy")
RATES = (1000, 20000)
# A rate that every path can carry with room to spare. Above it a rate only shows queues.
MATRIX_BYTES_PER_S_MAX = 256 * MIB


def sessions_at_most():
    """Idle sessions that the broker's descriptors allow: two each."""
    return (resource.getrlimit(resource.RLIMIT_NOFILE)[1] - 200) // 2


def matrix(sizes, rates):
    """Blocking, epoll, sleeping and spinning readers on three paths."""
    for size in sizes:
        for wait in WAITS:
            for system in MATRIX_SYSTEMS:
                for load in matrix_loads(system, size, wait, rates):
                    yield Cell("matrix", system, size=size, wait=wait, **load)


def matrix_loads(system, size, wait, rates):
    """All rates that the path can carry, and ping-pong where there is a path back.

    The broker spins with a busy reader in ping-pong only. Elsewhere a third process, the
    publisher, needs a core as well."""
    for rate in rates:
        if rate * size <= MATRIX_BYTES_PER_S_MAX:
            yield {"rate": rate, "batch": rate == 0}
    if system is not systems.RawFifo:
        yield {"ping": True, "batch": False, "spin": wait == "busy"}


def quick(peers):
    """About three minutes."""
    brokers = (systems.RawRelay, systems.Fifobus, *peers)
    yield from matrix([64], RATES)
    for rate in RATES:
        for system in brokers:
            yield Cell("latency", system, rate=rate, batch=False)
    for size in (64, KIB, 64 * KIB, MIB):
        for system in brokers:
            yield Cell("stream", system, size=size)
    for size in (64, 64 * KIB):
        for system in (systems.RawRelay, systems.RawTee, systems.Fifobus, *peers):
            yield Cell("fan-out", system, size=size, subscribers=10)
    for system in (systems.RawRelay, systems.Fifobus):
        yield Cell("unbatched", system, batch=False)
    for sessions in (0, 1000):
        yield Cell("idle", systems.Fifobus, rate=1000, batch=False, idle=(sessions, 1))
    for patterns in (10, 10000):
        yield Cell("patterns", systems.Fifobus, idle=(1, patterns))


def compared(system):
    """The loads of bench/compare: what users feel, of one system."""
    for rate in RATES:
        yield Cell("latency", system, rate=rate, batch=False)
    yield Cell("matrix", system, ping=True, batch=False)
    for size in (64, KIB, 64 * KIB, MIB):
        yield Cell("stream", system, size=size)
    for size in (64, 64 * KIB):
        yield Cell("fan-out", system, size=size, subscribers=10)
    yield Cell("unbatched", system, batch=False)


def full(peers):
    """About 20 minutes."""
    brokers = (systems.RawRelay, systems.Fifobus, *peers)
    yield from matrix([64, 4 * KIB, 64 * KIB], [*RATES, 0])
    for rate in RATES:
        for system in brokers:
            yield Cell("latency", system, rate=rate, batch=False)
    for size in (64, KIB, 4 * KIB, 64 * KIB, MIB):
        for system in brokers:
            yield Cell("stream", system, size=size)
    for size in (64, KIB, 64 * KIB, MIB):
        for subscribers in (10, 100):
            for system in (systems.RawRelay, systems.RawTee, systems.Fifobus, *peers):
                yield Cell("fan-out", system, size=size, subscribers=subscribers)
    for subscribers in (1, 10):
        for system in (systems.Fifobus, *peers):
            yield Cell("fan-in", system, publishers=10, subscribers=subscribers)
    for size in (64, KIB):
        for system in (systems.RawRelay, systems.Fifobus):
            yield Cell("unbatched", system, size=size, batch=False)
    most = sessions_at_most()
    for sessions in sorted({0, min(100, most), min(1000, most), min(10000, most)}):
        yield Cell("idle", systems.Fifobus, rate=1000, batch=False, idle=(sessions, 1))
    for sessions, patterns in ((1, 10), (1, 100), (1, 1000), (1, 10000), (2, 50000)):
        yield Cell("patterns", systems.Fifobus, idle=(sessions, patterns))


def smoke(_peers):
    """Seconds: a test that everything works. Its figures mean nothing."""
    yield from matrix([64], [1000])
    yield Cell("latency", systems.RawRelay, rate=1000, batch=False)
    yield Cell("latency", systems.Fifobus, rate=1000, batch=False)
    for system in (systems.RawRelay, systems.Fifobus):
        yield Cell("stream", system)
        yield Cell("stream", system, size=64 * KIB)
    for system in (systems.RawRelay, systems.RawTee, systems.Fifobus):
        yield Cell("fan-out", system, size=64 * KIB, subscribers=3)
    yield Cell("fan-in", systems.Fifobus, publishers=2)
    for system in (systems.RawRelay, systems.Fifobus):
        yield Cell("unbatched", system, batch=False)
    for sessions in (0, 5):
        yield Cell("idle", systems.Fifobus, rate=1000, batch=False, idle=(sessions, 1))
    for patterns in (10, 100):
        yield Cell("patterns", systems.Fifobus, idle=(1, patterns))
