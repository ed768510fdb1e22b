"""Exit statuses, one clear line each, and output that cannot be written."""

import os
import pty
import shutil
import subprocess

import pytest
from frames import FrameWriter
from support import BIN, TOOLS, bash, environment, ok, one_clear_line, ramp, save


@pytest.fixture(scope="module")
def here(tools, tmp_path_factory):
    box = tmp_path_factory.mktemp("status")
    save(box / "scans" / "a.nii", ramp((64, 64, 64)))
    save(box / "scans" / "b.nii", ramp((64, 64, 64)))
    (box / "text.nii").write_text("This is not an image.\n" * 40)
    (box / "nothing").mkdir()
    ok("nifti-cat scans > two.frames; vol-write ds CT < two.frames; vol-commit ds", box)
    ok("nifti-cat scans/a.nii > one.frames", box)
    (box / "empty.frames").write_bytes(b"")
    with open(box / "no_volumes.frames", "wb") as file:
        FrameWriter(file).end()
    (box / "file").write_text("x")
    (box / "scans2").mkdir()
    return box


CASES = [
    ("nifti-cat no-such-folder", 66, "no-such-folder"),
    ("nifti-cat nothing", 66, "nothing"),
    ("nifti-cat -T no-such-list", 66, "no-such-list"),
    ("nifti-cat text.nii", 65, "text.nii"),
    ("vol-write new CT < empty.frames", 65, ""),
    ("vol-write new CT < no_volumes.frames", 66, ""),
    ("vol-write file/ds CT < one.frames", 73, "file"),
    ("vol-write file CT < one.frames", 73, "file"),
    ("vol-write ds CT < two.frames", 65, "a_CT"),
    ("vol-commit ds", 66, "ds"),
    ("vol-commit no-such-dataset", 66, "no-such-dataset"),
    ("vol-commit ds 0123456789abcdef0123456789abcdef", 66, "0123456789abcdef"),
    ("vol-commit nothing", 66, "nothing"),
    ("vol-ls no-such-dataset", 66, "no-such-dataset"),
    ("vol-ls nothing", 66, "nothing"),
    ("vol-ls scans", 66, "it holds no volpipe.json"),
    ("vol-write scans CT < one.frames", 73, "it holds 'a.nii' and no volpipe.json"),
    ("vol-ls ds@2", 66, "2"),
    ("vol-ls ds MR", 66, "MR"),
    ("vol-ls - < empty.frames", 65, ""),
    ("vol-cat ds MR", 66, "MR"),
    ("vol-cat ds CT c_CT", 66, "c_CT"),
    ("vol-cat ds@9", 66, "9"),
    ("vol-cat no-such-dataset", 66, "no-such-dataset"),
    ("nifti-write -o file/out < one.frames", 73, "file"),
    ("nifti-write -o scans < one.frames", 73, "a.nii"),
    ("nifti-write -o out2 < empty.frames", 65, ""),
    ("nifti-cat scans > /dev/full", 74, ""),
    ("vol-cat ds > /dev/full", 74, ""),
    ("vol-ls ds > /dev/full", 74, ""),
    ("vol-ls --sha256 ds > /dev/full", 74, ""),
    ("nifti-write -o - < one.frames > /dev/full", 74, ""),
]


@pytest.mark.parametrize("command, status, said", CASES, ids=[case[0] for case in CASES])
def test_failure_has_its_status_and_one_line(here, command, status, said):
    result = bash(f"({command})", here)
    assert result.status == status, repr(result)
    one_clear_line(result, command.split()[0], said)


USAGE = ["nifti-cat", "nifti-cat --attr novalue scans", "nifti-cat -j 0 scans", "nifti-cat --wrong",
         "vol-write ds", "vol-write -l 40 ds CT", "vol-write -c 0,1,1 ds CT",
         "vol-write -c wide ds CT", "vol-write ds a/b", "vol-write ds ''", "vol-write ds ..",
         "vol-write --pack-size x ds CT",
         "vol-write --obs-id '{name.x}' ds CT", "vol-write --replace --skip-existing ds CT",
    "vol-rm ds -hello", "vol-cat --npy ds CT -dash_CT", "vol-commit -hard ds", "vol-commit", "vol-commit --meta novalue ds",
         "vol-ls", "vol-ls --json --tsv ds", "vol-cat", "nifti-write", "nifti-write -z 0 -o out",
         "nifti-write -z 10 -o out", "nifti-write --name '{name' -o out"]


