"""Volumes in Python, in one file: copy it, or put its folder on PYTHONPATH.

A filter between two tools, and a producer for vol-write(1):

    with FrameWriter(sys.stdout.buffer) as writer:       # ends the stream, unless an error came
        for header, array in volumes(sys.stdin.buffer, on_drop=writer.skip):
            writer.volume(array[::2], **crop(header, np.s_[::2]))

    with FrameWriter(sys.stdout.buffer) as writer:
        writer.volume(array, obs_id="sub-07_CT", affine=np.diag([2, 2, 3, 1]))

Regions of a dataset, without any program; and the same, faster, from `vol-cat --batch`:

    Dataset("ds").read("sub-07_CT", np.s_[:, :, 70])
    Batch("ds").read("sub-07_CT", np.s_[0:64, 0:64, 0:64])

Arrays are [x, y, z, ...], colours last, of stored values; see `scaled` for what they stand for. A
region is slices without steps, or numbers, an axis each. A header is a dict: vol-frames(5) has its
keys. Who changes shape or geometry takes the header through `crop`, `flip` or `with_affine`.

A volume that the producer of a stream gave up is not passed over in silence: without `on_drop`,
`volumes` raises Partial after the last one; `on_drop=writer.skip` tells the next program.

ValueError: what was given cannot be; Damaged, a kind of it: what was read is not whole, or not of
the format. KeyError: no such volume; IndexError: no such region; ServerEnded: vol-cat has died.

Python 3.11 or later and NumPy; Dataset also needs zstandard or Python 3.14.
"""

import hashlib
import json
import math
import operator
import os
import re
import stat
import struct
import subprocess
import sys
import threading
import weakref
import zlib
from collections import deque
from contextlib import contextmanager
from errno import ELOOP
from importlib import import_module
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np

OPEN, DATA, EXTRA, CLOSE, DROP, END = range(1, 7)
MAX_HEADER, MAX_BODY, MAX_EXTRAS, MAX_BYTES = 4 << 20, 16 << 20, 65_535, 1 << 53
NAMES = "int8 int16 int32 int64 uint8 uint16 uint32 uint64 float32 float64 complex64 complex128"
TYPES = {name: np.dtype(name).newbyteorder("<") for name in NAMES.split()}
SPECIAL = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


class Damaged(ValueError):
    """What was read is not what its writer wrote, or not of a format that is known."""


class Partial(ValueError):
    """The stream is whole, but its producer gave volumes up."""


class ServerEnded(ConnectionError):
    """vol-cat has ended, or gave an answer that is none; nothing else of it can be had."""


def check(condition, message, error=Damaged):
    if not condition:
        raise error(message)


@contextmanager
def sound(what):
    """Turns whatever goes wrong on the way through malformed data into Damaged."""
    try:
        yield
    except Damaged as error:
        raise Damaged(f"{what}: {error}") from None
    except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError,
            struct.error) as error:
        raise Damaged(f"{what}: {type(error).__name__}: {error}") from error


# Headers


def members(pairs):
    check(len(found := dict(pairs)) == len(pairs), "a key of the JSON is there twice")
    return found


def refuse(name):
    raise Damaged(f"{name} is no JSON")


decoder = json.JSONDecoder(object_pairs_hook=members, parse_constant=refuse)


def parse(text):
    """A JSON object of UTF-8 as vol-dataset(5) bounds it, without a key that is there twice."""
    with sound("JSON"):
        text = text.decode()
        if len(text) > 2_000_000:
            marks = re.sub(r'"(?:[^"\\]|\\.)*"', "", text)
            check(sum(map(marks.count, ",[{")) <= 2_000_000, "over 2,000,000 values")
        value = decoder.decode(text)
        check(isinstance(value, dict), "not an object")
        return value


def plain(value):
    """A header, or a part of one, as JSON can hold it: without NumPy, NaN or infinities."""
    if isinstance(value, (np.ndarray, np.generic)):
        value = float(value) if isinstance(value, np.floating) else value.tolist()
    if isinstance(value, dict):
        check(all(isinstance(key, str) for key in value), "a key is no string", TypeError)
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value


def with_numbers(header):
    """The header, with numbers where JSON has only strings or null for them."""
    def number(value):
        if type(value) in (int, float):
            return value
        if isinstance(value, list):
            return [number(item) for item in value]
        check(value is None or value in SPECIAL, f"{value!r} is no number")
        return SPECIAL.get(value, math.nan)

    keys = "slope intercept affine qform sform voxel_spacing repetition_time".split()
    return header | {key: number(header[key]) for key in keys if header.get(key) is not None}


def check_header(header, named=True, error=Damaged):
    """Refuses a header that no volume can have; allocate nothing by one that was not checked."""
    shape, channels = header.get("shape"), header.get("channels", 1)
    check(isinstance(shape, list) and 1 <= len(shape) <= 7
          and all(type(extent) is int and extent >= 1 for extent in shape),
          f"'shape' is {shape!r}, not 1 to 7 whole numbers from 1", error)
    check(isinstance(header.get("dtype"), str) and header["dtype"] in TYPES, f"'dtype' is {header.get('dtype')!r}", error)
    check(type(channels) is int and channels in (1, 3, 4), f"'channels' is {channels!r}", error)
    for key in ("units", "intent", "attributes", "source"):
        check(isinstance(header.get(key) or {}, dict), f"'{key}' is no object", error)
    check(voxel_bytes(header) <= MAX_BYTES, "'shape' stands for more than 2^53 bytes", error)
    check(not named or any(isinstance(header.get(key), str) for key in ("name", "obs_id")),
          "neither 'name' nor 'obs_id'", error)


# The control characters of Unicode (Cc) are these for all time.
in_no_name = re.compile(r"[/\x00-\x1f\x7f-\x9f]").search


def check_name(name, what="obs_id"):
    """Refuses what cannot be an id or the name of a collection."""
    if not isinstance(name, str):
        raise TypeError(f"{what} {name!r} is no string")
    if not 1 <= len(name.encode()) <= 255 or name in (".", "..") or in_no_name(name):
        raise ValueError(
            f"{what} {name!r} is not 1 to 255 bytes of UTF-8 without '/' and control characters")


def voxel_type(header) -> np.dtype:
    return TYPES[header["dtype"]]


