"""A BIDS data set in and out: pybids finds in what comes out what it found before."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from bids import BIDSLayout
from support import bash, ok, one_clear_line, ramp, save

SCANS = {
    "sub-01/ses-1/anat/sub-01_ses-1_T1w": (5, 4, 3),
    "sub-01/ses-2/anat/sub-01_ses-2_acq-hi_T1w": (5, 4, 3),
    "sub-01/ses-1/func/sub-01_ses-1_task-rest_run-1_bold": (4, 4, 3, 5),
    "sub-01/ses-1/func/sub-01_ses-1_task-rest_run-1_sbref": (4, 4, 3),
    "sub-02/ses-1/anat/sub-02_ses-1_T1w": (5, 4, 3),
    "sub-02/ses-1/fmap/sub-02_ses-1_dir-AP_epi": (4, 4, 3),
}
SIDECARS = {
    "task-rest_bold.json": {"RepetitionTime": 1, "TaskName": "rest", "EchoTime": 0.05},
    "sub-01/ses-1/func/sub-01_ses-1_task-rest_run-1_bold.json": {"EchoTime": 0.03},
    "task-rest_sbref.json": {"RepetitionTime": 1, "TaskName": "rest"},
    "dir-AP_epi.json": {"PhaseEncodingDirection": "j", "TotalReadoutTime": 0.04},
    "T1w.json": {"Manufacturer": "ours"},
    "dataset_description.json": {"Name": "all of it", "BIDSVersion": "1.10.0"},
}


@pytest.fixture(scope="module")
def tree(tools, tmp_path_factory):
    box = tmp_path_factory.mktemp("bids")
    for path, shape in SCANS.items():
        save(box / "in" / f"{path}.nii.gz", ramp(shape))
    for path, said in SIDECARS.items():
        (box / "in" / path).write_text(json.dumps(said))
    (box / "in/participants.tsv").write_text(
        "participant_id\tage\tsex\nsub-02\t040\tF\nsub-01\t34\tM\nsub-03\t1\tM\n")
    derived = box / "in/derivatives/prep"
    save(derived / "sub-01/func/sub-01_task-rest_space-MNI_desc-brain_mask.nii.gz", ramp((4, 4, 3)))
    (derived / "dataset_description.json").write_text(json.dumps(
        {**SIDECARS["dataset_description.json"], "DatasetType": "derivative"}))
    (box / "in/sub-02/ses-1/anat/sub-02_ses-1_T2w.nii.gz").symlink_to("../annex/gone")
    result = bash("nifti-cat -k --sidecar in | vol-write -q ds '{suffix}'; "
                  "vol-meta -q ds < in/participants.tsv; vol-commit -q ds", box)
    assert result.status == 0 and "sub-02_ses-1_T2w" in result.err, repr(result)
    (box / "in/sub-02/ses-1/anat/sub-02_ses-1_T2w.nii.gz").unlink()
    ok("vol-export -q --bids -z 6 --nifti out ds", box)
    return box


def found(root):
    """What pybids finds of each image: its entities and its metadata."""
    layout = BIDSLayout(root, validate=True)
    return {Path(image.path).relative_to(root).as_posix():
            (image.get_entities(metadata=False), image.get_metadata())
            for image in layout.get(extension=".nii.gz")}


def faults(root):
    """What the validator calls errors, by their codes."""
    run = subprocess.run([Path(sys.executable).parent / "bids-validator-deno", "--json", root],
                         capture_output=True, timeout=120)
    issues = json.loads(run.stdout)["issues"]["issues"]
    return sorted({issue["code"] for issue in issues if issue["severity"] == "error"})


def test_pybids_finds_what_it_found_before(tree):
    before = found(tree / "in")
    assert set(before) == {f"{path}.nii.gz" for path in SCANS}
    assert found(tree / "out") == before


def test_the_validator_finds_no_error(tree):
    assert faults(tree / "in") == [] == faults(tree / "out")


def test_participants_are_those_that_have_images(tree):
    assert (tree / "out/participants.tsv").read_text() == (
        "participant_id\tage\tsex\nsub-01\t34\tM\nsub-02\t040\tF\n")


def test_a_mask_of_a_task_is_functional_and_a_derived_data_set_says_so(tree):
    ok("nifti-cat -q in/derivatives | vol-write -q derived mask; vol-commit -q derived; "
       "vol-export -q --bids --nifti more derived", tree)
    assert (tree / "more/sub-01/func/sub-01_task-rest_space-MNI_desc-brain_mask.nii").exists()
    described = json.loads((tree / "more/dataset_description.json").read_text())
    assert described["DatasetType"] == "derivative"


def test_a_second_export_tells_of_participants_before_it_begins(tree):
    ok("vol-export -q --bids --nifti twice ds T1w", tree)
    result = bash("vol-export -q --bids --nifti twice ds bold", tree)
    assert result.status == 73 and not list((tree / "twice").rglob("*_bold*")), repr(result)
    one_clear_line(result, "vol-export", "participants.tsv", "--force")
    (tree / "twice/dataset_description.json").write_text("{}")
    ok("vol-export -qf --bids --nifti twice ds epi", tree)
    assert (tree / "twice/participants.tsv").read_text().count("\n") == 3
    assert (tree / "twice/dataset_description.json").read_text() == "{}", "a user's own stays"


def test_sessions_of_a_table_are_sessions(box):
    """`ses-2` and `2` are the same, and rows that differ tell nothing of a participant."""
    save(box / "a.nii", ramp((3, 2)))
    (box / "t.csv").write_text("path,obs_subject_id,ses\na.nii,sub-7,ses-2\n")
    ok("nifti-cat -q --table t.csv | vol-write -q ds T1w", box)
    table = "obs_subject_id\tsession_id\tage\tsex\n7\t1\t40\tF\n7\t2\t41\tF\nsub-8\t1\t9\tM\n"
    ok("vol-meta -q ds; vol-commit -q ds; vol-export -q --bids --nifti out ds", box,
       stdin=table.encode())
    assert (box / "out/sub-7/ses-2/anat/sub-7_ses-2_T1w.nii").exists()
    assert (box / "out/participants.tsv").read_text() == (
        "participant_id\tsession_id\tage\tsex\nsub-7\tn/a\tn/a\tF\n")
