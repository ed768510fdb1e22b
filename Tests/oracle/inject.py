"""Lets tools die, and lets calls fail, at every call that changes a file of a dataset.

    python3 inject.py

A traced run of each tool lists its calls that have to do with the dataset. Then, for each of them,
one run is killed as it makes the call, and one gets an error from it instead, each in a fresh copy
of the dataset. After each of these every snapshot that is there must be whole and hold what it held
or should hold; a tool that failed has said so in one line; the same command, run again, finishes
the job; and vol-gc(1) then leaves nothing that no snapshot needs.
"""

import argparse
import hashlib
import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import support
from dataset import Dataset, read_json, staged, staged_tables
from frames import FrameWriter
from support import bash, ok, quote, ramp

WRITES = ("write", "writev", "pwrite64", "pwritev")
SYSCALLS = (*WRITES, "fsync", "fdatasync", "sync_file_range", "rename", "renameat", "renameat2",
            "link", "linkat", "unlink", "unlinkat", "close", "ftruncate", "fallocate", "mkdir",
            "mkdirat", "openat")
KILL, FAILURES = "signal=KILL", ("error=EIO", "error=ENOSPC")


def stream(numbers, shape=(12, 10, 8), step=0, **header):
    """A stream of small volumes, each with source bytes too long for the catalog."""
    out = io.BytesIO()
    writer = FrameWriter(out)
    for number in numbers:
        writer.open({"name": f"v{number}", "obs_id": f"v{number}", "obs_subject_id": f"s{number}",
                     "shape": list(shape), "dtype": "int16", **header})
        writer.extra(ramp((20_000,), seed=number).tobytes())
        writer.data(ramp(shape, seed=number + step))
        writer.close()
    writer.end()
    return out.getvalue()


def write(box, numbers, collection="CT", options="", step=0):
    """Stage volumes; `step` makes other voxels under the same ids."""
    ok(f"vol-write -q {options} ds {collection}", box, stdin=stream(numbers, step=step))


TABLE = b"obs_subject_id,age\ns1,41\ns2,42\ns5,45\n"


def make_two_snapshots(box):
    """Two stages in two snapshots, of which the first has two packs, and a subject table."""
    write(box, range(4), options="--pack-size 50K")
    ok("vol-meta -q ds", box, stdin=TABLE)
    ok("vol-commit -q ds", box)
    write(box, (4, 5), collection="MR")
    ok("vol-commit -q ds", box)


def make_staged(box):
    """And a stage that is new, one that replaces volumes of the snapshot, and a table."""
    make_two_snapshots(box)
    write(box, (6, 7))
    write(box, (1, 2), options="--replace", step=100)
    ok("vol-meta -q ds", box, stdin=b"obs_subject_id,age,sex\ns2,43,f\ns7,47,m\n")


def make_old(box):
    """And what vol-gc is there for: old snapshots, a stage that is gone, leftovers, a live stage."""
    make_two_snapshots(box)
    ok("vol-rm -q ds v4 v5; vol-rm -q ds v0", box)
    write(box, (8,))
    dead = "d" * 32
    for path in (f"packs/{dead}-0000.pack", f"catalogs/{dead}.catalog", f"stages/.{dead}",
                 f"manifests/.{dead}", f"subjects/{dead}.subjects", f".HEAD-{dead}"):
        (box / "ds" / path).write_bytes(b"left over")


@dataclass(frozen=True)
class Scenario:
    """A command, what it is given, and what it starts from."""

    name: str
    argv: tuple  # the dataset is DS
    make: object = make_two_snapshots
    stdin: bytes = b""
    then: tuple = ()  # more commands that show what came of it
    commits: bool = False  # whether the command itself makes a snapshot


