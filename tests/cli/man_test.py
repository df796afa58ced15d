"""The manual pages: well-formed, complete, and their examples true.

Each example of a page is what --help shows too. EXAMPLES below runs every one of
them; a page with an example that is not there fails.
"""

import os
import re
import subprocess
import tempfile
import unittest

from tests.support.fifobus_support import HANG_SECONDS, Bus, await_condition, binary

PAGES = "clients/cli/man"


def fifobus(*arguments):
    return subprocess.run(
        [binary("fifobus"), *arguments], stdout=subprocess.PIPE, check=True, text=True
    ).stdout


def page_names():
    return fifobus("man", "--list").split()


def roff(name):
    with open(f"{PAGES}/{name}.1", encoding="utf-8") as page:
        return page.read()


def text(name):
    """A page as a terminal shows it, in one line for each option."""
    return subprocess.run(
        ["groff", "-man", "-Tutf8", "-P-cbou", "-rLL=400n", f"{PAGES}/{name}.1"],
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    ).stdout


def examples(name):
    """The commands of a page, as they would be pasted from a terminal."""
    lines = text(name).splitlines()
    if name == "fifobus":
        # An overview: what each command does stands behind it.
        found = [re.match(r" +(fifobus .*?)  +\S", line) for line in lines]
        return [match[1] for match in found if match]
    if "EXAMPLES" not in lines:
        return []
    behind = lines[lines.index("EXAMPLES") + 1 :]
    return [line.strip() for line in behind[: behind.index("SEE ALSO")] if line.strip()]


class Example:
    """How an example is tried, and what it does.

    `feed` is run again and again until it has printed all of `prints`, as lines or
    beginnings of lines; then it ends by itself, or is ended.
    """

    def __init__(
        self, prints=(), feed="", first="", before="", ends=True, then="", log=""
    ):
        self.prints = prints
        self.feed = feed
        self.first = first  # what must be running before
        self.before = before  # what must have been done
        self.ends = ends
        self.then = then  # a check afterwards
        self.log = log  # of the bus, NAME=PATTERN


SENSORS = "fifobus pub sensors/door 3"
DATED = "fifobus reply time --exec date"
LOUD = "fifobus reply shout --exec 'tr a-z A-Z'"

KITCHEN = "fifobus sub sensors/kitchen/temp"

ORDERS = "orders=orders/**"

# A log named orders, left by a broker that has ended.
LOG = (
    "fifobus serve --dir ~/other --log 'orders=orders/**' & "
    "fifobus ls --dir ~/other && kill $! && wait"
)
# And a durable reader of it.
READER = f"{LOG}; fifobus log seek orders billing --to new --pattern 'orders/**'"

# A bridge to a server that is not there.
BRIDGE = """cat > bridge.toml << 'END'
origin = "here"
[nats]
servers = ["nats://127.0.0.1:1"]
[[out]]
live = true
pattern = "chat/**"
END"""

