#!/usr/bin/python3
"""Reads logs as proto/LOG.md describes them: a second reader of the format.

    tests/support/log_reader.py FOLDER

Of each log, a folder in FOLDER, it prints the name, `batch OFFSET COUNT TIME HASH` for
each batch (the body's hash, from seed 0), `missing FIRST LAST` for what was stored and
cannot be read, and `next OFFSET`. Changes nothing.
"""

import ctypes
import pathlib
import re
import struct
import sys

XXH3 = ctypes.CDLL("libxxhash.so.0").XXH3_64bits_withSeed
XXH3.restype = ctypes.c_uint64
XXH3.argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint64]

SEGMENT = struct.Struct("<8sII16sQQII")
BATCH = struct.Struct("<4sHBBIIQQQQQQQ")
HEADER_UNIT = 4096
HEADER_SIZES = range(HEADER_UNIT, (2 << 20) + 1, HEADER_UNIT)
SEGMENT_NAME = re.compile(r"(\d{20})(?:-(\d+))?\.seg")


def xxh3(data, seed):
    return XXH3(data, len(data), seed)


def seed_of(log_id):
    return int.from_bytes(log_id[:8], "little")


def hash_fits(data, seed):
    return xxh3(data[:-8], seed) == int.from_bytes(data[-8:], "little")


class Batch:
    """What lies at a position of a segment; `good` if that is a batch's header."""

    def __init__(self, data, position, seed):
        self.good = False
        if len(data) - position < 80 or data[position : position + 4] != b"FBAT":
            return
        fields = BATCH.unpack_from(data, position)
        _, size, _, name_size, body_size, self.count, at, self.base = fields[:8]
        self.time, self.synced, _, _, body_hash = fields[8:]
        header = data[position : position + size]
        if size != 80 + (name_size + 7) // 8 * 8 or len(header) < size:
            return
        self.good = hash_fits(header, seed) and at == position
        body = data[position + size : position + size + body_size]
        self.whole = len(body) == body_size and xxh3(body, seed) == body_hash
        self.digest = f"{xxh3(body, 0):016x}"
        self.end_offset = self.base + self.count
        self.end = (position + size + body_size + 7) // 8 * 8


class Segment:
    def __init__(self, path):
        base, attempt = SEGMENT_NAME.fullmatch(path.name).groups()
        self.base, self.attempt = int(base), int(attempt or 0)
        self.data = path.read_bytes()
        self.log_id, self.start = None, HEADER_UNIT
        self.claimed_id = self.data[16:32]
        padded = self.data.ljust(HEADER_UNIT, b"\0")
        magic, version, size, log_id, base = SEGMENT.unpack_from(padded)[:5]
        if magic != b"FIFOLOG\n" or size not in HEADER_SIZES:
            return
        if len(self.data) >= size and hash_fits(self.data[:size], seed_of(log_id)):
            if version != 1:
                raise ValueError("a newer version")
            if base == self.base:
                self.log_id, self.start = log_id, size

    def batches(self, seed):
        """Each batch whose header's hash fits, in order."""
        position = self.start
        while position < len(self.data):
            batch = Batch(self.data, position, seed)
            if batch.good:
                yield batch
            position = batch.end if batch.good else position + 8


def segments_of(folder):
    """The segments in use, oldest first, and the seed of the hashes."""
    segments = [Segment(x) for x in folder.iterdir() if SEGMENT_NAME.fullmatch(x.name)]
    segments.sort(key=lambda segment: (segment.base, segment.attempt))
    # The batches may bear out what a damaged header says.
    ids = {x.log_id for x in segments if x.log_id} or {
        x.claimed_id for x in segments if any(x.batches(seed_of(x.claimed_id)))
    }
    if not ids and all(x.base == 1 and len(x.data) <= HEADER_UNIT for x in segments):
        return [], 0
    if len(ids) != 1:
        raise ValueError("nothing says which log it is")
    seed = seed_of(ids.pop())
    while not segments[-1].log_id and not any(segments[-1].batches(seed)):
        segments.pop()
    return list({segment.base: segment for segment in segments}.values()), seed


def read_segment(segment, seed, end, synced, lines):
    """Reads up to `end`, or, without one, all that is whole and behind `synced`."""
    following = segment.base

    def missing(until):
        if until > following:
            first = lines.pop()[1] if lines and lines[-1][0] == "missing" else following
            lines.append(("missing", first, until - 1))
        return max(until, following)

    for batch in segment.batches(seed):
        if end is not None and batch.base >= end:
            break
        if batch.base < following or not batch.count:
            continue
        if end is None and batch.base > max(following, synced + 1):
            return missing(synced + 1)  # torn, or nobody knows where that begins
        following = missing(batch.base)
        if batch.whole:
            lines.append(("batch", batch.base, batch.count, batch.time, batch.digest))
            following = batch.end_offset
        elif end is None and batch.base > synced:
            return following
        else:
            following = missing(batch.end_offset)
    return missing(synced + 1 if end is None else end)


def read_log(folder):
    segments, seed = segments_of(folder)
    lines, following = [], 1
    for segment, after in zip(segments, segments[1:] + [None]):
        synced = max([segment.base - 1] + [x.synced for x in segment.batches(seed)])
        following = read_segment(segment, seed, after and after.base, synced, lines)
    return lines + [("next", following)]


if __name__ == "__main__":
    for log in sorted(pathlib.Path(sys.argv[1]).iterdir()):
        print(log.name)
        try:
            for line in read_log(log):
                print(*line)
        except ValueError:
            print("refused")
