"""What a person at a terminal sees of a long run."""

import fcntl
import os
import re
import struct
import subprocess
import sys
import termios

import pytest
from support import environment, ramp, save

# Passes a stream on so slowly that a run takes some seconds.
SLOWLY = """
import sys, time
while block := sys.stdin.buffer.read1(1 << 16):
    sys.stdout.buffer.write(block)
    time.sleep(0.01)
"""


@pytest.fixture
def scans(box):
    for number in range(40):
        save(box / "in" / f"s{number:02}.nii", ramp((40, 40, 100), seed=number))
    (box / "slowly.py").write_text(SLOWLY)
    return box


def seen(box, script, columns):
    """The lines that stay on a terminal of so many columns, and all that were drawn and drawn over.

    The script's standard error is the terminal; what it shows is a line at a time, and a line that
    is longer than the window fails, since it could not be drawn over.
    """
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    child = subprocess.Popen(["bash", "-o", "pipefail", "-c", script], cwd=box, stderr=theirs,
                             stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                             env=environment(PY=sys.executable), start_new_session=True)
    os.close(theirs)
    data = b""
    try:
        while block := os.read(ours, 1 << 16):
            data += block
    except OSError:
        pass  # the other end is closed
    os.close(ours)
    assert child.wait(timeout=60) == 0, data
    stay, drawn = [], []
    for line in data.decode().replace("\x1b[K", "").split("\n"):
        *over, last = line.rstrip("\r").split("\r")
        drawn += [text for text in over if text]
        stay.append(last)
    assert stay.pop() == "", "the last line is not ended"
    return stay, drawn


@pytest.mark.parametrize("columns", [80, 30])
def test_of_two_tools_the_producer_draws_and_both_end_with_a_line(scans, columns):
    stay, drawn = seen(scans, "nifti-cat in | $PY slowly.py | vol-write ds CT", columns)
    assert [line.split(":")[0] for line in stay] == ["nifti-cat", "nifti-cat", "vol-write"]
    assert all("40 volumes, 12.8 MB" in line for line in stay[1:])
    assert len(drawn) > 3 and all(len(line) < columns for line in drawn), drawn
    shares = [re.match(r"nifti-cat: (\d+) %, \d+:\d\d left", line) for line in drawn]
    of_producer = [int(match[1]) for match in shares if match]
    assert len(of_producer) > 3 and of_producer == sorted(of_producer), drawn
    # Until the producer has counted its files it says nothing of a share.
    first = next(number for number, match in enumerate(shares) if match)
    last = max(number for number, match in enumerate(shares) if match)
    assert all(line.startswith("nifti-cat: ") for line in drawn[first:last + 1]), drawn


def test_a_consumer_alone_draws(scans):
    stay, drawn = seen(scans, "nifti-cat -q in | $PY slowly.py | vol-write ds CT", 80)
    [line] = stay
    assert re.fullmatch(r"vol-write: 40 volumes, 12\.8 MB, \d+ MB/s, \d+:\d\d", line)
    assert drawn and all(line.startswith("vol-write: ") for line in drawn), drawn


def test_quiet_tools_and_files_show_nothing(scans):
    assert seen(scans, "nifti-cat -q in | vol-write -q ds CT", 80) == ([], [])
    stay, drawn = seen(scans, "nifti-cat in 2> /dev/null | vol-write ds2 CT 2> /dev/null", 80)
    assert (stay, drawn) == ([], [])
