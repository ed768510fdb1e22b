"""A storm of hostile inputs, drawn at random: streams, datasets and tables whose sums are right.

    python3 storm.py --streams 10000 --datasets 4000 --tables 1000 --seed 1
    python3 storm.py --seed 1 --only datasets:123

An input is valid, and then one thing about it is changed, in such a way that the manuals say what
is to be made of it: all digests and checksums are made anew, so that the checks behind them are
reached. It goes through the tools that read it. Whatever it is, none of them may trap, hang, take
over 300 MB, write outside of the folder it was given, or end in another way than its manual says;
what it gives out is what it says it is; what the manuals forbid is refused, what they allow is
taken, and what is taken is given back as it was. Findings are grouped by kind. The first input of
each kind is kept, with the command that fails on it.

How inputs are drawn and changed, and what is checked, is in the `storm_*.py` beside this file.
"""

import argparse
import multiprocessing
import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from storm_worker import Storm, place


def begin(seed, scratch, kept):
    """Make a worker of this process."""
    global worker
    worker = Storm(seed, scratch, kept)


def work(job):
    """One input: its findings, and how many runs it took."""
    worker.findings, worker.runs = Counter(), 0
    try:
        worker.one(*job)
    except Exception as error:
        raise RuntimeError(f"input {job} of seed {worker.seed}") from error
    return worker.findings, worker.runs


def storm(counts, seed, kept, processes=2, say=lambda text: None):
    """Inputs of each family by number, from 0: (Counter of findings, number of runs).

    `counts` has how many of each family, or a list of numbers. Interrupted, it ends early.
    """
    families = {family: range(count) if isinstance(count, int) else count
                for family, count in counts.items()}
    jobs = sorted(((family, number) for family in families for number in families[family]),
                  key=lambda job: job[1] / (max(families[job[0]]) + 1))
    kept = Path(kept).resolve()
    kept.mkdir(parents=True, exist_ok=True)
    findings, runs = Counter(), 0
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    scratch = tempfile.mkdtemp(prefix="storm-", dir=memory)
    # New processes, and not copies of this one, so that they begin small.
    fresh = multiprocessing.get_context("spawn")
    try:
        with fresh.Pool(processes, begin, (seed, scratch, kept)) as pool:
            results = pool.imap_unordered(work, jobs, chunksize=5)
            for number, (found, count) in enumerate(results, 1):
                findings.update(found)
                runs += count
                say(f"\r{number} of {len(jobs)} inputs, {runs} runs, {findings.total()} findings ")
    except KeyboardInterrupt:
        say("interrupted\n")
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return findings, runs


def report(findings, kept):
    """The kinds of findings, the most frequent first, by what commands, and where the first is."""
    kinds = {}
    for (kind, command), count in findings.items():
        kinds.setdefault(kind, Counter())[command] = count
    return "\n".join(
        f"{sum(by.values()):>6}  {kind}\n        {place(kept, kind)}: "
        + ", ".join(f"{command} ({count})" for command, count in by.most_common())
        for kind, by in sorted(kinds.items(), key=lambda item: -sum(item[1].values())))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for family, count in (("streams", 10_000), ("datasets", 4000), ("tables", 1000)):
        parser.add_argument(f"--{family}", type=int, default=count)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", help="one input, as in streams:123")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--keep", default=None, help="the folder for what fails")
    arguments = parser.parse_args()
    kept = arguments.keep or tempfile.mkdtemp(prefix="storm-")
    counts = {family: getattr(arguments, family) for family in ("streams", "datasets", "tables")}
    if arguments.only:
        family, _, number = arguments.only.partition(":")
        counts, arguments.processes = {family: [int(number)]}, 1
    start = time.monotonic()
    say = sys.stderr.write if sys.stderr.isatty() else lambda text: None
    findings, runs = storm(counts, arguments.seed, kept, arguments.processes, say)
    seconds = time.monotonic() - start
    print(f"{runs} runs in {seconds:.0f} s, {runs / seconds:.0f} a second; "
          f"{findings.total()} findings of {len({kind for kind, _ in findings})} kinds")
    if findings:
        print(report(findings, kept))
    return bool(findings)


if __name__ == "__main__":
    sys.exit(main())
