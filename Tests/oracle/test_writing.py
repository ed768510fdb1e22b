"""vol-write: chunks, packs, ids, and output that depends on nothing but the input."""

import io
import json
import subprocess

import numpy as np
import pytest
from dataset import Dataset, staged
from frames import FrameWriter
from support import BIN, Result, bash, ok, one_clear_line, ramp, save, snapshot, stored, tree


@pytest.fixture(scope="module")
def scans(tools, tmp_path_factory):
    """Three volumes of different shape and type as one stream."""
    box = tmp_path_factory.mktemp("writing")
    save(box / "in" / "a.nii", ramp((100, 90, 70)))
    save(box / "in" / "b.nii", ramp((40, 30, 20, 6), "f4"))
    save(box / "in" / "c.nii", np.random.default_rng(1).integers(0, 256, (65, 64, 63)).astype("u1"))
    ok("nifti-cat in > in.frames", box)
    return box


def arrays(box):
    return {name: stored(box / "in" / f"{name}.nii") for name in "abc"}


CHUNKS = {
    "isotropic": ((64, 64, 64), (40, 30, 20, 1), (64, 64, 63)),
    "axial": ((100, 90, 1), (40, 30, 1, 1), (65, 64, 1)),
    "coronal": ((100, 1, 70), (40, 1, 20, 1), (65, 1, 63)),
    "sagittal": ((1, 90, 70), (1, 30, 20, 1), (1, 64, 63)),
    "32,16,8": ((32, 16, 8), (32, 16, 8, 1), (32, 16, 8)),
    "16,16,16,4": ((16, 16, 16), (16, 16, 16, 4), (16, 16, 16)),
    "1000,1000,1000,1000": ((100, 90, 70), (40, 30, 20, 6), (65, 64, 63)),
    "auto": ((32, 32, 16), None, (32, 32, 16)),
}


@pytest.mark.parametrize("chunk", CHUNKS)
def test_chunks_are_as_asked_for_and_the_voxels_do_not_depend_on_them(scans, tmp_path, chunk):
    ok(f"vol-write -c {chunk} ds CT < {scans}/in.frames; vol-commit ds", tmp_path)
    dataset = Dataset(tmp_path / "ds")
    for (name, array), wanted in zip(arrays(scans).items(), CHUNKS[chunk]):
        volume = dataset[f"{name}_CT"]
        assert wanted in (None, volume.chunk), (name, volume.chunk)
        assert np.array_equal(volume.array(), array), name
    # And back through the tool, where a wrong grid would show as a wrong order of voxels.
    ok("vol-cat ds | nifti-write -o out", tmp_path)
    for name in "abc":
        original = (scans / "in" / f"{name}.nii").read_bytes()
        assert (tmp_path / "out" / f"{name}.nii").read_bytes() == original


def test_default_chunk_of_a_flat_volume_grows_along_the_other_axes(box):
    save(box / "flat.nii", ramp((300, 300, 4)))
    ok("nifti-cat flat.nii | vol-write ds CT; vol-commit ds", box)
    chunk = Dataset(box / "ds")["flat_CT"].chunk
    assert chunk[2] == 4 and chunk[0] > 32 and np.prod(chunk) >= 16_000, chunk


@pytest.mark.parametrize("options", ["-l 19", "--no-shuffle", "-l 3 --no-shuffle"])
def test_level_and_shuffle_change_the_stored_bytes_only(scans, tmp_path, options):
    ok(f"vol-write {options} ds CT < {scans}/in.frames; vol-commit ds", tmp_path)
    dataset = Dataset(tmp_path / "ds")
    for name, array in arrays(scans).items():
        volume = dataset[f"{name}_CT"]
        assert np.array_equal(volume.array(), array)
        assert volume.shuffled == ("--no-shuffle" not in options and array.itemsize > 1)
    codec = dataset.manifest["stages"][0]["codec"]
    assert codec["shuffle"] == ("--no-shuffle" not in options)
    assert codec["level"] == (int(options.split()[1]) if "-l" in options.split() else 1)


def test_output_does_not_depend_on_jobs(scans, tmp_path):
    """Packs and catalogs byte for byte, but for the stage's id in their first 32 bytes."""
    seen = set()
    for jobs in ("-j 1", "-j 2", "-j 8", ""):
        stage = ok(f"vol-write {jobs} --pack-size 300K ds CT < {scans}/in.frames", tmp_path).text
        assert len(stage.strip()) == 32
        [volumes] = staged(tmp_path / "ds").values()
        assert len(volumes) == 3
        files = [*sorted((tmp_path / "ds").glob("packs/*")),
                 *(tmp_path / "ds").glob("catalogs/*")]
        seen.add(tuple((path.name[32:], path.read_bytes()[32:]) for path in files))
        bash("rm -rf ds", tmp_path)
    assert len(seen) == 1
    assert len(seen.pop()) >= 3, "one pack only: nothing was rolled over"


