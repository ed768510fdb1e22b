"""A storm of hostile inputs, drawn at random: streams, datasets and tables whose sums are right.

    python3 storm.py --streams 10000 --datasets 4000 --tables 1000 --seed 1
    python3 storm.py --seed 1 --only datasets:123

An input is valid, and then one thing about it is changed, in such a way that the manuals say what
is to be made of it: all digests and checksums are made anew, so that the checks behind them are
reached. It goes through the tools that read it. Whatever it is, none of them may trap, hang, take
over 300 MB, write outside of the folder it was given, or end in another way than its manual says;
what it gives out is what it says it is; what the manuals forbid is refused, what they allow is
taken, and what is taken is given back as it was. Findings are grouped by kind. The first input of
each kind is kept, with the command that fails on it.
"""

import argparse
import hashlib
import io
import json
import multiprocessing
import os
import random
import re
import resource
import shutil
import signal
import stat
import struct
import sys
import tempfile
import time
import zlib
from collections import Counter
from dataclasses import dataclass, field
from math import prod
from pathlib import Path

import nibabel
import numpy as np
import zstandard
from dataset import ABSENT, Dataset, crc32c, seal, staged
from frames import (CLOSE, DATA, DROP, DTYPES, END, EXTRA, MAX_EXTRAS, OPEN, read_frames)
from support import BIN, REPO

MEMORY_KIB, STDERR_BYTES, SECONDS = 300 << 10, 20_000, 10
EDGES = [0, 1, 2, 255, 256, 2**15, 2**16 - 1, 2**16, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**53,
         2**53 + 1, 2**63 - 1, 2**63, 2**64 - 1]
ABSOLUTE = "/tmp/storm-pwn"  # where nothing may come to be
NOW, OTHER = "2026-11-21T09:30:00.250000Z", "0123456789abcdef" * 2
UNREADABLE = (ValueError, KeyError, TypeError, RecursionError)  # what json and frames.py raise
ALL = object()  # every command: what a verdict is for

# Texts, as (what it is, text); Cc is what "control character" means in the manuals.
FORBIDDEN = [("a slash", "a/b"), ("a path above", "../../pwn"), ("an absolute path", ABSOLUTE),
             ("a dot", "."), ("two dots", ".."), ("empty", ""), ("256 bytes", "x" * 256),
             ("256 bytes", "\u00e9" * 128), ("a line feed", "a\nb"), ("a NUL", "a\0b"),
             ("an escape", "a\x1b]0;x\x07"), ("DEL", "a\x7f"), ("C1", "a\u009b31m")]
ALLOWED = [("bidi", "a\u202eb"), ("255 bytes", "x" * 255), ("a hidden name", ".a"),
           ("three dots", "..."), ("NFD", "e\u0301"), ("Hangul jamo", "\u1112\u1161\u11ab"),
           ("a line separator", "a\u2028b"), ("spaces", " a "), ("a quote", "a'\"\\b"),
           ("an at sign", "a@1"), ("percent", "%2e%2f"), ("private use", "\ue000"),
           ("a noncharacter", "\uffff"), ("emoji", "\U0001f9e0"), ("under scores", "__a"),
           ("a mark", "\ufeffa"), ("an option", "--help"), ("a colon", "a:b")]
NO_TIMES = [("a word", "yesterday"), ("empty", ""), ("no fraction", "2026-11-21T09:30:00Z"),
            ("a space", "2026-11-21 09:30:00.250000Z"), ("no zone", NOW[:-1]),
            ("another zone", NOW[:-1] + "+01:00"), ("a line feed", NOW + "\n"),
            ("13th month", NOW.replace("-11-", "-13-")), ("an escape", "\x1b[2J" + NOW[4:]),
            ("hour 99", NOW.replace("T09", "T99")),
            ("other digits", NOW.replace("1", "\u0661")),
            ("100,000 bytes", "9" * 100_000), ("days first", "21-11-2026T09:30:00.250000Z")]
BIDI = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
CONTROL = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f]")


@dataclass
class Verdict:
    """What was done to an input, and what the manuals say of it to which commands.

    To those in neither set it may be either; `also` are those of them that it is worth a try with.
    """

    kind: str
    refuse: object = frozenset()
    accept: object = frozenset()
    also: object = frozenset()

    def of(self, command):
        if self.refuse is ALL or command in self.refuse:
            return "refuse"
        return "accept" if self.accept is ALL or command in self.accept else "either"


def refused(kind, by=ALL):
    return Verdict(kind, refuse=by)


def accepted(kind, by=ALL):
    return Verdict(kind, accept=by)


def either(kind):
    return Verdict(kind)


def draw_text(dice):
    """A text where Names apply: (what it is, whether it is forbidden, text)."""
    is_bad = dice.random() < 0.6
    what, text = dice.choice(FORBIDDEN if is_bad else ALLOWED)
    return what, is_bad, text


def edge(dice, size, but=None):
    """A number that fits the bytes, most often one at an edge."""
    values = [value for value in EDGES if value < 1 << 8 * size and value != but]
    near = [but + step for step in (-1, 1) if but and 0 <= but + step < 1 << 8 * size]
    return dice.choice(values + near * 2)


# JSON


def compact(value, dice=None):
    ascii_only = dice is not None and dice.random() < 0.5
    return json.dumps(value, ensure_ascii=ascii_only, separators=(",", ":")).encode(
        errors="surrogatepass")


# Values, as texts, that JSON does not have, and others that it has.
NOT_JSON = {
    "a number that is none": [b"01", b"+1", b".5", b"1.", b"1e", b"0x10", b"--1", b"-", b"1_0",
                              b"-01", b"00"],
    "NaN": [b"NaN", b"Infinity", b"-Infinity", b"nan"],
    "a word": [b"True", b"None", b"undefined", b"nul", b"x"],
    "a raw control character": [b'"\x1b[31m"', b'"\n"', b'"\0"', b'"\t"'],
    "invalid UTF-8": [b'"\xff"', b'"\xc0\xaf"', b'"\xed\xa0\x80"', b'"\xe2\x82"',
                      b'"\xf5\x80\x80\x80"'],
    "a bad escape": [b'"\\q"', b'"\\u12"', b'"\\x41"', b'"\\u 123"'],
    "a list that ends in a comma": [b"[1,]", b"[,]", b"[1 2]"],
    "single quotes": [b"'a'"], "a comment": [b"1/**/", b"1//x\n"],
    "an open text": [b'"a'], "an open list": [b"[1"], "no value": [b""],
    "a key that is no text": [b"{1:2}", b"{a:2}", b'{"a"}', b'{"a" 1}', b'{"a":1,}'],
}
IS_JSON = {
    "an exponent": [b"1E+2", b"1e-7", b"-0", b"-0.0", b"0e0"],
    "a large integer": [b"9007199254740993", b"-9007199254740993"],
    "escapes": [b'"\\u0061\\/\\b\\f\\n\\r\\t\\"\\\\"', b'"\\ud83e\\udde0"', b'"\\u0000"'],
    "white space": [b" \t\r\n[ 1 ,\r\n{ } ] "], "DEL and C1": [b'"\x7f\xc2\x9b"'],
    "keys in two forms": [b'{"\xc3\xa9":1,"e\xcc\x81":2}'], "no members": [b"{}", b"[]", b'""'],
}
PERHAPS_JSON = {
    "a huge number": [b"1e400", b"-1e400", b"18446744073709551616", b"9" * 5000, b"1e-400",
                      b"0." + b"1" * 5000],
    "half of a surrogate": [b'"\\ud800"', b'"\\udc00\\ud800"', b'"\\ud800x"'],
}


def spoil(dice, text, in_dataset):
    """Change the text of a JSON object: (what was done, text, what it is to who reads it)."""
    way = dice.randrange(11)
    if way < 6:
        pool, verdict = dice.choice([(NOT_JSON, "refuse")] * 3 + [(IS_JSON, "accept")] * 2
                                    + [(PERHAPS_JSON, "either")])
        kind = dice.choice(list(pool))
        value = dice.choice(pool[kind])
        if dice.random() < 0.4:
            value = dice.choice([b"[%s]", b'{"y":%s}', b'[0,{"y":[%s]}]']) % value
        return kind, member(text, value), verdict
    if way == 6:
        levels = dice.choice([99, 100, 101, 110, 500, 1000, 5000, 20_000, 100_000])
        open_, close = dice.choice([(b"[", b"]"), (b'{"y":', b"}")])
        inside = b"0," * dice.choice([0, 0, 3000]) if open_ == b"[" else b""
        value = open_ * levels + inside + b"0" + close * levels
        return f"{'over ' * (levels > 99)}100 levels", member(text, value), (
            "refuse" if levels > 99 else "accept")
    if way == 7 and dice.random() < 0.1:
        return "over 2,000,000 values", member(text, b"[" + b"0," * 2_000_001 + b"0]"), (
            "refuse" if in_dataset else "either")
    if way == 7:
        name = dice.choice(re.findall(rb'"(\w+)"\s*:', text) or [b"zz"])
        twice = dice.random() < 0.5
        first = b'"zz":1,"zz":2,' if twice else b'"' + name + b'":null,'
        return f"{'an unknown' if twice else 'a'} key twice", text.replace(b"{", b"{" + first, 1), (
            "refuse" if in_dataset else "accept" if twice else "either")
    if way == 8:
        after = dice.choice([b"x", b"{}", b"\0", b",", b"}", b"[]", b"/**/", b"\xff",
                             b"\xe2\x80\xa8"])
        return "something after it", text.rstrip() + after, "refuse"
    if way == 9:
        at = dice.randrange(len(text.rstrip()))
        cut = dice.choice([text[:at], b"", b" ", b"[]", b"1", b"null", b'"x"', b"{",
                           b"[" + text + b"]"])
        return "no object", cut, "refuse"
    if dice.random() < 0.3:
        return "a byte-order mark", b"\xef\xbb\xbf" + text, "either"
    # The only commas left are those that separate, if texts are passed over.
    return "a comma at its end", re.sub(rb"(\s*)\}(\s*)$", rb",\1}\2", text), "refuse"


def member(text, value):
    """Give an object one more member, the first."""
    rest = text[text.index(b"{") + 1:]
    return b'{"zz":' + value + (b"" if rest.lstrip()[:1] == b"}" else b",") + rest


def another_type(dice, value):
    """A value of another JSON type than this; a number stands beside no other number."""
    kinds = [None, True, "x", 7, [], {}, [None], {"a": 1}, -1.5e300]
    same = (int, float) if type(value) in (int, float) else (type(value),)
    return dice.choice([kind for kind in kinds if type(kind) not in same])


# Streams


STREAM_TOOLS = {  # the command, and where it may write
    "vol-ls -": None, "vol-ls --json -": None, "vol-write -q ds CT": "ds",
    "frame-filter shape": None, "nifti-write -q -o out": "out"}
WRITE, FILTER, NIFTI = "vol-write -q ds CT", "frame-filter shape", "nifti-write -q -o out"
LISTERS = frozenset({"vol-ls -", "vol-ls --json -"})


@dataclass
class Frame:
    kind: int
    header: object = None  # a dictionary, bytes as they are, or None
    body: bytes = b""
    fields: dict = field(default_factory=dict)  # of the prelude, in place of the right ones

    def encode(self, dice=None):
        text = compact(self.header, dice) if isinstance(self.header, dict) else self.header or b""
        prelude = {"magic": b"VFRM", "version": 1, "kind": self.kind, "zero": 0,
                   "H": len(text), "B": len(self.body), **self.fields}
        crc = prelude.pop("crc", 0)
        start = struct.pack("<4sBBHII", *prelude.values())
        sum_ = zlib.crc32(self.body, zlib.crc32(text, zlib.crc32(start)))
        return start + struct.pack("<I", sum_ ^ crc) + text + self.body


