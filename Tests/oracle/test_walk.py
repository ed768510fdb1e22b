"""What a walk, a list, a table and a sidecar do with names that are not plain files."""

import gzip
import io
import os
import subprocess

import numpy as np
import pytest
import zstandard
from frames import OPEN, read_frames
from support import BIN, bash, environment, ok, one_clear_line, quote, ramp, save

PATIENCE = 20  # seconds, after which a tool that waits for a pipe is taken for hung


def names(result):
    return [header["name"] for kind, header, _ in read_frames(io.BytesIO(result.out))
            if kind == OPEN]


def count(result):
    """The numbers of the line at the end: read, with warnings, refused, passed over."""
    line = result.err.splitlines()[-1]
    words = line.removeprefix("nifti-cat: ").split(", ")
    found = {" ".join(word.split()[1:]): int(word.split()[0]) for word in words}
    return [found[key] for key in ("read", "with warnings", "refused")] + [
        found.get("passed over", 0)]


@pytest.fixture
def scans(box):
    for name in ("a", "z"):
        save(box / "in" / f"{name}.nii", ramp((3, 2)))
    return box


ABSENT = {
    "a file": ("in", lambda box: (box / "in/m.nii.gz").symlink_to("../.git/annex/m.nii.gz")),
    "a folder": ("in", lambda box: (box / "in/m").symlink_to("/nowhere/share/m")),
    "in a circle": ("in", lambda box: (box / "in/m.nii").symlink_to("m.nii")),
    "through a file": ("in", lambda box: (box / "in/m.nii").symlink_to("a.nii/m.nii")),
    "named": ("in/a.nii gone.nii in/z.nii",
              lambda box: (box / "gone.nii").symlink_to("m.nii")),
    "in a list": ("-T list", lambda box: ((box / "gone.nii").symlink_to("m.nii"),
                                          (box / "list").write_text("in/a.nii\ngone.nii\nin/z.nii"))),
    "in a table": ("--table t.csv", lambda box: (
        (box / "gone.nii").symlink_to("m.nii"),
        (box / "t.csv").write_text("path,age\nin/a.nii,1\ngone.nii,2\nin/z.nii,3\n"))),
    "a sidecar": ("--sidecar in", lambda box: (
        save(box / "in/m.nii", ramp((3, 2))), (box / "in/m.json").symlink_to("annex.json"))),
    "the header of a pair": ("in", lambda box: (
        save(box / "in/m.hdr", ramp((3, 2, 2)), pair=True), (box / "in/m.hdr").unlink(),
        (box / "in/m.hdr").symlink_to("gone.hdr"))),
    "the voxels of a pair": ("in", lambda box: (
        save(box / "in/m.hdr", ramp((3, 2, 2)), pair=True), (box / "in/m.img").unlink(),
        (box / "in/m.img").symlink_to("gone.img"))),
    "the voxels before those of another name": ("in", lambda box: (
        save(box / "in/m.hdr", ramp((3, 2, 2)), pair=True),
        (box / "in/m.img").rename(box / "in/m.img.gz"), (box / "in/m.img").symlink_to("gone"))),
}


@pytest.mark.parametrize("case", ABSENT)
def test_a_link_to_what_is_not_there_is_a_bad_file(scans, case):
    options, make = ABSENT[case]
    make(scans)
    result = bash(f"nifti-cat {options}", scans)
    assert result.status == 65, repr(result)
    one_clear_line(result, "nifti-cat", "it is a symbolic link to '", "', which is not there")
    result = bash(f"nifti-cat -k {options}", scans)
    assert result.status == 1 and names(result) == ["a", "z"], repr(result)
    assert count(result) == [2, 0, 1, 0] and len(result.err.splitlines()) == 2, repr(result)


def test_a_folder_of_nothing_but_absent_files_has_one_fault(box):
    (box / "in").mkdir()
    (box / "in" / "m.nii").symlink_to("gone")
    result = bash("nifti-cat -kq in", box)
    assert result.status == 1
    one_clear_line(result, "nifti-cat", "in/m.nii", "'gone'")


def test_what_is_missing_and_no_link_keeps_its_status(scans):
    for options in ("missing.nii", "missing", "in/a.nii/x.nii", "gone/x.nii"):
        (scans / "gone").unlink(missing_ok=True)
        (scans / "gone").symlink_to("nowhere")
        result = bash(f"nifti-cat {options}", scans)
        assert result.status == 66, repr(result)
        one_clear_line(result, "nifti-cat", options)
    ok("nifti-cat --sidecar in", scans)


