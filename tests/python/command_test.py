"""`python3 -m fifobus pub` and `sub` take what the program takes, print what it prints,
and end as it does: one table, run by both."""

import re
import unittest

from tests.support.both_programs import PROGRAMS, BothPrograms

# Two values and no newline: `sub` is to print what is here and nothing else.
ALL_FIELDS = (
    r"{topic}|{payload}|{sequence}|{time}|{size}|{content_type}|{header:k}|{header:no}|"
    r"{reply_topic}|{expiry}|{retained}|{delivery_count}|{offset}|{stored_time}|{{}}|"
    r"\t\r\0\\\n{json}"
)

ACKS = ("--group", "i", "--ack", "--ack-timeout", "9s", "--max-deliveries", "3")
ACKS += ("--unacked", "2")

SHOW_VARIABLES = "env | grep ^FIFOBUS_ | grep -v ^FIFOBUS_DIR= | sort; cat"

# The arguments, standard input, and the exit code. "kept/a", "kept/b" and "full/a" have
# retained values, so that `sub` ends by itself.
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
    (("pub", "a", "x", "--confirm=accepted"), b"", 0),
    (("pub", "a", "x", "--publisher", "p", "--confirm"), b"", 0),
    (("pub", "a", "--publisher", "p", "--resume", "--confirm"), b"1\n2\n", 0),
    (("pub", "a", "x", "--confirm=stored"), b"", 1),
    (("pub", "a", "x", "--publisher", "two/levels"), b"", 1),
    (("pub", "a", "x", "--confirm=much"), b"", 2),
    (("pub", "a", "x", "--resume", "--publisher", "p"), b"", 2),
    (("pub", "a", "x", "--wait-subscribers", "0"), b"", 0),
    (("pub", "a", "x", "--wait-subscribers", "1", "--timeout", "50ms"), b"", 3),
    (("pub", "a", "x", "--will-topic", "w", "--will-payload", "p"), b"", 0),
    (("pub", "a", "x", "--will-topic", "w", "--will-retain"), b"", 0),
    (("pub", "denied/a", "x"), b"", 1),
    (("pub", "denied/a"), b"one\ntwo\n", 1),
    (("pub", "denied/a", "x", "--confirm"), b"", 1),
    (("pub", "a/*", "x"), b"", 1),
    (("pub", "$sys/a", "x"), b"", 1),
    (("pub", "a", "x", "--header", "\u00fc=v"), b"", 1),
    (("pub", "a", "x", "--dir", "/nowhere", "--connect-timeout", "10ms"), b"", 1),
    (("pub", "a", "x", "--repeat", "3", "--rate", "100", "--confirm"), b"", 0),
    (("pub", "a", "--rate", "1e3", "--confirm"), b"1\n2\n3\n", 0),
    (("pub", "a", "--json", "--confirm"), b'{"payload":"x"}\n\n{"payload":"y"}', 0),
    (("pub", "--json", "--confirm"), b'{"topic":"a","payload":"x"}\n', 0),
    (("pub", "-", "--json", "--confirm"), b'{"topic":"a","payload":"x"}\n', 0),
    (("pub", "a", "--header", "k=v", "x", "--confirm"), b"", 0),
    (("pub", "a", "--confirm", "--", "-0"), b"", 0),
    (("pub", "a", "-0.5", "--confirm"), b"", 0),
    (("pub", "a", "x", "--expire", "1h30m", "--confirm"), b"", 0),
    (("pub", "denied/a", "x", "--rate", "5", "--repeat", "0"), b"", 1),
    (("pub", "denied/a", "--json"), b'{"payload":"x"}\n', 1),
    (("pub", "--json", "--confirm"), b'{"payload":"x"}\n', 1),
    (("pub", "a", "x", "--dir", "/nowhere", "--timeout", "10ms"), b"", 3),
    (("pub", "a", "x", "--dir", "/nowhere", "--connect-timeout", "0"), b"", 1),
    (("pub", "a", "-0"), b"", 2),
    (("pub", ""), b"", 2),
    (("pub", "a", "x", "y"), b"", 2),
    (("pub", "--json", "--wait-subscribers", "1"), b"", 2),
    (("pub", "a", "x", "--wait-subscribers", "5000000000"), b"", 2),
    (("pub", "a", "x", "--rate", "0"), b"", 2),
    (("pub", "a", "x", "--rate", "1_0"), b"", 2),
    (("pub", "a", "x", "--rate", "fast"), b"", 2),
    (("pub", "a", "x", "--expire", "1s", "--expire", "2s"), b"", 2),
    (("pub", "a", "x", "--conf"), b"", 2),
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
    (("sub", "kept/a", "-n", "1", "--will-topic", "w", "--will-payload", "p"), b"", 0),
    (("sub", "kept/a", "--no-retained", "--timeout", "50ms"), b"", 3),
    (("sub", "a", "--timeout", "50ms"), b"", 3),
    (("sub", "a", "--timeout", "0.05", "--fail-on-gap"), b"", 3),
    (("sub", "a", "--timeout", "50ms", "--busy-poll"), b"", 3),
    (("sub", "a", "--timeout", "50ms", "--non-blocking"), b"", 3),
    (("sub", "a", "--group", "g", "--timeout", "50ms"), b"", 3),
    (("sub", "b", "--group", "h", "--ack", "--timeout", "50ms"), b"", 3),
    (("sub", "b", *ACKS, "--timeout", "50ms"), b"", 3),
    (("sub", "denied/a"), b"", 1),
    (("sub", "a/**/b"), b"", 1),
    (("sub", "a", "--group", "two/levels"), b"", 1),
    (("sub", "a", "--dir", "/nowhere", "--connect-timeout", "10ms"), b"", 1),
    (("sub", "full/a", "-n", "1", "--format", ALL_FIELDS), b"", 0),
    (("sub", "kept/a", "-n", "1", "--format", ALL_FIELDS), b"", 0),
    (("sub", "kept/a", "-n", "1", "--format", ""), b"", 0),
    (("sub", "kept/a", "-n", "1", "--format", "\u00fc}"), b"", 0),
    (("sub", "full/a", "-n", "1", "--exec", SHOW_VARIABLES), b"", 0),
    (("sub", "kept/a", "-n", "1", "--exec", SHOW_VARIABLES), b"", 0),
    (("sub", "kept/a", "-n", "1", "--exec", "cat", "--json"), b"", 0),
    (("sub", "kept/a", "-n", "1", "--exec", "cat", "--format", "{size}"), b"", 0),
    (("sub", "kept/a", "-n", "1", "--exec", "sleep 1000 & true"), b"", 0),
    (("sub", "kept/a", "-n", "1", "--exec", "true", "--fail-on-error"), b"", 0),
    (("sub", "kept/a", "-n", "1", "--exec", ""), b"", 0),
    (("sub", "kept/*", "-n", "2", "--exec-stream", "sort; echo end"), b"", 0),
    (("sub", "kept/a", "-n", "1", "--exec-stream", "cat", "-0"), b"", 0),
    (
        ("sub", "kept/a", "-n", "1", "--exec-stream", "cat", "--format", "{json}"),
        b"",
        0,
    ),
    (("sub", "a", "--exec-stream", "true"), b"", 0),
    (("sub", "a", "--exec-stream", "exit 7"), b"", 1),
    (("sub", "a", "--exec-stream", "kill -9 $$"), b"", 1),
    (("sub", "kept/a", "--exec", "exit 7", "--fail-on-error"), b"", 1),
    (("sub", "kept/a", "--exec", "kill -9 $$", "--fail-on-error"), b"", 1),
    (("sub", "a", "--exec", "cat", "--timeout", "50ms"), b"", 3),
    (("sub", "a", "--exec-stream", "cat; echo end", "--timeout", "3s"), b"", 3),
    (("sub", "a", "--dir", "/nowhere", "--timeout", "10ms"), b"", 3),
    (("sub", "a", "--format", "{"), b"", 2),
    (("sub", "a", "--format", "{no}"), b"", 2),
    (("sub", "a", "--format", "{header:}"), b"", 2),
    (("sub", "a", "--format", "\\x"), b"", 2),
    (("sub", "a", "--format", "x\\"), b"", 2),
    (("sub", "a", "--queue-messages", "99999999999999999999"), b"", 2),
    (("sub", "log/**", "--from", "start", "--until", "now"), b"", 0),
    (("sub", "log/**", "--from", "start", "--until", "now", "--json"), b"", 0),
    (
        ("sub", "log/a", "--from", "-1", "--until", "now", "--format", ALL_FIELDS),
        b"",
        0,
    ),
    (("sub", "log/*", "--from", "2", "-n", "2", "--exec", SHOW_VARIABLES), b"", 0),
    (("sub", "log/**", "--from", "-1h", "-n", "3", "--exec-stream", "cat"), b"", 0),
    (("sub", "log/**", "--from", "2026-11-28T10:00", "-n", "1"), b"", 0),
    (("sub", "log/**", "--from", "new", "--until", "now"), b"", 0),
    (("sub", "log/**", "--durable", "d", "--exec", "exit 1"), b"", 1),
    (("sub", "log/a", "-n", "1", "--durable", "g", "--group", "g", "--ack"), b"", 0),
    (("sub", "log/**", "--durable", "two/levels"), b"", 1),
    (("sub", "log/**", "--from", "99"), b"", 1),
    (("sub", "kept/a", "--from", "start"), b"", 1),
    (("sub", "log/**", "--from", "0"), b"", 2),
    (("sub", "log/**", "--from", "there"), b"", 2),
    (("sub", "log/**", "--until", "now"), b"", 2),
    (("sub", "log/**", "--from", "start", "--group", "g"), b"", 2),
    (("sub", "log/**", "--durable", "d", "--group", "g"), b"", 2),
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

