"""Every client meets every requirement, and the test that says so can fail."""

import concurrent.futures
import json
import re
import subprocess
import tempfile
import unittest

from tests.support.client_programs import SESSION_CLIENTS, TAP_CLIENTS
from tests.support.fifobus_support import binary


def conformance(*arguments):
    """The exit code, and per requirement why it is not met ("" if it is)."""
    run = subprocess.run(
        [binary("fifobus"), "conformance", "--json", *arguments],
        stdout=subprocess.PIPE,
        check=False,
    )
    lines = [json.loads(line) for line in run.stdout.splitlines()]
    return run.returncode, {line["name"]: line.get("why", "") for line in lines}


def listed(*arguments):
    output = subprocess.check_output(
        [binary("fifobus"), "conformance", "--list", *arguments], text=True
    )
    return [line.split()[0] for line in output.splitlines()]


def asking(program, sub, pub):
    """The program with these options of its two ways to be run."""
    script = f'case $1 in sub) set -- "$@" {sub};; pub) set -- "$@" {pub};; esac\n'
    script += 'program=$0; exec $program "$@"'
    return ["sh", "-c", script, " ".join(program)]


LOG_REQUIREMENTS = ("L1", "L2", "L3", "L4", "L5")


class ConformanceTest(unittest.TestCase):
    def check(self, clients, requirements, *arguments):
        # At the same time: most of a trial is waiting, for an interpreter to start or
        # for a client to do nothing.
        with concurrent.futures.ThreadPoolExecutor(len(clients)) as pool:
            runs = {
                name: pool.submit(conformance, *arguments, "--", *command)
                for name, command in clients.items()
            }
        for name, run in runs.items():
            with self.subTest(name):
                code, found = run.result()
                self.assertEqual(found, {name: "" for name in requirements})
                self.assertEqual(code, 0)

    def test_clients_with_sessions_meet_all_requirements(self):
        self.check(SESSION_CLIENTS, listed())

    def test_clients_that_ask_for_logs_meet_what_that_requires(self):
        python = SESSION_CLIENTS["python"]
        pub = "--publisher p --confirm=stored"
        clients = {
            "durable": asking(python, "--durable d", pub),
            "reader": asking(python, "--from start", "--publisher p"),
        }
        self.check(clients, LOG_REQUIREMENTS, "--only", ",".join(LOG_REQUIREMENTS))

    def test_clients_that_do_wrong_with_logs_are_found_out(self):
        """They begin anew, are done with what they were not sent, count wrongly, and
        take what is not stored for stored."""
        script = (
            "import sys, fifobus.protocol.request as request\n"
            "from fifobus.protocol import control, named_publisher, readers\n"
            "from fifobus import client_publishing\n"
            "request.Subscription.resume_offset = property(lambda s: 0, lambda s, v: 0)\n"
            "readers.Readers.positions = lambda self: [\n"
            "    control.Ack(subscription=e.request_id, up_to_offset=1 << 40)\n"
            "    for e in self.entries]\n"
            "named_publisher.NamedPublisher.on_welcome = lambda self, marks: None\n"
            "client_publishing.check_reached = lambda *_: None\n"
            "from fifobus.__main__ import main\n"
            "sys.exit(main(sys.argv[1:]))\n"
        )
        python = SESSION_CLIENTS["python"][0]
        with tempfile.NamedTemporaryFile("w", suffix=".py") as file:
            file.write(script)
            file.flush()
            for sub, pub, wrong in (
                ("--durable d", "--publisher p", {"L3", "L4"}),
                ("--from start", "--confirm=stored", {"L2", "L5"}),
            ):
                command = asking([python, file.name], sub, pub)
                only = ",".join(sorted(wrong))
                code, found = conformance("--only", only, "--", *command)
                self.assertEqual(code, 1)
                self.assertEqual({name for name in found if found[name]}, wrong, found)

    def test_clients_of_taps_meet_all_requirements(self):
        self.check(TAP_CLIENTS, listed("--taps"), "--taps")

    def test_a_client_that_does_nothing_meets_none(self):
        code, found = conformance("--only", "H1,S2,P3", "--", "sleep", "0")
        self.assertEqual(code, 1)
        self.assertEqual(set(found), {"H1", "S2", "P3"})
        self.assertTrue(all(found.values()), found)

    def test_a_client_that_tears_frames_is_found_out(self):
        script = (
            "import os, sys, fifobus.transport.noted as noted\n"
            "def tear(written, fd, parts):\n"
            "    data = b''.join(bytes(part) for part in parts)\n"
            "    written.append(os.write(fd, data + b'?') - 1)\n"
            "noted.write = tear\n"
            "from fifobus.__main__ import main\n"
            "sys.exit(main(sys.argv[1:]))\n"
        )
        python = SESSION_CLIENTS["python"][0]
        code, found = conformance("--only", "P1,P3", "--", python, "-c", script)
        self.assertEqual(code, 1)
        self.assertTrue(found["P1"], found)

    def test_the_specification_names_what_is_tested(self):
        with open("proto/PROTOCOL.md", encoding="utf-8") as file:
            named = set(re.findall(r"\[([HSLPT][0-9]+)\]", file.read()))
        self.assertEqual(named, set(listed()) | set(listed("--taps")))

    def test_wrong_use_is_said(self):
        run = subprocess.run(
            [binary("fifobus"), "conformance"], stderr=subprocess.PIPE, check=False
        )
        self.assertEqual(run.returncode, 2)
        self.assertIn(b"CLIENT", run.stderr)


if __name__ == "__main__":
    unittest.main()
