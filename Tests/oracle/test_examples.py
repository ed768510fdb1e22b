"""The examples, run as they are written."""

import io
import multiprocessing
import os
import re
import shutil

import double
import nibabel
import normalise
import numpy as np
import patches
import pytest
import volpipe
from dataset import Dataset
from support import REPO, bash, environment, ok, ramp, save
from test_python import forked


@pytest.fixture
def scans(box):
    for name in ("sub-01_CT", "sub-02_CT"):
        save(box / "scans" / f"{name}.nii.gz", ramp((70, 66, 65), seed=len(name)))
    return box


def values(box, obs_id):
    return Dataset(box / "ds")[obs_id].array()


def is_normal(box, obs_id, path):
    whole = np.asarray(nibabel.load(path).dataobj, "f8")
    made = values(box, obs_id)
    return made.dtype == np.float32 and np.allclose(
        made, (whole - whole.mean()) / whole.std(), atol=1e-5)


def test_a_transform_in_a_pipeline(scans):
    ok('nifti-cat -q scans | "$PYTHON" "$EXAMPLES/normalise.py" | vol-write -q ds CT; '
       "vol-commit -q ds", scans)
    assert is_normal(scans, "sub-01_CT", scans / "scans" / "sub-01_CT.nii.gz")
    ok("vol-cat ds | nifti-write -q -o out", scans)
    image = nibabel.load(scans / "out" / "sub-01_CT.nii")
    np.testing.assert_allclose(image.affine, nibabel.load(scans / "scans/sub-01_CT.nii.gz").affine,
                               atol=1e-5)


@pytest.mark.parametrize("example", [normalise.main, double.double])
def test_a_partial_run_stays_one_behind_a_filter(example):
    source, sink = io.BytesIO(), io.BytesIO()
    with volpipe.FrameWriter(source) as writer:
        writer.volume(ramp((4, 3)), name="a")
        writer.open({"name": "b", "shape": [9], "dtype": "uint8"})
        writer.drop("cut off")
        writer.skip(2)
    example(io.BytesIO(source.getvalue()), sink)
    *_, (_, end, _) = volpipe.read_frames(io.BytesIO(sink.getvalue()))
    assert end["volumes"] == 1 and end["dropped"] + end["skipped"] == 3


def test_voxels_that_cannot_be_doubled_end_the_filter_without_an_end_frame():
    source, sink = io.BytesIO(), io.BytesIO()
    with volpipe.FrameWriter(source) as writer:
        writer.volume(np.array([1, -2**15], "i2"), name="a")
    with pytest.raises(ValueError, match="'a'.*too large"):
        double.double(io.BytesIO(source.getvalue()), sink)
    with pytest.raises(volpipe.Damaged, match="end frame"):
        list(volpipe.read_frames(io.BytesIO(sink.getvalue())))


def is_patch(patch, whole):
    edge = len(patch)
    starts = np.argwhere(whole[:-edge + 1, :-edge + 1, :-edge + 1] == patch[0, 0, 0])
    return any(np.array_equal(whole[tuple(slice(at, at + edge) for at in start)], patch)
               for start in starts)


def test_random_patches_for_training(scans, monkeypatch):
    ok("nifti-cat -q scans | vol-write -q ds CT; vol-commit -q ds", scans)
    lines = ok('"$PYTHON" "$EXAMPLES/patches.py" ds CT', scans).lines
    assert len(lines) == 2 and all(line.startswith("(64, 64, 64) float32 ") for line in lines)
    monkeypatch.setenv("PATH", environment()["PATH"])
    made = patches.Patches(scans / "ds", "CT", edge=16)
    wholes = [values(scans, header["obs_id"]) for header in made.headers]
    assert [is_patch(patch, whole) for patch, whole in zip(made.__getitems__([0, 1]), wholes)] == [
        True, True]
    # As the workers of a DataLoader have it after its first use: inherited, or pickled.
    waits = [forked(lambda: made.__getitems__([0, 1] * 4)) for _ in range(2)]
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        found = pool.map(made.__getitem__, [0, 1] * 4, chunksize=2)
    for patches_of_worker in (found, *(wait() for wait in waits)):
        assert list(map(is_patch, patches_of_worker, wholes * 4)) == [True] * 8
    assert made.batch.close() == 0


def short_makefile():
    """The block of the README; the manual has the same."""
    readme, page = ((REPO / name).read_text() for name in ("README.md", "man/volpipe.7"))
    block = re.search(r"^    SEEN :=.*?(?=\n\n)", readme, re.M | re.S)[0]
    block = re.sub("^    ", "", block, flags=re.M) + "\n"
    assert block.replace("\\", r"\e").replace("'", r"\(aq") in page
    return block


def make(box, expected):
    """Run make; the ids and voxels of the dataset that it leaves must be those expected."""
    ok("make -s > log 2>&1", box)
    volumes = Dataset(box / "ds").volumes
    assert volumes.keys() == {f"{name}_CT" for name in expected}
    for name, seed in expected.items():
        np.testing.assert_array_equal(volumes[f"{name}_CT"].array(), scan(seed))
    head = (box / "ds" / "HEAD").stat().st_mtime_ns
    assert "up to date" in ok("make", box).text
    assert (box / "ds" / "HEAD").stat().st_mtime_ns == head
    return head


def scan(seed):
    return ramp((5, 4, 3), seed=seed)


