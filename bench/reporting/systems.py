"""The systems under load: how to start, stop and reach the broker of each."""

import os
import re
import shutil
import signal
import subprocess
import tempfile
import time

BIN = os.environ.get("FIFOBUS_BIN", "bazel-bin")
LOADS = BIN + "/bench/load/"
FIFOBUS = BIN + "/fifobus"
START_SECONDS = 10


class Broken(Exception):
    """A system that cannot be measured, and why."""


def version_of(*command):
    """The first thing in a program's output that looks like a version."""
    try:
        out = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    found = re.search(r"\d+\.\d+(\.\d+)?", out.stdout + out.stderr)
    return found.group(0) if found else ""


def package_version(package):
    out = subprocess.run(
        ["dpkg-query", "-W", "-f", "${Version}", package],
        capture_output=True,
        text=True,
        check=False,
    )
    return out.stdout.strip()


def wait_for_path(path, process):
    deadline = time.monotonic() + START_SECONDS
    while not os.path.exists(path):
        if process.poll() is not None or time.monotonic() > deadline:
            raise Broken(f"its broker did not start; last exit code {process.poll()}")
        time.sleep(0.01)


class System:
    """One messaging system. Its broker runs from start() to stop(), in a directory of
    its own."""

    name = ""
    program = ""  # the load program
    needs = ()  # Debian packages, besides what fifobus itself needs
    settings = ""
    waits = ("blocking",)  # how its subscribers can wait

    def __init__(self):
        self.dir = ""
        self.process = None
        self.subscribers = 1

    def missing(self):
        """Debian packages that are not installed."""
        return [p for p in self.needs if not package_version(p)]

    def version(self):
        return package_version(self.needs[0]) if self.needs else ""

    def start(self, subscribers, spin=False):
        """Starts the broker for a number of subscribers. With `spin` it may busy-poll."""
        self.subscribers = subscribers
        self.dir = tempfile.mkdtemp(prefix="fifobus-bench-", dir="/dev/shm")
        self.open(spin)

    def open(self, spin):
        raise NotImplementedError

    def launch(self, *command, ready=None):
        log = open(os.path.join(self.dir, "log"), "wb")
        with log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        if ready:
            wait_for_path(ready, self.process)

    def stop(self):
        if self.process:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(START_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            self.process = None
        shutil.rmtree(self.dir, ignore_errors=True)

    def publisher_address(self):
        raise NotImplementedError

    def subscriber_address(self, _index):
        return self.publisher_address()

    def ping_address(self):
        return self.publisher_address()

    def file(self, name):
        return os.path.join(self.dir, name)


class Fifobus(System):
    name = "fifobus"
    program = LOADS + "fifobus"
    binary = FIFOBUS
    settings = "defaults; C++ client with Batch where messages may be gathered"
    waits = ("blocking", "epoll", "sleep", "busy")

    def version(self):
        return version_of(self.binary, "--version")

    def open(self, spin):
        busy = ["--busy-poll", "1s"] if spin else []
        self.launch(
            self.binary, "serve", "--dir", self.dir, *busy, ready=self.file("alive")
        )

    def publisher_address(self):
        return self.dir


class RawFifo(System):
    """Publisher and subscriber on one FIFO; no broker."""

    name = "raw FIFO"
    program = LOADS + "fifo"
    settings = "one FIFO, nothing between; messages of one size without frames"
    waits = ("blocking", "epoll", "sleep", "busy")

    def version(self):
        return os.uname().release

    def open(self, spin):
        os.mkfifo(self.file("in"))

    def publisher_address(self):
        return self.file("in")


class RawRelay(System):
    """A process that does nothing but move bytes from one FIFO to others."""

    name = "raw relay"
    program = LOADS + "fifo"
    settings = "read, then write to each subscriber's FIFO; pipes of 256 and 512 KiB"
    waits = ("blocking", "epoll", "sleep", "busy")
    relay_flags = ()

    def version(self):
        return os.uname().release

    def open(self, spin):
        outs = [self.file(f"out{i}") for i in range(self.subscribers)]
        for path in [self.file("in"), *outs]:
            os.mkfifo(path)
        self.launch(
            self.program,
            "relay",
            self.file("in"),
            ",".join(outs),
            "--wait",
            "busy" if spin else "blocking",
            *self.relay_flags,
        )

    def publisher_address(self):
        return self.file("in")

    def subscriber_address(self, index):
        return self.file(f"out{index}")

    def ping_address(self):
        return self.file("in") + "," + self.file("out0")


class RawTee(RawRelay):
    name = "raw tee"
    settings = (
        "read, write once, then tee to each subscriber's FIFO; pipes of 256 "
        "and 512 KiB"
    )
    waits = ("blocking",)
    relay_flags = ("--tee",)


class ZeroMq(System):
    name = "ZeroMQ"
    program = LOADS + "zeromq"
    needs = ("libzmq3-dev",)
    settings = "XSUB/XPUB proxy over ipc; XPUB_NODROP; queues of 64 MiB"

    def open(self, spin):
        self.launch(
            self.program,
            "relay",
            self.url("in"),
            self.url("out"),
            ready=self.file("out"),
        )

    def url(self, name):
        return "ipc://" + self.file(name)

    def publisher_address(self):
        return self.url("in")

    def subscriber_address(self, _index):
        return self.url("out")


class Nng(ZeroMq):
    name = "NNG"
    program = LOADS + "nng"
    needs = ("libnng-dev",)
    settings = "pub/sub device over ipc; queues of 8192 messages; drops when full"


class Redis(System):
    name = "Redis"
    program = LOADS + "redis"
    needs = ("redis-server", "libhiredis-dev")
    settings = (
        "pub/sub over a unix socket; no persistence; no limit on output "
        "buffers; PUBLISH pipelined 64 KiB at a time"
    )
    persistence = ("--appendonly", "no")

    def open(self, spin):
        self.launch(
            "redis-server",
            "--port",
            "0",
            "--unixsocket",
            self.file("socket"),
            "--save",
            "",
            *self.persistence,
            "--dir",
            self.dir,
            "--client-output-buffer-limit",
            "pubsub 0 0 0",
            ready=self.file("socket"),
        )

    def publisher_address(self):
        return self.file("socket")


class Nats(System):
    name = "NATS"
    program = LOADS + "nats"
    needs = ("nats-server", "libnats-dev")
    settings = "core over loopback; max_payload 64 MB, max_pending 1 GB"

    def options(self):
        """More of the configuration."""
        return ""

    def open(self, spin):
        config = self.file("config")
        with open(config, "w", encoding="utf-8") as out:
            out.write(
                'listen: "127.0.0.1:-1"\nmax_payload: 64MB\nmax_pending: 1GB\n'
                f'ports_file_dir: "{self.dir}"\n' + self.options()
            )
        self.launch("nats-server", "--config", config)
        ports = self.file(f"nats-server_{self.process.pid}.ports")
        wait_for_path(ports, self.process)
        self.url = ""
        while not self.url:
            with open(ports, encoding="utf-8") as lines:
                found = re.search(r"nats://[0-9.:]+", lines.read())
            self.url = found.group(0) if found else ""

    def publisher_address(self):
        return self.url


class Mosquitto(System):
    name = "mosquitto"
    program = LOADS + "mosquitto"
    needs = ("mosquitto", "libmosquitto-dev")
    settings = "MQTT, QoS 0, over a unix socket; no limit on queued messages"

    def open(self, spin):
        config = self.file("config")
        with open(config, "w", encoding="utf-8") as out:
            out.write(
                f"listener 0 {self.file('socket')}\nallow_anonymous true\n"
                "max_queued_messages 0\nset_tcp_nodelay true\nuser root\n"
            )
        self.launch("mosquitto", "-c", config, ready=self.file("socket"))

    def publisher_address(self):
        return self.file("socket")


OURS = (RawFifo, RawRelay, RawTee, Fifobus)
PEERS = (ZeroMq, Nng, Redis, Nats, Mosquitto)
