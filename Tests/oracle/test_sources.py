"""What nifti-cat finds, in which order, and what it says of each file."""

import gzip
import hashlib
import io
import os

import pytest
from frames import CLOSE, DROP, END, OPEN, read_frames
from real import NILEARN, niftis
from support import bash, ok, one_clear_line, quote, ramp, save, statuses


def frames(result):
    return list(read_frames(io.BytesIO(result.out)))


def headers(result):
    return [header for kind, header, _ in frames(result) if kind == OPEN]


def names(result):
    return [header["name"] for header in headers(result)]


def test_walk_goes_by_bytes_skips_the_hidden_and_takes_a_pair_once(box):
    scans = box / "scans"
    for name in ("b.nii", "B.nii.gz", "a10.nii", "a2.nii", "é.nii", "._a2.nii.gz", ".hidden.nii",
                 "sub/z.nii", ".cache/never.nii"):
        save(scans / name, ramp((3, 2)))
    save(scans / "pair.hdr", ramp((3, 2, 2)), pair=True)
    save(scans / "packed.hdr.gz", ramp((3, 2, 2)), pair=True)
    (scans / "notes.txt").write_text("not an image")
    (scans / "loop").symlink_to("..")
    (scans / "sub" / "self").symlink_to(".")
    result = ok("nifti-cat scans", box)
    assert names(result) == ["B", "a10", "a2", "b", "packed", "pair", "z", "é"]
    assert ok("nifti-cat scans/", box).out.count(b"VFRM") == result.out.count(b"VFRM")


def test_both_names_of_a_pair_mean_the_pair(box):
    save(box / "p.hdr", ramp((3, 2, 2)), pair=True)
    assert names(ok("nifti-cat p.hdr", box)) == names(ok("nifti-cat p.img", box)) == ["p"]


def test_paths_come_in_the_order_given_and_lists_by_line_or_nul(box):
    save(box / "b.nii", ramp((3, 2)))
    save(box / "a.nii", ramp((3, 2)))
    save(box / "two\nlines.nii", ramp((3, 2)))
    assert names(ok("nifti-cat b.nii a.nii", box)) == ["b", "a"]
    assert names(ok("printf 'b.nii\\na.nii\\n' | nifti-cat -T -", box)) == ["b", "a"]
    (box / "list").write_text("b.nii\na.nii")
    assert names(ok("nifti-cat -T list", box)) == ["b", "a"]
    result = ok("printf 'two\\nlines.nii\\0a.nii\\0' | nifti-cat -q -0 -T -", box)
    assert names(result) == ["two\ufffdlines", "a"]


def test_one_nifti_on_stdin_plain_or_gzip(box):
    data = save(box / "x.nii", ramp((9, 8, 7))).read_bytes()
    by_path = frames(ok("nifti-cat x.nii", box))
    for stdin in (data, gzip.compress(data)):
        by_pipe = frames(ok("nifti-cat -", box, stdin=stdin))
        assert [(kind, body) for kind, _, body in by_pipe[1:]] == [
            (kind, body) for kind, _, body in by_path[1:]]
        assert by_pipe[0][1]["shape"] == [9, 8, 7]
    result = bash("nifti-cat -", box, stdin=b"")
    assert result.status == 65, repr(result)


def test_attributes_go_to_every_volume(box):
    save(box / "a.nii", ramp((3, 2)))
    save(box / "b.nii", ramp((3, 2)))
    result = ok("nifti-cat --attr series_type=T1w --attr 'note=a=b, c' a.nii b.nii", box)
    for header in headers(result):
        assert header["attributes"]["series_type"] == "T1w"
        assert header["attributes"]["note"] == "a=b, c"


def test_subject_is_from_bids_or_the_name_or_the_expression(box):
    paths = ["p7/sub-01_ses-2_T1w.nii.gz", "p8/scan12.nii", "p9/my_sub-03.nii"]
    for path in paths:
        save(box / "in" / path, ramp((3, 2)))

    def subjects(options):
        return [header["obs_subject_id"] for header in headers(ok(f"nifti-cat {options} in", box))]

    assert subjects("") == ["sub-01", "scan12", "my_sub-03"]
    assert subjects("--subject-from '/(p[0-9])/'") == ["p7", "p8", "p9"]
    result = bash("nifti-cat --subject-from '/(p[78])/' in", box)
    assert result.status == 65, repr(result)
    one_clear_line(result, "nifti-cat", "my_sub-03")
    for bad in ("'(p'", "'p[78]'"):
        assert bash(f"nifti-cat --subject-from {bad} in", box).status == 64, bad


