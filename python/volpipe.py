"""Volumes in Python, in one file: copy it, or put its folder on PYTHONPATH.

    for header, array in volumes(sys.stdin.buffer): ...      # of a pipe, as vol-cat(1) writes it
    FrameWriter(sys.stdout.buffer).volume(array, obs_id=...) # for vol-write(1); end() comes last
    Dataset("ds").read("sub-07_CT", np.s_[:, :, 70])         # a region, without any program
    Batch("ds").read("sub-07_CT", np.s_[0:64, 0:64, 0:64])   # the same from vol-cat --batch

Arrays are [x, y, z, ...], colours last, of stored values: `header` has slope, intercept and affine.
Needs numpy, Dataset also zstandard or Python 3.14. A region is slices without steps, or numbers.
"""

import hashlib
import json
import math
import struct
import subprocess
import sys
import zlib
from importlib import import_module
from itertools import product, zip_longest
from pathlib import Path

import numpy as np

OPEN, DATA, EXTRA, CLOSE, DROP, END = range(1, 7)
MAX_HEADER, MAX_BODY = 4 << 20, 16 << 20


def decompress(frame):
    return import_module("compression.zstd" if sys.version_info >= (3, 14) else
                         "zstandard").decompress(frame)


def check(condition, message):
    if not condition:
        raise ValueError(message)


def voxel_type(header):
    return np.dtype(header["dtype"]).newbyteorder("<")


def voxel_bytes(header):
    return math.prod(header["shape"]) * header.get("channels", 1) * voxel_type(header).itemsize


def as_array(data, header):
    """Bytes with X fastest, channels before X, as an array [x, y, z, ..., channel]."""
    shape = [header.get("channels", 1), *header["shape"]]
    array = np.frombuffer(data, voxel_type(header)).reshape(shape, order="F")
    return np.moveaxis(array, 0, -1) if shape[0] > 1 else array[0]


def read_frames(stream):
    """Yield (kind, header, body) of each frame; a stream that breaks off raises ValueError."""
    seen, kind = {CLOSE: 0, DROP: 0}, None
    while (prelude := stream.read(20)) or kind != END:
        check(len(prelude) == 20, "the stream ends without an end frame")
        magic, version, kind, _, header_size, body_size, crc = struct.unpack("<4sBBHIII", prelude)
        check(magic == b"VFRM" and version == 1, "not a frame, or of an unknown version")
        check(header_size <= MAX_HEADER and body_size <= MAX_BODY, "frame is longer than allowed")
        text, body = stream.read(header_size), stream.read(body_size)
        check(zlib.crc32(body, zlib.crc32(text, zlib.crc32(prelude[:16]))) == crc, "wrong CRC-32")
        header = json.loads(text) if text else {}
        if kind == OPEN:
            left, voxel_crc = voxel_bytes(header), 0
        elif kind == DATA:
            left, voxel_crc = left - len(body), zlib.crc32(body, voxel_crc)
        elif kind == CLOSE:
            check(left == 0 and header["crc32"] == voxel_crc, "voxels are missing, or others")
        elif kind == END:
            check([header["volumes"], header["dropped"]] == [*seen.values()], "volumes are missing")
            seen = {CLOSE: 0, DROP: 0}
        if kind in seen:
            seen[kind] += 1
        yield kind, header, body


def volumes(stream):
    """Yield (header, array) of each volume; for those that fit in memory, without extra frames."""
    for kind, header, body in read_frames(stream):
        if kind == OPEN:
            volume, parts = header, []
        elif kind == DATA:
            parts.append(body)
        elif kind == CLOSE:
            yield volume, as_array(b"".join(parts), volume)


class FrameWriter:
    """For each volume open, extra, data (X fastest, cut as you like) and close; last of all end."""
    def __init__(self, stream):
        self.stream, self.closed, self.dropped = stream, 0, 0

    def frame(self, kind, header=None, body=b""):
        text = json.dumps(header, allow_nan=False).encode() if header else b""
        prelude = struct.pack("<4sBBHII", b"VFRM", 1, kind, 0, len(text), len(body))
        data = text + body
        self.stream.write(prelude + struct.pack("<I", zlib.crc32(prelude + data)) + data)

    def open(self, header):
        self.header, self.left, self.crc = header, voxel_bytes(header), 0
        self.frame(OPEN, header)

    def data(self, voxels):
        self.left, self.crc = self.left - len(voxels), zlib.crc32(voxels, self.crc)
        for start in range(0, len(voxels), MAX_BODY):
            self.frame(DATA, body=voxels[start:start + MAX_BODY])

    def extra(self, data):
        self.frame(EXTRA, body=data)

    def close(self):
        check(self.left == 0, f"{self.left} bytes of voxels are missing")
        self.frame(CLOSE, {"voxels": math.prod(self.header["shape"]), "crc32": self.crc})
        self.closed += 1

    def drop(self, reason):
        self.dropped += 1
        self.frame(DROP, {"reason": reason})

    def end(self, skipped=0):
        self.frame(END, {"volumes": self.closed, "dropped": self.dropped, "skipped": skipped})
        self.stream.flush()

    def volume(self, array, **header):
        """A whole volume, whose shape and dtype are taken from the array; colours: channels=3."""
        array = np.moveaxis(array, -1, 0) if header.get("channels", 1) > 1 else array[None]
        self.open({**header, "shape": list(array.shape[1:]), "dtype": array.dtype.name})
        self.data(array.astype(voxel_type(self.header), copy=False).tobytes(order="F"))
        self.close()


def slices(region):
    """A region's slices, and the axes that go, of which it names one voxel only."""
    region = region if isinstance(region, tuple) else (region,)
    check(all(getattr(part, "step", None) in (None, 1) for part in region), "a region has a step")
    return ([part if isinstance(part, slice) else slice(part, part + 1 or None) for part in region],
            tuple(axis for axis, part in enumerate(region) if not isinstance(part, slice)))