COMMIT = (("vol-commit", "-q", "--if-staged", "DS"),)
SCENARIOS = {scenario.name: scenario for scenario in (
    Scenario("vol-commit", COMMIT[0], make_staged, commits=True),
    Scenario("vol-rm", ("vol-rm", "-q", "-f", "DS", "v1", "v3", "v4", "v5"), commits=True),
    Scenario("vol-gc", ("vol-gc", "-q", "--grace", "0", "--keep-last", "1", "DS"), make_old,
             then=COMMIT),
    Scenario("vol-write", ("vol-write", "-q", "--skip-existing", "--pack-size", "50K", "DS", "CT"),
             stdin=stream(range(10, 14)), then=COMMIT),
    Scenario("vol-write, new dataset", ("vol-write", "-q", "--skip-existing", "DS", "CT"),
             lambda box: None, stdin=stream(range(2)), then=COMMIT),
    Scenario("vol-meta", ("vol-meta", "-q", "DS"), stdin=b"obs_subject_id,age\ns3,43\n",
             then=COMMIT),
)}


@dataclass(frozen=True)
class Point:
    """The number-th call of its kind in a thread, and what it was in the traced run."""

    syscall: str
    number: int
    action: str
    line: str

    def __str__(self):
        return f"{self.syscall} {self.number}, {self.action}: {self.line}"


@dataclass
class Call:
    """A line of strace: the number-th call of its kind in its thread."""

    syscall: str
    number: int
    line: str  # without the name; the dataset is ds
    harmless: bool

    @property
    def injected(self):
        return "(INJECTED)" in self.line


def whole_lines(lines):
    """Lines of strace, with those joined that another thread's line has cut in two."""
    begun = {}
    for line in lines:
        thread = line.split(" ", 1)[0]
        if line.endswith(" <unfinished ...>"):
            begun[thread] = line.removesuffix(" <unfinished ...>")
        elif (rest := re.match(r"\d+ +<\.\.\. \w+ resumed>(.*)", line)) and thread in begun:
            yield begun.pop(thread) + rest[1]
        else:
            yield line
    yield from begun.values()


def calls(log, root, scenario):
    """The calls that matter in what strace wrote: those on files of the dataset, and on stderr."""
    counts, written, synced = defaultdict(Counter), set(), set()
    for line in whole_lines(log.read_text(errors="replace").splitlines()):
        match = re.match(r"(\d+) +(\w+)\((.*)", line.replace(str(root), "ds").replace("/./", "/"))
        if not match:
            continue
        thread, syscall, rest = match.groups()
        counts[thread][syscall] += 1
        number = counts[thread][syscall]
        # A name that is looked up in a folder which is held open.
        if syscall.endswith(("at", "at2")):
            rest = re.sub(r'\d+<(ds[^>]*)>, "([^"]*)"', r'"\1/\2"', rest)
        [path] = re.findall(r"^\d+<(ds(?:/[^>]*)?)>", rest) or [None]
        if syscall == "openat" and "O_CREAT" in rest:
            written.update(re.findall(r'"(ds/[^"]*)"', rest))
        elif syscall == "openat":
            written.difference_update(re.findall(r'"(ds/[^"]*)"', rest))
            continue
        elif syscall == "close" and path not in written:
            continue
        if re.search(r'[<"]ds[/>"]', rest) or rest.startswith("2<"):
            yield Call(syscall, number, rest, is_harmless(syscall, rest, path in synced, scenario))
        if syscall in ("fsync", "fdatasync"):
            synced.add(path)
        elif path:
            synced.discard(path)


def is_harmless(syscall, rest, is_synced, scenario):
    """Whether nothing is lost when this call fails, so that the tool may go on.

    HEAD is a hint, which no tool relies on; stage records that stay are known as committed, and
    other files that stay as garbage, but to remove them is what vol-gc is for; what is on disk is
    there whether its file was closed or not, and what is scratch need not be.
    """
    head = r'(\d+<ds>|(\d+<|")ds/(HEAD|\.volpipe-[0-9a-f]+)[>"])'
    if scenario.commits and re.match(head, rest):
        return True
    if syscall == "close":
        return is_synced or "(deleted)" in rest
    return syscall in ("unlink", "unlinkat") and scenario.name != "vol-gc"


