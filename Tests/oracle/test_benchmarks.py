"""The benchmarks that need nothing but the tools run, at a size at which they measure nothing."""

import pytest
from support import BIN, REPO, bash


@pytest.mark.parametrize("script, rows", [
    ("scale.py --sizes 20 40 --stages 2 --repeats 1 --factor 1000",
     ["read one by id", "commit one more", "stage one more", "list a collection"]),
    ("memory.py --frames 2 --few 10 --many 11", ["128x128x64x2 int16", "11 of 32x32x32 int16"]),
])
def test_a_benchmark_runs(box, script, rows):
    name, _, words = script.partition(" ")
    result = bash(f"python3 {REPO}/Benchmarks/{name} --bin {BIN} {words}", box)
    assert result.status == 0, repr(result)
    for row in rows:
        assert f"\n{row}" in result.out.decode(), row
