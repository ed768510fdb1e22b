"""npy-cat: arrays that numpy wrote, in every order and form, and what is refused."""

import io
import random
import zipfile

import nibabel
import numpy as np
import pytest
from dataset import Dataset
from frames import volumes
from support import bash, ok, one_clear_line, quote, ramp, save


def cat(box, options, *paths, **more):
    out = ok(f"npy-cat {options} {quote(*paths)}", box, **more).out
    ok("vol-ls -", box, stdin=out)
    return list(volumes(io.BytesIO(out)))


TYPES = ["i1", "<i2", ">i2", "<i4", ">i4", "<i8", "u1", "<u2", "<u4", ">u8", "<f4", ">f4", "<f8",
         "<c8", ">c8", "<c16", ">c16", "?"]


@pytest.mark.parametrize("dtype", TYPES)
def test_every_type_and_order_comes_out_as_it_is(box, dtype):
    for shape in [(5,), (5, 4), (7, 6, 5), (3, 4, 5, 2), (2, 3, 1, 2, 2, 2)]:
        array = ramp(shape, np.dtype(dtype).newbyteorder("=") if dtype != "?" else "u1")
        array = (array % 2 == 0) if dtype == "?" else array.astype(dtype)
        for order in "CF":
            np.save(box / "x.npy", np.asarray(array, order=order))
            [(header, made)] = cat(box, "", "x.npy")
            assert made.dtype == (np.uint8 if dtype == "?" else np.dtype(dtype).newbyteorder("<"))
            assert np.array_equal(made, array), (shape, order)
            assert (header["name"], header["obs_subject_id"]) == ("x", "x")
            [(_, made)] = cat(box, "--zyx", "x.npy")
            assert np.array_equal(made, array.T), (shape, order)


def test_random_shapes_are_turned_right(box):
    draw = random.Random(2)
    for _ in range(25):
        shape = [draw.randint(1, 40) for _ in range(draw.randint(2, 5))]
        array = np.random.default_rng(1).integers(0, 2**31, shape[:4])
        np.save(box / "x.npy", array)
        [(_, made)] = cat(box, "", "x.npy")
        assert np.array_equal(made, array)


def test_more_than_memory_holds_is_turned_in_pieces(box):
    """Several slabs; one whose rows are longer than what is read at a time; and planes too large."""
    for shape, dtype in [((300, 400, 350), "i2"), ((3, 2, 3_000_000), "f8"), ((6000, 6000, 2), "i2")]:
        array = np.arange(np.prod(shape), dtype=dtype).reshape(shape)
        np.save(box / "x.npy", array)
        ok("(ulimit -v 700000; npy-cat -q x.npy) > out", box, timeout=200)
        with open(box / "out", "rb") as file:
            [(_, made)] = volumes(file)
        assert np.array_equal(made, array), shape


def test_colours_are_fields(box):
    colours = np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])
    array = ramp((6, 5, 4, 3), "u1").view(colours)[..., 0]
    for order in "CF":
        np.save(box / "x.npy", np.asarray(array, order=order))
        [(header, made)] = cat(box, "", "x.npy")
        assert header["channels"] == 3 and np.array_equal(made, ramp((6, 5, 4, 3), "u1"))


def test_archives_give_one_volume_an_array(box):
    arrays = {"image": ramp((4, 3, 2)), "mask": ramp((4, 3, 2), "u1")}
    np.savez(box / "plain.npz", **arrays)
    np.savez_compressed(box / "small.npz", **arrays)
    for stem in ("plain", "small"):
        found = {header["name"]: array for header, array in cat(box, "", f"{stem}.npz")}
        assert list(found) == [f"{stem}_image", f"{stem}_mask"]
        for name, array in arrays.items():
            assert np.array_equal(found[f"{stem}_{name}"], array)
    np.savez(box / "one.npz", arrays["image"])
    assert [header["name"] for header, _ in cat(box, "", "one.npz")] == ["one"]


def test_an_array_may_come_through_a_pipe(box):
    np.save(box / "x.npy", ramp((5, 4, 3)))
    [(header, made)] = cat(box, "", "-", stdin=(box / "x.npy").read_bytes())
    assert header["name"] == "stdin" and np.array_equal(made, ramp((5, 4, 3)))


