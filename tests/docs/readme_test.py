"""Runs the README's examples as a reader would paste them.

Each ```sh block is run in one and the same bash, with a bus of its own. A ```text
block behind it is what must appear: each of its lines, in their order, in what that
block and the jobs it left in the background print.
"""

import os
import re
import subprocess
import tempfile
import time
import unittest

# Generous: only a hang takes as long.
HANG_SECONDS = 60

# Commands that are not pasted here, and the file that runs them; the report only
# by its smallest plan.
RUN_ELSEWHERE = {
    "./quickstart": ".ci/run",
    "./test": ".ci/run",
    "bench/report --quick": "tests/docs/report_test.py",
}


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def blocks(document):
    """The fenced blocks in their order, as (language, text)."""
    return re.findall(r"^```(\w+)\n(.*?)^```$", document, re.S | re.M)


class Shell:
    """A bash that runs one block after the other, like a terminal."""

    def __init__(self, folder, environment):
        self._output_path = os.path.join(folder, "output")
        self._output = open(self._output_path, "wb")
        self._bash = subprocess.Popen(
            ["/bin/bash"],
            cwd=folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=self._output,
            stderr=subprocess.STDOUT,
        )
        self._blocks = 0

    def output(self):
        return read(self._output_path)

    def run(self, block):
        """Runs a block; returns where its output begins."""
        begin = len(self.output())
        self._blocks += 1
        done = f"block {self._blocks} is done\n"
        self._bash.stdin.write(f"{block}\necho '{done.strip()}'\n".encode())
        self._bash.stdin.flush()
        self.wait_for([done.strip()], begin)
        return begin

    def wait_for(self, lines, begin):
        deadline = time.monotonic() + HANG_SECONDS
        while not in_order(lines, self.output()[begin:]):
            if time.monotonic() > deadline:
                raise AssertionError(
                    f"{lines} did not appear in:\n{self.output()[begin:]}"
                )
            time.sleep(0.01)

    def close(self):
        self._bash.stdin.write(b"kill $(jobs -p); wait\n")
        self._bash.stdin.close()
        self._bash.wait(HANG_SECONDS)
        self._output.close()


def without_numbers(line):
    return re.sub(r"user \w+", "user U", re.sub(r"[0-9][0-9,.]*", "N", line))


def shows(line, found):
    """Whether a line of the output is what the README says, or begins so. Numbers
    in explanations differ from run to run."""
    if re.search(r"session|pid|process|messages", line):
        return without_numbers(found).startswith(without_numbers(line))
    return found.startswith(line)


def in_order(lines, output):
    """Whether each line is, or begins, a line of the output, in their order."""
    rest = iter(output.splitlines())
    return all(any(shows(line, found) for found in rest) for line in lines)


class ReadmeTest(unittest.TestCase):
    def setUp(self):
        self.readme = read("README.md")

    def test_examples_print_what_the_readme_says(self):
        with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
            # The clone as it is after ./quickstart; `bazel build` has been done.
            os.symlink(os.getcwd(), os.path.join(folder, "bazel-bin"))
            os.symlink(os.path.abspath("clients"), os.path.join(folder, "clients"))
            environment = dict(
                os.environ,
                FIFOBUS_DIR=folder + "/bus",
                FIFOBUS_STATE_DIR=folder + "/state",
            )
            shell = Shell(folder, environment)
            shell.run("bazel() { test -x bazel-bin/clients/examples/hello; }")
            begin = 0
            checked = 0
            for language, text in blocks(self.readme):
                if language == "sh":
                    begin = shell.run(text)
                elif language == "text":
                    shell.wait_for(text.splitlines(), begin)
                    checked += 1
            shell.close()
            self.assertGreaterEqual(checked, 5)

    def test_console_blocks_hold_what_is_run_elsewhere(self):
        for language, text in blocks(self.readme):
            if language == "console":
                for command in text.splitlines():
                    program = command.split()[0]
                    self.assertIn(program, read(RUN_ELSEWHERE[command]))

    def test_shows_the_example_program_word_for_word(self):
        shown = [text for language, text in blocks(self.readme) if language == "cpp"]
        self.assertEqual(shown, [read("clients/examples/hello.cc")])
        shown = [text for language, text in blocks(self.readme) if language == "python"]
        self.assertEqual(shown, [read("clients/examples/hello.py")])

    def test_links_lead_somewhere(self):
        for target in re.findall(r"\]\(([^)#]+)\)", self.readme):
            self.assertTrue(os.path.exists(target), target)


if __name__ == "__main__":
    unittest.main()