EXAMPLES = {
    # fifobus
    "fifobus serve": Example(ends=False, then="fifobus ls"),
    "fifobus sub 'sensors/**'": Example(["3"], SENSORS, ends=False),
    "fifobus pub sensors/temp 21.5": Example(),
    "fifobus reply time --exec date": Example(
        feed="fifobus req time now > answer && echo done >&3", ends=False
    ),
    "fifobus req time now": Example(first=DATED, prints=[""]),
    # fifobus-serve
    "fifobus serve --dir ~/bus --history 'sensors/**=100'": Example(
        ends=False, then="fifobus pub --dir ~/bus a x"
    ),
    "fifobus serve --config bus.toml --check": Example(
        ["bus.toml: good"], before="echo 'workers = 1' > bus.toml"
    ),
    "fifobus serve --keep --dir ~/bus": Example(
        ends=False, then="fifobus pub --dir ~/bus a x"
    ),
    "fifobus serve --state-dir ~/logs --log 'orders=orders/**'": Example(
        ends=False, then="test -d ~/logs/logs/orders && fifobus ls"
    ),
    # fifobus-upgrade
    "fifobus upgrade": Example(["upgraded from"]),
    'fifobus upgrade "$(command -v fifobus)"': Example(["upgraded from"]),
    # fifobus-log and below
    "fifobus log ls": Example(["LOG", "orders "], before=LOG),
    "fifobus log ls --json | python3 -m json.tool": Example(["{"], before=LOG),
    "fifobus log info orders": Example(["log orders"], before=LOG),
    "fifobus log check": Example(["orders: good"], before=LOG),
    "fifobus log check orders": Example(["orders: good"], before=LOG),
    "fifobus log export orders > orders.json": Example(before=LOG),
    "fifobus log export orders --from -10": Example(before=LOG),
    "fifobus log export orders --from -1h --format payload": Example(before=LOG),
    "fifobus log export orders --from 1 --to 100": Example(before=LOG),
    "fifobus log seek orders billing --to start": Example(
        ["orders: billing is at offset 1"], before=READER
    ),
    "fifobus log seek orders audit --to -1h --pattern 'orders/*'": Example(
        ["orders: audit is at offset 1"], before=LOG
    ),
    "fifobus log forget orders billing": Example(
        ["orders: billing is forgotten"], before=READER
    ),
    "fifobus log trim orders --before -7d": Example(["orders: begins"], before=LOG),
    "fifobus log trim orders --before 1": Example(["orders: begins"], before=LOG),
    # fifobus-bridge-nats
    "fifobus bridge nats --config bridge.toml --check": Example(
        ["out: live chat/** -> subjects chat.>"], before=BRIDGE
    ),
    "fifobus bridge nats --config bridge.toml": Example(
        before=BRIDGE,
        ends=False,
        then="until fifobus ls | grep -q 'fifobus bridge'; do sleep 0.1; done",
    ),
    # fifobus-info, fifobus-why
    "fifobus info sensors/kitchen/temp": Example(
        ["topic sensors/kitchen/temp", "  published    0 messages"], first=KITCHEN
    ),
    "fifobus info 'fifobus sub' --interval 5s": Example(["session "], first=KITCHEN),
    "fifobus info 'fifobus sub' --json": Example(['{"seconds"'], first=KITCHEN),
    "fifobus why sensors/kitchen/temp": Example(
        ["Nothing was published", "One subscriber gets it now:"], first=KITCHEN
    ),
    # fifobus-doctor; whether all is well is the machine's affair
    "fifobus doctor": Example(["ok     directory"], ends=False),
    "fifobus doctor --json | python3 -m json.tool": Example(["{"]),
    # fifobus-metrics
    "fifobus metrics | grep stalled": Example(["# HELP fifobus_queue_stalled"]),
    "fifobus metrics --textfile fifobus.prom --interval 30s": Example(
        ends=False, then="until grep -q fifobus_up fifobus.prom; do sleep 0.1; done"
    ),
    # fifobus-pub
    "fifobus pub sensors/kitchen/temp 21.5 --header unit=celsius": Example(),
    "fifobus pub lights/kitchen on --retain --confirm": Example(["accepted"]),
    "fifobus pub beat tick --repeat 0 --rate 2": Example(
        ends=False, then="fifobus sub beat -n 2 --timeout 50s"
    ),
    "find . -print0 | fifobus pub files -0": Example(),
    "fifobus pub orders/1 tea --confirm=stored": Example(["stored 1"], log=ORDERS),
    "fifobus pub orders/2 --confirm=stored --publisher till --resume < day": Example(
        ["stored 3"], before="seq 3 > day", log=ORDERS
    ),
    "fifobus sub 'sensors/**' --json | fifobus pub --json copies": Example(
        ["3"],
        f"fifobus sub copies -n 1 --timeout 300ms >&3 & sleep 0.1; {SENSORS}; wait",
        ends=False,
    ),
    # fifobus-sub
    "fifobus sub 'sensors/**' --show-topic": Example(
        ["sensors/door 3"], SENSORS, ends=False
    ),
    "fifobus sub sensors/door -n 1 --timeout 5s": Example(["3"], SENSORS),
    r"fifobus sub 'sensors/**' --format '{time} {topic} {payload}\n'": Example(
        ["20"], SENSORS, ends=False
    ),
    "fifobus sub orders --group shop --ack --exec 'cat >> orders.txt'": Example(
        feed="fifobus pub orders tea; grep tea orders.txt >&3", ends=False
    ),
    "fifobus sub 'sensors/*' --exec 'echo \"$FIFOBUS_TOPIC: $(cat)\"'": Example(
        ["sensors/door: 3"], SENSORS, ends=False
    ),
    "fifobus sub 'orders/**' --from -1h --until now --json": Example(
        ['{"topic":"orders/1"'],
        before="fifobus pub orders/1 tea --confirm=stored",
        log=ORDERS,
    ),
    "fifobus sub 'orders/**' --durable printer >> orders.txt": Example(
        before="fifobus pub orders/1 tea --confirm=stored",
        ends=False,
        then="grep tea orders.txt",
        log=ORDERS,
    ),
    "fifobus sub log/lines -n 2 --exec-stream 'gzip > log.gz'": Example(
        feed="fifobus pub log/lines warm", then="zcat log.gz | grep warm"
    ),
    "fifobus sub files -n 2 -0 | xargs -0 ls -ld": Example(
        ["d"], "fifobus pub files /; fifobus pub files /tmp"
    ),
    # fifobus-req, -reply, -path, -ls
    "echo hello | fifobus req shout --timeout 2s": Example(["HELLO"], first=LOUD),
    "fifobus reply shout --exec 'tr a-z A-Z' --jobs 4 --group loud": Example(
        feed="fifobus req shout hello >&3", ends=False
    ),
    'echo Hello > "$(fifobus path greetings)"': Example(),
    "fifobus ls": Example(["TOPIC"]),
    "fifobus ls --json | python3 -m json.tool": Example(["{"]),
    # fifobus-bench and below, fifobus-conformance
    "fifobus bench sub load --count 100000 --json": Example(
        ["{"], "fifobus bench pub load --count 100000 --batch"
    ),
    "fifobus bench pub load --count 100000 --size 64 --batch": Example(),
    "fifobus bench sub load --count 1000 --timeout 30s": Example(
        ["messages "], "fifobus bench pub load --count 1000"
    ),
    "fifobus bench pub load --count 1000 --rate 500": Example(),
    "fifobus conformance --list": Example(["H1"]),
    "fifobus conformance --only H1 -- python3 -m fifobus": Example(["1 of 1"]),
}


