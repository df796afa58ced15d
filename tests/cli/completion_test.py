"""Bash completion, asked as bash asks it."""

import os
import shlex
import subprocess
import unittest

from tests.support.fifobus_support import Bus, await_condition, binary


def bash(script):
    os.environ["PATH"] = f"{os.getcwd()}:{os.environ['PATH']}"
    return subprocess.run(
        ["/bin/bash", "--norc", "-c", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=True,
        text=True,
    ).stdout


def split(line):
    """The words as readline splits them: = and : stand by themselves."""
    words = []
    for word in line.split(" "):
        parts = [""]
        for c in word:
            if c in "=:":
                parts += [c, ""]
            else:
                parts[-1] += c
        # A word that ends with one of them has nothing behind it yet.
        words += [part for part in parts if part] or [""]
        if word[-1:] in ("=", ":"):
            words.append("")
    return words


def complete(line):
    """What may stand for the last word of a line."""
    words = split(line)
    out = bash(
        f"source <(fifobus completion bash)\n"
        f"COMP_WORDS=({' '.join(shlex.quote(word) for word in words)})\n"
        f"COMP_CWORD={len(words) - 1}\n"
        f"COMP_LINE={shlex.quote(line)}\n"
        f"COMP_POINT={len(line)}\n"
        "_fifobus\n"
        'for word in "${COMPREPLY[@]}"; do printf "%s\\n" "$word"; done\n'
    )
    return out.splitlines()


class CompletionTest(unittest.TestCase):
    def test_bash_knows_it(self):
        self.assertEqual(
            bash("source <(fifobus completion bash); complete -p fifobus"),
            "complete -F _fifobus fifobus\n",
        )

    def test_commands_that_are_shown_are_completed(self):
        self.assertEqual(complete("fifobus re"), ["req", "reply"])
        self.assertIn("serve", complete("fifobus "))
        self.assertNotIn("completion", complete("fifobus "))
        self.assertEqual(complete("fifobus bench "), ["pub", "sub"])

    def test_options_are_those_of_help(self):
        for command in ("serve", "pub", "sub", "bench pub"):
            shown = subprocess.run(
                [binary("fifobus"), *command.split(), "--help"],
                stdout=subprocess.PIPE,
                check=True,
                text=True,
            ).stdout
            offered = complete(f"fifobus {command} --")
            self.assertIn("--help", offered)
            for option in offered:
                self.assertIn(option, shown)
        self.assertEqual(complete("fifobus sub --exec"), ["--exec", "--exec-stream"])
        self.assertEqual(complete("fifobus bench pub --si"), ["--size"])

    def test_values_with_names_are_completed(self):
        self.assertEqual(
            complete("fifobus sub --overflow drop-"), ["drop-newest", "drop-oldest"]
        )
        self.assertEqual(complete("fifobus sub --overflow=la"), ["latest"])
        self.assertEqual(complete("fifobus serve --log-level w"), ["warning"])
        self.assertEqual(complete("fifobus pub --dir /pro"), ["/proc"])
        self.assertEqual(complete("fifobus sub --timeout "), [])

    def test_a_value_behind_an_equals_sign_may_be_left_out(self):
        self.assertEqual(
            complete("fifobus pub --confirm="), ["accepted", "stored", "written"]
        )
        self.assertEqual(complete("fifobus pub --confirm=s"), ["stored"])
        self.assertEqual(complete("fifobus pub --confirm=stored --ret"), ["--retain"])
        self.assertEqual(complete("fifobus pub --confirm --ret"), ["--retain"])
        self.assertEqual(complete("fifobus pub --confirm s"), [], "topics, of none")

    def test_topics_come_from_the_bus(self):
        with Bus() as bus:
            names = ["sensors/door", "sensors/a:b", "copies"]
            for topic in names:
                subprocess.run([binary("fifobus"), "pub", topic, "x"], check=True)
            await_condition(
                lambda: len(complete("fifobus sub ")) == len(names), "all topics"
            )
            self.assertEqual(complete("fifobus pub sensors/d"), ["sensors/door"])
            self.assertEqual(complete("fifobus sub 'sensors/d"), ["sensors/door"])
            self.assertEqual(
                complete("fifobus sub a --json sensors/d"), ["sensors/door"]
            )
            self.assertEqual(complete("fifobus sub -n 1 sensors/d"), ["sensors/door"])
            self.assertEqual(complete("fifobus pub a sensors/"), [], "a message")
            # bash replaces what is behind the colon.
            self.assertEqual(complete("fifobus sub sensors/a:"), ["b"])
            other = f"fifobus sub --dir {bus.directory} sensors/d"
            os.environ["FIFOBUS_DIR"] = "/nonexistent"
            self.assertEqual(complete(other), ["sensors/door"])

    def test_without_a_broker_it_is_silent(self):
        os.environ["FIFOBUS_DIR"] = "/nonexistent"
        self.assertEqual(complete("fifobus sub a"), [])
        self.assertEqual(bash("fifobus completion topics || true"), "")


if __name__ == "__main__":
    unittest.main()