def test_geometry_and_attributes_are_given(box):
    np.save(box / "sub-07_ses-1_pred.npy", ramp((5, 4, 3)))
    [(header, _)] = cat(box, "--spacing 0.5,0.75,2 --attr model=m1", "sub-07_ses-1_pred.npy")
    assert header["affine"] == [[0.5, 0, 0, 0], [0, 0.75, 0, 0], [0, 0, 2, 0], [0, 0, 0, 1]]
    assert header["voxel_spacing"] == [0.5, 0.75, 2] and header["obs_subject_id"] == "sub-07"
    assert header["attributes"] == {"sub": "07", "ses": "1", "suffix": "pred", "model": "m1"}
    [(header, _)] = cat(box, "--affine -1,0,0,90,0,1,0,-126,0,0,1,-72", "sub-07_ses-1_pred.npy")
    assert header["affine"] == [[-1, 0, 0, 90], [0, 1, 0, -126], [0, 0, 1, -72], [0, 0, 0, 1]]
    [(header, _)] = cat(box, "", "sub-07_ses-1_pred.npy")
    assert "affine" not in header
    # And back to a file.
    ok("npy-cat --spacing 1,1,1 sub-07_ses-1_pred.npy | vol-write -q ds P; vol-commit -q ds; "
       "vol-cat --npy ds P sub-07_ses-1_pred_P > again.npy", box)
    assert np.array_equal(np.load(box / "again.npy"), ramp((5, 4, 3)))


