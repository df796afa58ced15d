"""`python3 -m fifobus pub` and `sub` take what the program takes, print what it prints,
and end as it does: one table, run by both."""

import os
import subprocess
import sys
import tempfile
import unittest

import fifobus
from tests.support.fifobus_support import HANG_SECONDS, Bus, binary

PROGRAMS = {
    "fifobus": [binary("fifobus")],
    "python": [sys.executable, "-m", "fifobus"],
}

CONFIG = """
[[topic]]
pattern = "denied/**"
publish = []
subscribe = []
[[topic]]
pattern = "**"
publish = ["*"]
subscribe = ["*"]
"""

# The arguments, standard input, and the exit code. "kept/a" and "kept/b" have retained
# values, so that `sub` ends by itself.
TABLE = (
    # pub
    (("pub", "a", "x"), b"", 0),
    (("pub", "a"), b"one\ntwo", 0),
    (("pub", "a", "--raw"), b"one\ntwo", 0),
    (("pub", "a", "-0"), b"one\0two", 0),
    (("pub", "a", "--null"), b"one\0two", 0),
    (("pub", "a", "x", "--header", "k=v", "--header", "l="), b"", 0),
    (("pub", "a", "x", "--content-type", "text/plain", "--expire", "1h"), b"", 0),
    (("pub", "a", "x", "--confirm"), b"", 0),
    (("pub", "a", "--confirm"), b"1\n2\n", 0),
    (("pub", "a", "x", "--confirm", "--timeout", "5s"), b"", 0),
    (("pub", "a", "x", "--repeat", "3", "--confirm"), b"", 0),
    (("pub", "new", "x", "--retain", "--confirm"), b"", 0),
    (("pub", "a", "x", "--wait-subscribers", "0"), b"", 0),
    (("pub", "a", "x", "--wait-subscribers", "1", "--timeout", "50ms"), b"", 3),
    (("pub", "a", "x", "--will-topic", "w", "--will-payload", "p"), b"", 0),
    (("pub", "denied/a", "x"), b"", 1),
    (("pub", "denied/a"), b"one\ntwo\n", 1),
    (("pub", "denied/a", "x", "--confirm"), b"", 1),
    (("pub", "a/*", "x"), b"", 1),
    (("pub", "$sys/a", "x"), b"", 1),
    (("pub", "a", "x", "--header", "\u00fc=v"), b"", 1),
    (("pub", "a", "x", "--dir", "/nowhere", "--connect-timeout", "10ms"), b"", 1),
    (("pub",), b"", 2),
    (("pub", "a", "x", "--header", "k"), b"", 2),
    (("pub", "a", "x", "--header", "=v"), b"", 2),
    (("pub", "a", "x", "--raw"), b"", 2),
    (("pub", "a", "--raw", "-0"), b"", 2),
    (("pub", "a", "--repeat", "3"), b"", 2),
    (("pub", "a", "x", "--repeat", "-1"), b"", 2),
    (("pub", "a", "x", "--expire", "soon"), b"", 2),
    (("pub", "a", "x", "--will-payload", "p"), b"", 2),
    (("pub", "a", "x", "--unknown"), b"", 2),
    # sub
    (("sub", "kept/a", "-n", "1"), b"", 0),
    (("sub", "kept/a", "kept/b", "--count", "2", "--show-topic"), b"", 0),
    (("sub", "kept/a", "-n", "1", "--show-retained", "--show-topic"), b"", 0),
    (("sub", "kept/a", "-n", "1", "--raw"), b"", 0),
    (("sub", "kept/a", "-n", "1", "-0"), b"", 0),
    (("sub", "kept/a", "-n", "1", "--json"), b"", 0),
    (("sub", "kept/a", "-n", "1", "--non-blocking"), b"", 0),
    (("sub", "kept/a", "-n", "1", "--busy-poll"), b"", 0),
    (("sub", "kept/a", "-n", "1", "--overflow", "latest"), b"", 0),
    (("sub", "kept/a", "-n", "1", "--overflow", "drop-newest"), b"", 0),
    (("sub", "kept/a", "-n", "1", "--queue-bytes", "9999"), b"", 0),
    (("sub", "kept/a", "-n", "1", "--queue-messages", "9"), b"", 0),
    (("sub", "kept/a", "-n", "1", "--will-topic", "w", "--will-retain"), b"", 0),
    (("sub", "kept/a", "--no-retained", "--timeout", "50ms"), b"", 3),
    (("sub", "a", "--timeout", "50ms"), b"", 3),
    (("sub", "a", "--timeout", "0.05", "--fail-on-gap"), b"", 3),
    (("sub", "a", "--timeout", "50ms", "--busy-poll"), b"", 3),
    (("sub", "a", "--timeout", "50ms", "--non-blocking"), b"", 3),
    (("sub", "a", "--group", "g", "--timeout", "50ms"), b"", 3),
    (("sub", "b", "--group", "h", "--ack", "--timeout", "50ms"), b"", 3),
    (("sub", "denied/a"), b"", 1),
    (("sub", "a/**/b"), b"", 1),
    (("sub", "a", "--group", "two/levels"), b"", 1),
    (("sub", "a", "--dir", "/nowhere", "--connect-timeout", "10ms"), b"", 1),
    (("sub",), b"", 2),
    (("sub", "a", "-n", "0"), b"", 2),
    (("sub", "a", "-n", "some"), b"", 2),
    (("sub", "a", "--timeout", "soon"), b"", 2),
    (("sub", "a", "--json", "--raw"), b"", 2),
    (("sub", "a", "--json", "--show-topic"), b"", 2),
    (("sub", "a", "--raw", "-0"), b"", 2),
    (("sub", "a", "--ack"), b"", 2),
    (("sub", "a", "--group", "g", "--unacked", "2"), b"", 2),
    (("sub", "a", "--overflow", "sometimes"), b"", 2),
    (("sub", "a", "--non-blocking", "--busy-poll"), b"", 2),
    (("sub", "a", "--will-retain"), b"", 2),
)


class CommandTest(unittest.TestCase):
    def setUp(self):
        self.bus = self.enterContext(Bus())
        config = self.enterContext(tempfile.NamedTemporaryFile("w", suffix=".toml"))
        config.write(CONFIG)
        config.flush()
        self.bus.kill()
        self.bus.start("--config", config.name)
        with fifobus.Client() as client:
            for topic in ("kept/a", "kept/b"):
                client.publish(topic, "value", retain=True, confirm=True)

    def run_by(self, program, arguments, given):
        path = os.pathsep.join(part for part in sys.path if part)
        return subprocess.run(
            [*PROGRAMS[program], *arguments],
            env=dict(os.environ, PYTHONPATH=path),
            input=given,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            timeout=HANG_SECONDS,
            check=False,
        )

    def test_both_end_and_print_alike(self):
        for arguments, given, code in TABLE:
            with self.subTest(" ".join(arguments)):
                runs = {
                    program: self.run_by(program, arguments, given)
                    for program in PROGRAMS
                }
                for program, run in runs.items():
                    self.assertEqual(run.returncode, code, (program, run.stderr))
                    self.assertNotIn(b"Traceback", run.stderr, program)
                    if code != 3:  # which says something only where it is not asked for
                        self.assertEqual(bool(run.stderr), code != 0, program)
                python, program = runs["python"], runs["fifobus"]
                self.assertEqual(python.stdout, program.stdout)
                self.assertEqual(bool(python.stderr), bool(program.stderr))


if __name__ == "__main__":
    unittest.main()
