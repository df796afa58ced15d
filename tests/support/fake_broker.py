"""A broker that says what the test tells it to, in a thread of its own."""

import os
import shutil
import struct
import tempfile
import threading

from fifobus.protocol import control, frames

POLL_SECONDS = 0.0005


def message(topic, payload, **metadata):
    """A Message frame."""
    fields = frames.Metadata()
    for name, value in metadata.items():
        setattr(fields, name, value)
    return frames.frame_head(topic, fields, len(payload)) + payload


class FakeSession:
    """The broker's ends of one session's pipes."""

    bytes_max = 1 << 40  # it reads no more

    def __init__(self, base):
        self.down = os.open(base + ".down", os.O_WRONLY | os.O_NONBLOCK)
        self.up = os.open(base + ".up", os.O_RDONLY | os.O_NONBLOCK)
        for end in (".down", ".up"):
            os.unlink(base + end)
        self.frames = []  # what the client said, decoded; messages as such
        self._received = b""
        self._bytes = 0

    def write(self, *said):
        """Frames, or control frames to be encoded."""
        for frame in said:
            data = frame if isinstance(frame, bytes) else control.frame_of(frame)
            while data:
                try:
                    data = data[os.write(self.down, data) :]
                except BlockingIOError:
                    pass

    def read(self):
        """The frames that have come; False: the client has closed `up`."""
        size = min(1 << 20, self.bytes_max - self._bytes)
        if not size:
            return []
        try:
            data = os.read(self.up, size)
        except BlockingIOError:
            return []
        if not data:
            return False
        self._bytes += len(data)
        self._received += data
        found = []
        while len(self._received) >= 4:
            (size,) = struct.unpack(">I", self._received[:4])
            if len(self._received) < 4 + size:
                break
            number, member = frames.read_frame(self._received[4 : 4 + size])
            self._received = self._received[4 + size :]
            if number == control.MESSAGE:
                found.append(frames.read_message(bytes(member)))
            else:
                found.append(frames.read_control(number, bytes(member)))
        self.frames += found
        return found

    def end(self):
        """Closes both, at any time."""
        for name in ("down", "up"):
            fd = getattr(self, name)
            if fd >= 0:
                setattr(self, name, -1)
                os.close(fd)


class FakeBroker:
    """A bus without a real broker. Sessions are welcomed, and what is asked in them is
    answered; `on_message(session, message)` gets what is published, in the thread.

    `sessions` has all there were. $FIFOBUS_DIR names the bus as long as it is open.
    """

    def __init__(self, on_message=lambda session, message: None):
        self._folder = tempfile.mkdtemp(dir="/dev/shm", prefix="fifobus-fake-")
        self.directory = os.path.join(self._folder, "bus")
        self.sessions = []
        self.welcome = True
        self._on_message = on_message
        self._stop = threading.Event()
        self.lock = threading.RLock()  # held while a session is looked after
        os.makedirs(self.directory + "/sessions", 0o700)
        os.mkfifo(self.directory + "/alive", 0o600)
        self._alive = os.open(self.directory + "/alive", os.O_RDWR | os.O_NONBLOCK)
        os.environ["FIFOBUS_DIR"] = self.directory
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()
        for session in self.sessions:
            session.end()
        os.close(self._alive)
        shutil.rmtree(self._folder)

    def _run(self):
        while not self._stop.wait(POLL_SECONDS):
            with self.lock:
                self._accept()
                for session in self.sessions:
                    if session.up >= 0:
                        self._serve(session)

    def _accept(self):
        folder = self.directory + "/sessions/"
        for name in os.listdir(folder):
            if name.endswith(".up") and not name.startswith("."):
                try:
                    self.sessions.append(FakeSession(folder + name[:-3]))
                except OSError:
                    pass  # the client has given it up

    def _serve(self, session):
        found = session.read()
        if found is False:
            session.end()
            return
        try:
            for frame in found:
                self._answer(session, frame)
        except OSError:  # one of both has ended it
            session.end()

    def _answer(self, session, frame):
        if isinstance(frame, control.Hello):
            if self.welcome:
                session.write(control.Welcome(1, control.FRAME_BYTES_MAX_DEFAULT))
        elif isinstance(frame, control.Subscribe):
            session.write(control.Subscribed(frame.request_id))
        elif isinstance(frame, control.Unsubscribe):
            session.write(control.Unsubscribed(frame.request_id))
        elif isinstance(frame, control.Ping):
            session.write(control.Pong(frame.token, 1))
        elif isinstance(frame, frames.Message):
            self._on_message(session, frame)
            confirm_id = frame._metadata.confirm_id
            if confirm_id:
                session.write(control.Confirm(confirm_id, 1, 1))
