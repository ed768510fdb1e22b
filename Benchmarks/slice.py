"""One axial slice from a cold start of the tools, against what starting them costs, and nibabel.

    python3 slice.py SCAN.nii.gz

Files are in the page cache. nibabel reads the slice in a process that runs already.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import nibabel
import numpy as np

ROOT = Path(__file__).resolve().parents[1]


def median_ms(body, count):
    times = []
    for _ in range(count):
        began = time.perf_counter()
        body()
        times.append(time.perf_counter() - began)
    return 1000 * statistics.median(times)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scan")
    parser.add_argument("--bin", default=ROOT / ".build/release", help="the folder of the tools")
    parser.add_argument("--rounds", type=int, default=40)
    arguments = parser.parse_args()
    os.environ["PATH"] = f"{Path(arguments.bin).resolve()}:{os.environ['PATH']}"
    folder = tempfile.mkdtemp(prefix="slice-")
    try:
        store = f"{folder}/ds"
        subprocess.run(f"nifti-cat -q '{arguments.scan}' | vol-write -q --obs-id v {store} CT"
                       f" > /dev/null && vol-commit -q {store}", shell=True, check=True)
        image = nibabel.load(arguments.scan)
        middle = image.shape[2] // 2
        words = ["vol-cat", "--axial", str(middle), "--raw", store, "CT", "v"]
        found = subprocess.run(words, capture_output=True, check=True).stdout
        wanted = nibabel.load(arguments.scan).dataobj
        plane = wanted.get_unscaled()[:, :, middle]
        assert found == np.ascontiguousarray(plane.T).tobytes(), "another slice"

        def run(*argv):
            return lambda: subprocess.run(argv, stdout=subprocess.DEVNULL, check=True)

        start = median_ms(run("vol-ls", "--version"), arguments.rounds)
        cut = median_ms(run(*words), arguments.rounds)
        peer = median_ms(lambda: np.asarray(nibabel.load(arguments.scan).dataobj[:, :, middle]), 3)
        print(f"vol-ls --version        {start:8.1f} ms")
        print(f"vol-cat --axial {middle:<7} {cut:8.1f} ms; the bar is {1.5 * start + 10:.1f}")
        print(f"nibabel, the same slice {peer:8.1f} ms, {peer / cut:.0f} times")
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
