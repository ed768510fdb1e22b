"""Read and write frame streams, the form that volumes have in a pipe: see vol-frames(5).

The strict reader and writer of the tests, from vol-frames(5) alone, and numpy. The shortest use,
copied into any filter. The shortest use, whole volumes as numpy arrays [x, y, z, ...]:

    for header, array in volumes(sys.stdin.buffer): ...

and the one that a filter of big volumes wants, frame by frame: see double.py beside this file.
"""

import json
import struct
import zlib

import numpy as np

OPEN, DATA, EXTRA, CLOSE, DROP, END = range(1, 7)
PRELUDE = struct.Struct("<4sBBHIII")  # the last integer is the CRC-32 of all else
MAX_HEADER, MAX_BODY, MAX_EXTRAS = 4 << 20, 16 << 20, 65_535
DTYPES = ("int8 int16 int32 int64 uint8 uint16 uint32 uint64 "
          "float32 float64 complex64 complex128").split()


class FrameError(ValueError):
    """The stream is not what vol-frames(5) says; nothing after the last frame read is good."""


def check(condition, message):
    if not condition:
        raise FrameError(message)


def voxel_type(header):
    """The numpy type of one value, little-endian as in the stream."""
    check(header.get("dtype") in DTYPES, f"unknown dtype {header.get('dtype')!r}")
    return np.dtype(header["dtype"]).newbyteorder("<")


def voxel_count(header):
    """product(shape). Python's integers do not overflow, so a mad shape is only a mad number."""
    shape = header.get("shape")
    check(isinstance(shape, list) and 1 <= len(shape) <= 7, "shape is not 1 to 7 axes")
    count = 1
    for axis in shape:
        check(type(axis) is int and axis >= 1, "an axis of the shape is not 1 or more")
        count *= axis
    return count


def voxel_bytes(header):
    channels = header.get("channels", 1)
    check(channels in (1, 3, 4), f"{channels} channels")
    return voxel_count(header) * channels * voxel_type(header).itemsize


def read_exactly(stream, count):
    """A pipe may give less than asked for at a time; only 0 bytes mean that it has ended."""
    parts = []
    while count:
        part = stream.read(count)
        check(part, "the stream ends without an end frame")
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def read_frames(stream):
    """Yield (kind, header, body) of each frame, in order, each checked before it is given out.

    The header of data and extra frames is {}. Ends only where the stream may end; a stream that
    breaks off, or does not add up, raises FrameError, whatever was yielded before.
    """
    volume, seen, ended = None, {CLOSE: 0, DROP: 0}, False
    while True:
        first = stream.read(1)
        if not first and ended:
            return
        check(first, "the stream ends without an end frame")
        prelude = first + read_exactly(stream, 19)
        magic, version, kind, zero, header_size, body_size, crc = PRELUDE.unpack(prelude)
        check(magic == b"VFRM" and zero == 0, "not a frame")
        check(version == 1, f"frame version {version} is not known")
        check(OPEN <= kind <= END, f"frame kind {kind} is not known")
        # Lengths are believed only within these bounds, and only then is memory taken.
        check(header_size <= MAX_HEADER and body_size <= MAX_BODY, "frame is longer than allowed")
        bare = kind in (DATA, EXTRA)
        check(bool(body_size) == bare and bool(header_size) != bare, "frame of the wrong make-up")
        text, body = read_exactly(stream, header_size), read_exactly(stream, body_size)
        check(zlib.crc32(body, zlib.crc32(text, zlib.crc32(prelude[:16]))) == crc, "wrong CRC-32")
        header = json.loads(text) if header_size else {}
        check(isinstance(header, dict), "the header is not an object")

        check((volume is None) == (kind in (OPEN, END)), f"frame of kind {kind} out of place")
        if kind == OPEN:
            check("name" in header or "obs_id" in header, "a volume without name and obs_id")
            volume, left, voxel_crc, extras = header, voxel_bytes(header), 0, 0
        elif kind == DATA:
            left, voxel_crc = left - len(body), zlib.crc32(body, voxel_crc)
            check(left >= 0, "more voxels than the shape has")
        elif kind == EXTRA:
            extras += 1
            # Extra frames in the midst of the voxels would have no place in the file made again.
            check(left in (0, voxel_bytes(volume)) and extras <= MAX_EXTRAS, "extra out of place")
        elif kind == CLOSE:
            check(left == 0 and header.get("voxels") == voxel_count(volume), "voxels are missing")
            check(header.get("crc32") == voxel_crc, "wrong CRC-32 of the voxels")
        elif kind == END:
            check((header.get("volumes"), header.get("dropped")) == (seen[CLOSE], seen[DROP]),
                  "the end frame counts other volumes than came")
            seen = {CLOSE: 0, DROP: 0}
        if kind in seen:
            volume, seen[kind] = None, seen[kind] + 1
        ended = kind == END
        yield kind, header, body


