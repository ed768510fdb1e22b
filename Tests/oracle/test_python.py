"""python/volpipe.py: what it reads and writes, against the tools, numpy and nibabel."""

import hashlib
import io
import json
import math
import multiprocessing
import os
import random
import re
import signal
import stat
import struct
import subprocess
import sys
import threading
import unicodedata

import google_crc32c
import nibabel
import numpy as np
import pytest
import volpipe
import zstandard
from dataset import reseal
from support import REPO, environment, ok, ramp, save, stored
from test_export import scanned  # noqa: F401: a fixture
from test_regions import draw_region


@pytest.fixture
def batch(scanned, monkeypatch):  # noqa: F811
    monkeypatch.setenv("PATH", environment()["PATH"])
    made = volpipe.Batch(scanned[0] / "ds")
    yield made
    assert made.close() == 0


def draw_patch(draw, array, edge=6):
    """A region of `edge` voxels along each axis, and what numpy makes of it."""
    region = tuple(slice(at, at + edge) for at in
                   (draw.randrange(max(1, size - edge)) for size in array.shape))
    return region, array[region]


# Datasets and regions


def test_a_dataset_lists_its_volumes(scanned):  # noqa: F811
    box, paths = scanned
    dataset = volpipe.Dataset(box / "ds")
    found = {header["obs_id"]: header for header in dataset}
    assert set(paths) < set(found) and len(found) == len(paths) + 1
    assert found["rgb"]["collection"] == "CT" and found["rgb"]["channels"] == 3
    assert dataset.header("rgb") == found["rgb"]
    with pytest.raises(KeyError):
        dataset.read("nobody")
    assert volpipe.Dataset(box / "ds", np.int64(1)).manifest == dataset.manifest
    for number in (0, 2, -1):
        with pytest.raises(FileNotFoundError):
            volpipe.Dataset(box / "ds", number)


def test_regions_are_numpys_slices_with_and_without_a_program(scanned, batch):  # noqa: F811
    box, paths = scanned
    dataset, draw = volpipe.Dataset(box / "ds"), random.Random(4)
    for name, path in paths.items():
        whole = stored(path)
        axes = len(dataset.header(name)["shape"])
        for _ in range(6):
            _, region = draw_region(draw, whole.shape[:axes])
            assert np.array_equal(dataset.read(name, region), whole[region]), (name, region)
            assert np.array_equal(batch.read(name, region), whole[region]), (name, region)
        assert np.array_equal(dataset.read(name), whole), name
    array = stored(paths["int16"])
    number = np.int64(3)
    for region in (np.s_[3], np.s_[:, -1], np.s_[1:9, 5, 7], np.s_[:, :, 0], np.s_[number],
                   np.s_[number:number + 5, np.uint8(2)], np.s_[-10**30:10**30]):
        assert np.array_equal(dataset.read("int16", region), array[region])
        assert np.array_equal(batch.read("int16", region), array[region])


@pytest.mark.parametrize("region, error", [
    (np.s_[::2], ValueError), (np.s_[:0], LookupError), (np.s_[500], LookupError),
    (np.s_[-500], LookupError), ((slice(None),) * 5, LookupError), ((0,) * 8, IndexError),
    (np.s_[...], TypeError), (np.s_[None], TypeError), (True, TypeError), (1.0, TypeError),
    ([1, 2], TypeError), (np.s_[1.5:3], TypeError)])
def test_a_region_that_cannot_be_is_an_error_of_its_kind(
        scanned, batch, region, error):  # noqa: F811
    for reader in (volpipe.Dataset(scanned[0] / "ds"), batch):
        with pytest.raises(error):
            reader.read("int16", region)


@pytest.mark.parametrize("name", [
    "", ".", "..", "a/b", "a\nint16 :", "a\x85b", "a\x00", "é" * 128])
def test_an_id_that_cannot_be_is_refused_before_it_is_sent(scanned, batch, name):  # noqa: F811
    for read in (volpipe.Dataset(scanned[0] / "ds").read, batch.read, batch.ask):
        with pytest.raises(ValueError, match="obs_id"):
            read(name)
    assert batch.server is None


# vol-cat --batch


def test_requests_may_wait_and_errors_are_told(scanned, batch):  # noqa: F811
    array = stored(scanned[1]["int16"])
    for number in range(20):
        batch.ask("int16", np.s_[number])
    batch.ask("nobody")
    batch.ask("int16", np.s_[500])
    batch.ask("int16", np.s_[:, 1])
    assert np.array_equal(batch.read("int16", np.s_[:, :, 2]), array[:, :, 2])
    for number in range(20):
        header, plane = batch.take()
        assert header["shape"][0] == 1 and np.array_equal(plane, array[number])
    for said in ("nobody", "500"):
        with pytest.raises(LookupError, match=said):
            batch.take()
    assert np.array_equal(batch.take()[1], array[:, 1])
    with pytest.raises(LookupError, match="nothing"):
        batch.take()
    answers = batch.read_each([("int16", np.s_[0]), ("nobody", ()), ("int16", np.s_[1])])
    assert np.array_equal(next(answers)[1], array[0])
    with pytest.raises(KeyError):
        next(answers)
    assert np.array_equal(batch.read("int16", np.s_[2]), array[2])


def test_a_hundred_thousand_may_be_asked_for_before_the_first_is_taken(
        scanned, batch):  # noqa: F811
    array = stored(scanned[1]["int16"])
    x, y, z = array.shape

    def place(number):
        return number % x, number // x % y, number // (x * y) % z

    with volpipe.Batch(scanned[0] / "ds") as made:
        for number in range(100_000):
            made.ask("int16", place(number))
        assert all(made.take()[1] == array[place(number)] for number in range(10_000))


