"""Draws an input by its number, runs the tools on it, and notes what is wrong with them."""

import hashlib
import io
import json
import os
import random
import re
import shutil
import stat
import zlib
from collections import Counter
from pathlib import Path

import nibabel
import numpy as np
from dataset import Dataset, staged
from frames import CLOSE, DATA, END, OPEN, read_frames
from storm_box import Box, tree
from storm_builder import Builder
from storm_checks import frames_of, general_faults, is_refusal, strict
from storm_commands import CHANGING, COMMANDS, GC
from storm_datasets import DATASET_CHANGES
from storm_json import UNREADABLE
from storm_streams import FILTER, STREAM_CHANGES, STREAM_TOOLS, WRITE, Frame, Stream, nothing
from storm_tables import META, TABLE, Table, change_table
from storm_verdicts import ABSOLUTE, ALL, CONTROL, accepted

BIDI = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def place(kept, kind):
    """The folder of a kind's first input."""
    return Path(kept) / hashlib.sha256(kind.encode()).hexdigest()[:12]


class Storm:
    """Runs inputs by their numbers; each is drawn by the seed, the family and the number alone."""

    def __init__(self, seed, scratch, kept):
        self.seed, self.kept, self.box = seed, Path(kept), Box(scratch)
        self.findings, self.runs = Counter(), 0
        self.sources = []
        for number, version in enumerate((nibabel.Nifti1Image, nibabel.Nifti2Image)):
            voxels = np.arange(24, dtype="i2").reshape(2, 3, 4)
            nibabel.save(version(voxels, np.diag([2, 2, 3, 1])), f"v{number}.nii")
        nibabel.save(nibabel.Nifti1Pair(voxels, np.eye(4)), "v2.hdr")
        shutil.copy("v0.nii", "v2.nii")
        run = self.box.run(["nifti-cat", "-q", "v0.nii", "v1.nii", "v2.hdr"])
        for kind, header, body in read_frames(io.BytesIO(run.out)):
            if kind == OPEN:
                self.sources.append([])
            if kind != END:
                self.sources[-1].append(Frame(kind, header or None, body))
        os.mkfifo("fifo.nii")
        os.symlink("loop.nii", "loop.nii")
        filler = Frame(OPEN, {"name": "new1", "obs_id": "new1", "shape": [1], "dtype": "uint8"})
        Path("new").write_bytes(b"".join(frame.encode() for frame in [
            filler, Frame(DATA, body=b"x"), Frame(CLOSE, {"voxels": 1, "crc32": zlib.crc32(b"x")}),
            Frame(END, {"volumes": 1, "dropped": 0})]))
        Path("rows").write_bytes(b"obs_subject_id,age\ns9,5\n")

    def one(self, family, number):
        self.dice = random.Random(f"{self.seed}/{family}/{number}")
        self.name, self.verdict = f"{family}:{number}", None
        self.box.clear("ds", "out", "sibling", "same", "asks", "table", "stream")
        getattr(self, family)()

    def note(self, command, fault, run=None):
        """Count a finding; keep what is needed to look at it again, once a kind."""
        kind = f"{self.name.partition(':')[0]} | {self.verdict.kind} | {fault}"
        self.findings[kind, command] += 1
        folder = place(self.kept, kind)
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            return
        for name in ("ds", "stream", "table", "same", "asks", "sibling"):
            if os.path.isdir(name):
                shutil.copytree(name, folder / name, symlinks=True)
            elif os.path.exists(name):
                shutil.copy(name, folder / name)
        text = f"{self.name} of seed {self.seed}\n{kind}\n{command}\n"
        if run:
            text += f"status {run.status}, {run.memory >> 10} MB\nstderr: {run.err[:2000]!r}\n"
            text += f"stdout: {run.out[:2000]!r}\n"
        (folder / "finding.txt").write_text(text)

    def try_(self, command, argv=None, stdin="/dev/null", may_write=()):
        """Run a command; note what is wrong with it whatever the input was."""
        argv = argv or command.partition(" < ")[0].split()
        allowed = str(self.box.box / may_write[0]) if may_write else None
        before = tree(self.box.top, allowed)
        run = self.box.run(argv, stdin)
        self.runs += 1
        for fault in general_faults(command, run):
            self.note(command, fault, run)
        planted = [path for path in (ABSOLUTE, f"{ABSOLUTE}.nii") if os.path.lexists(path)]
        if planted or tree(self.box.top, allowed) != before:
            self.note(command, "changes what it was not given", run)
            for path in planted:
                Path(path).rename(self.kept / "planted")
        wanted = self.verdict.of(command)
        if run.is_late or run.status < 0:
            return run
        # Each answer of a batch is judged for itself.
        if wanted == "refuse" and not is_refusal(command, run) and "--batch" not in argv:
            self.note(command, "takes what is forbidden", run)
        elif wanted == "accept" and run.status not in (0, 1) or (
                wanted == "accept" and is_refusal(command, run)):
            self.note(command, "refuses what is allowed", run)
        return run

    def wrong(self, command, run, found, truth):
        """Note volumes that are not those that were stored."""
        if any(crc != truth.get(obs_id, crc) for obs_id, crc in found):
            self.note(command, "gives other voxels", run)
        ids = [obs_id for obs_id, _ in found]
        if self.verdict.of(command) == "accept" and sorted(ids) != sorted(truth):
            self.note(command, "gives other volumes", run)

    def streams(self):
        stream = Stream(self.dice, self.sources)
        change = self.dice.choice(STREAM_CHANGES)
        self.verdict = (change if stream.pick(OPEN) else nothing)(self.dice, stream)
        data = stream.encode()
        Path("stream").write_bytes(data)
        try:
            volumes = frames_of(data)
        except UNREADABLE:
            volumes = []
        for command, folder in STREAM_TOOLS.items():
            argv = command.split()
            if command == FILTER:
                argv = ["frame-filter", "shape"]
            elif command == WRITE and not volumes and self.verdict.of(command) == "accept":
                continue  # a stream without volumes is refused there
            run = self.try_(command, argv, "stream", (folder,) if folder else ())
            if run.status in (0, 1) and volumes and self.verdict.refuse is not ALL:
                self.check_stream(command, run, volumes)
        if self.verdict.kind.endswith("bidi"):
            self.check_terminal(["vol-ls", "-"], "stream")

    def check_stream(self, command, run, volumes):
        """What came of a stream that was taken."""
        if command == FILTER:
            try:
                if frames_of(run.out) != volumes:
                    self.note(command, "gives other volumes", run)
            except UNREADABLE:
                pass  # noted before
        elif command == WRITE:
            wanted = [(header.get("obs_id"), crc) for header, crc in volumes]
            try:
                made = [(volume.obs_id, volume.crc32) for stage in staged("ds").values()
                        for volume in stage if volume.array() is not None]
            except Exception as error:
                self.note(command, f"writes what is no stage: {type(error).__name__}", run)
                return
            if len(made) != len(wanted) or any(
                    crc != other or obs_id not in (None, name)
                    for (obs_id, crc), (name, other) in zip(wanted, made)):
                self.note(command, "stages other volumes", run)
        elif command == "vol-ls --json -":
            lines = run.out.split(b"\n")[:-1]
            names = [(header.get("obs_id"), header.get("name")) for header, _ in volumes]
            listed = []
            for line in lines:
                try:
                    header = strict(line)
                    listed.append((header.get("obs_id"), header.get("name")))
                except UNREADABLE:
                    return  # noted before
            if listed != names:
                self.note(command, "lists other volumes", run)

    def check_terminal(self, argv, stdin="/dev/null"):
        shown = self.box.on_terminal(argv, stdin)
        if BIDI.search(shown):
            self.note(" ".join(argv), "raw bidirectional mark on a terminal")
        if CONTROL.search(re.sub("\x1b\\[[0-9;]*m", "", shown)):
            self.note(" ".join(argv), "raw control character on a terminal")

    def datasets(self):
        builder = Builder(self.dice)
        self.verdict = self.dice.choice(DATASET_CHANGES)(self.dice, builder)
        builder.files or builder.build()
        self.victim = builder.ids[builder.first][builder.victim]
        Path("same").write_bytes(builder.same)
        # Of what a line of a request can say, and is committed.
        committed = [obs_id for obs_id in builder.truth if obs_id not in builder.ids[builder.third]]
        self.asked = [obs_id for obs_id in committed if re.fullmatch(r"[^\s\0-\x1f\x7f]+", obs_id)]
        asks = "".join(f"{obs_id} :\n" for obs_id in [*self.asked, "nobody"])
        Path("asks").write_bytes(asks.encode())
        known = [command for command in COMMANDS
                 if self.verdict.of(command) != "either" or command in self.verdict.also]
        others = [command for command in COMMANDS if command not in known]
        commands = self.dice.sample(known, min(6, len(known)))
        commands += self.dice.sample(others, min(2 + (not known) * 4, len(others)))
        builder.write(Path("ds"))
        is_changed = False
        for command in sorted(commands, key=lambda command: command.startswith(CHANGING)):
            if "{id}" in command and ("\0" in self.victim or not self.victim):
                continue
            if is_changed:
                self.box.clear("ds", "sibling")
                builder.write(Path("ds"))
            is_changed = command.startswith(CHANGING)
            self.on_dataset(command, builder)
        if self.verdict.kind.endswith("bidi"):
            self.check_terminal(["vol-ls", "ds", "CT"])
            self.check_terminal(["vol-ls", "ds"])

    def on_dataset(self, command, builder):
        line, _, stdin = command.partition(" < ")
        argv = line.split()
        if "{id}" in argv:
            argv = [word for word in argv if word not in ("{id}", "ds", "CT")] + ["--", "ds"] + [
                "CT"] * ("CT" in argv) + [self.victim]
        folder = {"vol-export": "out"}.get(argv[0], "ds" if command.startswith(CHANGING) else None)
        before = {path for path, info in tree("ds").items() if not stat.S_ISDIR(info[0])}
        run = self.try_(command, argv, stdin or "/dev/null", (folder,) if folder else ())
        if folder == "out":
            self.box.clear("out")
        if run.is_late or run.status < 0:
            return
        if is_refusal(command, run) and run.status != 1 and folder == "ds" and command != GC:
            after = {path for path, info in tree("ds").items() if not stat.S_ISDIR(info[0])}
            if after != before:
                self.note(command, "refuses, and changes the dataset", run)
        truth = {obs_id: crc for obs_id, crc in builder.truth.items()
                 if obs_id not in builder.ids[builder.third]}
        if run.status in (0, 1):
            self.check_dataset(command, run, builder, truth)

    def check_dataset(self, command, run, builder, truth):
        """What came of a dataset that was taken."""
        is_sound = self.verdict.of(command) == "accept"
        if command in ("vol-cat ds", "vol-cat -k ds", "vol-cat ds CT {id}"):
            try:
                found = [(header.get("obs_id"), crc) for header, crc in frames_of(run.out)]
            except UNREADABLE:
                return  # noted before
            if "{id}" in command:
                truth = {self.victim: truth.get(self.victim)}
            self.wrong(command, run, found, truth)
        elif command == "vol-cat --raw ds CT {id}":
            if zlib.crc32(run.out) != truth.get(self.victim, zlib.crc32(run.out)):
                self.note(command, "gives other voxels", run)
        elif command.startswith("vol-cat --batch"):
            self.check_answers(command, run, truth)
        elif command == "vol-ls --json ds CT" and is_sound:
            listed = [strict(line).get("obs_id") for line in run.out.split(b"\n")[:-1]]
            if listed != builder.ids[builder.first]:
                self.note(command, "lists other volumes", run)
        elif command.startswith(CHANGING) and is_sound:
            for path in [path for path, data in builder.files.items() if data == b"not yours"]:
                try:
                    Path("ds", path).unlink()
                except FileNotFoundError:
                    self.note(command, "removes a file that is none of the dataset's", run)
            try:
                dataset = Dataset("ds", gaps=True)
                kept = set(truth) - ({self.victim} if command.startswith("vol-rm") else set())
                assert kept <= set(dataset.volumes), "a volume is gone"
                for obs_id in kept:
                    dataset[obs_id].array()
            except Exception as error:
                if not self.verdict.kind.startswith("HEAD"):
                    self.note(command, f"leaves no dataset: {str(error)[:60]}", run)

    def check_answers(self, command, run, truth):
        at = 0
        for obs_id in [*self.asked, "nobody"]:
            end = run.out.find(b"\n", at)
            if end < 0:
                if run.status == 0:
                    self.note(command, "gives too few answers", run)
                return
            try:
                answer = strict(run.out[at:end])
            except ValueError:
                return self.note(command, "answer is no JSON", run)
            at = end + 1
            if "error" in answer:
                if self.verdict.of(command) == "accept" and obs_id != "nobody":
                    self.note(command, "refuses what is allowed", run)
                continue
            voxels = run.out[at:at + answer["bytes"]]
            at += answer["bytes"]
            if obs_id == "nobody" or zlib.crc32(voxels) != truth[obs_id]:
                self.note(command, "gives other voxels", run)
            elif obs_id == self.victim and self.verdict.of(command) == "refuse":
                self.note(command, "takes what is forbidden", run)

    def tables(self):
        table = Table(self.dice)
        self.verdict = change_table(self.dice, table)
        Path("table").write_bytes(table.encode())
        if len(table.rows) < 1000:
            self.try_(TABLE, stdin="/dev/null")
        run = self.try_(META, stdin="table", may_write=("ds",))
        if run.status == 0 and self.verdict.refuse != {META} and META not in self.verdict.refuse:
            self.check_table(table)

    def check_table(self, table):
        """What was staged comes back, text for text."""
        kind, self.verdict = self.verdict, accepted(self.verdict.kind)
        self.try_("vol-commit -q ds", may_write=("ds",))
        run = self.try_("vol-meta --json ds")
        self.verdict = kind
        if self.verdict.of(META) != "accept" or run.status:
            return
        try:
            rows = [strict(line) for line in run.out.split(b"\n")[:-1]]
        except UNREADABLE:
            return  # noted before
        wanted = table.expected()
        is_same = len(rows) == len(wanted) and all(
            row.get(name) == text or text is not None and is_value(text, row.get(name))
            for row, texts in zip(rows, wanted) for name, text in zip(table.names, texts))
        if not is_same:
            self.note("vol-meta --json ds", "gives other rows", run)


def is_value(text, value):
    """Whether a text is the JSON of a number or a boolean."""
    try:
        return json.loads(text) == value
    except ValueError:
        return False
