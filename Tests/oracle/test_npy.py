"""npy-cat: arrays that numpy wrote, in every order and form, and what is refused."""

import io
import random
import zipfile

import numpy as np
import pytest
from frames import volumes
from support import bash, ok, one_clear_line, quote, ramp


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
    "of half floats": made(np.zeros(3, "f2")), "of text": made(np.array(["a"])),
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
