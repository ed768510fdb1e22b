"""nifti-cat --table: files from a list that also says who they are."""

import csv
import io
import json
import os
import random
import re

import pandas
import pytest
from dataset import Dataset
from frames import END, OPEN, read_frames, volumes
from support import bash, ok, one_clear_line, ramp, save, statuses

COLUMNS = ["path", "obs_id", "obs_subject_id", "age", "note"]
NOTES = {
    "a.nii": "comma, semicolon; tab\t",
    "b.nii": "two\nlines, and\r\nthree",
    "c.nii": 'he said "so"',
    'od"d, n;a\tme.nii': "  \u00e9 \u2713  ",
}
ROWS = [[path, f"id-{number}", f"P{number}", f"00{number}", note]
        for number, (path, note) in enumerate(NOTES.items())]
GOOD = b"path,obs_id,obs_subject_id,note\na.nii,one,P1,x\n%s\nb.nii,two,P2,y\n"


@pytest.fixture(scope="module")
def here(tools, tmp_path_factory):
    box = tmp_path_factory.mktemp("tables")
    for path in [*NOTES, "folder/d.nii", "sub-01_ses-2_T1w.nii"]:
        save(box / path, ramp((3, 2)))
    return box


def headers(result):
    return [header for kind, header, _ in read_frames(io.BytesIO(result.out)) if kind == OPEN]


def cat(box, table, options=""):
    """The open headers of a run over a table that comes on standard input."""
    table = table.encode() if isinstance(table, str) else table
    return headers(ok(f"nifti-cat -q {options} --table -", box, stdin=table))


def written(rows, separator=",", end="\n", quoting=csv.QUOTE_MINIMAL):
    text = io.StringIO()
    csv.writer(text, delimiter=separator, lineterminator=end, quoting=quoting).writerows(rows)
    return text.getvalue().encode()