def work(batch, arrays, seed, count, asked=0):
    """Reads and asks in turn; the number of patches that are numpy's, or an error."""
    draw, right, waiting = random.Random(seed), 0, []
    names = sorted(arrays)
    for number in range(count):
        name = draw.choice(names)
        region, wanted = draw_patch(draw, arrays[name])
        if draw.random() < 0.5:
            right += np.array_equal(batch.read(name, region), wanted)
        else:
            batch.ask(name, region)
            waiting.append(wanted)
        while len(waiting) > asked or waiting and number == count - 1:
            right += np.array_equal(batch.take()[1], waiting.pop(0))
    return right


def in_threads(*actions):
    """The results of actions, a thread each."""
    results = [None] * len(actions)

    def run(place, action):
        results[place] = action()

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(actions)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


@pytest.fixture
def arrays(scanned):  # noqa: F811
    return {name: stored(scanned[1][name]) for name in ("int16", "float32_4d", "noise_bytes")}


def test_threads_share_a_batch_and_each_takes_its_own(batch, arrays):
    held = [batch.ask("int16", np.s_[number]) for number in range(40)]
    counts = in_threads(*(lambda seed=seed: work(batch, arrays, seed, 1000, asked=seed * 30)
                          for seed in range(4)))
    assert counts == [1000] * 4
    for number in range(len(held)):
        assert np.array_equal(batch.take()[1], arrays["int16"][number])


def forked(action):
    """Starts a forked process; gives what waits for what the action returned there."""
    results = multiprocessing.get_context("fork").SimpleQueue()
    process = multiprocessing.get_context("fork").Process(
        target=lambda: results.put(action()), daemon=True)
    process.start()

    def wait():
        process.join(0.01)
        while process.is_alive() and results.empty():
            process.join(0.01)
        return None if results.empty() else results.get()
    return wait


def test_forked_workers_have_a_server_each_and_the_parent_keeps_its_own(batch, arrays):
    for number in range(40):
        batch.ask("int16", np.s_[number])

    def pending_are_not_inherited():
        with pytest.raises(LookupError):
            batch.take()
        return work(batch, arrays, 1, 1000, asked=10)

    def fork_all():
        # Some are made while another thread waits for an answer, and holds the lock.
        return [forked(pending_are_not_inherited) for _ in range(4)]

    waits, count = in_threads(fork_all, lambda: work(batch, arrays, 2, 1000))
    assert count == 1000 and [wait() for wait in waits] == [1000] * 4
    for number in range(40):
        assert np.array_equal(batch.take()[1], arrays["int16"][number])


def test_a_forked_worker_does_not_keep_the_server_of_its_parent_alive(batch):
    batch.read("int16", np.s_[0])
    worker = multiprocessing.get_context("fork").Process(target=signal.pause, daemon=True)
    worker.start()
    try:
        assert batch.close() == 0
    finally:
        worker.kill()
        worker.join()


def test_spawned_workers_get_a_fresh_batch(batch, arrays):
    batch.ask("int16", np.s_[0])
    draw, requests, wanted = random.Random(3), [], []
    for _ in range(2000):
        name = draw.choice(sorted(arrays))
        region, patch = draw_patch(draw, arrays[name])
        requests.append((name, region))
        wanted.append(patch)
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        found = pool.starmap(batch.read, requests, chunksize=500)
    assert all(map(np.array_equal, found, wanted))
    assert np.array_equal(batch.take()[1], arrays["int16"][0])


def test_a_killed_server_is_an_error_for_all_that_waited_and_the_next_ask_begins_anew(
        batch, arrays):
    batch.read("int16", np.s_[0])
    for number in range(200):
        batch.ask("int16", np.s_[:, number % 30])
    os.kill(batch.server.child.pid, signal.SIGKILL)
    batch.server.child.wait()
    right = 0
    for number in range(200):
        try:
            right += np.array_equal(batch.take()[1], arrays["int16"][:, number % 30])
        except volpipe.ServerEnded as error:
            assert "-9" in str(error)
            break
    for _ in range(200 - right - 1):
        with pytest.raises(volpipe.ServerEnded):
            batch.take()
    assert work(batch, arrays, 5, 100) == 100


def test_a_batch_that_was_closed_or_cannot_begin_says_so(scanned, batch, tmp_path):  # noqa: F811
    made = volpipe.Batch(tmp_path / "nothing")
    with pytest.raises(volpipe.ServerEnded, match="vol-cat.*66"):
        made.read("a")
    assert made.close() == 66
    with volpipe.Batch(scanned[0] / "ds", "CT", jobs=np.int64(1)) as made:
        assert made.read("int16", np.s_[0, 0, 0]).shape == ()
    with pytest.raises(ValueError, match="closed"):
        made.read("int16")
    with pytest.raises(FileNotFoundError):
        volpipe.Batch(tmp_path, program=tmp_path / "no-program").ask("a")


