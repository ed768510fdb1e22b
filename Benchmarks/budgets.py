"""What the tools take at the most, held against the table of budgets in volpipe(7).

    python3 Benchmarks/budgets.py [--bin DIR] [--jobs 2 16]

Each row makes the input that costs most of its kind, runs the tool at each -j, and prints peak
memory in MB; it fails where that is over the budget.
"""

import argparse
import io
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import nibabel
import numpy as np
import zstandard

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "Tests" / "oracle")]
from frames import FrameWriter  # noqa: E402

NOISE = np.random.default_rng(0)


def noise(shape, dtype="u1"):
    count = int(np.prod(shape)) * np.dtype(dtype).itemsize
    return np.frombuffer(NOISE.bytes(count), dtype).reshape(shape, order="F")


def stream(volumes):
    out = io.BytesIO()
    writer = FrameWriter(out)
    for header, array in volumes:
        writer.volume(array, **header)
    writer.end()
    return out.getvalue()


def make_inputs(tool):
    """Files and datasets in the present folder."""
    def write(name, data, *words):
        Path(f"{name}.frames").write_bytes(data)
        subprocess.run([tool("vol-write"), "-q", *words, name, "CT"], input=data, check=True,
                       stdout=subprocess.DEVNULL)
        subprocess.run([tool("vol-commit"), "-q", name], check=True)

    write("chunks", stream([({"obs_id": f"v{n}"}, noise((4096, 4096, 4))) for n in range(3)]),
          "-c", "4096,4096,4")
    write("planes", stream([({"obs_id": "a"}, noise((2048, 2048, 64)))]), "-c", "isotropic")
    text = "x" * 3_900_000
    write("headers", stream([({"obs_id": f"h{n}", "description": text}, noise((2,)))
                             for n in range(30)]))
    Path("asks").write_text("".join(f"a :,:,{n}\n" for n in range(12)) + "a :\n")
    Path("table.jsonl").write_text("".join(
        '{"obs_subject_id":"s%d",%s}\n' % (n, ",".join(f'"c{k}":{k}' for k in range(4000)))
        for n in range(200)))
    for folder in ("gz", "zst", "ext"):
        Path(folder).mkdir()
    for n in range(20):
        image = nibabel.Nifti1Image(np.zeros((256, 256, 200), "i2") + n, np.eye(4))
        nibabel.save(image, f"gz/{n}.nii.gz")
        data = image.to_bytes()
        parameters = zstandard.ZstdCompressionParameters.from_level(3, window_log=27)
        Path(f"zst/{n}.nii.zst").write_bytes(
            zstandard.ZstdCompressor(compression_params=parameters).compress(data))
        small = nibabel.Nifti1Image(np.zeros((4, 4, 4), "i2"), np.eye(4))
        small.header.extensions.append(
            nibabel.nifti1.Nifti1Extension("comment", b"x" * (15 << 20)))
        nibabel.save(small, f"ext/{n}.nii")


# What it is, its budget in MB, and the words of a shell; {j} is the number of threads.
ROWS = [
    ("vol-write, chunks of 64 MiB", 300, "vol-write -q -j {j} -c 4096,4096,4 out CT < chunks.frames"),
    ("vol-write, headers of 4 MB", 300, "vol-write -q -j {j} out CT < headers.frames"),
    ("vol-cat, chunks of 64 MiB", 300, "vol-cat -q -j {j} chunks"),
    ("vol-cat, headers of 4 MB", 300, "vol-cat -q -j {j} headers"),
    ("vol-cat --batch, planes of a 256 MiB volume", 300, "vol-cat --batch -j {j} planes < asks"),
    ("vol-cat --axial, chunks of 64 MiB", 300, "vol-cat -q -j {j} --axial 1 chunks"),
    ("vol-verify --full, chunks of 64 MiB", 300, "vol-verify -q --full -j {j} chunks"),
    ("nifti-cat, gzip", 150, "nifti-cat -q -j {j} gz"),
    ("nifti-cat, zstd with windows of 128 MiB", 300, "nifti-cat -q -j {j} zst"),
    ("nifti-cat, extensions of 15 MiB", 150, "nifti-cat -q -j {j} ext"),
    ("vol-meta, 4,000 columns", 150, "vol-meta -q out < table.jsonl"),
]


def peak(words, binaries):
    """Peak memory in MB of the first tool in a shell's words."""
    subprocess.run("rm -rf out", shell=True, check=True)
    done = subprocess.run(["/usr/bin/time", "-f", "%M", "sh", "-c", f"exec {words} > /dev/null"],
                          env={**os.environ, "PATH": f"{binaries}:{os.environ['PATH']}"},
                          capture_output=True, text=True)
    assert done.returncode == 0, f"{words}: {done.stderr}"
    return int(done.stderr.split()[-1]) / 1024


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--bin", default=ROOT / ".build" / "release")
    arguments.add_argument("--jobs", type=int, nargs="+", default=[2, 16])
    options = arguments.parse_args()
    binaries = Path(options.bin).resolve()
    over = False
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        os.chdir(folder)
        make_inputs(lambda name: str(binaries / name))
        print("| what | budget |", " | ".join(f"-j {jobs}" for jobs in options.jobs), "|")
        print("|---|---|" + "---|" * len(options.jobs))
        for what, budget, words in ROWS:
            peaks = [peak(words.format(j=jobs), binaries) for jobs in options.jobs]
            over |= max(peaks) > budget
            print(f"| {what} | {budget} |", " | ".join(f"{mb:.0f}" for mb in peaks), "|", flush=True)
    return over


if __name__ == "__main__":
    sys.exit(main())
