"""The examples, run as they are written."""

import io
import multiprocessing
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
from support import REPO, environment, ok, ramp, save
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


def test_a_makefile_whose_target_is_the_head(scans):
    shutil.copy(REPO / "examples" / "make" / "Makefile", scans)
    ok("make -s > /dev/null", scans)
    assert set(Dataset(scans / "ds").volumes) == {"sub-01_CT", "sub-02_CT"}
    assert "up to date" in ok("make", scans).text
    save(scans / "scans" / "sub-03_CT.nii.gz", ramp((5, 4, 3)))
    ok("make -s > /dev/null", scans)
    dataset = Dataset(scans / "ds")
    assert len(dataset.volumes) == 3 and max(dataset.manifests) == 2


def test_a_snakefile(scans):
    shutil.copy(REPO / "examples" / "snakemake" / "Snakefile", scans)
    ok('PATH="$(dirname "$PYTHON"):$PATH"; "$PYTHON" -m snakemake -q all -c 1 2> log', scans, timeout=200)
    assert is_normal(scans, "sub-02_CT_norm", scans / "scans" / "sub-02_CT.nii.gz")
    ok('PATH="$(dirname "$PYTHON"):$PATH"; "$PYTHON" -m snakemake -c 1 2> log', scans, timeout=200)
    assert re.search("Nothing to be done", (scans / "log").read_text())
