"""What `fifobus pub` and `sub`, and `python3 -m fifobus`, do beside printing: one test,
run by both."""

import json
import os
import signal
import time
import unittest

import fifobus
from fifobus.protocol.message import json_line
from tests.support.both_programs import PROGRAMS, BothPrograms
from tests.support.fifobus_support import HANG_SECONDS, await_condition

# What `pub --json` makes of lines, good and bad ones.
LINES = (
    r'{"topic":"copies/a","payload":"\u00fc\n"}',
    r'{"topic":"copies/a","payload_base64":"/wA=","sequence":7,"retained":true}',
    r'{"topic":"copies/a","payload_base64":"/wA","ack_id":1,"delivery_count":2}',
    r'{"payload":"","topic":"copies/a","reply_topic":"r","content_type":"t"}',
    r'{"topic":"copies/a","payload":"x","expiry":"2100-01-02T03:04:05.123456789Z"}',
    r'{"topic":"copies/a","payload":"x","expiry":"2100-01-02T03:04:05+01:30"}',
    r'{"topic":"copies/a","payload":"x","headers":{"b":"1","a":["2","3"],"b":"4"}}',
    r'{"topic":"copies/a","payload":"x","headers":{"b":{"base64":"/w=="}}}',
    r'{"topic":"copies/a","payload":"kept","retain":true,"time":"anything"}',
    r"",
    r"no JSON",
    r"[1]",
    r'"text"',
    r'{"topic":"copies/a"}',
    r'{"topic":"copies/a","payload":"x","payload":"y"}',
    r'{"topic":"copies/a","payload":"x","payload_base64":""}',
    r'{"topic":"copies/a","payload":7}',
    r'{"topic":"copies/a","payload":"\ud800"}',
    r'{"topic":"copies/a","payload_base64":"?"}',
    r'{"topic":"copies/a","payload":"x","expiry":"soon"}',
    r'{"topic":"copies/a","payload":"x","expiry":"2100-02-30T00:00:00Z"}',
    r'{"topic":"copies/a","payload":"x","retain":1}',
    r'{"topic":"copies/a","payload":"x","headers":[]}',
    r'{"topic":"copies/a","payload":"x","headers":{"a":[["b"]]}}',
    r'{"topic":"copies/a","payload":"x","sequence":NaN}',
    r'{"topic":"copies/a","payload":"x","misspelt":1}',
    r'{"topic":"copies/*","payload":"x"}',
    r'{"payload":"x"}',
)