def draw_header(dice, number):
    shape = [dice.randint(1, 6) for _ in range(dice.choice([1, 2, 3, 3, 3, 4, 5]))]
    header = {"name": f"v{number}", "shape": shape, "dtype": dice.choice(DTYPES)}
    if dice.random() < 0.2:
        header.update(dtype="uint8", channels=dice.choice([3, 4]))
    if dice.random() < 0.5:
        header["obs_id"] = f"id{number}"
    if dice.random() < 0.4:
        spacing = [dice.choice([0.5, 1, 1.25, 3]) for _ in range(3)]
        header["voxel_spacing"] = spacing
        header["affine"] = [[spacing[0], 0, 0, -20.5], [0, spacing[1], 0, 3], [0, 0, spacing[2], 7],
                            [0, 0, 0, 1]]
        header["units"] = {"space": "mm", "time": "s", "code": 10}
    more = {"obs_subject_id": f"s{number % 2}", "collection": "CT", "slope": 2,
            "intercept": -1024.5,
            "description": "from \u00e9 scanner", "attributes": {"sex": "f", "run": "007"},
            "quirks": ["it was odd"], "repetition_time": 2.5, "unknown": {"a": [1, None, "x"]},
            "intent": {"code": 1002, "parameters": [1, 2.5, 0], "name": "label"}}
    header.update((key, more[key]) for key in more if dice.random() < 0.3)
    return header


def voxel_size(header):
    return (prod(header["shape"]) * header.get("channels", 1)
            * np.dtype(header["dtype"]).itemsize)


def draw_voxels(dice, size):
    return bytes(size) if dice.random() < 0.2 else dice.randbytes(size)


def draw_volume(dice, number, sources):
    """The frames of one volume, at times that of a file."""
    if dice.random() < 0.2:
        return [Frame(frame.kind, dict(frame.header) if frame.header else None, frame.body)
                for frame in dice.choice(sources)]
    header = draw_header(dice, number)
    voxels = draw_voxels(dice, voxel_size(header))
    extras = [[Frame(EXTRA, body=dice.randbytes(dice.randint(1, 50)))
               for _ in range(dice.choice([0, 0, 0, 1, 2]))] for _ in range(2)]
    size = len(voxels)
    cuts = sorted({0, size, *(dice.randint(0, size) for _ in range(dice.randrange(3)))})
    datas = [Frame(DATA, body=voxels[a:b]) for a, b in zip(cuts, cuts[1:])]
    frames = [Frame(OPEN, header), *extras[0], *datas, *extras[1]]
    if dice.random() < 0.1:
        return frames[:dice.randint(1, len(frames))] + [Frame(DROP, {"reason": "it was bad"})]
    close = {"voxels": prod(header["shape"]), "crc32": zlib.crc32(voxels)}
    if dice.random() < 0.2:
        close["quirks"] = ["seen at its end"]
    return frames + [Frame(CLOSE, close)]


class Stream:
    """A valid stream of frames, and what its volumes are once it has been changed."""

    def __init__(self, dice, sources):
        self.dice, self.frames = dice, []
        for start in range(0, 100 * dice.choice([1, 1, 1, 2]), 100):
            volumes = [draw_volume(dice, start + number, sources)
                       for number in range(dice.choice([1, 1, 2, 3]) if start == 0 else 1)]
            for number, volume in enumerate(volumes):
                if "source" in volume[0].header:
                    volume[0].header["name"] = f"file{start + number}"
            end = {"volumes": 0, "dropped": 0}
            for volume in volumes:
                end["volumes" if volume[-1].kind == CLOSE else "dropped"] += 1
            if dice.random() < 0.1:
                end["skipped"] = dice.choice([0, 1, 2**53])
            self.frames += [frame for volume in volumes for frame in volume] + [Frame(END, end)]

    def pick(self, *kinds):
        """Any frame of these kinds; of open frames one whose volume is not dropped, or None."""
        found = [frame for frame in self.frames if frame.kind in kinds]
        ends = [frame.kind for frame in self.frames if frame.kind in (CLOSE, DROP)]
        opens = [frame for frame in self.frames if frame.kind == OPEN]
        dropped = {id(frame) for frame, end in zip(opens, ends) if end == DROP}
        found = [frame for frame in found if id(frame) not in dropped]
        return self.dice.choice(found) if found else None

    def encode(self):
        return b"".join(frame.encode(self.dice) for frame in self.frames)


def change_json(dice, stream):
    frame = stream.pick(OPEN, OPEN, CLOSE, DROP, END)
    kind, frame.header, verdict = spoil(dice, compact(frame.header), False)
    what = f"JSON of {('', 'open', '', '', 'close', 'drop', 'end')[frame.kind]}: {kind}"
    if frame.kind != OPEN and verdict == "accept":
        verdict = "either"
    return Verdict(what, refuse=ALL if verdict == "refuse" else (),
                   accept=ALL if verdict == "accept" else ())


def change_prelude(dice, stream):
    frame = dice.choice(stream.frames)
    key = dice.choice(["magic", "version", "kind", "zero", "H", "B", "crc"])
    size = {"version": 1, "kind": 1, "zero": 2, "H": 4, "B": 4, "crc": 4}.get(key)
    text = len(compact(frame.header)) if frame.header else 0
    right = {"version": 1, "kind": frame.kind, "zero": 0, "H": text, "B": len(frame.body)}.get(key)
    value = (b"VFRN" if key == "magic" else 1 << dice.randrange(32) if key == "crc"
             else edge(dice, size, right))
    if frame.header:
        frame.header = compact(frame.header)
    frame.fields = {key: value}
    return judge(stream, f"prelude: {key}")


def change_order(dice, stream):
    """Frames that come twice, not at all, elsewhere, or break off."""
    frames, at = stream.frames, dice.randrange(len(stream.frames))
    way = dice.choice(["gone", "twice", "moved", "new", "empty", "cut off", "all gone"])
    if way == "gone":
        del frames[at]
    elif way == "twice":
        frames.insert(at, frames[at])
    elif way == "moved":
        frames.insert(dice.randrange(len(frames)), frames.pop(at))
    elif way == "new":
        frames.insert(at, dice.choice([
            Frame(OPEN, {"name": "n", "shape": [1], "dtype": "int8"}), Frame(DATA, body=b"x"),
            Frame(EXTRA, body=b"x"), Frame(CLOSE, {"voxels": 1, "crc32": 0}),
            Frame(DROP, {"reason": "x"}), Frame(END, {"volumes": 0, "dropped": 0}), Frame(DATA),
            Frame(OPEN), Frame(DATA, {"a": 1}, b"x"),
            Frame(END, {"volumes": 0, "dropped": 0}, b"x")]))
    elif way == "empty":
        frames[at].header, frames[at].body = None, b""
    else:
        data = stream.encode()
        data = data[:dice.randrange(len(data))] if way == "cut off" else b""
        stream.encode = lambda: data
    return judge(stream, f"frames: {way}")


def judge(stream, kind):
    """The verdict of the second reader, for changes to what it checks."""
    data = stream.encode()
    stream.encode = lambda: data
    try:
        for _ in read_frames(io.BytesIO(data)):
            pass
    except UNREADABLE:
        return refused(kind)
    return either(kind)


def change_sums(dice, stream):
    """What close, drop and end say."""
    frame = stream.pick(CLOSE, DROP, END)
    header = frame.header
    key = dice.choice({CLOSE: ["voxels", "crc32", "quirks"], DROP: ["reason"],
                       END: ["volumes", "dropped", "skipped"]}[frame.kind])
    way = dice.randrange(3)
    if key == "reason" and way == 0:
        header[key] = dice.choice(["", "x" * 4097, "x" * 1_000_000, "\u202e", "a\nb", "\x1b[2J"])
        return either("a reason that is odd")
    if way == 0 and key in ("voxels", "crc32", "volumes", "dropped"):
        header[key] = edge(dice, 8, header[key])
    elif way == 0 and key == "skipped":
        header[key] = dice.choice([2**53 + 1, 2**63, 2**64 - 1, -1, 1.5])
    elif way == 1 and key not in ("quirks", "skipped"):
        del header[key]
    else:
        good = {"quirks": [], "reason": "x"}.get(key)
        header[key] = dice.choice([value for value in ("x", [], {}, [1], -1, 0.5) if value != good])
    return refused(f"{('', '', '', '', 'close', 'drop', 'end')[frame.kind]}: {key}")


def change_name(dice, stream):
    frame, what, is_bad, text = stream.pick(OPEN), *draw_text(dice)
    key = dice.choice(["obs_id", "obs_subject_id", "collection", "name", "name"])
    if key == "collection" and text[:1] == "-":
        is_bad, what = True, "an option"
    if key == "name":
        text = dice.choice([text, text, "x" * 1024, "x" * 1025, "\u00e9" * 513])
        is_bad = not text or len(text.encode()) > 1024 or bool(CONTROL.search(text)) or "\n" in text
        what = what if len(text) < 257 else f"{len(text.encode())} bytes"
    frame.header[key] = text
    if is_bad:
        return refused(f"{key}: {what}")
    takers = {*LISTERS, FILTER} | ({WRITE} if key != "name" else set())
    return accepted(f"{key}: {what}", frozenset(takers))


def change_pair(dice, stream):
    """The same text in two forms is two names; the same bytes are one."""
    opens = [frame for frame in stream.frames if frame.kind == OPEN]
    if len(opens) < 2:
        return accepted("nothing")
    forms = ["Jos\u00e9", "Jose\u0301"]
    key = dice.choice(["obs_id", "name"])
    is_same = dice.random() < 0.3
    for frame, text in zip(opens, [forms[0]] * 2 if is_same else forms):
        frame.header["obs_id"] = frame.header["name"] = text
        if key == "name":
            del frame.header["obs_id"]
    return either(f"{key} twice") if is_same else accepted(f"{key} in two forms")


def change_shape(dice, stream):
    header = stream.pick(OPEN).header
    key = dice.choice(["shape", "shape", "dtype", "channels"])
    if key == "shape":
        shape = header["shape"]
        at = dice.randrange(len(shape))
        values = [[], shape + [1] * (8 - len(shape)), None, "x", {}, 5, [shape],
                  [str(n) for n in shape]]
        values += [[*shape[:at], n, *shape[at + 1:]] for n in
                   (0, -1, 1.5, True, None, "2", 2**63, 2**64, -2**63, *EDGES[5:], shape[at] + 1)]
        header[key] = dice.choice(values)
    elif key == "dtype":
        header[key] = dice.choice(["", "int17", "INT8", "uint8\0", "int8 ", 5, None, [], "|b1",
                                   "float16", "complex256"])
    else:
        header[key] = dice.choice([0, 2, 5, -1, 1.5, "3", [], {}, True, 2**31, 2**63, 2**64 - 1,
                                   1e300])
    if dice.random() < 0.15:
        del header[key]
        if key == "channels":
            return either("channels: gone")
    return refused(f"open: {key}")


TYPES = {"name": "x", "obs_id": "x", "obs_subject_id": "x", "collection": "x", "slope": 1.5,
         "intercept": 1.5, "affine": [], "affine_source": "x", "qform": [], "qform_code": 1,
         "sform": [], "sform_code": 1, "voxel_spacing": [], "repetition_time": 1.5, "units": {},
         "intent": {}, "description": "x", "attributes": {}, "quirks": [], "source": {}}


def change_known_key(dice, stream):
    header = stream.pick(OPEN).header
    way = dice.randrange(4)
    if way == 0:
        value = dice.choice([[[1, 0, 0, 0]] * 3, [[1, 0, 0]] * 4, [], [[]] * 4, [1] * 16,
                             [[1] * 5] * 4, [["1"] * 4] * 4, [[None] * 4] * 4])
        header["affine"] = value
        return refused("open: an affine that is not 4x4")
    if way == 1:
        header["affine"] = np.eye(4).tolist()
        header.pop("voxel_spacing", None)
        header["affine"][dice.randrange(4)][dice.randrange(4)] = dice.choice(
            ["NaN", "Infinity", "-Infinity"])
        return refused("open: an affine that is not finite", frozenset({*LISTERS, WRITE, NIFTI}))
    if way == 2:
        source = {"format": "nifti1", "byte_order": "little", "layout": "single",
                  "header": "AAAA", "compression": "none", "header_bytes": 348}
        key = dice.choice(list(source))
        source[key] = (edge(dice, 8) if key == "header_bytes" else
                       dice.choice(["", "x", "!", "A" * 464, "\u202e", "A" * 1_000_000]))
        header["source"] = source
        return either("open: an odd source")
    key = dice.choice(list(TYPES))
    value = another_type(dice, TYPES[key])
    header[key] = value
    if value is None or key == "source":
        return either(f"open: {key} of another type")
    if key in ("units", "intent") and value == {"a": 1}:
        return either(f"open: {key} of another type")
    return refused(f"open: {key} of another type")