def test_folders_tell_subject_and_session_where_names_are_all_alike(box):
    for folder in ("sub-01/ses-1", "sub-01/ses-2", "sub-02/ses-1"):
        save(box / "d" / folder / "anat" / "T1w.nii", ramp((3, 2)))
    found = headers(ok("nifti-cat -q d/sub-01/ses-1 d/sub-02", box))
    assert [(header["obs_subject_id"], header["attributes"]) for header in found] == [
        ("sub-01", {"sub": "01", "ses": "1", "suffix": "T1w"}),
        ("sub-02", {"sub": "02", "ses": "1", "suffix": "T1w"})]
    ids = {
        "{subject}_{attrs.ses}_{name}": "sub-01_1_T1w sub-01_2_T1w sub-02_1_T1w",
        "{sub}-{ses}": "01-1 01-2 02-1",
        "{path}": "d_sub-01_ses-1_anat_T1w d_sub-01_ses-2_anat_T1w d_sub-02_ses-1_anat_T1w",
        "{folder.3}.{folder.2}.{folder}": "sub-01.ses-1.anat sub-01.ses-2.anat sub-02.ses-1.anat",
    }
    for number, (template, wanted) in enumerate(ids.items()):
        ok(f"nifti-cat -q ./d | vol-write -q --obs-id '{template}' ds{number} MR; "
           f"vol-commit -q ds{number}", box)
        listed = ok(f"vol-ls --tsv ds{number} MR", box).lines[1:]
        assert " ".join(line.split("\t")[0] for line in listed) == wanted
    ok("vol-cat ds0 | nifti-write -q --name '{path}' -o out", box)
    made = sorted(str(path.relative_to(box / "out")) for path in (box / "out").rglob("*.nii"))
    assert made == [f"d/sub-{sub}/anat/T1w.nii" for sub in ("01/ses-1", "01/ses-2", "02/ses-1")]


def test_a_template_that_finds_nothing_names_volume_and_field(box):
    save(box / "a.nii", ramp((3, 2)))
    result = bash("nifti-cat a.nii | vol-write --obs-id '{subject}_{attrs.run}' ds CT", box)
    assert result.status == 65, repr(result)
    one_clear_line(result, "vol-write", "'a'", "{attrs.run}")
    result = bash("nifti-cat a.nii | vol-write --obs-id '{attr.run}' ds CT", box)
    assert result.status == 64 and "{attrs.KEY}" in result.err, repr(result)


def test_a_name_and_a_folder_of_two_subjects_are_a_quirk(box):
    save(box / "sub-02" / "sub-01_T1w.nii", ramp((3, 2)))
    result = bash("nifti-cat sub-02", box)
    [header] = headers(result)
    assert header["obs_subject_id"] == "sub-01"
    assert header["quirks"] == ["its name says sub-01, its folder sub-02"]
    assert bash("nifti-cat --strict sub-02", box).status == 65


def test_groups_with_names_are_attributes(box):
    paths = ["images/BRATS_001_0000.nii", "images/BRATS_002_0000.nii", "labels/BRATS_001.nii"]
    for path in paths:
        save(box / path, ramp((3, 2)))

    def told(regex):
        result = ok(f"nifti-cat --subject-from '{regex}' images labels", box)
        return [(header["obs_subject_id"], header.get("attributes")) for header in headers(result)]

    assert told("([^/]+?)(_[0-9]{4})?[.]nii") == [
        ("BRATS_001", None), ("BRATS_002", None), ("BRATS_001", None)]
    assert told("(?<subject>BRATS_[0-9]+)(?:_(?<channel>[0-9]{4}))?[.]nii") == [
        ("BRATS_001", {"channel": "0000"}), ("BRATS_002", {"channel": "0000"}),
        ("BRATS_001", None)]
    assert told("(?<kind>[a-z]+)/") == [
        ("BRATS_001_0000", {"kind": "images"}), ("BRATS_002_0000", {"kind": "images"}),
        ("BRATS_001", {"kind": "labels"})]