def test_pack_size_begins_a_new_pack_after_the_volume_that_reaches_it(scans, tmp_path):
    ok(f"vol-write --pack-size 1K ds CT < {scans}/in.frames; vol-commit ds", tmp_path)
    dataset = Dataset(tmp_path / "ds")
    assert len({volume.pack for volume in dataset.volumes.values()}) == 3
    ok(f"vol-write ds2 CT < {scans}/in.frames; vol-commit ds2", tmp_path)
    assert len(list((tmp_path / "ds2" / "packs").iterdir())) == 1


def test_ids_follow_the_template_and_the_default_adds_the_collection_once(box):
    save(box / "in" / "sub-01_x.nii", ramp((3, 2)))
    save(box / "in" / "sub-02_CT.nii", ramp((3, 2)))
    ok("nifti-cat in > in.frames", box)
    for options, wanted in (("", ["sub-01_x_CT", "sub-02_CT"]),
                            ("--obs-id '{name}'", ["sub-01_x", "sub-02_CT"]),
                            ("--obs-id '{collection}-{subject}'", ["CT-sub-01", "CT-sub-02"])):
        ok(f"rm -rf ds; vol-write {options} ds CT < in.frames; vol-commit ds", box)
        assert list(Dataset(box / "ds").volumes) == wanted
    # A stream out of a dataset has its ids already, and they hold.
    ok("vol-cat ds | vol-write again MR; vol-commit again", box)
    assert list(Dataset(box / "again").volumes) == wanted
    codes = bash("vol-write --obs-id same new CT < in.frames", box)
    assert codes.status == 65 and "same" in codes.err, repr(codes)


def test_equal_ids_in_one_run_are_refused(box):
    for folder in "ab":
        save(box / folder / "x.nii", ramp((9, 8, 7)))
    result = bash("nifti-cat -q a b | vol-write ds CT", box)
    assert result.status == 65
    one_clear_line(result, "vol-write", "x_CT")
    assert bash("vol-commit ds", box).status == 66


def test_an_id_of_the_snapshot_is_refused_before_its_voxels(box):
    """The stream stops after the open frame, and still the answer is the right one."""
    save(box / "x.nii", ramp((64, 64, 64)))
    ok("nifti-cat x.nii > x.frames; vol-write ds CT < x.frames; vol-commit ds", box)
    before = tree(box / "ds")
    with open(box / "err", "w+b") as err:
        child = subprocess.Popen([BIN / "vol-write", "ds", "CT"], cwd=box, stdin=subprocess.PIPE,
                                 stdout=subprocess.DEVNULL, stderr=err)
        child.stdin.write((box / "x.frames").read_bytes()[:5000])
        child.stdin.flush()
        status = child.wait(timeout=10)  # though the stream is open still
        child.stdin.close()
        err.seek(0)
        one_clear_line(Result(status, b"", err.read().decode()), "vol-write", "x_CT")
    assert status == 65
    assert tree(box / "ds") == before
    result = bash("vol-write ds MR --obs-id x_CT < x.frames", box)
    assert result.status == 65, "unique in the whole dataset, not in a collection"


def test_volumes_of_one_collection_differ_in_shape_and_type(box):
    shapes = [(7,), (7, 5), (7, 5, 3), (7, 5, 3, 2), (5, 4, 3, 2, 3, 2, 2)]
    stream = io.BytesIO()
    writer = FrameWriter(stream)
    given = [ramp(shape, dtype) for shape, dtype in zip(shapes, ("i1", "f8", "i2", "c16", "u4"))]
    for number, array in enumerate(given):
        writer.volume(array, name=f"v{number}")
    writer.end()
    ok("vol-write ds CT; vol-commit ds", box, stdin=stream.getvalue())
    dataset = Dataset(box / "ds")
    for number, array in enumerate(given):
        volume = dataset[f"v{number}_CT"]
        assert volume.array().dtype == array.dtype and np.array_equal(volume.array(), array)


def test_a_slab_too_large_for_memory_goes_through_a_scratch_file_that_is_gone_after(box):
    """One chunk deep is 80 MiB here: x and y whole, and all of z."""
    array = ramp((320, 320, 4, 102))
    save(box / "deep.nii", array)
    codes = ok("nifti-cat deep.nii | vol-write -c 64,64,4,102 ds CT; vol-commit ds", box)
    assert snapshot(codes.text.splitlines(keepends=True)[-1]) == 1
    assert np.array_equal(Dataset(box / "ds")["deep_CT"].array(), array)
    assert list((box / "ds" / "stages").iterdir()) == []
    whole = ok("nifti-cat deep.nii", box).out
    result = bash("vol-write -c 64,64,4,102 --obs-id again ds CT", box, stdin=whole[:-200])
    assert result.status == 65, repr(result)
    assert list((box / "ds" / "stages").iterdir()) == []
    ok("vol-cat ds | nifti-write -o out && cmp out/deep.nii deep.nii", box)