def change_odd_values(dice, stream):
    """What is no use, and yet has the form that the page gives it."""
    header = stream.pick(OPEN).header
    key, value = dice.choice([
        ("slope", 0), ("slope", "NaN"), ("intercept", "-Infinity"), ("slope", 5e-324),
        ("slope", -1.7e308), ("qform_code", edge(dice, 8)), ("sform_code", -edge(dice, 8)),
        ("repetition_time", -1e300), ("voxel_spacing", []), ("voxel_spacing", [0, 0, 0]),
        ("voxel_spacing", [1e308] * 100), ("units", {"code": edge(dice, 8)}),
        ("intent", {"code": edge(dice, 8), "parameters": ["NaN"] * 50, "name": "x" * 5000}),
        ("quirks", ["\x1b[2J"] * 3), ("quirks", ["x" * 100_000]),
        ("description", "\x1b]0;x\x07\x9b"),
        ("description", "x" * 3_000_000), ("attributes", {"\x1b": "\n", "": "", "a/b": {}}),
        ("attributes", {"\u00e9": 1, "e\u0301": 2}), ("attributes", {"x": edge(dice, 8)}),
        ("attributes", {str(n): n for n in range(5000)}), ("quirks", [""] * 10_000)])
    header[key] = value
    return either(f"open: an odd {key}")


def change_bodies(dice, stream):
    data = stream.pick(DATA)
    way = dice.choice(["a byte more", "a byte less", "a bit", "cut up", "extras", "trailing bytes"])
    if not data or way == "trailing bytes":
        tail = dice.choice([b"\0", b"\n", b"VFRM", b"VFRM\1\6\0\0", dice.randbytes(50)])
        encoded = stream.encode() + tail
        stream.encode = lambda: encoded
        return refused("bodies: trailing bytes")
    at = stream.frames.index(data)
    if way == "cut up":
        stream.frames[at:at + 1] = [Frame(DATA, body=bytes([byte])) for byte in data.body]
        return accepted("bodies: cut up")
    if way == "extras":
        before = next(n for n in range(at, -1, -1) if stream.frames[n].kind == OPEN)
        there = sum(frame.kind == EXTRA for frame in stream.frames[before:at + 1])
        count = MAX_EXTRAS + 1 - there if dice.random() < 0.05 else 500
        stream.frames[before + 1:before + 1] = [Frame(EXTRA, body=b"x")] * count
        return judge(stream, "bodies: many extras")
    data.body = {"a byte more": data.body + b"\0", "a byte less": data.body[:-1],
                 "a bit": bytes([data.body[0] ^ 1]) + data.body[1:]}[way]
    return judge(stream, f"bodies: {way}")


def nothing(dice, stream):
    return accepted("nothing")


STREAM_CHANGES = [change_json] * 6 + [
    change_prelude, change_order, change_order, change_sums, change_sums, change_name, change_name,
    change_name, change_pair, change_shape, change_shape, change_known_key, change_known_key,
    change_odd_values, change_bodies, nothing]


# Datasets


def zstd(data, checksum=True, size=True, level=1):
    return zstandard.ZstdCompressor(level=level, write_checksum=checksum,
                                    write_content_size=size).compress(bytes(data))


def with_crc(data):
    return data + struct.pack("<I", crc32c(data))


def file_header(magic, stage, number=0):
    return with_crc(struct.pack("<8s16sI", magic, bytes.fromhex(stage), number))


def document(members):
    return json.dumps(members, indent=2, separators=(",", " : "), ensure_ascii=False).encode(
        errors="surrogatepass") + b"\n"


def digest(data):
    return hashlib.sha256(data).hexdigest()


def file_entry(path, data):
    return {"path": path, "bytes": len(data), "sha256": digest(data)}


# Commands on a dataset. {id} is that of the volume which is changed; < names an input.
QUICK, FULL = "vol-verify -q ds", "vol-verify -q --full ds"
VERIFY = frozenset({QUICK, "vol-verify -q --json ds", FULL})
LIST = frozenset({"vol-ls ds CT", "vol-ls --tsv ds CT", "vol-ls --json ds CT", "vol-ls --refs ds"})
CAT = frozenset({"vol-cat ds", "vol-cat -k ds", "vol-cat ds CT {id}", "vol-cat --raw ds CT {id}",
                 "vol-export --nifti out ds", "vol-export --zarr out/zarr ds", FULL})
AXIAL = "vol-cat --axial 0 ds CT {id}"
PLANES = frozenset({AXIAL, "vol-cat --roi 0:1 ds CT",
                    "vol-cat --batch ds < asks"})
SUBJECTS = frozenset({"vol-meta ds", "vol-meta --json ds", "vol-meta --csv ds",
                      "vol-ls --json --subjects ds"})
CENSUS = frozenset({"vol-ls --json --subjects ds", "vol-ls --tsv --subjects ds",
                    "vol-ls --json --align ds"})
STAGED = frozenset({"vol-ls --json --staged ds", "vol-commit -q ds", "vol-write -q --skip-existing "
                    "ds CT < same"}) | VERIFY
# Those that find a volume by the index.
FINDERS = frozenset({"vol-cat ds CT {id}", AXIAL, "vol-cat --batch ds < asks", "vol-rm -q ds {id}",
                     "vol-commit -q ds", "vol-write -q --skip-existing ds CT < same"})
GC = "vol-gc -q --grace 0 --keep-last 1 ds"
# All that need the last manifest.
EVERYBODY = VERIFY | LIST | CAT | PLANES | SUBJECTS | CENSUS | {
    "vol-ls ds", "vol-ls --manifest ds", "vol-ls --sha256 ds", "vol-ls --json --snapshots ds",
    "vol-ls --json --diff 1 2 ds", "vol-write -q ds CT < new", "vol-rm -q ds {id}", GC,
    "vol-write -q --skip-existing ds CT < same", "vol-commit -q ds"}
STAGE_ROWS = "vol-meta -q ds < rows"
COMMANDS = sorted(EVERYBODY | STAGED | {STAGE_ROWS})
# What a record says beside its id, its subject and its place; vol-ls may pass on what it says.
HEADER = VERIFY | CAT | {"vol-ls --refs ds"}
CHANGING = ("vol-write", "vol-rm", "vol-gc", "vol-commit", "vol-meta -q ds <")


