"""The same program three times, once for each way to wait:

    modes.py blocking|non-blocking|busy-poll|asyncio PATTERN

Each prints what is published and, every 500 ms, that it did something else.
"""

import asyncio
import select
import sys
import time

import fifobus

OTHER_WORK_SECONDS = 0.5


def show(message):
    print(f"{message.topic}: {message.payload.decode(errors='replace')}", flush=True)


def other_work():
    print("(other work)", flush=True)


def blocking(client):
    """Sleeps until a message comes or the other work is due."""
    due = time.monotonic() + OTHER_WORK_SECONDS
    while True:
        try:
            show(client.receive(timeout=max(0, due - time.monotonic())))
        except TimeoutError:
            other_work()
            due = time.monotonic() + OTHER_WORK_SECONDS


def non_blocking(client):
    """In the program's own event loop, beside whatever else it waits for."""
    client.mode = fifobus.Mode.NON_BLOCKING
    due = time.monotonic() + OTHER_WORK_SECONDS
    while True:
        readable, _, _ = select.select([client], [], [], max(0, due - time.monotonic()))
        while readable:
            try:
                show(client.receive_nowait())
            except BlockingIOError:
                break
        if time.monotonic() >= due:
            other_work()
            due = time.monotonic() + OTHER_WORK_SECONDS


def busy_poll(client):
    """Never sleeps: the lowest latency, for a whole core."""
    client.mode = fifobus.Mode.BUSY_POLL
    blocking(client)


async def with_asyncio(pattern):
    async def work():
        while True:
            await asyncio.sleep(OTHER_WORK_SECONDS)
            other_work()

    async with fifobus.AsyncClient() as client:
        await client.subscribe(pattern)
        task = asyncio.create_task(work())
        async for message in client:
            show(message)
        task.cancel()


WAYS = {"blocking": blocking, "non-blocking": non_blocking, "busy-poll": busy_poll}


def main(way, pattern):
    if way == "asyncio":
        asyncio.run(with_asyncio(pattern))
        return
    with fifobus.Client() as client:
        client.subscribe(pattern)
        WAYS[way](client)


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] not in (*WAYS, "asyncio"):
        sys.exit(__doc__)
    try:
        main(*sys.argv[1:])
    except KeyboardInterrupt:
        pass
