"""What changes a dataset over time: conditions of a commit, removal, replacement, collection."""

import hashlib
import io
import json
import os
import random
import re
import signal
import subprocess
import time
from datetime import UTC, datetime, timedelta

import inject
import pytest
from dataset import Dataset, reseal, staged, staged_tables
from frames import FrameWriter
from support import SEED, bash, environment, ids, ok, one_clear_line, quote, ramp, snapshot, tree


def stream(volumes, shape=(7, 6, 5), dtype="int16", extra=b"header", **header):
    """A stream of {id: seed of its voxels}."""
    out = io.BytesIO()
    writer = FrameWriter(out)
    for obs_id, seed in volumes.items():
        writer.open({"obs_id": obs_id, "name": f"n-{obs_id}", "obs_subject_id": "s1",
                     "shape": list(shape), "dtype": dtype, **header})
        writer.extra(extra)
        writer.data(ramp(shape, dtype, seed=seed))
        writer.close()
    writer.end()
    return out.getvalue()


def write(box, volumes, collection="CT", options="", **form):
    """Stage volumes, given as {id: seed} or as a string of ids; the stage's id."""
    if isinstance(volumes, str):
        volumes = {obs_id: sum(obs_id.encode()) for obs_id in volumes.split()}
    data = stream(volumes, **form)
    return ok(f"vol-write -q {options} ds {collection}", box, stdin=data).text.strip()


def commit(box, volumes, collection="CT", options=""):
    """Stage and commit volumes; the snapshot's number."""
    write(box, volumes, collection, options)
    return snapshot(ok("vol-commit ds", box))


def voxels(seed):
    return ramp((7, 6, 5), seed=seed).tobytes(order="F")


def found(box, snapshot=None):
    """{id: voxels} of a snapshot, read from the pages alone."""
    return {obs_id: volume.array().tobytes(order="F")
            for obs_id, volume in Dataset(box / "ds", snapshot).volumes.items()}


def held(box, snapshot=None):
    return sorted(Dataset(box / "ds", snapshot).volumes)


def unchanged(box, command, status, *said, **options):
    """The command ends so, says why in one line, and leaves the dataset as it was."""
    before = tree(box / "ds")
    result = bash(command, box, **options)
    assert result.status == status, repr(result)
    if said:
        one_clear_line(result, command.split()[0], *said)
    assert tree(box / "ds") == before, f"{command} changed something"
    return result


# Conditions


def test_expect_commits_on_top_of_the_snapshot_named_and_of_no_other(box):
    write(box, "a")
    unchanged(box, "vol-commit --expect 1 ds", 75, "0", "1")
    assert snapshot(ok("vol-commit --expect 0 ds", box)) == 1
    write(box, "b")
    for number in (0, 2, 2**64 - 1):
        unchanged(box, f"vol-commit --expect {number} ds", 75, str(number))
    assert snapshot(ok("vol-commit --expect 1 ds", box)) == 2
    unchanged(box, "vol-rm --expect 1 ds a", 75, "1", "2")
    assert snapshot(ok("vol-rm --expect 2 ds a", box)) == 3
    for number in ("-1", "x", "1.5", str(2**64)):
        assert unchanged(box, f"vol-commit --expect {number} ds", 64).out == b""


def test_of_many_commits_that_expect_one_snapshot_exactly_one_is_made(box):
    commit(box, "a")
    stages = [write(box, f"v{number}") for number in range(4)]
    script = " ".join(f"vol-commit --expect 1 ds {stage} & p{number}=$!;"
                      for number, stage in enumerate(stages))
    script += " vol-rm --expect 1 ds a & p4=$!; "
    script += " ".join(f"wait $p{number}; echo status $?;" for number in range(5))
    result = bash(script, box)
    counts = [result.lines.count(f"status {status}") for status in (0, 75)]
    assert counts == [1, 4], repr(result)
    assert sorted(Dataset(box / "ds").manifests) == [1, 2]