def test_absent_files_that_are_no_scans_are_counted_alone(scans):
    for name in ("notes.txt", "a_physio.tsv.gz", "a.json"):
        (scans / "in" / name).symlink_to("annex/x")
    result = bash("nifti-cat in", scans)
    assert result.status == 0 and names(result) == ["a", "z"], repr(result)
    assert count(result) == [2, 0, 0, 2], repr(result)


def socket_at(path):
    import socket

    here = os.getcwd()
    os.chdir(path.parent)
    try:
        socket.socket(socket.AF_UNIX).bind(path.name)
    finally:
        os.chdir(here)


OTHERS = {"a named pipe": os.mkfifo, "a socket": socket_at,
          "a device": lambda path: path.symlink_to("/dev/full")}
PLACES = {
    "walk": ("in", lambda box, make: make(box / "in/m.nii")),
    "voxels": ("in", lambda box, make: (
        save(box / "in/m.hdr", ramp((3, 2, 2)), pair=True), (box / "in/m.img").unlink(),
        make(box / "in/m.img"))),
    "header": ("in", lambda box, make: (
        save(box / "in/m.hdr", ramp((3, 2, 2)), pair=True), (box / "in/m.hdr").unlink(),
        make(box / "in/m.hdr"))),
    "list": ("-T list", lambda box, make: (
        make(box / "m.nii"), (box / "list").write_text("in/a.nii\nm.nii\nin/z.nii"))),
    "table": ("--table t.csv", lambda box, make: (
        make(box / "m.nii"), (box / "t.csv").write_text("path\nin/a.nii\nm.nii\nin/z.nii\n"))),
}


@pytest.mark.parametrize("what", OTHERS)
@pytest.mark.parametrize("place", PLACES)
def test_what_is_no_file_is_passed_over_and_counted(scans, what, place):
    options, make = PLACES[place]
    make(scans, OTHERS[what])
    result = bash(f"nifti-cat {options}", scans, timeout=PATIENCE)
    assert result.status == 0 and names(result) == ["a", "z"], repr(result)
    assert count(result) == [2, 0, 0, 1] and len(result.err.splitlines()) == 1, repr(result)
    result = bash(f"nifti-cat -v {options}", scans, timeout=PATIENCE)
    assert f"': it is {what}\n" in result.err, repr(result)


@pytest.mark.parametrize("what", OTHERS)
def test_a_sidecar_that_is_no_file_is_told_in_the_volume(scans, what):
    OTHERS[what](scans / "in/a.json")
    result = bash("nifti-cat --sidecar in", scans, timeout=PATIENCE)
    assert result.status == 0 and names(result) == ["a", "z"], repr(result)
    assert f"its sidecar is {what}" in result.err and count(result) == [2, 1, 0, 1], repr(result)
    [first, _] = [header for kind, header, _ in read_frames(io.BytesIO(result.out)) if kind == OPEN]
    assert first["quirks"] == [f"its sidecar is {what}, and was not read"]
    strict = bash("nifti-cat --strict --sidecar in", scans, timeout=PATIENCE)
    assert strict.status == 65, repr(strict)


@pytest.mark.parametrize("what", OTHERS)
def test_what_is_no_file_is_refused_where_it_is_named(scans, what):
    OTHERS[what](scans / "m.nii")
    result = bash("nifti-cat m.nii", scans, timeout=PATIENCE)
    assert result.status == 65, repr(result)
    one_clear_line(result, "nifti-cat", "'m.nii'", f"it is {what}", "standard input")


def test_a_folder_of_nothing_but_pipes_holds_no_file(box):
    (box / "in").mkdir()
    os.mkfifo(box / "in" / "m.nii")
    result = bash("nifti-cat in", box, timeout=PATIENCE)
    assert result.status == 66, repr(result)
    one_clear_line(result, "nifti-cat", "'in'", "no NIfTI file")


def test_pipes_of_the_shell_are_read(scans):
    plain = ok("nifti-cat in/a.nii", scans)
    for script in ("nifti-cat <(cat in/a.nii)", "cat in/a.nii | nifti-cat /dev/stdin",
                   "cat in/a.nii | nifti-cat /dev/fd/0", "nifti-cat - < in/a.nii",
                   "nifti-cat -T <(echo in/a.nii)",
                   "nifti-cat --table <(printf 'path\\nin/a.nii\\n')"):
        result = ok(script, scans, timeout=PATIENCE)
        assert len(names(result)) == 1, script
        assert result.out.count(b"VFRM") == plain.out.count(b"VFRM"), script


