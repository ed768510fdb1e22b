"""What is staged: given up, damaged, left behind where it cannot be removed, interrupted."""

import json
import os
import shutil
import signal
import subprocess
import time

import pytest
import support
import volpipe
from dataset import Dataset, read_json, reseal, staged, staged_tables
from inject import stream as volumes
from support import bash, environment, ids, ok, one_clear_line, quote, snapshot, tree


def write(box, *numbers, collection="CT", options=""):
    """Stage volumes v0, v1 ...; the ids of the stages."""
    return ok(f"vol-write -q {options} ds {collection}", box, stdin=volumes(numbers)).lines


def run_of_three(box):
    """The ids of three stages that one vol-write wrote."""
    stages = ok("vol-write -q ds '{obs_id}'", box, stdin=volumes((7, 8, 9))).lines
    assert len(stages) == 3
    return stages


def table(box):
    return ok("vol-meta ds", box, stdin=b"obs_subject_id,age\ns1,41\n").text.strip()


def present(box):
    return {path for path, data in tree(box / "ds").items() if data is not None}


def fails(box, command, status, *said):
    """It fails, says why in a line, and changes nothing."""
    before = tree(box / "ds")
    result = bash(command, box)
    assert result.status == status, repr(result)
    one_clear_line(result, command.split()[0], *said)
    assert tree(box / "ds") == before


# Giving up


def test_stages_are_given_up_with_all_of_their_files(box):
    write(box, 0)
    ok("vol-commit -q ds", box)
    before = present(box)
    [one] = write(box, 1, options="--pack-size 1K")
    [two], three = write(box, 2), table(box)
    assert ok(f"vol-rm -n --stage ds {one} {three}", box).lines == [f"CT\t{one}", f"\t{three}"]
    result = bash(f"vol-rm --stage ds {one} {three}", box)
    assert result.status == 0 and result.out == b"", repr(result)
    one_clear_line(result, "vol-rm", "gave up 2 stages", "removed 3 files")
    assert list(staged(box / "ds")) == [two] and not staged_tables(box / "ds")
    ok("vol-ls --staged --json ds | jq -r .stage | vol-rm -q --stage -T - ds", box)
    assert present(box) == before
    assert bash("vol-commit ds", box).status == 66 and ids("ds", box) == ["v0"]


def test_what_is_committed_or_not_there_is_not_given_up(box):
    [old] = write(box, 0)
    made = table(box)
    ok("vol-commit -q ds", box)
    [new] = write(box, 1)
    fails(box, f"vol-rm --stage ds {new} {old}", 66, old, "committed")
    fails(box, f"vol-rm --stage ds {made}", 66, made, "committed")
    fails(box, f"vol-rm --stage ds {new} {'0' * 32}", 66, "0" * 32, "vol-ls --staged")
    fails(box, "vol-rm --stage ds ../x", 66, "../x")
    fails(box, f"vol-rm --stage --meta a=b ds {new}", 64)
    ok(f"vol-rm -qf --stage ds {new} {'0' * 32}", box)
    assert not staged(box / "ds") and ids("ds", box) == ["v0"]


def test_stages_of_one_run_are_given_up_together(box):
    stages = run_of_three(box)
    fails(box, f"vol-rm --stage ds {stages[1]}", 66, stages[0], stages[2])
    ok(f"vol-rm -q --stage ds {' '.join(stages)}", box)
    assert not staged(box / "ds") and present(box) == {"volpipe.json"}


def test_what_is_there_of_a_run_that_was_cut_off_is_shown_and_given_up(box):
    stages = run_of_three(box)
    (box / "ds" / "stages" / f"{stages[2]}.json").unlink()
    [other] = write(box, 1)
    rows = [json.loads(line) for line in ok("vol-ls --staged --json ds", box).lines]
    assert {row["stage"]: row["state"] for row in rows} == {
        stages[0]: "incomplete", stages[1]: "incomplete", other: "finished"}
    fails(box, f"vol-rm --stage ds {stages[0]}", 66, stages[1])
    ok(f"vol-rm -q --stage ds {stages[0]} {stages[1]}", box)
    assert list(staged(box / "ds")) == [other]
    # The files of the third have no record; they are what a dead writer leaves.
    assert len(ok("vol-gc -nq --grace 0 ds", box).lines) == 2


