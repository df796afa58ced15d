"""Where buses are. Standard library only: also for fifobus.tap."""

from __future__ import annotations

import os
import stat
from typing import List, Optional

from fifobus.errors import NoBroker
from fifobus.transport import noted


def bus_candidates(directory: Optional[str] = None) -> List[str]:
    """Where a client looks, in order.

    `directory` alone if it is given, else $FIFOBUS_DIR alone if that is set, else
    /run/fifobus, $XDG_RUNTIME_DIR/fifobus and /dev/shm/fifobus-UID.
    """
    if directory:
        return [directory]
    chosen = os.environ.get("FIFOBUS_DIR")
    if chosen:
        return [chosen]
    candidates = ["/run/fifobus"]
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if runtime:
        candidates.append(f"{runtime}/fifobus")
    return candidates + [f"/dev/shm/fifobus-{os.getuid()}"]


def bus_fault(directory: str, fds: Optional[List[int]] = None) -> str:
    """Why `directory` is no bus with a live broker, in one clause; "" if it is one.

    `fds` has what is open meanwhile: for a caller that closes it even if an exception
    from a signal handler comes in the way.
    """
    fds = [] if fds is None else fds
    try:
        fd = noted.open_path(fds, directory, os.O_RDONLY | os.O_DIRECTORY)
        owner = os.fstat(fd).st_uid
        if owner not in (os.geteuid(), 0):
            return f"{directory}: belongs to user {owner}, neither to you nor to root"
        return "" if _is_alive(fd, fds) else f"{directory}: no broker runs there"
    except FileNotFoundError:
        return f"{directory}: no such directory"
    except OSError as error:
        if os.path.islink(directory):
            return f"{directory}: is a symbolic link; name the directory itself"
        return f"{directory}: {error.strerror}"
    finally:
        noted.close_all(fds)


def _is_alive(bus_fd: int, fds: List[int]) -> bool:
    """The broker is the only writer of `alive`: without it a read finds the end."""
    try:
        alive = noted.open_path(fds, "alive", os.O_RDONLY, bus_fd)
        if stat.S_ISFIFO(os.fstat(alive).st_mode):
            os.read(alive, 1)
        return False
    except BlockingIOError:
        return True
    except OSError:
        return False


def find_bus(directory: Optional[str] = None, fds: Optional[List[int]] = None) -> str:
    """The first candidate with a live broker. `fds`: see bus_fault.

    Raises NoBroker, which names every place that was tried and what is wrong there.
    """
    faults = []
    for candidate in bus_candidates(directory):
        fault = bus_fault(candidate, fds)
        if not fault:
            return candidate
        faults.append(fault)
    tried = "; ".join(faults)
    raise NoBroker(f"no broker found ({tried}); start one with: fifobus serve")
