"""Subject tables: what goes in by vol-meta(1), merges in vol-commit(1), and comes out again."""

import csv
import io
import json
import random

import duckdb
import pandas
import pytest
from dataset import Dataset, staged_tables
from frames import FrameWriter
from support import bash, ok, one_clear_line, ramp, snapshot

# Rows of a published BIDS data set with several sessions (OpenNeuro ds003416, CC0), as a
# spreadsheet under Windows leaves such a file: with a mark at its start and CRLF.
REAL = "\r\n".join("\t".join(row) for row in [
    ["\ufeffparticipant_id", "session_id", "sex", "age", "handedness"],
    ["sub-cIs1", "s1Ax1", "male", "25", "left"], ["sub-cIs1", "s1Ax2", "male", "25", "left"],
    ["sub-cIIs02", "s2x1", "female", "45", "right"], ["sub-cIIs02", "s3x1", "female", "46", "right"],
    ["sub-cIIIs01", "s1Bx3", "male", "23", "n/a"], ["sub-cIIIs01", "s1Bx4", "male", "24", "n/a"],
    ["sub-cIIIs08", "s1Bx1", "female", "31", "n/a"], ["sub-cIVs001", "s1Bx2", "male", "6.7", "right"],
    ["sub-cIVs001", "s1Bx3", "male", "7.7", "right"], ["sub-cIVs095", "s1Bx1", "male", "6.5", "n/a"],
    ["sub-cIVs035", "s1Bx2", "female", "8", "right"],
    ["sub-cIVs081", "s1Bx1", "male", "6.3", "ambidextrous"],
]).encode() + b"\r\n"


def stage(box, table, options=""):
    table = table.encode() if isinstance(table, str) else table
    return ok(f"vol-meta -q {options} ds", box, stdin=table).text.strip()


def commit(box, table, options=""):
    """Stage and commit a table; no subject has volumes here, so that vol-commit is told to hush."""
    stage(box, table, options)
    ok("vol-commit -q ds", box)


def rows(box, dataset="ds"):
    """The rows that come out, texts or None, checked in three forms and by the other reader."""
    text = ok(f"vol-meta --tsv {dataset} < /dev/null", box).text
    table = list(csv.reader(io.StringIO(text, newline=""), delimiter="\t"))
    names, found = table[0], [[None if value == "n/a" else value for value in row]
                              for row in table[1:]]
    text = ok(f"vol-meta --csv {dataset} < /dev/null", box).text
    table = list(csv.reader(io.StringIO(text, newline="")))
    assert table == [names, *([value or "" for value in row] for row in found)]
    objects = [json.loads(line, parse_float=str, parse_int=str)
               for line in ok(f"vol-meta --json {dataset} < /dev/null", box).lines]
    for row, made in zip(found, objects, strict=True):
        assert list(made) == names
        for value, other in zip(row, made.values()):
            if isinstance(other, bool):
                other = json.dumps(other)
            elif isinstance(other, (dict, list)):
                value, other = json.loads(value, parse_float=str, parse_int=str), other
            assert value == other
    number = int(dataset.partition("@")[2]) if "@" in dataset else None
    assert Dataset(box / "ds", number).subjects.rows == found
    return names, found


def test_a_participants_file_goes_in_and_comes_out(box):
    commit(box, REAL)
    given = [line.split("\t") for line in REAL.decode("utf-8-sig").splitlines()]
    names, found = rows(box)
    assert names == ["obs_subject_id", *given[0][1:]]
    # Sorted by subject; the sessions of a subject stay in their order.
    assert found == [[None if value == "n/a" else value for value in row]
                     for row in sorted(given[1:], key=lambda row: row[0].encode())]