def voxel_bytes(header) -> int:
    return math.prod(header["shape"]) * header.get("channels", 1) * voxel_type(header).itemsize


def as_array(data, header) -> np.ndarray:
    """Bytes with X fastest, channels before X, as an array [x, y, z, ..., channel]."""
    shape = [header.get("channels", 1), *header["shape"]]
    array = np.frombuffer(data, voxel_type(header)).reshape(shape, order="F")
    return np.moveaxis(array, 0, -1) if shape[0] > 1 else array[0]


def scaled(header, array, dtype="float64"):
    """(header, array) of what the stored values stand for: voxel x slope + intercept."""
    slope, intercept = (default if header.get(key) is None else header[key]
                        for key, default in (("slope", 1), ("intercept", 0)))
    dtype = np.result_type(dtype, "complex64") if array.dtype.kind == "c" else np.dtype(dtype)
    values = array.astype(dtype) * dtype.type(slope) + dtype.type(intercept)
    rest = {key: value for key, value in header.items() if key not in ("slope", "intercept")}
    return derived(rest) | {"dtype": dtype.name}, values


def derived(header):
    """The header of a volume that was made from this one: its source's is only a template now.

    For whoever writes frame by frame and changes more than voxels, or leaves extra frames out.
    """
    if not header.get("source"):
        return dict(header)
    source = {key: value for key, value in header["source"].items() if key != "header_bytes"}
    if "header" in source:
        source["template"] = source.pop("header")
    return header | {"source": source}


# Regions and geometry


def chosen(region):
    """A region's slices and numbers, as Python has them."""
    parts = []
    for part in region if isinstance(region, tuple) else (region,):
        if type(part) is int or (type(part) is slice and part.step is None
                                 and type(part.start) is type(part.stop) is int):
            parts.append(part)  # mostly it is so
            continue
        try:
            check(not isinstance(part, bool), "", TypeError)
            ends = (part.start, part.stop, part.step) if isinstance(part, slice) else ()
            parts.append(slice(*(end if end is None else operator.index(end) for end in ends))
                         if ends else operator.index(part))
        except TypeError:
            raise TypeError(f"a region is slices and whole numbers, not {part!r}") from None
    if len(parts) > 7:
        raise IndexError(f"a region of {len(parts)} axes")
    return parts


def without_steps(region):
    """The same of a region that a reader takes; and the axes that go, since a number names them."""
    parts, gone = chosen(region), []
    for axis, part in enumerate(parts):
        if isinstance(part, int):
            gone.append(axis)
        elif part.step not in (None, 1):
            raise ValueError("a region that is read has no steps")
    return parts, tuple(gone)


def ranges(parts, shape):
    """The voxels along each axis of a shape; IndexError where there are none."""
    check(len(parts) <= len(shape), f"{len(parts)} axes of {len(shape)}", IndexError)
    found = []
    for axis, extent in enumerate(shape):
        part = parts[axis] if axis < len(parts) else slice(None)
        if isinstance(part, int):
            inside = -extent <= part < extent
            part = slice(part % extent, part % extent + 1 if inside else 0)
        found.append(range(extent)[part])
        check(found[-1], f"no voxel of axis {axis}, which has {extent}", IndexError)
    return found


def crop(header, region):
    """The header of array[region]; a region may have steps, and x[::-1] flips an axis.

    NIfTI's X, Y and Z are the first three axes, and stay: a number n stands for n:n+1, so give
    the array slices alone.
    """
    voxels = ranges(chosen(region), header["shape"])
    new_to_old = np.eye(4)
    for axis, along in enumerate(voxels[:3]):
        new_to_old[axis, axis], new_to_old[axis, 3] = along.step, along.start
    result = derived(header) | {"shape": [len(along) for along in voxels]}
    for key in ("affine", "qform", "sform"):
        if header.get(key) is not None:
            result[key] = (np.array(header[key], float) @ new_to_old).tolist()
    if header.get("voxel_spacing") is not None:
        result["voxel_spacing"] = np.multiply(
            header["voxel_spacing"], abs(np.diag(new_to_old)[:3])).tolist()
    if header.get("repetition_time") is not None and len(voxels) > 3:
        result["repetition_time"] = header["repetition_time"] * abs(voxels[3].step)
    return result


def flip(header, axis):
    """The header of np.flip(array, axis)."""
    axis = range(len(header["shape"]))[operator.index(axis)]
    return crop(header, (slice(None),) * axis + (slice(None, None, -1),))


def with_affine(header, affine, shape=None):
    """The header of the same volume in another place, or of one resampled to a shape.

    `affine` is 4x4, voxel index to RAS+ millimetres; it becomes the only transform, an sform.
    """
    affine = transform("affine", affine)
    check(np.linalg.det(affine), "'affine' has no inverse", ValueError)
    result = derived(header) | {
        "shape": plain(header["shape"] if shape is None else tuple(shape)),
        "affine": affine.tolist(), "affine_source": "sform", "qform_code": 0,
        "voxel_spacing": lengths(affine).tolist(),
        "sform": (np.linalg.inv(to_millimetres(header)) @ affine).tolist(),
        "sform_code": header.get("sform_code") or header.get("qform_code") or 1}
    result.pop("qform", None)
    if "template" in (result.get("source") or {}):
        # Spacing that was another than the affine's is so in the template, too: it cannot follow.
        old, spacing = np.array(header.get("affine", np.zeros((4, 4)))), header.get("voxel_spacing")
        follows = spacing is not None and np.linalg.det(old) and np.allclose(
            lengths(np.diag([*spacing, 1]) @ np.linalg.inv(old) @ affine), lengths(affine), 1e-4)
        if not follows:
            del result["source"]["template"]
    return result


def lengths(matrix):
    """How far apart voxels are along X, Y and Z."""
    return np.linalg.norm(matrix[:3, :3], axis=0)


def to_millimetres(header):
    """From coordinates in the units of the source, in which qform and sform are."""
    factor = {"m": 1000, "um": 0.001}.get((header.get("units") or {}).get("space"), 1)
    return np.diag([factor, factor, factor, 1.0])


def transform(name, matrix):
    matrix = np.array(matrix, float)
    check(matrix.shape == (4, 4) and np.isfinite(matrix).all()
          and (matrix[3] == [0, 0, 0, 1]).all(),
          f"'{name}' is not 4x4, finite, with 0 0 0 1 as last row", ValueError)
    return matrix


