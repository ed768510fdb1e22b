"""Peak memory of nifti-cat and vol-write: on one large 4-D volume, and on few and many small ones.

    python3 memory.py                      # 2 GB of voxels, 100 and 10,000 volumes of 32x32x32
    python3 memory.py --frames 100 --many 1000

Exits with 1 if a process goes over --limit MB, or if memory grows with the number of volumes by
more than a fifth. Standard library only.
"""

import argparse
import os
import random
import shutil
import sys
import tempfile

from inputs import nifti_header
from measure import must, pipeline

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def voxels(count, rng):
    """int16 that compress about as scans do: a slow ramp, and noise in the low five bits."""
    data = bytearray(2 * count)
    data[0::2] = rng.randbytes(count).translate(bytes(value & 0x1F for value in range(256)))
    data[1::2] = b"".join(bytes([run & 7]) * 512 for run in range(count // 512 + 1))[:count]
    return bytes(data)


def make_large(path, frames):
    """128x128x64 of int16, `frames` times: 2 MiB each, no two the same."""
    frame = voxels(128 * 128 * 64, random.Random(1))
    with open(path, "wb") as file:
        file.write(nifti_header((128, 128, 64, frames), "int16"))
        for number in range(frames):
            cut = number * 2 * 4099 % len(frame)
            file.write(frame[cut:])
            file.write(frame[:cut])


def make_small(folder, count):
    os.mkdir(folder)
    header, rng = nifti_header((32, 32, 32), "int16"), random.Random(2)
    block = voxels(32**3 + 9973, rng)
    for number in range(count):
        cut = number * 2 % (2 * 9973)
        with open(f"{folder}/sub-{number:05}_CT.nii", "wb") as file:
            file.write(header + block[cut:cut + 2 * 32**3])


def measure(name, source, box, tools):
    """One row: the peaks of a run into a new dataset, which is then committed and thrown away."""
    dataset = os.path.join(box, "ds")
    wall, used = must(pipeline([f"{tools}/nifti-cat", "-q", source],
                               [f"{tools}/vol-write", "-q", dataset, "CT"]))
    _, committed = must(pipeline([f"{tools}/vol-commit", "-q", dataset]))
    shutil.rmtree(dataset)
    peaks = {process.name: process.peak for process in used + committed}
    print(f"{name:<28} {wall:>8.2f} " + " ".join(f"{peak:>12.1f}" for peak in peaks.values()),
          flush=True)
    return peaks


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bin", default=f"{ROOT}/.build/release", help="folder of the tools")
    parser.add_argument("--frames", type=int, default=1000, help="2 MiB each, of the large volume")
    parser.add_argument("--few", type=int, default=100)
    parser.add_argument("--many", type=int, default=10_000)
    parser.add_argument("--limit", type=float, default=256, help="MB that no process may pass")
    parser.add_argument("--scratch", help="where to make the files (default: a temporary folder)")
    options = parser.parse_args()
    box = tempfile.mkdtemp(prefix="memory-", dir=options.scratch)
    try:
        print(f"{'':<28} {'wall s':>8} {'nifti-cat':>12} {'vol-write':>12} {'vol-commit':>12}"
              "  (peak MB)", flush=True)
        make_large(f"{box}/large.nii", options.frames)
        shape = f"128x128x64x{options.frames} int16"
        large = measure(shape, f"{box}/large.nii", box, options.bin)
        os.remove(f"{box}/large.nii")
        rows = []
        for count in (options.few, options.many):
            make_small(f"{box}/small{count}", count)
            rows.append(measure(f"{count} of 32x32x32 int16", f"{box}/small{count}", box,
                                options.bin))
        few, many = rows
    finally:
        shutil.rmtree(box)
    wrong = [f"{tool} holds {peak:.0f} MB, more than {options.limit:.0f}"
             for row in (large, few, many) for tool, peak in row.items() if peak > options.limit]
    wrong += [f"{tool} grows from {few[tool]:.1f} to {many[tool]:.1f} MB with the number of volumes"
              for tool in few if tool != "vol-commit" and many[tool] > 1.2 * few[tool]]
    for line in wrong:
        print(line, file=sys.stderr)
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