# What stands in for an option's value; others take "x".
VALUES = {"DURATION": "1s", "N": "1", "COUNT": "1", "BYTES": "1", "POLICY": "latest"}
VALUES.update({"PLACE": "start", "WHEN": "now"})


class CommandTest(BothPrograms):
    def options(self, program, command):
        """Names and the name of the value, as --help lists them."""
        shown = self.run_by(program, (command, "--help")).stdout.decode()
        options = {}
        for line in re.findall(r"^ {2}(-.*)", shown, re.MULTILINE):
            entry = re.split(r" {2,}| Excludes: | Needs: ", line)[0]
            names = re.findall(r"(?:^|[ ,])(-[-a-z0-9]+)", entry)
            value = re.search(r" ([A-Z]+(?:=[A-Z]+)?)", entry)
            options[tuple(sorted(names))] = value[1] if value else ""
        return options

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
                    if code != 3:  # which speaks if the machine is too busy for it
                        self.assertEqual(bool(run.stderr), code != 0, program)
                python, program = runs["python"], runs["fifobus"]
                self.assertEqual(python.stdout, program.stdout)

    def test_both_list_the_same_options(self):
        for command in ("pub", "sub"):
            expected = self.options("fifobus", command)
            self.assertGreater(len(expected), 15, command)
            self.assertEqual(self.options("python", command), expected)

    def test_each_option_is_in_the_table(self):
        for command in ("pub", "sub"):
            tried = {
                word
                for arguments, _, code in TABLE
                for word in arguments
                if arguments[0] == command and code in (0, 1, 3)
            }
            for names in self.options("fifobus", command):
                if "--help" not in names:
                    self.assertTrue(tried & set(names), names)

    def test_both_refuse_what_excludes_or_lacks_another(self):
        for command in ("pub", "sub"):
            shown = self.run_by("fifobus", (command, "--help")).stdout.decode()
            values = {
                name: VALUES.get(value, "x") if value else None
                for names, value in self.options("fifobus", command).items()
                for name in names
            }
            values["MESSAGE"] = None

            def given(name):
                if name == "MESSAGE":
                    return ["x"]
                return [name] if values[name] is None else [name, values[name]]

            wrong = []
            for line in re.findall(r"^ {2}(-.*)", shown, re.MULTILINE):
                option = re.match(r"(?:-[a-z0-9],)?(-[-a-z]+)", line)[1]
                excludes = re.search(r" Excludes: ([^ ]+(?: [^ ]+)*)", line)
                for other in excludes[1].split() if excludes else ():
                    if option < other:
                        wrong.append((option, other))
                if " Needs: " in line:
                    wrong.append((option,))
            self.assertGreater(len(wrong), 5)
            for names in wrong:
                arguments = [command, "a"]
                for name in names:
                    arguments += given(name)
                with self.subTest(" ".join(arguments)):
                    for program in PROGRAMS:
                        run = self.run_by(program, arguments)
                        self.assertEqual(run.returncode, 2, (program, run.stderr))


if __name__ == "__main__":
    unittest.main()