def test_two_subjects_whose_bytes_are_no_text_do_not_become_one(box):
    for name in (b"P\xff", b"P\xfe"):
        folder = os.fsencode(box) + b"/q/" + name
        try:
            os.makedirs(folder)
        except OSError:
            pytest.skip("this file system wants names in UTF-8")
        save(box / "a.nii", ramp((3, 2))).rename(os.fsdecode(folder + b"/a.nii"))
    result = bash("nifti-cat -k --subject-from 'q/(P[^/]*)/' q", box)
    assert result.status == 1 and headers(result) == [], repr(result)
    assert "2 refused" in result.err


def test_standard_input_may_have_a_path(box):
    data = save(box / "a.nii", ramp((3, 2))).read_bytes()
    path = "in/sub-07/ses-1/T1w.nii.gz"
    [header] = headers(ok(f"nifti-cat --stdin-name {path} -", box, stdin=data))
    assert (header["name"], header["obs_subject_id"], header["source"]["path"]) == (
        "T1w", "sub-07", path)
    assert header["attributes"] == {"sub": "07", "ses": "1", "suffix": "T1w"}
    rule = f"nifti-cat --subject-from 'in/(sub.*)/ses' --stdin-name {path} -"
    assert headers(ok(rule, box, stdin=data))[0]["obs_subject_id"] == "sub-07"
    assert bash("nifti-cat --stdin-name x a.nii", box).status == 64


@pytest.fixture(scope="module")
def mixed(tools, tmp_path_factory):
    """Three volumes, the middle one cut off halfway in its gzip stream."""
    box = tmp_path_factory.mktemp("mixed")
    for name in ("a", "b", "c"):
        save(box / "in" / f"{name}.nii.gz", ramp((80, 80, 40), seed=ord(name)))
    path = box / "in" / "b.nii.gz"
    path.write_bytes(path.read_bytes()[:-1000])
    return box


def test_keep_going_drops_the_bad_file_and_exits_1(mixed):
    result = bash("nifti-cat -k in", mixed)
    assert result.status == 1, repr(result)
    failure, count = result.err.splitlines()
    assert failure.startswith("nifti-cat: ") and "in/b.nii.gz" in failure, failure
    assert count == "nifti-cat: 2 read, 0 with warnings, 1 refused", count
    found = frames(result)
    end = found[-1][1]
    assert end["volumes"] == 2 and end["dropped"] + end.get("skipped", 0) == 1
    assert sum(kind == CLOSE for kind, _, _ in found) == 2
    assert all(header["reason"] for kind, header, _ in found if kind == DROP)

    codes, result = statuses("nifti-cat -k in | vol-write kept CT", mixed)
    assert codes == [1, 1], repr(result)
    ok("vol-commit kept", mixed)
    assert [line.split("\t")[0] for line in ok("vol-ls --tsv kept CT", mixed).lines[1:]] == [
        "a_CT", "c_CT"]
    codes, result = statuses("vol-ls - < <(nifti-cat -k -q in)", mixed)
    assert codes == [1], repr(result)
    codes, _ = statuses("nifti-cat -k in | nifti-write -o out", mixed)
    assert codes == [1, 1]
    assert sorted(path.name for path in (mixed / "out").iterdir()) == ["a.nii", "c.nii"]


def test_without_keep_going_the_first_bad_file_ends_it_all(mixed):
    codes, result = statuses("nifti-cat in | vol-write strict CT", mixed)
    assert codes == [65, 65], repr(result)
    assert "in/b.nii.gz" in result.err
    assert bash("vol-commit strict", mixed).status == 66


def test_output_does_not_depend_on_jobs(mixed):
    """Of large and small files, a bad one among them: the same bytes, one job or eight."""
    paths = quote("in", *niftis(NILEARN))
    sums = {jobs: hashlib.sha256(bash(f"nifti-cat -k -q -j {jobs} {paths}", mixed).out).hexdigest()
            for jobs in (1, 2, 8)}
    assert len(set(sums.values())) == 1, sums
    default = bash(f"nifti-cat -k -q {paths}", mixed)
    assert hashlib.sha256(default.out).hexdigest() == sums[1]
    assert frames(default)[-1][0] == END


def test_verbose_names_each_file_and_a_pipe_gets_no_progress(mixed):
    paths = ("in/a.nii.gz", "in/c.nii.gz")
    result = bash(f"nifti-cat -v {' '.join(paths)}", mixed)
    assert result.status == 0 and all(path in result.err for path in paths), repr(result)
    assert ok(f"nifti-cat {' '.join(paths)}", mixed).err == ""
