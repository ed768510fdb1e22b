"""Headers with one defect each: read, read with a warning, or refused, and never a guess."""

import gzip
import io
import struct

import numpy as np
import pytest
from frames import CLOSE, OPEN, read_frames, volumes
from support import AFFINE, bash, ramp, save

SHAPE = (5, 4, 3)
VOXELS = ramp(SHAPE)
NAN, INF = float("nan"), float("inf")
REPAIRED = np.diag([2.0, 2.5, 3.0, 1.0])


def put(code, at, *values):
    """A defect: values written into the header."""
    def change(data):
        struct.pack_into("<" + (code if len(code) > 1 else code * len(values)), data, at, *values)
    return change


def extension(size, room, fits=True):
    def change(data):
        data[348:352] = b"\1\0\0\0"
        struct.pack_into("<f", data, 108, 352 + room)
        data[352:352] = struct.pack("<2i", size, 6) + bytes(room - 8)
    return change


def replace(start, stop, new):
    def change(data):
        data[start:stop] = new
    return change


def cut(count):
    def change(data):
        del data[-count:]
    return change


def both(*changes):
    def change(data):
        for one in changes:
            one(data)
    return change


# The file is read, quietly.
GOOD = {
    "slope_not_finite": put("f", 112, NAN, 3),
    "slope_zero_with_intercept": put("f", 112, 0, 10),
    "dims_above_the_count_are_garbage": put("h", 48, -7, 0, 99, -1),
    "codes_out_of_range": put("h", 252, 9, 77),
    "qfac_zero": put("f", 76, 0),
    "bytes_after_the_voxels": lambda data: data.extend(b"more"),
    "offset_not_of_sixteen": both(put("f", 108, 357), replace(352, 352, b"12345")),
    "units_unknown": put("B", 123, 0),
    "extension_that_fits": extension(32, 32),
}
# The file is read, with one line of warning and an entry in `quirks`.
WARNED = {
    "sizeof_hdr_wrong": put("i", 0, 0),
    "bitpix_disagrees": put("h", 72, 8),
    "slope_one_intercept_nan": put("f", 112, 1, NAN),
    "offset_zero": put("f", 108, 0),
    "offset_fractional": put("f", 108, 352.5),
    "pixdim_negative": put("f", 80, -2),
    "pixdim_zero": put("f", 80, 0),
    "pixdim_nan": put("f", 80, NAN),
    "axis_zero_that_fits_as_one": both(put("h", 40, 4), put("h", 48, 0)),
    "extension_runs_past_the_voxels": extension(3200, 32),
    "extension_size_not_of_sixteen": extension(19, 32),
    "extension_flag_without_room": put("B", 348, 1),
    "sform_zero_though_coded": put("f", 280, *[0.0] * 12),
    "sform_nan_though_coded": put("f", 280, NAN),
    "quaternion_too_long": both(put("h", 252, 1, 0), put("f", 256, 0.9, 0.9, 0.9)),
}
# The file is refused.
BAD = {
    "empty": replace(0, None, b""),
    "shorter_than_a_header": lambda data: data.__delitem__(slice(200, None)),
    "text": replace(0, None, b"This is not an image.\n" * 40),
    "magic_unknown": replace(344, 348, b"n+9\0"),
    "type_float128": put("h", 70, 1536, 128),
    "type_complex256": put("h", 70, 2048, 256),
    "type_binary": put("h", 70, 1, 1),
    "type_zero": put("h", 70, 0),
    "type_255": put("h", 70, 255),
    "type_unknown": put("h", 70, 17),
    "count_of_axes_zero": put("h", 40, 0),
    "count_of_axes_eight": put("h", 40, 8),
    "count_of_axes_negative": put("h", 40, -1),
    "axis_zero_that_cannot_be": put("h", 42, 0),
    "offset_348": put("f", 108, 348),
    "offset_nan": put("f", 108, NAN),
    "offset_negative": put("f", 108, -352),
    "offset_past_the_end": put("f", 108, 1e6),
    "voxels_cut_off": cut(1),
    "voxels_missing": cut(120),
    "axes_of_32767": put("h", 40, 3, 32767, 32767, 32767),
}


def file_with(change, path):
    data = bytearray(save(path, VOXELS).read_bytes())
    change(data)
    path.write_bytes(data)


