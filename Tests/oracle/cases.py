"""Small files with one defect each, what must become of them, and the manual's list of them.

A case is made by `read`, `quirk` or `refused`, named for what nifti-cat has to do with it.
"""

import gzip
import io
import re
from collections import namedtuple

import nibabel
import numpy as np
import pytest
import zstandard
from frames import CLOSE, END, OPEN, FrameError, read_frames, volumes
from support import REPO, bash, nifti, ok, one_clear_line, ramp, save, stored, tree

SHAPE = (5, 4, 3)
NAN, INF = float("nan"), float("inf")
LE, BE, V2, V2_BE = {}, {"endian": ">"}, {"version": 2}, {"version": 2, "endian": ">"}
FORMS = {"v1_little": LE, "v1_big": BE, "v2_little": V2, "v2_big": V2_BE}
PARTS = (".nii", ".hdr", ".img")

# text: what each quirk says; of a refusal, what its line says.
# changes: edit the bytes of the single file or of the header, in order; image: those of the .img.
# files: {name: what makes its bytes of the plain file that it stands for}; the first is given to
# nifti-cat unless `path` is, with its `options`, and messages name it unless `named` is given.
# says: keys of the open header, None for one that must not be there.
# answer: the affine, where nibabel refuses the file or reads it otherwise than the manual says;
# the voxels are then those that went into the file.
# status: of the refusal. made: options of support.save().
Case = namedtuple(
    "Case", "outcome text changes image files path named options says answer status made")


def case(outcome, text, changes, *, image=(), files=None, path=None, named=None, options="",
         says=None, answer=None, status=65, **made):
    two = made.get("pair") or made.get("analyze")
    files = files or dict.fromkeys(["x.hdr", "x.img"] if two else ["x.nii"], bytes)
    path = path or next(iter(files))
    texts = (text,) if isinstance(text, str) else text
    return Case(outcome, texts, changes, image, files, path, named or path, options,
                says or {}, answer, status, made)


def read(*changes, **options):
    return case("read", (), changes, **options)


def quirk(text, *changes, **options):
    """Read, with one quirk for each text, which says it."""
    return case("quirk", text, changes, **options)


def refused(text, *changes, **options):
    """Refused in one line that says all the texts."""
    return case("refused", text, changes, **options)


def forms(name, make, *args, **options):
    """The same case in both versions and byte orders."""
    return {f"{name}_{form}": make(*args, **options, **how) for form, how in FORMS.items()}


# Changes of a file's bytes.

def header_of(data):
    """The header that data begins with, its fields to be read and written by name."""
    for dtype in (nibabel.nifti1.header_dtype, nibabel.nifti2.header_dtype):
        for order in "<>":
            header = np.ndarray((), dtype.newbyteorder(order), data)
            if header["sizeof_hdr"] == header.itemsize:
                return header
    raise ValueError("no header")


def put(**fields):
    """Write fields of the header; of an array, the elements that {index: value} names."""
    def change(data):
        header = header_of(data)
        for name, value in fields.items():
            for index, item in value.items() if isinstance(value, dict) else [(..., value)]:
                header[name][index] = item
    return change


def splice(start, stop, new):
    def change(data):
        data[start:stop] = new
    return change


def append(new):
    return lambda data: data.extend(new)


def cut(count):
    return splice(-count, None, b"")


def extensions(*blocks, flag=1):
    """Put blocks behind the header, and the voxels behind them: bytes, or (esize, its bytes)."""
    def change(data):
        header = header_of(data)
        size, number = header.itemsize, header["sizeof_hdr"].dtype
        new = b"".join(block if isinstance(block, bytes) else
                       np.array([block[0], 6], number).tobytes() + block[1] for block in blocks)
        if b"n+" in header["magic"].item():
            header["vox_offset"] += len(new)
        del header  # which would keep the bytearray from growing
        data[size:size + 4] = bytes([flag, 0, 0, 0])
        data[size + 4:size + 4] = new
    return change


# Bytes of a file, of those of the plain one.

def const(content):
    return lambda data: content


def gz(data):
    return gzip.compress(data, 6, mtime=0)


def zst(data):
    return zstandard.ZstdCompressor(write_checksum=True).compress(data)


