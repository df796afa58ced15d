"""What storing costs: fifobus's logs beside JetStream and Redis streams, each in a folder
on the same disk. The loads are those of bench/durable/main.cc."""

import contextlib
import dataclasses
import json
import os
import shutil
import subprocess
import sys
import tempfile

from reporting import systems
from reporting.results import number
from reporting.running import Child
from reporting.systems import BIN, FIFOBUS, Broken, wait_for_path
from reporting.tables import Table, size_name, text

PROGRAMS = BIN + "/bench/durable/"
TOPIC = "load"
REPLAYED_BYTES_PER_S = 64 << 20  # for each second of the plan's
FILL_SECONDS = 0.2


def disk():
    """A folder on a real disk; in memory nothing would be measured."""
    return os.environ.get("FIFOBUS_BENCH_DISK", "/var/tmp")


class OnDisk(systems.System):
    """A system whose state lies on the disk, not in memory."""

    def start(self, subscribers, spin=False):
        self.dir = tempfile.mkdtemp(prefix="fifobus-bench-", dir=disk())
        self.open(spin)


class Log(OnDisk):
    name = "fifobus log"
    program = PROGRAMS + "fifobus"
    settings = "a log that syncs every commit; confirmed as stored"

    def version(self):
        return systems.version_of(FIFOBUS, "--version")

    def open(self, spin):
        bus = tempfile.mkdtemp(prefix="fifobus-bench-", dir="/dev/shm")
        self.bus = bus
        self.launch(
            FIFOBUS,
            "serve",
            "--dir",
            bus,
            "--state-dir",
            self.dir,
            "--log",
            f"{TOPIC}={TOPIC}",
            ready=os.path.join(bus, "alive"),
        )

    def publisher_address(self):
        return self.bus

    def stop(self):
        super().stop()
        shutil.rmtree(self.bus, ignore_errors=True)


class JetStream(systems.Nats, OnDisk):
    name = "JetStream"
    program = PROGRAMS + "nats"
    settings = "as shipped: a file stream that is synced every two minutes"

    def start(self, subscribers, spin=False):
        OnDisk.start(self, subscribers, spin)

    def options(self):
        store = self.file("store")
        os.mkdir(store)
        return f'jetstream {{ store_dir: "{store}" }}\n'


class JetStreamSync(JetStream):
    name = "JetStream +S"
    settings = (
        "its store has chattr +S: every write is synced before its acknowledgement"
    )

    def options(self):
        found = super().options()
        command = ["chattr", "+S", self.file("store")]
        if subprocess.run(command, capture_output=True, check=False).returncode != 0:
            raise Broken("the file system has no chattr +S")
        return found


class RedisStream(systems.Redis, OnDisk):
    name = "Redis stream"
    program = PROGRAMS + "redis"
    settings = "appendonly, appendfsync always"
    persistence = ("--appendonly", "yes", "--appendfsync", "always")

    def start(self, subscribers, spin=False):
        OnDisk.start(self, subscribers, spin)


PEERS = (JetStreamSync, JetStream, RedisStream)


@dataclasses.dataclass(frozen=True)
class Load:
    """One load. `arguments` are those of the load program."""

    name: str
    pick: str  # what of the result counts
    arguments: tuple = ()
    fill: int = 0  # messages of `size` that are stored before
    size: int = 200
    readers: int = 1


def loads(seconds):
    """The plan."""
    for size in (200, 4096):
        for name, publishers, in_flight in (
            ("1 waiting", 1, 1),
            ("100 waiting", 100, 1),
            ("256 in flight", 1, 256),
        ):
            arguments = ("store", "--seconds", seconds, "--publishers", publishers)
            yield Load(
                f"{size_name(size)}, {name}",
                "stored_per_s",
                (*arguments, "--in-flight", in_flight, "--size", size),
                size=size,
            )
    through = ("through", "--rate", 500, "--count", int(500 * seconds) + 1)
    yield Load("through the log at 500/s, p50 us", "p50", (*through, "--size", 200))
    for readers in (1, 10):
        yield Load(
            f"replay of 4 KiB to {readers}, MB/s to each",
            "bytes_per_s",
            ("replay",),
            fill=int(REPLAYED_BYTES_PER_S * seconds) // 4096,
            size=4096,
            readers=readers,
        )


def run_program(system, *arguments):
    child = Child([str(a) for a in (system.program, *arguments)])
    try:
        return json.loads(child.finish_soon())
    finally:
        child.end()


def fill(system, load):
    """Stores what is to be replayed. Returns how many messages that are."""
    stored = 0
    while stored < load.fill:
        result = run_program(
            system,
            "store",
            system.publisher_address(),
            "--seconds",
            FILL_SECONDS,
            "--in-flight",
            1024,
            "--size",
            load.size,
        )
        stored += int(result["stored_per_s"] * FILL_SECONDS)
    return stored


def run(system, load):
    """Runs one load and returns its figure, or raises Broken."""
    role, *arguments = load.arguments
    with contextlib.ExitStack() as ends:
        ends.callback(system.stop)
        system.start(load.readers)
        if load.fill:
            arguments += ["--count", min(load.fill, fill(system, load))]
        command = [system.program, role, system.publisher_address(), *arguments]
        children = [Child([str(a) for a in command]) for _ in range(load.readers)]
        for child in children:
            ends.callback(child.end)
        results = [json.loads(child.finish_soon()) for child in children]
    figures = [r.get(load.pick) or r["latency_us"][load.pick] for r in results]
    return sum(figures) / len(figures)


def measure(peers, seconds, repetitions):
    """Runs all loads on all systems in turn. Returns the records."""
    records = []
    broken = set()
    for repetition in range(repetitions):
        for load in loads(seconds):
            for system in (Log, *peers):
                if (system, load.name) in broken:
                    continue
                try:
                    figure = run(system(), load)
                except (Broken, OSError, KeyError) as error:
                    broken.add((system, load.name))
                    print(f"  {system.name}, {load.name}: {error}", file=sys.stderr)
                    continue
                records.append(
                    {
                        "figure": "durable",
                        "system": system.name,
                        "load": load.name,
                        "repetition": repetition,
                        "result": {"value": figure},
                    }
                )
    return records


def table(results):
    """One row a load, one column a system."""
    names = results.systems("durable")
    rows = []
    for load in dict.fromkeys(r["load"] for r in results.select("durable")):
        values = {
            name: results.value(name, lambda r: r["value"], "durable", load=load)
            for name in names
        }
        scale = 1e-6 if "MB/s" in load else 1
        row = [load, *(text(values[name], scale) for name in names)]
        ours = values.get(Log.name)
        row.append(
            ", ".join(
                f"{number(ours.median / value.median)} x {name}"
                for name, value in values.items()
                if ours and value and name != Log.name
            )
        )
        rows.append(row)
    return Table(
        "Stored messages: confirmed a second, and read again",
        ["", *names, "fifobus by each"],
        rows,
        "All on one disk. Only fifobus, JetStream with chattr +S and Redis confirm what "
        "survives a power cut.",
    )
