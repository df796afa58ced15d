"""The Python package as its users meet it: typed, installed by pip, run by -m."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

from tests.support.fifobus_support import HANG_SECONDS, Bus, await_condition

SOURCE = "clients/python"


def run(*command, environment=None, **options):
    return subprocess.run(
        command,
        env=dict(os.environ, **(environment or {})),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=HANG_SECONDS * 5,
        check=False,
        **options,
    )


class PackageTest(unittest.TestCase):
    def setUp(self):
        self.folder = self.enterContext(tempfile.TemporaryDirectory())

    def copy(self):
        """Builds write into what they build from."""
        copy = os.path.join(self.folder, "python")
        shutil.copytree(SOURCE, copy)
        return copy

    def test_mypy_finds_nothing_to_complain_about(self):
        checked = run(
            sys.executable,
            "-m",
            "mypy",
            "--strict",
            "--python-executable",
            sys.executable,
            "--cache-dir",
            os.path.join(self.folder, "cache"),
            os.path.join(self.copy(), "fifobus"),
        )
        self.assertEqual(checked.returncode, 0, checked.stdout.decode())

    def test_pip_installs_it_from_the_checkout_without_a_download(self):
        target = os.path.join(self.folder, "target")
        installed = run(
            sys.executable,
            "-m",
            "pip",
            "install",
            "--no-build-isolation",
            "--no-index",
            "--no-cache-dir",
            "--target",
            target,
            self.copy(),
        )
        self.assertEqual(installed.returncode, 0, installed.stdout.decode())
        self.assertTrue(os.path.exists(os.path.join(target, "fifobus", "py.typed")))
        # Alone, without what Bazel has put into this process's path.
        shown = run(
            sys.executable,
            "-m",
            "fifobus",
            "sub",
            "--help",
            cwd=self.folder,
            environment={"PYTHONPATH": target},
        )
        self.assertEqual(shown.returncode, 0, shown.stdout.decode())
        self.assertIn(b"--busy-poll", shown.stdout)


class CommandTest(unittest.TestCase):
    def setUp(self):
        self.bus = self.enterContext(Bus())

    def fifobus(self, *arguments, **options):
        return self.fifobus_to(subprocess.PIPE, *arguments, **options)

    def fifobus_to(self, output, *arguments, **options):
        path = os.pathsep.join(part for part in sys.path if part)
        return subprocess.Popen(
            [sys.executable, "-m", "fifobus", *arguments],
            env=dict(os.environ, PYTHONPATH=path),
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.PIPE,
            **options,
        )

    def await_subscriber(self):
        import fifobus

        with fifobus.Client() as client:
            client.wait_for_subscribers("a/b", timeout=HANG_SECONDS)

    def test_prints_what_the_binary_would(self):
        subscriber = self.fifobus("sub", "a/*", "--json", "-n", "2")
        plain = self.fifobus("sub", "a/*", "--show-topic", "-n", "1", "--non-blocking")
        binary = subprocess.Popen(
            ["./fifobus", "sub", "a/*", "--json", "-n", "2"], stdout=subprocess.PIPE
        )
        import fifobus

        with fifobus.Client() as client:
            client.wait_for_subscribers("a/b", 3, timeout=HANG_SECONDS)
        publisher = self.fifobus("pub", "a/b", "--header", "k=v", "--expire", "1h")
        publisher.communicate(b'"quoted" \xc3\xbc\n\xff\x00', HANG_SECONDS)
        self.assertEqual(publisher.returncode, 0)
        output, _ = subscriber.communicate(timeout=HANG_SECONDS)
        expected, _ = binary.communicate(timeout=HANG_SECONDS)
        lines = [json.loads(line) for line in output.splitlines()]
        self.assertEqual(lines, [json.loads(line) for line in expected.splitlines()])
        self.assertEqual(lines[0]["payload"], '"quoted" ü')
        output, _ = plain.communicate(timeout=HANG_SECONDS)
        self.assertEqual(output, 'a/b "quoted" ü\n'.encode())

    def test_exit_codes_are_the_binarys(self):
        for code, arguments in (
            (3, ("sub", "a", "--timeout", "3s")),
            (2, ("sub",)),
            (2, ("sub", "a", "--timeout", "soon")),
            (1, ("pub", "küche", "x")),
            (1, ("sub", "a", "--dir", "/nowhere", "--connect-timeout", "10ms")),
            (0, ("pub", "a", "x")),
        ):
            process = self.fifobus(*arguments)
            _, said = process.communicate(timeout=HANG_SECONDS)
            self.assertEqual(process.returncode, code, (arguments, said))
            self.assertEqual(not said, code in (0, 3), (arguments, said))
            self.assertNotIn(b"Traceback", said)

    def test_a_topic_that_is_denied_is_a_failure(self):
        with tempfile.NamedTemporaryFile("w", suffix=".toml") as config:
            config.write('[[topic]]\npattern = "denied/**"\npublish = []\n')
            config.flush()
            self.bus.kill()
            self.bus.start("--config", config.name)
            for arguments in (("pub", "denied/a", "x"), ("pub", "denied/a")):
                process = self.fifobus(*arguments)
                _, said = process.communicate(b"one\ntwo\n", HANG_SECONDS)
                self.assertEqual(process.returncode, 1, said)
                self.assertIn(b"refused", said)

    def test_an_output_that_cannot_be_written_is_one_line(self):
        with open("/dev/full", "wb") as full:
            subscriber = self.fifobus_to(full, "sub", "a/*")
            self.await_subscriber()
            import fifobus

            with fifobus.Client() as client:
                client.publish("a/b", "x")
            _, said = subscriber.communicate(timeout=HANG_SECONDS)
        self.assertEqual(subscriber.returncode, 1)
        self.assertEqual(said, b"fifobus: standard output: No space left on device\n")

    def test_ends_quietly_when_its_reader_goes_away(self):
        subscriber = self.fifobus("sub", "a/*")
        self.await_subscriber()
        subscriber.stdout.close()
        # At once, and not with the next message.
        await_condition(lambda: subscriber.poll() is not None, "the end")
        self.assertEqual((subscriber.returncode, subscriber.stderr.read()), (0, b""))
        subscriber.stderr.close()
        subscriber.stdin.close()


if __name__ == "__main__":
    unittest.main()