def then(pack, change):
    """Pack, then make a change of what came of it."""
    def made(data):
        packed = bytearray(pack(data))
        change(packed)
        return bytes(packed)
    return made


def flip(at):
    def change(data):
        data[at] ^= 1
    return change


def in_parts(pack, *cuts):
    """Several members or frames in a row, cut at these places."""
    def made(data):
        return b"".join(pack(data[start:stop])
                        for start, stop in zip((0, *cuts), (*cuts, len(data)), strict=True))
    return made


def build(case, box):
    """Make the case's files in box/work, and in box/plain what they are uncompressed."""
    made = {"array": ramp(SHAPE), **case.made}
    (box / "plain").mkdir()
    if made.pop("analyze", False):
        header = nibabel.AnalyzeHeader(endianness=made.get("endian", "<"))
        header.set_data_dtype(made["array"].dtype)
        nibabel.save(nibabel.AnalyzeImage(made["array"], None, header), box / "plain" / "x.img")
    else:
        save(box / "plain" / ("x.hdr" if made.get("pair") else "x.nii"), **made)
    parts = {}
    for path in (box / "plain").iterdir():
        data = bytearray(path.read_bytes())
        for change in case.image if path.suffix == ".img" else case.changes:
            change(data)
        path.write_bytes(data)
        parts[path.suffix] = bytes(data)
    for name, pack in case.files.items():
        path = box / "work" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        [part] = [part for part in PARTS if part in name.lower()]
        path.write_bytes(pack(parts.get(part, b"")))
    return box / "work"


# What must hold.

def kinds(stream):
    """The kinds of the frames, as far as a stream goes that was left unfinished."""
    found = []
    try:
        for kind, _, _ in read_frames(io.BytesIO(stream)):
            found.append(kind)
    except FrameError:
        pass
    return found


def close_to(found, wanted):
    found, wanted = np.array(found, float), np.array(wanted, float)
    return np.allclose(found, wanted, rtol=1e-6, atol=1e-6 * np.abs(wanted[:3, :3]).max())


def compare_with_nibabel(case, header, image):
    """Shape, scaling and both transforms with their codes."""
    assert header["shape"] == list(image.shape), header
    if case.made.get("analyze"):
        return
    scaling = (image.dataobj.slope, image.dataobj.inter)
    assert (header.get("slope", 1), header.get("intercept", 0)) == scaling, header
    for key in ("qform", "sform"):
        matrix, code = getattr(image.header, f"get_{key}")(coded=True)
        assert header[f"{key}_code"] == code, (key, code, header)
        assert (key in header) == (matrix is not None), (key, header)
        assert matrix is None or close_to(header[key], matrix), (key, matrix, header)


def compare(case, box, stream):
    """Voxels, affine and header against nibabel or the case's answer; the file made again.

    Returns the quirks that the stream tells.
    """
    [(header, array)] = volumes(io.BytesIO(stream))
    [closed] = [head for kind, head, _ in read_frames(io.BytesIO(stream)) if kind == CLOSE]
    plain, made = box / "plain", case.made
    if case.answer is not None:
        voxels, affine = made.get("array", ramp(SHAPE)), case.answer
        assert header["shape"] == case.says.get("shape", list(voxels.shape)), header
        voxels = voxels.reshape(header["shape"], order="F")
        if voxels.dtype.names:
            voxels = np.stack([voxels[name] for name in voxels.dtype.names], axis=-1)
    else:
        if made.get("analyze"):
            image = nibabel.AnalyzeImage.from_filename(plain / "x.img")
            voxels = np.asarray(image.dataobj.get_unscaled())
        else:
            [path] = [path for path in plain.iterdir() if path.suffix != ".img"]
            image, voxels = nifti(path), stored(path)
        affine = image.affine
        compare_with_nibabel(case, header, image)
    assert array.dtype == voxels.dtype.newbyteorder("<") and array.shape == voxels.shape, header
    assert np.array_equal(array, voxels, equal_nan=voxels.dtype.kind in "fc")
    assert close_to(header["affine"], affine), (affine, header["affine"])
    for key, value in case.says.items():
        assert header.get(key) == value, (key, value, header)
    two = made.get("pair") or made.get("analyze")
    wanted = {"format": "analyze75" if made.get("analyze") else f"nifti{made.get('version', 1)}",
              "byte_order": "big" if made.get("endian") == ">" else "little",
              "layout": "pair" if two else "single"}
    assert wanted.items() <= header["source"].items(), header
    ok("nifti-write -o ../out < ../x.frames", box / "work")
    assert tree(box / "out") == tree(plain)
    return header.get("quirks", []) + closed.get("quirks", [])


