"""Changes to what catalogs and packs hold: records, blocks, indexes, shards."""

import hashlib
import struct

import zstandard
from dataset import ABSENT
from storm_builder import file_header, setter, zstd
from storm_commands import CAT, FINDERS, FULL, HEADER, LIST, VERIFY
from storm_json import another_type, spoil
from storm_streams import TYPES
from storm_verdicts import OTHER, Verdict, accepted, edge, either, refused


def change_other_id(dice, b):
    way = dice.choice(["another", "gone", "an id twice", "no UTF-8"])
    if way == "an id twice":
        names = b.ids[b.first]
        names[1] = names[0]
        b.build()
        del b.truth[names[0]]  # it is neither, or both
        return refused(f"obs_id: {way}", VERIFY)
    if way == "no UTF-8":
        b.hooks["record"] = setter("id", to=dice.choice(
            [b"\xff", b"a\xc3", b"\xc0\x80", b"\xed\xa0\x80"]))
    elif way == "another":
        b.hooks["record"] = setter("header", "obs_id", to=dice.choice(
            ["other", "A0", "a0\0", "m0", "a\u0301", f"a{b.victim} "]))
    else:
        b.hooks["record"] = lambda record: record["header"].pop("obs_id") and record
    return refused(f"obs_id of the header: {way}", VERIFY | LIST | CAT - {FULL})


def change_header(dice, b):
    found = {}

    def change(text):
        found["kind"], text, found["verdict"] = spoil(dice, text, True)
        return text

    b.hooks["header"] = change
    b.build()
    if found["kind"].endswith("key twice"):
        found["verdict"] = "either"
    kind, by = f"JSON of a record: {found['kind']}", VERIFY | LIST | CAT
    return {"refuse": refused, "accept": accepted}.get(
        found["verdict"], lambda kind, by: either(kind))(kind, by)


def change_header_key(dice, b):
    key = dice.choice(["shape", "dtype", "channels", *TYPES])
    if key in ("shape", "dtype", "channels"):
        value = dice.choice({"shape": [[], [0], [2**53, 2**53], [1] * 8, "x", [-1], [1.5], None,
                                       [2**64]],
                             "dtype": ["int17", "", 5, None, "bool"],
                             "channels": [0, 2, -1, 2**63, "3", 5]}[key])
        b.hooks["record"] = setter("header", to=lambda header: {**header, key: value})
        return refused(f"header: {key}", HEADER)
    value = another_type(dice, TYPES[key])
    b.hooks["record"] = setter("header", to=lambda header: {**header, key: value})
    if value is None or value == {"a": 1} or key in ("source", "obs_id"):
        return either(f"header: {key} of another type")
    return refused(f"header: {key} of another type", HEADER)


SIZES = {"raw": 8, "crc": 4, "pack": 4, "offset": 8, "length": 8, "shuffled": 1, "axes": 1,
         "count": 2, "I": 2, "J": 4, "size": 4}


def change_record(dice, b):
    key = dice.choice([*SIZES, "chunk", "end", "extra"])
    by = (CAT if key in ("crc", "pack", "offset", "length", "shuffled") else
          HEADER if key in ("raw", "chunk") else VERIFY | LIST | CAT)
    found = {"by": by}

    def change(record):
        if key == "chunk":
            at = dice.randrange(len(record["chunk"]))
            value = edge(dice, 4, record["chunk"][at])
            record["chunk"][at] = value
            if 1 <= value <= record["header"]["shape"][at]:
                found["by"] = () if b.is_empty else CAT
        elif key == "end":
            record["end"] = dice.choice([b"\0", b"\0" * 6, b"x" * 1000])
        elif key == "extra":
            record["count"] = 1
            record["extras"] = struct.pack(
                "<BBIQI", dice.choice([0, 1, 2, 255]), dice.choice([1, 1, 2]), edge(dice, 4),
                edge(dice, 8), edge(dice, 4))
            found["by"] = CAT - {"vol-export --zarr out/zarr ds", "vol-cat --raw ds CT {id}"}
        elif key in ("I", "J", "size"):
            record[key] = lambda true: edge(dice, SIZES[key], true)
        else:
            record[key] = edge(dice, SIZES[key], record[key])
            if key == "shuffled" and record[key] > 1:
                found["by"] = VERIFY | LIST | CAT
            # With nothing stored there is nothing to be shuffled.
            elif key == "shuffled" and b.is_empty:
                found["by"] = ()
        return record

    b.hooks["record"] = change
    b.build()
    return Verdict(f"record: {key}", refuse=found["by"])