def files_needed(root):
    """What must be left when everything else is collected."""
    needed = {"volpipe.json", "HEAD"}
    for path in (root / "manifests").glob("[0-9]*.json"):
        manifest = read_json(path, "volpipe-manifest")
        needed.add(f"manifests/{path.name}")
        for stage in manifest["stages"]:
            needed.update(file["path"] for file in [stage["catalog"], *stage["packs"]])
        if manifest.get("subjects"):
            needed.add(manifest["subjects"]["path"])
    return needed


def files(root):
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


def contents(dataset):
    """All that a snapshot holds, each voxel read and checked on the way."""
    volumes = {obs_id: (volume.collection, str(volume.header), volume.array().tobytes(),
                        volume.source_bytes(False), volume.source_bytes(True))
               for obs_id, volume in dataset.volumes.items()}
    digests = {obs_id: hashlib.sha256(repr(parts).encode()).hexdigest()
               for obs_id, parts in volumes.items()}
    subjects = dataset.subjects and (dataset.subjects.names, dataset.subjects.rows)
    return digests, subjects


def snapshots(root):
    """{number: contents} of every snapshot that is there."""
    numbers = [int(path.stem) for path in (root / "manifests").glob("[0-9]*.json")]
    return {number: contents(Dataset(root, number, gaps=True)) for number in numbers}


class Injector:
    """One scenario: what it starts from, what it should lead to, and its points."""

    def __init__(self, scenario, box):
        self.scenario, self.box = scenario, Path(box)
        self.box.mkdir(parents=True, exist_ok=True)
        scenario.make(self.box)
        self.before = snapshots(self.box / "ds")
        root = self.copy("whole")
        self.run(root, scenario.argv)
        self.direct = snapshots(root)
        for argv in scenario.then:
            self.run(root, argv)
        assert not staged(root) and not staged_tables(root)
        self.after = snapshots(root)
        assert max(self.after) == max(self.before, default=0) + 1

    def copy(self, name):
        """A copy of the dataset to begin with, alone in a folder of this name."""
        folder = self.box / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        if (self.box / "ds").exists():
            shutil.copytree(self.box / "ds", folder / "ds")
        return folder / "ds"

    def start(self, root, argv, prefix=()):
        words = [str(root) if word == "DS" else word for word in argv]
        return subprocess.run([*prefix, *words], cwd=root.parent, env=support.environment(),
                              input=self.scenario.stdin if argv == self.scenario.argv else b"",
                              capture_output=True, timeout=60)

    def run(self, root, argv):
        """Run what must succeed, and in silence."""
        result = self.start(root, argv)
        assert result.returncode == 0 and result.stderr == b"", f"{argv}: {result}"

    def trace(self, root, log, *options):
        """Run the command under strace."""
        return self.start(root, self.scenario.argv, (
            "strace", "-f", "-y", "--seccomp-bpf", "-s", "0", "-o", str(log), *options,
            "-e", "trace=" + ",".join(f"?{name}" for name in SYSCALLS)))

    def points(self):
        """Every call that a traced run makes on the dataset's files, once for each action."""
        root, log = self.copy("traced"), self.box / "log"
        result = self.trace(root, log)
        assert result.returncode == 0, result
        found = {}
        for call in calls(log, root, self.scenario):
            if not call.line.startswith("2<"):
                found.setdefault((call.syscall, call.number), call.line)
        shutil.rmtree(root.parent)
        return [Point(syscall, number, action, line)
                for (syscall, number), line in sorted(found.items())
                for action in (KILL, *FAILURES[:1 + (syscall in WRITES)])]

    def check(self, point, name):
        """One run with one call that kills or fails, and all that must hold after it."""
        root = self.copy(name)
        try:
            self.check_copy(point, root)
        except Exception as error:
            kept = self.box / f"failed-{name}"
            shutil.rmtree(kept, ignore_errors=True)
            root.parent.rename(kept)
            raise AssertionError(f"{self.scenario.name}: {point}, left in {kept}: {error}") from error
        shutil.rmtree(root.parent)

    def check_copy(self, point, root):
        log = root.parent / "log"
        result = self.trace(root, log, "-e", f"inject={point.syscall}:{point.action}"
                            f":when={point.number}")
        # Threads may divide the calls among them in another way this time, so look what it was.
        failed = [call for call in calls(log, root, self.scenario) if call.injected]
        if point.action == KILL:
            assert result.returncode in (-9, 0), result
        elif result.returncode == 0:
            assert all(call.harmless for call in failed), f"no failure: {failed}, {result}"
        else:
            assert result.returncode in (73, 74), result
            lines = result.stderr.decode().splitlines()
            if not any(call.line.startswith("2<") for call in failed):
                assert len(lines) == 1, result
                assert lines[0].startswith(f"{self.scenario.argv[0]}: "), result
        self.check_snapshots(root, result.returncode)
        self.run(root, self.scenario.argv)
        for argv in self.scenario.then:
            self.run(root, argv)
        found = snapshots(root)
        assert found == self.after, f"in the end {sorted(found)}, not {sorted(self.after)}"
        assert not staged(root) and not staged_tables(root)
        self.run(root, ("vol-gc", "-q", "--grace", "0", "DS"))
        assert files(root) == files_needed(root), files(root) ^ files_needed(root)

    def check_snapshots(self, root, status):
        """Each that is there is what it was, or what it should be; vol-verify has no complaint."""
        found = snapshots(root)
        number = max(found, default=0)
        before = max(self.before, default=0)
        for key, value in found.items():
            assert value == {**self.after, **self.before}[key], f"snapshot {key} is another"
        assert number in (before, before + self.scenario.commits), f"snapshot {number}"
        if status == 0 and self.scenario.commits:
            assert number == before + 1, "no snapshot, and yet no failure"
        if self.scenario.name != "vol-gc":
            assert set(found) >= set(self.before), "a snapshot is gone"
        elif status == 0:
            assert set(found) == set(self.direct), "snapshots were left, and yet no failure"
        if found:
            result = self.start(root, ("vol-verify", "--full", "-q", "DS"))
            assert result.returncode == 0 and not result.stdout + result.stderr, result


