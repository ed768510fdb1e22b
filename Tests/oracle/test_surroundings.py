"""What a tool finds around it: pipes that others set up, no /proc, file systems that lack calls."""

import os
import shutil
import subprocess
import time
from contextlib import contextmanager

import numpy as np
import pytest
from dataset import Dataset
from inject import stream as volumes
from support import (bash, environment, ids, ok, one_clear_line, quote, save, snapshot, statuses,
                     tree)

LARGE = {"shape": (90, 80, 60)}


def unblocked_pipe():
    """A pipe of which both ends are non-blocking."""
    ends = os.pipe()
    for end in ends:
        os.set_blocking(end, False)
    return ends


def test_input_that_is_not_there_yet_is_waited_for_in_a_pipe_that_does_not_block(box):
    data, (read, write) = volumes(range(3), **LARGE), unblocked_pipe()
    child = subprocess.Popen(["vol-write", "-q", "ds", "CT"], cwd=box, env=environment(),
                             stdin=read, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    os.close(read)
    os.set_blocking(write, True)
    time.sleep(0.3)
    with open(write, "wb") as pipe:
        for start in range(0, len(data), 200_000):
            pipe.write(data[start:start + 200_000])
            pipe.flush()
            time.sleep(0.01)
    out, err = child.communicate(timeout=60)
    assert (child.returncode, err) == (0, b""), err
    ok("vol-commit -q ds", box)
    assert sorted(ids("ds", box)) == ["v0", "v1", "v2"]


def test_room_is_waited_for_in_a_pipe_that_does_not_block(box):
    ok("vol-write -q ds CT; vol-commit -q ds", box, stdin=volumes(range(3), **LARGE))
    whole, (read, write) = ok("vol-cat -q ds", box).out, unblocked_pipe()
    child = subprocess.Popen(["vol-cat", "-q", "ds"], cwd=box, env=environment(),
                             stdin=subprocess.DEVNULL, stdout=write, stderr=subprocess.PIPE)
    os.close(write)
    os.set_blocking(read, True)
    time.sleep(0.3)
    out = b""
    while data := os.read(read, 100_000):
        out += data
        time.sleep(0.001)
    os.close(read)
    assert child.communicate(timeout=60)[1] == b"" and child.returncode == 0
    assert out == whole
    # And where the reader goes away, as anywhere else.
    read, write = unblocked_pipe()
    child = subprocess.Popen(["vol-cat", "-q", "ds"], cwd=box, env=environment(),
                             stdin=subprocess.DEVNULL, stdout=write, stderr=subprocess.PIPE)
    os.close(write)
    time.sleep(0.3)
    os.close(read)
    assert child.communicate(timeout=60)[1] == b"" and child.returncode == -13


def test_arguments_arrive_where_there_is_no_proc(box):
    if bash("unshare -m umount -l /proc", box).status:
        pytest.skip("no namespace can be had here in which /proc is taken away")
    bare = "unshare -m bash -c 'umount -l /proc && exec \"$@\"' bash "
    ok(f"{bare} vol-write -q ds CT", box, stdin=volumes(range(2)))
    assert snapshot(ok(f"{bare} vol-commit ds", box)) == 1
    for command in ("vol-ls --json ds CT", "vol-cat ds CT v1", "vol-ls --help", "vol-rm --version"):
        assert ok(f"{bare} {command}", box).out == ok(command, box).out, command
    for command in ("vol-ls", "vol-ls --no-such-option ds", "nifti-cat $'in-\\xff.nii'"):
        with_proc, without = bash(command, box), bash(f"{bare} {command}", box)
        assert with_proc.status == without.status in (64, 66), command
        assert with_proc.err == without.err, command


# File systems without hard links


@contextmanager
def fat(folder):
    """A file system of FAT on the folder; skips where there can be none."""
    folder.mkdir()
    image = quote(folder.with_suffix(".img"))
    if not shutil.which("mkfs.vfat"):
        pytest.skip("no mkfs.vfat(8)")
    result = bash(f"truncate -s 40M {image} && mkfs.vfat {image} && mount -o loop {image} {folder}",
                  "/")
    if result.status:
        pytest.skip(f"no FAT can be mounted here: {result.err.strip()}")
    try:
        yield folder
    finally:
        ok(f"umount {folder}", "/")


def failing(**errors):
    """What makes calls fail with an error each, before a command."""
    traced = ",".join(f"?{call}" for call in errors)
    rules = " ".join(f"-e inject={call}:error={error}" for call, error in errors.items())
    return f"strace -f -qq -o /dev/null -e trace={traced} {rules} "


def commit_twice(box, prefix=""):
    """A dataset is made, grows, shrinks and is whole, in a file system without hard links."""
    for numbers in (range(2), (2, 3)):
        ok(f"{prefix} vol-write -q ds CT", box, stdin=volumes(numbers))
        ok(f"{prefix} vol-commit -q ds", box)
    assert snapshot(ok(f"{prefix} vol-rm ds v1", box)) == 3
    assert sorted(Dataset(box / "ds").volumes) == ["v0", "v2", "v3"]
    assert ok("vol-verify -q --full ds", box).out == b""
    assert not [path for path in tree(box / "ds") if "/." in path]


@pytest.mark.parametrize("error", ["EPERM", "EOPNOTSUPP", "ENOSYS", "EMLINK"])
def test_without_hard_links_snapshots_are_made_by_renaming(box, error):
    commit_twice(box, failing(link=error, linkat=error))


def test_a_dataset_may_lie_on_fat(tmp_path, tools):
    with fat(tmp_path / "fat") as disk:
        commit_twice(disk)
        # Whoever is second gets another number.
        for number in range(4, 8):
            ok("vol-write -q ds CT", disk, stdin=volumes([number]))
        stages = [line.split("\t")[0] for line in ok("vol-ls --tsv --staged ds", disk).lines[1:]]
        script = " ".join(f"vol-commit -q ds {stage} &" for stage in stages) + " wait"
        ok(script, disk)
        assert sorted(Dataset(disk / "ds").manifests) == list(range(1, 8))
        assert len(ids("ds", disk)) == 7


def test_where_no_name_can_be_claimed_nothing_is_begun(box):
    ok("vol-write -q ds CT; vol-commit -q ds", box, stdin=volumes(range(2)))
    ok("vol-write -q ds CT", box, stdin=volumes([2]))
    prefix = failing(link="EPERM", linkat="EPERM", renameat2="EINVAL")
    before = tree(box / "ds")
    for command in ("vol-commit ds", "vol-rm ds v0"):
        result = bash(prefix + command, box)
        assert result.status == 73, repr(result)
        one_clear_line(result, command.split()[0], "'ds'", "hard links", "nothing changed")
        assert tree(box / "ds") == before
    result = bash(f"{prefix} vol-write -q new CT", box, stdin=volumes([0]))
    assert result.status == 73, repr(result)
    one_clear_line(result, "vol-write", "'new'", "hard links")
    ok("vol-commit -q ds", box)


def test_a_file_that_may_not_grow_is_an_error_that_is_told(box):
    """SIGXFSZ killed, without a word, and left what was written."""
    save(box / "a.nii", np.random.default_rng(1).integers(0, 2**15, (100, 100, 60)).astype("i2"))
    codes, result = statuses("nifti-cat -q a.nii | (ulimit -f 100; vol-write -q ds CT)", box)
    assert codes[1] == 74, repr(result)
    assert "file too large" in result.err and "vol-write" in result.err, repr(result)
    assert not list((box / "ds" / "packs").iterdir()) and not list((box / "ds/catalogs").iterdir())
