"""What once went wrong, or would have: one test a finding, named for what must hold."""

import io
import json
import unicodedata

import numpy as np
import pytest
from dataset import reseal
from frames import EXTRA, OPEN, FrameWriter, read_frames
from support import bash, ok, ramp, save


@pytest.fixture
def twins(box):
    """Two volumes of one name, in two collections."""
    (box / "in").mkdir()
    save(box / "in" / "a.nii", ramp((5, 4, 3)))
    ok("nifti-cat in | vol-write ds image; nifti-cat in | vol-write ds label; vol-commit ds", box)
    return box


@pytest.mark.parametrize("force", ["", "-f"])
def test_a_volume_never_replaces_another_of_the_same_stream(twins, force):
    result = bash(f"vol-cat ds | nifti-write {force} -o out", twins)
    assert result.status == 73 and "a.nii" in result.err, repr(result)
    ok("vol-cat ds | nifti-write --name '{collection}/{name}' -o named", twins)
    assert {path.parent.name for path in (twins / "named").rglob("*.nii")} == {"image", "label"}


def test_pairs_whose_names_differ_in_unicode_spelling_are_both_read(box):
    for form in ("NFC", "NFD"):
        save(box / "in" / f"{unicodedata.normalize(form, 'é')}.hdr", ramp((5, 4, 3)), pair=True)
    assert len(ok("nifti-cat in | vol-ls --json -", box).lines) == 2


def test_collections_whose_names_differ_in_unicode_spelling_are_refused(twins):
    ok("nifti-cat in | vol-write --obs-id one ds $'e\\u0301'", twins)
    ok("nifti-cat in | vol-write --obs-id two ds $'\\u00e9'", twins)
    result = bash("vol-commit ds", twins)
    assert result.status == 65 and "Unicode" in result.err, repr(result)
    assert json.loads(ok("vol-ls --manifest ds", twins).out)["snapshot"] == 1


def test_a_filter_that_drops_source_bytes_and_keeps_the_source_is_refused(twins):
    stream, last = io.BytesIO(), None
    writer = FrameWriter(stream)
    for kind, header, body in read_frames(io.BytesIO(ok("nifti-cat in", twins).out)):
        if kind == EXTRA:
            body = body[:348]
        if kind != EXTRA or last == OPEN:
            writer.frame(kind, header or None, body)
        last = kind
    result = bash("nifti-write -o out", twins, stdin=stream.getvalue())
    assert result.status == 65 and "source" in result.err, repr(result)
    assert not list(twins.glob("out/*"))


@pytest.mark.parametrize("tool", ["vol-ls -", "nifti-write -o out", "vol-write new CT"])
def test_a_count_of_skipped_sources_that_cannot_be_is_refused(box, tool):
    stream = io.BytesIO()
    FrameWriter(stream).frame(6, {"volumes": 0, "dropped": 0, "skipped": 2**64 - 1})
    result = bash(tool, box, stdin=stream.getvalue())
    assert result.status == 65 and "skipped" in result.err, repr(result)


def test_a_list_that_cannot_be_read_ends_the_run_under_keep_going(box):
    (box / "folder").mkdir()
    assert bash("nifti-cat -k -T folder", box, timeout=20).status == 1
    assert bash("nifti-cat -k -T -", box, stdin=b"a" * 200_000, timeout=20).status == 1


def test_a_manifest_of_impossible_sums_is_refused(twins):
    path = twins / "ds" / "manifests" / "0000000001.json"

    def lie(manifest):
        for part in [*manifest["stages"], *manifest["collections"].values()]:
            part["volumes"] = part["raw_bytes"] = 2**64 - 1
            part["stored_bytes"] = 1

    reseal(path, lie)
    for command in ("vol-ls ds", "vol-ls --snapshots ds", "vol-cat ds", "vol-ls ds image"):
        assert bash(command, twins).status == 65


def test_an_overlong_quaternion_leaves_the_file_as_it_was(box):
    path = save(box / "q.nii", ramp((5, 4, 3)), version=2)
    data = bytearray(path.read_bytes())
    data[352:360] = np.float64(1e200).tobytes()
    data[344:352] = np.array([1, 0], "<i4").tobytes()
    path.write_bytes(data)
    result = bash("nifti-cat q.nii > q.frames && nifti-write -o out < q.frames", box)
    assert result.status == 0 and "quaternion" in result.err, repr(result)
    assert (box / "out" / "q.nii").read_bytes() == bytes(data)


@pytest.mark.parametrize("magic", [b"\x1f\x8b\x08\x00", b"\x28\xb5\x2f\xfd"])
def test_voxels_of_a_pair_that_begin_like_a_compressed_file_are_voxels(box, magic):
    for dtype in ("u1", "i2"):
        save(box / "p.hdr", ramp((5, 4, 3), dtype), pair=True)
        data = magic + (box / "p.img").read_bytes()[4:]
        (box / "p.img").write_bytes(data)
        ok("nifti-cat p.hdr | nifti-write -f -o out", box)
        assert (box / "out" / "p.img").read_bytes() == data


def test_numbers_of_a_header_that_are_too_large_to_calculate_with_leave_the_affine_finite(box):
    path = save(box / "x.nii", ramp((5, 4, 3)), version=2)
    data = bytearray(path.read_bytes())
    data[400:408] = np.float64(1e307).tobytes()
    data[500:504] = np.array([1], "<i4").tobytes()  # metres, a thousand times as many millimetres
    path.write_bytes(data)
    result = bash("nifti-cat x.nii", box)
    assert result.status == 0 and "sform" in result.err, repr(result)
    [header] = [h for kind, h, _ in read_frames(io.BytesIO(result.out)) if kind == OPEN]
    assert np.isfinite(np.array(header["affine"], float)).all()
