"""A broker for Python's tests, on a bus of its own."""

import os
import shutil
import signal
import subprocess
import tempfile
import time

# Generous: only a hang takes as long.
HANG_SECONDS = 60


def binary(path):
    """The absolute path of a program among the test's runfiles."""
    return os.path.abspath(path)


def await_condition(condition, what):
    """Waits until `condition` says so; returns what it said."""
    deadline = time.monotonic() + HANG_SECONDS
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {HANG_SECONDS} s for {what}")
        time.sleep(0.005)


class Bus:
    """A broker process. $FIFOBUS_DIR names its bus as long as it is open."""

    def __init__(self):
        self._folder = tempfile.mkdtemp(dir="/dev/shm", prefix="fifobus-test-")
        self.directory = os.path.join(self._folder, "bus")
        os.environ["FIFOBUS_DIR"] = self.directory
        self._broker = None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.kill()
        shutil.rmtree(self._folder)

    def start(self, *options, environment=None):
        """Returns when it is ready."""
        self._broker = subprocess.Popen(
            [binary("fifobus"), "serve", "--log-level", "info", *options],
            stderr=subprocess.PIPE,
            env={**os.environ, "FIFOBUS_DIR": self.directory, **(environment or {})},
        )
        said = b""
        while b"ready" not in said:
            more = os.read(self._broker.stderr.fileno(), 4096)
            if not more:
                raise AssertionError(f"no broker: {said.decode()}")
            said += more

    def _end(self, signal_number):
        if self._broker is not None:
            self._broker.send_signal(signal_number)
            self._broker.communicate()
            self._broker = None

    def kill(self):
        self._end(signal.SIGKILL)

    def stop(self):
        self._end(signal.SIGTERM)

    def restart(self):
        self.kill()
        self.start()


class LogBus(Bus):
    """A broker whose log "log" stores what is published below log/, also over its
    death."""

    def start(self, *options):
        state = os.path.join(self._folder, "state")
        super().start("--state-dir", state, "--log", "log=log/**", *options)
