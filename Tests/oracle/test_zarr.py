"""Zarr programs that know nothing of us open the volumes where they lie in the packs."""

import json
import os

import numpy as np
import pytest
import tensorstore
import zarr
from dataset import Dataset
from support import ok, ramp, rgb, save, stored


def zarr_json(volume):
    """The array as vol-dataset(5) describes a shard to Zarr readers."""
    channels = [volume.channels] if volume.channels > 1 else []
    inner = [*reversed(volume.chunk), *channels]
    whole = [g * c for g, c in zip(volume.grid, volume.chunk)]
    complex_ = volume.dtype.kind == "c"
    little = {"name": "bytes", "configuration": {"endian": "little"}}
    blosc = {"cname": "zstd", "clevel": 1, "shuffle": "shuffle" if volume.shuffled else "noshuffle",
             "typesize": volume.dtype.itemsize, "blocksize": 0}
    return {
        "zarr_format": 3, "node_type": "array", "attributes": {},
        "shape": [*reversed(volume.shape), *channels],
        "data_type": volume.header["dtype"],
        "fill_value": [0.0, 0.0] if complex_ else 0.0 if volume.dtype.kind == "f" else 0,
        "chunk_grid": {"name": "regular",
                       "configuration": {"chunk_shape": [*reversed(whole), *channels]}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "codecs": [{"name": "sharding_indexed", "configuration": {
            "chunk_shape": inner,
            "codecs": [little, {"name": "blosc", "configuration": blosc}],
            "index_codecs": [little, {"name": "crc32c"}],
            "index_location": "end"}}],
    }


def only_chunk(volume):
    return "/".join(["c"] + ["0"] * len(zarr_json(volume)["shape"]))


def backwards(array, channels):
    """A Zarr array [..., z, y, x, channel] turned to [x, y, z, ..., channel]."""
    axes = array.ndim - (channels > 1)
    return array.transpose(*reversed(range(axes)), *range(axes, array.ndim))


def sources(folder):
    noise = np.random.default_rng(5)
    hollow = np.zeros((70, 70, 70), "i2")
    hollow[3, 66, 40] = 7
    arrays = {
        "int16": ramp((45, 70, 33)),
        "float32_4d": ramp((34, 20, 18, 5), "f4"),
        "rgb": rgb((40, 36, 5)),
        "rgba": rgb((20, 36, 5), 4),
        "complex64": ramp((40, 33, 3), "c8"),
        "int64": ramp((36, 33, 3), "i8"),
        "noise": noise.integers(-2**15, 2**15, (50, 50, 40)).astype("i2"),
        "noise_bytes": noise.integers(0, 256, (64, 50, 40)).astype("u1"),
        "hollow": hollow,
        "zero": np.zeros((40, 40, 40), "f8"),
        "tiny": ramp((1, 1, 1), "i1"),
    }
    paths = {name: save(folder / f"{name}.nii", array) for name, array in arrays.items()}
    paths["line"] = save(folder / "line.nii", ramp((100_003,), "u2"), version=2)
    paths["big_endian"] = save(folder / "big_endian.nii", ramp((33, 34, 35), "f4"), endian=">")
    return paths


@pytest.fixture(scope="module", params=["", "--no-shuffle -c isotropic"], ids=["default", "plain"])
def scanned(request, tools, tmp_path_factory):
    box = tmp_path_factory.mktemp("zarr")
    paths = sources(box / "in")
    ok(f"nifti-cat in | vol-write --obs-id '{{name}}' {request.param} ds CT; vol-commit ds", box)
    dataset = Dataset(box / "ds")
    assert set(dataset.volumes) == set(paths)
    return box, paths, dataset


def test_zarr_python_opens_every_volume_through_one_reference_each(scanned):
    box, paths, dataset = scanned
    refs = {"zarr.json": json.dumps({"zarr_format": 3, "node_type": "group", "attributes": {}})}
    for obs_id, volume in dataset.volumes.items():
        refs[f"{obs_id}/zarr.json"] = json.dumps(zarr_json(volume))
        where = [str(volume.pack), volume.offset, volume.length]
        refs[f"{obs_id}/{only_chunk(volume)}"] = where
    (box / "refs.json").write_text(json.dumps({"version": 1, "refs": refs}))
    group = zarr.open_group("reference://", mode="r", storage_options={
        "fo": str(box / "refs.json"), "remote_protocol": "file"})
    for obs_id, path in paths.items():
        volume = dataset[obs_id]
        array = backwards(group[obs_id][...], volume.channels)
        assert array.dtype == stored(path).dtype, obs_id
        assert np.array_equal(array, stored(path)), obs_id
        assert np.array_equal(volume.array(), stored(path)), obs_id


def test_tensorstore_opens_every_volume(scanned, tmp_path):
    _, paths, dataset = scanned
    for obs_id, path in paths.items():
        volume, folder = dataset[obs_id], tmp_path / obs_id
        # It has no driver for a range of a file: the extent becomes the one chunk's own file.
        chunk = folder / only_chunk(volume)
        os.makedirs(chunk.parent)
        chunk.write_bytes(volume.read(volume.offset, volume.length))
        (folder / "zarr.json").write_text(json.dumps(zarr_json(volume)))
        array = tensorstore.open({"driver": "zarr3", "open": True, "kvstore": {
            "driver": "file", "path": f"{folder}/"}}).result().read().result()
        assert np.array_equal(backwards(array, volume.channels), stored(path)), obs_id


def test_chunks_of_zeros_are_not_stored(scanned):
    _, _, dataset = scanned
    count = {name: (sum(length != 2**64 - 1 for _, length in dataset[name].index()),
                    len(dataset[name].index())) for name in ("hollow", "zero", "int16")}
    assert count["zero"][0] == 0
    assert count["hollow"][0] == 1 < count["hollow"][1]
    assert count["int16"][0] == count["int16"][1]
    assert dataset["zero"].length == 16 * count["zero"][1] + 4