SERVER = """#!{python}
import json, sys
out = sys.stdout.buffer
def line(**members):
    out.write(json.dumps(members).encode() + b"\\n")
def head(count, **more):
    line(bytes=count, dtype="uint8", channels=1, shape=[count], **more)
for request in sys.stdin.buffer:
    name = request.split(b" ")[0].decode()
    if name in ("missing", "region", "request", "damage"):
        line(error="no " + name, kind=name)
    elif name == "old":
        line(error="no such thing")
    elif name.startswith("parts"):
        counts = [int(part) for part in name[5:].split("-")]
        head(sum(counts), parts=len(counts))
        for number, count in enumerate(counts):
            line(bytes=count)
            out.write(bytes([number]) * count)
    elif name == "late":
        head(20, parts=2)
        line(bytes=10)
        out.write(bytes(10))
        line(error="torn", kind="damage")
    elif name == "null":
        head(1, slope=None, affine=[[1, 0, 0, None], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
        out.write(b"1")
    elif name == "cut":
        head(20)
        out.write(bytes(10))
        break
    elif name == "nonsense":
        out.write(b"what?\\n")
    elif name == "longer":
        line(bytes=30, dtype="uint8", channels=1, shape=[20])
        out.write(bytes(30))
    elif name == "huge":
        line(bytes=1 << 60, dtype="uint8", channels=1, shape=[1 << 60])
    elif name == "over":
        head(20, parts=1)
        line(bytes=30)
        out.write(bytes(30))
    elif name == "under":
        head(20, parts=1)
        line(bytes=10)
        out.write(bytes(10))
    else:
        text = request.rstrip(b"\\n")
        head(len(text))
        out.write(text)
    out.flush()
"""


@pytest.fixture
def fake(tmp_path):
    """A Batch whose program answers with the request itself, but for some names."""
    program = tmp_path / "server"
    program.write_text(SERVER.format(python=sys.executable))
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    with volpipe.Batch("ds", program=program) as made:
        yield made


def test_errors_are_of_the_class_of_their_kind(fake):
    kinds = {"missing": KeyError, "region": IndexError, "request": ValueError,
             "damage": volpipe.Damaged, "late": volpipe.Damaged, "old": KeyError}
    for name in kinds:
        fake.ask(name)
    fake.ask("after")
    for name, error in kinds.items():
        with pytest.raises(error, match="torn" if name == "late" else "no ") as caught:
            fake.take()
        assert type(caught.value) is error
    assert fake.take()[1].tobytes() == b"after :"


def test_a_region_of_any_size_comes_in_parts(fake):
    for counts in ([1], [5, 3], [100_000, 1, 200_000, 7]):
        name = f"parts{'-'.join(map(str, counts))}"
        wanted = np.repeat(np.arange(len(counts)), counts)
        assert np.array_equal(fake.read(name), wanted)
    header, _ = next(fake.read_each([("null", ())]))
    assert math.isnan(header["slope"]) and math.isnan(header["affine"][0][3])


@pytest.mark.parametrize("name", ["cut", "nonsense", "longer", "over", "under", "huge"])
def test_an_answer_that_is_none_fails_all_that_waits_and_nothing_else(fake, name):
    fake.ask("first")
    fake.ask(name)
    fake.ask("next", np.s_[0:1])
    assert fake.take()[1].tobytes() == b"first :"
    for _ in range(2):
        with pytest.raises(volpipe.ServerEnded):
            fake.take()
    assert fake.read("next", np.s_[1:2, -3:]).tobytes() == b"next 1:2,-3:"


def test_an_answer_that_was_interrupted_is_nobodys(fake, monkeypatch):
    fake.ask("one")
    fake.ask("two")
    with monkeypatch.context() as patch:
        # Who runs the tests in the background may have had the signal ignored.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        patch.setattr(volpipe.Server, "fill", lambda *_: signal.raise_signal(signal.SIGINT))
        with pytest.raises(KeyboardInterrupt):
            fake.take()
    with pytest.raises(volpipe.ServerEnded):
        fake.take()
    assert fake.read("three").tobytes() == b"three :"


def test_ids_are_sent_as_they_are(fake):
    for form in ("NFC", "NFD"):
        name = unicodedata.normalize(form, "Zoë é 1")
        assert fake.read(name).tobytes() == f"{name} :".encode()


# Streams


def frames_of(data):
    return list(volpipe.read_frames(io.BytesIO(data)))


def written(*actions):
    """The stream of a writer on which each action is done; without its end."""
    out = io.BytesIO()
    writer = volpipe.FrameWriter(out)
    for action in actions:
        action(writer)
    return out.getvalue()


def test_streams_come_in_and_go_out(scanned):  # noqa: F811
    box, paths = scanned
    data = ok("vol-cat ds CT", box).out
    out = io.BytesIO()
    with volpipe.FrameWriter(out) as writer:
        for header, array in volpipe.volumes(io.BytesIO(data)):
            assert np.array_equal(array, stored(paths[header["obs_id"]]))
            writer.volume(array, **header)
    assert len(ok("vol-ls --tsv -", box, stdin=out.getvalue()).lines) == len(paths) + 1
    assert len(list(volpipe.volumes(io.BytesIO(out.getvalue() * 2)))) == 2 * len(paths)
    assert all("header" not in header["source"] and header["source"]["template"]
               for header, _ in volpipe.volumes(io.BytesIO(out.getvalue())))


def test_a_stream_that_is_cut_or_changed_anywhere_is_refused():
    data = written(lambda w: w.open({"name": "t", "shape": [2, 2], "dtype": "int16"}),
                   lambda w: w.extra(b"before"), lambda w: w.data(bytes(5)),
                   lambda w: w.data(b"\1\2\3"), lambda w: w.extra(b"after"),
                   lambda w: w.close(["odd"]),
                   lambda w: w.open({"name": "bad", "shape": [9], "dtype": "uint8"}),
                   lambda w: w.drop("cut\noff"), lambda w: w.skip(2), lambda w: w.end())
    assert [kind for kind, _, _ in frames_of(data)] == [1, 3, 2, 2, 3, 4, 1, 5, 6]
    for at in range(len(data)):
        with pytest.raises(volpipe.Damaged):
            frames_of(data[:at])
        for bit in range(8):
            changed = bytearray(data)
            changed[at] ^= 1 << bit
            with pytest.raises(volpipe.Damaged):
                frames_of(changed)