def test_a_stage_that_is_given_up_while_it_is_committed_is_the_one_or_the_other(box):
    write(box, 0)
    ok("vol-commit -q ds", box)
    [stage] = write(box, 1)
    # The committer has read the record, and is slow to flush its manifest.
    child = subprocess.Popen(
        ["strace", "-D", "-f", "-qq", "-o", "/dev/null", "-e", "trace=fsync",
         "-e", "inject=fsync:delay_enter=2000000:when=1", "vol-commit", "ds", stage],
        cwd=box, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 30
    while not list((box / "ds" / "manifests").glob(".*")) and time.monotonic() < deadline:
        time.sleep(0.01)
    # Whoever gives the stage up waits for it, and finds the snapshot.
    result = bash(f"vol-rm -q --stage ds {stage}", box)
    assert result.status == 66, repr(result)
    one_clear_line(result, "vol-rm", f"stage '{stage}' was just committed, in snapshot 2")
    out, err = child.communicate(timeout=60)
    assert child.returncode == 0, err
    assert ids("ds", box) == ["v0", "v1"] and ok("vol-verify -q --full ds", box).out == b""
    assert not list((box / "ds" / "leases").iterdir())


def test_files_of_a_stage_stay_where_a_commit_may_come_to_name_them(box):
    write(box, 0)
    ok("vol-commit -q ds", box)
    [stage] = write(box, 1)
    lease = box / "ds" / "leases" / f"{'a' * 16}-commit.json"
    lease.write_bytes(b"{}\n")
    # It was cut off, so that nobody waits for it.
    os.utime(lease, (time.time() - 600,) * 2)
    before = tree(box / "ds")
    result = bash(f"vol-rm --stage ds {stage}", box)
    assert result.status == 0 and result.err.endswith(
        "removed 0 files, 0 B; 2 files left to vol-gc, since a commit is under way\n"), repr(result)
    assert set(before) - set(tree(box / "ds")) == {f"stages/{stage}.json"}
    given_up = box / "ds" / "leases" / f"{stage[:16]}-give-up.json"
    os.utime(given_up, (time.time() - 2 * 86_400,) * 2)
    assert ok("vol-gc -qv ds", box).lines == []
    # Of a committer that is dead for long nothing is awaited any more.
    os.utime(lease, (time.time() - 2 * 86_400,) * 2)
    assert sorted(ok("vol-gc -qv ds", box).lines) == sorted(
        [f"packs/{stage}-0000.pack", f"catalogs/{stage}.catalog", f"leases/{lease.name}",
         f"leases/{given_up.name}"])
    assert ids("ds", box) == ["v0"]


# Records that cannot be read


@pytest.mark.parametrize("defect", ["flipped", "empty", "a folder", "newer"])
def test_a_damaged_record_is_named_and_left_and_the_rest_goes_on(box, defect):
    write(box, 0)
    ok("vol-commit -q ds", box)
    [good], [bad] = write(box, 1), write(box, 2)
    record = box / "ds" / "stages" / f"{bad}.json"
    data = record.read_bytes()
    if defect == "newer":
        reseal(record, version=9)
    else:
        record.unlink()
        if defect == "a folder":
            record.mkdir()
        else:
            record.write_bytes(b"" if defect == "empty" else data.replace(b"CT", b"MR"))

    def goes_on(command, **options):
        result = bash(command, box, **options)
        assert result.status == 1, repr(result)
        one_clear_line(result, command.split()[0], record.name)
        return result

    listed = goes_on("vol-ls --staged --json ds")
    assert [json.loads(line)["stage"] for line in listed.lines] == [good]
    [new] = goes_on("vol-write -q --skip-existing ds CT", stdin=volumes((0, 1, 3))).lines
    assert [volume.obs_id for volume in staged_but(box, bad)[new]] == ["v3"]
    fails(box, f"vol-commit ds {bad}", 65, record.name)
    assert snapshot(goes_on("vol-commit ds")) == 2
    assert sorted(ids("ds", box)) == ["v0", "v1", "v3"]
    fails(box, "vol-commit ds", 65, record.name)
    assert snapshot(goes_on("vol-commit --if-staged ds")) == 2
    assert record.exists()
    if defect != "a folder":
        ok(f"vol-rm -q --stage ds {bad}", box)
        assert not [path for path in present(box) if bad in path]


def staged_but(box, damaged):
    """What is staged, when one record is out of the way."""
    copy = box / "copy"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(box / "ds", copy)
    bash(f"rm -rf {quote(copy / 'stages' / damaged)}.json", box)
    return staged(copy)


def test_a_run_with_a_damaged_record_is_not_committed_in_parts(box):
    stages = run_of_three(box)
    record = box / "ds" / "stages" / f"{stages[0]}.json"
    record.write_bytes(record.read_bytes()[:-50])
    [other] = write(box, 1)
    assert bash("vol-commit -q ds", box).status == 1
    assert ids("ds", box) == ["v1"]


# Records that cannot be removed


class Another:
    """A user who may write to the dataset, in whose folders only owners may remove: the sticky bit."""

    def __init__(self, box):
        self.box = box
        for folder in (box / "ds", *(path for path in (box / "ds").iterdir() if path.is_dir())):
            folder.chmod(0o1777)

    PREFIX = "setpriv --reuid 65534 --regid 65534 --clear-groups "

    def __call__(self, command, **options):
        return ok(f"{self.PREFIX} {command} 2> err", self.box, **options)

    def fails(self, command, status, *said):
        """It fails, says why in a line, and changes nothing."""
        before = tree(self.box / "ds")
        result = bash(self.PREFIX + command, self.box)
        assert result.status == status, repr(result)
        one_clear_line(result, command.split()[0].split("/")[-1], *said)
        assert tree(self.box / "ds") == before


@pytest.fixture
def sticky(box):
    if os.geteuid() != 0 or not shutil.which("setpriv"):
        pytest.skip("no second user can be had: not root, or no setpriv(1)")
    copy = box / "bin"
    shutil.copytree(support.BIN, copy,
                    ignore=lambda _, names: [name for name in names if not name.startswith("vol-")
                                             or "." in name])
    for parent in (box, *box.parents):
        if parent != parent.parent and not parent.stat().st_mode & 1:
            parent.chmod(parent.stat().st_mode | 0o011)
    return box


def committed(box):
    last = max((box / "ds" / "manifests").glob("0*.json"))
    manifest = read_json(last, "volpipe-manifest")
    return manifest["version"], manifest.get("committed")


def test_a_record_that_cannot_be_removed_counts_for_nothing_once_it_is_committed(sticky):
    box, bin = sticky, sticky / "bin"
    write(box, 0)
    ok("vol-commit -q ds", box)
    another = Another(box)
    [mine], made = write(box, 1), table(box)
    assert snapshot(another(f"{bin}/vol-commit ds")) == 2
    record = box / "ds" / "stages" / f"{mine}.json"
    assert record.exists() and staged_tables(box / "ds") and committed(box) == (2, None)
    assert ok("vol-ls --staged --tsv ds", box).lines[1:] == []

    # More is committed and removed, by one who cannot remove the records.
    another(f"{bin}/vol-write -q ds CT", stdin=volumes([2]))
    assert snapshot(another(f"{bin}/vol-commit ds")) == 3
    assert snapshot(another(f"{bin}/vol-rm ds v1")) == 4
    assert committed(box) == (3, [mine]) and record.exists()
    another(f"{bin}/vol-meta -q ds", stdin=b"obs_subject_id,age\ns2,42\n")
    another(f"{bin}/vol-write -q ds CT", stdin=volumes([3]))
    assert snapshot(another(f"{bin}/vol-commit ds")) == 5
    assert committed(box) == (3, sorted([mine, made]))
    dataset = Dataset(box / "ds")
    assert sorted(dataset.volumes) == ["v0", "v2", "v3"]
    assert dataset.subjects.rows == [["s1", "41"], ["s2", "42"]]

    # It stays away, whatever looks at what is staged.
    assert ok("vol-ls --staged --tsv ds", box).lines[1:] == []
    assert snapshot(another(f"{bin}/vol-commit --if-staged ds")) == 5
    another.fails(f"{bin}/vol-commit ds {mine}", 66, mine, "committed")
    another.fails(f"{bin}/vol-rm --stage ds {mine}", 66, mine, "committed")
    assert not [path for path in present(box) if "/." in path or path[0] == "."]
    assert ok("vol-verify -q --full ds", box).out == b""
    assert len(list(volpipe.Dataset(box / "ds"))) == 3

    # The record protects no file; and when its owner comes, it goes, and so does the list.
    ok("vol-gc -q --grace 0 --keep-last 1 ds", box)
    assert not [path for path in present(box) if mine in path and path.startswith("packs")]
    write(box, 4)
    assert snapshot(bash("vol-commit ds", box)) == 6
    assert not record.exists() and committed(box) == (2, None)
    assert sorted(ids("ds", box)) == ["v0", "v2", "v3", "v4"]


LISTED = {
    "not sorted": ["2" * 32, "1" * 32], "twice": ["1" * 32] * 2, "no id": ["x"], "a text": "1" * 32,
}


@pytest.mark.parametrize("what", [*LISTED, "a stage of its own"])
def test_a_list_of_committed_stages_that_cannot_be_is_refused(box, what):
    [stage] = write(box, 0)
    ok("vol-commit -q ds", box)
    manifest = box / "ds" / "manifests" / "0000000001.json"
    (box / "ds" / "HEAD").unlink()
    reseal(manifest, version=3, committed=["1" * 32, "2" * 32])
    assert ids("ds", box) == ["v0"]
    reseal(manifest, version=3, committed=LISTED.get(what, [stage]))
    fails(box, "vol-ls ds", 65, manifest.name)


# Signals


def start(box, data=b"", prefix=(), options=("--pack-size", "100K")):
    """A vol-write that has taken some of a stream, and waits for more; its input."""
    child = subprocess.Popen([*prefix, "vol-write", "-q", *options, "ds", "CT"], cwd=box,
                             env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, preexec_fn=hears_signals)
    child.stdin.write(data)
    child.stdin.flush()
    return child


def hears_signals():
    """Undoes what nohup did to whoever runs the tests."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def until(what):
    deadline = time.monotonic() + 30
    while not what():
        assert time.monotonic() < deadline, "it does not happen"
        time.sleep(0.01)


def packs(box):
    return list((box / "ds" / "packs").glob("*.pack"))


def takes_some(box):
    until(lambda: len(packs(box)) >= 2)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_makes_vol_write_remove_what_it_made_and_die_of_it(box, number):
    write(box, 0)
    ok("vol-commit -q ds", box)
    before = tree(box / "ds")
    data = volumes(range(10, 20))
    child = start(box, data[:-20])
    takes_some(box)
    child.send_signal(number)
    child.wait(30)
    assert child.returncode == -number
    assert child.stdout.read() == child.stderr.read() == b""
    assert tree(box / "ds") == before
    # One that has not had any input yet.
    child = start(box)
    time.sleep(0.2)
    child.send_signal(number)
    child.wait(30)
    assert child.returncode == -number and tree(box / "ds") == before


def test_a_writer_goes_on_where_what_it_compares_with_is_given_up(box):
    [stage] = write(box, 1)
    child = start(box, options=("--skip-existing",))
    # By then it knows which stages there are.
    until(lambda: list((box / "ds" / "leases").glob("*-write.json")))
    ok(f"vol-rm -q --stage ds {stage}", box)
    out, err = child.communicate(volumes((1, 2)), timeout=30)
    assert child.returncode == 0 and err == b"", err
    ok("vol-commit -q ds", box)
    assert ids("ds", box) == ["v1", "v2"] and ok("vol-verify -q --full ds", box).out == b""


def test_a_signal_to_a_whole_pipeline_is_what_vol_write_dies_of(box):
    data = volumes(range(10, 20))
    (box / "part").write_bytes(data[:-20])
    child = subprocess.Popen(
        ["bash", "-c", "trap : INT; (cat part; exec sleep 100) | vol-write -q --pack-size 100K ds CT; "
         "echo ${PIPESTATUS[1]}"], cwd=box, env=environment(), stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, start_new_session=True)
    until(lambda: (box / "ds" / "packs").exists() and len(packs(box)) >= 2)
    os.killpg(child.pid, signal.SIGINT)
    out, err = child.communicate(timeout=30)
    assert (out, err) == (b"130\n", b""), (out, err)
    assert present(box) == {"volpipe.json"}


def test_a_signal_that_was_ignored_is_ignored_still(box):
    data = volumes(range(10, 20))
    child = start(box, data[:-20], prefix=("nohup",))
    takes_some(box)
    child.send_signal(signal.SIGHUP)
    time.sleep(0.2)
    child.stdin.write(data[-20:])
    out, _ = child.communicate(timeout=30)
    assert child.returncode == 0
    assert list(staged(box / "ds")) == out.decode().split()


def test_a_second_signal_ends_it_at_once_and_one_alone_leaves_finished_stages(box):
    ok("mkdir ds && vol-write -q ds CT && vol-commit -q ds", box, stdin=volumes([0]))
    for numbers, dies_of in (((signal.SIGTERM, signal.SIGINT), signal.SIGINT),
                             ((signal.SIGTERM,), signal.SIGTERM)):
        slow = ("strace", "-D", "-f", "-qq", "-o", "/dev/null", "-e", "trace=renameat",
                "-e", "inject=renameat:delay_enter=3000000")
        earlier = set((box / "ds" / "stages").glob(".*"))
        child = start(box, volumes([len(numbers)]), prefix=slow)
        child.stdin.close()
        until(lambda: set((box / "ds" / "stages").glob(".*")) - earlier)
        time.sleep(0.2)
        for number in numbers:
            child.send_signal(number)
            time.sleep(0.2)
        child.wait(30)
        assert child.returncode == -dies_of
    # It had begun to publish: the stage is whole.
    assert [[volume.obs_id for volume in stage] for stage in staged(box / "ds").values()] == [["v1"]]