class Dataset:
    """One snapshot, read without any program; yields the header of every volume."""
    def __init__(self, path, snapshot=None):
        self.path = Path(path)
        files = sorted(self.path.glob("manifests/[0-9]*.json"))
        check(files, f"{path} has no snapshot")
        file = self.path / f"manifests/{snapshot:010}.json" if snapshot else files[-1]
        self.manifest = json.loads(file.read_bytes())
        check(self.manifest["version"] <= 2, f"{file} is of an unknown version")

    def bytes(self, path, at, count):
        with open(self.path / path, "rb") as file:
            file.seek(at, 0 if at >= 0 else 2)
            return file.read(count)

    def block(self, stage, at):
        """Yield (header, record) of the volumes in the block at an offset of a catalog."""
        path = stage["catalog"]["path"]
        stored, _, count, _ = struct.unpack("<4I", self.bytes(path, int(at), 16))
        data, at = decompress(self.bytes(path, int(at) + 16, stored)), 0
        for _ in range(count):
            length, name = struct.unpack_from("<IH", data, at)
            fields = at + 10 + name + struct.unpack_from("<I", data, at + 6 + name)[0]
            _, _, pack, *record, axes = struct.unpack_from("<QIIQQBB", data, fields)
            chunk = struct.unpack_from(f"<{axes}I", data, fields + 34)
            header = json.loads(data[at + 10 + name:fields]) | {"collection": stage["collection"]}
            yield header, (stage["packs"][pack]["path"], *record, chunk)
            at += 4 + length

    def index(self, stage):
        """The hashes of a catalog's ids, and where their blocks are."""
        path = stage["catalog"]["path"]
        _, count, _, start, pages, _ = struct.unpack("<8s5Q", self.bytes(path, -48, 48))
        data = np.frombuffer(self.bytes(path, start, 4096 * pages), "u1").reshape(-1, 4096)[:, 16:]
        return data.reshape(-1, 24)[:count].view([("key", "V16"), ("at", "<u8")])[:, 0]

    def __iter__(self):
        for stage in self.manifest["stages"]:
            for at in np.unique(self.index(stage)["at"]):
                yield from (header for header, _ in self.block(stage, at))

    def find(self, obs_id):
        key = hashlib.sha256(obs_id.encode()).digest()[:16]
        for stage in self.manifest["stages"]:
            index = self.index(stage)
            for at in index["at"][index["key"] == np.void(key)]:
                return next(pair for pair in self.block(stage, at) if pair[0]["obs_id"] == obs_id)
        raise KeyError(obs_id)

    def read(self, obs_id, region=()):
        """The voxels of a region; only the chunks that it touches are read."""
        header, (pack, start, length, shuffled, chunk) = self.find(obs_id)
        dtype, channels, shape = voxel_type(header), header.get("channels", 1), header["shape"]
        parts, gone = slices(region)
        ranges = [range(n)[part] for n, part in zip_longest(shape, parts, fillvalue=slice(None))]
        check(all(ranges), "the region is empty")
        grid = [-(-n // edge) for n, edge in zip(shape, chunk)][::-1]
        touched = [range(part[0] // n, part[-1] // n + 1) for part, n in zip(ranges, chunk)]
        out = np.zeros([channels, *(len(t) * n for t, n in zip(touched, chunk))], dtype, order="F")
        index = self.bytes(pack, start + length - 16 * math.prod(grid) - 4, 16 * math.prod(grid))
        places = np.frombuffer(index, "<u8").reshape([*grid, 2])
        for cell in product(*touched):
            offset, stored = places[cell[::-1]].tolist()
            if offset < length:  # all voxels of others are 0
                data = decompress(self.bytes(pack, start + offset, stored)[24:])
                if shuffled:
                    data = np.frombuffer(data, "u1").reshape(dtype.itemsize, -1).T.tobytes()
                place = [slice((c - t[0]) * n, (c - t[0] + 1) * n)
                         for c, t, n in zip(cell, touched, chunk)]
                out[:, *place] = np.frombuffer(data, dtype).reshape([channels, *chunk], order="F")
        out = out[:, *(slice(part[0] - t[0] * n, part[-1] - t[0] * n + 1)
                       for part, t, n in zip(ranges, touched, chunk))]
        return (np.moveaxis(out, 0, -1) if channels > 1 else out[0]).squeeze(gone)


class Batch:
    """Regions from vol-cat(1). Ask for some before you take the first: they are decoded ahead."""
    def __init__(self, dataset, collection=None, program="vol-cat"):
        words = [program, "--batch", str(dataset), *([collection] if collection else [])]
        self.child = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.asked = []

    def ask(self, obs_id, region=()):
        parts, gone = slices(region)
        text = ",".join(":".join("" if end is None else str(end) for end in (part.start, part.stop))
                        for part in parts)
        self.child.stdin.write(f"{obs_id} {text or ':'}\n".encode())
        self.asked.append(gone)

    def take(self):
        """(header, array) of what was asked for first; KeyError if there is no such region."""
        self.child.stdin.flush()
        header = json.loads(self.child.stdout.readline() or '{"error": "vol-cat has ended"}')
        gone = self.asked.pop(0)
        if "error" in header:
            raise KeyError(header["error"])
        data = np.empty(header["bytes"], "u1")
        check(self.child.stdout.readinto(data) == len(data), "vol-cat has ended")
        return header, as_array(data, header).squeeze(gone)

    def read(self, obs_id, region=()):
        self.ask(obs_id, region)
        return self.take()[1]

    def close(self):
        self.child.stdin.close()
        self.child.stdout.close()
        return self.child.wait()
