"""Makes datasets in which one part is not as it should be, and all sums are."""

import hashlib
import json
import struct
import zlib
from collections import Counter
from math import prod

import numpy as np
import zstandard
from dataset import ABSENT, crc32c, seal
from frames import CLOSE, DATA, DTYPES, END, EXTRA, OPEN
from storm_json import compact
from storm_streams import Frame, voxel_size
from storm_verdicts import NOW


def zstd(data, checksum=True, size=True, level=1):
    return zstandard.ZstdCompressor(level=level, write_checksum=checksum,
                                    write_content_size=size).compress(bytes(data))


def with_crc(data):
    return data + struct.pack("<I", crc32c(data))


def file_header(magic, stage, number=0):
    return with_crc(struct.pack("<8s16sI", magic, bytes.fromhex(stage), number))


def document(members):
    return json.dumps(members, indent=2, separators=(",", " : "), ensure_ascii=False).encode(
        errors="surrogatepass") + b"\n"


def digest(data):
    return hashlib.sha256(data).hexdigest()


def file_entry(path, data):
    return {"path": path, "bytes": len(data), "sha256": digest(data)}


class Builder:
    """Makes a dataset of two snapshots, something staged, and a subject table in each.

    A hook is called with each part of its name before that is encoded, may change it, and gives it
    back; sums over it are made after that. Hooks of a volume are called for the victim alone.
    """

    def __init__(self, dice):
        self.dice, self.hooks, self.files, self.truth = dice, {}, {}, {}
        self.id = lambda: f"{dice.getrandbits(128):032x}"
        self.dataset_id, self.first, self.second, self.third = (self.id() for _ in range(4))
        self.old_table, self.new_table = self.id(), self.id()
        self.ids = {self.first: [f"a{n}" for n in range(dice.randint(2, 5))],
                    self.second: ["m0", "m1"], self.third: ["p0"]}
        self.victim = dice.randrange(len(self.ids[self.first]))
        self.is_empty = dice.random() < 0.15  # whether the victim's voxels are all zero

    def hook(self, name, value):
        change = self.hooks.get(name)
        return change(value) if change else value

    def volume(self, stage, number, pack, pack_number):
        """Append the volume's extents to the pack; its record."""
        dice, obs_id = self.dice, self.ids[stage][number]
        is_victim = stage == self.first and number == self.victim
        hook = self.hook if is_victim else lambda name, value: value
        shape = [dice.randint(1, 7) for _ in range(dice.choice([1, 3, 3, 4]))]
        channels = dice.choice([1, 1, 1, 3])
        dtype = np.dtype(dice.choice(DTYPES) if channels == 1 else "uint8").newbyteorder("<")
        header = {"dtype": dtype.name, "name": f"n{number}", "obs_id": obs_id, "shape": shape,
                  "obs_subject_id": f"s{number}"}
        if channels == 3:
            header["channels"] = 3
        if dice.random() < 0.5:
            header.update(attributes={"k": "v"}, unknown=[1, {"a": None}])
            if channels == 1:  # NIfTI has no scaling of colours
                header.update(slope=0.5, intercept=3)
        chunk = [dice.randint(1, length) for length in shape]
        grid = [-(-length // edge_) for length, edge_ in zip(shape, chunk)]
        is_zero = self.is_empty if is_victim else dice.random() < 0.1
        voxels = np.frombuffer(bytes(voxel_size(header)) if is_zero else
                               dice.randbytes(voxel_size(header)), dtype)
        whole = np.zeros([channels, *(g * c for g, c in zip(grid, chunk))], dtype, order="F")
        whole[tuple(slice(n) for n in (channels, *shape))] = voxels.reshape(
            [channels, *shape], order="F")
        shuffled = dtype.itemsize > 1 and dice.random() < 0.7
        shard, entries = b"", []
        for place in np.ndindex(*reversed(grid)):
            cut = tuple(slice(p * c, p * c + c) for p, c in zip(reversed(place), chunk))
            data = whole[(slice(None), *cut)].tobytes(order="F")
            if not any(data):
                entries.append((ABSENT, ABSENT))
                continue
            frame = hook("chunk", self.chunk(data, dtype.itemsize, shuffled))
            entries.append((len(shard), len(frame)))
            shard += frame
        index = b"".join(struct.pack("<QQ", *entry) for entry in hook("shard index", entries))
        shard += hook("shard end", with_crc(index))
        extras, blobs, at = b"", b"", len(pack) + len(shard)
        bodies = [dice.randbytes(dice.randint(1, 40)) for _ in range(dice.choice([0, 0, 1, 2]))]
        for after, body in enumerate(bodies):
            if dice.random() < 0.5:
                extras += struct.pack("<BBI", after, 0, len(body)) + body
            else:
                blob = hook("blob", zstd(body))
                extras += struct.pack("<BBIQI", after, 1, len(body), at + len(blobs), len(blob))
                blobs += blob
        record = {"id": obs_id.encode(), "header": header, "raw": voxels.nbytes,
                  "crc": zlib.crc32(voxels), "pack": pack_number, "offset": len(pack),
                  "length": len(shard), "shuffled": int(shuffled), "axes": len(shape),
                  "chunk": chunk, "count": len(bodies), "extras": extras, "end": b""}
        self.truth[obs_id] = zlib.crc32(voxels)
        if is_victim:
            extra = [Frame(EXTRA, body=body) for body in bodies]
            self.same = b"".join(frame.encode() for frame in [
                Frame(OPEN, dict(header)), *extra[:1], Frame(DATA, body=voxels.tobytes()),
                *extra[1:], Frame(CLOSE, {"voxels": prod(shape), "crc32": zlib.crc32(voxels)}),
                Frame(END, {"volumes": 1, "dropped": 0})])
        record = hook("record", record)
        header = record["header"]
        record["header"] = hook("header", compact(header, dice) if type(header) is dict else header)
        return pack + shard + blobs, self.record(record), record

    @staticmethod
    def chunk(data, itemsize, shuffled):
        plain = np.frombuffer(data, "u1")
        if shuffled:
            plain = plain.reshape(-1, itemsize).T
        plain = plain.tobytes()
        # A frame as long as its chunk Blosc would take for stored bytes.
        frame = next(frame for cut in range(len(plain)) if len(frame := Builder.cut(plain, cut))
                     != len(plain))
        return struct.pack("<4B5I", 2, 1, 0x90 + shuffled, itemsize, len(data), len(data),
                           24 + len(frame), 20, len(frame)) + frame

    @staticmethod
    def cut(plain, at):
        """A Zstandard frame whose first block ends there."""
        coder = zstandard.ZstdCompressor(level=1, write_checksum=True).compressobj(len(plain))
        start = coder.compress(plain[:at])
        start += coder.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK) if at else b""
        return start + coder.compress(plain[at:]) + coder.flush()

    @staticmethod
    def record(r):
        """Its bytes; `I`, `J` and `size` make other lengths of id, header and all of it."""
        def length(key, true):
            return r[key](true) if key in r else true

        body = struct.pack("<H", length("I", len(r["id"]))) + r["id"]
        body += struct.pack("<I", length("J", len(r["header"]))) + r["header"]
        body += struct.pack("<QIIQQBB", *(r[key] for key in (
            "raw", "crc", "pack", "offset", "length", "shuffled", "axes")))
        body += struct.pack(f"<{len(r['chunk'])}I", *r["chunk"])
        body += struct.pack("<H", r["count"]) + r["extras"] + r["end"]
        return struct.pack("<I", length("size", len(body))) + body

    def catalog(self, stage, records):
        """Blocks, index and footer; `records` are pairs of an id and bytes."""
        hook = self.hook if stage == self.first else lambda name, value: value
        data, entries, rest = hook("catalog header", file_header(b"volcat01", stage)), [], records
        blocks = 0
        while rest:
            count = self.dice.randint(1, len(rest))
            entries += [(hashlib.sha256(obs_id).digest()[:16], len(data))
                        for obs_id, _ in rest[:count]]
            raw = b"".join(part for _, part in rest[:count])
            block = {"frame": zstd(raw), "R": len(raw), "count": count}
            block = hook("block", block)
            stored = block.get("S", len(block["frame"]))
            start = struct.pack("<3I", stored, block["R"], block["count"])
            data += start + struct.pack("<I", crc32c(start, block["frame"])) + block["frame"]
            rest, blocks = rest[count:], blocks + 1
        entries = hook("index", sorted(entries))
        rest = b"".join(key + struct.pack("<Q", at) for key, at in entries).ljust(4080, b"\0")
        page = hook("page", {"K": len(entries), "number": 0, "zero": 0, "rest": rest})
        start = struct.pack("<3I", page["K"], page["number"], page["zero"])
        footer = {"magic": b"volcate1", "records": len(records), "blocks": blocks, "at": len(data),
                  "pages": 1, "zero": 0}
        footer = hook("footer", footer)
        data += start + struct.pack("<I", crc32c(start, page["rest"])) + page["rest"]
        return data + with_crc(struct.pack("<8s4QI", *footer.values()))

    def stage(self, stage, collection):
        """Write the files of a stage; its entry."""
        packs, records, raw, pack = [], [], 0, b""
        for number in range(len(self.ids[stage])):
            if not pack or self.dice.random() < 0.3:
                pack and packs.append(pack)
                pack = file_header(b"volpack1", stage, len(packs))
                if stage == self.first:
                    pack = self.hook("pack header", pack)
            pack, bytes_, record = self.volume(stage, number, pack, len(packs))
            records.append((record["id"], bytes_))
            raw += record["raw"]
        packs.append(pack)
        files = {f"packs/{stage}-{number:04}.pack": data for number, data in enumerate(packs)}
        path = f"catalogs/{stage}.catalog"
        catalog = self.catalog(stage, records)
        self.files.update(files)
        self.files[path] = catalog
        return {"stage": stage, "collection": collection, "created": NOW, "tool": "vol-write 0.1.0",
                "volumes": len(records), "raw_bytes": raw & (1 << 64) - 1,
                "stored_bytes": sum(map(len, files.values())) + len(catalog),
                "codec": {"name": "blosc-zstd", "level": 1, "shuffle": True, "chunk": "auto"},
                "catalog": file_entry(path, catalog),
                "packs": [file_entry(*file) for file in files.items()]}

    def document(self, path, members, name):
        """Seal a document, before and after which its hook may change it."""
        members = self.hook(name, members)
        text = self.hook(f"{name} text", document(members))
        data = seal(text) if text.endswith(b"\n}\n") else text
        self.files[path] = self.hook(f"{name} bytes", data)
        return self.files[path]

    def table(self, name, path):
        """Write a subject table; its entry."""
        columns = [{"name": "obs_subject_id", "type": "text"}, {"name": "age", "type": "number"},
                   {"name": "ok", "type": "boolean"}, {"name": "note", "type": "json"}]
        head = {"format": "volpipe-subjects", "version": 1, "columns": columns}
        rows = [[f"s{n}", str(40 + n), "true", '{"a":[1]}'] for n in range(self.dice.randint(1, 4))]
        rows[0][1] = None
        lines = self.hook(name, [compact(row) for row in (head, *rows)])
        lines = [compact(line) if isinstance(line, dict | list) else line for line in lines]
        data = self.hook(f"{name} bytes", b"\n".join(lines) + b"\n")
        self.files[path] = data
        return {**file_entry(path, data), "rows": max(0, len(lines) - 1)}

    def build(self):
        common = {"version": 2, "dataset_id": self.dataset_id}
        marker = {"format": "volpipe-dataset", **common, "created": NOW}
        self.document("volpipe.json", marker, "marker")
        stages, parent = [], None
        table = self.table("table", f"subjects/{self.old_table}.subjects")
        for number, (stage, collection) in enumerate(((self.first, "CT"), (self.second, "MR")), 1):
            made = self.stage(stage, collection)
            stages.append(self.hook("stage", made) if stage == self.first else made)
            totals = {}
            for entry in stages:
                total = totals.setdefault(entry["collection"], Counter())
                total.update({key: entry[key] if type(entry[key]) is int else 0
                              for key in ("volumes", "raw_bytes", "stored_bytes")})
            manifest = {"format": "volpipe-manifest", **common, "snapshot": number,
                        "parent": parent, "commit_id": self.id(), "created": NOW,
                        "tool": "vol-commit 0.1.0",
                        "metadata": {"by": "us"}, "collections": totals, "stages": stages,
                        "subjects": self.hook("subjects", {**table, "stages": [self.id()]})
                        if number == 2 else None}
            data = self.document(f"manifests/{number:010}.json", json.loads(json.dumps(manifest)),
                                 "manifest" if number == 2 else "first manifest")
            parent = {"snapshot": number, "sha256": digest(data)}
        self.files["HEAD"] = self.hook("HEAD", f"2 {digest(data)}\n".encode())
        entry = {"format": "volpipe-stage", **common, **self.stage(self.third, "CT")}
        self.document(f"stages/{self.third}.json", entry, "stage record")
        table = self.table("staged table", f"subjects/{self.new_table}.subjects")
        rows = table.pop("rows")
        entry = {"format": "volpipe-subjects-stage", **common, "stage": self.new_table,
                 "created": NOW, "tool": "vol-meta 0.1.0", "replace": False, "rows": rows,
                 "table": table}
        self.document(f"stages/{self.new_table}-subjects.json", entry, "table record")
        return self.files

    def write(self, root):
        for path, data in self.files.items():
            if path.rpartition("/")[0]:
                (root / path).parent.mkdir(parents=True, exist_ok=True)
            else:
                root.mkdir(exist_ok=True)
            (root / path).write_bytes(data)
        after = self.hooks.get("after")
        if after:
            after(root)


def setter(*path, to):
    """A hook that sets what is at the end of a path."""
    def change(value):
        inner = value
        for step in path[:-1]:
            inner = inner[step]
        inner[path[-1]] = to(inner[path[-1]]) if callable(to) else to
        return value
    return change