ALL = [COLUMNS, *ROWS]
FORMS = {
    "commas": written(ALL),
    "tabs": written(ALL, "\t"),
    "semicolons": written(ALL, ";"),
    "byte order mark": b"\xef\xbb\xbf" + written(ALL, "\t"),
    "byte order mark before a quote": b"\xef\xbb\xbf" + written(ALL, quoting=csv.QUOTE_ALL),
    "crlf": written(ALL, end="\r\n"),
    "tabs and crlf": written(ALL, "\t", end="\r\n"),
    "everything quoted": written(ALL, ";", quoting=csv.QUOTE_ALL),
    "returns": written(ALL, end="\r"),
    "no newline at the end": written(ALL).removesuffix(b"\n"),
    "no newline at the end of a quoted field": written(ALL, quoting=csv.QUOTE_ALL)[:-1],
    "empty lines": written([*ALL, [], []]).replace(b"a.nii", b"\n\r\n\na.nii", 1),
    "as pandas writes it": pandas.DataFrame(ROWS, columns=COLUMNS).to_csv().encode(),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_table_says_the_same(here, form):
    (here / "t").write_bytes(FORMS[form])
    result = ok("nifti-cat -q --table t", here)
    for header, (path, obs_id, subject, age, note) in zip(headers(result), ROWS, strict=True):
        assert header["source"]["path"] == path and header["name"] == (
            path.removesuffix(".nii").replace("\t", "\ufffd"))
        assert (header["obs_id"], header["obs_subject_id"]) == (obs_id, subject)
        assert header["attributes"] == {"age": age, "note": note}
    assert ok("nifti-cat -q --table - < t", here).out == result.out


def test_a_long_table_of_odd_fields_is_read_as_it_was_written(here):
    """Longer than any buffer, so that quotes, characters and line ends fall across its ends."""
    dice = random.Random(7)
    parts = ["a", "07", ",", ";", "\t", '"', "\n", "\r\n", " ", "\u00e9", "\U0001f9e0", "n/a"]
    rows = [["a.nii", *("".join(dice.choices(parts, k=dice.randrange(40))) for _ in range(3))]
            for _ in range(1500)]
    for separator, end in ((",", "\n"), ("\t", "\r\n")):
        table = written([["path", "x", "y", "z"]], separator, end) + b"".join(
            written([row], separator, end, dice.choice([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]))
            for row in rows)
        assert len(table) > 1 << 17
        found = [header.get("attributes", {}) for header in cat(here, table)]
        assert found == [{key: text for key, text in zip("xyz", row[1:])
                          if text not in ("", "n/a")} for row in rows]


def test_a_field_that_is_empty_or_na_says_nothing(here):
    name = "sub-01_ses-2_T1w.nii"
    entities = {"sub": "01", "ses": "2", "suffix": "T1w"}
    for nothing in ("", "n/a"):
        row = ",".join([name] + 4 * [nothing])
        [header] = cat(here, f"path,obs_id,obs_subject_id,ses,age\n{row}\n")
        assert "obs_id" not in header and header["obs_subject_id"] == "sub-01"
        assert header["attributes"] == entities
    [header] = cat(here, f"path,ses,age\n{name},N/A,na\n")
    assert header["attributes"] == {**entities, "ses": "N/A", "age": "na"}


def test_ids_and_subjects_of_a_table_are_those_of_the_dataset(here):
    table = "obs_id\tpath\tobs_subject_id\tdose\nn/a\ta.nii\tn/a\t1e3\nscan 7\tb.nii\tP 7\t\n"
    ok("nifti-cat -q --table - | vol-write ds CT; vol-commit ds", here, stdin=table.encode())
    found = Dataset(here / "ds").volumes
    assert {key: volume.header["obs_subject_id"] for key, volume in found.items()} == {
        "a_CT": "a", "scan 7": "P 7"}
    assert found["a_CT"].header["attributes"] == {"dose": "1e3"}
    listed = [json.loads(line) for line in ok("vol-ls --json ds CT", here).lines]
    assert [volume["obs_id"] for volume in listed] == ["a_CT", "scan 7"]


def test_the_table_goes_before_subject_from_and_paths_keep_their_order(here):
    table = "path,obs_subject_id\nb.nii,T\nfolder/d.nii,\na.nii,T\nb.nii,\n"
    found = cat(here, table, "--subject-from '([a-z])[.]nii'")
    assert [(header["name"], header["obs_subject_id"]) for header in found] == [
        ("b", "T"), ("d", "d"), ("a", "T"), ("b", "b")]


BAD_ROWS = {
    "too few fields": b"c.nii,three,P",
    "too many fields": b"c.nii,three,P,x,y",
    "no path": b",three,P,x",
    "a path of n/a": b"n/a,three,P,x",
    "an id with a slash": b"c.nii,th/ree,P,x",
    "an id that is a folder": b"c.nii,..,P,x",
    "an id with a control character": b"c.nii,th\x07ree,P,x",
    "an id that is too long": b"c.nii," + b"x" * 256 + b",P,x",
    "a subject with a slash": b"c.nii,three,P/3,x",
    "an attribute in latin-1": b"c.nii,three,P,caf\xe9",
    "an id in latin-1": b"c.nii,caf\xe9,P,x",
}


@pytest.mark.parametrize("defect", BAD_ROWS)
def test_a_bad_line_is_named_by_table_and_number_and_costs_only_itself(here, defect):
    (here / "bad.csv").write_bytes(GOOD % BAD_ROWS[defect])
    result = bash("nifti-cat --table bad.csv", here)
    assert result.status == 65, repr(result)
    one_clear_line(result, "nifti-cat", "bad.csv")
    assert re.search(r"\b3\b", result.err), result.err

    result = bash("nifti-cat -k --table bad.csv", here)
    assert result.status == 1, repr(result)
    assert [header["obs_id"] for header in headers(result)] == ["one", "two"]
    [message, count] = result.err.splitlines()
    assert "bad.csv" in message and re.search(r"\b3\b", message), message
    assert count == "nifti-cat: 2 read, 0 with warnings, 1 refused"


def test_lines_are_counted_as_an_editor_counts_them(here):
    """After a field of two lines; and a quote that never ends is named where it begins."""
    long = b'c.nii,three,P,"two\nlines"\n'
    for bad, read in ((b"c.nii,four", 3), (b'c.nii,four,P,"never closed', 2)):
        (here / "bad.csv").write_bytes(GOOD % (long + bad))
        result = bash("nifti-cat -k --table bad.csv", here)
        assert result.status == 1, repr(result)
        [message, count] = result.err.splitlines()
        assert "bad.csv" in message and re.search(r"\b5\b", message), message
        assert count == f"nifti-cat: {read} read, 0 with warnings, 1 refused"
        result = bash("nifti-cat --table bad.csv", here)
        assert result.status == 65, repr(result)


def test_a_line_may_have_a_mebibyte_and_no_more(here):
    [header] = cat(here, f"path,note\na.nii,{'x' * 1_048_000}\n")
    assert header["attributes"] == {"note": "x" * 1_048_000}
    (here / "bad.csv").write_bytes(GOOD % (b"c.nii,three,P," + b"x" * (1 << 20)))
    result = bash("nifti-cat --table bad.csv", here, timeout=20)
    assert result.status == 65, repr(result)
    one_clear_line(result, "nifti-cat", "bad.csv")


@pytest.mark.parametrize("line, status", [(b"gone.nii,three,P,x", 66), (b"folder,three,P,x", 65)])
def test_a_path_that_is_no_file_is_named_and_costs_only_itself(here, line, status):
    (here / "bad.csv").write_bytes(GOOD % line)
    named = line.split(b",")[0].decode()
    result = bash("nifti-cat --table bad.csv", here)
    assert result.status == status, repr(result)
    one_clear_line(result, "nifti-cat", named)
    result = bash("nifti-cat -k --table bad.csv", here)
    assert result.status == 1, repr(result)
    assert [header["obs_id"] for header in headers(result)] == ["one", "two"]
    assert named in result.err.splitlines()[0] and "2 read" in result.err.splitlines()[1]


BAD_TABLES = {
    "empty": b"",
    "empty but for its mark": b"\xef\xbb\xbf",
    "no path": b"file,obs_id\na.nii,one\n",
    "path in capitals": b"PATH\na.nii\n",
    "path twice": b"path,path\na.nii,a.nii\n",
    "a name twice": b"path,age,sex,age\na.nii,1,m,2\n",
    "utf-16": "path,obs_id\na.nii,one\n".encode("utf-16"),
    "utf-16, big-endian": b"\xfe\xff" + "path,obs_id\na.nii,one\n".encode("utf-16-be"),
    "a column in latin-1": b"path,\xe2ge\na.nii,1\n",
}


@pytest.mark.parametrize("options", ["", "-k"])
@pytest.mark.parametrize("defect", BAD_TABLES)
def test_a_bad_table_is_refused_before_anything_is_written(here, defect, options):
    (here / "bad.csv").write_bytes(BAD_TABLES[defect])
    result = bash(f"nifti-cat {options} --table bad.csv", here)
    assert result.status == 65 and result.out == b"", repr(result)
    one_clear_line(result, "nifti-cat", "bad.csv")


def test_a_table_excludes_other_ways_to_name_files_and_must_be_there(here):
    (here / "t").write_bytes(FORMS["commas"])
    (here / "list").write_text("a.nii\n")
    for more in ("a.nii", "-", "-T list", "-T -"):
        result = bash(f"nifti-cat --table t {more}", here)
        assert result.status == 64 and result.out == b"", repr(result)
    for options in ("", "-k "):
        result = bash(f"nifti-cat {options}--table no-such-table", here)
        assert result.status == 66 and result.out == b"", repr(result)
        one_clear_line(result, "nifti-cat", "no-such-table")


def test_columns_without_a_name_are_passed_over(here):
    [header] = cat(here, ",path,,age,\n0,a.nii,x,007,y\n")
    assert header["attributes"] == {"age": "007"}


def test_a_scans_file_of_bids_is_a_table_and_its_paths_begin_where_it_is(box):
    save(box / "b" / "sub-01" / "anat" / "sub-01_T1w.nii", ramp((3, 2)))
    scans = "filename\tacq_time\nanat/sub-01_T1w.nii\t1880-01-10T05:17:54\n"
    (box / "b" / "sub-01" / "sub-01_scans.tsv").write_text(scans)
    [header] = headers(ok("nifti-cat -q --table b/sub-01/sub-01_scans.tsv", box))
    assert header["attributes"]["acq_time"] == "1880-01-10T05:17:54"
    assert header["source"]["path"] == "b/sub-01/anat/sub-01_T1w.nii"
    assert [header] == cat(box, scans, "--path-column filename --path-base b/sub-01")
    result = bash("nifti-cat --table -", box, stdin=scans.encode())
    assert result.status == 65, repr(result)
    one_clear_line(result, "nifti-cat", "'filename'", "--path-column")


def test_values_that_a_user_calls_missing_say_nothing(here):
    table = "path,obs_id,age\na.nii,-,-999\nb.nii,x,N/A\n"
    found = cat(here, table, "--missing - --missing=N/A --missing -999")
    assert [(header.get("obs_id"), header.get("attributes")) for header in found] == [
        (None, None), ("x", None)]


def test_a_thousand_lines_of_which_twenty_files_are_missing(box):
    """All others are staged, and the twenty are named; without -k nothing is staged."""
    names = [f"v{number:04}.nii" for number in range(1000)]
    missing = sorted(random.Random(20).sample(names, 20))
    data = save(box / "in" / names[0], ramp((3, 2))).read_bytes()
    for name in names:
        (box / "in" / name).write_bytes(data)
    for name in missing:
        (box / "in" / name).unlink()
    (box / "t.tsv").write_text("path\tobs_id\n" + "".join(
        f"in/{name}\tid-{name[1:5]}\n" for name in names))

    codes, result = statuses("nifti-cat -k --table t.tsv 2> err | vol-write ds CT", box)
    assert codes == [1, 1], repr(result)
    lines = (box / "err").read_text().splitlines()
    assert lines[-1] == "nifti-cat: 980 read, 0 with warnings, 20 refused"
    assert [re.search(r"v\d{4}\.nii", line)[0] for line in lines[:-1]] == missing
    [stage] = ok("vol-ls --staged --json ds", box).lines
    assert json.loads(stage)["volumes"] == 980
    ok("vol-commit ds", box)
    assert list(Dataset(box / "ds").volumes) == [
        f"id-{name[1:5]}" for name in names if name not in missing]

    codes, result = statuses("nifti-cat --table t.tsv | vol-write strict CT", box)
    assert codes == [66, 65] and missing[0] in result.err, repr(result)
    assert bash("vol-commit strict", box).status == 66


@pytest.mark.parametrize("command", [
    "nifti-cat $'in/caf\\xe9.nii' $'in/p\\xff.hdr'",
    "nifti-cat in",
    "printf 'in/caf\\xe9.nii\\nin/p\\xff.img\\n' | nifti-cat -T -",
    "printf 'path,age\\nin/caf\\xe9.nii,7\\nin/p\\xff.hdr,7\\n' | nifti-cat --table -",
], ids=["operands", "folder", "list", "table"])
def test_a_path_that_is_not_utf8_is_read_like_any_other(box, command):
    array = ramp((3, 2, 2))
    (box / "in").mkdir()
    save(box / "made" / "a.nii", array)
    save(box / "made" / "b.hdr", array, pair=True)
    for name, renamed in (("a.nii", b"caf\xe9.nii"), ("b.hdr", b"p\xff.hdr"),
                          ("b.img", b"p\xff.img")):
        try:
            os.rename(box / "made" / name, os.fsencode(box / "in") + b"/" + renamed)
        except OSError:
            pytest.skip("this file system wants names in UTF-8")
    result = bash(command, box)
    assert result.status == 0, repr(result)
    found = [(header["name"], header["source"]["path"]) for header in headers(result)]
    assert found == [("caf\ufffd", "in/caf\ufffd.nii"), ("p\ufffd", "in/p\ufffd.hdr")]
    assert all((voxels == array).all() for _, voxels in volumes(io.BytesIO(result.out)))
    ok(f"{command} 2> err | nifti-write -o out", box)
    made = {path.name: path.read_bytes() for path in (box / "out").iterdir()}
    assert set(made) == {"caf\ufffd.nii", "p\ufffd.hdr", "p\ufffd.img"}
    assert made["caf\ufffd.nii"] == save(box / "again.nii", array).read_bytes()


def test_a_run_that_stops_at_a_bad_line_leaves_no_end_frame(here):
    (here / "bad.csv").write_bytes(GOOD % BAD_ROWS["no path"])
    result = bash("nifti-cat --table bad.csv | vol-ls -", here)
    assert result.status == 65, repr(result)
    kept = bash("nifti-cat -k --table bad.csv", here)
    *_, (kind, end, _) = read_frames(io.BytesIO(kept.out))
    assert kind == END and (end["volumes"], end["dropped"], end["skipped"]) == (2, 0, 1)
