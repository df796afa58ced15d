"""A client that is used from where it may not be says so, and its session goes on."""

import asyncio
import gc
import os
import signal
import sys
import threading
import time
import traceback
import unittest

import fifobus
from fifobus import tap
from tests.support.fifobus_support import HANG_SECONDS, Bus, await_condition


def in_child(work):
    """Runs `work` in the child of a fork, which then ends as programs do; its exit code
    is 0 if all went well."""
    pid = os.fork()
    if pid:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    try:
        work()
        code = 0
    except SystemExit as end:
        code = end.code or 0
    except BaseException:
        traceback.print_exc()
        code = 1
    finally:
        gc.collect()
        os._exit(code)


class ForkTest(unittest.TestCase):
    def setUp(self):
        self.bus = self.enterContext(Bus())
        self.heir = self.enterContext(fifobus.Client())
        self.heir.subscribe("will")
        will = fifobus.Will("will", b"gone")
        self.client = fifobus.Client(name="parent", will=will, on_gap=self.fail)
        self.client.subscribe("a")
        self.fileno = self.client.fileno()

    def tearDown(self):
        """The parent's session has noticed nothing."""
        self.client.publish("a", b"whole")
        self.assertEqual(self.client.receive(HANG_SECONDS).payload, b"whole")
        self.assertEqual(self.client.fileno(), self.fileno)
        self.assertEqual(self.client.publish_losses, 0)
        with self.assertRaises(TimeoutError):
            self.heir.receive(0.05)
        self.client.close()

    def check_refused(self, call):
        try:
            call()
        except fifobus.Misuse as error:
            assert "fork" in str(error), error
        else:
            raise AssertionError("it was let through")

    def test_a_child_is_told_that_it_may_not_use_it(self):
        def use():
            for call in (
                lambda: self.client.publish("a", b"x"),
                lambda: self.client.publish("a", b"x", confirm=True),
                lambda: self.client.receive(0.05),
                self.client.receive_nowait,
                lambda: next(iter(self.client)),
                lambda: next(self.client.events()),
                lambda: self.client.subscribe("b"),
                lambda: self.client.unsubscribe("a"),
                lambda: self.client.request("a", timeout=0.05),
                self.client.ping,
                self.client.stats,
                self.client.flush,
                self.client.fileno,
            ):
                self.check_refused(call)

        self.assertEqual(in_child(use), 0)

    def test_a_child_may_close_it(self):
        def close():
            assert self.client.closed
            self.client.close()
            with self.client:
                pass

        self.assertEqual(in_child(close), 0)

    def test_a_child_may_end_within_a_batch(self):
        def end():
            with self.client.batch():
                sys.exit(0)

        with self.client.batch():
            self.client.publish("b", b"gathered")
            self.assertEqual(in_child(end), 0)
            self.assertEqual(in_child(lambda: sys.exit(0)), 0)

    def test_a_child_may_collect_it(self):
        def collect():
            del self.client
            gc.collect()

        self.assertEqual(in_child(collect), 0)

    def test_a_child_that_lives_on_does_not_hide_its_parents_death(self):
        reader, writer = os.pipe()
        self.addCleanup(os.close, reader)
        self.addCleanup(os.close, writer)
        parent = os.fork()
        if parent == 0:
            client = fifobus.Client(will=fifobus.Will("will", b"of the dead"))
            if os.fork() == 0:
                os.close(writer)
                os.read(reader, 1)  # until the test has ended
                os._exit(0)
            client.ping()
            os.kill(os.getpid(), signal.SIGKILL)
        os.waitpid(parent, 0)
        self.assertEqual(self.heir.receive(HANG_SECONDS).payload, b"of the dead")

    def test_a_child_may_have_a_client_of_its_own(self):
        def use():
            with fifobus.Client() as client:
                client.publish("a", b"from the child")

        self.assertEqual(in_child(use), 0)
        self.assertEqual(self.client.receive(HANG_SECONDS).payload, b"from the child")

    def test_asyncio_in_a_child(self):
        async def main():
            async with fifobus.AsyncClient() as client:
                await client.subscribe("b")

                def close():
                    self.check_refused(client.receive_nowait)
                    coroutine = client.close()
                    try:
                        coroutine.send(None)
                    except StopIteration:
                        pass

                self.assertEqual(in_child(close), 0)
                await client.publish("b", b"x")
                self.assertEqual((await client.receive(HANG_SECONDS)).payload, b"x")

        asyncio.run(main())

    def test_a_tap_in_a_child(self):
        with tap.Subscriber("t", "me") as subscriber:

            def close():
                with subscriber:
                    pass

            def use():
                self.check_refused(lambda: subscriber.receive(0.05))
                self.check_refused(subscriber.receive_nowait)

            self.assertEqual(in_child(close), 0)
            self.assertEqual(in_child(use), 0)
            with tap.Publisher("t") as publisher:
                publisher.publish("x")
            self.assertEqual(subscriber.receive(HANG_SECONDS)["payload"], "x")


