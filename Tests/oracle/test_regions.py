"""Regions: vol-cat --roi and its like against numpy's slices, and what they read of the disk."""

import contextlib
import io
import json
import random
import re
import shutil
import subprocess
import threading

import nibabel
import numpy as np
import pytest
from dataset import Dataset
from frames import FrameWriter, volumes
from support import bash, environment, ok, one_clear_line, quote, ramp, rgb, save, statuses

CHUNKS = {"default": "", "planes": "-c axial", "columns": "-c coronal", "odd": "-c 7,5,3,2",
          "whole": "-c 400,400,400,400 --no-shuffle"}


def arrays():
    hollow = np.zeros((70, 41, 40), "i2")
    hollow[3:5, 36, 33] = 7
    types = ["i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f4", "f8", "c8", "c16"]
    found = {f"{name}_3d": ramp((37, 41, 35), name) for name in types}
    found |= {f"{name}_4d": ramp((33, 20, 18, 5), name) for name in types}
    return found | {"hollow": hollow, "rgb": rgb((40, 36, 9)), "rgba": rgb((20, 36, 5), 4),
                    "plane": ramp((70, 66), "f4"), "line": ramp((1003,), "u2"),
                    "many": ramp((9, 8, 7, 3, 2, 2), "i2"), "one": ramp((1, 1, 1), "i1")}


@pytest.fixture(scope="module")
def scanned(tools, tmp_path_factory):
    """A collection a chunk shape; {id: array} as nibabel has it; {id: affine}."""
    box = tmp_path_factory.mktemp("regions")
    for name, array in arrays().items():
        save(box / "in" / f"{name}.nii", array, version=2 if name == "many" else 1)
    for name, options in CHUNKS.items():
        ok(f"nifti-cat -q in | vol-write -q --obs-id '{name}-{{name}}' {options} ds {name}", box)
    ok("vol-commit -q ds", box)
    images = {path.stem: nibabel.load(path) for path in (box / "in").glob("*.nii")}
    return box, {name: (np.asarray(image.dataobj), image.affine) for name, image in images.items()}


def draw_slice(draw, extent):
    """A slice as text and as Python has it; never empty."""
    while True:
        kind = draw.random()
        if kind < 0.15:
            index = draw.randrange(-extent, extent)
            return str(index), slice(index, index + 1 if index != -1 else None)
        start, end = (draw.choice(["", str(draw.randint(-extent - 3, extent + 3))])
                      for _ in range(2))
        wanted = slice(int(start) if start else None, int(end) if end else None)
        if range(extent)[wanted]:
            return f"{start}:{end}", wanted


def draw_region(draw, shape):
    parts = [draw_slice(draw, extent) for extent in shape]
    parts = parts[:draw.randint(1, len(parts))] if draw.random() < 0.2 else parts
    return ",".join(text for text, _ in parts), tuple(part for _, part in parts)


def moved(affine, wanted, shape):
    """The affine of a region: its first voxel is where that voxel of the volume was."""
    origin = [range(extent)[part].start for extent, part in
              zip(shape, [*wanted, *[slice(None)] * 3])]
    result = affine.copy()
    result[:, 3] = affine @ [*(origin + [0, 0, 0])[:3], 1]
    return result


def test_every_region_is_numpys_slice(scanned):
    """Each type and chunk shape, in the batch mode, which gives the voxels alone."""
    box, images = scanned
    draw, cases = random.Random(11), []
    for number in range(1500):
        name = draw.choice(list(images))
        text, wanted = draw_region(draw, images[name][0].shape)
        cases.append((f"{draw.choice(list(CHUNKS))}-{name}", name, text, wanted))
    requests = "".join(f"{obs_id} {text}\n" for obs_id, _, text, _ in cases)
    out = io.BytesIO(ok("vol-cat --batch ds", box, stdin=requests.encode()).out)
    for obs_id, name, text, wanted in cases:
        array, affine = images[name]
        head = json.loads(out.readline())
        assert "error" not in head, f"{obs_id} {text}: {head}"
        part = array[wanted]
        assert tuple(head["shape"]) == part.shape and head["bytes"] == part.nbytes, (text, head)
        assert out.read(head["bytes"]) == part.tobytes(order="F"), f"{obs_id} {text}"
        np.testing.assert_allclose(head["affine"], moved(affine, wanted, array.shape), atol=1e-4)
    assert out.read() == b""


