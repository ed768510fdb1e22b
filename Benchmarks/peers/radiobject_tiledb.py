"""RadiObject's own StreamingWriter: TileDB, isotropic tiles, zstd 3."""

import common
import numpy as np
from radiobject import VolumeCollection
from radiobject.ctx import (
    CompressionConfig,
    Compressor,
    SliceOrientation,
    TileConfig,
    WriteConfig,
    configure,
)
from radiobject.streaming import StreamingWriter


def write(scans, store):
    configure(write=WriteConfig(
        tile=TileConfig(orientation=SliceOrientation.ISOTROPIC),
        compression=CompressionConfig(algorithm=Compressor.ZSTD, level=3)))
    with StreamingWriter(store, name="CT", obs_schema={"source": np.dtype("U64")}) as writer:
        for name, voxels in scans:
            writer.write_volume(data=voxels, obs_id=name, obs_subject_id=name, source="scan")


def read(store, name):
    return VolumeCollection(store)[name].to_numpy()


if __name__ == "__main__":
    common.main(write, read)
