"""vol-commit and vol-ls: snapshots, races, duplicates, and what is said of a dataset."""

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from dataset import Dataset, staged
from support import bash, ids, ok, ramp, save, snapshot, tree


def stage(box, names, dataset="ds", collection="CT", options=""):
    """Write small volumes of these names in a run of their own; the stage id."""
    folder = "-".join(names)
    for seed, name in enumerate(names):
        save(box / folder / f"{name}.nii", ramp((20, 10, 5), seed=seed))
    command = f"nifti-cat {folder} | vol-write --obs-id '{{name}}' {options} {dataset} {collection}"
    return ok(command, box).text.strip()


def test_a_stage_is_invisible_until_committed_and_a_snapshot_stays(box):
    first = stage(box, ["a", "b"])
    assert bash("vol-cat ds", box).status == 66 and bash("vol-ls ds", box).status == 66
    assert list(staged(box / "ds")) == [first]
    assert snapshot(ok("vol-commit ds", box)) == 1
    before = tree(box / "ds")
    stage(box, ["c"], collection="MR")
    assert ids("ds", box) == ["a", "b"]
    assert snapshot(ok("vol-commit ds", box)) == 2
    assert ids("ds", box) == ["a", "b", "c"]
    assert ids("ds", box, "@1") == ["a", "b"] == list(Dataset(box / "ds", 1).volumes)
    dataset = Dataset(box / "ds")
    assert list(dataset.volumes) == ["a", "b", "c"]
    assert dataset.manifest["collections"].keys() == {"CT", "MR"}
    digest = hashlib.sha256((box / "ds/manifests/0000000002.json").read_bytes()).hexdigest()
    assert (box / "ds" / "HEAD").read_text() == f"2 {digest}\n"
    # Immutable: whatever was in packs, catalogs and manifests is there as it was.
    after = tree(box / "ds")
    for name, data in before.items():
        if name.split("/")[0] in ("packs", "catalogs", "manifests", "volpipe.json"):
            assert after[name] == data, name
    assert list((box / "ds" / "stages").iterdir()) == []


def test_catalog_order_is_as_written_and_ids_are_given_in_the_order_asked(box):
    stage(box, ["m"])
    stage(box, ["c", "z"], collection="MR")
    ok("vol-commit ds", box)
    order = ids("ds", box)
    assert sorted(order) == ["c", "m", "z"]
    listed = ok("vol-ls --tsv ds MR", box).lines[1:]
    assert [line.split("\t")[0] for line in listed] == ["c", "z"]
    text = ok("vol-cat ds MR z c | vol-ls --tsv -", box).lines[1:]
    assert [line.split("\t")[0] for line in text] == ["z", "c"]


def test_only_the_stages_named_are_committed(box):
    one, two = stage(box, ["a"]), stage(box, ["b"])
    ok(f"vol-commit ds {two}", box)
    assert ids("ds", box) == ["b"] and list(staged(box / "ds")) == [one]
    ok("vol-commit ds", box)
    assert sorted(ids("ds", box)) == ["a", "b"]
    assert bash("vol-commit ds", box).status == 66


def test_metadata_is_always_there_and_options_go_over_the_file(box):
    stage(box, ["a"])
    ok("vol-commit ds", box)
    assert Dataset(box / "ds").manifest["metadata"] == {}
    stage(box, ["b"])
    (box / "meta.json").write_text('{"site": "GE", "n": 3, "list": [1, {"x": null}], "who": "é"}')
    ok("vol-commit --meta site=PH --meta note=a=b --meta-json meta.json ds", box)
    metadata = {"site": "PH", "n": 3, "list": [1, {"x": None}], "who": "é", "note": "a=b"}
    assert Dataset(box / "ds").manifest["metadata"] == metadata
    rows = [json.loads(line) for line in ok("vol-ls --snapshots --json ds", box).lines]
    assert [row["snapshot"] for row in rows] == [1, 2]
    assert [row["metadata"] for row in rows] == [{}, metadata]
    assert [row["volumes"] for row in rows] == [1, 2]
    stage(box, ["c"])
    for text in ("[1]", "{", "x"):
        assert bash("vol-commit --meta-json - ds", box, stdin=text.encode()).status == 65
    assert json.loads(ok("vol-ls --manifest ds", box).out)["snapshot"] == 2
    manifest = (box / "ds" / "manifests" / "0000000002.json").read_bytes()
    assert ok("vol-ls --manifest ds", box).out == manifest


def test_duplicates_across_stages_and_against_the_snapshot_change_nothing(box):
    for folder in ("left", "right"):
        save(box / folder / "x.nii", ramp((9, 8, 7)))
        ok(f"nifti-cat {folder} | vol-write ds CT", box)
    before = tree(box / "ds")
    result = bash("vol-commit ds", box)
    assert result.status == 65 and result.err.startswith("vol-commit: "), repr(result)
    assert all(word in result.err for word in ("x_CT", "left/x.nii", "right/x.nii")), result.err
    assert tree(box / "ds") == before
    one, two = staged(box / "ds")
    ok(f"vol-commit ds {one}", box)
    before = tree(box / "ds")
    result = bash(f"vol-commit ds {two}", box)
    assert result.status == 65, repr(result)
    assert all(word in result.err for word in ("x_CT", "left/x.nii", "right/x.nii")), result.err
    assert tree(box / "ds") == before and list(Dataset(box / "ds").volumes) == ["x_CT"]


def race(box, commands):
    with ThreadPoolExecutor(len(commands)) as pool:
        return list(pool.map(lambda command: bash(command, box), commands))


