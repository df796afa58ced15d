"""Runs one load (a broker, its subscribers, its publishers) and says what it used."""

import json
import os
import subprocess
import time

from reporting.systems import LOADS, Broken

RUN_SECONDS = 90  # a load that takes longer hangs
# The time that a subscription takes to reach a broker that does not acknowledge it.
SETTLE_SECONDS = 0.15


def cpu_seconds(process):
    """The processor time that all threads of a running process, if any, have used."""
    if process is None:
        return 0
    total = 0
    for thread in os.listdir(f"/proc/{process.pid}/task"):
        path = f"/proc/{process.pid}/task/{thread}/schedstat"
        with open(path, encoding="ascii") as stat:
            total += int(stat.read().split()[0])
    return total / 1e9


def memory_of(process):
    """The bytes of memory that a running process, if any, shares with no other."""
    if process is None:
        return 0
    with open(f"/proc/{process.pid}/smaps_rollup", encoding="ascii") as lines:
        for line in lines:
            if line.startswith("Private_Dirty:"):
                return int(line.split()[1]) * 1024
    return 0


class Child:
    """A load process and its output."""

    def __init__(self, command):
        self.command = command
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def await_ready(self):
        if self.process.stdout.readline().strip() != "ready":
            raise Broken(self.process.stderr.read().strip() or "it did not get ready")

    def finish(self, deadline):
        """Waits for the end and returns what was printed."""
        try:
            out, errors = self.process.communicate(
                timeout=max(0.1, deadline - time.monotonic())
            )
        except subprocess.TimeoutExpired:
            raise Broken("it hung: " + " ".join(self.command)) from None
        if self.process.returncode != 0:
            raise Broken(errors.strip() or f"exit code {self.process.returncode}")
        return out

    def finish_soon(self):
        """The same, with the time that any load may take."""
        return self.finish(time.monotonic() + RUN_SECONDS)

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()


class Load:
    """One load on one system: its processes, from their start to their end."""

    def __init__(self, system, *, size, count, wait):
        self.system = system
        self.count = count
        self.shape = ["--size", str(size), "--wait", wait]
        self.size = size
        self.children = []  # all that were started

    def start(self, *command):
        child = Child([str(part) for part in command])
        self.children.append(child)
        return child

    def end(self):
        for child in self.children:
            child.end()

    def crowd(self, sessions, patterns):
        """Starts idle sessions. A process has at most 3000, of five descriptors each."""
        while sessions > 0:
            part = min(sessions, 3000)
            sessions -= part
            self.start(
                LOADS + "crowd",
                self.system.dir,
                "--sessions",
                part,
                "--patterns",
                patterns,
            ).await_ready()

    def ping(self):
        """Starts a process that sends to itself; it is ready."""
        child = self.start(
            self.system.program,
            "ping",
            self.system.ping_address(),
            "--count",
            self.count,
            *self.shape,
        )
        child.await_ready()
        return child

    def subscribe(self, subscribers, publishers):
        """Starts the subscribers, whose subscriptions are in place."""
        children = [
            self.start(
                self.system.program,
                "sub",
                self.system.subscriber_address(index),
                "--count",
                self.count * publishers,
                *self.shape,
            )
            for index in range(subscribers)
        ]
        for child in children:
            child.await_ready()
        time.sleep(SETTLE_SECONDS)
        return children

    def publish(self, publishers, rate, batch):
        """Starts the publishers, which publish at once."""
        return [
            self.start(
                self.system.program,
                "pub",
                self.system.publisher_address(),
                "--size",
                self.size,
                "--count",
                self.count,
                "--id",
                index,
                *(["--rate", rate] if rate else []),
                *(["--batch"] if batch else []),
            )
            for index in range(publishers)
        ]


def run(
    system,
    *,
    size,
    count,
    subscribers=1,
    publishers=1,
    rate=0,
    batch=True,
    wait="blocking",
    spin=False,
    ping=False,
    idle=(0, 0),
):
    """Runs one load and returns its result, or raises Broken.

    `idle` is a number of idle sessions, and of patterns that each of them has (fifobus
    only). The result has the subscribers' own numbers, with the latencies of the slowest
    one, and the CPU seconds of each side.
    """
    load = Load(system, size=size, count=count, wait=wait)
    try:
        system.start(subscribers, spin)
        memory_before = memory_of(system.process)
        load.crowd(*idle)
        memory_after = memory_of(system.process)
        subs = [load.ping()] if ping else load.subscribe(subscribers, publishers)
        cpu_before = cpu_seconds(system.process)
        pubs = [] if ping else load.publish(publishers, rate, batch)
        deadline = time.monotonic() + RUN_SECONDS
        outs = [json.loads(sub.finish(deadline)) for sub in subs]
        pub_outs = [json.loads(pub.finish(deadline)) for pub in pubs]
        result = merge(outs, count * publishers)
        result["broker_cpu_s"] = cpu_seconds(system.process) - cpu_before
        result["clients_cpu_s"] = sum(out["cpu_s"] for out in (*outs, *pub_outs))
        if idle[0]:
            result["bytes_per_idle_session"] = (memory_after - memory_before) / idle[0]
        return result
    finally:
        load.end()
        system.stop()


def merge(outs, expected):
    """Several subscribers' results as one: the deliveries of all, over the time that
    the last one took."""
    messages = sum(out["messages"] for out in outs)
    seconds = max(out["seconds"] for out in outs)
    slowest = max(outs, key=lambda out: out["latency_us"]["p99"])
    return {
        "messages": messages,
        "seconds": seconds,
        "deliveries_per_s": messages / seconds if seconds else 0,
        "bytes_per_s": sum(out["bytes"] for out in outs) / seconds if seconds else 0,
        "lost_part": 1 - messages / (expected * len(outs)),
        "out_of_order": sum(out["out_of_order"] for out in outs),
        "latency_us": slowest["latency_us"],
        "curve": slowest["curve"],
    }