class Builder:
    """Makes a dataset of two snapshots, something staged, and a subject table in each.

    A hook is called with each part of its name before that is encoded, may change it, and gives it
    back; sums over it are made after that. Hooks of a volume are called for the victim alone.
    """

    def __init__(self, dice):
        self.dice, self.hooks, self.files, self.truth = dice, {}, {}, {}
        self.id = lambda: f"{dice.getrandbits(128):032x}"
        self.dataset_id, self.first, self.second, self.third = (self.id() for _ in range(4))
        self.old_table, self.new_table = self.id(), self.id()
        self.ids = {self.first: [f"a{n}" for n in range(dice.randint(2, 5))],
                    self.second: ["m0", "m1"], self.third: ["p0"]}
        self.victim = dice.randrange(len(self.ids[self.first]))
        self.is_empty = dice.random() < 0.15  # whether the victim's voxels are all zero

    def hook(self, name, value):
        change = self.hooks.get(name)
        return change(value) if change else value

    def volume(self, stage, number, pack, pack_number):
        """Append the volume's extents to the pack; its record."""
        dice, obs_id = self.dice, self.ids[stage][number]
        is_victim = stage == self.first and number == self.victim
        hook = self.hook if is_victim else lambda name, value: value
        shape = [dice.randint(1, 7) for _ in range(dice.choice([1, 3, 3, 4]))]
        channels = dice.choice([1, 1, 1, 3])
        dtype = np.dtype(dice.choice(DTYPES) if channels == 1 else "uint8").newbyteorder("<")
        header = {"dtype": dtype.name, "name": f"n{number}", "obs_id": obs_id, "shape": shape,
                  "obs_subject_id": f"s{number}"}
        if channels == 3:
            header["channels"] = 3
        if dice.random() < 0.5:
            header.update(attributes={"k": "v"}, unknown=[1, {"a": None}], slope=0.5, intercept=3)
        chunk = [dice.randint(1, length) for length in shape]
        grid = [-(-length // edge_) for length, edge_ in zip(shape, chunk)]
        is_zero = self.is_empty if is_victim else dice.random() < 0.1
        voxels = np.frombuffer(bytes(voxel_size(header)) if is_zero else
                               dice.randbytes(voxel_size(header)), dtype)
        whole = np.zeros([channels, *(g * c for g, c in zip(grid, chunk))], dtype, order="F")
        whole[tuple(slice(n) for n in (channels, *shape))] = voxels.reshape(
            [channels, *shape], order="F")
        shuffled = dtype.itemsize > 1 and dice.random() < 0.7
        shard, entries = b"", []
        for place in np.ndindex(*reversed(grid)):
            cut = tuple(slice(p * c, p * c + c) for p, c in zip(reversed(place), chunk))
            data = whole[(slice(None), *cut)].tobytes(order="F")
            if not any(data):
                entries.append((ABSENT, ABSENT))
                continue
            frame = hook("chunk", self.chunk(data, dtype.itemsize, shuffled))
            entries.append((len(shard), len(frame)))
            shard += frame
        index = b"".join(struct.pack("<QQ", *entry) for entry in hook("shard index", entries))
        shard += hook("shard end", with_crc(index))
        extras, blobs, at = b"", b"", len(pack) + len(shard)
        bodies = [dice.randbytes(dice.randint(1, 40)) for _ in range(dice.choice([0, 0, 1, 2]))]
        for after, body in enumerate(bodies):
            if dice.random() < 0.5:
                extras += struct.pack("<BBI", after, 0, len(body)) + body
            else:
                blob = hook("blob", zstd(body))
                extras += struct.pack("<BBIQI", after, 1, len(body), at + len(blobs), len(blob))
                blobs += blob
        record = {"id": obs_id.encode(), "header": header, "raw": voxels.nbytes,
                  "crc": zlib.crc32(voxels), "pack": pack_number, "offset": len(pack),
                  "length": len(shard), "shuffled": int(shuffled), "axes": len(shape),
                  "chunk": chunk, "count": len(bodies), "extras": extras, "end": b""}
        self.truth[obs_id] = zlib.crc32(voxels)
        if is_victim:
            extra = [Frame(EXTRA, body=body) for body in bodies]
            self.same = b"".join(frame.encode() for frame in [
                Frame(OPEN, dict(header)), *extra[:1], Frame(DATA, body=voxels.tobytes()),
                *extra[1:], Frame(CLOSE, {"voxels": prod(shape), "crc32": zlib.crc32(voxels)}),
                Frame(END, {"volumes": 1, "dropped": 0})])
        record = hook("record", record)
        header = record["header"]
        record["header"] = hook("header", compact(header, dice) if type(header) is dict else header)
        return pack + shard + blobs, self.record(record), record

    @staticmethod
    def chunk(data, itemsize, shuffled):
        plain = np.frombuffer(data, "u1")
        if shuffled:
            plain = plain.reshape(-1, itemsize).T
        plain = plain.tobytes()
        # A frame as long as its chunk Blosc would take for stored bytes.
        frame = next(frame for cut in range(len(plain)) if len(frame := Builder.cut(plain, cut))
                     != len(plain))
        return struct.pack("<4B5I", 2, 1, 0x90 + shuffled, itemsize, len(data), len(data),
                           24 + len(frame), 20, len(frame)) + frame

    @staticmethod
    def cut(plain, at):
        """A Zstandard frame whose first block ends there."""
        coder = zstandard.ZstdCompressor(level=1, write_checksum=True).compressobj(len(plain))
        start = coder.compress(plain[:at])
        start += coder.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK) if at else b""
        return start + coder.compress(plain[at:]) + coder.flush()

    @staticmethod
    def record(r):
        body = struct.pack("<H", r.get("I", len(r["id"]))) + r["id"]
        body += struct.pack("<I", r.get("J", len(r["header"]))) + r["header"]
        body += struct.pack("<QIIQQBB", *(r[key] for key in (
            "raw", "crc", "pack", "offset", "length", "shuffled", "axes")))
        body += struct.pack(f"<{len(r['chunk'])}I", *r["chunk"])
        body += struct.pack("<H", r["count"]) + r["extras"] + r["end"]
        return struct.pack("<I", r.get("size", len(body))) + body

    def catalog(self, stage, records):
        """Blocks, index and footer; `records` are pairs of an id and bytes."""
        hook = self.hook if stage == self.first else lambda name, value: value
        data, entries, rest = hook("catalog header", file_header(b"volcat01", stage)), [], records
        blocks = 0
        while rest:
            count = self.dice.randint(1, len(rest))
            entries += [(hashlib.sha256(obs_id).digest()[:16], len(data))
                        for obs_id, _ in rest[:count]]
            raw = b"".join(part for _, part in rest[:count])
            block = {"frame": zstd(raw), "R": len(raw), "count": count}
            block = hook("block", block)
            stored = block.get("S", len(block["frame"]))
            start = struct.pack("<3I", stored, block["R"], block["count"])
            data += start + struct.pack("<I", crc32c(start, block["frame"])) + block["frame"]
            rest, blocks = rest[count:], blocks + 1
        entries = hook("index", sorted(entries))
        rest = b"".join(key + struct.pack("<Q", at) for key, at in entries).ljust(4080, b"\0")
        page = hook("page", {"K": len(entries), "number": 0, "zero": 0, "rest": rest})
        start = struct.pack("<3I", page["K"], page["number"], page["zero"])
        footer = {"magic": b"volcate1", "records": len(records), "blocks": blocks, "at": len(data),
                  "pages": 1, "zero": 0}
        footer = hook("footer", footer)
        data += start + struct.pack("<I", crc32c(start, page["rest"])) + page["rest"]
        return data + with_crc(struct.pack("<8s4QI", *footer.values()))

    def stage(self, stage, collection):
        """Write the files of a stage; its entry."""
        packs, records, raw, pack = [], [], 0, b""
        for number in range(len(self.ids[stage])):
            if not pack or self.dice.random() < 0.3:
                pack and packs.append(pack)
                pack = file_header(b"volpack1", stage, len(packs))
                if stage == self.first:
                    pack = self.hook("pack header", pack)
            pack, bytes_, record = self.volume(stage, number, pack, len(packs))
            records.append((record["id"], bytes_))
            raw += record["raw"]
        packs.append(pack)
        files = {f"packs/{stage}-{number:04}.pack": data for number, data in enumerate(packs)}
        path = f"catalogs/{stage}.catalog"
        catalog = self.catalog(stage, records)
        self.files.update(files)
        self.files[path] = catalog
        return {"stage": stage, "collection": collection, "created": NOW, "tool": "vol-write 0.1.0",
                "volumes": len(records), "raw_bytes": raw & (1 << 64) - 1,
                "stored_bytes": sum(map(len, files.values())) + len(catalog),
                "codec": {"name": "blosc-zstd", "level": 1, "shuffle": True, "chunk": "auto"},
                "catalog": file_entry(path, catalog),
                "packs": [file_entry(*file) for file in files.items()]}

    def document(self, path, members, name):
        """Seal a document, before and after which its hook may change it."""
        members = self.hook(name, members)
        text = self.hook(f"{name} text", document(members))
        data = seal(text) if text.endswith(b"\n}\n") else text
        self.files[path] = self.hook(f"{name} bytes", data)
        return self.files[path]

    def table(self, name, path):
        """Write a subject table; its entry."""
        columns = [{"name": "obs_subject_id", "type": "text"}, {"name": "age", "type": "number"},
                   {"name": "ok", "type": "boolean"}, {"name": "note", "type": "json"}]
        head = {"format": "volpipe-subjects", "version": 1, "columns": columns}
        rows = [[f"s{n}", str(40 + n), "true", '{"a":[1]}'] for n in range(self.dice.randint(1, 4))]
        rows[0][1] = None
        lines = self.hook(name, [compact(row) for row in (head, *rows)])
        lines = [compact(line) if isinstance(line, dict | list) else line for line in lines]
        data = self.hook(f"{name} bytes", b"\n".join(lines) + b"\n")
        self.files[path] = data
        return {**file_entry(path, data), "rows": max(0, len(lines) - 1)}

    def build(self):
        common = {"version": 2, "dataset_id": self.dataset_id}
        marker = {"format": "volpipe-dataset", **common, "created": NOW}
        self.document("volpipe.json", marker, "marker")
        stages, parent = [], None
        table = self.table("table", f"subjects/{self.old_table}.subjects")
        for number, (stage, collection) in enumerate(((self.first, "CT"), (self.second, "MR")), 1):
            made = self.stage(stage, collection)
            stages.append(self.hook("stage", made) if stage == self.first else made)
            totals = {}
            for entry in stages:
                total = totals.setdefault(entry["collection"], Counter())
                total.update({key: entry[key] if type(entry[key]) is int else 0
                              for key in ("volumes", "raw_bytes", "stored_bytes")})
            manifest = {"format": "volpipe-manifest", **common, "snapshot": number,
                        "parent": parent, "commit_id": self.id(), "created": NOW,
                        "tool": "vol-commit 0.1.0",
                        "metadata": {"by": "us"}, "collections": totals, "stages": stages,
                        "subjects": self.hook("subjects", {**table, "stages": [self.id()]})
                        if number == 2 else None}
            data = self.document(f"manifests/{number:010}.json", json.loads(json.dumps(manifest)),
                                 "manifest" if number == 2 else "first manifest")
            parent = {"snapshot": number, "sha256": digest(data)}
        self.files["HEAD"] = self.hook("HEAD", f"2 {digest(data)}\n".encode())
        entry = {"format": "volpipe-stage", **common, **self.stage(self.third, "CT")}
        self.document(f"stages/{self.third}.json", entry, "stage record")
        table = self.table("staged table", f"subjects/{self.new_table}.subjects")
        rows = table.pop("rows")
        entry = {"format": "volpipe-subjects-stage", **common, "stage": self.new_table,
                 "created": NOW, "tool": "vol-meta 0.1.0", "replace": False, "rows": rows,
                 "table": table}
        self.document(f"stages/{self.new_table}-subjects.json", entry, "table record")
        return self.files

    def write(self, root):
        for path, data in self.files.items():
            if path.rpartition("/")[0]:
                (root / path).parent.mkdir(parents=True, exist_ok=True)
            else:
                root.mkdir(exist_ok=True)
            (root / path).write_bytes(data)
        after = self.hooks.get("after")
        if after:
            after(root)


# The documents, and who must find a fault in each.
DOCUMENTS = {"marker": EVERYBODY | {STAGE_ROWS}, "manifest": EVERYBODY, "first manifest": VERIFY | {
    "vol-ls --json --snapshots ds", "vol-ls --json --diff 1 2 ds"},
             "stage record": STAGED, "table record": STAGED - {
                 "vol-write -q --skip-existing ds CT < same"}}


def setter(*path, to):
    """A hook that sets what is at the end of a path."""
    def change(value):
        inner = value
        for step in path[:-1]:
            inner = inner[step]
        inner[path[-1]] = to(inner[path[-1]]) if callable(to) else to
        return value
    return change


def change_document(dice, b):
    name = dice.choice(list(DOCUMENTS))
    found = {}

    def change(text):
        kind, text, found["verdict"] = spoil(dice, text, True)
        found["kind"] = kind
        return text

    b.hooks[f"{name} text"] = change
    b.build()
    # What stands at the end of a sealed document is its digest, so that a fault there breaks it.
    if b.files and found["kind"] in ("something after it", "no object"):
        found["verdict"] = "refuse"
    by = DOCUMENTS[name] if found["verdict"] == "refuse" else ()
    return Verdict(f"JSON of the {name}: {found['kind']}", refuse=by)


def change_seal(dice, b):
    name = dice.choice(list(DOCUMENTS))
    what, change = dice.choice([
        ("bytes after it", lambda data: data + dice.choice([b"\n", b" ", b"\0"])),
        ("no digest", lambda data: data[:data.rindex(b',\n  "sha256"')] + b"\n}\n"),
        ("another digest", lambda data: data[:-10] + bytes([data[-10] ^ 1]) + data[-9:]),
        ("digest in capitals", lambda data: data[:-68] + data[-68:-4].upper() + data[-4:]),
        ("cut off", lambda data: data[:dice.randrange(len(data))]),
        ("zeros", lambda data: bytes(len(data))), ("nothing", lambda data: b"")])
    b.hooks[f"{name} bytes"] = change
    if what == "digest in capitals":
        return either(f"seal of the {name}: {what}")
    return refused(f"seal of the {name}: {what}", DOCUMENTS[name])


def change_key(dice, b):
    """A key of a document that is gone, of another type, at an edge, or another's."""
    name = dice.choice(list(DOCUMENTS))
    by, found = DOCUMENTS[name], {}

    def change(members):
        places = [(members, key) for key in members if key != "collections"]
        for key in ("catalog", "table", "parent", "subjects"):
            if members.get(key):
                places += [(members[key], inner) for inner in members[key]]
        if "packs" in members:
            places += [(members["packs"][0], inner) for inner in members["packs"][0]]
        for stage in members.get("stages", []):
            places += [(stage, key) for key in stage if key not in ("codec", "tool")]
            places += [(stage["catalog"], key) for key in stage["catalog"]]
        inner, key = dice.choice(places)
        old, found["key"] = inner[key], key
        way = dice.choice(["gone", "type", "edge"])
        if way == "edge" and type(old) is int and old is not True:
            inner[key] = dice.choice([edge(dice, 8, old), -1, 1.5, 2**64, -2**63])
            # Version 1 is read as well; sizes and counts are another matter than their form.
            found["exact"] = (key == "snapshot" or key == "version" and inner[key] != 1
                              or inner[key] not in range(2**64))
        elif way == "gone" or way == "edge":
            del inner[key]
            found["exact"], way = key not in ("subjects", "codec", "tool", "metadata"), "gone"
        else:
            inner[key] = another_type(dice, old)
            found["exact"] = key not in ("codec", "tool", "subjects", "parent", "metadata") or (
                inner[key] is not None)
            # A set of members may be empty, and a list of stages, as far as their types go.
            if type(old) is type(inner[key]) or key == "stages" and inner is members:
                found["exact"] = False
        found["way"] = way
        return members

    b.hooks[name] = change
    b.build()
    return Verdict(f"{name}: {found['key']} {found['way']}", refuse=by if found["exact"] else ())


def change_time(dice, b):
    what, text = dice.choice(NO_TIMES)
    name = dice.choice([*DOCUMENTS, "stage"])
    b.hooks[name] = setter("created", to=text)
    return refused(f"created of the {name}: {what}", DOCUMENTS.get(name, EVERYBODY))


def change_path(dice, b):
    pack, catalog = f"packs/{b.first}-0000.pack", f"catalogs/{b.first}.catalog"
    name = dice.choice(["stage", "stage record", "subjects", "table record"])
    paths = ["../x.pack", "/etc/passwd", "packs/../../x.pack", f"packs/{OTHER}-0000.pack",
             f"catalogs/{OTHER}.catalog", "", ".", "..", "packs/", f"./{pack}", f"/{pack}",
             f"packs//{b.first}-0000.pack", pack + "\0", pack + "\n",
             pack.replace("-0000", "-0001"), pack.replace("-0000", "-00000"), pack.upper(),
             pack.replace("-0000", "-0"),
             catalog.replace(".cat", "-" + "../" * 10 + "x.cat"), "manifests/0000000001.json",
             "HEAD", "x" * 5000,
             f"catalogs/{b.second}.catalog", f"packs/{b.second}-0000.pack", "packs/\u202e.pack",
             f"subjects/{OTHER[:-1]}.subjects", f"subjects/../subjects/{OTHER}.subjects"]
    text = dice.choice(paths)
    if name in ("subjects", "table record"):
        inside = ("table",) if name == "table record" else ()
        b.hooks[name] = setter(*inside, "path", to=text)
        by = EVERYBODY if name == "subjects" else DOCUMENTS[name]
    else:
        path = dice.choice([("packs", 0, "path"), ("catalog", "path")])
        b.hooks[name] = setter(*path, to=text)
        by = EVERYBODY if name == "stage" else STAGED
        if name == "stage record":
            text = text.replace(b.first, b.third)
    return refused(f"path in the {name}", by)


def change_dataset_name(dice, b):
    """An id, a subject or a collection: forbidden, or odd."""
    what, is_bad, text = draw_text(dice)
    key = dice.choice(["obs_id", "obs_id", "obs_subject_id", "collection"])
    if key == "collection":
        if text[:1] == "-":
            is_bad = True
        if dice.random() < 0.5:
            b.hooks["stage record"] = setter("collection", to=text)
            return refused(f"collection of a stage record: {what}", STAGED) if is_bad else either(
                f"collection of a stage record: {what}")
        b.hooks["stage"] = setter("collection", to=text)
        return refused(f"collection: {what}", EVERYBODY) if is_bad else accepted(
            f"collection: {what}", frozenset({FULL, "vol-cat ds", "vol-ls ds", "vol-ls --refs ds"}))
    if key == "obs_subject_id":
        b.hooks["record"] = setter("header", key, to=text)
        by = VERIFY | LIST | CAT | CENSUS
        return (refused if is_bad else accepted)(f"{key}: {what}", by)
    b.ids[b.first][b.victim] = text
    by = VERIFY | LIST | {"vol-cat ds", "vol-cat -k ds", "vol-export --nifti out ds",
                          "vol-export --zarr out/zarr ds"}
    if is_bad:
        return refused(f"{key}: {what}", by)
    return accepted(f"{key}: {what}", by | CAT | PLANES - {AXIAL} | {
        "vol-ls --json --diff 1 2 ds"})


def change_two_forms(dice, b):
    names = b.ids[b.first]
    names[0], names[1] = dice.choice([("Jos\u00e9", "Jose\u0301"), ("\uac00", "\u1100\u1161"),
                                      ("\u212b", "\u00c5"), ("A", "a")])
    b.victim = dice.randrange(2)
    return accepted("obs_id in two forms", VERIFY | LIST | CAT | (PLANES - {AXIAL}))


def change_other_id(dice, b):
    way = dice.choice(["another", "gone", "an id twice", "no UTF-8"])
    if way == "an id twice":
        names = b.ids[b.first]
        names[1] = names[0]
        b.build()
        del b.truth[names[0]]  # it is neither, or both
        return refused(f"obs_id: {way}", VERIFY)
    if way == "no UTF-8":
        b.hooks["record"] = setter("id", to=dice.choice(
            [b"\xff", b"a\xc3", b"\xc0\x80", b"\xed\xa0\x80"]))
    elif way == "another":
        b.hooks["record"] = setter("header", "obs_id", to=dice.choice(
            ["other", "A0", "a0\0", "m0", "a\u0301", f"a{b.victim} "]))
    else:
        b.hooks["record"] = lambda record: record["header"].pop("obs_id") and record
    return refused(f"obs_id of the header: {way}", VERIFY | LIST | CAT - {FULL})


def change_header(dice, b):
    found = {}

    def change(text):
        found["kind"], text, found["verdict"] = spoil(dice, text, True)
        return text

    b.hooks["header"] = change
    b.build()
    if found["kind"].endswith("key twice"):
        found["verdict"] = "either"
    kind, by = f"JSON of a record: {found['kind']}", VERIFY | LIST | CAT
    return {"refuse": refused, "accept": accepted}.get(
        found["verdict"], lambda kind, by: either(kind))(kind, by)


def change_header_key(dice, b):
    key = dice.choice(["shape", "dtype", "channels", *TYPES])
    if key in ("shape", "dtype", "channels"):
        value = dice.choice({"shape": [[], [0], [2**53, 2**53], [1] * 8, "x", [-1], [1.5], None,
                                       [2**64]],
                             "dtype": ["int17", "", 5, None, "bool"],
                             "channels": [0, 2, -1, 2**63, "3", 5]}[key])
        b.hooks["record"] = setter("header", to=lambda header: {**header, key: value})
        return refused(f"header: {key}", HEADER)
    value = another_type(dice, TYPES[key])
    b.hooks["record"] = setter("header", to=lambda header: {**header, key: value})
    if value is None or value == {"a": 1} or key in ("source", "obs_id"):
        return either(f"header: {key} of another type")
    return refused(f"header: {key} of another type", HEADER)


SIZES = {"raw": 8, "crc": 4, "pack": 4, "offset": 8, "length": 8, "shuffled": 1, "axes": 1,
         "count": 2, "I": 2, "J": 4, "size": 4}


def change_record(dice, b):
    key = dice.choice([*SIZES, "chunk", "end", "extra"])
    by = (CAT if key in ("crc", "pack", "offset", "length", "shuffled") else
          HEADER if key in ("raw", "chunk") else VERIFY | LIST | CAT)
    found = {"by": by}

    def change(record):
        if key == "chunk":
            at = dice.randrange(len(record["chunk"]))
            value = edge(dice, 4, record["chunk"][at])
            record["chunk"][at] = value
            if 1 <= value <= record["header"]["shape"][at]:
                found["by"] = () if b.is_empty else CAT
        elif key == "end":
            record["end"] = dice.choice([b"\0", b"\0" * 6, b"x" * 1000])
        elif key == "extra":
            record["count"] = 1
            record["extras"] = struct.pack(
                "<BBIQI", dice.choice([0, 1, 2, 255]), dice.choice([1, 1, 2]), edge(dice, 4),
                edge(dice, 8), edge(dice, 4))
            found["by"] = CAT - {"vol-export --zarr out/zarr ds", "vol-cat --raw ds CT {id}"}
        else:
            old = {"I": len(record["id"]), "J": 0, "size": 0}.get(key)
            record[key] = edge(dice, SIZES[key], record[key] if old is None else old)
            if key == "shuffled" and record[key] > 1:
                found["by"] = VERIFY | LIST | CAT
            # With nothing stored there is nothing to be shuffled.
            elif key == "shuffled" and b.is_empty:
                found["by"] = ()
        return record

    b.hooks["record"] = change
    b.build()
    return Verdict(f"record: {key}", refuse=found["by"])


def change_block(dice, b):
    key = dice.choice(["S", "R", "count", "frame"])

    def change(block):
        if key == "frame":
            raw = zstandard.ZstdDecompressor().decompress(block["frame"])
            block["frame"] = dice.choice([
                zstd(raw, checksum=False), zstd(raw, size=False), zstd(raw) + zstd(b""),
                zstd(raw) + b"x", zstd(raw + bytes(50 << 20)), zstd(raw)[:-1], raw, b"",
                bytes(100), zstd(raw[:-1])])
        else:
            block[key] = edge(dice, 4, len(block["frame"]) if key == "S" else block[key])
        return block

    b.hooks["block"] = change
    return refused(f"block: {key}", VERIFY | LIST | {"vol-cat ds", "vol-cat -k ds"})


def change_index(dice, b):
    way = dice.choice(["another block", "an edge", "an edge", "an edge", "no order",
                       "one less", "one more", "one twice", "another key", "page",
                       "after the entries", "footer"])
    if way in ("page", "footer"):
        key = dice.choice(["K", "number", "zero"] if way == "page" else
                          ["magic", "records", "blocks", "at", "pages", "zero"])
        size = 4 if way == "page" or key == "zero" else 8
        b.hooks[way] = (setter(key, to=b"volcate2") if key == "magic" else
                        setter(key, to=lambda old: edge(dice, size, old)))
        return Verdict(f"{way}: {key}", refuse=VERIFY, also=FINDERS)
    if way == "after the entries":
        b.hooks["page"] = setter("rest", to=lambda rest: rest[:-1] + b"\1")
        return refused(f"index: {way}", VERIFY)

    def change(entries):
        wanted = hashlib.sha256(b.ids[b.first][b.victim].encode()).digest()[:16]
        at = [key for key, _ in entries].index(wanted)
        key, block = entries[at]
        if way in ("another block", "an edge"):
            others = [other for _, other in [*entries, (None, block + 16)] if other != block]
            edges = [2**64 - 1, 2**64 - 16, 2**64 - 2**14, edge(dice, 8, block)]
            entries[at] = key, dice.choice(edges) if way == "an edge" else others[0]
        elif way == "no order":
            entries = entries[::-1]
        elif way == "one less":
            del entries[at]
        elif way == "one more":
            entries = sorted([*entries, (dice.randbytes(16), block)])
        elif way == "one twice":
            entries.insert(at, entries[at])
        else:
            entries[at] = dice.randbytes(16), block
            entries.sort()
        return entries

    b.hooks["index"] = change
    return Verdict(f"index: {way}", refuse=VERIFY, also=FINDERS)


def change_shard(dice, b):
    way = dice.choice(["index", "index", "its CRC", "chunk", "chunk", "blob", "pack header",
                       "catalog header"])
    b.is_empty = False
    if way.endswith("header"):
        magic = b"volpack1" if way == "pack header" else b"volcat01"
        b.hooks[way] = lambda data: dice.choice([
            file_header(b"volpack2", b.first), file_header(magic, OTHER), bytes(32),
            data[:-1] + b"x", file_header(magic, b.first, edge(dice, 4, 0))])
        return either(way) if way == "pack header" else refused(way, VERIFY)
    if way == "index":
        def change(entries):
            at = next(n for n, entry in enumerate(entries) if entry[0] != ABSENT)
            start, length = entries[at]
            which = dice.randrange(3)
            entries[at] = ((edge(dice, 8, start), length) if which == 0 else
                           (start, edge(dice, 8, length)) if which == 1 else (0, ABSENT))
            return entries
        b.hooks["shard index"] = change
        return refused("shard: index", CAT | {"vol-cat --batch ds < asks"})
    if way == "its CRC":
        b.hooks["shard end"] = lambda data: data[:-1] + bytes([data[-1] ^ 1])
        return refused("shard: CRC of its index", CAT | VERIFY)
    if way == "blob":
        def change(blob):
            body = zstandard.ZstdDecompressor().decompress(blob)
            return dice.choice([zstd(body, checksum=False), zstd(body + b"x"), zstd(body[:-1]),
                                body, zstd(bytes(50 << 20)), blob[:-1], zstd(body, size=False)])
        b.hooks["blob"] = change
        # There may be no blob.
        return either("blob")
    fields = ["two", "one", "flags", "type", "N", "block", "total", "twenty", "Z"]
    key = dice.choice([*fields, "frame"])

    def change(chunk):
        values, frame = list(struct.unpack_from("<4B5I", chunk)), chunk[24:]
        if key == "frame":
            data = zstandard.ZstdDecompressor().decompress(frame)
            frame = dice.choice([zstd(data, checksum=False), zstd(data + bytes(50 << 20)),
                                 zstd(data[:-1]), frame + zstd(b""), bytes(len(frame)),
                                 zstd(data[::-1] + b"x")])
            values[6], values[8] = 24 + len(frame), len(frame)
        else:
            at = fields.index(key)
            values[at] = edge(dice, 1 if at < 4 else 4, values[at])
        return struct.pack("<4B5I", *values) + frame

    b.hooks["chunk"] = change
    return refused(f"chunk: {key}", CAT)


def change_subjects(dice, b):
    """A line of the subject table, or of a staged one."""
    name = dice.choice(["table", "table", "staged table"])
    by = SUBJECTS | {FULL} if name == "table" else frozenset({"vol-commit -q ds"})
    way = dice.choice(["blank line", "no last line feed", "no order", "cells", "type", "columns",
                       "head", "JSON", "JSON", "subject", "CRLF", "rows"])
    found = {"kind": way, "verdict": "refuse"}

    def change(lines):
        at = dice.randrange(1, len(lines))
        row, head = json.loads(lines[at]), json.loads(lines[0])
        if way == "blank line":
            lines.insert(dice.randint(0, len(lines)), dice.choice([b"", b" ", b"null", b"[]"]))
        elif way == "no order":
            lines.append(compact(["a", *row[1:]]))
        elif way == "cells":
            lines[at] = compact(dice.choice([row + [None], row[:-1], [], row + ["x"] * 5000]))
        elif way == "type":
            column, value = dice.choice([
                (0, 5), (1, "x"), (1, "01"), (1, ""), (1, 5), (1, "NaN"), (1, "+1"), (1, " 1"),
                (1, "1\n"), (2, "yes"), (2, "1"), (2, True), (2, "TRUE"), (3, "{"), (3, "[1,]"),
                (3, []), (3, "\u0001"), (3, "1 2")])
            lines[at] = compact([*row[:column], value, *row[column + 1:]])
        elif way == "columns":
            columns = head["columns"]
            head["columns"] = dice.choice([
                columns + [columns[1]], columns[1:] + columns[:1], [], columns[:3], None,
                [columns[0]] * 4, [{"type": "text"}] * 4, columns + [5],
                [{**column, "type": "date"} for column in columns],
                columns[:1] + [{"name": f"c{n}", "type": "text"} for n in range(4096)],
                [{**columns[0], "type": "json"}, *columns[1:]]])
            lines[0] = compact(head)
        elif way == "head":
            key, value = dice.choice([("format", "x"), ("version", 2), ("version", "1"),
                                      ("version", 0), ("format", None), ("columns", {})])
            lines[0] = compact({**head, key: value})
        elif way == "JSON":
            found["kind"], lines[0], found["verdict"] = spoil(dice, lines[0], False)
        elif way == "subject":
            text = dice.choice([None, *(text for _, text in FORBIDDEN)])
            lines[at] = compact([text, *row[1:]])
            lines[1:] = sorted(lines[1:], key=lambda line: (json.loads(line)[0] or "").encode())
        elif way == "CRLF":
            lines = [line + b"\r" for line in lines]
            found["verdict"] = "either"
        elif way == "rows":
            lines[1:] = [lines[at]] * dice.choice([2, 10_001])
            found["verdict"] = "refuse" if len(lines) > 5000 else "either"
        return lines

    b.hooks[name] = change
    if way == "no last line feed":
        b.hooks = {f"{name} bytes": lambda data: data[:-1]}
    b.build()
    kind = f"{name}: {'JSON: ' * (way == 'JSON')}{found['kind']}"
    return Verdict(kind, refuse=by if found["verdict"] == "refuse" else ())


def change_links(dice, b):
    """A symbolic link in place of an inner folder or file, to the same outside of the dataset."""
    b.build()
    folder = dice.choice(["manifests", "packs", "catalogs", "stages", "subjects"])
    by = {"manifests": EVERYBODY, "packs": CAT, "catalogs": LIST | CAT | VERIFY,
          "stages": STAGED - {"vol-write -q --skip-existing ds CT < same"},
          "subjects": SUBJECTS}[folder]
    files = [path for path in b.files if path.startswith(folder) and (
        b.first in path or path in ("manifests/0000000002.json", f"stages/{b.third}.json",
                                    f"subjects/{b.old_table}.subjects"))]
    path = dice.choice([folder, dice.choice(files)])

    def after(root):
        away = root.parent / "sibling" / "away"
        away.parent.mkdir(exist_ok=True)
        (root / path).rename(away)
        if away.is_dir():  # what vol-gc would take for its own
            for name in (f"{OTHER}-0000.pack", f"{OTHER}.catalog", f"{OTHER}.subjects"):
                (away / name).write_bytes(b"not yours")
        (root / path).symlink_to(os.path.relpath(away, (root / path).parent))

    b.hooks["after"] = after
    if path == folder:
        return refused(f"link: folder of {folder}", by | {GC})
    # One volume may well lie in another pack.
    return refused(f"link: file of {folder}", frozenset(
        command for command in by if folder != "packs" or "{id}" not in command))


def change_other_files(dice, b):
    """Files that are none of the dataset's own are nobody's business."""
    b.build()
    if dice.random() < 0.5:
        zeros = b" " + b"0" * 64 + b"\n"
        b.files["HEAD"] = dice.choice([b"", b"2", b"3 x\n", b"2" + zeros, b"99" + zeros, b"\xff\n",
                                       b"0" + zeros, bytes(100_000), b"2\n\n", b"-1\n"])
        return Verdict("HEAD", refuse=VERIFY, accept=EVERYBODY - VERIFY - {AXIAL})
    for folder in ("manifests", "packs", "catalogs", "stages", "subjects", "."):
        for name in ("x", "x.json", "1.json", "0000000003.jsonx", "00000000003.json", OTHER,
                     f"{OTHER}.jso", "\u202e", f"{OTHER[:-1]}.json", f"{OTHER.upper()}.json",
                     "a\nb", "+000000003.json"):
            b.files[f"{folder}/{name}"] = b"not yours"
    return accepted("other files", EVERYBODY - {AXIAL})


def change_manifest(dice, b):
    """What a manifest says as a whole."""
    way, change = dice.choice([
        ("a stage twice", lambda m: m["stages"].append(m["stages"][0])),
        ("totals", lambda m: m["collections"]["CT"].update(volumes=99)),
        ("another collection", lambda m: m["collections"].update(X=m["collections"]["CT"])),
        ("another dataset", lambda m: m.update(dataset_id=OTHER)),
        ("sums that overflow", lambda m: m["stages"][0].update(raw_bytes=2**64 - 1)),
        ("another format", lambda m: m.update(format="volpipe-stage")),
        ("no parent", lambda m: m.update(parent=None)),
        ("a table of no stages", lambda m: m["subjects"].update(stages=["../x"])),
        ("no packs", lambda m: m["stages"][0].update(packs=[])),
        ("a digest of no digits", lambda m: m["stages"][0]["catalog"].update(sha256="../x" * 16)),
        ("a stage of no digits", lambda m: m["stages"][0].update(stage="../x"))])
    b.hooks["manifest"] = lambda members: change(members) or members
    return refused(f"manifest: {way}", EVERYBODY)


def nothing_changed(dice, b):
    return accepted("nothing", EVERYBODY - {AXIAL})


DATASET_CHANGES = [change_document] * 3 + [change_key, change_dataset_name, change_subjects] * 3 + [
    change_header, change_record, change_index, change_shard] * 2 + [
    change_seal, change_time, change_path, change_two_forms, change_other_id, change_header_key,
    change_block, change_links, change_other_files, change_manifest, nothing_changed]


# Tables


META, TABLE = "vol-meta -q ds < table", "nifti-cat -q --table table"
TABLE_TOOLS = frozenset({META, TABLE})


class Table:
    """A valid table of three files and their subjects, as text of any of the forms."""

    def __init__(self, dice):
        self.dice = dice
        self.names = ["path", "obs_subject_id", "age", "note"]
        self.rows = [[f"v{n}.nii", f"s{n}", dice.choice(["41", "007", "1.50", "n/a", "", "-1e5"]),
                      dice.choice(["x", "\u00e9\u0301", "a b", "true"])] for n in range(3)]
        self.is_lines = dice.random() < 0.3
        self.separator = dice.choice("\t,;")
        self.end, self.quotes = dice.choice(["\n", "\r\n"]), dice.random() < 0.5

    def field(self, text):
        if self.quotes or any(mark in text for mark in '\t,;"\n\r'):
            return '"' + text.replace('"', '""') + '"'
        return text

    def lines(self):
        if self.is_lines:
            return [compact(dict(zip(self.names, row)), self.dice) for row in self.rows]
        return [self.separator.join(map(self.field, row)).encode(errors="surrogatepass")
                for row in (self.names, *self.rows)]

    def encode(self):
        end = b"\n" if self.is_lines else self.end.encode()
        return end.join(self.lines()) + end

    def expected(self):
        """The rows that come back, texts and None."""
        rows = [[None if text in ("", "n/a") else text for text in row] for row in self.rows]
        return sorted(rows, key=lambda row: row[1].encode())


def change_table(dice, t):
    way = dice.choice(["nothing", "subject", "subject", "two forms", "cells", "names twice",
                       "no UTF-8", "JSON", "JSON", "JSON", "path", "path", "obs_id", "no column",
                       "a mark", "blank lines", "open quote", "long line", "columns", "rows",
                       "values"])
    lines, by = None, TABLE_TOOLS
    both = frozenset({META}) if t.is_lines else TABLE_TOOLS
    if way == "subject":
        what, is_bad, text = draw_text(dice)
        t.rows[1][1] = text
        if not text:
            return refused("table: no subject", frozenset({META}))
        return refused(f"table: subject: {what}", both) if is_bad else accepted(
            f"table: subject: {what}", both)
    if way == "two forms":
        t.rows[0][1], t.rows[1][1] = "Jos\u00e9", "Jose\u0301"
        return accepted("table: subjects in two forms", both)
    if way == "values":
        t.rows[0][3] = dice.choice(["\x1b[2J", "\u009b", "\u202e", "a\nb", 'a"b', "x" * 100_000,
                                    "\x7f", "=1+1"])
        t.rows[1][2] = dice.choice(["1e400", "9" * 400, "NaN", "-0", "1E5", "0x10",
                                    "9007199254740993"])
        return accepted("table: odd values", both)
    if way == "obs_id":
        what, is_bad, text = draw_text(dice)
        t.names.append("obs_id")
        t.rows = [[*row, f"i{n}" if n else text] for n, row in enumerate(t.rows)]
        t.is_lines = False
        # A field that is empty says nothing.
        return refused(f"table: obs_id: {what}", frozenset({TABLE})) if is_bad and text else (
            accepted(f"table: obs_id: {what}", TABLE_TOOLS))
    if way == "no column":
        gone = dice.choice(["path", "obs_subject_id"])
        t.rows = [[value for name, value in zip(t.names, row) if name != gone] for row in t.rows]
        t.names.remove(gone)
        return refused(f"table: no {gone}", frozenset({TABLE if gone == "path" else META}))
    if way == "path":
        what, text = dice.choice([
            ("a folder", "."), ("missing", "none.nii"), ("another file", "/etc/passwd"),
            ("empty", ""), ("a FIFO", "fifo.nii"), ("a link to itself", "loop.nii"),
            ("a NUL", "v0.nii\0"), ("a device", "/dev/zero"), ("above", "../../" * 50),
            ("a line feed", "a\nb"), ("long", "x" * 5000)])
        t.rows[1][0], t.is_lines = text, False
        return refused(f"table: path: {what}", frozenset({TABLE}))
    if way == "long line":
        size = dice.choice([900_000, 2_000_000])
        t.rows[1][3] = "x" * size
        return refused("table: a line over 1 MiB", both) if size > 1 << 20 else accepted(
            "table: a long line", both)
    if way == "columns":
        count = dice.choice([4000, 5000])
        t.names = t.names + [f"c{n}" for n in range(count)]
        t.rows = [row + ["1"] * count for row in t.rows]
        if count > 4096:
            return refused("table: over 4,096 columns", frozenset({META}))
        return accepted("table: many columns", both)
    if way == "rows":
        t.rows = [t.rows[0]] * (10_001 if dice.random() < 0.2 else 9)
        if len(t.rows) > 10_000:
            return refused("table: over 10,000 rows of a subject", frozenset({META}))
        return accepted("table: rows of one subject", both)
    lines = t.lines()
    at = dice.randrange(len(lines))
    if way == "JSON":
        t.is_lines = True
        lines = t.lines()
        at = dice.randrange(len(lines))
        kind, text, verdict = spoil(dice, lines[at], False)
        # Line ends end lines, empty ones are passed over, and what begins with no { is another
        # form of table.
        if kind == "white space" or not text.strip() or at == 0 and text[:1] != b"{":
            verdict = "either"
        lines[at] = text
        verdict = Verdict(f"table: JSON: {kind}", refuse={META} if verdict == "refuse" else ())
    elif way == "cells":
        t.is_lines = False
        lines = t.lines()
        at = dice.randrange(1, len(lines))
        lines[at] = lines[at] + t.separator.encode() if dice.random() < 0.5 else (
            lines[at].rpartition(t.separator.encode())[0])
        verdict = refused("table: fields", by)
    elif way == "names twice":
        t.is_lines = False
        t.names[3] = dice.choice(["age", "obs_subject_id", "path"])
        lines, verdict = t.lines(), refused("table: a name twice", by)
    elif way == "no UTF-8":
        at = dice.randrange(1, len(lines)) if not t.is_lines else at
        bad = dice.choice([b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xc0\xaf"])
        lines[at] = lines[at][:-1] + bad + lines[at][-1:]
        verdict = refused("table: no UTF-8", both)
        if t.is_lines:
            lines[at] = lines[at].replace(bad, b"").replace(b":\"s", b":\"" + bad + b"s", 1)
    elif way == "a mark":
        t.is_lines = False
        lines, verdict = t.lines(), accepted("table: a byte-order mark", by)
        lines[0] = b"\xef\xbb\xbf" + lines[0]
    elif way == "blank lines":
        t.is_lines = False
        lines, verdict = t.lines(), accepted("table: blank lines", by)
        lines.insert(dice.randint(1, len(lines)), b"")
    elif way == "open quote":
        t.is_lines = t.quotes = False
        lines, verdict = t.lines(), either("table: a quote")
        lines[at] = dice.choice([b'"' + lines[at], lines[at] + b'"', lines[at] + b'\t"a"b'])
    else:
        verdict = accepted("nothing", both)
    data = b"\n".join(lines) + b"\n"
    t.encode = lambda: data
    return verdict


# Running


@dataclass
class Run:
    status: int  # below 0: minus the signal
    is_late: bool
    out: bytes
    err: bytes
    memory: int


class Late(Exception):
    pass


def documented():
    """{tool: the exit statuses of its manual}."""
    result = {}
    for page in (REPO / "man").glob("*.1"):
        text = page.read_text().partition(".Sh EXIT STATUS")[2].partition("\n.Sh")[0]
        result[page.stem] = {int(number) for number in re.findall(r"^\.It (\d+)$", text, re.M)}
    return result


def tree(folder, but=None):
    """What is below a folder: enough of it to see any change, without reading files."""
    found = {}
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.path == but:
                continue
            info = entry.stat(follow_symlinks=False)
            is_folder = stat.S_ISDIR(info.st_mode)
            # Folders change their time when a temporary file comes and goes.
            found[entry.path] = (info.st_mode, info.st_ino) + (
                () if is_folder else (info.st_size, info.st_mtime_ns, info.st_nlink))
            if is_folder:
                found.update(tree(entry.path, but))
    return found


class Box:
    """A scratch folder that stays, in the midst of files that are nobody's to touch."""

    def __init__(self, scratch):
        self.top = Path(tempfile.mkdtemp(prefix="storm-", dir=scratch))
        self.box = self.top / "above" / "folder" / "box"
        self.box.mkdir(parents=True)
        (self.top / "tmp").mkdir()
        for folder in (self.top, *self.box.parents[:2], self.box):
            for name in ("x", "x.pack", "x.catalog", "pwn"):
                (folder / name).write_bytes(b"not yours")
        self.environment = {"PATH": str(BIN), "TMPDIR": str(self.top / "tmp"), "LC_ALL": "C.UTF-8",
                            "SWIFT_BACKTRACE": "enable=no"}
        if "LD_LIBRARY_PATH" in os.environ:
            self.environment["LD_LIBRARY_PATH"] = os.environ["LD_LIBRARY_PATH"]
        self.pipes = [os.memfd_create(name) for name in ("out", "err")]
        os.chdir(self.box)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        # What runs away is to end by a signal, and not to take the machine with it.
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 29, 1 << 29))
        resource.setrlimit(resource.RLIMIT_AS, (4 << 30, resource.RLIM_INFINITY))
        signal.signal(signal.SIGALRM, self.ring)

    def ring(self, *_):
        raise Late

    def clear(self, *names):
        for name in names:
            path = self.box / name
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)

    def run(self, argv, stdin="/dev/null", terminal=None):
        for pipe in self.pipes:
            os.ftruncate(pipe, 0)
            os.lseek(pipe, 0, os.SEEK_SET)
        out, err = (terminal, terminal) if terminal else self.pipes
        actions = [(os.POSIX_SPAWN_OPEN, 0, stdin, os.O_RDONLY, 0), (os.POSIX_SPAWN_DUP2, out, 1),
                   (os.POSIX_SPAWN_DUP2, err, 2)]
        child = os.posix_spawn(BIN / argv[0], argv, self.environment, file_actions=actions,
                               setsigdef=[signal.SIGPIPE, signal.SIGXFSZ])
        is_late = False
        signal.setitimer(signal.ITIMER_REAL, SECONDS)
        try:
            _, status, usage = os.wait4(child, 0)
        except Late:
            is_late = True
            os.kill(child, signal.SIGKILL)
            _, status, usage = os.wait4(child, 0)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        texts = [os.pread(pipe, 1 << 28, 0) for pipe in self.pipes]
        return Run(os.waitstatus_to_exitcode(status), is_late, *texts, usage.ru_maxrss)

    def on_terminal(self, argv, stdin="/dev/null"):
        """What a command shows on a terminal."""
        ours, theirs = os.openpty()
        shown = b""
        try:
            self.run(argv, stdin, theirs)
            os.set_blocking(ours, False)
            while part := os.read(ours, 1 << 16):
                shown += part
        except OSError:
            pass
        finally:
            os.close(ours)
            os.close(theirs)
        return shown.decode(errors="replace").replace("\r\n", "\n")