def check_geometry(header):
    """Refuses keys that say different things of where the voxels are: some were left stale.

    An sform and a spacing that disagree in a file may do so in what is made of it.
    """
    forms = {key: transform(key, header[key]) for key in ("affine", "qform", "sform")
             if header.get(key) is not None}
    source, affine = header.get("affine_source"), forms.pop("affine", None)
    forms = {key: to_millimetres(header) @ form for key, form in forms.items()}
    key = "qform" if source == "qform" or source != "sform" and "sform" not in forms else "sform"
    check(source != key or key in forms, f"'affine_source' is '{key}', and there is none",
          ValueError)

    def same(one, other, tolerance, what):
        check((abs(one - other) <= tolerance).all(),
              f"{what} disagree: see crop, flip and with_affine, or leave them out", ValueError)

    if affine is not None and key in forms:
        same(affine, forms[key], np.maximum(lengths(forms[key]).max() / 1000,
                                            abs(forms[key]) / 100_000), f"'affine' and '{key}'")
    if header.get("voxel_spacing") is not None:
        spacing, axes = np.array(header["voxel_spacing"], float), len(header["shape"])
        check(spacing.shape == (3,) and (spacing >= 0).all(),
              "'voxel_spacing' is not three lengths", ValueError)
        if affine is not None and not (
                source == "sform" and {"header", "template"} & (header.get("source") or {}).keys()):
            forms["affine"] = affine
        for key in forms.keys() - {"sform"}:
            wanted = lengths(forms[key])
            same(spacing[:axes], wanted[:axes], wanted[:axes] / 1000,
                 f"'voxel_spacing' and '{key}'")


# Streams


def read_exactly(stream, count, may_end=False):
    """Just `count` bytes; none at the end of the stream, if it may end here."""
    parts, left = [], count
    while left:
        part = stream.read(left)
        check(part or may_end and left == count,
              "the stream ends without its end frame: its producer did not finish")
        if not part:
            break
        parts.append(part)
        left -= len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def read_frames(stream):
    """Yield (kind, header, body) of each frame, checked as vol-frames(5) demands of a reader.

    Extra and data frames have the header {}. What is not whole raises Damaged, after the frames
    before the fault: nothing is done before this has come to its end.
    """
    def need(condition, message):
        check(condition, f"frame at byte {at - 20}: {message}")

    at, seen, kind, volume = 0, {CLOSE: 0, DROP: 0}, None, False
    while prelude := read_exactly(stream, 20, may_end=kind == END):
        magic, version, kind, zero, header_size, body_size, crc = struct.unpack(
            "<4sBBHIII", prelude)
        at += 20
        need(magic == b"VFRM", "no frame begins here")
        need(version == 1, f"version {version} of the frame format; known is 1")
        need(OPEN <= kind <= END and zero == 0, f"unknown kind of frame {kind}")
        bare = kind in (DATA, EXTRA)
        need(header_size <= MAX_HEADER and body_size <= MAX_BODY
             and (body_size > 0) == bare and (header_size == 0) == bare,
             f"a frame of {header_size} header and {body_size} body bytes")
        text, body = read_exactly(stream, header_size), read_exactly(stream, body_size)
        need(zlib.crc32(body, zlib.crc32(text, zlib.crc32(prelude[:16]))) == crc,
             "a frame does not match its CRC-32")
        need(volume == (kind not in (OPEN, END)), f"a frame of kind {kind} is out of place")
        header = {} if bare else parse(text)
        if kind == OPEN:
            with sound(f"frame at byte {at - 20}"):
                check_header(header)
                header = with_numbers(header)
            whole, voxels = voxel_bytes(header), math.prod(header["shape"])
            left, voxel_crc, extras = whole, 0, 0
        elif kind == DATA:
            left, voxel_crc = left - len(body), zlib.crc32(body, voxel_crc)
            need(left >= 0, "a volume has more voxels than its shape")
        elif kind == EXTRA:
            extras += 1
            need(extras <= MAX_EXTRAS and left in (0, whole), "an extra frame is out of place")
        elif kind == CLOSE:
            quirks = header.get("quirks") or []
            need([left, header.get("voxels"), header.get("crc32")] == [0, voxels, voxel_crc],
                 "voxels are missing, or are others than were written")
            need(isinstance(quirks, list) and all(isinstance(text, str) for text in quirks),
                 "'quirks' are no strings")
        elif kind == DROP:
            need(isinstance(header.get("reason"), str), "a drop frame gives no reason")
        else:
            skipped = header.get("skipped") or 0
            need([header.get("volumes"), header.get("dropped")] == [*seen.values()],
                 "the end frame counts other volumes than came")
            need(type(skipped) is int and 0 <= skipped <= MAX_BYTES, "a bad count of skipped")
            seen = {CLOSE: 0, DROP: 0}
        if kind in seen:
            seen[kind] += 1
        if not bare:
            volume = kind == OPEN
        yield kind, header, body
        at += header_size + body_size


def volumes(stream, on_drop=None):
    """Yield (header, array) of each volume; for those that fit in memory, without extra frames.

    Volumes that the producer gave up are told to on_drop(count, reason), as FrameWriter.skip takes
    it; without it, Partial is raised at the end of the stream.
    """
    lost = []
    on_drop = on_drop or (lambda *given_up: lost.append(given_up))
    for kind, header, body in read_frames(stream):
        if kind == OPEN:
            volume, parts = header, []
        elif kind == DATA:
            parts.append(body)
        elif kind == CLOSE:
            if header.get("quirks"):
                volume["quirks"] = [*volume.get("quirks", []), *header["quirks"]]
            data, parts = bytearray().join(parts), []
            yield volume, as_array(data, volume)
        elif kind == DROP:
            on_drop(1, header["reason"])
        elif kind == END and header.get("skipped"):
            on_drop(header["skipped"], "skipped by the producer")
    if lost:
        raise Partial(f"the producer gave up {sum(count for count, _ in lost)} volumes; "
                      f"the first: {lost[0][1]}")