class FrameWriter:
    """Writes frames to a binary stream: for each volume open, extra, data, extra, close; then end.

    Leaving out end() makes the stream unacceptable to every reader, which is what should happen
    when a program fails halfway: so call it last, and not in a `finally`.
    """

    def __init__(self, stream):
        self.stream, self.closed, self.dropped = stream, 0, 0

    def frame(self, kind, header=None, body=b""):
        text = b""
        if header is not None:
            text = json.dumps(header, ensure_ascii=False, allow_nan=False, sort_keys=True,
                              separators=(",", ":")).encode()
        prelude = struct.pack("<4sBBHII", b"VFRM", 1, kind, 0, len(text), len(body))
        crc = zlib.crc32(body, zlib.crc32(text, zlib.crc32(prelude)))
        self.stream.write(prelude + struct.pack("<I", crc) + text)
        self.stream.write(body)

    def open(self, header):
        self.header, self.left, self.crc = header, voxel_bytes(header), 0
        self.frame(OPEN, header)

    def data(self, voxels):
        """Any number of voxel bytes, cut as you like; an array's are taken X fastest."""
        if isinstance(voxels, np.ndarray):
            voxels = voxels.astype(voxel_type(self.header), copy=False).tobytes(order="F")
        self.left, self.crc = self.left - len(voxels), zlib.crc32(voxels, self.crc)
        for start in range(0, len(voxels), MAX_BODY):
            self.frame(DATA, body=voxels[start:start + MAX_BODY])

    def extra(self, source_bytes):
        for start in range(0, len(source_bytes), MAX_BODY):
            self.frame(EXTRA, body=source_bytes[start:start + MAX_BODY])

    def close(self):
        check(self.left == 0, f"{self.left} bytes of voxels are missing")
        self.frame(CLOSE, {"voxels": voxel_count(self.header), "crc32": self.crc})
        self.closed += 1

    def drop(self, reason):
        """Instead of close: what was written of this volume is to be thrown away."""
        self.frame(DROP, {"reason": reason})
        self.dropped += 1

    def end(self, skipped=0):
        self.frame(END, {"volumes": self.closed, "dropped": self.dropped, "skipped": skipped})
        self.stream.flush()
        self.closed = self.dropped = 0

    def volume(self, array, **header):
        """A whole volume [x, y, z, ...], whose shape and dtype are taken from the array.

        Colours are the last axis of the array, with channels=3 or 4.
        """
        channels = header.get("channels", 1)
        shape = array.shape[:-1] if channels > 1 else array.shape
        self.open({"shape": list(shape), "dtype": array.dtype.name, **header})
        self.data(np.moveaxis(array, -1, 0) if channels > 1 else array)
        self.close()


def volumes(stream):
    """Yield (header, array) of each volume: an array [x, y, z, ...] in Fortran order, colours last.

    For volumes that fit in memory. Dropped volumes and extra frames are left out.
    """
    volume, parts = None, []
    for kind, header, body in read_frames(stream):
        if kind == OPEN:
            volume, parts = header, []
        elif kind == DATA:
            parts.append(body)
        elif kind == CLOSE:
            channels = volume.get("channels", 1)
            shape = ([channels] if channels > 1 else []) + volume["shape"]
            array = np.frombuffer(b"".join(parts), voxel_type(volume)).reshape(shape, order="F")
            yield volume, np.moveaxis(array, 0, -1) if channels > 1 else array
