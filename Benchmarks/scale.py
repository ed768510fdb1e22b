"""What a dataset costs as it grows: 10,000 volumes in 100 stages against 1,000,000.

    python3 scale.py                       # about 2 GB of disk and ten minutes
    python3 scale.py --sizes 1000 100000

Measures, at each size: read one volume by its id; append one volume and commit; list a collection to
/dev/null; look through all indexes. Volumes are tiny and their headers as rich as those of NIfTI
files, so that what is measured is the catalog. Prints wall time, peak memory, and the ratio to the
smallest size. Exits with 1 if reading or appending grows by more than --factor, or a commit's
memory passes --limit MB. Standard library only.
"""

import argparse
import base64
import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import threading
import zlib

from inputs import nifti_header
from measure import must, pipeline

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
OPEN, DATA, CLOSE, END = 1, 2, 4, 6


def frame(kind, header=b"", body=b""):
    prelude = struct.pack("<4sBBHII", b"VFRM", 1, kind, 0, len(header), len(body))
    crc = zlib.crc32(body, zlib.crc32(header, zlib.crc32(prelude)))
    return prelude + struct.pack("<I", crc) + header + body


def write_stream(file, first, count):
    """Volumes of 2x2x2 of uint8, named by their numbers."""
    affine = [[-1, 0, 0, 90.5], [0, 1, 0, -126.25], [0, 0, 1, -72], [0, 0, 0, 1]]
    raw = base64.b64encode(nifti_header((2, 2, 2), "uint8", affine)[:348]).decode()
    for number in range(first, first + count):
        voxels = struct.pack("<Q", number)
        header = {
            "name": f"sub-{number:07}_T1w", "obs_subject_id": f"sub-{number // 2:07}",
            "shape": [2, 2, 2], "dtype": "uint8", "affine": affine, "affine_source": "sform",
            "sform": affine, "sform_code": 1, "qform_code": 0, "voxel_spacing": [1, 1, 1],
            "attributes": {"sub": f"{number:07}", "suffix": "T1w"},
            "source": {"format": "nifti1", "path": f"scans/sub-{number:07}_T1w.nii.gz",
                       "byte_order": "little", "layout": "single", "compression": "gzip",
                       "header": raw}}
        close = {"voxels": 8, "crc32": zlib.crc32(voxels)}
        file.write(frame(OPEN, json.dumps(header, separators=(",", ":")).encode())
                   + frame(DATA, body=voxels) + frame(CLOSE, json.dumps(close).encode()))
    file.write(frame(END, json.dumps({"volumes": count, "dropped": 0}).encode()))


def stage(tools, dataset, first, count):
    """One stage of `count` volumes, through a pipe."""
    read, write = os.pipe()

    def produce():
        with os.fdopen(write, "wb", 1 << 20) as file:
            write_stream(file, first, count)

    producer = threading.Thread(target=produce)
    producer.start()
    try:
        subprocess.run([tools["vol-write"], "-q", "-j", "2", dataset, "T1w"], stdin=read,
                       stdout=subprocess.DEVNULL, check=True)
    finally:
        os.close(read)
        producer.join()


def build(tools, dataset, volumes, stages):
    """A dataset of so many volumes in so many stages, in one commit."""
    for number in range(stages):
        stage(tools, dataset, number * (volumes // stages), volumes // stages)
        if sys.stderr.isatty():
            sys.stderr.write(f"\r{volumes} volumes: stage {number + 1} of {stages} ")
    wall, [used] = must(pipeline([tools["vol-commit"], "-q", dataset]))
    return wall, used.peak


def median_run(*argv, repeats):
    runs = []
    for _ in range(repeats):
        wall, [used] = must(pipeline(list(argv)))
        runs.append((wall, used.peak))
    runs.sort()
    return runs[len(runs) // 2]


def measure(tools, dataset, volumes, repeats):
    """{what: (wall seconds, peak MB)}; appends one volume a repeat."""
    result = {}
    middle = f"sub-{volumes // 2 + 1:07}_T1w"
    result["read one by id"] = median_run(tools["vol-cat"], "-q", dataset, "T1w", middle,
                                          repeats=repeats)
    appends = []
    for number in range(repeats):
        stage(tools, dataset, volumes + number, 1)
        wall, [used] = must(pipeline([tools["vol-commit"], "-q", dataset]))
        appends.append((wall, used.peak))
    result["commit one more"] = sorted(appends)[len(appends) // 2]
    result["stage one more"] = sorted(
        timed_stage(tools, dataset, volumes + repeats + number) for number in range(repeats)
    )[repeats // 2]
    result["list a collection"] = median_run(tools["vol-ls"], "--tsv", dataset, "T1w", repeats=1)
    result["verify"] = median_run(tools["vol-verify"], "-q", dataset, repeats=1)
    return result


def timed_stage(tools, dataset, number):
    """vol-write of one volume that is in a file already."""
    with tempfile.NamedTemporaryFile() as file:
        write_stream(file, number, 1)
        file.flush()
        wall, used = must(pipeline(["cat", file.name],
                                   [tools["vol-write"], "-q", dataset, "T1w"]))
        return wall, used[1].peak


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bin", default=os.path.join(ROOT, ".build", "release"))
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 1_000_000])
    parser.add_argument("--stages", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--factor", type=float, default=3)
    parser.add_argument("--limit", type=float, default=256)
    parser.add_argument("--dir", help="where datasets are made, and removed")
    arguments = parser.parse_args()
    tools = {name: os.path.join(arguments.bin, name)
             for name in ("vol-write", "vol-commit", "vol-cat", "vol-ls", "vol-verify")}
    folder = tempfile.mkdtemp(prefix="scale-", dir=arguments.dir)
    found, bad = {}, []
    try:
        for size in arguments.sizes:
            dataset = os.path.join(folder, f"ds{size}")
            first = build(tools, dataset, size, arguments.stages)
            found[size] = {"commit all at once": first,
                           **measure(tools, dataset, size, arguments.repeats)}
            shutil.rmtree(dataset)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    smallest = found[arguments.sizes[0]]
    print(f"\n{arguments.stages} stages")
    for what in smallest:
        for size in arguments.sizes:
            wall, peak = found[size][what]
            ratio = wall / smallest[what][0]
            print(f"{what:<20} {size:>9} volumes  {wall * 1000:>9.1f} ms  {peak:>6.1f} MB  "
                  f"{ratio:>7.2f} times")
            if what in ("read one by id", "commit one more") and ratio > arguments.factor:
                bad.append(f"{what} takes {ratio:.1f} times as long")
            if what.startswith("commit") and peak > arguments.limit:
                bad.append(f"{what} takes {peak:.0f} MB")
    for line in bad:
        print(line, file=sys.stderr)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
