"""New headers of derived volumes: what does not follow from the change stays, bit by bit.

VOLPIPE_HEADERS is the number of random headers, by default 150.
"""

import io
import os
import random

import nibabel
import numpy as np
import pytest
from frames import CLOSE, DATA, DROP, END, OPEN, FrameWriter, read_frames, volumes
from support import AFFINE, bash, nifti, ok, one_clear_line, ramp, save, stored

COUNT = int(os.environ.get("VOLPIPE_HEADERS", 150))
LAYOUTS = {1: nibabel.nifti1.header_dtype, 2: nibabel.nifti2.header_dtype}
SIZES, FREE = {1: 348, 2: 540}, np.array([0, -2.5, np.nan, 1.5, np.inf, 3, 0.75])
TYPES = {name: np.dtype(name) for name in "u1 i2 i4 f4 f8 u2 i1 i8 c8".split()}
CODES = {2: "u1", 4: "i2", 8: "i4", 16: "f4", 32: "c8", 64: "f8", 256: "i1", 512: "u2", 1024: "i8"}


def random_header(draw, rng, version, order, pair):
    """A header whose fields hold anything that they may hold, and the shape of its voxels."""
    layout = LAYOUTS[version].newbyteorder(order)
    header = np.frombuffer(bytearray(rng.bytes(SIZES[version])), layout).reshape(())
    real = layout["pixdim"].base
    shape = [draw.randint(3, 6) for _ in range(draw.choice([3, 4, 4, 5]))]
    code = draw.choice(list(CODES))
    for name, value in {
            "sizeof_hdr": SIZES[version], "datatype": code,
            "bitpix": 8 * TYPES[CODES[code]].itemsize,
            "vox_offset": 0 if pair else SIZES[version] + draw.choice([4, 20]),
            "xyzt_units": draw.choice([0, 2, 10, 18, 26, 1, 3, 34, 55, draw.randrange(256)]),
            "qform_code": draw.choice([-3, 0, 0, 1, 2, 5, 700]),
            "sform_code": draw.choice([-7, 0, 0, 1, 3, 4, 99]),
            "scl_slope": draw.choice([0, 1, 2.5, np.nan, 1e-6]),
            "scl_inter": draw.choice([0, -3, 7.25, np.nan]),
            "magic": b"n%c%d" % (b"+i"[pair], version)}.items():
        header[name] = value
    if version == 2:
        header["eol_check"] = list(b"\r\n\x1a\n")
    header["dim"][:len(shape) + 1] = [len(shape), *shape]
    header["pixdim"][:5] = rng.choice(FREE, 5) if draw.random() < 0.5 else rng.uniform(0.5, 4, 5)
    if draw.random() < 0.7:
        turn = rng.normal(size=4)
        for name, value in zip("bcd", turn[1:] / np.linalg.norm(turn)):
            header["quatern_" + name] = value
    rows = rng.normal(size=(3, 4)) * [2, 2, 2, 100]
    with np.errstate(all="ignore"):
        for name, row in zip("xyz", rows):
            if draw.random() < 0.7:
                header["srow_" + name] = row
                header["qoffset_" + name] = row[3]
            # Beyond this, what a region has to say is infinite.
            for field in ("srow_" + name, "qoffset_" + name):
                wild = np.abs(header[field]) > np.finfo(real).max / 100
                header[field] = np.where(wild, 1e30, header[field])
    return header, shape


@pytest.fixture(scope="module")
def derived(tools, tmp_path_factory):
    """Random files; {name: (header, shape, order, voxels)}; the frames of all, and of those of 4-D."""
    box = tmp_path_factory.mktemp("headers")
    draw, rng, known = random.Random(5), np.random.default_rng(5), {}
    for folder in ("all", "long"):
        (box / folder).mkdir()
    for number in range(COUNT):
        version, order, pair = draw.choice([1, 2]), draw.choice("<>"), draw.random() < 0.3
        header, shape = random_header(draw, rng, version, order, pair)
        name, folder = f"v{number:05}", "long" if len(shape) == 4 else "all"
        array = ramp(shape, CODES[int(header["datatype"])], number)
        offset = int(header["vox_offset"]) - SIZES[version]
        extra = b"" if pair else bytes(4) if offset == 4 else bytes(
            [1, 0, 0, 0, *np.array([16, 6], order + "i4").tobytes(), *b"comment\0"])
        voxels = array.astype(array.dtype.newbyteorder(order)).tobytes(order="F")
        path = box / folder / f"{name}{'.hdr' if pair else '.nii'}"
        path.write_bytes(header.tobytes() + extra + (b"" if pair else voxels))
        if pair:
            path.with_suffix(".img").write_bytes(voxels)
        known[name] = header, shape, order, array
    for command in ("nifti-cat -q all long > all.frames", "nifti-cat -q long > long.frames",
                    "vol-write -q --obs-id '{name}' ds C < all.frames && vol-commit -q ds",
                    "vol-write -q --obs-id '{name}' ds4 C < long.frames && vol-commit -q ds4"):
        result = bash(command, box)
        assert result.status == 0, repr(result)
    return box, known