def opened(result):
    [header] = [header for kind, header, _ in read_frames(io.BytesIO(result.out)) if kind == OPEN]
    return header


@pytest.mark.parametrize("name", GOOD)
def test_unusual_header_is_read_quietly(box, name):
    file_with(GOOD[name], box / "x.nii")
    result = bash("nifti-cat --strict x.nii", box)
    assert result.status == 0 and result.err == "", repr(result)
    [(header, array)] = volumes(io.BytesIO(result.out))
    assert np.array_equal(array, VOXELS) and not header.get("quirks")
    if name.startswith("slope"):
        assert "slope" not in header and "intercept" not in header
    assert np.allclose(header["affine"], AFFINE, rtol=1e-6)


@pytest.mark.parametrize("name", WARNED)
def test_odd_header_is_read_with_a_warning_and_refused_if_strict(box, name):
    file_with(WARNED[name], box / "x.nii")
    result = bash("nifti-cat x.nii", box)
    assert result.status == 0, repr(result)
    assert result.err.startswith("nifti-cat: ") and "x.nii" in result.err, repr(result)
    [(header, array)] = volumes(io.BytesIO(result.out))
    assert np.array_equal(array.reshape(SHAPE, order="F"), VOXELS)
    assert header["quirks"] and all(isinstance(quirk, str) for quirk in header["quirks"])
    affine = np.array(header["affine"], float)
    assert np.isfinite(affine).all() and abs(np.linalg.det(affine)) > 1e-3
    # Whatever was odd, the file that comes back is the file that was.
    assert bash("nifti-cat -q x.nii | nifti-write -o out", box).err == ""
    assert (box / "out" / "x.nii").read_bytes() == (box / "x.nii").read_bytes()
    strict = bash("nifti-cat --strict x.nii", box)
    assert strict.status == 65 and "x.nii" in strict.err, repr(strict)


@pytest.mark.parametrize("name", BAD)
def test_bad_file_is_refused_by_name(box, name):
    file_with(BAD[name], box / "x.nii")
    result = bash("nifti-cat x.nii", box)
    assert result.status == 65, repr(result)
    assert result.err.count("\n") == 1 and "x.nii" in result.err, result.err


def test_bad_gzip_is_refused_and_its_padding_is_not_bad(box):
    data = save(box / "x.nii", ramp((40, 30, 20))).read_bytes()
    good = gzip.compress(data)
    wrong_crc, wrong_size = bytearray(good), bytearray(good)
    wrong_crc[-8] ^= 1
    wrong_size[-4] ^= 1
    for what, packed in (("cut", good[:-300]), ("trailer cut", good[:-3]), ("crc", wrong_crc),
                         ("size", wrong_size)):
        (box / "x.nii.gz").write_bytes(packed)
        result = bash("nifti-cat x.nii.gz", box)
        assert result.status == 65 and "x.nii.gz" in result.err, f"{what}: {result!r}"
    (box / "x.nii.gz").write_bytes(good + bytes(512))
    assert bash("nifti-cat --strict x.nii.gz", box).status == 0
    (box / "x.nii.gz").write_bytes(good + b"garbage")
    result = bash("nifti-cat x.nii.gz", box)
    assert result.status == 0 and "x.nii.gz" in result.err, repr(result)
    closes = [header for kind, header, _ in read_frames(io.BytesIO(result.out)) if kind == CLOSE]
    assert closes[0]["quirks"], "what only the end shows stands in the close frame"


def test_pair_without_its_image_is_missing_input(box):
    save(box / "p.hdr", VOXELS, pair=True)
    (box / "p.img").unlink()
    result = bash("nifti-cat p.hdr", box)
    assert result.status == 66 and "p.img" in result.err, repr(result)


def test_mad_dimensions_in_a_small_gzip_take_no_memory(box):
    """72 bytes that declare 134 MB; and terabytes. Refused, without the memory asked for."""
    data = bytearray(save(box / "x.nii", VOXELS).read_bytes())
    struct.pack_into("<8h", data, 40, 4, 32767, 32767, 32767, 9, 1, 1, 1)
    (box / "x.nii.gz").write_bytes(gzip.compress(bytes(data)))
    result = bash("ulimit -v 4000000; nifti-cat x.nii.gz", box)
    assert result.status == 65, repr(result)
