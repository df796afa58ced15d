"""`fifobus top` in terminals of several sizes, made by tmux."""

import os
import shutil
import signal
import subprocess
import tempfile
import unittest

import fifobus
from tests.support.fifobus_support import Bus, await_condition, binary


class Terminal:
    """A shell in a terminal of so many columns and rows."""

    def __init__(self, columns, rows):
        self._folder = tempfile.mkdtemp(dir="/dev/shm", prefix="fifobus-tmux-")
        self._environment = dict(os.environ, TMUX_TMPDIR=self._folder)
        self._environment.pop("TMUX", None)
        size = ["-x", str(columns), "-y", str(rows)]
        self.tmux("-f", "/dev/null", "new-session", "-d", *size, "/bin/sh")
        try:
            await_condition(lambda: any(self.lines()), "the prompt")
        except BaseException:
            self.__exit__()
            raise

    def tmux(self, *arguments):
        return subprocess.run(
            ["tmux", *arguments],
            env=self._environment,
            stdout=subprocess.PIPE,
            check=True,
            text=True,
        ).stdout

    def type(self, *keys):
        self.tmux("send-keys", *keys)

    def shows(self, variable):
        return self.tmux("display-message", "-p", variable).strip()

    def lines(self):
        return self.tmux("capture-pane", "-p").splitlines()

    def wait_for(self, *parts):
        def shows_all():
            shown = "\n".join(self.lines())
            return all(part in shown for part in parts)

        try:
            await_condition(shows_all, parts)
        except AssertionError as error:
            raise AssertionError(f"{error}, in:\n" + "\n".join(self.lines())) from None

    def top(self, options=""):
        """Starts it, and says what the terminal was set to before."""
        self.type(f"clear; stty -g > {self._folder}/before", "Enter")
        self.type(f"{binary('fifobus')} top --interval 100ms {options}", "Enter")
        self.wait_for("fifobus top:", "msgs/s")
        assert self.runs_top(), self.shows("#{pane_current_command}")

    def runs_top(self):
        return self.shows("#{pane_current_command}") == "fifobus"

    def is_restored(self):
        """Whether the shell is back, on its own screen, with its settings."""
        # What is typed before top has ended is typed into the terminal as top set it.
        await_condition(lambda: not self.runs_top(), "the shell")
        self.type(f"stty -g | cmp - {self._folder}/before && echo the sa''me", "Enter")
        self.wait_for("the same")
        return self.shows("#{alternate_on}") == "0"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.tmux("kill-server")
        shutil.rmtree(self._folder)