@pytest.mark.parametrize("form", ["frames", "--raw", "--npy", "--nifti"])
def test_every_form_holds_the_same_region(scanned, form, tmp_path):
    box, images = scanned
    draw = random.Random(form)
    for name in images:
        array, affine = images[name]
        text, wanted = draw_region(draw, array.shape)
        part, chunk = array[wanted], draw.choice(list(CHUNKS))
        command = f"vol-cat {form if form != 'frames' else ''} --roi={text} ds {chunk}"
        out = ok(f"{command} {chunk}-{name}", box).out
        if form == "frames":
            [(header, voxels)] = volumes(io.BytesIO(out))
            assert header["obs_id"] == f"{chunk}-{name}" and tuple(header["shape"]) == part.shape
            if part.dtype.names:  # colours, which are the last axis here
                voxels = np.moveaxis(voxels, -1, 0)
            assert voxels.tobytes(order="F") == part.tobytes(order="F"), text
            np.testing.assert_allclose(header["affine"], moved(affine, wanted, array.shape),
                                       atol=1e-4)
            ok("vol-ls -", box, stdin=out)
        elif form == "--raw":
            assert out == part.tobytes(order="F"), text
        elif form == "--npy":
            made = np.load(io.BytesIO(out))
            assert made.dtype == part.dtype.newbyteorder("<") and made.shape == part.shape
            assert made.tobytes(order="F") == part.tobytes(order="F"), text
        else:
            (tmp_path / "x.nii").write_bytes(out)
            image = nibabel.load(tmp_path / "x.nii")
            whole = part.shape == array.shape
            assert not whole or out == (box / "in" / f"{name}.nii").read_bytes()
            assert np.asarray(image.dataobj).tobytes(order="F") == part.tobytes(order="F"), text
            np.testing.assert_allclose(image.affine, moved(affine, wanted, array.shape), atol=1e-4)


def test_planes_and_times_are_slices_too(scanned):
    box, images = scanned
    array, _ = images["i2_4d"]
    for options, wanted in {
            "--axial 3": np.s_[:, :, 3:4], "--coronal -1": np.s_[:, -1:],
            "--sagittal 0": np.s_[:1], "--time 4": np.s_[..., 4:],
            "--axial 17 --time 0": np.s_[:, :, 17:, :1],
            "--roi 1:9,-4: --time -2": np.s_[1:9, -4:, :, 3:4],
    }.items():
        out = ok(f"vol-cat --raw {options} ds odd odd-i2_4d", box).out
        assert out == array[wanted].tobytes(order="F"), options
    # Of all volumes of a collection that have one.
    found = volumes(io.BytesIO(ok("vol-cat --sagittal 0 ds default", box).out))
    assert {header["obs_id"]: header["shape"] for header, _ in found} == {
        f"default-{name}": [1, *array.shape[1:]] for name, (array, _) in images.items()}


def test_a_region_of_a_whole_volume_is_the_volume(scanned):
    box, _ = scanned
    for name in ("rgb", "c8_4d", "many"):
        assert ok(f"vol-cat --roi : ds planes planes-{name}", box).out == ok(
            f"vol-cat ds planes planes-{name}", box).out
    ok("vol-cat --roi : ds whole | nifti-write -q -o again; diff -r in again", box)


def test_slabs_over_the_limit_go_through_a_scratch_file(box):
    """Chunks that reach through the volume, so that a region's slab is over 64 MiB."""
    array = np.arange(420 * 410 * 220, dtype="i4").reshape((420, 410, 220), order="F")
    out = io.BytesIO()
    writer = FrameWriter(out)
    writer.volume(array, obs_id="v")
    writer.end()
    ok("vol-write -q -c 20,30,220 ds CT", box, stdin=out.getvalue(), timeout=200)
    ok("vol-commit -q ds", box)
    made = ok("vol-cat --raw --roi 5:417,7:409,11:217 ds CT v", box, timeout=200).out
    assert made == array[5:417, 7:409, 11:217].tobytes(order="F")


REFUSED = {
    "--roi 0:1,0:1,0:1,0:1": "3 axes", "--roi 40:50": "no voxel", "--roi 5:5": "no voxel",
    "--roi 9:3": "no voxel", "--axial 35": "no 35", "--axial -36": "no -36", "--time 0": "3 axes",
}


@pytest.mark.parametrize("options", REFUSED)
def test_a_region_that_is_not_there_is_refused(scanned, options):
    result = bash(f"vol-cat {options} ds odd odd-i2_3d", scanned[0])
    assert result.status == 66 and result.out == b""
    one_clear_line(result, "vol-cat", "odd-i2_3d", REFUSED[options])


@pytest.mark.parametrize("options", [
    "--roi x", "--roi 1:2:3", "--roi ''", "--roi 1:2,", "--roi 1-2", "--axial x", "--raw --npy",
    "--roi 1:2 --sagittal 1", "--batch --axial 1", "-k --raw", "--roi " + "0," * 8 + "0",
    "--roi 99999999999999999999:"])
def test_wrong_usage_is_told(scanned, options):
    result = bash(f"vol-cat {options} ds odd {'' if 'batch' in options else 'odd-i2_3d'}",
                  scanned[0])
    assert result.status == 64 and result.out == b"", repr(result)