def made(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


GOOD = made(np.zeros((4, 3), "i2"))
BAD = {
    "empty": b"", "no array": b"hello, this is text", "cut in its header": GOOD[:60],
    "cut in its values": GOOD[:-1], "of objects": made(np.array([{}, None], dtype=object)),
    "of text": made(np.array(["a"])),
    "of no axes": made(np.float32(1)), "of no voxels": made(np.zeros((0, 3))),
    "of eight axes": made(np.zeros((1,) * 8)), "of another version": GOOD[:6] + b"\x09" + GOOD[7:],
    "of a mad shape": GOOD.replace(b"(4, 3)", b"(9**99)"), "of a huge shape": GOOD.replace(
        b"(4, 3), }            ", b"(4294967296,4294967296), }"[:21].ljust(21)),
    "deep": GOOD[:10] + (b"{'descr': " + b"[" * 100).ljust(len(GOOD) - 10 - 24),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_array_is_refused(box, name):
    (box / "x.npy").write_bytes(BAD[name])
    result = bash("ulimit -v 700000; npy-cat x.npy", box)
    assert result.status == 65, repr(result)
    one_clear_line(result, "npy-cat", "x.npy")
    np.save(box / "good.npy", ramp((3, 2)))
    result = bash("npy-cat -k x.npy good.npy nobody.npy", box)
    assert result.status == 1 and len(result.err.splitlines()) == 2
    [(header, _)] = volumes(io.BytesIO(result.out))
    assert header["name"] == "good"


def test_archives_that_are_damaged_are_refused(box):
    np.savez_compressed(box / "x.npz", a=ramp((40, 30, 20)))
    data = (box / "x.npz").read_bytes()
    for cut in (b"", b"PK", data[:len(data) // 2], data[:200] + b"\xff" * 50 + data[250:]):
        (box / "x.npz").write_bytes(cut)
        result = bash("npy-cat x.npz", box)
        assert result.status == 65, repr(result)
        one_clear_line(result, "npy-cat", "x.npz")
    with zipfile.ZipFile(box / "x.npz", "w") as file:
        file.writestr("readme.txt", "no array")
    one_clear_line(bash("npy-cat x.npz", box), "npy-cat", "no array")


@pytest.mark.parametrize("words", ["", "--affine 1,2 x", "--spacing 1,2 x", "--spacing 1,1,0 x", "- -",
                                   "--spacing 1,1,1 --affine 1,0,0,0,0,1,0,0,0,0,1,0 x"])
def test_wrong_usage_is_told(box, words):
    assert bash(f"npy-cat {words}", box).status == 64


# Other types, and places in space

def test_half_floats_become_float32_exactly(box):
    """All 65,536 of them, in either order of bytes, and through --zyx."""
    array = np.arange(65_536, dtype="u2").view("f2").reshape(16, 64, 64)
    for order in "<>":
        np.save(box / "x.npy", array.astype(f"{order}f2"))
        for options, wanted in (("", array), ("--zyx", array.T)):
            [(header, found)] = cat(box, options, "x.npy")
            assert header["dtype"] == "float32"
            np.testing.assert_array_equal(found, wanted.astype("f4"))


NUMBERS = ["i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f4", "f8"]
NAMES = {np.dtype(code).name: code for code in NUMBERS}


@pytest.mark.parametrize("dtype", ["?", "f2", *NUMBERS])
def test_values_become_another_type_or_are_refused(box, dtype):
    array = np.array([[0, 1, 1], [1, 0, 127]]).astype(dtype)
    for name, code in NAMES.items():
        np.save(box / "x.npy", array)
        [(header, found)] = cat(box, f"--as {name}", "x.npy")
        assert header["dtype"] == name
        np.testing.assert_array_equal(found, array.astype(code))


@pytest.mark.parametrize("dtype, name, value", [
    ("f4", "uint8", 0.5), ("i2", "uint8", 256), ("i2", "uint16", -1), ("f8", "float32", 1e300),
    ("f8", "int64", float("nan")), ("u8", "int64", 2**63), ("f8", "uint64", 2.0**64),
    ("f4", "int32", float("inf"))])
def test_a_value_that_a_type_cannot_hold_is_named(box, dtype, name, value):
    array = np.zeros((3, 4), dtype)
    array[1, 2] = value
    np.save(box / "x.npy", array)
    result = bash(f"npy-cat --as {name} x.npy", box)
    assert result.status == 65, repr(result)
    one_clear_line(result, "npy-cat", "x.npy", "number 7 ", name)


def test_infinities_and_nan_stay_what_they_are_in_other_floats(box):
    array = np.array([np.inf, -np.inf, np.nan, 1e-320], "f8")
    np.save(box / "x.npy", array)
    [(_, found)] = cat(box, "--as float32", "x.npy")
    np.testing.assert_array_equal(found, array.astype("f4"))


def test_complex_numbers_and_colours_become_no_other_type(box):
    for array in (np.zeros(3, "c8"), np.zeros(3, [("R", "u1"), ("G", "u1"), ("B", "u1")])):
        np.save(box / "x.npy", array)
        assert bash("npy-cat --as float32 x.npy", box).status == 65
    assert bash("npy-cat --as complex64 x.npy", box).status == 64
    assert bash("npy-cat --as float16 x.npy", box).status == 64


def test_one_array_of_an_archive_may_be_named(box):
    softmax = np.random.default_rng(0).random((3, 4, 5, 6)).astype("f2")
    np.savez_compressed(box / "case.npz", softmax=softmax, note=np.array("a text"))
    assert bash("npy-cat case.npz", box).status == 65
    [(header, found)] = cat(box, "--zyx --array softmax", "case.npz")
    assert header["name"] == "case" and header["shape"] == [6, 5, 4, 3]
    np.testing.assert_array_equal(found, softmax.T.astype("f4"))
    result = bash("npy-cat --array soft case.npz", box)
    assert result.status == 65, repr(result)
    one_clear_line(result, "npy-cat", "case.npz", "'soft'", "softmax, note")


def test_predictions_go_where_the_volumes_are(box):
    affine = np.array([[-.7, 0, .1, 90], [0, .8, 0, -100], [.1, 0, 2, -70], [0, 0, 0, 1]])
    for name in ("sub-07_ses-1_CT", "scan"):
        save(box / "in" / f"{name}.nii", ramp((6, 5, 4)), affine=affine)
    ok("nifti-cat -q in | vol-write -q ds CT; vol-commit -q ds", box)
    for name in ("sub-07_ses-1_CT", "scan"):
        np.save(box / f"{name}.npy", np.ones((4, 5, 6), "u1"))
    made = cat(box, "--like ds --zyx CT", "sub-07_ses-1_CT.npy", "scan.npy")
    stored = {name: Dataset(box / "ds")[name].header for name in ("sub-07_ses-1_CT", "scan_CT")}
    for (header, _), like in zip(made, stored.values()):
        for key in ("affine", "voxel_spacing", "sform", "units", "obs_subject_id"):
            assert header.get(key) == like.get(key), key
    assert made[0][0]["attributes"] == {"sub": "07", "ses": "1", "suffix": "CT"}
    ok("npy-cat -q --like ds --zyx CT *.npy | vol-write -q ds label; vol-commit -q ds; "
       "vol-cat ds label | nifti-write -q -o out", box)
    np.testing.assert_allclose(nibabel.load(box / "out/scan.nii").affine, affine, atol=1e-6)
    for command, said in (("--like ds CT scan.npy", "shape"), ("--like ds CT x.npy", "'CT'")):
        np.save(box / "x.npy", np.ones((6, 5, 4), "u1"))
        result = bash(f"npy-cat {command}", box)
        assert result.status == 65, repr(result)
        one_clear_line(result, "npy-cat", said)
    assert bash("npy-cat --like ds MR scan.npy", box).status == 66
    assert bash("npy-cat --like ds CT", box).status == 64
    assert bash("npy-cat --like ds --spacing 1,1,1 CT scan.npy", box).status == 64
