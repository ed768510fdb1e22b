"""What no tool may do, whatever it is given."""

import io
import json
import re
import resource
import signal
import zlib

from frames import CLOSE, DATA, OPEN, read_frames
from storm_box import SECONDS
from storm_commands import STAGED
from storm_json import UNREADABLE
from storm_verdicts import CONTROL
from support import REPO

MEMORY_KIB, STDERR_BYTES = 300 << 10, 20_000


def documented():
    """{tool: the exit statuses of its manual}."""
    result = {}
    for page in (REPO / "man").glob("*.1"):
        text = page.read_text().partition(".Sh EXIT STATUS")[2].partition("\n.Sh")[0]
        result[page.stem] = {int(number) for number in re.findall(r"^\.It (\d+)$", text, re.M)}
    return result


STATUSES = documented()


def strict(text):
    """JSON by RFC 8259, and in UTF-8."""
    def fail(name):
        raise ValueError(f"{name} is no JSON")
    return json.loads(text.decode(), parse_constant=fail)


def general_faults(command, run):
    """What no tool may do, whatever it is given."""
    tool = command.split()[0]
    if run.is_late:
        return [f"runs over {SECONDS} s"]
    if run.status < 0:
        return [f"dies of {signal.Signals(-run.status).name}"]
    faults = []
    if run.status not in STATUSES[tool] or run.status == 70:
        faults.append(f"ends with status {run.status}")
    # A child has at least the peak of the process that made it.
    if run.memory > max(MEMORY_KIB, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss):
        faults.append("takes over 300 MB")
    try:
        text = run.err.decode()
        if CONTROL.search(text):
            faults.append("raw control character in a message")
    except UnicodeDecodeError:
        faults.append("message is no UTF-8")
    if len(run.err) > STDERR_BYTES:
        faults.append("message over 20,000 bytes")
    lines = [line for line in run.err.split(b"\n")[:-1] if b" was dropped: " not in line]
    goes_on = " -k " in command or tool == "vol-verify"
    has_one = len(lines) == 1 or run.status in (0, 1) or goes_on
    if not has_one or run.err and not run.err.endswith(b"\n"):
        faults.append("message is not one line")
    if any(not line.startswith(tool.encode() + b": ") for line in lines):
        faults.append("message without the tool's name")
    return faults + output_faults(command, run)


def output_faults(command, run):
    """Standard output is what the command promises."""
    words, faults = command.split(), []
    try:
        if "--json" in words:
            for line in run.out.split(b"\n")[:-1]:
                strict(line)
            if run.out and not run.out.endswith(b"\n"):
                faults.append("last line of JSON without its end")
        elif ("--refs" in words or "--manifest" in words) and run.status == 0:
            strict(run.out)
        elif words[0] in ("vol-ls", "vol-verify") and CONTROL.search(run.out.decode()):
            faults.append("raw control character on standard output")
        elif words[0] in ("frame-filter", "nifti-cat", "vol-cat") and run.status in (0, 1):
            if not {"--raw", "--batch"} & set(words):
                frames_of(run.out)
    except UNREADABLE:
        faults.append("standard output is not what it should be")
    return faults


def frames_of(data):
    """(header, CRC-32 of the voxels) of each volume that is whole."""
    found = []
    for kind, header, body in read_frames(io.BytesIO(data)):
        if kind == OPEN:
            volume, crc = header, 0
        elif kind == DATA:
            crc = zlib.crc32(body, crc)
        elif kind == CLOSE:
            found.append((volume, crc))
    return found


def is_refusal(command, run):
    # What is staged and cannot be read is named, and left.
    goes_on = " -k " in command or command.startswith("vol-verify") or command in STAGED
    return run.status != 0 and (run.status != 1 or goes_on)