def test_if_staged_without_anything_staged_is_done_where_there_is_a_snapshot(box):
    result = bash("vol-commit --if-staged ds", box)
    assert result.status == 66
    stage = write(box, "a")
    record = box / "ds" / "stages" / f"{stage}.json"
    data = record.read_bytes()
    record.unlink()
    unchanged(box, "vol-commit --if-staged ds", 66, "ds")
    record.write_bytes(data)
    assert snapshot(ok("vol-commit --if-staged ds", box)) == 1
    assert snapshot(unchanged(box, "vol-commit --if-staged ds", 0)) == 1
    assert unchanged(box, "vol-commit --if-staged -q ds", 0).out == b""
    unchanged(box, f"vol-commit --if-staged ds {stage}", 66, stage)
    write(box, "b")
    assert snapshot(ok("vol-commit --if-staged ds", box)) == 2


# vol-rm


@pytest.fixture
def three(box):
    """Two collections, three stages, two snapshots, a subject table, and something staged."""
    commit(box, "a b c")
    write(box, "d e")
    ok("vol-meta -q ds", box, stdin=b"obs_subject_id\tage\ns1\t50\n")
    commit(box, "m n", "MR")
    write(box, "later")
    return box


def test_a_removed_volume_is_gone_and_no_byte_of_the_past_is(three):
    before, streams = tree(three / "ds"), [ok(f"vol-cat ds@{n}", three).out for n in (1, 2)]
    assert snapshot(ok("vol-rm --meta reason=withdrawn --meta who=me ds b m", three)) == 3
    dataset = Dataset(three / "ds")
    assert held(three) == ["a", "c", "d", "e", "n"] == sorted(ids("ds", three))
    assert dataset.manifest["metadata"] == {"reason": "withdrawn", "who": "me"}
    assert dataset.subjects.rows == [["s1", "50"]]
    assert len(staged(three / "ds")) == 1
    catalogs = [stage["catalog"]["path"] for stage in dataset.manifest["stages"]]
    assert [len(path) > len("catalogs/.catalog") + 32 for path in catalogs].count(True) == 2
    after = tree(three / "ds")
    for path, data in before.items():
        assert path == "HEAD" or after[path] == data, path
    assert [ok(f"vol-cat ds@{n}", three).out for n in (1, 2)] == streams
    assert held(three, 2) == ["a", "b", "c", "d", "e", "m", "n"]
    # Catalogs that were revised already are revised again.
    assert snapshot(ok("vol-rm ds a", three)) == 4
    assert held(three) == ["c", "d", "e", "n"] and held(three, 3) == ["a", "c", "d", "e", "n"]
    for number in (1, 2, 3, 4):
        assert bash(f"vol-verify --full -q ds@{number}", three).status == 0
    ok("vol-ls --sha256 ds | (cd ds && sha256sum --quiet -c)", three)
    assert json.loads(ok("vol-ls --json ds CT", three).lines[0])["obs_id"] == "c"


def test_ids_come_from_operands_and_from_lists_each_once(three):
    (three / "list").write_text("b\n\nm\nb\n")
    (three / "nul").write_bytes(b"c\0a\0")
    before = tree(three / "ds")
    wanted = {"CT\tb", "MR\tm", "CT\ta"}
    for command in ("-n -T list ds a b", "-n -T - ds a m < list", "--dry-run --files-from list ds a"):
        result = ok(f"vol-rm {command}", three)
        assert sorted(result.lines) == sorted(wanted), command
    assert tree(three / "ds") == before
    assert ok("vol-rm -q -T list ds a", three).text == ""
    assert held(three) == ["c", "d", "e", "n"]
    assert snapshot(ok("vol-rm -f -0 -T nul ds", three)) == 4
    assert held(three) == ["d", "e", "n"]
    # An empty list is no error, and no snapshot.
    assert snapshot(unchanged(three, "vol-rm -T /dev/null ds", 0)) == 4
    assert unchanged(three, "vol-rm ds", 64).out == b""
    unchanged(three, "vol-rm -T no-such-list ds", 66, "no-such-list")


def test_an_id_that_is_not_there_is_an_error_or_passed_over(three):
    unchanged(three, "vol-rm ds a nobody", 66, "nobody")
    unchanged(three, "vol-rm -n ds nobody a", 66, "nobody")
    # What is staged only is not in the snapshot.
    unchanged(three, "vol-rm ds later", 66, "later")
    assert snapshot(unchanged(three, "vol-rm -f ds nobody later", 0)) == 2
    assert unchanged(three, "vol-rm -fn ds nobody a", 0).out == b"CT\ta\n"
    assert snapshot(ok("vol-rm -f ds nobody a", three)) == 3
    assert "a" not in held(three)
    unchanged(three, "vol-rm ds a", 66, "a")