STATUSES = documented()


def strict(text):
    """JSON by RFC 8259, and in UTF-8."""
    def fail(name):
        raise ValueError(f"{name} is no JSON")
    return json.loads(text.decode(), parse_constant=fail)


def general_faults(command, run):
    """What no tool may do, whatever it is given."""
    tool = command.split()[0]
    if run.is_late:
        return [f"runs over {SECONDS} s"]
    if run.status < 0:
        return [f"dies of {signal.Signals(-run.status).name}"]
    faults = []
    if run.status not in STATUSES[tool] or run.status == 70:
        faults.append(f"ends with status {run.status}")
    # A child has at least the peak of the process that made it.
    if run.memory > max(MEMORY_KIB, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss):
        faults.append("takes over 300 MB")
    try:
        text = run.err.decode()
        if CONTROL.search(text):
            faults.append("raw control character in a message")
    except UnicodeDecodeError:
        faults.append("message is no UTF-8")
    if len(run.err) > STDERR_BYTES:
        faults.append("message over 20,000 bytes")
    lines = [line for line in run.err.split(b"\n")[:-1] if b" was dropped: " not in line]
    goes_on = " -k " in command or tool == "vol-verify"
    has_one = len(lines) == 1 or run.status in (0, 1) or goes_on
    if not has_one or run.err and not run.err.endswith(b"\n"):
        faults.append("message is not one line")
    if any(not line.startswith(tool.encode() + b": ") for line in lines):
        faults.append("message without the tool's name")
    return faults + output_faults(command, run)


