"""Five hundred files whose headers are drawn at random: each comes back byte for byte.

The bytes are put together here, by the offsets of nifti1.h and nifti2.h, and by no library. A
field that nothing depends on is noise; the others are what nifti-cat(1) reads, with or without a
quirk. The seed is fixed, so that what fails once fails again.
"""

import base64
import gzip
import io
import struct

import numpy as np
import pytest
import zstandard
from frames import OPEN, read_frames
from support import ok

COUNT = 500
TYPES = {2: 8, 4: 16, 8: 32, 16: 32, 32: 64, 64: 64, 128: 24, 256: 8, 512: 16, 768: 32, 1024: 64,
         1280: 64, 1792: 128, 2304: 32}
# Offset and struct code of each field that is not noise, in NIfTI-1 and in NIfTI-2.
FIELDS = {
    "sizeof_hdr": ((0, "i"), (0, "i")),
    "dim": ((40, "8h"), (16, "8q")),
    "datatype": ((70, "h"), (12, "h")),
    "bitpix": ((72, "h"), (14, "h")),
    "pixdim": ((76, "8f"), (104, "8d")),
    "vox_offset": ((108, "f"), (168, "q")),
    "scaling": ((112, "2f"), (176, "2d")),
    "xyzt_units": ((123, "B"), (500, "i")),
    "codes": ((252, "2h"), (344, "2i")),
    "quaternion": ((256, "6f"), (352, "6d")),
    "srow": ((280, "12f"), (400, "12d")),
}
MAGIC = {1: (344, b"n+1\0", b"ni1\0"), 2: (4, b"n+2\0\r\n\x1a\n", b"ni2\0\r\n\x1a\n")}
NAN, INF = float("nan"), float("inf")


