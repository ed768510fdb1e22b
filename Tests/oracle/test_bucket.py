"""Datasets in a bucket: the same as in a folder, and whole whatever fails on the way.

Runs beside an object store: scripts/with-object-store, as `make check` does.
"""

import io
import os
import random
import signal
import subprocess
import time

import numpy as np
import pytest

from frames import DATA, FrameWriter, read_frames
from proxy import Proxy
from support import bash, environment, ids, ok, one_clear_line, quote, ramp, save, snapshot

KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")


@pytest.fixture(scope="module")
def store():
    # Not a skip: a suite that passes because it tested nothing is worse than none.
    assert os.environ.get("VOLPIPE_BUCKET"), "run it under scripts/with-object-store"
    return os.environ["AWS_ENDPOINT_URL"]


@pytest.fixture
def url(store):
    return f"s3://{os.environ['VOLPIPE_BUCKET']}/{random.SystemRandom().randbytes(8).hex()}/ds"


def stream(count=3, shape=(20, 18, 16), seed=0, **header):
    out = io.BytesIO()
    writer = FrameWriter(out)
    noise = np.random.default_rng(seed)
    for number in range(count):
        writer.volume(noise.integers(0, 4000, shape, "i2"), obs_id=f"v{seed}-{number}", **header)
    writer.end()
    return out.getvalue()


def test_a_dataset_in_a_bucket_is_that_of_a_folder(box, url):
    for number in range(4):
        save(box / f"scans/s{number}.nii.gz", ramp((30, 20, 10 + number), seed=number))
    for place in (url, "local"):
        ok(f"nifti-cat -q scans/ | vol-write -q {place} MR; vol-commit {place}", box)
    listed = [ok(f"vol-ls --tsv {place} MR", box).text for place in (url, "local")]
    assert listed[0] == listed[1]
    ok(f"vol-cat {url} MR | nifti-write -q -o out/", box)
    for number in range(4):
        ok(f"gzip -dc scans/s{number}.nii.gz | cmp - out/s{number}.nii", box)
    ok(f"vol-verify -q --full {url}", box)
    raw = [ok(f"vol-cat --raw --roi 3:9,4:5,: {place} MR s1_MR", box).out for place in (url, "local")]
    assert raw[0] == raw[1] and raw[0]
    ok(f"vol-rm -q {url} s1_MR", box)
    assert ids(url, box) == ["s0_MR", "s2_MR", "s3_MR"]
    assert ids(url, box, "@1") == ["s0_MR", "s1_MR", "s2_MR", "s3_MR"]
    ok(f"vol-gc -q {url}", box)


def test_names_of_all_kinds_are_prefixes(box, store):
    url = f"s3://{os.environ['VOLPIPE_BUCKET']}/{random.SystemRandom().randbytes(4).hex()} a+b%20&c=é"
    ok(f"vol-write -q {quote(url)} CT; vol-commit {quote(url)}", box, stdin=stream(2))
    assert ids(url, box) == ["v0-0", "v0-1"]


def test_an_object_of_several_parts_is_whole(box, url):
    data = stream(1, (300, 300, 140))
    ok(f"vol-write -q --s3-part-size 5M {url} CT", box, stdin=data)
    ok(f"vol-commit {url}; vol-verify -q --full {url}", box)
    assert ok(f"vol-cat --raw {url} CT v0-0", box).out == data_of(data)


def data_of(stream):
    return b"".join(body for kind, _, body in read_frames(io.BytesIO(stream)) if kind == DATA)


CASES = [
    ("put", "503", 2), ("put", "500", 1), ("put", "429", 3), ("put", "reset", 1), ("put", "lost", 1),
    ("put new", "503", 1), ("put new", "reset", 2), ("put new", "lost", 1),
    ("create", "503", 1), ("create", "lost", 1), ("create", "reset", 1),
    ("part", "503", 2), ("part", "reset", 1), ("part", "lost", 1), ("part", "500", 1),
    ("complete", "503", 1), ("complete", "lost", 1), ("complete", "error", 2), ("complete", "500", 1),
    ("get", "503", 2), ("get", "cut", 1), ("get", "reset", 1), ("get", "lost", 1),
    ("list", "503", 1), ("list", "cut", 1), ("list", "429", 1),
]