def test_volumes_that_were_given_up_are_never_passed_over_in_silence():
    stream = written(lambda w: w.volume(np.arange(3, dtype="i2"), name="a"),
                     lambda w: w.open({"name": "b", "shape": [9], "dtype": "uint8"}),
                     lambda w: w.drop("cut off"), lambda w: w.end(skipped=2))
    found = volpipe.volumes(io.BytesIO(stream * 2))
    assert [next(found)[0]["name"] for _ in range(2)] == ["a", "a"]
    with pytest.raises(volpipe.Partial, match="6 volumes.*cut off"):
        next(found)
    lost, out = [], io.BytesIO()
    list(volpipe.volumes(io.BytesIO(stream), lambda *given_up: lost.append(given_up)))
    assert [count for count, _ in lost] == [1, 2] and lost[0][1] == "cut off"
    with volpipe.FrameWriter(out) as writer:
        for header, array in volpipe.volumes(io.BytesIO(stream), on_drop=writer.skip):
            writer.volume(array, **header)
    assert frames_of(out.getvalue())[-1][1] == {"volumes": 1, "dropped": 0, "skipped": 3}
    with pytest.raises(ZeroDivisionError), volpipe.FrameWriter(cut := io.BytesIO()) as writer:
        writer.volume(np.zeros(3), name="a")
        1 / 0
    with pytest.raises(volpipe.Damaged, match="end frame"):
        frames_of(cut.getvalue())


GOOD = {"name": "n", "shape": [2, 2], "dtype": "uint8"}
CLOSED = {"voxels": 4, "crc32": 0xB63CFBCD}
ENDED = {"volumes": 1, "dropped": 0}


@pytest.mark.parametrize("frames", [
    [(1, GOOD), (2, b"\1\2\3"), (4, CLOSED), (6, ENDED)],
    [(1, GOOD), (2, b"\1\2\3\4\5"), (4, CLOSED), (6, ENDED)],
    [(1, GOOD), (2, b"\1\2\3\4"), (4, {**CLOSED, "voxels": 5}), (6, ENDED)],
    [(1, GOOD), (2, b"\1\2\3\4"), (4, {**CLOSED, "quirks": 5}), (6, ENDED)],
    [(1, GOOD), (2, b"\1\2\3\4"), (4, CLOSED), (6, {**ENDED, "volumes": 2})],
    [(1, GOOD), (2, b"\1\2\3\4"), (4, CLOSED), (6, {**ENDED, "skipped": -1})],
    [(1, GOOD), (2, b"\1\2"), (3, b"x"), (2, b"\3\4"), (4, CLOSED), (6, ENDED)],
    [(1, GOOD), (2, b"\1\2\3\4"), (3, b"x"), (2, b"\5"), (4, CLOSED), (6, ENDED)],
    [(1, GOOD), *[(3, b"x")] * 65_536, (2, b"\1\2\3\4"), (4, CLOSED), (6, ENDED)],
    [(1, GOOD), (1, GOOD), (2, b"\1\2\3\4"), (4, CLOSED), (6, ENDED)],
    [(2, b"\1\2\3\4"), (4, CLOSED), (6, ENDED)], [(5, {"reason": "x"}), (6, ENDED)],
    [(1, GOOD), (6, {**ENDED, "volumes": 0})], [(1, GOOD), (5, {}), (6, ENDED)], [(7, {})],
    *[[(1, {**GOOD, **change}), (2, b"\1\2\3\4"), (4, CLOSED), (6, ENDED)] for change in (
        {"shape": []}, {"shape": [2, 2] + [1] * 6}, {"shape": [0, 4]}, {"shape": [-2, -2]},
        {"shape": [2.0, 2]}, {"shape": [True, 4]}, {"shape": 4}, {"shape": [2**52, 4]},
        {"dtype": "float16"}, {"dtype": ["uint8"]}, {"channels": 2}, {"channels": "1"},
        {"name": 3}, {"slope": "two"}, {"affine": [[True, None, "x"]]}, {"source": "x"})]])
def test_a_stream_that_is_framed_well_and_means_nonsense_is_refused(frames):
    data = written(*(lambda w, frame=frame: w.frame(frame[0], body=frame[1]) if isinstance(
        frame[1], bytes) else w.frame(*frame) for frame in frames))
    with pytest.raises(volpipe.Damaged):
        frames_of(data)


@pytest.mark.parametrize("text", [
    b'{"name":"n","name":"m","shape":[1],"dtype":"int8"}',
    b'{"name":"n","shape":[1],"dtype":"int8","slope":NaN}',
    b'{"name":"\xff","shape":[1],"dtype":"int8"}', b"[" * 100_000, b"[1]", b'{"a":1,}'])
def test_a_header_that_is_no_json_object_is_refused(text):
    prelude = struct.pack("<4sBBHII", b"VFRM", 1, 1, 0, len(text), 0)
    crc = volpipe.zlib.crc32(text, volpipe.zlib.crc32(prelude))
    with pytest.raises(volpipe.Damaged):
        frames_of(prelude + struct.pack("<I", crc) + text)


