"""python/volpipe.py: what it reads and writes, against the tools."""

import io
import random
import subprocess
from pathlib import Path

import numpy as np
import pytest
import volpipe
from support import BIN, REPO, environment, ok, stored
from test_export import scanned  # noqa: F401: a fixture
from test_regions import draw_region


@pytest.fixture
def batch(scanned, monkeypatch):  # noqa: F811
    monkeypatch.setenv("PATH", environment()["PATH"])
    made = volpipe.Batch(scanned[0] / "ds")
    yield made
    assert made.close() == 0


def plain(path):
    """The voxels of a file, with colours as the last axis."""
    array = stored(path)
    return array


def test_a_dataset_lists_its_volumes(scanned):  # noqa: F811
    box, paths = scanned
    dataset = volpipe.Dataset(box / "ds")
    found = {header["obs_id"]: header for header in dataset}
    assert set(paths) < set(found) and len(found) == len(paths) + 1
    assert found["rgb"]["collection"] == "CT" and found["rgb"]["channels"] == 3
    with pytest.raises(KeyError):
        dataset.read("nobody")
    assert volpipe.Dataset(box / "ds", 1).manifest == dataset.manifest


def test_regions_are_numpys_slices_with_and_without_a_program(scanned, batch):  # noqa: F811
    box, paths = scanned
    dataset, draw = volpipe.Dataset(box / "ds"), random.Random(4)
    for name, path in paths.items():
        whole = plain(path)
        axes = len(next(header["shape"] for header in dataset if header["obs_id"] == name))
        for _ in range(6):
            _, region = draw_region(draw, whole.shape[:axes])
            assert np.array_equal(dataset.read(name, region), whole[region]), (name, region)
            assert np.array_equal(batch.read(name, region), whole[region]), (name, region)
        assert np.array_equal(dataset.read(name), whole), name
    array = stored(paths["int16"])
    for region in (np.s_[3], np.s_[:, -1], np.s_[1:9, 5, 7], np.s_[..., 0][:0] or np.s_[:, :, 0]):
        assert np.array_equal(dataset.read("int16", region), array[region])
        assert np.array_equal(batch.read("int16", region), array[region])
    for reader in (dataset, batch):
        with pytest.raises(ValueError):
            reader.read("int16", np.s_[::2])


def test_requests_may_wait_and_errors_are_told(scanned, batch):  # noqa: F811
    array = stored(scanned[1]["int16"])
    for number in range(20):
        batch.ask("int16", np.s_[number])
    batch.ask("nobody")
    batch.ask("int16", np.s_[500])
    batch.ask("int16", np.s_[:, 1])
    for number in range(20):
        header, plane = batch.take()
        assert header["shape"][0] == 1 and np.array_equal(plane, array[number])
    for said in ("nobody", "no voxel"):
        with pytest.raises(KeyError, match=said):
            batch.take()
    assert np.array_equal(batch.take()[1], array[:, 1])


def test_streams_come_in_and_go_out(scanned):  # noqa: F811
    box, paths = scanned
    data = ok("vol-cat ds CT", box).out
    out = io.BytesIO()
    writer = volpipe.FrameWriter(out)
    for header, array in volpipe.volumes(io.BytesIO(data)):
        assert np.array_equal(array, plain(paths[header["obs_id"]]))
        writer.volume(array, **header)
    writer.end()
    assert len(ok("vol-ls --tsv -", box, stdin=out.getvalue()).lines) == len(paths) + 1
    for cut in (data[:-1], data[:1000], b""):
        with pytest.raises(ValueError):
            list(volpipe.read_frames(io.BytesIO(cut)))
    flipped = bytearray(data)
    flipped[len(data) // 2] ^= 1
    with pytest.raises(ValueError):
        list(volpipe.read_frames(io.BytesIO(flipped)))


def test_it_is_one_short_file_of_numpy_and_a_zstd_decoder(scanned, tmp_path):  # noqa: F811
    text = (REPO / "python" / "volpipe.py").read_text()
    assert len(text.splitlines()) < 250
    (tmp_path / "volpipe.py").write_text(text)
    script = ("import sys, volpipe; d = volpipe.Dataset(sys.argv[1]); d.read('tiny');"
              "print(*sorted(n for n in sys.modules if n in ('zarr', 'nibabel', 'blosc2')))")
    done = subprocess.run([environment()["PYTHON"], "-c", script, scanned[0] / "ds"], cwd=tmp_path,
                          capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("\n", "")
    assert Path(BIN).is_dir()