def test_removal_needs_a_dataset_with_a_snapshot(box):
    assert bash("vol-rm nothing a", box).status == 66
    write(box, "a")
    unchanged(box, "vol-rm ds a", 66, "ds")
    unchanged(box, "vol-rm -f ds a", 66, "ds")


def test_all_volumes_of_a_stage_of_a_collection_and_of_the_dataset_can_go(three):
    ok("vol-rm ds m n", three)
    assert Dataset(three / "ds").manifest["collections"].keys() == {"CT"}
    assert [line.split("\t")[0] for line in ok("vol-ls --tsv ds", three).lines[1:]] == ["CT"]
    unchanged(three, "vol-cat ds MR", 66, "MR")
    ok("vol-rm ds a b c d e", three)
    dataset = Dataset(three / "ds")
    assert dataset.volumes == {} and dataset.manifest["stages"] == []
    assert dataset.subjects.rows == [["s1", "50"]]
    assert ok("vol-ls --tsv ds", three).lines[1:] == [] == ids("ds", three)
    assert bash("vol-verify --full -q ds", three).status == 0
    assert snapshot(unchanged(three, "vol-rm -f ds a", 0)) == 4
    # What was staged before comes in after.
    assert snapshot(ok("vol-commit ds", three)) == 5 and held(three) == ["later"]
    assert held(three, 2) == ["a", "b", "c", "d", "e", "m", "n"]


def test_a_removed_id_may_come_back_as_another_volume(three):
    old = found(three)
    ok("vol-rm ds a m", three)
    write(three, {"a": 1000, "m": 1001}, "PET")
    ok("vol-commit ds", three)
    dataset, new = Dataset(three / "ds"), found(three)
    assert {dataset[obs_id].collection for obs_id in "am"} == {"PET"}
    assert new["a"] == voxels(1000) != old["a"]
    assert found(three, 2) == old
    # And back as it was, from the snapshot before.
    ok("vol-rm ds a && vol-cat ds@2 CT a | vol-write -q ds CT && vol-commit ds", three)
    assert found(three)["a"] == old["a"]


def test_a_stage_whose_record_was_left_behind_does_not_come_back_after_removal(box):
    """The committer died before it removed the record; then all volumes of the stage are removed."""
    commit(box, "a")
    stage = write(box, "b")
    record = box / "ds" / "stages" / f"{stage}.json"
    data = record.read_bytes()
    ok("vol-commit ds", box)
    record.write_bytes(data)
    assert ok("vol-ls --staged --tsv ds", box).lines[1:] == []
    ok("vol-rm ds b", box)
    assert snapshot(bash("vol-commit --if-staged ds", box)) == 3 and held(box) == ["a"]
    assert not record.exists()


# vol-write over what is there


def test_volumes_that_are_there_already_are_skipped(box):
    commit(box, "a b")
    write(box, "c")
    data = stream({obs_id: sum(obs_id.encode()) for obs_id in "abc"}, note="another attribute")
    result = unchanged(box, "vol-write --skip-existing ds CT", 0, stdin=data)
    assert result.out == b"" and "3 volumes" in result.err and "already" in result.err, repr(result)
    result = unchanged(box, "vol-write -q --replace ds CT", 0, stdin=data)
    assert result.out == b"" and result.err == "", repr(result)
    unchanged(box, "vol-write -q ds CT", 65, "a", stdin=data)
    # Of a stream with more, only what is new is staged.
    stage = write(box, "a new c", options="--skip-existing")
    assert [volume.obs_id for volume in staged(box / "ds")[stage]] == ["new"]
    ok("vol-commit ds", box)
    assert held(box) == ["a", "b", "c", "new"]


DIFFERENT = {"voxels": {"seed": 5}, "dtype": {"dtype": "uint16"}, "shape": {"shape": (7, 5, 6)},
             "extra": {"extra": b"header2"}, "collection": {"collection": "MR"}}