def test_each_folder_is_gone_through_once(box):
    for number in range(30):
        save(box / f"{number}" / "x.nii", ramp((3, 2)))
    for number in range(29):
        for name in ("a", "b"):
            (box / f"{number}" / name).symlink_to(f"../{number + 1}")
    result = ok("nifti-cat 0", box)
    assert names(result) == ["x"] * 30
    assert names(ok("nifti-cat 0/a/b 0 0 3", box)) == ["x"] * 30
    assert names(ok("printf '0\\n1\\n' | nifti-cat -T -", box)) == ["x"] * 30


def test_folders_without_a_file_are_told_of_once_however_they_are_reached(box):
    for name in ("in/empty", "in/none.nii"):
        (box / name).mkdir(parents=True)
    (box / "in" / "again.nii").symlink_to("none.nii")
    (box / "in" / "self").symlink_to(".")
    result = bash("nifti-cat -kq in", box)
    assert result.status == 1, repr(result)
    one_clear_line(result, "nifti-cat", "again.nii", "no NIfTI file")


@pytest.mark.parametrize("name", ["sub-NDAR-INV00{}", "sub-0.{}", "sub-M\u00fcller {}"])
def test_no_part_of_a_subject_is_cut_off(box, name):
    for number in (1, 2):
        save(box / "in" / f"{name.format(number)}_T1w.nii", ramp((3, 2)))
    found = [header["obs_subject_id"]
             for kind, header, _ in read_frames(io.BytesIO(ok("nifti-cat in", box).out))
             if kind == OPEN]
    assert found == [name.format(1), name.format(2)]


def with_extension(path, size):
    """A NIfTI file with an extension of so many bytes."""
    data = bytearray(save(path, ramp((5, 4, 3))).read_bytes())
    header, voxels = data[:348], data[352:]
    header[108:112] = np.array([352 + size], "<f4").tobytes()
    head = np.array([size, 6], "<i4").tobytes()
    path.write_bytes(header + b"\1\0\0\0" + head + bytes(size - 8) + voxels)


def zstd(data, window):
    """One frame with a window of so many bits, whatever it holds."""
    parameters = zstandard.ZstdCompressionParameters.from_level(1, window_log=window)
    packer = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    return packer.compress(data) + packer.flush()


def test_what_waits_for_its_turn_comes_in_order(box):
    data = save(box / "plain.nii", ramp((60, 50, 40))).read_bytes()
    for number in range(0, 40, 5):
        with_extension(box / "in" / f"{number:02}.nii", 16 << 20)
        (box / "in" / f"{number + 1:02}.nii.zst").write_bytes(zstd(data, 27))
        (box / "in" / f"{number + 2:02}.nii.zst").write_bytes(
            zstd(data[:9000], 10) + zstd(data[9000:], 25))
        (box / "in" / f"{number + 3:02}.nii.gz").write_bytes(gzip.compress(data, 1))
        (box / "in" / f"{number + 4:02}.nii").write_bytes(data)
    one = ok("nifti-cat -j 1 in | sha256sum", box)
    for jobs in (2, 16, 64):
        assert ok(f"nifti-cat -j {jobs} in | sha256sum", box).out == one.out, jobs


def test_memory_is_bounded_however_many_files_are_read_at_once(box):
    with_extension(box / "in" / "0.nii", 16 << 20)
    for number in range(1, 20):
        os.link(box / "in" / "0.nii", box / "in" / f"{number}.nii")
    # A process of its own starts the tool: a child begins with the peak of its parent.
    script = ("import resource, subprocess\n"
              "subprocess.run('nifti-cat -q -j 16 in >/dev/null', shell=True, check=True)\n"
              "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)")
    peak = int(ok(f"$PYTHON -c {quote(script)}", box).text)
    assert peak < 300_000, f"{peak} KB"


@pytest.mark.parametrize("words", [["bad.nii", "-"], ["bad.nii", "/dev/stdin"], ["-T", "-"]])
def test_a_pipe_that_says_nothing_holds_up_no_failure(box, words):
    (box / "bad.nii").write_bytes(bytes(400))
    child = subprocess.Popen([BIN / "nifti-cat", "-j", "4", *words], cwd=box, env=environment(),
                             stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                             stderr=subprocess.PIPE)
    if "-T" in words:
        child.stdin.write(b"bad.nii\n")
        child.stdin.flush()
    try:
        assert child.wait(PATIENCE) == 65
    finally:
        child.kill()
        child.communicate()


