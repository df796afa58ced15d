"""Real nats-servers for tests, and a client of them that shares no code with ours.

The client speaks NATS's own protocol over a socket, as
https://docs.nats.io/reference/reference-protocols/nats-protocol has it.
"""

import base64
import itertools
import json
import os
import random
import shutil
import socket
import subprocess
import tempfile
import time

from tests.support.fifobus_support import HANG_SECONDS, await_condition

SERVER = shutil.which("nats-server") or "/usr/sbin/nats-server"


def is_installed():
    return os.access(SERVER, os.X_OK)


# Outside the ports that the kernel gives to outgoing connections, one of which could
# otherwise take a server's port while that is down.
PORTS = range(20000, 32000)


def free_ports(count):
    """Ports of 127.0.0.1 that nobody has."""
    found = []
    # Tests that run beside this one begin elsewhere.
    begin = random.SystemRandom().randrange(len(PORTS))
    candidates = itertools.islice(itertools.cycle(PORTS), begin, None)
    while len(found) < count:
        port = next(candidates)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        found.append(port)
    return found


class Message:
    def __init__(self, subject, reply, headers, payload):
        self.subject = subject
        self.reply = reply
        self.headers = headers  # a list of (name, value)
        self.payload = payload

    def header(self, name):
        return dict(self.headers).get(name)


def parse_headers(block):
    """Of a block "NATS/1.0 STATUS\\r\\nName: value\\r\\n..."; the status is ""."""
    lines = block.decode().split("\r\n")
    headers = [("", lines[0][len("NATS/1.0") :].strip())]
    for line in lines[1:]:
        if line:
            name, value = line.split(":", 1)
            headers.append((name, value.strip()))
    return headers


def stored_message(message):
    """Of what JetStream says of one."""
    block = base64.b64decode(message.get("hdrs", ""))
    return Message(
        message["subject"],
        "",
        parse_headers(block) if block else [],
        base64.b64decode(message.get("data", "")),
    )


