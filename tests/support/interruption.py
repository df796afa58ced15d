"""Exceptions that come between two instructions of the client, as those of a signal
handler do, at a place of the test's choice."""

import random
import sys


class Interruption(Exception):
    """Comes out of nowhere."""


def interrupted_at(number, call):
    """Calls `call` and raises Interruption in its stead before the package's
    instruction of that number, counted from 1. False: it had fewer, and has ended."""
    left = number

    def trace(frame, event, _):
        nonlocal left
        if not frame.f_globals.get("__name__", "").startswith("fifobus"):
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            left -= 1
            if left == 0:
                raise Interruption  # which also ends the tracing
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        call()
    except Interruption:
        return True
    finally:
        sys.settrace(before)
    return left <= 0


def at_instructions(make_call, check, step=1):
    """Interrupts what make_call() returns at one instruction after the other, or at
    each `step`th from a random one on, until there is none left. `check` is called
    after each, with the place. Returns how many places there are."""
    place = random.randint(1, step)
    while interrupted_at(place, make_call()):
        check(place)
        place += step
    check(place)
    return place
