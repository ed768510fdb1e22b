"""What is not confused, not led astray and not run away with: each kind of fault, once."""

import csv
import hashlib
import io
import json
import resource
import subprocess
import unicodedata
import zipfile

import numpy as np
import pytest
from dataset import seal
from frames import FrameWriter, volumes
from support import bash, environment, ok, one_clear_line, ramp, save, snapshot, tree

NFC, NFD = (unicodedata.normalize(form, "Jos\u00e9") for form in ("NFC", "NFD"))


def stream(*headers):
    """Volumes of one voxel, whose value is their number."""
    out = io.BytesIO()
    writer = FrameWriter(out)
    for number, header in enumerate(headers):
        writer.open({"shape": [1], "dtype": "uint8", "name": "v", **header})
        writer.data(bytes([number]))
        writer.close()
    writer.end()
    return out.getvalue()


def held(data):
    return {header["obs_id"]: int(array.ravel()[0]) for header, array in volumes(io.BytesIO(data))}


@pytest.fixture
def twins(box):
    """A dataset of two volumes whose ids Unicode takes for the same."""
    ok("vol-write -q ds CT; vol-commit -q ds", box, stdin=stream(
        {"obs_id": NFC, "obs_subject_id": NFC}, {"obs_id": NFD, "obs_subject_id": NFD}))
    return box


# By bytes


def test_two_spellings_of_a_text_are_two_ids_to_every_tool(twins):
    for number, name in enumerate((NFC, NFD)):
        assert held(ok(f"vol-cat ds CT '{name}'", twins).out) == {name: number}
    both = "".join(f"{name} :\n" for name in (NFC, NFD, NFC)).encode()
    answers = io.BytesIO(ok("vol-cat --batch ds", twins, stdin=both).out)
    assert [(answers.readline(), answers.read(1))[1] for _ in range(3)] == [b"\0", b"\1", b"\0"]
    (twins / "ids").write_text(NFD + "\n")
    assert held(ok("vol-cat ds | frame-filter -T ids", twins).out) == {NFD: 1}
    assert held(ok("vol-cat ds | frame-filter -v -T ids", twins).out) == {NFC: 0}
    assert held(ok(f"vol-cat ds | frame-filter 'obs_id == \"{NFD}\"'", twins).out) == {NFD: 1}
    rows = ok("vol-ls --json --subjects ds", twins).lines
    assert [json.loads(row)["obs_subject_id"] for row in rows] == sorted((NFC, NFD), key=str.encode)
    ok(f"vol-rm -q ds '{NFC}'", twins)
    assert held(ok("vol-cat ds", twins).out) == {NFD: 1}


def test_keys_in_two_spellings_stay_two(box):
    data = stream({"obs_id": "a", "attributes": {NFC: 1, NFD: 2}, NFC: 3, NFD: 4})
    ok("vol-write -q ds CT; vol-commit -q ds", box, stdin=data)
    [line] = ok("vol-ls --json ds CT", box).lines
    header = json.loads(line)
    assert (header["attributes"], header[NFC], header[NFD]) == ({NFC: 1, NFD: 2}, 3, 4)


def test_a_filter_passes_frames_on_as_they_came(box):
    data = stream({"units": {"space": "mm", "mine": 1}, "x": [1.50, None]}, {"obs_id": "b"})
    assert ok("frame-filter true", box, stdin=data).out == data


# What is read from elsewhere


def reseal(path, change):
    """Change the JSON text of a sealed document, and seal it again."""
    lines = path.read_bytes().split(b',\n  "sha256"')[0] + b"\n}\n"
    path.write_bytes(seal(change(lines)))


@pytest.mark.parametrize("change", [
    lambda text: text.replace(b"{", b'{"format" : "volpipe-manifest",', 1),
    lambda text: text.replace(b'"created" : "2', b'"created" : "x2', 1),
    lambda text: text.replace(b'"metadata" : {}', b'"metadata" : {"a":[1,]}'),
    lambda text: text.replace(b'"metadata" : {}', b'"metadata" : {"a":"\x1b"}'),
    lambda text: text.replace(b'"metadata" : {}', b'"metadata" : {"a":"\xff"}'),
    lambda text: text.replace(b'"metadata" : {}', b'"metadata" : {"a":%s}' % (b"[" * 101 + b"]" * 101)),
    lambda text: text.replace(b'"collection" : "CT"', b'"collection" : "C/T"').replace(
        b'"CT" : {', b'"C/T" : {'),
    lambda text: text.replace(b'"volumes" : 2', b'"volumes" : 18446744073709551615'),
], ids=["key twice", "no time", "comma", "control", "UTF-8", "deep", "collection", "huge"])
def test_a_manifest_that_is_none_is_refused_and_found(twins, change):
    manifest = twins / "ds" / "manifests" / "0000000001.json"
    before = manifest.read_bytes()
    reseal(manifest, change)
    assert manifest.read_bytes() != before
    for command in ("vol-ls ds", "vol-cat ds", "vol-write -q ds CT", "vol-ls --snapshots ds"):
        result = bash(command, twins, stdin=stream({"obs_id": "n"}))
        assert result.status == 65, f"{command}: {result!r}"
    assert bash("vol-verify -q ds", twins).status == 1


