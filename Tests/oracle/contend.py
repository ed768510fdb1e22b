"""Writers, committers, removers, collectors and readers on one dataset, all at once.

    python3 contend.py --seconds 60

While they run, a reader of an old snapshot gets the same bytes each time, and no reader meets an
error. After it, history is one line; every snapshot that a tool reported is in it, reported once;
and the last one holds each volume whose stage was finished, once, but for those that were removed.
"""

import argparse
import hashlib
import io
import queue
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

import inject
import support
from dataset import Dataset, staged, staged_tables
from frames import FrameWriter
from support import bash, ok, quote, ramp, snapshot

WRITERS, COMMITTERS, REMOVERS = 16, 8, 2


def stream(ids):
    """Tiny volumes of these ids."""
    out = io.BytesIO()
    writer = FrameWriter(out)
    for obs_id in ids:
        subject = f"s{random.randint(0, 99)}"
        writer.volume(ramp((4, 3), seed=len(obs_id)), obs_id=obs_id, obs_subject_id=subject)
    writer.end()
    return out.getvalue()


class Contention:
    """The dataset, what was reported of it, and what went wrong."""

    def __init__(self, box, seconds):
        self.box, self.end = Path(box), time.monotonic() + seconds
        self.lock, self.stages = threading.Lock(), queue.SimpleQueue()
        self.written, self.committed, self.removed = {}, set(), set()
        self.numbers, self.count, self.failures = [], Counter(), []
        ok("vol-write -q ds CT", self.box, stdin=stream(["old1", "old2"]))
        ok("vol-commit -q ds", self.box)
        self.written["old"] = {"old1", "old2"}

    def tool(self, argv, allowed, stdin=b""):
        """Run a tool; a status that is not allowed, or more than a line of error, is a failure."""
        result = subprocess.run(argv, cwd=self.box, env=support.environment(), input=stdin,
                                capture_output=True, timeout=300)
        lines = result.stderr.decode(errors="replace").splitlines()
        with self.lock:
            self.count[f"{argv[0]} {result.returncode}"] += 1
            # vol-commit may also count subjects there.
            said = len(lines) > (result.returncode != 0 or argv[0] == "vol-commit")
            if result.returncode not in allowed or said:
                self.failures.append(f"{argv}: {result.returncode} {result.stdout[:300]} {lines}")
        return result

    # What each thread does again and again.

    def write(self, name):
        with self.lock:
            serial = len(self.written)
            self.written[f"{name}-{serial}"] = set()
        ids = [f"{name}-{serial}-{part}" for part in range(random.randint(1, 3))]
        result = self.tool(["vol-write", "-q", "ds", random.choice(["CT", "MR"])], {0},
                           stream(ids))
        if result.returncode == 0:
            with self.lock:
                self.written[result.stdout.decode().strip()] = set(ids)
            self.stages.put(result.stdout.decode().strip())
        time.sleep(random.uniform(0, 1))

    def commit(self, name):
        """All that is staged, or one stage, which somebody else may have taken by then."""
        argv = ["vol-commit", "ds"]
        if random.random() < 0.5:
            try:
                argv.append(self.stages.get(timeout=0.1))
            except queue.Empty:
                return
        result = self.tool(argv, {0, 66, 75})
        if result.returncode == 0:
            with self.lock:
                self.numbers.append(int(result.stdout.split(b":")[0]))
                if len(argv) > 2:
                    self.committed.add(argv[2])

    def stage_table(self, name):
        table = f"obs_subject_id,x\ns{random.randint(0, 99)},{random.randint(0, 9)}\n"
        self.tool(["vol-meta", "-q", "ds"], {0}, table.encode())
        time.sleep(0.5)

    def remove(self, name):
        """Volumes of a stage that a committer reported, which are there as long as we do not."""
        with self.lock:
            known = sorted(self.committed)
            some = self.written[random.choice(known)] if known else set()
            some = {one for one in some - self.removed if random.random() < 0.5}
            self.removed |= some
        if some:
            result = self.tool(["vol-rm", "ds", *sorted(some)], {0, 75})
            with self.lock:
                if result.returncode == 0:
                    self.numbers.append(int(result.stdout.split(b":")[0]))
                elif result.returncode == 75:
                    self.removed -= some
        time.sleep(random.uniform(0, 0.5))

    def collect(self, name):
        self.tool(["vol-gc", "-q", "--grace", "1h", *random.choice(
            [[], ["--keep-last", "1"], ["--keep-within", "1m"]]), "ds"], {0})
        time.sleep(0.1)

    def read_old(self, name):
        result = self.tool(["vol-cat", "ds@1"], {0})
        digest = hashlib.sha256(result.stdout).hexdigest()
        with self.lock:
            self.old = getattr(self, "old", digest)
            if digest != self.old:
                self.failures.append("snapshot 1 has other bytes than before")

    def read_new(self, name):
        command = random.choice(["vol-cat ds | vol-ls -", "vol-ls --json ds CT", "vol-ls --staged ds",
                                 "vol-ls --sha256 ds | (cd ds; sha256sum --quiet -c)",
                                 "vol-ls --subjects ds", "vol-ls --snapshots ds"])
        result = bash(f"set -o pipefail; {command} > /dev/null", self.box, timeout=300)
        with self.lock:
            self.count[command] += 1
            if result.status or result.err:
                self.failures.append(f"{command}: {result!r}")

    def verify(self, name):
        self.tool(["vol-verify", "-q", *random.choice([[], ["--full"]]), "ds"], {0})
        time.sleep(0.2)

    # All of it.

    def loop(self, body, name):
        try:
            while time.monotonic() < self.end:
                body(name)
        except BaseException as error:
            with self.lock:
                self.failures.append(f"{name}: {error!r}")

    def run(self):
        roles = [(self.write, WRITERS), (self.commit, COMMITTERS), (self.remove, REMOVERS),
                 (self.stage_table, 1), (self.collect, 1), (self.read_old, 1), (self.read_new, 1),
                 (self.verify, 1)]
        threads = [threading.Thread(target=self.loop, args=(body, f"{body.__name__}{number}"))
                   for body, count in roles for number in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        shown = "\n".join(self.failures[:20])
        assert not self.failures, f"{len(self.failures)} failures:\n{shown}"
        self.check()
        return self.count

    def check(self):
        if self.is_staged():
            # It may count subjects on standard error.
            result = bash("vol-commit --if-staged ds", self.box)
            assert result.status == 0, repr(result)
            self.numbers.append(snapshot(result))
        dataset = Dataset(self.box / "ds")
        assert sorted(self.numbers) == list(range(2, max(dataset.manifests) + 1)), (
            "not every snapshot was reported, or one was twice")
        wanted = set().union(*self.written.values()) - self.removed
        assert set(dataset.volumes) == wanted, set(dataset.volumes) ^ wanted
        assert not self.is_staged()
        result = bash("vol-verify --full -q ds", self.box, timeout=300)
        assert (result.status, result.out, result.err) == (0, b"", ""), repr(result)
        ok("vol-gc -q --grace 0 ds", self.box)
        root = self.box / "ds"
        assert inject.files(root) == inject.files_needed(root), "something was left behind"

    def is_staged(self):
        return staged(self.box / "ds") or staged_tables(self.box / "ds")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--keep", action="store_true", help="leave the folder behind on failure")
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="contend-"))
    try:
        count = Contention(folder, arguments.seconds).run()
    except BaseException:
        print(f"left in {folder}" * arguments.keep, file=sys.stderr)
        if not arguments.keep:
            bash(f"rm -rf {quote(folder)}", "/")
        raise
    bash(f"rm -rf {quote(folder)}", "/")
    print("one history, nothing lost, nothing twice, no reader disturbed")
    for what, number in sorted(count.items()):
        print(f"  {number:>6}  {what}")


if __name__ == "__main__":
    main()