def check_read(case, box):
    """Read in silence, strictly too, and without a quirk."""
    work = build(case, box)
    ok(f"nifti-cat --strict {case.path} > ../x.frames", work)
    stream = ok(f"nifti-cat {case.path}", work).out
    assert stream == (box / "x.frames").read_bytes()
    assert compare(case, box, stream) == []


def check_quirk(case, box):
    """Read with one line and one entry a quirk, and refused under --strict."""
    work = build(case, box)
    result = bash(f"nifti-cat {case.path} | tee ../x.frames; exit $PIPESTATUS", work)
    assert result.status == 0, repr(result)
    found, lines = compare(case, box, result.out), result.err.splitlines()
    assert len(found) == len(lines) == len(case.text), (found, lines)
    for quirk, line, text in zip(found, lines, case.text, strict=True):
        assert line.startswith("nifti-cat: warning: ") and line.endswith(quirk), line
        assert case.named in line and text in quirk, (text, line)
    strict = bash(f"nifti-cat --strict {case.path}", work)
    assert strict.status == case.status, repr(strict)
    one_clear_line(strict, "nifti-cat", case.named, case.text[0])
    assert not {CLOSE, END} & set(kinds(strict.out)), repr(strict)


def check_refused(case, box):
    """Refused in one line, in bounded memory; under -k it costs no other file."""
    work = build(case, box)
    save(box / "good.nii", ramp((3, 2)))
    result = bash(f"ulimit -v 4000000; nifti-cat {case.options} {case.path}", work)
    assert result.status == case.status, repr(result)
    one_clear_line(result, "nifti-cat", case.named, *case.text)
    assert not {CLOSE, END} & set(kinds(result.out)), repr(result)
    spared(f"ulimit -v 4000000; nifti-cat -k -q {case.path} ../good.nii", work, case.named)


def spared(script, cwd, named):
    """The script loses one file, which it names, and ends well with good.nii."""
    result = bash(script, cwd)
    assert result.status == 1, repr(result)
    one_clear_line(result, "nifti-cat", named)
    found = list(read_frames(io.BytesIO(result.out)))
    opened = [header["name"] for kind, header, _ in found if kind == OPEN]
    end = found[-1][1]
    assert found[-2][0] == CLOSE and opened[-1] == "good", found
    assert end["dropped"] + end["skipped"] == 1, end


def check(case, box):
    {"read": check_read, "quirk": check_quirk, "refused": check_refused}[case.outcome](case, box)


def every(table):
    """A test's parameters, {row: {name: case}}, with the outcome in their ids for -k."""
    return pytest.mark.parametrize("case", [
        pytest.param(case, id=f"{case.outcome}-{name}")
        for cases in table.values() for name, case in cases.items()])


# The manual's list.

def text_of(mdoc):
    """What a passage of a manual says, without its macros."""
    words = []
    for line in mdoc.splitlines():
        if line.startswith("."):
            line = re.sub(r"^\.(Bl|El).*|^\.(It)?|\b(Ar|Cm|No|Ns|Pa|Pq|Sy|Xr)\b", "", line)
        words += line.split()
    return re.sub(r" ([:,.;])", r"\1", " ".join(words))


def rows():
    """(outcome, text) of each statement on what is read: the paragraphs and the lists' items."""
    page = (REPO / "man" / "nifti-cat.1").read_text()
    found = []
    for title in ("What is read", "The affine"):
        passage = re.search(rf"^\.Ss {title}\n(.*?)^\.El", page, re.S | re.M)[1]
        paragraphs, *items = re.split(r"^(?=\.It)", passage, flags=re.M)
        for text in filter(None, map(text_of, paragraphs.split(".Pp\n"))):
            found.append(("quirk" if "quirk" in text else "read", text))
        for text in map(text_of, items):
            outcome = text.split()[0]
            if title == "The affine":
                found.append(("read", text))
            elif outcome != "result":  # the head of the table
                assert outcome in ("read", "quirk", "refused"), text
                found.append((outcome, text))
    return found
