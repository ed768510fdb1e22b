"""Ingest of a few CT scans against what one would use instead, all in one run.

    python3 ingest.py                    # four copies of a volume made for the purpose
    python3 ingest.py scan.nii.gz        # four copies of this one

Needs requirements.txt in the Python that runs this, or in the one that --python names. Nothing is
dropped from the page cache, before or between: everybody reads warm files. What a program flushes
to disk is in its time, as is its start; "work" leaves the start of a Python peer out. Peers get
the stored integers; with SCALED=1 in the environment they get what nibabel makes of them by
default, as most programs that use it do: float64 where the header holds a slope.
"""

import argparse
import gzip
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile

from measure import must, pipeline, stored
from memory import ROOT, nifti_header, voxels

HERE = os.path.dirname(os.path.abspath(__file__))
PEERS = {
    "RadiObject (TileDB, zstd 3)": "radiobject_tiledb.py",
    "zarr-python (zstd 3)": "zarr_python.py",
    "tensorstore (Blosc zstd 1)": "tensorstore_zarr.py",
}


def make_scan(path):
    """512x512x128 of int16, 67 MB, for want of a scan: a ramp with noise compresses much alike."""
    rng = random.Random(7)
    with gzip.open(path, "wb", compresslevel=6) as file:
        file.write(nifti_header((512, 512, 128)))
        for _ in range(128):
            file.write(voxels(512 * 512, rng))


class Volpipe:
    def __init__(self, tools, *options):
        self.tools, self.options = tools, options

    def write(self, scans, store):
        """Wall seconds, the seconds of work (the same), peaks of the processes in MB."""
        wall, used = must(pipeline(
            [f"{self.tools}/nifti-cat", "-q", scans],
            [f"{self.tools}/vol-write", "-q", *self.options, store, "CT"]))
        more, committed = must(pipeline([f"{self.tools}/vol-commit", "-q", store]))
        return wall + more, wall + more, [process.peak for process in used]

    def check(self, scans, store):
        """All files come out again, and are what the scans decompress to."""
        out = f"{store}.out"
        must(pipeline([f"{self.tools}/vol-cat", store],
                      [f"{self.tools}/nifti-write", "-q", "-o", out]))
        for name in os.listdir(scans):
            opener = gzip.open if name.endswith(".gz") else open
            made = f"{out}/{name.split('.')[0]}.nii"
            with opener(f"{scans}/{name}") as scan, open(made, "rb") as back:
                while chunk := scan.read(1 << 20):
                    if back.read(len(chunk)) != chunk:
                        raise SystemExit(f"{name} comes back changed")
                if back.read(1):
                    raise SystemExit(f"{name} comes back longer")
        shutil.rmtree(out)


class Peer:
    def __init__(self, python, program):
        self.command = [python, f"{HERE}/peers/{program}"]

    def write(self, scans, store):
        with tempfile.TemporaryFile("w+") as said:
            wall, used = must(pipeline([*self.command, "write", scans, store], stdout=said))
            said.seek(0)
            return wall, float(said.read().split()[-1]), [process.peak for process in used]

    def check(self, scans, store):
        subprocess.run([*self.command, "check", scans, store], check=True)


def table(rows):
    """rows: {name: ([wall], [work], [peaks], bytes)}; ratios are to the first of them."""
    walls = {name: statistics.median(row[0]) for name, row in rows.items()}
    works = {name: statistics.median(row[1]) for name, row in rows.items()}
    first = next(iter(rows))
    print(f"{'':<30} {'wall s':>8} {'ratio':>7} {'work s':>8} {'ratio':>7} {'peak MB':>8} "
          f"{'all MB':>8} {'stored MB':>10} {'ratio':>7}")
    for name, (_, _, peaks, size) in rows.items():
        one = max(max(run) for run in peaks)
        whole = max(sum(run) for run in peaks)
        print(f"{name:<30} {walls[name]:>8.2f} {walls[name] / walls[first]:>7.2f} "
              f"{works[name]:>8.2f} {works[name] / works[first]:>7.2f} {one:>8.0f} {whole:>8.0f} "
              f"{size / 1e6:>10.1f} {size / rows[first][3]:>7.2f}")
    print(f"\nmedian of {len(rows[first][0])} runs, in turns; peak: the largest process, all: "
          "their sum; files were in the page cache")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scan", nargs="?", help="a .nii or .nii.gz (default: one is made)")
    parser.add_argument("--copies", type=int, default=4)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--bin", default=f"{ROOT}/.build/release", help="folder of the tools")
    parser.add_argument("--python", default=sys.executable, help="the Python that has the peers")
    parser.add_argument("--no-peers", action="store_true")
    parser.add_argument("--scratch", help="where to work (default: a temporary folder)")
    options = parser.parse_args()
    programs = {"volpipe": Volpipe(options.bin),
                "volpipe -c isotropic": Volpipe(options.bin, "-c", "isotropic")}
    if not options.no_peers:
        programs.update((name, Peer(options.python, peer)) for name, peer in PEERS.items())
    box = tempfile.mkdtemp(prefix="ingest-", dir=options.scratch)
    rows = {name: ([], [], [], 0) for name in programs}
    try:
        os.mkdir(f"{box}/scans")
        extension = ".nii.gz" if (options.scan or ".gz").endswith(".gz") else ".nii"
        for copy in range(options.copies):
            path = f"{box}/scans/sub-{copy:02}_CT{extension}"
            if options.scan or copy:
                shutil.copyfile(options.scan or f"{box}/scans/sub-00_CT{extension}", path)
            else:
                make_scan(path)
        # In turns, so that a slow spell of the machine falls on all of them.
        for run in range(options.runs):
            for name, program in programs.items():
                store = f"{box}/store"
                walls, works, peaks, _ = rows[name]
                wall, work, peak = program.write(f"{box}/scans", store)
                rows[name] = (walls + [wall], works + [work], peaks + [peak], stored(store))
                if run == 0:
                    program.check(f"{box}/scans", store)
                shutil.rmtree(store)
        table(rows)
    finally:
        shutil.rmtree(box)


if __name__ == "__main__":
    main()