class TopTest(unittest.TestCase):
    def test_all_sizes(self):
        for columns, rows in ((80, 24), (132, 40), (40, 10)):
            with self.subTest(columns=columns), Bus(), fifobus.Client() as client:
                for i in range(60):
                    client.publish(f"topic/{i:02}", b"x")
                client.ping()
                with Terminal(columns, rows) as terminal:
                    terminal.top()
                    terminal.wait_for("topic/00", "60 topics")
                    shown = terminal.lines()
                    self.assertLessEqual(max(map(len, shown)), columns)
                    self.assertTrue(shown[-1].startswith("tab pane"), shown)
                    listed = [line for line in shown if line.startswith("topic/")]
                    self.assertEqual(len(listed), rows - 4)
                    terminal.type("NPage")
                    terminal.wait_for(f"topic/{rows - 4:02}")
                    terminal.type("Tab")
                    terminal.wait_for("fifobus top: clients", "CLIENT")
                    terminal.type("Tab")
                    terminal.wait_for("fifobus top: counters", "frames_refused")
                    terminal.type("h")
                    terminal.wait_for("sort by another column")
                    terminal.type("Escape")
                    terminal.wait_for("frames_refused")
                    terminal.type("q")
                    self.assertTrue(terminal.is_restored())

    def test_filters_sorts_pauses_and_resizes(self):
        with Bus(), fifobus.Client() as client, Terminal(80, 24) as terminal:
            for topic, count in (("one", 1), ("two", 2), ("three", 3)):
                for _ in range(count):
                    client.publish(topic, b"")
            client.ping()
            terminal.top()
            terminal.wait_for("one", "two", "three")
            terminal.type("/", "t", "w", "Enter")
            await_condition(
                lambda: "three" not in "\n".join(terminal.lines()), "filter"
            )
            terminal.wait_for("two", 'filter "tw"')
            terminal.type("Escape")
            terminal.wait_for("one", "three")

            def order():
                return [
                    line.split()[0]
                    for line in terminal.lines()
                    if line.split()[:1] in (["one"], ["two"], ["three"])
                ]

            terminal.type(">", ">", ">", ">")
            terminal.wait_for("*MESSAGES")
            await_condition(lambda: order() == ["three", "two", "one"], "sorting")
            terminal.type("r")
            await_condition(lambda: order() == ["one", "two", "three"], "reversing")
            terminal.type("p")
            terminal.wait_for("paused")
            terminal.tmux("resize-window", "-x", "50", "-y", "12")
            await_condition(
                lambda: terminal.lines()[-1].startswith("tab pane")
                and len(terminal.lines()) == 12,
                "the new size",
            )
            terminal.type("q")
            self.assertTrue(terminal.is_restored())

    def test_a_stuck_subscriber_shows_with_its_pid(self):
        with Bus() as bus:
            bus.stop()
            bus.start("--stall-timeout", "10ms", "--queue-bytes", "4096")
            with fifobus.Client() as client, Terminal(80, 24) as terminal:
                sub = subprocess.Popen(
                    [binary("fifobus"), "sub", "a"], stdout=subprocess.DEVNULL
                )
                await_condition(
                    lambda: client.stats().sessions[-1].patterns == ["a"], "the sub"
                )
                sub.send_signal(signal.SIGSTOP)
                terminal.top()
                terminal.type("Tab")

                def is_shown():
                    client.publish("a", b"x" * 10000)
                    client.flush()
                    return any(
                        str(sub.pid) in line and "stalled" in line
                        for line in terminal.lines()
                    )

                await_condition(is_shown, "the stall to show")
                terminal.wait_for("1 in trouble")
                sub.kill()
                sub.wait()

    def test_the_terminal_is_given_back_whatever_happens(self):
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            with self.subTest(number=number), Bus(), Terminal(80, 24) as terminal:
                terminal.top()
                with fifobus.Client() as client:
                    pids = {s.client_name: s.pid for s in client.stats().sessions}
                os.kill(pids["fifobus top"], number)
                self.assertTrue(terminal.is_restored())

    def test_it_outlives_the_broker(self):
        with Bus() as bus, Terminal(80, 24) as terminal:
            terminal.top()
            bus.kill()
            terminal.wait_for("NO BROKER")
            bus.start()
            await_condition(
                lambda: "NO BROKER" not in "\n".join(terminal.lines()), "the next one"
            )
            bus.kill()
            terminal.wait_for("NO BROKER")
            terminal.type("q")
            self.assertTrue(terminal.is_restored())

    def test_it_holds_up_no_broker_that_stops(self):
        with Bus() as bus, Terminal(80, 24) as terminal:
            bus.kill()
            bus.start("--drain-timeout", "1h")
            terminal.top()
            terminal.type("p")
            terminal.wait_for("paused")
            bus.stop()

    def test_an_interval_of_nothing_is_refused(self):
        for command in ("top", "info", "why", "metrics"):
            done = subprocess.run(
                [binary("fifobus"), command, "--interval", "0"],
                capture_output=True,
                check=False,
                text=True,
            )
            self.assertEqual(done.returncode, 2, command)
            self.assertIn('"0" is too short; it is at least 1ms', done.stderr)

    def test_without_a_terminal_it_says_so(self):
        with Bus():
            done = subprocess.run(
                [binary("fifobus"), "top"],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                check=False,
                text=True,
            )
            self.assertEqual(done.returncode, 1)
            self.assertIn("top needs a terminal", done.stderr)
            with Terminal(80, 24) as terminal:
                terminal.type(f"TERM=dumb {binary('fifobus')} top; echo $?", "Enter")
                terminal.wait_for("cannot move its cursor")


if __name__ == "__main__":
    unittest.main()
