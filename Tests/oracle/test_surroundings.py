"""What a tool finds around it: pipes that others set up, no /proc."""

import os
import subprocess
import time

import pytest
from inject import stream as volumes
from support import bash, environment, ids, ok, snapshot

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
