"""Datasets made by an enemy, and a system that refuses: one clear line, and nothing done.

What is edited is sealed and summed again, so that no digest gives it away.
"""

import hashlib
import io
import os
import re
import shutil
import struct
from contextlib import contextmanager

import pytest
import zstandard
from dataset import ABSENT, Dataset, crc32c, read_json, reseal, seal, unzstd
from frames import FrameWriter
from support import bash, ok, one_clear_line, ramp, tree

DEEP = 1000


def stream(names, shape=(12, 10, 8), extra=5000):
    out = io.BytesIO()
    writer = FrameWriter(out)
    for name in names:
        writer.open({"obs_id": name, "name": name, "obs_subject_id": "s1", "shape": list(shape),
                     "dtype": "int16"})
        writer.extra(ramp((extra // 2,), seed=1).tobytes())
        writer.data(ramp(shape, seed=ord(name[0])))
        writer.close()
    writer.end()
    return out.getvalue()


@pytest.fixture(scope="module")
def sound(tools, tmp_path_factory):
    """Two snapshots, a subject table, a stage that is not committed; and files outside."""
    box = tmp_path_factory.mktemp("hostile")
    write = "vol-write -q -c 6,5,4 --pack-size 1K"
    ok(f"{write} ds CT", box, stdin=stream("abc"))
    ok("vol-meta -q ds", box, stdin=b"obs_subject_id,age\ns1,41\n")
    ok("vol-commit -q ds", box)
    ok(f"{write} ds MR", box, stdin=stream("m"))
    ok("vol-commit -q ds", box)
    ok(f"{write} ds CT", box, stdin=stream("p"))
    (box / "new.frames").write_bytes(stream("n"))
    (box / "same.frames").write_bytes(stream("ab"))
    for path in ("x", "x.pack", "x.catalog", "ds.pack"):
        (box / path).write_bytes(b"not yours")
    return box


@pytest.fixture
def victim(sound, tmp_path):
    shutil.copytree(sound, tmp_path / "box")
    return tmp_path / "box"


def head(box):
    return box / "ds" / "manifests" / "0000000002.json"


def of_stage(box, number):
    return read_json(head(box), "volpipe-manifest")["stages"][number]


# All that read the manifest, and so must refuse one that is bad.
EVERYBODY = [
    "vol-ls ds", "vol-ls --json ds CT", "vol-ls --sha256 ds", "vol-ls --subjects ds",
    "vol-ls --align ds", "vol-ls --snapshots ds", "vol-ls --diff 1 2 ds", "vol-cat ds",
    "vol-cat -k ds", "vol-cat ds CT a", "vol-verify -q ds", "vol-verify -q --full ds",
    "vol-rm -n ds a", "vol-rm ds a", "vol-meta ds < /dev/null", "vol-write -q ds CT < new.frames",
    "vol-write -q --skip-existing ds CT < same.frames", "vol-commit -q ds",
    "vol-gc -q --grace 0 --keep-last 1 ds"]


def refused(box, commands=EVERYBODY, prefix="", lenient=()):
    """Each command refuses, in one clear line, and changes nothing anywhere.

    Those that are `lenient` may also pass over what they do not need; then only the world outside
    of the dataset must be as it was.
    """
    before = tree(box)
    for command in commands:
        tool = command.split()[0]
        result = bash(prefix + command, box, timeout=60)
        what = f"{prefix}{command}: {result!r}"
        may = command in lenient
        if tool == "vol-verify":
            assert result.status == 1 and result.err == "", what
            assert result.lines and all(line.startswith("ds/") for line in result.lines), what
        elif command == "vol-cat -k ds" and result.status == 1:
            assert result.err.startswith("vol-cat: ds") or "'ds/" in result.err, what
            may = True
        elif not (may and result.status == 0):
            # What needs not know what is staged goes on without it.
            assert result.status in (65, 66) or result.status == 1 and command in STAGED, what
            one_clear_line(result, tool)
        after = tree(box)
        if may and after != before:
            outside = {path: data for path, data in after.items() if path.split("/")[0] != "ds"}
            assert outside == {path: data for path, data in before.items()
                               if path.split("/")[0] != "ds"}, what
            # Begin again from what it was.
            shutil.rmtree(box / "ds")
            for path, data in before.items():
                if path.split("/")[0] == "ds":
                    (box / path).mkdir() if data is None else (box / path).write_bytes(data)
        else:
            assert after == before, f"{command} changed something"


def editing(*path, to):
    """An edit that sets what is at the end of the path; `to` may be a function of what was there."""
    def change(document):
        for step in path[:-1]:
            document = document[step]
        old = document.get(path[-1]) if isinstance(document, dict) else document[path[-1]]
        document[path[-1]] = to(old) if callable(to) else to
    return change


def retotal(document):
    """Make the totals those of the stages, whatever these say."""
    totals = {}
    for stage in document["stages"]:
        total = totals.setdefault(stage["collection"],
                                  {"volumes": 0, "raw_bytes": 0, "stored_bytes": 0})
        for key in total:
            total[key] += stage[key]
    document["collections"] = totals


def twice(document):
    document["stages"].append(document["stages"][0])
    retotal(document)


def without(*path):
    def change(document):
        for step in path[:-1]:
            document = document[step]
        del document[path[-1]]
    return change


PACK, CATALOG = ("stages", 0, "packs", 0, "path"), ("stages", 0, "catalog", "path")
OTHER = "0123456789abcdef" * 2
STAGE_EDITS = {  # relative to a stage: they serve for manifests and for stage records
    "pack above": (("packs", 0, "path"), "../x.pack"),
    "pack absolute": (("packs", 0, "path"), lambda old: f"/{old}"),
    "pack by a detour": (("packs", 0, "path"), lambda old: f"packs/../{old}"),
    "pack by a dot": (("packs", 0, "path"), lambda old: f"./{old}"),
    "pack of another number": (("packs", 0, "path"), lambda old: old.replace("-0000", "-0001")),
    "pack of another stage": (("packs", 0, "path"), f"packs/{OTHER}-0000.pack"),
    "pack is no text": (("packs", 0, "path"), 5),
    "no packs": (("packs",), []),
    "packs are an object": (("packs",), {}),
    "catalog above": (("catalog", "path"), "../x.catalog"),
    "catalog absolute": (("catalog", "path"), "/etc/passwd"),
    "catalog is the manifest": (("catalog", "path"), "manifests/0000000001.json"),
    "catalog of another stage": (("catalog", "path"), f"catalogs/{OTHER}.catalog"),
    "catalog with a strange revision": (
        ("catalog", "path"), lambda old: old.replace(".cat", "-../../../x.cat")),
    "catalog ends in NUL": (("catalog", "path"), lambda old: old + "\0"),
    "negative size": (("packs", 0, "bytes"), -1),
    "size of a fraction": (("packs", 0, "bytes"), 1.5),
    "size over 64 bits": (("catalog", "bytes"), 2**64),
    "size is a text": (("catalog", "bytes"), "100"),
    "digest is short": (("packs", 0, "sha256"), "ab"),
    "stage is a path": (("stage",), "../../../../x"),
    "collection is a path": (("collection",), "../x"),
    "collection is empty": (("collection",), ""),
    "collection is an option": (("collection",), "-n"),
    "collection has a line end": (("collection",), "C\nT"),
}
EDITS = {
    **{name: editing("stages", 0, *path, to=to) for name, (path, to) in STAGE_EDITS.items()},
    "subjects above": editing("subjects", "path", to="../x"),
    "subjects absolute": editing("subjects", "path", to="/etc/passwd"),
    "subjects are a pack": editing("subjects", "path", to=f"packs/{OTHER}-0000.pack"),
    "subjects are a list": editing("subjects", to=[]),
    "stages of subjects are a path": editing("subjects", "stages", to=["../x"]),
    "one stage twice": twice,
    "totals of another": editing("collections", "CT", "volumes", to=99),
    "totals overflow": editing("stages", 0, "raw_bytes", to=2**64 - 1),
    "another number": editing("snapshot", to=3),
    "no parent": editing("parent", to=None),
    "parent of another number": editing("parent", "snapshot", to=7),
    "another dataset": editing("dataset_id", to=OTHER),
    "another format": editing("format", to="volpipe-stage"),
    "version 4": editing("version", to=4),
    "version 0": editing("version", to=0),
    "version is a text": editing("version", to="2"),
    "no stages": without("stages"),
    "no catalog": without("stages", 0, "catalog"),
    "metadata is a list": editing("metadata", to=[]),
}


@pytest.mark.parametrize("name", EDITS)
def test_a_manifest_that_lies_is_refused_by_everybody(victim, name):
    def change(document):
        EDITS[name](document)
        if name.split()[0] == "collection":
            retotal(document)

    reseal(head(victim), change)
    refused(victim)


def deep(levels):
    return b"[" * levels + b"]" * levels


def with_metadata(box, value):
    """The manifest's bytes with this for its metadata, sealed."""
    data = head(box).read_bytes()
    start, middle, rest = re.split(rb'("metadata" : )\{[^}]*\}', data, maxsplit=1)
    body = start + middle + value + rest
    return seal(body[:body.rindex(b',\n  "sha256"')] + b"\n}\n")


BYTES = {
    "empty": lambda box: b"",
    "a thousand levels": lambda box: with_metadata(box, b'{"a":%s}' % deep(DEEP)),
    "a hundred thousand levels": lambda box: with_metadata(box, b'{"a":%s}' % deep(100_000)),
    "only brackets": lambda box: deep(1_000_000),
    "objects in objects": lambda box: seal(b'{"a":' * 5000 + b"1" + b"}" * 4999 + b"\n}\n"),
    "not UTF-8": lambda box: with_metadata(box, b'{"a":"\xff\xfe"}'),
    "half of a surrogate": lambda box: with_metadata(box, b'{"a":"\\ud800"}'),
    "an unsealed end": lambda box: head(box).read_bytes() + b"\n",
    "zeros": lambda box: bytes(4096),
    "a list": lambda box: seal(b"[\n}\n"),
    "a number over all": lambda box: with_metadata(box, b'{"a":%s}' % (b"9" * 5000)).replace(
        b'"version" : 2', b'"version" : 2' + b"0" * 5000),
}


@pytest.mark.parametrize("name", BYTES)
def test_a_manifest_that_is_no_document_is_refused_by_everybody(victim, name):
    head(victim).write_bytes(BYTES[name](victim))
    refused(victim)


FEW = ["vol-ls ds", "vol-cat ds", "vol-verify -q ds", "vol-rm ds a", "vol-commit -q ds",
       "vol-gc -q --grace 0 ds", "vol-write -q ds CT < new.frames", "vol-meta ds < /dev/null"]


def test_millions_of_values_in_little_memory_are_refused(victim):
    """As large as a manifest may be; what decoding them would take is many times as much."""
    room = (64 << 20) - 10_000
    values = b"0," * ((room - 100) // 2) + b"0"
    head(victim).write_bytes(with_metadata(victim, b'{"a":[' + values + b"]}"))
    refused(victim, FEW, "ulimit -v 2000000; ")
    head(victim).write_bytes(with_metadata(victim, b'{"a":' + b'"' + b"," * room + b'"}'))
    assert bash("ulimit -v 2000000; vol-ls ds", victim).status == 0
    objects = b'{"b":{}},' * (room // 9)
    head(victim).write_bytes(with_metadata(victim, b'{"a":[' + objects + b"0]}"))
    refused(victim, FEW, "ulimit -v 2000000; ")


def test_documents_over_their_limits_are_refused_without_being_read(victim):
    with open(head(victim), "r+b") as file:
        file.truncate(1 << 40)
    before = sorted(path for path in victim.rglob("*"))
    for command in FEW:
        result = bash("ulimit -v 2000000; " + command, victim)
        assert result.status == (1 if "verify" in command else 65), f"{command}: {result!r}"
    assert sorted(path for path in victim.rglob("*")) == before


@pytest.mark.parametrize("kind", ["folder", "fifo"])
def test_a_manifest_that_is_no_file_is_refused(victim, kind):
    head(victim).unlink()
    os.mkfifo(head(victim)) if kind == "fifo" else head(victim).mkdir()
    for command in FEW:
        result = bash(f"timeout 10 {command}", victim)
        assert result.status in ((1,) if "verify" in command else (65, 66, 74)), (
            f"{command}: {result!r}")
        if "verify" not in command:
            one_clear_line(result, command.split()[0])


# Stage records


STAGED = ["vol-ls --staged ds", "vol-commit -q ds", "vol-commit -q --if-staged ds",
          "vol-verify -q ds", "vol-write -q --skip-existing ds CT < same.frames"]


def record(box):
    [path] = (box / "ds" / "stages").glob("*.json")
    return path


@pytest.mark.parametrize("name", [*STAGE_EDITS, "version 3", "another dataset", "replaces is 1"])
def test_a_stage_record_that_lies_is_refused_by_who_reads_it(victim, name):
    more = {"version 3": (("version",), 3), "another dataset": (("dataset_id",), OTHER),
            "replaces is 1": (("replaces",), 1)}
    path, to = {**STAGE_EDITS, **more}[name]
    reseal(record(victim), editing(*path, to=to))
    refused(victim, STAGED)
    # What does not concern the snapshot does not harm it.
    assert ok("vol-cat ds | vol-ls --tsv -", victim).lines[1:]


@pytest.mark.parametrize("name", ["deep", "values", "huge", "empty", "lies about its size"])
def test_a_stage_record_that_is_no_document_is_refused_by_who_reads_it(victim, name):
    path = record(victim)
    data = path.read_bytes()
    body = data[:data.rindex(b',\n  "sha256"')]
    made = {"deep": lambda: seal(body + b',\n  "x" : ' + deep(DEEP) + b"\n}\n"),
            "values": lambda: seal(body + b',\n  "x" : [' + b"0," * 8_000_000 + b"0]\n}\n"),
            "huge": lambda: seal(body + b',\n  "x" : "' + b"x" * (17 << 20) + b'"\n}\n'),
            "empty": lambda: b""}
    if name in made:
        path.write_bytes(made[name]())
        refused(victim, STAGED, "ulimit -v 2000000; ")
    else:
        reseal(path, editing("packs", 0, "bytes", to=lambda old: old + 1))
        refused(victim, ["vol-commit -q ds"])
        reseal(path, editing("packs", 0, "bytes", to=2**64 - 1))
        refused(victim, ["vol-commit -q ds"])


# Files that lie, under digests that do not


def replace_file(box, entry_of, data):
    """Put other bytes where an entry of the manifest says, and the manifest right for them."""
    def change(document):
        entry = entry_of(document)
        (box / "ds" / entry["path"]).write_bytes(data)
        entry.update(bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
        for stage in document["stages"]:
            stage["stored_bytes"] = sum(
                file["bytes"] for file in [stage["catalog"], *stage["packs"]])
        retotal(document)

    reseal(head(box), change)
    path = box / "ds" / "HEAD"
    path.write_text(f"2 {hashlib.sha256(head(box).read_bytes()).hexdigest()}\n")


READERS = ["vol-cat ds", "vol-cat -k ds", "vol-cat ds CT a", "vol-verify -q ds",
           "vol-verify -q --full ds"]
LISTERS = ["vol-ls --json ds CT", "vol-rm ds a", "vol-commit -q ds", "vol-rm -n ds a",
           "vol-write -q --skip-existing ds CT < same.frames", "vol-write -q ds CT < new.frames",
           "vol-ls --diff 1 2 ds", "vol-ls --subjects ds"]

INDEXES = {
    "outside of the pack": (2**40, 100),
    "behind the index": (-1, 100),
    "into the index": (-200, 190),
    "before the shard": (2**64 - 100, 50),
    "overflowing": (2**63, 2**63 + 41),
    "without bytes": (0, 0),
    "half of an absent one": (ABSENT, 41),
    "absent with an offset": (0, ABSENT),
    "of gigabytes": (0, 2**32),
}


@pytest.mark.parametrize("name", INDEXES)
def test_an_index_of_a_shard_that_lies_is_refused(victim, name):
    volume = Dataset(victim / "ds")["a"]
    data = bytearray(volume.pack.read_bytes())
    count = len(volume.index())
    at = volume.offset + volume.length - 4 - 16 * count
    offset, length = INDEXES[name]
    if offset < 0:
        offset += volume.length
    struct.pack_into("<QQ", data, at + 16, offset, length)
    struct.pack_into("<I", data, at + 16 * count, crc32c(data[at:at + 16 * count]))
    replace_file(victim, lambda document: document["stages"][0]["packs"][0], bytes(data))
    refused(victim, READERS[:3] + READERS[4:])


def test_two_chunks_at_one_place_are_not_what_was_written(victim):
    volume = Dataset(victim / "ds")["a"]
    data = bytearray(volume.pack.read_bytes())
    count = len(volume.index())
    at = volume.offset + volume.length - 4 - 16 * count
    data[at + 16:at + 32] = data[at:at + 16]
    struct.pack_into("<I", data, at + 16 * count, crc32c(data[at:at + 16 * count]))
    replace_file(victim, lambda document: document["stages"][0]["packs"][0], bytes(data))
    refused(victim, READERS[:3] + READERS[4:])


FOOTERS = {
    "records without end": (8, 2**64 - 1), "no records": (8, 0), "one more record": (8, 4),
    "index at 0": (24, 0), "index outside": (24, 2**64 - 1), "index a page back": (24, -4096),
    "no pages": (32, 0), "pages without end": (32, 2**64 - 1), "pages that overflow": (32, 2**52),
}


def catalog_entry(document):
    return document["stages"][0]["catalog"]


@pytest.mark.parametrize("name", FOOTERS)
def test_a_footer_of_a_catalog_that_lies_is_refused(victim, name):
    path = victim / "ds" / of_stage(victim, 0)["catalog"]["path"]
    data = bytearray(path.read_bytes())
    start, (at, value) = len(data) - 48, FOOTERS[name]
    if value < 0:
        value += struct.unpack_from("<Q", data, start + at)[0]
        if value < 0:
            value += 2**64
    struct.pack_into("<Q", data, start + at, value)
    struct.pack_into("<I", data, start + 44, crc32c(data[start:start + 44]))
    replace_file(victim, catalog_entry, bytes(data))
    # Who looks up an id needs no other records.
    refused(victim, READERS + LISTERS, "ulimit -v 2000000; ",
            lenient={"vol-cat ds CT a", "vol-commit -q ds", *LISTERS[1:]})


BLOCKS = {
    "stored without end": {"stored": 2**32 - 1}, "stored outside": {"stored": 2**20},
    "nothing stored": {"stored": 0}, "decoded without end": {"size": 2**32 - 1},
    "decoded a byte more": {"size": lambda old: old + 1}, "no records": {"count": 0},
    "records without end": {"count": 2**32 - 1}, "a record less": {"count": 2},
}


@pytest.mark.parametrize("name", BLOCKS)
def test_a_block_of_a_catalog_that_lies_is_refused(victim, name):
    path = victim / "ds" / of_stage(victim, 0)["catalog"]["path"]
    data = bytearray(path.read_bytes())
    fields = dict(zip(("stored", "size", "count"), struct.unpack_from("<3I", data, 32)))
    frame = bytes(data[48:48 + fields["stored"]])
    for key, value in BLOCKS[name].items():
        fields[key] = value(fields[key]) if callable(value) else value
    struct.pack_into("<3I", data, 32, *fields.values())
    struct.pack_into("<I", data, 44, crc32c(data[32:44], frame))
    replace_file(victim, catalog_entry, bytes(data))
    refused(victim, READERS + LISTERS[:3], "ulimit -v 2000000; ",
            lenient={"vol-commit -q ds"})


def rewrite_records(box, change, size=None):
    """Change the decoded records of the first stage's one block, and all around them to fit."""
    path = box / "ds" / of_stage(box, 0)["catalog"]["path"]
    data = path.read_bytes()
    stored, decoded, count = struct.unpack_from("<3I", data, 32)
    records = change(unzstd(data[48:48 + stored], decoded, "block"))
    frame = zstandard.ZstdCompressor(write_checksum=True).compress(records)
    block = struct.pack("<3I", len(frame), size or len(records), count)
    block += struct.pack("<I", crc32c(block, frame)) + frame
    footer = bytearray(data[-48:])
    index_at = struct.unpack_from("<Q", footer, 24)[0]
    struct.pack_into("<Q", footer, 24, 32 + len(block))
    struct.pack_into("<I", footer, 44, crc32c(footer[:44]))
    replace_file(box, catalog_entry, data[:32] + block + data[index_at:-48] + footer)


def in_record(at, form, value):
    """Change a field of the first record, so many bytes behind its header."""
    def change(records):
        records = bytearray(records)
        header_at = 4 + 2 + struct.unpack_from("<H", records, 4)[0]
        start = header_at + 4 + struct.unpack_from("<I", records, header_at)[0]
        struct.pack_into(form, records, start + at, value)
        return bytes(records)
    return change


def in_header(old, new):
    """Change the text of the first record's header, and the lengths around it."""
    def change(records):
        size, = struct.unpack_from("<I", records)
        header_at = 6 + struct.unpack_from("<H", records, 4)[0]
        length, = struct.unpack_from("<I", records, header_at)
        header = records[header_at + 4:header_at + 4 + length]
        assert old in header, header
        header = header.replace(old, new, 1)
        record_ = (records[4:header_at] + struct.pack("<I", len(header)) + header
                   + records[header_at + 4 + length:4 + size])
        return struct.pack("<I", len(record_)) + record_ + records[4 + size:]
    return change


# Behind the header: raw bytes 8, CRC 4, pack 4, offset 8, length 8, shuffled 1, axes 1, chunk.
RECORDS = {
    "bytes of another shape": in_record(0, "<Q", 2**62),
    "a pack that is not there": in_record(12, "<I", 3),
    "a pack without end": in_record(12, "<I", 2**32 - 1),
    "a shard outside": in_record(16, "<Q", 2**63),
    "a shard at the header": in_record(16, "<Q", 0),
    "a shard without end": in_record(24, "<Q", 2**64 - 1),
    "a shard of nothing": in_record(24, "<Q", 0),
    "a shuffle of 7": in_record(32, "<B", 7),
    "a shuffle that was not": in_record(32, "<B", 0),
    "axes without end": in_record(33, "<B", 255),
    "no axes": in_record(33, "<B", 0),
    "a chunk of nothing": in_record(34, "<I", 0),
    "a chunk larger than all": in_record(34, "<I", 2**32 - 1),
    "extras without end": in_record(46, "<H", 2**16 - 1),
    "an extra nowhere": in_record(48, "<B", 9),
    "an extra without end": in_record(50, "<I", 2**32 - 1),
    "a blob outside": in_record(54, "<Q", 2**64 - 1),
    "a blob without end": in_record(62, "<I", 2**32 - 1),
    "a record without end": lambda records: struct.pack("<I", 2**32 - 1) + records[4:],
    "a record of nothing": lambda records: struct.pack("<I", 0) + records[4:],
    "bytes behind the records": lambda records: records + b"\0",
    "an id that is a path": lambda records: records[:6] + b"/" + records[7:],
    "an id that is another": lambda records: records[:6] + b"z" + records[7:],
    "an id of no text": lambda records: records[:6] + b"\xff" + records[7:],
    "an id twice": lambda records: records.replace(b"\x01\0b", b"\x01\0a"),
    "another shape": in_header(b"[12,10,8]", b"[10,12,8]"),
    "a shape without end": in_header(b"[12,10,8]", b"[2147483647,2147483647,2147483647]"),
    "a shape of nothing": in_header(b"[12,10,8]", b"[0,10,8]"),
    "a shape below nothing": in_header(b"[12,10,8]", b"[-12,10,8]"),
    "a type that is not known": in_header(b"int16", b"int17"),
    "another type": in_header(b'"int16"', b'"uint8"'),
    "a header of no object": in_header(b"{", b"["),
    "a header that is deep": in_header(b"{", b'{"x":' + deep(DEEP) + b","),
}


@pytest.mark.parametrize("name", RECORDS)
def test_a_record_of_a_catalog_that_lies_is_refused(victim, name):
    rewrite_records(victim, RECORDS[name])
    # The voxels are read by some only, and so are the places where they lie; and who reads all
    # records in order has no need of the index, so that only vol-verify holds one against another.
    is_id = "id" in name.split() and name != "an id of no text"
    refused(victim, READERS[:3] + READERS[4:] + LISTERS, "ulimit -v 2000000; ",
            lenient={*LISTERS, *(READERS[:3] if is_id else ())})


def test_a_block_that_decodes_to_more_than_it_says_is_refused(victim):
    rewrite_records(victim, lambda records: records + bytes(200 << 20), size=16 << 20)
    refused(victim, READERS + LISTERS[:2], "ulimit -v 2000000; ")


TABLES = {
    "another format": lambda lines: [lines[0].replace(b"volpipe-subjects", b"x"), *lines[1:]],
    "version 2": lambda lines: [re.sub(rb'("version" ?: ?)1', rb"\g<1>2", lines[0]), *lines[1:]],
    "a row too long": lambda lines: [lines[0], b'["s1","41","x"]'],
    "a row too short": lambda lines: [lines[0], b'["s1"]'],
    "a row of numbers": lambda lines: [lines[0], b'["s1",41]'],
    "a row without a subject": lambda lines: [lines[0], b'[null,"41"]'],
    "a row that is deep": lambda lines: [lines[0], deep(DEEP)],
    "a row of a gigabyte of text": lambda lines: [lines[0], b'["s1","' + b"1" * (9 << 20) + b'"]'],
    "more rows": lambda lines: [*lines, b'["s2","42"]'],
    "no rows": lambda lines: lines[:1],
    "no end": lambda lines: [*lines[:-1], lines[-1][:-3]],
    "nothing": lambda lines: [],
    "columns without end": lambda lines: [
        b'{"columns":[' + b'{"name":"x","type":"text"},' * 5000 + b'{"name":"y","type":"text"}],'
        b'"format":"volpipe-subjects","version":1}', lines[1]],
    "not UTF-8": lambda lines: [lines[0], b'["s1","\xff"]'],
}


@pytest.mark.parametrize("name", TABLES)
def test_a_subject_table_that_lies_is_refused_by_who_reads_it(victim, name):
    manifest = read_json(head(victim), "volpipe-manifest")
    path = victim / "ds" / manifest["subjects"]["path"]
    lines = TABLES[name](path.read_bytes().rstrip(b"\n").split(b"\n"))
    data = b"".join(line + b"\n" for line in lines)
    replace_file(victim, lambda document: document["subjects"], data)
    refused(victim, ["vol-meta ds < /dev/null", "vol-meta --json ds < /dev/null",
                     "vol-verify -q --full ds", "vol-ls --json --subjects ds"],
            "ulimit -v 2000000; ", lenient={"vol-ls --json --subjects ds"})


# A system that refuses


@contextmanager
def small_disk(folder, size):
    """A file system of so many bytes on the folder; skips where that is not permitted."""
    folder.mkdir()
    result = bash(f"mount -t tmpfs -o size={size} tmpfs {folder}", "/")
    if result.status:
        pytest.skip(f"no tmpfs can be mounted here: {result.err.strip()}")
    try:
        yield folder
    finally:
        ok(f"umount {folder}", "/")


def test_a_full_disk_costs_no_snapshot_and_the_next_run_is_good(victim, tmp_path):
    with small_disk(tmp_path / "disk", "1m") as disk:
        shutil.copytree(victim / "ds", disk / "ds")
        for name in ("new.frames", "same.frames"):
            shutil.copy(victim / name, disk)
        (victim / "big.frames").write_bytes(stream("xyz", shape=(90, 80, 60)))
        before = tree(disk / "ds")

        def fails(command):
            result = bash(command, disk)
            assert result.status in (73, 74), f"{command}: {result!r}"
            one_clear_line(result, command.split()[0])
            assert "space" in result.err.lower(), result.err

        fails(f"vol-write -q --pack-size 300K ds CT < {victim}/big.frames")
        assert tree(disk / "ds") == before
        # To the last byte, so that not even a small file finds room.
        bash("cat /dev/zero > filler", disk)
        (victim / "table").write_bytes(b"obs_subject_id,age\ns1,42\n")
        for command in (f"vol-write -q ds CT < {victim}/new.frames", "vol-commit -q ds",
                        "vol-rm -q ds a", f"vol-meta -q ds < {victim}/table"):
            fails(command)
            assert tree(disk / "ds") == before, command
        assert bash("vol-verify --full -q ds", disk).status == 0
        (disk / "filler").unlink()
        ok(f"vol-write -q ds CT < {victim}/new.frames; vol-commit -q ds; vol-rm -q ds a", disk)
        assert sorted(Dataset(disk / "ds").volumes) == ["b", "c", "m", "n", "p"]
        # A collection makes room, and needs none.
        bash("cat /dev/zero > filler", disk)
        ok("vol-gc -q --grace 0 --keep-last 1 ds", disk)
        assert bash("vol-verify --full -q ds", disk).status == 0


def test_a_dataset_that_may_only_be_read_is_read_and_stays_as_it_is(victim):
    """As root, without the capability that lets root write everywhere."""
    prefix = ""
    if os.geteuid() == 0:
        if not shutil.which("setpriv"):
            pytest.skip("root, and no setpriv(1) to be less than root with")
        drop = "-dac_override,-dac_read_search"
        prefix = f"setpriv --bounding-set={drop} --inh-caps={drop} "
    (victim / "ds" / "packs" / f".{OTHER}").write_bytes(b"left over")
    (victim / "table").write_bytes(b"obs_subject_id,age\ns1,42\n")
    before = tree(victim)
    folders = [victim / "ds", *(path for path in (victim / "ds").iterdir() if path.is_dir())]
    for folder in folders:
        folder.chmod(0o555)
    try:
        for command in ("vol-ls --json ds CT", "vol-cat ds", "vol-verify --full -q ds",
                        "vol-ls --staged ds", "vol-rm -n ds a", "vol-gc -nq --grace 0 ds",
                        "vol-meta ds < /dev/null"):
            ok(prefix + command, victim)
        for command in ("vol-write -q ds CT < new.frames", "vol-commit -q ds", "vol-rm -q ds a",
                        "vol-meta -q ds < table", "vol-gc -q --grace 0 ds",
                        "vol-gc -q --grace 0 --keep-last 1 ds"):
            result = bash(prefix + command, victim)
            assert result.status in (73, 74, 77), f"{command}: {result!r}"
            one_clear_line(result, command.split()[0], "ermission")
    finally:
        for folder in folders:
            folder.chmod(0o755)
    assert tree(victim) == before
    assert bash("vol-verify --full -q ds", victim).status == 0
