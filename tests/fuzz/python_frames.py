"""Says what the Python client finds in each frame that comes on standard input: the
other half of python_frames.cc."""

import struct
import sys

from fifobus.protocol import control, frames


def printed(message):
    """A message as python_frames.cc has it."""
    numbers = (
        message.sequence,
        message.publish_time_unix_nanos,
        message.expiry_unix_nanos,
        int(message.retain),
        message._metadata.confirm_id,
        message._metadata.confirm_level,
    )
    texts = [message.topic.encode(), message.reply_topic.encode()]
    texts += [message.content_type.encode(), message.payload]
    for name, value in message.header_list:
        texts += (name.encode(), value)
    return " ".join(map(str, numbers)) + "".join(f" {text.hex()}." for text in texts)


def describe(body):
    try:
        number, member = frames.read_frame(body)
        if number == control.MESSAGE:
            return f"1 {printed(frames.read_message(member))}"
        frames.read_control(number, member)
        return str(number)
    except frames.BadFrame as error:
        return error.fault


def main():
    stdin, stdout = sys.stdin.buffer, sys.stdout.buffer
    while prefix := stdin.read(4):
        body = stdin.read(struct.unpack(">I", prefix)[0])
        stdout.write(describe(body).encode() + b"\n")
        stdout.flush()


main()