def test_limits_of_chunks_are_refused_and_not_tried(box):
    def refusal(shape, chunk):
        stream = io.BytesIO()
        writer = FrameWriter(stream)
        writer.open({"name": "huge", "shape": shape, "dtype": "uint8"})
        writer.frame(2, body=bytes(1000))
        result = bash(f"vol-write -c {chunk} ds CT", box, stdin=stream.getvalue())
        assert result.status == 65 and "huge" in result.err, repr(result)
        return "over 64 MiB each or over 4194304 in number" in result.err

    # Where a chunk may be so large, it is the stream's end that is missed.
    assert not refusal([1024, 1024, 256], "1024,1024,64")
    assert refusal([1024, 1024, 256], "1024,1024,65")
    assert not refusal([2048, 2048, 1], "1,1,1")
    assert refusal([2048, 2049, 1], "1,1,1")
    assert refusal([4000, 4000, 4000], "1,1,1")


def test_nifti_write_names_and_replaces_only_when_told(box):
    data = save(box / "sub-01_x.nii", ramp((9, 8, 7))).read_bytes()
    ok("nifti-cat sub-01_x.nii | vol-write ds CT; vol-commit ds", box)
    ok("vol-cat ds | nifti-write -o out --name '{collection}/{subject}/{obs_id}'", box)
    path = box / "out" / "CT" / "sub-01" / "sub-01_x_CT.nii"
    assert path.read_bytes() == data
    path.write_bytes(b"mine")
    command = "vol-cat ds | nifti-write {} -o out --name '{{collection}}/{{subject}}/{{obs_id}}'"
    result = bash(command.format(""), box)
    assert result.status == 73 and path.read_bytes() == b"mine", repr(result)
    ok(command.format("-f"), box)
    assert path.read_bytes() == data
    assert [name for name in tree(box / "out") if name.endswith(".nii")] == [
        "CT/sub-01/sub-01_x_CT.nii"]


def test_a_broken_stream_leaves_no_half_file(box):
    save(box / "x.nii", ramp((64, 64, 64)))
    whole = ok("nifti-cat x.nii", box).out
    result = bash("nifti-write -o out", box, stdin=whole[:-20_000])
    assert result.status == 65
    assert not list((box / "out").rglob("*")), tree(box / "out")


# Several collections, volumes that cannot come in, and what is told of them

@pytest.fixture
def bids(box):
    for number, path in enumerate(["sub-01_T1w", "sub-01_bold", "sub-02_T1w"]):
        save(box / "b" / f"{path}.nii", ramp((9, 8, 7), seed=number))
    return box


def test_a_template_fills_a_collection_for_each_value_and_all_are_committed_together(bids):
    stages = ok("nifti-cat -q b | vol-write -q ds '{attrs.suffix}'", bids).lines
    records = staged(bids / "ds")
    assert len(stages) == 2 and set(stages) == set(records)
    for named in stages:
        result = bash(f"vol-commit ds {named}", bids)
        assert result.status == 66, repr(result)
        one_clear_line(result, "vol-commit", *[stage for stage in stages if stage != named])
    record = bids / "ds" / "stages" / f"{stages[1]}.json"
    data = record.read_bytes()
    record.unlink()
    for command in ("vol-commit ds", f"vol-commit ds {stages[0]}"):
        result = bash(command, bids)
        assert result.status == 66, "half of what one vol-write wrote was committed"
    [row] = ok("vol-ls --staged --json ds", bids).lines
    row = json.loads(row)
    assert (row["stage"], row["state"]) == (stages[0], "incomplete")
    record.write_bytes(data)
    ok(f"vol-commit -q ds {' '.join(stages)}", bids)
    dataset = Dataset(bids / "ds")
    counts = {name: sums["volumes"] for name, sums in dataset.manifest["collections"].items()}
    assert counts == {"T1w": 2, "bold": 1}
    for name in ("sub-01_T1w", "sub-01_bold", "sub-02_T1w"):
        np.testing.assert_array_equal(dataset[name].array(), stored(bids / "b" / f"{name}.nii"))
    ok("vol-cat ds | vol-write -q copy '{collection}' && vol-commit -q copy", bids)
    copy = Dataset(bids / "copy")
    assert copy.manifest["collections"].keys() == counts.keys()
    assert bash("vol-verify --full -q copy", bids).status == 0


