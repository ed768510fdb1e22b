"""vol-ls --refs and vol-export: volumes in other people's readers, with no code of ours."""

import http.server
import json
import os
import re
import shutil
import threading

import nibabel
import numpy as np
import pytest
import tensorstore
import xarray
import zarr
from dataset import Dataset
from support import bash, ok, one_clear_line, ramp, save, stored, tree
from test_zarr import backwards, only_chunk, sources, zarr_json

ODD = "__x 100%"  # what Zarr keeps for itself, and what stands for it


@pytest.fixture(scope="module")
def scanned(tools, tmp_path_factory):
    box = tmp_path_factory.mktemp("export")
    paths = sources(box / "in")
    save(box / "odd" / "o.nii", ramp((5, 4, 3)))
    ok("nifti-cat -q in | vol-write -q --obs-id '{name}' ds CT", box)
    ok(f"nifti-cat -q odd | vol-write -q --obs-id '{ODD}' -c 2,2,2 ds 'a b'", box)
    ok("vol-commit -q ds", box)
    ok("vol-ls --refs ds > refs.json", box)
    return box, paths


@pytest.fixture(scope="module")
def store(scanned):
    ok("vol-export -q --zarr store ds", scanned[0])
    return scanned[0] / "store"


def by_reference(path, **options):
    return zarr.open_group("reference://", mode="r",
                           storage_options={"fo": str(path), **options})


def equal(array, path, channels):
    """A Zarr array is what nibabel reads, of the same type."""
    array = backwards(np.asarray(array), channels)
    return array.dtype == stored(path).dtype and np.array_equal(array, stored(path))


def test_zarr_python_opens_every_volume_by_reference(scanned):
    box, paths = scanned
    group = by_reference(box / "refs.json")
    dataset = Dataset(box / "ds")
    for name, path in paths.items():
        assert equal(group["CT"][name][...], path, dataset[name].channels), name
    assert np.array_equal(backwards(group["a b"]["%5F_x 100%25"][...], 1), stored(box / "odd/o.nii"))
    # All is found from the root on, and from a collection.
    assert set(group.group_keys()) == {"CT", "a b"}
    assert set(group["CT"].array_keys()) == set(paths)
    assert list(group["a b"].array_keys()) == ["%5F_x 100%25"]
    assert {path for path, _ in group.members(max_depth=None)} == {
        "CT", "a b", "a b/%5F_x 100%25", *(f"CT/{name}" for name in paths)}
    collection = zarr.open_group("reference://CT", mode="r",
                                 storage_options={"fo": str(box / "refs.json")})
    assert set(collection.array_keys()) == set(paths)
    assert dict(group["CT"].attrs)["collection"] == "CT" and dict(group.attrs)["snapshot"] == 1


def test_every_reader_opens_every_volume_of_the_store(scanned, store):
    box, paths = scanned
    dataset = Dataset(box / "ds")
    group = zarr.open_group(store, mode="r")
    assert set(group["CT"].array_keys()) == set(paths)
    for name, path in paths.items():
        channels = dataset[name].channels
        assert equal(group["CT"][name][...], path, channels), f"zarr: {name}"
        opened = tensorstore.open({"driver": "zarr3", "open": True, "kvstore": {
            "driver": "file", "path": f"{store}/CT/{name}/"}}).result()
        assert equal(opened.read().result(), path, channels), f"tensorstore: {name}"
        with zarr.config.set({"codec_pipeline.path": "zarrs.ZarrsCodecPipeline"}):
            array = zarr.open_array(f"{store}/CT/{name}", mode="r")
            assert equal(array[...], path, channels), f"zarrs: {name}"


def test_the_store_is_what_the_manual_says_and_the_very_bytes_of_the_packs(scanned, store):
    box, _ = scanned
    for name, volume in Dataset(box / "ds").volumes.items():
        if name != ODD:
            folder = store / "CT" / name
            made, wanted = json.loads((folder / "zarr.json").read_text()), zarr_json(volume)
            attributes, axes = made.pop("attributes"), made.pop("dimension_names")
            wanted.pop("attributes")
            assert made == wanted, name
            count = len(volume.shape)
            assert axes == [*reversed("x y z t u v w".split()[:count]),
                            *["channel"][:volume.channels > 1]]
            header = {key: value for key, value in volume.header.items()
                      if key not in ("shape", "dtype", "channels", "source", "collection")}
            assert attributes == header, name
            chunk = folder / only_chunk(volume)
            assert chunk.read_bytes() == volume.read(volume.offset, volume.length)