@pytest.mark.parametrize("what", DIFFERENT)
def test_a_volume_that_differs_is_refused_unless_it_is_to_replace(box, what):
    form = dict(DIFFERENT[what])
    collection, seed = form.pop("collection", "CT"), form.pop("seed", 1)
    commit(box, {"same": 0, "x": 1})
    old = found(box)
    data = stream({"x": seed, "other": 2}, **form)
    unchanged(box, f"vol-write -q --skip-existing ds {collection}", 65, "x", stdin=data)
    if what == "collection":
        # An id stands for a volume of one collection.
        unchanged(box, f"vol-write -q --replace ds {collection}", 65, "x", stdin=data)
        return
    stage = ok("vol-write -q --replace ds CT", box, stdin=data).text.strip()
    assert sorted(volume.obs_id for volume in staged(box / "ds")[stage]) == ["other", "x"]
    assert found(box) == old
    assert snapshot(ok("vol-commit ds", box)) == 2
    dataset = Dataset(box / "ds")
    assert held(box) == ["other", "same", "x"]
    assert dataset["x"].array().tobytes(order="F") == ramp(
        form.get("shape", (7, 6, 5)), form.get("dtype", "int16"), seed=seed).tobytes(order="F")
    assert dataset["x"].source_bytes(False) == form.get("extra", b"header")
    assert found(box, 1) == old
    assert [line.split("\t")[::2] for line in ok("vol-ls --tsv --diff 1 2 ds", box).lines[1:]] == [
        ["~", "x"], ["+", "other"]]
    assert bash("vol-verify --full -q ds", box).status == 0


def test_what_is_only_staged_is_not_replaced_and_a_replacement_is_committed_once(box):
    commit(box, {"x": 1, "y": 1})
    write(box, {"staged": 1})
    unchanged(box, "vol-write -q --replace ds CT", 65, "staged", stdin=stream({"staged": 2}))
    write(box, {"x": 2}, options="--replace")
    # Two stages with one id: neither is older, so neither replaces the other.
    left = write(box, {"y": 2}, options="--replace")
    record = box / "ds" / "stages" / f"{left}.json"
    data = record.read_bytes()
    record.unlink()
    right = write(box, {"y": 3}, options="--replace")
    record.write_bytes(data)
    unchanged(box, "vol-commit ds", 65, "'y'")
    ok(f"vol-commit ds {right}", box)
    assert found(box)["y"] == voxels(3)
    ok("vol-commit ds", box)
    last = found(box)
    assert last["y"] == voxels(2) == last["x"] and len(last) == 3


def test_a_stage_that_replaces_nothing_does_not_take_the_place_of_what_came_later(box):
    """--replace of an id that nobody had; until its commit, somebody else has committed it."""
    commit(box, "a")
    mine = write(box, {"x": 1}, options="--replace")
    record = box / "ds" / "stages" / f"{mine}.json"
    data = record.read_bytes()
    record.unlink()
    commit(box, {"x": 2})
    record.write_bytes(data)
    assert "replaces" not in json.loads(data)
    unchanged(box, "vol-commit ds", 65, "'x'")


# vol-ls over several snapshots


def test_differences_between_snapshots_are_listed_both_ways(three):
    ok("vol-rm -q ds a m", three)
    write(three, {"b": 77}, options="--replace")
    ok("vol-commit -q ds; vol-cat ds@2 CT a | vol-write -q ds CT; vol-commit -q ds", three)

    def diff(old, new):
        lines = ok(f"vol-ls --tsv --diff {old} {new} ds", three).lines
        assert lines[0].split("\t") == ["change", "collection", "obs_id"]
        rows = [json.loads(line) for line in
                ok(f"vol-ls --json --diff {old} {new} ds", three).lines]
        assert [list(row.values()) for row in rows] == [
            [row[key] for key in ("change", "collection", "obs_id")] for row in rows]
        assert lines[1:] == ["\t".join(row.values()) for row in rows]
        return sorted("".join(row.values()) for row in rows)

    assert diff(2, 2) == []
    assert diff(1, 2) == ["+CTd", "+CTe", "+MRm", "+MRn"]
    assert diff(2, 1) == ["-CTd", "-CTe", "-MRm", "-MRn"]
    assert diff(2, 3) == ["-CTa", "-MRm"]
    assert diff(3, 4) == ["+CTlater", "~CTb"]
    # The same volume written anew is another.
    assert diff(2, 5) == ["+CTlater", "-MRm", "~CTa", "~CTb"]
    assert diff(5, 2) == ["+MRm", "-CTlater", "~CTa", "~CTb"]
    for wrong in ("0 1", "1 9"):
        assert unchanged(three, f"vol-ls --diff {wrong} ds", 66).out == b""
    for wrong in ("1", "x y", "1 2 3"):
        assert unchanged(three, f"vol-ls --diff {wrong} ds", 64).out == b""