@pytest.mark.parametrize("part", ["packs", "catalogs", "manifests", "stages", "subjects", "HEAD"])
def test_no_part_of_a_dataset_may_be_a_link(twins, part):
    (twins / "ds" / part).rename(twins / "there")
    (twins / "ds" / part).symlink_to(twins / "there")
    before = tree(twins)
    for command in ("vol-ls ds", "vol-cat ds", "vol-write -q ds CT", "vol-commit ds",
                    f"vol-rm ds '{NFC}'", "vol-gc --grace 0 ds", "vol-meta --json ds",
                    "vol-export --zarr out ds"):
        result = bash(command, twins, stdin=stream({"obs_id": "n"}))
        assert result.status == 65, f"{command}: {result!r}"
        one_clear_line(result, command.split()[0], part, "symbolic link")
    assert bash("vol-verify -q ds", twins).status == 1
    assert tree(twins) == before


def test_what_is_derived_from_a_catalog_is_not_made_of_a_damaged_one(twins):
    [catalog] = (twins / "ds" / "catalogs").iterdir()
    data = bytearray(catalog.read_bytes())
    data[10] ^= 1  # the stage's id in its own header has no checksum that a reader needs for this
    catalog.write_bytes(data)
    for command in (f"vol-rm ds '{NFC}'", "vol-export --zarr out ds", "vol-export --nifti out ds"):
        assert bash(command, twins).status == 65, command


# Snapshots that are expected


def test_a_rollback_is_noticed_by_who_expects_a_snapshot(twins):
    first = f"1:{hashlib.sha256((twins / 'ds/manifests/0000000001.json').read_bytes()).hexdigest()}"
    ok("vol-write -q ds CT", twins, stdin=stream({"obs_id": "n"}))
    last = ok("vol-commit ds", twins).text.strip()
    assert snapshot(last + "\n") == 2
    readers = ("vol-ls", "vol-cat", "vol-ls --refs", "vol-verify -q --full")
    for reader in readers:
        for expected in (first, last, "1", "2"):
            ok(f"{reader} --expect {expected} ds > /dev/null", twins)
        ok(f"{reader} ds@{first} > /dev/null; {reader} ds@{last} > /dev/null", twins)
    other = last[:-1] + ("0" if last[-1] != "0" else "1")
    (twins / "ds/manifests/0000000002.json").unlink()
    (twins / "ds/HEAD").unlink()
    for reader in readers:
        bad = 1 if reader.startswith("vol-verify") else 65
        for expected in (last, "2", "1:" + "0" * 64):
            assert bash(f"{reader} --expect {expected} ds", twins).status == bad, reader
        ok(f"{reader} --expect {first} ds > /dev/null", twins)
    assert bash(f"vol-commit --expect {other} ds", twins).status == 75
    assert bash("vol-ls --expect 1:abc ds", twins).status == 64


@pytest.mark.parametrize("words", [
    "vol-ls s3://b/ds", "vol-cat https://h/ds", "vol-write s3://b/ds CT", "vol-commit s3://b/ds",
    "vol-meta s3://b/ds", "vol-rm s3://b/ds a", "vol-gc s3://b/ds", "vol-verify s3://b/ds@2",
    "vol-export --zarr s3://b/out ds", "vol-export --nifti s3://b/out ds",
    "nifti-cat https://h/a.nii", "nifti-cat -T s3://b/list", "npy-cat s3://b/a.npy",
    "nifti-write -o s3://b/out", "frame-filter -T s3://b/ids", "vol-commit --meta-json s3://m ds"])
def test_a_url_is_no_folder(box, words):
    result = bash(words, box, stdin=stream({"obs_id": "n"}))
    assert result.status == 64, repr(result)
    one_clear_line(result, words.split()[0], "://")
    assert list(box.iterdir()) == []


# What leaves