def output_faults(command, run):
    """Standard output is what the command promises."""
    words, faults = command.split(), []
    try:
        if "--json" in words:
            for line in run.out.split(b"\n")[:-1]:
                strict(line)
            if run.out and not run.out.endswith(b"\n"):
                faults.append("last line of JSON without its end")
        elif ("--refs" in words or "--manifest" in words) and run.status == 0:
            strict(run.out)
        elif words[0] in ("vol-ls", "vol-verify") and CONTROL.search(run.out.decode()):
            faults.append("raw control character on standard output")
        elif words[0] in ("frame-filter", "nifti-cat", "vol-cat") and run.status in (0, 1):
            if not {"--raw", "--batch"} & set(words):
                frames_of(run.out)
    except UNREADABLE:
        faults.append("standard output is not what it should be")
    return faults


def frames_of(data):
    """(header, CRC-32 of the voxels) of each volume that is whole."""
    found = []
    for kind, header, body in read_frames(io.BytesIO(data)):
        if kind == OPEN:
            volume, crc = header, 0
        elif kind == DATA:
            crc = zlib.crc32(body, crc)
        elif kind == CLOSE:
            found.append((volume, crc))
    return found


def is_refusal(command, run):
    goes_on = " -k " in command or command.startswith("vol-verify")
    return run.status != 0 and (run.status != 1 or goes_on)


