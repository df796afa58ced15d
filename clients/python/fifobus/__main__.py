"""python3 -m fifobus pub|sub: the command line where there is no `fifobus`.

Options, output and exit codes are those of the program of that name.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import List, Optional

from fifobus import errors
from fifobus.commands.exits import DONE, FAILED, TIMED_OUT, CommandFailed, warn
from fifobus.commands.options import parse
from fifobus.commands.publish import pub
from fifobus.commands.subscribe import sub


def hold_standard_descriptors() -> None:
    """One that is closed would be the next FIFO's, and output would go to the broker.
    Opened the wrong way round, reading and writing fail as they should."""
    for fd in (0, 1, 2):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDONLY if fd else os.O_WRONLY)


def end_by_interrupts() -> None:
    """At once and by the signal itself, so that the broker publishes the will."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


def main(arguments: Optional[List[str]] = None) -> int:
    hold_standard_descriptors()
    end_by_interrupts()
    options = parse(sys.argv[1:] if arguments is None else arguments)
    try:
        return pub(options) if options.command == "pub" else sub(options)
    except errors.TimedOut as error:
        warn(error)
        return TIMED_OUT
    except (errors.FifobusError, CommandFailed) as error:
        warn(error)
        return FAILED
    except BrokenPipeError:  # `| head -1` is no failure
        return DONE
    except OSError as error:
        warn(f"standard output: {error.strerror}")
        return FAILED


if __name__ == "__main__":
    sys.exit(main())