class FrameWriter:
    """Writes a stream: for each volume open, extra, data (X fastest, cut as you like) and close.

    `volume` does all of that; `end` comes last, by itself in a `with` that no exception left. A
    stream without its end is refused by whoever reads it.
    """

    def __init__(self, stream):
        self.stream, self.header, self.ended = stream, None, False
        self.closed = self.dropped = self.skipped = 0

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is None and not self.ended:
            self.end()

    def frame(self, kind, header=None, body=b""):
        """One frame as it is given; the methods below keep the order and the counts."""
        text = b"" if header is None else json.dumps(
            plain(header), allow_nan=False, ensure_ascii=False, separators=(",", ":")).encode()
        check(len(text) <= MAX_HEADER, "a header of over 4 MiB", ValueError)
        check(len(body) <= MAX_BODY, "a frame of over 16 MiB", ValueError)
        prelude = struct.pack("<4sBBHII", b"VFRM", 1, kind, 0, len(text), len(body))
        crc = zlib.crc32(body, zlib.crc32(text, zlib.crc32(prelude)))
        write_all(self.stream, prelude + struct.pack("<I", crc) + text)
        write_all(self.stream, body)

    def open(self, header):
        check(self.header is None, "the volume before was not closed", ValueError)
        header = plain(header)
        check_header(header, error=ValueError)
        for key in ("obs_id", "obs_subject_id", "collection"):
            if header.get(key) is not None:
                check_name(header[key], key)
        check_geometry(header)
        self.frame(OPEN, header)
        self.header, self.whole, self.ended = header, voxel_bytes(header), False
        self.left, self.crc, self.extras = self.whole, 0, 0

    def data(self, voxels):
        """Voxels as bytes, or as an array of one axis in the stream's order."""
        view = memoryview(voxels)
        check(view.ndim == 1, "an array of several axes goes to volume()", ValueError)
        view = view.cast("B")
        check(self.header is not None and len(view) <= self.left,
              "more voxels than the shape of the open volume has", ValueError)
        self.left, self.crc = self.left - len(view), zlib.crc32(view, self.crc)
        for start in range(0, len(view), MAX_BODY):
            self.frame(DATA, body=view[start:start + MAX_BODY])

    def extra(self, data):
        """Bytes of the source that are not voxels, before or after all of these."""
        check(self.header is not None and self.left in (0, self.whole),
              "extra bytes are outside of a volume, or among voxels", ValueError)
        view = memoryview(data).cast("B")
        for start in range(0, len(view), MAX_BODY):
            self.extras += 1
            check(self.extras <= MAX_EXTRAS, "over 65,535 extra frames", ValueError)
            self.frame(EXTRA, body=view[start:start + MAX_BODY])

    def close(self, quirks=()):
        check(self.header is not None, "no volume is open", ValueError)
        check(self.left == 0, f"{self.left} bytes of voxels are missing", ValueError)
        counts = {"voxels": math.prod(self.header["shape"]), "crc32": self.crc}
        self.frame(CLOSE, counts | ({"quirks": list(quirks)} if quirks else {}))
        self.header, self.closed = None, self.closed + 1

    def drop(self, reason):
        """Takes the open volume back; the next program counts it as lost."""
        check(self.header is not None, "no volume is open", ValueError)
        self.frame(DROP, {"reason": " ".join(str(reason).split())[:4096]})
        self.header, self.dropped = None, self.dropped + 1

    def skip(self, count=1, reason=""):
        """Counts volumes of which nothing was written and that the next program should miss."""
        self.skipped += count

    def end(self, skipped=0):
        check(self.header is None, "a volume is still open", ValueError)
        self.frame(END, {"volumes": self.closed, "dropped": self.dropped,
                         "skipped": self.skipped + skipped})
        self.stream.flush()
        self.closed = self.dropped = self.skipped = 0
        self.ended = True

    def volume(self, array, **header):
        """A whole volume, whose shape and dtype are the array's; colours: channels=3.

        A header that was read may be given whole, if it fits: with the shape of the array, and
        without the scaling of values of another type.
        """
        check(not isinstance(array, np.ma.MaskedArray), "a mask has no place here", ValueError)
        array, header = np.asarray(array), plain(header)
        channels, dtype = header.get("channels", 1), array.dtype.name
        shape = list(array.shape if channels == 1 else array.shape[:-1])
        check(channels == 1 or array.shape[-1:] == (channels,),
              f"an array of shape {array.shape} has not {channels} channels last", ValueError)
        check("shape" in header or not (header.get("source") or {}).get("header"),
              "a header with a source needs its shape: crop, flip and with_affine make one that fits",
              ValueError)
        check(header.get("shape", shape) == shape,
              f"an array of shape {shape} with a header of {header.get('shape')}: crop, flip and "
              "with_affine make one that fits; or leave out shape, source and all of geometry",
              ValueError)
        check(header.get("dtype", dtype) == dtype
              or (header.get("slope", 1), header.get("intercept", 0)) == (1, 0),
              f"'slope' and 'intercept' are those of {header.get('dtype')} voxels, not of {dtype}: "
              "leave them out, or see scaled()", ValueError)
        self.open(derived(header) | {"shape": shape, "dtype": dtype})
        stored = np.moveaxis(array, -1, 0) if channels > 1 else array
        stored = stored.astype(voxel_type(self.header), order="F", copy=False)
        self.data(stored.reshape(-1, order="F").view("u1"))
        self.close()


def write_all(stream, data):
    """All of it: a stream without a buffer may take less at a time."""
    view = memoryview(data)
    while len(view):
        count = stream.write(view)
        check(count, "the stream takes no bytes", BlockingIOError)
        view = view[count:]


# Regions from vol-cat


class Request:
    """A region that was asked for of a server; `answer` is None, (header, array) or an error."""

    def __init__(self, server, text, gone):
        self.server, self.text, self.gone, self.answer = server, text, gone, None


class Queue:
    """What one thread asked for and did not take yet, and what of that was not sent yet."""

    def __init__(self):
        self.asked, self.unsent = deque(), deque()


