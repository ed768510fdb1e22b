"""tensorstore's zarr3 driver: one array a scan, Blosc (zstd 1, shuffle), X fastest."""

import common
import tensorstore


def spec(store, name):
    return {"driver": "zarr3", "kvstore": {"driver": "file", "path": f"{store}/{name}/"}}


def write(scans, store):
    for name, voxels in scans:
        codecs = [
            {"name": "transpose", "configuration": {"order": list(reversed(range(voxels.ndim)))}},
            {"name": "bytes", "configuration": {"endian": "little"}},
            {"name": "blosc", "configuration": {
                "cname": "zstd", "clevel": 1, "shuffle": "shuffle",
                "typesize": voxels.dtype.itemsize, "blocksize": 0}},
        ]
        metadata = {
            "shape": voxels.shape, "data_type": voxels.dtype.name, "codecs": codecs,
            "chunk_grid": {"name": "regular",
                           "configuration": {"chunk_shape": common.chunk(voxels.shape)}},
        }
        array = tensorstore.open({**spec(store, name), "metadata": metadata, "create": True})
        array.result()[...] = voxels


def read(store, name):
    return tensorstore.open({**spec(store, name), "open": True}).result().read().result()


if __name__ == "__main__":
    common.main(write, read)