def test_pandas_and_duckdb_read_what_comes_out(box):
    (box / "in.tsv").write_bytes(REAL)
    commit(box, REAL)
    ok("for form in tsv csv json; do vol-meta --$form ds < /dev/null > out.$form; done", box)
    wanted = pandas.read_csv(box / "in.tsv", sep="\t", encoding="utf-8-sig").rename(
        columns={"participant_id": "obs_subject_id"}).sort_values("obs_subject_id", kind="stable")
    wanted = wanted.reset_index(drop=True)
    for made in (pandas.read_csv(box / "out.tsv", sep="\t"), pandas.read_csv(box / "out.csv"),
                 pandas.read_json(box / "out.json", lines=True)):
        pandas.testing.assert_frame_equal(made, wanted, check_dtype=False)
    for source in (f"read_csv('{box}/out.tsv', delim='\t', header=true, nullstr='n/a')",
                   f"read_csv('{box}/out.csv', header=true)", f"read_json('{box}/out.json')"):
        mean, absent, subjects = duckdb.sql(
            "SELECT avg(age), count(*) - count(handedness), count(DISTINCT obs_subject_id)"
            f" FROM {source}").fetchall()[0]
        assert (round(mean, 6), absent, subjects) == (
            round(float(wanted.age.mean()), 6), int(wanted.handedness.isna().sum()), 8)


TABLE = [["obs_subject_id", "age", "code", "on", "note"],
         ["s2", "41", "007", "true", 'said "so"'], ["s1", "n/a", "12", "false", "two\nlines; \t,"],
         ["s1", "1.50", "1e3", "n/a", "é ✓ 𝄞"], ["S1", "-0", "0x1F", "true", " kept "]]


def written(table, separator=",", end="\n", quoting=csv.QUOTE_MINIMAL):
    text = io.StringIO()
    csv.writer(text, delimiter=separator, lineterminator=end, quoting=quoting).writerows(table)
    return text.getvalue().encode()


@pytest.mark.parametrize("form", ["tsv", "csv", "semicolons", "quotes", "crlf", "mark", "json"])
def test_every_form_of_a_table_says_the_same(box, form):
    names, *values = TABLE
    typed = [{name: (None if value == "n/a" else value == "true" if name == "on" else value)
              for name, value in zip(names, row)} for row in values]
    # As numbers, with the digits that were given.
    lines = "".join(json.dumps(row, ensure_ascii=False).replace(f'"{row["age"]}"', f"{row['age']}")
                    + "\n" for row in typed)
    commit(box, {
        "tsv": written(TABLE, "\t"), "csv": written(TABLE), "semicolons": written(TABLE, ";"),
        "quotes": written(TABLE, quoting=csv.QUOTE_ALL), "crlf": written(TABLE, "\t", "\r\n"),
        "mark": b"\xef\xbb\xbf" + written(TABLE), "json": lines}[form])
    found = [["S1", "-0", "0x1F", "true", " kept "], ["s1", None, "12", "false", "two\nlines; \t,"],
             ["s1", "1.50", "1e3", None, "é ✓ 𝄞"], ["s2", "41", "007", "true", 'said "so"']]
    assert rows(box) == (names, found)
    first = ok("vol-meta --json ds < /dev/null", box).lines[0]
    assert '"age":-0,"code":"0x1F","on":true' in first, first


def test_random_tables_come_out_as_they_went_in(box):
    draw = random.Random(1)
    alphabet = ["a", "Z", "0", "7", ".", "-", '"', "'", ",", ";", "\t", "\n", " ", "é", "\u0308", "𝄞", "\\",
                "{", "n/a", "null", "true"]
    for _ in range(12):
        names = [f"c{number}" for number in range(draw.randint(0, 4))]
        table = [["".join(draw.choices(alphabet, k=draw.randint(1, 5))) for _ in names]
                 for _ in range(draw.randint(1, 30))]
        table = [[f"s{draw.randint(0, 9)}", *row] for row in table]
        separator = draw.choice(",\t;")
        commit(box, written([["obs_subject_id", *names], *table], separator), "--replace")
        assert rows(box) == (["obs_subject_id", *names], [
            [None if value == "n/a" else value for value in row]
            for row in sorted(table, key=lambda row: row[0].encode())])


