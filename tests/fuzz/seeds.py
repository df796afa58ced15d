"""Writes the corpora of tests/fuzz/ that are made from proto/vectors and from real
messages: python3 tests/fuzz/seeds.py. What a fuzzer has found lies beside them."""

import json
import os
import re

CORPUS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "corpus")
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def vectors(name):
    with open(f"{ROOT}/proto/vectors/{name}.json", encoding="utf-8") as file:
        return json.load(file)


def read(path):
    with open(f"{ROOT}/{path}", "rb") as file:
        return file.read()


def write(target, name, data):
    folder = f"{CORPUS}/{target}"
    os.makedirs(folder, exist_ok=True)
    name = re.sub("[^a-z0-9]+", "-", name.lower()).strip("-")[:60]
    with open(f"{folder}/{name}", "wb") as file:
        file.write(data.encode() if isinstance(data, str) else data)


def text(data):
    """As Input::Text reads it."""
    return bytes((len(data),)) + data


FRAMES = [
    (vector["name"], bytes.fromhex(vector["hex"]))
    for vector in vectors("frames")
    if len(vector["hex"]) < 2000
]
SESSIONS = [
    (
        session["name"],
        b"".join(
            bytes.fromhex(step["client"])
            for step in session["steps"]
            if "client" in step
        ),
        b"".join(
            bytes.fromhex(step["broker_hex"])
            for step in session["steps"]
            if "broker_hex" in step
        ),
    )
    for session in vectors("sessions")
]


def member_of(frame):
    """A frame's member: its number and its bytes; nothing if it is not simple."""
    body = frame[4:]
    tag = at = shift = 0
    while at < len(body):
        tag |= (body[at] & 127) << shift
        at, shift = at + 1, shift + 7
        if body[at - 1] < 128:
            break
    if tag & 7 != 2 or at >= len(body) or body[at] >= 128:
        return None
    return tag >> 3, body[at + 1 : at + 1 + body[at]]


def frames_in(stream):
    while len(stream) >= 4:
        size = 4 + int.from_bytes(stream[:4], "big")
        yield stream[:size]
        stream = stream[size:]


def seeds_of_frames():
    for name, frame in FRAMES:
        write("frame_reading", name, frame[4:])
        if len(frame) < 250 and member_of(frame) == (1, frame[6:]):
            change = b"\0" + bytes((len(frame) - 1,)) + b"\x01"
            write("repeated_messages", name, text(frame[4:]) + change)
        member = member_of(frame)
        if member and member[0] > 1:
            write("control_frames", name, bytes((32, member[0])) + text(member[1]))
            write("hostile_broker", name, b"\x02\x10" + frame)
    for name, client, broker in SESSIONS:
        write("hostile_client", name, b"\x01\x00\x00\x00" + client)
        write("frame_stream", name, b"\x03\x01\x07\x20" + client)
        controls = b"".join(
            bytes((member[0],)) + text(member[1])
            for member in map(member_of, frames_in(client))
            if member
        )
        write("control_frames", name, b"\x21" + controls)
        if broker:
            write("hostile_broker", name, b"\x00\x05" + broker)


def seeds_of_names():
    topics = vectors("topics")
    for i, name in enumerate((topics["topics"] + topics["patterns"])[::8]):
        write("topic_names", f"vector {i}", name["name"])
    for i, name in enumerate(["a/**", "$sys/stats", "x.in", "a//b", "*/b", "**/a"]):
        write("topic_names", f"name {i}", name)
    write("pattern_matching", "star", bytes((0, 3, 4, 0, 1, 3)))
    write("pattern_matching", "reserved", bytes((2, 0, 4, 3, 0, 4)))
    write(
        "subscription_table",
        "add and remove",
        bytes((0, 3, 17, 0, 4, 33, 0, 3, 1, 128, 3)),
    )
    write("subscription_table", "all", bytes((0, 4, 1, 3, 2, 2, 19, 2, 4, 131, 4)))


