"""Every command of README.md and of the EXAMPLES of the manuals, run as it is written."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from support import REPO, TOOLS, bash, ok, ramp, save

# Blocks that are not run, each by its exact text, and why.
NOT_RUN = {
    "make demo": "builds volpipe and downloads packages; make of the source tree",
    "make check": "is what runs this test",
}
HEX = re.compile(r"[0-9a-f]{2}( [0-9a-f]{2})*(\n|$)")  # bytes of formats; their own tests read them

# Programs of the reader's own that the documents speak of, and what stands in for them here.
STAND_INS = {
    "denoise": "exec cat",
    "check-of-yours": "exec jq -e .obs_id",
    "nifti-tool-of-yours": "exec nifti-cat -",
    "ssh": 'shift; exec "$@"',
    "python3": 'exec "$PYTHON" "$@"',  # that of the tests, with what they have installed
    # The jobs of an array one after the other, and the number of the job.
    "sbatch": """
        range=1-1
        while [ $# -gt 0 ]; do
            case $1 in
                --array=*) range=${1#--array=} ;;
                --wrap) script=$2; shift ;;
                --parsable | --cpus-per-task=* | --dependency=afterok:7) ;;
                *) exit 64 ;;
            esac
            shift
        done
        for task in $(seq ${range%-*} ${range#*-}); do
            SLURM_CPUS_PER_TASK=2 SLURM_ARRAY_TASK_ID=$task sh -c "$script" >&2 || exit
        done
        echo 7""",
}

# What has to happen before a block, by its first line, besides what `world` says.
STAGE = "nifti-cat -q site1 | vol-write -q ds CT"
DAMAGE = """
pack=$(ls -S ds/packs/*); pack=${pack%%$'\\n'*}
printf '\\377\\377\\377\\377' |
    dd of=$pack bs=1 seek=$(($(stat -c %s $pack) / 2)) conv=notrunc status=none"""
BEFORE = {
    "vol-commit --meta source=site1 --meta release=2026-11 ds": STAGE,
    "n=$(vol-ls --manifest ds | jq .snapshot)": STAGE,
    "vol-commit ds > ~/ds.last": STAGE,
    "python3 describe.py | vol-commit --meta-json - ds": STAGE,
    "vol-ls --staged ds": STAGE,
    "vol-ls --staged --json ds | jq -r .stage | vol-rm --stage -T - ds": STAGE,
    "vol-gc --grace 0 ds": f"printf x > ds/packs/{'d' * 32}-0000.pack",
    "vol-cat ds@4 CT sub-07_CT | vol-write ds CT && vol-commit ds": "vol-rm -q ds sub-07_CT",
    "nifti-cat scans/ | vol-write --replace ds CT": "cp changed.nii scans/small.nii",
    "nifti-cat scans/ | frame-filter 'dtype == \"int16\" && shape[2] > 100' | vol-write ds CT":
        "nifti-cat -q mr | vol-write -q ds MR; vol-commit -q ds; rm -r bids",
    "vol-export --nifti bids --bids -z 6 ds MR": "rm -r bids",
    "vol-verify --repair-from backup/ds ds": "mkdir backup; cp -a ds backup;" + DAMAGE,
    "vol-verify --full --json ds > damage.json": DAMAGE,
    "vol-cat -k ds CT | vol-write rescued CT": DAMAGE,
    "vol-cat -k ds CT | nifti-write -o rescued": DAMAGE,
}
# What must hold then, where a status of 0 says little.
AFTER = {
    "nifti-cat --subject-from '/(P[0-9]+)/' data |":
        "vol-commit -q ds;"
        " [ $(vol-ls --tsv ds CT | cut -f 1,2 | grep -c 'P01[78]_CT.P01[78]$') = 2 ]",
    "cd Dataset001_BRATS":
        "cd Dataset001_BRATS; vol-ls --subjects --json ds | jq -e '.obs_subject_id == \"BRATS_001\""
        " and .volumes == {image: 2, label: 1}'",
    "job=$(sbatch --parsable --array=1-20 --cpus-per-task=4 --wrap '":
        "[ $(vol-ls --json ds CT | grep -c '\"path\":\"parts/') = 20 ]",
    "vol-ls --staged --json ds | jq -r .stage | vol-rm --stage -T - ds":
        "[ -z \"$(ls ds/stages)\" ]",
    "vol-gc --grace 0 ds": f"[ ! -e ds/packs/{'d' * 32}-0000.pack ]",
    "vol-ls --tsv ds | tail -n +2 | cut -f 1 | while read -r c; do":
        "vol-ls --tsv --diff 4 5 ds | sort | tr '\\t\\n' '  ' |"
        " grep -q '^- BOLD sub-07_bold_BOLD - CT sub-07_CT - label sub-07_label change'",
    "vol-meta --json ds < /dev/null |":
        "cmp <(vol-meta --csv ds < /dev/null | cut -d , -f 1)"
        " <(printf 'obs_subject_id\\nsub-08\\n')",
    "nifti-cat scans/ | vol-write --replace ds CT":
        "cmp changed.nii <(vol-cat --nifti ds CT small_CT)",
    "vol-verify --full --json ds > damage.json":
        "grep -q '\"volume\":\"sub-07_CT\"' damage.json; [ $(vol-ls --json ds CT | wc -l) = 3 ];"
        " vol-cat ds > whole; vol-verify -q --full ds; vol-gc -q --grace 0 --keep-last 1 ds;"
        " vol-verify -q --full ds",
    "vol-cat -k ds CT | vol-write rescued CT": "[ $(vol-ls --json rescued CT | wc -l) = 2 ]",
}
# What is printed, as it is.
PRINTED = {
    "nifti-cat --table cohort.csv --sidecar | vol-write ds CT && vol-commit ds":
        [" 001 ", " 007 ", " 20261103 ", " 012 "],
}
# Where damage gives a status of 1, after which somebody who types goes on: no -e, no pipefail.
TYPED = {"vol-verify --full --json ds > damage.json", "vol-cat -k ds CT | vol-write rescued CT"}
STATUS = {"vol-cat -k ds CT | nifti-write -o rescued": 1}


class Block:
    """Commands that stand together in a document."""

    def __init__(self, page, line, text):
        self.text = text
        self.first = text.split("\n")[0]
        self.id = f"{page}:{line}"


def unroff(text):
    for escape, character in ((r"\(aq", "'"), (r"\-", "-"), (r"\&", ""), (r"\e", "\\")):
        text = text.replace(escape, character)
    return text


def blocks_of_readme():
    text = (REPO / "README.md").read_text()
    for match in re.finditer(r"(?:^    .*\n)+", text, re.M):
        yield Block("README.md", text.count("\n", 0, match.start()) + 1,
                    re.sub("^    ", "", match[0], flags=re.M).rstrip("\n"))


def blocks_of_manual(path):
    text = path.read_text()
    # Besides EXAMPLES, the page of all tools begins with some.
    wanted = "EXAMPLES|DESCRIPTION" if path.name == "volpipe.7" else "EXAMPLES"
    for section in re.finditer(rf"^\.Sh ({wanted})\n(.*?)(?=^\.Sh |\Z)", text, re.S | re.M):
        for match in re.finditer(r"^\.Bd -literal[^\n]*\n(.*?)^\.Ed|^\.Dl ([^\n]*\n)", section[2],
                                 re.S | re.M):
            line = text.count("\n", 0, section.start(2) + match.start()) + 1
            yield Block(path.name, line, unroff(match[1] or match[2]).rstrip("\n"))


PAGES = sorted((REPO / "man").glob("*.[157]"))
ALL = [*blocks_of_readme(), *(block for path in PAGES for block in blocks_of_manual(path))]
BLOCKS = [block for block in ALL if block.text not in NOT_RUN and not HEX.match(block.text)]
ran = {}


def scan(box, name, shape=(12, 11, 10), **options):
    save(box / name, ramp(shape, seed=len(name)), **options)


@pytest.fixture(scope="session")
def files(tools, tmp_path_factory):
    """The files that the documents speak of, and no dataset."""
    box = tmp_path_factory.mktemp("files")
    for name in ("scans/sub-07.nii.gz", "scans/sub-08.nii.gz"):
        scan(box, name, (110, 105, 104))
    for name in ("scans/small.nii", "changed.nii", "site1/a.nii", "site2/b.nii", "scan.nii.gz",
                 "data/P017/ct.nii.gz", "data/P018/ct.nii.gz", "imagesTr/BRATS_001.nii.gz",
                 "labelsTr/BRATS_001.nii.gz", "subjects/s1/one.nii", "subjects/s2/two.nii",
                 "bids/sub-01/anat/sub-01_T1w.nii.gz", "bids/sub-02/anat/sub-02_T1w.nii.gz",
                 "bids/sub-02/anat/sub-02_T2w.nii.gz", "mr/sub-11_T1w.nii", "mr/sub-12_T2w.nii",
                 "labels/sub-07.nii", *(f"parts/{n}.nii" for n in range(1, 21)),
                 "Dataset001_BRATS/imagesTr/BRATS_001_0000.nii.gz",
                 "Dataset001_BRATS/imagesTr/BRATS_001_0001.nii.gz",
                 "Dataset001_BRATS/labelsTr/BRATS_001.nii.gz"):
        scan(box, name)
    scan(box, "bold/sub-07_bold.nii", (6, 5, 4, 3))
    for path in (box / "bids").rglob("*.nii.gz"):
        Path(str(path).removesuffix(".nii.gz") + ".json").write_text('{"EchoTime": 0.03}')
    for n in range(1, 21):
        (box / "lists").mkdir(exist_ok=True)
        (box / "lists" / f"{n}.txt").write_text(f"parts/{n}.nii\n")
    (box / "cohort.csv").write_text("path,obs_id,obs_subject_id,age\n"
                                    "scans/sub-07.nii.gz,001,007,61\n"
                                    "scans/sub-08.nii.gz,20261103,012,48\n")
    (box / "participants.tsv").write_text("participant_id\tage\nsub-07\t61\nsub-08\t48\n")
    (box / "bids/sub-01/sub-01_scans.tsv").write_text(
        "filename\tacq_time\nanat/sub-01_T1w.nii.gz\t2026-11-03T09:30:00\n")
    (box / "bids/participants.tsv").write_text("participant_id\tage\nsub-01\t61\nsub-02\t48\n")
    (box / "clinic.csv").write_text("patient,age\nsub-07,61\n")
    (box / "withdrawn.txt").write_text("sub-07_CT\n")
    (box / "describe.py").write_text('print(\'{"source": "site1"}\')\n')
    (box / "predictions").mkdir()
    np.save(box / "predictions" / "sub-07.npy", ramp((110, 105, 104)))
    np.savez(box / "case_07.npz", data=ramp((3, 4, 5)))
    for name in ("python", "examples"):
        (box / name).symlink_to(REPO / name)
    (box / "bin").mkdir()
    for name, script in STAND_INS.items():
        (box / "bin" / name).write_text(f"#!/bin/sh\n{script}\n")
        (box / "bin" / name).chmod(0o755)
    return box


@pytest.fixture(scope="session")
def dataset(files, tmp_path_factory):
    """The same, with a dataset of four snapshots, each of which has volumes and a table."""
    box = tmp_path_factory.mktemp("dataset") / "box"
    shutil.copytree(files, box, symlinks=True)
    ok("""nifti-cat -q scans | vol-write -q ds CT; vol-meta -q ds < participants.tsv
          vol-commit -q ds
          for name in mr:MR bold:BOLD labels:label; do
              nifti-cat -q ${name%:*} | vol-write -q ds ${name#*:}; vol-commit -q ds
          done""".replace("\n", ";").replace("do;", "do"), box)
    return box


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.id)
def test_commands_run_as_they_are_written(files, dataset, tmp_path, block):
    box = tmp_path / "box"
    # A block whose first deed is to write new volumes has no dataset before it.
    before = re.split(r"\bds\b", block.text)[0]
    tool = [None, *re.findall(rf"\b({'|'.join(TOOLS)})\b", before)][-1]
    makes = tool == "vol-write" and not re.search("--(replace|skip-existing)", before)
    shutil.copytree(files if makes else dataset, box, symlinks=True)
    (box / "commands").touch()
    prelude = f"PATH=$PWD/bin:$PATH HOME=$PWD; cd {box}\n{BEFORE.get(block.first, '')}\n"
    if "$(shell" in block.text:
        (box / "Makefile").write_text(block.text + "\n")
        script = "make"
    elif re.match(r"\w+ = volpipe\.", block.text):
        (box / "block.py").write_text(f"import numpy as np\nimport volpipe\n{block.text}\n")
        script = "python3 block.py"
    else:
        script = block.text
    strict = "set +e +o pipefail" if block.first in TYPED else ""
    count = f"trap 'echo >> {box}/commands' DEBUG"
    result = bash(f"set -e -o pipefail\n{prelude}{strict}\n{count}\n{script}", box)
    assert result.status == STATUS.get(block.first, 0), f"{block.text}\n{result!r}"
    ok(AFTER.get(block.first, ":"), box)
    assert all(word in result.text for word in PRINTED.get(block.first, [])), repr(result)
    ran[block.id] = len((box / "commands").read_text())


def test_exceptions_and_preparations_are_still_of_use():
    texts, firsts = {block.text for block in ALL}, {block.first for block in ALL}
    assert NOT_RUN.keys() <= texts, NOT_RUN.keys() - texts
    for table in (BEFORE, AFTER, PRINTED, TYPED, STATUS):
        assert set(table) <= firsts, set(table) - firsts
    words = {word for block in BLOCKS for word in re.findall(r"[\w-]+", block.text)}
    assert STAND_INS.keys() <= words, STAND_INS.keys() - words


def test_many_commands_ran(capsys):
    if ran.keys() != {block.id for block in BLOCKS}:
        pytest.skip("only some blocks were run")
    with capsys.disabled():
        print(f"\n{sum(ran.values())} commands in {len(ran)} blocks")
    assert sum(ran.values()) >= 200
