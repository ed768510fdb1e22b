"""Damage: vol-verify finds and names it, and vol-cat -k gives out what is whole, and only that.

FLIPS=all turns every byte of the dataset in two ways, which takes a long time; by default a sample.
"""

import io
import json
import os
import random
import re
import shutil
import struct
from concurrent.futures import ThreadPoolExecutor

import pytest
from dataset import ABSENT, Dataset, read_json
from frames import CLOSE, DATA, DROP, END, EXTRA, OPEN, FrameWriter, read_frames
from support import SEED, bash, ok, one_clear_line, quote, ramp, tree

FLIPS = os.environ.get("FLIPS", "400")


def stream(names, shape=(12, 10, 8), extra=100):
    """Volumes of the names, with so many source bytes before the voxels, and a few after."""
    out = io.BytesIO()
    writer = FrameWriter(out)
    for name in names:
        seed = sum(name.encode())
        writer.open({"name": name, "obs_id": name, "obs_subject_id": f"s-{name}",
                     "shape": list(shape), "dtype": "int16"})
        writer.extra(random.Random(seed).randbytes(extra))
        writer.data(ramp(shape, seed=seed))
        writer.extra(b"behind the voxels")
        writer.close()
    writer.end()
    return out.getvalue()


@pytest.fixture(scope="module")
def small(tools, tmp_path_factory):
    """Two stages, a pack a volume in one, a blob, two removed, a subject table, a stage more."""
    box = tmp_path_factory.mktemp("verify")
    write = "vol-write -q -c 6,5,4"
    ok(f"{write} --pack-size 1K ds CT", box, stdin=stream(["a", "b", "c", "x"]))
    ok("vol-commit -q ds", box)
    ok(f"{write} ds MR", box, stdin=stream(["d", "e"], shape=(7, 5), extra=5000))
    ok("vol-meta -q ds", box, stdin=b"obs_subject_id,age\ns-a,41\ns-d,\n")
    ok("vol-commit -q ds; vol-rm -q ds x; vol-rm -q ds b", box)
    ok(f"{write} ds CT", box, stdin=stream(["waiting"]))
    dataset = Dataset(box / "ds")
    assert any(len(extra) == 4 for extra in dataset["d"].extras), "no blob"
    assert len({volume.pack for volume in dataset.volumes.values()}) == 3
    return box


def parts(data):
    """{id: everything said of it} of the volumes that were closed; the ids of those dropped."""
    found, dropped, held = {}, [], None
    for kind, header, body in read_frames(io.BytesIO(data)):
        if kind == OPEN:
            held = [header, b"", b"", b""]
        elif kind == DATA:
            held[2] += body
        elif kind == EXTRA:
            held[3 if held[2] else 1] += body
        elif kind == CLOSE:
            found[held[0]["obs_id"]] = held
        elif kind == DROP:
            dropped.append(held[0]["obs_id"])
        elif kind == END:
            found[None] = header
    return found, dropped


def rescued(result, truth):
    """The ids that vol-cat -k gave out, after a look that each of them is as it was.

    A stream with an end must be whole and its end count what is missing; one without is only read
    as far as it goes.
    """
    assert result.status in (0, 1, 65, 66), repr(result)
    if result.status >= 65:
        return set()
    found, dropped = parts(result.out)
    end = found.pop(None)
    for obs_id, volume in found.items():
        assert volume == truth[obs_id], f"{obs_id} is not what it was"
    assert end["dropped"] == len(dropped) and not set(dropped) & set(found)
    assert (result.status == 0) == (set(found) == set(truth)), repr(result)
    assert result.status == 0 or result.err.startswith("vol-cat: "), repr(result)
    return set(found)


