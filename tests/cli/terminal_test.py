"""What the program does with the output that it is given: a terminal, a pipe that
nobody reads, a full disk."""

import os
import pty
import subprocess
import tempfile
import unittest

from tests.support.fifobus_support import HANG_SECONDS, Bus, await_condition, binary

ESCAPE = b"\x1b"


def on_terminal(command, until=None):
    """What a command prints to a terminal that is its standard output and error.

    With `until` it is ended when it has printed that.
    """
    master, slave = pty.openpty()
    process = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave)
    os.close(slave)
    printed = b""
    while until is None or until not in printed:
        try:
            printed += os.read(master, 65536)
        except OSError:  # EIO: nobody has the terminal open any more
            break
    process.terminate()
    process.wait(HANG_SECONDS)
    os.close(master)
    return printed


class TerminalTest(unittest.TestCase):
    def test_nothing_is_coloured(self):
        with Bus():
            for command in (["--help"], ["sub", "--help"], ["ls"], ["nonsense"]):
                printed = on_terminal([binary("fifobus"), *command])
                self.assertNotIn(ESCAPE, printed, command)
                self.assertNotEqual(printed, b"", command)
        with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
            serve = [binary("fifobus"), "serve", "--dir", folder + "/bus"]
            self.assertNotIn(ESCAPE, on_terminal(serve, until=b"ready"))

    def test_commands_end_quietly_when_nobody_reads(self):
        with Bus():
            topics = "".join(f"t/{i}\n" for i in range(2000))
            lines = "".join(
                f'{{"topic":"{topic}","payload":""}}\n' for topic in topics.split()
            )
            subprocess.run(
                [binary("fifobus"), "pub", "--json"],
                input=lines,
                text=True,
                check=True,
            )
            # Larger than a pipe, so that it cannot be written in advance.
            await_condition(
                lambda: len(self._run("fifobus ls").stdout) > 100_000, "all topics"
            )
            for command in (
                "fifobus ls",
                "fifobus ls --json",
                "fifobus completion topics",
                "fifobus man sub",
                "fifobus sub --help",
            ):
                outcome = self._run(f"({command}; echo $? >&2) | head -c 1")
                self.assertEqual(outcome.stderr, b"0\n", command)
                self.assertEqual(len(outcome.stdout), 1, command)

    def test_commands_fail_when_it_cannot_be_written(self):
        with Bus():
            self._run("fifobus pub a x --retain --confirm")
            for command in ("fifobus ls", "fifobus man sub", "fifobus sub a -n 1"):
                outcome = self._run(f"{command} > /dev/full")
                self.assertEqual(outcome.returncode, 1, command)
                self.assertIn(b"fifobus: ", outcome.stderr, command)

    def test_closed_descriptors_are_nobody_elses(self):
        with Bus():
            self._run("fifobus pub a x --retain --confirm")
            for command in ("fifobus sub a -n 1 >&-", "fifobus pub a <&-"):
                outcome = self._run(command)
                self.assertEqual(outcome.returncode, 1, command)
                self.assertIn(b"Bad file descriptor", outcome.stderr, command)
            outcome = self._run("fifobus sub a -n 1 --exec cat <&- 2>&-")
            self.assertEqual(outcome.stdout, b"x")

    def _run(self, command):
        return subprocess.run(
            ["/bin/sh", "-c", f"PATH={os.getcwd()}:$PATH; {command}"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            check=False,
        )


if __name__ == "__main__":
    unittest.main()
