"""Every used byte of a pack is covered: by sha256sum, and by what vol-cat checks on its way."""

import io
import random
import subprocess
import sys

import numpy as np
import pytest
from dataset import Dataset
from frames import FrameError, read_frames
from support import BIN, REPO, bash, environment, ok, ramp, save

NOISE = np.random.default_rng(3).integers(-2**15, 2**15, (40, 40, 20)).astype("i2")


@pytest.fixture(scope="module")
def ds(tools, tmp_path_factory):
    box = tmp_path_factory.mktemp("integrity")
    save(box / "in" / "a.nii.gz", ramp((70, 50, 33)))
    save(box / "in" / "b.nii", ramp((20, 20, 20, 3), "f4"))
    save(box / "in" / "noise.nii", NOISE)
    # A header too long to be held in the catalog, so that there is a blob.
    save(box / "in" / "c.nii", ramp((9, 9, 9)), version=2)
    data = bytearray((box / "in" / "c.nii").read_bytes())
    data[168:176] = (544 + 300_000).to_bytes(8, "little")
    gap = np.random.default_rng(4).bytes(300_000)
    (box / "in" / "c.nii").write_bytes(data[:544] + gap + data[544:])
    ok("nifti-cat -q in | vol-write ds CT; vol-commit ds", box)
    return box / "ds"


def test_sha256sum_verifies_every_file(ds):
    script = "vol-ls --sha256 ds > list; (cd ds && sha256sum -c ../list)"
    listed = ok(script, ds.parent).lines
    assert listed and all(line.endswith(": OK") for line in listed)
    names = {line.rsplit(":")[0] for line in listed}
    files = {str(path.relative_to(ds)) for folder in ("packs", "catalogs")
             for path in (ds / folder).iterdir()}
    assert files <= names, files - names


def positions(dataset):
    """(pack, offset, mask): all of the framing that is not zstd's, and a sample of what is."""
    rng, found = random.Random(11), []
    volume = dataset["a_CT"]
    offset, _ = volume.index()[1]
    # The 24 bytes around a chunk and the index have no slack: one bit is enough.
    found += [(volume.pack, volume.offset + offset + at, 1 << rng.randrange(8)) for at in range(24)]
    end = volume.offset + volume.length
    found += [(volume.pack, end - at, 1 << rng.randrange(8)) for at in (1, 2, 4, 5, 12, 13, 20)]
    ranges = [(v.pack, *span) for v in dataset.volumes.values() for span in v.ranges()]
    for pack, start, length in ranges:
        found += [(pack, start + rng.randrange(length), 0xFF) for _ in range(6)]
    return found


def test_one_flipped_byte_in_a_pack_is_found_by_sha256sum_and_vol_cat(ds):
    dataset = Dataset(ds)
    assert any(len(extra) == 4 for v in dataset.volumes.values() for extra in v.extras), "no blob"
    where = positions(dataset)
    assert len(where) >= 50
    for pack, at, mask in where:
        with open(pack, "r+b") as file:
            file.seek(at)
            byte = file.read(1)[0]
            file.seek(at)
            file.write(bytes([byte ^ mask]))
        try:
            result = bash("vol-cat ds", ds.parent)
            summed = bash("vol-ls --sha256 ds | (cd ds && sha256sum --quiet -c)", ds.parent)
        finally:
            with open(pack, "r+b") as file:
                file.seek(at)
                file.write(bytes([byte]))
        what = f"byte {at} of {pack.name}, mask {mask:#x}"
        assert result.status == 65, f"{what}: {result!r}"
        assert result.err.startswith("vol-cat: ") and result.err.count("\n") == 1, result.err
        with pytest.raises(FrameError):
            list(read_frames(io.BytesIO(result.out)))
        assert summed.status != 0 and pack.name in summed.out.decode() + summed.err, what
    ok("vol-cat ds | vol-ls -", ds.parent)


@pytest.mark.parametrize("part", ["catalog", "manifest", "volpipe.json"])
def test_damage_outside_the_packs_is_refused_too(ds, tmp_path, part):
    ok(f"cp -a {ds} copy", tmp_path)
    path = {"catalog": next((tmp_path / "copy" / "catalogs").iterdir()),
            "manifest": tmp_path / "copy" / "manifests" / "0000000001.json",
            "volpipe.json": tmp_path / "copy" / "volpipe.json"}[part]
    data = bytearray(path.read_bytes())
    at = 100 if part == "catalog" else data.index(b"version") + 9
    data[at] ^= 0x08
    path.write_bytes(data)
    result = bash("vol-cat copy", tmp_path)
    assert result.status == 65 and result.err.startswith("vol-cat: "), repr(result)


def test_memory_does_not_grow_with_the_volume_or_their_number(tools):
    """Benchmarks/memory.py on 160 MB and on 100 against 1,000 volumes; the full sizes by hand."""
    run = subprocess.run(
        [sys.executable, str(REPO / "Benchmarks" / "memory.py"), "--bin", str(BIN), "--frames",
         "80", "--few", "100", "--many", "1000", "--limit", "256"],
        env=environment(), capture_output=True, timeout=120, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