class Server:
    """A running vol-cat --batch. It answers in the order of what it is sent.

    So little is on the way to it at a time that it fits into any pipe: writing never blocks, and
    the two cannot wait for each other.
    """

    AHEAD, ROOM = 64, 4096  # requests, and bytes of them
    FEW = 8  # that it may be left with before more are sent, since each write may wake it
    KINDS = {"missing": KeyError, "region": IndexError, "request": ValueError, "damage": Damaged}

    def __init__(self, words):
        self.name, self.lock, self.ended = words[0], threading.Lock(), None
        self.sent, self.room, self.buffer = deque(), self.ROOM, bytearray()
        self.child = subprocess.Popen(words, bufsize=0, stdin=subprocess.PIPE,
                                      stdout=subprocess.PIPE)

    def send(self, queue):
        """Sends what there is room for. A thread that does not take has no more answered ahead."""
        text = b""
        while queue.unsent:
            request = queue.unsent[0]
            if request.server is self:
                if (len(self.sent) == self.AHEAD or len(request.text) > self.room
                        or len(queue.asked) - len(queue.unsent) >= self.AHEAD):
                    break
                self.sent.append(request)
                self.room -= len(request.text)
                text += request.text
            queue.unsent.popleft()
        write_all(self.child.stdin, text)

    def receive(self):
        """Reads the next answer, whosever it is."""
        answer = self.read_answer(self.sent[0])
        self.room += len(self.sent[0].text)
        self.sent.popleft().answer = answer

    def attempt(self, action, *arguments):
        """Sends or receives; where that stops half-way, nothing that comes after can be trusted."""
        try:
            if not self.ended:
                action(*arguments)
        except (EOFError, BrokenPipeError):
            self.end("it has ended", patience=1)
        except (ValueError, LookupError, TypeError) as error:
            self.end(f"its answer is none: {error}")
        except BaseException:
            self.end("an answer of it was not read to its end")
            raise

    def end(self, reason, patience=0):
        """Ends the child and gives its exit status; by force after `patience` seconds."""
        self.ended = reason
        self.sent.clear()
        self.child.stdin.close()
        self.child.stdout.close()
        try:
            self.child.wait(patience)
        except subprocess.TimeoutExpired:
            self.child.kill()
        status = self.child.wait()
        if patience:
            self.ended += f" with status {status}"
        return status

    def read_answer(self, request):
        head, has_text = self.read_object()
        if "error" in head:
            return self.refusal(head)
        size = voxel_bytes(head)
        check(head["bytes"] == size <= MAX_BYTES and min(head["shape"]) > 0,
              "bytes and shape disagree")
        data = np.empty(size, "u1")
        end = 0
        for _ in range(head.get("parts", 1)):
            part = self.read_object()[0] if "parts" in head else head
            if "error" in part:
                return self.refusal(part)
            start, end = end, end + part["bytes"]
            check(start <= end <= len(data), "the parts are longer than the whole")
            self.fill(memoryview(data)[start:end])
        check(end == len(data), "the parts are shorter than the whole")
        if has_text:
            head = with_numbers({key: "NaN" if value is None else value
                                 for key, value in head.items()})
        return head, as_array(data, head).squeeze(request.gone)

    def refusal(self, head):
        # An error without a kind comes from a vol-cat that knew none.
        return self.KINDS.get(head.get("kind"), KeyError)(head["error"])

    def read_object(self):
        """The JSON of the next line, and whether some of its numbers may be text."""
        # The own child's, of which there is much: it needs no look for keys that come twice.
        line = self.read_line()
        head = json.loads(line)
        check(isinstance(head, dict), "not an object")
        return head, "NaN" in line or "Infinity" in line or "null" in line

    def read_line(self):
        while (end := self.buffer.find(b"\n")) < 0:
            check(len(self.buffer) < 1 << 20, "a line without an end")
            part = self.child.stdout.read(4096)
            check(part, "", EOFError)
            self.buffer += part
        line = self.buffer[:end].decode()
        del self.buffer[:end + 1]
        return line

    def fill(self, view):
        done = min(len(view), len(self.buffer))
        view[:done] = self.buffer[:done]
        del self.buffer[:done]
        while done < len(view):
            count = self.child.stdout.readinto(view[done:])
            check(count, "", EOFError)
            done += count


def end_text(end):
    """An end of a slice in a request, which is further than any volume where it is too large."""
    if end is None:
        return ""
    return str(end if -1 << 62 <= end <= 1 << 62 else 1 << 62 if end > 0 else -1 << 62)


class Batch:
    """Regions from vol-cat(1). Ask for some before you take the first: they are decoded ahead.

    Threads may share one: each takes what it asked for. Each process has a vol-cat of its own,
    after a fork and where one is pickled, which what was asked for before does not reach. Nothing
    runs before the first request. Up to 64 answers a thread are held where others wait for theirs;
    so threads that read large regions do better with a Batch each.

    If vol-cat dies or cannot be understood, all that was asked and not answered raises
    ServerEnded; the next request starts another.
    """

    def __init__(self, dataset, collection=None, program="vol-cat", jobs=None):
        self.made_of = os.fspath(dataset), collection, program, jobs
        self.words = [program, "--batch", *([] if jobs is None else [f"--jobs={jobs}"]), "--",
                      self.made_of[0], *([] if collection is None else [collection])]
        self.server, self.closed = None, False
        self.begin()
        batches.add(self)

    def begin(self):
        """Begins anew in this process, which closes its ends of pipes to another's server."""
        if self.server and not self.server.ended:
            self.server.child.stdin.close()
            self.server.child.stdout.close()
            self.server.child.returncode = 0  # not ours to wait for
            self.server.ended, self.server.lock = "it is another process's", threading.Lock()
        self.server, self.process, self.lock = None, os.getpid(), threading.Lock()
        self.local = threading.local()

    def __reduce__(self):
        return type(self), self.made_of

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def queue(self) -> Queue:
        if self.process != os.getpid():  # forked by something that Python does not know
            self.begin()
        if not hasattr(self.local, "queue"):
            self.local.queue = Queue()
        return self.local.queue

    def ask(self, obs_id, region=()):
        """Asks for a region, or a whole volume, of any size; does not wait."""
        self.add(self.queue(), obs_id, region)

    def take(self):
        """(header, array) of what this thread asked for first.

        An axis of which the region names one voxel by its number is in the header's shape, not in
        the array's. The header has the slope, the intercept and the affine of the region.
        """
        return self.first(self.queue())

    def read(self, obs_id, region=()) -> np.ndarray:
        """The voxels of a region; what was asked for before stays to be taken."""
        self.queue()
        own = Queue()
        self.add(own, obs_id, region)
        return self.first(own)[1]

    def read_each(self, requests):
        """Yield (header, array) of each (obs_id, region); later ones are decoded meanwhile.

        Unlike asks, none is left over if one of them is an error.
        """
        self.queue()
        own = Queue()
        for obs_id, region in requests:
            self.add(own, obs_id, region)
        while own.asked:
            yield self.first(own)

    def add(self, queue, obs_id, region):
        check_name(obs_id)
        parts, gone = without_steps(region)
        words = ",".join([end_text(part) if isinstance(part, int)
                          else f"{end_text(part.start)}:{end_text(part.stop)}" for part in parts])
        with self.lock:
            if self.closed:
                raise ValueError("the batch is closed")
            if self.server is None or self.server.ended:
                self.server = Server(self.words)
            server = self.server
        request = Request(server, f"{obs_id} {words or ':'}\n".encode(), gone)
        queue.asked.append(request)
        queue.unsent.append(request)
        if len(server.sent) >= server.FEW and len(queue.unsent) < server.FEW:
            return
        # Whoever holds the lock waits for an answer; this is then sent when it is waited for.
        if server.lock.acquire(blocking=False):
            try:
                server.attempt(server.send, queue)
            finally:
                server.lock.release()

    def first(self, queue):
        check(queue.asked, "nothing that this thread asked for in this process is left to take",
              LookupError)
        request = queue.asked.popleft()
        server = request.server
        with server.lock:
            while request.answer is None and not server.ended:
                if queue.unsent and (queue.unsent[0] is request or len(server.sent) < server.FEW):
                    server.attempt(server.send, queue)
                server.attempt(server.receive)
        if request.answer is None:
            raise ServerEnded(f"{server.name}: {server.ended}")
        if isinstance(request.answer, Exception):
            raise request.answer
        return request.answer

    def close(self) -> int:
        """Ends vol-cat; its exit status, not 0 if it failed or answers were left untaken."""
        self.queue()
        with self.lock:
            self.closed = True
            if self.server is None:
                return 0
            with self.server.lock:
                if not self.server.ended:
                    return self.server.end("it was closed", patience=10)
                return self.server.child.wait()