def test_a_literal_name_with_a_brace_is_refused(bids):
    for name in ("{attrs.suffix", "a}b", "{folder.x}"):
        result = bash(f"nifti-cat b | vol-write ds '{name}'", bids)
        assert result.status == 64 and not (bids / "ds").exists(), repr(result)


def test_a_collision_names_both_paths_and_the_way_out(box):
    """Whether the first is still under way or long written."""
    for count in (0, 300):
        folder = box / f"d{count}"
        for sub in ("a", "z"):
            save(folder / sub / "scan.nii", ramp((9, 8, 7)))
        for number in range(count):
            save(folder / "m" / f"{number}.nii", ramp((2,)))
        result = bash(f"nifti-cat -q d{count} | vol-write ds CT", box)
        assert result.status == 65, repr(result)
        one_clear_line(result, "vol-write", f"'d{count}/a/scan.nii'", f"'d{count}/z/scan.nii'",
                       "--obs-id", "{path}")
    assert not staged(box / "ds")
    result = bash("nifti-cat -q d300 | vol-write -k ds CT", box)
    assert result.status == 1 and "'d300/z/scan.nii'" in result.err, repr(result)
    assert result.err.splitlines()[-1] == "vol-write: staged 301 volumes; left out 1"
    ok("vol-commit ds", box)
    dataset = Dataset(box / "ds")
    assert len(dataset.volumes) == 301 and dataset["scan_CT"].header["source"]["path"] == (
        "d300/a/scan.nii")


def test_with_k_what_cannot_come_in_is_left_out_and_named(box):
    good = {"shape": [4, 3], "dtype": "uint8"}
    bad = {"an id again": {"obs_id": "good-0", "attributes": {"k": "T"}},
           "contradiction": {"obs_id": "c", "affine": np.eye(4).tolist(),
                             "voxel_spacing": [2, 2, 2], "attributes": {"k": "T"}},
           "no suffix": {"obs_id": "s"}}
    out = io.BytesIO()
    writer = FrameWriter(out)
    for number, (name, header) in enumerate(bad.items()):
        for obs_id, more in ((f"good-{number}", {"attributes": {"k": "T"}}), (name, header)):
            writer.open({"obs_id": obs_id, "name": name, **good, **more})
            writer.data(ramp((4, 3), "u1", seed=number))
            writer.close()
    writer.end()
    (box / "in").write_bytes(out.getvalue())
    result = bash("vol-write ds '{attrs.k}' < in", box)
    assert result.status == 65 and not staged(box / "ds"), repr(result)
    result = bash("vol-write -k ds '{attrs.k}' < in", box)
    assert result.status == 1, repr(result)
    *refusals, count = result.err.splitlines()
    assert count == "vol-write: staged 3 volumes; left out 3"
    assert len(refusals) == 3 and all(line.startswith("vol-write: ") for line in refusals)
    ok("vol-commit ds", box)
    assert list(Dataset(box / "ds").volumes) == ["good-0", "good-1", "good-2"]
    cut = box / "cut"
    cut.write_bytes(out.getvalue()[:-9])
    assert bash("vol-write -k other CT < cut", box).status == 65 and not staged(box / "other")


def test_other_attributes_of_a_volume_that_is_there_are_told_of(box):
    save(box / "a.nii", ramp((4, 3)))
    ok("nifti-cat --attr age=7 a.nii | vol-write -q ds CT; vol-commit -q ds", box)
    for option in ("--replace", "--skip-existing"):
        result = bash(f"nifti-cat --attr age=8 a.nii | vol-write {option} ds CT", box)
        assert result.status == 0 and result.out == b"", repr(result)
        there, other = result.err.splitlines()
        assert there == "vol-write: 1 volume there already"
        assert "1 has another subject or other attributes" in other
        ok(f"nifti-cat --attr age=7 a.nii | vol-write -q {option} ds CT", box)


def test_a_replacement_that_is_only_staged_is_seen(box):
    """Two of one id could not both be committed."""
    save(box / "a.nii", ramp((4, 3)))
    ok("nifti-cat a.nii | vol-write -q ds CT; vol-commit -q ds", box)
    save(box / "a.nii", ramp((4, 3), seed=5))
    ok("nifti-cat a.nii | vol-write -q --replace ds CT", box)
    assert ok("nifti-cat a.nii | vol-write -q --replace ds CT", box).out == b""
    save(box / "a.nii", ramp((4, 3), seed=6))
    result = bash("nifti-cat a.nii | vol-write --replace ds CT", box)
    assert result.status == 65 and "commit it first" in result.err, repr(result)
