"""Every client publishes to every client, across the death of a broker."""

import os
import subprocess
import tempfile
import unittest

import fifobus
from tests.support.client_programs import SESSION_CLIENTS, TAP_CLIENTS
from tests.support.fifobus_support import HANG_SECONDS, Bus, await_condition

TOPIC = "interop/lines"
BINARY = bytes(byte for byte in range(256) if byte != ord("\n"))


class Subscriber:
    """A client that prints what it gets into a file."""

    def __init__(self, name, command, folder):
        self._path = os.path.join(folder, name)
        with open(self._path, "wb") as output:
            self._process = subprocess.Popen([*command, "sub", TOPIC], stdout=output)

    def lines_of(self, publisher):
        """What it has printed of one publisher's lines, in order."""
        with open(self._path, "rb") as output:
            lines = output.read().split(b"\n")[:-1]
        return [line for line in lines if line.startswith(publisher.encode() + b" ")]

    def end(self):
        self._process.terminate()
        self._process.wait(HANG_SECONDS)


class Publisher:
    """A client that publishes what it is given."""

    def __init__(self, name, command):
        self.name = name
        self._process = subprocess.Popen(
            [*command, "pub", TOPIC], stdin=subprocess.PIPE
        )

    def publish(self, *payloads):
        """Returns the lines that are to arrive."""
        lines = [self.name.encode() + b" " + payload for payload in payloads]
        for line in lines:
            self._process.stdin.write(line + b"\n")
        self._process.stdin.flush()
        return lines

    def end(self):
        self._process.stdin.close()
        return self._process.wait(HANG_SECONDS)


class InteropTest(unittest.TestCase):
    def setUp(self):
        self.bus = self.enterContext(Bus())
        folder = self.enterContext(tempfile.TemporaryDirectory())
        clients = {**SESSION_CLIENTS, **TAP_CLIENTS}
        self.subscribers = {
            name: Subscriber(name, command, folder) for name, command in clients.items()
        }
        self.publishers = {
            name: Publisher(name, command) for name, command in clients.items()
        }
        for client in self.subscribers.values():
            self.addCleanup(client.end)

    def await_subscribers(self):
        with fifobus.Client() as client:
            client.wait_for_subscribers(TOPIC, len(self.subscribers), HANG_SECONDS)

    def await_lines(self, publisher, lines):
        for name, subscriber in self.subscribers.items():
            await_condition(
                lambda: len(subscriber.lines_of(publisher)) >= len(lines),
                f"{len(lines)} lines of {publisher} at {name}",
            )
            got = subscriber.lines_of(publisher)
            self.assertEqual(got, lines, f"{publisher} to {name}")

    def test_every_client_gets_the_lines_of_every_client(self):
        self.await_subscribers()
        sent = {}
        for name, publisher in self.publishers.items():
            sent[name] = publisher.publish(b"one", b"two", "drei ü".encode())
            if name not in TAP_CLIENTS:  # a shell's variable holds no NUL
                sent[name] += publisher.publish(BINARY, b"x" * (1 << 20))
            self.await_lines(name, sent[name])
        self.bus.restart()
        self.await_subscribers()
        for name, publisher in self.publishers.items():
            sent[name] += publisher.publish(b"after")
            self.await_lines(name, sent[name])
            # 1: it knows that lines before the restart may be lost.
            self.assertIn(publisher.end(), (0, 1), name)

    def test_topics_outside_ascii_are_refused_alike(self):
        for publisher in self.publishers.values():
            publisher.end()
        for name, command in {**SESSION_CLIENTS, **TAP_CLIENTS}.items():
            run = subprocess.run(
                [*command, "pub", "sensors/küche"],
                input=b"line\n",
                stderr=subprocess.PIPE,
                timeout=HANG_SECONDS,
                check=False,
            )
            self.assertGreater(run.returncode, 0, name)
            self.assertTrue(run.stderr, name)


if __name__ == "__main__":
    unittest.main()