# A forked process that held on to the pipes would keep its parent's server alive.
batches = weakref.WeakSet()
os.register_at_fork(after_in_child=lambda: [batch.begin() for batch in list(batches)])


# Datasets


def decompress(frame, size):
    """The `size` bytes of one Zstandard frame with its checksum; never takes more memory."""
    check(len(frame) > 5 and frame[:4] == b"\x28\xb5\x2f\xfd" and frame[4] & 4,
          "not a Zstandard frame with a checksum")
    zstd = import_module("compression.zstd" if sys.version_info >= (3, 14) else "zstandard")
    try:
        if hasattr(zstd, "get_frame_parameters"):
            said = zstd.get_frame_parameters(frame).content_size
            check(said in (size, zstd.CONTENTSIZE_UNKNOWN), "a Zstandard frame of another size")
            data = zstd.ZstdDecompressor().decompress(
                frame, max_output_size=size, allow_extra_data=False)
        else:
            decoder = zstd.ZstdDecompressor()
            data = decoder.decompress(frame, size + 1)  # room to come to the checksum
            check(decoder.eof and not decoder.unused_data, "not just one Zstandard frame")
    except zstd.ZstdError as error:
        raise Damaged(f"zstd: {error}") from None
    check(len(data) == size, "a Zstandard frame of another size")
    return data


