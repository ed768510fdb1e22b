"""What nifti-cat says of a volume besides its voxels: BIDS entities, sidecars, and which holds."""

import io
import json
import shutil

import pytest
import zstandard
from dataset import Dataset
from frames import OPEN, read_frames
from support import bash, ok, one_clear_line, ramp, save

MEBIBYTE = 1 << 20


def headers(result):
    return [header for kind, header, _ in read_frames(io.BytesIO(result.out)) if kind == OPEN]


def attributes(box, arguments):
    """{name: attributes} of a run, whose line at the end does not matter."""
    return {header["name"]: header.get("attributes", {})
            for header in headers(ok(f"nifti-cat -q {arguments}", box))}


SUB = {"sub": "01", "suffix": "T1w"}
ENTITIES = {
    "sub-01_ses-2_run-007_T1w.nii.gz": {**SUB, "ses": "2", "run": "007"},
    "sub-01.nii": {"sub": "01"},
    "sub-01_T1w.NII.GZ": SUB,
    "sub-A1b2_space-MNI152NLin6Asym_res-2_desc-preproc_bold.nii": {
        "sub": "A1b2", "space": "MNI152NLin6Asym", "res": "2", "desc": "preproc",
        "suffix": "bold"},
    "sub-01_Acq-2+3_T1w.nii": {**SUB, "Acq": "2+3"},
    "sub-01_run-1_run-2_sub-02_T1w.nii": {**SUB, "run": "1"},
    "sub-01_bold_run-2.nii": {"sub": "01", "run": "2"},
    "sub-01_bold_T1w.nii": SUB,
    "sub-01_acq-\u00e9_dir-AP_T1w.nii": {**SUB, "acq": "\u00e9", "dir": "AP"},
    "sub-01_acq-a-b_T1w.nii": {**SUB, "acq": "a-b"},
    "sub-01_acq-a.b_T1w.nii": {**SUB, "acq": "a.b"},
    "sub-01_a+b-1_T1w.nii": SUB,
    "sub-01_run-_-x_T1w.nii": SUB,
    "sub-_ses-2_T1w.nii": {},
    "SUB-01_ses-2_T1w.nii": {},
    "mysub-01_ses-2_T1w.nii": {},
    "ses-2_sub-01_T1w.nii": {},
    "T1w.nii": {},
}


@pytest.mark.parametrize("name", ENTITIES)
def test_bids_entities_of_a_name_are_attributes(box, name):
    save(box / "x.nii", ramp((3, 2)))
    (box / "x.nii").rename(box / name)
    [found] = attributes(box, f"'{name}'").values()
    assert found == ENTITIES[name]


SIDECAR = {
    "RepetitionTime": 2.5, "SliceTiming": [0, 0.5, 1e-3, 0.1], "Whole": 3, "Long": 2**53 + 1,
    "Unsigned": 2**64 - 1, "Huge": 1e300, "Tiny": -5e-324, "Text": "007", "NotANumber": "NaN",
    "Escapes": "\u00e9\U0001f9e0\n\t\"\\/", "Yes": True, "No": False, "Nothing": None, "Empty": {},
    "Deep": {"a": [1, {"b": [[], {"c": "d"}]}]}, "obs_id": "not this one", "": "no key",
}


def test_a_sidecar_is_an_attribute_as_it_is_in_the_stream_and_in_the_dataset(box):
    """Of every ending and of pairs; a byte-order mark is no harm; no sidecar, no attribute."""
    text = json.dumps(SIDECAR, indent=2)
    for name in ("plain.nii", "packed.nii.gz", "CAPITALS.NII.GZ"):
        save(box / "in" / name.replace("NII.GZ", "nii.gz"), ramp((3, 2)))
    (box / "in" / "CAPITALS.nii.gz").rename(box / "in" / "CAPITALS.NII.GZ")
    data = save(box / "in" / "alone.nii", ramp((3, 2))).read_bytes()
    (box / "in" / "zstd.nii.zst").write_bytes(zstandard.compress(data))
    save(box / "in" / "pair.hdr", ramp((3, 2)), pair=True)
    for name in ("plain", "packed", "CAPITALS", "zstd"):
        (box / "in" / f"{name}.json").write_text(text)
    (box / "in" / "pair.json").write_bytes(b"\xef\xbb\xbf" + json.dumps(SIDECAR).encode())
    (box / "in" / "plain.nii.json").write_text("not this one")

    wanted = {"plain": SIDECAR, "packed": SIDECAR, "CAPITALS": SIDECAR, "zstd": SIDECAR,
              "pair": SIDECAR}
    found = attributes(box, "--sidecar in")
    assert found.pop("alone") == {}
    assert {name: found[name]["sidecar"] for name in found} == wanted
    assert attributes(box, "--sidecar in/pair.img") == {"pair": {"sidecar": SIDECAR}}
    assert not any(attributes(box, "in").values())

    ok("nifti-cat -q --sidecar in | vol-write ds CT; vol-commit ds", box)
    volume = Dataset(box / "ds")["pair_CT"]
    assert volume.header["attributes"] == {"sidecar": SIDECAR}
    listed = [json.loads(line) for line in ok("vol-ls --json ds CT", box).lines]
    assert [v["attributes"]["sidecar"] for v in listed if v["name"] != "alone"] == 5 * [SIDECAR]