def snapshot_for(root, path):
    """'@N' of a snapshot that needs the file: the last if it can be, '' then."""
    numbers = sorted(int(one.stem) for one in (root / "manifests").glob("[0-9]*.json"))
    for number in reversed(numbers):
        manifest = read_json(root / "manifests" / f"{number:010}.json", "volpipe-manifest")
        entries = [file for stage in manifest["stages"]
                   for file in (stage["catalog"], *stage["packs"])]
        entries += [manifest["subjects"]] if manifest.get("subjects") else []
        if path in {entry["path"] for entry in entries}:
            return "" if number == numbers[-1] else f"@{number}"
    return None if path.split("/")[0] in ("packs", "catalogs", "subjects") else ""


def targets(root):
    """{path: snapshot} of every file that a snapshot or a reader needs."""
    found = {path: snapshot_for(root, path) for path, data in tree(root).items()
             if data is not None}
    return {path: snapshot for path, snapshot in found.items() if snapshot is not None}


def verify(root, snapshot="", options="--full -q"):
    return bash(f"vol-verify {options} {quote(str(root) + snapshot)}", "/")


def names(result, root, path):
    """vol-verify found something, each finding is a line, and one of them names the file."""
    lines = result.lines
    assert result.status == 1 and result.err == "" and lines, repr(result)
    pattern = re.escape(f"{root}/{path}") + r"( at byte \d+)?(, volume '[^']+')?(, chunk \d+)?: \S"
    assert any(re.match(pattern, line) for line in lines), f"{path} is not in {lines}"
    return True