def test_each_snapshot_names_its_parent_and_the_tool_that_made_it(three):
    ok("vol-rm -q --meta why=x ds a", three)
    rows = [json.loads(line) for line in ok("vol-ls --json --snapshots ds", three).lines]
    assert [row["snapshot"] for row in rows] == [1, 2, 3]
    assert [row["parent"] for row in rows] == [None, 1, 2]
    assert [row["tool"].split()[0] for row in rows] == ["vol-commit", "vol-commit", "vol-rm"]
    assert rows[2]["metadata"] == {"why": "x"} and rows[2]["volumes"] == 6


# vol-gc


DAY = 86_400
DEAD = "d" * 32
LEASES = [f"leases/{letter * 16}-{work}.json"
          for letter, work in (("d", "write"), ("e", "commit"), ("f", "write"))]
LEFT = [f"packs/{DEAD}-0000.pack", f"packs/{DEAD}-0001.pack", f"catalogs/{DEAD}.catalog",
        f"catalogs/{DEAD}-{'e' * 32}.catalog", f"subjects/{'f' * 32}.subjects", *LEASES,
        f"stages/.{DEAD}", f"manifests/.{DEAD}", f".HEAD-{DEAD}", f".volpipe-{DEAD}"]
FOREIGN = ["notes.txt", "packs/readme", "packs/x.pack", "stages/old.json.bak", "manifests/1.json",
           f"catalogs/{DEAD}.txt", ".gitignore", ".nfs000001"]


def leave(box, age, paths=LEFT):
    """Files as a dead writer leaves them, so many seconds ago."""
    for path in paths:
        (box / "ds" / path).write_bytes(b"left over")
        os.utime(box / "ds" / path, (time.time() - age,) * 2)


def age(box, seconds, *patterns):
    for pattern in patterns or ("*", "*/*"):
        for path in (box / "ds").glob(pattern):
            os.utime(path, (time.time() - seconds,) * 2)


def present(box):
    return {path for path, data in tree(box / "ds").items() if data is not None}


def test_what_dead_writers_left_is_removed_and_nothing_else(three):
    before = present(three)
    ok("vol-meta -q ds", three, stdin=b"obs_subject_id,age\ns9,9\n")
    before = present(three)
    leave(three, 2 * DAY)
    leave(three, 2 * DAY, FOREIGN)
    age(three, 30 * DAY)
    whole = present(three)
    dry = ok("vol-gc -nq ds", three)
    assert sorted(dry.lines) == sorted(LEFT) and present(three) == whole
    result = bash("vol-gc -n ds", three)
    first, kept = result.err.splitlines()
    assert first == f"vol-gc: would remove {len(LEFT)} files, {9 * len(LEFT)} B"
    assert re.match(r"vol-gc: kept 3 files, [0-9.]+ k?B, of 2 stages not committed; ", kept), kept
    result = bash("vol-gc -v ds", three)
    assert result.status == 0 and sorted(result.lines) == sorted(LEFT), repr(result)
    assert result.err.splitlines() == [
        f"vol-gc: removed {len(LEFT)} files, {9 * len(LEFT)} B", kept]
    assert present(three) == before | set(FOREIGN)
    result = bash("vol-gc ds", three)
    assert result.status == 0 and result.out == b"" and "removed 0 files" in result.err
    assert ok("vol-gc -q ds", three).out == b""
    for path in FOREIGN:
        (three / "ds" / path).unlink()
    # Finished stages are needed, however old.
    ok("vol-commit -q ds", three)
    assert "later" in held(three) and "s9" in {row[0] for row in Dataset(three / "ds").subjects.rows}