@pytest.mark.parametrize("kind, fault, times", CASES, ids=[f"{k} {f}" for k, f, _ in CASES])
def test_what_passes_costs_nothing(box, url, store, kind, fault, times):
    data = stream(1, (160, 160, 120)) if kind in ("create", "part", "complete") else stream(2)
    with Proxy(store) as proxy:
        proxy.fault(lambda request: request.kind == kind, fault, times)
        script = (f"vol-write -q --s3-part-size 5M {url} CT >stage; vol-commit {url} >number; vol-ls {url} CT"
                  f" >list; vol-cat {url}")
        out = ok(script, box, stdin=data, AWS_ENDPOINT_URL=proxy.url).out
        assert not any(fault[2] for fault in proxy.faults), "the fault met nothing"
    assert snapshot((box / "number").read_text()) == 1
    assert data_of(out) == data_of(data)
    assert ok(f"vol-ls --tsv --snapshots {url}", box).text.count("\n") == 2
    ok(f"vol-verify -q --full {url}", box)


def test_a_server_that_stays_busy_ends_the_run_and_leaves_nothing(box, url, store):
    ok(f"vol-write -q {url} CT; vol-commit {url}", box, stdin=stream(1))
    with Proxy(store) as proxy:
        proxy.fault(lambda request: request.kind == "part" and request.query["partNumber"] == "2",
                    "503", 10**9)
        result = bash(f"vol-write -q --s3-part-size 5M {url} CT", box, stdin=stream(1, (200, 160, 120), 1),
                      AWS_ENDPOINT_URL=proxy.url, VOLPIPE_S3_RETRY_SECONDS="3")
        assert [request.kind for request in proxy.requests].count("abort") == 1
    assert result.status == 69
    one_clear_line(result, "vol-write", "part 2", "SlowDown", "given up")
    assert ok(f"vol-ls --staged --tsv {url}", box).text.count("\n") <= 1
    assert ids(url, box) == ["v0-0"]