def test_a_writer_refuses_what_the_format_forbids():
    voxels, header = np.zeros((2, 3, 4), "i2"), {"name": "n", "shape": (2, 3, 4), "dtype": "int16"}

    def refuse(*actions, match):
        with pytest.raises(ValueError, match=match):
            written(*actions)

    opened = [lambda w: w.open(header)]
    refuse(*opened, lambda w: w.close(), match="48 bytes")
    refuse(*opened, lambda w: w.end(), match="open")
    refuse(*opened, *opened, match="not closed")
    refuse(*opened, lambda w: w.data(bytes(49)), match="more voxels")
    refuse(*opened, lambda w: w.data(voxels), match="several axes")
    refuse(*opened, lambda w: w.data(bytes(3)), lambda w: w.extra(b"x"), match="among")
    refuse(lambda w: w.volume(voxels), match="name")
    refuse(lambda w: w.volume(voxels, obs_id="a/b"), match="obs_id")
    refuse(lambda w: w.volume(voxels > 0, name="n"), match="bool")
    refuse(lambda w: w.volume(voxels.astype("f2"), name="n"), match="float16")
    refuse(lambda w: w.volume(voxels[:0], name="n"), match="shape")
    refuse(lambda w: w.volume(np.ma.masked_less(voxels, 1), name="n"), match="mask")
    refuse(lambda w: w.volume(voxels, name="n", channels=3), match="channels")
    refuse(lambda w: w.volume(voxels, name="n", description="x" * (4 << 20)), match="4 MiB")
    with pytest.raises(TypeError):
        written(lambda w: w.volume(voxels, name="n", attributes={"a": {1, 2}}))
    big = written(*opened, lambda w: w.extra(bytes(40 << 20)), lambda w: w.data(bytes(48)),
                  lambda w: w.close(), lambda w: w.end())
    assert [len(body) >> 20 for kind, _, body in frames_of(big) if kind == 3] == [16, 16, 8]


def test_headers_may_hold_what_numpy_makes(scanned):  # noqa: F811
    array = ramp((3, 4, 5), ">i2").astype(">i2")
    out = io.BytesIO()
    with volpipe.FrameWriter(out) as writer:
        writer.volume(array, obs_id=np.str_("a"), affine=np.eye(4), slope=np.float32(2),
                      intercept=np.int16(3), shape=np.array(array.shape), channels=np.uint8(1),
                      attributes={"a": {"b": (np.float64("nan"), [np.bool_(True), -np.inf])}},
                      repetition_time=math.inf)
        writer.volume(ramp((4, 3, 2, 3), "u1"), obs_id="rgb", channels=3)
        writer.volume(np.zeros((3, 3, 4), "c8").transpose(), obs_id="c")
    found = {header["obs_id"]: (header, voxels)
             for header, voxels in volpipe.volumes(io.BytesIO(out.getvalue()))}
    header, voxels = found["a"]
    assert np.array_equal(voxels, array) and voxels.flags.writeable
    assert header["affine"] == np.eye(4).tolist()
    assert (header["slope"], header["intercept"]) == (2, 3)
    assert header["attributes"] == {"a": {"b": ["NaN", [True, "-Infinity"]]}}
    assert header["repetition_time"] == math.inf
    assert np.array_equal(found["rgb"][1], ramp((4, 3, 2, 3), "u1"))
    assert np.array_equal(volpipe.scaled(header, voxels, "float32")[1], array * np.float32(2) + 3)
    assert "a" in ok("vol-ls -", scanned[0], stdin=out.getvalue()).text


class Trickle(io.RawIOBase):
    """A pipe without a buffer: it gives and takes some bytes at a time."""

    def __init__(self, data=b""):
        self.data = bytearray(data)

    def writable(self):
        return True

    def readable(self):
        return True

    def write(self, data):
        self.data += data[:7]
        return min(7, len(data))

    def read(self, count=-1):
        part = bytes(self.data[:min(count, 5)])
        del self.data[:len(part)]
        return part


def test_a_stream_without_a_buffer_loses_nothing():
    array = ramp((3, 4, 5), "f4")
    with volpipe.FrameWriter(sink := Trickle()) as writer:
        writer.volume(array, name="n")
    [(_, back)] = volpipe.volumes(Trickle(sink.data))
    assert np.array_equal(back, array)


# Geometry


def image(units="mm", code=1):
    """An oblique scan of four axes, whose forms agree."""
    turn, lean = np.cos(0.3), np.sin(0.3)
    affine = np.array([[-2 * turn, -1.5 * lean, 0, 90], [-2 * lean, 1.5 * turn, 0, -100],
                       [0, 0, 3, -50], [0, 0, 0, 1]])
    made = nibabel.Nifti1Image(np.arange(3600, dtype="i2").reshape(10, 9, 8, 5), affine)
    made.set_qform(affine, code)
    made.set_sform(affine, code)
    made.header.set_xyzt_units({"m": "meter", "mm": "mm"}[units], "sec")
    made.header["pixdim"][4] = 2.5
    return made


def read_one(box, command):
    [(header, array)] = volpipe.volumes(io.BytesIO(ok(command, box).out))
    return header, array


def places(affine, shape):
    """Where each voxel is: [x, y, z, coordinate]."""
    return np.moveaxis(np.indices(shape[:3]), 0, -1) @ np.array(affine)[:3, :3].T + np.array(
        affine)[:3, 3]


@pytest.mark.parametrize("region", [
    np.s_[2:6, 3:7, 4:8], np.s_[::-1], np.s_[1::2, ::-3, 5:1:-2], np.s_[:, :, 3:4, 1::2],
    np.s_[-4:, -1:, :, ::-1], np.s_[np.int64(1):, ::2]])