def crc32c(data):
    """CRC-32C: of rows of bytes side by side, then of one row after the other."""
    table = np.arange(256, dtype="u4")
    for _ in range(8):
        table = np.where(table & 1, table >> 1 ^ 0x82F63B78, table >> 1)

    def run(state, columns):
        for column in columns:
            state = table[(state ^ column) & 255] ^ state >> 8
        return state

    values = np.frombuffer(data, "u1")
    width = math.isqrt(len(values)) or 1
    rows = values[:len(values) // width * width].reshape(-1, width)
    # What a row of zeros makes of each bit of the state before it: the CRC is linear.
    images = run(np.uint32(1) << np.arange(32, dtype="u4"), np.zeros(width, "u4")).tolist()
    state = 0xFFFFFFFF
    for own in run(np.zeros(len(rows), "u4"), rows.T).tolist():
        for bit, image in enumerate(images):
            own ^= image if state >> bit & 1 else 0
        state = own
    return int(run(np.uint32(state), values[rows.size:])) ^ 0xFFFFFFFF


def hexadecimal(text, digits):
    return re.fullmatch(f"[0-9a-f]{{{digits}}}", text) is not None


def natural(number):
    check(type(number) is int and 0 <= number < 1 << 64, f"{number!r} is not a count")
    return number


def check_manifest(manifest, number, dataset_id):
    """Refuses a manifest that is not what vol-dataset(5) says, its paths letter for letter."""
    parent = manifest["parent"]
    check(hexadecimal(dataset_id, 32) and manifest["dataset_id"] == dataset_id,
          "it is of another dataset")
    check(manifest["snapshot"] == number, "it is another snapshot")
    check(parent is None if number == 1 else parent["snapshot"] == number - 1,
          "its parent is not the snapshot before")
    check(isinstance(manifest["stages"], list), "'stages' are no list")
    totals, stages = {}, set()
    for stage in manifest["stages"]:
        name, collection, packs = stage["stage"], stage["collection"], stage["packs"]
        check(hexadecimal(name, 32) and name not in stages, f"stage {name!r}")
        stages.add(name)
        check_name(collection, "collection")
        check(collection[0] != "-", f"collection {collection!r} begins with '-'")
        path = stage["catalog"]["path"]
        check(re.fullmatch(f"catalogs/{name}(-[0-9a-f]{{32}})?\\.catalog", path),
              f"the path of a catalog is {path!r}")
        check(isinstance(packs, list) and 1 <= len(packs) <= 65_536, f"{len(packs)} packs")
        for part, pack in enumerate(packs):
            check(pack["path"] == f"packs/{name}-{part:04}.pack", f"a pack's is {pack['path']!r}")
        for file in (stage["catalog"], *packs):
            check(natural(file["bytes"]) and hexadecimal(file["sha256"], 64),
                  "the size or the digest of a file")
        total = totals.setdefault(collection, dict.fromkeys(
            ("volumes", "raw_bytes", "stored_bytes"), 0))
        for key in total:
            total[key] += natural(stage[key])
    check(totals == manifest["collections"], "its sums are not those of its stages")
    subjects = manifest.get("subjects")
    check(subjects is None or re.fullmatch(r"subjects/[0-9a-f]{32}\.subjects", subjects["path"]),
          "the path of its subject table")


class Volume(NamedTuple):
    """What a catalog says of a volume."""
    header: dict
    stage: str
    pack: dict
    number: int
    offset: int
    length: int
    shuffled: bool
    chunk: tuple
    crc32: int


def read_record(record, stage):
    """The volume that a catalog's record describes, within all limits of the format."""
    [size] = struct.unpack_from("<H", record)
    [text] = struct.unpack_from("<I", record, 2 + size)
    obs_id, at = record[2:2 + size].decode(), 6 + size + text
    check_name(obs_id)
    check(text <= MAX_HEADER and at <= len(record), "a header that is too long")
    header = parse(record[6 + size:at])
    check_header(header)
    check(header.get("obs_id") == obs_id, f"the header of {obs_id!r} has another obs_id")
    raw, crc, number, offset, length, shuffled, axes = struct.unpack_from("<QIIQQBB", record, at)
    chunk = struct.unpack_from(f"<{axes}I", record, at + 34)
    [extras] = struct.unpack_from("<H", record, at + 34 + 4 * axes)
    at, pack = at + 36 + 4 * axes, stage["packs"][number]
    for _ in range(extras):
        after, blob, size = struct.unpack_from("<BBI", record, at)
        start, stored = struct.unpack_from("<QI", record, at + 6) if blob else (32, 0)
        check(after <= 1 and blob <= 1 and 1 <= size <= MAX_BODY and stored <= MAX_BODY + (1 << 17)
              and 32 <= start <= pack["bytes"] - stored, "extra bytes that cannot be")
        at += 18 if blob else 6 + size
    check(at == len(record), "a record of another length")
    shape = header["shape"]
    check(raw == voxel_bytes(header) and axes == len(shape) and shuffled <= 1
          and all(1 <= edge <= extent for edge, extent in zip(chunk, shape)),
          f"header and record of {obs_id!r} disagree")
    cells = math.prod(-(-extent // edge) for extent, edge in zip(shape, chunk))
    check(voxel_bytes(header | {"shape": chunk}) <= 64 << 20 and cells <= 4 << 20,
          f"chunks of {obs_id!r} that are too large or too many")
    check(32 <= offset <= pack["bytes"] - length and length >= 16 * cells + 4,
          f"the shard of {obs_id!r} is outside of its pack")
    header = with_numbers(header) | {"collection": stage["collection"]}
    return Volume(header, stage["stage"], pack, number, offset, length, shuffled == 1, chunk, crc)


class Dataset:
    """One snapshot, read without any program; yields the header of every volume.

    Everything on the way is checked: documents and catalogs by their SHA-256, chunks and their
    index by checksums, whole volumes by their CRC-32. Links inside of a dataset are not followed.
    """

    def __init__(self, path, snapshot=None):
        self.path, self.indexes, self.recent = Path(path), {}, (None, None)
        identity = self.document("volpipe.json", "volpipe-dataset", 1 << 16)
        if snapshot is None:
            numbers = [int(name[:10]) for name in os.listdir(self.path / "manifests")
                       if re.fullmatch(r"[0-9]{10}\.json", name)]
            check(numbers, f"{path} has no snapshot yet", FileNotFoundError)
            snapshot = max(numbers)
        name = f"manifests/{operator.index(snapshot):010}.json"
        self.manifest = self.document(name, "volpipe-manifest", 64 << 20)
        with sound(name):
            check_manifest(self.manifest, snapshot, identity["dataset_id"])

    def open(self, path, size=None):
        """Opens a regular file of the dataset, of just this size, by no symbolic link."""
        place = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        for part in path.split("/"):
            try:
                inner = os.open(part, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=place)
            except OSError as error:
                check(error.errno != ELOOP, f"{self.path / path}: {part} is a symbolic link")
                error.filename = str(self.path / path)
                raise
            finally:
                os.close(place)
            place = inner
        about = os.fstat(place)
        if not stat.S_ISREG(about.st_mode) or size not in (None, about.st_size):
            os.close(place)
            raise Damaged(f"{self.path / path} is not a file of {size or 'some'} bytes")
        return open(place, "rb", buffering=0)

    def document(self, path, form, limit):
        """A JSON document, which ends in its own digest."""
        with self.open(path) as file, sound(path):
            check(os.fstat(file.fileno()).st_size <= limit, f"over {limit} bytes")
            data = read_at(file, 0, os.fstat(file.fileno()).st_size)
            seal = re.search(rb',\n  "sha256" : "([0-9a-f]{64})"\n}\n\Z', data)
            check(seal, "it does not end in its SHA-256")
            check(hashlib.sha256(data[:seal.start()] + b"\n}\n").hexdigest().encode()
                  == seal[1], "it does not match the SHA-256 at its end")
            found = parse(data)
            version = found["version"]
            check(found["format"] == form, f"its format is not {form}")
            known = (2, 3) if form == "volpipe-manifest" else (2,)
            check(type(version) is int and version in known,
                  f"version {version!r} of {form}; known are {known}")
            return found

    def index(self, stage, file):
        """(keys, offsets, where the blocks end) of a catalog, whose digest is compared once."""
        entry, about = stage["catalog"], os.fstat(file.fileno())
        identity = about.st_dev, about.st_ino, about.st_mtime_ns
        known = self.indexes.get(entry["path"])
        if known and known[0] == identity:
            return known[1]
        check(hashlib.file_digest(file, "sha256").hexdigest() == entry["sha256"],
              "it does not match its SHA-256 in the manifest")
        check(read_at(file, 0, 28) == b"volcat01" + bytes.fromhex(stage["stage"]) + bytes(4),
              "not the catalog of this stage")
        magic, count, _, start, pages, zero, _ = struct.unpack(
            "<8s4Q2I", read_at(file, entry["bytes"] - 48, 48))
        check(magic == b"volcate1" and zero == 0 and start >= 32 and count == stage["volumes"] >= 1
              and pages == -(-count // 170) and start + 4096 * pages + 48 == entry["bytes"],
              "its footer is inconsistent")
        data = np.frombuffer(read_at(file, start, 4096 * pages), "u1").reshape(-1, 4096)
        heads, numbers = data[:, :12].copy().view("<u4"), np.arange(pages)
        full = np.minimum(170, count - 170 * numbers)
        check((heads == np.stack([full, numbers, numbers * 0], 1)).all(), "a page of its index")
        entries = data[:, 16:].reshape(-1, 24)[:count].copy().view([("key", "V16"), ("at", "<u8")])
        keys, places = entries["key"][:, 0], entries["at"][:, 0]
        check(((places >= 32) & (places < start)).all(), "its index points outside of its blocks")
        self.indexes[entry["path"]] = identity, (keys, places, start)
        return keys, places, start

    def block(self, stage, file, at, end, wanted=None):
        """The volumes in the block at an offset of a catalog; or only the one of an id."""
        stored, size, count, _ = struct.unpack("<4I", read_at(file, at, 16))
        check(stored <= 16_843_009 and size <= 16_777_216 and count >= 1
              and at + 16 + stored <= end, "a block of a length that is not allowed")
        data, at, found = decompress(read_at(file, at + 16, stored), size), 0, []
        for _ in range(count):
            [length] = struct.unpack_from("<I", data, at)
            record, at = data[at + 4:at + 4 + length], at + 4 + length
            check(len(record) == length <= 8 << 20, "a record of a length that is not allowed")
            [name] = struct.unpack_from("<H", record)
            if wanted is None or record[2:2 + name] == wanted:
                found.append(read_record(record, stage))
        check(at == size, "a block does not hold what it should")
        return found

    def __iter__(self):
        for stage in self.manifest["stages"]:
            entry, seen = stage["catalog"], 0
            with self.open(entry["path"], entry["bytes"]) as file:
                with sound(entry["path"]):
                    _, places, end = self.index(stage, file)
                for at in np.unique(places).tolist():
                    with sound(entry["path"]):
                        found = self.block(stage, file, at, end)
                    seen += len(found)
                    yield from (volume.header for volume in found)
            check(seen == stage["volumes"], f"{entry['path']} does not hold {stage['volumes']}")

    def find(self, obs_id) -> Volume:
        check_name(obs_id)
        key = np.void(hashlib.sha256(obs_id.encode()).digest()[:16])
        for stage in self.manifest["stages"]:
            entry = stage["catalog"]
            with self.open(entry["path"], entry["bytes"]) as file, sound(entry["path"]):
                keys, places, end = self.index(stage, file)
                for at in places[keys == key].tolist():
                    found = self.block(stage, file, at, end, obs_id.encode())
                    check(len(found) == 1, f"its block does not hold {obs_id!r} once")
                    return found[0]
        raise KeyError(obs_id)

    def header(self, obs_id) -> dict:
        """The header of a volume."""
        return dict(self.find(obs_id).header)

    def read(self, obs_id, region=()) -> np.ndarray:
        """The voxels of a region; only the chunks that it touches are read."""
        volume = self.recent[0]
        if volume is None or volume.header["obs_id"] != obs_id:
            volume = self.find(obs_id)
        header, chunk, dtype = volume.header, volume.chunk, voxel_type(volume.header)
        parts, gone = without_steps(region)
        wanted, channels = ranges(parts, header["shape"]), header.get("channels", 1)
        out = np.zeros([channels, *map(len, wanted)], dtype, order="F")
        size = math.prod(chunk) * channels * dtype.itemsize
        with (self.open(volume.pack["path"], volume.pack["bytes"]) as file,
              sound(f"volume {obs_id!r}")):
            places = self.places(volume, file)
            for cell in product(*(range(along[0] // edge, along[-1] // edge + 1)
                                  for along, edge in zip(wanted, chunk))):
                offset, stored = places[cell[::-1]].tolist()
                if offset == stored == (1 << 64) - 1:
                    continue  # all its voxels are 0
                check(offset + stored <= volume.length - 16 * (places.size // 2) - 4
                      and 24 < stored <= size + size // 128 + 1024, "a chunk outside of the shard")
                values = decode(read_at(file, volume.offset + offset, stored), size,
                                dtype.itemsize, volume.shuffled)
                values = np.frombuffer(values, dtype).reshape([channels, *chunk], order="F")
                both = [(max(along.start, place * edge), min(along.stop, place * edge + edge))
                        for along, place, edge in zip(wanted, cell, chunk)]
                into = [slice(a - along.start, b - along.start)
                        for (a, b), along in zip(both, wanted)]
                of = [slice(a % edge, a % edge + b - a) for (a, b), edge in zip(both, chunk)]
                out[:, *into] = values[:, *of]
            if out.shape[1:] == tuple(header["shape"]):
                check(zlib.crc32(out.reshape(-1, order="F").view("u1")) == volume.crc32,
                      "the voxels do not match their CRC-32")
        return (np.moveaxis(out, 0, -1) if channels > 1 else out[0]).squeeze(gone)

    def places(self, volume, file):
        """(offset, length) of each chunk, by [..., z, y, x]: the index of a volume's shard."""
        recent, places = self.recent
        if recent is volume:
            return places
        head = read_at(file, 0, 32)
        check(head[:28] == b"volpack1" + bytes.fromhex(volume.stage)
              + struct.pack("<I", volume.number)
              and crc32c(head[:28]) == int.from_bytes(head[28:], "little"), "not the pack of it")
        grid = [-(-extent // edge) for extent, edge in zip(volume.header["shape"], volume.chunk)]
        count = 16 * math.prod(grid)
        data = read_at(file, volume.offset + volume.length - count - 4, count + 4)
        check(crc32c(data[:-4]) == int.from_bytes(data[-4:], "little"),
              "the index of the shard does not match its CRC-32C")
        places = np.frombuffer(data[:-4], "<u8").reshape([*grid[::-1], 2])
        self.recent = volume, places
        return places


def read_at(file, offset, count):
    data = os.pread(file.fileno(), count, offset) if offset >= 0 else b""
    check(len(data) == count, "it ends before what it should hold")
    return data


def decode(frame, size, value_bytes, shuffled):
    """The bytes of a chunk, of the form that its volume's record says."""
    shuffled = shuffled and value_bytes > 1
    check(frame[:24] == struct.pack("<4B5I", 2, 1, 0x91 if shuffled else 0x90, value_bytes, size,
                                    size, len(frame), 20, len(frame) - 24),
          "the framing of a chunk is wrong")
    data = decompress(frame[24:], size)
    if shuffled:
        data = np.frombuffer(data, "u1").reshape(value_bytes, -1).T.tobytes()
    return data
