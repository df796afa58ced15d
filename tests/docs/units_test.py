"""The units for systemd: systemd takes them, and the program takes their commands."""

import os
import re
import shlex
import shutil
import subprocess
import tempfile
import unittest

HANG_SECONDS = 60
UNITS = ("fifobus.service", "fifobus-bridge.service")
BRIDGE = """origin = "here"
[nats]
servers = ["nats://127.0.0.1:1"]
[[out]]
live = true
pattern = "chat/**"
"""


def unit(name):
    with open(f"debian/{name}", encoding="utf-8") as file:
        return file.read()


def run(*command):
    return subprocess.run(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=HANG_SECONDS,
        check=False,
    )


class UnitsTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.folder)

    def write(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def installed(self, name):
        """A unit whose program is the one that was built."""
        program = os.path.abspath("fifobus")
        return self.write(name, unit(name).replace("/usr/bin/fifobus", program))

    @unittest.skipUnless(shutil.which("systemd-analyze"), "no systemd-analyze")
    def test_systemd_has_no_complaint(self):
        for name in UNITS:
            with self.subTest(name):
                verified = run(
                    *("systemd-analyze", "verify", "--man=no", "--recursive-errors=no"),
                    self.installed(name),
                )
                if "Failed to" in verified.stdout and name not in verified.stdout:
                    self.skipTest(f"it cannot work here: {verified.stdout}")
                self.assertEqual((verified.returncode, verified.stdout), (0, ""))

    @unittest.skipUnless(shutil.which("systemd-analyze"), "no systemd-analyze")
    def test_systemd_complains_of_what_is_wrong(self):
        text = unit(UNITS[0]).replace("Restart=always", "Restart=perhaps")
        wrong = self.write("wrong.service", text)
        verified = run("systemd-analyze", "verify", "--man=no", wrong)
        self.assertNotEqual((verified.returncode, verified.stdout), (0, ""))

    def test_the_program_takes_the_commands(self):
        with open("clients/examples/bus.toml", encoding="utf-8") as file:
            bus = self.write("bus.toml", file.read())
        configs = {
            "/etc/fifobus/bus.toml": bus,
            "/etc/fifobus/bridge.toml": self.write("bridge.toml", BRIDGE),
        }
        for name in UNITS:
            (command,) = re.findall(r"^ExecStart=(.*)$", unit(name), re.M)
            words = [configs.get(word, word) for word in shlex.split(command)]
            self.assertEqual(words[0], "/usr/bin/fifobus")
            # Not where a broker of this machine may have its logs.
            checked = run(
                *("env", f"FIFOBUS_STATE_DIR={self.folder}/state", "./fifobus"),
                *words[1:],
                "--check",
            )
            self.assertEqual(checked.returncode, 0, checked.stdout)

    def test_the_bridge_runs_as_a_user_that_is_made(self):
        (user,) = re.findall(r"^User=(.*)$", unit("fifobus-bridge.service"), re.M)
        self.assertRegex(unit("fifobus.sysusers"), rf"(?m)^u +{user} ")


if __name__ == "__main__":
    unittest.main()