def test_columns_have_the_type_that_all_their_values_have(box):
    commit(box, "obs_subject_id\tn\tb\tt\tmixed\tempty\na\t1\ttrue\t007\t1\t\nb\t2.5\tfalse\t12\tx\t\n")
    objects = [json.loads(line) for line in ok("vol-meta --json ds < /dev/null", box).lines]
    assert objects == [
        {"obs_subject_id": "a", "n": 1, "b": True, "t": "007", "mixed": "1", "empty": None},
        {"obs_subject_id": "b", "n": 2.5, "b": False, "t": "12", "mixed": "x", "empty": None}]
    commit(box, '{"participant_id":"a","scores":[1,{"x":null}],"n":3}\n{"participant_id":"b"}\n')
    first, second = (json.loads(line) for line in ok("vol-meta --json ds < /dev/null", box).lines)
    assert first["scores"] == [1, {"x": None}] and first["n"] == 3 and second["n"] == 2.5


HEAD = "obs_subject_id\tsession_id\t"
MERGES = {
    "new subjects and columns stay beside the old": (
        ["obs_subject_id\ta\ns1\t1\n", "obs_subject_id\tb\ns2\t2\n"],
        ["obs_subject_id a b", "s1 1 -", "s2 - 2"]),
    "a later value holds, null does not": (
        ["obs_subject_id\ta\tb\ns1\t1\t2\n", "obs_subject_id\tb\ta\ns1\tn/a\t9\n"],
        ["obs_subject_id a b", "s1 9 2"]),
    "by subject and session": (
        [HEAD + "a\ns1\tx\t1\ns1\ty\t2\n", HEAD + "a\ns1\ty\t5\ns1\tz\t6\n"],
        ["obs_subject_id session_id a", "s1 x 1", "s1 y 5", "s1 z 6"]),
    "one row meets each of several": (
        [HEAD + "a\ns1\tx\t1\ns1\ty\t2\n", "obs_subject_id\tsex\ns1\tf\n"],
        ["obs_subject_id session_id a sex", "s1 x 1 f", "s1 y 2 f"]),
    "and the other way": (
        ["obs_subject_id\tsex\ns1\tf\n", HEAD + "a\ns1\tx\t1\ns1\ty\t2\n"],
        ["obs_subject_id sex session_id a", "s1 f x 1", "s1 f y 2"]),
    "several for several": (
        ["obs_subject_id\ta\ns1\t1\ns1\t2\n", "obs_subject_id\ta\ns1\t7\ns1\t8\ns1\t9\n"],
        ["obs_subject_id a", "s1 7", "s1 8", "s1 9"]),
    "a type that differs becomes text": (
        ["obs_subject_id\ta\ns1\t1\n", "obs_subject_id\ta\ns2\tx\n"],
        ["obs_subject_id a", "s1 1", "s2 x"]),
}


@pytest.mark.parametrize("name", MERGES)
@pytest.mark.parametrize("at_once", [True, False], ids=["at once", "one by one"])
def test_later_tables_merge_into_earlier_ones(box, name, at_once):
    tables, wanted = MERGES[name]
    for table in tables:
        stage(box, table)
        if not at_once:
            ok("vol-commit -q ds", box)
    if at_once:
        ok("vol-commit -q ds", box)
    names, found = rows(box)
    assert [" ".join(names), *(" ".join(value or "-" for value in row) for row in found)] == wanted


def test_a_table_that_replaces_starts_over(box):
    commit(box, "obs_subject_id\ta\ns1\t1\ns2\t2\n")
    commit(box, "obs_subject_id\tb\ns2\t9\n", "--replace")
    assert rows(box) == (["obs_subject_id", "b"], [["s2", "9"]])
    assert rows(box, "ds@1")[1] == [["s1", "1"], ["s2", "2"]]


def volumes(box, collection, subjects):
    out = io.BytesIO()
    writer = FrameWriter(out)
    for number, subject in enumerate(subjects):
        more = {"obs_subject_id": subject} if subject else {}
        writer.volume(ramp((3, 2)), obs_id=f"{collection}-{number}", **more)
    writer.end()
    ok(f"vol-write -q ds {collection}", box, stdin=out.getvalue())