def test_what_changed_within_the_time_of_grace_stays_with_all_of_its_stage(three):
    leave(three, DAY - 600)
    assert ok("vol-gc -nq ds", three).lines == []
    leave(three, DAY + 600)
    assert len(ok("vol-gc -nq ds", three).lines) == len(LEFT)
    assert ok("vol-gc -nq --grace 2d ds", three).lines == []
    assert ok("vol-gc -nq --grace 25h ds", three).lines == []
    # Who lives keeps what it draws, and nobody else's, however old; a file is no sign of life.
    age(three, 60, LEFT[1])
    assert sorted(ok("vol-gc -nq ds", three).lines) == sorted(LEFT)
    for lease, kept in zip(LEASES, (LEFT[:3], LEFT[3:4], LEFT[4:5])):
        age(three, 60, lease)
        assert sorted(ok("vol-gc -nq ds", three).lines) == sorted(
            path for path in LEFT if path not in (*kept, lease))
        assert sorted(ok("vol-gc -nq --grace 30s ds", three).lines) == sorted(LEFT)
        age(three, 2 * DAY, lease)
    assert sorted(ok("vol-gc -nq --grace 0 ds", three).lines) == sorted(LEFT)
    for wrong in ("5", "-1s", "1w", "x", "", "1.5h", "s"):
        assert unchanged(three, f"vol-gc --grace '{wrong}' ds", 64).out == b""
    for wrong in ("0", "-1", "x"):
        assert unchanged(three, f"vol-gc --keep-last {wrong} ds", 64).out == b""
    assert bash("vol-gc nothing", three).status == 66
    (three / "empty").mkdir()
    assert bash("vol-gc empty", three).status == 66


def test_what_is_kept_is_counted_with_the_reason(box):
    commit(box, "a")
    commit(box, "b")
    leave(box, 60, [*LEFT[:3], LEASES[0]])
    assert bash("vol-gc --keep-last 1 ds", box).err.splitlines() == [
        "vol-gc: removed 0 files, 0 B",
        "vol-gc: kept 1 snapshot more, which a reader may have begun with less than 24 h ago",
        "vol-gc: kept 3 files, 27 B, of unfinished writers younger than 24 h"]
    assert bash("vol-gc --grace 90m ds", box).err.splitlines()[1:] == [
        "vol-gc: kept 3 files, 27 B, of unfinished writers younger than 90 m"]
    assert bash("vol-gc --grace 30s ds", box).err == "vol-gc: removed 4 files, 36 B\n"
    assert bash("vol-gc ds", box).err == "vol-gc: removed 0 files, 0 B\n"


def test_old_snapshots_stay_while_somebody_may_commit_on_top_of_them(box):
    for name in "abc":
        commit(box, name)
    age(box, 2 * DAY)
    # One that was cut off, so that nothing is awaited.
    leave(box, 600, [f"leases/{'e' * 16}-commit.json"])
    before = present(box)
    assert bash("vol-gc --keep-last 1 ds", box).err.splitlines() == [
        "vol-gc: removed 0 files, 0 B",
        "vol-gc: kept 2 snapshots more, since a commit is under way, or was cut off less than 24 h ago"]
    assert present(box) == before
    assert ok("vol-gc -qv --keep-last 1 --grace 5m ds", box).lines[:2] == [
        "manifests/0000000001.json", "manifests/0000000002.json"]


def test_old_snapshots_go_with_what_only_they_need(three):
    ok("vol-rm -q ds a; vol-rm -q ds m n", three)
    streams = {number: ok(f"vol-cat ds@{number}", three).out for number in (1, 2, 3, 4)}
    # All of this happened within the time of grace.
    assert ok("vol-gc -nq --keep-last 1 ds", three).lines == []
    mr = Dataset(three / "ds", 3)["m"].pack.name
    removed = ok("vol-gc -qv --keep-last 3 --grace 0 ds", three).lines
    assert removed == ["manifests/0000000001.json"]
    assert bash("vol-cat ds@1", three).status == 66
    for number in (2, 3, 4):
        assert ok(f"vol-cat ds@{number}", three).out == streams[number]
    removed = ok("vol-gc -qv --keep-last 1 --grace 0 ds", three).lines
    assert {"manifests/0000000002.json", "manifests/0000000003.json", f"packs/{mr}"} <= set(removed)
    assert ok("vol-cat ds", three).out == streams[4] == ok("vol-cat ds@4", three).out
    assert present(three) - {path for path in present(three) if path.startswith("stages/")} >= (
        inject.files_needed(three / "ds"))
    assert bash("vol-verify --full -q ds", three).status == 0
    assert unchanged(three, "vol-gc -q --keep-last 1 --grace 0 ds", 0).out == b""
    # The numbers go on, what was staged is still staged, and HEAD is right.
    assert snapshot(ok("vol-commit ds", three)) == 5
    assert held(three) == ["b", "c", "d", "e", "later"] and min(Dataset(three / "ds").manifests) == 4
    rows = [json.loads(line) for line in ok("vol-ls --json --snapshots ds", three).lines]
    assert [(row["snapshot"], row["parent"]) for row in rows] == [(4, 3), (5, 4)]