@pytest.mark.parametrize("changes, status, says", [
    ({"AWS_SECRET_ACCESS_KEY": "wrong-secret"}, 77, "SignatureDoesNotMatch"),
    ({"AWS_ACCESS_KEY_ID": "nobody"}, 77, "InvalidAccessKeyId"),
    ({"AWS_ACCESS_KEY_ID": ""}, 77, "AWS_ACCESS_KEY_ID"),
    ({"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, 69, "127.0.0.1"),
    ({"AWS_ENDPOINT_URL": "nonsense"}, 69, "AWS_ENDPOINT_URL"),
])
def test_what_cannot_go_well_is_said_at_once(box, url, changes, status, says):
    for script in (f"vol-write -q {url} CT", f"vol-ls {url}", f"vol-commit {url}"):
        result = bash(script, box, stdin=stream(1), **changes)
        assert result.status == status, result
        one_clear_line(result, script.split()[0], says)
        assert os.environ["AWS_SECRET_ACCESS_KEY"] not in result.err and "wrong-secret" not in result.err


def test_a_bucket_that_is_not_there_and_a_key_that_may_only_read(box, url):
    result = bash("vol-ls s3://no-such-bucket-here/ds", box)
    assert result.status == 66
    one_clear_line(result, "vol-ls", "NoSuchBucket")
    ok(f"vol-write -q {url} CT; vol-commit {url}", box, stdin=stream(1))
    reader = dict(zip(KEYS, (os.environ["VOLPIPE_READ_ONLY_KEY"], os.environ["VOLPIPE_READ_ONLY_SECRET"])))
    assert ok(f"vol-ls --tsv {url} CT", box, **reader).text.count("\n") == 2
    result = bash(f"vol-write -q {url} CT", box, stdin=stream(1, seed=1), **reader)
    assert result.status == 77
    one_clear_line(result, "vol-write", "AccessDenied")


@pytest.mark.parametrize("place", ["https://host/ds", "s3://", "s3://ab/x", "s3://bucket/../x"])
def test_what_is_no_place_is_wrong_usage(box, place):
    for tool in ("vol-write", "vol-ls", "vol-commit", "vol-gc"):
        result = bash(f"{tool} {place} CT", box, stdin=stream(1))
        assert result.status == 64, result
        one_clear_line(result, tool, place)


def test_many_writers_and_committers_make_one_history(box, url):
    run = f"head -c $((RANDOM % 3)) /dev/zero >/dev/null; vol-write -q {url} CT"
    for number in range(12):
        (box / f"{number}").write_bytes(stream(1, (4, 4, 4), number))
    ok("for n in $(seq 0 11); do (" + run + " <$n >>stages) & done; wait;"
       f" for n in 1 2 3 4; do vol-commit -q {url} 2>>told & done; wait; vol-commit -q {url} 2>>told || true",
       box, timeout=120)
    assert sorted(ids(url, box)) == sorted(f"v{number}-0" for number in range(12))
    numbers = [line.split("\t")[0] for line in
               ok(f"vol-ls --tsv --snapshots {url}", box).lines[1:]]
    assert sorted(map(int, numbers)) == list(range(1, len(numbers) + 1))
    ok(f"vol-verify -q --full {url}", box)


def test_a_server_that_knows_no_condition_is_refused(box, url, store):
    ok(f"vol-write -q {url} CT", box, stdin=stream(1))
    with Proxy(store) as proxy:
        proxy.forgets = True
        result = bash(f"vol-commit {url}", box, AWS_ENDPOINT_URL=proxy.url)
    assert result.status != 0
    one_clear_line(result, "vol-commit", "If-None-Match")


def start(script, box, **more):
    return subprocess.Popen(["bash", "-c", f"exec {script}"], cwd=box, env=environment(**more),
                            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def until(condition):
    for _ in range(600):
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError("it did not come to that")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_aborts_the_upload(box, url, store, number):
    data = stream(1, (300, 300, 140))
    with Proxy(store) as proxy:
        writer = start(f"vol-write -q --s3-part-size 5M {url} CT", box, AWS_ENDPOINT_URL=proxy.url)
        writer.stdin.write(data[:-2000])
        writer.stdin.flush()
        until(lambda: any(request.kind == "part" and request.status for request in proxy.requests))
        writer.send_signal(number)
        assert writer.wait(30) == -number
        writer.communicate()
        assert [request.kind for request in proxy.requests].count("abort") == 1


def test_an_orphan_goes_after_the_grace_and_a_living_upload_stays(box, url, store):
    data = stream(1, (300, 300, 140))
    ok(f"vol-write -q {url} CT; vol-commit {url}", box, stdin=stream(1, seed=5))
    with Proxy(store) as proxy:
        def begin():
            before = parts()
            writer = start(f"vol-write -q --s3-part-size 5M {url} CT", box,
                           AWS_ENDPOINT_URL=proxy.url)
            writer.stdin.write(data[:-2000])
            writer.stdin.flush()
            until(lambda: parts() - before)
            return writer, (parts() - before).pop()

        def parts():
            return {request.path for request in proxy.requests
                    if request.kind == "part" and request.status}

        dead, orphan = begin()
        dead.kill()
        dead.communicate()
        time.sleep(8)
        living, _ = begin()
        result = bash(f"vol-gc --grace 6s {url}", box, AWS_ENDPOINT_URL=proxy.url)
        assert result.status == 0 and "removed 2 files" in result.err, result
        assert [request.path for request in proxy.requests if request.kind == "abort"] == [orphan]
        living.communicate(data[-2000:])
        assert living.returncode == 0
    ok(f"vol-commit -q {url}; vol-verify -q --full {url}", box)
    assert ids(url, box) == ["v5-0", "v0-0"]
