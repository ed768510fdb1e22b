"""A filter by somebody else in the pipe; and streams that are not whole, which nothing takes."""

import io
import re
from concurrent.futures import ThreadPoolExecutor

import double
import numpy as np
import pytest
from dataset import Dataset, staged
from frames import END, FrameError, FrameWriter, read_frames, volumes
from support import REPO, bash, ok, one_clear_line, ramp, save, stored, tree


def example():
    """The worked example of vol-frames(5), as bytes."""
    page = (REPO / "man" / "vol-frames.5").read_text()
    block = re.search(r"\.Sh EXAMPLES.*?\.Bd -literal\n(.*?)\.Ed", page, re.S).group(1)
    return bytes.fromhex(block)


def small_stream():
    """Two volumes of a few voxels with extra frames around them, one drop, every kind of frame."""
    stream = io.BytesIO()
    writer = FrameWriter(stream)
    writer.open({"name": "t", "shape": [2, 2, 1], "dtype": "int16"})
    writer.extra(b"before")
    writer.data(bytes(range(1, 6)))
    writer.data(bytes(range(6, 9)))
    writer.extra(b"after")
    writer.close()
    writer.open({"name": "bad", "shape": [9], "dtype": "uint8"})
    writer.drop("source is cut off")
    writer.end()
    return stream.getvalue()


def test_reader_and_writer_of_the_examples_agree():
    """frames.py against itself: every array comes back; no damage and no cut gets through."""
    arrays = [ramp(shape, dtype) for dtype in ("i1", "u2", "f4", "c8", "f8")
              for shape in ((7,), (4, 3, 2), (2, 3, 2, 2))]
    stream = io.BytesIO()
    writer = FrameWriter(stream)
    for number, array in enumerate(arrays):
        writer.volume(array, name=f"v{number}")
    writer.volume(colours := ramp((4, 3, 2, 3), "u1"), name="colours", channels=3)
    writer.end()
    back = [array for _, array in volumes(io.BytesIO(stream.getvalue() * 2))]
    assert len(back) == 2 * len(arrays) + 2
    for given, array in zip([*arrays, colours] * 2, back):
        assert np.array_equal(given, array) and array.dtype == given.dtype

    data = small_stream()
    for at in range(len(data)):
        with pytest.raises(FrameError):
            list(read_frames(io.BytesIO(data[:at])))
        for bit in range(8):
            with pytest.raises(FrameError):
                list(read_frames(io.BytesIO(flipped(data, at, 1 << bit))))


def flipped(data, at, mask):
    return data[:at] + bytes([data[at] ^ mask]) + data[at + 1:]


def test_worked_example_of_the_manual_is_what_the_writer_makes(box):
    stream = io.BytesIO()
    writer = FrameWriter(stream)
    writer.volume(np.array([1, 2, 3, 4], "u1").reshape((2, 2, 1), order="F"), name="t")
    writer.end()
    assert stream.getvalue() == example()
    assert "t" in ok("vol-ls -", box, stdin=example()).text


def test_python_filter_doubles_voxels_and_files_stay_right(box):
    paths = [save(box / "in" / "a.nii.gz", ramp((33, 20, 10))),
             save(box / "in" / "b.nii", ramp((20, 10, 5, 2), "f4"), endian=">"),
             save(box / "in" / "c.nii", ramp((9, 8, 7), "c8"))]
    ok('nifti-cat in | "$PYTHON" "$EXAMPLES/double.py" | vol-write ds CT; vol-commit ds', box)
    dataset = Dataset(box / "ds")
    ok("vol-cat ds | nifti-write -o out", box)
    for path in paths:
        name = path.name.split(".")[0]
        assert np.array_equal(dataset[f"{name}_CT"].array(), 2 * stored(path))
        assert np.array_equal(stored(box / "out" / f"{name}.nii"), 2 * stored(path))


