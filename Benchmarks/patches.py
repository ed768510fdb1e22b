"""Random 64^3 patches of CT volumes, all readers in turns in one run.

    python3 patches.py SCAN.nii.gz [SCAN.nii.gz ...]

Needs requirements.txt and zstandard. Each store holds the same stored integers; all files are in the
page cache. Peers read in this process, one patch after the other, with their own threads as they
come, but for blosc2, which has a row for one thread and one for two. volpipe is vol-cat --batch on
the other end of a pipe, asked a few patches ahead as a loader does; and once without that.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nibabel
import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "python"))
import volpipe  # noqa: E402

EDGE, AHEAD = 64, 16


class Peer:
    """A store of arrays, one a scan, that are sliced in this process."""

    def read(self, points):
        for scan, (x, y, z) in points:
            yield self.patch(scan, np.s_[x:x + EDGE, y:y + EDGE, z:z + EDGE])


class Zarr(Peer):
    name = "zarr-python (zstd 3, chunks 64^3)"

    def __init__(self, folder, scans):
        import zarr
        group = zarr.open_group(f"{folder}/zarr", mode="w")
        self.arrays = [group.create_array(
            str(number), data=scan, chunks=(EDGE,) * 3,
            compressors=zarr.codecs.ZstdCodec(level=3)) for number, scan in enumerate(scans)]

    def patch(self, scan, region):
        return self.arrays[scan][region]


class Tensorstore(Peer):
    name, order = "tensorstore (Blosc zstd 1, chunks 64^3, X fastest)", [2, 1, 0]

    def __init__(self, folder, scans):
        import tensorstore as ts
        self.arrays = []
        for number, scan in enumerate(scans):
            blosc = {"cname": "zstd", "clevel": 1, "shuffle": "shuffle"}
            array = ts.open({
                "driver": "zarr3", "kvstore": {"driver": "file", "path": f"{folder}/ts{self.order[0]}/{number}"},
                "metadata": {
                    "shape": scan.shape, "data_type": scan.dtype.name,
                    "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [EDGE] * 3}},
                    "codecs": [{"name": "transpose", "configuration": {"order": self.order}},
                               {"name": "bytes", "configuration": {"endian": "little"}},
                               {"name": "blosc", "configuration": blosc}]}}, create=True).result()
            array.write(scan).result()
            self.arrays.append(array)

    def patch(self, scan, region):
        return self.arrays[scan][region].read().result()


class TensorstoreC(Tensorstore):
    """In the order of numpy's arrays, which costs it less than that of the scans."""

    name, order = "tensorstore (Blosc zstd 1, chunks 64^3, Z fastest)", [0, 1, 2]


class RadiObject(Peer):
    name = "RadiObject (TileDB, zstd 3, tiles 64^3)"

    def __init__(self, folder, scans):
        from radiobject import Volume
        from radiobject.ctx import configure
        from radiobject.ctx import SliceOrientation, TileConfig, WriteConfig
        configure(write=WriteConfig(tile=TileConfig(orientation=SliceOrientation.ISOTROPIC)))
        self.arrays = [Volume.from_numpy(f"{folder}/radi{number}", scan)
                       for number, scan in enumerate(scans)]

    def patch(self, scan, region):
        return self.arrays[scan][region]


class Blosc2(Peer):
    threads = 1

    def __init__(self, folder, scans):
        import blosc2
        self.name = f"blosc2 (zstd 1, chunks 64^3, blocks 32^3), {self.threads} threads"
        self.arrays = []
        for number, scan in enumerate(scans):
            path = f"{folder}/b2-{self.threads}-{number}.b2nd"
            blosc2.asarray(np.ascontiguousarray(scan), chunks=(64,) * 3, blocks=(32,) * 3,
                           urlpath=path, mode="w", cparams={
                               "codec": blosc2.Codec.ZSTD, "clevel": 1,
                               "filters": [blosc2.Filter.SHUFFLE]})
            self.arrays.append(blosc2.open(path, mode="r", mmap_mode="r",
                                           dparams={"nthreads": self.threads}))

    def patch(self, scan, region):
        return self.arrays[scan][region]


class Blosc2Two(Blosc2):
    threads = 2


class Volpipe:
    ahead, chunk = AHEAD, "auto"

    def __init__(self, folder, scans):
        self.name = f"volpipe (vol-cat --batch, {self.ahead} ahead, chunks {self.chunk})"
        store = f"{folder}/ds-{self.ahead}-{self.chunk}"
        writer = subprocess.Popen(["vol-write", "-q", "-c", self.chunk, store, "CT"], stdin=subprocess.PIPE,
                                  stdout=subprocess.DEVNULL)
        frames = volpipe.FrameWriter(writer.stdin)
        for number, scan in enumerate(scans):
            frames.volume(scan, obs_id=f"v{number}")
        frames.end()
        writer.stdin.close()
        assert writer.wait() == 0
        subprocess.run(["vol-commit", "-q", store], check=True)
        self.batch = volpipe.Batch(store)

    def read(self, points):
        points = list(points)
        for number in range(-self.ahead, len(points)):
            if number + self.ahead < len(points):
                scan, (x, y, z) = points[number + self.ahead]
                self.batch.ask(f"v{scan}", np.s_[x:x + EDGE, y:y + EDGE, z:z + EDGE])
            if number >= 0:
                yield self.batch.take()[1]


class VolpipeAlone(Volpipe):
    ahead = 0


class VolpipeSmall(Volpipe):
    chunk = "32,16,16"


READERS = [Volpipe, VolpipeAlone, VolpipeSmall, Blosc2, Blosc2Two, Tensorstore, TensorstoreC, Zarr, RadiObject]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scan", nargs="+", help="3-D NIfTI files, at least 64 voxels along each axis")
    parser.add_argument("--bin", default=ROOT / ".build/release", help="the folder of the tools")
    parser.add_argument("--patches", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    os.environ["PATH"] = f"{Path(arguments.bin).resolve()}:{os.environ['PATH']}"
    scans = [np.asanyarray(nibabel.load(path).dataobj.get_unscaled()) for path in arguments.scan]
    random = np.random.default_rng(0)
    points = []
    for number in range(arguments.patches):
        scan = number % len(scans)
        points.append((scan, [int(random.integers(0, size - EDGE + 1))
                              for size in scans[scan].shape]))
    folder = tempfile.mkdtemp(prefix="patches-")
    try:
        readers = [reader(folder, scans) for reader in READERS]
        rates = {reader.name: [] for reader in readers}
        for turn in range(arguments.rounds + 1):
            for reader in readers:
                if turn == 0:  # warms up, and looks at what is read
                    for (scan, (x, y, z)), patch in zip(points, reader.read(points)):
                        whole = scans[scan][x:x + EDGE, y:y + EDGE, z:z + EDGE]
                        assert np.array_equal(patch, whole), f"{reader.name}: another patch"
                    continue
                began = time.perf_counter()
                for patch in reader.read(points):  # noqa: B007: a loader keeps one at a time
                    pass
                rates[reader.name].append(len(points) / (time.perf_counter() - began))
        best = statistics.median(rates[readers[0].name])
        for name, values in rates.items():
            rate = statistics.median(values)
            print(f"{name:58} {rate:7.0f} a second   {best / rate:6.2f} times")
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
