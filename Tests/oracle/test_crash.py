"""Producers and writers that die without a word."""

import os
import re
import signal
import subprocess
import time

import crash
from dataset import staged
from support import SEED, bash, environment, ok, ramp, save, tree


def test_snapshots_survive_kills_at_random_moments(box):
    """Twenty rounds here; `crash.py --rounds 200` for the long run."""
    count = crash.rounds(box, 20, seed=SEED, killed=5)
    killed = sum(number for (_, what), number in count.items() if what == "killed")
    assert killed >= 5, f"the kills came too late to mean anything: {dict(count)}"


def test_killed_producer_without_pipefail_leaves_nothing_to_commit(box):
    data = save(box / "big.nii", ramp((128, 128, 64, 4))).read_bytes()
    ok("nifti-cat big.nii | vol-write --obs-id first ds CT; vol-commit ds", box)
    before = tree(box / "ds")
    # nifti-cat reads from here, and so is surely in the middle when it has half of the file.
    script = """
        set +o pipefail
        bash -c 'echo $$ > pid; exec nifti-cat -' | vol-write ds CT
        echo "${PIPESTATUS[*]} $?"
    """
    child = subprocess.Popen(["bash", "-c", script], cwd=box, env=environment(),
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    child.stdin.write(data[:len(data) // 2])
    child.stdin.flush()
    wait_until(lambda: (box / "pid").exists() and (box / "pid").read_text().strip(), 10)
    pid = int((box / "pid").read_text())
    wait_until(lambda: "nifti-cat" in open(f"/proc/{pid}/comm").read(), 10)
    # What the tool has read is gone from the pipe; then give it a moment to pass it on.
    time.sleep(0.3)
    os.kill(pid, signal.SIGKILL)
    out, err = child.communicate(timeout=30)
    assert out.split()[:2] == [b"137", b"65"], (out, err)
    assert re.search(rb"vol-write: .*big|vol-write: .*stdin|vol-write: .*end", err), err
    assert tree(box / "ds") == before and not staged(box / "ds")
    result = bash("vol-commit ds", box)
    assert result.status == 66 and result.err.startswith("vol-commit: "), repr(result)
    assert tree(box / "ds") == before


def wait_until(condition, seconds):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)