class CommandEffectsTest(BothPrograms):
    def published(self, program, arguments, given=b""):
        """What subscribers get of it, and how it ends."""
        with fifobus.Client() as client:
            client.subscribe("copies/**", skip_retained=True)
            run = self.run_by(program, ("pub", *arguments), given)
            client.publish("copies/end")
            got = []
            for message in client:
                if message.topic == "copies/end":
                    break
                line = json.loads(json_line(message))
                self.assertIn("time", line)
                got.append({**line, "time": ""})
        return got, run.returncode, bool(run.stderr)

    def told_of_a_restart(self, program, *patterns):
        """What `sub` says of it before the message that is stored behind it."""
        process = self.start(program, "sub", *patterns, "--from", "new", "-n", "1")
        with fifobus.Client() as client:
            await_condition(
                lambda: any(
                    set(patterns) <= set(session.patterns)
                    for session in client.stats().sessions
                ),
                "the subscription",
            )
        self.bus.restart()
        with fifobus.Client() as client:
            client.publish("log/a", "stored", level=fifobus.Level.STORED)
        out, err = process.communicate(timeout=HANG_SECONDS)
        self.assertEqual((out, process.returncode), (b"stored\n", 0), err)
        return err.decode().splitlines()

    def test_both_say_that_a_restart_has_lost_nothing(self):
        for program in PROGRAMS:
            with self.subTest(program):
                (line,) = self.told_of_a_restart(program, "log/**")
                self.assertIn("restarted, nothing lost", line)

    def test_both_publish_the_same(self):
        for line in LINES:
            with self.subTest(line):
                given = line.encode() + b"\n"
                runs = [self.published(name, ("--json",), given) for name in PROGRAMS]
                self.assertEqual(runs[0], runs[1])
                good = line == "" or LINES.index(line) < LINES.index("")
                self.assertEqual(runs[0][1:], (0, False) if good else (1, True))
        everything = "\n".join(LINES).encode() + b"\n\xff\n"
        for arguments in (
            ("--json",),
            ("copies/b", "--json", "--header", "k=v", "--content-type", "c"),
            ("copies/b", "--raw", "--retain"),
            ("copies/b", "--header", "k=v"),
            ("copies/b", "-0", "--rate", "1000"),
        ):
            runs = [self.published(name, arguments, everything) for name in PROGRAMS]
            self.assertEqual(runs[0], runs[1], arguments)
            self.assertTrue(runs[0][0])

    def test_both_keep_to_the_rate(self):
        for program in PROGRAMS:
            begin = time.monotonic()
            run = self.run_by(
                program, ("pub", "a", "x", "--repeat", "5", "--rate", "20")
            )
            self.assertEqual(run.returncode, 0, run.stderr)
            self.assertGreaterEqual(time.monotonic() - begin, 4 / 20, program)

    def test_both_deliver_again_what_a_command_has_failed_on(self):
        for program in PROGRAMS:
            topic = f"work/{program}"
            acks = ("--ack-timeout", "50s", "--max-deliveries", "9", "--unacked", "2")
            command = "echo $FIFOBUS_DELIVERY_COUNT; test $FIFOBUS_DELIVERY_COUNT = 2"
            worker = self.start(
                *(program, "sub", topic, "--group", "g", "--ack", *acks),
                *("-n", "2", "--exec", command),
            )
            with fifobus.Client() as client:
                client.wait_for_subscribers(topic, timeout=HANG_SECONDS)
                client.publish(topic, "x", sequence=3)
                output, said = worker.communicate(timeout=HANG_SECONDS)
                left = [group.queued for group in client.stats(topic).groups]
            self.assertEqual((output, worker.returncode), (b"1\n2\n", 0), program)
            failure = (
                f"fifobus: {topic} sequence=3: the command ended with exit status 1"
            )
            self.assertEqual(said.decode(), failure + "\n")
            self.assertFalse(any(left))

    def test_a_signal_ends_the_command_of_both(self):
        for program in PROGRAMS:
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                command = "echo $$; exec sleep 1000"
                running = self.start(program, "sub", "kept/a", "--exec", command)
                child = int(running.stdout.readline())
                running.send_signal(number)
                running.wait(HANG_SECONDS)
                self.assertEqual(running.returncode, -number, program)
                await_condition(
                    lambda: not os.path.exists(f"/proc/{child}"), "the command's end"
                )

    def test_a_signal_lets_the_command_of_a_stream_finish_in_both(self):
        for program in PROGRAMS:
            command = "echo begin; cat; echo end"
            running = self.start(program, "sub", "a", "--exec-stream", command)
            self.assertEqual(running.stdout.readline(), b"begin\n")
            running.terminate()
            output, _ = running.communicate(timeout=HANG_SECONDS)
            self.assertEqual((output, running.returncode), (b"end\n", -signal.SIGTERM))

    def test_an_interrupt_ends_both_by_the_signal_and_publishes_the_will(self):
        for program in PROGRAMS:
            topic = f"wills/{program}"
            with fifobus.Client() as client:
                client.subscribe(topic)
                running = self.start(
                    program, "sub", topic + "/x", "--will-topic", topic
                )
                client.wait_for_subscribers(topic + "/x", timeout=HANG_SECONDS)
                running.send_signal(signal.SIGINT)
                self.assertEqual(client.receive(HANG_SECONDS).topic, topic)
            self.assertEqual(running.wait(HANG_SECONDS), -signal.SIGINT)

    def test_a_message_larger_than_a_pipe_gets_to_the_command_of_both(self):
        payload = b"0123456789" * 50_000
        for program in PROGRAMS:
            for option in ("--exec", "--exec-stream"):
                running = self.start(
                    program, "sub", "large", "-n", "2", option, "wc -c"
                )
                with fifobus.Client() as client:
                    client.wait_for_subscribers("large", timeout=HANG_SECONDS)
                    client.publish("large", payload)
                    client.publish("large", payload)
                output, said = running.communicate(timeout=HANG_SECONDS)
                sizes = [500_000, 500_000] if option == "--exec" else [1_000_002]
                self.assertEqual([int(size) for size in output.split()], sizes, said)
                self.assertEqual(running.returncode, 0)


if __name__ == "__main__":
    unittest.main()