def test_filter_cut_between_the_bytes_of_a_voxel_still_doubles():
    """The example itself: frames of 3 bytes, voxels of 4."""
    array = ramp((5, 4, 3), "f4")
    stream, out = io.BytesIO(), io.BytesIO()
    writer = FrameWriter(stream)
    writer.open({"name": "x", "shape": [5, 4, 3], "dtype": "float32"})
    for start in range(0, array.nbytes, 3):
        writer.data(array.tobytes(order="F")[start:start + 3])
    writer.close()
    writer.end()
    double.double(io.BytesIO(stream.getvalue()), out)
    [(_, doubled)] = volumes(io.BytesIO(out.getvalue()))
    assert np.array_equal(doubled, 2 * array)


def test_filter_without_end_frame_is_refused_and_leaves_nothing(box):
    save(box / "a.nii", ramp((33, 20, 10)))
    save(box / "b.nii", ramp((33, 20, 10)))
    ok("nifti-cat a.nii | vol-write ds CT; vol-commit ds", box)
    before = tree(box / "ds")
    whole = ok('nifti-cat b.nii | "$PYTHON" "$EXAMPLES/double.py"', box).out
    kinds = [kind for kind, _, _ in read_frames(io.BytesIO(whole))]
    assert kinds[-1] == END and kinds.count(END) == 1
    end = whole.rindex(b"VFRM")
    result = bash("vol-write ds CT", box, stdin=whole[:end])
    assert result.status == 65, repr(result)
    one_clear_line(result, "vol-write", str(end))
    assert tree(box / "ds") == before
    assert ok("vol-ls --staged --json ds", box).out == b"" and staged(box / "ds") == {}


def refuse_each(box, streams):
    """vol-write and vol-ls on each of many bad streams: 65 each time, and the dataset untouched."""
    ok("vol-write seed CT; vol-commit seed", box, stdin=example())

    def work(part):
        folder = box / f"w{part}"
        ok(f"cp -a seed {folder.name}", box)
        before = tree(folder)
        for what, data in streams[part::2]:
            result = bash(f"exec vol-write {folder.name} CT", box, stdin=data)
            assert result.status == 65, f"{what}: {result!r}"
            assert result.out == b"" and result.err.startswith("vol-write: "), f"{what}: {result!r}"
            assert tree(folder) == before, f"{what}: something was left behind"
            listed = bash("exec vol-ls -", box, stdin=data)
            assert listed.status == 65, f"vol-ls, {what}: {listed!r}"
        assert Dataset(folder).volumes.keys() == {"t_CT"} and not staged(folder)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(work, range(2)))


def test_one_bit_flipped_at_any_byte_of_a_stream_is_refused(box):
    data = small_stream()
    # A different bit at each byte: lengths are then wrong by little, which is the harder case.
    refuse_each(box, [(f"byte {at}", flipped(data, at, 1 << at % 8)) for at in range(len(data))])


def test_a_stream_cut_off_anywhere_is_refused(box):
    data = small_stream()
    frames = [match.start() for match in re.finditer(b"VFRM", data)]
    cuts = sorted({0, 1, 19, *frames[1:], *(at + 20 for at in frames), *range(5, len(data), 7)})
    refuse_each(box, [(f"cut at {at}", data[:at]) for at in cuts if at < len(data)])