def test_every_snapshot_that_was_the_last_within_the_time_of_grace_is_kept(box):
    """A snapshot is old when its successor is."""
    for name in "abcd":
        commit(box, name)
    for number, days in ((1, 10), (2, 5), (3, 0.5), (4, 0)):
        age(box, days * DAY, f"manifests/{number:010}.json")
    assert ok("vol-gc -nq --keep-last 1 ds", box).lines == ["manifests/0000000001.json"]
    assert ok("vol-gc -nq --keep-last 1 --grace 7d ds", box).lines == []
    assert sorted(ok("vol-gc -nq --keep-last 1 --grace 6h ds", box).lines) == [
        "manifests/0000000001.json", "manifests/0000000002.json"]


def redate(box, *days):
    """Make the snapshots so many days old by what their manifests say; whole as a chain."""
    parent = None
    for number, ago in enumerate(days, 1):
        path = box / "ds" / "manifests" / f"{number:010}.json"
        created = datetime.now(UTC) - timedelta(days=ago)
        reseal(path, created=created.strftime("%Y-%m-%dT%H:%M:%S.%fZ"), parent=parent)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        parent = {"snapshot": number, "sha256": digest}
    (box / "ds" / "HEAD").write_text(f"{number} {digest}\n")


def test_snapshots_made_within_an_age_are_kept_and_either_option_keeps(box):
    for name in "abcde":
        commit(box, name)
    redate(box, 40, 30, 20, 10, 5)
    assert held(box) == list("abcde")

    def removed(options):
        return [int(line[10:20]) for line in ok(f"vol-gc -nq --grace 0 {options} ds", box).lines]

    assert removed("") == []
    assert sorted(removed("--keep-within 25d")) == [1, 2]
    assert sorted(removed("--keep-within 600h")) == [1, 2]
    assert sorted(removed("--keep-within 25d --keep-last 4")) == [1]
    assert sorted(removed("--keep-within 25d --keep-last 1")) == [1, 2]
    # The last one stays, as old as it may be.
    assert sorted(removed("--keep-within 0")) == [1, 2, 3, 4]
    assert sorted(removed("--keep-within 1d --keep-last 2")) == [1, 2, 3]
    ok("vol-gc -q --grace 0 --keep-within 25d ds", box)
    assert sorted(Dataset(box / "ds").manifests) == [3, 4, 5]


def test_damaged_manifests_stop_a_collection_before_it_removes_files(three):
    leave(three, 2 * DAY)
    path = three / "ds" / "manifests" / "0000000001.json"
    data = path.read_bytes()
    path.write_bytes(data.replace(b"CT", b"CX"))
    for options in ("", "--grace 0", "--grace 0 --keep-last 2"):
        unchanged(three, f"vol-gc -q {options} ds", 65, "0000000001.json")
    path.write_bytes(data)
    last = three / "ds" / "manifests" / "0000000002.json"
    last.write_bytes(last.read_bytes()[:-1])
    unchanged(three, "vol-gc -q --grace 0 ds", 65, "0000000002.json")