def test_text_that_leaves_acts_on_no_terminal_and_breaks_no_line(box):
    odd = "a\u009b31m\u202eb\u2028c\u007f"
    data = stream({"obs_id": "a", "attributes": {"note": odd + "\x1b\n"}, "description": odd})
    ok("vol-write -q ds CT; vol-commit -q ds", box, stdin=data)
    written = ok("vol-ls --json ds CT", box).text
    assert written.count("\n") == 1 and json.loads(written)["attributes"]["note"] == odd + "\x1b\n"
    assert not any(ord(one) < 32 or 127 <= ord(one) < 160 or one in "\u202e\u2028"
                   for one in written.rstrip("\n"))
    (box / "t.csv").write_text(f'obs_subject_id,note\ns1,"=1+{odd}"\ns2,-5\n')
    ok("vol-meta -q ds < t.csv; vol-commit -q ds 2> /dev/null", box)
    shown = subprocess.run(["script", "-qec", "vol-meta ds < /dev/null", "/dev/null"], cwd=box,
                           env=environment(), capture_output=True, text=True, check=True).stdout
    assert "\\u{009b}" in shown.lower() and "\u009b" not in shown and "\u202e" not in shown
    rows = list(csv.reader(io.StringIO(ok("vol-meta --csv --csv-safe ds < /dev/null", box).text)))
    assert rows[1:] == [["s1", f"'=1+{odd}"], ["s2", "-5"]]


def test_messages_and_columns_are_bounded(box):
    result = bash("vol-write -q ds CT", box, stdin=stream({"name": "x" * 4_000_000}))
    assert result.status == 65 and len(result.err) < 5000
    names = [{"name": "y" * 1000}] + [{"name": f"z{number}"} for number in range(40)]
    assert len(ok("vol-ls -", box, stdin=stream(*names)).out) < 10_000


# What is asked for


def test_a_regular_expression_ends(box):
    data = stream({"description": "a" * 28 + "!", "obs_id": "a"}, {"description": "T1" * 40_000})
    assert ok("frame-filter 'obs_id =~ \"^a$\"'", box, stdin=data).out
    result = bash(r"""frame-filter 'description =~ "^(\\w+\\s?)*$|(a|aa)+x"'""", box, stdin=data)
    assert result.status == 65, repr(result)
    one_clear_line(result, "frame-filter", "too many steps")
    result = bash(r"""frame-filter 'description =~ "^(a|a?)+$"'""", box, stdin=stream(
        {"description": "a" * 40 + "!"}))
    assert result.status == 65, repr(result)
    one_clear_line(result, "frame-filter", "too many steps")
    result = bash("frame-filter 'obs_id =~ \"(\"'", box, stdin=data)
    assert result.status == 64
    one_clear_line(result, "frame-filter", "'('")
    for expression in ("[" * 100_000, "!(" * 5000, " || ".join(["true"] * 5000)):
        result = bash("frame-filter -- \"$E\"", box, stdin=data, E=expression[:120_000])
        assert result.status == 64, repr(result)


def test_a_refused_thread_is_told_and_nothing_hangs(twins):
    save(twins / "a.nii", ramp((4, 4, 4)))
    for words in ("vol-cat -j 256 ds", "nifti-cat -j 256 a.nii", "vol-verify -q --full -j 256 ds"):
        result = bash(f"ulimit -v 400000; {words}", twins)
        assert result.status == 75, repr(result)
        one_clear_line(result, words.split()[0], "thread")


def test_an_archive_whose_member_is_longer_than_its_array_is_not_copied(box):
    data = io.BytesIO()
    np.save(data, np.zeros((2, 2, 2), "u1"))
    with zipfile.ZipFile(box / "b.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open("a.npy", "w", force_zip64=True) as member:
            member.write(data.getvalue())
            for _ in range(64):
                member.write(bytes(1 << 20))
    result = bash("npy-cat -q b.npz", box)
    assert result.status == 65
    one_clear_line(result, "npy-cat", "b.npz:a.npy", "its header says")
    np.savez(box / "good.npz", a=ramp((5, 4, 3)))
    assert len(ok("npy-cat -q good.npz | vol-ls --tsv -", box).lines) == 2


def test_zeros_take_no_scratch(box):
    """A volume of zeros whose slab is too large for memory leaves the scratch file empty."""
    out = io.BytesIO()
    writer = FrameWriter(out)
    writer.volume(np.zeros((256, 512, 640), "u1"), obs_id="z")
    writer.end()
    ok("vol-write -q -c 1,512,640 ds CT; vol-commit -q ds", box, stdin=out.getvalue())
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_oublock
    ok("vol-verify -q --full ds", box, TMPDIR=str(box))
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_oublock - before < 16 << 11