class ForkWithinAFrameTest(unittest.TestCase):
    def test_fork_in_the_midst_of_a_frame(self):
        """The child inherits a frame that was begun, and leaves it to its parent."""
        bus = self.enterContext(Bus())
        bus.kill()
        bus.start("--stall-timeout", "600s", "--queue-bytes", "65536")
        slow = self.enterContext(fifobus.Client())
        slow.subscribe("b")
        publisher = self.enterContext(fifobus.Client(mode=fifobus.Mode.NON_BLOCKING))
        sent = 0
        try:
            while True:
                publisher.publish("b", bytes([65 + sent % 26]) * 300_000)
                sent += 1
        except BlockingIOError:
            pass
        self.assertEqual(in_child(publisher.close), 0)
        got = []
        while len(got) < sent:
            try:
                got.append(slow.receive(0.01).payload)
            except TimeoutError:
                pass
            try:
                publisher.flush()
            except BlockingIOError:
                pass
        letters = [bytes([65 + number % 26]) for number in range(sent)]
        self.assertTrue(got == [letter * 300_000 for letter in letters])


class ThreadTest(unittest.TestCase):
    def setUp(self):
        self.bus = self.enterContext(Bus())
        self.client = self.enterContext(fifobus.Client())

    def test_a_second_thread_is_told(self):
        self.client.subscribe("a")
        thread = threading.Thread(target=lambda: self.client.receive(HANG_SECONDS))
        thread.start()
        await_condition(lambda: self.client._use, "the call")
        for call in (
            lambda: self.client.publish("a", b"x"),
            lambda: self.client.receive(0.05),
            lambda: self.client.subscribe("b"),
            self.client.ping,
            self.client.close,
        ):
            with self.assertRaises(fifobus.Misuse) as misuse:
                call()
            self.assertIn("another thread", str(misuse.exception))
        with fifobus.Client() as publisher:
            publisher.publish("a", b"x")
        thread.join()
        self.client.ping(HANG_SECONDS)  # now it may

    def test_threads_that_race_tear_nothing(self):
        told = []
        receiver = self.enterContext(fifobus.Client(on_gap=self.fail))
        receiver.subscribe("a")
        end = time.monotonic() + 1

        def publish(number):
            while time.monotonic() < end:
                try:
                    self.client.publish("a", bytes([number]) * 5000)
                except fifobus.Misuse as error:
                    told.append(error)

        threads = [threading.Thread(target=publish, args=(n,)) for n in range(3)]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            try:
                payload = receiver.receive(0.01).payload
            except TimeoutError:
                continue
            self.assertEqual(payload, payload[:1] * 5000)
        self.client.ping(HANG_SECONDS)
        self.assertTrue(told)
        counters = {c.name: c.value for c in self.client.stats().counters}
        self.assertEqual(counters["frames_refused"], 0)

    def test_a_signal_handler_that_calls_it_within_a_call_is_told(self):
        said = []

        def handler(*_):
            try:
                self.client.publish("a", b"x")
            except fifobus.Misuse as error:
                said.append(str(error))

        before = signal.signal(signal.SIGALRM, handler)
        self.addCleanup(signal.signal, signal.SIGALRM, before)
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        with self.assertRaises(TimeoutError):
            self.client.receive(0.3)
        self.assertIn("this thread", said[0])
        handler()  # outside of a call it may
        self.assertEqual(len(said), 1)

    def test_another_event_loop_is_told(self):
        async def main():
            async with fifobus.AsyncClient() as client:
                said = []

                def other():
                    for call in (client.ping, lambda: client.publish("a", b"x")):
                        try:
                            asyncio.run(call())
                        except fifobus.Misuse as error:
                            said.append(str(error))

                thread = threading.Thread(target=other)
                thread.start()
                thread.join()
                self.assertEqual(len(said), 2)
                await client.ping()

        asyncio.run(main())


if __name__ == "__main__":
    unittest.main()
