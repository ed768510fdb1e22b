"""Streams of frames, and one change to each."""

import io
import struct
import zlib
from dataclasses import dataclass, field
from math import prod

import numpy as np
from frames import CLOSE, DATA, DROP, DTYPES, END, EXTRA, MAX_EXTRAS, OPEN, read_frames
from storm_json import UNREADABLE, another_type, compact, spoil
from storm_verdicts import (ALL, CONTROL, EDGES, Verdict, accepted, draw_text, edge, either,
                            refused)

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
    if header.get("channels", 1) > 1:  # NIfTI has no scaling of colours
        del more["slope"], more["intercept"]
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
