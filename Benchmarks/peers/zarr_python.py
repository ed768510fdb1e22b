"""zarr-python 3: one array a scan, zstd 3, its usual codec chain."""

import common
import zarr
from zarr.codecs import ZstdCodec


def write(scans, store):
    group = zarr.create_group(store)
    for name, voxels in scans:
        array = group.create_array(name, shape=voxels.shape, dtype=voxels.dtype,
                                   chunks=common.chunk(voxels.shape),
                                   compressors=[ZstdCodec(level=3)])
        array[...] = voxels


def read(store, name):
    return zarr.open_group(store, mode="r")[name][...]


if __name__ == "__main__":
    common.main(write, read)
