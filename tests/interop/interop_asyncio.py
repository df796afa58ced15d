"""fifobus.AsyncClient as a client of conformance_test and interop_test: `pub TOPIC`
publishes each line, `sub PATTERN` prints each payload and a newline."""

import asyncio
import os
import sys

import fifobus


async def publish(client, topic):
    loop = asyncio.get_running_loop()
    rest = b""
    while True:
        data = await loop.run_in_executor(None, os.read, 0, 65536)
        if not data:
            break
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            await client.publish(topic, line)
    if rest:
        await client.publish(topic, rest)


async def print_messages(client, pattern):
    await client.subscribe(pattern)
    async for message in client:
        sys.stdout.buffer.write(message.payload + b"\n")
        sys.stdout.buffer.flush()


async def main(command, name):
    async with fifobus.AsyncClient(connect_timeout=60) as client:
        await (publish if command == "pub" else print_messages)(client, name)


try:
    asyncio.run(main(*sys.argv[1:]))
except fifobus.FifobusError as error:
    sys.exit(f"interop_asyncio: {error}")