def test_streams_that_are_framed_well_and_mean_nonsense_are_refused(box):
    """Right CRCs around wrong contents: what only a reader that adds up finds."""
    def stream(write):
        out = io.BytesIO()
        writer = FrameWriter(out)
        write(writer, lambda **change: writer.frame(
            1, {"name": "n", "shape": [2, 2], "dtype": "uint8", **change}))
        return out.getvalue()

    good = {"voxels": 4, "crc32": 0xB63CFBCD}
    end = {"volumes": 1, "dropped": 0, "skipped": 0}

    def volume(w, opened, close=good, end=end, data=b"\1\2\3\4", **change):
        opened(**change)
        w.frame(2, body=data)
        w.frame(4, close)
        w.frame(6, end)

    cases = {
        "voxels too few": lambda w, o: volume(w, o, data=b"\1\2\3"),
        "voxels too many": lambda w, o: volume(w, o, data=b"\1\2\3\4\5"),
        "close counts wrongly": lambda w, o: volume(w, o, close={**good, "voxels": 5}),
        "crc of voxels wrong": lambda w, o: volume(w, o, close={**good, "crc32": 1}),
        "end counts wrongly": lambda w, o: volume(w, o, end={**end, "volumes": 2}),
        "end counts drops wrongly": lambda w, o: volume(w, o, end={**end, "dropped": 1}),
        "shape of no axes": lambda w, o: volume(w, o, shape=[]),
        "shape of eight axes": lambda w, o: volume(w, o, shape=[2, 2, 1, 1, 1, 1, 1, 1]),
        "axis of zero": lambda w, o: volume(w, o, shape=[0, 4]),
        "axis below zero": lambda w, o: volume(w, o, shape=[-2, -2]),
        "shape past 64 bits": lambda w, o: volume(w, o, shape=[2**62, 2**62]),
        "shape of fractions": lambda w, o: volume(w, o, shape=[2.5, 1.6]),
        "unknown dtype": lambda w, o: volume(w, o, dtype="float16"),
        "two channels": lambda w, o: volume(w, o, shape=[2], channels=2),
        "no name": lambda w, o: (w.frame(1, {"shape": [2, 2], "dtype": "uint8"}),
                                 w.frame(2, body=b"\1\2\3\4"), w.frame(4, good), w.frame(6, end)),
        "data before open": lambda w, o: (w.frame(2, body=b"\1"), volume(w, o)),
        "open inside a volume": lambda w, o: (o(), volume(w, o)),
        "end inside a volume": lambda w, o: (o(), w.frame(6, {**end, "volumes": 0})),
        "bytes after the end": lambda w, o: (volume(w, o), w.stream.write(b"\0")),
        "header is an array": lambda w, o: (w.frame(1, [1]), w.frame(6, {**end, "volumes": 0})),
        "data with a header": lambda w, o: (o(), w.frame(2, {}, b"\1\2\3\4"), w.frame(4, good),
                                            w.frame(6, end)),
        "empty data frame": lambda w, o: (o(), w.frame(2), w.frame(2, body=b"\1\2\3\4"),
                                          w.frame(4, good), w.frame(6, end)),
    }
    refuse_each(box, [(what, stream(write)) for what, write in cases.items()])


def test_a_refusal_names_the_volume_and_the_offset(box):
    save(box / "scan7.nii", ramp((64, 64, 20)))
    whole = bytearray(ok("nifti-cat scan7.nii", box).out)
    whole[len(whole) // 2] ^= 1
    result = bash("vol-write ds CT", box, stdin=bytes(whole))
    assert result.status == 65, repr(result)
    one_clear_line(result, "vol-write", "scan7")
    offsets = [int(number) for number in re.findall(r"\d{3,}", result.err)]
    assert any(number < len(whole) for number in offsets), result.err


def test_streams_concatenate(box):
    for name in ("a", "b"):
        save(box / name / f"{name}.nii", ramp((9, 8, 7)))
    ok("(nifti-cat a; nifti-cat b) | vol-write ds CT; vol-commit ds", box)
    assert list(Dataset(box / "ds").volumes) == ["a_CT", "b_CT"]


@pytest.mark.parametrize("name", ["../evil", "a/b", "..", "", "x\ny", "n" * 300])
def test_names_in_a_stream_never_leave_the_folder(box, name):
    stream = io.BytesIO()
    writer = FrameWriter(stream)
    writer.volume(ramp((2, 2)), name=name)
    writer.end()
    (box / "deep").mkdir()
    for command in ("vol-write --obs-id '{name}' deep/ds CT", "nifti-write -o deep/out"):
        result = bash(command, box, stdin=stream.getvalue())
        assert result.status == 65, f"{command}: {result!r}"
    left = [path for path in tree(box)
            if path not in ("deep", "deep/out") and "deep/ds" not in path]
    assert left == [], left
    assert not list(box.glob("deep/ds/packs/*")) and not list(box.glob("deep/ds/stages/*"))
