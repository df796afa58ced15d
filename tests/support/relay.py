"""A network between a client and a server of TCP that can be cut."""

import contextlib
import selectors
import socket
import threading


class Relay(threading.Thread):
    """Passes on what comes to its port to another one of this machine.

    While it is cut, connections stay, but nothing crosses them, as when a cable is
    out: neither side is told.
    """

    def __init__(self, target):
        super().__init__(daemon=True)
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._open = threading.Event()
        self._open.set()
        self._stopping = False
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._stopping = True
        self._open.set()
        self.join()
        for key in list(self._selector.get_map().values()):
            key.fileobj.close()
        self._selector.close()

    def url(self):
        return f"nats://127.0.0.1:{self.port}"

    def cut(self):
        self._open.clear()

    def heal(self):
        self._open.set()

    def run(self):
        while not self._stopping:
            self._open.wait()
            for key, _ in self._selector.select(0.05):
                if not self._open.is_set():
                    break
                if key.fileobj is self._listener:
                    self._accept()
                else:
                    self._pass_on(key.fileobj, key.data)

    def _accept(self):
        client, _ = self._listener.accept()
        try:
            server = socket.create_connection(("127.0.0.1", self._target))
        except OSError:
            client.close()
            return
        self._selector.register(client, selectors.EVENT_READ, server)
        self._selector.register(server, selectors.EVENT_READ, client)

    def _pass_on(self, source, to):
        if source.fileno() < 0:
            return  # Closed with its other end, in this round.
        try:
            data = source.recv(65536)
            to.sendall(data)
        except OSError:
            data = b""
        if not data:
            for each in (source, to):
                with contextlib.suppress(KeyError, ValueError):
                    self._selector.unregister(each)
                each.close()