def test_xarray_opens_a_member_of_a_collection(scanned, store):
    box, paths = scanned
    ok("vol-ls --refs ds CT float32_4d > one.json", box)
    for opened in (
            xarray.open_dataset("reference://CT", engine="zarr", consolidated=False,
                                backend_kwargs={"storage_options": {"fo": str(box / "one.json")}}),
            xarray.open_dataset(store, engine="zarr", group="CT", consolidated=False,
                                drop_variables=[name for name in paths if name != "float32_4d"])):
        [name] = opened.data_vars
        assert (name, opened[name].dims) == ("float32_4d", ("t", "z", "y", "x"))
        assert np.array_equal(opened[name].values.transpose(), stored(paths[name]))
        affine = nibabel.load(paths[name]).affine
        np.testing.assert_allclose(opened[name].attrs["affine"], affine, atol=1e-6)


def test_references_move_with_the_dataset(scanned, tmp_path):
    box, paths = scanned
    shutil.copytree(box / "ds", tmp_path / "moved")
    references = json.loads(ok("vol-ls --refs --location moved ds@1 CT int16", box).out)
    assert references["templates"] == {"u": "moved"}
    (tmp_path / "refs.json").write_text(json.dumps(references))
    here = os.getcwd()
    os.chdir(tmp_path)
    try:
        array = by_reference("refs.json", remote_protocol="file")["CT"]["int16"][...]
    finally:
        os.chdir(here)
    assert equal(array, paths["int16"], 1)
    for place in ("s3://bucket/ds", "https://host/ds"):
        text = ok(f"vol-ls --refs --location {place} ds CT int16", box).text
        assert json.loads(text)["templates"] == {"u": place}


class Ranges(http.server.SimpleHTTPRequestHandler):
    """Serves files and parts of them, and keeps account."""

    def do_GET(self):
        data = open(self.translate_path(self.path), "rb").read()
        size = len(data)
        if "Range" not in self.headers:
            self.send_response(200)
            self.send_header("Content-Length", str(size))
            self.end_headers()
            self.wfile.write(data)
            return
        first, last = re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers["Range"]).groups()
        start = int(first) if first else size - int(last)
        end = min(size, int(last) + 1) if first and last else size
        self.server.asked.append((start, end - start))
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {start}-{end - 1}/{size}")
        self.send_header("Content-Length", str(end - start))
        self.end_headers()
        self.wfile.write(data[start:end])

    def log_message(self, *words):
        pass


@pytest.fixture
def served(scanned):
    def handler(*words):
        return Ranges(*words, directory=scanned[0])

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.asked = []
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_region_over_http_costs_its_chunk_and_the_index(scanned, served):
    (box, paths), (server, url) = scanned, served
    ok(f"vol-ls --refs --location {url}/ds ds CT int16 > http.json", box)
    array = by_reference(box / "http.json", remote_protocol="http", asynchronous=True,
                         remote_options={"asynchronous": True})["CT"]["int16"]
    volume = Dataset(box / "ds")["int16"]
    server.asked.clear()
    part = array[1:9, 33:60, 2:30]
    assert np.array_equal(part.transpose(), stored(paths["int16"])[2:30, 33:60, 1:9])
    index = 16 * len(volume.index()) + 4
    [chunk] = [length for _, length in volume.index()[2:3]]
    assert len(server.asked) <= 3 and sum(n for _, n in server.asked) <= chunk + index, server.asked


def test_a_plane_over_http_costs_two_requests(scanned, served, store):
    """tensorstore fetches chunks at once that lie one behind the other, as those of a plane do."""
    (box, paths), (server, url) = scanned, served
    array = tensorstore.open({"driver": "zarr3", "open": True, "kvstore": {
        "driver": "http", "base_url": f"{url}/store/CT/int16/"}}).result()
    server.asked.clear()
    plane = array[17].read().result()
    assert np.array_equal(plane.transpose(), stored(paths["int16"])[:, :, 17])
    volume = Dataset(box / "ds")["int16"]
    cells = volume.grid[0] * volume.grid[1]
    chunks = sum(length for _, length in volume.index()[cells:2 * cells])
    index = 16 * len(volume.index()) + 4
    assert len(server.asked) == 2 and sum(n for _, n in server.asked) == chunks + index, server.asked