class Connection:
    """One connection to one server. Not for threads."""

    def __init__(self, port, timeout=HANG_SECONDS, tls=None, answer=None, **connect):
        """`tls` is an ssl.SSLContext; `answer` makes what CONNECT says of what INFO
        says."""
        self._socket = socket.create_connection(("127.0.0.1", port), timeout)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        info = self._read_info()
        if tls is not None:
            self._socket = tls.wrap_socket(self._socket, server_hostname="localhost")
        self._file = self._socket.makefile("rb")
        self._ids = itertools.count(1)
        self._inbox = f"_INBOX.{os.urandom(8).hex()}"
        self._waiting = []
        self._had_pong = False
        if answer is not None:
            connect = {**connect, **answer(info)}
        options = {"verbose": False, "headers": True, "no_responders": True}
        self._send(f"CONNECT {json.dumps({**options, **connect})}\r\n".encode())
        self.subscribe(self._inbox + ".*")

    def _read_info(self):
        # Byte by byte: TLS begins behind it.
        line = b""
        while not line.endswith(b"\n"):
            byte = self._socket.recv(1)
            if not byte:
                raise ConnectionError("the server has closed the connection")
            line += byte
        return json.loads(line[len(b"INFO ") :])

    def close(self):
        self._file.close()
        self._socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _send(self, data):
        self._socket.sendall(data)

    def subscribe(self, subject):
        """Returns when the server has it."""
        self._send(f"SUB {subject} {next(self._ids)}\r\nPING\r\n".encode())
        self._had_pong = False
        while not self._had_pong:
            self._keep(self._read_one())

    def publish(self, subject, payload, headers=(), reply=""):
        if not headers:
            head = f"PUB {subject} {reply} {len(payload)}\r\n"
            self._send(head.encode() + payload + b"\r\n")
            return
        block = "NATS/1.0\r\n" + "".join(f"{n}: {v}\r\n" for n, v in headers) + "\r\n"
        sizes = f"{len(block.encode())} {len(block.encode()) + len(payload)}"
        self._send(
            f"HPUB {subject} {reply} {sizes}\r\n{block}".encode() + payload + b"\r\n"
        )

    def _read_one(self):
        """The next message; None: the server sent something else."""
        line = self._file.readline()
        if not line:
            raise ConnectionError("the server has closed the connection")
        words = line.decode().split()
        if words[0] == "PING":
            self._send(b"PONG\r\n")
        self._had_pong = words[0] == "PONG"
        if words[0] == "-ERR":
            raise ConnectionError(line.decode())
        if words[0] not in ("MSG", "HMSG"):
            return None
        fixed = 4 if words[0] == "MSG" else 5
        reply = words[3] if len(words) > fixed else ""
        total = int(words[-1])
        head = int(words[-2]) if words[0] == "HMSG" else 0
        data = self._file.read(total + 2)[:-2]
        headers = parse_headers(data[:head]) if head else []
        return Message(words[1], reply, headers, data[head:])

    def _keep(self, message):
        """Keeps what is no answer to a request, for next()."""
        if message is not None and not message.subject.startswith(self._inbox):
            self._waiting.append(message)

    def next(self):
        """The next message that is no answer to a request."""
        while not self._waiting:
            self._keep(self._read_one())
        return self._waiting.pop(0)

    def request(self, subject, payload=b"", headers=()):
        reply = f"{self._inbox}.{next(self._ids)}"
        self.publish(subject, payload, headers, reply)
        while True:
            message = self._read_one()
            if message is not None and message.subject == reply:
                return message
            self._keep(message)

    def api(self, subject, **body):
        """A request to JetStream, and its answer, which may be an error."""
        answer = self.request(f"$JS.API.{subject}", json.dumps(body).encode())
        if not answer.payload:
            return {"error": {"description": str(answer.headers)}}
        return json.loads(answer.payload)

    def _requests(self, subject, bodies):
        """Answers to requests that are all on their way at once, in their order."""
        replies = [f"{self._inbox}.{next(self._ids)}" for _ in bodies]
        for reply, body in zip(replies, bodies):
            self.publish(subject, json.dumps(body).encode(), reply=reply)
        answers = {}
        while len(answers) < len(replies):
            message = self._read_one()
            if message is not None and message.subject in replies:
                answers.setdefault(message.subject, message)
        return [json.loads(answers[reply].payload or b"{}") for reply in replies]

    def all_stored(self, stream):
        """The messages of a stream; none, if there is no such stream yet."""
        state = self.api(f"STREAM.INFO.{stream}").get("state")
        if state is None:
            return []
        sequences = range(max(state["first_seq"], 1), state["last_seq"] + 1)
        found = []
        for begin in range(0, len(sequences), 100):
            answers = self._requests(
                f"$JS.API.STREAM.MSG.GET.{stream}",
                [{"seq": each} for each in sequences[begin : begin + 100]],
            )
            found += [
                stored_message(each["message"]) for each in answers if "message" in each
            ]
        return found