def test_whatever_is_done_no_collection_removes_what_a_snapshot_needs(box):
    """Random histories; each snapshot that is kept is what it was when it was made."""
    draw, model, snapshots, count = random.Random(SEED), {}, {}, 0
    what = f"seed {SEED}"
    for step in range(60):
        action = draw.choice(["add", "add", "remove", "replace", "again", "collect", "table"])
        some = draw.sample(sorted(model), min(len(model), draw.randint(1, 3)))
        if action == "add":
            new = {f"v{count + number}": draw.randrange(999) for number in range(draw.randint(1, 3))}
            count += len(new)
            write(box, new, draw.choice(["CT", "MR"]), f"--pack-size {draw.choice(['1', '4G'])}")
            model |= new
        elif action == "remove" and some:
            ok(f"vol-rm -q ds {quote(*some)}", box)
            for obs_id in some:
                del model[obs_id]
        elif action == "replace" and some:
            homes = Dataset(box / "ds").volumes
            new = {obs_id: draw.randrange(1000, 1999) for obs_id in some
                   if homes[obs_id].collection == homes[some[0]].collection}
            write(box, new, homes[some[0]].collection, "--replace")
            model |= new
        elif action == "again" and snapshots:
            # From an old snapshot that is still there, what has gone since.
            number = draw.choice(sorted(snapshots))
            gone = {obs_id: seed for obs_id, seed in snapshots[number].items()
                    if obs_id not in model}
            if gone:
                write(box, gone, "again")
                model |= gone
        elif action == "table":
            ok("vol-meta -q ds", box, stdin=f"obs_subject_id,x\ns{step},{step}\n".encode())
        elif action == "collect" and snapshots:
            last = draw.randint(1, 4)
            ok(f"vol-gc -q --grace 0 --keep-last {last} ds", box)
            snapshots = dict(sorted(snapshots.items())[-last:])
            assert present(box) == inject.files_needed(box / "ds"), what
        if action in ("add", "replace", "again", "table"):
            ok("vol-commit -q --if-staged ds", box) if (box / "ds/manifests").exists() else None
        manifests = [int(path.stem) for path in (box / "ds/manifests").glob("[0-9]*.json")]
        if manifests:
            snapshots.setdefault(max(manifests), dict(model))
            assert sorted(manifests) == sorted(snapshots), what
    for number, volumes in snapshots.items():
        wanted = {obs_id: voxels(seed) for obs_id, seed in volumes.items()}
        assert found(box, number) == wanted, (what, number)
        assert bash(f"vol-verify --full -q ds@{number}", box).status == 0, (what, number)
    assert not staged(box / "ds") and not staged_tables(box / "ds")


# A committer and a collector


def stopped(box, argv, syscall, number):
    """A tool that stands still behind its number-th call of a kind; its strace and its own id."""
    log = box / "strace.log"
    tracer = subprocess.Popen(
        ["strace", "-f", "-qq", "-o", log, "-e", f"trace={syscall}",
         "-e", f"inject={syscall}:signal=STOP:when={number}", *argv],
        cwd=box, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    end = time.monotonic() + 30
    while not (log.exists() and "stopped by SIGSTOP" in log.read_text()):
        assert time.monotonic() < end and tracer.poll() is None, "it did not stop"
        time.sleep(0.02)
    return tracer, int(log.read_text().split()[0])


@pytest.mark.parametrize("command", ["vol-commit", "vol-rm"])
def test_a_number_that_is_free_because_its_manifest_was_collected_is_not_taken(box, command):
    """It stands still before its link to 2; meanwhile 2 and 3 are made, and 1 and 2 collected."""
    commit(box, "a")
    commit(box, "gone", "MR")
    ok("vol-rm -q ds gone", box)
    mine = write(box, "mine")
    argv = [command, "ds", mine] if command == "vol-commit" else [command, "ds", "a"]
    before = 3
    tracer, pid = stopped(box, argv, "fsync", 1)
    try:
        record = box / "ds" / "stages" / f"{mine}.json"
        data = record.read_bytes()
        record.unlink()
        assert [commit(box, name) for name in "bc"] == [before + 1, before + 2]
        record.write_bytes(data)
        # So long it has not renewed its lease.
        age(box, 7200, "manifests/[0-9]*", "leases/*")
        removed = ok("vol-gc -qv --grace 1h --keep-last 1 ds", box).lines
        assert sorted(line for line in removed if line.startswith("manifests/")) == [
            f"manifests/{number:010}.json" for number in range(1, before + 2)]
        os.kill(pid, signal.SIGCONT)
        out, err = tracer.communicate(timeout=60)
    finally:
        tracer.kill()
    assert tracer.returncode == 0 and snapshot(out.decode()) == 6 and err == b"", (out, err)
    dataset = Dataset(box / "ds")
    assert sorted(dataset.manifests) == [5, 6]
    assert sorted(dataset.volumes) == (["a", "b", "c", "mine"] if command == "vol-commit"
                                       else ["b", "c"])
    for number in (5, 6):
        assert bash(f"vol-verify --full -q ds@{number}", box).status == 0