def test_each_voxel_stays_in_its_place_in_a_crop(tmp_path, tools, region):
    nibabel.save(image(), tmp_path / "a.nii")
    header, array = read_one(tmp_path, "nifti-cat -q a.nii")
    cut = volpipe.crop(header, region)
    out = io.BytesIO()
    with volpipe.FrameWriter(out) as writer:
        writer.volume(array[region], **cut)
    ok("nifti-write -q -o out", tmp_path, stdin=out.getvalue())
    made = nibabel.load(tmp_path / "out" / "a.nii")
    assert np.array_equal(np.asarray(made.dataobj), array[region])
    region = region if isinstance(region, tuple) else (region,)
    wanted = places(image().affine, array.shape)[region[:3]]
    for affine in (made.affine, made.get_qform(), cut["affine"], cut["qform"], cut["sform"]):
        np.testing.assert_allclose(places(affine, array[region].shape), wanted, atol=1e-3)
    np.testing.assert_allclose(made.header.get_zooms()[:3], cut["voxel_spacing"], rtol=1e-5)
    step = abs(region[3].step or 1) if len(region) > 3 else 1
    assert cut["repetition_time"] == 2.5 * step and header["shape"] == [10, 9, 8, 5]


def test_a_number_in_a_crop_keeps_its_axis(tmp_path, tools):
    nibabel.save(image(), tmp_path / "a.nii")
    header, array = read_one(tmp_path, "nifti-cat -q a.nii")
    cut = volpipe.crop(header, np.s_[:, -1, np.int32(2)])
    assert cut == volpipe.crop(header, np.s_[:, 8:9, 2:3]) and cut["shape"] == [10, 1, 1, 5]
    with pytest.raises(ValueError, match="crop"):
        written(lambda w: w.volume(array[:, -1, 2], **cut))
    for bad in (np.s_[:, 9], np.s_[5:5], (0,) * 5):
        with pytest.raises(IndexError):
            volpipe.crop(header, bad)


def test_flips_and_new_affines_say_the_same_everywhere(tmp_path, tools):
    for units, scale in (("mm", 1), ("m", 1000)):
        nibabel.save(image(units), tmp_path / "a.nii")
        header, array = read_one(tmp_path, "nifti-cat -q a.nii")
        flipped = volpipe.flip(header, np.int64(1))
        assert flipped == volpipe.crop(header, np.s_[:, ::-1]) != header
        for axis in range(-4, 4):
            twice = volpipe.flip(volpipe.flip(header, axis), axis)
            np.testing.assert_allclose(twice["affine"], header["affine"], atol=1e-9 * scale)
        with pytest.raises(IndexError):
            volpipe.flip(header, 4)
        moved = volpipe.with_affine(header, np.diag([2, -4, 5, 1]), shape=np.array([5, 4, 3]))
        np.testing.assert_allclose(np.array(moved["sform"])[:3] * scale, moved["affine"][:3])
        assert moved["voxel_spacing"] == [2, 4, 5] and moved["shape"] == [5, 4, 3]
        assert "qform" not in moved and moved["qform_code"] == 0
        assert moved["affine_source"] == "sform"
        written(lambda w: w.volume(array, **flipped),
                lambda w: w.volume(array[:5, :4, :3, 0], **moved))
        assert "template" in moved["source"]
    header["voxel_spacing"] = [7, 7, 7]  # as in a file whose sform and pixdim disagree
    moved = volpipe.with_affine(header, np.diag([2, -4, 5, 1]))
    assert moved["voxel_spacing"] == [2, 4, 5] and "template" not in moved["source"]
    for bad in (np.eye(3), np.zeros((4, 4)), np.diag([1, 1, 0, 1]), np.diag([1, 1, 1, 2]),
                np.diag([1, np.nan, 1, 1])):
        with pytest.raises(ValueError, match="affine"):
            volpipe.with_affine(header, bad)


def test_a_header_that_no_longer_fits_is_refused(tmp_path, tools):
    nibabel.save(image(), tmp_path / "a.nii")
    header, array = read_one(tmp_path, "nifti-cat -q a.nii")
    assert "header" in header["source"]
    moved = np.array(header["affine"]) + np.diag([1, 1, 1, 0])

    def refuse(array, match, **change):
        with pytest.raises(ValueError, match=match):
            written(lambda w: w.volume(array, **{**header, **change}))

    refuse(array[1:], "crop, flip and with_affine")
    bare = {key: value for key, value in header.items() if key != "shape"}
    with pytest.raises(ValueError, match="needs its shape"):
        written(lambda w: w.volume(array[::2], **bare))
    refuse(array[..., 0], "crop, flip and with_affine")
    refuse(array, "disagree", affine=moved)
    refuse(array, "disagree", sform=moved)
    refuse(array, "disagree", qform=moved)
    refuse(array, "disagree", voxel_spacing=[1, 1, 1])
    refuse(array, "disagree", qform=None, sform=None, affine_source=None, voxel_spacing=[1, 1, 1])
    refuse(array, "three", voxel_spacing=[1, 1])
    refuse(array, "there is none", sform=None)
    refuse(array, "4x4", affine=np.eye(3))
    refuse(array.astype("f4"), "scaled", slope=2.0, intercept=1.0)
    written(lambda w: w.volume(array.astype("f4"), **header))
    # What a file says is let be, however its sform and its spacing disagree.
    header.update(qform=None, qform_code=0, voxel_spacing=[1, 1, 1])
    written(lambda w: w.volume(array, **header))
    header["source"].pop("header")
    refuse(array, "voxel_spacing")


# Hostile datasets