def long_object(size):
    return b'{"k":"%s"}' % (b"x" * (size - 8))


def test_a_sidecar_may_have_a_mebibyte(box):
    save(box / "x.nii", ramp((3, 2)))
    (box / "x.json").write_bytes(long_object(MEBIBYTE))
    ok("nifti-cat --sidecar x.nii | vol-write ds CT; vol-commit ds", box)
    assert len(Dataset(box / "ds")["x_CT"].header["attributes"]["sidecar"]["k"]) == MEBIBYTE - 8


BAD_SIDECARS = {
    "over 1 MiB": long_object(MEBIBYTE + 1),
    "an array": b'[{"a": 1}]',
    "a text": b'"a"',
    "null": b"null",
    "empty": b"",
    "cut off": b'{"a": 1',
    "two objects": b'{"a": 1} {"b": 2}',
    "single quotes": b"{'a': 1}",
    "a comment": b'{"a": 1} // one',
    "NaN": b'{"a": NaN}',
    "infinity": b'{"a": -Infinity}',
    "latin-1": b'{"a": "caf\xe9"}',
    "a newline in a text": b'{"a": "one\ntwo"}',
    "open brackets": b'{"a": ' + b"[" * 100_000,
    "deep": b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
}


@pytest.mark.parametrize("defect", BAD_SIDECARS)
def test_a_bad_sidecar_makes_its_file_a_bad_one(box, defect):
    for name in "abc":
        save(box / "in" / f"{name}.nii", ramp((3, 2)))
        (box / "in" / f"{name}.json").write_text('{"a": 1}')
    (box / "in" / "b.json").write_bytes(BAD_SIDECARS[defect])
    result = bash("nifti-cat --sidecar in", box)
    assert result.status == 65, repr(result)
    one_clear_line(result, "nifti-cat", "in/b.json")
    result = bash("nifti-cat -k --sidecar in", box)
    assert result.status == 1 and "in/b.json" in result.err.splitlines()[0], repr(result)
    assert result.err.splitlines()[1:] == ["nifti-cat: 2 read, 0 with warnings, 1 refused"]
    assert [header["name"] for header in headers(result)] == ["a", "c"]


def test_a_later_source_of_an_attribute_goes_before_an_earlier_one(box):
    """Entities, then the sidecar, then the table, then --attr; a field of n/a is no source."""
    name = "sub-01_ses-2_sidecar-x_run-1_T1w"
    save(box / f"{name}.nii", ramp((3, 2)))
    (box / f"{name}.json").write_text('{"k": [1, 2.5]}')
    (box / "t.tsv").write_text(f"path\tses\tsidecar\trun\n{name}.nii\t07\ttext\tn/a\n")
    (box / "n.tsv").write_text(f"path\tses\tsidecar\trun\n{name}.nii\t07\t\tn/a\n")
    sidecar = {"k": [1, 2.5]}
    expected = {"sub": "01", "ses": "2", "sidecar": "x", "run": "1", "suffix": "T1w"}
    runs = {
        f"{name}.nii": {},
        f"--sidecar {name}.nii": {"sidecar": sidecar},
        "--table t.tsv": {"ses": "07", "sidecar": "text"},
        "--table n.tsv": {"ses": "07"},
        "--sidecar --table t.tsv": {"ses": "07", "sidecar": "text"},
        "--sidecar --table n.tsv": {"ses": "07", "sidecar": sidecar},
        "--attr ses=3 --attr sidecar=a --table t.tsv --sidecar": {"ses": "3", "sidecar": "a"},
        f"--sidecar --attr run=9 --attr more=b {name}.nii": {
            "sidecar": sidecar, "run": "9", "more": "b"},
    }
    for arguments, change in runs.items():
        assert attributes(box, arguments) == {name: {**expected, **change}}, arguments


@pytest.fixture(scope="module")
def mixed(tools, tmp_path_factory):
    """Good files, one with two quirks, one that is cut off, and one that is no image."""
    box = tmp_path_factory.mktemp("mixed")

    for name in ("a_good.nii", "c_cut.nii.gz", "e_good.nii"):
        save(box / "in" / name, ramp((60, 50, 40)))
    data = bytearray(save(box / "in" / "b_odd.nii", ramp((3, 2))).read_bytes())
    data[72:74] = (8).to_bytes(2, "little")
    data[80:84] = b"\0\0\0\xc0"
    (box / "in" / "b_odd.nii").write_bytes(data)
    cut = box / "in" / "c_cut.nii.gz"
    cut.write_bytes(cut.read_bytes()[:-1000])
    (box / "in" / "d_text.nii").write_text("This is not an image.\n" * 40)
    for name in "abc":
        shutil.copy(box / "in" / "e_good.nii", save(box / "good" / f"{name}.nii", ramp((3, 2))))
    files = sorted(path.name for path in (box / "in").iterdir())
    (box / "list").write_text("".join(f"in/{name}\n" for name in files))
    (box / "table").write_text("".join(f"{line}\n" for line in ["path", *(
        f"in/{name}" for name in files)]))
    return box