@pytest.mark.parametrize("command", USAGE)
def test_wrong_usage_is_64(here, command):
    result = bash(f"{command} < two.frames", here)
    assert result.status == 64 and result.out == b"" and result.err, repr(result)


@pytest.mark.parametrize("tool", TOOLS)
def test_help_and_version_go_to_stdout(here, tool):
    assert tool in ok(f"{tool} --help", here).text
    assert ok(f"{tool} -h", here).out == ok(f"{tool} --help", here).out
    assert any(character.isdigit() for character in ok(f"{tool} --version", here).text)
    assert bash(f"{tool} --help > /dev/full", here).status == 74


@pytest.mark.parametrize("prelude", ["", "trap '' PIPE; "], ids=["default", "ignored_by_parent"])
@pytest.mark.parametrize("command", ["nifti-cat scans", "vol-cat ds"])
def test_a_reader_that_has_had_enough_kills_quietly(here, prelude, command):
    result = bash(f'{prelude}{command} | head -c 100 > /dev/null; echo "${{PIPESTATUS[0]}}"', here)
    assert result.text.strip() == "141" and result.err == "", repr(result)


@pytest.mark.parametrize("command", ["nifti-cat scans", "vol-cat ds", "nifti-write -o -"])
def test_frames_and_files_are_refused_to_a_terminal(here, command):
    master, slave = pty.openpty()
    with open(here / "one.frames", "rb") as stdin:
        child = subprocess.Popen(["bash", "-c", command], cwd=here, env=environment(), stdin=stdin,
                                 stdout=slave, stderr=subprocess.PIPE)
        err = child.communicate(timeout=20)[1]
    os.close(slave)
    os.set_blocking(master, False)
    try:
        shown = os.read(master, 100)
    except (BlockingIOError, OSError):
        shown = b""
    os.close(master)
    assert child.returncode == 64 and shown == b"", (child.returncode, shown, err)
    assert err.decode().startswith(command.split()[0] + ": ") and b"terminal" in err


def test_progress_is_shown_on_a_terminal_and_silenced(here):
    """The terminal is stderr's; stdout stays frames and nothing else."""
    for option, wanted in (("", True), ("-q", False)):
        master, slave = pty.openpty()
        result = subprocess.run([BIN / "nifti-cat", *option.split(), "scans"], cwd=here,
                                env=environment(), stdout=subprocess.PIPE, stderr=slave, timeout=20)
        os.close(slave)
        os.set_blocking(master, False)
        try:
            shown = os.read(master, 10_000)
        except (BlockingIOError, OSError):
            shown = b""
        os.close(master)
        assert result.returncode == 0 and result.stdout == (here / "two.frames").read_bytes()
        assert bool(shown) == wanted, (option, shown)


def test_no_permission_is_77(here):
    """As root, without the capability that lets root read everything."""
    prefix = ""
    if os.geteuid() == 0:
        if not shutil.which("setpriv"):
            pytest.skip("root, and no setpriv(1) to be less than root with")
        drop = "-dac_override,-dac_read_search"
        prefix = f"setpriv --bounding-set={drop} --inh-caps={drop} "
    path = save(here / "locked.nii", ramp((3, 2)))
    path.chmod(0)
    (here / "shut").mkdir(exist_ok=True)
    (here / "shut").chmod(0o500)
    for command, said in ((f"{prefix}nifti-cat locked.nii", "locked.nii"),
                          (f"{prefix}vol-write shut/ds CT < one.frames", "shut"),
                          (f"{prefix}nifti-write -o shut/out < one.frames", "shut")):
        result = bash(command, here)
        assert result.status == 77, repr(result)
        assert said in result.err and result.err.count("\n") == 1, result.err
