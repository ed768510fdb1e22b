"""What the peer programs share: the command line, the scans, and the comparison.

    PEER.py write SCANS STORE     ingest; prints the seconds that it took, imports left out
    PEER.py check SCANS STORE     read all of it back and compare with the scans
"""

import os
import sys
import time
from pathlib import Path

import nibabel
import numpy as np

EDGE = 64


def scans(folder):
    """(name, voxels) of each scan, as nibabel gives them to all peers alike.

    Voxels are as stored, which is less work than what most programs do: with SCALED set, they are
    scaled, and then float64.
    """
    for path in sorted(Path(folder).glob("*.nii*")):
        data = nibabel.load(path).dataobj
        yield path.name.split(".")[0], (
            np.asanyarray(data) if os.environ.get("SCALED") else data.get_unscaled())


def chunk(shape):
    """64 along the axes of space, 1 along the others."""
    return tuple(min(EDGE, axis) if number < 3 else 1 for number, axis in enumerate(shape))


def main(write, read):
    """`write(scans, store)` writes all; `read(store, name)` gives one volume back."""
    command, folder, store = sys.argv[1:]
    if command == "write":
        began = time.perf_counter()
        write(scans(folder), store)
        print(time.perf_counter() - began)
        return
    count = 0
    for name, voxels in scans(folder):
        if not np.array_equal(read(store, name), voxels):
            sys.exit(f"{name} comes back changed")
        count += 1
    if not count:
        sys.exit("there is nothing to compare")
