"""`fifobus` and `python3 -m fifobus` on one bus, for tests that run both."""

import os
import subprocess
import sys
import tempfile
import unittest

import fifobus
from tests.support.fifobus_support import HANG_SECONDS, LogBus, binary

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


class BothPrograms(unittest.TestCase):
    """A bus with topics that may not be used, with retained values, and with a log."""

    def setUp(self):
        self.bus = self.enterContext(LogBus())
        config = self.enterContext(tempfile.NamedTemporaryFile("w", suffix=".toml"))
        config.write(CONFIG)
        config.flush()
        self.bus.kill()
        self.bus.start("--config", config.name)
        with fifobus.Client() as client:
            for topic in ("kept/a", "kept/b"):
                client.publish(topic, "value", retain=True, confirm=True)
            client.publish(
                "full/a",
                "value",
                headers=[("k", "v"), ("trace-id", "1"), ("k", "w"), ("nul", "a\0b")],
                content_type="text/plain",
                reply_topic="answers",
                expiry=3600,
                sequence=7,
                publish_time_unix_nanos=1_700_000_000_123_456_789,
                retain=True,
                confirm=True,
            )
            for topic in ("log/a", "log/b", "log/a"):
                client.publish(topic, "value", level=fifobus.Level.STORED)

    def start(self, program, *arguments):
        process = subprocess.Popen(
            [*PROGRAMS[program], *arguments],
            env=self.environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        return process

    def environment(self):
        path = os.pathsep.join(part for part in sys.path if part)
        return dict(os.environ, PYTHONPATH=path, FIFOBUS_HEADER_OLD="not passed on")

    def run_by(self, program, arguments, given=b""):
        return subprocess.run(
            [*PROGRAMS[program], *arguments],
            env=self.environment(),
            input=given,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            timeout=HANG_SECONDS,
            check=False,
        )
