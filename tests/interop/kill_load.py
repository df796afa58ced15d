"""The load of kill_table_test: a broker, its readers, publishers and taps."""

import json
import os
import signal
import subprocess
import threading
import time

import fifobus
from tests.support.fifobus_support import HANG_SECONDS, await_condition, binary

LIVE = ("live/py", "live/cpp", "live/tap")


class Stream:
    """What a reader got of one topic. A message may be missing only behind a gap, and
    none may come twice or too early."""

    def __init__(self, name):
        self.name = name
        self.last = 0
        self.gaps = 0
        self.jumps = 0  # gaps that messages were missing at
        self.missing = 0
        self.faults = []
        self._gap_before = False

    def on_gap(self):
        self.gaps += 1
        self._gap_before = True

    def on_number(self, number):
        if number <= self.last:
            self.faults.append(f"{self.name}: {number} behind {self.last}")
        elif number > self.last + 1:
            self.jumps += 1
            self.missing += number - self.last - 1
            if not self._gap_before:
                self.faults.append(f"{self.name}: {number} behind {self.last}, no gap")
        self.last = number
        self._gap_before = False


class Reader:
    """A client that receives all the time, in a thread of its own."""

    def __init__(self, name, **subscription):
        self.streams = {topic: Stream(f"{name} of {topic}") for topic in LIVE}
        self.failure = None
        self._stop = False
        self.client = fifobus.Client(
            name=name, overflow=fifobus.Overflow.BLOCK, on_gap=self.take
        )
        self.client.subscribe(**subscription)
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self):
        try:
            while not self._stop:
                try:
                    self.take(self.client.receive(0.1))
                except TimeoutError:
                    pass
        except Exception as error:  # for the main thread
            self.failure = error
            raise

    def take(self, event):
        if isinstance(event, fifobus.Gap):
            assert event.reason is fifobus.GapReason.RECONNECTED, event
            for stream in self.streams.values():
                stream.on_gap()
        else:
            self.streams[event.topic].on_number(int(event.payload))

    def end(self):
        self._stop = True
        self._thread.join()
        self.client.close()


class DurableReader(Reader):
    """Of the log. Counts what comes again, and when it had come first."""

    def __init__(self):
        self.last = self.newest = 0
        self.repeated = 0
        self.oldest_repeat = 0.0  # seconds before the end of the broker
        self.broker_ended = 0.0
        self.faults = []
        self._times = {}
        super().__init__("durable", pattern="log/**", durable="kept")

    def take(self, event):
        if isinstance(event, fifobus.Gap):
            self.faults.append(f"durable: {event}")
            return
        now = time.monotonic()
        if event.offset > self.last + 1:
            self.faults.append(f"durable: {event.offset} behind {self.last}")
        if event.offset <= self.newest:
            self.repeated += 1
        if event.offset <= self.last:  # since the kill; all behind it is younger
            age = self.broker_ended - self._times.get(event.offset, 0.0)
            self.oldest_repeat = max(self.oldest_repeat, age)
        self.last = event.offset
        self.newest = max(self.newest, self.last)
        self._times[event.offset] = now  # when it came last
        self._times.pop(event.offset - 50000, None)


class Broker:
    """With or without a keeper."""

    def __init__(self, folder, bus, keeper):
        self.bus = bus
        self.keeper = keeper
        self._log = open(os.path.join(folder, "broker.log"), "ab")
        self._command = [
            *(binary("fifobus"), "serve", *(["--keep"] if keeper else [])),
            *(["--restart-delay", "10ms"] if keeper else []),
            *("--state-dir", os.path.join(folder, "state")),
            # On a busy machine nobody is too slow.
            *("--log", "log=log/**", "--stall-timeout", "5m"),
        ]
        self._process = None
        self.start()

    def start(self):
        self._process = subprocess.Popen(self._command, stderr=self._log)
        self._await_other(None)

    @property
    def pid(self):
        try:
            with open(self.bus + "/broker.lock", encoding="ascii") as lock:
                return int(lock.read().split()[0])
        except (OSError, ValueError, IndexError):
            return 0

    def _await_other(self, before):
        def serves():
            if self.pid in (0, before):
                return False
            try:
                fifobus.Client(connect_timeout=0.2).close()
                return True
            except fifobus.FifobusError:
                return False

        await_condition(serves, "the broker")

    def stop_reading(self):
        pid = self.pid
        os.kill(pid, signal.SIGSTOP)
        await_condition(lambda: _state_of(pid) == "T", "the broker to stop")

    def kill(self):
        """And see to the next one."""
        before = self.pid
        os.kill(before, signal.SIGKILL)
        if self.keeper:
            self._await_other(before)
        else:
            self._process.wait(HANG_SECONDS)

    def end(self):
        if self._process.poll() is None:
            self._process.terminate()
            self._process.wait(HANG_SECONDS)
        self._log.close()


def _state_of(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
        return stat.read().rsplit(")", 1)[1].split()[0]


class Program:
    """kill_publisher; its lines are gathered."""

    def __init__(self, folder, *arguments):
        self._path = os.path.join(folder, arguments[0] + ".out")
        with open(self._path, "wb") as output:
            self.process = subprocess.Popen(
                [binary("tests/interop/kill_publisher"), *arguments],
                stdin=subprocess.PIPE,
                stdout=output,
            )

    def end(self):
        """Its lines; the last one says what it has sent and lost."""
        self.process.stdin.close()
        code = self.process.wait(HANG_SECONDS)
        assert code == 0, f"{self._path}: {code}"
        with open(self._path, encoding="ascii") as lines:
            return lines.read().splitlines()

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.process.stdin.close()


class Tap:
    """Lines into live/tap, and a `cat` that reads them out of a `.json`."""

    def __init__(self, folder, bus):
        self.out = f"{bus}/topics/live/tap.out"
        self.into = f"{bus}/topics/live/tap.in"
        self.path = os.path.join(folder, "cat.out")
        self.sent = 0
        self.kept = set()  # that a broker which read no more had not read
        self.starts = 0
        os.makedirs(self.out, exist_ok=True)
        os.mkfifo(self.out + "/cat.json")
        self.cat = None

    def look(self):
        """Begins `cat`, unless it runs."""
        if self.cat is not None and self.cat.poll() is None:
            return
        self.starts += 1
        with open(self.path, "ab") as output:
            self.cat = subprocess.Popen(["cat", self.out + "/cat.json"], stdout=output)

    def write(self, count):
        """What a full FIFO does not take is not sent."""
        try:
            fd = os.open(self.into, os.O_WRONLY | os.O_NONBLOCK)
        except OSError:
            return  # no broker and no keeper
        try:
            for _ in range(count):
                os.write(fd, b"%d\n" % (self.sent + 1))
                self.sent += 1
        except BlockingIOError:
            pass
        finally:
            os.close(fd)

    def lines(self):
        """A broker that dies leaves half a line where its `cat` ends as well."""
        with open(self.path, encoding="utf-8") as lines:
            for line in lines.read().splitlines():
                try:
                    yield json.loads(line)
                except json.JSONDecodeError:
                    pass

    def end(self):
        if self.cat is not None and self.cat.poll() is None:
            self.cat.kill()
        if self.cat is not None:
            self.cat.wait()
