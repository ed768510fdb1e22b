"""Reads a dataset from vol-dataset(5) alone: the second opinion on what the tools wrote.

Shares no code with them. Everything that the page fixes is checked on the way, so that opening a
dataset and reading its volumes is itself a test of the format. Small datasets only: catalogs and
volumes are held in memory.
"""

import hashlib
import json
import re
import struct
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from zlib import crc32

import google_crc32c
import numpy as np
import zstandard

ABSENT = 2**64 - 1
HEX32 = re.compile(r"[0-9a-f]{32}")
HEX64 = re.compile(r"[0-9a-f]{64}")
SEAL = re.compile(rb',\n  "sha256" : "([0-9a-f]{64})"\n}\n')
SEAL_BYTES = len(b',\n  "sha256" : ""\n}\n') + 64
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


class FormatError(AssertionError):
    """The dataset is not as vol-dataset(5) says."""


def need(condition, message):
    if not condition:
        raise FormatError(message)


def crc32c(*parts):
    crc = 0
    for part in parts:
        crc = google_crc32c.extend(crc, bytes(part))
    return crc


def unzstd(frame, size, what):
    """One whole zstd frame with content size and checksum, and nothing after it."""
    parameters = zstandard.get_frame_parameters(frame)
    need(parameters.has_checksum, f"{what}: zstd frame without checksum")
    need(parameters.content_size == size, f"{what}: zstd content size is not {size}")
    decoder = zstandard.ZstdDecompressor().decompressobj()
    data = decoder.decompress(frame)
    need(decoder.eof and not decoder.unused_data, f"{what}: not one zstd frame")
    need(len(data) == size, f"{what}: {len(data)} bytes, not {size}")
    return data


def check_header(data, magic, stage, number, what):
    """The 32 bytes that packs and catalogs begin with."""
    name, owner, index, crc = struct.unpack_from("<8s16sII", data)
    need(name == magic, f"{what}: magic {name!r}")
    need(owner.hex() == stage, f"{what}: of another stage")
    need(index == number, f"{what}: number {index}, not {number}")
    need(crc == crc32c(data[:28]), f"{what}: CRC-32C of the header")