class Server:
    """One nats-server with JetStream; alone, or one of a cluster."""

    def __init__(
        self,
        folder,
        name,
        port,
        route_port=0,
        routes=(),
        more="",
        login=None,
        address="127.0.0.1",
    ):
        self.name = name
        self.port = port
        self._login = login or {}
        self._address = address
        self._process = None
        self._config = os.path.join(folder, f"{name}.conf")
        self._log = os.path.join(folder, f"{name}.log")
        self._folder = folder
        self._cluster = ""
        if routes:
            urls = ", ".join(f"nats://127.0.0.1:{route}" for route in routes)
            # Clients find no way round a cut.
            self._cluster = (
                f"cluster {{ name: test, listen: 127.0.0.1:{route_port}, "
                f"routes: [{urls}], no_advertise: true }}\n"
            )
        self.configure(more)

    def configure(self, more):
        """Writes the configuration with these lines in it."""
        with open(self._config, "w", encoding="utf-8") as file:
            file.write(
                f"server_name: {self.name}\nlisten: {self._address}:{self.port}\n"
                f'jetstream {{ store_dir: "{self._folder}/{self.name}", max_mem: 64M, '
                f"max_file: 1G }}\n{self._cluster}{more}\n"
            )

    def start(self):
        self._process = subprocess.Popen(
            [SERVER, "-c", self._config, "-l", self._log],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def signal(self, number):
        self._process.send_signal(number)

    def kill(self):
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def is_running(self):
        return self._process is not None

    def log(self):
        with open(self._log, encoding="utf-8") as file:
            return file.read()

    def try_to_connect(self, **options):
        """A connection. Raises OSError if the server takes none now."""
        return Connection(self.port, **{**self._login, **options})

    def connect(self, **options):
        """A connection, when the server takes one."""

        def connection():
            if self._process is not None and self._process.poll() is not None:
                raise AssertionError(f"{self.name} has ended:\n{self.log()}")
            try:
                return self.try_to_connect(**options)
            except OSError:
                return None

        return await_condition(connection, f"{self.name} on port {self.port}")


class Cluster:
    """So many servers in a folder of their own, each running."""

    def __init__(self, count=1, more="", login=None, address="127.0.0.1"):
        """`more` is of each one's configuration; connections are made with `login`.
        The servers listen at `address`."""
        self.folder = tempfile.mkdtemp(dir="/dev/shm", prefix="fifobus-nats-")
        ports = free_ports(2 * count)
        routes = ports[count:] if count > 1 else []
        self.servers = [
            Server(
                self.folder,
                f"n{i}",
                ports[i],
                routes[i] if routes else 0,
                routes,
                more,
                login,
                address,
            )
            for i in range(count)
        ]
        for server in self.servers:
            server.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for server in self.servers:
            server.kill()
        shutil.rmtree(self.folder)

    def ask(self, subject, **body):
        """What the first server says that answers; None: none does now."""
        for server in self.servers:
            try:
                # One that starts refuses, one that is stopped is silent, and without
                # a leader nobody answers.
                with server.try_to_connect(timeout=2) as connection:
                    answer = connection.api(subject, **body)
            except OSError:
                continue
            if "error" not in answer:
                return answer
        return None

    def leader(self, stream):
        """The server that leads a stream, as soon as one does."""
        if len(self.servers) == 1:
            return self.servers[0]

        def name():
            answer = self.ask(f"STREAM.INFO.{stream}") or {}
            return answer.get("cluster", {}).get("leader")

        found = await_condition(name, f"a leader of {stream}")
        return next(server for server in self.servers if server.name == found)

    def await_whole(self, stream):
        """Waits until each server has all of a stream; returns what it holds."""

        def whole():
            answer = self.ask(f"STREAM.INFO.{stream}") or {}
            if len(self.servers) == 1:
                return answer
            about = answer.get("cluster", {})
            replicas = about.get("replicas", [])
            return (
                len(replicas) == len(self.servers) - 1
                and "leader" in about
                and all(each["current"] and not each.get("lag") for each in replicas)
                and answer
            )

        return await_condition(whole, f"all replicas of {stream}")["state"]

    def all_stored(self, stream):
        """The messages of a stream that each server has all of."""
        self.await_whole(stream)
        with self.leader(stream).connect() as connection:
            return connection.all_stored(stream)

    def urls(self):
        return [f"nats://127.0.0.1:{server.port}" for server in self.servers]

    def make_stream(self, name, **config):
        """Makes a stream as soon as the servers can."""
        config = {"storage": "file", "name": name, **config}

        return await_condition(
            lambda: self.ask(f"STREAM.CREATE.{name}", **config), f"the stream {name}"
        )