@pytest.fixture
def small(box):
    """A dataset of two small volumes, one of them with colours; and their voxels."""
    save(box / "in" / "a.nii", ramp((5, 4, 3)))
    save(box / "in" / "b.nii", ramp((3, 2), "u1"))
    ok("nifti-cat -q in | vol-write -q --obs-id '{name}' ds CT; vol-commit -q ds", box)
    return box / "ds", {name: stored(box / "in" / f"{name}.nii") for name in "ab"}


def read_all(path):
    dataset = volpipe.Dataset(path)
    return {header["obs_id"]: dataset.read(header["obs_id"]) for header in dataset}


def same(found, wanted):
    return found.keys() == wanted.keys() and all(
        np.array_equal(found[name], wanted[name]) for name in wanted)


def only(path, pattern):
    [found] = path.glob(pattern)
    return found


@pytest.mark.parametrize("pattern, step", [("volpipe.json", 3), ("manifests/*.json", 17),
                                           ("catalogs/*.catalog", 11), ("packs/*.pack", 1)])
def test_a_changed_byte_is_found_or_changes_nothing(small, pattern, step):
    path, wanted = small
    file = only(path, pattern)
    data, found = file.read_bytes(), 0
    for at in range(0, len(data), step):
        changed = bytearray(data)
        changed[at] ^= 1 << at % 8
        file.write_bytes(changed)
        try:
            assert same(read_all(path), wanted), at
        except volpipe.Damaged:
            found += 1
    file.write_bytes(data)
    assert same(read_all(path), wanted) and found
    for length in (0, 20, len(data) - 1):
        file.write_bytes(data[:length])
        with pytest.raises(volpipe.Damaged):
            read_all(path)


@pytest.mark.parametrize("name", ["packs", "packs/*.pack", "catalogs", "manifests",
                                  "manifests/*.json", "volpipe.json", "fifo"])
def test_links_and_pipes_inside_of_a_dataset_are_not_followed(small, name):
    path, _ = small
    place = only(path, "packs/*.pack" if name == "fifo" else name)
    place.rename(outside := path.parent / "outside")
    os.mkfifo(place) if name == "fifo" else place.symlink_to(outside)
    with pytest.raises(volpipe.Damaged):
        read_all(path)


@pytest.mark.parametrize("change", [
    lambda m, s: s["packs"][0].update(path="../outside"),
    lambda m, s: s["packs"][0].update(path=f"packs/./{s['packs'][0]['path'][6:]}"),
    lambda m, s: s["catalog"].update(path="/etc/passwd"),
    lambda m, s: s["catalog"].update(path=s["catalog"]["path"] + "\n"),
    lambda m, s: s["catalog"].update(sha256="0" * 64), lambda m, s: s["catalog"].pop("sha256"),
    lambda m, s: s["catalog"].update(bytes=s["catalog"]["bytes"] + 1),
    lambda m, s: s["packs"][0].update(bytes=-1), lambda m, s: s.update(packs=[]),
    lambda m, s: s.update(stage="../" + s["stage"]), lambda m, s: s.update(volumes=3),
    lambda m, s: s.update(collection="a/b"), lambda m, s: s.update(collection="-x"),
    lambda m, s: m["stages"].append(s), lambda m, s: m.update(stages=3),
    lambda m, s: m.update(stages={}, collections={}),
    lambda m, s: m.update(version=4), lambda m, s: m.update(version=True),
    lambda m, s: m.update(format="volpipe-stage"), lambda m, s: m.update(dataset_id="0" * 32),
    lambda m, s: m.update(snapshot=2), lambda m, s: m.update(parent={"snapshot": 0}),
    lambda m, s: m.update(subjects={"path": "../x"}), lambda m, s: m.update(collections={}),
    lambda m, s: m.pop("stages")])
def test_a_manifest_that_lies_is_refused(small, change):
    path, _ = small
    reseal(only(path, "manifests/*.json"), lambda manifest: change(manifest, manifest["stages"][0]))
    with pytest.raises(volpipe.Damaged):
        read_all(path)


def test_a_manifest_without_its_digest_is_refused(small):
    path, _ = small
    file = only(path, "manifests/*.json")
    document = json.loads(file.read_bytes())
    file.write_text(json.dumps(document))
    with pytest.raises(volpipe.Damaged, match="SHA-256"):
        volpipe.Dataset(path)


def forge(path, change, chunk=None):
    """Changes the record of volume a, or its only chunk, and puts all digests right again."""
    file, pack = only(path, "catalogs/*.catalog"), only(path, "packs/*.pack")
    data = file.read_bytes()
    stored_bytes, _, count, _ = struct.unpack_from("<4I", data, 32)
    records = zstandard.decompress(data[48:48 + stored_bytes])
    length, name = struct.unpack_from("<IH", records)
    [text] = struct.unpack_from("<I", records, 6 + name)
    at = 10 + name + text
    keys = "raw crc pack offset length shuffled axes".split()
    record = dict(zip(keys, struct.unpack_from("<QIIQQBB", records, at)))
    record["chunk"] = list(struct.unpack_from(f"<{record['axes']}I", records, at + 34))
    record["id"], record["header"] = records[6:6 + name], json.loads(records[10 + name:at])
    rest = records[at + 34 + 4 * record["axes"]:4 + length]
    if chunk:
        voxels = pack.read_bytes()
        index = struct.pack("<QQ", 0, len(chunk))
        record.update(offset=len(voxels), length=len(chunk) + 20, chunk=record["header"]["shape"])
        pack.write_bytes(voxels + chunk + index + struct.pack("<I", google_crc32c.value(index)))
    change(record)
    header = json.dumps(record["header"]).encode()
    body = struct.pack("<H", len(record["id"])) + record["id"] + struct.pack("<I", len(header))
    body += header + struct.pack("<QIIQQBB", *(record[key] for key in keys))
    body += struct.pack(f"<{len(record['chunk'])}I", *record["chunk"]) + rest
    body += record.get("more", b"")
    block = struct.pack("<I", len(body)) + body + records[4 + length:]
    frame = zstandard.ZstdCompressor(write_checksum=True).compress(block)
    head = struct.pack("<3I", len(frame), len(block), count)
    start = data[:32] + head + struct.pack("<I", google_crc32c.value(head + frame)) + frame
    footer = data[-48:-24] + struct.pack("<Q", len(start)) + data[-16:-4]
    file.write_bytes(start + data[-48 - 4096:-48] + footer
                     + struct.pack("<I", google_crc32c.value(footer)))

    def mend(manifest):
        for entry in (manifest["stages"][0]["catalog"], manifest["stages"][0]["packs"][0]):
            content = (path / entry["path"]).read_bytes()
            entry.update(bytes=len(content), sha256=hashlib.sha256(content).hexdigest())

    reseal(only(path, "manifests/*.json"), mend)


