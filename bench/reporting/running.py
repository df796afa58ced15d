"""Runs one load: a broker, its subscribers, its publishers; and what they used."""

import json
import os
import subprocess
import time

from reporting.systems import LOADS, Broken

RUN_SECONDS = 90  # a load that takes longer hangs
SETTLE_SECONDS = 0.15  # until subscriptions that nobody acknowledges have come


def cpu_seconds(process):
    """What a running process, if any, has used of the processor, all its threads."""
    if process is None:
        return 0
    total = 0
    for thread in os.listdir(f"/proc/{process.pid}/task"):
        path = f"/proc/{process.pid}/task/{thread}/schedstat"
        with open(path, encoding="ascii") as stat:
            total += int(stat.read().split()[0])
    return total / 1e9


def memory_bytes(pid):
    """What a process has in memory that it shares with nobody."""
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as lines:
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

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()


def crowd(system, sessions, patterns):
    """Idle sessions beside a load; at most 3000 in a process, five descriptors each."""
    children = []
    while sessions > 0:
        part = min(sessions, 3000)
        sessions -= part
        children.append(
            Child(
                [
                    LOADS + "crowd",
                    system.dir,
                    "--sessions",
                    str(part),
                    "--patterns",
                    str(patterns),
                ]
            )
        )
        children[-1].await_ready()
    return children


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

    `idle`: so many idle sessions with so many patterns each (fifobus only). The
    result has the subscribers' own numbers (the slowest one's latencies), and CPU
    seconds of each side.
    """
    children = []
    try:
        system.start(subscribers, spin)
        before = memory_bytes(system.process.pid) if system.process else 0
        bystanders = crowd(system, *idle) if idle[0] else []
        children += bystanders
        after = memory_bytes(system.process.pid) if system.process else 0
        shape = ["--size", str(size), "--wait", wait]
        if ping:
            subs = [
                Child(
                    [
                        system.program,
                        "ping",
                        system.ping_address(),
                        "--count",
                        str(count),
                        *shape,
                    ]
                )
            ]
            pubs = []
            children += subs
            subs[0].await_ready()
            broker_cpu = cpu_seconds(system.process)
        else:
            subs = [
                Child(
                    [
                        system.program,
                        "sub",
                        system.subscriber_address(i),
                        "--count",
                        str(count * publishers),
                        *shape,
                    ]
                )
                for i in range(subscribers)
            ]
            children += subs
            for sub in subs:
                sub.await_ready()
            time.sleep(SETTLE_SECONDS)
            broker_cpu = cpu_seconds(system.process)
            pubs = [
                Child(
                    [
                        system.program,
                        "pub",
                        system.publisher_address(),
                        "--size",
                        str(size),
                        "--count",
                        str(count),
                        "--id",
                        str(i),
                        *(["--rate", str(rate)] if rate else []),
                        *(["--batch"] if batch else []),
                    ]
                )
                for i in range(publishers)
            ]
            children += pubs
        deadline = time.monotonic() + RUN_SECONDS
        outs = [json.loads(sub.finish(deadline)) for sub in subs]
        pub_outs = [json.loads(pub.finish(deadline)) for pub in pubs]
        broker_used = cpu_seconds(system.process)
        result = merge(outs, count * publishers)
        result["broker_cpu_s"] = broker_used - broker_cpu
        result["clients_cpu_s"] = sum(out["cpu_s"] for out in (*outs, *pub_outs))
        if idle[0]:
            result["bytes_per_idle_session"] = (after - before) / idle[0]
        return result
    finally:
        for child in children:
            child.end()
        system.stop()


def merge(outs, expected):
    """Several subscribers' results as one: deliveries of all, over the time until
    the last one had everything."""
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