def test_exports_come_whole_or_not_at_all(scanned, tmp_path):
    box, _ = scanned
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "file").write_text("mine")
    result = bash(f"vol-export --zarr {tmp_path}/there ds", box)
    assert result.status == 73
    one_clear_line(result, "vol-export", "there")
    shutil.copytree(box / "ds", tmp_path / "ds")
    volume = Dataset(tmp_path / "ds")["noise"]
    with open(volume.pack, "r+b") as file:
        file.seek(volume.offset + volume.length // 2)
        byte = file.read(1)[0]
        file.seek(-1, 1)
        file.write(bytes([byte ^ 1]))
    before = tree(tmp_path)
    result = bash("vol-export -q --zarr made ds", tmp_path)
    assert result.status == 65
    one_clear_line(result, "vol-export", "noise")
    assert tree(tmp_path) == before
    result = bash("vol-export -q --zarr made ds CT nobody", box)
    assert result.status == 66 and not (box / "made").exists()
    one_clear_line(result, "vol-export", "nobody")


def test_one_collection_or_volume_is_exported_alone(scanned, tmp_path):
    box, paths = scanned
    ok(f"vol-export -q --zarr {tmp_path}/one ds CT rgb tiny", box)
    group = zarr.open_group(tmp_path / "one", mode="r")
    assert set(group.group_keys()) == {"CT"}
    assert set(group["CT"].array_keys()) == {"rgb", "tiny"}


def test_files_come_back_in_a_tree(scanned, tmp_path):
    box, paths = scanned
    ok(f"vol-export -q --nifti {tmp_path} ds", box)
    for name, path in paths.items():
        assert (tmp_path / "CT" / f"{name}.nii").read_bytes() == path.read_bytes(), name
    assert (tmp_path / "a b" / "o.nii").exists()
    result = bash(f"vol-export -q --nifti {tmp_path} ds", box)
    assert result.status == 73
    ok(f"vol-export -qf -z 1 --nifti {tmp_path} ds CT int16", box)
    assert np.array_equal(np.asarray(nibabel.load(tmp_path / "CT/int16.nii.gz").dataobj),
                          stored(paths["int16"]))


def test_a_bids_tree_has_the_names_of_bids(box):
    names = {"sub-01_ses-2_run-1_T1w": "sub-01/ses-2/anat/sub-01_ses-2_run-1_T1w",
             "sub-01_task-rest_bold": "sub-01/func/sub-01_task-rest_bold",
             "sub-02_dir-AP_epi": "sub-02/fmap/sub-02_dir-AP_epi",
             "sub-02_dir-AP_dwi": "sub-02/dwi/sub-02_dir-AP_dwi",
             "sub-02_task-x_sbref": "sub-02/func/sub-02_task-x_sbref",
             "sub-03_pet": "sub-03/pet/sub-03_pet", "scan7": "sub-scan7/ct/sub-scan7_CT"}
    for name in names:
        save(box / "in" / f"{name}.nii", ramp((3, 2)))
    ok("nifti-cat -q in | vol-write -q ds CT; vol-commit -q ds; "
       "vol-export -q --bids --nifti out ds", box)
    made = {path.relative_to(box / "out").as_posix()[:-4] for path in (box / "out").rglob("*.nii")}
    assert made == set(names.values())
    ok("nifti-cat -q --attr suffix=weird in/scan7.nii | vol-write -q --obs-id w ds X; "
       "vol-commit -q ds", box)
    result = bash("vol-export -q --bids --nifti more ds X", box)
    assert result.status == 65
    one_clear_line(result, "vol-export", "weird", "datatype")


@pytest.mark.parametrize("words", [
    "ds", "--zarr a --nifti b ds", "--zarr a --bids ds", "--nifti '' ds", "--nifti a -z 10 ds"])
def test_wrong_usage_is_told(scanned, words):
    assert bash(f"vol-export {words}", scanned[0]).status == 64