def positions(root):
    """(path, offset, mask): all bytes twice if asked, else a sample with something of each file."""
    draw, found = random.Random(SEED), []
    sizes = {path: (root / path).stat().st_size for path in targets(root)}
    if FLIPS == "all":
        places = [(path, at) for path, size in sizes.items() for at in range(size)]
        return [(path, at, mask) for path, at in places for mask in (0xFF, 1 << draw.randrange(8))]
    # HEAD is short, and a turned bit may make another number of its number.
    found = [("HEAD", at, 1 << bit) for at in range(3) for bit in range(8)]
    for _ in range((int(FLIPS) - len(found)) // len(sizes) + 1):
        for path, size in sizes.items():
            found.append((path, draw.randrange(size), draw.choice([0xFF, 1 << draw.randrange(8)])))
    return found


def test_every_byte_that_turns_is_found_and_no_wrong_voxel_comes_out(small, tmp_path):
    root = small / "ds"
    assert verify(root).status == 0 and verify(root, "@2").status == 0
    snapshots = targets(root)
    truth = {snapshot: parts(ok(f"vol-cat ds{snapshot}", small).out)[0]
             for snapshot in set(snapshots.values())}
    for volumes in truth.values():
        del volumes[None]

    def check(worker, share):
        copy = tmp_path / f"copy{worker}"
        shutil.copytree(root, copy)
        failures = []
        for path, at, mask in share:
            with open(copy / path, "r+b") as file:
                file.seek(at)
                byte = file.read(1)[0]
                file.seek(at)
                file.write(bytes([byte ^ mask]))
            try:
                names(verify(copy, snapshots[path]), copy, path)
                rescued(bash(f"vol-cat -k {copy}{snapshots[path]}", "/"), truth[snapshots[path]])
            except Exception as error:
                failures.append(f"byte {at} of {path}, mask {mask:#x}: {error}")
            with open(copy / path, "r+b") as file:
                file.seek(at)
                file.write(bytes([byte]))
        assert verify(copy).status == 0
        return failures

    where, workers = positions(root), os.cpu_count()
    with ThreadPoolExecutor(workers) as pool:
        jobs = [pool.submit(check, worker, where[worker::workers]) for worker in range(workers)]
        failures = [failure for job in jobs for failure in job.result()]
    assert not failures, f"{len(failures)} of {len(where)}:\n" + "\n".join(failures[:20])


def test_files_cut_off_lengthened_missing_or_swapped_are_found(small, tmp_path):
    """But not HEAD, if it is missing, nor first manifests: nothing tells them from collected ones."""
    root, copy = small / "ds", tmp_path / "copy"
    for path, snapshot in targets(root).items():
        data = (root / path).read_bytes()
        others = [one for one in targets(root) if one.split("/")[0] == path.split("/")[0]
                  and one != path and one.split(".")[-1] == path.split(".")[-1]]
        changes = {"empty": b"", "half": data[:len(data) // 2], "short": data[:-1],
                   "long": data + b"\0", "missing": None}
        changes.update({f"swapped with {one}": (root / one).read_bytes() for one in others})
        for what, changed in changes.items():
            shutil.rmtree(copy, ignore_errors=True)
            shutil.copytree(root, copy)
            (copy / path).unlink()
            if changed is not None:
                (copy / path).write_bytes(changed)
            result = verify(copy, snapshot)
            if what == "missing" and path == "volpipe.json":
                assert result.status == 66, repr(result)
                one_clear_line(result, "vol-verify", "copy")
            elif what != "missing" or path.split("/")[0] not in ("HEAD", "manifests", "stages"):
                assert names(result, copy, path), f"{path} {what}"
    # A manifest behind the one that is asked for is looked at, too.
    shutil.rmtree(copy)
    shutil.copytree(root, copy)
    (copy / "manifests" / "0000000003.json").write_bytes(b"{}\n")
    names(verify(copy, "@1"), copy, "manifests/0000000003.json")


def test_swapped_contents_that_are_whole_in_themselves_are_found(small, tmp_path):
    """Two packs of one stage, and two catalogs of one stage, exchange their places."""
    shutil.copytree(small / "ds", tmp_path / "ds")
    root = tmp_path / "ds"
    one, two = sorted({volume.pack for volume in Dataset(root).volumes.values()
                       if volume.collection == "CT"})
    revised = root / Dataset(root).manifest["stages"][0]["catalog"]["path"]
    for left, right in ((one, two), (revised, revised.with_name(revised.name[:32] + ".catalog"))):
        data = left.read_bytes(), right.read_bytes()
        left.write_bytes(data[1])
        right.write_bytes(data[0])
        names(verify(root), root, str(left.relative_to(root)))
        left.write_bytes(data[0])
        right.write_bytes(data[1])
    assert verify(root).status == 0


def hit(path, offset, mask=0x10):
    with open(path, "r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ mask]))


def chunk_of(volume):
    """(number, place in the pack, length) of a stored chunk that is not the first."""
    stored = [(number, volume.offset + at, length)
              for number, (at, length) in enumerate(volume.index()) if at != ABSENT]
    return stored[2]


def test_a_finding_says_where_in_lines_and_in_json(small, tmp_path):
    shutil.copytree(small / "ds", tmp_path / "ds")
    volume = Dataset(tmp_path / "ds")["a"]
    number, at, length = chunk_of(volume)
    hit(volume.pack, at + 30)
    name = f"ds/packs/{volume.pack.name}"
    result = bash("vol-verify --full ds", tmp_path)
    assert result.status == 1 and result.err.count("\n") == 1, repr(result)
    assert result.err.startswith("vol-verify: ") and "volumes" in result.err, result.err
    found = [re.match(re.escape(name) + rf" at byte (\d+), volume 'a', chunk {number}: ", line)
             for line in result.lines]
    [match] = [match for match in found if match]
    assert at <= int(match[1]) < at + length
    assert all(line.startswith(name) for line in result.lines)
    rows = [json.loads(line) for line in
            bash("vol-verify --full --json -q ds", tmp_path).text.splitlines()]
    assert len(rows) == len(result.lines)
    assert all(row.keys() <= {"file", "offset", "volume", "chunk", "problem"} for row in rows
               if "volumes" not in row)
    [row] = [row for row in rows if "volumes" in row]
    stage = volume.pack.name[:32]
    assert (row["stage"], row["collection"], row["volumes"]) == (stage, "CT", ["a"])
    assert row["neighbours"] == ["c"]
    assert any("it holds 1 volume of collection 'CT': 'a'; 1 of its stage lie in other packs" in line
               for line in result.lines), result.lines
    [row] = [row for row in rows if "chunk" in row]
    assert (row["file"], row["volume"], row["chunk"]) == (name, "a", number)
    assert at <= row["offset"] < at + length and row["problem"]
    assert all(row["file"] == name for row in rows), rows
    # Voxels are what --quick does not read.
    quick = bash("vol-verify ds", tmp_path)
    assert quick.status == 0 and quick.out == b"" and "--full" in quick.err, repr(quick)
    for jobs in (1, 7):
        again = bash(f"vol-verify --full --json -q -j {jobs} ds", tmp_path)
        assert sorted(json.dumps(row) for row in rows) == sorted(
            json.dumps(json.loads(line)) for line in again.lines)


def test_quick_finds_what_it_says_it_does(small, tmp_path):
    """Indexes of shards, pages, records, sizes, chains of manifests; one defect at a time."""
    root = tmp_path / "ds"

    def fresh():
        shutil.rmtree(root, ignore_errors=True)
        shutil.copytree(small / "ds", root)
        return Dataset(root)

    def found(path):
        return names(verify(root, options="-q"), root, str(path.relative_to(root)))

    volume = fresh()["e"]
    hit(volume.pack, volume.offset + volume.length - 10)
    assert found(volume.pack)
    catalog = root / fresh().manifest["stages"][0]["catalog"]["path"]
    data = catalog.read_bytes()
    index_at, pages = struct.unpack_from("<QQ", data, len(data) - 24)
    for offset in (index_at + 30, 60, len(data) - 5):
        fresh()
        hit(catalog, offset)
        assert found(catalog)
    fresh()
    with open(volume.pack, "ab") as pack:
        pack.write(b"\0")
    assert found(volume.pack)
    fresh()
    first = root / "manifests" / "0000000001.json"
    shutil.copy(first, root / "kept")
    first.write_bytes(first.read_bytes().replace(b'"CT"', b'"XX"'))
    assert found(first)


@pytest.fixture
def broken(small, tmp_path):
    """A copy to be damaged; what is in it."""
    shutil.copytree(small / "ds", tmp_path / "ds")
    truth, _ = parts(ok("vol-cat ds", tmp_path).out)
    del truth[None]
    assert list(truth) == ["a", "c", "d", "e"]
    return tmp_path, Dataset(tmp_path / "ds"), truth


def keep_going(box, truth, *said, what="ds"):
    """What vol-cat -k gives out, when stderr says all of this; without -k it is a refusal."""
    result = bash(f"vol-cat -k {what}", box)
    assert result.status == 1, repr(result)
    assert all(line.startswith("vol-cat: ") for line in result.err.splitlines()), result.err
    for part in said:
        assert part in result.err, f"{part!r} is not in {result.err}"
    assert bash(f"vol-cat {what}", box).status in (65, 66)
    return rescued(result, truth), result


def test_a_damaged_chunk_costs_its_volume_only(broken):
    box, dataset, truth = broken
    volume = dataset["c"]
    number, at, _ = chunk_of(volume)
    hit(volume.pack, at + 30)
    found, result = keep_going(box, truth, volume.pack.name, "'c'", f"chunk {number}")
    assert found == {"a", "d", "e"}
    assert parts(result.out)[1] == ["c"]
    found, result = keep_going(box, truth, "'c'", what="ds CT c a")
    assert found == {"a"}
    # What comes out is a stream like any other: its consumers take it, and say that it lacks some.
    assert bash("vol-ls -", box, stdin=result.out).status == 1
    result = bash("vol-write -q rescued CT && vol-commit rescued", box, stdin=result.out)
    assert bash("vol-cat -k ds CT nobody", box).status == 66


def test_a_damaged_blob_and_a_damaged_index_cost_their_volume_only(broken):
    box, dataset, truth = broken
    [blob] = [extra for extra in dataset["d"].extras if len(extra) == 4]
    hit(dataset["d"].pack, blob[1] + blob[2] // 2)
    assert keep_going(box, truth, "'d'")[0] == {"a", "c", "e"}
    volume = dataset["e"]
    hit(volume.pack, volume.offset + volume.length - 10)
    assert keep_going(box, truth, "'d'", "'e'")[0] == {"a", "c"}


@pytest.mark.parametrize("defect", ["flipped", "missing", "empty"])
def test_a_damaged_or_missing_pack_or_catalog_costs_what_is_in_it(broken, defect):
    box, dataset, truth = broken
    catalog = box / "ds" / dataset.manifest["stages"][1]["catalog"]["path"]
    for path, left in ((dataset["c"].pack, {"a", "d", "e"}), (catalog, {"a", "c"})):
        data = path.read_bytes()
        if defect == "flipped":
            # In the header of the pack, and in a block of the catalog.
            hit(path, 20 if path.suffix == ".pack" else 60)
        elif defect == "empty":
            path.write_bytes(b"")
        else:
            path.unlink()
        found, result = keep_going(box, truth, path.name)
        assert found == left
        end = parts(result.out)[0][None]
        assert end["volumes"] == len(left), end
        assert end["dropped"] + end["skipped"] == len(truth) - len(left), end
        path.write_bytes(data)
    assert rescued(bash("vol-cat -k ds", box), truth) == set(truth)


@pytest.mark.parametrize("defect", ["missing", "short", "header", "a folder"])
def test_a_lost_pack_is_one_finding_that_names_all_that_was_in_it(tmp_path, tools, defect):
    names_of = [f"v{number:02}" for number in range(12)]
    ok("vol-write -q ds CT; vol-commit -q ds", tmp_path, stdin=stream(names_of))
    ok("vol-rm -q ds v03", tmp_path)
    names_of.remove("v03")
    [pack] = (tmp_path / "ds" / "packs").iterdir()
    data = pack.read_bytes()
    pack.unlink()
    if defect == "a folder":
        pack.mkdir()
    elif defect != "missing":
        pack.write_bytes(data[:-1] if defect == "short" else b"x" + data[1:])
    for mode in ("", "--full"):
        result = bash(f"vol-verify {mode} ds", tmp_path)
        [line] = result.lines
        assert result.status == 1 and line.startswith(f"ds/packs/{pack.name}"), repr(result)
        assert line.endswith("; it holds 11 volumes of collection 'CT': "
                             "'v00', 'v01', 'v02', 'v04', 'v05' and 6 more"), line
        assert "1 finding" in result.err and "11 volumes" in result.err
        [row] = [json.loads(line) for line in bash(f"vol-verify {mode} --json ds", tmp_path).lines]
        assert row["file"] == f"ds/packs/{pack.name}" and row["stage"] == pack.name[:32]
        assert (row["collection"], row["volumes"], row["neighbours"]) == ("CT", names_of, [])


# Repair


@pytest.fixture
def copies(small, tmp_path):
    """Two copies of a dataset, of which the first is to be damaged."""
    for name in ("ds", "other"):
        shutil.copytree(small / "ds", tmp_path / name)
    return tmp_path


def repair(box, status, *options, other="other"):
    result = bash(f"vol-verify {' '.join(options)} --repair-from {other} ds", box)
    assert result.status == status, repr(result)
    return result


def needed(root):
    """The files of the last snapshot, and the manifests."""
    manifest = read_json(max((root / "manifests").glob("0*.json")), "volpipe-manifest")
    files = [file["path"] for stage in manifest["stages"]
             for file in (stage["catalog"], *stage["packs"])]
    return files + [manifest["subjects"]["path"]]


def test_whatever_is_missing_or_damaged_is_taken_from_another_copy(copies):
    before = tree(copies / "ds")
    for defect in ("missing", "flipped", "short", "a folder is missing"):
        paths = needed(copies / "ds") + ["manifests/0000000002.json", "manifests/0000000004.json"]
        for path in paths:
            target = copies / "ds" / path
            if defect == "a folder is missing":
                shutil.rmtree(target.parent, ignore_errors=True)
            elif defect == "missing":
                target.unlink()
            elif defect == "short":
                target.write_bytes(before[path][:-1])
            else:
                hit(target, len(before[path]) // 2)
        result = repair(copies, 0, "-q" if defect == "short" else "")
        took = re.findall(r"took '([^']+)' from 'other', ", result.err)
        if defect in ("missing", "flipped"):
            assert sorted(took) == sorted(paths), result.err
        assert defect != "short" or result.err == ""
        after = tree(copies / "ds")
        for path in paths:
            # Of manifests that are all gone, HEAD tells of the last alone.
            if defect == "a folder is missing" and path == "manifests/0000000002.json":
                continue
            assert after[path] == before[path], f"{path} {defect}"
        assert not [path for path in after if "/." in path]
        # What this leaves out: what only other snapshots need, and was removed with its folder.
        shutil.rmtree(copies / "ds")
        shutil.copytree(copies / "other", copies / "ds")


def test_a_sound_file_is_left_alone_and_a_damaged_one_is_not_taken(copies):
    root, other = copies / "ds", copies / "other"
    [pack, *_] = sorted(volume.pack for volume in Dataset(root).volumes.values())
    name = f"packs/{pack.name}"
    kept = {path: (root / path).stat().st_ino for path in needed(root) if path != name}
    data = pack.read_bytes()
    hit(pack, 40)
    hit(other / name, 50)
    mine = pack.read_bytes()
    result = repair(copies, 1)
    assert f"cannot take '{name}' from 'other': " in result.err and "SHA-256" in result.err
    assert pack.read_bytes() == mine and result.lines, repr(result)
    (other / name).write_bytes(data[:-1])
    assert f"cannot take '{name}'" in repair(copies, 1, "-q").err
    (other / name).unlink()
    (other / name).symlink_to(pack)
    assert f"cannot take '{name}'" in repair(copies, 1, "-q").err
    (other / name).unlink()
    assert f"cannot take '{name}'" in repair(copies, 1, "-q").err
    # Damage elsewhere in the other copy does not matter.
    (other / name).write_bytes(data)
    for path in kept:
        hit(other / path, 45)
    assert repair(copies, 0, "-q").err == ""
    assert {path: (root / path).stat().st_ino for path in kept} == kept
    assert verify(root).status == 0
    assert repair(copies, 0).err.count("\n") == 1


def test_only_a_copy_of_the_same_dataset_is_taken_from(copies):
    ok("vol-write -q new CT; vol-commit -q new", copies, stdin=stream(["a"]))
    before = tree(copies / "ds")
    one_clear_line(repair(copies, 65, other="new"), "vol-verify", "'ds'", "new", "another dataset")
    repair(copies, 66, other="nothing")
    repair(copies, 64, "--quick")
    assert tree(copies / "ds") == before


def test_a_manifest_older_than_all_that_are_there_stays_away(copies):
    """vol-gc may have removed it, and what it needs."""
    ok("vol-gc -q --grace 0 --keep-last 2 ds", copies)
    before = tree(copies / "ds")
    assert repair(copies, 0, "-q").err == ""
    assert tree(copies / "ds") == before
    # But the last, which HEAD names, and an old snapshot's own files.
    (copies / "ds" / "manifests" / "0000000004.json").unlink()
    repair(copies, 0, "-q")
    assert tree(copies / "ds") == before


def test_a_snapshot_that_only_this_copy_has_is_not_lost(copies):
    """Both copies went on by themselves, and HEAD came from the other."""
    for name, volume in (("ds", "mine"), ("other", "theirs")):
        ok(f"vol-write -q {name} CT; vol-commit -q {name}", copies, stdin=stream([volume]))
    shutil.copy(copies / "other" / "HEAD", copies / "ds")
    before = tree(copies / "ds")
    assert "HEAD" in repair(copies, 1, "-q").text
    assert tree(copies / "ds") == before