def test_one_volume_is_named_for_forms_that_hold_one(scanned):
    for words in ("ds", "ds odd", "ds odd odd-i2_3d odd-i4_3d"):
        assert bash(f"vol-cat --npy {words}", scanned[0]).status == 64


def test_only_the_chunks_that_are_touched_are_read(scanned):
    """By strace: every byte taken from a pack is of a touched chunk, of an index or a header."""
    box, images = scanned
    dataset, draw = Dataset(box / "ds"), random.Random(3)
    for name in ("i2_3d", "f8_4d", "rgb", "hollow"):
        for chunks in CHUNKS:
            volume, array = dataset[f"{chunks}-{name}"], images[name][0]
            text, wanted = draw_region(draw, array.shape)
            result = bash(
                f"rm -f log.*; strace -ff -qq -y -e trace=pread64,read,mmap -o log vol-cat -j 1 --raw"
                f" --roi={text} ds {chunks} {chunks}-{name} > /dev/null", box)
            assert result.status == 0, repr(result)
            # A file a thread: in one file, a call that another interrupts is two lines.
            log = "".join(path.read_text() for path in box.glob("log.*"))
            found = [(int(count), int(offset)) for path, offset, count in re.findall(
                r"pread64\(\d+<([^>]*)>,.*, (?:\d+), (\d+)\) = (\d+)", log)
                if path.endswith(".pack")]
            wanted = [*wanted, *[slice(None)] * (array.ndim - len(wanted))]
            ranges = [range(extent)[part] for extent, part in zip(array.shape, wanted)]
            touched = [range(part.start // size, part[-1] // size + 1)
                       for part, size in zip(ranges, volume.chunk)]
            places = [volume.index()[number] for number in numbers(touched, volume.grid)]
            stored = sum(length for offset, length in places if length != 2**64 - 1)
            index = 16 * len(volume.index()) + 4
            assert sum(count for count, _ in found) == stored + index + 32, (chunks, name, text)


def numbers(touched, grid):
    """The numbers of these chunks, X fastest."""
    result = [0]
    for part, stride in reversed(list(zip(touched, np.cumprod([1, *grid[:-1]])))):
        result = [number + int(stride) * place for number in result for place in part]
    return result


# Batch mode


def answers(data):
    stream, found = io.BytesIO(data), []
    while line := stream.readline():
        head = json.loads(line)
        found.append((head, stream.read(head.get("bytes", 0))))
    return found


def test_a_bad_request_is_answered_and_the_next_one_too(scanned):
    box, images = scanned
    good = "odd-u1_3d 1:3,1:3,1:3"
    bad = {"": None, "odd-u1_3d": ("request", "a request is"),
           "nobody :": ("missing", "no volume 'nobody'"), "odd-u1_3d 90:": ("region", "no voxel"),
           "odd-u1_3d 0,0,0,0": ("region", "3 axes"), "odd-u1_3d 1:2:3": ("request", "a request"),
           "\xff\xfe :": ("request", "UTF-8"), "two words :": ("missing", "no volume 'two words'"),
           ":": ("request", "a request is")}
    requests = b"".join(f"{request}\n{good}\r\n".encode("latin-1") for request in bad)
    found = answers(ok("vol-cat --batch ds", box, stdin=requests).out)
    wanted = images["u1_3d"][0][1:3, 1:3, 1:3].tobytes(order="F")
    for said in bad.values():
        if said:  # an empty line is no request
            head, body = found.pop(0)
            assert set(head) == {"error", "kind"}, head
            assert head["kind"] == said[0] and said[1] in head["error"], (said, head)
        assert found.pop(0)[1] == wanted
    assert not found


def test_a_collection_bounds_what_can_be_asked_for(scanned):
    found = answers(ok("vol-cat --batch ds odd", scanned[0], stdin=b"planes-one :\nodd-one :\n").out)
    assert "in collection 'odd'" in found[0][0]["error"] and found[1][0]["bytes"] == 1


def test_damage_is_an_answer(scanned, tmp_path):
    box, _ = scanned
    shutil.copytree(box / "ds", tmp_path / "ds")
    volume = Dataset(tmp_path / "ds")["odd-i2_3d"]
    offset, length = volume.index()[0]
    with open(volume.pack, "r+b") as file:
        file.seek(volume.offset + offset + length // 2)
        byte = file.read(1)[0]
        file.seek(-1, 1)
        file.write(bytes([byte ^ 1]))
    found = answers(ok("vol-cat --batch ds", tmp_path, stdin=(
        b"odd-i2_3d 8:,6:,4:\nodd-i2_3d 0,0,0\nodd-i2_3d :,:,3:\nodd-i4_3d 0,0,0\n")).out)
    assert ["error" in head for head, _ in found] == [False, True, False, False]
    assert "odd-i2_3d" in found[1][0]["error"] and "chunk 0" in found[1][0]["error"]


def large(box):
    """A volume of which all but a plane is just what an answer may hold in one."""
    array = ramp((1024, 1024, 65), "uint8")
    out = io.BytesIO()
    writer = FrameWriter(out)
    writer.volume(array, obs_id="v")
    writer.end()
    ok("vol-write -q ds CT", box, stdin=out.getvalue())
    ok("vol-commit -q ds", box)
    return array


def test_a_large_region_comes_in_parts(box):
    array = large(box)
    stream = io.BytesIO(ok("vol-cat --batch ds", box, stdin=b"v :\nv :,:,1:\nv 3:,2:,:\nv 7,7,7\n").out)
    for region, is_whole in ((np.s_[:], False), (np.s_[:, :, 1:], True), (np.s_[3:, 2:], False),
                             (np.s_[7:8, 7:8, 7:8], True)):
        wanted = array[region].tobytes(order="F")
        head = json.loads(stream.readline())
        assert head["bytes"] == len(wanted) and ("parts" in head) != is_whole
        if is_whole:
            assert stream.read(len(wanted)) == wanted
            continue
        data = b""
        for _ in range(head["parts"]):
            size = json.loads(stream.readline())["bytes"]
            assert 0 < size <= 32 << 20
            data += stream.read(size)
        assert data == wanted
    assert stream.read() == b""


def test_damage_in_a_part_ends_the_answer_and_not_the_run(box):
    array = large(box)
    volume = Dataset(box / "ds")["v"]
    with open(volume.pack, "r+b") as file:
        file.seek(volume.offset + volume.length // 2)
        file.write(b"\xff" * 8)
    stream = io.BytesIO(ok("vol-cat --batch ds", box, stdin=b"v :\nv 0:2,0:2,0:2\n").out)
    head = json.loads(stream.readline())
    while "error" not in (part := json.loads(stream.readline())):
        stream.read(part["bytes"])
    assert part["kind"] == "damage" and head["parts"] > 1
    assert json.loads(stream.readline())["bytes"] == 8
    assert stream.read() == array[:2, :2, :2].tobytes(order="F")


def server(box, *words, **options):
    return subprocess.Popen(["vol-cat", "--batch", "ds", *words], cwd=box, env=environment(),
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            **options)


def test_an_answer_comes_before_the_next_request(scanned):
    box, images = scanned
    with server(box) as child:
        for _ in range(3):
            child.stdin.write(b"odd-f4_3d 0:5,0,0\n")
            child.stdin.flush()
            head = json.loads(child.stdout.readline())
            body = child.stdout.read(head["bytes"])
            assert body == images["f4_3d"][0][:5, :1, :1].tobytes(order="F")
        child.stdin.close()
        assert child.wait(10) == 0 and child.stderr.read() == b""


def memory(child):
    text = open(f"/proc/{child.pid}/status").read()
    return int(re.search(r"VmRSS:\s+(\d+)", text)[1]) // 1024


def test_a_client_that_stops_reading_stops_the_server_and_one_that_dies_ends_it(scanned):
    with server(scanned[0]) as child:
        request = b"odd-f8_4d :\n" * 1000

        def ask():
            try:
                for _ in range(200):
                    child.stdin.write(request)
                    child.stdin.flush()
            except OSError:
                pass

        thread = threading.Thread(target=ask)
        thread.start()
        thread.join(3)
        assert thread.is_alive(), "200,000 requests were taken, and no answer read"
        assert child.poll() is None and memory(child) < 300, memory(child)
        child.stdout.close()
        child.wait(10)
        thread.join(10)
        assert child.returncode == -13 and child.stderr.read() == b""
        assert not thread.is_alive()
        with contextlib.suppress(BrokenPipeError):
            child.stdin.close()


def test_rubbish_is_answered_and_ends(scanned):
    rubbish = random.Random(5).randbytes(300_000)
    result = bash("vol-cat --batch ds", scanned[0], stdin=rubbish)
    assert result.status in (0, 65), repr(result)
    assert all("error" in head for head, _ in answers(result.out))
    result = bash("vol-cat --batch ds", scanned[0], stdin=b"x" * 200_000)
    assert result.status == 65
    one_clear_line(result, "vol-cat", "65536 bytes")
    [(head, _)] = answers(result.out)
    assert "65536 bytes" in head["error"]


def test_an_answer_that_cannot_be_written_is_an_error(scanned):
    result = bash("yes 'odd-i2_3d :' | head -100 | vol-cat --batch ds > /dev/full", scanned[0])
    assert result.status == 74
    one_clear_line(result, "vol-cat", "space")