def test_volumes_and_subjects_become_visible_together(box):
    volumes(box, "CT", ["s1"])
    ok("vol-commit -q ds", box)
    assert bash("vol-meta ds < /dev/null", box).status == 66
    volumes(box, "MR", ["s2"])
    stage(box, "obs_subject_id\ta\ns1\t1\ns2\t2\n")
    assert bash("vol-meta ds < /dev/null", box).status == 66
    assert len(ok("vol-ls --tsv ds", box).lines) == 2
    ok("vol-commit --strict ds", box)
    assert rows(box)[1] == [["s1", "1"], ["s2", "2"]]
    assert len(ok("vol-ls --tsv ds", box).lines) == 3
    assert bash("vol-meta ds@1 < /dev/null", box).status == 66
    # The table stays with the snapshots that follow.
    ok("vol-rm -q ds MR-0", box)
    assert rows(box)[1] == [["s1", "1"], ["s2", "2"]]


def test_strict_commits_refuse_what_does_not_fit_and_others_count_it(box):
    volumes(box, "CT", ["s1", "s1", "s3", None])
    stage(box, "obs_subject_id\ta\ns1\t1\ns2\t2\n")
    result = bash("vol-commit --strict ds", box)
    assert result.status == 65
    one_clear_line(result, "vol-commit")
    assert not (box / "ds" / "HEAD").exists() and len(staged_tables(box / "ds")) == 1
    result = bash("vol-commit ds", box)
    assert result.status == 0 and snapshot(result) == 1
    one_clear_line(result, "vol-commit", "volumes without a subject row: 2 (CT-2, CT-3)",
                   "subjects without volumes: 1 (s2)")


def test_a_subject_whose_volumes_were_removed_does_not_stop_strict_commits(box):
    """But a table that names it anew does."""
    volumes(box, "CT", ["s1", "s2"])
    table = "obs_subject_id\ta\ns1\t1\ns2\t2\n"
    stage(box, table)
    ok("vol-commit -q --strict ds && vol-rm -q ds CT-1", box)
    volumes(box, "MR", ["s1"])
    ok("vol-commit -q --strict ds", box)
    stage(box, "obs_subject_id\ta\ns1\t9\n")
    ok("vol-commit -q --strict ds", box)
    stage(box, table)
    result = bash("vol-commit --strict ds", box)
    assert result.status == 65, repr(result)
    one_clear_line(result, "vol-commit", "subjects without volumes: 1 (s2)")


def test_lists_join_subjects_and_volumes(box):
    volumes(box, "CT", ["s1", "s1", "s2"])
    volumes(box, "MR", ["s2", "s4", None])
    stage(box, HEAD + "age\tsex\ns1\tx\t40\tf\ns1\ty\t41\tf\ns3\tx\t50\tm\n")
    bash("vol-commit -q ds", box)
    assert ok("vol-ls --tsv --subjects ds", box).lines == [
        "obs_subject_id\tsession_id\tage\tsex\tCT\tMR", "s1\t\t\tf\t2\t0",
        "s2\t\t\t\t1\t1", "s3\tx\t50\tm\t0\t0", "s4\t\t\t\t0\t1"]
    objects = [json.loads(line) for line in ok("vol-ls --json --subjects ds", box).lines]
    assert [(row["obs_subject_id"], row["volumes"], len(row["attributes"])) for row in objects] == [
        ("s1", {"CT": 2, "MR": 0}, 2), ("s2", {"CT": 1, "MR": 1}, 0), ("s3", {"CT": 0, "MR": 0}, 1),
        ("s4", {"CT": 0, "MR": 1}, 0)]
    assert objects[0]["attributes"] == [{"session_id": "x", "age": 40, "sex": "f"},
                                        {"session_id": "y", "age": 41, "sex": "f"}]
    assert ok("vol-ls --tsv --align ds", box).lines == [
        "obs_subject_id\tcollection", "s1\tMR", "s3\tCT", "s3\tMR", "s4\tCT"]


