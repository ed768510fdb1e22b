"""The examples, run as they are written."""

import os
import re
import shutil

import nibabel
import numpy as np
import patches
import pytest
from dataset import Dataset
from support import REPO, environment, ok, ramp, save


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


def test_random_patches_for_training(scans):
    ok("nifti-cat -q scans | vol-write -q ds CT; vol-commit -q ds", scans)
    lines = ok('"$PYTHON" "$EXAMPLES/patches.py" ds CT', scans).lines
    assert len(lines) == 2 and all(line.startswith("(64, 64, 64) float32 ") for line in lines)
    made = patches.Patches(scans / "ds", "CT", edge=16)
    path, os.environ["PATH"] = os.environ["PATH"], environment()["PATH"]
    try:
        whole = values(scans, "sub-02_CT")
        patch = made[1]
    finally:
        os.environ["PATH"] = path
    places = np.argwhere(whole[:55, :51, :50] == patch[0, 0, 0])
    assert any(np.array_equal(whole[x:x + 16, y:y + 16, z:z + 16], patch) for x, y, z in places)
    made.batch.close()


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
