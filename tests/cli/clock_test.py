"""Commands whose wall clock is set back while they wait: their time is over in time."""

import os
import subprocess
import unittest

from tests.support.fifobus_support import HANG_SECONDS, Bus, binary

PRELOAD = os.path.abspath("tests/support/stepping_clock.so")


def run(*words, stdin=subprocess.DEVNULL):
    """The command's exit code."""
    return subprocess.run(
        [binary("fifobus"), *words],
        env=dict(os.environ, LD_PRELOAD=PRELOAD),
        stdin=stdin,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=False,
        timeout=HANG_SECONDS,
    ).returncode


class ClockTest(unittest.TestCase):
    def test_the_clock_steps(self):
        years = [
            subprocess.run(
                ["date", "+%s %s"],
                env=dict(os.environ, LD_PRELOAD=preload),
                stdout=subprocess.PIPE,
                check=True,
                text=True,
            ).stdout.split()[0]
            for preload in ("", PRELOAD)
        ]
        self.assertGreater(int(years[0]) - int(years[1]), 3000)

    def test_timeouts_are_over(self):
        with Bus():
            for command in (
                "sub a --timeout 100ms",
                "sub a --timeout 100ms --non-blocking",
                "sub a --timeout 100ms --busy-poll",
                "sub a --timeout 100ms --exec cat",
                "sub a --timeout 100ms --exec-stream cat",
                "req a x --timeout 100ms --wait-subscribers 1",
                "pub a x --timeout 100ms --wait-subscribers 1",
                "bench sub a --count 1 --timeout 100ms",
            ):
                self.assertEqual(run(*command.split()), 3, command)

    def test_a_reply_that_does_not_come_is_waited_for_no_longer(self):
        with Bus():
            with subprocess.Popen(
                [binary("fifobus"), "reply", "a", "--exec", "sleep 1000"]
            ) as responder:
                self.assertEqual(
                    run("req", "a", "x", "--wait-subscribers", "1", "--timeout", "1s"),
                    3,
                )
                responder.terminate()

    def test_a_broker_that_is_not_there_is_waited_for_no_longer(self):
        for command in ("pub a x", "sub a", "ls", "path a"):
            self.assertEqual(
                run(*command.split(), "--dir=/nonexistent", "--connect-timeout=100ms"),
                1,
                command,
            )

    def test_rates_and_intervals_go_on(self):
        with Bus():
            self.assertEqual(run("pub", "a", "x", "--repeat", "5", "--rate", "50"), 0)
            self.assertEqual(run("info", "a", "--interval", "10ms"), 0)


if __name__ == "__main__":
    unittest.main()