@pytest.fixture(params=["whole", "short"])
def made(request, box):
    """A dataset that make has made of two scans, and make's file, the example's or the README's."""
    whole = (REPO / "examples" / "make" / "Makefile").read_text()
    (box / "Makefile").write_text(whole if request.param == "whole" else short_makefile())
    save(box / "scans" / "a.nii", scan(1))
    save(box / "scans" / "of site 2" / "b.nii.gz", scan(2))
    make(box, {"a": 1, "b": 2})
    return box


def test_make_takes_in_new_scans_and_replaces_changed_ones(made):
    save(made / "scans" / "c.nii", scan(3))
    make(made, {"a": 1, "b": 2, "c": 3})
    times = os.stat(made / "scans" / "a.nii")
    save(made / "scans" / "a.nii", scan(4))
    os.utime(made / "scans" / "a.nii", (times.st_atime, times.st_mtime - 60))  # as cp -p has it
    head = make(made, {"a": 4, "b": 2, "c": 3})
    os.utime(made / "scans" / "a.nii")
    assert make(made, {"a": 4, "b": 2, "c": 3}) == head  # there was nothing to commit


def test_make_goes_on_after_a_bad_file_was_mended(made):
    save(made / "scans" / "a.nii", scan(4))
    (made / "scans" / "c.nii").write_text("no scan")
    for _ in range(2):
        failed = bash("make -s", made)
        assert failed.status == 2 and "'scans/c.nii'" in failed.err
        assert len(Dataset(made / "ds").volumes) == 2
    save(made / "scans" / "c.nii", scan(3))
    make(made, {"a": 4, "b": 2, "c": 3})
    (made / "scans" / "d.nii").write_text("no scan")
    assert bash("make -s", made).status == 2
    (made / "scans" / "d.nii").unlink()
    make(made, {"a": 4, "b": 2, "c": 3})  # the state before, and yet a run
    shutil.rmtree(made / "ds")
    make(made, {"a": 4, "b": 2, "c": 3})


@pytest.mark.parametrize("made", ["whole"], indirect=True)
def test_make_takes_out_what_is_gone(made):
    other = save(made / "elsewhere.nii", scan(9))
    ok(f"nifti-cat {other.name} | vol-write -q ds other; vol-commit -q ds", made)
    other.unlink()
    (made / "scans" / "a.nii").rename(made / "scans" / "of site 2" / "a.nii")
    (made / "scans" / "of site 2" / "b.nii.gz").unlink()
    save(made / "scans" / "c.nii", scan(3))
    ok("make -s > /dev/null", made)
    # The moved one is there; what did not come from the folder is left alone.
    assert Dataset(made / "ds").volumes.keys() == {"a_CT", "c_CT", "elsewhere_other"}
    assert ok("tail -n +2 volumes.tsv | cut -f 1 | sort", made).lines == ["a_CT", "c_CT"]
    shutil.rmtree(made / "scans" / "of site 2")
    (made / "scans" / "c.nii").unlink()
    assert "no file in 'scans'" in bash("make -s", made).err
    assert len(Dataset(made / "ds").volumes) == 3  # nothing was taken out
    save(made / "scans" / "a.nii", scan(5))
    ok("make -s > /dev/null", made)
    assert Dataset(made / "ds").volumes.keys() == {"a_CT", "elsewhere_other"}
    # All that was there is gone, and the only new one is bad: the collection is, too, for a while.
    (made / "scans" / "a.nii").rename(made / "scans" / "b.nii")
    (made / "scans" / "c.nii").write_text("no scan")
    for _ in range(2):
        assert "'scans/c.nii'" in bash("make -s", made).err
    assert Dataset(made / "ds").volumes.keys() == {"elsewhere_other"}
    (made / "scans" / "c.nii").unlink()
    ok("make -s > /dev/null", made)
    assert Dataset(made / "ds").volumes.keys() == {"b_CT", "elsewhere_other"}


@pytest.mark.parametrize("made", ["whole"], indirect=True)
def test_make_goes_on_after_a_run_that_was_killed_before_its_commit(made):
    for name in ("a", "c"):
        save(made / "scans" / f"{name}.nii", scan(3))
    ok("nifti-cat -q scans | vol-write -q --replace ds CT", made)
    (made / "scans" / "of site 2" / "b.nii.gz").unlink()
    save(made / "scans" / "c.nii", scan(4))  # another than the one that is staged
    make(made, {"a": 3, "c": 4})


def test_a_snakefile(scans):
    shutil.copy(REPO / "examples" / "snakemake" / "Snakefile", scans)
    run = 'PATH="$(dirname "$PYTHON"):$PATH"; "$PYTHON" -m snakemake -c 1 > log 2>&1'
    ok(run, scans, timeout=200)
    assert is_normal(scans, "sub-02_CT_norm", scans / "scans" / "sub-02_CT.nii.gz")
    ok(run, scans, timeout=200)
    assert re.search("Nothing to be done", (scans / "log").read_text())
    (scans / "scans" / "sub-01_CT.nii.gz").unlink()
    changed = save(scans / "scans" / "sub-02_CT.nii.gz", ramp((6, 5, 4), seed=1))
    new = save(scans / "scans" / "sub-03_CT.nii.gz", ramp((5, 4, 3)))
    ok(run, scans, timeout=200)
    assert is_normal(scans, "sub-02_CT_norm", changed) and is_normal(scans, "sub-03_CT_norm", new)
    shutil.rmtree(scans / "scans")
    assert bash(run, scans).status == 1 and "no file in 'scans'" in (scans / "log").read_text()
    assert len(Dataset(scans / "ds").volumes) == 4