def opened(stream):
    return {header["name"]: header for kind, header, _ in read_frames(io.BytesIO(stream))
            if kind == OPEN}


def rewrite(stream, change):
    """The stream with change(header, array) for each volume, its header now a template."""
    out = io.BytesIO()
    writer = FrameWriter(out)
    for header, array in volumes(io.BytesIO(stream)):
        source = header.get("source", {})
        if "header" in source:
            source["template"] = source.pop("header")
            source.pop("header_bytes", None)
        array = change(header, array)
        writer.volume(array, **{**header, "shape": list(array.shape), "dtype": array.dtype.name})
    writer.end()
    return out.getvalue()


def check_made(box, known, folder, wanted):
    """Each file is wanted(name, header) with its voxels, where the header is a copy to change."""
    seen = 0
    for path in (box / folder).iterdir():
        header, shape, order, array = known[path.stem]
        size, data = header.nbytes, path.read_bytes()
        made = np.frombuffer(bytearray(data[:size]), header.dtype).reshape(())
        header, version = header.copy(), 1 if size == 348 else 2
        header["magic"] = b"n+%d" % version
        header["vox_offset"] = size + 4
        voxels = wanted(path.stem, header, made, array)
        differing = [name for name in header.dtype.names
                     if header[name].tobytes() != made[name].tobytes()]
        assert not differing, (path, differing, [(header[n], made[n]) for n in differing])
        assert data[size:size + 4] == bytes(4)
        assert data[size + 4:] == voxels.astype(voxels.dtype.newbyteorder(order)).tobytes(order="F")
        seen += 1
    assert path.suffix == ".nii" and seen > COUNT / 5


def check_offsets(original, header, made, at):
    """Where a form is used its offset is that of the region's first voxel; else it stays."""
    start = np.array([*at, 1.0])
    if "sform" in original:
        for name, row in zip("xyz", np.array(original["sform"])):
            np.testing.assert_allclose(made["srow_" + name][3], row @ start, rtol=1e-6,
                                       atol=1e-6 * np.abs(row * start).max())
            header["srow_" + name][3] = made["srow_" + name][3]
    if "qform" in original:
        for name, row in zip("xyz", np.array(original["qform"])):
            np.testing.assert_allclose(made["qoffset_" + name], row @ start, rtol=1e-6,
                                       atol=1e-6 * np.abs(row * start).max())
            header["qoffset_" + name] = made["qoffset_" + name]


def test_a_region_changes_dim_and_the_offsets_of_the_forms_alone(derived):
    box, known = derived
    ok("vol-cat -q --roi 1:3,:2,2: ds C | tee r.frames | nifti-write -q -o regions", box)
    # A region of a stored region is one of the volume.
    ok("vol-write -q ds2 C < r.frames; vol-commit -q ds2;"
       "vol-cat -q --roi 1,: ds2 C | nifti-write -q -o twice", box)
    originals = opened((box / "all.frames").read_bytes())

    def wanted(part, at):
        def change(name, header, made, array):
            header["dim"][1:4] = array[part].shape[:3]
            check_offsets(originals[name], header, made, at)
            return array[part]
        return change

    check_made(box, known, "regions", wanted(np.s_[1:3, :2, 2:], (1, 0, 2)))
    check_made(box, known, "twice", wanted(np.s_[2:3, :2, 2:], (2, 0, 2)))


def test_a_time_changes_dim_alone_and_a_dropped_axis_too(derived):
    box, known = derived
    times = ok("vol-cat -q --time 1 ds4 C | tee t.frames | nifti-write -q -o times;"
               "cat t.frames", box).out

    def wanted(name, header, made, array):
        header["dim"][4] = 1
        return array[..., 1:2]

    check_made(box, known, "times", wanted)
    ok("nifti-write -q -o dropped", box, stdin=rewrite(times, lambda _, array: array[..., 0]))

    def without_axis(name, header, made, array):
        header["dim"][0], header["dim"][4] = 3, 1
        return array[..., 1]

    check_made(box, known, "dropped", without_axis)


def test_a_type_changes_type_and_scaling_alone(derived):
    box, known = derived

    def scale(header, array):
        slope, intercept = float(header.pop("slope", 1)), float(header.pop("intercept", 0))
        values = array.astype(np.result_type(array, "f8")) * slope + intercept
        return np.real(values).astype("f4")

    with np.errstate(all="ignore"):
        stream = rewrite((box / "all.frames").read_bytes(), scale)
        ok("tee x.frames | vol-write -q typed C; vol-commit -q typed;"
           "nifti-write -q -o typed.out < x.frames", box, stdin=stream)
        originals = opened((box / "all.frames").read_bytes())

        def wanted(name, header, made, array):
            if array.dtype != np.float32:
                header["datatype"], header["bitpix"] = 16, 32
            if "slope" in originals[name]:
                header["scl_slope"] = header["scl_inter"] = 0
            return scale(dict(originals[name]), array)

        check_made(box, known, "typed.out", wanted)
