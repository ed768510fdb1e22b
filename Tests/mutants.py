"""Makes the code wrong on purpose, a fault at a time, and sees that the simulation finds it.

    python3 Tests/mutants.py [NAME...]

Each fault is put into a copy of the tree, which is built and simulated: `caught` with the first
promise that was broken and the time it took, or `MISSED`, and then the exit status is 1. By hand,
after a change of what writes, commits, removes or collects; a minute or two a fault.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DATASETS = "Sources/VolumeFormat/Datasets"

# name: (file, what stands there, what is put in its place)
MUTANTS = {
    "a commit that takes a lost reply for a lost race": (
        f"{DATASETS}/Log/SnapshotLog.swift",
        "          return try dataset.manifestBytes(number) == bytes\n",
        "          return false\n"),
    "a lease that ends though nobody knows whether the commit was made": (
        f"{DATASETS}/Log/SnapshotLog.swift", "      lease.leave()\n", ""),
    "a collector that knows no leases": (
        f"{DATASETS}/Care/Collector.swift",
        "    let fresh = leases.filter { $0.object.modified > now - grace }\n",
        "    let fresh = leases.filter { _ in false }\n"),
    "a collector that reads leases only before the records": (
        f"{DATASETS}/Care/Collector.swift", "    leases += try dataset.leases()\n", ""),
    "a collector that takes old snapshots from under a commit": (
        f"{DATASETS}/Care/Collector.swift", "!isDry, try dataset.awaitCommitters(grace)",
        "!isDry, try dataset.awaitCommitters(-1)"),
    "a record that is published before its packs are flushed": (
        f"{DATASETS}/Packs/PackFile.swift", "    try file.finish()\n    return FileSeal",
        "    defer { try? file.finish() }\n    return FileSeal"),
    "a flush that is left out": (
        "Sources/VolumeFormat/Storage/DirectoryStore.swift",
        "  func finish() throws {\n    try file.seal()\n    try folder.sync()\n",
        "  func finish() throws {\n    try file.seal()\n"),
    "a manifest that is not flushed": (
        "Sources/VolumeFormat/Storage/DirectoryStore.swift",
        "    do {\n      try folder.sync()\n      return .made\n", "    do {\n      return .made\n"),
    "a remover of stages that does not wait for commits": (
        f"{DATASETS}/Log/GivingUp.swift",
        "try awaitCommitters(Lease.grace)", "try awaitCommitters(-1)"),
    "a stale HEAD that is taken for the truth": (
        f"{DATASETS}/Log/SnapshotLog.swift",
        "    guard let (number, bytes) = try dataset.lastManifest() else { return nil }\n",
        "    let hint = try dataset.hint().map { String(decoding: $0, as: UTF8.self) }\n"
        "    let hinted = hint?.split(separator: \" \").first.flatMap { UInt64($0) }\n"
        "    guard let number = try hinted ?? dataset.snapshotNumbers().last,\n"
        "      let bytes = try dataset.manifestBytes(number)\n    else { return nil }\n"),
    "a writer that leaves its record when it fails": (
        f"{DATASETS}/Log/Pending.swift",
        "      try withdraw(contents, since: error)\n", "      throw error\n"),
    "a commit that replaces what it should not": (
        f"{DATASETS}/Writing/Committer.swift",
        "        guard stages[stage].replaces == true else { throw try duplicate(key, old, "
        "stages[stage]) }\n", ""),
}


# Seconds after which a simulation that has no end is caught; a sound one takes about 70.
PATIENCE = 400


def run(folder, *words, timeout=None):
    """Output and status; None for the latter after `timeout` seconds."""
    child = subprocess.Popen(words, cwd=folder, text=True,
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                             env={**os.environ, "SWIFT_DETERMINISTIC_HASHING": "1"})
    try:
        return child.communicate(timeout=timeout)[0], child.returncode
    except subprocess.TimeoutExpired:
        # Those that it has started, too, wherever they have put themselves: they hold its output.
        subprocess.run(["pkill", "-KILL", "-f", str(folder)])
        child.kill()
        return child.communicate()[0], None


def simulate(folder):
    flags = ("-c", "release", "--scratch-path", ".build-tests")
    output, status = run(folder, "swift", "build", *flags, "--build-tests")
    if status:
        sys.exit(output[-3000:])
    start = time.monotonic()
    output, status = run(folder, "swift", "test", *flags, "--skip-build", "--filter",
                         "SimulationTests", timeout=PATIENCE)
    found = re.search(r'(?:seed \d+|after call \d+[^:]*): [^"\n]*', output)
    reason = found[0] if found else "it does not end" if status is None else None
    return status, reason, time.monotonic() - start


def main():
    names = sys.argv[1:] or list(MUTANTS)
    with tempfile.TemporaryDirectory(dir=ROOT.parent) as folder:
        copy = Path(folder) / "volpipe"
        shutil.copytree(ROOT, copy, symlinks=True, ignore=shutil.ignore_patterns(".build*", ".venv"))
        missed = 0
        for name in names:
            path, old, new = MUTANTS[name]
            text = (ROOT / path).read_text()
            assert text.count(old) == 1, f"{name}: {path} has it {text.count(old)} times"
            (copy / path).write_text(text.replace(old, new))
            status, found, seconds = simulate(copy)
            (copy / path).write_text(text)
            missed += status == 0
            print(f"{'MISSED' if status == 0 else 'caught'}: {name}, {seconds:.0f} s: {found}",
                  flush=True)
    return missed > 0


if __name__ == "__main__":
    sys.exit(main())
