"""Runs the tools, and makes NIfTI files for them."""

import gzip
import io
import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np

REPO = Path(__file__).resolve().parents[2]
BIN = Path(os.environ.get("VOLPIPE_BIN") or REPO / ".build" / "release").resolve()
TOOLS = ("nifti-cat", "vol-write", "vol-commit", "vol-meta", "vol-ls", "vol-cat", "vol-rm",
         "vol-gc", "vol-verify", "vol-export", "nifti-write", "npy-cat", "frame-filter")

# Of what is drawn at random: the same at every run, and another by hand.
SEED = int(os.environ.get("VOLPIPE_SEED", "1"))

sys.path[:0] = [str(REPO / "examples"), str(REPO / "python")]


class Result:
    """What a script left: exit status, the status of each stage of its last pipeline, output."""

    def __init__(self, status, out, err):
        self.status, self.out, self.err = status, out, err

    @property
    def text(self):
        return self.out.decode()

    @property
    def lines(self):
        return self.text.splitlines()

    def __repr__(self):
        return f"status {self.status}\nstdout: {self.out[:2000]!r}\nstderr: {self.err[-4000:]}"


def environment(**more):
    return {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "PYTHON": sys.executable,
            "EXAMPLES": str(REPO / "examples"), "PYTHONPATH": str(REPO / "python"), "LC_ALL": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1",
            **more}


def bash(script, cwd, stdin=b"", timeout=60, **more):
    """Run a script with the tools on its PATH; both its pipes are read while it runs.

    `status` is the script's own. A script that wants the status of each part of a pipeline ends
    in `echo "${PIPESTATUS[*]}"`. On a timeout the whole process group dies, not only bash.
    """
    child = subprocess.Popen(["bash", "-c", script], cwd=cwd, env=environment(**more),
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                             start_new_session=True)
    try:
        out, err = child.communicate(stdin, timeout=timeout)
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        raise
    return Result(child.returncode, out, err.decode(errors="replace"))


# The line that ends a run over several files, of which none is worth a word.
ALL_GOOD = re.compile(r"^nifti-cat: \d+ read, 0 with warnings, 0 refused\n", re.M)


def ok(script, cwd, **options):
    """bash() with pipefail, for what must succeed, and in silence but for a count of good files."""
    result = bash("set -e -o pipefail; " + script, cwd, **options)
    result.err = ALL_GOOD.sub("", result.err)
    assert result.status == 0, f"{script}\n{result!r}"
    assert result.err == "", f"{script}\n{result!r}"
    return result


def snapshot(result):
    """The number that vol-commit or vol-rm printed, before the digest of its manifest."""
    text = result if isinstance(result, str) else result.text
    found = re.fullmatch(r"([1-9][0-9]*):[0-9a-f]{64}\n", text)
    assert found, f"not a number and a digest: {text!r}"
    return int(found[1])


def statuses(script, cwd, **options):
    """The exit status of each part of a pipeline whose output does not matter, and its stderr."""
    result = bash(script + ' >/dev/null; echo "${PIPESTATUS[*]}"', cwd, **options)
    return [int(word) for word in result.text.split()], result


def quote(*words):
    return shlex.join(str(word) for word in words)


def one_clear_line(result, tool, *parts):
    """stderr is one line, `tool: what failed 'subject': cause`, that says all of the parts."""
    lines = result.err.splitlines()
    assert len(lines) == 1, repr(result)
    assert lines[0].startswith(f"{tool}: ") and not lines[0].endswith("."), lines[0]
    assert not re.search(r"[A-Z]\w+\(\w+: ", lines[0]), f"a value as Swift prints it: {lines[0]}"
    for part in parts:
        assert part in lines[0], f"{part!r} is not in: {lines[0]}"


def ids(dataset, cwd, snapshot=""):
    """The obs_ids that vol-cat gives out, after vol-ls has checked the stream whole."""
    from frames import OPEN, read_frames  # from examples/, which this module put on the path

    result = ok(f"vol-cat {quote(str(dataset) + snapshot)}", cwd)
    ok("vol-ls -", cwd, stdin=result.out)
    return [header["obs_id"] for kind, header, _ in read_frames(io.BytesIO(result.out))
            if kind == OPEN]


def tree(folder):
    """Every file and folder below, hidden ones too, with the contents of files."""
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
            for path in sorted(Path(folder).rglob("*"))}


def ramp(shape, dtype="int16", seed=0):
    """Voxels that differ everywhere and compress a little, of any type."""
    rng = np.random.default_rng(seed)
    values = np.arange(np.prod(shape)).reshape(shape, order="F") % 97 + rng.integers(0, 7, shape)
    if np.dtype(dtype).kind == "c":
        values = values - 1j * values[::-1]
    return values.astype(dtype)


AFFINE = np.array([[-2, 0.1, 0, 30.5], [0, 2.5, 0.2, -40], [0, 0, 3, 7.25], [0, 0, 0, 1]])


def save(path, array, version=1, pair=False, endian="<", affine=AFFINE, change=None):
    """Write a NIfTI file with nibabel, of the type that the array has; .gz by its name.

    `change(header)` edits the header before it is written, scaling included.
    """
    image = {(1, False): nibabel.Nifti1Image, (1, True): nibabel.Nifti1Pair,
             (2, False): nibabel.Nifti2Image, (2, True): nibabel.Nifti2Pair}[version, pair]
    header = image.header_class(endianness=endian)
    header.set_data_dtype(array.dtype.newbyteorder(endian))
    made = image(array, affine, header)
    if change:
        change(made.header)
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(made, path)
    return path


def rgb(shape, channels=3):
    """Colours as nibabel holds them, a record a voxel."""
    names = "RGBA"[:channels]
    array = np.zeros(shape, [(name, "u1") for name in names])
    for step, name in enumerate(names):
        array[name] = ramp(shape, "uint8", seed=step)
    return array


def plain(path):
    """The bytes of a file, decompressed if it is gzip by content."""
    data = Path(path).read_bytes()
    return gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data


def nifti(path):
    """nibabel's image by the header alone, so that CIFTI stays the 6-D NIfTI that it is."""
    start = plain(path)[:348]
    version = 2 if 540 in (int.from_bytes(start[:4], order) for order in ("little", "big")) else 1
    magic = start[4:6] if version == 2 else start[344:346]
    kinds = {(1, b"n+"): nibabel.Nifti1Image, (1, b"ni"): nibabel.Nifti1Pair,
             (2, b"n+"): nibabel.Nifti2Image, (2, b"ni"): nibabel.Nifti2Pair}
    # The bytes and not the name say whether it is gzip; nibabel goes by the name.
    if (Path(path).read_bytes()[:2] == b"\x1f\x8b") != str(path).endswith(".gz"):
        return kinds[version, magic].from_bytes(plain(path))
    return kinds[version, magic].from_filename(path)


def stored(path):
    """The voxels as stored, never scaled, little-endian; colours as a last axis."""
    array = np.asarray(nifti(path).dataobj.get_unscaled())
    if array.dtype.names:
        array = np.stack([array[name] for name in array.dtype.names], axis=-1)
    return array.astype(array.dtype.newbyteorder("<"))