def seeds_of_lines():
    write("tap_lines", "lines", b"\x3f\x02\x05\x01\x09one\ntwo\n\nfour")
    write("tap_lines", "too long", b"\x04\x00\x03one two three four\nfive\nsix")
    lines = [
        '{"topic":"a/b","payload":"Hello","sequence":1,'
        '"time":"2026-11-23T20:15:00.123456789Z","headers":{"k":"v"}}',
        '{"topic":"a","payload_base64":"/w==","headers":{"k":["v",{"base64":"gA=="}]},'
        '"retain":true,"content_type":"text/plain","reply_topic":"r"}',
        '{"payload":"\\u00e9\\ud83d\\ude00","expiry":"2100-01-01T00:00:00Z"}',
        '{"topic":"a","payload":"x","offset":3,"stored_time":"2026-01-01T00:00:00Z",'
        '"ack_id":9,"delivery_count":2,"retained":true}',
    ]
    for i, line in enumerate(lines):
        write("json_messages", f"message {i}", line)
    for i, line in enumerate(["plain", 'quote " and \\', "caf\u00e9 \U0001f600\n"]):
        write("json_texts", f"text {i}", line)
    write("json_texts", "overlong", b"\xc0\x80\xed\xa0\x80\xf4\x90\x80\x80")
    for i, line in enumerate(
        ["{topic} {header:unit}: {payload}\\n", "{{{json}}}", "{time}{size}\\t\\0{"]
    ):
        write("message_templates", f"template {i}", text(line.encode()) + FRAMES[3][1])
    for i, line in enumerate(
        ["1.5s", "7d", "1GiB", "-10", "2026-11-28T10:00+01:00", "start", "1h30m", "-5m"]
    ):
        write("option_values", f"value {i}", line)


def seeds_of_files():
    write("configuration", "example", read("clients/examples/bus.toml"))
    write("bridge_configuration", "example", read("clients/examples/bridge.toml"))
    small = "queue-bytes = 4096\n[[topic]]\npattern = 'a/**'\nhistory = 3\n"
    write("configuration", "topic", small)
    log = (
        "[[log]]\nname = 'o'\npattern = 'o/**'\nkeep-bytes = '1GiB'\nkeep-age = '7d'\n"
    )
    write("configuration", "log", log)
    write("log_segments", "untouched", bytes((3, 5, 40, 90)))
    write("log_segments", "a bit", bytes((4, 5, 40, 90, 7, 0, 0, 1, 16, 20, 4)))
    write("log_segments", "cut", bytes((5, 5, 40, 90, 7, 90, 1, 0, 2, 16, 200, 1)))
    write("log_formats", "header", bytes(range(64)))
    write(
        "log_formats", "readers", bytes((2,)) + b"\x05till1\x04a/**" + bytes(range(40))
    )
    message = member_of(FRAMES[3][1])
    write("retained_files", "attribute", text(message[1][5:]) + b"payload")
    write("retained_files", "none", text(b"") + b"payload")
    names = b"\x00\x03a.in\x01\x05a.out\x02\x06b.last\x03\x03c.d"
    write("directory_names", "taps", names)


def record(number, body):
    """A record of an upgrade's state."""
    data = bytes((number * 8 + 2, len(body))) + body
    return len(data).to_bytes(4, "little") + data


def seeds_of_upgrades():
    header = record(1, b"\x08\x01\x10\x01\x1a\x050.1.0\x20\x07")
    broker = record(2, b"\x08\x03\x10\x04\x18\x09\x2a\x06\x0a\x01a\x12\x01b")
    write("upgrade_state", "header", header)
    write("upgrade_state", "broker", header + broker)
    write("upgrade_state", "newer", record(1, b"\x08\x09\x10\x09"))
    write("upgrade_state", "cut", (header + broker)[:-3])


def seeds_of_bridge():
    for i, name in enumerate(["a/b", "sensors/v1.2", "a:b/c@d", "$sys/x"]):
        write("bridge_names", f"topic {i}", b"\x00\x00" + name.encode())
    for i, name in enumerate(["orders.*.new", "orders.>", "v1%2E2.a", "a..b", ">"]):
        write(
            "bridge_names",
            f"subject {i}",
            text(b"factory") + text(b"edge1.f") + name.encode(),
        )
    for name, frame in FRAMES[::3]:
        if len(frame) < 250:
            write("bridge_headers", name, frame[4:])


if __name__ == "__main__":
    seeds_of_frames()
    seeds_of_names()
    seeds_of_lines()
    seeds_of_files()
    seeds_of_bridge()
    seeds_of_upgrades()