class Dice:
    """Draws a file."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)

    def noise(self, most, least=0):
        return self.rng.bytes(int(self.rng.integers(least, most + 1)))

    def one(self, *choices):
        return choices[self.rng.integers(len(choices))]

    def chance(self, probability):
        return self.rng.random() < probability

    def numbers(self, count):
        """Sane ones, a mix with what is no number, or all that eight bytes can be."""
        kind = self.rng.integers(3)
        sane = (self.rng.normal(size=count) * 3).tolist()
        if kind == 0:
            return sane
        if kind == 1:
            return [self.one(value, value, 0.0, -0.0, 1.0, NAN, INF, -INF) for value in sane]
        return None

    def extensions(self):
        chain = b""
        for _ in range(self.rng.integers(4)):
            size = 16 * int(self.rng.integers(1, 6))
            chain += struct.pack(self.order + "2i", size, int(self.rng.integers(-2, 50)))
            chain += self.rng.bytes(size - 8)
        return chain

    def set(self, field, *values):
        at, code = FIELDS[field][self.version - 1]
        struct.pack_into(self.order + code, self.header, at, *values)

    def set_numbers(self, field, count):
        """If they are to be anything, then the noise that is there."""
        values = self.numbers(count)
        if values is not None:
            self.set(field, *values)

    def draw(self):
        """(parts, header): the uncompressed files by their ending, and the raw header."""
        self.version, self.order, pair = self.one(1, 2), self.one("<", ">"), self.chance(0.3)
        size = {1: 348, 2: 540}[self.version]
        self.header = bytearray(self.rng.bytes(size))
        self.set("sizeof_hdr", size)
        at, single_magic, pair_magic = MAGIC[self.version]
        self.header[at:at + len(single_magic)] = pair_magic if pair else single_magic

        axes = int(self.rng.integers(1, 8))
        shape = [int(length) for length in self.rng.integers(1, (40, 12, 9, 4, 3, 3, 3))[:axes]]
        lengths = FIELDS["dim"][self.version - 1]
        beyond = struct.unpack_from(self.order + lengths[1], self.header, lengths[0])[axes + 1:]
        self.set("dim", axes, *shape, *beyond)
        datatype = self.one(*TYPES)
        self.set("datatype", datatype)
        self.set("bitpix", TYPES[datatype] if self.chance(0.9) else int(self.rng.integers(200)))
        voxels = self.rng.bytes(int(np.prod(shape)) * TYPES[datatype] // 8)

        self.set_numbers("scaling", 2)
        self.set_numbers("pixdim", 8)
        self.set_numbers("quaternion", 6)
        self.set_numbers("srow", 12)
        if self.chance(0.8):
            self.set("codes", *self.rng.integers(-1, 6, 2).tolist())
        if self.chance(0.7):
            self.set("xyzt_units", self.one(0, 1, 2, 3) + self.one(0, 8, 16, 24, 32, 40, 48))

        chain = self.extensions()
        flag = self.noise(4, 4) if self.chance(0.1) else bytes([bool(chain), 0, 0, 0])
        if pair:
            gap = self.noise(50) if self.chance(0.3) else b""
            self.set("vox_offset", len(gap))
            tail = flag + chain + self.noise(20) if chain or self.chance(0.7) else b""
            parts = {".hdr": bytes(self.header) + tail, ".img": gap + voxels + self.noise(40)}
        else:
            lead = flag + chain + (self.noise(60) if self.chance(0.4) else b"")
            offset = size + len(lead)
            if lead[4:] == b"" and self.chance(0.2):
                offset = 0
            elif self.version == 1 and self.chance(0.1):
                offset += 0.5
            self.set("vox_offset", offset)
            trailing = self.noise(40) if self.chance(0.4) else b""
            parts = {".nii": bytes(self.header) + lead + voxels + trailing}
        return parts, bytes(self.header)

    def packed(self, part, data):
        """Plain, or one or two gzip members or zstd frames; and endings that need not be true."""
        kind = self.one("none", "gzip", "zstd")
        pack = {"none": bytes, "zstd": zstandard.compress,
                "gzip": lambda part: gzip.compress(part, mtime=0)}[kind]
        cut = int(self.rng.integers(1, len(data))) if kind != "none" and self.chance(0.3) else 0
        ending = {"none": "", "gzip": ".gz", "zstd": ".zst"}[kind]
        if self.chance(0.2):
            ending = self.one("", ".gz", ".zst")
        part += ending
        stored = (pack(data[:cut]) if cut else b"") + pack(data[cut:])
        return self.one(part, part, part.upper()), stored


@pytest.fixture(scope="module")
def drawn(tools, tmp_path_factory):
    """A folder of the files, {name of a file to come: its bytes}, and {name: raw header}."""
    box, dice, parts, raw = tmp_path_factory.mktemp("random"), Dice(1), {}, {}
    (box / "in").mkdir()
    for number in range(COUNT):
        files, raw[f"{number:03}"] = dice.draw()
        for part, data in files.items():
            parts[f"{number:03}{part}"] = data
            ending, stored = dice.packed(part, data)
            (box / "in" / f"{number:03}{ending}").write_bytes(stored)
    return box, parts, raw


def compare(folder, parts):
    made = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert set(made) == set(parts), sorted(set(made) ^ set(parts))[:10]
    wrong = sorted(name for name in parts if made[name] != parts[name])
    assert not wrong, f"{len(wrong)} files differ: {wrong[:10]}"


def test_every_file_comes_back_through_a_pipe_and_through_a_dataset(drawn):
    box, parts, raw = drawn
    ok("nifti-cat -q in | tee frames | nifti-write -o out", box)
    compare(box / "out", parts)
    found = {header["name"]: base64.b64decode(header["source"]["header"], validate=True)
             for kind, header, _ in read_frames(io.BytesIO((box / "frames").read_bytes()))
             if kind == OPEN}
    assert [name for name in raw if found[name] != raw[name]] == []
    ok("vol-write ds CT < frames; vol-commit ds; vol-cat ds | nifti-write -o back", box)
    compare(box / "back", parts)
