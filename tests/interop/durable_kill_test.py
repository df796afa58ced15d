"""Kills broker, publishers and readers of a log at random, and keeps the books.

What was confirmed as stored is in the log, once and in its publisher's order. Durable
readers and a group over the log get all of it, at least once."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

# Generous: only a hang takes as long.
HANG_SECONDS = 60

MESSAGES = 400  # of each publisher
PUBLISHERS = ("till-1", "till-2")
KILLS = 25


class Program:
    """A program that is begun again whenever it ends, until stop()."""

    def __init__(self, command, output, environment):
        self.command = command
        self.output = output
        self.environment = environment
        self.process = None
        self.done = False  # it ended by itself, with 0
        self.starts = 0

    def look(self):
        """Begins it, unless it runs or is done."""
        if self.done:
            return
        if self.process is not None:
            code = self.process.poll()
            if code is None:
                return
            if code == 0:
                self.done = True
                return
        self.starts += 1
        with open(self.output, "ab") as out:
            self.process = subprocess.Popen(
                self.command, stdout=out, env=self.environment
            )

    def kill(self):
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def end(self):
        self.done = True
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(HANG_SECONDS)


class DurableKillTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.bus = tempfile.mkdtemp(dir="/dev/shm")
        self.addCleanup(shutil.rmtree, self.bus, ignore_errors=True)
        self.fifobus = os.path.abspath("fifobus")
        self.environment = dict(
            os.environ,
            FIFOBUS_DIR=self.bus + "/bus",
            PYTHONPATH=os.path.abspath("clients/python"),
        )
        self.programs = {}

    def file(self, name):
        return os.path.join(self.folder, name)

    def add(self, name, *command):
        program = Program(command, self.file(name), self.environment)
        self.programs[name] = program
        self.addCleanup(program.kill)
        return program

    def add_all(self):
        self.add(
            "broker",
            *(self.fifobus, "serve", "--state-dir", self.file("state")),
            *("--log", "orders=orders/**", "--group-linger", "1s"),
        )
        for name in PUBLISHERS:
            self.add(
                name,
                sys.executable,
                os.path.abspath("tests/interop/durable_publisher.py"),
                *(name, "orders/" + name, str(MESSAGES)),
            )
        sub = (self.fifobus, "sub", "orders/**", "--json", "--durable")
        self.add("reader", *sub, "billing")
        for member in ("worker-1", "worker-2"):
            self.add(member, *sub, "work", "--group", "workers", "--ack")

    def log_info(self):
        listed = subprocess.run(
            [
                *(self.fifobus, "log", "info", "orders", "--json"),
                *("--state-dir", self.file("state")),
            ],
            capture_output=True,
            env=self.environment,
            timeout=HANG_SECONDS,
            check=False,
        )
        return json.loads(listed.stdout) if listed.returncode == 0 else None

    def lag_of_all(self):
        info = self.log_info()
        readers = info["readers"] if info else []
        if len(readers) < 2:
            return None
        return sum(reader["lag"] for reader in readers)

    def look_until(self, condition, what):
        deadline = time.monotonic() + HANG_SECONDS
        while not condition():
            self.assertLess(time.monotonic(), deadline, what)
            for program in self.programs.values():
                program.look()
            time.sleep(0.02)

    def run_and_kill(self, seed):
        rng = random.Random(seed)
        for _ in range(KILLS):
            until = time.monotonic() + rng.uniform(0.02, 0.3)
            while time.monotonic() < until:
                for program in self.programs.values():
                    program.look()
                time.sleep(0.01)
            rng.choice(list(self.programs.values())).kill()
        publishers = [self.programs[name] for name in PUBLISHERS]
        self.look_until(lambda: all(p.done for p in publishers), "publishers")
        self.look_until(lambda: self.lag_of_all() == 0, "readers")
        for name in ("reader", "worker-1", "worker-2"):
            self.programs[name].end()

    def lines(self, name):
        """The whole lines of an output; a killed program may leave others."""
        found = []
        with open(self.file(name), encoding="utf-8", errors="replace") as lines:
            for line in lines:
                try:
                    found.append(json.loads(line))
                except json.JSONDecodeError:
                    pass
        return found

    def exported(self):
        done = subprocess.run(
            [
                self.fifobus,
                "log",
                "export",
                "orders",
                "--state-dir",
                self.file("state"),
            ],
            capture_output=True,
            env=self.environment,
            timeout=HANG_SECONDS,
            check=True,
        )
        return [json.loads(line) for line in done.stdout.splitlines()]

    def check_log(self, messages):
        self.assertEqual(
            [m["offset"] for m in messages], list(range(1, len(messages) + 1))
        )
        for name in PUBLISHERS:
            payloads = [m["payload"] for m in messages if m["topic"].endswith(name)]
            wanted = [f"{name} {n}" for n in range(1, MESSAGES + 1)]
            self.assertEqual(payloads, wanted)

    def check_readers(self, messages):
        offsets = {m["offset"]: m["payload"] for m in messages}
        read = {
            m["offset"]: m["payload"] for m in self.lines("reader") if "offset" in m
        }
        self.assertEqual(read, offsets)
        worked = {}
        for name in ("worker-1", "worker-2"):
            worked.update(
                {m["offset"]: m["payload"] for m in self.lines(name) if "offset" in m}
            )
        self.assertEqual(worked, offsets)

    def check_order_of_reader(self):
        """Each next message is new, or the reader has begun again further back."""
        back = 0
        last = 0
        for message in self.lines("reader"):
            offset = message.get("offset")
            if offset is None:
                continue
            if offset <= last:
                back += 1
            elif last:
                self.assertEqual(offset, last + 1, "a hole")
            last = offset
        self.assertLessEqual(back, self.programs["reader"].starts + KILLS)

    def test_the_books_are_right(self):
        seed = random.SystemRandom().getrandbits(32)
        print(f"seed {seed}")
        self.add_all()
        self.run_and_kill(seed)
        self.programs["broker"].end()
        messages = self.exported()
        self.check_log(messages)
        self.check_readers(messages)
        self.check_order_of_reader()


if __name__ == "__main__":
    unittest.main()