def change_block(dice, b):
    key = dice.choice(["S", "R", "count", "frame"])

    def change(block):
        if key == "frame":
            raw = zstandard.ZstdDecompressor().decompress(block["frame"])
            block["frame"] = dice.choice([
                zstd(raw, checksum=False), zstd(raw, size=False), zstd(raw) + zstd(b""),
                zstd(raw) + b"x", zstd(raw + bytes(50 << 20)), zstd(raw)[:-1], raw, b"",
                bytes(100), zstd(raw[:-1])])
        else:
            block[key] = edge(dice, 4, len(block["frame"]) if key == "S" else block[key])
        return block

    b.hooks["block"] = change
    return refused(f"block: {key}", VERIFY | LIST | {"vol-cat ds", "vol-cat -k ds"})


def change_index(dice, b):
    way = dice.choice(["another block", "an edge", "an edge", "an edge", "no order",
                       "one less", "one more", "one twice", "another key", "page",
                       "after the entries", "footer"])
    if way in ("page", "footer"):
        key = dice.choice(["K", "number", "zero"] if way == "page" else
                          ["magic", "records", "blocks", "at", "pages", "zero"])
        size = 4 if way == "page" or key == "zero" else 8
        b.hooks[way] = (setter(key, to=b"volcate2") if key == "magic" else
                        setter(key, to=lambda old: edge(dice, size, old)))
        return Verdict(f"{way}: {key}", refuse=VERIFY, also=FINDERS)
    if way == "after the entries":
        b.hooks["page"] = setter("rest", to=lambda rest: rest[:-1] + b"\1")
        return refused(f"index: {way}", VERIFY)

    def change(entries):
        wanted = hashlib.sha256(b.ids[b.first][b.victim].encode()).digest()[:16]
        at = [key for key, _ in entries].index(wanted)
        key, block = entries[at]
        if way in ("another block", "an edge"):
            others = [other for _, other in [*entries, (None, block + 16)] if other != block]
            edges = [2**64 - 1, 2**64 - 16, 2**64 - 2**14, edge(dice, 8, block)]
            entries[at] = key, dice.choice(edges) if way == "an edge" else others[0]
        elif way == "no order":
            entries = entries[::-1]
        elif way == "one less":
            del entries[at]
        elif way == "one more":
            entries = sorted([*entries, (dice.randbytes(16), block)])
        elif way == "one twice":
            entries.insert(at, entries[at])
        else:
            entries[at] = dice.randbytes(16), block
            entries.sort()
        return entries

    b.hooks["index"] = change
    return Verdict(f"index: {way}", refuse=VERIFY, also=FINDERS)


def change_shard(dice, b):
    way = dice.choice(["index", "index", "its CRC", "chunk", "chunk", "blob", "pack header",
                       "catalog header"])
    b.is_empty = False
    if way.endswith("header"):
        magic = b"volpack1" if way == "pack header" else b"volcat01"
        b.hooks[way] = lambda data: dice.choice([
            file_header(b"volpack2", b.first), file_header(magic, OTHER), bytes(32),
            data[:-1] + b"x", file_header(magic, b.first, edge(dice, 4, 0))])
        return either(way) if way == "pack header" else refused(way, VERIFY)
    if way == "index":
        def change(entries):
            at = next(n for n, entry in enumerate(entries) if entry[0] != ABSENT)
            start, length = entries[at]
            which = dice.randrange(3)
            entries[at] = ((edge(dice, 8, start), length) if which == 0 else
                           (start, edge(dice, 8, length)) if which == 1 else (0, ABSENT))
            return entries
        b.hooks["shard index"] = change
        return refused("shard: index", CAT | {"vol-cat --batch ds < asks"})
    if way == "its CRC":
        b.hooks["shard end"] = lambda data: data[:-1] + bytes([data[-1] ^ 1])
        return refused("shard: CRC of its index", CAT | VERIFY)
    if way == "blob":
        def change(blob):
            body = zstandard.ZstdDecompressor().decompress(blob)
            return dice.choice([zstd(body, checksum=False), zstd(body + b"x"), zstd(body[:-1]),
                                body, zstd(bytes(50 << 20)), blob[:-1], zstd(body, size=False)])
        b.hooks["blob"] = change
        # There may be no blob.
        return either("blob")
    fields = ["two", "one", "flags", "type", "N", "block", "total", "twenty", "Z"]
    key = dice.choice([*fields, "frame"])

    def change(chunk):
        values, frame = list(struct.unpack_from("<4B5I", chunk)), chunk[24:]
        if key == "frame":
            data = zstandard.ZstdDecompressor().decompress(frame)
            frame = dice.choice([zstd(data, checksum=False), zstd(data + bytes(50 << 20)),
                                 zstd(data[:-1]), frame + zstd(b""), bytes(len(frame)),
                                 zstd(data[::-1] + b"x")])
            values[6], values[8] = 24 + len(frame), len(frame)
        else:
            at = fields.index(key)
            values[at] = edge(dice, 1 if at < 4 else 4, values[at])
        return struct.pack("<4B5I", *values) + frame

    b.hooks["chunk"] = change
    return refused(f"chunk: {key}", CAT)