# They take the place of the bus that the others have.
SERVES_THE_BUS = {
    "fifobus serve",
    "fifobus serve --state-dir ~/logs --log 'orders=orders/**'",
}


class Tried:
    """An example at work, in a folder of its own."""

    def __init__(self, example, command, folder):
        self.example = example
        self._output = os.path.join(folder, "output")
        self._started = []
        self._folder = folder
        if example.before:
            self.run(example.before)
        if example.first:
            self._start(example.first)
            topic = example.first.split()[2]
            await_condition(
                lambda: self.run(f"fifobus ls | grep -q ' {topic} *$'").returncode == 0,
                topic,
            )
        self._process = self._start(command)

    def _start(self, command):
        with open(self._output, "ab") as output:
            process = subprocess.Popen(
                ["/bin/bash", "-c", command],
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._started.append(process)
        return process

    def run(self, command):
        """Runs a command whose descriptor 3 is where the example prints."""
        return subprocess.run(
            ["/bin/bash", "-c", f"exec 3>> {self._output}; {command}"],
            cwd=self._folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
        )

    def _is_done(self):
        with open(self._output, encoding="utf-8", errors="replace") as output:
            lines = output.read().splitlines()
        for prefix in self.example.prints:
            if not any(line.startswith(prefix) for line in lines):
                return False
        # Who has nothing to print says so by what feeds it.
        silent = self.example.feed and not self.example.prints
        if silent and not self.example.ends and not lines:
            return False
        return not self.example.ends or self._process.poll() is not None

    def step(self):
        if self._is_done():
            return True
        if self.example.feed:
            self.run(self.example.feed)
        return self._is_done()

    def finish(self):
        """Returns its exit code, 0 if it was to be ended."""
        code = self._process.wait(HANG_SECONDS) if self.example.ends else 0
        for process in self._started:
            try:
                os.killpg(process.pid, 15)
            except ProcessLookupError:
                pass
            process.wait(HANG_SECONDS)
        return code


class ManTest(unittest.TestCase):
    def test_every_command_has_a_page(self):
        files = {name[: -len(".1")] for name in os.listdir(PAGES)}
        self.assertEqual(files, set(page_names()))
        self.assertGreaterEqual(len(files), 12)

    def test_groff_has_nothing_to_say(self):
        for name in page_names():
            said = subprocess.run(
                ["groff", "-man", "-Tutf8", "-ww", "-z", f"{PAGES}/{name}.1"],
                stderr=subprocess.PIPE,
                check=True,
                text=True,
            ).stderr
            self.assertEqual(said, "", name)

    def test_sections_are_those_of_manual_pages(self):
        for name in page_names():
            titles = re.findall(r"^\.SH (.*)$", roff(name), re.M)
            for title in ("NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS"):
                self.assertIn(title, titles, name)
            for title in ("EXIT STATUS", "SEE ALSO"):
                self.assertIn(title, titles, name)
            shows = {"fifobus": "SEE ALSO", "fifobus-top": "KEYS"}
            self.assertIn(shows.get(name, "EXAMPLES"), titles, name)
            self.assertEqual(len(titles), len(set(titles)), name)

    def test_every_option_of_help_is_in_its_page(self):
        for name in page_names():
            page = text(name)
            help_text = fifobus(*name.split("-")[1:], "--help")
            options = re.findall(r"^  (-\S+)", help_text, re.M)
            self.assertIn("-h,--help", options)
            for names in options:
                line = r"^ +" + ", ".join(map(re.escape, names.split(",")))
                self.assertRegex(page, re.compile(line, re.M), name)

    def test_help_shows_the_examples_of_the_page(self):
        for name in page_names():
            help_text = fifobus(*name.split("-")[1:], "--help")
            for command in examples(name):
                self.assertIn(command, help_text, name)

    def test_an_unknown_command_has_none(self):
        outcome = subprocess.run(
            [binary("fifobus"), "man", "nonsense"],
            stderr=subprocess.PIPE,
            check=False,
            text=True,
        )
        self.assertEqual(outcome.returncode, 1)
        self.assertIn("nonsense", outcome.stderr)

    def test_every_example_does_what_it_says(self):
        shown = [command for name in page_names() for command in examples(name)]
        self.assertEqual(set(shown), set(EXAMPLES))
        os.environ["PATH"] = f"{os.getcwd()}:{os.environ['PATH']}"
        os.environ["PYTHONPATH"] = os.path.abspath("clients/python")
        for command, example in EXAMPLES.items():
            with self.subTest(command), tempfile.TemporaryDirectory() as folder:
                os.environ["HOME"] = folder
                os.environ["FIFOBUS_STATE_DIR"] = f"{folder}/state"
                with Bus() as bus:
                    if command in SERVES_THE_BUS:
                        bus.kill()
                    elif example.log:
                        bus.kill()
                        bus.start("--log", example.log)
                    tried = Tried(example, command, folder)
                    await_condition(tried.step, command)
                    if example.then:
                        await_condition(
                            lambda: tried.run(example.then).returncode == 0,
                            example.then,
                        )
                    self.assertEqual(tried.finish(), 0)


if __name__ == "__main__":
    unittest.main()