# What a walk leaves out, and says so

@pytest.fixture
def tree(box):
    """A BIDS data set with a derived one and sources inside, and files that are not scans."""
    for path in ("sub-01/anat/sub-01_T1w", "sub-02/anat/sub-02_T1w", "sub-02/anat/sub-02_CT",
                 "derivatives/prep/sub-01/anat/sub-01_desc-preproc_T1w", "sourcedata/sub-01/T1",
                 "extra/sub-01_x", "sub-01/derivatives/sub-01_y"):
        save(box / "b" / f"{path}.nii", ramp((3, 2)))
    for path in ("b", "b/derivatives/prep"):
        (box / path / "dataset_description.json").write_text('{"Name": "x"}')
    (box / "b/.bidsignore").write_text("# ours\n*_CT.nii\n/extra/\n\nsub-01/**/sub-01_y*\n")
    for name in ("1.dcm", "2.DCM", "a.mgz", "README", "notes.txt", "b.nii.gz.part", "x.bval"):
        (box / "b/sub-01" / name).write_bytes(b"x")
    return box


def test_what_bids_keeps_apart_is_left_out_unless_it_is_named(tree):
    result = bash("nifti-cat b", tree)
    assert result.status == 0 and names(result) == ["sub-01_T1w", "sub-02_T1w"], repr(result)
    count, others, left = result.err.splitlines()
    assert others == ("nifti-cat: passed over 5 files of other kinds: 2 .dcm, 1 .bval, 1 .mgz, 1 .part")
    assert left.startswith("nifti-cat: left out 5 by rule: 'b/derivatives', 'b/extra', ")
    assert bash("nifti-cat -q b", tree).err == ""
    assert names(bash("nifti-cat b/derivatives", tree)) == ["sub-01_desc-preproc_T1w"]
    assert names(bash("nifti-cat b/sub-02/anat/sub-02_CT.nii b/extra", tree)) == [
        "sub-02_CT", "sub-01_x"]
    (tree / "b/dataset_description.json").unlink()
    assert len(names(bash("nifti-cat b", tree))) == 7, "no BIDS, no rules of its own"


def test_what_a_user_excludes_is_left_out(tree):
    def read(options):
        return set(names(bash(f"nifti-cat -q {options} b", tree)))

    assert read("--exclude '*_T1w.nii' --exclude '!sub-02*'") == {"sub-02_T1w"}
    assert read("--exclude sub-01") == {"sub-02_T1w"}
    assert read("--exclude '/sub-01/'") == {"sub-02_T1w"}
    assert read("--exclude 'sub-0[2-9]/**'") == {"sub-01_T1w"}
    assert read("--exclude '/anat'") == {"sub-01_T1w", "sub-02_T1w"}
    assert bash("nifti-cat --exclude '[a' b", tree).status == 64
    result = bash("nifti-cat --exclude 'sub-*' b", tree)
    assert result.status == 66, repr(result)


def test_a_folder_of_other_files_says_what_they_are(box):
    (box / "in").mkdir()
    for number in range(8):
        (box / "in" / f"{number}.dcm").write_bytes(b"x")
    result = bash("nifti-cat in", box)
    assert result.status == 66, repr(result)
    one_clear_line(result, "nifti-cat", "'in'", "8 files of other kinds: 8 .dcm")


FOREIGN = {
    "DICOM": bytes(128) + b"DICM" + bytes(300), "MGH": bytes([0, 0, 0, 1, 0, 0, 1, 0]) + bytes(400),
    "NRRD": b"NRRD0004\ntype: short\n", "MetaImage": b"ObjectType = Image\nNDims = 3\n",
    "HDF5": b"\x89HDF\r\n\x1a\n" + bytes(500), "bzip2": b"BZh91AY&SY" + bytes(400),
    "npy-cat": b"\x93NUMPY\x01\x00" + bytes(400),
}


@pytest.mark.parametrize("what", FOREIGN)
@pytest.mark.parametrize("compress", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_a_file_of_another_format_is_called_by_its_name(box, what, compress):
    (box / "scan.nii").write_bytes(compress(FOREIGN[what]))
    result = bash("nifti-cat scan.nii", box)
    assert result.status == 65, repr(result)
    one_clear_line(result, "nifti-cat", "'scan.nii'", what)