def test_eight_commits_at_once_lose_nothing_and_repeat_nothing(box):
    stages = [stage(box, [f"v{number}", f"w{number}"]) for number in range(8)]
    results = race(box, [f"vol-commit ds {one}" for one in stages])
    assert {result.status for result in results} <= {0, 75}, results
    if any(result.status == 75 for result in results):
        results.append(ok("vol-commit ds", box))
    numbers = [snapshot(result) for result in results if result.status == 0]
    assert sorted(numbers) == list(range(1, len(numbers) + 1)), numbers
    everything = sorted(f"{letter}{number}" for letter in "vw" for number in range(8))
    dataset = Dataset(box / "ds")
    assert sorted(dataset.volumes) == everything == sorted(ids("ds", box))
    assert not staged(box / "ds")

    # All for all: who comes too late finds nothing, and that is no damage.
    for number in range(3):
        stage(box, [f"late{number}"])
    results = race(box, ["vol-commit ds"] * 8)
    assert {result.status for result in results} <= {0, 66, 75}, results
    assert 0 in {result.status for result in results}, results
    assert len(Dataset(box / "ds").volumes) == 19 and not staged(box / "ds")


def test_of_two_commits_with_one_id_at_once_exactly_one_is_refused(box):
    for number in range(5):
        stages = [stage(box, [f"same{number}"]), stage(box, [f"same{number}"])]
        results = race(box, [f"vol-commit ds {one}" for one in stages])
        assert sorted(result.status for result in results) == [0, 65], results
        ok("rm ds/stages/*.json; vol-ls ds", box)
    assert len(Dataset(box / "ds").volumes) == 5


def test_eight_writers_at_once_share_one_dataset(box):
    """Also the first writer's making of the dataset is a race."""
    for number in range(8):
        save(box / f"in{number}" / f"v{number}.nii", ramp((30, 30, 30), seed=number))
    results = race(box, [f"nifti-cat in{number} | vol-write ds CT" for number in range(8)])
    assert {result.status for result in results} == {0}, results
    ok("vol-commit ds", box)
    assert sorted(Dataset(box / "ds").volumes) == [f"v{number}_CT" for number in range(8)]


@pytest.fixture(scope="module")
def listed(tools, tmp_path_factory):
    box = tmp_path_factory.mktemp("listed")
    save(box / "in" / "sub-01_a.nii", ramp((70, 50, 33)))
    save(box / "in" / "sub-02_b.nii", ramp((20, 20, 20, 3), "f4"))
    ok("nifti-cat in > in.frames; vol-write ds CT < in.frames; vol-commit --meta k=v ds", box)
    stage(box, ["tab"], collection="MR")
    return box


def test_json_lines_hold_what_the_dataset_holds(listed):
    dataset = Dataset(listed / "ds")
    rows = {row["collection"]: row for row in
            (json.loads(line) for line in ok("vol-ls --json ds", listed).lines)}
    assert rows.keys() == {"CT"}
    for key in ("volumes", "raw_bytes", "stored_bytes"):
        assert rows["CT"][key] == dataset.manifest["collections"]["CT"][key]
    rows = [json.loads(line) for line in ok("vol-ls --json ds CT", listed).lines]
    assert [row["obs_id"] for row in rows] == list(dataset.volumes)
    for row in rows:
        volume = dataset[row["obs_id"]]
        assert row["shape"] == list(volume.shape) and row["chunk"] == list(volume.chunk)
        assert row["dtype"] == volume.header["dtype"]
        assert row["obs_subject_id"] == volume.header["obs_subject_id"]
        assert row["voxel_spacing"] == volume.header["voxel_spacing"]
        assert row["raw_bytes"] == volume.raw_bytes and row["stored_bytes"] >= volume.length
    [row] = [json.loads(line) for line in ok("vol-ls --staged --json ds", listed).lines]
    assert row["collection"] == "MR" and row["volumes"] == 1 and row["stage"] in staged(
        listed / "ds")
    rows = [json.loads(line) for line in ok("vol-ls --json - < in.frames", listed).lines]
    assert [row["shape"] for row in rows] == [[70, 50, 33], [20, 20, 20, 3]]


@pytest.mark.parametrize("what", ["ds", "ds CT", "--snapshots ds", "--staged ds", "- < in.frames"])
def test_tables_have_the_same_rows_in_every_form(listed, what):
    rows = ok(f"vol-ls --json {what}", listed).lines
    tsv = ok(f"vol-ls --tsv {what}", listed).lines
    assert len(tsv) == len(rows) + 1
    assert len({line.count("\t") for line in tsv}) == 1
    plain = ok(f"vol-ls {what}", listed).lines
    assert len(plain) >= len(rows)
    for row, line in zip(rows, tsv[1:]):
        first = line.split("\t")[0]
        assert first in {str(value) for value in json.loads(row).values()}, (row, line)
        assert any(first in shown for shown in plain)


def test_damage_in_a_catalog_or_manifest_never_reaches_a_commit(listed, tmp_path):
    ok(f"cp -a {listed}/ds ds", tmp_path)
    [volumes] = staged(tmp_path / "ds").values()
    path = tmp_path / "ds" / "catalogs" / f"{volumes[0].pack.name[:32]}.catalog"
    data = bytearray(path.read_bytes())
    data[50] ^= 1
    path.write_bytes(data)
    before = tree(tmp_path / "ds")
    result = bash("vol-commit ds", tmp_path)
    assert result.status == 65, repr(result)
    assert tree(tmp_path / "ds") == before
    path.unlink()
    assert bash("vol-commit ds", tmp_path).status == 66
    assert len(Dataset(tmp_path / "ds").volumes) == 2
