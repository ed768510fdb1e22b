"""Runs a pipeline and says what each of its processes used, from the kernel's own account."""

import os
import resource
import subprocess
import threading
import time


class Used:
    """One process of a pipeline: its name, exit status, and peak of resident memory in MB."""

    def __init__(self, argv, status, peak):
        self.name, self.status, self.peak = os.path.basename(argv[0]), status, peak


def high_water(pid):
    """VmHWM in kB, 0 if the process is gone: exact for the moment, blind to what comes after."""
    try:
        with open(f"/proc/{pid}/status") as status:
            return next((int(line.split()[1]) for line in status if line[:6] == "VmHWM:"), 0)
    except OSError:
        return 0


def sample(pids, seen, stop):
    while not stop.wait(0.002):
        for pid in pids:
            seen[pid] = max(seen.get(pid, 0), high_water(pid))


def pipeline(*commands, stdout=None, cwd=None, env=None):
    """Run commands joined by pipes; (wall seconds, [Used of each]).

    The peak is ru_maxrss of wait4(2), the most that a process ever held. The kernel counts in what
    the process held before its exec, which was a copy of this program: where that hides the answer,
    the peak is the largest VmHWM of a look every 2 ms.
    """
    began = time.perf_counter()
    children, source = [], subprocess.DEVNULL
    for number, argv in enumerate(commands):
        last = number == len(commands) - 1
        sink = (stdout or subprocess.DEVNULL) if last else subprocess.PIPE
        child = subprocess.Popen(argv, stdin=source, stdout=sink, cwd=cwd, env=env)
        if source != subprocess.DEVNULL:
            source.close()  # or the producer would never see that its reader is gone
        source = child.stdout
        children.append((argv, child))
    seen, stop = {}, threading.Event()
    pids = [child.pid for _, child in children]
    sampler = threading.Thread(target=sample, args=(pids, seen, stop))
    sampler.start()
    used = []
    for argv, child in children:
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        used.append((argv, child, usage.ru_maxrss))
    wall = time.perf_counter() - began
    stop.set()
    sampler.join()
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    peaks = [peak if peak > own else seen.get(child.pid, 0) for _, child, peak in used]
    return wall, [Used(argv, child.returncode, peak / 1024)
                  for (argv, child, _), peak in zip(used, peaks)]


def must(result):
    """The same, or the end of the program if a process failed."""
    wall, used = result
    for process in used:
        if process.status != 0:
            raise SystemExit(f"{process.name} failed with status {process.status}")
    return wall, used


def stored(path):
    """Bytes of all files below a folder."""
    return sum(os.path.getsize(os.path.join(folder, name))
               for folder, _, names in os.walk(path) for name in names)
