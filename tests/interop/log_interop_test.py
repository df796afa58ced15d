"""Both command lines publish to a log and read it, across deaths of the broker."""

import os
import subprocess
import tempfile
import unittest

from tests.support.client_programs import SESSION_CLIENTS
from tests.support.fifobus_support import HANG_SECONDS, LogBus, await_condition

TOPIC = "log/lines"
PROGRAMS = {name: SESSION_CLIENTS[name] for name in ("cli", "python")}
# Lines of a publisher between two deaths.
ROUND = 1000
ROUNDS = 3


def lines_of(publisher, lines):
    return [line for line in lines if line.startswith(publisher.encode() + b" ")]


class LogInteropTest(unittest.TestCase):
    def setUp(self):
        self.bus = self.enterContext(LogBus())
        self.folder = self.enterContext(tempfile.TemporaryDirectory())

    def start(self, command, name, **options):
        """What it prints goes to a file of that name."""
        with open(os.path.join(self.folder, name), "wb") as output:
            process = subprocess.Popen(command, stdout=output, **options)
        self.addCleanup(process.wait, HANG_SECONDS)
        self.addCleanup(process.kill)
        return process

    def printed(self, name):
        with open(os.path.join(self.folder, name), "rb") as file:
            return file.read().split(b"\n")[:-1]

    def test_each_reader_gets_each_line_of_each_publisher(self):
        for name, program in PROGRAMS.items():
            self.start([*program, "sub", TOPIC, "--durable", name], f"{name}.read")
        pub = ("pub", TOPIC, "--confirm=stored", "--publisher")
        publishers = {
            name: self.start(
                [*program, *pub, name], f"{name}.pub", stdin=subprocess.PIPE
            )
            for name, program in PROGRAMS.items()
        }
        for turn in range(ROUNDS):
            for name, publisher in publishers.items():
                numbers = range(turn * ROUND, (turn + 1) * ROUND)
                text = "".join(f"{name} {number}\n" for number in numbers)
                publisher.stdin.write(text.encode())
                publisher.stdin.flush()
            await_condition(lambda: self.printed("cli.pub"), "a confirmation")
            self.bus.restart()
        for name, publisher in publishers.items():
            publisher.stdin.close()
            self.assertEqual(publisher.wait(HANG_SECONDS), 0, name)
        self.check_log()
        for reader in PROGRAMS:
            self.check_reader(f"{reader}.read")

    def wanted(self, publisher):
        return [f"{publisher} {n}".encode() for n in range(ROUNDS * ROUND)]

    def check_log(self):
        """Nothing is missing in it, and nothing is there twice."""
        for program in PROGRAMS.values():
            command = [*program, "sub", TOPIC, "--from", "start", "--until", "now"]
            stored = subprocess.check_output(command, timeout=HANG_SECONDS)
            lines = stored.split(b"\n")[:-1]
            self.assertEqual(len(lines), len(PROGRAMS) * ROUNDS * ROUND)
            for publisher in PROGRAMS:
                self.assertEqual(lines_of(publisher, lines), self.wanted(publisher))

    def check_reader(self, name):
        """It has got each, in order, and some perhaps again after a death."""
        for publisher in PROGRAMS:
            wanted = self.wanted(publisher)
            await_condition(
                lambda: wanted[-1] in self.printed(name),
                f"the last line of {publisher} in {name}",
            )
            got = lines_of(publisher, self.printed(name))
            self.assertEqual(list(dict.fromkeys(got)), wanted, f"{publisher} in {name}")

    def test_a_reader_goes_on_where_one_of_the_other_program_was(self):
        subprocess.run(
            [*PROGRAMS["cli"], "pub", TOPIC, "--confirm=stored"],
            input=b"1\n2\n3\n4\n",
            stdout=subprocess.DEVNULL,
            timeout=HANG_SECONDS,
            check=True,
        )
        got = [
            subprocess.check_output(
                [*PROGRAMS[name], "sub", TOPIC, "--durable", "d", "-n", "1"],
                timeout=HANG_SECONDS,
            )
            for name in ("cli", "python", "cli", "python")
        ]
        self.assertEqual(got, [b"1\n", b"2\n", b"3\n", b"4\n"])

    def test_a_publisher_goes_on_where_one_of_the_other_program_was(self):
        command = ("pub", TOPIC, "--confirm=stored", "--publisher", "p", "--resume")
        printed = [
            subprocess.run(
                [*PROGRAMS[name], *command],
                input=given,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                timeout=HANG_SECONDS,
                check=True,
            ).stdout.split()
            for name, given in (("python", b"1\n2\n"), ("cli", b"1\n2\n3\n"))
        ]
        self.assertEqual(printed[0][0], b"stored")
        self.assertEqual(printed[1].count(b"duplicate"), 2)
        self.assertEqual(printed[1].count(b"stored"), 1)


if __name__ == "__main__":
    unittest.main()