@pytest.mark.parametrize("change", [
    lambda r: r["header"].update(obs_id="b"), lambda r: r["header"].pop("obs_id"),
    lambda r: r["header"].update(shape=[5, 4, 4]), lambda r: r["header"].update(shape=[5, 12]),
    lambda r: r["header"].update(dtype="float16"), lambda r: r["header"].update(channels=9),
    lambda r: r.update(raw=r["raw"] + 1), lambda r: r.update(pack=1), lambda r: r.update(crc=1),
    lambda r: r.update(offset=1 << 63), lambda r: r.update(offset=0),
    lambda r: r.update(length=19), lambda r: r.update(length=1 << 40),
    lambda r: r.update(shuffled=2), lambda r: r.update(shuffled=1 - r["shuffled"]),
    lambda r: r.update(chunk=[0, 4, 3]), lambda r: r.update(chunk=[6, 4, 3]),
    lambda r: r.update(axes=2, chunk=[5, 4]), lambda r: r.update(more=b"x"),
    lambda r: (r["header"].update(shape=[1 << 30, 1 << 10, 1]), r.update(
        raw=1 << 41, chunk=[1 << 30, 1 << 10, 1])),
    lambda r: (r["header"].update(shape=[1 << 30, 1 << 10, 1]), r.update(
        raw=1 << 41, chunk=[1, 1, 1]))])
def test_a_record_that_lies_is_refused(small, change):
    path, wanted = small
    forge(path, lambda record: None)
    assert same(read_all(path), wanted)
    forge(path, change)
    with pytest.raises(volpipe.Damaged):
        read_all(path)


def test_a_chunk_has_at_most_64_mib(small):
    path, _ = small

    def deep(record, planes):
        shape = [1 << 10, 1 << 10, planes]
        record["header"].update(shape=shape, dtype="uint8")
        record.update(raw=planes << 20, chunk=shape, shuffled=0)

    for planes, is_too_large in ((64, False), (65, True)):
        forge(path, lambda record: deep(record, planes))
        with pytest.raises(volpipe.Damaged) as refused:
            read_all(path)
        assert ("too large" in str(refused.value)) == is_too_large, refused.value


def framed(frame, size):
    return struct.pack("<4B5I", 2, 1, 0x90, 2, size, size, 24 + len(frame), 20, len(frame)) + frame


def test_a_chunk_takes_no_more_memory_than_its_size(small):
    path, wanted = small
    compress = zstandard.ZstdCompressor(write_checksum=True).compress
    plain = wanted["a"].tobytes(order="F")
    writer = zstandard.ZstdCompressor(write_checksum=True).compressobj()
    unsized = writer.compress(bytes(64 << 20)) + writer.flush()
    bare = zstandard.ZstdCompressor().compress(plain)
    forge(path, lambda r: r.update(shuffled=0), framed(compress(plain), 120))
    assert same(read_all(path), wanted)
    for frame in (compress(bytes(64 << 20)), unsized, compress(plain[:-1]), bare,
                  compress(plain)[:-1], compress(plain) + b"x", compress(plain[::-1])):
        forge(path, lambda r: r.update(shuffled=0), framed(frame, 120))
        with pytest.raises(volpipe.Damaged):
            read_all(path)


def test_its_crc_is_that_of_castagnoli():
    draw = np.random.default_rng(1)
    for count in [*range(70), 4096, 100_003]:
        data = draw.bytes(count)
        assert volpipe.crc32c(data) == google_crc32c.value(data), count


def test_it_is_one_file_of_numpy_and_a_zstd_decoder(scanned, tmp_path):  # noqa: F811
    text = (REPO / "python" / "volpipe.py").read_text()
    said = re.search(r"(\d[\d,]*) lines of Python", (REPO / "README.md").read_text())[1]
    assert abs(len(text.splitlines()) - int(said.replace(",", ""))) <= 50
    (tmp_path / "volpipe.py").write_text(text)
    script = ("import sys; sys.path.insert(0, '.');"
              "known = {*sys.modules, *sys.stdlib_module_names};"
              "import volpipe; volpipe.Dataset(sys.argv[1]).read('tiny');"
              "print(*sorted({name.split('.')[0] for name in sys.modules} - known))")
    done = subprocess.run([environment()["PYTHON"], "-I", "-c", script, scanned[0] / "ds"],
                          cwd=tmp_path, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("numpy volpipe zstandard\n", "")