BAD = {
    "no subject column": ("name\ta\nx\t1\n", "column 'obs_subject_id'"),
    "no such key": ("obs_subject_id\ta\nx\t1\n", "'k'", "--key k"),
    "a row without a subject": ("obs_subject_id\ta\n\t1\n", "line 2"),
    "a subject with a line end": ('obs_subject_id\ta\n"x\ny"\t1\n', "line 2"),
    "a subject that is n/a": ("obs_subject_id\ta\nn/a\t1\n", "line 2"),
    "one column twice": ("obs_subject_id\ta\ta\nx\t1\t2\n", "'a' twice"),
    "two columns of subjects": ("participant_id\tobs_subject_id\na\tb\n", "obs_subject_id",
                                "--key participant_id"),
    "a field not in UTF-8": (b"obs_subject_id\ta\nx\t\xff\n", "line 2, column 'a'"),
    "a field too many": ("obs_subject_id\ta\nx\t1\nx\t1\t2\n", "line 3"),
    "a field missing": ("obs_subject_id\ta\nx\n", "line 2"),
    "an open quote": ('obs_subject_id\ta\nx\t"1\n', "line 2"),
    "not UTF-8": (b"obs_subject_id\ta\nx\t\xff\n", "UTF-8"),
        "a line that is no object": ('{"obs_subject_id":"x"}\n[1]\n', "line 2"),
    "a line cut off": ('{"obs_subject_id":"x"}\n{"obs_subject_id":"y"', "line 2"),
    "a subject that is no text": ('{"obs_subject_id":[1]}\n', "line 1"),
    "a row over its limit": ('obs_subject_id\ta\nx\t' + "y" * (1 << 20) + "\n", "1 MiB"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_table_that_is_wrong_is_refused_and_leaves_nothing(box, name):
    commit(box, "obs_subject_id\ta\ns1\t1\n")
    before = sorted(path.name for path in (box / "ds").rglob("*"))
    table, said, *options = BAD[name]
    table = table.encode() if isinstance(table, str) else table
    result = bash(f"vol-meta -q {' '.join(options)} ds", box, stdin=table)
    assert result.status == 65, repr(result)
    one_clear_line(result, "vol-meta", said)
    assert sorted(path.name for path in (box / "ds").rglob("*")) == before


def test_a_word_for_a_missing_number_is_told_and_may_be_passed_over(box):
    """Of 34 the text '34' would be made, of which nobody asks whether it is over 60."""
    table = b"participant_id\tage\tid\nsub-01\t34\t007\nsub-02\t-\ta\nsub-03\tN/A\tb\n"
    (box / "t.tsv").write_bytes(table)
    result = bash("vol-meta told < t.tsv", box)
    assert result.status == 0 and result.err.splitlines() == [
        "vol-meta: warning: column 'age' is text, not numbers: '-' (line 3), 'N/A' (line 4) are "
        "none; --missing '-' --missing 'N/A' passes over them"], repr(result)
    ok("vol-meta -q --missing - --missing N/A ds < t.tsv && vol-commit -q ds", box)
    rows = [json.loads(line) for line in ok("vol-meta --json ds", box).lines]
    assert [(row["age"], row["id"]) for row in rows] == [(34, "007"), (None, "a"), (None, "b")]


def test_a_producer_that_fails_stages_nothing(box):
    """Nothing on standard input is no table: what is there is printed, or said to be missing."""
    result = bash("false | vol-meta -q ds", box)
    assert result.status == 66 and not (box / "ds").exists()
    one_clear_line(result, "vol-meta")
    commit(box, "obs_subject_id\ta\ns1\t1\n")
    result = bash("false | vol-meta ds", box)
    assert result.status == 66 and result.out == b"", "a table was printed, and staged by nobody"
    one_clear_line(result, "vol-meta", "--tsv")
    for command in ("vol-meta ds < /dev/null", "true | vol-meta --tsv ds"):
        assert ok(command, box).lines == ["obs_subject_id\ta", "s1\t1"]


def test_a_key_may_be_named(box):
    commit(box, "a;id\n1;x\n", "--key id")
    assert rows(box) == (["obs_subject_id", "a"], [["x", "1"]])
    commit(box, '{"id":"y","a":2}\n', "--key id")
    assert rows(box)[1] == [["x", "1"], ["y", "2"]]