def place(kept, kind):
    """The folder of a kind's first input."""
    return Path(kept) / hashlib.sha256(kind.encode()).hexdigest()[:12]


class Storm:
    """Runs inputs by their numbers; each is drawn by the seed, the family and the number alone."""

    def __init__(self, seed, scratch, kept):
        self.seed, self.kept, self.box = seed, Path(kept), Box(scratch)
        self.findings, self.runs = Counter(), 0
        self.sources = []
        for number, version in enumerate((nibabel.Nifti1Image, nibabel.Nifti2Image)):
            voxels = np.arange(24, dtype="i2").reshape(2, 3, 4)
            nibabel.save(version(voxels, np.diag([2, 2, 3, 1])), f"v{number}.nii")
        nibabel.save(nibabel.Nifti1Pair(voxels, np.eye(4)), "v2.hdr")
        shutil.copy("v0.nii", "v2.nii")
        run = self.box.run(["nifti-cat", "-q", "v0.nii", "v1.nii", "v2.hdr"])
        for kind, header, body in read_frames(io.BytesIO(run.out)):
            if kind == OPEN:
                self.sources.append([])
            if kind != END:
                self.sources[-1].append(Frame(kind, header or None, body))
        os.mkfifo("fifo.nii")
        os.symlink("loop.nii", "loop.nii")
        filler = Frame(OPEN, {"name": "new1", "obs_id": "new1", "shape": [1], "dtype": "uint8"})
        Path("new").write_bytes(b"".join(frame.encode() for frame in [
            filler, Frame(DATA, body=b"x"), Frame(CLOSE, {"voxels": 1, "crc32": zlib.crc32(b"x")}),
            Frame(END, {"volumes": 1, "dropped": 0})]))
        Path("rows").write_bytes(b"obs_subject_id,age\ns9,5\n")

    def one(self, family, number):
        self.dice = random.Random(f"{self.seed}/{family}/{number}")
        self.name, self.verdict = f"{family}:{number}", None
        self.box.clear("ds", "out", "sibling", "same", "asks", "table", "stream")
        getattr(self, family)()

    def note(self, command, fault, run=None):
        """Count a finding; keep what is needed to look at it again, once a kind."""
        kind = f"{self.name.partition(':')[0]} | {self.verdict.kind} | {fault}"
        self.findings[kind, command] += 1
        folder = place(self.kept, kind)
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            return
        for name in ("ds", "stream", "table", "same", "asks", "sibling"):
            if os.path.isdir(name):
                shutil.copytree(name, folder / name, symlinks=True)
            elif os.path.exists(name):
                shutil.copy(name, folder / name)
        text = f"{self.name} of seed {self.seed}\n{kind}\n{command}\n"
        if run:
            text += f"status {run.status}, {run.memory >> 10} MB\nstderr: {run.err[:2000]!r}\n"
            text += f"stdout: {run.out[:2000]!r}\n"
        (folder / "finding.txt").write_text(text)

    def try_(self, command, argv=None, stdin="/dev/null", may_write=()):
        """Run a command; note what is wrong with it whatever the input was."""
        argv = argv or command.partition(" < ")[0].split()
        allowed = str(self.box.box / may_write[0]) if may_write else None
        before = tree(self.box.top, allowed)
        run = self.box.run(argv, stdin)
        self.runs += 1
        for fault in general_faults(command, run):
            self.note(command, fault, run)
        planted = [path for path in (ABSOLUTE, f"{ABSOLUTE}.nii") if os.path.lexists(path)]
        if planted or tree(self.box.top, allowed) != before:
            self.note(command, "changes what it was not given", run)
            for path in planted:
                Path(path).rename(self.kept / "planted")
        wanted = self.verdict.of(command)
        if run.is_late or run.status < 0:
            return run
        # Each answer of a batch is judged for itself.
        if wanted == "refuse" and not is_refusal(command, run) and "--batch" not in argv:
            self.note(command, "takes what is forbidden", run)
        elif wanted == "accept" and run.status not in (0, 1) or (
                wanted == "accept" and is_refusal(command, run)):
            self.note(command, "refuses what is allowed", run)
        return run

    def wrong(self, command, run, found, truth):
        """Note volumes that are not those that were stored."""
        if any(crc != truth.get(obs_id, crc) for obs_id, crc in found):
            self.note(command, "gives other voxels", run)
        ids = [obs_id for obs_id, _ in found]
        if self.verdict.of(command) == "accept" and sorted(ids) != sorted(truth):
            self.note(command, "gives other volumes", run)

    def streams(self):
        stream = Stream(self.dice, self.sources)
        change = self.dice.choice(STREAM_CHANGES)
        self.verdict = (change if stream.pick(OPEN) else nothing)(self.dice, stream)
        data = stream.encode()
        Path("stream").write_bytes(data)
        try:
            volumes = frames_of(data)
        except UNREADABLE:
            volumes = []
        for command, folder in STREAM_TOOLS.items():
            argv = command.split()
            if command == FILTER:
                argv = ["frame-filter", "shape"]
            elif command == WRITE and not volumes and self.verdict.of(command) == "accept":
                continue  # a stream without volumes is refused there
            run = self.try_(command, argv, "stream", (folder,) if folder else ())
            if run.status in (0, 1) and volumes and self.verdict.refuse is not ALL:
                self.check_stream(command, run, volumes)
        if self.verdict.kind.endswith("bidi"):
            self.check_terminal(["vol-ls", "-"], "stream")

    def check_stream(self, command, run, volumes):
        """What came of a stream that was taken."""
        if command == FILTER:
            try:
                if frames_of(run.out) != volumes:
                    self.note(command, "gives other volumes", run)
            except UNREADABLE:
                pass  # noted before
        elif command == WRITE:
            wanted = [(header.get("obs_id"), crc) for header, crc in volumes]
            try:
                made = [(volume.obs_id, volume.crc32) for stage in staged("ds").values()
                        for volume in stage if volume.array() is not None]
            except Exception as error:
                self.note(command, f"writes what is no stage: {type(error).__name__}", run)
                return
            if len(made) != len(wanted) or any(
                    crc != other or obs_id not in (None, name)
                    for (obs_id, crc), (name, other) in zip(wanted, made)):
                self.note(command, "stages other volumes", run)
        elif command == "vol-ls --json -":
            lines = run.out.split(b"\n")[:-1]
            names = [(header.get("obs_id"), header.get("name")) for header, _ in volumes]
            listed = []
            for line in lines:
                try:
                    header = strict(line)
                    listed.append((header.get("obs_id"), header.get("name")))
                except UNREADABLE:
                    return  # noted before
            if listed != names:
                self.note(command, "lists other volumes", run)

    def check_terminal(self, argv, stdin="/dev/null"):
        shown = self.box.on_terminal(argv, stdin)
        if BIDI.search(shown):
            self.note(" ".join(argv), "raw bidirectional mark on a terminal")
        if CONTROL.search(re.sub("\x1b\\[[0-9;]*m", "", shown)):
            self.note(" ".join(argv), "raw control character on a terminal")

    def datasets(self):
        builder = Builder(self.dice)
        self.verdict = self.dice.choice(DATASET_CHANGES)(self.dice, builder)
        builder.files or builder.build()
        self.victim = builder.ids[builder.first][builder.victim]
        Path("same").write_bytes(builder.same)
        # Of what a line of a request can say, and is committed.
        committed = [obs_id for obs_id in builder.truth if obs_id not in builder.ids[builder.third]]
        self.asked = [obs_id for obs_id in committed if re.fullmatch(r"[^\s\0-\x1f\x7f]+", obs_id)]
        asks = "".join(f"{obs_id} :\n" for obs_id in [*self.asked, "nobody"])
        Path("asks").write_bytes(asks.encode())
        known = [command for command in COMMANDS
                 if self.verdict.of(command) != "either" or command in self.verdict.also]
        others = [command for command in COMMANDS if command not in known]
        commands = self.dice.sample(known, min(6, len(known)))
        commands += self.dice.sample(others, min(2 + (not known) * 4, len(others)))
        builder.write(Path("ds"))
        is_changed = False
        for command in sorted(commands, key=lambda command: command.startswith(CHANGING)):
            if "{id}" in command and ("\0" in self.victim or not self.victim):
                continue
            if is_changed:
                self.box.clear("ds", "sibling")
                builder.write(Path("ds"))
            is_changed = command.startswith(CHANGING)
            self.on_dataset(command, builder)
        if self.verdict.kind.endswith("bidi"):
            self.check_terminal(["vol-ls", "ds", "CT"])
            self.check_terminal(["vol-ls", "ds"])

    def on_dataset(self, command, builder):
        line, _, stdin = command.partition(" < ")
        argv = line.split()
        if "{id}" in argv:
            argv = [word for word in argv if word not in ("{id}", "ds", "CT")] + ["--", "ds"] + [
                "CT"] * ("CT" in argv) + [self.victim]
        folder = {"vol-export": "out"}.get(argv[0], "ds" if command.startswith(CHANGING) else None)
        before = {path for path, info in tree("ds").items() if not stat.S_ISDIR(info[0])}
        run = self.try_(command, argv, stdin or "/dev/null", (folder,) if folder else ())
        if folder == "out":
            self.box.clear("out")
        if run.is_late or run.status < 0:
            return
        if is_refusal(command, run) and folder == "ds" and command != GC:
            after = {path for path, info in tree("ds").items() if not stat.S_ISDIR(info[0])}
            if after != before:
                self.note(command, "refuses, and changes the dataset", run)
        truth = {obs_id: crc for obs_id, crc in builder.truth.items()
                 if obs_id not in builder.ids[builder.third]}
        if run.status in (0, 1):
            self.check_dataset(command, run, builder, truth)

    def check_dataset(self, command, run, builder, truth):
        """What came of a dataset that was taken."""
        is_sound = self.verdict.of(command) == "accept"
        if command in ("vol-cat ds", "vol-cat -k ds", "vol-cat ds CT {id}"):
            try:
                found = [(header.get("obs_id"), crc) for header, crc in frames_of(run.out)]
            except UNREADABLE:
                return  # noted before
            if "{id}" in command:
                truth = {self.victim: truth.get(self.victim)}
            self.wrong(command, run, found, truth)
        elif command == "vol-cat --raw ds CT {id}":
            if zlib.crc32(run.out) != truth.get(self.victim, zlib.crc32(run.out)):
                self.note(command, "gives other voxels", run)
        elif command.startswith("vol-cat --batch"):
            self.check_answers(command, run, truth)
        elif command == "vol-ls --json ds CT" and is_sound:
            listed = [strict(line).get("obs_id") for line in run.out.split(b"\n")[:-1]]
            if listed != builder.ids[builder.first]:
                self.note(command, "lists other volumes", run)
        elif command.startswith(CHANGING) and is_sound:
            for path in [path for path, data in builder.files.items() if data == b"not yours"]:
                try:
                    Path("ds", path).unlink()
                except FileNotFoundError:
                    self.note(command, "removes a file that is none of the dataset's", run)
            try:
                dataset = Dataset("ds", gaps=True)
                kept = set(truth) - ({self.victim} if command.startswith("vol-rm") else set())
                assert kept <= set(dataset.volumes), "a volume is gone"
                for obs_id in kept:
                    dataset[obs_id].array()
            except Exception as error:
                if not self.verdict.kind.startswith("HEAD"):
                    self.note(command, f"leaves no dataset: {str(error)[:60]}", run)

    def check_answers(self, command, run, truth):
        at = 0
        for obs_id in [*self.asked, "nobody"]:
            end = run.out.find(b"\n", at)
            if end < 0:
                if run.status == 0:
                    self.note(command, "gives too few answers", run)
                return
            try:
                answer = strict(run.out[at:end])
            except ValueError:
                return self.note(command, "answer is no JSON", run)
            at = end + 1
            if "error" in answer:
                if self.verdict.of(command) == "accept" and obs_id != "nobody":
                    self.note(command, "refuses what is allowed", run)
                continue
            voxels = run.out[at:at + answer["bytes"]]
            at += answer["bytes"]
            if obs_id == "nobody" or zlib.crc32(voxels) != truth[obs_id]:
                self.note(command, "gives other voxels", run)
            elif obs_id == self.victim and self.verdict.of(command) == "refuse":
                self.note(command, "takes what is forbidden", run)

    def tables(self):
        table = Table(self.dice)
        self.verdict = change_table(self.dice, table)
        Path("table").write_bytes(table.encode())
        if len(table.rows) < 1000:
            self.try_(TABLE, stdin="/dev/null")
        run = self.try_(META, stdin="table", may_write=("ds",))
        if run.status == 0 and self.verdict.refuse != {META} and META not in self.verdict.refuse:
            self.check_table(table)

    def check_table(self, table):
        """What was staged comes back, text for text."""
        kind, self.verdict = self.verdict, accepted(self.verdict.kind)
        self.try_("vol-commit -q ds", may_write=("ds",))
        run = self.try_("vol-meta --json ds")
        self.verdict = kind
        if self.verdict.of(META) != "accept" or run.status:
            return
        try:
            rows = [strict(line) for line in run.out.split(b"\n")[:-1]]
        except UNREADABLE:
            return  # noted before
        wanted = table.expected()
        is_same = len(rows) == len(wanted) and all(
            row.get(name) == text or text is not None and is_value(text, row.get(name))
            for row, texts in zip(rows, wanted) for name, text in zip(table.names, texts))
        if not is_same:
            self.note("vol-meta --json ds", "gives other rows", run)