def test_a_run_over_several_files_ends_with_a_count(mixed):
    """Of files, not of quirks. Not of one file unless it is asked for, and never with -q."""
    three = "nifti-cat: 3 read, 0 with warnings, 0 refused"
    runs = {
        "good": (0, [three]),
        "good/*": (0, [three]),
        "-q good": (0, []),
        "good/a.nii": (0, []),
        "-v good/a.nii": (0, ["nifti-cat: 1 read, 0 with warnings, 0 refused"]),
        "in/b_odd.nii in/a_good.nii": (0, ["nifti-cat: 2 read, 1 with warnings, 0 refused"]),
        "-k in": (1, ["nifti-cat: 3 read, 1 with warnings, 2 refused"]),
        "-k in/d_text.nii in/a_good.nii": (
            1, ["nifti-cat: 1 read, 0 with warnings, 1 refused"]),
        "-k --strict in": (1, ["nifti-cat: 2 read, 0 with warnings, 3 refused"]),
        "-k in/d_text.nii": (1, []),
        "-kq in": (1, []),
        "in": (65, []),
    }
    for arguments, (status, lines) in runs.items():
        result = bash(f"nifti-cat {arguments}", mixed)
        assert result.status == status, f"{arguments}: {result!r}"
        counts = [line for line in result.err.splitlines() if " read, " in line]
        assert counts == lines, f"{arguments}: {result!r}"
        assert result.err.splitlines()[-1:] == lines or not lines, f"{arguments}: {result!r}"


@pytest.mark.parametrize("options", ["", "-k", "-k -v", "--strict", "-k --strict", "-q -k"])
def test_options_mean_the_same_however_files_are_named(mixed, options):
    ways = ("in", "in/*", "-T list", "--table table", "in/a_good.nii -T <(tail -n +2 list)")
    runs = {way: bash(f"nifti-cat {options} {way}", mixed) for way in ways}
    first = runs["in"]
    assert first.status == (1 if "-k" in options else 65), repr(first)
    for way, result in runs.items():
        assert result.status == first.status and result.out == first.out, f"{way}: {result!r}"
        assert result.err == first.err, f"{way}: {result!r}"
    if "-v" in options:
        assert all(f"'in/{name}'" in first.err for name in ("a_good.nii", "b_odd.nii"))


# Sidecars of outer folders

def test_sidecars_of_outer_folders_go_for_volumes_too(box):
    """The inner one holds; those of another suffix or entity say nothing."""
    save(box / "b/sub-01/ses-1/func/sub-01_ses-1_task-rest_bold.nii.gz", ramp((3, 2)))
    save(box / "b/sub-01/ses-1/func/sub-01_ses-1_task-rest_sbref.nii.gz", ramp((3, 2)))
    save(box / "b/sub-02/sub-02_bold.nii", ramp((3, 2)))
    for path, said in {
        "b/task-rest_bold.json": {"RepetitionTime": 2, "from": "root"},
        "b/task-other_bold.json": {"wrong": 1},
        "b/bold.json": {"all": True, "from": "all"},
        "b/sub-01/sub-01_bold.json": {"from": "subject", "EchoTime": 1},
        "b/sub-01/ses-1/func/sub-01_ses-1_task-rest_bold.json": {"EchoTime": 2},
        "b/dataset_description.json": {"Name": "x"},
        "task-rest_bold.json": {"wrong": 2},
    }.items():
        (box / path).write_text(json.dumps(said))
    bold = {"RepetitionTime": 2, "all": True, "from": "subject", "EchoTime": 2}
    for command in ("b", "b/sub-01 b/sub-02", "$PWD/b", "$(cd b; find $PWD -name '*.nii*' | sort)"):
        found = {header["name"]: header for header in headers(
            bash(f"nifti-cat -q --sidecar {command}", box))}
        told = {name: header["attributes"].get("sidecar") for name, header in found.items()}
        assert told == {"sub-01_ses-1_task-rest_bold": bold, "sub-01_ses-1_task-rest_sbref": None,
                        "sub-02_bold": {"all": True, "from": "all"}}, command
        [quirk] = found["sub-01_ses-1_task-rest_bold"]["quirks"]
        assert "'bold.json'" in quirk and "'task-rest_bold.json'" in quirk
    [header] = headers(bash("cd b/sub-01/ses-1/func; nifti-cat --sidecar *_bold.nii.gz", box))
    assert header["attributes"]["sidecar"] == {"EchoTime": 2}
    (box / "b/sub-01/sub-01_bold.json").write_text("[]")
    result = bash("nifti-cat -q --sidecar b", box)
    assert result.status == 65 and "b/sub-01/sub-01_bold.json" in result.err, repr(result)
