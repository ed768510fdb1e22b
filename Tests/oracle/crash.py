"""Kills vol-write and vol-commit at random moments and looks at what they left.

    python3 crash.py --rounds 200

Each round: one of the two is killed with SIGKILL somewhere in its run. Then the last snapshot must
read whole and hold exactly the volumes that it should, and the next run and commit must succeed.
The moments are spread evenly over a run's length, which is measured on the spot, and corrected by
whether the kills find a run: about two in three do.
"""

import argparse
import io
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import support
from dataset import Dataset, staged
from frames import FrameWriter
from support import bash, ids, ok, ramp

VOLUMES = 4
# Of a few packs a stage, so that the kill can fall between two of them too.
WRITE = ["--pack-size", "600K", "-q"]


def make_stream(path):
    """A stream whose volumes take vol-write long enough to be killed in."""
    stream = io.BytesIO()
    writer = FrameWriter(stream)
    for number in range(VOLUMES):
        writer.open({"name": f"v{number}", "shape": [96, 96, 64], "dtype": "int16"})
        # Enough extra bytes for a blob of its own in the pack.
        writer.extra(ramp((40_000,), seed=number).tobytes())
        writer.data(ramp((96, 96, 64), seed=number))
        writer.close()
    writer.end()
    path.write_bytes(stream.getvalue())


def start(argv, box, stdin=subprocess.DEVNULL):
    return subprocess.Popen(argv, cwd=box, env=support.environment(), stdin=stdin,
                            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def finish(child):
    err = child.communicate(timeout=60)[1]
    return child.returncode, err.decode(errors="replace")


class Crasher:
    """One dataset, what it should hold, and the lengths of an undisturbed run of each tool."""

    def __init__(self, box, seed):
        self.box, self.random, self.count = Path(box), random.Random(seed), Counter()
        make_stream(self.box / "in.frames")
        self.number, self.dataset = 0, None
        self.fresh()
        self.length = {}
        for tool in ("vol-write", "vol-commit"):
            self.length[tool] = 0.0
        for _ in range(3):
            for tool, run in (("vol-write", self.write), ("vol-commit", self.commit)):
                began = time.perf_counter()
                run()
                self.length[tool] = max(self.length[tool], time.perf_counter() - began)

    def fresh(self):
        """A new dataset: reading the last snapshot whole each round must not grow without end."""
        self.number += 1
        self.dataset, self.expected = f"ds{self.number}", []
        self.run = 0

    def write_argv(self):
        self.run += 1
        names = [f"v{number}-{self.run}" for number in range(VOLUMES)]
        template = f"{{name}}-{self.run}"
        return ["vol-write", *WRITE, "--obs-id", template, self.dataset, "CT"], names

    def write(self, may_fail=False):
        argv, names = self.write_argv()
        with open(self.box / "in.frames", "rb") as stdin:
            status, err = finish(start(argv, self.box, stdin))
        assert status == 0, f"vol-write after a crash: {status}, {err}"
        return names

    def commit(self):
        """Commit all that is staged: the model takes it from stages/, not from what it hopes."""
        waiting = [v.obs_id for volumes in staged(self.box / self.dataset).values()
                   for v in volumes]
        status, err = finish(start(["vol-commit", "-q", self.dataset], self.box))
        assert status == 0, f"vol-commit after a crash: {status}, {err}"
        self.expected += [obs_id for obs_id in waiting if obs_id not in self.expected]

    def kill(self, tool):
        """Run the tool and kill it at a random moment; True if that found it alive."""
        stdin = subprocess.DEVNULL
        argv = ["vol-commit", "-q", self.dataset]
        if tool == "vol-write":
            argv, _ = self.write_argv()
            stdin = open(self.box / "in.frames", "rb")
        child = start(argv, self.box, stdin)
        if stdin != subprocess.DEVNULL:
            stdin.close()
        time.sleep(self.random.uniform(0, self.length[tool]))
        child.kill()
        status, err = finish(child)
        assert status in (0, -signal.SIGKILL), f"{tool} failed before its kill: {status}, {err}"
        self.length[tool] *= 1.1 if status else 0.8
        self.count[tool, "killed" if status else "had finished"] += 1
        return status != 0

    def visible(self):
        return ids(self.dataset, self.box) if self.expected else []

    def round(self):
        tool = self.random.choice(("vol-write", "vol-commit"))
        before = sorted(self.expected)
        if tool == "vol-write":
            self.kill(tool)
            # Finished or not, nothing of it may be seen.
            assert sorted(self.visible()) == before, "a killed vol-write changed the snapshot"
        else:
            after = sorted(before + self.write())
            # What an earlier killed vol-write had just finished is committed here as well.
            after = sorted({*after, *(v.obs_id for volumes in
                                      staged(self.box / self.dataset).values() for v in volumes)})
            self.kill(tool)
            manifests = list((self.box / self.dataset / "manifests").glob("[0-9]*.json"))
            seen = sorted(ids(self.dataset, self.box)) if manifests else []
            assert seen in (before, after), "a killed vol-commit left half a snapshot"
            self.count["vol-commit", "took effect" if seen == after else "had no effect"] += 1
            self.expected = seen
        self.write()
        self.commit()
        assert sorted(self.visible()) == sorted(self.expected), "the next commit is not whole"

    def check(self):
        """The whole dataset through the independent reader, every voxel."""
        dataset = Dataset(self.box / self.dataset)
        assert sorted(dataset.volumes) == sorted(self.expected)
        for volume in dataset.volumes.values():
            volume.array()
        assert not staged(self.box / self.dataset)
        ok(f"vol-ls --sha256 {self.dataset} | (cd {self.dataset} && sha256sum --quiet -c)",
           self.box)


def rounds(box, count, seed, say=lambda text: None, killed=0):
    """So many rounds, and up to ten times as many until so many kills have found a run."""
    crasher = Crasher(box, seed)
    for number in range(10 * count):
        found = sum(times for (_, what), times in crasher.count.items() if what == "killed")
        if number >= count and found >= killed:
            break
        if number % 10 == 0:
            if crasher.expected:
                crasher.check()
            bash(f"rm -rf {crasher.dataset}", crasher.box)
            crasher.fresh()
        crasher.round()
        say(f"\rround {number + 1} of {count}")
    crasher.check()
    return crasher.count


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(4), "little"))
    parser.add_argument("--keep", action="store_true", help="leave the folder behind on failure")
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="crash-"))
    say = sys.stderr.write if sys.stderr.isatty() else lambda text: None
    try:
        count = rounds(folder, arguments.rounds, arguments.seed, say)
    except BaseException:
        print(f"\nseed {arguments.seed}" + f", left in {folder}" * arguments.keep, file=sys.stderr)
        if not arguments.keep:
            bash(f"rm -rf {folder}", "/")
        raise
    bash(f"rm -rf {folder}", "/")
    print(f"{arguments.rounds} rounds, seed {arguments.seed}: "
          "every snapshot whole, every next run good")
    for (tool, what), number in sorted(count.items()):
        print(f"  {tool:<10} {what:<14} {number:>5}")


if __name__ == "__main__":
    main()