def is_value(text, value):
    """Whether a text is the JSON of a number or a boolean."""
    try:
        return json.loads(text) == value
    except ValueError:
        return False


def begin(seed, scratch, kept):
    """Make a worker of this process."""
    global worker
    worker = Storm(seed, scratch, kept)


def work(job):
    """One input: its findings, and how many runs it took."""
    worker.findings, worker.runs = Counter(), 0
    try:
        worker.one(*job)
    except Exception as error:
        raise RuntimeError(f"input {job} of seed {worker.seed}") from error
    return worker.findings, worker.runs


def storm(counts, seed, kept, processes=2, say=lambda text: None):
    """Inputs of each family by number, from 0: (Counter of findings, number of runs).

    `counts` has how many of each family, or a list of numbers. Interrupted, it ends early.
    """
    families = {family: range(count) if isinstance(count, int) else count
                for family, count in counts.items()}
    jobs = sorted(((family, number) for family in families for number in families[family]),
                  key=lambda job: job[1] / (max(families[job[0]]) + 1))
    kept = Path(kept).resolve()
    kept.mkdir(parents=True, exist_ok=True)
    findings, runs = Counter(), 0
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    scratch = tempfile.mkdtemp(prefix="storm-", dir=memory)
    # New processes, and not copies of this one, so that they begin small.
    fresh = multiprocessing.get_context("spawn")
    try:
        with fresh.Pool(processes, begin, (seed, scratch, kept)) as pool:
            results = pool.imap_unordered(work, jobs, chunksize=5)
            for number, (found, count) in enumerate(results, 1):
                findings.update(found)
                runs += count
                say(f"\r{number} of {len(jobs)} inputs, {runs} runs, {findings.total()} findings ")
    except KeyboardInterrupt:
        say("interrupted\n")
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return findings, runs


def report(findings, kept):
    """The kinds of findings, the most frequent first, by what commands, and where the first is."""
    kinds = {}
    for (kind, command), count in findings.items():
        kinds.setdefault(kind, Counter())[command] = count
    return "\n".join(
        f"{sum(by.values()):>6}  {kind}\n        {place(kept, kind)}: "
        + ", ".join(f"{command} ({count})" for command, count in by.most_common())
        for kind, by in sorted(kinds.items(), key=lambda item: -sum(item[1].values())))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for family, count in (("streams", 10_000), ("datasets", 4000), ("tables", 1000)):
        parser.add_argument(f"--{family}", type=int, default=count)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", help="one input, as in streams:123")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--keep", default=None, help="the folder for what fails")
    arguments = parser.parse_args()
    kept = arguments.keep or tempfile.mkdtemp(prefix="storm-")
    counts = {family: getattr(arguments, family) for family in ("streams", "datasets", "tables")}
    if arguments.only:
        family, _, number = arguments.only.partition(":")
        counts, arguments.processes = {family: [int(number)]}, 1
    start = time.monotonic()
    say = sys.stderr.write if sys.stderr.isatty() else lambda text: None
    findings, runs = storm(counts, arguments.seed, kept, arguments.processes, say)
    seconds = time.monotonic() - start
    print(f"{runs} runs in {seconds:.0f} s, {runs / seconds:.0f} a second; "
          f"{findings.total()} findings of {len({kind for kind, _ in findings})} kinds")
    if findings:
        print(report(findings, kept))
    return bool(findings)


if __name__ == "__main__":
    sys.exit(main())