class Cursor:
    """Takes fields from bytes one after the other."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, count):
        need(self.at + count <= len(self.data), "record is cut off")
        self.at += count
        return self.data[self.at - count:self.at]

    def number(self, size):
        return int.from_bytes(self.take(size), "little")


@dataclass
class Volume:
    """A catalog record and where its bytes lie."""

    obs_id: str
    collection: str
    header: dict
    raw_bytes: int
    crc32: int
    pack: Path
    offset: int
    length: int
    shuffled: bool
    chunk: tuple
    extras: list = field(default_factory=list)  # (after, bytes) or (after, offset, stored, size)

    @property
    def shape(self):
        return tuple(self.header["shape"])

    @property
    def channels(self):
        return self.header.get("channels", 1)

    @property
    def dtype(self):
        return np.dtype(self.header["dtype"]).newbyteorder("<")

    @property
    def grid(self):
        return tuple(-(-s // c) for s, c in zip(self.shape, self.chunk))

    @property
    def chunk_bytes(self):
        return prod(self.chunk) * self.channels * self.dtype.itemsize

    def ranges(self):
        """(offset, length) in the pack of everything that belongs to this volume."""
        return [(self.offset, self.length)] + [(e[1], e[2]) for e in self.extras if len(e) == 4]

    def read(self, offset, length):
        with open(self.pack, "rb") as pack:
            pack.seek(offset)
            data = pack.read(length)
        need(len(data) == length, f"{self.obs_id}: extent past the end of the pack")
        return data

    def source_bytes(self, after):
        """The extra frames before (False) or after the voxels, put together."""
        parts = []
        for extra in self.extras:
            if bool(extra[0]) == after:
                body = extra[1] if len(extra) == 2 else unzstd(
                    self.read(extra[1], extra[2]), extra[3], f"{self.obs_id}: blob")
                parts.append(body)
        return b"".join(parts)

    def index(self):
        """(offset, length) of each chunk in the shard, X running fastest."""
        count = prod(self.grid)
        tail = self.read(self.offset + self.length - 16 * count - 4, 16 * count + 4)
        need(crc32c(tail[:-4]) == int.from_bytes(tail[-4:], "little"), f"{self.obs_id}: index CRC")
        entries = struct.unpack(f"<{2 * count}Q", tail[:-4])
        return list(zip(entries[::2], entries[1::2]))

    def array(self):
        """The voxels as [x, y, z, ...], channels last; checked against the CRC-32."""
        shard = self.read(self.offset, self.length)
        room = self.length - 16 * prod(self.grid) - 4
        padded = [g * c for g, c in zip(self.grid, self.chunk)]
        whole = np.zeros([self.channels] + padded, self.dtype, order="F")
        for number, (offset, length) in enumerate(self.index()):
            if (offset, length) == (ABSENT, ABSENT):
                continue
            need(offset + length <= room, f"{self.obs_id}: chunk {number} outside the shard")
            values = self.decode(shard[offset:offset + length], f"{self.obs_id}: chunk {number}")
            place, rest = [slice(None)], number
            for cells, edge in zip(self.grid, self.chunk):
                place.append(slice(rest % cells * edge, rest % cells * edge + edge))
                rest //= cells
            whole[tuple(place)] = values
        whole = whole[(slice(None), *(slice(s) for s in self.shape))]
        voxels = whole.tobytes(order="F")
        need(len(voxels) == self.raw_bytes, f"{self.obs_id}: {len(voxels)} bytes of voxels")
        need(crc32(voxels) == self.crc32, f"{self.obs_id}: CRC-32 of the voxels")
        return whole[0] if self.channels == 1 else np.moveaxis(whole, 0, -1)

    def decode(self, chunk, what):
        two, one, flags, size, n, block, total, twenty, z = struct.unpack_from("<4B3Iii", chunk)
        need((two, one, twenty) == (2, 1, 20), f"{what}: not the Blosc frame of the page")
        need(flags == (0x91 if self.shuffled else 0x90), f"{what}: flags {flags:#x}")
        need(size == self.dtype.itemsize and n == block == self.chunk_bytes, f"{what}: sizes")
        need(total == len(chunk) == 24 + z and z != n, f"{what}: lengths")
        data = unzstd(chunk[24:], n, what)
        need(data.count(0) < n, f"{what}: zero everywhere and yet stored")
        if self.shuffled:
            data = np.frombuffer(data, "u1").reshape(size, n // size).T.tobytes()
        return np.frombuffer(data, self.dtype).reshape([self.channels, *self.chunk], order="F")


def read_catalog(root, stage):
    """The volumes of a committed or finished stage, in the order in which they were written."""
    path = root / stage["catalog"]["path"]
    data, name = path.read_bytes(), path.name
    check_header(data, b"volcat01", stage["stage"], 0, name)
    footer = data[-48:]
    magic, records, blocks, index_at, pages, zero, crc = struct.unpack("<8sQQQQII", footer)
    need(magic == b"volcate1" and zero == 0 and crc == crc32c(footer[:44]), f"{name}: footer")
    need(index_at + 4096 * pages + 48 == len(data), f"{name}: index is not before the footer")

    volumes, homes, at = [], {}, 32
    for _ in range(blocks):
        stored, size, count, crc = struct.unpack_from("<4I", data, at)
        need(stored <= 16_843_009 and size <= 16_777_216 and count >= 1, f"{name}: block bounds")
        frame = data[at + 16:at + 16 + stored]
        need(crc == crc32c(data[at:at + 12], frame), f"{name}: CRC-32C of the block at {at}")
        cursor = Cursor(unzstd(frame, size, f"{name}: block at {at}"))
        for _ in range(count):
            volumes.append(read_record(cursor, root, stage))
            homes[hashlib.sha256(volumes[-1].obs_id.encode()).digest()[:16]] = at
        need(cursor.at == size, f"{name}: bytes after the records of the block at {at}")
        at += 16 + stored
    need(at == index_at and len(volumes) == records, f"{name}: blocks do not fill the catalog")

    entries = []
    for page in range(pages):
        raw = data[index_at + 4096 * page:index_at + 4096 * (page + 1)]
        count, number, zero, crc = struct.unpack_from("<4I", raw)
        need(number == page and zero == 0 and crc == crc32c(raw[:12], raw[16:]), f"{name}: page")
        need(count == 170 or page == pages - 1 and 1 <= count <= 170, f"{name}: page not full")
        need(not any(raw[16 + 24 * count:]), f"{name}: page not filled with zeros")
        entries += [(raw[i:i + 16], int.from_bytes(raw[i + 16:i + 24], "little"))
                    for i in range(16, 16 + 24 * count, 24)]
    need(entries == sorted(homes.items()), f"{name}: the index does not lead to the records")
    return volumes


def read_record(cursor, root, stage):
    record = Cursor(cursor.take(cursor.number(4)))
    obs_id = record.take(record.number(2)).decode()
    header = json.loads(record.take(record.number(4)))
    need(header.get("obs_id") == obs_id, f"{obs_id}: its header has another obs_id")
    raw_bytes, crc, pack = record.number(8), record.number(4), record.number(4)
    offset, length, shuffled = record.number(8), record.number(8), record.number(1)
    need(shuffled in (0, 1), f"{obs_id}: shuffle flag")
    chunk = tuple(record.number(4) for _ in range(record.number(1)))
    path = root / stage["packs"][pack]["path"]
    volume = Volume(obs_id, stage["collection"], header, raw_bytes, crc, path, offset, length,
                    bool(shuffled), chunk)
    need(len(chunk) == len(volume.shape), f"{obs_id}: axes of the chunk")
    need(all(1 <= c <= s for c, s in zip(chunk, volume.shape)), f"{obs_id}: chunk {chunk}")
    need(volume.chunk_bytes <= 134_217_728, f"{obs_id}: chunk of {volume.chunk_bytes} bytes")
    for _ in range(record.number(2)):
        after, blob, size = record.number(1), record.number(1), record.number(4)
        need(after in (0, 1) and blob in (0, 1) and 1 <= size <= 16_777_216, f"{obs_id}: extra")
        if blob:
            volume.extras.append((after, record.number(8), record.number(4), size))
        else:
            volume.extras.append((after, record.take(size)))
    need(record.at == len(record.data), f"{obs_id}: bytes after the record")
    return volume


def check_file(root, file):
    """The bytes of a file that a document names, of the size and the digest that it says."""
    data = (root / file["path"]).read_bytes()
    need(len(data) == file["bytes"], f"{file['path']}: size")
    need(hashlib.sha256(data).hexdigest() == file["sha256"], f"{file['path']}: SHA-256")
    return data


def check_stage(root, stage, revised=False):
    """What a stage record and a manifest's entry for a stage have in common.

    Only a manifest may name a revised catalog.
    """
    name, catalog = stage["stage"], stage["catalog"]["path"]
    need(HEX32.fullmatch(name), f"stage name {name!r}")
    need(TIME.fullmatch(stage["created"]), f"time {stage['created']!r}")
    allowed = f"catalogs/{name}(-{HEX32.pattern})?.catalog" if revised else (
        f"catalogs/{name}.catalog")
    need(re.fullmatch(allowed, catalog), f"path of the catalog {catalog!r}")
    need(1 <= len(stage["packs"]) <= 65_536, f"stage {name}: number of packs")
    files = [stage["catalog"], *stage["packs"]]
    for number, pack in enumerate(stage["packs"]):
        need(pack["path"] == f"packs/{name}-{number:04}.pack", f"path {pack['path']!r}")
        with open(root / pack["path"], "rb") as file:
            check_header(file.read(32), b"volpack1", name, number, pack["path"])
    for file in files:
        check_file(root, file)
    need(stage["stored_bytes"] == sum(file["bytes"] for file in files), "stored_bytes")
    need(stage["codec"]["name"] == "blosc-zstd", "codec")
    volumes = read_catalog(root, stage)
    need(stage["volumes"] == len(volumes) >= 1, f"stage {name}: number of volumes")
    need(stage["raw_bytes"] == sum(v.raw_bytes for v in volumes), f"stage {name}: raw_bytes")
    return volumes


def seal(body):
    """A document with its own digest as the last member, as all must have."""
    need(body.endswith(b"\n}\n"), "not an object that ends in a line of its own")
    digest = hashlib.sha256(body).hexdigest()
    return body[:-3] + f',\n  "sha256" : "{digest}"\n}}\n'.encode()


def reseal(path, change=None, **members):
    """Edit a document by hand and seal it again, so that only the edit can be what is wrong.

    `change(document)` edits it; `members` are set. What names the file by its digest (the parent in
    the next manifest, HEAD) is left as it was.
    """
    document = json.loads(Path(path).read_bytes())
    document.pop("sha256", None)
    if change:
        change(document)
    document.update(members)
    body = json.dumps(document, indent=2, separators=(",", " : "), ensure_ascii=False)
    Path(path).write_bytes(seal(body.encode() + b"\n"))


def read_json(path, name):
    data = path.read_bytes()
    document = json.loads(data)
    known = (2, 3) if name == "volpipe-manifest" else (2,)
    need(document["format"] == name and document["version"] in known, f"{path.name}: format")
    end = SEAL.fullmatch(data[-SEAL_BYTES:])
    need(end, f"{path.name}: not sealed")
    digest = hashlib.sha256(data[:-SEAL_BYTES] + b"\n}\n").hexdigest()
    need(document.pop("sha256") == end[1].decode() == digest, f"{path.name}: its own digest")
    return document


@dataclass
class Subjects:
    """A subject table: names of columns, their types, rows of texts and None."""

    names: list
    types: list
    rows: list


def read_subjects(root, entry):
    """The table that a manifest or a record of a staged table names."""
    path = entry["path"]
    need(re.fullmatch(f"subjects/{HEX32.pattern}.subjects", path), f"path {path!r}")
    data = check_file(root, entry)
    need(data.endswith(b"\n"), f"{path}: its last line has no end")
    head, *lines = data.decode().split("\n")[:-1]
    head, rows = json.loads(head), [json.loads(line) for line in lines]
    need((head["format"], head["version"]) == ("volpipe-subjects", 1), f"{path}: format")
    names = [column["name"] for column in head["columns"]]
    types = [column["type"] for column in head["columns"]]
    need(len(set(names)) == len(names) <= 4096, f"{path}: columns")
    need(set(types) <= {"text", "number", "boolean", "json"}, f"{path}: types")
    need((names[0], types[0]) == ("obs_subject_id", "text"), f"{path}: first column")
    need(len(rows) == entry["rows"], f"{path}: number of rows")
    for row in rows:
        need(len(row) == len(names) and row[0], f"{path}: row {row!r}")
        need(all(value is None or isinstance(value, str) for value in row), f"{path}: row {row!r}")
        for kind, value in zip(types, row):
            if value is not None and kind != "text":
                # What JSON writes as a number or a boolean is one: nothing else is in the column.
                value = json.loads(value)
                number = isinstance(value, (int, float)) and not isinstance(value, bool)
                need(kind == "json" or number == (kind == "number"), f"{path}: {kind} {value!r}")
                need(kind != "boolean" or isinstance(value, bool), f"{path}: {kind} {value!r}")
    order = [row[0].encode() for row in rows]
    need(order == sorted(order), f"{path}: not sorted by subject")
    return Subjects(names, types, rows)


def staged(root):
    """{stage: volumes} of the finished stages that lie in stages/."""
    root, result = Path(root), {}
    for path in sorted((root / "stages").glob("*.json")):
        if HEX32.fullmatch(path.stem):
            record = read_json(path, "volpipe-stage")
            need(record["stage"] == path.stem, f"{path.name}: of another stage")
            need(record.get("replaces", True) is True, f"{path.name}: replaces")
            if "run" in record:
                run = record["run"]
                need(HEX32.fullmatch(run["id"]), f"{path.name}: run")
                need(isinstance(run["stages"], int) and 2 <= run["stages"] <= 200, f"{path.name}")
            result[path.stem] = check_stage(root, record)
    return result


def staged_tables(root):
    """{table: Subjects} of the staged subject tables that lie in stages/."""
    root, result = Path(root), {}
    for path in sorted((root / "stages").glob("*-subjects.json")):
        if path.name[0] != ".":
            record = read_json(path, "volpipe-subjects-stage")
            need(f"{record['stage']}-subjects.json" == path.name, f"{path.name}: of another table")
            table = record["table"]
            need(table["path"] == f"subjects/{record['stage']}.subjects", f"{path.name}: path")
            need(isinstance(record["replace"], bool), f"{path.name}: replace")
            need(TIME.fullmatch(record["created"]), f"time {record['created']!r}")
            result[record["stage"]] = read_subjects(root, {**table, "rows": record["rows"]})
    return result


class Dataset:
    """A snapshot: the last one, or the one asked for. All manifests that are there are checked too.

    Those before the first that is there are those that vol-gc removed; one that died may have left
    gaps behind that too.
    """

    def __init__(self, root, snapshot=None, gaps=False):
        self.root = Path(root)
        identity = read_json(self.root / "volpipe.json", "volpipe-dataset")
        need(HEX32.fullmatch(identity["dataset_id"]), "dataset_id")
        need(TIME.fullmatch(identity["created"]), "created")
        paths = sorted((self.root / "manifests").glob("[0-9]*.json"))
        numbers = [int(path.stem) for path in paths]
        need([path.name for path in paths] == [f"{number:010}.json" for number in numbers], "names")
        need(gaps or numbers == list(range(numbers[0], numbers[-1] + 1)), "a manifest is missing")
        self.manifests, digests = {}, {}
        for number, path in zip(numbers, paths):
            manifest = read_json(path, "volpipe-manifest")
            need(manifest["snapshot"] == number, f"{path.name}: number")
            parent = manifest["parent"]
            need((parent is None) == (number == 1), f"{path.name}: parent")
            if parent:
                need(parent["snapshot"] == number - 1, f"{path.name}: parent")
                need(HEX64.fullmatch(parent["sha256"]), f"{path.name}: parent")
                need(digests.get(number - 1, parent["sha256"]) == parent["sha256"],
                     f"{path.name}: it does not follow the snapshot before")
            need(manifest["dataset_id"] == identity["dataset_id"], f"{path.name}: dataset_id")
            need(HEX32.fullmatch(manifest["commit_id"]), f"{path.name}: commit_id")
            need(TIME.fullmatch(manifest["created"]), f"{path.name}: created")
            need(isinstance(manifest["metadata"], dict), f"{path.name}: metadata")
            need("subjects" in manifest, f"{path.name}: subjects")
            need(not any(key in stage for stage in manifest["stages"]
                         for key in ("replaces", "run")), f"{path.name}")
            self.check_committed(manifest, f"{path.name}: committed")
            digests[number] = hashlib.sha256(path.read_bytes()).hexdigest()
            self.manifests[number] = manifest
        need(len(paths) == len({m["commit_id"] for m in self.manifests.values()}), "commit_id")
        self.manifest = self.manifests[snapshot or max(self.manifests)]
        self.check_head(digests)
        self.volumes = {}
        totals = {}
        for stage in self.manifest["stages"]:
            total = totals.setdefault(
                stage["collection"], {"volumes": 0, "raw_bytes": 0, "stored_bytes": 0})
            for key in total:
                total[key] += stage[key]
            for volume in check_stage(self.root, stage, True):
                need(volume.obs_id not in self.volumes, f"{volume.obs_id} is there twice")
                self.volumes[volume.obs_id] = volume
        need(self.manifest["collections"] == totals, "totals of the collections")
        entry = self.manifest.get("subjects")
        need(not entry or all(HEX32.fullmatch(table) for table in entry["stages"]), "subjects")
        self.subjects = entry and read_subjects(self.root, entry)

    @staticmethod
    def check_committed(manifest, where):
        """Records that nobody could remove, of what the snapshot does not hold, and only these."""
        listed = manifest.get("committed", [])
        need(("committed" in manifest) == (manifest["version"] == 3) == bool(listed), where)
        need(all(HEX32.fullmatch(name) for name in listed), where)
        need(listed == sorted(set(listed)) and len(listed) <= 65_536, where)
        need(not {stage["stage"] for stage in manifest["stages"]} & set(listed), where)

    def check_head(self, digests):
        """HEAD may lag, and may not be there yet, but what it says is true."""
        path = self.root / "HEAD"
        if not path.exists():
            return
        text = path.read_text()
        match = re.fullmatch(r"(\d+) ([0-9a-f]{64})\n", text)
        need(match, f"HEAD is {text!r}")
        number = int(match[1])
        need(number <= max(digests), "HEAD is ahead of the manifests")
        # Of a snapshot that was removed nothing can be said.
        need(digests.get(number, match[2]) == match[2], "HEAD has another digest")

    def __getitem__(self, obs_id):
        return self.volumes[obs_id]