def check_all(scenario, box, say=lambda text: None):
    """Every point of a scenario; how many there were for each action."""
    injector = Injector(scenario, Path(box) / re.sub(r"\W+", "-", scenario.name))
    points = injector.points()
    assert points, "strace has seen nothing"
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        jobs = [pool.submit(injector.check, point, f"run-{number}")
                for number, point in enumerate(points)]
        failures = []
        for number, job in enumerate(jobs):
            if error := job.exception():
                failures.append(str(error))
            say(f"\r{scenario.name}: {number + 1} of {len(points)}, {len(failures)} failed ")
    assert not failures, f"{len(failures)} of {len(points)} points:\n" + "\n".join(failures)
    return Counter(point.action.replace("signal=", "").replace("error=", "") for point in points)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scenario", nargs="*", help=f"of {', '.join(SCENARIOS)}; default: all")
    parser.add_argument("--keep", action="store_true", help="leave the folder behind on failure")
    arguments = parser.parse_args()
    folder, failed = Path(tempfile.mkdtemp(prefix="inject-")), False
    say = sys.stderr.write if sys.stderr.isatty() else lambda text: None
    for name in arguments.scenario or SCENARIOS:
        try:
            count = check_all(SCENARIOS[name], folder, say=say)
            print(f"{name}: {sum(count.values())} points, all good ("
                  + ", ".join(f"{action} {number}" for action, number in count.items()) + ")")
        except AssertionError as error:
            failed = True
            print(f"{name}: {error}")
    if not (failed and arguments.keep):
        bash(f"rm -rf {quote(folder)}", "/")
    return failed


if __name__ == "__main__":
    sys.exit(main())
