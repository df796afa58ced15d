"""python3 -m fifobus pub and sub, of topics that a log stores."""

import argparse
import json
import os
import subprocess
import sys
import time
import unittest

from fifobus import Start
from fifobus.commands import values
from fifobus.protocol import control
from fifobus.protocol.control import Failure
from tests.support.fake_log import FakeLogBroker
from tests.support.fifobus_support import HANG_SECONDS, await_condition


class StartTest(unittest.TestCase):
    def test_places_in_a_log(self):
        utc = 1_795_860_000
        for text, start in (
            ("start", Start.first()),
            ("new", Start.next()),
            ("42", Start.offset(42)),
            ("-10", Start.last(10)),
            ("2026-11-28T10:00Z", Start.time(utc)),
            ("2026-11-28T10:00:00+00:00", Start.time(utc)),
            ("2026-11-28T12:30+02:00", Start.time(utc + 1800)),
        ):
            self.assertEqual(values.start(text), start, text)
        now = time.time()
        for text, seconds in (("-5m", 300), ("-1h30m", 5400), ("-500ms", 0.5)):
            nanos = values.start(text).frame.time_unix_nanos
            self.assertAlmostEqual(nanos / 1e9, now - seconds, delta=HANG_SECONDS)

    def test_what_is_none(self):
        for text in (
            "",
            "-",
            "end",
            "1.5",
            "--1",
            "-x",
            "2026-13-28",
            "-5 m",
            "9" * 30,
            "0",
            "-0",
            "-1.5",
            "-1x",
        ):
            with self.assertRaises(argparse.ArgumentTypeError, msg=text) as refused:
                values.start(text)
            self.assertIn("is no place in a log", str(refused.exception))


class CommandTest(unittest.TestCase):
    def setUp(self):
        self.broker = self.enterContext(FakeLogBroker())

    def start(self, *arguments):
        path = os.pathsep.join(part for part in sys.path if part)
        process = subprocess.Popen(
            [sys.executable, "-m", "fifobus", *arguments],
            env=dict(os.environ, PYTHONPATH=path),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        return process

    def run_by(self, *arguments, given=b"", code=0):
        """What it prints."""
        process = self.start(*arguments)
        output, error = process.communicate(given, HANG_SECONDS)
        self.assertEqual(process.returncode, code, error)
        self.assertNotIn(b"Traceback", error)
        self.error = error.decode()
        return output

    def store(self, count, topic="log/a"):
        with self.broker.lock:
            for _ in range(count):
                self.broker.store(topic, b"%d" % (len(self.broker.stored) + 1))


class SubTest(CommandTest):
    def test_until_now(self):
        self.store(4)
        for start, wanted in (
            ("start", b"1\n2\n3\n4\n"),
            ("3", b"3\n4\n"),
            ("-1", b"4\n"),
            ("new", b""),
        ):
            printed = self.run_by("sub", "log/**", "--from", start, "--until", "now")
            self.assertEqual(printed, wanted, start)
        self.assertEqual(self.error, "")

    def test_all_ways_of_output_end_with_it(self):
        self.store(3)
        for options in (
            ("--exec", "cat; echo"),
            ("--exec-stream", "cat"),
            ("--busy-poll",),
            ("--non-blocking",),
        ):
            printed = self.run_by(
                "sub", "log/**", "--from=start", "--until", "now", *options
            )
            self.assertEqual(printed, b"1\n2\n3\n", options)

    def test_json_has_the_place_and_the_time(self):
        self.store(1)
        printed = self.run_by("sub", "log/**", "--from", "1", "-n", "1", "--json")
        message = json.loads(printed)
        self.assertEqual(message["offset"], 1)
        self.assertEqual(message["stored_time"], "2027-01-15T08:00:00.123456790Z")

    def test_a_durable_reader_has_done_what_it_has_written(self):
        self.store(5)
        for count, wanted in ((2, b"1\n2\n"), (3, b"3\n4\n5\n")):
            printed = self.run_by("sub", "log/**", "--durable", "d", "-n", str(count))
            self.assertEqual(printed, wanted)
        await_condition(lambda: self.broker.positions["d"] == 6, "its position")

    def test_a_durable_reader_has_done_what_its_command_has(self):
        self.store(5)
        options = ("sub", "log/**", "--durable", "d")
        command = ("--exec", "read line; test $line != 3")
        self.run_by(*options, *command[:2], code=1)
        self.assertIn("reader d stays at offset 3", self.error)
        await_condition(lambda: self.broker.positions["d"] == 3, "its position")
        self.assertEqual(self.run_by(*options, "-n", "1"), b"3\n")
        streamed = self.run_by(*options, "-n", "2", "--exec-stream", "cat")
        self.assertEqual(streamed, b"4\n5\n")

    def test_a_durable_reader_until_now(self):
        self.store(3)
        options = ("sub", "log/**", "--durable", "d", "--until", "now")
        self.assertEqual(self.run_by(*options), b"1\n2\n3\n")
        self.store(1)
        self.assertEqual(self.run_by(*options), b"4\n")
        self.assertEqual(self.run_by(*options), b"")

    def test_formats_and_commands_know_the_place(self):
        self.store(1)
        options = ("sub", "log/**", "--from", "start", "--until", "now")
        printed = self.run_by(*options, "--format", "{offset} {stored_time}\\n")
        self.assertEqual(printed, b"1 2027-01-15T08:00:00.123456790Z\n")
        command = "echo $FIFOBUS_OFFSET $FIFOBUS_STORED_TIME_UNIX_NANOS"
        printed = self.run_by(*options, "--exec", command)
        self.assertEqual(printed, b"1 1800000000123456790\n")

    def test_what_is_refused(self):
        self.run_by("sub", "other", "--from", "start", code=1)
        self.assertIn("the logs are: log", self.error)
        self.run_by("sub", "log/a", "--from", "7", code=1)
        self.assertIn("the log ends at 1", self.error)
        for options in (
            ("--from", "there"),
            ("--from",),
            ("--until", "now"),
            ("--from", "1", "--until", "then"),
            ("--from", "1", "--until", "now", "--group", "g"),
            ("--from", "1", "--group", "g"),
            ("--durable", "d", "--group", "g"),
        ):
            self.run_by("sub", "log/a", *options, code=2)


class PubTest(CommandTest):
    def test_the_place_of_each_message(self):
        given = b"one\ntwo\n"
        printed = self.run_by("pub", "log/a", "--confirm=stored", given=given)
        self.assertEqual(printed, b"stored 1 1 0\nstored 2 1 0\n")
        printed = self.run_by("pub", "log/a", "x", "--confirm=written")
        self.assertEqual(printed, b"written 3 1 0\n")
        printed = self.run_by("pub", "log/a", "x", "--confirm=accepted")
        self.assertEqual(printed, b"accepted 1 0\n")

    def test_many_are_on_their_way_at_once(self):
        with self.broker.lock:
            self.broker.held = []
        process = self.start("pub", "log/a", "x", "--confirm=stored", "--repeat=300")
        await_condition(lambda: len(self.broker.held) == 300, "300 messages")
        with self.broker.lock:
            self.broker.release()
        output, error = process.communicate(timeout=HANG_SECONDS)
        self.assertEqual((process.returncode, error), (0, b""))
        self.assertEqual(output.splitlines()[299], b"stored 300 1 0")

    def test_a_line_is_confirmed_before_the_next_is_there(self):
        process = self.start("pub", "log/a", "--confirm=stored")
        for number in (1, 2, 3):
            process.stdin.write(b"line\n")
            process.stdin.flush()
            self.assertEqual(process.stdout.readline(), b"stored %d 1 0\n" % number)
        process.communicate(timeout=HANG_SECONDS)
        self.assertEqual(process.returncode, 0)

    def test_the_first_that_is_not_stored_is_the_end(self):
        self.run_by("pub", "plain", "x", "--confirm=stored", code=1)
        self.assertIn("message 1 is not stored: no log stores its topic", self.error)
        self.broker.failure = Failure.LOG_FAILED
        self.run_by("pub", "log/a", "x", "--confirm=written", code=1)
        self.assertIn("message 1 is not stored: its log has failed", self.error)

    def test_a_publisher_is_numbered_on(self):
        options = ("pub", "log/a", "--publisher", "p")
        self.run_by(*options, "--confirm=stored", given=b"1\n2\n")
        self.run_by(*options, "3")
        numbers = [sequence for *_, sequence in self.broker.stored]
        self.assertEqual(numbers, [1, 2, 3])
        self.assertEqual(self.broker.asked(control.Hello)[0].publisher, "p")

    def test_a_second_run_stores_only_what_is_missing(self):
        options = ("pub", "log/a", "--publisher", "p", "--resume", "--confirm=stored")
        self.run_by(*options, given=b"1\n2\n")
        printed = self.run_by(*options, given=b"1\n2\n3\n")
        self.assertEqual(printed, b"duplicate 0\nduplicate 2\nstored 3 1 0\n")
        self.assertIn("2 of 3 messages were in the log already", self.error)
        self.assertEqual(len(self.broker.stored), 3)

    def test_a_lost_session_doubles_nothing(self):
        publish = self.broker._publish

        def die(session, message):
            publish(session, message)
            self.broker._publish = publish
            session.end()

        with self.broker.lock:
            self.broker._publish = die
        options = ("pub", "log/a", "--publisher", "p", "--confirm=stored")
        printed = self.run_by(*options, given=b"1\n2\n3\n")
        self.assertEqual(len(printed.splitlines()), 3)
        self.assertEqual([p for _, p, *_ in self.broker.stored], [b"1", b"2", b"3"])

    def test_without_a_name_it_is_not_known(self):
        with self.broker.lock:
            self.broker._publish = lambda session, message: session.end()
        self.run_by("pub", "log/a", "x", "--confirm=stored", code=1)
        self.assertIn("not known whether message 1 was taken", self.error)

    def test_what_is_refused(self):
        for options in (
            ("--confirm=much",),
            ("--confirm=",),
            ("--resume",),
            ("--resume", "--publisher", "p"),
            ("--resume", "--confirm"),
        ):
            self.run_by("pub", "log/a", "x", *options, code=2)
        self.run_by("pub", "log/a", "x", "--publisher", "two/levels", code=1)
        self.assertIn('publisher "two/levels" is not one level', self.error)


if __name__ == "__main__":
    unittest.main()
